//! One shard of the node: its store, and the operations on its logs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use engine::shard::ShardId;
use engine::sync::Semaphore;
use engine::task::{self, Queue};
use engine::time;
use storage::ids::{LeaderEpoch, LogId, Offset};
use storage::journal::frame::FIRST_LSN;
use storage::log::log::Standing;
use storage::log::read::{Read, ReadError};
use storage::store::{LogHandle, Store};

use crate::mail::{What, Work};
use crate::settings;
use crate::shared::Shared;
use crate::violation::{Rule, Verdict, Violation, ensure};

/// One shard.
pub struct Worker {
    /// The world.
    pub shared: Rc<Shared>,
    /// Which shard.
    pub shard: ShardId,
    /// Its logs.
    pub store: Store,
    /// The leader epoch of this process.
    pub epoch: LeaderEpoch,
    turns: RefCell<BTreeMap<LogId, Semaphore>>,
}

impl Worker {
    /// A shard that serves.
    pub fn new(shared: Rc<Shared>, shard: ShardId, store: Store, epoch: LeaderEpoch) -> Rc<Worker> {
        Rc::new(Worker { shared, shard, store, epoch, turns: RefCell::default() })
    }

    /// Appends of one log are made in the order in which they took this.
    pub fn turn(&self, id: LogId) -> Semaphore {
        self.turns.borrow_mut().entry(id).or_insert_with(|| Semaphore::new(1)).clone()
    }

    /// Begins an operation, which goes on in a task of its own.
    pub fn begin(self: &Rc<Self>, work: Work) {
        let worker = self.clone();
        let shared = self.shared.clone();
        task::spawn(Queue::Produce, async move {
            worker.perform(work).await;
            shared.in_flight.set(shared.in_flight.get() - 1);
        });
    }

    async fn perform(self: Rc<Self>, Work { id, what }: Work) {
        match what {
            What::Create { dir, profile } => self.create(id, &dir, profile),
            What::Configure { profile } => {
                self.store.configure(&id, Rc::new(settings::profile(profile)));
                if let Some(log) = self.shared.model.borrow_mut().log(&id) {
                    log.applied += 1;
                }
            }
            What::Delete => drop(self.store.delete(&id).await),
            What::Produce { sending, records, value_bytes } => {
                self.produce(id, sending, records, value_bytes).await;
            }
            other => {
                let Some(handle) = self.store.log(&id) else { return };
                if !self.enter(&id) {
                    return;
                }
                let verdict = match other {
                    What::Read { at, max_bytes, one_at_least } => {
                        self.read(&handle, at, max_bytes as usize, one_at_least).await
                    }
                    What::ReadAll { step_bytes } => {
                        let from = handle.log_start();
                        self.read_all(&handle, from, step_bytes as usize).await
                    }
                    What::DeleteRecords { at } => self.delete_records(&handle, at).await,
                    What::Truncate { at } => self.truncate(&handle, at).await,
                    _ => Ok(()),
                };
                self.shared.hold(verdict);
                self.leave(&id);
            }
        }
        self.count();
    }

    fn count(&self) {
        let recycled = self.store.journal().oldest_live() > FIRST_LSN;
        let sealed = self.store.stats().seals > 0;
        self.shared.count(|coverage| {
            coverage.journal_recycled += u64::from(recycled);
            coverage.segment_rolled += u64::from(sealed);
        });
    }

    /// A client begins something with a log, unless that must be left alone now.
    pub fn enter(&self, id: &LogId) -> bool {
        match self.shared.model.borrow_mut().log(id) {
            Some(log) if !log.busy && !log.offline => {
                log.in_flight += 1;
                true
            }
            _ => false,
        }
    }

    /// It has ended.
    pub fn leave(&self, id: &LogId) {
        if let Some(log) = self.shared.model.borrow_mut().log(id) {
            log.in_flight -= 1;
        }
    }

    fn create(self: &Rc<Self>, id: LogId, dir: &str, profile: u8) {
        let created = self.store.create(id, dir, Rc::new(settings::profile(profile)));
        let verdict = created
            .map_err(|error| Violation::new(Rule::Topics, format!("{id} was not created: {error}")))
            .and_then(|handle| {
                self.observe(handle);
                self.shared.model.borrow_mut().log_of(&id).map(|log| log.applied += 1)
            });
        self.shared.hold(verdict);
    }

    /// Watches a log as a reader would: whatever it shows must still be there after a crash.
    pub fn observe(self: &Rc<Self>, handle: LogHandle) {
        let worker = self.clone();
        task::spawn(Queue::Fetch, async move {
            let watch = handle.watch();
            while handle.standing() == Standing::Online {
                let verdict = worker.look(&handle);
                worker.shared.hold(verdict);
                watch.moved().await;
            }
        });
    }

    /// Takes note of what a log shows.
    pub fn look(&self, handle: &LogHandle) -> Verdict {
        let mut model = self.shared.model.borrow_mut();
        let Some(log) = model.log(&handle.id()) else { return Ok(()) };
        if log.busy || log.offline {
            return Ok(());
        }
        log.on_visible(handle.visible_end().0)?;
        let (asked, before) = (log.start_asked(), log.start());
        let start = handle.log_start().0;
        log.on_start(start, time::unix_ms())?;
        if start > before && start > asked {
            drop(model);
            self.shared.count(|coverage| coverage.retention += 1);
        }
        Ok(())
    }

    async fn read(
        &self,
        handle: &LogHandle,
        at: u8,
        max_bytes: usize,
        one_at_least: bool,
    ) -> Verdict {
        let (start, visible) = (handle.log_start(), handle.visible_end());
        let from = Offset(start.0 + (visible.0 - start.0) * i64::from(at) / 255);
        let bytes = match handle.read(from, max_bytes, one_at_least) {
            Ok(Read::Ready { pieces, .. }) => joined(&pieces),
            Ok(Read::Empty) => Vec::new(),
            Ok(Read::Cold(cold)) => {
                self.shared.count(|coverage| coverage.cold_reads += 1);
                match handle.read_cold(cold).await {
                    Ok(pieces) => joined(&pieces),
                    Err(error) => return self.read_refused(handle, from, &error),
                }
            }
            Err(error) => return self.read_refused(handle, from, &error),
        };
        let expected = one_at_least && from < visible && from >= handle.log_start();
        ensure(!bytes.is_empty() || !expected, Rule::Read, || {
            format!("a read from {from} gave nothing, readers see up to {visible}")
        })?;
        self.check_read(handle, from, &bytes).map(|_| ())
    }

    /// Reads from `from` to the visible end.
    pub async fn read_all(&self, handle: &LogHandle, from: Offset, step: usize) -> Verdict {
        let mut from = from;
        while from < handle.visible_end() {
            let bytes = match handle.read_any(from, step, true).await {
                Ok(pieces) => joined(&pieces),
                Err(error) => {
                    self.read_refused(handle, from, &error)?;
                    if from >= handle.log_start() {
                        return Ok(());
                    }
                    from = handle.log_start();
                    continue;
                }
            };
            let next = self.check_read(handle, from, &bytes)?;
            if next <= from {
                // Overtaken by retention, or by the end of the topic.
                ensure(from < handle.log_start() || !self.is_there(handle), Rule::Read, || {
                    format!("{}: a read from {from} gave nothing", handle.id())
                })?;
                if !self.is_there(handle) {
                    return Ok(());
                }
                from = handle.log_start();
                continue;
            }
            from = next;
        }
        Ok(())
    }

    /// Whether a reader may still expect something of it: its topic is not gone.
    fn is_there(&self, handle: &LogHandle) -> bool {
        let known = self.shared.model.borrow_mut().log(&handle.id()).is_some();
        known && handle.standing() == Standing::Online
    }

    fn check_read(&self, handle: &LogHandle, from: Offset, bytes: &[u8]) -> Verdict<Offset> {
        let mut model = self.shared.model.borrow_mut();
        let Some(log) = model.log(&handle.id()) else { return Ok(from) };
        let next = log.check_read(from.0, bytes).map_err(|violation| {
            let text = format!("{}: {}", handle.id(), violation.text);
            Violation { text, ..violation }
        })?;
        ensure(next <= handle.visible_end().0.max(from.0), Rule::Read, || {
            format!("a read gave up to {next}, readers see up to {}", handle.visible_end())
        })?;
        log.on_visible(next)?;
        Ok(Offset(next))
    }

    fn read_refused(&self, handle: &LogHandle, from: Offset, error: &ReadError) -> Verdict {
        let mut model = self.shared.model.borrow_mut();
        let Some(log) = model.log(&handle.id()) else { return Ok(()) };
        let excused = match error {
            ReadError::OutOfRange { .. } => from < handle.log_start(),
            ReadError::Deleted => handle.standing() == Standing::Deleted,
            ReadError::Offline(_) => log.offline,
            ReadError::Corrupt { .. } | ReadError::Io { .. } => log.unreadable,
        };
        ensure(excused, Rule::Read, || format!("a read from {from}: {error}"))
    }

    async fn delete_records(&self, handle: &LogHandle, at: u8) -> Verdict {
        let (start, visible) = (handle.log_start(), handle.visible_end());
        let upto = Offset(start.0 + (visible.0 - start.0) * i64::from(at) / 255);
        let id = handle.id();
        if let Some(log) = self.shared.model.borrow_mut().log(&id) {
            log.on_deleting_records(upto.0);
        }
        let deleted = handle.delete_records(upto).await;
        let mut model = self.shared.model.borrow_mut();
        let Some(log) = model.log(&id) else { return Ok(()) };
        match deleted {
            Ok(start) => {
                ensure(start >= upto, Rule::LogStart, || {
                    format!("records were deleted up to {upto}, the log starts at {start}")
                })?;
                log.on_start(start.0, time::unix_ms())?;
                self.shared.count(|coverage| coverage.records_deleted += 1);
                Ok(())
            }
            Err(error) => {
                let excused = handle.standing() != Standing::Online
                    || self.shared.stopping.get()
                    || log.unreadable;
                ensure(excused, Rule::Refused, || format!("records of {id} not deleted: {error}"))
            }
        }
    }

    async fn truncate(&self, handle: &LogHandle, at: u8) -> Verdict {
        let id = handle.id();
        let to = {
            let mut model = self.shared.model.borrow_mut();
            let Some(log) = model.log(&id) else { return Ok(()) };
            // Its end is nobody else's meanwhile: only this operation is under way.
            if log.in_flight > 1 || log.visible() != log.end() || log.end() == log.start() {
                return Ok(());
            }
            log.busy = true;
            let to = log.start() + (log.end() - log.start()) * i64::from(at) / 255;
            log.on_truncating(to);
            to
        };
        let truncated = handle.truncate(Offset(to)).await;
        let mut model = self.shared.model.borrow_mut();
        let Some(log) = model.log(&id) else { return Ok(()) };
        log.busy = false;
        match truncated {
            Ok(end) => {
                log.on_truncated();
                ensure(end.0 == log.end() && handle.log_end() == end, Rule::Offsets, || {
                    format!("{id} was cut to {to} and ends at {end}, not at {}", log.end())
                })?;
                self.shared.count(|coverage| coverage.truncated += 1);
            }
            Err(error) => {
                let excused = handle.standing() != Standing::Online
                    || self.shared.stopping.get()
                    || log.unreadable
                    // Retention came first.
                    || to < handle.log_start().0;
                ensure(excused, Rule::Refused, || format!("{id} not cut to {to}: {error}"))?;
                log.on_truncation_refused();
            }
        }
        Ok(())
    }
}

fn joined(pieces: &[engine::buffer::Slice]) -> Vec<u8> {
    pieces.iter().flat_map(|piece| piece.iter().copied()).collect()
}

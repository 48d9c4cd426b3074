//! The journal of one shard: takes entries, writes frames one after the other, tells what completed.
//!
//! One write is in flight at a time; what is pushed meanwhile goes out with the next. A second write in flight would
//! overlap two device latencies, but then a frame could be whole behind a broken one that nobody acknowledged, and
//! the verdict of `walk` would have to be weaker. It stays an option until a measurement asks for it.
//!
//! A frame is flushed if its strongest entry is of class `device`. O_DSYNC with FUA makes only its own blocks durable:
//! after frames that were written without a flush, the next flush is a write linked to `fdatasync`.
//!
//! Holds always: `durable_upto <= written_upto <= first LSN of the frame in flight <= next_lsn`; an acknowledged block
//! is never written again; `on_commit` runs only for completions.

use super::building::frame_bytes;
use super::entry::{Commit, Entry, EntryKind, JournalConfig, PushRefusal};
use super::file_pool::FilePool;
use super::frame::{FIRST_LSN, Identity, round_up};
use super::group_commit::SLOW_FROM;
use super::state::State;
use crate::ids::Lsn;
use crate::limits;
use engine::buffer::{self, Slice};
use engine::sync::{Notify, Semaphore};
use engine::task::{self, Queue};
use engine::time;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// An entry the journal took. It is not on the disk yet.
#[derive(Clone)]
pub struct Pushed {
    /// The entry's place in the journal.
    pub lsn: Lsn,
    /// The payload where it lies in the journal's buffer: the tail cache's copy.
    pub slice: Slice,
}

/// Why a journal could not start.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The first file could not be made or opened.
    #[error("cannot open the journal in {dir}: {source}")]
    Io {
        /// The journal's directory.
        dir: String,
        /// What the system said.
        source: io::Error,
    },
    /// Settings that cannot work.
    #[error("{0}")]
    Config(String),
}

/// What the journal counts, for metrics and measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Writes, each of one frame or of several that had queued up.
    pub writes: u64,
    /// Of those, the ones that were flushed.
    pub flushes: u64,
    /// Frames, idle and closing ones included.
    pub frames: u64,
    /// Entries in them.
    pub entries: u64,
    /// Bytes written, padding included.
    pub bytes: u64,
    /// Pushes refused as busy.
    pub busy: u64,
}

type OnCommit = Box<dyn Fn(&Commit<'_>)>;

/// One shard's journal.
pub struct Journal {
    pub(super) config: JournalConfig,
    pub(super) files: Rc<FilePool>,
    pub(super) on_commit: OnCommit,
    pub(super) state: RefCell<State>,
    /// There is something to write.
    pub(super) wake: Notify,
    /// `durable_upto` moved, or the journal stopped.
    pub(super) progress: Notify,
    /// Callers of `room` are served one after the other.
    turnstile: Semaphore,
    payload_max: usize,
    stats: Cell<JournalStats>,
}

impl Journal {
    /// Opens the journal of a generation that has none yet and starts its tasks. `on_commit` is called on this shard
    /// for each frame that completed, in order; it may push.
    pub async fn start(
        config: JournalConfig,
        on_commit: Box<dyn Fn(&Commit<'_>)>,
    ) -> Result<Rc<Journal>, JournalError> {
        check(&config)?;
        let files = FilePool::open(config.clone())
            .await
            .map_err(|source| JournalError::Io { dir: config.dir.display().to_string(), source })?;
        let identity =
            Identity { generation: config.generation, shard: config.shard, salt: config.salt };
        let journal = Rc::new(Journal {
            files,
            on_commit,
            state: RefCell::new(State::new(identity, config.gap_max)),
            wake: Notify::new(),
            progress: Notify::new(),
            turnstile: Semaphore::new(1),
            // A frame fits a file with room to spare, and memory with room for others.
            payload_max: (config.file_bytes as usize / 2).min(buffer::usage().budget / 4),
            stats: Cell::default(),
            config,
        });
        task::spawn(Queue::Produce, journal.clone().run());
        Ok(journal)
    }

    /// Takes an entry: its payload is copied into the journal's buffer and goes out with the next frame.
    ///
    /// `entry.write` runs inside this call and must not call the journal.
    pub fn push(&self, entry: Entry<'_>) -> Result<Pushed, PushRefusal> {
        let pushed = self.try_push(entry);
        if matches!(pushed, Err(PushRefusal::Busy)) {
            self.count(|stats| stats.busy += 1);
        }
        pushed
    }

    fn try_push(&self, entry: Entry<'_>) -> Result<Pushed, PushRefusal> {
        let len = entry.len;
        if len > self.payload_max {
            return Err(PushRefusal::TooLarge { len, max: self.payload_max });
        }
        let mut state = self.state.borrow_mut();
        if state.stopping {
            return Err(PushRefusal::Stopped);
        }
        let append = entry.kind == EntryKind::Append;
        let fill = self.files.fill();
        let slow = append && fill >= SLOW_FROM;
        if slow && !state.pace.wait(time::now().nanos(), fill).is_zero() {
            return Err(PushRefusal::Busy);
        }
        let new = round_up(frame_bytes(len, 1, state.last_touched.len()));
        if !self.files.has_room(state.pending_bytes() + new as u64, !append) {
            return Err(PushRefusal::Busy);
        }
        let begun = state.ensure_open(len).ok_or(PushRefusal::Busy)?;
        if slow {
            state.pace.on_entry(time::now().nanos(), fill, len);
        }
        let (lsn, slice) = state.append(entry);
        drop(state);
        if begun {
            self.wake.notify_one();
        }
        Ok(Pushed { lsn, slice })
    }

    /// Waits until a push of `len` payload bytes is likely to be taken: memory, space in the journal, and the pace that
    /// a filling journal asks for. Callers are served in order. Others get a turn in any case, so that a caller may push
    /// and wait in a loop.
    pub async fn room_for(&self, len: usize) {
        let Ok(_turn) = self.turnstile.acquire(1).await else { return };
        task::yield_now().await;
        loop {
            let changed = self.files.changed.notified();
            let fill = self.files.fill();
            let (wait, bytes, missing, stopping) = {
                let state = self.state.borrow();
                let slow = fill >= SLOW_FROM;
                let wait =
                    if slow { state.pace.wait(time::now().nanos(), fill) } else { Duration::ZERO };
                let new = round_up(frame_bytes(len, 1, state.last_touched.len()));
                let bytes = state.pending_bytes() + new.max(limits::JOURNAL_BLOCK_BYTES) as u64;
                (wait, bytes, state.missing_block(len), state.stopping)
            };
            if stopping {
                return;
            }
            if !wait.is_zero() {
                time::sleep(wait).await;
                continue;
            }
            if !self.files.has_room(bytes, false) {
                changed.await;
                continue;
            }
            if let Some(missing) = missing {
                match buffer::alloc(missing).await {
                    Ok(block) => self.state.borrow_mut().spare = Some(block),
                    Err(error) => engine::exit_now(
                        limits::EXIT_STORAGE,
                        &format!(
                            "HDL-ST-010: a shard's memory cannot hold one journal block: {error}"
                        ),
                    ),
                }
            }
            return;
        }
    }

    /// [`Journal::room_for`] a small entry.
    pub async fn room(&self) {
        self.room_for(0).await;
    }

    /// 0..1: how much of `bytes_max` holds entries that no checkpoint has passed. From one half on pushes are slowed.
    pub fn fill(&self) -> f64 {
        self.files.fill()
    }

    /// The first LSN still in the journal's files.
    pub fn oldest_live(&self) -> Lsn {
        self.files.oldest_live().unwrap_or(FIRST_LSN)
    }

    /// The LSN the next entry gets.
    pub fn next_lsn(&self) -> Lsn {
        self.state.borrow().next_lsn
    }

    /// Exclusive: every entry below is in a file, flushed or not.
    pub fn written_upto(&self) -> Lsn {
        self.state.borrow().written_upto
    }

    /// Exclusive: every entry below is on the device, flushed.
    pub fn durable_upto(&self) -> Lsn {
        self.state.borrow().durable_upto
    }

    /// The largest payload this journal takes.
    pub fn payload_bytes_max(&self) -> usize {
        self.payload_max
    }

    /// What was counted since the start.
    pub fn stats(&self) -> JournalStats {
        self.stats.get()
    }

    /// A durable checkpoint holds everything below `lsn`: files that end there are used again.
    pub fn recycle_before(&self, lsn: Lsn) {
        assert!(lsn <= self.next_lsn(), "a checkpoint cannot pass entries that were not pushed");
        self.files.recycle_before(lsn);
    }

    /// Makes everything pushed so far durable on the device, whatever its class.
    pub async fn flush(&self) {
        let upto = self.next_lsn();
        self.flush_upto(upto).await;
    }

    /// Makes everything written so far durable. What still waits for a place in a file is not waited for: there may be
    /// none before a checkpoint frees one, which is who calls this.
    pub async fn flush_written(&self) {
        let upto = self.written_upto();
        self.flush_upto(upto).await;
    }

    async fn flush_upto(&self, upto: Lsn) {
        {
            let mut state = self.state.borrow_mut();
            state.flush_wanted = state.flush_wanted.max(upto);
        }
        self.wake.notify_one();
        loop {
            let progress = self.progress.notified();
            let done = {
                let state = self.state.borrow();
                state.durable_upto >= upto || state.stopped
            };
            if done {
                return;
            }
            progress.await;
        }
    }

    /// Makes everything durable, writes the closing frame and ends the journal's tasks. Further pushes are refused.
    pub async fn stop(&self) {
        self.state.borrow_mut().stopping = true;
        self.wake.notify_one();
        self.files.changed.notify_all();
        loop {
            let progress = self.progress.notified();
            if self.state.borrow().stopped {
                return;
            }
            progress.await;
        }
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut JournalStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }
}

fn check(config: &JournalConfig) -> Result<(), JournalError> {
    let refuse = |text: String| Err(JournalError::Config(text));
    if config.file_bytes < limits::JOURNAL_FILE_BYTES_MIN || !config.file_bytes.is_multiple_of(4096)
    {
        return refuse(format!(
            "a journal file of {} bytes: it takes at least {} and a multiple of 4096",
            config.file_bytes,
            limits::JOURNAL_FILE_BYTES_MIN
        ));
    }
    if config.bytes_max / config.file_bytes < limits::JOURNAL_FILES_MIN {
        return refuse(format!(
            "a journal of {} bytes cannot hold {} files of {} bytes",
            config.bytes_max,
            limits::JOURNAL_FILES_MIN,
            config.file_bytes
        ));
    }
    Ok(())
}

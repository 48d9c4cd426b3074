//! Cuts a log back: decided from what is in memory or in the segment, durable in the journal, then in the files.
//!
//! 1. No append and no new segment file from here on; those that run are waited for.
//! 2. The cut is decided. If it reaches into a segment file, the batches before it are looked at there: where the last
//!    one ends, the largest timestamp, the producers.
//! 3. Between two turns of the loop the entry is pushed and the log changed: what is appended after it has a later
//!    journal entry, what was appended before it and lies behind the cut is never told visible.
//! 4. The entry is flushed; the caller is told.
//! 5. If a segment file held what was cut, a checkpoint says what is left. Only then may the file be cut and what is
//!    appended be written over: until then a crash finds the files as the checkpoint before says, and the entry.
//! 6. Files behind the end go, appends are taken again.
//!
//! The entry stays in the journal until a checkpoint after the last step, so that recovery knows a file behind the log's
//! end for what it is, should its removal not have reached the disk.

use std::io;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use engine::buffer::Slice;
use engine::sync::{Receiver, Sender, oneshot};
use engine::task::{self, Queue};
use engine::time;

use crate::batch::split;
use crate::durability::Durability;
use crate::ids::{FilePosition, Lsn, Offset, ProducerId};
use crate::journal::{Entry, EntryKind, PushRefusal};
use crate::log::append::AppendError;
use crate::log::log::Standing;
use crate::log::producers::Producers;
use crate::log::read::{Place, ReadError};
use crate::log::segment::{Segment, batches_file_name, index_file_name};
use crate::log::truncate::{Cut, CutPlan, TruncateError};
use crate::log::{SegmentIndex, space};
use crate::store::cell::LogCell;
use crate::store::files::SegmentKey;
use crate::store::indexes;
use crate::store::retention;
use crate::store::shard_store::Inner;
use crate::{checkpointing, seal, write_behind};

/// How long to wait before asking again whether what touches the log has ended.
const BUSY_WAIT: Duration = Duration::from_millis(1);

/// Bytes before a cut in which its producers are looked for first.
const PRODUCERS_BYTES: u64 = 1 << 20;

type Told = Sender<Result<Offset, TruncateError>>;

/// Cuts the log back in a task of its own: whoever asked may go away, a cut is made as a whole.
pub(crate) fn truncate(
    inner: &Rc<Inner>,
    cell: &Rc<LogCell>,
    to: Offset,
) -> Receiver<Result<Offset, TruncateError>> {
    let (told, receiver) = oneshot();
    let (inner, cell) = (inner.clone(), cell.clone());
    task::spawn(Queue::Produce, async move { run(&inner, &cell, to, told).await });
    receiver
}

async fn run(inner: &Rc<Inner>, cell: &Rc<LogCell>, to: Offset, told: Told) {
    let turn = Turn::take(inner, cell).await;
    let done = match turn.cut(to).await {
        Ok(Some(done)) => done,
        Ok(None) => {
            let _ = told.send(Ok(cell.log.borrow().log_end));
            return;
        }
        Err(refusal) => {
            let _ = told.send(Err(refusal));
            return;
        }
    };
    inner.journal.flush().await;
    let _ = told.send(Ok(done.end));
    // Nobody waits for the rest but the next append.
    let (inner, cell) = (inner.clone(), cell.clone());
    task::spawn(Queue::Background, async move {
        clear(&inner, &cell, done).await;
        drop(turn);
    });
}

/// A cut that is in the journal and in memory, and not in the files yet.
struct Done {
    lsn: Lsn,
    end: Offset,
    /// The segment that takes appends, if its file is to be cut.
    shorter: Option<Segment>,
    /// Segment files held what was cut.
    written: bool,
    /// Segments whose files go.
    removed: Vec<Offset>,
    /// Checkpoints begun before it.
    checkpoints: u64,
}

/// One cut at a time, and no append and no new segment file while it goes on.
struct Turn {
    inner: Rc<Inner>,
    cell: Rc<LogCell>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.cell.log.borrow_mut().cutting = false;
        self.inner.cut_ended.notify_all();
    }
}

/// Waits until the log is not being cut.
pub(crate) async fn ended(inner: &Inner, cell: &LogCell) {
    loop {
        let ended = inner.cut_ended.notified();
        if !cell.log.borrow().cutting {
            return;
        }
        ended.await;
    }
}

impl Turn {
    async fn take(inner: &Rc<Inner>, cell: &Rc<LogCell>) -> Turn {
        ended(inner, cell).await;
        cell.log.borrow_mut().cutting = true;
        let turn = Turn { inner: inner.clone(), cell: cell.clone() };
        // A file that is being made is made for an end that will not be; a log start on its way may lie behind the cut.
        while cell.making_room.borrow().is_some() || !cell.log.borrow().pinned.is_empty() {
            time::sleep(BUSY_WAIT).await;
        }
        turn
    }

    /// Decides and makes the cut; `None` when there is nothing to cut.
    async fn cut(&self, to: Offset) -> Result<Option<Done>, TruncateError> {
        let (inner, cell) = (&self.inner, &self.cell);
        loop {
            if !self.check(to)? {
                return Ok(None);
            }
            let plan = cell.log.borrow().plan_cut(to);
            let (cut, index) = match plan {
                CutPlan::Ready(cut) => (cut, None),
                CutPlan::Look { segment, limit } => self.look(segment, limit, to).await?,
            };
            let found = self.producers_before(&cut, index.as_ref()).await?;
            // The files are this task's alone until it is done: no write and no seal meanwhile.
            while cell.writing.get() {
                time::sleep(BUSY_WAIT).await;
            }
            if !self.check(to)? {
                return Ok(None);
            }
            if !cell.log.borrow().is_current(&cut) {
                continue;
            }
            cell.writing.set(true);
            match self.push(&cut) {
                Ok(lsn) => return Ok(Some(self.apply(cut, index, lsn, &found))),
                // What frees room may be this log's own writes.
                Err(PushRefusal::Busy) => {
                    write_behind::release(inner, cell);
                    inner.journal.room().await;
                }
                Err(PushRefusal::TooLarge { len, max }) => {
                    write_behind::release(inner, cell);
                    return Err(AppendError::TooLargeForJournal { len, max }.into());
                }
                Err(PushRefusal::Stopped) => {
                    write_behind::release(inner, cell);
                    return Err(AppendError::Stopped.into());
                }
            }
        }
    }

    /// Whether there is anything behind `to`.
    fn check(&self, to: Offset) -> Result<bool, TruncateError> {
        if self.inner.stopping.get() {
            return Err(AppendError::Stopped.into());
        }
        let log = self.cell.log.borrow();
        log.check_writable()?;
        if to < log.log_start {
            return Err(TruncateError::BelowLogStart { to, log_start: log.log_start });
        }
        Ok(to < log.log_end)
    }

    /// Looks into the segment that contains `to` for the batch to end with.
    async fn look(
        &self,
        segment: Segment,
        limit: FilePosition,
        to: Offset,
    ) -> Result<(Cut, Option<SegmentIndex>), TruncateError> {
        let (inner, cell) = (&self.inner, &self.cell);
        let (base, dir) = (segment.base, cell.log.borrow().dir.clone());
        let key = cell.key(base);
        let whole = indexes::whole(inner, cell, base, limit).await?;
        let index = inner.cold.cut_index(key, &dir, limit, whole, to).await?;
        let kept_bytes = FilePosition(index.bytes());
        let mut kept = Segment::new(base, segment.created_ms);
        if let Some((newest, near)) = index.max_timestamp() {
            kept.bytes = index.bytes();
            kept.first_timestamp = segment.first_timestamp;
            let position = index.position_for_offset(near);
            let from = Place { position, offset: index.offset_at(position) };
            inner
                .cold
                .headers(key, &dir, (from, kept_bytes), |header| {
                    if header.max_timestamp() < newest || newest < 0 {
                        return ControlFlow::Continue(());
                    }
                    kept.max_timestamp = newest;
                    kept.max_timestamp_offset = header.last_offset();
                    ControlFlow::Break(())
                })
                .await?;
        }
        let block = FilePosition(space::block_start(kept_bytes.0));
        let image = inner.cold.bytes(key, &dir, block..kept_bytes).await?;
        let cut = cell.log.borrow().cut_after_look(kept, index.next_offset(), image.into());
        Ok((cut, Some(index)))
    }

    /// The producers of the batches before the cut, as far as the cut takes something from them: those of the last
    /// bytes, then of the whole segment, then of the one before as well. Each segment of Kafka's begins with a snapshot
    /// of all; a producer that wrote to neither of the two is known by what is remembered in memory, or not at all.
    async fn producers_before(
        &self,
        cut: &Cut,
        index: Option<&SegmentIndex>,
    ) -> Result<Producers, ReadError> {
        let ids = self.cell.log.borrow().producers.after(cut.end);
        let Some(kept) = cut.kept.filter(|_| !ids.is_empty()) else {
            return Ok(Producers::new());
        };
        let (before, in_file, in_memory) = {
            let log = self.cell.log.borrow();
            let before = log.segments.iter().rfind(|segment| segment.base < kept.base);
            let in_file = match cut.image {
                Some(_) => kept.end(),
                None if kept.base == log.written.segment.base => log.written.segment.end(),
                None => FilePosition(0),
            };
            let unwritten = log.tail.unwritten().take_while(|piece| piece.next <= cut.end);
            let in_memory: Vec<Slice> = match cut.image {
                Some(_) => Vec::new(),
                None => unwritten.map(|piece| piece.bytes.clone()).collect(),
            };
            let before =
                before.and_then(|segment| Some((segment.base, log.limit_of(segment.base)?.0)));
            (before, in_file, in_memory)
        };
        let last_bytes = in_file.0.saturating_sub(PRODUCERS_BYTES);
        let front = |base| Place { position: FilePosition(0), offset: base };
        let near = index.map_or(front(kept.base), |index| {
            let position = index.position_before_byte(last_bytes);
            Place { position, offset: index.offset_at(position) }
        });
        let whole = (front(kept.base), in_file);
        let mut spans = vec![vec![(kept.base, (near, in_file))]];
        if near != front(kept.base) {
            spans.push(vec![(kept.base, whole)]);
        }
        if let Some((base, limit)) = before {
            spans.push(vec![(base, (front(base), limit)), (kept.base, whole)]);
        }
        let mut found = Producers::new();
        for span in spans {
            found = self.producers_in(&span, &in_memory, &ids).await?;
            if found.knows_all_of(&ids) {
                break;
            }
        }
        Ok(found)
    }

    async fn producers_in(
        &self,
        span: &[(Offset, (Place, FilePosition))],
        in_memory: &[Slice],
        ids: &[ProducerId],
    ) -> Result<Producers, ReadError> {
        let dir = self.cell.log.borrow().dir.clone();
        let mut found = Producers::new();
        let wanted = |id: Option<ProducerId>| id.is_some_and(|id| ids.contains(&id));
        for (base, range) in span {
            let key = self.cell.key(*base);
            let note = |header: &crate::batch::BatchHeader| {
                if wanted(header.producer_id()) {
                    found.replay(header, 0);
                }
                ControlFlow::Continue(())
            };
            self.inner.cold.headers(key, &dir, *range, note).await?;
        }
        for batch in in_memory.iter().flat_map(|piece| split(piece).flatten()) {
            if wanted(batch.producer_id()) {
                found.replay(&batch, 0);
            }
        }
        Ok(found)
    }

    /// Flushed whatever the log's class: files are changed behind it.
    fn push(&self, cut: &Cut) -> Result<Lsn, PushRefusal> {
        let log = self.cell.log.borrow();
        let pushed = self.inner.journal.push(Entry {
            kind: EntryKind::Truncate,
            slot: self.cell.slot,
            log: log.id,
            base_offset: cut.end,
            next_offset: cut.end,
            roll: false,
            durability: Durability::Device,
            len: 0,
            write: &mut |_| {},
        });
        pushed.map(|pushed| pushed.lsn)
    }

    /// The log as it is after the cut, in the same turn as the push.
    fn apply(&self, cut: Cut, index: Option<SegmentIndex>, lsn: Lsn, found: &Producers) -> Done {
        let (inner, cell) = (&self.inner, &self.cell);
        let (end, written) = (cut.end, cut.image.is_some());
        let shorter = cut.kept.filter(|_| written);
        let (off, stray, cuts) = {
            let mut log = cell.log.borrow_mut();
            let (stray, cuts) = (log.rolling.then_some(log.log_end), log.cuts);
            (log.on_cut(cut, lsn, found), stray, cuts)
        };
        inner.behind.on_cut(cell, off.unwritten, off.freed);
        // A file whose making did not succeed.
        let removed: Vec<Offset> = off.removed.into_iter().chain(stray).collect();
        for base in removed.iter().copied().chain(shorter.map(|kept| kept.base)) {
            retention::forget_key(inner, SegmentKey { slot: cell.slot, cuts, base });
        }
        if written {
            let index =
                index.filter(|index| shorter.is_some_and(|kept| kept.bytes == index.bytes()));
            *cell.index.borrow_mut() = index.map(Box::new);
        }
        cell.on_cut(end);
        inner.checkpoint_wanted.notify_all();
        inner.count(|stats| stats.truncations += 1);
        let checkpoints = inner.checkpoints_begun.get();
        Done { lsn, end, shorter, written, removed, checkpoints }
    }
}

/// Brings a durable cut into the files, and gives them back to write-behind.
async fn clear(inner: &Rc<Inner>, cell: &Rc<LogCell>, done: Done) {
    let dir = cell.log.borrow().dir.clone();
    let path = inner.files.dir(&dir);
    // An index that went would come back to speak of other batches: the checkpoint's sync makes sure it does not.
    for base in done.removed.iter().copied().chain(done.shorter.map(|kept| kept.base)) {
        remove(&path.join(index_file_name(base))).await;
    }
    if done.written {
        checkpointing::checkpoint_after(inner, done.checkpoints).await;
    }
    let deleted = || cell.log.borrow().standing == Standing::Deleted;
    for base in &done.removed {
        if !deleted() {
            remove(&path.join(batches_file_name(*base))).await;
            inner.count(|stats| stats.segments_deleted += 1);
        }
    }
    if let Some(kept) = done.shorter.filter(|_| !deleted()) {
        seal::cut(inner, cell, &kept).await;
    }
    cell.log.borrow_mut().on_cut_files_gone(done.lsn);
    write_behind::release(inner, cell);
}

async fn remove(path: &std::path::Path) {
    match engine::file::remove_large_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "a file behind a log's end could not be deleted");
        }
        _ => {}
    }
}

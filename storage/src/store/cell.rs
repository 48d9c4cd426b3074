//! One log on its shard: its state machine and who waits for it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use engine::sync::{Sender, oneshot};

use crate::ids::{Lsn, Offset};
use crate::log::SegmentIndex;
use crate::log::append::AppendError;
use crate::log::log::{Log, Standing};
use crate::store::files::SegmentKey;
use crate::store::watch::Bells;

/// Tells an append that waits how it ended.
pub(crate) type Told = Sender<Result<(), AppendError>>;

/// A log, the tasks that wait for it, and what is going on with it.
pub struct LogCell {
    /// The log's number on this shard. Never used again, so that a late event cannot meet another log.
    pub(crate) slot: u32,
    pub(crate) log: RefCell<Log>,
    /// Appends that wait for their visibility, by the offset that must be visible.
    waiting: RefCell<VecDeque<(Offset, Told)>>,
    pub(crate) bells: Bells,
    /// Room is being made: those who wait for it.
    pub(crate) making_room: RefCell<Option<Vec<Told>>>,
    /// It stands in the line of logs with something to write behind.
    pub(crate) in_line: Cell<bool>,
    /// It stands in the line of those that are written next.
    pub(crate) urgent: Cell<bool>,
    /// A flush waits for its batches with journal entries before this.
    pub(crate) flush_upto: Cell<Lsn>,
    /// A write, a seal or a deletion of segments is in flight: one at a time.
    pub(crate) writing: Cell<bool>,
    /// Bytes appended and not in a segment yet.
    pub(crate) unwritten: Cell<usize>,
    /// The index of the segment being written, as far as it is known.
    pub(crate) index: RefCell<Option<Box<SegmentIndex>>>,
}

impl LogCell {
    pub(crate) fn new(slot: u32, log: Log) -> Rc<LogCell> {
        Rc::new(LogCell {
            slot,
            log: RefCell::new(log),
            waiting: RefCell::default(),
            bells: Bells::default(),
            making_room: RefCell::default(),
            in_line: Cell::default(),
            urgent: Cell::default(),
            flush_upto: Cell::default(),
            writing: Cell::default(),
            unwritten: Cell::default(),
            index: RefCell::default(),
        })
    }

    /// The name of one of its segments to what is shared between logs.
    pub(crate) fn key(&self, base: Offset) -> SegmentKey {
        SegmentKey { slot: self.slot, cuts: self.log.borrow().cuts, base }
    }

    /// Its batches with journal entries before `upto` are in segments.
    pub(crate) fn is_written(&self, upto: Lsn) -> bool {
        self.log.borrow().oldest_unwritten().is_none_or(|oldest| oldest >= upto)
    }

    /// Journal entries below these are written and flushed: shows what became visible to those who wait.
    pub(crate) fn on_commit(&self, written: Lsn, durable: Lsn) {
        if self.log.borrow_mut().on_commit(written, durable) {
            self.on_visible();
        }
    }

    /// The visible end has moved.
    pub(crate) fn on_visible(&self) {
        let end = self.log.borrow().visible_end;
        let mut waiting = self.waiting.borrow_mut();
        while waiting.front().is_some_and(|(next, _)| *next <= end) {
            if let Some((_, sender)) = waiting.pop_front() {
                // Who timed out no longer listens.
                let _ = sender.send(Ok(()));
            }
        }
        if waiting.is_empty() && waiting.capacity() > 16 {
            *waiting = VecDeque::new();
        }
        drop(waiting);
        self.bells.ring();
    }

    /// Waits until `next` is visible.
    pub(crate) async fn visible(&self, next: Offset) -> Result<(), AppendError> {
        {
            let log = self.log.borrow();
            if log.standing == Standing::Deleted {
                return Err(AppendError::Deleted);
            }
            if log.visible_end >= next {
                return Ok(());
            }
        }
        let (sender, receiver) = oneshot();
        {
            let mut waiting = self.waiting.borrow_mut();
            // Almost always the back: only duplicates wait for something older.
            let at = waiting.iter().rposition(|(other, _)| *other <= next).map_or(0, |at| at + 1);
            waiting.insert(at, (next, sender));
        }
        receiver.await.unwrap_or(Err(AppendError::Stopped))
    }

    /// The log was cut back to `end`: whoever waits for what was behind it is told.
    pub(crate) fn on_cut(&self, end: Offset) {
        let mut waiting = self.waiting.borrow_mut();
        let kept = waiting.partition_point(|(next, _)| *next <= end);
        for (_, sender) in waiting.drain(kept..) {
            let _ = sender.send(Err(AppendError::Truncated));
        }
        drop(waiting);
        self.bells.ring();
    }

    /// The log is gone: whoever waits is told.
    pub(crate) fn on_deleted(&self) {
        for (_, sender) in self.waiting.take() {
            let _ = sender.send(Err(AppendError::Deleted));
        }
        self.bells.ring();
    }
}

/// All logs of a shard, by slot.
#[derive(Default)]
pub(crate) struct Cells(RefCell<Vec<Option<Rc<LogCell>>>>);

impl Cells {
    pub(crate) fn get(&self, slot: u32) -> Option<Rc<LogCell>> {
        self.0.borrow().get(slot as usize)?.clone()
    }

    pub(crate) fn add(&self, log: Log) -> Rc<LogCell> {
        let mut cells = self.0.borrow_mut();
        let slot = u32::try_from(cells.len()).expect("memory ends before four billion logs do");
        let cell = LogCell::new(slot, log);
        cells.push(Some(cell.clone()));
        cell
    }

    pub(crate) fn remove(&self, slot: u32) {
        self.0.borrow_mut()[slot as usize] = None;
    }

    /// The logs there are now, in slot order.
    pub(crate) fn all(&self) -> Vec<Rc<LogCell>> {
        self.0.borrow().iter().flatten().cloned().collect()
    }
}

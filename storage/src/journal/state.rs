//! The journal's memory: the frame that is open, those that wait, and how far things have come. Performs no I/O but for
//! taking blocks from the shard's memory.

use super::building::{OpenFrame, SealedFrame, SharedFilling, frame_bytes};
use super::entry::Entry;
use super::frame::{FIRST_LSN, Identity, Named, Purpose};
use super::group_commit::{GroupCommit, Pace};
use crate::durability::Durability;
use crate::ids::Lsn;
use crate::limits;
use engine::buffer::{self, Block, Filling, Slice};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// What the writer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing to write. `idle`: if it stays so, an idle frame is due.
    Wait { idle: bool },
    /// Write frames; `queued`: one is full already and nothing is gained by waiting for company.
    Write { queued: bool },
    /// Flush what was written without a flush.
    Flush,
    /// Write the closing frame and end.
    Close,
}

pub(super) struct State {
    identity: Identity,
    filling: Option<SharedFilling>,
    pub(super) spare: Option<Block>,
    open: Option<OpenFrame>,
    sealed: VecDeque<SealedFrame>,
    /// Disk bytes of sealed frames and of those in flight.
    queued_bytes: u64,
    pub(super) next_lsn: Lsn,
    /// The LSN of the last frame begun.
    last_frame: Lsn,
    /// What the last sealed frame touched.
    pub(super) last_touched: Vec<Named>,
    pub(super) written_upto: Lsn,
    pub(super) durable_upto: Lsn,
    pub(super) flush_wanted: Lsn,
    /// The last frame carried entries, and nothing behind it says yet that it was acknowledged.
    pub(super) unproven: bool,
    pub(super) stopping: bool,
    pub(super) stopped: bool,
    pub(super) pace: Pace,
    pub(super) group: GroupCommit,
}

impl State {
    pub(super) fn new(identity: Identity, gap_max: Duration) -> State {
        State {
            identity,
            filling: None,
            spare: None,
            open: None,
            sealed: VecDeque::new(),
            queued_bytes: 0,
            next_lsn: FIRST_LSN,
            last_frame: FIRST_LSN,
            last_touched: Vec::new(),
            written_upto: FIRST_LSN,
            durable_upto: FIRST_LSN,
            flush_wanted: Lsn(0),
            unproven: false,
            stopping: false,
            stopped: false,
            pace: Pace::default(),
            group: GroupCommit::new(gap_max),
        }
    }

    /// Disk bytes promised a place and not written yet.
    pub(super) fn pending_bytes(&self) -> u64 {
        self.queued_bytes + self.open.as_ref().map_or(0, OpenFrame::disk_bytes) as u64
    }

    /// The memory that an entry of `len` bytes still needs, if it is not there.
    pub(super) fn missing_block(&self, len: usize) -> Option<usize> {
        let need = frame_bytes(len, 1, self.last_touched.len());
        let fits = self.open.as_ref().is_some_and(|open| open.fits(len))
            || self.filling.as_ref().is_some_and(|block| block.borrow().remaining() >= need)
            || self.spare.as_ref().is_some_and(|block| block.len() >= need);
        (!fits).then_some(need.max(limits::JOURNAL_BLOCK_BYTES))
    }

    /// Makes sure that an open frame takes an entry of `len` bytes. `None` without memory; else whether a frame was
    /// begun, or one was sealed, so that the writer must look.
    pub(super) fn ensure_open(&mut self, len: usize) -> Option<bool> {
        if self.open.as_ref().is_some_and(|open| open.fits(len)) {
            return Some(false);
        }
        self.seal_open(Purpose::Entries, Durability::Memory);
        let need = frame_bytes(len, 1, self.last_touched.len());
        let block = self.block_for(need)?;
        self.begin(&block);
        Some(true)
    }

    /// A block with `need` bytes left: the one in use, a new one, or one of its own for an entry larger than a block.
    fn block_for(&mut self, need: usize) -> Option<SharedFilling> {
        if let Some(filling) = &self.filling
            && filling.borrow().remaining() >= need
        {
            return Some(filling.clone());
        }
        let block = match self.spare.take_if(|spare| spare.len() >= need) {
            Some(block) => block,
            None => buffer::try_alloc(need.max(limits::JOURNAL_BLOCK_BYTES))?,
        };
        let filling = Rc::new(RefCell::new(Filling::new(block)));
        if need > limits::JOURNAL_BLOCK_BYTES {
            return Some(filling);
        }
        self.filling = Some(filling.clone());
        Some(filling)
    }

    fn begin(&mut self, block: &SharedFilling) {
        let named = std::mem::take(&mut self.last_touched);
        self.open = Some(OpenFrame::begin(block, self.next_lsn, self.last_frame, named));
        self.last_frame = self.next_lsn;
    }

    /// Takes an entry into the open frame that [`State::ensure_open`] made sure of.
    pub(super) fn append(&mut self, entry: Entry<'_>) -> (Lsn, Slice) {
        let open = self.open.as_mut().expect("ensure_open came before");
        let (lsn, slice) = open.append(entry);
        self.next_lsn = Lsn(lsn.0 + 1);
        (lsn, slice)
    }

    fn seal_open(&mut self, purpose: Purpose, durability: Durability) {
        let Some(open) = self.open.take() else { return };
        let frame = open.seal(self.identity, purpose, durability);
        self.last_touched = frame.touched.named.clone();
        self.queued_bytes += frame.disk_bytes() as u64;
        self.sealed.push_back(frame);
    }

    /// Begins and seals a frame without entries. False without memory for it.
    pub(super) fn push_bare(&mut self, purpose: Purpose) -> bool {
        assert!(
            self.open.is_none() && self.sealed.is_empty(),
            "entries go out before a bare frame"
        );
        let Some(block) = self.block_for(frame_bytes(0, 0, self.last_touched.len())) else {
            return false;
        };
        self.begin(&block);
        self.seal_open(purpose, Durability::Device);
        self.next_lsn = Lsn(self.next_lsn.0 + 1);
        true
    }

    /// Disk bytes and LSN of the frame to write next; seals the open one when no other waits.
    pub(super) fn next_frame(&mut self) -> Option<(u64, Lsn)> {
        if self.sealed.is_empty() {
            self.seal_open(Purpose::Entries, Durability::Memory);
        }
        self.sealed.front().map(|frame| (frame.disk_bytes() as u64, frame.header().lsn))
    }

    /// Takes the frames to write together: the first, and what waits behind it as long as they fit `bytes`.
    pub(super) fn take_frames(&mut self, bytes: u64) -> Vec<SealedFrame> {
        let mut taken = 0;
        let mut frames = Vec::new();
        while let Some(frame) = self.sealed.front() {
            taken += frame.disk_bytes() as u64;
            if !frames.is_empty() && taken > bytes.min(limits::JOURNAL_WRITE_BYTES_MAX as u64) {
                break;
            }
            frames.extend(self.sealed.pop_front());
        }
        frames
    }

    /// A write completed up to `end`.
    pub(super) fn on_written(&mut self, end: Lsn, bytes: u64, flushed: bool, proven: bool) {
        assert!(end > self.written_upto && end <= self.next_lsn, "writes complete in order");
        self.queued_bytes -= bytes;
        self.written_upto = end;
        if flushed {
            self.durable_upto = end;
        }
        self.unproven = !proven;
    }

    /// Everything written so far was flushed.
    pub(super) fn on_flushed(&mut self) {
        self.durable_upto = self.written_upto;
    }

    pub(super) fn plan(&self) -> Plan {
        if !self.sealed.is_empty() {
            return Plan::Write { queued: true };
        }
        if self.open.is_some() {
            return Plan::Write { queued: false };
        }
        if self.stopping {
            return Plan::Close;
        }
        if self.flush_wanted > self.durable_upto && self.written_upto > self.durable_upto {
            return Plan::Flush;
        }
        Plan::Wait { idle: self.unproven }
    }

    /// Nothing is gained by waiting for more entries.
    pub(super) fn is_urgent(&self) -> bool {
        !self.sealed.is_empty() || self.stopping || self.flush_wanted > self.durable_upto
    }
}

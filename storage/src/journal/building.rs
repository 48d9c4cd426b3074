//! A frame while it is built, in a block that earlier frames are still being written from.
//!
//! A payload is copied once, to its final place in the block; its slice is at once the tail cache's copy. Header, record
//! table and predecessor's list come later: table and list when the frame is sealed, the header when it goes out,
//! because only then are its file and `durable_upto` known.

use super::entry::{Entry, EntryKind};
use super::frame::{
    EntryHead, FRAME_ALIGN, HEADER_BYTES, Header, Identity, NAMED_BYTES, Named, PAYLOAD_ALIGN,
    Purpose, Sum, TABLE_ENTRY_BYTES, round_up,
};
use crate::durability::Durability;
use crate::ids::{Lsn, Offset};
use ahash::RandomState;
use engine::buffer::{Filling, Reserved, Slice};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// A block shared by the frames in it.
pub(super) type SharedFilling = Rc<RefCell<Filling>>;

/// The logs a frame touched, each once, with the end offset it brought them to.
pub(super) struct Touched {
    by_slot: HashMap<u32, usize, RandomState>,
    /// For [`super::Commit::touched`].
    pub(super) slots: Vec<(u32, Offset)>,
    /// For the next frame's predecessor list.
    pub(super) named: Vec<Named>,
}

impl Touched {
    fn new() -> Touched {
        let by_slot = HashMap::with_hasher(RandomState::with_seeds(1, 2, 3, 4));
        Touched { by_slot, slots: Vec::new(), named: Vec::new() }
    }

    fn on_entry(&mut self, entry: &Entry<'_>) {
        let next_offset = entry.next_offset;
        match self.by_slot.get(&entry.slot) {
            Some(at) => {
                self.slots[*at].1 = next_offset;
                self.named[*at].next_offset = next_offset;
            }
            None => {
                self.by_slot.insert(entry.slot, self.slots.len());
                self.slots.push((entry.slot, next_offset));
                self.named.push(Named { log: entry.log, next_offset });
            }
        }
    }
}

/// A frame that takes entries.
pub(super) struct OpenFrame {
    filling: SharedFilling,
    hole: Reserved,
    start: usize,
    lsn: Lsn,
    previous_lsn: Lsn,
    table: Vec<u8>,
    entries: u32,
    named: Vec<Named>,
    touched: Touched,
    durability: Durability,
    sum: Sum,
}

/// A frame that takes no more entries and waits to be written.
pub(super) struct SealedFrame {
    filling: SharedFilling,
    hole: Reserved,
    start: usize,
    header: Header,
    sum: Sum,
    pub(super) touched: Touched,
}

/// The bytes of a frame with these many payload bytes and entries, padding aside.
pub(super) fn frame_bytes(payload: usize, entries: usize, named: usize) -> usize {
    HEADER_BYTES
        + payload.next_multiple_of(PAYLOAD_ALIGN)
        + entries * TABLE_ENTRY_BYTES
        + named * NAMED_BYTES
}

impl OpenFrame {
    /// Begins a frame at the block's position; `named` is what the frame before touched.
    pub(super) fn begin(
        filling: &SharedFilling,
        lsn: Lsn,
        previous_lsn: Lsn,
        named: Vec<Named>,
    ) -> OpenFrame {
        let mut block = filling.borrow_mut();
        let start = block.position();
        assert!(start.is_multiple_of(FRAME_ALIGN), "frames begin at whole 4 KiB blocks");
        let hole = block.reserve(HEADER_BYTES);
        drop(block);
        OpenFrame {
            filling: filling.clone(),
            hole,
            start,
            lsn,
            previous_lsn,
            table: Vec::new(),
            entries: 0,
            named,
            touched: Touched::new(),
            durability: Durability::Memory,
            sum: Sum::default(),
        }
    }

    /// Whether one more entry with `len` payload bytes fits, table and list included.
    pub(super) fn fits(&self, len: usize) -> bool {
        let block = self.filling.borrow();
        let payload = len.next_multiple_of(PAYLOAD_ALIGN);
        let rest = (self.entries as usize + 1) * TABLE_ENTRY_BYTES + self.named.len() * NAMED_BYTES;
        payload + rest <= block.remaining()
    }

    /// Bytes this frame takes on the disk as it is now.
    pub(super) fn disk_bytes(&self) -> usize {
        let used = self.filling.borrow().position() - self.start;
        round_up(used + self.table.len() + self.named.len() * NAMED_BYTES)
    }

    /// Takes an entry that `fits`.
    pub(super) fn append(&mut self, entry: Entry<'_>) -> (Lsn, Slice) {
        let lsn = Lsn(self.lsn.0 + u64::from(self.entries));
        self.touched.on_entry(&entry);
        let mut block = self.filling.borrow_mut();
        let payload_at = block.position() - self.start;
        let slice = if entry.len == 0 {
            Slice::from_vec(Vec::new())
        } else {
            block.append_with(entry.len, |to| (entry.write)(to))
        };
        self.sum.update(&slice);
        pad(&mut block, entry.len.next_multiple_of(PAYLOAD_ALIGN) - entry.len, &mut self.sum);
        debug_assert!(
            entry.kind == EntryKind::Append || entry.len == 0,
            "only appends carry bytes"
        );
        let head = EntryHead {
            kind: entry.kind,
            roll: entry.roll,
            durability: entry.durability,
            log: entry.log,
            base_offset: entry.base_offset,
            next_offset: entry.next_offset,
            payload_at: payload_at as u32,
            payload_len: entry.len as u32,
        };
        self.table.extend_from_slice(&head.encode());
        self.entries += 1;
        self.durability = self.durability.max(entry.durability);
        (lsn, slice)
    }

    /// Ends the frame: table, list and padding. `durability` may ask for more than its entries do.
    pub(super) fn seal(
        mut self,
        identity: Identity,
        purpose: Purpose,
        durability: Durability,
    ) -> SealedFrame {
        let mut block = self.filling.borrow_mut();
        let table_at = block.position() - self.start;
        self.sum.update(&block.append(&self.table));
        for named in &self.named {
            self.sum.update(&block.append(&named.encode()));
        }
        let used = block.position() - self.start;
        let total = round_up(used);
        block.append_with(total - used, |to| to.fill(0));
        drop(block);
        SealedFrame {
            filling: self.filling,
            hole: self.hole,
            start: self.start,
            header: Header {
                identity,
                purpose,
                durability: self.durability.max(durability),
                file_sequence: 0,
                lsn: self.lsn,
                previous_lsn: self.previous_lsn,
                durable_upto: Lsn(0),
                total_len: total as u32,
                used_len: used as u32,
                table_at: table_at as u32,
                entries: self.entries,
                named: self.named.len() as u32,
                written_ms: 0,
            },
            sum: self.sum,
            touched: self.touched,
        }
    }
}

fn pad(block: &mut Filling, bytes: usize, sum: &mut Sum) {
    if bytes > 0 {
        sum.update(&block.append_with(bytes, |to| to.fill(0)));
    }
}

impl SealedFrame {
    /// What the header says but for the fields set by [`SealedFrame::finish`].
    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes on the disk.
    pub(super) fn disk_bytes(&self) -> usize {
        self.header.total_len as usize
    }

    /// Fills in the header; the frame's bytes are final from here on.
    pub(super) fn finish(
        self,
        file_sequence: u64,
        durable_upto: Lsn,
        written_ms: i64,
    ) -> (Slice, Header, Touched) {
        assert!(durable_upto <= self.header.lsn, "a frame cannot know its own completion");
        let header = Header { file_sequence, durable_upto, written_ms, ..self.header };
        let bytes = header.encode(self.sum);
        let mut block = self.filling.borrow_mut();
        block.fill(self.hole, |to| to.copy_from_slice(&bytes));
        let slice = block.filled(self.start..self.start + header.total_len as usize);
        drop(block);
        (slice, header, self.touched)
    }
}

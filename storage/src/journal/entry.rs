//! What goes into the journal and what comes back: entries, refusals, commits, and the journal's settings.

use crate::durability::Durability;
use crate::ids::{Generation, LogId, Lsn, Offset};
use crate::superblock::FlushPrimitive;
use std::path::PathBuf;
use std::time::Duration;

/// How one shard's journal runs.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// The directory of the journal's files, `<data>/journal`. It exists.
    pub dir: PathBuf,
    /// The shard that writes this journal.
    pub shard: u16,
    /// This start of the node.
    pub generation: Generation,
    /// The generation's random number, from the superblock.
    pub salt: u64,
    /// Bytes of a journal file, a multiple of 4,096.
    pub file_bytes: u64,
    /// Most bytes of journal files this shard may hold.
    pub bytes_max: u64,
    /// How a write is made durable on this device.
    pub flush: FlushPrimitive,
    /// The longest a commit waits for company, at most 1 ms; zero never waits.
    pub gap_max: Duration,
}

/// What an entry says about its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A record batch was appended.
    Append,
    /// The log was cut back and now ends at `next_offset`.
    Truncate,
    /// Records before `base_offset` are gone.
    LogStart,
}

impl EntryKind {
    /// The kind as one byte on disk.
    pub const fn code(self) -> u8 {
        match self {
            EntryKind::Append => 1,
            EntryKind::Truncate => 2,
            EntryKind::LogStart => 3,
        }
    }

    /// The kind a byte on disk stands for.
    pub const fn from_code(code: u8) -> Option<EntryKind> {
        match code {
            1 => Some(EntryKind::Append),
            2 => Some(EntryKind::Truncate),
            3 => Some(EntryKind::LogStart),
            _ => None,
        }
    }
}

/// One entry to push.
pub struct Entry<'a> {
    /// What happened.
    pub kind: EntryKind,
    /// The caller's own small number for this log; comes back in [`Commit::touched`].
    pub slot: u32,
    /// The log.
    pub log: LogId,
    /// First offset of an append; the new end of a truncation; the new start of a log-start.
    pub base_offset: Offset,
    /// The log's end offset once this entry is applied.
    pub next_offset: Offset,
    /// This append begins a new segment file named by `base_offset`.
    pub roll: bool,
    /// What the caller waits for before it acknowledges.
    pub durability: Durability,
    /// Payload bytes; 0 for anything but an append.
    pub len: usize,
    /// Writes the payload into its place, once, if the push is taken: exactly `len` bytes to fill.
    pub write: &'a mut dyn FnMut(&mut [u8]),
}

/// Why an entry was not taken. Nothing was written and no LSN used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushRefusal {
    /// No memory, or the journal fills faster than it drains: wait for `room()` and push again.
    #[error("the journal is busy")]
    Busy,
    /// The payload can never fit a journal file, or the shard's memory.
    #[error("{len} bytes are more than this shard's journal takes at once ({max})")]
    TooLarge {
        /// The entry's payload.
        len: usize,
        /// The largest payload this journal takes.
        max: usize,
    },
    /// The journal was stopped.
    #[error("the journal has stopped")]
    Stopped,
}

/// Frames that just completed.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// Exclusive: every entry below has been written (the write completed; no flush implied).
    pub written_upto: Lsn,
    /// Exclusive: every entry below is on the device, flushed.
    pub durable_upto: Lsn,
    /// The logs the completed frame touched and the end offset it brought each to, each slot once.
    pub touched: &'a [(u32, Offset)],
    /// Whether this completion included a flush; then `durable_upto == written_upto`.
    pub durable: bool,
    /// Bytes of the write that completed, all its frames together; 0 if there was only a flush.
    pub bytes: u64,
}

//! What recovery hands to a shard for each log it owns. Plain data that may travel to another thread.

use crate::checkpoint::LogCheckpoint;
use crate::ids::Offset;

/// One log, ready to serve or offline.
///
/// Everything is synced: the log ends at `checkpoint.synced_upto`, its files have their exact length (no padding), and
/// `checkpoint.tail_image` is the active segment's last partial 4 KiB block, from which appending goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    /// The log as of the end of recovery.
    pub checkpoint: LogCheckpoint,
    /// Batches that recovery wrote back, at most one for each 4 KiB of a segment and in offset order, for the sparse
    /// indexes: what the checkpoint covered is not repeated here.
    pub replayed: Vec<BatchPlace>,
}

/// Where a batch lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPlace {
    /// Base offset of the segment that holds it.
    pub segment: Offset,
    /// The batch's base offset.
    pub base_offset: Offset,
    /// Where it starts in the segment file.
    pub position: u64,
    /// The largest timestamp of all batches replayed into the segment up to and including this one; -1 for none.
    pub max_timestamp: i64,
}

impl LogState {
    /// A log before its first append.
    pub fn new(checkpoint: LogCheckpoint) -> LogState {
        LogState { checkpoint, replayed: Vec::new() }
    }

    /// Why the log is offline, if it is.
    pub fn offline(&self) -> Option<&str> {
        self.checkpoint.offline.as_deref()
    }
}

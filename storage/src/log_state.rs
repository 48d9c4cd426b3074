//! What recovery hands to a shard for each log it owns. Plain data that may travel to another thread.

use crate::checkpoint::LogCheckpoint;

/// One log, ready to serve or offline.
///
/// Everything is synced: the log ends at `checkpoint.synced_upto`, its files have their exact length (no padding), and
/// `checkpoint.tail_image` is the active segment's last partial 4 KiB block, from which appending goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    /// The log as of the end of recovery.
    pub checkpoint: LogCheckpoint,
}

impl LogState {
    /// Why the log is offline, if it is.
    pub fn offline(&self) -> Option<&str> {
        self.checkpoint.offline.as_deref()
    }
}

//! The journal: one write-ahead log per shard, shared by all its partitions.
//!
//! Appends of all partitions are gathered into one frame and made durable by one write. `entry` says what goes in and
//! what comes back, `frame` how it lies on the disk, `walk` how it is read and judged after a stop, `group_commit` when
//! a frame goes out.

pub mod entry;
pub mod frame;
pub mod group_commit;
pub mod walk;

pub use entry::{Commit, Entry, EntryKind, JournalConfig, PushRefusal};

//! The journal: one write-ahead log per shard, shared by all its partitions.
//!
//! Appends of all partitions are gathered into one frame and made durable by one write. Reading order: `entry` (what
//! goes in and what comes back), `frame` (how it lies on the disk), `walk` (how it is read and judged after a stop),
//! `building` and `state` (frames in memory), `group_commit` (when a frame goes out), `file_pool` (the files),
//! `writer` (the facade) and `commit` (the one task that writes).

pub mod calibrate;
pub mod entry;
pub mod file_name;
pub mod frame;
pub mod group_commit;
pub mod walk;

mod building;
mod commit;
mod file_pool;
mod state;
mod writer;

pub use entry::{Commit, Entry, EntryKind, JournalConfig, PushRefusal};
pub use writer::{Journal, JournalError, JournalStats, Pushed};

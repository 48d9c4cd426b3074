//! A small durable log of records with snapshots: cluster metadata and checkpoints live in it.
//!
//! Everything is in one pre-written file at a time: a snapshot first, then what was appended. A second file is kept
//! ready, so that a full disk stops neither an append nor the next snapshot. `frame` is the format and its verdicts,
//! `log` the file handling.

mod frame;
mod log;

pub use frame::{RecordsDamage, Replay, replay};
pub use log::{RecordLog, RecordLogError};
pub(crate) use log::{warn_of_damage, write_snapshot_file};

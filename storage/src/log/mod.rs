//! One partition's log: an ordered run of segments holding record batches.
//!
//! The pure parts first: who wrote which sequence numbers, which leader epoch wrote what, where in a segment an offset
//! or a time is found.

pub mod config;
pub mod epochs;
pub mod index;
pub mod producers;
pub mod retain;
pub mod segment;
pub mod space;

#[expect(
    clippy::module_inception,
    reason = "the log's own state machine is what this folder is about"
)]
pub mod log;

pub mod append;
pub mod read;
pub mod truncate;

#[cfg(test)]
pub(crate) mod testing;

pub use config::LogConfig;
pub use epochs::{EpochStart, Epochs, StaleEpoch};
pub use index::{IndexError, SegmentIndex};
pub use log::{Log, Standing};
pub use producers::{AppendedBatch, Producers, SequenceError, SnapshotError, Verdict};

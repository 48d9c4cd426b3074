//! One partition's log: an ordered run of segments holding record batches.
//!
//! The pure parts first: who wrote which sequence numbers, which leader epoch wrote what, where in a segment an offset
//! or a time is found.

pub mod epochs;
pub mod index;
pub mod producers;

pub use epochs::{EpochStart, Epochs, StaleEpoch};
pub use index::{IndexError, SegmentIndex};
pub use producers::{AppendedBatch, Producers, SequenceError, SnapshotError, Verdict};

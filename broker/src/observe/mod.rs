//! What a shard knows about its own work: where requests spend their time, and what was counted.
//!
//! | module | holds |
//! |---|---|
//! | [`trace`] | the stages of a request, and the one sum of times that each request carries with it |
//! | [`histogram`] | durations by size, in a fixed number of buckets |
//! | [`observed`] | a shard's histograms and counters: what the hot paths write |
//! | [`snapshot`] | a copy of all of it that travels to whoever asks |
//!
//! Nothing here performs I/O or reads a clock: instants come in as arguments, from the places that need them anyway.

pub mod histogram;
pub mod observed;
pub mod snapshot;
pub mod trace;

pub use histogram::Histogram;
pub use observed::Observed;
pub use snapshot::ShardSnapshot;
pub use trace::{AppendPath, ReadPath, Stage, Timed, Trace};

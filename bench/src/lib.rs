//! What the measurements share: where a run took place, what its latencies were.
//!
//! Each measurement is a program of its own below `bin`. They run everything they compare in one process and in turns,
//! because a number from a shared machine means something only beside another of the same minutes.

pub mod latency;
pub mod processor;
pub mod provenance;

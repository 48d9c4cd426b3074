//! One shard's data: record batches, partition logs, the journal, recovery and retention.
//!
//! Knows nothing of Kafka's API keys, connections or the cluster: a caller hands in record batches and gets back
//! offsets, refusals with data, and bytes that go on the wire as they are. All files, timers and randomness come
//! through `engine`, so that a simulated host can stand in for the real one.
//!
//! The pure parts come first (they compute on bytes and state they own), the parts that perform I/O after them.

pub mod durability;
pub mod ids;
pub mod limits;
pub mod planted;

pub mod batch;
pub mod log;
pub mod tail;

pub mod checkpoint;
pub mod log_state;
pub mod superblock;

pub mod checkpoint_log;
mod disk;
pub mod journal;

pub mod node;
pub mod record_log;
pub mod recovery;

pub mod checkpointing;
pub mod cold_read;
mod seal;
pub mod store;
pub mod write_behind;

pub mod verify;

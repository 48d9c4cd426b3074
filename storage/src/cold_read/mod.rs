//! Reads of batches that are no longer in memory: direct I/O into aligned chunks that all consumers of a shard share.
//!
//! A chunk is a fixed 256 KiB piece of a segment file. Whoever misses it first starts its read; others wait for the
//! same one, so that N lagging consumers cost one read. A reader that goes through a segment in order finds the next
//! two chunks on their way. The cache has its own bytes, and the reads' bytes in flight come out of the device's
//! budget: a cold reader must not slow producers.
//!
//! Nothing from the disk is believed: every batch begins with the offset at which the one before ended, the last ends
//! where the segment does, and magic, length, leader epoch and checksum are verified before it is handed out. A batch
//! that fails is read once more, then named and not served.
//!
//! `walk` finds and verifies batches in chunks that somebody brings; `reader` brings them from the disk.

mod reader;
mod walk;

pub use reader::{ColdReader, ColdStats};
pub use walk::{CHUNK_BYTES, Chunks, ColdFound, Failure, Loaded, SegmentWalk};

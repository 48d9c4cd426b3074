//! Counters of one shard's store, for metrics and stage timings.

use std::time::Duration;

use crate::cold_read::ColdStats;

/// What a store did since it started, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Logs on this shard.
    pub logs: u64,
    /// Batches appended.
    pub appends: u64,
    /// Bytes of batches appended.
    pub appended_bytes: u64,
    /// Batches that were there before and were answered with the original's offsets.
    pub duplicates: u64,
    /// Appends that had to wait for room.
    pub no_room: u64,
    /// Appends and reservations refused because the disk is full.
    pub refused_full: u64,
    /// Reads served from memory, and their bytes.
    pub tail_reads: u64,
    /// Bytes those reads returned.
    pub tail_read_bytes: u64,
    /// Reads that went to segments.
    pub cold: ColdStats,
    /// Bytes appended and not in a segment yet.
    pub unwritten_bytes: usize,
    /// Memory of the tail cache beyond those.
    pub cached_bytes: usize,
    /// Writes to segments, and their bytes without padding.
    pub segment_writes: u64,
    /// Bytes those writes brought.
    pub segment_written_bytes: u64,
    /// Written runs that could not stay in memory for want of it.
    pub uncached_writes: u64,
    /// Segments begun.
    pub rolls: u64,
    /// Segments closed, cut to length and indexed.
    pub seals: u64,
    /// Segments deleted by retention, delete-records and topic deletion.
    pub segments_deleted: u64,
    /// Logs cut back.
    pub truncations: u64,
    /// Checkpoints made.
    pub checkpoints: u64,
    /// Logs they wrote.
    pub checkpointed_logs: u64,
    /// How long the last one took, and its sync alone.
    pub checkpoint_took: Duration,
    /// How long the last checkpoint's sync took.
    pub checkpoint_sync_took: Duration,
    /// Indexes that had to be built again from their segment.
    pub indexes_rebuilt: u64,
}

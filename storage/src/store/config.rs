//! What a shard's store is started with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::journal::JournalConfig;
use crate::store::device_budget::DeviceBudget;

/// The settings of one shard's store. All shards of a node share the data directory and the device's budget.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The node's data directory; the segments are below `topics` in it.
    pub data_dir: PathBuf,
    /// The journal of this shard.
    pub journal: JournalConfig,
    /// Bytes that segment writes and cold reads of all shards may have in flight.
    pub device: Arc<DeviceBudget>,
    /// Whether the file system takes direct I/O.
    pub direct: bool,
    /// Bytes of batches kept in memory after they were written behind. Batches that are not in a segment yet are
    /// bounded by the journal and the shard's memory instead.
    pub cache_bytes: usize,
    /// Bytes of chunks that cold reads keep and share.
    pub cold_cache_bytes: usize,
    /// Segment files held open.
    pub open_files_max: usize,
    /// Bytes of sparse indexes kept in memory.
    pub index_cache_bytes: usize,
    /// The longest a batch waits before it is written to its segment.
    pub write_behind_age: Duration,
    /// Unwritten bytes of all logs above which nothing waits for its age.
    pub write_behind_bytes: usize,
    /// The longest between two checkpoints while something changes.
    pub checkpoint_interval: Duration,
    /// How full the journal may be (0 to 1) before a checkpoint is made earlier.
    pub checkpoint_fill: f32,
    /// Bytes of the checkpoint log's file to begin with, a multiple of 4,096. It grows when a snapshot needs more.
    pub checkpoint_log_bytes: u64,
    /// Between two looks for segments that are too old or too many (`log.retention.check.interval.ms`).
    pub retention_interval: Duration,
    /// Free bytes of the file system below which appends are refused: metadata, checkpoints and deletions need room.
    pub reserve_bytes: u64,
}

impl StoreConfig {
    /// Settings for a node of ordinary size; the caller sets what it knows better.
    pub fn new(data_dir: PathBuf, journal: JournalConfig) -> StoreConfig {
        StoreConfig {
            data_dir,
            journal,
            device: DeviceBudget::new(8 << 20),
            direct: true,
            cache_bytes: 64 << 20,
            cold_cache_bytes: 16 << 20,
            open_files_max: 512,
            index_cache_bytes: 8 << 20,
            write_behind_age: Duration::from_millis(500),
            write_behind_bytes: 32 << 20,
            checkpoint_interval: Duration::from_secs(10),
            checkpoint_fill: 0.33,
            checkpoint_log_bytes: crate::checkpoint_log::FILE_BYTES,
            retention_interval: Duration::from_secs(300),
            reserve_bytes: 64 << 20,
        }
    }
}

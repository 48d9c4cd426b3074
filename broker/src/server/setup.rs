//! What the configuration says, in the words of storage.

use std::sync::Arc;

use engine::shard::ShardId;
use storage::journal::JournalConfig;
use storage::node::{NodeOptions, Recovery};
use storage::store::{DeviceBudget, StoreConfig};

use crate::config::BrokerConfig;

/// Bytes that segment writes and cold reads of all shards together may have in flight. More moves the
/// journal's p99: 0.3 ms at this, 0.9 ms and up without a bound.
const DEVICE_BYTES_IN_FLIGHT: usize = 8 << 20;

/// How this node's data directory is opened.
pub(super) fn node_options(config: &BrokerConfig) -> NodeOptions {
    NodeOptions {
        node_id: config.node_id,
        cluster_id: config.cluster_id.clone(),
        recalibrate: false,
    }
}

/// The budget all shards share.
pub(super) fn device_budget() -> Arc<DeviceBudget> {
    DeviceBudget::new(DEVICE_BYTES_IN_FLIGHT)
}

/// How one shard's store is set up.
pub(super) fn store_config(
    config: &BrokerConfig,
    recovery: &Recovery,
    shard: ShardId,
    shards: usize,
    device: Arc<DeviceBudget>,
) -> StoreConfig {
    let memory = config.shard_memory_bytes;
    let bytes_max = config.journal_bytes_max / shards as u64;
    let journal = JournalConfig {
        gap_max: config.journal_gap_max,
        ..recovery.journal_config(shard.0, config.journal_file_bytes, bytes_max)
    };
    StoreConfig {
        device,
        // A quarter each for requests and for batches that wait for their segment; the rest is
        // what readers find in memory.
        cache_bytes: memory / 4,
        cold_cache_bytes: memory / 16,
        write_behind_bytes: memory / 8,
        retention_interval: config.retention_check_interval,
        ..StoreConfig::new(config.data_dir.clone(), journal)
    }
}

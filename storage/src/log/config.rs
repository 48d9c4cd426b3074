//! What one log may be told: the topic settings that storage acts on.

use crate::batch::TimestampType;
use crate::durability::Durability;

/// The settings of one log. Shared by all logs of a topic through an `Rc`, so that ten thousand idle logs stay small.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// A segment is closed before it grows beyond this many bytes (`segment.bytes`).
    pub segment_bytes: u64,
    /// A segment is closed when an append is this much newer than its first batch, in ms (`segment.ms`).
    pub segment_ms: i64,
    /// Segments whose newest record is older than this many ms are deleted; `None` keeps them (`retention.ms`).
    pub retention_ms: Option<i64>,
    /// The oldest segments are deleted while the log is larger than this; `None` keeps them (`retention.bytes`).
    pub retention_bytes: Option<u64>,
    /// The largest batch a producer may append, header included (`max.message.bytes`).
    pub max_message_bytes: usize,
    /// Bytes of batches between two entries of the sparse index (`index.interval.bytes`).
    pub index_interval_bytes: u32,
    /// When an append counts as acknowledged and becomes visible (`ack.durability`).
    pub durability: Durability,
    /// Whether records keep their producer's time or get the time of the append (`message.timestamp.type`).
    pub timestamp_type: TimestampType,
    /// How far in the past a producer's timestamp may lie, in ms (`message.timestamp.before.max.ms`).
    pub timestamp_before_max_ms: i64,
    /// How far in the future a producer's timestamp may lie, in ms (`message.timestamp.after.max.ms`).
    pub timestamp_after_max_ms: i64,
    /// Nothing is deleted by age or size (`cleanup.policy` is empty, or compaction alone).
    pub forever: bool,
    /// Compressed batches are unpacked and their records checked (`produce.validation=deep`).
    pub deep_validation: bool,
    /// A producer id that was silent for this many ms is forgotten (`producer.id.expiration.ms`).
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    /// Apache Kafka's defaults, with durable acknowledgements.
    fn default() -> LogConfig {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3600 * 1000,
            retention_ms: Some(7 * 24 * 3600 * 1000),
            retention_bytes: None,
            max_message_bytes: (1 << 20) + 12,
            index_interval_bytes: 4096,
            durability: Durability::Device,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3600 * 1000,
            forever: false,
            deep_validation: false,
            producer_id_expiration_ms: 24 * 3600 * 1000,
        }
    }
}

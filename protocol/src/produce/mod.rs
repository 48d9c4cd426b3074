//! Produce (key 0), versions 3 to 13, by hand: the request is borrowed and its records are ranges of the received
//! bytes.
//!
//! Version 3 brought record batches v2 and transactional ids, 5 the log start offset, 7 zstd, 8 record errors
//! (KIP-467), 9 the flexible encoding, 10 the current leader (KIP-951), 12 implicit partitions of a transaction
//! (KIP-890), 13 topic ids (KIP-516). Differs from Kafka: a name that is not UTF-8 closes the connection.

mod request;
mod response;
#[cfg(test)]
mod tests;

pub use request::{ProducePartition, ProduceRequest, ProduceTopic};
pub use response::{PartitionResponse, ProduceResponse, RecordError, TopicResponse};

/// First version with topic ids instead of names.
pub const TOPIC_IDS_FROM: i16 = 13;
/// First version with the current leader and node endpoints.
pub const CURRENT_LEADER_FROM: i16 = 10;

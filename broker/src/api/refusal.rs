//! The error code of each of the controller's refusals.

use kafka_protocol::protocol::StrBytes;
use protocol::error_code::ErrorCode;

use crate::controller::Refusal;

/// The Kafka error a refusal is told as.
pub fn code(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::InvalidTopic { .. } => ErrorCode::InvalidTopic,
        Refusal::TopicExists { .. } => ErrorCode::TopicAlreadyExists,
        Refusal::UnknownTopic { .. } => ErrorCode::UnknownTopicOrPartition,
        Refusal::UnknownTopicId { .. } => ErrorCode::UnknownTopicId,
        Refusal::InvalidPartitions { .. } => ErrorCode::InvalidPartitions,
        Refusal::InvalidReplicationFactor { .. } => ErrorCode::InvalidReplicationFactor,
        Refusal::InvalidAssignment { .. } => ErrorCode::InvalidReplicaAssignment,
        Refusal::InvalidConfig { .. } => ErrorCode::InvalidConfig,
        Refusal::InvalidRequest { .. } => ErrorCode::InvalidRequest,
        Refusal::Policy { .. } => ErrorCode::PolicyViolation,
        Refusal::DeletionDisabled => ErrorCode::TopicDeletionDisabled,
        // Not retriable for any client, and it never happens.
        Refusal::ProducerIdsExhausted => ErrorCode::UnknownServerError,
        // Retriable: the disk may have room again.
        Refusal::Storage { .. } => ErrorCode::KafkaStorageError,
        // Retriable: the client asks again once the node is back.
        Refusal::Stopping => ErrorCode::NotController,
    }
}

/// The refusal's sentence, as a message field takes it.
pub fn message(refusal: &Refusal) -> Option<StrBytes> {
    Some(StrBytes::from_string(refusal.to_string()))
}

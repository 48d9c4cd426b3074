//! Why the controller says no. The sentences reach the client, so they name the subject and,
//! where there is something to do about it, what; the API layer adds the error code.

use std::sync::Arc;

use super::{Topic, TopicId};

/// A command, or one item of it, that was not carried out. Nothing of that item was changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// No topic may have this name.
    #[error("{what}")]
    InvalidTopic {
        /// The whole sentence.
        what: String,
    },
    /// There is a topic of this name.
    #[error("Topic '{}' already exists.", .topic.name)]
    TopicExists {
        /// The topic that exists.
        topic: Arc<Topic>,
    },
    /// There is no topic of this name.
    #[error("This server does not host topic '{name}'.")]
    UnknownTopic {
        /// The name asked for.
        name: String,
    },
    /// There is no topic of this id.
    #[error("This server does not host a topic with id {id}.")]
    UnknownTopicId {
        /// The id asked for.
        id: TopicId,
    },
    /// The partition count is not possible.
    #[error("{what}")]
    InvalidPartitions {
        /// The whole sentence.
        what: String,
    },
    /// The replication factor is not possible.
    #[error("{what}")]
    InvalidReplicationFactor {
        /// The whole sentence.
        what: String,
    },
    /// The partitions cannot be placed as asked.
    #[error("{what}")]
    InvalidAssignment {
        /// The whole sentence.
        what: String,
    },
    /// A setting does not exist, cannot be changed, or not to this value.
    #[error("{what}")]
    InvalidConfig {
        /// The whole sentence.
        what: String,
    },
    /// The request contradicts itself.
    #[error("{what}")]
    InvalidRequest {
        /// The whole sentence.
        what: String,
    },
    /// A limit of this broker forbids it.
    #[error("{what}")]
    Policy {
        /// The whole sentence.
        what: String,
    },
    /// `delete.topic.enable` is false.
    #[error("Topic deletion is disabled (delete.topic.enable=false).")]
    DeletionDisabled,
    /// No producer id is left. At a million per second this takes 290,000 years.
    #[error("All producer ids were handed out.")]
    ProducerIdsExhausted,
    /// The metadata log takes nothing now (a full disk, no memory); nothing was changed.
    #[error("The metadata cannot be changed now: {what}")]
    Storage {
        /// What the log said.
        what: String,
    },
    /// The controller is stopping, or gone: the node shuts down.
    #[error("The controller is shutting down.")]
    Stopping,
}

//! What can be asked of the controller, and what it answers.
//!
//! Plain data, so that a command can travel from any shard to the controller's and its outcome
//! back. One command may hold several items; each item succeeds or is refused alone, and the
//! outcome lists them in the order of the command.

use std::ops::Range;
use std::sync::Arc;

use super::{Refusal, Topic, TopicId};

/// A change asked of the controller.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Create topics.
    CreateTopics {
        /// Each with its own outcome.
        topics: Vec<NewTopic>,
        /// Decide, but change nothing.
        validate_only: bool,
    },
    /// Delete topics.
    DeleteTopics {
        /// Each with its own outcome.
        topics: Vec<TopicReference>,
    },
    /// The files of a deleted topic are gone on this node: forget its tombstone.
    PruneTopic {
        /// The deleted topic. One that has no tombstone (any more) is no error.
        id: TopicId,
    },
    /// Give topics more partitions.
    CreatePartitions {
        /// Each with its own outcome.
        topics: Vec<MorePartitions>,
        /// Decide, but change nothing.
        validate_only: bool,
    },
    /// Change settings.
    AlterConfigs {
        /// Each with its own outcome.
        edits: Vec<ConfigEdit>,
        /// Decide, but change nothing.
        validate_only: bool,
    },
    /// Reserve the next block of producer ids.
    TakeProducerIds,
}

/// The answer to a command that was carried out, item by item where it had items.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// To [`Command::CreateTopics`]: the topic as it is (or, validating, would be).
    TopicsCreated(Vec<Result<Arc<Topic>, Refusal>>),
    /// To [`Command::DeleteTopics`]: the topic as it was.
    TopicsDeleted(Vec<Result<Arc<Topic>, Refusal>>),
    /// To [`Command::PruneTopic`].
    TopicPruned,
    /// To [`Command::CreatePartitions`]: the topic as it is (or, validating, would be).
    PartitionsCreated(Vec<Result<Arc<Topic>, Refusal>>),
    /// To [`Command::AlterConfigs`].
    ConfigsAltered(Vec<Result<(), Refusal>>),
    /// To [`Command::TakeProducerIds`]: ids that nobody else ever gets.
    ProducerIds(Range<i64>),
}

/// A topic to be created.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewTopic {
    /// Its name, unchecked.
    pub name: String,
    /// How many partitions; -1 for the broker's `num.partitions`.
    pub partitions: i32,
    /// How many replicas of each; -1 for the broker's `default.replication.factor`.
    pub replication_factor: i16,
    /// Where each partition goes, if the client says so: partition index and node ids. Then both
    /// counts must be -1.
    pub assignments: Vec<(i32, Vec<i32>)>,
    /// Its settings, unchecked; a null value is refused.
    pub configs: Vec<(String, Option<String>)>,
}

impl NewTopic {
    /// A topic with the broker's defaults for everything.
    pub fn with_defaults(name: &str) -> NewTopic {
        NewTopic {
            name: name.to_owned(),
            partitions: -1,
            replication_factor: -1,
            ..NewTopic::default()
        }
    }
}

/// A topic by name or by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicReference {
    /// By name.
    Name(String),
    /// By id.
    Id(TopicId),
}

/// A topic that should have more partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MorePartitions {
    /// The topic.
    pub name: String,
    /// How many it should have in all.
    pub count: i32,
    /// The node ids of each new partition, if the client says so.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// Whose settings, in the log and in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// One topic.
    Topic(TopicId),
    /// One broker.
    Broker(i32),
    /// All brokers: Kafka's broker resource with the empty name.
    Cluster,
}

/// Whose settings, as a client says it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigTarget {
    /// A topic, by name.
    Topic(String),
    /// One broker.
    Broker(i32),
    /// All brokers.
    Cluster,
}

/// Changes to the settings of one resource. All of them happen or none.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigEdit {
    /// Whose settings.
    pub target: ConfigTarget,
    /// What to do to each, in this order.
    pub operations: Vec<(String, ConfigOperation)>,
    /// Whether settings that are not named go back to their defaults (the older AlterConfigs).
    pub replace: bool,
}

/// What to do to one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigOperation {
    /// Set it.
    Set(String),
    /// Back to the default.
    Delete,
    /// Add to a list what is not in it yet.
    Append(String),
    /// Take from a list.
    Subtract(String),
}

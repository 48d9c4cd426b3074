//! The cluster's metadata: topics, settings and producer ids, and the one place that changes them.
//!
//! Read in this order: a [`Command`] asks for a change; [`Planner`] decides it against the
//! [`Image`], purely, and answers with [`Record`]s and an [`Outcome`]; [`Controller`] makes the
//! records durable, publishes the new image to every shard and only then lets the outcome go.
//! Recovery replays the same records through the same [`Image::replay`].

mod command;
mod edge;
mod handle;
mod image;
mod plan;
mod producer_ids;
mod records;
mod refusal;
mod topic_id;
pub mod topic_name;

#[cfg(test)]
pub(crate) mod golden;
#[cfg(test)]
mod random_commands;

pub use command::{
    Command, ConfigEdit, ConfigOperation, ConfigResource, ConfigTarget, MorePartitions, NewTopic,
    Outcome, TopicReference,
};
pub use edge::{Controller, ControllerError, LOG_NAME, Publication};
pub use handle::ControllerHandle;
pub use image::{Change, Configs, Image, Partition, ReplayError, Tombstone, Topic};
pub use plan::{Planner, Rules};
pub use producer_ids::ProducerIds;
pub use records::{Record, RecordError};
pub use refusal::Refusal;
pub use topic_id::TopicId;

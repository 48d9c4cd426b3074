//! The node's data directory: whose it is, its lock, its superblock, and recovery from one generation to the next.
//!
//! ```text
//! <data>/lock               held by the process that serves it
//! <data>/superblock         two slots: identity, generation, flush primitive
//! <data>/meta.properties    the identity once more, for people and Kafka's habits
//! <data>/journal/           journal files in use and free ones
//! <data>/checkpoints/       the base checkpoint and each shard's checkpoint log
//! <data>/topics/            segments
//! <data>/quarantine/        what recovery found and has no place for
//! ```

mod meta_properties;
mod open;
mod recover;

pub use crate::recovery::{DamageReport, RecoveryReport};
pub use meta_properties::MetaProperties;
pub use open::{Node, NodeError, NodeOptions, Opened};
pub use recover::{Known, Recovery};

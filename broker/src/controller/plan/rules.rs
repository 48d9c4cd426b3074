//! What the broker's configuration says about deciding.

use crate::config::property::Kind;
use crate::config::{BrokerConfig, TopicConfig};
use crate::controller::Configs;

/// What the broker's configuration says about deciding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// This node: where a single node's partitions go.
    pub node_id: i32,
    /// Partitions of a topic that does not say how many (`num.partitions`).
    pub default_partitions: i32,
    /// Replicas of a topic that does not say how many (`default.replication.factor`).
    pub default_replication_factor: i16,
    /// Whether topics may be deleted (`delete.topic.enable`).
    pub delete_topic_enable: bool,
    /// What topics inherit from the broker for list settings, to which a client may append.
    pub inherited: Configs,
}

impl Rules {
    /// The rules of a broker's configuration.
    pub fn of(config: &BrokerConfig) -> Rules {
        let nothing = Configs::new();
        let topic = TopicConfig::describe(&nothing, config).into_iter();
        let lists = topic.filter(|d| matches!(d.property.kind, Kind::List | Kind::Choices(_)));
        Rules {
            node_id: config.node_id,
            default_partitions: config.num_partitions,
            default_replication_factor: config.default_replication_factor,
            delete_topic_enable: config.delete_topics,
            inherited: lists.filter_map(|d| Some((d.property.name.into(), d.value?))).collect(),
        }
    }
}

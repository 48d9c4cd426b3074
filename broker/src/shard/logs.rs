//! Keeps this shard's logs in step with the metadata: creates, configures and deletes them.

use std::rc::Rc;
use std::sync::Arc;

use engine::task::{self, Queue};
use storage::batch::TimestampType;
use storage::ids::LogId;
use storage::log::LogConfig;
use storage::node::Known;

use super::shard::Shard;
use crate::config::{self, BrokerConfig, TopicConfig, Validation};
use crate::controller::{Change, Image, Topic, TopicId};

impl Shard {
    /// Follows the metadata to `image`. Logs of new partitions exist before the image is served by,
    /// and deleted topics are no longer served before their files go. Returns when the image is
    /// served by, so that whoever asked for the change can act on it; files go afterwards.
    pub async fn follow(self: &Rc<Self>, image: Arc<Image>, changes: &[Change]) {
        // One image after the other: a creation that takes long must not meet its own deletion.
        let _turn = self.following.acquire(1).await.expect("never closed");
        for change in changes {
            match change {
                Change::TopicCreated(topic) => self.create_logs(topic, 0),
                Change::PartitionsAdded { topic, first } => self.create_logs(topic, *first),
                Change::TopicConfigured(topic) => self.configure_logs(topic),
                Change::BrokersConfigured => {
                    self.set_effective_config(&image);
                    image.topics().for_each(|topic| self.configure_logs(topic));
                }
                Change::TopicDeleted(_) => {}
            }
        }
        self.set_image(image);
        for change in changes {
            if let Change::TopicDeleted(topic) = change {
                let (shard, topic) = (self.clone(), topic.clone());
                task::spawn(Queue::Background, async move { shard.delete_logs(&topic).await });
            }
        }
    }

    /// Creates the logs of partitions `first..` that this shard owns and does not have.
    fn create_logs(&self, topic: &Topic, first: u32) {
        let config = log_config(topic, &self.effective_config());
        for id in logs(topic, first).filter(|id| self.owner(id) == self.id) {
            if self.store.log(&id).is_some() {
                continue;
            }
            let dir = log_dir(topic, id.partition);
            if let Err(error) = self.store.create(id, &dir, config.clone()) {
                // The topic exists all the same; its partition answers with an error until the
                // next start, which creates what is missing.
                tracing::error!(
                    topic = %topic.name, partition = id.partition, %error,
                    "HDL-STORE-010: the log of a partition was not created"
                );
            }
        }
    }

    fn configure_logs(&self, topic: &Topic) {
        let config = log_config(topic, &self.effective_config());
        for id in logs(topic, 0).filter(|id| self.owner(id) == self.id) {
            self.store.configure(&id, config.clone());
        }
    }

    async fn delete_logs(&self, topic: &Topic) {
        for id in logs(topic, 0).filter(|id| self.owner(id) == self.id) {
            if let Err(error) = self.store.delete(&id).await {
                // The tombstone stays, so the next start takes the files away.
                tracing::error!(
                    topic = %topic.name, partition = id.partition, %error,
                    "HDL-STORE-011: the files of a deleted partition could not be removed"
                );
            }
        }
    }

    /// Configures what recovery brought and creates what it did not: at start.
    pub fn complete_logs(self: &Rc<Self>) {
        for topic in self.image().topics() {
            self.configure_logs(topic);
            self.create_logs(topic, 0);
        }
    }
}

/// The ids of a topic's logs from partition `first` on.
pub fn logs(topic: &Topic, first: u32) -> impl Iterator<Item = LogId> + '_ {
    let partitions = topic.partitions.len() as u32;
    let topic = topic.id.0;
    (first..partitions).map(move |partition| LogId { topic, partition, incarnation: 0 })
}

/// Where a partition's segments are, relative to the data directory's `topics`: readable, and
/// another one when the topic is created again.
pub fn log_dir(topic: &Topic, partition: u32) -> String {
    format!("{}/{partition}", topic_dir(&topic.name, topic.id))
}

/// Where the directories of all partitions of a topic are, relative to `topics`.
pub fn topic_dir(name: &str, id: TopicId) -> String {
    // Names are ASCII (checked at creation). 200 characters leave room for the id in a file name.
    let name = &name[..name.len().min(200)];
    format!("{name}.{id}")
}

/// Every log the metadata knows of, so that a deleted one can be told from an unknown one.
pub fn known(image: &Image) -> Known {
    let mut known = Known::default();
    for topic in image.topics() {
        for id in logs(topic, 0) {
            known.logs.insert(id, log_dir(topic, id.partition));
        }
    }
    known.deleted_topics.extend(image.tombstones().keys().map(|id| id.0));
    known
}

/// The settings in force for a topic's logs.
pub fn log_config(topic: &Topic, broker: &BrokerConfig) -> Rc<LogConfig> {
    let config = TopicConfig::resolve(&topic.configs, broker);
    Rc::new(LogConfig {
        segment_bytes: config.segment_bytes,
        segment_ms: i64::try_from(config.segment_ms).unwrap_or(i64::MAX),
        retention_ms: config.retention_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
        retention_bytes: config.retention_bytes,
        max_message_bytes: config.max_message_bytes,
        index_interval_bytes: u32::try_from(config.index_interval_bytes).unwrap_or(u32::MAX),
        durability: config.durability,
        timestamp_type: match config.timestamp_type {
            config::TimestampType::CreateTime => TimestampType::CreateTime,
            config::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: config.timestamp_before_max_ms,
        timestamp_after_max_ms: config.timestamp_after_max_ms,
        forever: !config.cleanup.delete,
        deep_validation: config.validation == Validation::Deep,
        producer_id_expiration_ms: config.producer_id_expiration_ms,
    })
}

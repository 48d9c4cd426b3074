//! The cluster's metadata at one moment: the replay of the metadata log.
//!
//! Lives on the controller's shard, which changes it by replaying committed records, and as a shared
//! read-only copy on every shard. The same `replay` recovers it at start and applies a new record.
//!
//! Holds always:
//! - a name belongs to at most one topic, an id to at most one topic or tombstone, ever;
//! - two names never differ only in `.` against `_` (metric names would collide, as in Kafka);
//! - partitions of a topic are numbered 0.. without a gap, and are never taken away;
//! - `partition_count` is the sum over all topics;
//! - `next_producer_id` never goes back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::records::Record;
use super::{ConfigResource, TopicId, topic_name};

/// The metadata of the whole cluster. A clone is cheap: the tables are shared until one is changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    cluster_id: Option<Arc<str>>,
    /// By name, so that every listing is in the same order.
    topics: Arc<BTreeMap<Arc<str>, Arc<Topic>>>,
    ids: Arc<BTreeMap<TopicId, Arc<Topic>>>,
    /// Names with `.` written as `_`, for the collision rule.
    metric_names: Arc<BTreeMap<String, Arc<str>>>,
    tombstones: Arc<BTreeMap<TopicId, Tombstone>>,
    /// Settings of the whole cluster (Kafka: the default broker resource, whose name is empty).
    cluster_configs: Arc<Configs>,
    broker_configs: Arc<BTreeMap<i32, Configs>>,
    next_producer_id: i64,
    partition_count: u64,
}

/// Settings by name.
pub type Configs = BTreeMap<String, String>;

/// A topic that exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    /// Its identity, also after a restart; another one after delete and create.
    pub id: TopicId,
    /// Its name.
    pub name: Arc<str>,
    /// Its partitions, by index.
    pub partitions: Vec<Partition>,
    /// The settings of its own; what is not here comes from the broker.
    pub configs: Configs,
}

/// One partition of a topic, as the controller knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Node ids, the preferred leader first.
    pub replicas: Vec<i32>,
}

/// A deleted topic whose files may still be on some disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The name it had.
    pub name: Arc<str>,
    /// How many partitions it had.
    pub partitions: u32,
}

/// What one record changed, for the shards that hold the data.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A topic came into being.
    TopicCreated(Arc<Topic>),
    /// A topic is gone: stop serving it, remove its files, then say so with `Command::PruneTopic`.
    TopicDeleted(Arc<Topic>),
    /// Partitions `first..` of the topic are new.
    PartitionsAdded {
        /// The topic as it is now.
        topic: Arc<Topic>,
        /// Index of the first new partition.
        first: u32,
    },
    /// Settings of the topic changed.
    TopicConfigured(Arc<Topic>),
    /// A dynamic setting of this broker or of all brokers changed.
    BrokersConfigured,
}

/// A record that contradicts the records before it: the log is not one that this code wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("HDL-META-003: metadata record contradicts the ones before it: {what} ({subject})")]
pub struct ReplayError {
    /// The rule that does not hold.
    pub what: &'static str,
    /// Name or id of the topic, or the setting.
    pub subject: String,
}

fn contradiction(what: &'static str, subject: impl ToString) -> ReplayError {
    ReplayError { what, subject: subject.to_string() }
}

impl Image {
    /// The cluster's id. `None` only before the first record.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// The topic of this id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.ids.get(&id)
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// How many partitions there are in all topics together.
    pub fn partition_count(&self) -> u64 {
        self.partition_count
    }

    /// The topic, if any, whose name equals this one once every `.` is read as `_`.
    pub fn collision(&self, name: &str) -> Option<&str> {
        self.metric_names.get(&topic_name::metric_name(name)).map(|name| &**name)
    }

    /// Deleted topics whose files may still be there.
    pub fn tombstones(&self) -> &BTreeMap<TopicId, Tombstone> {
        &self.tombstones
    }

    /// The dynamic settings of all brokers.
    pub fn cluster_configs(&self) -> &Configs {
        &self.cluster_configs
    }

    /// The dynamic settings of one broker only.
    pub fn broker_configs(&self, node: i32) -> Option<&Configs> {
        self.broker_configs.get(&node)
    }

    /// The first producer id that was certainly not handed out.
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    /// The settings of a resource. `None` for a topic that does not exist.
    pub fn configs(&self, resource: ConfigResource) -> Option<&Configs> {
        const EMPTY: &Configs = &Configs::new();
        match resource {
            ConfigResource::Topic(id) => self.ids.get(&id).map(|topic| &topic.configs),
            ConfigResource::Broker(node) => Some(self.broker_configs.get(&node).unwrap_or(EMPTY)),
            ConfigResource::Cluster => Some(&self.cluster_configs),
        }
    }

    /// Applies one record. On an error nothing was changed.
    pub fn replay(&mut self, record: &Record) -> Result<Option<Change>, ReplayError> {
        match record {
            Record::ClusterFormed { cluster_id } => self.form(cluster_id).map(|()| None),
            Record::TopicCreated { id, name, partitions, configs } => {
                self.create(*id, name, partitions, configs).map(Some)
            }
            Record::TopicDeleted { id } => self.delete(*id).map(Some),
            Record::TopicPruned { id } => match Arc::make_mut(&mut self.tombstones).remove(id) {
                Some(_) => Ok(None),
                None => Err(contradiction("a topic is pruned that was not deleted", id)),
            },
            Record::Tombstone { id, name, partitions } => {
                if self.ids.contains_key(id) || self.tombstones.contains_key(id) {
                    return Err(contradiction("a tombstone for an id in use", id));
                }
                let tombstone = Tombstone { name: name.as_str().into(), partitions: *partitions };
                Arc::make_mut(&mut self.tombstones).insert(*id, tombstone);
                Ok(None)
            }
            Record::PartitionsAdded { id, first, partitions } => {
                self.add_partitions(*id, *first, partitions).map(Some)
            }
            Record::ConfigChanged { resource, key, value } => {
                self.configure(*resource, key, value.as_deref()).map(Some)
            }
            Record::ProducerIds { next } => {
                if *next < self.next_producer_id {
                    return Err(contradiction("producer ids are handed out again", next));
                }
                self.next_producer_id = *next;
                Ok(None)
            }
        }
    }

    /// Records that rebuild exactly this image from an empty one.
    pub fn snapshot(&self) -> Vec<Record> {
        let mut records = Vec::with_capacity(self.topics.len() + self.tombstones.len() + 16);
        if let Some(cluster_id) = &self.cluster_id {
            records.push(Record::ClusterFormed { cluster_id: cluster_id.to_string() });
        }
        for (id, tombstone) in self.tombstones.iter() {
            let Tombstone { name, partitions } = tombstone;
            let name = name.to_string();
            records.push(Record::Tombstone { id: *id, name, partitions: *partitions });
        }
        for topic in self.topics.values() {
            records.push(Record::TopicCreated {
                id: topic.id,
                name: topic.name.to_string(),
                partitions: topic.partitions.iter().map(|p| p.replicas.clone()).collect(),
                configs: topic.configs.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            });
        }
        let mut settings = |resource: ConfigResource, configs: &Configs| {
            for (key, value) in configs {
                let (key, value) = (key.clone(), Some(value.clone()));
                records.push(Record::ConfigChanged { resource, key, value });
            }
        };
        settings(ConfigResource::Cluster, &self.cluster_configs);
        for (node, configs) in self.broker_configs.iter() {
            settings(ConfigResource::Broker(*node), configs);
        }
        if self.next_producer_id > 0 {
            records.push(Record::ProducerIds { next: self.next_producer_id });
        }
        records
    }

    /// Stops on a broken invariant of the list at the top of this file. Walks everything: for
    /// tests and for the end of recovery.
    pub fn check_invariants(&self) {
        assert_eq!(self.topics.len(), self.ids.len(), "a topic is known by name and by id");
        assert_eq!(self.topics.len(), self.metric_names.len(), "metric names are unique");
        let mut partitions = 0;
        for (name, topic) in self.topics.iter() {
            assert_eq!(*name, topic.name, "the table's key is the topic's name");
            let same = self.ids.get(&topic.id).is_some_and(|other| Arc::ptr_eq(other, topic));
            assert!(same, "name and id of {name} lead to the same topic");
            assert!(!self.tombstones.contains_key(&topic.id), "a live topic has no tombstone");
            assert_eq!(self.collision(name), Some(&**name), "the metric name of {name} is its own");
            assert!(!topic.partitions.is_empty(), "{name} has a partition");
            partitions += topic.partitions.len() as u64;
        }
        assert_eq!(partitions, self.partition_count, "the partition count is the topics' sum");
        assert!(self.broker_configs.values().all(|configs| !configs.is_empty()));
    }

    fn form(&mut self, cluster_id: &str) -> Result<(), ReplayError> {
        if let Some(present) = &self.cluster_id {
            return Err(contradiction("the cluster is formed twice", present));
        }
        self.cluster_id = Some(cluster_id.into());
        Ok(())
    }

    fn create(
        &mut self,
        id: TopicId,
        name: &str,
        partitions: &[Vec<i32>],
        configs: &[(String, String)],
    ) -> Result<Change, ReplayError> {
        if self.ids.contains_key(&id) || self.tombstones.contains_key(&id) || id.is_zero() {
            return Err(contradiction("a topic is created with an id in use", id));
        }
        if self.collision(name).is_some() {
            return Err(contradiction("a topic is created with a name in use", name));
        }
        if partitions.is_empty() {
            return Err(contradiction("a topic is created without a partition", name));
        }
        let topic = Arc::new(Topic {
            id,
            name: name.into(),
            partitions: partitions.iter().map(|r| Partition { replicas: r.clone() }).collect(),
            configs: configs.iter().cloned().collect(),
        });
        self.partition_count += topic.partitions.len() as u64;
        Arc::make_mut(&mut self.metric_names)
            .insert(topic_name::metric_name(name), topic.name.clone());
        self.put(&topic);
        Ok(Change::TopicCreated(topic))
    }

    fn delete(&mut self, id: TopicId) -> Result<Change, ReplayError> {
        let Some(topic) = Arc::make_mut(&mut self.ids).remove(&id) else {
            return Err(contradiction("a topic is deleted that does not exist", id));
        };
        Arc::make_mut(&mut self.topics).remove(&topic.name);
        Arc::make_mut(&mut self.metric_names).remove(&topic_name::metric_name(&topic.name));
        self.partition_count -= topic.partitions.len() as u64;
        let partitions = u32::try_from(topic.partitions.len()).expect("bounded by limits.rs");
        let tombstone = Tombstone { name: topic.name.clone(), partitions };
        Arc::make_mut(&mut self.tombstones).insert(id, tombstone);
        Ok(Change::TopicDeleted(topic))
    }

    fn add_partitions(
        &mut self,
        id: TopicId,
        first: u32,
        partitions: &[Vec<i32>],
    ) -> Result<Change, ReplayError> {
        let Some(topic) = self.ids.get(&id) else {
            return Err(contradiction("partitions of a topic that does not exist", id));
        };
        if topic.partitions.len() != first as usize {
            return Err(contradiction("added partitions leave a gap or overlap", &topic.name));
        }
        let mut topic = Topic::clone(topic);
        topic.partitions.extend(partitions.iter().map(|r| Partition { replicas: r.clone() }));
        self.partition_count += partitions.len() as u64;
        let topic = Arc::new(topic);
        self.put(&topic);
        Ok(Change::PartitionsAdded { topic, first })
    }

    fn configure(
        &mut self,
        resource: ConfigResource,
        key: &str,
        value: Option<&str>,
    ) -> Result<Change, ReplayError> {
        let change = |configs: &mut Configs| match value {
            Some(value) => configs.insert(key.to_owned(), value.to_owned()),
            None => configs.remove(key),
        };
        match resource {
            ConfigResource::Topic(id) => {
                let Some(topic) = self.ids.get(&id) else {
                    return Err(contradiction("a setting of a topic that does not exist", id));
                };
                let mut topic = Topic::clone(topic);
                change(&mut topic.configs);
                let topic = Arc::new(topic);
                self.put(&topic);
                Ok(Change::TopicConfigured(topic))
            }
            ConfigResource::Cluster => {
                change(Arc::make_mut(&mut self.cluster_configs));
                Ok(Change::BrokersConfigured)
            }
            ConfigResource::Broker(node) => {
                let brokers = Arc::make_mut(&mut self.broker_configs);
                let configs = brokers.entry(node).or_default();
                change(configs);
                if configs.is_empty() {
                    brokers.remove(&node);
                }
                Ok(Change::BrokersConfigured)
            }
        }
    }

    fn put(&mut self, topic: &Arc<Topic>) {
        Arc::make_mut(&mut self.topics).insert(topic.name.clone(), topic.clone());
        Arc::make_mut(&mut self.ids).insert(topic.id, topic.clone());
    }
}

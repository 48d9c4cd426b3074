//! Creating, growing and deleting topics. The rules, their order and their sentences are those of
//! Kafka's ReplicationControlManager, because tools and tests match on them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Planner;
use crate::controller::{
    Image, MorePartitions, NewTopic, Record, Refusal, Topic, TopicId, TopicReference, topic_name,
};
use crate::limits::{COMMAND_PARTITIONS_MAX, PARTITIONS_MAX, TOPIC_PARTITIONS_MAX, TOPICS_MAX};

impl Planner<'_> {
    pub(super) fn create_topics(
        &mut self,
        draft: &mut Image,
        topics: Vec<NewTopic>,
    ) -> Vec<Result<Arc<Topic>, Refusal>> {
        let named = count(topics.iter().map(|topic| topic.name.clone()));
        let mut budget = COMMAND_PARTITIONS_MAX;
        let plan = |topic: NewTopic| {
            if named[&topic.name] > 1 {
                return Err(Refusal::InvalidRequest { what: "Duplicate topic name.".into() });
            }
            self.create_topic(draft, topic, &mut budget)
        };
        topics.into_iter().map(plan).collect()
    }

    fn create_topic(
        &mut self,
        draft: &mut Image,
        new: NewTopic,
        budget: &mut usize,
    ) -> Result<Arc<Topic>, Refusal> {
        topic_name::check(&new.name)?;
        if let Some(topic) = draft.topic(&new.name) {
            return Err(Refusal::TopicExists { topic: topic.clone() });
        }
        if let Some(existing) = draft.collision(&new.name) {
            let name = &new.name;
            let what = format!("Topic '{name}' collides with existing topic: {existing}");
            return Err(Refusal::InvalidTopic { what });
        }
        let partitions = if new.assignments.is_empty() {
            self.place(&new, *budget)?
        } else {
            self.check_assignments(&new, *budget)?
        };
        Self::check_room(draft, partitions.len())?;
        if draft.topic_count() >= TOPICS_MAX {
            let what = format!("This cluster already has {TOPICS_MAX} topics, the most it takes.");
            return Err(Refusal::Policy { what });
        }
        let configs = self.check_topic_configs(new.configs)?;
        let id = self.unused_id(draft);
        let count = partitions.len();
        let record = Record::TopicCreated { id, name: new.name, partitions, configs };
        self.record_all(draft, &[record])?;
        *budget -= count;
        Ok(draft.topic_by_id(id).expect("it was created just now").clone())
    }

    fn unused_id(&mut self, draft: &Image) -> TopicId {
        loop {
            let id = TopicId::from_random((self.random)());
            if draft.topic_by_id(id).is_none() && !draft.tombstones().contains_key(&id) {
                return id;
            }
        }
    }

    fn place(&self, new: &NewTopic, budget: usize) -> Result<Vec<Vec<i32>>, Refusal> {
        let (partitions, factor) = (new.partitions, new.replication_factor);
        if factor < -1 || factor == 0 {
            let what = "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err(Refusal::InvalidReplicationFactor { what: what.into() });
        }
        if partitions < -1 || partitions == 0 {
            let what = "Number of partitions was set to an invalid non-positive value.";
            return Err(Refusal::InvalidPartitions { what: what.into() });
        }
        let factor = if factor == -1 { self.rules.default_replication_factor } else { factor };
        if factor > 1 {
            return Err(Refusal::InvalidReplicationFactor {
                what: format!(
                    "Unable to replicate the partition {factor} time(s): The target replication \
                     factor of {factor} cannot be reached because only 1 broker(s) are registered."
                ),
            });
        }
        let partitions = if partitions == -1 { self.rules.default_partitions } else { partitions };
        let partitions = usize::try_from(partitions).unwrap_or(1).max(1);
        check_budget(partitions, budget)?;
        Ok(vec![vec![self.rules.node_id]; partitions])
    }

    fn check_assignments(&self, new: &NewTopic, budget: usize) -> Result<Vec<Vec<i32>>, Refusal> {
        let contradiction = |what: &str| {
            let what = format!("A manual partition assignment was specified, but {what}");
            Err(Refusal::InvalidRequest { what })
        };
        if new.replication_factor != -1 {
            return contradiction("replication factor was not set to -1.");
        }
        if new.partitions != -1 {
            return contradiction("numPartitions was not set to -1.");
        }
        check_budget(new.assignments.len(), budget)?;
        let mut placed: BTreeMap<i32, &Vec<i32>> = BTreeMap::new();
        for (partition, replicas) in &new.assignments {
            if placed.insert(*partition, replicas).is_some() {
                return Err(Refusal::InvalidAssignment {
                    what: format!(
                        "Found multiple manual partition assignments for partition {partition}"
                    ),
                });
            }
        }
        let numbered = placed.keys().copied().eq(0..placed.len() as i32);
        if !numbered {
            let what = "partitions should be a consecutive 0-based integer sequence";
            return Err(Refusal::InvalidAssignment { what: what.into() });
        }
        self.check_replicas(placed.into_values())
    }

    /// Checks each partition's replicas: this node alone, once, for every partition.
    fn check_replicas<'r>(
        &self,
        partitions: impl Iterator<Item = &'r Vec<i32>>,
    ) -> Result<Vec<Vec<i32>>, Refusal> {
        let refuse = |what: String| Err(Refusal::InvalidAssignment { what });
        let mut checked = Vec::new();
        for replicas in partitions {
            if replicas.is_empty() {
                return refuse(
                    "The manual partition assignment includes an empty replica list.".into(),
                );
            }
            if let Some(other) = replicas.iter().find(|node| **node != self.rules.node_id) {
                return refuse(format!(
                    "The manual partition assignment includes broker {other}, but no such broker \
                     is registered."
                ));
            }
            if replicas.len() > 1 {
                return refuse(format!(
                    "The manual partition assignment includes the broker {} more than once.",
                    self.rules.node_id,
                ));
            }
            checked.push(replicas.clone());
        }
        Ok(checked)
    }

    fn check_room(draft: &Image, added: usize) -> Result<(), Refusal> {
        if draft.partition_count() + added as u64 <= PARTITIONS_MAX {
            return Ok(());
        }
        Err(Refusal::Policy {
            what: format!(
                "This cluster has {} partitions; {added} more would exceed the {PARTITIONS_MAX} \
                 it takes.",
                draft.partition_count(),
            ),
        })
    }

    pub(super) fn delete_topics(
        &mut self,
        draft: &mut Image,
        topics: Vec<TopicReference>,
    ) -> Vec<Result<Arc<Topic>, Refusal>> {
        // A topic named twice, be it once by name and once by id, is refused each time, so that
        // the answer does not depend on the order.
        let named = count(topics.iter().filter_map(|reference| Some(find(draft, reference)?.id)));
        let plan = |reference: TopicReference| {
            let Some(topic) = find(draft, &reference).cloned() else {
                return Err(match reference {
                    TopicReference::Name(name) => Refusal::UnknownTopic { name },
                    TopicReference::Id(id) => Refusal::UnknownTopicId { id },
                });
            };
            if named.get(&topic.id).is_some_and(|times| *times > 1) {
                let what = format!("Topic '{}' is named more than once.", topic.name);
                return Err(Refusal::InvalidRequest { what });
            }
            if !self.rules.delete_topic_enable {
                return Err(Refusal::DeletionDisabled);
            }
            self.record_all(draft, &[Record::TopicDeleted { id: topic.id }])?;
            Ok(topic)
        };
        topics.into_iter().map(plan).collect()
    }

    pub(super) fn create_partitions(
        &mut self,
        draft: &mut Image,
        topics: Vec<MorePartitions>,
    ) -> Vec<Result<Arc<Topic>, Refusal>> {
        let named = count(topics.iter().map(|topic| topic.name.clone()));
        let mut budget = COMMAND_PARTITIONS_MAX;
        let plan = |more: MorePartitions| {
            if named[&more.name] > 1 {
                return Err(Refusal::InvalidRequest { what: "Duplicate topic name.".into() });
            }
            self.add_partitions(draft, more, &mut budget)
        };
        topics.into_iter().map(plan).collect()
    }

    fn add_partitions(
        &mut self,
        draft: &mut Image,
        more: MorePartitions,
        budget: &mut usize,
    ) -> Result<Arc<Topic>, Refusal> {
        let MorePartitions { name, count, assignments } = more;
        let Some(topic) = draft.topic(&name) else {
            return Err(Refusal::UnknownTopic { name });
        };
        let (id, present) = (topic.id, topic.partitions.len());
        let refuse = |what: String| Err(Refusal::InvalidPartitions { what });
        let added = match usize::try_from(count) {
            Ok(count) if count > present => count - present,
            Ok(count) if count == present => {
                return refuse(format!("Topic already has {present} partition(s)."));
            }
            _ => {
                return refuse(format!(
                    "The topic {name} currently has {present} partition(s); {count} would not be \
                     an increase."
                ));
            }
        };
        check_topic_size(&name, present + added)?;
        check_budget(added, *budget)?;
        Self::check_room(draft, added)?;
        let partitions = match &assignments {
            None => vec![vec![self.rules.node_id]; added],
            Some(assignments) if assignments.len() != added => {
                return Err(Refusal::InvalidAssignment {
                    what: format!(
                        "Attempted to add {added} additional partition(s), but only {} \
                         assignment(s) were specified.",
                        assignments.len(),
                    ),
                });
            }
            Some(assignments) => self.check_replicas(assignments.iter())?,
        };
        let first = u32::try_from(present).expect("bounded by TOPIC_PARTITIONS_MAX");
        self.record_all(draft, &[Record::PartitionsAdded { id, first, partitions }])?;
        *budget -= added;
        Ok(draft.topic_by_id(id).expect("it grew just now").clone())
    }
}

fn check_budget(added: usize, budget: usize) -> Result<(), Refusal> {
    if added <= budget {
        return Ok(());
    }
    Err(Refusal::Policy {
        what: format!(
            "Excessively large number of partitions per request: at most {COMMAND_PARTITIONS_MAX} \
             can be created at once."
        ),
    })
}

fn check_topic_size(name: &str, partitions: usize) -> Result<(), Refusal> {
    if partitions <= TOPIC_PARTITIONS_MAX {
        return Ok(());
    }
    Err(Refusal::InvalidPartitions {
        what: format!(
            "Topic '{name}' would have {partitions} partitions; a topic has at most \
             {TOPIC_PARTITIONS_MAX}."
        ),
    })
}

fn find<'i>(image: &'i Image, reference: &TopicReference) -> Option<&'i Arc<Topic>> {
    match reference {
        TopicReference::Name(name) => image.topic(name),
        TopicReference::Id(id) => image.topic_by_id(*id),
    }
}

fn count<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, u32> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

//! Decides commands against the image. Pure: no clock, no disk, and randomness only through the
//! source of topic ids it is given.
//!
//! A decision is made on a *draft*: each item's records are replayed into it at once, so that the
//! next item of the same command (or the next command of the same append) sees what came before
//! it, and the draft is exactly the image that the records make.

mod configs;
mod topics;

use super::{Change, Command, Configs, Image, Outcome, Record, Refusal};
use crate::config::property::Kind;
use crate::config::{BrokerConfig, TopicConfig};
use crate::limits::PRODUCER_ID_BLOCK;

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

/// The deciding half of the controller.
pub struct Planner<'a> {
    rules: &'a Rules,
    /// Sixteen random bytes for each new topic.
    random: &'a mut dyn FnMut() -> [u8; 16],
    records: Vec<Record>,
    changes: Vec<Change>,
}

impl<'a> Planner<'a> {
    /// A planner with nothing planned yet.
    pub fn new(rules: &'a Rules, random: &'a mut dyn FnMut() -> [u8; 16]) -> Planner<'a> {
        Planner { rules, random, records: Vec::new(), changes: Vec::new() }
    }

    /// Decides one command, moving `draft` on to what it will be once the planned records are
    /// durable. The whole command is refused only for what concerns no single item of it.
    pub fn plan(&mut self, draft: &mut Image, command: Command) -> Result<Outcome, Refusal> {
        match command {
            Command::CreateTopics { topics, validate_only } => {
                let outcome = self.tentatively(draft, validate_only, |planner, draft| {
                    planner.create_topics(draft, topics)
                });
                Ok(Outcome::TopicsCreated(outcome))
            }
            Command::DeleteTopics { topics } => {
                Ok(Outcome::TopicsDeleted(self.delete_topics(draft, topics)))
            }
            Command::PruneTopic { id } => {
                if draft.tombstones().contains_key(&id) {
                    self.record(draft, Record::TopicPruned { id });
                }
                Ok(Outcome::TopicPruned)
            }
            Command::CreatePartitions { topics, validate_only } => {
                let outcome = self.tentatively(draft, validate_only, |planner, draft| {
                    planner.create_partitions(draft, topics)
                });
                Ok(Outcome::PartitionsCreated(outcome))
            }
            Command::AlterConfigs { edits, validate_only } => {
                let outcome = self.tentatively(draft, validate_only, |planner, draft| {
                    planner.alter_configs(draft, edits)
                });
                Ok(Outcome::ConfigsAltered(outcome))
            }
            Command::TakeProducerIds => {
                let first = draft.next_producer_id();
                let next =
                    first.checked_add(PRODUCER_ID_BLOCK).ok_or(Refusal::ProducerIdsExhausted)?;
                self.record(draft, Record::ProducerIds { next });
                Ok(Outcome::ProducerIds(first..next))
            }
        }
    }

    /// The records planned so far and what they change, in order.
    pub fn take_planned(&mut self) -> (Vec<Record>, Vec<Change>) {
        (std::mem::take(&mut self.records), std::mem::take(&mut self.changes))
    }

    /// Runs `plan`; when only validating, forgets what it planned.
    fn tentatively<T>(
        &mut self,
        draft: &mut Image,
        validate_only: bool,
        plan: impl FnOnce(&mut Self, &mut Image) -> T,
    ) -> T {
        if !validate_only {
            return plan(self, draft);
        }
        let (records, changes) = (self.records.len(), self.changes.len());
        let outcome = plan(self, &mut draft.clone());
        self.records.truncate(records);
        self.changes.truncate(changes);
        outcome
    }

    fn record(&mut self, draft: &mut Image, record: Record) {
        let change = draft.replay(&record).expect("a planned record fits the image it is based on");
        self.changes.extend(change);
        self.records.push(record);
    }
}

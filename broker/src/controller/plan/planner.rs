//! Goes through a command item by item and keeps what was planned.

use super::Rules;
use crate::controller::{Change, Command, Image, Outcome, Record, Refusal};
use crate::limits::{COMMAND_RECORD_BYTES_MAX, PRODUCER_ID_BLOCK};

/// What the log adds to each record.
const RECORD_FRAMING_BYTES: usize = 4;

/// The deciding half of the controller.
pub struct Planner<'a> {
    pub(super) rules: &'a Rules,
    /// Sixteen random bytes for each new topic.
    pub(super) random: &'a mut dyn FnMut() -> [u8; 16],
    records: Vec<Vec<u8>>,
    changes: Vec<Change>,
    /// Bytes of all planned records.
    bytes: usize,
    /// Bytes planned before the command that is being decided.
    bytes_before: usize,
}

impl<'a> Planner<'a> {
    /// A planner with nothing planned yet.
    pub fn new(rules: &'a Rules, random: &'a mut dyn FnMut() -> [u8; 16]) -> Planner<'a> {
        Planner {
            rules,
            random,
            records: Vec::new(),
            changes: Vec::new(),
            bytes: 0,
            bytes_before: 0,
        }
    }

    /// Decides one command, moving `draft` on to what it will be once the planned records are
    /// durable. The whole command is refused only for what concerns no single item of it.
    pub fn plan(&mut self, draft: &mut Image, command: Command) -> Result<Outcome, Refusal> {
        self.bytes_before = self.bytes;
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
                    self.record_all(draft, &[Record::TopicPruned { id }])?;
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
                self.record_all(draft, &[Record::ProducerIds { next }])?;
                Ok(Outcome::ProducerIds(first..next))
            }
        }
    }

    /// Bytes of the records planned so far.
    pub fn planned_bytes(&self) -> usize {
        self.bytes
    }

    /// The records planned so far, encoded, and what they change, in order.
    pub fn take_planned(&mut self) -> (Vec<Vec<u8>>, Vec<Change>) {
        self.bytes = 0;
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
        let (records, changes, bytes) = (self.records.len(), self.changes.len(), self.bytes);
        let outcome = plan(self, &mut draft.clone());
        self.records.truncate(records);
        self.changes.truncate(changes);
        self.bytes = bytes;
        outcome
    }

    /// Plans all of the records, or none if the command would then make too many bytes of them.
    pub(super) fn record_all(
        &mut self,
        draft: &mut Image,
        records: &[Record],
    ) -> Result<(), Refusal> {
        let encoded: Vec<_> = records.iter().map(Record::encode).collect();
        let bytes: usize = encoded.iter().map(|record| record.len() + RECORD_FRAMING_BYTES).sum();
        if self.bytes - self.bytes_before + bytes > COMMAND_RECORD_BYTES_MAX {
            return Err(Refusal::Policy {
                what: format!(
                    "One request may change {COMMAND_RECORD_BYTES_MAX} bytes of metadata at most; \
                     ask for less at once."
                ),
            });
        }
        for record in records {
            let change = draft.replay(record);
            self.changes.extend(change.expect("a planned record fits the image it is based on"));
        }
        self.bytes += bytes;
        self.records.extend(encoded);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::NewTopic;
    use crate::controller::golden::rules;

    /// The log takes a bounded append. A long list of settings for many topics is the largest
    /// thing a client can ask for; what does not fit is refused, what comes after it is not lost.
    #[test]
    fn one_command_makes_a_bounded_number_of_bytes() {
        let rules = rules();
        let mut made = 0u32;
        let mut random = || {
            made += 1;
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&made.to_be_bytes());
            bytes
        };
        let policy = vec!["delete"; 580].join(",");
        let topic = |n: usize| NewTopic {
            configs: vec![("cleanup.policy".into(), Some(policy.clone()))],
            partitions: 1,
            ..NewTopic::with_defaults(&format!("t{n}"))
        };
        let topics: Vec<_> = (0..1_100).map(topic).collect();
        let mut draft = Image::default();
        let mut planner = Planner::new(&rules, &mut random);
        let command = Command::CreateTopics { topics, validate_only: false };
        let Ok(Outcome::TopicsCreated(results)) = planner.plan(&mut draft, command) else {
            panic!("the command as a whole is fine");
        };
        assert!(results[0].is_ok() && results[1_000].is_ok());
        assert!(matches!(results[1_099], Err(Refusal::Policy { .. })));
        assert!(planner.planned_bytes() <= COMMAND_RECORD_BYTES_MAX);
        let (records, _) = planner.take_planned();
        assert_eq!(records.len(), draft.topic_count());
        // The next command has room of its own.
        let another = NewTopic::with_defaults("another");
        let command = Command::CreateTopics { topics: vec![another], validate_only: false };
        let outcome = planner.plan(&mut draft, command);
        assert!(matches!(outcome, Ok(Outcome::TopicsCreated(results)) if results[0].is_ok()));
    }

    #[test]
    fn producer_ids_end_without_wrapping() {
        let mut draft = Image::default();
        draft.replay(&Record::ProducerIds { next: i64::MAX - 10 }).expect("ids only go up");
        let rules = rules();
        let mut random = || [0; 16];
        let outcome = Planner::new(&rules, &mut random).plan(&mut draft, Command::TakeProducerIds);
        assert_eq!(outcome, Err(Refusal::ProducerIdsExhausted));
    }
}

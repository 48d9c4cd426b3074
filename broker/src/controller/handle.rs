//! How every shard reaches the controller, wherever it lives.

use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use super::{Command, ConfigEdit, MorePartitions, NewTopic, Outcome, Refusal, Topic};
use super::{TopicId, TopicReference};

type Answer = Pin<Box<dyn Future<Output = Result<Outcome, Refusal>>>>;

/// A way to the controller: a call on its own shard, mail from any other. Each answer comes after
/// the change is durable and every shard serves by it, so that the client may act on it over any
/// connection.
#[derive(Clone)]
pub struct ControllerHandle(Rc<dyn Fn(Command) -> Answer>);

impl ControllerHandle {
    /// A handle that submits commands through `submit`.
    pub fn new<F>(submit: impl Fn(Command) -> F + 'static) -> ControllerHandle
    where
        F: Future<Output = Result<Outcome, Refusal>> + 'static,
    {
        ControllerHandle(Rc::new(move |command| Box::pin(submit(command))))
    }

    /// Submits a command and waits for its outcome.
    ///
    /// # Errors
    /// What refuses the command as a whole; a refusal of one item is in the outcome.
    pub async fn submit(&self, command: Command) -> Result<Outcome, Refusal> {
        (self.0)(command).await
    }

    /// [`Command::CreateTopics`]. A refusal of the whole is each topic's.
    pub async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Vec<Result<Arc<Topic>, Refusal>> {
        let count = topics.len();
        match self.submit(Command::CreateTopics { topics, validate_only }).await {
            Ok(Outcome::TopicsCreated(results)) => results,
            Ok(other) => mismatch(&other),
            Err(refusal) => vec![Err(refusal); count],
        }
    }

    /// [`Command::DeleteTopics`]. A refusal of the whole is each topic's.
    pub async fn delete_topics(
        &self,
        topics: Vec<TopicReference>,
    ) -> Vec<Result<Arc<Topic>, Refusal>> {
        let count = topics.len();
        match self.submit(Command::DeleteTopics { topics }).await {
            Ok(Outcome::TopicsDeleted(results)) => results,
            Ok(other) => mismatch(&other),
            Err(refusal) => vec![Err(refusal); count],
        }
    }

    /// [`Command::CreatePartitions`]. A refusal of the whole is each topic's.
    pub async fn create_partitions(
        &self,
        topics: Vec<MorePartitions>,
        validate_only: bool,
    ) -> Vec<Result<Arc<Topic>, Refusal>> {
        let count = topics.len();
        match self.submit(Command::CreatePartitions { topics, validate_only }).await {
            Ok(Outcome::PartitionsCreated(results)) => results,
            Ok(other) => mismatch(&other),
            Err(refusal) => vec![Err(refusal); count],
        }
    }

    /// [`Command::AlterConfigs`]. A refusal of the whole is each resource's.
    pub async fn alter_configs(
        &self,
        edits: Vec<ConfigEdit>,
        validate_only: bool,
    ) -> Vec<Result<(), Refusal>> {
        let count = edits.len();
        match self.submit(Command::AlterConfigs { edits, validate_only }).await {
            Ok(Outcome::ConfigsAltered(results)) => results,
            Ok(other) => mismatch(&other),
            Err(refusal) => vec![Err(refusal); count],
        }
    }

    /// [`Command::TakeProducerIds`].
    ///
    /// # Errors
    /// When ids ran out or the controller is stopping.
    pub async fn take_producer_ids(&self) -> Result<Range<i64>, Refusal> {
        match self.submit(Command::TakeProducerIds).await? {
            Outcome::ProducerIds(ids) => Ok(ids),
            other => mismatch(&other),
        }
    }

    /// [`Command::PruneTopic`].
    ///
    /// # Errors
    /// When the controller is stopping; the files' absence is then found again at the next start.
    pub async fn prune_topic(&self, id: TopicId) -> Result<(), Refusal> {
        self.submit(Command::PruneTopic { id }).await.map(|_| ())
    }
}

fn mismatch(outcome: &Outcome) -> ! {
    panic!("the controller answers a command with that command's outcome, not {outcome:?}")
}

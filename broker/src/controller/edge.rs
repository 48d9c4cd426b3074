//! The controller's edge: commands come in, records become durable, images go out.
//!
//! Lives on shard 0, one per cluster. Commands that arrive while an append is under way are
//! decided together and share the next append. Persist, then speak: an outcome leaves only after
//! its records are durable and every shard has taken the image that holds them.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use engine::sync;
use storage::record_log::{RecordLog, RecordLogError};

use super::{Change, Command, ControllerHandle, Image, Outcome, Planner};
use super::{Record, RecordError, Refusal, ReplayError, Rules};
use crate::limits::{
    APPEND_RECORD_BYTES, COMMANDS_PER_APPEND_MAX, COMMANDS_QUEUED_MAX, METADATA_FILE_BYTES,
};

/// The file name, less its endings, of the metadata log in the data directory.
pub const LOG_NAME: &str = "metadata";

/// A new image and what is new in it.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The metadata as of now; every record in it is durable.
    pub image: Arc<Image>,
    /// What changed since the image before, in order.
    pub changes: Arc<[Change]>,
}

/// Why the controller did not start.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The metadata log could not be read or written.
    #[error("HDL-META-010: the metadata log failed: {0}")]
    Log(#[from] RecordLogError),
    /// A record is not one of ours.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A record contradicts the ones before it.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The directory belongs to another cluster.
    #[error(
        "HDL-META-011: the data directory belongs to cluster {found}, but this node is of cluster \
         {expected}; give it a directory of its own"
    )]
    Cluster {
        /// The id in the metadata log.
        found: String,
        /// The id this node is configured or formatted with.
        expected: String,
    },
}

struct Asked {
    command: Command,
    answer: sync::Sender<Result<Outcome, Refusal>>,
}

/// The one place where metadata changes.
pub struct Controller {
    rules: Rules,
    log: RecordLog,
    queue: sync::Queue<Asked>,
    image: RefCell<Arc<Image>>,
}

impl Controller {
    /// Opens the metadata log in `dir` and replays it. A log without records is given its first,
    /// which names the cluster.
    ///
    /// # Errors
    /// When the log cannot be read, was written by a newer build, contradicts itself, or belongs
    /// to another cluster.
    pub async fn open(
        dir: &Path,
        cluster_id: &str,
        rules: Rules,
    ) -> Result<Rc<Controller>, ControllerError> {
        let (log, replayed) = RecordLog::open(dir, LOG_NAME, METADATA_FILE_BYTES).await?;
        let mut image = Image::default();
        for bytes in &replayed {
            image.replay(&Record::decode(bytes)?)?;
        }
        match image.cluster_id() {
            None => {
                let record = Record::ClusterFormed { cluster_id: cluster_id.to_owned() };
                log.append(vec![record.encode()]).await?;
                image.replay(&record)?;
            }
            Some(found) if found != cluster_id => {
                let (found, expected) = (found.to_owned(), cluster_id.to_owned());
                return Err(ControllerError::Cluster { found, expected });
            }
            Some(_) => {}
        }
        image.check_invariants();
        Ok(Rc::new(Controller {
            rules,
            log,
            queue: sync::Queue::new(COMMANDS_QUEUED_MAX),
            image: RefCell::new(Arc::new(image)),
        }))
    }

    /// The metadata as of now.
    pub fn image(&self) -> Arc<Image> {
        self.image.borrow().clone()
    }

    /// Submits a command; answers after it is durable and published. Waits while
    /// [`COMMANDS_QUEUED_MAX`] others are waiting.
    ///
    /// # Errors
    /// What refuses the command as a whole, [`Refusal::Stopping`] after [`Controller::stop`].
    pub async fn submit(&self, command: Command) -> Result<Outcome, Refusal> {
        let (answer, outcome) = sync::oneshot();
        if self.queue.push(Asked { command, answer }).await.is_err() {
            return Err(Refusal::Stopping);
        }
        outcome.await.unwrap_or(Err(Refusal::Stopping))
    }

    /// A handle for the controller's own shard.
    pub fn handle(self: &Rc<Self>) -> ControllerHandle {
        let controller = self.clone();
        ControllerHandle::new(move |command| {
            let controller = controller.clone();
            async move { controller.submit(command).await }
        })
    }

    /// Carries out commands until [`Controller::stop`]. `publish` gets every new image and returns
    /// once all shards serve by it.
    pub async fn run<P, F>(&self, publish: P)
    where
        P: Fn(Publication) -> F,
        F: Future<Output = ()>,
    {
        while let Some(first) = self.queue.pop().await {
            self.carry_out(first, &publish).await;
            self.snapshot_if_due().await;
        }
    }

    /// Decides `first` and what waits behind it, makes it durable with one append, publishes the
    /// image, and only then answers.
    async fn carry_out<P, F>(&self, first: Asked, publish: &P)
    where
        P: Fn(Publication) -> F,
        F: Future<Output = ()>,
    {
        let mut draft = Image::clone(&self.image());
        let mut random = engine::random::uuid;
        let mut planner = Planner::new(&self.rules, &mut random);
        let mut decided = Vec::new();
        let mut next = Some(first);
        while let Some(Asked { command, answer }) = next {
            decided.push((answer, planner.plan(&mut draft, command)));
            let has_room = decided.len() < COMMANDS_PER_APPEND_MAX
                && planner.planned_bytes() < APPEND_RECORD_BYTES;
            next = if has_room { self.queue.try_pop() } else { None };
        }
        let (records, changes) = planner.take_planned();
        if !records.is_empty() {
            if let Err(error) = self.log.append(records).await {
                // Nothing was written, so the draft never was. A write that failed half way ends
                // the process inside of append.
                tracing::error!(%error, "cannot change the cluster's metadata");
                let refusal = Refusal::Storage { what: error.to_string() };
                for (answer, _) in decided {
                    let _ = answer.send(Err(refusal.clone()));
                }
                return;
            }
            let image = Arc::new(draft);
            *self.image.borrow_mut() = image.clone();
            publish(Publication { image, changes: changes.into() }).await;
        }
        for (answer, outcome) in decided {
            // Whoever asked may be gone; the change stands.
            let _ = answer.send(outcome);
        }
    }

    /// Refuses further commands; those queued are still carried out, then [`Controller::run`]
    /// returns.
    pub fn stop(&self) {
        self.queue.close();
    }

    /// A snapshot that fails changes nothing and is tried again after the next append.
    async fn snapshot_if_due(&self) {
        if !self.log.needs_snapshot() {
            return;
        }
        let records = self.image().snapshot().iter().map(Record::encode).collect();
        if let Err(error) = self.log.snapshot(records).await {
            tracing::warn!(%error, "cannot write a snapshot of the cluster's metadata");
        }
    }
}

#[cfg(test)]
mod tests {
    //! The controller on a real log in a directory of its own. Each test is one shard.

    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use std::path::PathBuf;

    use engine::shard::{Launch, block_on};
    use engine::task::{self, Queue};

    use super::*;
    use crate::controller::golden::rules;
    use crate::controller::{NewTopic, TopicReference};

    const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";

    /// Runs a test with an empty directory.
    fn with_directory<F: Future<Output = ()> + 'static>(test: impl FnOnce(PathBuf) -> F) {
        let directory = tempfile::tempdir().unwrap();
        block_on(&Launch::default(), test(directory.path().to_owned())).unwrap();
    }

    /// A controller that is running, and what it published so far.
    async fn start(
        dir: &Path,
    ) -> (Rc<Controller>, Rc<RefCell<Vec<Publication>>>, task::JoinHandle<()>) {
        let controller = Controller::open(dir, CLUSTER, rules()).await.unwrap();
        let published = Rc::new(RefCell::new(Vec::new()));
        let (running, seen) = (controller.clone(), published.clone());
        let task = task::spawn(Queue::Produce, async move {
            let publish = |publication| {
                seen.borrow_mut().push(publication);
                std::future::ready(())
            };
            running.run(publish).await;
        });
        (controller, published, task)
    }

    fn create(name: &str) -> Command {
        let topics = vec![NewTopic::with_defaults(name)];
        Command::CreateTopics { topics, validate_only: false }
    }

    #[test]
    fn a_restart_finds_what_was_answered() {
        with_directory(async |dir| {
            let (controller, published, task) = start(&dir).await;
            let handle = controller.handle();
            let create = |n: usize| {
                let handle = handle.clone();
                let topics = vec![NewTopic::with_defaults(&format!("t{n}"))];
                task::spawn(
                    Queue::Produce,
                    async move { handle.create_topics(topics, false).await },
                )
            };
            let creating: Vec<_> = (0..100).map(create).collect();
            let mut ids = Vec::new();
            for created in creating {
                ids.push(created.await.remove(0).unwrap().id);
            }
            let gone = vec![TopicReference::Name("t7".into())];
            handle.delete_topics(gone).await.remove(0).unwrap();
            assert_eq!(handle.take_producer_ids().await, Ok(0..1_000));
            controller.stop();
            task.await;

            // Those that waited together shared an append and a publication.
            let published = published.take();
            assert!(published.len() < 50, "{} publications", published.len());
            let changes: usize = published.iter().map(|p| p.changes.len()).sum();
            assert_eq!(changes, 101, "each topic and the deletion, once");
            let last = published.last().unwrap().image.clone();

            let (controller, _, task) = start(&dir).await;
            assert_eq!(controller.image(), last);
            assert_eq!(last.topic_count(), 99);
            assert_eq!(last.topic("t8").unwrap().id, ids[8]);
            assert!(last.tombstones().contains_key(&ids[7]));
            assert_eq!(controller.handle().take_producer_ids().await, Ok(1_000..2_000));
            controller.stop();
            task.await;
        });
    }

    #[test]
    fn nothing_is_answered_before_every_shard_has_the_image() {
        with_directory(async |dir| {
            let controller = Controller::open(&dir, CLUSTER, rules()).await.unwrap();
            let gate = Rc::new(sync::Notify::new());
            let (running, shards) = (controller.clone(), gate.clone());
            let task = task::spawn(Queue::Produce, async move {
                running.run(|_| shards.notified()).await;
            });
            let asking = controller.clone();
            let answered = Rc::new(RefCell::new(None));
            let answer = answered.clone();
            task::spawn(Queue::Produce, async move {
                let outcome = asking.submit(create("t")).await;
                *answer.borrow_mut() = Some(outcome);
            });
            engine::time::sleep(std::time::Duration::from_millis(50)).await;
            assert!(controller.image().topic("t").is_some(), "it is durable");
            assert!(answered.borrow().is_none(), "and not answered");
            gate.notify_all();
            engine::time::sleep(std::time::Duration::from_millis(20)).await;
            assert!(answered.borrow().is_some());
            controller.stop();
            task.await;
        });
    }

    #[test]
    fn a_stop_carries_out_what_waits_and_refuses_the_rest() {
        with_directory(async |dir| {
            let (controller, _, task) = start(&dir).await;
            let asking = controller.clone();
            let waiting =
                task::spawn(Queue::Produce, async move { asking.submit(create("t")).await });
            task::yield_now().await;
            controller.stop();
            assert_eq!(controller.submit(create("u")).await, Err(Refusal::Stopping));
            assert!(matches!(waiting.await, Ok(Outcome::TopicsCreated(_))));
            task.await;
            assert_eq!(controller.image().topic_count(), 1);
        });
    }

    #[test]
    fn snapshots_keep_the_log_small_and_lose_nothing() {
        with_directory(async |dir| {
            let (controller, _, task) = start(&dir).await;
            controller.submit(create("kept")).await.unwrap();
            let before = controller.image();
            // Each append takes a block of the log, so these go through several of its files.
            for _ in 0..1_500 {
                controller.submit(Command::TakeProducerIds).await.unwrap();
            }
            controller.stop();
            task.await;
            let (_, replayed) = RecordLog::open(&dir, LOG_NAME, METADATA_FILE_BYTES).await.unwrap();
            assert!(replayed.len() < 1_000, "{} records are replayed", replayed.len());
            let controller = Controller::open(&dir, CLUSTER, rules()).await.unwrap();
            assert_eq!(controller.image().next_producer_id(), 1_500_000);
            assert_eq!(controller.image().topic("kept"), before.topic("kept"));
        });
    }

    #[test]
    fn a_directory_of_another_cluster_or_a_newer_build_is_refused() {
        with_directory(async |dir| {
            drop(Controller::open(&dir, CLUSTER, rules()).await.unwrap());
            let refused = Controller::open(&dir, "another", rules()).await.err().unwrap();
            assert!(refused.to_string().starts_with("HDL-META-011"), "{refused}");

            let (log, _) = RecordLog::open(&dir, LOG_NAME, METADATA_FILE_BYTES).await.unwrap();
            log.append(vec![vec![250, 1, 2, 3]]).await.unwrap();
            drop(log);
            let refused = Controller::open(&dir, CLUSTER, rules()).await.err().unwrap();
            assert!(refused.to_string().starts_with("HDL-META-001"), "{refused}");
        });
    }
}

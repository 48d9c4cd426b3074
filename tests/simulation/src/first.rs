//! The first shard: starts the node in the broker's order, carries the scenario out, ends the process.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use engine::mail::Post;
use engine::shard::ShardId;
use engine::sim;
use engine::sync::Semaphore;
use engine::task::{self, Queue};
use engine::time;
use storage::ids::LogId;
use storage::node::{Node, NodeOptions, Recovery};
use storage::store::DeviceBudget;

use crate::mail::{Mail, Start, What, Work};
use crate::metadata::{Change, Metadata, Topic};
use crate::model::{Aftermath, Standing};
use crate::operation::{Ending, Operation, Place, Target};
use crate::settings;
use crate::shared::{Next, Shared};
use crate::start::{DATA, begin, owner, store_config};
use crate::violation::{Rule, Verdict, Violation, ensure};
use crate::worker::Worker;

/// In simulated time: an operation that takes longer does not end.
const ENDLESS: Duration = Duration::from_secs(900);
/// How long operations may wait for room on a full disk before it is given.
const WITHOUT_ROOM: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_micros(200);

/// The node, as the first shard has it.
pub struct First {
    shared: Rc<Shared>,
    post: Rc<Post<Mail>>,
    shards: usize,
    node: Node,
    metadata: Rc<Metadata>,
    worker: Rc<Worker>,
    /// Changes of the metadata are made one after the other.
    turn: Semaphore,
}

/// Runs the first shard until the process ends.
///
/// # Errors
/// Why the node did not start, or could not end in order.
pub async fn run(shared: Rc<Shared>, post: Rc<Post<Mail>>, shards: usize) -> Result<(), String> {
    let first = match start(&shared, &post, shards).await {
        Ok(first) => Rc::new(first),
        Err(error) => {
            others(shards).for_each(|shard| post.post(shard, Mail::Stop));
            time::sleep(Duration::from_millis(1)).await;
            return Err(error);
        }
    };
    shared.serving.set(true);
    while let Some(operation) = shared.next_operation() {
        first.carry_out(operation).await;
        if shared.stopping.get() {
            break;
        }
        first.wait_below(shared.scenario.settings.window).await;
    }
    first.settle().await;
    shared.stopping.set(true);
    first.stop().await
}

fn others(shards: usize) -> impl Iterator<Item = ShardId> {
    (1..shards as u16).map(ShardId)
}

async fn start(shared: &Rc<Shared>, post: &Rc<Post<Mail>>, shards: usize) -> Result<First, String> {
    let settings = &shared.scenario.settings;
    let data = Path::new(DATA);
    let options = NodeOptions { node_id: 1, ..NodeOptions::default() };
    let opened = Node::open(data, &options).await.map_err(|error| error.to_string())?;
    let node = opened.node;
    let metadata = Rc::new(Metadata::open(data, settings.metadata_bytes).await?);
    let image = metadata.image();
    let mut recovery =
        node.recover(&image.known(), shards as u16).await.map_err(|error| error.to_string())?;
    let generation = recovery.generation.0;
    let verdict = shared.model.borrow_mut().on_generation(generation);
    shared.hold(verdict);
    // The metadata counts from here on: recovery has synced the file system.
    let verdict = shared.model.borrow_mut().on_image(&image);
    shared.hold(verdict);
    let verdict = check_report(shared, &recovery);
    shared.hold(verdict);

    let topics: Vec<Topic> = image.topics().cloned().collect();
    let mut logs: Vec<Vec<_>> = Vec::new();
    logs.resize_with(shards, Vec::new);
    for state in std::mem::take(&mut recovery.states) {
        logs[usize::from(owner(&state.checkpoint.id, shards).0)].push(state);
    }
    let device = DeviceBudget::new(2 << 20);
    let mut starts = logs.into_iter().enumerate().map(|(shard, logs)| {
        let shard = ShardId(shard as u16);
        let store = store_config(settings, &recovery, shard, device.clone());
        Start { store, logs, topics: topics.clone(), generation }
    });
    let own = starts.next().expect("there is a first shard");
    for (shard, start) in others(shards).zip(starts) {
        post.post(shard, Mail::Start(Box::new(start)));
    }
    let worker = begin(shared, ShardId(0), shards, own).await?;
    for _ in others(shards) {
        match post.next().await.1 {
            Mail::Started(started) => started?,
            _ => unreachable!("shards that have just started have nothing else to say"),
        }
    }
    shared.model.borrow_mut().aftermath = None;
    let first = First {
        shared: shared.clone(),
        post: post.clone(),
        shards,
        node,
        metadata,
        worker,
        turn: Semaphore::new(1),
    };
    first.prune(image.tombstones()).await;
    Ok(first)
}

/// What recovery reports may have no cause but those that the scenario made.
fn check_report(shared: &Shared, recovery: &Recovery) -> Verdict {
    let report = &recovery.report;
    let mut model = shared.model.borrow_mut();
    for (id, cause) in &report.offline {
        let excused = model.log(id).is_none_or(|log| log.unreadable);
        ensure(excused, Rule::Offline, || format!("{id} is offline: {cause}"))?;
    }
    ensure(report.damage.is_empty(), Rule::Offline, || {
        format!("damage where there is none: {:?}", report.damage)
    })?;
    let strange = report.unknown.keys().chain(&report.unlisted).next();
    ensure(strange.is_none(), Rule::Topics, || {
        format!("there are entries of {strange:?}, which the metadata does not know")
    })
}

impl First {
    /// What is left of topics that were deleted goes, then their tombstones.
    async fn prune(&self, tombstones: Vec<([u8; 16], String)>) {
        for (id, dir) in tombstones {
            let path = Path::new(DATA).join("topics").join(dir);
            let removed = engine::file::remove_dir_all(&path).await;
            let gone = removed.is_ok() || !engine::file::exists(&path).await.unwrap_or(true);
            if gone {
                // As in the broker, the tombstone stays if this fails.
                let _ = self.metadata.change(Change::Pruned(id)).await;
            }
        }
    }

    /// Waits until fewer than `limit` operations are under way.
    async fn wait_below(&self, limit: usize) {
        task::yield_now().await;
        let begun = time::now();
        while self.shared.in_flight.get() >= limit.max(1) {
            time::sleep(MOMENT).await;
            if begun.elapsed() > WITHOUT_ROOM && self.shared.model.borrow().faults.limited {
                // Some wait for a journal file that a full disk does not give: they go on when it does.
                self.fault(Operation::Room);
            }
            if begun.elapsed() > ENDLESS {
                let under_way = self.shared.in_flight.get();
                let text = format!("{under_way} operations do not end, {ENDLESS:?} after the last");
                self.shared.hold(Err(Violation::new(Rule::Endless, text)))
            }
        }
    }

    async fn settle(&self) {
        self.wait_below(1).await;
    }

    /// Gives an operation to the shard that owns its log.
    fn give(&self, id: LogId, what: What) {
        self.shared.in_flight.set(self.shared.in_flight.get() + 1);
        let work = Work { id, what };
        match owner(&id, self.shards) {
            ShardId(0) => self.worker.begin(work),
            other => self.post.post(other, Mail::Work(work)),
        }
    }

    fn give_at(&self, place: Place, what: What) {
        if let Some(id) = self.log_at(place) {
            self.give(id, what);
        }
    }

    fn log_at(&self, place: Place) -> Option<LogId> {
        let model = self.shared.model.borrow();
        let (topic, standing) = model.usable(place.name)?;
        let partition = u32::from(place.partition) % standing.logs.len() as u32;
        Some(LogId { topic, partition, incarnation: 0 })
    }

    async fn carry_out(self: &Rc<Self>, operation: Operation) {
        match operation {
            Operation::Create { name, partitions, profile } => {
                self.metadata_task(|first| first.create(name, partitions, profile));
            }
            Operation::Delete { name } => self.metadata_task(|first| first.delete(name)),
            Operation::Configure { name, profile } => {
                self.metadata_task(|first| first.configure(name, profile));
            }
            Operation::Produce { place, sending, records, value_bytes } => {
                self.give_at(place, What::Produce { sending, records, value_bytes });
            }
            Operation::Read { place, at, max_bytes, one_at_least } => {
                self.give_at(place, What::Read { at, max_bytes, one_at_least });
            }
            Operation::ReadAll { place, step_bytes } => {
                self.give_at(place, What::ReadAll { step_bytes });
            }
            Operation::DeleteRecords { place, at } => {
                self.give_at(place, What::DeleteRecords { at });
            }
            Operation::Truncate { place, at } => {
                // It wants the log for itself.
                self.settle().await;
                self.give_at(place, What::Truncate { at });
            }
            Operation::Sleep { micros } => time::sleep(Duration::from_micros(micros)).await,
            Operation::Jump { hours } => self.jump(hours).await,
            Operation::Settle => self.settle().await,
            Operation::End { ending, shards, pause_ms, while_starting } => {
                let pause = Duration::from_millis(u64::from(pause_ms));
                *self.shared.next.borrow_mut() = Next { shards, pause, while_starting };
                match ending {
                    Ending::Shutdown => self.shared.stopping.set(true),
                    Ending::Now(crash) => sim::crash(crash),
                }
            }
            fault => self.fault(fault),
        }
    }

    async fn jump(&self, hours: u8) {
        self.settle().await;
        let doubt = || {
            for topic in self.shared.model.borrow_mut().topics.values_mut() {
                topic.logs.iter_mut().for_each(crate::model::LogModel::on_doubt);
            }
        };
        doubt();
        time::sleep(Duration::from_secs(3_600 * u64::from(hours))).await;
        doubt();
    }

    fn fault(&self, operation: Operation) {
        let disk = sim::disk();
        let arm = |target: Target, write: bool, after: u8| {
            self.shared.model.borrow_mut().faults.io += 1;
            match write {
                true => disk.fail_write(u64::from(after) + 1, target.pattern()),
                false => disk.fail_sync(u64::from(after) + 1, target.pattern()),
            }
        };
        match operation {
            Operation::Fill { blocks } => {
                let faults = &mut self.shared.model.borrow_mut().faults;
                (faults.full, faults.limited) = (true, true);
                disk.set_capacity(disk.used() + u64::from(blocks) * 4_096);
            }
            Operation::Room => {
                self.shared.model.borrow_mut().faults.limited = false;
                disk.set_capacity(self.shared.scenario.settings.disk_bytes);
            }
            Operation::FailWrite { after, target } => arm(target, true, after),
            Operation::FailSync { after, target } => arm(target, false, after),
            Operation::Latent { place } => self.spoil(place),
            Operation::Slow { factor, millis } => {
                disk.slow(u32::from(factor), Duration::from_millis(u64::from(millis)));
            }
            Operation::Arm(at) => disk.crash_at_io(at.ios, at.crash),
            _ => unreachable!("everything else was carried out before"),
        }
    }

    /// A part of one of a log's segments can no longer be read.
    fn spoil(&self, place: Place) {
        let Some(id) = self.log_at(place) else { return };
        let Some(topic) = self.metadata.image().topic(&id.topic).cloned() else { return };
        let pattern = format!("/topics/{}/", topic.log_dir(id.partition));
        if sim::disk().latent_read_error(&pattern) {
            self.shared.count(|coverage| coverage.latent_errors += 1);
            if let Some(log) = self.shared.model.borrow_mut().log(&id) {
                log.unreadable = true;
            }
        }
    }

    fn metadata_task<F: Future<Output = ()> + 'static>(
        self: &Rc<Self>,
        work: impl FnOnce(Rc<First>) -> F,
    ) {
        let shared = self.shared.clone();
        shared.in_flight.set(shared.in_flight.get() + 1);
        let work = work(self.clone());
        task::spawn(Queue::Produce, async move {
            work.await;
            shared.in_flight.set(shared.in_flight.get() - 1);
        });
    }

    async fn create(self: Rc<Self>, name: u8, partitions: u8, profile: u8) {
        let Ok(_turn) = self.turn.acquire(1).await else { return };
        if self.shared.model.borrow().is_taken(name) || self.shared.stopping.get() {
            return;
        }
        let again = {
            let model = self.shared.model.borrow();
            model.topics.values().any(|topic| topic.name == name)
        };
        let topic = Topic { id: self.metadata.new_id(), name, partitions, profile };
        self.shared.model.borrow_mut().on_creating(&topic);
        if !self.change(Change::Created(topic.clone())).await {
            self.stand(&topic.id, Standing::Gone);
            return;
        }
        for id in topic.logs() {
            let dir = topic.log_dir(id.partition);
            self.give(id, What::Create { dir, profile });
        }
        self.applied(&topic.id, 1).await;
        self.stand(&topic.id, Standing::There);
        self.shared.count(|coverage| coverage.recreated += u64::from(again));
    }

    async fn delete(self: Rc<Self>, name: u8) {
        let Ok(_turn) = self.turn.acquire(1).await else { return };
        let Some(topic) = self.topic_of(name) else { return };
        self.stand(&topic.id, Standing::Deleting);
        if !self.change(Change::Deleted(topic.id)).await {
            self.stand(&topic.id, Standing::There);
            return;
        }
        self.stand(&topic.id, Standing::Gone);
        topic.logs().for_each(|id| self.give(id, What::Delete));
    }

    async fn configure(self: Rc<Self>, name: u8, profile: u8) {
        let Ok(_turn) = self.turn.acquire(1).await else { return };
        let Some(topic) = self.topic_of(name) else { return };
        let config = Rc::new(settings::profile(profile));
        let mut before = 0;
        if let Some(model) = self.shared.model.borrow_mut().topics.get_mut(&topic.id) {
            model.configuring = Some(profile);
            model.logs.iter_mut().for_each(|log| log.on_configuring(config.clone()));
            before = model.logs.first().map_or(0, |log| log.applied);
        }
        if !self.change(Change::Configured(topic.id, profile)).await {
            return;
        }
        topic.logs().for_each(|id| self.give(id, What::Configure { profile }));
        self.applied(&topic.id, before + 1).await;
        if let Some(model) = self.shared.model.borrow_mut().topics.get_mut(&topic.id) {
            model.profile = profile;
            model.configuring = None;
            model.logs.iter_mut().for_each(|log| log.on_configured(config.clone()));
        }
        self.shared.count(|coverage| coverage.configured += 1);
    }

    fn topic_of(&self, name: u8) -> Option<Topic> {
        if self.shared.stopping.get() {
            return None;
        }
        let (id, _) = self.shared.model.borrow().usable(name)?;
        self.metadata.image().topic(&id).cloned()
    }

    fn stand(&self, id: &[u8; 16], standing: Standing) {
        if let Some(topic) = self.shared.model.borrow_mut().topics.get_mut(id) {
            topic.standing = standing;
        }
    }

    /// Makes a change durable. A refusal needs a reason.
    async fn change(&self, change: Change) -> bool {
        let done = self.metadata.change(change).await;
        let Err(error) = done else { return true };
        let excused = {
            let faults = &self.shared.model.borrow().faults;
            faults.full || faults.io > 0
        };
        self.shared.hold(ensure(excused, Rule::Refused, || format!("metadata: {error}")));
        false
    }

    /// Waits until every log's shard has done as it was told.
    async fn applied(&self, id: &[u8; 16], times: usize) {
        let done = || {
            let model = self.shared.model.borrow();
            model
                .topics
                .get(id)
                .is_none_or(|topic| topic.logs.iter().all(|log| log.applied >= times))
        };
        while !done() {
            time::sleep(MOMENT).await;
        }
    }

    async fn stop(self: Rc<Self>) -> Result<(), String> {
        others(self.shards).for_each(|shard| self.post.post(shard, Mail::Stop));
        self.worker.check_all().await;
        self.worker.store.shutdown().await;
        for _ in others(self.shards) {
            let Mail::Stopped = self.post.next().await.1 else {
                unreachable!("shards that are told to end have nothing else to say")
            };
        }
        self.node.mark_clean().await.map_err(|error| error.to_string())?;
        self.shared.count(|coverage| coverage.clean_ends += 1);
        self.shared.model.borrow_mut().on_end(Aftermath::Clean);
        Ok(())
    }
}

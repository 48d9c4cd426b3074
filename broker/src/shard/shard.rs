//! One shard of the broker: its store, its share of the connections, and what it tells the others.
//!
//! Lives on one thread as an `Rc`. Owns the logs that `route::owner` gives it. Leaves to others: what
//! requests mean (`api`), sockets (`net`), what the metadata is (`controller`, on shard 0).
//! Borrows of its cells never cross an `await`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use ahash::{AHashMap, RandomState};
use engine::mail::Post;
use engine::shard::ShardId;
use engine::sync::Semaphore;
use engine::task::{self, Queue};
use engine::time;
use storage::ids::{LeaderEpoch, LogId};
use storage::store::Store;

use super::appends::Waiting;
use super::calls::{Calls, Pending, Window};
use super::mail::{Answer, Call, Mail};
use super::route;
use super::waits::Waits;
use crate::api::ApiContext;
use crate::api::context::OfflinePartitions;
use crate::config::{BrokerConfig, Endpoint};
use crate::controller::{Configs, ControllerHandle, Image, ProducerIds, Refusal};
use crate::fetch::sessions::Sessions;
use crate::limits::{LIFECYCLE_MAIL_MAX, REQUEST_MEMORY_DIVISOR};
use crate::net::connections::Connections;
use crate::net::placement::Placement;
use crate::observe::{Observed, ShardSnapshot};

/// The shard on which the controller lives, and which accepts connections.
pub const CONTROLLER: ShardId = ShardId(0);

/// One shard.
pub struct Shard {
    /// Which one.
    pub id: ShardId,
    /// How many there are.
    pub shards: usize,
    /// What the broker was started with.
    pub config: Arc<BrokerConfig>,
    /// The epoch of every partition this node leads: the number of its start.
    pub leader_epoch: LeaderEpoch,
    /// Partitions of the whole node whose logs are offline.
    pub(crate) offline: Arc<OfflinePartitions>,
    /// The logs this shard owns.
    pub store: Store,
    /// Where metadata commands go.
    pub controller: ControllerHandle,
    /// What clients are told to connect to, by listener.
    pub advertised: Vec<Arc<Endpoint>>,
    /// Producer ids this shard may hand out.
    pub producer_ids: ProducerIds,
    /// Memory for bodies of large requests, in bytes.
    pub request_memory: Semaphore,
    /// Fetch sessions of connections on this shard.
    pub sessions: RefCell<Sessions>,
    /// Connections on this shard.
    pub connections: Connections,
    /// When it began to serve.
    pub began: time::Instant,
    /// What is known about its work.
    pub observed: Rc<Observed>,
    /// Fetches that wait for a log, here or elsewhere.
    pub(super) waits: RefCell<Waits>,
    /// Batches that wait for room in their log.
    pub(super) waiting: RefCell<AHashMap<LogId, VecDeque<Waiting>>>,
    /// Shards to be told of the next move of a log.
    pub(super) interest: RefCell<AHashMap<LogId, Vec<ShardId>>>,
    /// Moves to be told at the end of this loop turn, by shard.
    pub(super) moved: RefCell<Vec<Vec<LogId>>>,
    /// Taken while this shard follows a change of the metadata.
    pub(super) following: Semaphore,
    image: RefCell<Arc<Image>>,
    /// `config` with the dynamic settings of `image` over it.
    effective: RefCell<Arc<BrokerConfig>>,
    post: Rc<Post<Mail>>,
    calls: Calls,
    /// Mail that only the start and stop sequence understands.
    pub(crate) lifecycle: engine::sync::Queue<(ShardId, Mail)>,
}

/// What a shard is made of.
pub struct Parts {
    /// The number of shards.
    pub shards: usize,
    /// The settings.
    pub config: Arc<BrokerConfig>,
    /// The leader epoch of every partition.
    pub leader_epoch: LeaderEpoch,
    /// Partitions of the whole node whose logs are offline.
    pub offline: Arc<OfflinePartitions>,
    /// The store, started.
    pub store: Store,
    /// Where metadata commands go; `None` for mail to the controller's shard.
    pub controller: Option<ControllerHandle>,
    /// What clients are told to connect to, by listener.
    pub advertised: Vec<Arc<Endpoint>>,
    /// The metadata.
    pub image: Arc<Image>,
    /// Mail to and from the others.
    pub post: Rc<Post<Mail>>,
}

impl Shard {
    /// Puts a shard together; it serves once [`Shard::receive`] runs.
    pub fn new(parts: Parts) -> Rc<Shard> {
        let Parts {
            shards,
            config,
            leader_epoch,
            offline,
            store,
            controller,
            advertised,
            image,
            post,
        } = parts;
        let id = engine::shard::current();
        let map = |seed| RandomState::with_seeds(seed, 2, 3, 4);
        Rc::new_cyclic(|this| {
            let controller = controller.unwrap_or_else(|| by_mail(this.clone()));
            Shard {
                id,
                shards,
                leader_epoch,
                offline,
                store,
                producer_ids: ProducerIds::new(controller.clone()),
                controller,
                sessions: RefCell::new(Sessions::new(
                    config.fetch_session_slots.div_ceil(shards),
                    id.0,
                    shards,
                )),
                request_memory: Semaphore::new(
                    (config.shard_memory_bytes / REQUEST_MEMORY_DIVISOR) as u64,
                ),
                advertised,
                connections: Connections::new(
                    Placement::new(shards, config.connections_max, config.connections_max_per_ip),
                    config.connections_max_idle,
                ),
                began: time::now(),
                observed: Rc::default(),
                waits: RefCell::default(),
                waiting: RefCell::new(AHashMap::with_hasher(map(1))),
                interest: RefCell::new(AHashMap::with_hasher(map(2))),
                moved: RefCell::new(vec![Vec::new(); shards]),
                following: Semaphore::new(1),
                effective: RefCell::new(effective(&config, &image)),
                image: RefCell::new(image),
                post,
                calls: Calls::new(shards),
                lifecycle: engine::sync::Queue::new(LIFECYCLE_MAIL_MAX),
                config,
            }
        })
    }

    /// The metadata as this shard knows it now.
    pub fn image(&self) -> Arc<Image> {
        self.image.borrow().clone()
    }

    /// The settings in force now, those changed while running included.
    pub fn effective_config(&self) -> Arc<BrokerConfig> {
        self.effective.borrow().clone()
    }

    /// What a request that came in by `listener` sees of the broker.
    pub fn api_context(&self, listener: usize) -> ApiContext {
        ApiContext {
            config: self.effective_config(),
            image: self.image(),
            controller: self.controller.clone(),
            producer_ids: self.producer_ids.clone(),
            advertised: self.advertised[listener].clone(),
            leader_epoch: self.leader_epoch.0,
            offline: self.offline.clone(),
        }
    }

    /// The shard that owns a log.
    pub fn owner(&self, log: &LogId) -> ShardId {
        route::owner(log, self.shards)
    }

    /// Posts mail; never waits.
    pub fn post(&self, to: ShardId, mail: Mail) {
        self.post.post(to, mail);
    }

    /// Waits, in the order of asking, until a call to `to` may be posted.
    pub async fn window(&self, to: ShardId) -> Window {
        self.calls.window(to).await
    }

    /// Posts a call at once; the answer comes with the returned future.
    pub fn call_in(&self, window: Window, to: ShardId, call: Call) -> Pending {
        if matches!(call, Call::Produce(_) | Call::Read(_)) {
            self.observed.hops.add(1);
        }
        let (slot, pending) = self.calls.begin(window);
        self.post(to, Mail::Call { slot, call });
        pending
    }

    /// Posts a call and waits for its answer.
    pub async fn call(&self, to: ShardId, call: Call) -> Answer {
        let window = self.window(to).await;
        self.call_in(window, to, call).await
    }

    /// Takes mail in and acts on it, for ever.
    pub async fn receive(self: Rc<Self>) {
        loop {
            let (from, mail) = self.post.next().await;
            self.on_mail(from, mail);
        }
    }

    /// Acts on one piece of mail. Everything that takes time is a task: the inbox is always drained.
    pub fn on_mail(self: &Rc<Self>, from: ShardId, mail: Mail) {
        match mail {
            Mail::Call { slot, call } => self.on_call(from, slot, call),
            Mail::Answer { slot, answer } => self.calls.on_answer(slot, answer),
            Mail::Moved(logs) => self.on_watched_moved(&logs),
            Mail::Connection { accepted, listener } => {
                crate::net::connection::start(self, accepted, listener);
            }
            Mail::Closed(address) => self.connections.on_closed(from, address),
            mail @ (Mail::Start(_) | Mail::Started(_) | Mail::Stop(_) | Mail::Stopped(_)) => {
                let kept = self.lifecycle.try_push((from, mail));
                assert!(kept.is_ok(), "each shard says each of these once");
            }
        }
    }

    fn on_call(self: &Rc<Self>, from: ShardId, slot: u32, call: Call) {
        match call {
            Call::Produce(call) => {
                let produced = self.on_produce(call);
                self.answer_later(Queue::Produce, from, slot, produced.answer());
            }
            Call::Read(call) => {
                let arrived = time::now();
                let reading = self.read(&call, from);
                let queue = if reading.is_complete() { Queue::Fetch } else { Queue::Cold };
                self.answer_later(queue, from, slot, reading.answer(arrived));
            }
            Call::ListOffsets(items) => {
                let shard = self.clone();
                self.answer_later(Queue::Fetch, from, slot, async move {
                    Answer::ListOffsets(shard.list_offsets(&items).await)
                });
            }
            Call::EpochEnds(items) => {
                let answer = Answer::EpochEnds(self.epoch_ends(&items));
                self.post(from, Mail::Answer { slot, answer });
            }
            Call::DeleteRecords(items) => {
                let shard = self.clone();
                self.answer_later(Queue::Background, from, slot, async move {
                    Answer::DeleteRecords(shard.delete_records(&items).await)
                });
            }
            Call::Command(command) => {
                let shard = self.clone();
                self.answer_later(Queue::Produce, from, slot, async move {
                    Answer::Command(shard.controller.submit(command).await)
                });
            }
            Call::Image { image, changes } => {
                let shard = self.clone();
                self.answer_later(Queue::Produce, from, slot, async move {
                    shard.follow(image, &changes).await;
                    Answer::Image
                });
            }
            Call::Observe { logs_max } => {
                let shard = self.clone();
                self.answer_later(Queue::Background, from, slot, async move {
                    Answer::Observe(Box::new(ShardSnapshot::take(&shard, logs_max)))
                });
            }
        }
    }

    fn answer_later(
        self: &Rc<Self>,
        queue: Queue,
        from: ShardId,
        slot: u32,
        answer: impl Future<Output = Answer> + 'static,
    ) {
        let shard = self.clone();
        task::spawn(queue, async move {
            let answer = answer.await;
            shard.post(from, Mail::Answer { slot, answer });
        });
    }

    pub(super) fn set_image(&self, image: Arc<Image>) {
        *self.image.borrow_mut() = image;
    }

    pub(super) fn set_effective_config(&self, image: &Image) {
        *self.effective.borrow_mut() = effective(&self.config, image);
    }
}

fn effective(config: &Arc<BrokerConfig>, image: &Image) -> Arc<BrokerConfig> {
    let nothing = Configs::new();
    let of_broker = image.broker_configs(config.node_id).unwrap_or(&nothing);
    if image.cluster_configs().is_empty() && of_broker.is_empty() {
        return config.clone();
    }
    Arc::new(config.with_dynamic(image.cluster_configs(), of_broker))
}

/// The controller, from a shard where it does not live.
fn by_mail(shard: Weak<Shard>) -> ControllerHandle {
    ControllerHandle::new(move |command| {
        let shard = shard.clone();
        async move {
            let Some(shard) = shard.upgrade() else { return Err(Refusal::Stopping) };
            match shard.call(CONTROLLER, Call::Command(command)).await {
                Answer::Command(outcome) => outcome,
                _ => unreachable!("a call is answered in kind"),
            }
        }
    })
}

//! The life of the first shard: start the node, lead the others, serve, stop.
//!
//! The order at start: lock the directory, bind the ports, replay the metadata, recover the logs,
//! start every shard, accept. The order at stop: no new connections, answers for what is in flight,
//! the controller, the stores, the mark that the node stopped cleanly. At the end of each step every
//! shard has taken it.

use std::rc::Rc;
use std::sync::Arc;

use engine::file;
use engine::mail::Post;
use engine::net::Listener;
use engine::shard::ShardId;
use engine::task::{self, JoinHandle, Queue};
use engine::time::{self, Instant};
use storage::ids::{LeaderEpoch, LogId};
use storage::log_state::LogState;
use storage::node::{Node, RecoveryReport};
use storage::store::Store;

use super::error::ServerError;
use super::listeners;
use super::prune::prune;
use super::publish::publish;
use super::run::{BoundListener, Ready, Started};
use super::setup;
use super::stop;
use crate::admin::pages::Doing;
use crate::admin::{Admin, port};
use crate::api::context::OfflinePartitions;
use crate::config::BrokerConfig;
use crate::controller::{Controller, Image, Rules, TopicId};
use crate::net::acceptor;
use crate::shard::{CONTROLLER, Mail, Parts, Shard, Start, StopPhase, logs, route};

/// Starts everything, serves until a signal, stops everything.
pub(super) async fn run(
    post: Rc<Post<Mail>>,
    config: Arc<BrokerConfig>,
    shards: usize,
    ready: Ready,
) -> Result<(), ServerError> {
    let began = time::now();
    let others = Others { post: post.clone(), shards };
    let serving = match start(&others, config, began).await {
        Ok(serving) => serving,
        Err(error) => {
            others.tell(StopPhase::Store);
            stop::let_mail_leave().await;
            return Err(error);
        }
    };
    ready(&serving.started);
    let signal = engine::signal::terminate().await;
    tracing::info!(signal, "stopping");
    serving.stop(&others).await
}

/// The other shards, as the first one leads them before it is a shard itself.
struct Others {
    post: Rc<Post<Mail>>,
    shards: usize,
}

impl Others {
    fn ids(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.shards as u16).map(ShardId).filter(|shard| *shard != CONTROLLER)
    }

    fn tell(&self, phase: StopPhase) {
        self.ids().for_each(|shard| self.post.post(shard, Mail::Stop(phase)));
    }

    /// Waits until every other shard has started, or one has not.
    async fn started(&self) -> Result<(), ServerError> {
        for _ in self.ids() {
            let (shard, mail) = self.post.next().await;
            match mail {
                Mail::Started(Ok(())) => {}
                Mail::Started(Err(words)) => {
                    return Err(ServerError::Shard { shard: shard.0, words });
                }
                _ => unreachable!("shards that have just started have nothing else to say"),
            }
        }
        Ok(())
    }
}

/// Everything that runs.
struct Serving {
    node: Node,
    shard: Rc<Shard>,
    controller: Rc<Controller>,
    commands: JoinHandle<()>,
    accepting: Vec<JoinHandle<()>>,
    admin: Rc<Admin>,
    started: Started,
}

async fn start(
    others: &Others,
    config: Arc<BrokerConfig>,
    began: Instant,
) -> Result<Serving, ServerError> {
    let shards = others.shards;
    let opened = Node::open(&config.data_dir, &setup::node_options(&config)).await?;
    let node = opened.node;
    let sockets = listeners::bind(&config.listeners).await?;
    let admin = Rc::new(Admin::default());
    let bound = listeners::bind_admin(&config).await?;
    let admin_address = match &bound {
        Ok(listener) => Ok(listener.as_ref().map(Listener::local_addr)),
        Err(why) => Err(why.clone()),
    };
    if let Ok(Some(listener)) = bound {
        task::spawn(Queue::Background, port::run(admin.clone(), listener));
    }
    let cluster_id = node.superblock().cluster_id.clone();
    let dir = config.data_dir.join("metadata");
    let controller = Controller::open(&dir, &cluster_id, Rules::of(&config)).await?;
    let image = controller.image();
    let mut recovery = node.recover(&logs::known(&image), shards as u16).await?;
    let generation = recovery.generation;

    let mut states: Vec<Vec<LogState>> = Vec::new();
    states.resize_with(shards, Vec::new);
    for log in std::mem::take(&mut recovery.states) {
        let owner = route::owner(&log.checkpoint.id, shards);
        states[usize::from(owner.0)].push(log);
    }
    let advertised: Vec<_> =
        sockets.iter().map(|(_, bound)| Arc::new(bound.advertised.clone())).collect();
    let device = setup::device_budget();
    let offline = recovery.report.offline.keys();
    let offline: OfflinePartitions =
        offline.map(|log| (TopicId(log.topic), log.partition)).collect();
    let offline = Arc::new(offline);
    for to in others.ids() {
        let start = Start {
            image: image.clone(),
            generation,
            offline: offline.clone(),
            logs: std::mem::take(&mut states[usize::from(to.0)]),
            advertised: advertised.clone(),
            store: setup::store_config(&config, &recovery, to, shards, device.clone()),
        };
        others.post.post(to, Mail::Start(Box::new(start)));
    }
    let store = setup::store_config(&config, &recovery, CONTROLLER, shards, device);
    let store = Store::start(store, std::mem::take(&mut states[0])).await?;
    others.started().await?;

    let shard = Shard::new(Parts {
        shards,
        config: config.clone(),
        leader_epoch: LeaderEpoch(generation.0 as i32),
        offline,
        store,
        controller: Some(controller.handle()),
        advertised,
        image: image.clone(),
        post: others.post.clone(),
    });
    task::spawn(Queue::Produce, shard.clone().receive());
    shard.complete_logs();
    let swept = shard.clone();
    task::spawn(Queue::Background, async move { swept.connections.sweep().await });
    let (deciding, publishing) = (controller.clone(), shard.clone());
    let commands = task::spawn(Queue::Produce, async move {
        deciding.run(|publication| publish(publishing.clone(), publication)).await;
    });
    let pruning = prune(controller.handle(), recovery.topics_dir.clone(), image.clone());
    task::spawn(Queue::Background, pruning);
    let started = Started {
        cluster_id,
        node_id: config.node_id,
        generation: generation.0,
        shards,
        listeners: sockets.iter().map(|(_, bound)| bound.clone()).collect(),
        admin: admin_address,
        topics: image.topic_count(),
        partitions: image.partition_count(),
        is_new: opened.formatted,
        offline: offline_lines(&image, &recovery.report),
        replayed_batches: recovery.report.entries,
        recovery: recovery.report,
        superblock: node.superblock(),
        file_system: file::file_system(&config.data_dir).await.ok(),
        free_bytes: file::free_bytes(&config.data_dir).await.ok().map(|(free, _)| free),
        took: began.elapsed(),
    };
    let accepting = accept(&shard, sockets);
    admin.set(Doing::Serving(shard.clone()));
    Ok(Serving { node, shard, controller, commands, accepting, admin, started })
}

fn accept(shard: &Rc<Shard>, sockets: Vec<(Listener, BoundListener)>) -> Vec<JoinHandle<()>> {
    let one = |(number, (socket, _)): (usize, (Listener, BoundListener))| {
        task::spawn(Queue::Produce, acceptor::run(shard.clone(), Rc::new(socket), number))
    };
    sockets.into_iter().enumerate().map(one).collect()
}

/// A line for each partition that recovery found damaged.
fn offline_lines(image: &Image, report: &RecoveryReport) -> Vec<String> {
    let line = |(log, cause): (&LogId, &String)| {
        let name = image.topic_by_id(TopicId(log.topic)).map_or("?", |topic| &*topic.name);
        format!("{name}-{}: {cause}", log.partition)
    };
    report.offline.iter().map(line).collect()
}

impl Serving {
    async fn stop(self, others: &Others) -> Result<(), ServerError> {
        self.admin.set(Doing::Stopping);
        for accepting in self.accepting {
            accepting.cancel();
        }
        others.tell(StopPhase::Connections);
        stop::connections(&self.shard).await;
        stopped(&self.shard, StopPhase::Connections).await;
        self.controller.stop();
        self.commands.await;
        others.tell(StopPhase::Store);
        stop::store(&self.shard).await;
        stopped(&self.shard, StopPhase::Store).await;
        self.node.mark_clean().await?;
        Ok(())
    }
}

/// Waits until every other shard has gone through `phase`.
async fn stopped(shard: &Shard, phase: StopPhase) {
    for _ in 1..shard.shards {
        let (_, mail) = shard.lifecycle.pop().await.expect("never closed");
        assert!(
            matches!(mail, Mail::Stopped(stopped) if stopped == phase),
            "shards go through the phases together"
        );
    }
}

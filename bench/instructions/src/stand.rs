//! A shard of the broker, put together as the broker does it, in the calling thread.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use broker::config::{BrokerConfig, Endpoint};
use broker::controller::{ControllerHandle, Image, Record, Refusal, TopicId};
use broker::net::connection;
use broker::shard::{Parts, Shard, logs};
use engine::mail::Mesh;
use engine::net::{Listener, Stream};
use engine::shard::ShardId;
use engine::task::{self, Queue};
use engine::time;
use storage::ids::LeaderEpoch;
use storage::node::{Node, NodeOptions};
use storage::store::{Store, StoreConfig};
use storage::superblock::FlushPrimitive;

/// Longer than any run.
const NEVER: Duration = Duration::from_secs(24 * 3600);
/// How long appends wait to be written behind: longer than a round.
const WRITE_BEHIND_AGE: Duration = Duration::from_millis(250);
/// With nothing given to the ring for this long, nothing is going on.
const QUIET: Duration = Duration::from_millis(60);
const JOURNAL_FILE_BYTES: u64 = 16 << 20;
const JOURNAL_BYTES_MAX: u64 = 256 << 20;

/// A shard that serves.
pub struct Stand {
    shard: Rc<Shard>,
    listener: Listener,
    _node: Node,
}

/// The id of the topic with this number.
pub fn topic_id(number: usize) -> TopicId {
    TopicId::from_random([number as u8 + 1; 16])
}

impl Stand {
    /// Formats `dir` and starts a shard with topics of these many partitions in it.
    pub async fn open(dir: &Path, topics: &[usize]) -> Result<Stand, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let path = dir.display().to_string();
        let config =
            BrokerConfig::with(&[("log.dirs", &path), ("shards", "1")]).map_err(|errors| {
                errors.iter().map(|e| e.to_string()).collect::<Vec<_>>().join("; ")
            })?;
        let options = NodeOptions { node_id: config.node_id, ..NodeOptions::default() };
        let node = Node::open(dir, &options).await.map_err(|e| text(&e))?.node;
        let image = image(config.node_id, topics).map_err(|e| text(&e))?;
        let recovery = node.recover(&logs::known(&image), 1).await.map_err(|e| text(&e))?;
        let mut journal = recovery.journal_config(0, JOURNAL_FILE_BYTES, JOURNAL_BYTES_MAX);
        // What the calibration measured differs from run to run.
        journal.flush = FlushPrimitive::Dsync;
        journal.gap_max = Duration::ZERO;
        let store = StoreConfig {
            write_behind_age: WRITE_BEHIND_AGE,
            checkpoint_interval: NEVER,
            retention_interval: NEVER,
            checkpoint_fill: 1.0,
            ..StoreConfig::new(dir.to_owned(), journal)
        };
        let store = Store::start(store, recovery.states).await.map_err(|e| text(&e))?;
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).map_err(|e| text(&e))?;
        let port = listener.local_addr().port();
        let no_controller = ControllerHandle::new(|_| std::future::ready(Err(Refusal::Stopping)));
        let shard = Shard::new(Parts {
            shards: 1,
            config: Arc::new(config),
            leader_epoch: LeaderEpoch(recovery.generation.0 as i32),
            offline: Arc::default(),
            store,
            controller: Some(no_controller),
            advertised: vec![Arc::new(Endpoint { host: "127.0.0.1".into(), port })],
            image: Arc::new(image),
            post: Rc::new(Mesh::new(1, 16).join(ShardId(0))),
        });
        shard.complete_logs();
        Ok(Stand { shard, listener, _node: node })
    }

    /// Waits until what goes on behind the answers has come to its end: segments are written, and journal files made
    /// ahead.
    pub async fn settle(&self) {
        loop {
            let before = engine::shard::stats().submissions;
            time::sleep(QUIET).await;
            let is_quiet = engine::shard::stats().submissions == before;
            if is_quiet && self.shard.store.stats().unwritten_bytes == 0 {
                return;
            }
        }
    }

    /// Connects a client to the shard.
    pub async fn connect(&self) -> std::io::Result<Stream> {
        let address = self.listener.local_addr();
        let connecting = task::spawn(Queue::Produce, Stream::connect(address));
        let accepted = self.listener.accept().await?;
        let admitted = self.shard.connections.admit(accepted.peer().ip());
        assert!(admitted.is_ok(), "the first connection is let in");
        connection::start(&self.shard, accepted, 0);
        connecting.await
    }
}

fn image(node_id: i32, topics: &[usize]) -> Result<Image, broker::controller::ReplayError> {
    let mut image = Image::default();
    image.replay(&Record::ClusterFormed { cluster_id: "path-instructions".into() })?;
    for (number, partitions) in topics.iter().enumerate() {
        image.replay(&Record::TopicCreated {
            id: topic_id(number),
            name: format!("topic-{number}"),
            partitions: vec![vec![node_id]; *partitions],
            configs: Vec::new(),
        })?;
    }
    Ok(image)
}

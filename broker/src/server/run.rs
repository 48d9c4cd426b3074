//! Launches the shards and waits for their end.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::file::FileSystem;
use engine::mail::Mesh;
use engine::shard::{Launch, ShardId};
use storage::node::RecoveryReport;
use storage::superblock::Superblock;

use super::error::ServerError;
use super::{first, follower};
use crate::config::{BrokerConfig, Endpoint};
use crate::limits::MAIL_QUEUE_SLOTS;
use crate::shard::{CONTROLLER, Mail};

/// What there is to say once the broker serves.
#[derive(Debug, Clone)]
pub struct Started {
    /// The cluster's id.
    pub cluster_id: String,
    /// This node's number.
    pub node_id: i32,
    /// The number of this start; also the leader epoch of every partition.
    pub generation: u32,
    /// Shards that serve.
    pub shards: usize,
    /// What is listened on.
    pub listeners: Vec<BoundListener>,
    /// Where the admin port is; `None` without one, or why the default is not there.
    pub admin: Result<Option<SocketAddr>, String>,
    /// Topics there are.
    pub topics: usize,
    /// Partitions there are.
    pub partitions: u64,
    /// True when this start formatted the data directory.
    pub is_new: bool,
    /// Partitions that are offline and why, one line each; empty in all ordinary times.
    pub offline: Vec<String>,
    /// Journal entries that recovery brought into segments.
    pub replayed_batches: u64,
    /// All that recovery did and found.
    pub recovery: RecoveryReport,
    /// The data directory's superblock, as this start found it.
    pub superblock: Superblock,
    /// The file system it lies on, where that can be told.
    pub file_system: Option<FileSystem>,
    /// Free bytes there, where that can be told.
    pub free_bytes: Option<u64>,
    /// Time from launch to readiness.
    pub took: Duration,
}

/// A listener, bound.
#[derive(Debug, Clone)]
pub struct BoundListener {
    /// Its name in `listeners`.
    pub name: String,
    /// The address and port it is bound to.
    pub address: SocketAddr,
    /// What clients are told.
    pub advertised: Endpoint,
}

/// What `ready` is called with, kept until the first shard takes it.
pub(super) type Ready = Box<dyn FnOnce(&Started) + Send>;

/// Runs a broker until SIGTERM or SIGINT, then flushes everything. `ready` is called once, on shard
/// 0, when clients are served.
///
/// # Errors
/// When the broker could not start or could not stop cleanly; what and why in [`ServerError`].
pub fn run(
    config: BrokerConfig,
    ready: impl FnOnce(&Started) + Send + 'static,
) -> Result<(), ServerError> {
    let host = engine::check::host()?;
    let shards = match config.shards {
        0 => host.cores.max(1),
        shards => shards,
    };
    let launch = Launch {
        shards,
        pin: config.shard_pin,
        cores: config.shard_cores.clone(),
        memory_bytes_per_shard: config.shard_memory_bytes,
        registered_bytes_per_shard: config.shard_registered_bytes,
        spin: config.shard_spin,
    };
    let config = Arc::new(config);
    let mesh: Mesh<Mail> = Mesh::new(shards, MAIL_QUEUE_SLOTS);
    let ready: Arc<Mutex<Option<Ready>>> = Arc::new(Mutex::new(Some(Box::new(ready))));
    let running = engine::shard::launch(launch, move |shard: ShardId| {
        let post = mesh.join(shard);
        let (config, ready) = (config.clone(), ready.clone());
        async move {
            let post = Rc::new(post);
            if shard != CONTROLLER {
                return follower::run(post, config, shards).await;
            }
            let ready = ready.lock().ok().and_then(|mut ready| ready.take());
            first::run(post, config, shards, ready.expect("shard 0 runs once")).await
        }
    })?;
    running.join()
}

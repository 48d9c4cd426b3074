//! The start and the end of a shard, and what it finds: the checks that come after every crash.

use std::path::Path;
use std::rc::Rc;

use engine::mail::Post;
use engine::shard::ShardId;
use engine::task::{self, Queue};
use engine::time;
use storage::ids::{LeaderEpoch, LogId, Offset};
use storage::journal::JournalConfig;
use storage::log::log::Standing;
use storage::node::Recovery;
use storage::store::{DeviceBudget, LogHandle, Store, StoreConfig};

use crate::mail::{Mail, Start};
use crate::metadata::Topic;
use crate::model::Aftermath;
use crate::settings::{self, Settings};
use crate::shared::Shared;
use crate::violation::{Rule, Verdict, ensure};
use crate::worker::Worker;

/// Where the node's data is.
pub const DATA: &str = "/data";

/// The shard that a log belongs to.
pub fn owner(id: &LogId, shards: usize) -> ShardId {
    let number = u64::from(id.topic[0]) + u64::from(id.topic[7]) * 3 + u64::from(id.partition);
    ShardId((number % shards as u64) as u16)
}

/// How one shard's store is set up.
pub fn store_config(
    settings: &Settings,
    recovery: &Recovery,
    shard: ShardId,
    device: std::sync::Arc<DeviceBudget>,
) -> StoreConfig {
    let bytes_max = settings.journal_file_bytes * settings.journal_files;
    let journal = JournalConfig {
        gap_max: settings.gap_max,
        ..recovery.journal_config(shard.0, settings.journal_file_bytes, bytes_max)
    };
    StoreConfig {
        device,
        cache_bytes: settings.cache_bytes,
        cold_cache_bytes: settings.cold_cache_bytes,
        open_files_max: settings.open_files_max,
        index_cache_bytes: 4_096,
        write_behind_age: settings.write_behind_age,
        write_behind_bytes: settings.write_behind_bytes,
        checkpoint_interval: settings.checkpoint_interval,
        checkpoint_fill: settings.checkpoint_fill,
        checkpoint_log_bytes: settings.checkpoint_log_bytes,
        retention_interval: settings.retention_interval,
        reserve_bytes: 1 << 20,
        ..StoreConfig::new(Path::new(DATA).to_owned(), journal)
    }
}

/// Begins a shard: its store, then every log of its own is looked at.
///
/// # Errors
/// When the store could not be started.
pub async fn begin(
    shared: &Rc<Shared>,
    shard: ShardId,
    shards: usize,
    start: Start,
) -> Result<Rc<Worker>, String> {
    let started = Store::start(start.store, start.logs).await;
    let store = started.map_err(|error| error.to_string())?;
    let epoch = LeaderEpoch(start.generation as i32);
    let worker = Worker::new(shared.clone(), shard, store, epoch);
    let mut looking = Vec::new();
    for topic in &start.topics {
        let config = Rc::new(settings::profile(topic.profile));
        for id in topic.logs().filter(|id| owner(id, shards) == shard) {
            let handle = match worker.store.log(&id) {
                Some(handle) => {
                    worker.store.configure(&id, config.clone());
                    handle
                }
                None => create(&worker, topic, id)?,
            };
            let worker = worker.clone();
            looking.push(task::spawn(Queue::Produce, async move { worker.find(handle).await }));
        }
    }
    for looked in looking {
        looked.await;
    }
    Ok(worker)
}

fn create(worker: &Worker, topic: &Topic, id: LogId) -> Result<LogHandle, String> {
    let config = Rc::new(settings::profile(topic.profile));
    let created = worker.store.create(id, &topic.log_dir(id.partition), config);
    created.map_err(|error| error.to_string())
}

impl Worker {
    /// Looks at a log as this process found it.
    async fn find(self: Rc<Self>, handle: LogHandle) {
        let verdict = self.check_found(&handle);
        if !self.shared.hold(verdict) {
            return;
        }
        // All of it, byte for byte, before anybody appends to it.
        let verdict = self.read_all(&handle, handle.log_start(), 256 << 10).await;
        self.shared.hold(verdict);
        self.probe_producers(&handle).await;
        self.observe(handle);
    }

    /// Holds a log's ends against the model. Returns whether it can be used.
    fn check_found(&self, handle: &LogHandle) -> Verdict<bool> {
        let id = handle.id();
        let mut model = self.shared.model.borrow_mut();
        let aftermath = model.aftermath.unwrap_or(Aftermath::Clean);
        let log = model.log_of(&id)?;
        if log.offline {
            return Ok(false);
        }
        if let Standing::Offline(cause) = handle.standing() {
            ensure(log.unreadable, Rule::Offline, || format!("{id} is offline: {cause}"))?;
            log.offline = true;
            self.shared.count(|coverage| coverage.offline += 1);
            return Ok(false);
        }
        let (end, start) = (handle.log_end(), handle.log_start());
        ensure(handle.visible_end() == end, Rule::Lost, || {
            format!("{id} ends at {end}, readers see up to {}", handle.visible_end())
        })?;
        let (model_end, visible) = (log.end(), log.visible());
        self.shared.note(|| {
            format!(
                "{id} is found with {start}..{end}, it had up to {model_end}, visible {visible}"
            )
        });
        if end.0 < visible && aftermath == Aftermath::PowerLost {
            self.shared.count(|coverage| coverage.written_lost += 1);
        }
        log.on_restart(aftermath, end.0, start.0, time::unix_ms())?;
        let epoch = handle.leader_epoch();
        ensure(epoch.is_none_or(|epoch| epoch < self.epoch), Rule::Epoch, || {
            format!("{id} has records of epoch {epoch:?}, this process is {}", self.epoch)
        })?;
        Ok(true)
    }

    /// Reads all logs once more, at the end of a scenario.
    pub async fn check_all(&self) {
        for handle in self.store.logs() {
            let usable = {
                let mut model = self.shared.model.borrow_mut();
                model.log(&handle.id()).is_some_and(|log| !log.offline)
            };
            if usable && handle.standing() == Standing::Online {
                let from = handle.log_start().max(Offset::ZERO);
                let verdict = self.read_all(&handle, from, 1 << 20).await;
                self.shared.hold(verdict);
            }
        }
    }
}

/// The life of every shard but the first.
pub async fn follow(shared: Rc<Shared>, post: Rc<Post<Mail>>, shard: ShardId, shards: usize) {
    let first = ShardId(0);
    let Mail::Start(start) = post.next().await.1 else { return };
    let worker = match begin(&shared, shard, shards, *start).await {
        Ok(worker) => worker,
        Err(error) => {
            post.post(first, Mail::Started(Err(error)));
            return time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    post.post(first, Mail::Started(Ok(())));
    loop {
        match post.next().await.1 {
            Mail::Work(work) => worker.begin(work),
            Mail::Stop => break,
            _ => unreachable!("only the first shard is told of starts and ends"),
        }
    }
    worker.check_all().await;
    worker.store.shutdown().await;
    post.post(first, Mail::Stopped);
    time::sleep(std::time::Duration::from_millis(1)).await;
}

//! A node with one shard's store, and a model of what its logs must hold.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use engine::shard::{Launch, block_on};
use storage::batch::{BatchView, Builder, Codec, NewRecord, split};
use storage::ids::{LeaderEpoch, LogId, Offset, ProducerId};
use storage::log::LogConfig;
use storage::log::append::Appended;
use storage::node::{Known, Node, NodeOptions};
use storage::store::{LogHandle, Store, StoreConfig};

/// A directory on the file system of the build, which takes direct I/O.
pub fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Runs a future on a shard of its own, with 128 MiB. When it ends the shard does, whatever was going on: to what is on
/// the disk that is a crash, unless the future has shut its store down.
pub fn run<F: Future + 'static>(future: F) -> F::Output {
    let launch = Launch { memory_bytes_per_shard: 128 << 20, ..Launch::default() };
    block_on(&launch, future).unwrap()
}

pub fn log_id(number: u32) -> LogId {
    LogId { topic: [number as u8 + 1; 16], partition: number, incarnation: 0 }
}

pub fn log_dir(number: u32) -> String {
    format!("topic-{number}.id/{number}")
}

/// A started node. Its lock is held until it is dropped.
pub struct Started {
    pub node: Node,
    pub store: Store,
    pub epoch: LeaderEpoch,
    pub dir: PathBuf,
}

/// Starts the node of a directory with the logs 0..`logs`, which exist afterwards with the given settings.
pub async fn start(
    dir: &Path,
    logs: u32,
    log_config: LogConfig,
    change: impl FnOnce(&mut StoreConfig),
) -> Started {
    let options = NodeOptions { node_id: 1, ..NodeOptions::default() };
    let node = Node::open(dir, &options).await.unwrap().node;
    let known = Known {
        logs: (0..logs).map(|one| (log_id(one), log_dir(one))).collect(),
        ..Known::default()
    };
    let recovery = node.recover(&known, 1).await.unwrap();
    let journal = recovery.journal_config(0, 4 << 20, 32 << 20);
    let mut config = StoreConfig::new(dir.to_owned(), journal);
    config.write_behind_age = Duration::from_millis(20);
    config.checkpoint_interval = Duration::from_millis(200);
    change(&mut config);
    let epoch = LeaderEpoch(recovery.generation.0 as i32);
    let store = Store::start(config, recovery.states).await.unwrap();
    let log_config = Rc::new(log_config);
    for number in 0..logs {
        if !store.configure(&log_id(number), log_config.clone()) {
            store.create(log_id(number), &log_dir(number), log_config.clone()).unwrap();
        }
    }
    Started { node, store, epoch, dir: dir.to_owned() }
}

impl Started {
    pub fn log(&self, number: u32) -> LogHandle {
        self.store.log(&log_id(number)).unwrap()
    }

    /// Appends and waits until it is acknowledged.
    pub async fn produce(&self, number: u32, batch: &[u8]) -> Appended {
        let log = self.log(number);
        let now = engine::time::unix_ms();
        let appended = log.append_waiting(batch, self.epoch, now).await.unwrap();
        log.visible(appended.next_offset()).await.unwrap();
        appended
    }

    /// A clean stop.
    pub async fn stop(self) {
        self.store.shutdown().await;
        self.node.mark_clean().await.unwrap();
    }
}

/// A batch as a producer sends it; its values say what it is.
pub fn batch(tag: i64, records: i64, value_bytes: usize) -> Vec<u8> {
    produced(Builder::new(Codec::None), tag, records, value_bytes)
}

/// The same of an idempotent producer.
pub fn idempotent(producer: i64, sequence: i32, records: i64, value_bytes: usize) -> Vec<u8> {
    let builder = Builder::new(Codec::None).producer(ProducerId(producer), 0, sequence);
    produced(builder, producer * 1_000_000 + i64::from(sequence), records, value_bytes)
}

fn produced(mut builder: Builder, tag: i64, records: i64, value_bytes: usize) -> Vec<u8> {
    for record in 0..records {
        let text = format!("batch {tag} record {record} ");
        let value: Vec<u8> = text.bytes().cycle().take(value_bytes.max(text.len())).collect();
        builder.push(NewRecord::of(&value).at(1_700_000_000_000 + tag));
    }
    builder.build().unwrap()
}

/// Reads a log from `from` to its visible end in steps of `max` bytes, following whole batches, and checks that every
/// read begins with the batch that contains its offset and that offsets go on without a gap.
pub async fn read_all(log: &LogHandle, from: Offset, max: usize) -> Vec<u8> {
    let mut next = from;
    let mut all = Vec::new();
    loop {
        let pieces = log.read_any(next, max, true).await.unwrap();
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        if bytes.is_empty() {
            assert_eq!(next, log.visible_end(), "reads end at the visible end");
            return all;
        }
        for (at, batch) in split(&bytes).enumerate() {
            let batch = batch.unwrap();
            let contains = batch.base_offset() <= next && next < batch.next_offset();
            assert!(contains || at > 0, "the first batch contains the offset asked for");
            assert!(at == 0 || batch.base_offset() == next, "no gap");
            assert!(batch.check_crc());
            next = batch.next_offset();
        }
        all.extend(bytes);
    }
}

/// What was acknowledged, by log: the stored bytes of each batch.
#[derive(Default)]
pub struct Model(pub RefCell<BTreeMap<u32, Vec<u8>>>);

impl Model {
    /// Notes an acknowledged batch, as it must be stored.
    pub fn on_acknowledged(
        &self,
        number: u32,
        batch: &[u8],
        appended: &Appended,
        epoch: LeaderEpoch,
    ) {
        let mut stored = batch.to_vec();
        storage::batch::patch(
            &mut stored,
            appended.base_offset,
            epoch,
            storage::batch::Stamp::Keep,
        );
        let mut logs = self.0.borrow_mut();
        let log = logs.entry(number).or_default();
        let end = split(log).flatten().last().map_or(Offset(0), |batch| batch.next_offset());
        assert_eq!(appended.base_offset, end, "offsets go on without a gap");
        log.extend(stored);
    }

    pub fn bytes(&self, number: u32) -> Vec<u8> {
        self.0.borrow().get(&number).cloned().unwrap_or_default()
    }
}

/// The base offsets of a run of batches.
pub fn bases(bytes: &[u8]) -> Vec<i64> {
    split(bytes).map(|batch: Result<BatchView<'_>, _>| batch.unwrap().base_offset().0).collect()
}

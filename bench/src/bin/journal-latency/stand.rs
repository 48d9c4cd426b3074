//! The store under test, set up as a broker sets up a shard's, and the files that raw writes go to.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use engine::buffer::{self, Slice};
use engine::file::{self, File, OpenOptions};
use engine::task::{self, Queue};
use storage::batch::{
    Codec,
    build::{Builder, NewRecord},
};
use storage::ids::{LeaderEpoch, LogId};
use storage::log::LogConfig;
use storage::node::{Known, Node, NodeOptions};
use storage::store::{DeviceBudget, LogHandle, Store, StoreConfig};

use crate::options::Options;

/// Bytes of the pre-written file that raw writes go to, round and round.
pub const RAW_BYTES: u64 = 256 << 20;

/// Bytes of a journal file and of all of them, and of a segment: the broker's, but segments small enough that some are
/// begun and sealed in every measurement.
const JOURNAL_FILE_BYTES: u64 = 64 << 20;
const JOURNAL_BYTES_MAX: u64 = 1 << 30;
const SEGMENT_BYTES: u64 = 32 << 20;

/// The leader epoch of all appends.
pub const EPOCH: LeaderEpoch = LeaderEpoch(1);

/// Logs of the writing neighbour, of the data that is read cold, and of the throughput measurement.
const BULK_LOGS: usize = 8;
const OLD_LOGS: usize = 2;

/// Everything the measurements use.
pub struct Stand {
    /// The data directory.
    pub dir: PathBuf,
    /// Its store.
    pub store: Store,
    /// The logs that are watched.
    pub watched: Vec<LogHandle>,
    /// The logs of the neighbour that writes, and of the throughput measurement.
    pub bulk: Vec<LogHandle>,
    /// The logs that are read cold.
    pub old: Vec<LogHandle>,
    /// A pre-written file of [`RAW_BYTES`].
    pub raw: PathBuf,
    /// The flush primitive in force.
    pub flush: &'static str,
    node: Node,
}

impl Stand {
    /// Makes a data directory below the one that is given.
    pub async fn open(options: &Options) -> Result<Stand, String> {
        let name = format!("journal-latency.{}", std::process::id());
        let dir = options.data_dir.join(name);
        let opened = Node::open(&dir, &NodeOptions { node_id: 1, ..NodeOptions::default() }).await;
        let node = opened.map_err(|error| error.to_string())?.node;
        let recovery =
            node.recover(&Known::default(), 1).await.map_err(|error| error.to_string())?;
        let journal = recovery.journal_config(0, JOURNAL_FILE_BYTES, JOURNAL_BYTES_MAX);
        let flush = journal.flush.name();
        let config = StoreConfig {
            device: DeviceBudget::new(options.device_bytes),
            checkpoint_interval: Duration::from_millis(options.checkpoint_ms),
            ..StoreConfig::new(dir.clone(), journal)
        };
        let store = Store::start(config, Vec::new()).await.map_err(|error| error.to_string())?;
        let create = |topic: u8, name: &str, logs: usize| -> Result<Vec<LogHandle>, String> {
            let config =
                Rc::new(LogConfig { segment_bytes: SEGMENT_BYTES, ..LogConfig::default() });
            let create = |partition: usize| {
                let id = LogId { topic: [topic; 16], partition: partition as u32, incarnation: 0 };
                let created = store.create(id, &format!("{name}/{partition}"), config.clone());
                created.map_err(|error| error.to_string())
            };
            (0..logs).map(create).collect()
        };
        let raw = dir.join("raw");
        prewrite(&raw).await.map_err(|error| format!("cannot write {}: {error}", raw.display()))?;
        Ok(Stand {
            watched: create(1, "watched", options.logs_max())?,
            bulk: create(2, "bulk", BULK_LOGS)?,
            old: create(3, "old", OLD_LOGS)?,
            dir,
            store: store.clone(),
            raw,
            flush,
            node,
        })
    }

    /// Waits until nothing is left to be written behind, and deletes what the writing neighbour wrote.
    pub async fn settle(&self) -> Result<(), String> {
        let deleting: Vec<_> = self
            .bulk
            .iter()
            .cloned()
            .map(|log| {
                let delete = async move { log.delete_records(log.visible_end()).await };
                task::spawn(Queue::Produce, delete)
            })
            .collect();
        for one in deleting {
            one.await.map_err(|error| error.to_string())?;
        }
        while self.store.stats().unwritten_bytes > 0 {
            engine::time::sleep(Duration::from_millis(20)).await;
        }
        // Whatever the device still does on account of this.
        engine::time::sleep(Duration::from_millis(200)).await;
        Ok(())
    }

    /// Ends the store cleanly; removes the data unless it is to be kept.
    pub async fn close(self, keep: bool) -> Result<(), String> {
        self.store.shutdown().await;
        let marked = self.node.mark_clean().await;
        marked.map_err(|error| error.to_string())?;
        drop(self.node);
        if keep {
            return Ok(());
        }
        let removed = file::remove_dir_all(&self.dir).await;
        removed.map_err(|error| format!("cannot remove {}: {error}", self.dir.display()))
    }
}

/// One batch of about `bytes` and at least as many, with its number of records of about 1 KiB. Equal sizes give equal
/// lengths.
pub fn batch(bytes: usize) -> (Rc<[u8]>, i64) {
    let now_ms = engine::time::unix_ms();
    let of = |values: &[usize]| {
        let mut builder = Builder::new(Codec::None);
        for len in values {
            let mut value = vec![0; *len];
            engine::random::fill(&mut value);
            builder.push(NewRecord::of(&value).at(now_ms));
        }
        builder.build().expect("the batch is far below the largest")
    };
    let records = (bytes / 1024).max(1);
    let mut values = vec![bytes.saturating_sub(80 + records * 11) / records; records];
    // Lengths are varints: the last record makes up for what they take.
    while of(&values).len() < bytes {
        let missing = bytes - of(&values).len();
        values[records - 1] += missing.div_ceil(2);
    }
    (of(&values).into(), records as i64)
}

/// Memory for raw writes, filled with what does not compress.
pub async fn raw_data(bytes: usize) -> Result<Slice, String> {
    let mut block = buffer::alloc(bytes).await.map_err(|error| error.to_string())?;
    engine::random::fill(&mut block);
    let len = block.len();
    Ok(block.freeze(len))
}

/// Written and synced, so that later direct writes change no metadata.
async fn prewrite(path: &Path) -> std::io::Result<()> {
    let options = OpenOptions::new().write().create().truncate().direct();
    let file = File::open(path, options).await?;
    file.allocate(0, RAW_BYTES).await?;
    let data = raw_data(1 << 20).await.map_err(std::io::Error::other)?;
    for at in (0..RAW_BYTES).step_by(1 << 20) {
        file.write_at(at, data.clone()).await?;
    }
    file.sync_all().await
}

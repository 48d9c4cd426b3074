//! The directory that is damaged: four generations of a real store, with all there is to be damaged in it.

use super::image::Image;
use crate::store_support::{Started, batch, directory, idempotent, log_id, run, start};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use storage::batch::{Stamp, patch, split};
use storage::ids::Offset;
use storage::journal::file_name;
use storage::journal::frame::{Frame, Purpose};
use storage::log::LogConfig;
use storage::log::append::Appended;
use storage::record_log::RecordLog;
use storage::superblock::Superblock;

/// Number 6 never has a record.
pub const LOGS: u32 = 8;
/// Sealed segments with index files.
pub const LARGE: u32 = 0;
/// Small segments, batches of all sizes; its start was moved.
pub const SMALL: u32 = 1;
/// Two logs with the same batches of exactly a block each, at the same offsets: one's blocks would fit the other.
pub const ALIGNED: [u32; 2] = [2, 3];
/// An idempotent producer.
pub const PRODUCER: u32 = 4;
/// Nothing since the first generation.
pub const IDLE: u32 = 5;
/// Only in the journal.
pub const JOURNALLED: u32 = 7;

pub const JOURNAL_FILE_BYTES: u64 = 1 << 20;
pub const JOURNAL_BYTES_MAX: u64 = 4 << 20;
pub const METADATA_FILE_BYTES: u64 = 64 << 10;

/// One batch as it is stored.
#[derive(Clone)]
pub struct BatchTruth {
    pub base: i64,
    pub next: i64,
    /// Where in [`LogTruth::bytes`].
    pub at: usize,
    pub len: usize,
    pub timestamp: i64,
}

/// What was acknowledged of a log.
#[derive(Clone, Default)]
pub struct LogTruth {
    pub bytes: Vec<u8>,
    pub batches: Vec<BatchTruth>,
    pub log_start: i64,
    /// The last batch of its producer, as sent.
    pub last_sent: Vec<u8>,
}

impl LogTruth {
    pub fn end(&self) -> i64 {
        self.batches.last().map_or(0, |batch| batch.next)
    }

    pub fn batch_of(&self, offset: i64) -> &BatchTruth {
        &self.batches[self.batches.partition_point(|batch| batch.next <= offset)]
    }

    pub fn push(&mut self, stored: &[u8]) {
        let at = self.bytes.len();
        let view = split(stored).next().unwrap().unwrap();
        assert_eq!(view.base_offset().0, self.end(), "offsets go on without a gap");
        self.batches.push(BatchTruth {
            base: view.base_offset().0,
            next: view.next_offset().0,
            at,
            len: stored.len(),
            timestamp: view.max_timestamp(),
        });
        self.bytes.extend_from_slice(stored);
    }
}

#[derive(Clone, Default)]
pub struct Truth {
    pub logs: BTreeMap<u32, LogTruth>,
    /// The records of the record log in `metadata`.
    pub metadata: Vec<Vec<u8>>,
}

pub struct Template {
    pub image: Image,
    /// The same directory some time before.
    pub earlier: Image,
    pub truth: Truth,
}

/// The settings of a log, which differ in their segments' sizes.
pub fn log_config(number: u32) -> LogConfig {
    let segment_bytes = if number == LARGE { 1_100_000 } else { 24 << 10 };
    LogConfig { segment_bytes, forever: true, ..LogConfig::default() }
}

/// Produces, and remembers what was acknowledged.
pub struct Work {
    pub node: Started,
    pub truth: Truth,
    tag: i64,
    sequence: i32,
}

impl Work {
    /// Starts the next generation; what changes in the store's settings keeps data in the journal or moves it on.
    pub async fn start(
        dir: &Path,
        before: Option<Carried>,
        write_behind: Duration,
        checkpoint: Duration,
    ) -> Work {
        let started = start(dir, LOGS, LogConfig { forever: true, ..LogConfig::default() }, |c| {
            c.write_behind_age = write_behind;
            c.checkpoint_interval = checkpoint;
            c.checkpoint_fill = 0.5;
            c.journal.file_bytes = JOURNAL_FILE_BYTES;
            c.journal.bytes_max = JOURNAL_BYTES_MAX;
            c.retention_interval = Duration::from_secs(3600);
        });
        let node = started.await;
        for number in 0..LOGS {
            node.store.configure(&log_id(number), Rc::new(log_config(number)));
        }
        let Carried { truth, tag, sequence } = before.unwrap_or_else(|| {
            let logs = (0..LOGS).map(|number| (number, LogTruth::default())).collect();
            Carried { truth: Truth { logs, metadata: Vec::new() }, tag: 1, sequence: 0 }
        });
        Work { node, truth, tag, sequence }
    }

    pub async fn produce(&mut self, number: u32, records: i64, value: usize) {
        let sent = self.next_batch(number, records, value);
        let appended = self.node.produce(number, &sent).await;
        self.on_acknowledged(number, sent, &appended);
    }

    fn next_batch(&mut self, number: u32, records: i64, value: usize) -> Vec<u8> {
        self.tag += 1;
        if number == PRODUCER {
            let sequence = self.sequence;
            self.sequence += records as i32;
            idempotent(9, sequence, records, value)
        } else if ALIGNED.contains(&number) {
            block_sized(self.tag)
        } else {
            batch(self.tag, records, value)
        }
    }

    fn on_acknowledged(&mut self, number: u32, sent: Vec<u8>, appended: &Appended) {
        let mut stored = sent.clone();
        patch(&mut stored, appended.base_offset, self.node.epoch, Stamp::Keep);
        let log = self.truth.logs.get_mut(&number).unwrap();
        log.push(&stored);
        log.last_sent = sent;
    }

    /// Several batches at once, so that they share a frame, or two.
    pub async fn produce_together(&mut self, batches: &[(u32, i64, usize)]) {
        let mut waiting = Vec::new();
        for (number, records, value) in batches {
            let sent = self.next_batch(*number, *records, *value);
            let log = self.node.log(*number);
            let now = engine::time::unix_ms();
            let appended = log.append_waiting(&sent, self.node.epoch, now).await.unwrap();
            waiting.push((*number, sent, appended));
        }
        for (number, sent, appended) in waiting {
            self.node.log(number).visible(appended.next_offset()).await.unwrap();
            self.on_acknowledged(number, sent, &appended);
        }
    }

    /// What goes on in the next generation.
    pub fn carried(&self) -> Carried {
        Carried { truth: self.truth.clone(), tag: self.tag, sequence: self.sequence }
    }

    pub async fn delete_records(&mut self, number: u32, upto: i64) {
        self.node.log(number).delete_records(Offset(upto)).await.unwrap();
        self.truth.logs.get_mut(&number).unwrap().log_start = upto;
    }
}

/// A batch of one record and exactly 4,096 bytes.
fn block_sized(tag: i64) -> Vec<u8> {
    (3_900..4_096)
        .map(|value| batch(tag, 1, value))
        .find(|batch| batch.len() == 4_096)
        .expect("lengths rise by one")
}

/// Makes the directory.
pub fn make() -> Template {
    let origin = directory();
    let dir = origin.path().to_owned();
    let carried = run(async move { first_generation(&dir).await });
    let dir = origin.path().to_owned();
    let (cut_off, carried) = run(async move { second_generation(&dir, carried).await });
    let again = directory();
    cut_off.write(again.path());
    let dir = again.path().to_owned();
    run(async move { last_generation(&dir, carried).await })
}

/// What goes on from one generation to the next.
pub struct Carried {
    truth: Truth,
    tag: i64,
    sequence: i32,
}

const SOON: Duration = Duration::from_millis(10);
const NEVER: Duration = Duration::from_secs(3600);

/// Much data, sealed, indexed, cleanly stopped.
async fn first_generation(dir: &Path) -> Carried {
    let mut work = Work::start(dir, None, SOON, Duration::from_millis(100)).await;
    for round in 0..48 {
        work.produce(LARGE, 3, 20_000).await;
        work.produce(SMALL, 1 + round % 4, 100 + 37 * round as usize).await;
        work.produce(ALIGNED[0], 1, 0).await;
        work.produce(ALIGNED[1], 1, 0).await;
        work.produce(PRODUCER, 2, 300).await;
        work.produce(IDLE, 1, 700).await;
    }
    work.delete_records(SMALL, 31).await;
    let carried = work.carried();
    work.node.stop().await;
    carried
}

/// A part of it is checkpointed when it is cut off.
async fn second_generation(dir: &Path, carried: Carried) -> (Image, Carried) {
    let mut work = Work::start(dir, Some(carried), SOON, Duration::from_millis(50)).await;
    let checkpoints = work.node.store.stats().checkpoints;
    for round in 0..12 {
        work.produce(SMALL, 2, 200 * round).await;
        work.produce(PRODUCER, 1, 5_000).await;
        work.produce(ALIGNED[0], 1, 0).await;
        work.produce(ALIGNED[1], 1, 0).await;
    }
    while work.node.store.stats().checkpoints == checkpoints {
        engine::time::sleep(Duration::from_millis(5)).await;
    }
    work.produce(SMALL, 1, 900).await;
    (Image::take(dir), work.carried())
}

/// One with a checkpoint in its middle, recycled journal files, and much behind it that is only in the journal.
async fn last_generation(dir: &Path, carried: Carried) -> Template {
    let mut work = Work::start(dir, Some(carried), SOON, NEVER).await;
    let mut round = 0i64;
    while work.node.store.stats().checkpoints == 0 {
        work.produce(LARGE, 2, 30_000).await;
        work.produce(SMALL, 1 + round % 3, 500).await;
        work.produce(ALIGNED[0], 1, 0).await;
        work.produce(ALIGNED[1], 1, 0).await;
        round += 1;
    }
    let earlier = Image::take(dir);
    let (metadata, _) =
        RecordLog::open(&dir.join("metadata"), "meta", METADATA_FILE_BYTES).await.unwrap();
    for number in 0..20u8 {
        let records = vec![vec![number; 40 + 300 * usize::from(number)], vec![b'm'; 9]];
        metadata.append(records.clone()).await.unwrap();
        work.truth.metadata.extend(records);
        if number == 8 {
            metadata.snapshot(work.truth.metadata.clone()).await.unwrap();
        }
    }
    for round in 0..40i64 {
        work.produce(JOURNALLED, 1 + round % 3, 60 + 400 * (round % 9) as usize).await;
        work.produce(SMALL, 1, 30 * round as usize).await;
        work.produce(ALIGNED[0], 1, 0).await;
        work.produce(ALIGNED[1], 1, 0).await;
        work.produce(PRODUCER, 1 + round % 2, 800).await;
        if round % 10 == 0 {
            work.produce(LARGE, 1, 50_000).await;
            // Long enough for an idle frame in the middle.
            engine::time::sleep(Duration::from_millis(15)).await;
        }
    }
    // The last frame is an idle one: what is before it is proven.
    while !ends_idle(dir) {
        engine::time::sleep(Duration::from_millis(5)).await;
    }
    Template { image: Image::take(dir), earlier, truth: work.truth }
}

fn ends_idle(dir: &Path) -> bool {
    let frames = live_frames(&Image::take(dir));
    frames.last().is_some_and(|frame| frame.purpose == Purpose::Idle)
}

/// A frame of the live journal.
#[derive(Clone)]
pub struct LiveFrame {
    pub path: PathBuf,
    pub at: usize,
    pub len: usize,
    pub used: usize,
    pub table_at: usize,
    pub lsn: u64,
    pub purpose: Purpose,
    pub logs: Vec<u32>,
    /// Of each log it touches, where its first batch in it begins.
    pub bases: BTreeMap<u32, i64>,
    /// Where its last one ends.
    pub ends: BTreeMap<u32, i64>,
}

/// The frames of the generation in force, in order.
pub fn live_frames(image: &Image) -> Vec<LiveFrame> {
    let superblock = Superblock::decode_newest(&image.bytes(Path::new("superblock"))).unwrap();
    let mut frames = Vec::new();
    for path in image.paths().filter(|path| path.starts_with("journal")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some((generation, _, sequence)) = file_name::parse_live(name) else { continue };
        if generation != superblock.generation {
            continue;
        }
        let bytes = image.bytes(path);
        let mut at = 0;
        while at < bytes.len() {
            let Ok(frame) = Frame::check(&bytes[at..]) else { break };
            let header = frame.header();
            if header.identity.salt != superblock.salt || header.file_sequence != sequence {
                break;
            }
            let entries = || frame.entries().map(|entry| entry.head);
            let mut bases = BTreeMap::new();
            for head in entries() {
                bases.entry(head.log.partition).or_insert(head.base_offset.0);
            }
            frames.push(LiveFrame {
                path: path.to_owned(),
                at,
                len: header.total_len as usize,
                used: header.used_len as usize,
                table_at: header.table_at as usize,
                lsn: header.lsn.0,
                purpose: header.purpose,
                logs: entries().map(|head| head.log.partition).collect(),
                bases,
                ends: entries().map(|head| (head.log.partition, head.next_offset.0)).collect(),
            });
            at += header.total_len as usize;
        }
    }
    frames.sort_by_key(|frame| frame.lsn);
    frames
}

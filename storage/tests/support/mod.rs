//! A store in miniature for the journal's tests: logs that push batches and remember what was promised.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::disallowed_methods, reason = "tests look at the disk past the engine")]
#![allow(dead_code, reason = "each test file uses its own part of this")]

use engine::shard::{Launch, block_on};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use storage::batch::{Builder, Codec, NewRecord};
use storage::durability::Durability;
use storage::ids::{LeaderEpoch, LogId, Lsn, Offset};
use storage::journal::{Commit, Entry, EntryKind, Journal, JournalConfig, PushRefusal};
use storage::node::{Known, Node, NodeOptions, Recovery};

/// Runs a future on a shard of its own, with 64 MiB.
pub fn run<F: Future + 'static>(future: F) -> F::Output {
    let launch = Launch { memory_bytes_per_shard: 64 << 20, ..Launch::default() };
    block_on(&launch, future).unwrap()
}

pub fn log_id(number: u32) -> LogId {
    LogId { topic: [number as u8 + 1; 16], partition: number, incarnation: 0 }
}

pub fn log_dir(number: u32) -> String {
    format!("topic-{number}.id/{number}")
}

/// The first `logs` logs.
pub fn known(logs: u32) -> Known {
    Known { logs: (0..logs).map(|one| (log_id(one), log_dir(one))).collect(), ..Known::default() }
}

/// Opens (and formats) the directory.
pub async fn open(dir: &Path) -> Node {
    let options = NodeOptions { node_id: 1, ..NodeOptions::default() };
    Node::open(dir, &options).await.unwrap().node
}

pub fn config(recovery: &Recovery, shard: u16) -> JournalConfig {
    recovery.journal_config(shard, 1 << 20, 8 << 20)
}

#[derive(Clone, Default)]
pub struct ToyLog {
    pub next: i64,
    /// All batches pushed, back to back.
    pub bytes: Vec<u8>,
    /// End offset and bytes after each batch.
    pub ends: Vec<(i64, usize)>,
    /// Base offsets at which a segment was begun.
    pub rolls: Vec<i64>,
    /// The LSN of each batch.
    pub lsns: Vec<Lsn>,
}

/// What the journal told.
#[derive(Clone, Default)]
pub struct Seen {
    pub durable_upto: Lsn,
    pub written_upto: Lsn,
    pub commits: u64,
    /// End offsets by slot, as of completed frames.
    pub ends: BTreeMap<u32, i64>,
}

/// One shard with its journal.
pub struct Toy {
    pub journal: Rc<Journal>,
    pub seen: Rc<RefCell<Seen>>,
    pub logs: RefCell<BTreeMap<u32, ToyLog>>,
    pub epoch: LeaderEpoch,
}

impl Toy {
    /// Starts a shard's journal; its logs go on where recovery found their ends.
    pub async fn start(recovery: &Recovery, config: JournalConfig, logs: &[u32]) -> Toy {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let told = seen.clone();
        let on_commit = Box::new(move |commit: &Commit<'_>| {
            let mut seen = told.borrow_mut();
            assert!(commit.durable_upto <= commit.written_upto);
            assert!(commit.durable_upto >= seen.durable_upto, "durability does not go back");
            seen.durable_upto = commit.durable_upto;
            seen.written_upto = commit.written_upto;
            seen.commits += 1;
            for (slot, next) in commit.touched {
                seen.ends.insert(*slot, next.0);
            }
        });
        let journal = Journal::start(config, on_commit).await.unwrap();
        let end_of = |log: u32| {
            let state = recovery.states.iter().find(|state| state.checkpoint.id == log_id(log));
            state.map_or(0, |state| state.checkpoint.synced_upto.0)
        };
        let logs =
            logs.iter().map(|log| (*log, ToyLog { next: end_of(*log), ..ToyLog::default() }));
        Toy {
            journal,
            seen,
            logs: RefCell::new(logs.collect()),
            epoch: LeaderEpoch(recovery.generation.0 as i32),
        }
    }

    /// Pushes a batch of `records` records of `value` bytes, waiting for room.
    pub async fn append(&self, log: u32, records: i64, value: usize) -> Lsn {
        self.append_as(log, records, value, Durability::Device, false).await
    }

    pub async fn append_as(
        &self,
        log: u32,
        records: i64,
        value: usize,
        durability: Durability,
        roll: bool,
    ) -> Lsn {
        loop {
            match self.try_append(log, records, value, durability, roll) {
                Ok(lsn) => return lsn,
                Err(PushRefusal::Busy) => {
                    let records = records as usize;
                    self.journal.room_for(records * (value + 64) + 128).await;
                }
                Err(refusal) => panic!("{refusal}"),
            }
        }
    }

    pub fn try_append(
        &self,
        log: u32,
        records: i64,
        value: usize,
        durability: Durability,
        roll: bool,
    ) -> Result<Lsn, PushRefusal> {
        let mut logs = self.logs.borrow_mut();
        let toy = logs.get_mut(&log).unwrap();
        let base = toy.next;
        let payload = batch(base, self.epoch, records, value);
        let pushed = self.journal.push(Entry {
            kind: EntryKind::Append,
            slot: log,
            log: log_id(log),
            base_offset: Offset(base),
            next_offset: Offset(base + records),
            roll,
            durability,
            len: payload.len(),
            write: &mut |to| to.copy_from_slice(&payload),
        })?;
        assert_eq!(*pushed.slice, *payload, "the slice is the payload");
        toy.next += records;
        toy.bytes.extend_from_slice(&payload);
        toy.ends.push((toy.next, toy.bytes.len()));
        toy.lsns.push(pushed.lsn);
        if roll {
            toy.rolls.push(base);
        }
        Ok(pushed.lsn)
    }

    /// What every log has been told to be durable or written: all of it.
    pub fn snapshot(&self) -> BTreeMap<u32, ToyLog> {
        self.logs.borrow().clone()
    }
}

/// A batch whose values say which offset they belong to.
pub fn batch(base: i64, epoch: LeaderEpoch, records: i64, value: usize) -> Vec<u8> {
    let mut builder = Builder::new(Codec::None)
        .base_offset(Offset(base))
        .leader_epoch(epoch)
        .producer(storage::ids::ProducerId(7), 0, (base % i64::from(i32::MAX)) as i32);
    for record in 0..records {
        let text = format!("record {} ", base + record);
        let mut filled = text.as_bytes().repeat(value / text.len() + 1);
        filled.truncate(value.max(text.len()));
        builder.push(NewRecord::of(&filled).at(1_790_000_000_000 + base + record));
    }
    builder.build().unwrap()
}

/// A log's segments, back to back, as they stand on the disk.
pub fn disk_bytes(dir: &Path, recovery: &Recovery, log: u32) -> Vec<u8> {
    let state = recovery.states.iter().find(|state| state.checkpoint.id == log_id(log)).unwrap();
    let mut bytes = Vec::new();
    for segment in &state.checkpoint.segments {
        let path =
            dir.join("topics").join(log_dir(log)).join(format!("{:020}.log", segment.base.0));
        let file = read(&path);
        assert_eq!(file.len() as u64, segment.bytes, "a segment has its exact length: {path:?}");
        bytes.extend(file);
    }
    bytes
}

/// The first `len` bytes of a log's segments, which may have grown since recovery.
pub fn disk_bytes_before(dir: &Path, recovery: &Recovery, log: u32, len: usize) -> Vec<u8> {
    let state = recovery.states.iter().find(|state| state.checkpoint.id == log_id(log)).unwrap();
    let mut bytes = Vec::new();
    for segment in &state.checkpoint.segments {
        let path =
            dir.join("topics").join(log_dir(log)).join(format!("{:020}.log", segment.base.0));
        bytes.extend_from_slice(&read(&path)[..segment.bytes as usize]);
    }
    assert_eq!(bytes.len(), len, "the checkpoint's segments hold the log");
    bytes
}

/// Holds a recovered log against what was pushed: its end must be a batch boundary at or behind `at_least`.
pub fn check_log(dir: &Path, recovery: &Recovery, number: u32, log: &ToyLog, at_least: i64) {
    let state = recovery.states.iter().find(|state| state.checkpoint.id == log_id(number)).unwrap();
    let checkpoint = &state.checkpoint;
    assert_eq!(state.offline(), None);
    checkpoint.check_invariants();
    let end = checkpoint.synced_upto.0;
    assert!(end >= at_least, "log {number} ends at {end}, acknowledged were {at_least}");
    let bytes = if end == 0 {
        0
    } else {
        log.ends.iter().find(|(next, _)| *next == end).expect("it ends with a batch").1
    };
    let disk = disk_bytes(dir, recovery, number);
    assert!(disk == log.bytes[..bytes], "log {number} differs from what was pushed");
    let tail = disk.len() - checkpoint.tail_image.len();
    let active = checkpoint.segments.last().map_or(0, |segment| segment.bytes);
    assert_eq!(active % 4096, checkpoint.tail_image.len() as u64);
    assert_eq!(disk[tail..], checkpoint.tail_image[..], "the tail image is the tail");
}

pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

pub fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

/// The journal files of a directory that hold a frame at their front, in order.
pub fn journal_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir.join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "journal"))
        .filter(|path| read(path).starts_with(b"HDLFRAME"))
        .collect();
    files.sort();
    files
}

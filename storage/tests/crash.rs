//! Random work, a crash at a random moment, damage of a random kind, recovery; again and again on one directory, with
//! another number of shards each time. Whatever was acknowledged must be there byte for byte, or its log be offline after
//! real damage; a crash alone takes nothing offline.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::disallowed_methods, reason = "tests look at the disk past the engine")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use storage::checkpoint::{LogCheckpoint, SegmentMeta};
use storage::checkpoint_log::CheckpointLog;
use storage::durability::Durability;
use storage::ids::{Lsn, Offset};
use storage::journal::frame::{Frame, Purpose};
use storage::node::Recovery;
use support::{Toy, ToyLog, known, log_dir, log_id, open, read, run, write};

const LOGS: u32 = 6;

/// xorshift64*: enough for choosing, and the same on every machine.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit.max(1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A log over all generations: everything pushed, and how much of it was acknowledged.
#[derive(Clone, Default)]
struct Truth {
    bytes: Vec<u8>,
    /// End offset, bytes, and whether a segment begins with this batch.
    batches: Vec<(i64, usize, bool)>,
    acknowledged: i64,
    offline: bool,
}

impl Truth {
    fn bytes_at(&self, end: i64) -> usize {
        if end == 0 {
            return 0;
        }
        let batch = self.batches.iter().find(|batch| batch.0 == end);
        batch.unwrap_or_else(|| panic!("{end} is no end of a batch")).1
    }

    /// After recovery to `end`: what lies behind was never acknowledged and is gone.
    fn cut(&mut self, end: i64) {
        self.bytes.truncate(self.bytes_at(end));
        self.batches.retain(|batch| batch.0 <= end);
        self.acknowledged = end;
    }

    fn segments(&self, upto: usize) -> Vec<SegmentMeta> {
        let mut segments: Vec<SegmentMeta> = Vec::new();
        let (mut begin, mut base) = (0, 0);
        for (end, bytes, roll) in &self.batches {
            if *bytes > upto {
                break;
            }
            if *roll || segments.is_empty() {
                segments.push(SegmentMeta::empty(Offset(base)));
            }
            segments.last_mut().unwrap().bytes += (bytes - begin) as u64;
            (begin, base) = (*bytes, *end);
        }
        segments
    }
}

/// What happened in one shard until the crash.
struct Outcome {
    logs: BTreeMap<u32, ToyLog>,
    durable_upto: Lsn,
}

async fn work(
    dir: &Path,
    recovery: &Recovery,
    shard: u16,
    mine: &[u32],
    truths: &BTreeMap<u32, Truth>,
    dice: &mut Dice,
) -> Toy {
    let toy = Toy::start(recovery, recovery.journal_config(shard, 1 << 20, 6 << 20), mine).await;
    let (checkpoints, _) =
        CheckpointLog::open(&recovery.checkpoint_dir, recovery.generation, shard).await.unwrap();
    let mut done = BTreeMap::new();
    for _ in 0..dice.below(150) {
        let log = mine[dice.below(mine.len() as u64) as usize];
        let value = match dice.below(10) {
            0 => 120_000,
            1 | 2 => 20_000,
            _ => 50 + dice.below(2000) as usize,
        };
        let records = 1 + dice.below(3) as i64;
        toy.append_as(log, records, value, Durability::Device, dice.chance(6)).await;
        match dice.below(100) {
            0..10 => engine::time::sleep(std::time::Duration::from_millis(dice.below(14))).await,
            10..50 => toy.journal.flush().await,
            50..60 => {
                checkpoint(dir, &toy, &checkpoints, truths, &mut done, dice).await;
            }
            _ => engine::task::yield_now().await,
        }
    }
    toy
}

/// Writes some of what is durable to the segments, as write-behind does, and checkpoints a part of that.
async fn checkpoint(
    dir: &Path,
    toy: &Toy,
    log: &CheckpointLog,
    truths: &BTreeMap<u32, Truth>,
    done: &mut BTreeMap<u32, (usize, usize)>,
    dice: &mut Dice,
) {
    let durable = toy.journal.durable_upto();
    let mut from = durable;
    let mut changed = Vec::new();
    for (number, toy_log) in toy.snapshot() {
        let mut truth = truths[&number].clone();
        extend(&mut truth, &toy_log);
        let before = truths[&number].batches.len();
        let durable_batches = toy_log.lsns.iter().filter(|lsn| **lsn < durable).count();
        let (written, synced) = done.entry(number).or_default();
        *written += dice.below((durable_batches - *written) as u64 + 1) as usize;
        *synced += dice.below((*written - *synced) as u64 + 1) as usize;
        let (written, synced) = (*written, *synced);
        let at = |batches: usize| match before + batches {
            0 => (0, 0),
            batches => (truth.batches[batches - 1].0, truth.batches[batches - 1].1),
        };
        write_segments(dir, number, &truth, at(written).1);
        let (end, bytes) = at(synced);
        let replay_from = toy_log.lsns.get(synced).copied().unwrap_or(toy.journal.next_lsn());
        from = from.min(toy_log.lsns.get(synced).copied().unwrap_or(durable));
        let segments = truth.segments(bytes);
        let active = segments.last().map_or(0, |active| active.bytes as usize);
        changed.push(LogCheckpoint {
            segments,
            synced_upto: Offset(end),
            tail_image: truth.bytes[bytes - active % 4096..bytes].to_vec(),
            replay_from,
            ..LogCheckpoint::empty(log_id(number), &log_dir(number))
        });
    }
    log.write(changed, from, durable).await.unwrap();
    toy.journal.recycle_before(from);
}

fn write_segments(dir: &Path, number: u32, truth: &Truth, upto: usize) {
    let path = dir.join("topics").join(log_dir(number));
    std::fs::create_dir_all(&path).unwrap();
    let mut at = 0;
    let segments = truth.segments(upto);
    for (index, segment) in segments.iter().enumerate() {
        let mut bytes = truth.bytes[at..at + segment.bytes as usize].to_vec();
        at += bytes.len();
        if index + 1 == segments.len() {
            bytes.resize(bytes.len().next_multiple_of(4096), 0);
        }
        write(&path.join(format!("{:020}.log", segment.base.0)), &bytes);
    }
}

fn extend(truth: &mut Truth, log: &ToyLog) {
    let begin = truth.bytes.len();
    let mut base = truth.batches.last().map_or(0, |batch| batch.0);
    for (end, bytes) in &log.ends {
        truth.batches.push((*end, begin + bytes, log.rolls.contains(&base)));
        base = *end;
    }
    truth.bytes.extend_from_slice(&log.bytes);
}

/// A frame found in a journal file.
struct FoundFrame {
    path: std::path::PathBuf,
    at: usize,
    len: usize,
    used: usize,
    lsn: Lsn,
    next: Lsn,
    shard: u16,
    logs: Vec<u32>,
}

fn frames(dir: &Path, generation: u32) -> Vec<FoundFrame> {
    let mut found = Vec::new();
    for path in support::journal_files(dir) {
        let file = read(&path);
        let mut at = 0;
        while let Some(Ok(frame)) = file.get(at..).map(Frame::check) {
            let header = *frame.header();
            let (_, _, sequence) = storage::journal::file_name::parse_live(
                path.file_name().unwrap().to_str().unwrap(),
            )
            .unwrap();
            if header.identity.generation.0 != generation || header.file_sequence != sequence {
                break;
            }
            found.push(FoundFrame {
                path: path.clone(),
                at,
                len: header.total_len as usize,
                used: header.used_len as usize,
                lsn: header.lsn,
                next: header.next_lsn(),
                shard: header.identity.shard,
                logs: match header.purpose {
                    Purpose::Entries => {
                        frame.entries().map(|entry| entry.head.log.partition).collect()
                    }
                    _ => Vec::new(),
                },
            });
            at += header.total_len as usize;
        }
    }
    found.sort_by_key(|frame| (frame.shard, frame.lsn));
    found
}

/// Tears what was in flight: sectors of frames that nobody was told of are lost in any order.
fn tear(frames: &[FoundFrame], durable: &BTreeMap<u16, Lsn>, dice: &mut Dice) {
    for frame in frames.iter().filter(|frame| frame.next > durable[&frame.shard]) {
        let mut file = read(&frame.path);
        for sector in 0..frame.len / 512 {
            if dice.chance(40) {
                let fill = if dice.chance(50) { 0 } else { 0xa5 };
                file[frame.at + sector * 512..][..512].fill(fill);
            }
        }
        write(&frame.path, &file);
    }
}

/// Flips a bit of one acknowledged frame that another acknowledged frame follows; returns the logs in it.
fn damage(
    frames: &[FoundFrame],
    durable: &BTreeMap<u16, Lsn>,
    dice: &mut Dice,
) -> Option<Vec<u32>> {
    let candidates: Vec<_> = frames
        .windows(2)
        .filter(|pair| pair[0].shard == pair[1].shard && pair[1].next <= durable[&pair[1].shard])
        .map(|pair| &pair[0])
        .collect();
    if candidates.is_empty() {
        return None;
    }
    let frame = candidates[dice.below(candidates.len() as u64) as usize];
    let mut file = read(&frame.path);
    file[frame.at + dice.below(frame.used as u64) as usize] ^= 1 << dice.below(8);
    write(&frame.path, &file);
    Some(frame.logs.clone())
}

fn rounds(seed: u64, generations: usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice(seed | 1);
    let mut truths: BTreeMap<u32, Truth> = (0..LOGS).map(|log| (log, Truth::default())).collect();
    let mut allowed_offline: Vec<u32> = Vec::new();
    for round in 0..generations {
        let shards = 1 + dice.below(3) as u16;
        let path = dir.path().to_owned();
        let (mut inner, known_truths) = (dice.clone(), truths.clone());
        dice.below(2);
        let (recovery, outcomes) = run(async move {
            let node = open(&path).await;
            let recovery = node.recover(&known(LOGS), shards).await.unwrap();
            let mut truths = known_truths;
            for (number, truth) in &mut truths {
                let state = recovery
                    .states
                    .iter()
                    .find(|state| state.checkpoint.id == log_id(*number))
                    .unwrap();
                if state.offline().is_none() {
                    truth.cut(state.checkpoint.synced_upto.0);
                }
            }
            let mut toys = BTreeMap::new();
            for shard in 0..shards {
                let mine: Vec<u32> = (0..LOGS)
                    .filter(|log| (log % u32::from(shards)) as u16 == shard)
                    .filter(|log| !recovery.report.offline.contains_key(&log_id(*log)))
                    .collect();
                if mine.is_empty() {
                    continue;
                }
                let toy = work(&path, &recovery, shard, &mine, &truths, &mut inner).await;
                toys.insert(shard, toy);
            }
            // The crash: from here on nobody is told of anything.
            let outcome = |toy: &Toy| Outcome {
                logs: toy.snapshot(),
                durable_upto: toy.seen.borrow().durable_upto,
            };
            let outcomes: BTreeMap<u16, Outcome> =
                toys.iter().map(|(shard, toy)| (*shard, outcome(toy))).collect();
            (recovery, outcomes)
        });
        let context = format!("seed {seed}, round {round}");
        check(dir.path(), &recovery, &mut truths, &allowed_offline, &context);
        let mut durable = BTreeMap::new();
        for (shard, outcome) in &outcomes {
            durable.insert(*shard, outcome.durable_upto);
            for (number, log) in &outcome.logs {
                let truth = truths.get_mut(number).unwrap();
                extend(truth, log);
                let acknowledged =
                    log.lsns.iter().filter(|lsn| **lsn < outcome.durable_upto).count();
                if acknowledged > 0 {
                    truth.acknowledged = log.ends[acknowledged - 1].0;
                }
            }
        }
        let frames = frames(dir.path(), recovery.generation.0);
        tear(&frames, &durable, &mut dice);
        if dice.chance(25)
            && let Some(logs) = damage(&frames, &durable, &mut dice)
        {
            allowed_offline.extend(logs);
        }
    }
    let path = dir.path().to_owned();
    let recovery = run(async move { open(&path).await.recover(&known(LOGS), 1).await.unwrap() });
    check(dir.path(), &recovery, &mut truths, &allowed_offline, &format!("seed {seed}, end"));
}

fn check(
    dir: &Path,
    recovery: &Recovery,
    truths: &mut BTreeMap<u32, Truth>,
    allowed_offline: &[u32],
    context: &str,
) {
    for (number, truth) in truths {
        let state =
            recovery.states.iter().find(|state| state.checkpoint.id == log_id(*number)).unwrap();
        if let Some(reason) = state.offline() {
            assert!(allowed_offline.contains(number), "{context}: log {number} offline: {reason}");
            truth.offline = true;
            continue;
        }
        assert!(!truth.offline, "{context}: log {number} came back by itself");
        let end = state.checkpoint.synced_upto.0;
        assert!(
            end >= truth.acknowledged,
            "{context}: log {number} ends at {end}, acknowledged were {}",
            truth.acknowledged
        );
        let bytes = support::disk_bytes_before(dir, recovery, *number, truth.bytes_at(end));
        assert!(bytes == truth.bytes[..truth.bytes_at(end)], "{context}: log {number} differs");
        truth.cut(end);
    }
}

/// `HEDDLE_CRASH_SEEDS` asks for more than the few that an ordinary run takes.
#[test]
fn acknowledged_records_survive_whatever_a_crash_leaves() {
    let seeds = std::env::var("HEDDLE_CRASH_SEEDS").ok().and_then(|text| text.parse().ok());
    for seed in 1..=seeds.unwrap_or(3) {
        rounds(seed * 7919, 5);
    }
}

//! A shard's journal: frames, the walk over them, and the replay onto checkpoints; over any bytes, and over journals
//! written as the writer writes them and then damaged.
//!
//! Rules for any bytes: the walk ends, its frames rise, and a frame it gives is whole. Rules for a written journal, with
//! one write in flight and then damage: frames come back exactly as written; all of them do where nothing was hurt; every
//! frame that a later whole frame proves durable is replayed or lies in a reported gap; and after the replay each log is
//! offline, or holds every record that was proven durable, and exactly the bytes that were written, from the first on.

use std::collections::BTreeMap;

use storage::checkpoint::LogCheckpoint;
use storage::durability::Durability;
use storage::ids::{Generation, LeaderEpoch, LogId, Lsn, Offset};
use storage::journal::EntryKind;
use storage::journal::frame::{
    EntryHead, FRAME_ALIGN, Frame, HEADER_BYTES, Header, Identity, Named, PAYLOAD_ALIGN, Purpose,
    Sum, round_up,
};
use storage::recovery::{Rehearsal, Rehearsed};

use crate::input::Input;
use crate::made;

const SHARD: u16 = 3;
const NOW_MS: i64 = 1_700_000_000_000;
const LOGS: usize = 3;

fn identity() -> Identity {
    Identity { generation: Generation(2), shard: SHARD, salt: 0xfeed }
}

fn log_id(number: usize) -> LogId {
    LogId { topic: [number as u8; 16], partition: number as u32, incarnation: 0 }
}

/// Which way, then the bytes or the script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(4) {
        0 => any_bytes(input.rest()),
        1 => one_frame(input.rest()),
        _ => written(&mut input),
    }
}

fn any_bytes(bytes: &[u8]) {
    let (first, second) = bytes.split_at(bytes.len() / 2 / FRAME_ALIGN * FRAME_ALIGN);
    let _ = (Frame::check(first), Frame::check(second), Header::decode(bytes));
    let came = rehearse(vec![(1, first), (2, second)], Lsn(1), Lsn(0));
    sound(&came);
}

/// A frame whose checksum is right, whatever is in it.
fn one_frame(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    bytes.resize(round_up(bytes.len().max(FRAME_ALIGN)), 0);
    let Ok(mut header) = Header::decode(&bytes) else { return };
    header.identity = identity();
    header.file_sequence = 1;
    if let Some(body) = bytes.get(HEADER_BYTES..header.used_len as usize) {
        let mut sum = Sum::default();
        sum.update(body);
        bytes[..HEADER_BYTES].copy_from_slice(&header.encode(sum));
    }
    if let Ok(frame) = Frame::check(&bytes) {
        assert_eq!(*frame.header(), header, "a header reads back as written");
        assert_eq!(frame.entries().count(), header.entries as usize);
        assert_eq!(frame.predecessor().count(), header.named as usize);
        for entry in frame.entries() {
            assert_eq!(entry.payload.len(), entry.head.payload_len as usize);
        }
    }
    let came = rehearse(vec![(1, &bytes)], header.lsn, Lsn(0));
    sound(&came);
}

fn rehearse(files: Vec<(u64, &[u8])>, from: Lsn, durable: Lsn) -> Rehearsed {
    let checkpoints =
        (0..LOGS).map(|log| LogCheckpoint::empty(log_id(log), &format!("t/{log}"))).collect();
    let rehearsal =
        Rehearsal { identity: identity(), files, checkpoints, from, durable, now_ms: NOW_MS };
    rehearsal.run()
}

/// What holds of any journal.
fn sound(came: &Rehearsed) {
    assert!(came.frames.is_sorted(), "frames come in order: {:?}", came.frames);
    for gap in &came.gaps {
        assert!(gap.to.is_none_or(|to| to > gap.from), "a gap is not empty: {gap:?}");
    }
    for checkpoint in &came.checkpoints {
        checkpoint.check_invariants();
        let read = LogCheckpoint::decode(&checkpoint.encode());
        assert_eq!(read.as_ref(), Ok(checkpoint), "the next start can read its checkpoint");
    }
}

/// A frame on the medium.
struct Written {
    file: usize,
    at: usize,
    bytes: Vec<u8>,
    lsn: u64,
    next_lsn: u64,
    durable_upto: u64,
    /// Ends of the logs behind it.
    ends: [i64; LOGS],
}

/// The journal and what it was told.
struct Medium {
    file_bytes: usize,
    /// What the files held before.
    before: Vec<u8>,
    files: Vec<Vec<u8>>,
    frames: Vec<Written>,
    position: usize,
    next: u64,
    previous: u64,
    durable: u64,
    touched: Vec<Named>,
    ends: [i64; LOGS],
    starts: [i64; LOGS],
    /// The batches of each log, back to back, with the offset behind each.
    batches: [Vec<(i64, Vec<u8>)>; LOGS],
}

impl Medium {
    fn new(file_bytes: usize, before: Vec<u8>) -> Medium {
        Medium {
            file_bytes,
            files: vec![before.clone()],
            before,
            frames: Vec::new(),
            position: 0,
            next: 1,
            previous: 1,
            durable: 1,
            touched: Vec::new(),
            ends: [0; LOGS],
            starts: [0; LOGS],
            batches: Default::default(),
        }
    }

    /// One write: a frame of a few entries, or of none.
    fn write(&mut self, input: &mut Input<'_>) {
        let mut bytes = vec![0; HEADER_BYTES];
        let (mut table, mut touched) = (Vec::new(), BTreeMap::new());
        let mut entries = 0;
        let idle = input.below(6) == 0;
        let (ends, starts) = (self.ends, self.starts);
        let counts: Vec<usize> = self.batches.iter().map(Vec::len).collect();
        for _ in 0..if idle { 0 } else { 1 + input.below(3) } {
            let log = input.below(LOGS);
            let (kind, payload, base) = self.entry(input, log);
            bytes.resize(bytes.len().next_multiple_of(PAYLOAD_ALIGN), 0);
            let head = EntryHead {
                kind,
                roll: input.below(6) == 0,
                durability: Durability::Device,
                log: log_id(log),
                base_offset: Offset(base),
                next_offset: Offset(self.ends[log]),
                payload_at: bytes.len() as u32,
                payload_len: payload.len() as u32,
            };
            bytes.extend_from_slice(&payload);
            table.extend_from_slice(&head.encode());
            touched.insert(log_id(log), head.next_offset);
            entries += 1;
        }
        bytes.resize(bytes.len().next_multiple_of(PAYLOAD_ALIGN), 0);
        let table_at = bytes.len();
        bytes.extend_from_slice(&table);
        for named in &self.touched {
            bytes.extend_from_slice(&named.encode());
        }
        let total = round_up(bytes.len());
        if total > self.file_bytes {
            // Not pushed at all: the journal refuses what no file takes.
            (self.ends, self.starts) = (ends, starts);
            self.batches.iter_mut().zip(counts).for_each(|(all, count)| all.truncate(count));
            return;
        }
        if self.position + total > self.file_bytes {
            self.files.push(self.before.clone());
            self.position = 0;
        }
        // The frame before is durable in most cases: the writer has one write in flight, and only weaker classes than
        // `device` go on without a flush.
        if input.below(8) != 0 {
            self.durable = self.next;
        }
        let header = Header {
            identity: identity(),
            purpose: if idle { Purpose::Idle } else { Purpose::Entries },
            durability: Durability::Device,
            file_sequence: self.files.len() as u64,
            lsn: Lsn(self.next),
            previous_lsn: Lsn(self.previous),
            durable_upto: Lsn(self.durable),
            total_len: total as u32,
            used_len: bytes.len() as u32,
            table_at: table_at as u32,
            entries,
            named: self.touched.len() as u32,
            written_ms: NOW_MS,
        };
        let mut sum = Sum::default();
        sum.update(&bytes[HEADER_BYTES..]);
        bytes[..HEADER_BYTES].copy_from_slice(&header.encode(sum));
        let file = self.files.len() - 1;
        self.files[file][self.position..self.position + total].fill(0);
        self.files[file][self.position..self.position + bytes.len()].copy_from_slice(&bytes);
        self.frames.push(Written {
            file,
            at: self.position,
            bytes,
            lsn: self.next,
            next_lsn: header.next_lsn().0,
            durable_upto: self.durable,
            ends: self.ends,
        });
        self.position += total;
        self.previous = self.next;
        self.next = header.next_lsn().0;
        self.touched =
            touched.into_iter().map(|(log, next_offset)| Named { log, next_offset }).collect();
    }

    /// An append, mostly; or a new log start. Its first offset.
    fn entry(&mut self, input: &mut Input<'_>, log: usize) -> (EntryKind, Vec<u8>, i64) {
        let base = self.ends[log];
        if input.below(8) == 0 {
            let start = self.starts[log].max(base - input.below(3) as i64);
            self.starts[log] = start;
            return (EntryKind::LogStart, Vec::new(), start);
        }
        let batch = made::batch(input, Offset(base), LeaderEpoch(2));
        let count = storage::batch::BatchView::first(&batch).expect("just built").count();
        self.ends[log] = base + i64::from(count);
        self.batches[log].push((self.ends[log], batch.clone()));
        (EntryKind::Append, batch, base)
    }

    /// Whether a frame still stands where it was written.
    fn whole(&self, frame: &Written) -> bool {
        self.files[frame.file].get(frame.at..frame.at + frame.bytes.len()) == Some(&frame.bytes[..])
    }
}

/// A block that recycling leaves behind: a whole frame of another file, generation, shard or salt, which claims much.
fn stale(input: &mut Input<'_>) -> Vec<u8> {
    let mut identity = identity();
    let mut file_sequence = 1;
    match input.below(4) {
        0 => file_sequence = 0,
        1 => identity.generation = Generation(1),
        2 => identity.shard = SHARD + 1,
        _ => identity.salt ^= 1,
    }
    let header = Header {
        identity,
        purpose: Purpose::Entries,
        durability: Durability::Device,
        file_sequence,
        lsn: Lsn(1 + input.below(40) as u64),
        previous_lsn: Lsn(1),
        durable_upto: Lsn(u64::MAX),
        total_len: FRAME_ALIGN as u32,
        used_len: HEADER_BYTES as u32,
        table_at: HEADER_BYTES as u32,
        entries: 0,
        named: 0,
        written_ms: NOW_MS,
    };
    let mut bytes = header.encode(Sum::default()).to_vec();
    bytes.resize(FRAME_ALIGN, 0);
    bytes
}

fn written(input: &mut Input<'_>) {
    let file_bytes = FRAME_ALIGN * (4 + input.below(28));
    let before = match input.below(4) {
        0 => stale(input).repeat(file_bytes / FRAME_ALIGN),
        _ => vec![0; file_bytes],
    };
    let mut medium = Medium::new(file_bytes, before);
    for _ in 0..=input.below(12) {
        medium.write(input);
    }
    // Checkpoints may know how far the journal was on the device.
    let known = if input.flag() { medium.durable } else { 0 };
    let places = input.below(5);
    for _ in 0..places {
        let file = input.below(medium.files.len());
        made::damage(input, &mut medium.files[file], 1);
    }
    let files = (1..).zip(&medium.files).map(|(sequence, file)| (sequence, &file[..])).collect();
    let came = rehearse(files, Lsn(1), Lsn(known));
    sound(&came);
    let hurt = medium.frames.iter().any(|frame| !medium.whole(frame));
    let proven = proven(&medium).max(known);
    frames_as_written(&medium, &came, hurt, proven);
    logs_as_written(&medium, &came, hurt, proven);
}

fn frames_as_written(medium: &Medium, came: &Rehearsed, hurt: bool, proven: u64) {
    let lsns: Vec<u64> = came.frames.iter().map(|lsn| lsn.0).collect();
    for lsn in &lsns {
        let frame = medium.frames.iter().find(|frame| frame.lsn == *lsn);
        assert!(frame.is_some(), "a frame that nobody wrote: {lsn}");
    }
    if !hurt {
        let all: Vec<u64> = medium.frames.iter().map(|frame| frame.lsn).collect();
        assert_eq!(lsns, all, "every frame comes back");
        assert!(came.gaps.is_empty(), "nothing is missing: {:?}", came.gaps);
        assert_eq!(came.end.upto.0, medium.next);
        return;
    }
    for frame in medium.frames.iter().filter(|frame| frame.lsn < proven) {
        let replayed = lsns.contains(&frame.lsn);
        let told = came
            .gaps
            .iter()
            .any(|gap| gap.from.0 < frame.next_lsn && gap.to.is_none_or(|to| to.0 > frame.lsn));
        assert!(replayed || told, "frame {} was durable and is silently gone", frame.lsn);
    }
}

/// Exclusive: some whole frame says that everything below was durable.
fn proven(medium: &Medium) -> u64 {
    let whole = medium.frames.iter().filter(|frame| medium.whole(frame));
    whole.map(|frame| frame.durable_upto).max().unwrap_or(0)
}

fn logs_as_written(medium: &Medium, came: &Rehearsed, hurt: bool, proven: u64) {
    let durable = medium.frames.iter().rfind(|frame| frame.next_lsn <= proven);
    let durable = durable.map_or([0; LOGS], |frame| frame.ends);
    assert!(came.unknown == 0 && came.truncations.is_empty());
    for (log, durable) in durable.into_iter().enumerate() {
        let checkpoint = came.checkpoints.iter().find(|one| one.id == log_id(log));
        let checkpoint = checkpoint.expect("each log has its next checkpoint");
        let end = checkpoint.synced_upto.0;
        if let Some(reason) = &checkpoint.offline {
            assert!(hurt, "nothing was hurt: {reason}");
        } else {
            assert!(end >= durable, "log {log} ends at {end}, {durable} was durable");
        }
        if !hurt {
            assert_eq!((end, checkpoint.log_start.0), (medium.ends[log], medium.starts[log]));
        }
        let upto = medium.batches[log].iter().take_while(|(next, _)| *next <= end);
        let expected: Vec<u8> = upto.flat_map(|(_, batch)| batch).copied().collect();
        assert_eq!(segments_of(checkpoint, came), expected, "log {log} holds what was written");
    }
}

/// All bytes of a log's segments, after the writes.
fn segments_of(checkpoint: &LogCheckpoint, came: &Rehearsed) -> Vec<u8> {
    let mut files: BTreeMap<Offset, Vec<u8>> = BTreeMap::new();
    for write in came.writes.get(&checkpoint.id).into_iter().flatten() {
        let file = files.entry(write.segment).or_default();
        assert!(write.position.is_multiple_of(FRAME_ALIGN as u64), "writes are aligned");
        let end = write.position as usize + write.bytes.len();
        file.resize(file.len().max(end), 0);
        file[write.position as usize..end].copy_from_slice(&write.bytes);
        if let Some(cut) = write.cut {
            file.resize(cut as usize, 0);
        }
    }
    let mut all = Vec::new();
    for segment in &checkpoint.segments {
        let file = files.get(&segment.base).map_or(&[][..], |file| &file[..]);
        assert_eq!(file.len() as u64, segment.bytes, "a segment has its exact length");
        all.extend_from_slice(file);
    }
    all
}

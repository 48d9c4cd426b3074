//! Sealed segments and their indexes: the index file, building an index, and the walk of a cold read; over any bytes,
//! and over segments written as a log writes them and then damaged.
//!
//! Rules: an index decodes to itself or is refused, and answers every question within its segment; a cold read gives
//! whole batches with right checksums, in order, the first being the one wanted; where nothing was hurt it gives exactly
//! what a reading from the front gives, whatever the index says; an index built by the walk is the one built on append.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use engine::buffer::Slice;
use storage::batch::crc::crc32c;
use storage::batch::{BatchView, split};
use storage::cold_read::{CHUNK_BYTES, Chunks, ColdFound, Failure, Loaded, SegmentWalk};
use storage::ids::{FilePosition, LeaderEpoch, Offset};
use storage::log::SegmentIndex;
use storage::log::read::{ColdRead, Place};

use crate::input::Input;
use crate::made;

const BASE: Offset = Offset(1_000);

/// Which way, then the bytes or the script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(4) {
        0 => index_file(&mut input),
        1 => {
            let asked = Asked::new(&mut input);
            let position = FilePosition(u64::from(input.u16()));
            let segment = input.rest();
            let end = split(segment).flatten().last().map_or(BASE, |batch| batch.next_offset());
            let read_of = asked.of(segment, end);
            if let Ok(found) = read(segment, &read_of, Place { position, offset: asked.from }) {
                sound(segment, &read_of, &found);
            }
            let _ = walked_index(segment, asked.interval);
        }
        _ => written(&mut input),
    }
}

/// The chunks of a segment in memory.
struct Memory<'a>(&'a [u8]);

impl Chunks for Memory<'_> {
    async fn chunk(&self, number: u64, len: usize) -> Loaded {
        let at = (number * CHUNK_BYTES) as usize;
        let bytes = self.0.get(at..at + len).ok_or_else(|| Arc::from("beyond the end"))?;
        Ok(Slice::from_vec(bytes.to_vec()))
    }

    fn start(&self, number: u64, len: usize) {
        let end = number * CHUNK_BYTES + len as u64;
        assert!(end <= self.0.len() as u64, "nothing behind the end is read ahead");
    }

    async fn pause(&self) {}
}

/// Runs what never waits.
fn now<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("memory is never waited for"),
    }
}

fn read(segment: &[u8], read: &ColdRead, hint: Place) -> Result<ColdFound, Failure> {
    let mut walk = SegmentWalk::new(Memory(segment), BASE, FilePosition(segment.len() as u64));
    now(walk.batches(read, hint, &|_| true))
}

fn walked_index(segment: &[u8], interval: u32) -> (SegmentIndex, Result<(), Failure>) {
    let mut walk = SegmentWalk::new(Memory(segment), BASE, FilePosition(segment.len() as u64));
    let mut index = SegmentIndex::new(BASE, interval);
    let ended = now(walk.extend(&mut index));
    (index, ended)
}

/// What a reader wants.
struct Asked {
    from: Offset,
    max_bytes: usize,
    one_at_least: bool,
    interval: u32,
}

impl Asked {
    fn new(input: &mut Input<'_>) -> Asked {
        Asked {
            from: Offset(BASE.0 + input.i64().clamp(-5, 1 << 20)),
            max_bytes: input.below(60_000),
            one_at_least: input.flag(),
            interval: u32::from(input.u16()),
        }
    }

    fn of(&self, segment: &[u8], end: Offset) -> ColdRead {
        ColdRead {
            from: self.from,
            max_bytes: self.max_bytes,
            one_at_least: self.one_at_least,
            segment: BASE,
            limit: FilePosition(segment.len() as u64),
            end,
            cuts: 0,
        }
    }
}

/// All bytes that a read found.
fn bytes_of(found: &ColdFound) -> Vec<u8> {
    let bytes = found.pieces.iter().flat_map(|piece| piece.iter().copied()).collect::<Vec<u8>>();
    assert_eq!(bytes.len(), found.bytes);
    bytes
}

/// What holds of any answer.
fn sound(segment: &[u8], asked: &ColdRead, found: &ColdFound) {
    let bytes = bytes_of(found);
    assert!(bytes.is_empty() || segment.windows(bytes.len()).any(|part| part == bytes));
    let mut expected = BASE;
    for (index, batch) in split(&bytes).enumerate() {
        let batch = batch.expect("whole batches only");
        assert!(batch.check_crc(), "none that is damaged");
        assert!(index == 0 || batch.base_offset() == expected, "in order, without a gap");
        assert!(index > 0 || batch.next_offset() > asked.from, "from the one wanted on");
        expected = batch.next_offset();
    }
    let batches = split(&bytes).count();
    assert!(bytes.len() <= asked.max_bytes || (batches == 1 && asked.one_at_least));
}

fn index_file(input: &mut Input<'_>) {
    let fix = input.flag();
    let (offset, time) = (Offset(input.i64()), input.i64());
    let mut bytes = input.rest().to_vec();
    if fix && bytes.len() >= 64 {
        bytes[..8].copy_from_slice(b"HEDDLEIX");
        bytes[12..14].copy_from_slice(&1u16.to_le_bytes());
        let entries = (bytes.len() - 64) / 16;
        bytes.truncate(64 + entries * 16);
        bytes[60..64].copy_from_slice(&(entries as u32).to_le_bytes());
        let crc = crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    }
    let Ok(mut index) = SegmentIndex::decode(&bytes) else { return };
    assert_eq!(SegmentIndex::decode(&index.encode()).as_ref(), Ok(&index));
    let covered = index.bytes();
    assert!(index.position_for_offset(offset).0 < covered.max(1));
    assert!(index.position_for_timestamp(time).is_none_or(|at| at.0 < covered));
    let _ = index.max_timestamp();
    let kept = index.truncate(offset);
    assert!(kept.0 <= covered && index.bytes() == kept.0);
    let batch = storage::batch::Builder::empty(offset, 1);
    let batch = BatchView::first(&batch).expect("just built");
    index.append(batch.header(), batch.len());
    assert!(SegmentIndex::decode(&index.encode()).is_ok(), "what it becomes can be read again");
}

fn written(input: &mut Input<'_>) {
    let asked = Asked::new(input);
    let mut segment = Vec::new();
    let mut appended = SegmentIndex::new(BASE, asked.interval);
    let mut next = BASE;
    for _ in 0..input.below(14) {
        let batch = made::batch(input, next, LeaderEpoch(1));
        let view = BatchView::first(&batch).expect("just built");
        appended.append(view.header(), view.len());
        next = view.next_offset();
        segment.extend_from_slice(&batch);
    }
    let whole = segment.clone();
    let (walked, ended) = walked_index(&whole, asked.interval);
    assert_eq!((&walked, ended), (&appended, Ok(())), "an index built later is the same");

    let time = input.i64();
    times(&whole, &appended, time);
    let places = input.below(3);
    made::damage(input, &mut segment, places);
    let wrong = Place { position: FilePosition(u64::from(input.u16()) * 3), offset: asked.from };
    let position = appended.position_for_offset(asked.from);
    let hint = Place { position, offset: offset_at(&whole, position) };
    let front = Place { position: FilePosition(0), offset: BASE };
    let asked = asked.of(&segment, next);
    for hint in [hint, front, wrong] {
        let found = read(&segment, &asked, hint);
        if segment == whole {
            let lies = hint.position.0 != 0 && !batch_starts(&whole).contains(&hint.position.0);
            match found {
                Ok(found) => {
                    // A hint into the middle of a batch can meet bytes that look like one: only whole ones are served.
                    sound(&segment, &asked, &found);
                    assert!(lies || bytes_of(&found) == plain(&whole, &asked), "as from the front");
                }
                Err(failure) => panic!("nothing was hurt: {failure:?}"),
            }
        } else if let Ok(found) = found {
            sound(&segment, &asked, &found);
        }
    }
}

fn batch_starts(segment: &[u8]) -> Vec<u64> {
    let mut at = 0;
    let mut starts = Vec::new();
    for batch in split(segment).flatten() {
        starts.push(at);
        at += batch.len() as u64;
    }
    starts
}

/// The base offset of the batch at a position.
fn offset_at(segment: &[u8], position: FilePosition) -> Offset {
    let batch = BatchView::first(&segment[position.0 as usize..]);
    batch.map_or(BASE, |batch| batch.base_offset())
}

/// The answer of a reader that begins at the front.
fn plain(segment: &[u8], asked: &ColdRead) -> Vec<u8> {
    let mut out = Vec::new();
    for batch in split(segment).flatten().skip_while(|batch| batch.next_offset() <= asked.from) {
        let fits = out.len() + batch.len() <= asked.max_bytes;
        let first = out.is_empty() && asked.one_at_least;
        if !(fits || first) {
            break;
        }
        out.extend_from_slice(batch.bytes());
    }
    out
}

/// From where the index says to look, the first batch that is late enough is the first of all.
fn times(segment: &[u8], index: &SegmentIndex, time: i64) {
    let first = |from: usize| {
        let mut batches = split(&segment[from..]).flatten();
        batches.find(|batch| batch.max_timestamp() >= time).map(|batch| batch.base_offset())
    };
    match index.position_for_timestamp(time) {
        Some(at) => assert_eq!(first(at.0 as usize), first(0)),
        None => assert_eq!(first(0), None),
    }
}

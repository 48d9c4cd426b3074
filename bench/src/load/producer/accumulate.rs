//! Records gather in batches, one open per partition, until they may be sent.
//!
//! ```text
//!            push                full, or due when taken              take
//!  record ────────▶ open batch ──────────────────────────▶ ready ───────────▶ in flight ──▶ settled
//!                                                            ▲                     │
//!                                                            └──── put_back ───────┘
//! ```
//! A lane that has something to send is *due* and is named once by [`Accumulator::take_due`]; who takes a batch of it asks
//! with [`Accumulator::take`], which says whether there is more. With linger 0 a lane is due with its first record, else
//! when a batch is full or its time is up; at saturation when a batch is full.
//!
//! Holds always: the batches of a lane leave in the order of their numbers; what is held (open, ready and in flight) costs
//! at most `bytes_max` of memory, or one batch.

use std::collections::VecDeque;
use std::time::Duration;

use engine::buffer::{self, Block, Slice};
use protocol::client::partition_for_key;

use crate::error::BenchError;
use crate::plan::{Codec, Partitioning, Plan, Rate};
use crate::record::{BatchWriter, Cursor, Key, KeyDice, Pool, Sequence, SizeDice, Stamp};

/// What a record takes in a batch besides key and value, at most; and the header of the batch.
const OVERHEAD_BYTES: usize = 32 + 61;

/// Smaller blocks are not worth a copy.
const SHRINK_FROM: usize = 64 << 10;

/// Vectors of intended times that are kept for further batches.
const SPARES_MAX: usize = 64;

/// A batch that is whole.
#[derive(Debug)]
pub struct Batch {
    /// Its partition, counted through all topics.
    pub lane: u32,
    /// The number of its first record.
    pub first: u64,
    /// The intended time of each record, ascending.
    pub intended: Vec<u64>,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// The batch as it goes over the wire.
    pub frame: Slice,
    /// When it was sent first; 0 not yet.
    pub sent_first: u64,
}

impl Batch {
    /// Records in it.
    pub fn count(&self) -> u64 {
        self.intended.len() as u64
    }
}

struct Open {
    writer: BatchWriter<Block>,
    first: u64,
    intended: Vec<u64>,
    bytes: u64,
}

#[derive(Default)]
struct Lane {
    open: Option<Open>,
    /// The open batch may leave.
    open_due: bool,
    ready: VecDeque<Batch>,
    /// Of the next record.
    number: u64,
    /// The number whose sequence number is 0.
    sequence_from: u64,
    in_flight: u32,
    /// Somebody knows that it is due.
    listed: bool,
    /// A batch came back: one at a time until one is through.
    careful: bool,
    /// Nothing leaves until the cluster was asked again.
    held: bool,
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// As much memory is held as may be.
    Memory,
}

struct Drawn {
    key: Option<Key>,
    length: u32,
    /// Of its bytes in the pool.
    position: u32,
    lane: usize,
}

/// The batches of one producer.
pub struct Accumulator {
    producer: u32,
    run: u32,
    pool: Pool,
    cursor: Cursor,
    sizes: SizeDice,
    keys: KeyDice,
    codec: Codec,
    partitioning: Partitioning,
    partitions: u32,
    batch_bytes: usize,
    linger: Linger,
    /// Added to nanoseconds of the monotonic clock, gives those of the calendar.
    wall_ns: i64,
    lanes: Vec<Lane>,
    /// Drawn, and not written yet for want of memory.
    drawn: Option<Drawn>,
    /// The last lane (or topic) that had its turn.
    round: usize,
    sticky: usize,
    due: Vec<u32>,
    lingering: VecDeque<(u64, u32, u64)>,
    identity: Option<(i64, i16)>,
    held_bytes: usize,
    bytes_max: usize,
    /// Bytes of batches that wait to be taken.
    ready_bytes: usize,
    /// Bytes of keys and values written so far.
    written_bytes: u64,
    spares: Vec<Vec<u64>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Linger {
    None,
    Nanos(u64),
    UntilFull,
}

impl Linger {
    fn of(plan: &Plan) -> Linger {
        match (plan.rate, plan.linger()) {
            (Rate::Max, _) => Linger::UntilFull,
            (Rate::PerSecond(_), Duration::ZERO) => Linger::None,
            (Rate::PerSecond(_), linger) => Linger::Nanos(linger.as_nanos() as u64),
        }
    }
}

impl Accumulator {
    /// Of one of the plan's producers.
    pub fn new(plan: &Plan, producer: u32, run: u32, pool: Pool, bytes_max: usize) -> Accumulator {
        let lanes = (plan.topics * plan.partitions) as usize;
        let round = producer as usize % lanes;
        Accumulator {
            producer,
            run,
            cursor: pool.cursor(plan.seed, producer),
            pool,
            sizes: SizeDice::new(&plan.sizes, plan.seed, producer),
            keys: KeyDice::new(&plan.keys, plan.seed, producer),
            codec: plan.codec,
            partitioning: plan.partitioning,
            partitions: plan.partitions,
            batch_bytes: plan.batch_bytes as usize,
            linger: Linger::of(plan),
            wall_ns: engine::time::unix_ms() * 1_000_000 - engine::time::now().nanos() as i64,
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
            drawn: None,
            round,
            sticky: round,
            due: Vec::new(),
            lingering: VecDeque::new(),
            identity: None,
            held_bytes: 0,
            bytes_max,
            ready_bytes: 0,
            written_bytes: 0,
            spares: Vec::new(),
        }
    }

    /// Writes the next record, meant for `intended`, into the batch of its partition.
    ///
    /// # Errors
    /// There is no memory for it now: [`Full`]. Or a codec failed.
    pub fn push(&mut self, now: u64, intended: u64) -> Result<Result<(), Full>, BenchError> {
        let mut drawn = match self.drawn.take() {
            Some(drawn) => drawn,
            None => {
                let (key, length) = (self.keys.draw(), self.sizes.draw());
                let position = self.cursor.next(length);
                Drawn { lane: self.lane_of(key.as_ref()), key, length, position }
            }
        };
        let time_ms = (intended as i64 + self.wall_ns) / 1_000_000;
        loop {
            let lane = drawn.lane;
            if self.lanes[lane].open.is_none() && !self.open(lane, &drawn) {
                self.drawn = Some(drawn);
                self.make_all_due();
                return Ok(Err(Full::Memory));
            }
            let number = self.lanes[lane].number;
            let Some(open) = &mut self.lanes[lane].open else { unreachable!("just opened") };
            let stamp = Stamp {
                run: self.run,
                producer: self.producer,
                lane: lane as u32,
                number,
                intended_ns: intended,
                position: drawn.position,
                length: drawn.length,
            };
            let key = drawn.key.as_ref().map(|key| &key.0[..]);
            if open.writer.push(time_ms, key, &stamp, self.pool.value(&stamp)) {
                open.intended.push(intended);
                let bytes = u64::from(drawn.length) + key.map_or(0, <[u8]>::len) as u64;
                open.bytes += bytes;
                self.written_bytes += bytes;
                let is_first = open.intended.len() == 1;
                self.lanes[lane].number += 1;
                if is_first {
                    self.on_first(lane, now);
                }
                return Ok(Ok(()));
            }
            assert!(!open.intended.is_empty(), "an empty batch takes any record");
            self.close(lane)?;
            self.list(lane);
            if self.partitioning == Partitioning::Sticky {
                drawn.lane = self.sticky;
            }
        }
    }

    /// Only whole batches leave from now on.
    pub fn saturate(&mut self) {
        self.linger = Linger::UntilFull;
    }

    /// Batches leave from now on as the plan says.
    pub fn keep_to(&mut self, plan: &Plan) {
        self.linger = Linger::of(plan);
    }

    fn lane_of(&mut self, key: Option<&Key>) -> usize {
        let lanes = self.lanes.len();
        match (self.partitioning, key) {
            (Partitioning::ByKey, Some(key)) => {
                let topics = lanes / self.partitions as usize;
                self.round = (self.round + 1) % topics;
                let partition = partition_for_key(&key.0, self.partitions);
                self.round * self.partitions as usize + partition as usize
            }
            (Partitioning::Sticky, _) => self.sticky,
            (Partitioning::RoundRobin | Partitioning::ByKey, _) => {
                self.round = (self.round + 1) % lanes;
                self.round
            }
        }
    }

    fn open(&mut self, lane: usize, drawn: &Drawn) -> bool {
        let record =
            OVERHEAD_BYTES + drawn.length as usize + drawn.key.map_or(0, |key| key.0.len());
        let most = self.batch_bytes.max(record);
        // What cannot be compressed grows.
        let room = if self.codec == Codec::None { most } else { most + most / 64 + 256 };
        if self.held_bytes > 0 && self.held_bytes + room > self.bytes_max {
            return false;
        }
        let Some(block) = buffer::try_alloc(room) else { return false };
        self.held_bytes += block.len();
        let place = &mut self.lanes[lane];
        place.open = Some(Open {
            writer: BatchWriter::new(self.codec, block, 0, self.batch_bytes),
            first: place.number,
            intended: self.spares.pop().unwrap_or_default(),
            bytes: 0,
        });
        true
    }

    fn on_first(&mut self, lane: usize, now: u64) {
        match self.linger {
            Linger::None => {
                self.lanes[lane].open_due = true;
                self.list(lane);
            }
            Linger::Nanos(linger) => {
                let first = self.lanes[lane].number - 1;
                self.lingering.push_back((now + linger, lane as u32, first));
            }
            Linger::UntilFull => {}
        }
    }

    fn close(&mut self, lane: usize) -> Result<(), BenchError> {
        let place = &mut self.lanes[lane];
        let Some(open) = place.open.take() else { return Ok(()) };
        place.open_due = false;
        let sequence = self.identity.map(|(producer_id, epoch)| Sequence {
            producer_id,
            epoch,
            first: ((open.first - place.sequence_from) & 0x7fff_ffff) as i32,
        });
        let (block, range) = open.writer.finish(sequence)?;
        let block = self.shrink(block, range.end);
        let frame = block.freeze(range.end);
        self.ready_bytes += frame.len();
        self.lanes[lane].ready.push_back(Batch {
            lane: lane as u32,
            first: open.first,
            intended: open.intended,
            bytes: open.bytes,
            frame,
            sent_first: 0,
        });
        if self.sticky == lane && self.partitioning == Partitioning::Sticky {
            self.sticky = (self.sticky + 1) % self.lanes.len();
        }
        Ok(())
    }

    /// Moves the `used` bytes of a large block that is mostly empty to one of their size. Batches on their way would else take the
    /// memory of full ones, and with many partitions soon all of it.
    fn shrink(&mut self, block: Block, used: usize) -> Block {
        if block.len() < SHRINK_FROM || used > block.len() / 4 {
            return block;
        }
        let Some(mut small) = buffer::try_alloc(used) else { return block };
        small[..used].copy_from_slice(&block[..used]);
        self.held_bytes = self.held_bytes - block.len() + small.len();
        small
    }

    fn list(&mut self, lane: usize) {
        let place = &mut self.lanes[lane];
        if !place.listed && !place.held {
            place.listed = true;
            self.due.push(lane as u32);
        }
    }

    /// All that is there may leave.
    pub fn make_all_due(&mut self) {
        self.lingering.clear();
        for lane in 0..self.lanes.len() {
            let place = &mut self.lanes[lane];
            place.open_due = place.open.is_some();
            if place.open_due || !place.ready.is_empty() {
                self.list(lane);
            }
        }
    }

    /// When the next batch has waited long enough.
    pub fn next_deadline(&self) -> Option<u64> {
        self.lingering.front().map(|(deadline, ..)| *deadline)
    }

    /// Batches that have waited long enough become due.
    pub fn end_linger(&mut self, now: u64) {
        while let Some((deadline, lane, first)) = self.lingering.front().copied()
            && deadline <= now
        {
            self.lingering.pop_front();
            let place = &mut self.lanes[lane as usize];
            if place.open.as_ref().is_some_and(|open| open.first == first) {
                place.open_due = true;
                self.list(lane as usize);
            }
        }
    }

    /// Hands out the lanes that have become due. Each is the receiver's until it takes from it.
    pub fn take_due(&mut self) -> impl Iterator<Item = u32> {
        self.due.drain(..)
    }

    /// Nothing of the lane, which was due, leaves until [`Accumulator::release`].
    pub fn hold(&mut self, lane: u32) {
        let place = &mut self.lanes[lane as usize];
        place.listed = false;
        place.held = true;
    }

    /// A due lane is nobody's again, without having been taken from.
    pub fn unlist(&mut self, lane: u32) {
        self.lanes[lane as usize].listed = false;
    }

    /// All that may leave is listed once more: whoever had been told has forgotten it.
    pub fn list_all_again(&mut self) {
        self.due.clear();
        for lane in 0..self.lanes.len() {
            let place = &mut self.lanes[lane];
            place.listed = false;
            if place.open_due || !place.ready.is_empty() {
                self.list(lane);
            }
        }
    }

    /// Whether lanes have become due.
    pub fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// The next batch of a due lane, if it may leave now. The lane is listed anew if there is more.
    ///
    /// # Errors
    /// A codec failed.
    pub fn take(&mut self, lane: u32) -> Result<Option<Batch>, BenchError> {
        let at = lane as usize;
        self.lanes[at].listed = false;
        let place = &self.lanes[at];
        if place.held || (place.careful && place.in_flight > 0) {
            return Ok(None);
        }
        if place.ready.is_empty() && place.open_due {
            self.close(at)?;
        }
        let place = &mut self.lanes[at];
        let Some(batch) = place.ready.pop_front() else { return Ok(None) };
        place.in_flight += 1;
        self.ready_bytes -= batch.frame.len();
        if !place.ready.is_empty() || place.open_due {
            self.list(at);
        }
        Ok(Some(batch))
    }

    /// A batch that was taken has its final answer, or is given up: its memory is free again.
    pub fn settle(&mut self, mut batch: Batch, through: bool) {
        let place = &mut self.lanes[batch.lane as usize];
        place.in_flight -= 1;
        if through {
            place.careful = false;
        }
        let more = !place.ready.is_empty() || place.open_due;
        self.held_bytes -= batch.frame.retained();
        if self.spares.len() < SPARES_MAX {
            batch.intended.clear();
            self.spares.push(batch.intended);
        }
        if more {
            self.list(batch.lane as usize);
        }
    }

    /// A batch that was taken has to be sent again. Its lane is held until [`Accumulator::release`].
    pub fn put_back(&mut self, batch: Batch) {
        let place = &mut self.lanes[batch.lane as usize];
        place.in_flight -= 1;
        place.careful = true;
        place.held = true;
        self.ready_bytes += batch.frame.len();
        let at = place.ready.iter().take_while(|ready| ready.first < batch.first).count();
        place.ready.insert(at, batch);
    }

    /// Lanes that were held may send again.
    pub fn release(&mut self) {
        for lane in 0..self.lanes.len() {
            let place = &mut self.lanes[lane];
            if std::mem::take(&mut place.held) && (!place.ready.is_empty() || place.open_due) {
                self.list(lane);
            }
        }
    }

    /// Another batch of the lane is in flight, or an earlier one has to be sent again.
    pub fn has_company(&self, lane: u32) -> bool {
        self.lanes[lane as usize].in_flight > 1
    }

    /// A batch of the lane before number `first` is not through yet.
    pub fn waits_for_earlier(&self, lane: u32, first: u64) -> bool {
        let place = &self.lanes[lane as usize];
        place.careful && place.ready.front().is_some_and(|ready| ready.first < first)
    }

    /// Batches are numbered for this producer id from now on, in each lane from 0. Those that are whole already are
    /// numbered for another: they come out, to be given up.
    pub fn identify(&mut self, identity: (i64, i16)) -> Vec<Batch> {
        self.identity = Some(identity);
        let mut old = Vec::new();
        for place in &mut self.lanes {
            place.sequence_from = place.open.as_ref().map_or(place.number, |open| open.first);
            place.careful = false;
            place.in_flight += place.ready.len() as u32;
            old.extend(place.ready.drain(..));
        }
        self.ready_bytes = 0;
        old
    }

    /// Everything that is not in flight comes out, to be given up.
    ///
    /// # Errors
    /// A codec failed.
    pub fn abandon(&mut self) -> Result<Vec<Batch>, BenchError> {
        let mut all = Vec::new();
        for lane in 0..self.lanes.len() {
            self.close(lane)?;
            let place = &mut self.lanes[lane];
            place.in_flight += place.ready.len() as u32;
            all.extend(place.ready.drain(..));
        }
        self.ready_bytes = 0;
        Ok(all)
    }

    /// Bytes of whole batches that wait.
    pub fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// Bytes of keys and values written so far.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Nothing is open, ready or in flight.
    pub fn is_empty(&self) -> bool {
        self.held_bytes == 0
    }
}

#[cfg(test)]
mod tests;

//! Reads of batches that are no longer in memory: direct I/O into aligned chunks that all consumers of a shard share.
//!
//! A chunk is a fixed 256 KiB piece of a segment file. Whoever misses it first starts its read; others wait for the
//! same one, so that N lagging consumers cost one read. A reader that goes through a segment in order finds the next
//! two chunks on their way. The cache has its own bytes, and the reads' bytes in flight come out of the device's
//! budget: a cold reader must not slow producers.
//!
//! Nothing from the disk is believed: magic, length, order of offsets and checksum of every batch are verified before
//! it is handed out. A batch that fails is read once more, then named and not served.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use ahash::AHashMap;
use engine::buffer::{self, Slice};
use engine::sync::{Receiver, Semaphore, Sender, oneshot};
use engine::task::{self, Queue};
use zerocopy::FromBytes;

use crate::batch::crc::Crc32c;
use crate::batch::view::{BATCH_HEADER_BYTES, BatchHeader, CRC_FROM, MAGIC};
use crate::ids::{FilePosition, Offset};
use crate::log::SegmentIndex;
use crate::log::read::{ColdRead, ReadError};
use crate::log::space;
use crate::store::device_budget::DeviceBudget;
use crate::store::files::{Files, SegmentKey};

/// Bytes of a chunk: large enough that a device reaches its throughput at depth 2 to 3, small enough that a consumer
/// who wants one record does not wait long for it.
pub const CHUNK_BYTES: u64 = 256 << 10;

/// Chunks fetched ahead of a reader that goes through a segment in order.
const READ_AHEAD_CHUNKS: u64 = 2;

/// Chunks of one read that are started at once.
const READ_AT_ONCE_CHUNKS: u64 = 4;

/// The most bytes one cold read returns, whatever was asked for; a single larger batch is still returned whole.
const READ_BYTES_MAX: usize = 4 << 20;

/// What cold reads have cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColdStats {
    /// Reads answered from segments.
    pub reads: u64,
    /// Bytes of batches they returned.
    pub bytes: u64,
    /// Chunks read from the disk.
    pub chunks_read: u64,
    /// Bytes read from the disk.
    pub disk_bytes: u64,
    /// Chunks found in the cache or already on their way.
    pub chunks_shared: u64,
    /// Bytes of chunks in the cache now.
    pub cached_bytes: usize,
    /// Batches that failed verification twice.
    pub corrupt: u64,
}

/// Batches from a segment.
pub struct ColdFound {
    /// Whole batches, in order; a batch may lie across two pieces.
    pub pieces: Vec<Slice>,
    /// Bytes of all pieces.
    pub bytes: usize,
    /// The index named a position where no batch begins: it should be built again.
    pub index_wrong: bool,
}

/// The cold reads of one shard.
pub struct ColdReader {
    files: Rc<Files>,
    device: Arc<DeviceBudget>,
    bytes_max: usize,
    /// What reads may hold while they wait for more. Without it many reads could share out the shard's memory and each
    /// wait for the rest of its own for ever.
    in_hand: Semaphore,
    in_hand_max: u64,
    chunks: RefCell<Chunks>,
    stats: Cell<ColdStats>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct ChunkKey {
    segment: SegmentKey,
    number: u64,
}

#[derive(Default)]
struct Chunks {
    map: AHashMap<ChunkKey, Chunk>,
    bytes: usize,
    clock: u64,
}

enum Chunk {
    /// On its way.
    Loading {
        waiting: Vec<Sender<Loaded>>,
    },
    Ready {
        bytes: Slice,
        used: u64,
    },
}

type Loaded = Result<Slice, Arc<str>>;

/// Where a batch could not be had.
enum Failure {
    Disk(Arc<str>),
    Damaged { position: FilePosition, what: &'static str },
}

impl Failure {
    fn named(self, segment: Offset) -> ReadError {
        match self {
            Failure::Disk(cause) => ReadError::Io { segment, cause },
            Failure::Damaged { position, what } => ReadError::Corrupt { segment, position, what },
        }
    }
}

impl ColdReader {
    /// A reader that keeps at most `bytes_max` of chunks.
    pub fn new(files: Rc<Files>, device: Arc<DeviceBudget>, bytes_max: usize) -> Rc<ColdReader> {
        let map = AHashMap::with_hasher(ahash::RandomState::with_seeds(5, 6, 7, 8));
        let chunks = RefCell::new(Chunks { map, bytes: 0, clock: 0 });
        let in_hand_max = (bytes_max as u64).max(2 * CHUNK_BYTES);
        let in_hand = Semaphore::new(in_hand_max);
        let stats = Cell::default();
        Rc::new(ColdReader { files, device, bytes_max, in_hand, in_hand_max, chunks, stats })
    }

    /// What it did so far.
    pub fn stats(&self) -> ColdStats {
        ColdStats { cached_bytes: self.chunks.borrow().bytes, ..self.stats.get() }
    }

    /// Reads whole batches of one segment. `hint` is where an index says to look; batches before it are not seen. The
    /// result is empty when the segment holds nothing at or after the offset.
    pub async fn read(
        self: &Rc<Self>,
        slot: u32,
        dir: &Rc<str>,
        read: &ColdRead,
        hint: FilePosition,
    ) -> Result<ColdFound, ReadError> {
        let key = SegmentKey { slot, base: read.segment };
        let bytes = read.max_bytes.min(READ_BYTES_MAX) as u64 + CHUNK_BYTES;
        // Never closed; and a batch larger than all of it is read alone.
        let _in_hand = self.in_hand.acquire(bytes.min(self.in_hand_max)).await.ok();
        let mut second_try = false;
        loop {
            let mut walk = Walk::new(self, key, dir, read.limit.0);
            let failure = match walk.batches(read, hint.0).await {
                Ok(found) => {
                    self.count(|stats| {
                        stats.reads += 1;
                        stats.bytes += found.bytes as u64;
                    });
                    return Ok(found);
                }
                Err(failure) => failure,
            };
            match failure {
                Failure::Disk(cause) => return Err(ReadError::Io { segment: key.base, cause }),
                Failure::Damaged { position, what } if second_try => {
                    self.count(|stats| stats.corrupt += 1);
                    let segment = key.base;
                    tracing::error!(
                        dir = &**dir, %segment, %position, what,
                        "a stored batch is damaged and is not served"
                    );
                    return Err(ReadError::Corrupt { segment, position, what });
                }
                // Once more from the disk itself: the damage may have been on the way.
                Failure::Damaged { .. } => {
                    second_try = true;
                    self.forget(key);
                }
            }
        }
    }

    /// Brings an index up to `limit` by walking over the headers it does not cover yet; a damaged one ends the walk and
    /// comes with what was covered before it.
    pub(crate) async fn extend_index(
        self: &Rc<Self>,
        key: SegmentKey,
        dir: &Rc<str>,
        limit: FilePosition,
        index: SegmentIndex,
    ) -> (SegmentIndex, Option<ReadError>) {
        let mut walk = Walk::new(self, key, dir, limit.0);
        let mut index = index;
        let failure = walk.extend(&mut index).await.err();
        (index, failure.map(|failure| failure.named(key.base)))
    }

    /// The base offset of the batch at a position that an index named; the segment's own if none begins there.
    pub(crate) async fn offset_at(
        self: &Rc<Self>,
        key: SegmentKey,
        dir: &Rc<str>,
        limit: FilePosition,
        position: FilePosition,
    ) -> Offset {
        let mut walk = Walk::new(self, key, dir, limit.0);
        let header = walk.header(position.0, Offset(0)).await.ok().flatten();
        header.map_or(key.base, |header| header.base_offset())
    }

    /// Drops what is cached of a segment.
    pub fn forget(&self, key: SegmentKey) {
        let mut chunks = self.chunks.borrow_mut();
        let mut freed = 0;
        chunks.map.retain(|chunk, state| match state {
            Chunk::Ready { bytes, .. } if chunk.segment == key => {
                freed += bytes.len();
                false
            }
            _ => true,
        });
        chunks.bytes -= freed;
    }

    fn count(&self, change: impl FnOnce(&mut ColdStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }

    /// The first `len` bytes of a chunk.
    async fn chunk(self: &Rc<Self>, key: ChunkKey, dir: &Rc<str>, len: usize) -> Loaded {
        loop {
            match self.ask(key, dir, len) {
                Asked::Ready(bytes) => return Ok(bytes.slice(0..len)),
                Asked::Wait(receiver) => {
                    let loaded =
                        receiver.await.map_err(|_| Arc::from("the read was given up"))??;
                    if loaded.len() >= len {
                        return Ok(loaded.slice(0..len));
                    }
                    // It was begun when the segment was shorter: ask for the rest.
                }
            }
        }
    }

    /// Starts a read of the chunk unless it is there or on its way.
    fn ask(self: &Rc<Self>, key: ChunkKey, dir: &Rc<str>, len: usize) -> Asked {
        let mut chunks = self.chunks.borrow_mut();
        chunks.clock += 1;
        let now = chunks.clock;
        match chunks.map.get_mut(&key) {
            Some(Chunk::Ready { bytes, used }) if bytes.len() >= len => {
                *used = now;
                let bytes = bytes.clone();
                self.count(|stats| stats.chunks_shared += 1);
                return Asked::Ready(bytes);
            }
            Some(Chunk::Loading { waiting }) => {
                let (sender, receiver) = oneshot();
                waiting.push(sender);
                self.count(|stats| stats.chunks_shared += 1);
                return Asked::Wait(receiver);
            }
            Some(Chunk::Ready { .. }) | None => {}
        }
        let (sender, receiver) = oneshot();
        let old = chunks.map.insert(key, Chunk::Loading { waiting: vec![sender] });
        if let Some(Chunk::Ready { bytes, .. }) = old {
            chunks.bytes -= bytes.len();
        }
        drop(chunks);
        let (this, dir) = (self.clone(), dir.clone());
        // A task of its own: the consumer that asked first may go away, the others still want it.
        task::spawn(Queue::Cold, async move {
            let loaded = this.load(key, &dir, len).await;
            this.on_loaded(key, loaded);
        });
        Asked::Wait(receiver)
    }

    async fn load(&self, key: ChunkKey, dir: &Rc<str>, len: usize) -> Loaded {
        let io = |error: std::io::Error| Arc::from(error.to_string());
        let file = self.files.get(key.segment, dir).await.map_err(io)?;
        let bytes = space::block_end(len as u64) as usize;
        let block = match buffer::try_alloc(bytes) {
            Some(block) => block,
            None => {
                self.evict_to(0);
                buffer::alloc(bytes).await.map_err(|error| Arc::from(error.to_string()))?
            }
        };
        let _share = self.device.take(bytes).await;
        let position = key.number * CHUNK_BYTES;
        let (read, block) = file.read_len_at(position, block, bytes).await;
        let read = read.map_err(io)?;
        self.count(|stats| {
            stats.chunks_read += 1;
            stats.disk_bytes += read as u64;
        });
        if read < len {
            return Err(
                format!("the file ends at byte {} inside a batch", position + read as u64).into()
            );
        }
        Ok(block.freeze(len))
    }

    fn on_loaded(&self, key: ChunkKey, loaded: Loaded) {
        let mut chunks = self.chunks.borrow_mut();
        chunks.clock += 1;
        let used = chunks.clock;
        let before = chunks.map.remove(&key);
        if let Ok(bytes) = &loaded {
            chunks.bytes += bytes.len();
            chunks.map.insert(key, Chunk::Ready { bytes: bytes.clone(), used });
        }
        drop(chunks);
        self.evict_to(self.bytes_max);
        if let Some(Chunk::Loading { waiting }) = before {
            for sender in waiting {
                // A consumer that went away no longer listens.
                let _ = sender.send(loaded.clone());
            }
        }
    }

    /// Gives up the chunks that were unused longest until at most `bytes_max` remain.
    fn evict_to(&self, bytes_max: usize) {
        let mut chunks = self.chunks.borrow_mut();
        while chunks.bytes > bytes_max {
            // At most some hundred chunks: a scan costs less than an order kept at each use.
            let oldest = chunks.map.iter().filter_map(|(key, chunk)| match chunk {
                Chunk::Ready { used, .. } => Some((*used, *key)),
                Chunk::Loading { .. } => None,
            });
            let Some((_, key)) = oldest.min_by_key(|(used, _)| *used) else { break };
            if let Some(Chunk::Ready { bytes, .. }) = chunks.map.remove(&key) {
                chunks.bytes -= bytes.len();
            }
        }
    }
}

enum Asked {
    Ready(Slice),
    Wait(Receiver<Loaded>),
}

/// A walk over the batches of one segment.
struct Walk<'a> {
    reader: &'a Rc<ColdReader>,
    key: SegmentKey,
    dir: &'a Rc<str>,
    limit: u64,
    /// The chunks of the walk's current range, in order.
    held: Vec<(u64, Slice)>,
}

impl<'a> Walk<'a> {
    fn new(reader: &'a Rc<ColdReader>, key: SegmentKey, dir: &'a Rc<str>, limit: u64) -> Walk<'a> {
        Walk { reader, key, dir, limit, held: Vec::new() }
    }

    async fn batches(&mut self, read: &ColdRead, hint: u64) -> Result<ColdFound, Failure> {
        let max = read.max_bytes.min(READ_BYTES_MAX);
        let mut index_wrong = false;
        let mut start = match self.find(read.from, hint).await {
            Err(Failure::Damaged { .. }) if hint > 0 => {
                index_wrong = true;
                self.find(read.from, 0).await?
            }
            found => found?,
        };
        // The index may also name a batch behind the one wanted: only offsets before it can tell.
        if hint > 0 && start.is_some_and(|start| start == hint) {
            let first = self.header(hint, Offset(0)).await?;
            if first.is_some_and(|header| header.base_offset() > read.from) {
                index_wrong = true;
                start = self.find(read.from, 0).await?;
            }
        }
        let Some(start) = start else {
            return Ok(ColdFound { pieces: Vec::new(), bytes: 0, index_wrong });
        };
        self.start_reads(start, start + max as u64);
        self.held.retain(|(number, _)| *number >= start / CHUNK_BYTES);
        let (mut end, mut expected) = (start, Offset(0));
        loop {
            let next = match self.verified(end, expected, start, max, read.one_at_least).await {
                // What is sound before the damage is served; the next read is told.
                Err(Failure::Damaged { .. }) if end > start => None,
                next => next?,
            };
            let Some(header) = next else { break };
            end += header.total_len().unwrap_or(0) as u64;
            expected = header.next_offset();
        }
        let pieces = self.pieces(start, end).await?;
        self.read_ahead(start, end);
        Ok(ColdFound { pieces, bytes: (end - start) as usize, index_wrong })
    }

    /// The header of the next batch of a read that began at `start`, its checksum verified; `None` when it does not fit.
    async fn verified(
        &mut self,
        position: u64,
        expected: Offset,
        start: u64,
        max: usize,
        one_at_least: bool,
    ) -> Result<Option<BatchHeader>, Failure> {
        let Some(header) = self.header(position, expected).await? else { return Ok(None) };
        let len = header.total_len().unwrap_or(0) as u64;
        let must = position == start && one_at_least;
        if position + len - start > max as u64 && !must {
            return Ok(None);
        }
        self.check_crc(position, len, header.crc()).await?;
        Ok(Some(header))
    }

    /// Where the first batch that ends after `from` begins, looking from `position` on.
    async fn find(&mut self, from: Offset, mut position: u64) -> Result<Option<u64>, Failure> {
        let mut expected = Offset(0);
        while let Some(header) = self.header(position, expected).await? {
            if header.next_offset() > from {
                return Ok(Some(position));
            }
            expected = header.next_offset();
            position += header.total_len().unwrap_or(0) as u64;
            self.held.retain(|(number, _)| *number >= position / CHUNK_BYTES);
        }
        Ok(None)
    }

    async fn extend(&mut self, index: &mut SegmentIndex) -> Result<(), Failure> {
        while let Some(header) = self.header(index.bytes(), index.next_offset()).await? {
            index.append(&header, header.total_len().unwrap_or(0));
            let reached = index.bytes() / CHUNK_BYTES;
            if self.held.iter().any(|(number, _)| *number < reached) {
                self.held.retain(|(number, _)| *number >= reached);
                self.start_reads(index.bytes(), index.bytes() + CHUNK_BYTES);
                task::yield_now().await;
            }
        }
        Ok(())
    }

    /// The header at a position, verified; `None` at the segment's end.
    async fn header(
        &mut self,
        position: u64,
        expected: Offset,
    ) -> Result<Option<BatchHeader>, Failure> {
        if position == self.limit {
            return Ok(None);
        }
        let damaged = |what| Failure::Damaged { position: FilePosition(position), what };
        if position > self.limit || self.limit - position < BATCH_HEADER_BYTES as u64 {
            return Err(damaged("a batch header crosses the end of the segment"));
        }
        let mut bytes = [0; BATCH_HEADER_BYTES];
        let mut filled = 0;
        for piece in self.pieces(position, position + BATCH_HEADER_BYTES as u64).await? {
            bytes[filled..filled + piece.len()].copy_from_slice(&piece);
            filled += piece.len();
        }
        let Ok(header) = BatchHeader::read_from_bytes(&bytes) else {
            return Err(damaged("no batch header"));
        };
        if header.magic != MAGIC {
            return Err(damaged("wrong magic"));
        }
        let Some(len) = header.total_len() else {
            return Err(damaged("impossible batch length"));
        };
        if len as u64 > self.limit - position {
            return Err(damaged("a batch crosses the end of the segment"));
        }
        if header.base_offset() < expected.max(self.key.base) || header.last_offset_delta() < 0 {
            return Err(damaged("offsets do not rise"));
        }
        Ok(Some(header))
    }

    async fn check_crc(&mut self, position: u64, len: u64, expected: u32) -> Result<(), Failure> {
        let mut crc = Crc32c::new();
        for piece in self.pieces(position + CRC_FROM as u64, position + len).await? {
            crc.update(&piece);
        }
        if crc.value() == expected {
            return Ok(());
        }
        Err(Failure::Damaged { position: FilePosition(position), what: "wrong checksum" })
    }

    /// The bytes of a range, in as many pieces as it has chunks.
    async fn pieces(&mut self, start: u64, end: u64) -> Result<Vec<Slice>, Failure> {
        let mut pieces = Vec::with_capacity(1);
        let mut at = start;
        while at < end {
            let number = at / CHUNK_BYTES;
            let chunk = self.held_chunk(number).await?;
            let from = (at - number * CHUNK_BYTES) as usize;
            let upto = (end - number * CHUNK_BYTES).min(chunk.len() as u64) as usize;
            pieces.push(chunk.slice(from..upto));
            at += (upto - from) as u64;
        }
        Ok(pieces)
    }

    async fn held_chunk(&mut self, number: u64) -> Result<Slice, Failure> {
        if let Some((_, bytes)) = self.held.iter().rev().find(|(held, _)| *held == number) {
            return Ok(bytes.clone());
        }
        let len = self.chunk_len(number);
        let key = ChunkKey { segment: self.key, number };
        let bytes = self.reader.chunk(key, self.dir, len).await.map_err(Failure::Disk)?;
        self.held.push((number, bytes.clone()));
        Ok(bytes)
    }

    fn chunk_len(&self, number: u64) -> usize {
        (self.limit - number * CHUNK_BYTES).min(CHUNK_BYTES) as usize
    }

    /// Begins to read the chunks of a range without waiting for them.
    fn start_reads(&self, start: u64, end: u64) {
        let first = start / CHUNK_BYTES;
        let last =
            (end.min(self.limit).saturating_sub(1) / CHUNK_BYTES).min(first + READ_AT_ONCE_CHUNKS);
        for number in first..=last {
            if number * CHUNK_BYTES < self.limit
                && !self.held.iter().any(|(held, _)| *held == number)
            {
                let key = ChunkKey { segment: self.key, number };
                drop(self.reader.ask(key, self.dir, self.chunk_len(number)));
            }
        }
    }

    /// A reader that used more than half of its chunk goes through the segment in order.
    fn read_ahead(&self, start: u64, end: u64) {
        let first = end / CHUNK_BYTES;
        if end % CHUNK_BYTES > CHUNK_BYTES / 2 || first > start / CHUNK_BYTES {
            self.start_reads(first * CHUNK_BYTES, (first + READ_AHEAD_CHUNKS + 1) * CHUNK_BYTES);
        }
    }
}

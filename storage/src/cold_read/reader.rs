//! The chunks of a shard's segments: read once, shared, kept within a bound.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::{ControlFlow, Range};
use std::rc::Rc;
use std::sync::Arc;

use ahash::AHashMap;
use engine::buffer::{self, Block, Slice};
use engine::file::File;
use engine::sync::{Receiver, Semaphore, Sender, oneshot};
use engine::task::{self, Queue};

use super::walk::{CHUNK_BYTES, Chunks, ColdFound, Failure, Loaded, READ_BYTES_MAX, SegmentWalk};
use crate::batch::view::BatchHeader;
use crate::ids::{FilePosition, Offset};
use crate::log::SegmentIndex;
use crate::log::read::{ColdRead, Place, ReadError};
use crate::log::segment::batches_file_name;
use crate::log::space;
use crate::store::device_budget::{CALM_READ_BYTES, DeviceBudget};
use crate::store::files::{Files, SegmentKey};

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

/// The cold reads of one shard.
pub struct ColdReader {
    files: Rc<Files>,
    device: Arc<DeviceBudget>,
    bytes_max: usize,
    /// What reads may hold while they wait for more. Without it many reads could share out the shard's memory and each
    /// wait for the rest of its own for ever.
    in_hand: Semaphore,
    in_hand_max: u64,
    /// While commits should not notice, one chunk is read after the other.
    turn: Semaphore,
    chunks: RefCell<Cache>,
    /// How often a segment was forgotten.
    forgotten: Cell<u64>,
    stats: Cell<ColdStats>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct ChunkKey {
    segment: SegmentKey,
    number: u64,
}

#[derive(Default)]
struct Cache {
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

/// The chunks of one segment, as a walk wants them.
struct SegmentChunks<'a> {
    reader: &'a Rc<ColdReader>,
    key: SegmentKey,
    dir: &'a Rc<str>,
}

impl SegmentChunks<'_> {
    fn chunk_key(&self, number: u64) -> ChunkKey {
        ChunkKey { segment: self.key, number }
    }
}

impl Chunks for SegmentChunks<'_> {
    async fn chunk(&self, number: u64, len: usize) -> Loaded {
        self.reader.chunk(self.chunk_key(number), self.dir, len).await
    }

    fn start(&self, number: u64, len: usize) {
        drop(self.reader.ask(self.chunk_key(number), self.dir, len));
    }

    async fn pause(&self) {
        task::yield_now().await;
    }
}

impl ColdReader {
    /// A reader that keeps at most `bytes_max` of chunks.
    pub fn new(files: Rc<Files>, device: Arc<DeviceBudget>, bytes_max: usize) -> Rc<ColdReader> {
        let map = AHashMap::with_hasher(ahash::RandomState::with_seeds(5, 6, 7, 8));
        let chunks = RefCell::new(Cache { map, bytes: 0, clock: 0 });
        let in_hand_max = (bytes_max as u64).max(2 * CHUNK_BYTES);
        let in_hand = Semaphore::new(in_hand_max);
        let stats = Cell::default();
        Rc::new(ColdReader {
            files,
            device,
            bytes_max,
            in_hand,
            in_hand_max,
            turn: Semaphore::new(1),
            chunks,
            forgotten: Cell::new(0),
            stats,
        })
    }

    /// What it did so far.
    pub fn stats(&self) -> ColdStats {
        ColdStats { cached_bytes: self.chunks.borrow().bytes, ..self.stats.get() }
    }

    fn walk<'a>(
        self: &'a Rc<Self>,
        key: SegmentKey,
        dir: &'a Rc<str>,
        limit: FilePosition,
    ) -> SegmentWalk<SegmentChunks<'a>> {
        SegmentWalk::new(SegmentChunks { reader: self, key, dir }, key.base, limit)
    }

    /// Reads whole batches of one segment. `hint` is where an index says to look; batches before it are not seen.
    /// `is_epoch_right` judges what neither a batch's checksum nor its neighbours tell. The result is empty when the
    /// segment holds nothing at or after the offset.
    pub async fn read(
        self: &Rc<Self>,
        key: SegmentKey,
        dir: &Rc<str>,
        read: &ColdRead,
        hint: Place,
        is_epoch_right: &dyn Fn(&BatchHeader) -> bool,
    ) -> Result<ColdFound, ReadError> {
        assert_eq!(key.base, read.segment, "the key is the segment's");
        let forgotten = self.forgotten.get();
        let bytes = read.max_bytes.min(READ_BYTES_MAX) as u64 + CHUNK_BYTES;
        // Never closed; and a batch larger than all of it is read alone.
        let _in_hand = self.in_hand.acquire(bytes.min(self.in_hand_max)).await.ok();
        let mut second_try = false;
        loop {
            let mut walk = self.walk(key, dir, read.limit);
            let failure = match walk.batches(read, hint, is_epoch_right).await {
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
                Failure::Damaged { .. } if self.forgotten.get() != forgotten => {
                    return Ok(ColdFound { overtaken: true, ..ColdFound::default() });
                }
                Failure::Damaged { position, what } if second_try => {
                    self.count(|stats| stats.corrupt += 1);
                    let segment = key.base;
                    tracing::error!(
                        dir = &**dir, file = batches_file_name(segment), %position, what,
                        "HDL-ST-044: a stored batch is damaged and is not served; the rest of the partition is. See how \
                         much is with `heddle verify` while the node is down. Consumers pass it by seeking behind it; \
                         it comes back only with a sound copy of the file"
                    );
                    return Err(ReadError::Corrupt { segment, position, what });
                }
                // Once more from the disk itself: the damage may have been on the way.
                Failure::Damaged { .. } => {
                    second_try = true;
                    self.drop_chunks(key);
                }
            }
        }
    }

    /// Brings an index up to `limit` by walking over the batches it does not cover yet; a damaged one ends the walk and
    /// comes with what was covered before it.
    pub(crate) async fn extend_index(
        self: &Rc<Self>,
        key: SegmentKey,
        dir: &Rc<str>,
        limit: FilePosition,
        index: SegmentIndex,
    ) -> (SegmentIndex, Option<ReadError>) {
        let mut walk = self.walk(key, dir, limit);
        let mut index = index;
        let failure = walk.extend(&mut index).await.err();
        (index, failure.map(|failure| failure.named(key.base)))
    }

    /// Cuts an index to the batches of the segment that end at or before `to`.
    pub(crate) async fn cut_index(
        self: &Rc<Self>,
        key: SegmentKey,
        dir: &Rc<str>,
        limit: FilePosition,
        mut index: SegmentIndex,
        to: Offset,
    ) -> Result<SegmentIndex, ReadError> {
        let cut = self.walk(key, dir, limit).cut(&mut index, to).await;
        cut.map_err(|failure| failure.named(key.base)).map(|()| index)
    }

    /// Shows the headers of a segment's batches from a place up to `limit`, where one ends, until `look` has seen enough.
    pub(crate) async fn headers(
        self: &Rc<Self>,
        key: SegmentKey,
        dir: &Rc<str>,
        (from, limit): (Place, FilePosition),
        look: impl FnMut(&BatchHeader) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let walked = self.walk(key, dir, limit).headers(from, look).await;
        walked.map_err(|failure| failure.named(key.base))
    }

    /// The bytes of a range of a segment.
    pub(crate) async fn bytes(
        self: &Rc<Self>,
        key: SegmentKey,
        dir: &Rc<str>,
        range: Range<FilePosition>,
    ) -> Result<Vec<u8>, ReadError> {
        let pieces = self.walk(key, dir, range.end).pieces(range.start.0, range.end.0).await;
        let pieces = pieces.map_err(|failure| failure.named(key.base))?;
        Ok(pieces.iter().flat_map(|piece| piece.iter().copied()).collect())
    }

    /// The segment is gone or will be written anew: drops what is cached of it.
    pub fn forget(&self, key: SegmentKey) {
        self.forgotten.set(self.forgotten.get() + 1);
        self.drop_chunks(key);
    }

    fn drop_chunks(&self, key: SegmentKey) {
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
        let io = |error: io::Error| Arc::from(error.to_string());
        let file = self.files.get(key.segment, dir).await.map_err(io)?;
        let bytes = space::block_end(len as u64) as usize;
        let block = match buffer::try_alloc(bytes) {
            Some(block) => block,
            None => {
                self.evict_to(0);
                buffer::alloc(bytes).await.map_err(|error| Arc::from(error.to_string()))?
            }
        };
        let position = key.number * CHUNK_BYTES;
        let (read, block) = self.read_file(&file, position, block, bytes).await;
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

    /// Reads so many bytes, in steps while commits should not notice; fewer at the end of the file.
    async fn read_file(
        &self,
        file: &File,
        position: u64,
        mut block: Block,
        bytes: usize,
    ) -> (io::Result<usize>, Block) {
        let is_calm = self.device.is_calm();
        // Never closed.
        let _turn = if is_calm { self.turn.acquire(1).await.ok() } else { None };
        if is_calm {
            self.device.give_way().await;
        }
        let mut filled = 0;
        loop {
            let left = bytes - filled;
            let step = if self.device.is_calm() { left.min(CALM_READ_BYTES) } else { left };
            let share = self.device.read(step).await;
            let read;
            (read, block) = file.read_range_at(position, block, filled..filled + step).await;
            drop(share);
            match read {
                Ok(now) if now == filled + step && now < bytes => filled = now,
                read => return (read, block),
            }
        }
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

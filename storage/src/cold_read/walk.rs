//! Finds and verifies the batches of one segment, in chunks that somebody else brings.

use std::ops::ControlFlow;
use std::sync::Arc;

use engine::buffer::Slice;
use zerocopy::FromBytes;

use crate::batch::crc::Crc32c;
use crate::batch::view::{BATCH_HEADER_BYTES, BatchHeader, CRC_FROM, MAGIC};
use crate::ids::{FilePosition, Offset};
use crate::log::SegmentIndex;
use crate::log::read::{ColdRead, Place, ReadError};

/// Bytes of a chunk: large enough that a device reaches its throughput at depth 2 to 3, small enough that a consumer
/// who wants one record does not wait long for it.
pub const CHUNK_BYTES: u64 = 256 << 10;

/// Chunks fetched ahead of a reader that goes through a segment in order.
const READ_AHEAD_CHUNKS: u64 = 2;

/// Chunks of one read that are started at once.
const READ_AT_ONCE_CHUNKS: u64 = 4;

/// The most bytes one cold read returns, whatever was asked for; a single larger batch is still returned whole.
pub(super) const READ_BYTES_MAX: usize = 4 << 20;

/// Batches from a segment.
#[derive(Default)]
pub struct ColdFound {
    /// Whole batches, in order; a batch may lie across two pieces.
    pub pieces: Vec<Slice>,
    /// Bytes of all pieces.
    pub bytes: usize,
    /// The index named a position where no batch begins: it should be built again.
    pub index_wrong: bool,
    /// The segment may have been cut back or deleted meanwhile: what was found there says nothing.
    pub overtaken: bool,
    /// The segment holds a batch that contains or follows the offset wanted, even if it is larger than the read may be.
    pub is_here: bool,
}

/// The bytes of a chunk, or why they could not be read.
pub type Loaded = Result<Slice, Arc<str>>;

/// Where a batch could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The disk refused to read, in the system's words.
    Disk(Arc<str>),
    /// What it returned is not what was written.
    Damaged {
        /// Where in the segment's file.
        position: FilePosition,
        /// What is wrong there.
        what: &'static str,
    },
}

impl Failure {
    pub(super) fn named(self, segment: Offset) -> ReadError {
        match self {
            Failure::Disk(cause) => ReadError::Io { segment, cause },
            Failure::Damaged { position, what } => ReadError::Corrupt { segment, position, what },
        }
    }
}

/// Where the chunks of a segment come from: the disk, or memory where a walk is tried without one.
pub trait Chunks {
    /// The first `len` bytes of a chunk, exactly.
    fn chunk(&self, number: u64, len: usize) -> impl Future<Output = Loaded>;

    /// So many bytes of a chunk will be wanted soon.
    fn start(&self, number: u64, len: usize);

    /// Between the parts of a long walk: others may have their turn.
    fn pause(&self) -> impl Future<Output = ()>;
}

/// A walk over the batches of one segment.
pub struct SegmentWalk<C> {
    chunks: C,
    /// The segment's first offset: its first batch begins with it.
    base: Offset,
    /// Bytes of batches in the segment's file.
    limit: u64,
    /// The chunks of the walk's current range, in order.
    held: Vec<(u64, Slice)>,
}

impl<C: Chunks> SegmentWalk<C> {
    /// A walk over the segment that begins at offset `base` and holds `limit` bytes of batches.
    pub fn new(chunks: C, base: Offset, limit: FilePosition) -> SegmentWalk<C> {
        SegmentWalk { chunks, base, limit: limit.0, held: Vec::new() }
    }

    /// Finds whole batches from `read.from` on and verifies them. `hint` is where an index says to look. `is_epoch_right`
    /// judges what neither a batch's checksum nor its neighbours tell.
    ///
    /// # Errors
    /// When not even the first batch wanted is whole; one that fails behind it ends the read before it.
    pub async fn batches(
        &mut self,
        read: &ColdRead,
        hint: Place,
        is_epoch_right: &dyn Fn(&BatchHeader) -> bool,
    ) -> Result<ColdFound, Failure> {
        let front = Place { position: FilePosition(0), offset: self.base };
        let mut index_wrong = false;
        let found = match self.find(read, hint).await {
            // No batch begins at the place, or another one than the index says.
            Err(Failure::Damaged { .. }) if hint != front => {
                index_wrong = true;
                self.find(read, front).await?
            }
            found => found?,
        };
        let Some(Place { position: FilePosition(start), offset }) = found else {
            return Ok(ColdFound { index_wrong, ..ColdFound::default() });
        };
        self.start_reads(start, start + read.max_bytes.min(READ_BYTES_MAX) as u64);
        self.held.retain(|(number, _)| *number >= start / CHUNK_BYTES);
        let (mut end, mut expected) = (start, offset);
        loop {
            let next = match self.fitting(end, expected, start, read, is_epoch_right).await {
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
        let bytes = (end - start) as usize;
        Ok(ColdFound { pieces, bytes, index_wrong, overtaken: false, is_here: true })
    }

    /// The header of the next batch of a read that began at `start`, all of it verified; `None` when it does not fit.
    async fn fitting(
        &mut self,
        position: u64,
        expected: Offset,
        start: u64,
        read: &ColdRead,
        is_epoch_right: &dyn Fn(&BatchHeader) -> bool,
    ) -> Result<Option<BatchHeader>, Failure> {
        let Some(header) = self.header(position, expected).await? else { return Ok(None) };
        let len = header.total_len().unwrap_or(0) as u64;
        let must = position == start && read.one_at_least;
        if position + len - start > read.max_bytes.min(READ_BYTES_MAX) as u64 && !must {
            return Ok(None);
        }
        self.check_crc(position, len, header.crc()).await?;
        let damaged = |what| Err(Failure::Damaged { position: FilePosition(position), what });
        if position + len == self.limit && header.next_offset() != read.end {
            return damaged("the last batch does not end where the segment does");
        }
        if !is_epoch_right(&header) {
            return damaged("a leader epoch in which these offsets were not written");
        }
        Ok(Some(header))
    }

    /// Where the first batch that ends after the offset wanted begins, looking from a place on.
    async fn find(&mut self, read: &ColdRead, from: Place) -> Result<Option<Place>, Failure> {
        let Place { mut position, mut offset } = from;
        while let Some(header) = self.header(position.0, offset).await? {
            if header.next_offset() > read.from {
                return Ok(Some(Place { position, offset }));
            }
            offset = header.next_offset();
            position.0 += header.total_len().unwrap_or(0) as u64;
            self.held.retain(|(number, _)| *number >= position.0 / CHUNK_BYTES);
        }
        if offset != read.end {
            let what = "the batches end before the segment does";
            return Err(Failure::Damaged { position, what });
        }
        Ok(None)
    }

    /// Brings an index up to the segment's end by walking over the batches that it does not cover yet.
    ///
    /// # Errors
    /// At the first batch that is damaged; the index covers what lies before it.
    pub async fn extend(&mut self, index: &mut SegmentIndex) -> Result<(), Failure> {
        while let Some(header) = self.header(index.bytes(), index.next_offset()).await? {
            let len = header.total_len().unwrap_or(0);
            // A time that is wrong in the index would hide records from a look for it.
            self.check_crc(index.bytes(), len as u64, header.crc()).await?;
            index.append(&header, len);
            self.leave_before(index.bytes()).await;
        }
        Ok(())
    }

    /// Cuts an index to the batches that end at or before `to`.
    pub(super) async fn cut(
        &mut self,
        index: &mut SegmentIndex,
        to: Offset,
    ) -> Result<(), Failure> {
        index.truncate(to);
        while let Some(header) = self.header(index.bytes(), index.next_offset()).await? {
            if header.next_offset() > to {
                break;
            }
            let len = header.total_len().unwrap_or(0);
            self.check_crc(index.bytes(), len as u64, header.crc()).await?;
            index.append(&header, len);
            self.leave_before(index.bytes()).await;
        }
        index.on_cut();
        Ok(())
    }

    /// Shows the headers from a batch on, until `look` has seen enough.
    pub(super) async fn headers(
        &mut self,
        from: Place,
        mut look: impl FnMut(&BatchHeader) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let Place { mut position, mut offset } = from;
        while let Some(header) = self.header(position.0, offset).await? {
            if look(&header).is_break() {
                break;
            }
            offset = header.next_offset();
            position.0 += header.total_len().unwrap_or(0) as u64;
            self.leave_before(position.0).await;
        }
        Ok(())
    }

    /// Lets go of the chunks that a walk in order has left behind, and begins to read the next ones.
    async fn leave_before(&mut self, position: u64) {
        let reached = position / CHUNK_BYTES;
        if self.held.iter().any(|(number, _)| *number < reached) {
            self.held.retain(|(number, _)| *number >= reached);
            self.start_reads(position, position + CHUNK_BYTES);
            self.chunks.pause().await;
        }
    }

    /// The header at a position, verified but for the checksum; `None` at the segment's end. Its batch must begin with
    /// the offset expected.
    ///
    /// # Errors
    /// When another batch begins there, or none.
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
        if header.base_offset() != expected || header.last_offset_delta() < 0 {
            return Err(damaged("another batch stands where this one should"));
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
    pub(super) async fn pieces(&mut self, start: u64, end: u64) -> Result<Vec<Slice>, Failure> {
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
        let bytes = self.chunks.chunk(number, len).await.map_err(Failure::Disk)?;
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
                self.chunks.start(number, self.chunk_len(number));
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

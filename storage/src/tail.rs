//! The newest batches of one log, still in memory.
//!
//! A batch enters as the slice of the journal block it was copied into. When write-behind has brought a run of batches
//! into the segment, the run's own chunk takes their place: from then on a slow consumer pins bytes of this log only,
//! and not a journal block that it shares with others. Nothing leaves before its bytes are in a segment, and it leaves
//! from the old end, so the tail is always one gapless run up to the log's end.
//!
//! Holds always: `pieces[i].next == pieces[i + 1].base`; the first `written` pieces are in a segment, the others not.

use std::collections::VecDeque;

use engine::buffer::Slice;

use crate::batch::{BatchView, split};
use crate::ids::{FilePosition, Lsn, Offset};

/// A run of whole batches that lie back to back both in memory and in their segment.
#[derive(Clone)]
pub struct Piece {
    /// The first offset.
    pub base: Offset,
    /// The offset after the last.
    pub next: Offset,
    /// The segment that holds or will hold them.
    pub segment: Offset,
    /// Where they begin in that segment.
    pub position: FilePosition,
    /// The journal entry of the first batch. Has a meaning only until the piece is written behind.
    pub lsn: Lsn,
    /// The newest record's timestamp.
    pub max_timestamp: i64,
    /// The batches.
    pub bytes: Slice,
    /// Bytes of memory that the cache answers for: those of the chunk's block, once written behind.
    cost: usize,
    /// Where some of the batches begin, ordered, so that a reader walks over few headers. Empty for a single batch.
    marks: Box<[Mark]>,
}

#[derive(Clone, Copy)]
struct Mark {
    base: Offset,
    at: u32,
}

/// Bytes between two marks of a piece: a reader walks over at most this much to find its batch.
const MARK_EVERY: usize = 8 << 10;

impl Piece {
    /// A piece of one batch, just appended.
    pub fn one(
        batch: std::ops::Range<Offset>,
        segment: Offset,
        position: FilePosition,
        lsn: Lsn,
        max_timestamp: i64,
        bytes: Slice,
    ) -> Piece {
        let (base, next) = (batch.start, batch.end);
        Piece {
            base,
            next,
            segment,
            position,
            lsn,
            max_timestamp,
            bytes,
            cost: 0,
            marks: Box::default(),
        }
    }

    /// A piece of all batches in `bytes`, which were checked before.
    fn run(first: &Piece, last: &Piece, max_timestamp: i64, chunk: Chunk) -> Piece {
        let Chunk { bytes, cost } = chunk;
        let mut marks = Vec::new();
        let mut at = 0;
        for batch in split(&bytes).flatten() {
            if marks.last().is_none_or(|mark: &Mark| at - mark.at as usize >= MARK_EVERY) {
                marks.push(Mark { base: batch.base_offset(), at: at as u32 });
            }
            at += batch.len();
        }
        assert_eq!(at, bytes.len(), "a written chunk holds whole batches");
        Piece {
            base: first.base,
            next: last.next,
            segment: first.segment,
            position: first.position,
            lsn: first.lsn,
            max_timestamp,
            bytes,
            cost,
            marks: marks.into(),
        }
    }

    /// The batches before `end`, which is where one of this run's begins. The memory stays that of the whole run.
    fn before(mut self, end: Offset) -> Piece {
        let known = self.marks.partition_point(|mark| mark.base < end).saturating_sub(1);
        let mut at = self.marks.get(known).map_or(0, |mark| mark.at as usize);
        let mut newest = -1;
        while let Ok(batch) = BatchView::first(&self.bytes[at..]) {
            if batch.base_offset() >= end {
                break;
            }
            at += batch.len();
        }
        for batch in split(&self.bytes[..at]).flatten() {
            newest = newest.max(batch.max_timestamp());
        }
        let mut marks = std::mem::take(&mut self.marks).into_vec();
        marks.truncate(known + 1);
        Piece {
            next: end,
            max_timestamp: newest,
            bytes: self.bytes.slice(0..at),
            marks: marks.into(),
            ..self
        }
    }

    /// The range of whole batches that begins with the one containing `from` and has at most `max` bytes, or is one
    /// batch if `one_at_least`.
    fn range(&self, from: Offset, max: usize, one_at_least: bool) -> std::ops::Range<usize> {
        if self.marks.is_empty() {
            let fits = one_at_least || self.bytes.len() <= max;
            return 0..if fits { self.bytes.len() } else { 0 };
        }
        let known = self.marks.partition_point(|mark| mark.base <= from).saturating_sub(1);
        let mut start = self.marks[known].at as usize;
        while let Ok(batch) = BatchView::first(&self.bytes[start..]) {
            if batch.next_offset() > from {
                break;
            }
            start += batch.len();
        }
        if self.bytes.len() - start <= max {
            return start..self.bytes.len();
        }
        // The last mark that still fits saves the walk over what lies before it.
        let fitting = self.marks.partition_point(|mark| mark.at as usize <= start + max);
        let mut end =
            self.marks[..fitting].last().map_or(start, |mark| start.max(mark.at as usize));
        while let Ok(batch) = BatchView::first(&self.bytes[end..]) {
            let first = end == start && one_at_least;
            if !first && end + batch.len() - start > max {
                break;
            }
            end += batch.len();
        }
        start..end
    }
}

/// A written run of batches and the memory it holds.
pub struct Chunk {
    /// The batches.
    pub bytes: Slice,
    /// Bytes of the block they lie in.
    pub cost: usize,
}

/// What a cut took from the tail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TailCut {
    /// Bytes of batches that were in no segment yet.
    pub unwritten: usize,
    /// Memory of written runs that went as a whole.
    pub freed: usize,
}

/// What a read of the tail found.
#[derive(Default)]
pub struct TailRead {
    /// Whole batches, in order.
    pub pieces: Vec<Slice>,
    /// Bytes of all pieces.
    pub bytes: usize,
}

/// The tail of one log. Costs 40 bytes while empty.
#[derive(Default)]
pub struct Tail {
    pieces: VecDeque<Piece>,
    written: usize,
}

impl Tail {
    /// The first offset it can serve; `None` while it holds nothing.
    pub fn start(&self) -> Option<Offset> {
        self.pieces.front().map(|piece| piece.base)
    }

    /// Adds the batch that was just appended.
    pub fn push(&mut self, piece: Piece) {
        if let Some(last) = self.pieces.back() {
            assert_eq!(last.next, piece.base, "the tail is one gapless run");
        }
        self.pieces.push_back(piece);
    }

    /// The batches that are not in a segment yet, oldest first.
    pub fn unwritten(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.range(self.written..)
    }

    /// The first `count` unwritten pieces are in their segment now; `chunk`, if there is one, holds their bytes and
    /// takes their place. Without one there would be a gap, so that everything older goes as well: returns the memory
    /// this frees.
    pub fn on_written(&mut self, count: usize, chunk: Option<Chunk>) -> usize {
        assert!(
            count > 0 && self.written + count <= self.pieces.len(),
            "only what waits is written"
        );
        let range = self.written..self.written + count;
        let Some(chunk) = chunk else {
            let freed = self.pieces.range(..range.start).map(|piece| piece.cost).sum();
            self.pieces.drain(..range.end);
            self.written = 0;
            self.shrink();
            return freed;
        };
        let written: usize = self.pieces.range(range.clone()).map(|piece| piece.bytes.len()).sum();
        assert_eq!(chunk.bytes.len(), written, "the chunk holds exactly the written batches");
        let newest = self.pieces.range(range.clone()).map(|piece| piece.max_timestamp).max();
        let (first, last) = (&self.pieces[range.start], &self.pieces[range.end - 1]);
        self.pieces[range.start] = Piece::run(first, last, newest.unwrap_or(-1), chunk);
        self.pieces.drain(range.start + 1..range.end);
        self.written += 1;
        self.shrink();
        0
    }

    /// Gives up the oldest piece that is in a segment; returns the memory it held, or `None` when nothing may go.
    pub fn evict(&mut self) -> Option<usize> {
        if self.written == 0 {
            return None;
        }
        let piece = self.pieces.pop_front()?;
        self.written -= 1;
        self.shrink();
        Some(piece.cost)
    }

    /// Gives up all pieces, for logs that are deleted; returns the memory held by those in a segment.
    pub fn clear(&mut self) -> usize {
        std::mem::take(self).pieces.iter().map(|piece| piece.cost).sum()
    }

    /// Gives up everything from `end` on, which is where a batch begins; a written run is cut in the middle.
    pub fn cut(&mut self, end: Offset) -> TailCut {
        let mut cut = TailCut::default();
        while let Some(piece) = self.pieces.pop_back() {
            let written = self.pieces.len() < self.written;
            if piece.next <= end {
                self.pieces.push_back(piece);
                break;
            }
            if piece.base < end {
                assert!(written, "what is not written yet is one batch each");
                self.pieces.push_back(piece.before(end));
                break;
            }
            if written {
                self.written -= 1;
                cut.freed += piece.cost;
            } else {
                cut.unwritten += piece.bytes.len();
            }
        }
        self.shrink();
        cut
    }

    /// Whole batches from the one containing `from`, not past `end`, at most `max` bytes of them; or one batch even if
    /// it is larger, if `one_at_least`. `None` when `from` lies before the tail.
    pub fn read(
        &self,
        from: Offset,
        end: Offset,
        max: usize,
        one_at_least: bool,
    ) -> Option<TailRead> {
        if self.start().is_none_or(|start| from < start) {
            return None;
        }
        let mut found = TailRead::default();
        let mut at = self.pieces.partition_point(|piece| piece.next <= from);
        while let Some(piece) = self.pieces.get(at).filter(|piece| piece.next <= end) {
            let must = one_at_least && found.bytes == 0;
            let range = piece.range(from, max - found.bytes.min(max), must);
            let whole = range.end == piece.bytes.len();
            if !range.is_empty() {
                found.bytes += range.len();
                found.pieces.push(piece.bytes.slice(range));
            }
            if !whole {
                break;
            }
            at += 1;
        }
        Some(found)
    }

    /// An idle log gives its room back.
    fn shrink(&mut self) {
        if self.pieces.len() * 4 < self.pieces.capacity() {
            self.pieces.shrink_to(self.pieces.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::log::testing::stored_batch;

    /// A tail of one-batch pieces of two records each, and their bytes.
    fn tail(batches: i64) -> (Tail, Vec<Vec<u8>>) {
        let mut tail = Tail::default();
        let mut all = Vec::new();
        let mut position = 0;
        for at in 0..batches {
            let bytes = stored_batch(Offset(at * 2), 2, 100);
            let range = Offset(at * 2)..Offset(at * 2 + 2);
            let slice = Slice::from_vec(bytes.clone());
            tail.push(Piece::one(
                range,
                Offset(0),
                FilePosition(position),
                Lsn(at as u64),
                at,
                slice,
            ));
            position += bytes.len() as u64;
            all.push(bytes);
        }
        (tail, all)
    }

    fn chunk(batches: &[Vec<u8>]) -> Chunk {
        Chunk { bytes: Slice::from_vec(batches.concat()), cost: 4096 }
    }

    fn bytes(read: &TailRead) -> Vec<u8> {
        read.pieces.iter().flat_map(|piece| piece.to_vec()).collect()
    }

    #[test]
    fn serves_from_the_batch_that_contains_the_offset() {
        let (tail, all) = tail(5);
        let read = tail.read(Offset(3), Offset(10), 1 << 20, false).unwrap();
        assert_eq!(bytes(&read), all[1..].concat());
        let read = tail.read(Offset(3), Offset(6), 1 << 20, false).unwrap();
        assert_eq!(bytes(&read), all[1..3].concat(), "never past the visible end");
    }

    #[test]
    fn written_runs_serve_the_same_bytes_at_every_offset_and_size() {
        let (mut tail, all) = tail(400);
        let (plain, _) = self::tail(400);
        tail.on_written(300, Some(chunk(&all[..300])));
        for from in (0..800).step_by(7) {
            for max in [0, 1, 300, 5_000, 1 << 20] {
                for one in [false, true] {
                    let a = tail.read(Offset(from), Offset(790), max, one).unwrap();
                    let b = plain.read(Offset(from), Offset(790), max, one).unwrap();
                    assert_eq!(bytes(&a), bytes(&b), "from {from}, max {max}, one {one}");
                }
            }
        }
    }

    #[test]
    fn only_written_pieces_leave() {
        let (mut tail, all) = tail(4);
        assert_eq!(tail.evict(), None);
        tail.on_written(2, Some(chunk(&all[..2])));
        assert_eq!(tail.unwritten().count(), 2);
        assert_eq!(tail.evict(), Some(4096));
        assert_eq!(tail.evict(), None);
        assert_eq!(tail.start(), Some(Offset(4)));
        assert!(tail.read(Offset(3), Offset(8), 100, true).is_none(), "older offsets are cold");
    }

    #[test]
    fn a_cut_takes_whole_pieces_and_shortens_a_written_run() {
        for end in (0..=800).step_by(2) {
            let (mut tail, all) = tail(400);
            tail.on_written(100, Some(chunk(&all[..100])));
            tail.on_written(200, Some(chunk(&all[100..300])));
            let cut = tail.cut(Offset(end));
            let kept = end as usize / 2;
            let unwritten: usize = all[kept.max(300)..].iter().map(Vec::len).sum();
            // A run that is only shortened keeps its memory.
            let freed = 4096 * (usize::from(end == 0) + usize::from(end <= 200));
            assert_eq!(cut, TailCut { unwritten, freed }, "end {end}");
            assert_eq!(tail.unwritten().count(), kept.saturating_sub(300), "end {end}");
            if end == 0 {
                assert_eq!(tail.start(), None);
                continue;
            }
            for from in (0..end).step_by(37) {
                let read = tail.read(Offset(from), Offset(end), 1 << 20, false).unwrap();
                assert_eq!(bytes(&read), all[from as usize / 2..kept].concat(), "end {end}");
            }
            // It goes on from there.
            let batch = stored_batch(Offset(end), 1, 10);
            let range = Offset(end)..Offset(end + 1);
            let position = FilePosition(all[..kept].concat().len() as u64);
            let slice = Slice::from_vec(batch.clone());
            tail.push(Piece::one(range, Offset(0), position, Lsn(900), 0, slice));
            let read = tail.read(Offset(end), Offset(end + 1), 1 << 20, false).unwrap();
            assert_eq!(bytes(&read), batch);
        }
    }

    #[test]
    fn a_write_without_a_chunk_leaves_no_gap() {
        let (mut tail, all) = tail(4);
        tail.on_written(1, Some(chunk(&all[..1])));
        assert_eq!(tail.on_written(1, None), 4096);
        assert_eq!(tail.start(), Some(Offset(4)));
        assert_eq!(tail.unwritten().count(), 2);
    }
}

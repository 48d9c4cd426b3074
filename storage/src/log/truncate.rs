//! Cutting a log back to an offset, as a replica does whose end is not on its leader's history. Decides and changes
//! state; reads and writes no file.
//!
//! Apache Kafka's `UnifiedLog.truncateTo`: batches stay whole, so the batch that contains the offset goes as a whole;
//! leader epochs that began behind the end are forgotten; producers are what the log that is left says they are. Kafka
//! then calls the offset itself the log's end, which leaves a hole before the next record; here the log ends where its
//! last batch does. Kafka moves the log's start down with the end; here an offset below the start is refused, because
//! the start is a promise made durably.

use crate::ids::{FilePosition, Lsn, Offset};
use crate::log::append::AppendError;
use crate::log::log::Log;
use crate::log::producers::Producers;
use crate::log::read::ReadError;
use crate::log::segment::Segment;
use crate::log::space;

/// Why a log was not cut back. It is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TruncateError {
    /// What lies before the log's start is gone: there is nothing to end there.
    #[error("cannot end at offset {to}: the log begins at {log_start}")]
    BelowLogStart {
        /// What was asked for.
        to: Offset,
        /// The first offset there is.
        log_start: Offset,
    },
    /// The log takes no changes.
    #[error(transparent)]
    Refused(#[from] AppendError),
    /// The batches before the cut could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A decided cut: what the log is afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Where the log ends.
    pub end: Offset,
    /// The segment that takes appends, as it is then. `None` when no record is left: the next one begins a segment.
    pub kept: Option<Segment>,
    /// The cut reaches into what segment files hold: the bytes of the kept segment's last block, if it is partial.
    /// `None` leaves the files as they are.
    pub image: Option<Box<[u8]>>,
}

/// What a cut takes to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CutPlan {
    /// Nothing more.
    Ready(Cut),
    /// A look at the batches of this segment, whose file holds `limit` bytes of them.
    Look {
        /// The segment that contains the offset.
        segment: Segment,
        /// Bytes of batches in its file.
        limit: FilePosition,
    },
}

/// What an applied cut leaves for others to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CutOff {
    /// Bytes of batches that will not be written to a segment any more.
    pub unwritten: usize,
    /// Memory of the tail cache that was freed.
    pub freed: usize,
    /// Bases of the segments that are gone.
    pub removed: Vec<Offset>,
}

impl Log {
    /// Where the log ends if it is cut at `to`, which lies in `log_start..log_end`.
    pub(crate) fn plan_cut(&self, to: Offset) -> CutPlan {
        assert!(self.log_start <= to && to < self.log_end, "the cut lies in the log");
        if to >= self.written.offset {
            return CutPlan::Ready(self.cut_in_memory(to));
        }
        let segment = self.segment_of(to).copied().expect("a log with records has segments");
        if segment.base == to {
            let kept = Segment::new(to, segment.created_ms);
            return CutPlan::Ready(Cut { end: to, kept: Some(kept), image: Some(Box::default()) });
        }
        let (limit, _) = self.limit_of(segment.base).expect("the segment is one of this log's");
        CutPlan::Look { segment, limit }
    }

    /// The cut takes only what no segment file holds yet.
    fn cut_in_memory(&self, to: Offset) -> Cut {
        let first_cut = self.tail.unwritten().find(|piece| piece.next > to);
        let end = first_cut.map_or(to, |piece| piece.base);
        if end < self.log_start {
            return self.nothing_left();
        }
        let segment = *self.segment_of(end).expect("a log with records has segments");
        let mut kept = match segment.base == self.written.segment.base {
            true => Segment { sealed: false, ..self.written.segment },
            false => Segment::new(segment.base, segment.created_ms),
        };
        for piece in self.tail.unwritten().take_while(|piece| piece.next <= end) {
            if piece.segment == kept.base {
                let last = piece.next - crate::ids::Count::ONE;
                kept.on_append(piece.bytes.len() as u64, piece.max_timestamp, last);
            }
        }
        Cut { end, kept: Some(kept), image: None }
    }

    /// The cut after a look: `kept` is what is left of the segment, and ends at `end`.
    pub(crate) fn cut_after_look(&self, kept: Segment, end: Offset, image: Box<[u8]>) -> Cut {
        if end < self.log_start {
            return self.nothing_left();
        }
        Cut { end, kept: Some(kept), image: Some(image) }
    }

    /// The log's start lies inside the batch that goes: every record left lies before the start.
    fn nothing_left(&self) -> Cut {
        Cut { end: self.log_start, kept: None, image: Some(Box::default()) }
    }

    /// A decided cut still says what is true: nothing but write-behind may have moved since.
    pub(crate) fn is_current(&self, cut: &Cut) -> bool {
        cut.image.is_some() || self.written.offset <= cut.end
    }

    /// Cuts the log back. The entry that says so is in the journal at `lsn`, which stays until
    /// [`Log::on_cut_files_gone`]; `found` holds the producers of the last batches before the cut.
    pub(crate) fn on_cut(&mut self, cut: Cut, lsn: Lsn, found: &Producers) -> CutOff {
        let Cut { end, kept, image } = cut;
        assert!(self.log_start <= end && end < self.log_end, "the cut lies in the log");
        // With no record left the end need not be where a batch begins.
        let tail = self.tail.cut(if kept.is_some() { end } else { Offset(i64::MIN) });
        let first_gone = kept
            .map_or(0, |kept| self.segments.partition_point(|segment| segment.base <= kept.base));
        let removed: Vec<Offset> =
            self.segments.split_off(first_gone).iter().map(|gone| gone.base).collect();
        self.reserved = match kept {
            None => 0,
            // The file is cut to its exact length, which gives back what was reserved behind it.
            Some(kept) if image.is_some() => space::block_start(kept.bytes),
            Some(_) if removed.is_empty() => self.reserved,
            // It was full before another one was begun behind it.
            Some(_) => self.segments.last().map_or(0, |last| space::block_end(last.bytes)),
        };
        if let (Some(kept), Some(last)) = (kept, self.segments.last_mut()) {
            *last = kept;
        }
        if let Some(image) = image {
            self.written.segment = kept.unwrap_or_else(|| Segment::new(end, 0));
            self.written.offset = end;
            self.written.image = image;
        }
        self.log_end = end;
        self.visible_end = self.visible_end.min(end);
        self.pending.retain(|pending| pending.next <= end);
        self.epochs.truncate_end(end);
        self.producers.rebuild(end, found);
        self.rolling = false;
        self.changed = true;
        self.cuts += 1;
        self.last_cut = end;
        self.pinned.push(lsn);
        self.check_invariants();
        CutOff { unwritten: tail.unwritten, freed: tail.freed, removed }
    }

    /// The files behind a cut are gone: its entry may leave the journal with the next checkpoint.
    pub(crate) fn on_cut_files_gone(&mut self, lsn: Lsn) {
        self.pinned.retain(|pinned| *pinned != lsn);
    }

    /// Whether the batch that ended before `next` when there had been `cuts` cuts is still in the log. May say no of
    /// one that is, after several cuts.
    pub(crate) fn is_uncut(&self, next: Offset, cuts: u32) -> bool {
        self.cuts == cuts || (self.cuts == cuts.wrapping_add(1) && next <= self.last_cut)
    }
}

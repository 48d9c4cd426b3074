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

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use engine::buffer::Slice;

    use super::*;
    use crate::durability::Durability;
    use crate::ids::{LeaderEpoch, LogId};
    use crate::journal::Pushed;
    use crate::log::LogConfig;
    use crate::log::log::Room;
    use crate::log::testing::produced_batch;

    /// A log of batches of two records in segments of three batches each: the first `written` batches are in segments,
    /// and as many are visible as `visible` says.
    fn log(batches: u64, written: usize, visible: u64) -> Log {
        let id = LogId { topic: [1; 16], partition: 0, incarnation: 0 };
        let batch = produced_batch(2, 500);
        let segment_bytes = 3 * batch.len() as u64;
        let config = LogConfig { segment_bytes, ..LogConfig::default() };
        let mut log = Log::new(id, "a/0".into(), Rc::new(config), Offset(0));
        for lsn in 1..=batches {
            loop {
                let taken = log.append(&batch, LeaderEpoch(lsn as i32), 2_000, 0, |entry| {
                    let mut target = vec![0; entry.len];
                    (entry.write)(&mut target);
                    assert_eq!(entry.durability, Durability::Device);
                    Ok(Pushed { lsn: Lsn(lsn), slice: Slice::from_vec(target) })
                });
                match taken {
                    Ok(_) => break,
                    Err(AppendError::NoRoom) => make_room(&mut log),
                    Err(other) => panic!("{other}"),
                }
            }
        }
        log.on_commit(Lsn(visible + 1), Lsn(visible + 1));
        for _ in 0..written {
            let plan = log.plan_write(1).expect("there is something to write");
            let image = vec![0; (log.written.segment.bytes as usize + plan.bytes) % 4096];
            log.on_written(&plan, image.into(), None);
        }
        log.check_invariants();
        log
    }

    fn make_room(log: &mut Log) {
        match log.plan_room(2_000) {
            Some(Room::Roll { reserve }) => {
                log.rolling = true;
                log.on_rolled(0, reserve);
            }
            Some(Room::Grow { segment, from, step, .. }) => log.on_reserved(segment, from + step),
            None => panic!("there is room"),
        }
    }

    fn decided(log: &Log, to: i64) -> Cut {
        match log.plan_cut(Offset(to)) {
            CutPlan::Ready(cut) => cut,
            CutPlan::Look { .. } => panic!("nothing has to be looked for"),
        }
    }

    #[test]
    fn a_cut_in_memory_touches_no_file() {
        let mut log = log(10, 4, 6);
        let cut = decided(&log, 15);
        assert_eq!(
            (cut.end, cut.image.as_deref()),
            (Offset(14), None),
            "the batch goes as a whole"
        );
        let off = log.on_cut(cut, Lsn(11), &Producers::new());
        assert_eq!((log.log_end, log.visible_end), (Offset(14), Offset(12)));
        assert_eq!(off.removed, [Offset(18)]);
        assert_eq!(off.unwritten, 3 * produced_batch(2, 500).len());
        assert_eq!(log.written.offset, Offset(8));
        assert_eq!(log.epochs.latest(), Some(LeaderEpoch(7)));
        assert_eq!(log.oldest_unwritten(), Some(Lsn(5)), "what is left is still to be written");
        assert_eq!(log.oldest_needed(), Some(Lsn(5)));
        log.on_commit(Lsn(99), Lsn(99));
        assert_eq!(log.visible_end, Offset(14), "what was cut is never visible");
    }

    #[test]
    fn a_cut_into_files_waits_for_a_look_unless_a_segment_begins_there() {
        let mut log = log(10, 9, 10);
        assert!(
            matches!(log.plan_cut(Offset(9)), CutPlan::Look { segment, .. } if segment.base == Offset(6))
        );
        let cut = decided(&log, 12);
        assert_eq!(cut.kept, Some(Segment::new(Offset(12), 0)));
        let off = log.on_cut(cut, Lsn(11), &Producers::new());
        assert_eq!(off.removed, [Offset(18)]);
        assert_eq!((log.log_end, log.written.offset), (Offset(12), Offset(12)));
        assert_eq!(log.oldest_needed(), Some(Lsn(11)), "its entry stays until the files are gone");
        log.on_cut_files_gone(Lsn(11));
        assert_eq!(log.oldest_needed(), None);
        assert_eq!(log.checkpoint(Lsn(12)).synced_upto, Offset(12));
    }

    #[test]
    fn a_start_inside_the_batch_that_goes_leaves_an_empty_log() {
        let mut log = log(3, 0, 3);
        assert!(log.on_log_start(Offset(3)));
        let cut = decided(&log, 3);
        assert_eq!((cut.end, cut.kept), (Offset(3), None));
        let off = log.on_cut(cut, Lsn(4), &Producers::new());
        assert_eq!((off.removed, log.log_end), (vec![Offset(0)], Offset(3)));
        assert!(log.checkpoint(Lsn(5)).segments.is_empty());
    }

    #[test]
    fn an_append_knows_whether_it_was_cut() {
        let mut log = log(10, 0, 0);
        assert!(log.is_uncut(Offset(20), 0));
        log.on_cut(decided(&log, 8), Lsn(11), &Producers::new());
        assert!(log.is_uncut(Offset(8), 0) && !log.is_uncut(Offset(10), 0));
        assert!(log.is_uncut(Offset(10), 1), "appended after the cut");
        log.on_cut(decided(&log, 6), Lsn(12), &Producers::new());
        assert!(!log.is_uncut(Offset(8), 1) && log.is_uncut(Offset(6), 1));
        assert!(!log.is_uncut(Offset(4), 0), "too long ago to tell");
    }
}

//! One log while its journal entries are replayed onto its last checkpoint. Pure: it says which bytes go to which
//! segment file.

use crate::batch::view::BatchView;
use crate::checkpoint::{LogCheckpoint, SegmentMeta};
use crate::ids::{Lsn, Offset, ProducerId};
use crate::journal::EntryKind;
use crate::journal::frame::{EntryHead, FrameEntry};
use crate::log::epochs::Epochs;
use crate::log::producers::Producers;
use crate::planted::{self, Bug};
use std::collections::{BTreeMap, BTreeSet};

const BLOCK: u64 = 4096;

/// How the cause of an absent segment begins.
pub(crate) const ABSENT: &str = "segment file ";

/// Bytes for a segment file. Performed in order, they leave the file right whatever a crash had left in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentWrite {
    /// The segment's base offset, which names its file.
    pub segment: Offset,
    /// Where the bytes go, a multiple of 4,096.
    pub position: u64,
    /// Batches as they stand in the file; the last block may be partial.
    pub bytes: Vec<u8>,
    /// The file's exact length, once no more is to come for this segment.
    pub cut: Option<u64>,
}

/// What an entry did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// The checkpoint holds it already.
    Covered,
    /// It was taken in.
    Taken,
    /// The log is offline: the entry must be kept elsewhere.
    Refused,
    /// It was taken in, but the file it goes to is absent: unless that turns out to be right, it must be kept elsewhere.
    Unplaced,
    /// The log is to be cut back to this offset, which needs its segment to be read.
    Truncate(Offset),
}

/// A log being rebuilt.
pub(crate) struct Rebuild {
    /// The checkpoint, brought forward with each entry.
    checkpoint: LogCheckpoint,
    replay_from: Lsn,
    /// Decoded with the first entry taken in.
    state: Option<(Producers, Epochs)>,
    /// Bytes from `tail_at` on, to be written.
    tail: Vec<u8>,
    tail_at: u64,
    writes: Vec<SegmentWrite>,
    /// Which shard's journal had entries of it.
    pub(crate) seen_in: Option<u16>,
    /// Frames that may have held entries of it are missing.
    pub(crate) suspect: Option<String>,
    /// Segments whose file is missing or short, with the cause. That is damage, unless an entry moves the log's start
    /// behind them: retention deletes files before a checkpoint says so. Nothing is written to them.
    absent: BTreeMap<Offset, String>,
    /// Bytes of each segment as the checkpoint has them. No file is made shorter before the next checkpoint is in force:
    /// should the start end halfway, this one is read again, and needs them.
    floor: BTreeMap<Offset, u64>,
    /// Where the log was cut to, the lowest of all cuts seen, those that the checkpoint holds already included.
    lowest_cut: Option<Offset>,
    later: Later,
}

/// What is to be done to a log's files once the next checkpoint is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Later {
    /// Segments that become shorter, with their lengths.
    pub cuts: BTreeMap<Offset, u64>,
    /// Segments that go.
    pub removed: BTreeSet<Offset>,
}

impl Rebuild {
    pub(crate) fn new(checkpoint: LogCheckpoint) -> Rebuild {
        let active = checkpoint.segments.last().map_or(0, |segment| segment.bytes);
        Rebuild {
            replay_from: checkpoint.replay_from,
            tail: checkpoint.tail_image.clone(),
            tail_at: active - active % BLOCK,
            state: None,
            writes: Vec::new(),
            seen_in: None,
            suspect: None,
            absent: BTreeMap::new(),
            floor: checkpoint.segments.iter().map(|one| (one.base, one.bytes)).collect(),
            lowest_cut: None,
            later: Later::default(),
            checkpoint,
        }
    }

    pub(crate) fn checkpoint(&self) -> &LogCheckpoint {
        &self.checkpoint
    }

    /// Entries below this are in the checkpoint.
    pub(crate) fn replay_from(&self) -> Lsn {
        self.replay_from
    }

    /// Whether this segment's file is missing or short.
    pub(crate) fn is_absent(&self, segment: Offset) -> bool {
        self.absent.contains_key(&segment)
    }

    /// A segment's file is missing or short.
    pub(crate) fn on_absent(&mut self, segment: Offset, reason: String) {
        self.absent.insert(segment, reason);
    }

    /// Judges the absent segments, once everything is replayed: those before the log's start are gone for good, for any
    /// other the log goes offline.
    pub(crate) fn settle_absent(&mut self) {
        let segments = &self.checkpoint.segments;
        let behind = |base: &Offset| {
            let after = segments.iter().find(|segment| segment.base > *base);
            after.map_or(self.checkpoint.synced_upto, |segment| segment.base)
        };
        let needed = self.absent.iter().find(|(base, _)| behind(base) > self.checkpoint.log_start);
        if let Some((_, reason)) = needed {
            let reason = reason.clone();
            self.take_offline(reason);
            return;
        }
        self.checkpoint.segments.retain(|segment| !self.absent.contains_key(&segment.base));
        if self.checkpoint.segments.is_empty() {
            self.tail.clear();
            self.tail_at = 0;
        }
    }

    /// Whether any entry was taken in.
    pub(crate) fn is_touched(&self) -> bool {
        self.state.is_some()
    }

    /// Takes the log offline; what was taken in before stays.
    pub(crate) fn take_offline(&mut self, reason: String) {
        if self.checkpoint.offline.is_none() {
            tracing::error!(log = %self.checkpoint.id, dir = %self.checkpoint.dir, %reason,
                "HDL-ST-040: a partition is offline; its data is kept as it is, and all others serve. If segment files are \
                 missing, put them back while the node is down. Otherwise see with `heddle verify` what is sound, save it \
                 with `heddle dump`, then delete the topic");
            self.checkpoint.offline = Some(reason);
        }
    }

    /// All segment files are there. A log that went offline only because one was not comes back.
    pub(crate) fn on_complete(&mut self) {
        let missing = |reason: &String| reason.starts_with(ABSENT);
        self.checkpoint.offline.take_if(|reason| missing(reason));
    }

    /// Bytes held for writing.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.tail.len() + self.writes.iter().map(|write| write.bytes.len()).sum::<usize>()
    }

    /// Takes an entry in.
    pub(crate) fn apply(&mut self, entry: &FrameEntry<'_>, now_ms: i64) -> Applied {
        if self.checkpoint.offline.is_some() && entry.lsn >= self.replay_from {
            return Applied::Refused;
        }
        if entry.head.kind == EntryKind::Truncate {
            let to = entry.head.next_offset;
            self.lowest_cut = Some(self.lowest_cut.map_or(to, |lowest| lowest.min(to)));
        }
        // A checkpoint taken while a log-start was on its way to the disk lies behind the entry and does not know the new
        // start. The start only moves up, so the entry is taken in wherever it stands.
        let late_start = entry.head.kind == EntryKind::LogStart
            && entry.head.base_offset > self.checkpoint.log_start
            && entry.head.base_offset <= self.checkpoint.synced_upto;
        if entry.lsn < self.replay_from && !late_start {
            return Applied::Covered;
        }
        let applied = self.start_state().and_then(|()| match entry.head.kind {
            EntryKind::Append => self.append(&entry.head, entry.payload, now_ms),
            EntryKind::Truncate if planted::is(Bug::LoseTruncate) => Ok(Applied::Taken),
            EntryKind::Truncate => Ok(Applied::Truncate(entry.head.next_offset)),
            EntryKind::LogStart => self.log_start(&entry.head),
        });
        applied.unwrap_or_else(|reason| {
            self.take_offline(reason);
            Applied::Refused
        })
    }

    fn start_state(&mut self) -> Result<(), String> {
        if self.state.is_none() {
            let producers = match self.checkpoint.producers.as_slice() {
                [] => Producers::new(),
                bytes => {
                    Producers::from_snapshot(bytes)
                        .map_err(|error| format!("the checkpoint's producer state: {error}"))?
                        .0
                }
            };
            let epochs = match self.checkpoint.epochs.as_slice() {
                [] => Epochs::new(),
                bytes => Epochs::decode(bytes)
                    .ok_or_else(|| "the checkpoint's leader epochs do not decode".to_owned())?,
            };
            self.state = Some((producers, epochs));
        }
        Ok(())
    }

    fn append(&mut self, head: &EntryHead, payload: &[u8], now_ms: i64) -> Result<Applied, String> {
        let end = self.checkpoint.synced_upto;
        if head.base_offset != end {
            return Err(format!(
                "the journal goes on at offset {} and the log ends at {end}: acknowledged records are missing",
                head.base_offset
            ));
        }
        let batch =
            BatchView::first(payload).map_err(|error| format!("a journalled batch: {error}"))?;
        let whole = batch.len() == payload.len()
            && batch.base_offset() == head.base_offset
            && batch.next_offset() == head.next_offset;
        if !whole || head.next_offset <= head.base_offset {
            return Err(format!("the journalled batch at offset {end} is not what its entry says"));
        }
        let Some((producers, epochs)) = &mut self.state else {
            return Err("the log's state was not begun".to_owned());
        };
        producers.replay(&batch, now_ms);
        epochs
            .append(batch.leader_epoch(), batch.base_offset())
            .map_err(|error| format!("the batch at offset {end}: {error}"))?;
        if head.roll || self.checkpoint.segments.is_empty() {
            self.roll(head.base_offset);
        }
        self.suspect = None;
        self.tail.extend_from_slice(payload);
        self.checkpoint.synced_upto = head.next_offset;
        let Some(active) = self.checkpoint.segments.last_mut() else {
            return Err("the log has no active segment".to_owned());
        };
        note(active, &batch);
        let placed = !self.absent.contains_key(&active.base);
        Ok(if placed { Applied::Taken } else { Applied::Unplaced })
    }

    fn log_start(&mut self, head: &EntryHead) -> Result<Applied, String> {
        let end = self.checkpoint.synced_upto;
        if head.base_offset > end {
            return Err(format!(
                "the log start {} lies behind the log's end {end}",
                head.base_offset
            ));
        }
        self.checkpoint.log_start = self.checkpoint.log_start.max(head.base_offset);
        if let Some((_, epochs)) = &mut self.state {
            epochs.truncate_start(self.checkpoint.log_start);
        }
        Ok(Applied::Taken)
    }

    /// Ends the active segment and begins one at `base`. Rolling again to the same base changes nothing.
    fn roll(&mut self, base: Offset) {
        if let Some(active) = self.checkpoint.segments.last() {
            if active.base == base {
                return;
            }
            let (segment, bytes) = (active.base, active.bytes);
            let cut = self.cut_now(segment, bytes);
            self.writes.push(SegmentWrite {
                segment,
                position: self.tail_at,
                bytes: std::mem::take(&mut self.tail),
                cut,
            });
        }
        self.tail.clear();
        self.tail_at = 0;
        self.later.removed.remove(&base);
        self.checkpoint.segments.push(SegmentMeta::empty(base));
    }

    /// The exact length of a segment's file, unless it may get it only later.
    fn cut_now(&mut self, segment: Offset, bytes: u64) -> Option<u64> {
        if self.floor.get(&segment).is_some_and(|floor| bytes < *floor) {
            self.later.cuts.insert(segment, bytes);
            return None;
        }
        self.later.cuts.remove(&segment);
        Some(bytes)
    }

    /// What is to be written now; the partial last block stays as the begin of what comes next.
    pub(crate) fn take_writes(&mut self) -> Vec<SegmentWrite> {
        if let Some(active) = self.checkpoint.segments.last()
            && !self.tail.is_empty()
        {
            let rest = self.tail.len() - self.tail.len() % BLOCK as usize;
            let keep = self.tail[rest..].to_vec();
            let write = SegmentWrite {
                segment: active.base,
                position: self.tail_at,
                bytes: std::mem::replace(&mut self.tail, keep),
                cut: None,
            };
            self.tail_at += rest as u64;
            self.writes.push(write);
        }
        let mut writes = std::mem::take(&mut self.writes);
        writes.retain(|write| !self.absent.contains_key(&write.segment));
        writes
    }

    /// The last writes: they leave the active segment at its exact length.
    pub(crate) fn take_last_writes(&mut self) -> Vec<SegmentWrite> {
        let mut writes = self.take_writes();
        let active = self.checkpoint.segments.last().copied();
        if let Some(active) = active.filter(|active| !self.absent.contains_key(&active.base)) {
            let segment = active.base;
            let cut = self.cut_now(segment, active.bytes);
            match writes.last_mut() {
                Some(last) if last.segment == segment => last.cut = cut,
                _ => writes.push(SegmentWrite {
                    segment,
                    position: self.tail_at,
                    bytes: self.tail.clone(),
                    cut,
                }),
            }
        }
        writes
    }

    /// The producers that a cut to `to` takes something from.
    pub(crate) fn producers_after(&self, to: Offset) -> Vec<ProducerId> {
        self.state.as_ref().map_or_else(Vec::new, |(producers, _)| producers.after(to))
    }

    /// The log was cut back and ends at `to`: its last segment is now `active` with `tail` as its last partial block.
    /// `found` holds the producers of the last batches before the cut.
    pub(crate) fn on_truncated(
        &mut self,
        to: Offset,
        active: Option<SegmentMeta>,
        tail: Vec<u8>,
        found: &Producers,
    ) {
        assert!(self.checkpoint.log_start <= to, "a cut below the log's start was refused");
        let segments = std::mem::take(&mut self.checkpoint.segments);
        let (kept, gone): (Vec<_>, Vec<_>) = segments
            .into_iter()
            .partition(|segment| active.is_some_and(|kept| segment.base < kept.base));
        self.later.removed.extend(gone.iter().map(|segment| segment.base));
        self.checkpoint.segments = kept;
        if let Some(active) = active {
            self.later.removed.remove(&active.base);
            self.checkpoint.segments.push(active);
        }
        for base in &self.later.removed {
            self.later.cuts.remove(base);
        }
        self.checkpoint.synced_upto = to;
        let bytes = active.map_or(0, |active| active.bytes);
        self.tail_at = bytes - bytes % BLOCK;
        self.tail = tail;
        if let Some((producers, epochs)) = &mut self.state {
            producers.rebuild(to, found);
            epochs.truncate_end(to);
        }
    }

    /// Whether a segment file that is no part of the log and begins at `base` is what a cut left: its batches were
    /// taken back.
    pub(crate) fn is_cut_off(&self, base: Offset) -> bool {
        self.lowest_cut.is_some_and(|cut| cut < base)
    }

    /// See [`Later`].
    pub(crate) fn take_later(&mut self) -> Later {
        std::mem::take(&mut self.later)
    }

    /// The checkpoint of the next generation.
    pub(crate) fn finish(mut self) -> LogCheckpoint {
        if let Some((producers, epochs)) = self.state.take() {
            self.checkpoint.producers = producers.snapshot(self.checkpoint.synced_upto);
            self.checkpoint.epochs = epochs.encode();
        }
        let active = self.checkpoint.segments.last().map_or(0, |segment| segment.bytes);
        let whole = self.tail_at + self.tail.len() as u64 == active;
        assert!(whole || self.checkpoint.offline.is_some(), "the tail ends with the segment");
        self.checkpoint.tail_image = self.tail;
        self.checkpoint.check_invariants();
        self.checkpoint.replay_from = Lsn(0);
        self.checkpoint
    }
}

/// Takes a batch into a segment's account.
pub(crate) fn note(segment: &mut SegmentMeta, batch: &BatchView<'_>) {
    if segment.bytes == 0 {
        segment.first_timestamp = batch.max_timestamp();
    }
    segment.bytes += batch.len() as u64;
    if batch.max_timestamp() > segment.max_timestamp {
        segment.max_timestamp = batch.max_timestamp();
        segment.max_timestamp_offset = batch.last_offset();
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::batch::{Builder, Codec, NewRecord};
    use crate::durability::Durability;
    use crate::ids::{LeaderEpoch, LogId};

    fn batch(base: i64, records: usize, value: usize) -> Vec<u8> {
        let mut builder =
            Builder::new(Codec::None).base_offset(Offset(base)).leader_epoch(LeaderEpoch(3));
        for _ in 0..records {
            builder.push(NewRecord::of(&vec![7; value]).at(1000 + base));
        }
        builder.build().unwrap()
    }

    /// Applies an entry of this kind; an append carries `payload`.
    fn apply(
        log: &mut Rebuild,
        lsn: u64,
        kind: EntryKind,
        span: (i64, i64),
        payload: &[u8],
    ) -> Applied {
        apply_rolled(log, lsn, kind, span, payload, false)
    }

    fn apply_rolled(
        log: &mut Rebuild,
        lsn: u64,
        kind: EntryKind,
        (base, next): (i64, i64),
        payload: &[u8],
        roll: bool,
    ) -> Applied {
        let head = EntryHead {
            kind,
            roll,
            durability: Durability::Device,
            log: log.checkpoint.id,
            base_offset: Offset(base),
            next_offset: Offset(next),
            payload_at: 0,
            payload_len: payload.len() as u32,
        };
        log.apply(&FrameEntry { lsn: Lsn(lsn), head, payload }, 0)
    }

    fn empty() -> Rebuild {
        Rebuild::new(LogCheckpoint::empty(
            LogId { topic: [1; 16], partition: 0, incarnation: 0 },
            "a/0",
        ))
    }

    /// A log of three batches of one record in three segments at 0, 1 and 2.
    fn three_segments() -> LogCheckpoint {
        let mut log = empty();
        for base in 0..3 {
            let payload = batch(base, 1, 5000);
            let span = (base, base + 1);
            assert_eq!(
                apply_rolled(&mut log, 1, EntryKind::Append, span, &payload, true),
                Applied::Taken
            );
        }
        log.take_last_writes();
        let mut checkpoint = log.finish();
        checkpoint.replay_from = Lsn(10);
        checkpoint
    }

    #[test]
    fn writes_are_aligned_and_leave_exact_lengths() {
        let mut log = empty();
        let (first, second, third) = (batch(0, 2, 3000), batch(2, 1, 10), batch(3, 1, 9000));
        assert_eq!(apply(&mut log, 1, EntryKind::Append, (0, 2), &first), Applied::Taken);
        let early = log.take_writes();
        assert_eq!((early[0].position, early[0].bytes.as_slice()), (0, first.as_slice()));
        assert_eq!(apply(&mut log, 2, EntryKind::Append, (2, 3), &second), Applied::Taken);
        assert_eq!(
            apply_rolled(&mut log, 3, EntryKind::Append, (3, 4), &third, true),
            Applied::Taken
        );
        let writes = log.take_last_writes();
        assert_eq!(writes.len(), 2);
        assert_eq!(
            (writes[0].segment, writes[0].position),
            (Offset(0), 4096),
            "the partial block again"
        );
        assert_eq!(writes[0].cut, Some((first.len() + second.len()) as u64));
        assert_eq!((writes[1].segment, writes[1].cut), (Offset(3), Some(third.len() as u64)));
        let checkpoint = log.finish();
        assert_eq!(checkpoint.tail_image, third[third.len() - third.len() % 4096..]);
        assert_eq!(checkpoint.segments[0].max_timestamp_offset, Offset(2));
        assert_eq!(Epochs::decode(&checkpoint.epochs).unwrap().latest(), Some(LeaderEpoch(3)));
    }

    #[test]
    fn what_the_checkpoint_covers_is_passed_over_and_a_hole_takes_the_log_offline() {
        let mut log = Rebuild::new(three_segments());
        assert_eq!(
            apply(&mut log, 9, EntryKind::Append, (2, 3), &batch(2, 1, 5000)),
            Applied::Covered
        );
        assert_eq!(
            apply(&mut log, 10, EntryKind::Append, (3, 4), &batch(3, 1, 10)),
            Applied::Taken
        );
        assert_eq!(
            apply(&mut log, 11, EntryKind::Append, (5, 6), &batch(5, 1, 10)),
            Applied::Refused
        );
        assert!(log.checkpoint.offline.as_ref().unwrap().contains("goes on at offset 5"));
        assert_eq!(log.checkpoint.synced_upto, Offset(4), "what was taken in stays");
        assert_eq!(
            apply(&mut log, 12, EntryKind::Append, (4, 5), &batch(4, 1, 10)),
            Applied::Refused
        );
    }

    #[test]
    fn an_entry_that_is_not_what_it_says_is_refused() {
        for payload in [batch(0, 2, 10), batch(1, 1, 10), vec![0; 70], Vec::new()] {
            let mut log = empty();
            assert_eq!(apply(&mut log, 1, EntryKind::Append, (0, 1), &payload), Applied::Refused);
        }
    }

    /// A log-start was on its way when a checkpoint was taken: the checkpoint's LSN lies behind the entry and its log
    /// start before it. Segments deleted for it are missing, and that is right.
    #[test]
    fn segments_deleted_before_a_checkpoint_said_so_are_no_damage() {
        let mut log = Rebuild::new(three_segments());
        log.on_absent(Offset(0), "segment 0 is missing".to_owned());
        log.on_absent(Offset(1), "segment 1 is missing".to_owned());
        assert_eq!(apply(&mut log, 9, EntryKind::LogStart, (2, 3), &[]), Applied::Taken);
        log.settle_absent();
        assert_eq!(log.checkpoint.offline, None);
        assert_eq!(log.checkpoint.log_start, Offset(2));
        assert_eq!(log.checkpoint.segments.len(), 1);
        log.take_last_writes();
        assert_eq!(log.finish().segments[0].base, Offset(2));
    }

    #[test]
    fn an_absent_segment_that_is_needed_is_damage_and_is_not_written() {
        let mut log = Rebuild::new(three_segments());
        log.on_absent(Offset(2), "segment 2 is missing".to_owned());
        assert_eq!(
            apply(&mut log, 10, EntryKind::Append, (3, 4), &batch(3, 1, 10)),
            Applied::Unplaced
        );
        assert!(log.take_writes().is_empty(), "a file full of holes would look whole next time");
        log.settle_absent();
        assert_eq!(log.checkpoint.offline.as_deref(), Some("segment 2 is missing"));
        assert!(log.take_last_writes().is_empty());
    }

    #[test]
    fn everything_deleted_leaves_an_empty_log_with_its_offsets() {
        let mut log = Rebuild::new(three_segments());
        for base in 0..3 {
            log.on_absent(Offset(base), "missing".to_owned());
        }
        assert_eq!(apply(&mut log, 10, EntryKind::LogStart, (3, 3), &[]), Applied::Taken);
        log.settle_absent();
        assert!(log.take_last_writes().is_empty());
        let checkpoint = log.finish();
        assert_eq!((checkpoint.log_start, checkpoint.synced_upto), (Offset(3), Offset(3)));
        assert!(checkpoint.segments.is_empty() && checkpoint.offline.is_none());
    }
}

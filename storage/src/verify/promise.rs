//! What a log must hold: its last checkpoint, and the journal's entries on top. Pure.
//!
//! Recovery does the same with the bytes in hand and writes segments. Here nothing is kept but offsets, and a
//! contradiction is told instead of taking the log offline.

use crate::batch::BatchView;
use crate::checkpoint::{LogCheckpoint, SegmentMeta};
use crate::ids::{LeaderEpoch, LogId, Lsn, Offset};
use crate::journal::EntryKind;
use crate::journal::frame::FrameEntry;
use crate::log::{Epochs, Producers};

const BLOCK: u64 = 4096;

/// A log, as checkpoint and journal together promise it.
///
/// Holds always: `log_start <= end`; segments rise by base; offsets below `synced_upto` must be in the segment files (the
/// partial block at the end excepted, of which `tail` is the image), those from there to `end` are in the journal.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    pub(super) id: LogId,
    /// Its directory below `topics`; empty when only the journal names the log.
    pub(super) dir: String,
    pub(super) log_start: Offset,
    pub(super) end: Offset,
    pub(super) synced_upto: Offset,
    pub(super) segments: Vec<PromisedSegment>,
    /// The checkpoint's image of the last block, with the segment and position it belongs to.
    pub(super) tail: Option<TailImage>,
    pub(super) epochs: Option<Epochs>,
    /// The producers as of the checkpoint, and the offset they belong to.
    pub(super) producers: Option<(Producers, Offset)>,
    /// Entries below this are in the checkpoint.
    pub(super) replay_from: Lsn,
    /// The log was taken offline by an earlier recovery.
    pub(super) offline: bool,
    /// Which shard's journal had entries of it.
    pub(super) seen_in: Option<u16>,
    /// Frames that may have held entries of it are missing.
    pub(super) suspect: bool,
    /// An entry contradicted it: nothing more is taken in.
    pub(super) broken: bool,
    /// The journal had entries beyond the checkpoint.
    pub(super) touched: bool,
    latest_epoch: LeaderEpoch,
    /// A truncation may have left the log a little before where it said.
    loose_end: bool,
}

/// A segment of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PromisedSegment {
    pub(super) base: Offset,
    /// What the checkpoint says of it; `None` when it began in the journal, or when it was cut since.
    pub(super) meta: Option<SegmentMeta>,
}

/// The image of a segment's last partial block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TailImage {
    pub(super) segment: Offset,
    pub(super) position: u64,
    pub(super) bytes: Vec<u8>,
}

/// What an entry did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// A checkpoint holds it, or the log is past taking entries in.
    Passed,
    /// It was taken in.
    In,
}

/// A checkpoint that cannot be as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Nonsense {
    Account(String),
    Producers(String),
    Epochs(String),
}

impl Promise {
    /// What the checkpoint says, and what is wrong with it in itself.
    pub(super) fn new(checkpoint: LogCheckpoint) -> (Promise, Vec<Nonsense>) {
        let mut wrong = account(&checkpoint);
        let producers = match checkpoint.producers.as_slice() {
            [] => None,
            bytes => Producers::from_snapshot(bytes)
                .map_err(|error| wrong.push(Nonsense::Producers(error.to_string())))
                .ok(),
        };
        if let Some((_, end)) = &producers
            && *end != checkpoint.synced_upto
        {
            wrong.push(Nonsense::Producers(format!(
                "the snapshot is of offset {end}, the checkpoint of {}",
                checkpoint.synced_upto
            )));
        }
        let epochs = match checkpoint.epochs.as_slice() {
            [] => Some(Epochs::new()),
            bytes => Epochs::decode(bytes),
        };
        match epochs.as_ref().map(|epochs| epochs.entries().last()) {
            None => wrong.push(Nonsense::Epochs("they do not rise, or are cut short".to_owned())),
            Some(Some(last)) if last.start > checkpoint.synced_upto => {
                wrong.push(Nonsense::Epochs(format!(
                    "epoch {} begins at {}, behind the end {}",
                    last.epoch, last.start, checkpoint.synced_upto
                )));
            }
            Some(_) => {}
        }
        let latest_epoch = epochs.as_ref().and_then(Epochs::latest).unwrap_or(LeaderEpoch::NONE);
        let tail = checkpoint.segments.last().map(|active| TailImage {
            segment: active.base,
            position: active.bytes - active.bytes % BLOCK,
            bytes: checkpoint.tail_image.clone(),
        });
        let segments = checkpoint.segments.iter();
        let segments =
            segments.map(|meta| PromisedSegment { base: meta.base, meta: Some(*meta) }).collect();
        let promise = Promise {
            id: checkpoint.id,
            dir: checkpoint.dir,
            log_start: checkpoint.log_start,
            end: checkpoint.synced_upto,
            synced_upto: checkpoint.synced_upto,
            segments,
            tail,
            epochs,
            producers,
            replay_from: checkpoint.replay_from,
            offline: checkpoint.offline.is_some(),
            seen_in: None,
            suspect: false,
            broken: false,
            touched: false,
            latest_epoch,
            loose_end: false,
        };
        (promise, wrong)
    }

    /// Takes an entry in, or says how it contradicts what came before.
    pub(super) fn apply(&mut self, entry: &FrameEntry<'_>) -> Result<Taken, String> {
        let head = &entry.head;
        // A checkpoint taken while a log-start was on its way to the disk does not know the new start.
        let late_start = head.kind == EntryKind::LogStart
            && head.base_offset > self.log_start
            && head.base_offset <= self.end;
        if self.broken || self.offline || (entry.lsn < self.replay_from && !late_start) {
            return Ok(Taken::Passed);
        }
        self.touched = true;
        let done = match head.kind {
            EntryKind::Append => self.append(entry),
            EntryKind::Truncate => {
                self.truncate(head.next_offset);
                Ok(())
            }
            EntryKind::LogStart if head.base_offset > self.end => Err(format!(
                "the log start {} lies behind the log's end {}",
                head.base_offset, self.end
            )),
            EntryKind::LogStart => {
                self.log_start = self.log_start.max(head.base_offset);
                Ok(())
            }
        };
        self.broken = done.is_err();
        done.map(|()| Taken::In)
    }

    fn append(&mut self, entry: &FrameEntry<'_>) -> Result<(), String> {
        let (head, end) = (&entry.head, self.end);
        let joins = head.base_offset == end || (self.loose_end && head.base_offset < end);
        if !joins {
            return Err(format!(
                "the journal goes on at offset {} and the log ends at {end}",
                head.base_offset
            ));
        }
        let batch = BatchView::first(entry.payload)
            .map_err(|error| format!("the journalled batch of offset {end}: {error}"))?;
        let whole = batch.len() == entry.payload.len()
            && batch.base_offset() == head.base_offset
            && batch.next_offset() == head.next_offset
            && head.next_offset > head.base_offset;
        if !whole {
            return Err(format!("the journalled batch of offset {end} is not what its entry says"));
        }
        if !batch.check_crc() {
            return Err(format!("the journalled batch of offset {end} has a wrong checksum"));
        }
        if batch.leader_epoch() < self.latest_epoch {
            return Err(format!(
                "the batch of offset {end} is of leader epoch {}, behind one of epoch {}",
                batch.leader_epoch(),
                self.latest_epoch
            ));
        }
        self.latest_epoch = batch.leader_epoch();
        let active = self.segments.last().map(|segment| segment.base);
        if active.is_none() || (head.roll && active != Some(head.base_offset)) {
            self.segments.push(PromisedSegment { base: head.base_offset, meta: None });
        }
        self.end = head.next_offset;
        self.loose_end = false;
        self.suspect = false;
        Ok(())
    }

    /// The log ends at `to`, or before the batch that holds it.
    fn truncate(&mut self, to: Offset) {
        if to >= self.end {
            return;
        }
        self.end = to;
        self.loose_end = true;
        self.log_start = self.log_start.min(to);
        // One that begins just there stays, empty, and takes the next append.
        self.segments.retain(|segment| segment.base <= to);
        if to < self.synced_upto {
            self.synced_upto = to;
            if let Some(last) = self.segments.last_mut() {
                last.meta = None;
            }
            self.producers = None;
        }
        if let Some(epochs) = &mut self.epochs {
            epochs.truncate_end(to);
            self.latest_epoch = epochs.latest().unwrap_or(LeaderEpoch::NONE);
        }
        if self.tail.as_ref().is_some_and(|tail| tail.segment >= to) {
            self.tail = None;
        }
    }

    /// Nothing is known to be lost of it.
    pub(super) fn is_whole(&self) -> bool {
        !self.broken && !self.offline
    }

    /// Where segment `index` ends: where the next begins, or the log's end.
    pub(super) fn segment_end(&self, index: usize) -> Offset {
        self.segments.get(index + 1).map_or(self.end, |next| next.base)
    }

    /// Nothing of segment `index` is to be served any more: retention may have deleted its files.
    pub(super) fn is_dead(&self, index: usize) -> bool {
        self.segment_end(index) <= self.log_start && index + 1 < self.segments.len()
    }
}

/// What a checkpoint's offsets and lengths say of each other.
fn account(checkpoint: &LogCheckpoint) -> Vec<Nonsense> {
    let mut wrong = Vec::new();
    let end = checkpoint.synced_upto;
    if checkpoint.log_start < Offset::ZERO {
        wrong.push(format!("the log start is {}", checkpoint.log_start));
    }
    if checkpoint.offline.is_none() {
        let partial = checkpoint.segments.last().map_or(0, |active| active.bytes % BLOCK);
        let have = checkpoint.tail_image.len() as u64;
        if have != partial {
            wrong.push(format!("the last block's image has {have} bytes, and needs {partial}"));
        }
    }
    if let Some(first) = checkpoint.segments.first()
        && first.base > checkpoint.log_start
    {
        let start = checkpoint.log_start;
        wrong.push(format!("the log begins at {start}, its first segment at {}", first.base));
    }
    if let Some(last) = checkpoint.segments.last() {
        let sound = if last.bytes == 0 { last.base == end } else { last.base < end };
        if !sound {
            wrong.push(format!(
                "the last segment begins at {} with {} bytes, and the log ends at {end}",
                last.base, last.bytes
            ));
        }
    }
    let empty = checkpoint.segments.split_last().map_or(&[][..], |(_, sealed)| sealed);
    if let Some(segment) = empty.iter().find(|segment| segment.bytes == 0) {
        wrong.push(format!("the segment at {} is empty and not the last", segment.base));
    }
    wrong.into_iter().map(Nonsense::Account).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::batch::{Builder, Codec, NewRecord};
    use crate::durability::Durability;
    use crate::journal::frame::EntryHead;

    fn batch(base: i64, epoch: i32) -> Vec<u8> {
        let mut builder =
            Builder::new(Codec::None).base_offset(Offset(base)).leader_epoch(LeaderEpoch(epoch));
        builder.push(NewRecord::of(b"x").at(1));
        builder.build().unwrap()
    }

    fn apply(
        promise: &mut Promise,
        lsn: u64,
        kind: EntryKind,
        (base, next): (i64, i64),
        payload: &[u8],
    ) -> Result<Taken, String> {
        let head = EntryHead {
            kind,
            roll: false,
            durability: Durability::Device,
            log: promise.id,
            base_offset: Offset(base),
            next_offset: Offset(next),
            payload_at: 0,
            payload_len: payload.len() as u32,
        };
        promise.apply(&FrameEntry { lsn: Lsn(lsn), head, payload })
    }

    fn empty() -> Promise {
        let id = LogId { topic: [1; 16], partition: 0, incarnation: 0 };
        let (promise, wrong) = Promise::new(LogCheckpoint::empty(id, "a/0"));
        assert_eq!(wrong, Vec::new());
        promise
    }

    #[test]
    fn appends_move_the_end_and_a_gap_is_told() {
        let mut log = empty();
        for base in 0..3 {
            let taken =
                apply(&mut log, 1, EntryKind::Append, (base, base + 1), &batch(base, 2)).unwrap();
            assert_eq!(taken, Taken::In);
        }
        assert_eq!((log.end, log.synced_upto, log.segments.len()), (Offset(3), Offset(0), 1));
        let gap = apply(&mut log, 2, EntryKind::Append, (4, 5), &batch(4, 2)).unwrap_err();
        assert!(gap.contains("goes on at offset 4 and the log ends at 3"), "{gap}");
        let passed = apply(&mut log, 3, EntryKind::Append, (3, 4), &batch(3, 2)).unwrap();
        assert_eq!(passed, Taken::Passed, "a broken log takes nothing more in");
    }

    #[test]
    fn a_batch_must_be_what_its_entry_says() {
        let told = |payload: &[u8], next| {
            apply(&mut empty(), 1, EntryKind::Append, (0, next), payload).unwrap_err()
        };
        assert!(told(&batch(1, 2), 2).contains("not what its entry says"));
        assert!(told(&batch(0, 2), 2).contains("not what its entry says"));
        let mut damaged = batch(0, 2);
        *damaged.last_mut().unwrap() ^= 1;
        assert!(told(&damaged, 1).contains("wrong checksum"));
        assert!(told(&[0; 70], 1).contains("journalled batch"));
    }

    #[test]
    fn epochs_do_not_go_back() {
        let mut log = empty();
        apply(&mut log, 1, EntryKind::Append, (0, 1), &batch(0, 5)).unwrap();
        let told = apply(&mut log, 2, EntryKind::Append, (1, 2), &batch(1, 4)).unwrap_err();
        assert!(told.contains("epoch 4, behind one of epoch 5"), "{told}");
    }

    #[test]
    fn a_truncation_takes_the_promise_back() {
        let mut checkpoint = LogCheckpoint::empty(empty().id, "a/0");
        let meta = |base, bytes| SegmentMeta { bytes, ..SegmentMeta::empty(Offset(base)) };
        checkpoint.segments = vec![meta(0, 9000), meta(10, 4096)];
        checkpoint.synced_upto = Offset(20);
        checkpoint.replay_from = Lsn(5);
        let (mut log, wrong) = Promise::new(checkpoint);
        assert_eq!(wrong, Vec::new());
        let covered = apply(&mut log, 4, EntryKind::Truncate, (0, 0), &[]).unwrap();
        assert_eq!((covered, log.end), (Taken::Passed, Offset(20)));
        apply(&mut log, 5, EntryKind::Truncate, (7, 7), &[]).unwrap();
        assert_eq!((log.end, log.synced_upto), (Offset(7), Offset(7)));
        assert_eq!(log.segments, [PromisedSegment { base: Offset(0), meta: None }]);
        apply(&mut log, 6, EntryKind::Append, (6, 7), &batch(6, 1)).unwrap();
        assert_eq!(log.end, Offset(7), "the batch that held the offset went whole");
        apply(&mut log, 7, EntryKind::Truncate, (0, 0), &[]).unwrap();
        let first = PromisedSegment { base: Offset(0), meta: None };
        assert_eq!((log.end, log.segments.as_slice()), (Offset(0), [first].as_slice()));
    }

    #[test]
    fn a_checkpoint_that_contradicts_itself_is_told() {
        let id = empty().id;
        let told = |change: &dyn Fn(&mut LogCheckpoint)| {
            let mut checkpoint = LogCheckpoint::empty(id, "a/0");
            checkpoint.segments =
                vec![SegmentMeta { bytes: 4096, ..SegmentMeta::empty(Offset(0)) }];
            checkpoint.synced_upto = Offset(5);
            change(&mut checkpoint);
            Promise::new(checkpoint).1
        };
        assert_eq!(told(&|_| {}), Vec::new());
        let accounts = |wrong: Vec<Nonsense>| matches!(wrong[..], [Nonsense::Account(_)]);
        assert!(accounts(told(&|c| c.tail_image = vec![1])));
        assert!(accounts(told(&|c| c.segments[0].bytes = 0)));
        assert!(accounts(told(&|c| c.segments[0].base = Offset(1))));
        assert!(matches!(told(&|c| c.producers = vec![1])[..], [Nonsense::Producers(_)]));
        assert!(matches!(told(&|c| c.epochs = vec![1])[..], [Nonsense::Epochs(_)]));
        let snapshot = Producers::new().snapshot(Offset(4));
        let wrong = told(&|c| c.producers = snapshot.clone());
        assert!(matches!(wrong[..], [Nonsense::Producers(_)]));
    }
}

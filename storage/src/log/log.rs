//! The log of one partition: an ordered run of segments holding record batches. Decides; performs no I/O.
//!
//! Lives on the owning shard, one per replica. Owns offsets, segment roll, what readers may see and what a segment
//! file already holds. Leaves to others: writing (`write_behind`), when to checkpoint (`checkpointing`), what is too
//! old (`retain`).
//!
//! Holds always:
//! - `log_start <= visible_end <= log_end`; an offset is reused only behind a cut (`truncate`), and none is visible
//!   before it is as durable as the class it was appended with demands;
//! - `written.offset <= visible_end`: segments hold only what readers may see;
//! - the tail covers `written.offset..log_end` without a gap;
//! - `segments` is ordered by base, and only its last one takes appends, never beyond `reserved` bytes.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use engine::buffer::Slice;

use crate::batch::split;
use crate::checkpoint::LogCheckpoint;
use crate::durability::Durability;
use crate::ids::{FilePosition, LogId, Lsn, Offset};
use crate::log::config::LogConfig;
use crate::log::epochs::Epochs;
use crate::log::producers::Producers;
use crate::log::segment::Segment;
use crate::log::space;
use crate::log_state::LogState;
use crate::tail::{Chunk, Tail};

/// Whether a log can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Reads and appends.
    Online,
    /// Recovery found damage in acknowledged data, or a segment turned out to be damaged: the cause.
    Offline(Arc<str>),
    /// Its topic is gone.
    Deleted,
}

/// One log's state.
pub struct Log {
    pub(crate) id: LogId,
    /// Where its files are, relative to the directory of all topics.
    pub(crate) dir: Rc<str>,
    pub(crate) config: Rc<LogConfig>,
    pub(crate) standing: Standing,
    pub(crate) segments: Vec<Segment>,
    pub(crate) log_start: Offset,
    pub(crate) visible_end: Offset,
    pub(crate) log_end: Offset,
    /// Appended and not yet as durable as their class demands, in order.
    pub(crate) pending: VecDeque<Pending>,
    /// Journal entries that stay whatever checkpoints say: log starts that are not durable yet, and so not in
    /// `log_start`; cuts whose files are not gone yet.
    pub(crate) pinned: Vec<Lsn>,
    pub(crate) producers: Producers,
    pub(crate) epochs: Epochs,
    pub(crate) tail: Tail,
    pub(crate) written: Written,
    /// Bytes that the last segment's file may grow to without asking the file system again.
    pub(crate) reserved: u64,
    /// A roll was decided and its file is being made: no append until then.
    pub(crate) rolling: bool,
    /// The log is about to be cut back, or the files behind a cut are: no append until then.
    pub(crate) cutting: bool,
    /// How often it was cut back since the start.
    pub(crate) cuts: u32,
    /// Where it ended after the last cut.
    pub(crate) last_cut: Offset,
    /// Something a checkpoint holds has changed since the last one.
    pub(crate) changed: bool,
}

/// An append that waits for its durability.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) lsn: Lsn,
    pub(crate) next: Offset,
    pub(crate) durability: Durability,
}

/// What the segment files hold: the point from which a checkpoint could restart this log.
pub struct Written {
    /// The segment the next batch to be written goes to, as far as it is written.
    pub(crate) segment: Segment,
    /// Every batch before this offset is in a segment.
    pub(crate) offset: Offset,
    /// The bytes of the last block, if it is partial: it is written again, with more, by the next write.
    pub(crate) image: Box<[u8]>,
}

impl Log {
    /// An empty log that begins at `start`.
    pub fn new(id: LogId, dir: Rc<str>, config: Rc<LogConfig>, start: Offset) -> Log {
        Log {
            id,
            dir,
            config,
            standing: Standing::Online,
            segments: Vec::new(),
            log_start: start,
            visible_end: start,
            log_end: start,
            pending: VecDeque::new(),
            pinned: Vec::new(),
            producers: Producers::default(),
            epochs: Epochs::default(),
            tail: Tail::default(),
            written: Written {
                segment: Segment::new(start, 0),
                offset: start,
                image: Box::default(),
            },
            reserved: 0,
            rolling: false,
            cutting: false,
            cuts: 0,
            last_cut: start,
            changed: true,
        }
    }

    /// The log that recovery found. Appending goes on where its last segment ends.
    pub fn from_state(state: LogState, config: Rc<LogConfig>, now_ms: i64) -> Log {
        let checkpoint = state.checkpoint;
        let last = checkpoint.segments.len().saturating_sub(1);
        let segments: Vec<Segment> = checkpoint
            .segments
            .iter()
            .enumerate()
            .map(|(at, meta)| Segment::from_meta(meta, now_ms, at < last))
            .collect();
        let end = checkpoint.synced_upto;
        let mut log = Log::new(checkpoint.id, checkpoint.dir.into(), config, end);
        log.log_start = checkpoint.log_start;
        let producers = match checkpoint.producers.as_slice() {
            [] => Ok(Producers::default()),
            bytes => Producers::from_snapshot(bytes).map(|(producers, _)| producers),
        };
        let epochs = Epochs::decode(&checkpoint.epochs);
        log.standing = match (checkpoint.offline, producers.is_ok() && epochs.is_some()) {
            (Some(cause), _) => Standing::Offline(cause.into()),
            (None, false) => Standing::Offline("its checkpoint is damaged".into()),
            (None, true) => Standing::Online,
        };
        log.producers = producers.unwrap_or_default();
        log.epochs = epochs.unwrap_or_default();
        if let Some(active) = segments.last() {
            log.written.segment = *active;
            log.written.image = checkpoint.tail_image.into();
            // What was reserved behind the last batch was given back when the file was cut to its length.
            log.reserved = space::block_start(active.bytes);
        }
        log.segments = segments;
        log.changed = false;
        log.check_invariants();
        log
    }

    /// What a restart needs to go on from what is in the segments now, once that is synced: the journal's entries from
    /// `next_lsn` on, or from the first one that is not in a segment, come on top.
    pub fn checkpoint(&self, next_lsn: Lsn) -> LogCheckpoint {
        let written = &self.written;
        let older = self.segments.iter().filter(|segment| segment.base < written.segment.base);
        let mut segments: Vec<_> = older.map(Segment::meta).collect();
        if self.segment(written.segment.base).is_some() {
            segments.push(written.segment.meta());
        }
        let mut epochs = self.epochs.clone();
        epochs.truncate_end(written.offset);
        let producers = match self.producers.is_empty() {
            true => Vec::new(),
            false => self.producers.snapshot(written.offset),
        };
        LogCheckpoint {
            id: self.id,
            dir: self.dir.to_string(),
            segments,
            synced_upto: written.offset,
            tail_image: written.image.to_vec(),
            log_start: self.log_start.min(written.offset),
            epochs: epochs.encode(),
            producers,
            // Pinned entries before it are found in the journal all the same, and recovery knows what to do with them.
            replay_from: self.oldest_unwritten().unwrap_or(next_lsn),
            offline: match &self.standing {
                Standing::Offline(cause) => Some(cause.to_string()),
                Standing::Online | Standing::Deleted => None,
            },
        }
    }

    /// The segment that takes appends.
    pub fn active(&self) -> Option<&Segment> {
        self.segments.last()
    }

    /// The segment that begins with exactly `base`.
    pub fn segment(&self, base: Offset) -> Option<&Segment> {
        let at = self.segments.binary_search_by_key(&base, |segment| segment.base).ok()?;
        self.segments.get(at)
    }

    /// The segment that holds `offset`, if any does.
    pub fn segment_of(&self, offset: Offset) -> Option<&Segment> {
        let at = self.segments.partition_point(|segment| segment.base <= offset);
        self.segments.get(at.checked_sub(1)?)
    }

    /// The base of the segment after that of `base`.
    pub fn segment_after(&self, base: Offset) -> Option<&Segment> {
        let at = self.segments.partition_point(|segment| segment.base <= base);
        self.segments.get(at)
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Bytes appended and not yet in a segment.
    pub fn unwritten_bytes(&self) -> usize {
        self.tail.unwritten().map(|piece| piece.bytes.len()).sum()
    }

    /// The journal entry of the oldest batch that is in no segment yet.
    pub fn oldest_unwritten(&self) -> Option<Lsn> {
        self.tail.unwritten().next().map(|piece| piece.lsn)
    }

    /// The first journal entry that must outlive a checkpoint made now.
    pub fn oldest_needed(&self) -> Option<Lsn> {
        self.pinned.iter().copied().chain(self.oldest_unwritten()).min()
    }

    /// Entries below `written` are written and entries below `durable` are flushed. Returns whether more is visible.
    pub fn on_commit(&mut self, written: Lsn, durable: Lsn) -> bool {
        let before = self.visible_end;
        while let Some(pending) = self.pending.front() {
            let done = match pending.durability {
                Durability::Memory => true,
                Durability::Written => pending.lsn < written,
                Durability::Device => pending.lsn < durable,
            };
            if !done {
                break;
            }
            self.visible_end = pending.next;
            self.pending.pop_front();
        }
        if self.pending.is_empty() && self.pending.capacity() > 64 {
            self.pending = VecDeque::new();
        }
        assert!(before <= self.visible_end && self.visible_end <= self.log_end, "ends only rise");
        before != self.visible_end
    }

    /// Begins a new segment at the log's end, whose file exists and has `reserved` bytes of room.
    pub fn on_rolled(&mut self, created_ms: i64, reserved: u64) {
        let base = self.log_end;
        assert!(self.rolling, "a roll is decided before it is done");
        assert!(self.active().is_none_or(|active| active.base < base), "segments begin apart");
        self.segments.push(Segment::new(base, created_ms));
        self.reserved = reserved;
        self.rolling = false;
        self.changed = true;
        self.step_over_full_segment();
    }

    /// Moves the write position into the next segment once the current one is complete and another one follows.
    fn step_over_full_segment(&mut self) {
        let current = self.written.segment;
        let complete = self.segment(current.base).is_some_and(|s| s.bytes == current.bytes);
        if let Some(next) = self.segment_after(current.base).filter(|_| complete) {
            self.written.segment = Segment::new(next.base, next.created_ms);
            self.written.image = Box::default();
        }
    }

    /// The segments that are complete on disk but for being cut to length and indexed.
    pub fn unsealed(&self) -> impl Iterator<Item = &Segment> {
        let upto = self.written.segment.base;
        self.segments.iter().filter(move |segment| !segment.sealed && segment.base < upto)
    }

    /// The segment with this base has its exact length and its index on disk.
    pub fn on_sealed(&mut self, base: Offset) {
        if let Ok(at) = self.segments.binary_search_by_key(&base, |segment| segment.base) {
            self.segments[at].sealed = true;
        }
    }

    /// The next run of batches to bring into a segment: of one segment, at most `max` bytes unless a single batch is
    /// larger, and only what readers may see.
    pub fn plan_write(&self, max: usize) -> Option<WritePlan> {
        if self.standing == Standing::Deleted {
            return None;
        }
        let mut plan = WritePlan {
            segment: self.written.segment.base,
            position: self.written.segment.end(),
            pieces: Vec::new(),
            bytes: 0,
            next: self.written.offset,
        };
        for piece in self.tail.unwritten() {
            let fits = plan.bytes == 0 || plan.bytes + piece.bytes.len() <= max;
            if piece.segment != plan.segment || piece.next > self.visible_end || !fits {
                break;
            }
            plan.bytes += piece.bytes.len();
            plan.next = piece.next;
            plan.pieces.push(piece.bytes.clone());
        }
        (plan.bytes > 0).then_some(plan)
    }

    /// The planned run is in its segment. `image` is the partial last block it ends with; `chunk` holds the batches
    /// and takes their place in the tail. Returns the memory of older chunks that this frees.
    pub fn on_written(
        &mut self,
        plan: &WritePlan,
        image: Box<[u8]>,
        chunk: Option<Chunk>,
    ) -> usize {
        let written = &mut self.written;
        assert_eq!(written.segment.end(), plan.position, "one write at a time");
        for batch in plan.pieces.iter().flat_map(|piece| split(piece).flatten()) {
            let bytes = batch.len() as u64;
            written.segment.on_append(bytes, batch.max_timestamp(), batch.last_offset());
        }
        assert_eq!(written.segment.end(), plan.position + plan.bytes as u64, "whole batches");
        self.written.offset = plan.next;
        self.written.image = image;
        self.changed = true;
        let freed = self.tail.on_written(plan.pieces.len(), chunk);
        self.step_over_full_segment();
        freed
    }

    /// Moves the start of the log up to `to`; returns whether it moved. What lies before it is no longer served.
    pub fn on_log_start(&mut self, to: Offset) -> bool {
        let to = to.min(self.visible_end);
        if to <= self.log_start {
            return false;
        }
        self.log_start = to;
        self.epochs.truncate_start(to);
        self.changed = true;
        true
    }

    /// Forgets the segments that lie wholly before the log's start, and names them: their files may go.
    pub fn take_dead_segments(&mut self) -> Vec<Segment> {
        let dead = crate::log::retain::dead_segments(&self.segments, self.log_start);
        // A segment that is still being written waits for its write to end.
        let written = self.written.segment.base;
        let done = |segment: &&Segment| segment.base < written;
        let dead = self.segments[..dead].iter().take_while(done).count();
        if dead > 0 {
            self.changed = true;
        }
        self.segments.drain(..dead).collect()
    }

    /// What must be reserved before an append of `bytes` finds room, if anything.
    pub fn plan_room(&self, bytes: u64) -> Option<Room> {
        if self.rolling {
            return Some(Room::Roll { reserve: space::grow(0, bytes, self.config.segment_bytes) });
        }
        let Some(active) = self.active() else {
            return Some(Room::Roll { reserve: space::grow(0, bytes, self.config.segment_bytes) });
        };
        let need = active.bytes + bytes;
        (need > self.reserved).then(|| Room::Grow {
            segment: active.base,
            from: self.reserved,
            step: space::grow(self.reserved, need, self.config.segment_bytes),
            least: space::grow_least(self.reserved, need),
        })
    }

    /// The last segment's file can now grow to `reserved` bytes.
    pub fn on_reserved(&mut self, segment: Offset, reserved: u64) {
        if self.active().is_some_and(|active| active.base == segment) {
            self.reserved = self.reserved.max(reserved);
        }
    }

    /// Stops on a broken invariant.
    pub fn check_invariants(&self) {
        assert!(self.log_start <= self.visible_end, "the start passed the visible end");
        assert!(self.visible_end <= self.log_end, "the visible end passed the log's end");
        assert!(self.written.offset <= self.visible_end, "a segment holds invisible records");
        assert!(
            self.tail.start().is_some_and(|start| start <= self.written.offset)
                || self.written.offset == self.log_end,
            "the tail leaves a gap to the segments"
        );
        assert!(
            self.segments.is_sorted_by(|a, b| a.base < b.base),
            "segments are ordered and begin apart"
        );
    }
}

/// A run of batches to write.
pub struct WritePlan {
    /// The segment, by its base.
    pub segment: Offset,
    /// Where the run begins in it.
    pub position: FilePosition,
    /// The batches.
    pub pieces: Vec<Slice>,
    /// Bytes of all pieces.
    pub bytes: usize,
    /// The offset after the run.
    pub next: Offset,
}

/// What an append needs before it can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// A new segment at the log's end, with this many bytes reserved.
    Roll {
        /// Bytes.
        reserve: u64,
    },
    /// More bytes for the segment that takes appends.
    Grow {
        /// The segment, by its base.
        segment: Offset,
        /// Bytes it has.
        from: u64,
        /// Bytes to add.
        step: u64,
        /// Bytes to add when the disk has no room for a whole step.
        least: u64,
    },
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::ids::LeaderEpoch;
    use crate::journal::Pushed;
    use crate::log::append::AppendError;
    use crate::log::testing::produced_batch;

    struct Bench {
        log: Log,
        next_lsn: u64,
    }

    fn bench(config: LogConfig) -> Bench {
        let id = LogId { topic: [1; 16], partition: 0, incarnation: 0 };
        Bench { log: Log::new(id, "a/0".into(), Rc::new(config), Offset(0)), next_lsn: 1 }
    }

    impl Bench {
        fn try_append(&mut self, records: usize) -> Result<Offset, AppendError> {
            let (lsn, bytes) = (Lsn(self.next_lsn), produced_batch(records, 500));
            let appended = self.log.append(&bytes, LeaderEpoch(1), 2_000, 0, |entry| {
                let mut target = vec![0; entry.len];
                (entry.write)(&mut target);
                Ok(Pushed { lsn, slice: Slice::from_vec(target) })
            });
            self.next_lsn += u64::from(appended.is_ok());
            self.log.check_invariants();
            appended.map(|appended| appended.next_offset())
        }

        /// Appends one batch, with as much room as it takes.
        fn append(&mut self, records: usize, durability: Durability) -> Offset {
            self.log.config = Rc::new(LogConfig { durability, ..(*self.log.config).clone() });
            loop {
                match self.try_append(records) {
                    Ok(next) => return next,
                    Err(AppendError::NoRoom) => self.make_room(),
                    Err(other) => panic!("{other}"),
                }
            }
        }

        fn make_room(&mut self) {
            match self.log.plan_room(10_000).unwrap() {
                Room::Roll { reserve } => {
                    self.log.rolling = true;
                    self.log.on_rolled(0, reserve);
                }
                Room::Grow { segment, from, step, .. } => {
                    self.log.on_reserved(segment, from + step)
                }
            }
        }

        /// Brings the next run into its segment, as write-behind does.
        fn write(&mut self) -> Option<WritePlan> {
            let plan = self.log.plan_write(1 << 20)?;
            let before = self.log.written.image.to_vec();
            let all: Vec<u8> = plan.pieces.iter().flat_map(|piece| piece.to_vec()).collect();
            let whole = [before, all.clone()].concat();
            let image = whole[space::block_start(whole.len() as u64) as usize..].into();
            let chunk = Chunk { bytes: Slice::from_vec(all), cost: 4096 };
            self.log.on_written(&plan, image, Some(chunk));
            self.log.check_invariants();
            let checkpoint = self.log.checkpoint(Lsn(self.next_lsn));
            checkpoint.check_invariants();
            assert_eq!(checkpoint.synced_upto, plan.next);
            Some(plan)
        }
    }

    #[test]
    fn a_weaker_class_never_overtakes_a_stronger_one() {
        let mut bench = bench(LogConfig::default());
        let device = bench.append(1, Durability::Device);
        let written = bench.append(1, Durability::Written);
        let memory = bench.append(1, Durability::Memory);
        assert_eq!(bench.log.visible_end, Offset(0), "memory waits behind device");
        let after_all = Lsn(bench.next_lsn);
        assert!(!bench.log.on_commit(after_all, Lsn(0)), "written, not flushed");
        assert!(bench.log.on_commit(after_all, after_all));
        assert_eq!(bench.log.visible_end, memory);
        assert!(device < written && written < memory);
        let alone = bench.append(1, Durability::Memory);
        assert_eq!(bench.log.visible_end, alone, "at once when nothing waits");
        let written = bench.append(1, Durability::Written);
        assert!(bench.log.on_commit(Lsn(bench.next_lsn), after_all));
        assert_eq!(bench.log.visible_end, written);
    }

    #[test]
    fn only_what_is_visible_is_written_behind_and_segment_by_segment() {
        let mut bench = bench(LogConfig { segment_bytes: 4_000, ..LogConfig::default() });
        let ends: Vec<Offset> = (0..12).map(|_| bench.append(2, Durability::Device)).collect();
        assert!(bench.log.segments.len() > 2);
        assert!(bench.log.plan_write(1 << 20).is_none(), "nothing is visible yet");
        for segment in bench.log.segments.clone() {
            let limit = bench.log.limit_of(segment.base);
            assert_eq!(
                limit,
                Some((FilePosition(0), segment.base)),
                "what is in memory is not looked for in files"
            );
        }
        bench.log.on_commit(Lsn(8), Lsn(8));
        let mut reached = Offset(0);
        while let Some(plan) = bench.write() {
            let segment = bench.log.segment_of(reached).unwrap().base;
            assert_eq!(plan.segment, segment);
            reached = plan.next;
        }
        assert_eq!(reached, ends[6], "the entries before LSN 8");
        bench.log.on_commit(Lsn(99), Lsn(99));
        while bench.write().is_some() {}
        assert_eq!(bench.log.written.offset, bench.log.log_end);
        assert_eq!(bench.log.unsealed().count(), bench.log.segments.len() - 1);
        assert_eq!(bench.log.oldest_needed(), None);
    }

    /// A log start was pushed and is not in memory yet when its log is written behind and a checkpoint is made. Once the
    /// checkpoint asked for entries from the log start on, although its segments held those behind it: a restart then
    /// found appends that did not join on, and took the log offline.
    #[test]
    fn a_log_start_on_its_way_stays_in_the_journal_and_nothing_else_is_replayed_for_it() {
        let mut bench = bench(LogConfig::default());
        bench.append(2, Durability::Memory);
        let start = Lsn(bench.next_lsn);
        bench.next_lsn += 1;
        bench.log.pinned.push(start);
        bench.append(2, Durability::Memory);
        while bench.write().is_some() {}
        let checkpoint = bench.log.checkpoint(Lsn(bench.next_lsn));
        assert_eq!(checkpoint.synced_upto, bench.log.log_end);
        assert_eq!(checkpoint.replay_from, Lsn(bench.next_lsn), "what segments hold is covered");
        assert_eq!(bench.log.oldest_needed(), Some(start), "the journal keeps the log start");
    }

    #[test]
    fn a_decided_roll_stops_appends_until_it_is_done() {
        let mut bench = bench(LogConfig { segment_bytes: 1_500, ..LogConfig::default() });
        bench.append(2, Durability::Memory);
        assert_eq!(bench.try_append(2), Err(AppendError::NoRoom), "it would outgrow the segment");
        assert_eq!(bench.try_append(1), Err(AppendError::NoRoom), "not even one that would fit");
        let end = bench.log.log_end;
        bench.make_room();
        assert_eq!(bench.log.active().map(|active| active.base), Some(end));
        bench.append(1, Durability::Memory);
    }

    #[test]
    fn a_log_goes_on_from_its_checkpoint() {
        let mut bench = bench(LogConfig { segment_bytes: 4_000, ..LogConfig::default() });
        for _ in 0..9 {
            bench.append(2, Durability::Memory);
        }
        while bench.write().is_some() {}
        let checkpoint = bench.log.checkpoint(Lsn(50));
        assert_eq!(checkpoint.replay_from, Lsn(50), "nothing is needed from before");
        let state = LogState { checkpoint: checkpoint.clone() };
        let again = Log::from_state(state, bench.log.config.clone(), 0);
        assert_eq!((again.log_end, again.visible_end), (bench.log.log_end, bench.log.log_end));
        assert_eq!(again.checkpoint(Lsn(50)), checkpoint);
    }
}

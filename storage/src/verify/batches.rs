//! The batches of one segment, one after the other, against what the log promises, and its index beside them. Pure.

use ahash::AHashMap;

use super::code::Code;
use super::promise::Promise;
use crate::batch::{BatchView, Records};
use crate::checkpoint::SegmentMeta;
use crate::ids::{Count, LeaderEpoch, Offset, ProducerId};
use crate::limits::LEADER_EPOCHS_PER_LOG_MAX;
use crate::log::{Epochs, Producers, SegmentIndex};

/// Something wrong at the present position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) code: Code,
    pub(super) what: String,
}

fn problem(code: Code, what: String) -> Problem {
    Problem { code, what }
}

/// What is known of a log across its segments.
pub(super) struct LogSoFar {
    /// The epoch of the node's last start: no batch is of a later one unless the history knows it.
    epoch_max: LeaderEpoch,
    latest_epoch: LeaderEpoch,
    /// The history to compare with, up to where it is told.
    epochs: Option<(Epochs, Offset)>,
    /// Batches below are synced.
    synced_upto: Offset,
    /// The snapshot to compare with, and the offset it is of.
    producers: Option<(Producers, Offset)>,
    /// Epoch and last sequence of the snapshot's producers, as the batches say.
    seen: AHashMap<ProducerId, (i16, i32)>,
    deep: bool,
}

impl LogSoFar {
    pub(super) fn new(promise: &Promise, epoch_max: LeaderEpoch, deep: bool) -> LogSoFar {
        // Beyond the limit the history's oldest entries are merged and no longer say what the batches do.
        let history = promise.epochs.as_ref();
        let epochs = history
            .filter(|epochs| epochs.entries().len() < LEADER_EPOCHS_PER_LOG_MAX)
            .map(|epochs| (epochs.clone(), promise.synced_upto));
        LogSoFar {
            epoch_max,
            latest_epoch: LeaderEpoch::NONE,
            epochs,
            synced_upto: promise.synced_upto,
            producers: promise.producers.clone(),
            seen: AHashMap::with_hasher(ahash::RandomState::with_seeds(17, 18, 19, 20)),
            deep,
        }
    }

    fn check_epoch(&mut self, batch: &BatchView<'_>) -> Option<Problem> {
        let (base, epoch, latest) = (batch.base_offset(), batch.leader_epoch(), self.latest_epoch);
        let history = self.epochs.as_ref().filter(|(_, upto)| base < *upto);
        let known = history.and_then(|(epochs, _)| epochs.epoch_at(base));
        // A leader elsewhere may be of a later epoch than this node's start; then the history says so.
        let later = epoch > self.epoch_max && known != Some(epoch) && base < self.synced_upto;
        let what = if epoch < latest {
            format!("behind one of epoch {latest}")
        } else if let Some(known) = known.filter(|known| *known != epoch) {
            format!("the history says {known}")
        } else if later {
            format!("the node's last start gave {}", self.epoch_max)
        } else {
            self.latest_epoch = epoch;
            return None;
        };
        let what = format!("the batch of offset {base} is of leader epoch {epoch}, {what}");
        Some(problem(Code::LeaderEpochs, what))
    }

    fn note_producer(&mut self, batch: &BatchView<'_>) {
        let Some((producers, end)) = &self.producers else { return };
        let Some(id) = batch.producer_id() else { return };
        let told = batch.next_offset() <= *end && producers.standing(id).is_some();
        if told && !batch.attributes().is_control() {
            self.seen.insert(id, (batch.producer_epoch(), batch.last_sequence()));
        }
    }

    /// Once all batches are read: producers whose snapshot is behind the batches, or beside them.
    pub(super) fn check_producers(&self) -> Option<Problem> {
        let (producers, end) = self.producers.as_ref()?;
        let mut wrong: Vec<_> = self
            .seen
            .iter()
            .filter_map(|(id, seen)| Some((*id, *seen, producers.standing(*id)?)))
            .filter(|(_, seen, told)| told.0 < seen.0 || (told.0 == seen.0 && told.1 != seen.1))
            .collect();
        wrong.sort_unstable();
        let (id, seen, told) = wrong.first()?;
        Some(problem(
            Code::ProducerSnapshot,
            format!(
                "of {} producers, the first is {id}: the snapshot at offset {end} has epoch {} sequence {}, its last \
                 batch before that epoch {} sequence {}",
                wrong.len(),
                told.0,
                told.1,
                seen.0,
                seen.1
            ),
        ))
    }
}

/// A walk over one segment's batches.
pub(super) struct SegmentWalk {
    /// Where the next batch begins, once that is known.
    pub(super) next: Option<Offset>,
    pub(super) position: u64,
    pub(super) batches: u64,
    pub(super) records: u64,
    /// As the checkpoint would account for what was read.
    account: SegmentMeta,
    /// The largest timestamp so far, as the index counts it.
    max_timestamp: i64,
    index: Option<IndexWalk>,
    /// A batch was wrong or missing: sums over the segment say nothing any more.
    pub(super) hurt: bool,
}

impl SegmentWalk {
    pub(super) fn new(base: Offset, index: Option<SegmentIndex>) -> SegmentWalk {
        SegmentWalk {
            next: Some(base),
            position: 0,
            batches: 0,
            records: 0,
            account: SegmentMeta::empty(base),
            max_timestamp: i64::MIN,
            index: index.map(|index| IndexWalk { index, at: 0, ended: false }),
            hurt: false,
        }
    }

    /// Judges the next batch and passes over it.
    pub(super) fn take(&mut self, batch: &BatchView<'_>, log: &mut LogSoFar) -> Vec<Problem> {
        let mut problems = Vec::new();
        let base = batch.base_offset();
        let joins = self.next.is_none_or(|next| next == base) && base >= self.account.base;
        if !joins {
            let expected = self.next.unwrap_or(self.account.base);
            let what = format!("a batch of offset {base} where offset {expected} goes on");
            problems.push(problem(Code::BatchOffsets, what));
        }
        let sound = batch.check_crc();
        if !sound {
            let what = format!(
                "the batch of offset {base} has checksum {:#010x}, its bytes give {:#010x}",
                batch.crc(),
                batch.computed_crc()
            );
            problems.push(problem(Code::BatchChecksum, what));
        } else if joins {
            problems.extend(check_header(batch));
            problems.extend(log.check_epoch(batch));
            if log.deep && problems.is_empty() {
                problems.extend(check_records(batch));
            }
        }
        let header_counts = sound && joins;
        self.hurt |= !header_counts;
        if header_counts {
            if let Some(index) = self.index.as_mut() {
                let max = (!self.hurt).then_some(self.max_timestamp);
                if let Some(what) = index.on_batch(self.position, base, max) {
                    problems.push(problem(Code::IndexWrong, what));
                    self.index = None;
                }
            }
            log.note_producer(batch);
        } else if let Some(index) = self.index.as_mut() {
            index.resume(self.position + 1);
        }
        self.pass(batch, header_counts);
        if let Some(what) = self.index_end() {
            problems.push(problem(Code::IndexWrong, what));
        }
        problems
    }

    fn pass(&mut self, batch: &BatchView<'_>, header_counts: bool) {
        self.batches += 1;
        self.records += u64::try_from(batch.count()).unwrap_or(0);
        if self.position == 0 {
            self.account.first_timestamp = batch.max_timestamp();
        }
        if batch.max_timestamp() > self.account.max_timestamp {
            self.account.max_timestamp = batch.max_timestamp();
            self.account.max_timestamp_offset = batch.last_offset();
        }
        self.max_timestamp = self.max_timestamp.max(batch.max_timestamp());
        self.position += batch.len() as u64;
        self.account.bytes = self.position;
        // Behind a header that is not to be trusted, the next batch says where it begins.
        self.next = header_counts.then(|| batch.next_offset());
    }

    /// Goes on at a batch further behind, after damage.
    pub(super) fn resume(&mut self, position: u64) {
        self.position = position;
        self.account.bytes = position;
        self.next = None;
        self.hurt = true;
        if let Some(index) = &mut self.index {
            index.resume(position);
        }
    }

    /// The next place behind the present position where a batch is said to begin.
    pub(super) fn next_place(&self, behind: u64) -> Option<u64> {
        let walk = self.index.as_ref()?;
        let places = (walk.at..walk.index.len()).filter_map(|at| walk.index.place(at));
        places.map(|(_, _, position)| position.0).find(|position| *position > behind)
    }

    /// The checkpoint's account of a segment whose synced bytes end here.
    pub(super) fn check_account(&self, told: &SegmentMeta, end: Offset) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.hurt {
            return problems;
        }
        if self.next != Some(end) {
            let what = format!(
                "its {} bytes end with offset {}, the checkpoint says {end}",
                told.bytes,
                self.next.unwrap_or(self.account.base)
            );
            problems.push(problem(Code::SegmentAccount, what));
        }
        let times = |meta: &SegmentMeta| {
            (meta.first_timestamp, meta.max_timestamp, meta.max_timestamp_offset)
        };
        if times(told) != times(&self.account) {
            let what = format!(
                "first, largest timestamp and its offset are {:?}, the checkpoint says {:?}",
                times(&self.account),
                times(told)
            );
            problems.push(problem(Code::SegmentTimes, what));
        }
        problems
    }

    fn index_end(&mut self) -> Option<String> {
        let (position, next, max) = (self.position, self.next, self.max_timestamp);
        let hurt = self.hurt;
        let index = self.index.as_mut().filter(|index| !index.ended)?;
        if position < index.index.bytes() {
            return None;
        }
        index.ended = true;
        if hurt {
            return None;
        }
        let (bytes, told) = (index.index.bytes(), index.index.next_offset());
        if position != bytes || Some(told) != next {
            return Some(format!(
                "it ends at byte {bytes} with offset {told}, where no batch ends so"
            ));
        }
        let told = index.index.max_timestamp().map(|(timestamp, _)| timestamp);
        (told != Some(max))
            .then(|| format!("its largest timestamp is {told:?}, the batches' {max}"))
    }

    /// Bytes the index covers, if it was not found wrong before.
    pub(super) fn index_bytes(&self) -> Option<u64> {
        self.index.as_ref().map(|index| index.index.bytes())
    }
}

struct IndexWalk {
    index: SegmentIndex,
    at: usize,
    ended: bool,
}

impl IndexWalk {
    /// Passes over the entries before a position, after damage.
    fn resume(&mut self, position: u64) {
        while self.index.place(self.at).is_some_and(|(_, _, at)| at.0 < position) {
            self.at += 1;
        }
    }

    /// `max_before` is not known behind damage.
    fn on_batch(&mut self, position: u64, base: Offset, max_before: Option<i64>) -> Option<String> {
        let (told_max, told_base, told_position) = self.index.place(self.at)?;
        if told_position.0 > position {
            return None;
        }
        self.at += 1;
        if told_position.0 < position {
            return Some(format!("its entry for byte {told_position} is not at a batch's begin"));
        }
        let right = told_base == base && max_before.is_none_or(|max| told_max == max);
        (!right).then(|| {
            format!(
                "its entry for byte {position} says offset {told_base} after timestamp {told_max}, the segment has \
                 offset {base} after {max_before:?}"
            )
        })
    }
}

/// What the header says of itself.
fn check_header(batch: &BatchView<'_>) -> Option<Problem> {
    let (count, delta) = (batch.count(), batch.last_offset_delta());
    let what = if delta < 0 || count < 0 || i64::from(count) > i64::from(delta) + 1 {
        format!("{count} records, and the last offset is the first plus {delta}")
    } else if let Err(number) = batch.attributes().codec() {
        format!("packed with codec {number}, which is none")
    } else {
        return None;
    };
    Some(problem(
        Code::BatchRecords,
        format!("the batch of offset {}: {what}", batch.base_offset()),
    ))
}

/// Unpacks the records and walks over all of them.
fn check_records(batch: &BatchView<'_>) -> Option<Problem> {
    let fault = |what: String| {
        let base = batch.base_offset();
        Some(problem(Code::BatchRecords, format!("the batch of offset {base}: {what}")))
    };
    let records = match Records::of(batch) {
        Ok(records) => records,
        Err(error) => return fault(error.to_string()),
    };
    let mut least = batch.base_offset();
    for record in records.iter() {
        match record {
            Ok(record) if record.offset < least || record.offset > batch.last_offset() => {
                return fault(format!("a record of offset {} is out of order", record.offset));
            }
            Ok(record) => least = record.offset + Count::ONE,
            Err(error) => return fault(error.to_string()),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::batch::{Builder, Codec, NewRecord, split};
    use crate::checkpoint::LogCheckpoint;
    use crate::ids::LogId;

    fn segment(epochs: &[i32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, epoch) in epochs.iter().enumerate() {
            let mut builder = Builder::new(Codec::Zstd)
                .base_offset(Offset(100 + 2 * number as i64))
                .leader_epoch(LeaderEpoch(*epoch))
                .producer(ProducerId(9), 0, 2 * number as i32);
            builder.push(NewRecord::of(b"one").at(1_000 + number as i64));
            builder.push(NewRecord::of(b"two").at(900));
            bytes.extend(builder.build().unwrap());
        }
        bytes
    }

    fn so_far(change: impl Fn(&mut LogCheckpoint)) -> LogSoFar {
        let id = LogId { topic: [1; 16], partition: 0, incarnation: 0 };
        let mut checkpoint = LogCheckpoint::empty(id, "a/0");
        checkpoint.synced_upto = Offset(200);
        change(&mut checkpoint);
        LogSoFar::new(&Promise::new(checkpoint).0, LeaderEpoch(7), true)
    }

    fn walk(bytes: &[u8], index: Option<SegmentIndex>, log: &mut LogSoFar) -> Vec<Code> {
        let mut walk = SegmentWalk::new(Offset(100), index);
        let mut codes = Vec::new();
        for batch in split(bytes).map(Result::unwrap) {
            codes.extend(walk.take(&batch, log).into_iter().map(|problem| problem.code));
        }
        codes
    }

    fn index_of(bytes: &[u8]) -> SegmentIndex {
        let mut index = SegmentIndex::new(Offset(100), 0);
        for batch in split(bytes).map(Result::unwrap) {
            index.append(batch.header(), batch.len());
        }
        index
    }

    #[test]
    fn a_sound_segment_and_its_index_pass() {
        let bytes = segment(&[3, 3, 4]);
        assert_eq!(walk(&bytes, Some(index_of(&bytes)), &mut so_far(|_| {})), []);
    }

    #[test]
    fn each_fault_is_told_once_and_the_walk_goes_on() {
        let sound = segment(&[3, 3, 4]);
        let len = sound.len() / 3;
        let told = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = sound.clone();
            change(&mut bytes);
            walk(&bytes, None, &mut so_far(|_| {}))
        };
        assert_eq!(told(&|bytes| bytes[len + 40] ^= 1), [Code::BatchChecksum]);
        let mut damaged = sound.clone();
        damaged[len + 40] ^= 1;
        let index = Some(index_of(&sound));
        assert_eq!(walk(&damaged, index, &mut so_far(|_| {})), [Code::BatchChecksum]);
        assert_eq!(told(&|bytes| bytes[len + 7] ^= 8), [Code::BatchOffsets], "a base offset");
        assert_eq!(told(&|bytes| drop(bytes.drain(len..2 * len))), [Code::BatchOffsets]);
        assert_eq!(told(&|bytes| bytes[15] = 9), [Code::LeaderEpochs], "later than the node's");
    }

    #[test]
    fn the_histories_are_held_against_the_batches() {
        let bytes = segment(&[3, 3, 4]);
        let mut epochs = Epochs::new();
        epochs.append(LeaderEpoch(3), Offset(0)).unwrap();
        let encoded = epochs.encode();
        let told = walk(&bytes, None, &mut so_far(|c| c.epochs = encoded.clone()));
        assert_eq!(told, [Code::LeaderEpochs], "the last batch is of epoch 4");

        let mut producers = Producers::new();
        for batch in split(&bytes).map(Result::unwrap).take(2) {
            producers.replay(&batch, 0);
        }
        let old = producers.snapshot(Offset(200));
        let mut log = so_far(|c| c.producers = old.clone());
        assert_eq!(walk(&bytes, None, &mut log), []);
        let problem = log.check_producers().unwrap();
        assert_eq!(problem.code, Code::ProducerSnapshot);
        assert!(problem.what.contains("sequence 3, its last batch"), "{}", problem.what);
    }

    #[test]
    fn an_index_of_other_bytes_is_wrong() {
        let bytes = segment(&[3, 3, 4]);
        let log = &mut so_far(|_| {});
        let other = index_of(&segment(&[3]));
        let mut mixed = other.clone();
        let third = split(&bytes).map(Result::unwrap).nth(2).unwrap();
        mixed.append(third.header(), third.len());
        assert_eq!(walk(&bytes, Some(other), log), [], "a shorter one is extended");
        assert_eq!(walk(&bytes, Some(mixed), &mut so_far(|_| {})), [Code::IndexWrong]);
    }
}

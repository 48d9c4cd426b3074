//! What a log remembers of its idempotent producers: enough to take each of their batches exactly once.
//!
//! Per producer id the epoch, the last sequence number and the last five batches. But for when each was last heard it is
//! a function of the log alone: recording the log's batches in order always gives the same state, so a snapshot plus
//! the batches behind it is the state, after a restart and on another replica.
//!
//! Rules (kafka.apache.org, KIP-98, KIP-360): an older epoch is refused; a new epoch begins at sequence 0; within an
//! epoch each batch goes on where the last one ended, and 0 follows `i32::MAX`; a batch equal to one of the last five is
//! a duplicate and gets the original's offsets; a producer nobody remembers may begin anywhere.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;

use crate::batch::crc::crc32c;
use crate::batch::{BatchHeader, ProducerStamp};
use crate::ids::{Count, Offset, ProducerId};
use crate::limits::{PRODUCER_BATCHES_KEPT, PRODUCERS_PER_LOG_MAX};

/// What to do with a producer's batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next one: append it.
    Fresh,
    /// It is here already: answer with where it is.
    Duplicate(AppendedBatch),
    /// It is neither.
    Refused(SequenceError),
}

/// One remembered batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedBatch {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Its largest timestamp, in ms since 1970.
    pub timestamp: i64,
    /// Sequence number of its last record.
    pub last_sequence: i32,
}

/// Why a producer's batch may not be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// INVALID_PRODUCER_EPOCH: a newer incarnation of the producer has written here.
    #[error("producer {id} has epoch {known}, the batch has {got}")]
    Epoch {
        /// The producer.
        id: ProducerId,
        /// The epoch remembered.
        known: i16,
        /// The batch's epoch.
        got: i16,
    },
    /// OUT_OF_ORDER_SEQUENCE_NUMBER: a batch is missing in between, or this one is older than those remembered.
    #[error("producer {id} goes on with sequence {expected}, the batch begins with {got}")]
    Sequence {
        /// The producer.
        id: ProducerId,
        /// The sequence number that comes next.
        expected: i32,
        /// The batch's first.
        got: i32,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    epoch: i16,
    /// -1 before the first batch of the epoch.
    last_sequence: i32,
    /// The offset of the producer's last record here: rises with every batch, so it also says who was silent longest.
    last_offset: Offset,
    /// When the last batch was recorded, in ms since 1970, for expiry. Not the batch's own time: a producer that copies
    /// old records is not an old producer (Kafka takes the batch's time and forgets such a producer at once).
    heard_ms: i64,
    /// Oldest first, at most [`PRODUCER_BATCHES_KEPT`].
    batches: VecDeque<AppendedBatch>,
}

/// The producers of one log. Holds at most [`PRODUCERS_PER_LOG_MAX`] of them.
#[derive(Clone, Debug)]
pub struct Producers {
    entries: HashMap<ProducerId, Entry, RandomState>,
    ids_max: usize,
}

impl Producers {
    /// Nobody yet.
    pub fn new() -> Producers {
        Producers::with_ids_max(PRODUCERS_PER_LOG_MAX)
    }

    fn with_ids_max(ids_max: usize) -> Producers {
        // Fixed seeds: the same run gives the same order. Ids come from us and are dense, nobody can aim collisions.
        let hasher = RandomState::with_seeds(0x6865, 0x6464, 0x6c65, 0x7069);
        Producers { entries: HashMap::with_hasher(hasher), ids_max }
    }

    /// Number of producer ids remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where a producer stands: its epoch and the sequence number of its last record; -1 before its first.
    pub fn standing(&self, id: ProducerId) -> Option<(i16, i32)> {
        self.entries.get(&id).map(|entry| (entry.epoch, entry.last_sequence))
    }

    /// Judges a batch; changes nothing.
    pub fn check(&self, stamp: &ProducerStamp) -> Verdict {
        let Some(entry) = self.entries.get(&stamp.id) else { return Verdict::Fresh };
        if stamp.epoch < entry.epoch {
            let (known, got) = (entry.epoch, stamp.epoch);
            return Verdict::Refused(SequenceError::Epoch { id: stamp.id, known, got });
        }
        let expected = if stamp.epoch > entry.epoch {
            0
        } else {
            let same = |batch: &&AppendedBatch| {
                batch.last_sequence == stamp.last_sequence
                    && batch.first_sequence() == stamp.first_sequence
            };
            if let Some(batch) = entry.batches.iter().rev().find(same) {
                return Verdict::Duplicate(*batch);
            }
            next_sequence(entry.last_sequence)
        };
        if stamp.first_sequence == expected {
            return Verdict::Fresh;
        }
        let got = stamp.first_sequence;
        Verdict::Refused(SequenceError::Sequence { id: stamp.id, expected, got })
    }

    /// Remembers a batch that has been appended, whatever [`Producers::check`] would say: replaying a log and following
    /// a leader come here too.
    pub fn record(&mut self, stamp: &ProducerStamp, batch: AppendedBatch, now_ms: i64) {
        if !self.entries.contains_key(&stamp.id) && self.entries.len() >= self.ids_max {
            self.evict();
        }
        let entry = self.entries.entry(stamp.id).or_insert_with(|| Entry::new(stamp.epoch));
        if entry.epoch != stamp.epoch {
            *entry = Entry::new(stamp.epoch);
        }
        if entry.batches.len() == PRODUCER_BATCHES_KEPT {
            entry.batches.pop_front();
        }
        entry.last_sequence = batch.last_sequence;
        entry.last_offset = batch.last_offset;
        entry.heard_ms = now_ms;
        entry.batches.push_back(batch);
    }

    /// Remembers a stored batch, if a producer with an id wrote it. Its expiry counts from `now_ms`.
    pub fn replay(&mut self, batch: &BatchHeader, now_ms: i64) {
        let Some(stamp) = batch.producer_stamp() else { return };
        if batch.attributes().is_control() {
            return;
        }
        let appended = AppendedBatch {
            base_offset: batch.base_offset(),
            last_offset: batch.last_offset(),
            timestamp: batch.max_timestamp(),
            last_sequence: stamp.last_sequence,
        };
        self.record(&stamp, appended, now_ms);
    }

    /// Forgets the eighth of the producers that was silent longest, so that finding them is paid for by many new ones.
    fn evict(&mut self) {
        let mut offsets: Vec<i64> =
            self.entries.values().map(|entry| entry.last_offset.0).collect();
        let last = (offsets.len() / 8).min(offsets.len().saturating_sub(1));
        if offsets.is_empty() {
            return;
        }
        let (_, horizon, _) = offsets.select_nth_unstable(last);
        let horizon = Offset(*horizon);
        self.entries.retain(|_, entry| entry.last_offset > horizon);
    }

    /// Forgets producers that were silent for `expiration_ms` (`producer.id.expiration.ms`). Returns how many.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) -> usize {
        let before = self.entries.len();
        let horizon = now_ms.saturating_sub(expiration_ms);
        self.entries.retain(|_, entry| entry.heard_ms > horizon);
        before - self.entries.len()
    }

    /// Goes back to what it was when the log ended at `end`, as far as the remembered batches tell: a producer whose
    /// remembered batches all lie behind keeps its epoch and its place in the sequence, but no batches.
    ///
    /// Recording the batches from `end` on again restores the present state, which is what makes a snapshot *at* an
    /// offset out of a state that has moved on.
    pub fn truncate(&mut self, end: Offset) {
        self.entries.retain(|_, entry| entry.truncate(end));
    }

    /// The producers with batches at or behind `end`: those that a cut there takes something from.
    pub fn after(&self, end: Offset) -> Vec<ProducerId> {
        let after = |(id, entry): (&ProducerId, &Entry)| (entry.last_offset >= end).then_some(*id);
        self.entries.iter().filter_map(after).collect()
    }

    /// Whether as much is remembered of each of these producers as ever is: older batches would change nothing.
    pub fn knows_all_of(&self, ids: &[ProducerId]) -> bool {
        let full = |entry: &Entry| entry.batches.len() == PRODUCER_BATCHES_KEPT;
        ids.iter().all(|id| self.entries.get(id).is_some_and(full))
    }

    /// Goes back to what it was when the log ended at `end`. `found` comes from recording the log's last batches before
    /// `end`: a producer that is in it is as it says there, with the batches before those as far as they are remembered
    /// here. What it does not know is as after [`Producers::truncate`].
    pub fn rebuild(&mut self, end: Offset, found: &Producers) {
        for id in self.after(end) {
            let Some(before) = self.entries.get_mut(&id) else { continue };
            let Some(known) = found.entries.get(&id) else {
                if !before.truncate(end) {
                    self.entries.remove(&id);
                }
                continue;
            };
            let mut now = known.clone();
            now.heard_ms = before.heard_ms;
            if before.epoch == now.epoch {
                let first = now.batches.front().map_or(end, |batch| batch.base_offset);
                let older = before.batches.iter().rev().filter(|batch| batch.last_offset < first);
                for batch in older.take(PRODUCER_BATCHES_KEPT - now.batches.len()) {
                    now.batches.push_front(*batch);
                }
            }
            *before = now;
        }
    }

    /// The state when the log ended at `end`, encoded. See [`Producers::truncate`] for what is exact about it.
    pub fn snapshot(&self, end: Offset) -> Vec<u8> {
        let mut entries: Vec<(ProducerId, Entry)> = self
            .entries
            .iter()
            .map(|(id, entry)| (*id, entry.clone()))
            .filter_map(|(id, mut entry)| entry.truncate(end).then_some((id, entry)))
            .collect();
        entries.sort_unstable_by_key(|(id, _)| *id);
        codec::encode(end, &entries)
    }

    /// Reads a snapshot: the state and the end offset it belongs to.
    ///
    /// # Errors
    /// When the bytes are not a whole snapshot of a version known here.
    pub fn from_snapshot(bytes: &[u8]) -> Result<(Producers, Offset), SnapshotError> {
        let (end, entries) = codec::decode(bytes)?;
        let mut producers = Producers::new();
        for (id, entry) in entries {
            producers.entries.insert(id, entry);
        }
        Ok((producers, end))
    }
}

impl Default for Producers {
    fn default() -> Producers {
        Producers::new()
    }
}

impl AppendedBatch {
    /// Sequence number of its first record: it has as many numbers as offsets.
    pub fn first_sequence(&self) -> i32 {
        let Count(records_before_last) = self.last_offset - self.base_offset;
        sequence_back(self.last_sequence, records_before_last)
    }
}

impl Entry {
    fn new(epoch: i16) -> Entry {
        Entry {
            epoch,
            last_sequence: -1,
            last_offset: Offset(-1),
            heard_ms: -1,
            batches: VecDeque::with_capacity(PRODUCER_BATCHES_KEPT),
        }
    }

    /// Drops the batches from `end` on; false when nothing is known of the time before.
    fn truncate(&mut self, end: Offset) -> bool {
        if self.last_offset < end {
            return true;
        }
        let first_dropped = loop {
            match self.batches.pop_back() {
                Some(batch) if batch.last_offset >= end => {
                    if self.batches.is_empty() {
                        break Some(batch);
                    }
                }
                Some(batch) => {
                    self.last_sequence = batch.last_sequence;
                    self.last_offset = batch.last_offset;
                    self.batches.push_back(batch);
                    return true;
                }
                None => break None,
            }
        };
        match first_dropped {
            // Sequence 0 begins an epoch (or wrapped, which nobody can tell): nothing is known before it.
            Some(batch) if batch.first_sequence() > 0 => {
                self.last_sequence = batch.first_sequence() - 1;
                self.last_offset = batch.base_offset - Count::ONE;
                self.last_offset < end
            }
            _ => false,
        }
    }
}

/// The sequence number after `last`: 0 follows `i32::MAX`, and -1 stands before 0.
const fn next_sequence(last: i32) -> i32 {
    if last == i32::MAX { 0 } else { last + 1 }
}

/// The sequence number `steps` before `last`, going round from 0 to `i32::MAX`.
fn sequence_back(last: i32, steps: i64) -> i32 {
    const NUMBERS: i64 = i32::MAX as i64 + 1;
    (i64::from(last) - steps % NUMBERS).rem_euclid(NUMBERS) as i32
}

/// Why bytes are not a producer snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Too short, too long, or with impossible contents.
    #[error("the producer snapshot is malformed")]
    Malformed,
    /// Written by a later version.
    #[error("the producer snapshot has version {0}")]
    Version(u16),
    /// The checksum does not match.
    #[error("the producer snapshot's checksum is {computed:#010x}, it says {claimed:#010x}")]
    Crc {
        /// What the bytes say.
        claimed: u32,
        /// What they give.
        computed: u32,
    },
}

/// The snapshot's bytes, all numbers in little endian; docs/FORMAT.md draws them.
mod codec {
    use super::*;

    const VERSION: u16 = 1;
    /// CRC-32C of all that follows, version, 2 bytes of zeros, number of producers, end offset.
    const HEADER_BYTES: usize = 20;
    /// Id, last offset, last heard, last sequence, epoch, number of batches, a zero.
    const ENTRY_BYTES: usize = 32;
    /// Base offset, last offset, timestamp, last sequence.
    const BATCH_BYTES: usize = 28;

    pub(super) fn encode(end: Offset, entries: &[(ProducerId, Entry)]) -> Vec<u8> {
        let batches: usize = entries.iter().map(|(_, entry)| entry.batches.len()).sum();
        let total = HEADER_BYTES + entries.len() * ENTRY_BYTES + batches * BATCH_BYTES;
        let mut out = Vec::with_capacity(total);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
        out.extend_from_slice(&end.0.to_le_bytes());
        for (id, entry) in entries {
            out.extend_from_slice(&id.0.to_le_bytes());
            out.extend_from_slice(&entry.last_offset.0.to_le_bytes());
            out.extend_from_slice(&entry.heard_ms.to_le_bytes());
            out.extend_from_slice(&entry.last_sequence.to_le_bytes());
            out.extend_from_slice(&entry.epoch.to_le_bytes());
            out.extend_from_slice(&[entry.batches.len() as u8, 0]);
            for batch in &entry.batches {
                out.extend_from_slice(&batch.base_offset.0.to_le_bytes());
                out.extend_from_slice(&batch.last_offset.0.to_le_bytes());
                out.extend_from_slice(&batch.timestamp.to_le_bytes());
                out.extend_from_slice(&batch.last_sequence.to_le_bytes());
            }
        }
        debug_assert_eq!(out.len(), total);
        let crc = crc32c(&out[4..]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(super) fn decode(
        bytes: &[u8],
    ) -> Result<(Offset, Vec<(ProducerId, Entry)>), SnapshotError> {
        let mut rest = bytes;
        let claimed = u32::from_le_bytes(take(&mut rest)?);
        let computed = crc32c(rest);
        if claimed != computed {
            return Err(SnapshotError::Crc { claimed, computed });
        }
        let version = u16::from_le_bytes(take(&mut rest)?);
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        take::<2>(&mut rest)?;
        let count = u32::from_le_bytes(take(&mut rest)?) as usize;
        let end = Offset(i64::from_le_bytes(take(&mut rest)?));
        if count > PRODUCERS_PER_LOG_MAX || count > rest.len() / ENTRY_BYTES {
            return Err(SnapshotError::Malformed);
        }
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push(decode_entry(&mut rest)?);
        }
        if rest.is_empty() { Ok((end, entries)) } else { Err(SnapshotError::Malformed) }
    }

    fn decode_entry(rest: &mut &[u8]) -> Result<(ProducerId, Entry), SnapshotError> {
        let id = ProducerId(i64::from_le_bytes(take(rest)?));
        let last_offset = Offset(i64::from_le_bytes(take(rest)?));
        let heard_ms = i64::from_le_bytes(take(rest)?);
        let last_sequence = i32::from_le_bytes(take(rest)?);
        let epoch = i16::from_le_bytes(take(rest)?);
        let [batches, _zero] = take(rest)?;
        if id.0 < 0 || last_sequence < -1 || usize::from(batches) > PRODUCER_BATCHES_KEPT {
            return Err(SnapshotError::Malformed);
        }
        let mut entry = Entry { last_sequence, last_offset, heard_ms, ..Entry::new(epoch) };
        for _ in 0..batches {
            let batch = AppendedBatch {
                base_offset: Offset(i64::from_le_bytes(take(rest)?)),
                last_offset: Offset(i64::from_le_bytes(take(rest)?)),
                timestamp: i64::from_le_bytes(take(rest)?),
                last_sequence: i32::from_le_bytes(take(rest)?),
            };
            if batch.last_sequence < 0 || batch.base_offset > batch.last_offset {
                return Err(SnapshotError::Malformed);
            }
            entry.batches.push_back(batch);
        }
        Ok((id, entry))
    }

    fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], SnapshotError> {
        let (taken, behind) = rest.split_first_chunk().ok_or(SnapshotError::Malformed)?;
        *rest = behind;
        Ok(*taken)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use proptest::prelude::*;

    use super::*;

    fn stamp(id: i64, epoch: i16, first_sequence: i32, records: i32) -> ProducerStamp {
        let last_sequence = first_sequence.wrapping_add(records - 1) & i32::MAX;
        ProducerStamp { id: ProducerId(id), epoch, first_sequence, last_sequence }
    }

    fn appended(stamp: &ProducerStamp, base: i64, records: i32) -> AppendedBatch {
        AppendedBatch {
            base_offset: Offset(base),
            last_offset: Offset(base + i64::from(records) - 1),
            timestamp: 5 * base,
            last_sequence: stamp.last_sequence,
        }
    }

    /// A log with one producer's batches of ten records each, from sequence `first` on.
    fn after(first: i32, batches: i32) -> Producers {
        let mut producers = Producers::new();
        for index in 0..batches {
            let stamp = stamp(7, 3, first.wrapping_add(10 * index) & i32::MAX, 10);
            producers.record(&stamp, appended(&stamp, i64::from(10 * index), 10), 1_000);
        }
        producers
    }

    fn sequence(expected: i32, got: i32) -> Verdict {
        Verdict::Refused(SequenceError::Sequence { id: ProducerId(7), expected, got })
    }

    #[test]
    fn an_unknown_producer_may_begin_anywhere() {
        assert_eq!(Producers::new().check(&stamp(1, 9, 12_345, 3)), Verdict::Fresh);
    }

    #[test]
    fn batches_go_on_where_the_last_one_ended() {
        let producers = after(0, 3);
        assert_eq!(producers.check(&stamp(7, 3, 30, 5)), Verdict::Fresh);
        assert_eq!(producers.check(&stamp(7, 3, 31, 5)), sequence(30, 31));
        assert_eq!(producers.check(&stamp(7, 3, 29, 5)), sequence(30, 29));
    }

    #[test]
    fn one_of_the_last_five_is_a_duplicate() {
        let producers = after(0, 6);
        for index in 1..6 {
            let stamp = stamp(7, 3, 10 * index, 10);
            let original = appended(&stamp, i64::from(10 * index), 10);
            assert_eq!(producers.check(&stamp), Verdict::Duplicate(original));
        }
        assert_eq!(producers.check(&stamp(7, 3, 0, 10)), sequence(60, 0), "forgotten");
        assert_eq!(producers.check(&stamp(7, 3, 50, 9)), sequence(60, 50), "another length");
    }

    #[test]
    fn sequences_go_round_within_and_between_batches() {
        // Ten records from MAX-4 on end with sequence 4.
        let producers = after(i32::MAX - 4, 1);
        let wrapped = stamp(7, 3, i32::MAX - 4, 10);
        assert_eq!(wrapped.last_sequence, 4);
        assert_eq!(producers.check(&wrapped), Verdict::Duplicate(appended(&wrapped, 0, 10)));
        assert_eq!(producers.check(&stamp(7, 3, 5, 1)), Verdict::Fresh);
        // Ten records that end with MAX are followed by 0.
        let producers = after(i32::MAX - 9, 1);
        assert_eq!(producers.check(&stamp(7, 3, 0, 1)), Verdict::Fresh);
        assert_eq!(producers.check(&stamp(7, 3, 1, 1)), sequence(0, 1));
    }

    #[test]
    fn epochs_only_rise_and_begin_at_sequence_zero() {
        let mut producers = after(0, 2);
        let (id, known) = (ProducerId(7), 3);
        let older = Verdict::Refused(SequenceError::Epoch { id, known, got: 2 });
        assert_eq!(producers.check(&stamp(7, 2, 20, 1)), older);
        assert_eq!(producers.check(&stamp(7, 4, 20, 1)), sequence(0, 20));
        let newer = stamp(7, 4, 0, 1);
        assert_eq!(producers.check(&newer), Verdict::Fresh);
        producers.record(&newer, appended(&newer, 20, 1), 1_000);
        assert_eq!(producers.check(&stamp(7, 4, 10, 10)), sequence(1, 10), "old batches are gone");
    }

    #[test]
    fn who_was_silent_longest_is_forgotten_first() {
        let mut producers = Producers::with_ids_max(16);
        for id in 0..16 {
            let stamp = stamp(id, 0, 0, 1);
            producers.record(&stamp, appended(&stamp, id, 1), 1_000);
        }
        // The first speaks again, then a new one comes.
        for (id, base) in [(0, 16), (99, 17)] {
            let stamp = stamp(id, 0, 1, 1);
            producers.record(&stamp, appended(&stamp, base, 1), 1_000);
        }
        assert!(producers.len() <= 16);
        assert!(matches!(producers.check(&stamp(0, 0, 5, 1)), Verdict::Refused(_)));
        assert!(matches!(producers.check(&stamp(99, 0, 5, 1)), Verdict::Refused(_)));
        assert_eq!(producers.check(&stamp(1, 0, 5, 1)), Verdict::Fresh);
    }

    #[test]
    fn the_silent_expire() {
        let mut producers = after(0, 1);
        assert_eq!(producers.expire(1_999, 1_000), 0);
        assert_eq!(producers.expire(2_000, 1_000), 1);
        assert!(producers.is_empty());
    }

    #[test]
    fn a_snapshot_round_trips() {
        let producers = after(0, 7);
        let bytes = producers.snapshot(Offset(70));
        let (read, end) = Producers::from_snapshot(&bytes).unwrap();
        assert_eq!(end, Offset(70));
        assert_eq!(read.entries, producers.entries);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let result = Producers::from_snapshot(&damaged);
            assert!(matches!(result, Err(SnapshotError::Crc { .. })), "byte {at}");
        }
        assert!(Producers::from_snapshot(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn truncation_keeps_the_place_in_the_sequence() {
        let mut producers = after(0, 7);
        // Batches 0 and 1 are no longer remembered; the log is cut behind batch 1.
        producers.truncate(Offset(20));
        assert_eq!(producers.check(&stamp(7, 3, 20, 10)), Verdict::Fresh);
        assert_eq!(producers.check(&stamp(7, 3, 30, 10)), sequence(20, 30));
        producers.truncate(Offset(0));
        assert!(producers.is_empty());
    }

    #[test]
    fn a_cut_gives_back_the_epoch_and_the_batches_that_the_log_still_holds() {
        // Seven batches of epoch 3, of which five are remembered; then the producer begins epoch 4.
        let mut producers = after(0, 7);
        let newer = stamp(7, 4, 0, 10);
        producers.record(&newer, appended(&newer, 70, 10), 2_000);
        assert_eq!(producers.after(Offset(75)), [ProducerId(7)]);
        assert!(producers.after(Offset(80)).is_empty());
        let mut blind = producers.clone();
        blind.rebuild(Offset(70), &Producers::new());
        assert!(blind.is_empty(), "of the time before epoch 4 nothing is remembered");
        producers.rebuild(Offset(70), &after(0, 7));
        let mut expected = after(0, 7);
        expected.entries.get_mut(&ProducerId(7)).unwrap().heard_ms = 2_000;
        assert_eq!(producers.entries, expected.entries);
    }

    #[test]
    fn a_cut_joins_what_was_found_to_what_is_remembered() {
        let mut producers = after(0, 5);
        // Only the batch at offset 20 was looked at; those at 0 and 10 are remembered.
        let mut found = Producers::new();
        let third = stamp(7, 3, 20, 10);
        found.record(&third, appended(&third, 20, 10), 0);
        assert!(!found.knows_all_of(&[ProducerId(7)]));
        producers.rebuild(Offset(30), &found);
        assert_eq!(producers.entries, after(0, 3).entries);
    }

    #[derive(Clone, Debug)]
    struct Step {
        id: i64,
        records: i32,
        new_epoch: bool,
    }

    fn step() -> impl Strategy<Value = Step> {
        (0i64..4, 1i32..4, prop::bool::weighted(0.1)).prop_map(|(id, records, new_epoch)| Step {
            id,
            records,
            new_epoch,
        })
    }

    proptest! {
        /// A snapshot at any batch boundary plus the batches behind it is the state at the end.
        #[test]
        fn snapshot_and_replay_give_the_same_state(steps in prop::collection::vec(step(), 1..60), cut in any::<prop::sample::Index>()) {
            let mut all = Producers::new();
            let mut log = Vec::new();
            let (mut next, mut end) = ([(0i16, 0i32); 4], 0);
            for step in &steps {
                let place = &mut next[step.id as usize];
                if step.new_epoch {
                    *place = (place.0 + 1, 0);
                }
                let stamp = stamp(step.id, place.0, place.1, step.records);
                prop_assert_eq!(all.check(&stamp), Verdict::Fresh);
                let batch = appended(&stamp, end, step.records);
                all.record(&stamp, batch, end);
                log.push((stamp, batch));
                place.1 += step.records;
                end += i64::from(step.records);
            }
            let cut = log[cut.index(log.len())].1.base_offset;
            let (mut read, at) = Producers::from_snapshot(&all.snapshot(cut)).unwrap();
            prop_assert_eq!(at, cut);
            for (stamp, batch) in log.iter().filter(|(_, batch)| batch.base_offset >= cut) {
                prop_assert_eq!(read.check(stamp), Verdict::Fresh);
                read.record(stamp, *batch, batch.base_offset.0);
            }
            prop_assert_eq!(read.entries, all.entries);
        }

        /// A cut at any batch boundary, with some of the batches before it looked at again, is the state at that
        /// boundary, as soon as enough was looked at.
        #[test]
        fn a_rebuild_is_the_state_at_the_cut(
            steps in prop::collection::vec(step(), 1..60),
            cut in any::<prop::sample::Index>(),
            seen in any::<prop::sample::Index>(),
        ) {
            let mut all = Producers::new();
            let mut log = Vec::new();
            let (mut next, mut end) = ([(0i16, 0i32); 4], 0);
            for step in &steps {
                let place = &mut next[step.id as usize];
                if step.new_epoch {
                    *place = (place.0 + 1, 0);
                }
                let stamp = stamp(step.id, place.0, place.1, step.records);
                let batch = appended(&stamp, end, step.records);
                all.record(&stamp, batch, 7);
                log.push((stamp, batch));
                place.1 += step.records;
                end += i64::from(step.records);
            }
            let kept = cut.index(log.len());
            let (mut found, mut expected) = (Producers::new(), Producers::new());
            let from = seen.index(kept + 1);
            for (at, (stamp, batch)) in log[..kept].iter().enumerate() {
                expected.record(stamp, *batch, 7);
                if at >= from {
                    found.record(stamp, *batch, 7);
                }
            }
            let cut = log[kept].1.base_offset;
            if from == 0 || found.knows_all_of(&all.after(cut)) {
                all.rebuild(cut, &found);
                prop_assert_eq!(all.entries, expected.entries);
            }
        }

        #[test]
        fn any_bytes_are_a_snapshot_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            let _ = Producers::from_snapshot(&bytes);
            if bytes.len() > 6 {
                bytes[4..6].copy_from_slice(&1u16.to_le_bytes());
                let crc = crc32c(&bytes[4..]);
                bytes[..4].copy_from_slice(&crc.to_le_bytes());
                if let Ok((mut producers, end)) = Producers::from_snapshot(&bytes) {
                    let _ = producers.snapshot(end);
                    producers.truncate(Offset(0));
                }
            }
        }
    }
}

//! Which leader epoch wrote which part of a log (KIP-101, KIP-320).
//!
//! Holds always: epochs and start offsets both rise strictly from entry to entry. An entry says that records from its
//! start offset up to the next entry's carry its epoch; the last one's run goes to the end of the log.

use crate::ids::{LeaderEpoch, Offset};
use crate::limits::LEADER_EPOCHS_PER_LOG_MAX;

/// Where an epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Offset of its first record.
    pub start: Offset,
}

/// The epochs of one log, at most [`LEADER_EPOCHS_PER_LOG_MAX`] of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs {
    entries: Vec<EpochStart>,
}

/// A batch with an epoch below the log's latest, or before its start: whoever appends it is no longer the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("epoch {epoch} at offset {start} cannot follow epoch {latest}")]
pub struct StaleEpoch {
    /// The epoch to be appended.
    pub epoch: LeaderEpoch,
    /// Where.
    pub start: Offset,
    /// The latest epoch of the log.
    pub latest: LeaderEpoch,
}

impl Epochs {
    /// No epoch yet.
    pub fn new() -> Epochs {
        Epochs::default()
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> &[EpochStart] {
        &self.entries
    }

    /// The latest epoch a record was written in.
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// Notes that the record at `start` is written in `epoch`. Nothing changes when that is the latest already.
    ///
    /// Above the limit the two oldest epochs become one, as if the younger of them had begun with the older.
    ///
    /// # Errors
    /// When the epoch, or the place it begins at, lies before the latest.
    pub fn append(&mut self, epoch: LeaderEpoch, start: Offset) -> Result<(), StaleEpoch> {
        if let Some(last) = self.entries.last_mut() {
            if epoch == last.epoch {
                return Ok(());
            }
            if epoch < last.epoch || start < last.start {
                return Err(StaleEpoch { epoch, start, latest: last.epoch });
            }
            if start == last.start {
                // The latest epoch wrote no record that is still there.
                last.epoch = epoch;
                return Ok(());
            }
        }
        if self.entries.len() >= LEADER_EPOCHS_PER_LOG_MAX {
            let oldest = self.entries.remove(0).start;
            if let Some(first) = self.entries.first_mut() {
                first.start = oldest;
            }
        }
        self.entries.push(EpochStart { epoch, start });
        Ok(())
    }

    /// The epoch the record at `offset` was written in, `None` before the first entry. The caller knows whether there
    /// is such a record.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|entry| entry.start <= offset);
        self.entries[..after].last().map(|entry| entry.epoch)
    }

    /// Kafka's OffsetForLeaderEpoch: the largest known epoch that is at most `epoch`, and where it ends.
    ///
    /// `log_end` is where the latest epoch ends. An epoch older than all known ends where the first known one begins.
    /// `None` for an epoch that is negative or later than all known.
    pub fn end_offset_for(
        &self,
        epoch: LeaderEpoch,
        log_end: Offset,
    ) -> Option<(LeaderEpoch, Offset)> {
        let latest = self.latest()?;
        if epoch < LeaderEpoch(0) || epoch > latest {
            return None;
        }
        if epoch == latest {
            return Some((latest, log_end));
        }
        let after = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let end = self.entries[after].start;
        match self.entries[..after].last() {
            Some(known) => Some((known.epoch, end)),
            None => Some((epoch, end)),
        }
    }

    /// The same, as the leader answers it whose own epoch is `current`: it began where the log ended, and is known even
    /// if nothing was written in it yet. `None` only for an epoch that is negative or later than `current`.
    ///
    /// A consumer without records takes its position's epoch from ListOffsets, which is the leader's. It asks after the
    /// next start where that epoch ended; "unknown" would tell it that its position is gone.
    pub fn end_offset_as_leader(
        &self,
        epoch: LeaderEpoch,
        current: LeaderEpoch,
        log_end: Offset,
    ) -> Option<(LeaderEpoch, Offset)> {
        let known = self.end_offset_for(epoch, log_end);
        if known.is_some() || epoch < LeaderEpoch(0) || epoch > current {
            return known;
        }
        let at_most = if epoch == current { current } else { self.latest().unwrap_or(epoch) };
        Some((at_most, log_end))
    }

    /// Records before `log_start` are gone: the epoch that holds it begins there, older ones are forgotten.
    pub fn truncate_start(&mut self, log_start: Offset) {
        let after = self.entries.partition_point(|entry| entry.start <= log_start);
        if after > 0 {
            self.entries.drain(..after - 1);
            self.entries[0].start = log_start;
        }
    }

    /// Records from `log_end` on are gone, and the epochs that began there.
    pub fn truncate_end(&mut self, log_end: Offset) {
        let kept = self.entries.partition_point(|entry| entry.start < log_end);
        self.entries.truncate(kept);
    }

    /// Bytes of one encoded entry.
    pub const ENTRY_BYTES: usize = 12;

    /// The entries one after the other, each epoch (i32) and start (i64) in little endian. The checkpoint that carries
    /// them has the checksum.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len() * Epochs::ENTRY_BYTES);
        for entry in &self.entries {
            out.extend_from_slice(&entry.epoch.0.to_le_bytes());
            out.extend_from_slice(&entry.start.0.to_le_bytes());
        }
        out
    }

    /// The inverse of [`Epochs::encode`]; `None` when the bytes break a rule of this type.
    pub fn decode(bytes: &[u8]) -> Option<Epochs> {
        let (encoded, rest) = bytes.as_chunks::<{ Epochs::ENTRY_BYTES }>();
        if !rest.is_empty() || encoded.len() > LEADER_EPOCHS_PER_LOG_MAX {
            return None;
        }
        let entries: Vec<EpochStart> = encoded
            .iter()
            .filter_map(|entry| {
                let (epoch, start) = entry.split_first_chunk::<4>()?;
                let epoch = LeaderEpoch(i32::from_le_bytes(*epoch));
                let start = Offset(i64::from_le_bytes(*start.first_chunk::<8>()?));
                Some(EpochStart { epoch, start })
            })
            .collect();
        let rising =
            |pair: &[EpochStart]| pair[0].epoch < pair[1].epoch && pair[0].start < pair[1].start;
        entries.windows(2).all(rising).then_some(Epochs { entries })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use proptest::prelude::*;

    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> Epochs {
        let mut epochs = Epochs::new();
        for (epoch, start) in entries {
            epochs.append(LeaderEpoch(*epoch), Offset(*start)).unwrap();
        }
        epochs
    }

    fn listed(epochs: &Epochs) -> Vec<(i32, i64)> {
        epochs.entries().iter().map(|entry| (entry.epoch.0, entry.start.0)).collect()
    }

    #[test]
    fn only_later_epochs_follow() {
        let mut all = epochs(&[(2, 0), (2, 5), (4, 10), (7, 10), (9, 20)]);
        assert_eq!(listed(&all), [(2, 0), (7, 10), (9, 20)]);
        assert!(all.append(LeaderEpoch(8), Offset(30)).is_err());
        assert!(all.append(LeaderEpoch(10), Offset(19)).is_err());
        assert_eq!(all.latest(), Some(LeaderEpoch(9)));
    }

    #[test]
    fn end_offsets_as_kafka_gives_them() {
        let all = epochs(&[(2, 5), (4, 10), (7, 20)]);
        let end = |epoch| {
            let found = all.end_offset_for(LeaderEpoch(epoch), Offset(33));
            found.map(|(epoch, end)| (epoch.0, end.0))
        };
        assert_eq!(end(-1), None);
        assert_eq!(end(1), Some((1, 5)));
        assert_eq!(end(2), Some((2, 10)));
        assert_eq!(end(3), Some((2, 10)));
        assert_eq!(end(4), Some((4, 20)));
        assert_eq!(end(6), Some((4, 20)));
        assert_eq!(end(7), Some((7, 33)));
        assert_eq!(end(8), None);
        assert_eq!(Epochs::new().end_offset_for(LeaderEpoch(0), Offset(0)), None);
    }

    #[test]
    fn a_leader_knows_its_own_epoch_and_those_that_wrote_nothing() {
        let check = |all: &Epochs, epoch, expected: Option<(i32, i64)>| {
            let found = all.end_offset_as_leader(LeaderEpoch(epoch), LeaderEpoch(7), Offset(33));
            assert_eq!(found, expected.map(|(epoch, end)| (LeaderEpoch(epoch), Offset(end))));
        };
        let mut all = Epochs::new();
        check(&all, 7, Some((7, 33)));
        check(&all, 5, Some((5, 33)));
        check(&all, 8, None);
        check(&all, -1, None);
        all.append(LeaderEpoch(2), Offset(0)).unwrap();
        all.append(LeaderEpoch(4), Offset(10)).unwrap();
        check(&all, 7, Some((7, 33)));
        check(&all, 6, Some((4, 33)));
        check(&all, 3, Some((2, 10)));
        check(&all, 8, None);
        all.append(LeaderEpoch(7), Offset(20)).unwrap();
        check(&all, 7, Some((7, 33)));
        check(&all, 6, Some((4, 20)));
    }

    #[test]
    fn finds_the_epoch_of_an_offset() {
        let all = epochs(&[(2, 5), (4, 10)]);
        let at = |offset| all.epoch_at(Offset(offset)).map(|epoch| epoch.0);
        assert_eq!(
            [at(4), at(5), at(9), at(10), at(99)],
            [None, Some(2), Some(2), Some(4), Some(4)]
        );
    }

    #[test]
    fn is_cut_at_both_ends() {
        let all = [(2, 0), (4, 10), (7, 20)];
        let start = |offset| {
            let mut epochs = epochs(&all);
            epochs.truncate_start(Offset(offset));
            listed(&epochs)
        };
        assert_eq!(start(0), all);
        assert_eq!(start(9), [(2, 9), (4, 10), (7, 20)]);
        assert_eq!(start(10), [(4, 10), (7, 20)]);
        assert_eq!(start(25), [(7, 25)]);
        let end = |offset| {
            let mut epochs = epochs(&all);
            epochs.truncate_end(Offset(offset));
            listed(&epochs)
        };
        assert_eq!(end(25), all);
        assert_eq!(end(20), [(2, 0), (4, 10)]);
        assert_eq!(end(0), []);
    }

    #[test]
    fn the_oldest_are_merged_above_the_limit() {
        let mut all = Epochs::new();
        for epoch in 0..LEADER_EPOCHS_PER_LOG_MAX as i32 + 3 {
            all.append(LeaderEpoch(epoch), Offset(i64::from(epoch) * 2)).unwrap();
        }
        assert_eq!(all.entries().len(), LEADER_EPOCHS_PER_LOG_MAX);
        assert_eq!(listed(&all)[..2], [(3, 0), (4, 8)]);
    }

    proptest! {
        #[test]
        fn encoding_round_trips(steps in prop::collection::vec((1i32..9, 1i64..99), 0..40)) {
            let (mut epoch, mut start) = (0, 0);
            let mut all = Epochs::new();
            for step in steps {
                epoch += step.0;
                start += step.1;
                all.append(LeaderEpoch(epoch), Offset(start)).unwrap();
            }
            prop_assert_eq!(Epochs::decode(&all.encode()), Some(all));
        }

        #[test]
        fn any_bytes_decode_or_not(bytes in prop::collection::vec(any::<u8>(), 0..100), offset in any::<i64>()) {
            if let Some(mut all) = Epochs::decode(&bytes) {
                let _ = all.end_offset_for(LeaderEpoch(3), Offset(offset));
                all.truncate_start(Offset(offset));
                all.truncate_end(Offset(offset));
            }
        }
    }
}

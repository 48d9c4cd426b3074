//! Taking a produced batch: checked, given its offsets, copied once into the journal. Synchronous from end to end.
//!
//! Everything that can refuse comes before the journal takes the batch, and nothing after it can fail: an offset or a
//! sequence number that was assigned is in the journal.

use std::sync::Arc;

use crate::batch::check::{Checked, Rules, check_produced};
use crate::batch::patch::copy_patched;
use crate::batch::{BatchError, TimestampType};
use crate::durability::Durability;
use crate::ids::{Count, LeaderEpoch, Offset};
use crate::journal::{Entry, EntryKind, PushRefusal, Pushed};
use crate::log::config::LogConfig;
use crate::log::epochs::StaleEpoch;
use crate::log::log::{Log, Pending, Standing};
use crate::log::producers::{AppendedBatch, SequenceError, Verdict};
use crate::log::segment::Append;
use crate::planted::{self, Bug};
use crate::tail::Piece;

/// A batch that is in the log. It may be acknowledged once `visible(last_offset + 1)` resolves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// The time of the append, for logs that stamp their records with it.
    pub log_append_time: Option<i64>,
    /// The first offset of the log.
    pub log_start: Offset,
    /// It was there before: these are the offsets of the original, which may still wait for its durability.
    pub duplicate: bool,
    /// How often the log had been cut back before: a cut takes away what was appended.
    pub cuts: u32,
}

impl Appended {
    /// The offset that must be visible before this batch may be acknowledged.
    pub fn next_offset(&self) -> Offset {
        if self.duplicate && planted::is(Bug::AnswerDuplicateEarly) {
            return self.log_start;
        }
        self.last_offset + Count::ONE
    }
}

/// Why a batch was not taken. Nothing of it was stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The batch itself is at fault.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Its producer's epoch or sequence is at fault.
    #[error(transparent)]
    Producer(#[from] SequenceError),
    /// Whoever appends is no longer the leader.
    #[error(transparent)]
    StaleEpoch(#[from] StaleEpoch),
    /// No room at this moment: wait for `room()` and append again.
    #[error("no room yet")]
    NoRoom,
    /// The disk is full, or would be below its reserve. Worth trying again: space may return.
    #[error("the disk is full")]
    StorageFull,
    /// More than one journal file can hold.
    #[error("{len} bytes are more than the journal takes at once ({max})")]
    TooLargeForJournal {
        /// Bytes of the batch.
        len: usize,
        /// The most the journal takes.
        max: usize,
    },
    /// The log is offline.
    #[error("the partition is offline: {0}")]
    Offline(Arc<str>),
    /// The log was deleted.
    #[error("the partition was deleted")]
    Deleted,
    /// The batch was in the log and is no longer: the log was cut back before it.
    #[error("the partition was cut back to the history of its leader")]
    Truncated,
    /// The shard is shutting down.
    #[error("the shard is shutting down")]
    Stopped,
    /// The file system refused to make room, for another reason than being full.
    #[error("no room could be made: {0}")]
    Io(Arc<str>),
}

/// The rules for batches that a log's settings amount to.
fn rules(config: &LogConfig) -> Rules {
    Rules {
        batch_bytes_max: config.max_message_bytes,
        segment_bytes: usize::try_from(config.segment_bytes).unwrap_or(usize::MAX),
        timestamp_type: config.timestamp_type,
        timestamp_before_max_ms: config.timestamp_before_max_ms,
        timestamp_after_max_ms: config.timestamp_after_max_ms,
        deep: config.deep_validation,
        ..Rules::default()
    }
}

impl Log {
    /// Refuses what is not online.
    pub(crate) fn check_writable(&self) -> Result<(), AppendError> {
        match &self.standing {
            Standing::Online => Ok(()),
            Standing::Offline(cause) => Err(AppendError::Offline(cause.clone())),
            Standing::Deleted => Err(AppendError::Deleted),
        }
    }

    /// Takes one produced batch. `slot` is the log's number on this shard and `push` hands an entry to the journal,
    /// which is called at most once, and last of all that can refuse.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing has changed then, except that [`AppendError::NoRoom`] may have decided a roll.
    pub fn append(
        &mut self,
        bytes: &[u8],
        epoch: LeaderEpoch,
        now_ms: i64,
        slot: u32,
        push: impl FnOnce(Entry<'_>) -> Result<Pushed, PushRefusal>,
    ) -> Result<Appended, AppendError> {
        self.check_writable()?;
        if self.cutting {
            // Neither offsets nor sequences are what they will be.
            return Err(AppendError::NoRoom);
        }
        let checked = check_produced(bytes, &rules(&self.config), now_ms)?;
        match checked.producer.as_ref().map(|stamp| self.producers.check(stamp)) {
            None | Some(Verdict::Fresh) => {}
            Some(Verdict::Refused(refusal)) => return Err(AppendError::Producer(refusal)),
            Some(Verdict::Duplicate(original)) => return Ok(self.duplicate_of(&original)),
        }
        let base_offset = self.log_end;
        if let Some(latest) = self.epochs.latest().filter(|latest| *latest > epoch) {
            return Err(StaleEpoch { epoch, start: base_offset, latest }.into());
        }
        let next = base_offset + Count(i64::from(checked.batch.last_offset_delta())) + Count::ONE;
        let max_timestamp = checked.max_timestamp;
        let append = Append { bytes: bytes.len() as u64, next, max_timestamp, now_ms };
        self.check_room(&append)?;
        let Some(active) = self.segments.last() else { return Err(AppendError::NoRoom) };
        let (segment, position) = (active.base, active.end());
        let mut write =
            |target: &mut [u8]| copy_patched(bytes, target, base_offset, epoch, checked.stamp);
        let pushed = push(Entry {
            kind: EntryKind::Append,
            slot,
            log: self.id,
            base_offset,
            next_offset: next,
            roll: position.0 == 0,
            durability: self.config.durability,
            len: bytes.len(),
            write: &mut write,
        })
        .map_err(|refusal| match refusal {
            PushRefusal::Busy => AppendError::NoRoom,
            PushRefusal::TooLarge { len, max } => AppendError::TooLargeForJournal { len, max },
            PushRefusal::Stopped => AppendError::Stopped,
        })?;
        let offsets = base_offset..next;
        self.tail.push(Piece::one(
            offsets,
            segment,
            position,
            pushed.lsn,
            max_timestamp,
            pushed.slice,
        ));
        self.on_appended(&checked, next, pushed.lsn, epoch, now_ms);
        Ok(Appended {
            base_offset,
            last_offset: next - Count::ONE,
            log_append_time: self.append_time(max_timestamp),
            log_start: self.log_start,
            duplicate: false,
            cuts: self.cuts,
        })
    }

    fn duplicate_of(&self, original: &AppendedBatch) -> Appended {
        Appended {
            base_offset: original.base_offset,
            last_offset: original.last_offset,
            log_append_time: self.append_time(original.timestamp),
            log_start: self.log_start,
            duplicate: true,
            cuts: self.cuts,
        }
    }

    fn append_time(&self, timestamp: i64) -> Option<i64> {
        (self.config.timestamp_type == TimestampType::LogAppendTime).then_some(timestamp)
    }

    /// Whether the active segment has room for the append, on the disk and by its settings. Decides a roll.
    fn check_room(&mut self, append: &Append) -> Result<(), AppendError> {
        if self.rolling {
            return Err(AppendError::NoRoom);
        }
        let (segment_bytes, segment_ms) = (self.config.segment_bytes, self.config.segment_ms);
        match self.segments.last() {
            Some(active) if !active.is_full_for(append, segment_bytes, segment_ms) => {
                if active.bytes + append.bytes <= self.reserved {
                    Ok(())
                } else {
                    Err(AppendError::NoRoom)
                }
            }
            _ => {
                self.rolling = true;
                Err(AppendError::NoRoom)
            }
        }
    }

    fn on_appended(
        &mut self,
        checked: &Checked<'_>,
        next: Offset,
        lsn: crate::ids::Lsn,
        epoch: LeaderEpoch,
        now_ms: i64,
    ) {
        let base_offset = self.log_end;
        let last = next - Count::ONE;
        if let Some(stamp) = &checked.producer {
            let batch = AppendedBatch {
                base_offset,
                last_offset: last,
                timestamp: checked.max_timestamp,
                last_sequence: stamp.last_sequence,
            };
            self.producers.record(stamp, batch, now_ms);
        }
        self.epochs.append(epoch, base_offset).expect("an older epoch was refused before");
        if let Some(active) = self.segments.last_mut() {
            active.on_append(checked.batch.len() as u64, checked.max_timestamp, last);
        }
        self.log_end = next;
        let durability = self.config.durability;
        if durability == Durability::Memory && self.pending.is_empty() {
            self.visible_end = next;
        } else {
            self.pending.push_back(Pending { lsn, next, durability });
        }
    }
}

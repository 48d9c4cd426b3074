//! A shard's checkpoints of one generation, in a record log.
//!
//! The base checkpoint of all logs, written by recovery, is a file of its own; here stand only the logs that changed
//! since. Records: `1` and a log's checkpoint; `2` and the id of a log that was deleted; `3`, the LSN from which the
//! journal is needed, and the one up to which it was on the device.

use crate::checkpoint::{CheckpointError, LogCheckpoint, Reader};
use crate::disk;
use crate::ids::{Generation, LogId, Lsn};
use crate::record_log::{RecordLog, RecordLogError};
use std::collections::BTreeMap;
use std::path::Path;

const KIND_LOG: u8 = 1;
const KIND_FORGET: u8 = 2;
const KIND_FROM: u8 = 3;

/// Bytes of a checkpoint log's file to begin with, unless it is said otherwise.
pub const FILE_BYTES: u64 = 4 << 20;

/// What a shard's checkpoint log says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoints {
    /// The last checkpoint of each log; `None` for a log that was deleted.
    pub logs: BTreeMap<LogId, Option<LogCheckpoint>>,
    /// Every entry of the shard's journal below this is in some checkpoint.
    pub journal_from: Lsn,
    /// The journal was on the device up to here when the last checkpoint was taken.
    pub journal_durable: Lsn,
}

/// Why a checkpoint log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointLogError {
    /// The record log underneath.
    #[error(transparent)]
    Records(#[from] RecordLogError),
    /// A record that does not decode, though its checksum is right.
    #[error("checkpoint log: {0}")]
    Record(#[from] CheckpointError),
}

impl CheckpointLogError {
    /// The disk had no space for it: nothing was written, and it may be tried again.
    pub fn is_full(&self) -> bool {
        match self {
            CheckpointLogError::Records(RecordLogError::Io { source, .. }) => disk::is_full(source),
            _ => false,
        }
    }
}

/// The checkpoint log of one shard and generation.
pub struct CheckpointLog {
    log: RecordLog,
}

/// The record log's name.
pub(crate) fn name(generation: Generation, shard: u16) -> String {
    format!("g{:08x}-s{shard:04x}", generation.0)
}

impl CheckpointLog {
    /// Opens or begins the log in `<data>/checkpoints`.
    pub async fn open(
        dir: &Path,
        generation: Generation,
        shard: u16,
    ) -> Result<(CheckpointLog, Checkpoints), CheckpointLogError> {
        CheckpointLog::open_sized(dir, generation, shard, FILE_BYTES).await
    }

    /// The same with files that begin with `file_bytes`, a multiple of 4,096.
    pub async fn open_sized(
        dir: &Path,
        generation: Generation,
        shard: u16,
        file_bytes: u64,
    ) -> Result<(CheckpointLog, Checkpoints), CheckpointLogError> {
        let (log, records) = RecordLog::open(dir, &name(generation, shard), file_bytes).await?;
        Ok((CheckpointLog { log }, Checkpoints::replay(&records)?))
    }

    /// Makes the checkpoints of logs that changed durable, and with them that the journal is needed only from
    /// `journal_from` on. `journal_durable` is the journal's `durable_upto` now: should the journal end before it, something
    /// was lost. After this, `Journal::recycle_before(journal_from)` may be called.
    pub async fn write(
        &self,
        changed: Vec<LogCheckpoint>,
        journal_from: Lsn,
        journal_durable: Lsn,
    ) -> Result<(), CheckpointLogError> {
        let mut records = Vec::new();
        let mut bytes = 0;
        for checkpoint in changed {
            checkpoint.check_invariants();
            let mut record = vec![KIND_LOG];
            record.extend(checkpoint.encode());
            // Not all in one append: how many logs changed has no bound. The position comes with the last.
            if bytes + record.len() > crate::limits::RECORD_SNAPSHOT_FRAME_BYTES {
                self.append(std::mem::take(&mut records)).await?;
                bytes = 0;
            }
            bytes += record.len();
            records.push(record);
        }
        let mut from = vec![KIND_FROM];
        from.extend_from_slice(&journal_from.0.to_le_bytes());
        from.extend_from_slice(&journal_durable.0.to_le_bytes());
        records.push(from);
        self.append(records).await
    }

    /// A log was deleted.
    pub async fn forget(&self, id: LogId) -> Result<(), CheckpointLogError> {
        let mut record = vec![KIND_FORGET];
        record.extend_from_slice(&id.to_bytes());
        self.append(vec![record]).await
    }

    async fn append(&self, records: Vec<Vec<u8>>) -> Result<(), CheckpointLogError> {
        self.log.append(records).await?;
        if self.log.needs_snapshot() {
            self.log.rewrite(compact).await?;
        }
        Ok(())
    }
}

/// The last record of each log. Records that do not decode are left for recovery to name.
fn compact(records: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    match Checkpoints::replay(&records) {
        Ok(folded) => folded.records(),
        Err(error) => {
            tracing::error!(%error, "a checkpoint log cannot be compacted");
            records
        }
    }
}

/// What the log of a past generation says; one that was never begun says nothing.
pub(crate) async fn read(
    dir: &Path,
    generation: Generation,
    shard: u16,
) -> Result<Checkpoints, CheckpointLogError> {
    let records = RecordLog::read(dir, &name(generation, shard)).await?;
    Ok(Checkpoints::replay(&records.unwrap_or_default())?)
}

impl Checkpoints {
    /// Reads records in order; the last of a log counts. Total over any bytes.
    ///
    /// # Errors
    /// The first record that does not decode.
    pub fn replay(records: &[Vec<u8>]) -> Result<Checkpoints, CheckpointError> {
        let mut found = Checkpoints::default();
        for record in records {
            let (kind, body) = record.split_first().ok_or(CheckpointError::Malformed)?;
            match *kind {
                KIND_LOG => {
                    let checkpoint = LogCheckpoint::decode(body)?;
                    found.logs.insert(checkpoint.id, Some(checkpoint));
                }
                KIND_FORGET => {
                    let id = body.try_into().map_err(|_| CheckpointError::Malformed)?;
                    found.logs.insert(LogId::from_bytes(id), None);
                }
                KIND_FROM => {
                    let mut reader = Reader(body);
                    let (from, durable) = reader
                        .u64()
                        .zip(reader.u64())
                        .filter(|_| reader.0.is_empty())
                        .ok_or(CheckpointError::Malformed)?;
                    found.journal_from = found.journal_from.max(Lsn(from));
                    found.journal_durable = found.journal_durable.max(Lsn(durable));
                }
                _ => return Err(CheckpointError::Malformed),
            }
        }
        Ok(found)
    }

    /// The least records that replay to this.
    pub fn records(&self) -> Vec<Vec<u8>> {
        let logs = self.logs.iter().map(|(id, checkpoint)| match checkpoint {
            Some(checkpoint) => [&[KIND_LOG], checkpoint.encode().as_slice()].concat(),
            None => [&[KIND_FORGET], id.to_bytes().as_slice()].concat(),
        });
        let from = [
            &[KIND_FROM],
            self.journal_from.0.to_le_bytes().as_slice(),
            self.journal_durable.0.to_le_bytes().as_slice(),
        ]
        .concat();
        logs.chain([from]).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::ids::Offset;

    #[test]
    fn the_last_record_of_a_log_counts() {
        let id = |partition| LogId { topic: [1; 16], partition, incarnation: 0 };
        let mut first = LogCheckpoint::empty(id(0), "a/0");
        let second = LogCheckpoint::empty(id(1), "a/1");
        let mut all =
            Checkpoints { journal_from: Lsn(7), journal_durable: Lsn(9), ..Checkpoints::default() };
        all.logs.insert(id(0), Some(first.clone()));
        all.logs.insert(id(1), Some(second));
        let mut records = all.records();
        assert_eq!(Checkpoints::replay(&records).unwrap(), all);
        first.synced_upto = Offset(9);
        records.push([&[KIND_LOG], first.encode().as_slice()].concat());
        records.push([&[KIND_FORGET], id(1).to_bytes().as_slice()].concat());
        let folded = Checkpoints::replay(&records).unwrap();
        assert_eq!(folded.logs[&id(0)], Some(first));
        assert_eq!(folded.logs[&id(1)], None);
        assert!(
            Checkpoints::replay(&[vec![9]]).is_err() && Checkpoints::replay(&[vec![]]).is_err()
        );
    }
}

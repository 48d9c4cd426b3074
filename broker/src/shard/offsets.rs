//! Questions about offsets, and deletions, on the shard that owns the log.

use std::rc::Rc;

use storage::ids::{LeaderEpoch, LogId, Offset};
use storage::log::Standing;
use storage::log::read::ReadError;

use super::mail::{DeleteUpto, ListedOffset, LogError, OffsetQuery};
use super::shard::Shard;

impl Shard {
    /// Answers each question; `None` when no visible record is that young.
    pub async fn list_offsets(
        self: &Rc<Self>,
        items: &[(LogId, OffsetQuery)],
    ) -> Vec<Result<Option<ListedOffset>, LogError>> {
        let mut results = Vec::with_capacity(items.len());
        for (id, query) in items {
            results.push(self.offset(id, *query).await);
        }
        results
    }

    async fn offset(
        &self,
        id: &LogId,
        query: OffsetQuery,
    ) -> Result<Option<ListedOffset>, LogError> {
        let log = self.store.log(id).ok_or(LogError::NoLog)?;
        if let Standing::Offline(cause) = log.standing() {
            return Err(LogError::Read(ReadError::Offline(cause)));
        }
        let found = match query {
            OffsetQuery::Latest => Some((log.visible_end(), -1)),
            OffsetQuery::Earliest => Some((log.log_start(), -1)),
            OffsetQuery::MaxTimestamp => {
                log.max_timestamp_offset().await.map_err(LogError::Read)?
            }
            OffsetQuery::AtOrAfter(timestamp) => {
                log.offset_for_timestamp(timestamp).await.map_err(LogError::Read)?
            }
        };
        Ok(found.map(|(offset, timestamp)| {
            let leader_epoch = match query {
                OffsetQuery::Latest => None,
                _ => log.epoch_at(offset),
            };
            let leader_epoch = leader_epoch.unwrap_or(self.leader_epoch);
            ListedOffset { offset, timestamp, leader_epoch }
        }))
    }

    /// For each epoch the largest one known at or below it, and where that one ends.
    pub fn epoch_ends(
        &self,
        items: &[(LogId, i32)],
    ) -> Vec<Result<Option<(i32, Offset)>, LogError>> {
        let one = |(id, epoch): &(LogId, i32)| {
            let log = self.store.log(id).ok_or(LogError::NoLog)?;
            let end = log.end_offset_for_epoch_as_leader(LeaderEpoch(*epoch), self.leader_epoch);
            Ok(end.map(|(epoch, end)| (epoch.0, end)))
        };
        items.iter().map(one).collect()
    }

    /// Moves the start of each log; answers where it is now.
    pub async fn delete_records(
        self: &Rc<Self>,
        items: &[(LogId, DeleteUpto)],
    ) -> Vec<Result<Offset, LogError>> {
        let mut results = Vec::with_capacity(items.len());
        for (id, upto) in items {
            let result = match self.store.log(id) {
                None => Err(LogError::NoLog),
                Some(log) => {
                    let upto = match upto {
                        DeleteUpto::Offset(offset) => *offset,
                        DeleteUpto::HighWatermark => log.visible_end(),
                    };
                    log.delete_records(upto).await.map_err(LogError::Delete)
                }
            };
            results.push(result);
        }
        results
    }
}

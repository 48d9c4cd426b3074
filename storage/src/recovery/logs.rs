//! What a journal's entries and gaps do to the logs while they are rebuilt. Pure.

use super::rebuild::{Applied, Rebuild};
use crate::ids::{LogId, Lsn};
use crate::journal::frame::FrameEntry;
use crate::journal::walk::Gap;
use std::collections::BTreeMap;

/// The logs being rebuilt.
pub(crate) type Logs = BTreeMap<LogId, Rebuild>;

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Its log has no checkpoint.
    Unknown,
    /// Its log judged it.
    Applied(Applied),
}

/// Brings an entry of `shard`'s journal to its log.
pub(crate) fn take_entry(
    logs: &mut Logs,
    shard: u16,
    entry: &FrameEntry<'_>,
    now_ms: i64,
) -> Taken {
    let Some(log) = logs.get_mut(&entry.head.log) else { return Taken::Unknown };
    if let Some(other) = log.seen_in.replace(shard)
        && other != shard
    {
        log.take_offline(format!("both shard {other} and shard {shard} journalled it"));
    }
    Taken::Applied(log.apply(entry, now_ms))
}

/// Acknowledged frames of `file` are missing: the logs they name go offline, unless a checkpoint holds all that was in
/// them.
pub(crate) fn on_gap(logs: &mut Logs, shard: u16, file: &str, gap: &Gap) {
    let resume = gap.to.unwrap_or(Lsn(u64::MAX));
    let reason =
        format!("acknowledged records were in a damaged part of {file}, at byte {}", gap.position);
    for named in &gap.named {
        let Some(log) = logs.get_mut(&named.log) else { continue };
        if log.replay_from() < resume {
            log.take_offline(format!("{reason}; it should reach offset {}", named.next_offset));
        }
    }
    if !gap.complete {
        for log in logs.values_mut() {
            if log.replay_from() < resume && log.seen_in.is_none_or(|seen| seen == shard) {
                log.suspect.get_or_insert_with(|| reason.clone());
            }
        }
    }
}

/// Frames that nobody names were lost. A log whose next entry joined on is whole (its suspicion was lifted); any other
/// that this shard may own cannot be proven whole and goes offline.
pub(crate) fn settle_suspects(logs: &mut Logs, shard: u16, gaps: &[Gap]) {
    if gaps.iter().all(|gap| gap.complete) {
        return;
    }
    for log in logs.values_mut() {
        let ours = log.seen_in.is_none_or(|seen| seen == shard);
        if let Some(reason) = log.suspect.take().filter(|_| ours) {
            log.take_offline(reason);
        }
    }
}

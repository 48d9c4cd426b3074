//! Finding records by time: the segment by its largest timestamp, the batch by the index and a walk over headers, the
//! record by a walk over the batch.

use crate::batch::{BatchView, Records, split};
use crate::ids::{FilePosition, Offset};
use crate::log::read::ReadError;
use crate::store::handle::{LogHandle, joined};
use crate::store::indexes::{self, Lookup};

/// Bytes walked over at a time.
const STEP_BYTES: usize = 256 << 10;

/// The first visible record at or after a time.
pub(crate) async fn first_at_or_after(
    handle: &LogHandle,
    timestamp: i64,
) -> Result<Option<(Offset, i64)>, ReadError> {
    let candidate = {
        let log = handle.cell.log.borrow();
        log.check_readable()?;
        let start = log.log_start;
        let next_base = |at: usize| log.segments.get(at + 1).map_or(log.log_end, |next| next.base);
        let mut candidates = log.segments.iter().enumerate();
        let found = candidates
            .find(|(at, segment)| segment.max_timestamp >= timestamp && next_base(*at) > start);
        found.map(|(_, segment)| segment.base)
    };
    let Some(base) = candidate else { return Ok(None) };
    let from = begin(handle, base, timestamp).await?.max(handle.log_start());
    walk(handle, from, |batch| {
        (batch.max_timestamp() >= timestamp)
            .then(|| record_in(batch, from, |time| time >= timestamp))
            .flatten()
    })
    .await
}

/// The first visible record with the largest time of all.
pub(crate) async fn largest(handle: &LogHandle) -> Result<Option<(Offset, i64)>, ReadError> {
    let (newest, visible_end, start) = {
        let log = handle.cell.log.borrow();
        log.check_readable()?;
        let newest =
            log.segments.iter().filter(|segment| segment.bytes > 0).copied().max_by(|a, b| {
                // Of equal ones the first.
                a.max_timestamp.cmp(&b.max_timestamp).then(b.base.cmp(&a.base))
            });
        (newest, log.visible_end, log.log_start)
    };
    let Some(newest) = newest else { return Ok(None) };
    let holder = newest.max_timestamp_offset;
    if holder >= start && holder < visible_end && newest.max_timestamp >= 0 {
        let time = newest.max_timestamp;
        let found = walk(handle, holder, |batch| record_in(batch, start, |at| at >= time)).await?;
        return Ok(found);
    }
    // The newest is not visible yet, or was deleted with the log's start: look at what can be seen.
    let mut best: Option<(Offset, i64)> = None;
    walk(handle, start, |batch| {
        let known = best.map_or(i64::MIN, |(_, time)| time);
        if batch.max_timestamp() > known {
            let time = batch.max_timestamp();
            best = record_in(batch, start, |at| at >= time).or(best);
        }
        None
    })
    .await?;
    Ok(best)
}

/// The first offset from which a record at or after `timestamp` must be looked for in a segment.
async fn begin(handle: &LogHandle, base: Offset, timestamp: i64) -> Result<Offset, ReadError> {
    let (inner, cell) = (&handle.inner, &handle.cell);
    let limit = cell.log.borrow().limit_of(base).map(|(limit, _)| limit);
    // What is not in a file yet is in memory, and walked over there.
    let Some(limit) = limit.filter(|limit| *limit > FilePosition(0)) else { return Ok(base) };
    let place = indexes::position(inner, cell, base, limit, Lookup::Timestamp(timestamp)).await?;
    Ok(place.offset)
}

/// Shows the visible batches from the one that contains `from` on, until one gives an answer.
async fn walk(
    handle: &LogHandle,
    from: Offset,
    mut look: impl FnMut(&BatchView<'_>) -> Option<(Offset, i64)>,
) -> Result<Option<(Offset, i64)>, ReadError> {
    let mut next = from;
    loop {
        let bytes = joined(&handle.read_any(next, STEP_BYTES, true).await?);
        let before = next;
        for batch in split(&bytes).flatten() {
            if let Some(found) = look(&batch) {
                return Ok(Some(found));
            }
            next = batch.next_offset();
        }
        if next == before {
            return Ok(None);
        }
    }
}

/// The first record of a batch, not before `from`, whose time satisfies `wanted`.
fn record_in(
    batch: &BatchView<'_>,
    from: Offset,
    wanted: impl Fn(i64) -> bool,
) -> Option<(Offset, i64)> {
    // A batch was checked when it was taken, but a compressed one not to its end: what cannot be unpacked is passed
    // over, as a consumer could not read it either.
    let records = Records::of(batch).ok()?;
    let found = records
        .iter()
        .map_while(Result::ok)
        .find(|record| record.offset >= from && wanted(record.timestamp));
    found.map(|record| (record.offset, record.timestamp))
}

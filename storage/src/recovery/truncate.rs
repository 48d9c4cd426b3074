//! Cutting a log back to an offset, for a truncation found in the journal.

use super::rebuild::{Rebuild, note};
use super::segments::segment_name;
use crate::batch::view::BatchView;
use crate::checkpoint::SegmentMeta;
use crate::disk;
use crate::ids::{Offset, ProducerId};
use crate::log::producers::Producers;
use engine::file::{File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

const BLOCK: u64 = 4096;
const WINDOW_BYTES: usize = 1 << 20;

/// Cuts the log back to end at `to`, or before the batch that holds it: batches stay whole. Everything taken in
/// so far must have been written to the segments. Reads only what lies before the cut, and so finds the same however
/// often a start ends halfway.
pub(crate) async fn cut_back(dir: &Path, rebuild: &mut Rebuild, to: Offset) -> io::Result<()> {
    let segments = &rebuild.checkpoint().segments;
    if to >= rebuild.checkpoint().synced_upto {
        return Ok(());
    }
    let at = segments.partition_point(|segment| segment.base <= to);
    let Some(segment) = at.checked_sub(1).map(|at| segments[at]) else {
        let end = to.max(rebuild.checkpoint().log_start);
        rebuild.on_truncated(end, None, Vec::new(), &Producers::new());
        return Ok(());
    };
    // One that lies before the log's start may be deleted already: nobody misses what it says of producers.
    let before = at.checked_sub(2).map(|at| segments[at]);
    let before = before.filter(|before| !rebuild.is_absent(before.base));
    let path = dir.join(segment_name(segment.base));
    let mut kept = SegmentMeta::empty(segment.base);
    let mut end = segment.base;
    let mut found = Producers::new();
    if segment.base < to {
        each_batch(&path, segment.bytes, |batch| {
            if batch.next_offset() > to {
                return ControlFlow::Break(());
            }
            note(&mut kept, batch);
            found.replay(batch, 0);
            end = batch.next_offset();
            // What lies behind the cut may be gone from the file already: it is not looked at.
            if end == to { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .await?;
    }
    if end < rebuild.checkpoint().log_start {
        // The start lies inside the batch that goes: every record left lies before the start.
        rebuild.on_truncated(rebuild.checkpoint().log_start, None, Vec::new(), &Producers::new());
        return Ok(());
    }
    let ids = rebuild.producers_after(end);
    if !found.knows_all_of(&ids)
        && let Some(before) = before
    {
        let (before, last) = (dir.join(segment_name(before.base)), (path.as_path(), kept.bytes));
        let bytes = segments[at - 2].bytes;
        found = producers_in([(before.as_path(), bytes), last], &ids).await?;
    }
    let partial = kept.bytes - kept.bytes % BLOCK;
    let mut tail = Vec::new();
    if kept.bytes > partial {
        tail = read_at(&open(&path).await?, partial, BLOCK as usize).await?;
        tail.truncate((kept.bytes - partial) as usize);
    }
    rebuild.on_truncated(end, Some(kept), tail, &found);
    Ok(())
}

/// The producers of the batches in the first bytes of some segments, one after the other.
async fn producers_in(segments: [(&Path, u64); 2], wanted: &[ProducerId]) -> io::Result<Producers> {
    let mut found = Producers::new();
    for (path, bytes) in segments {
        each_batch(path, bytes, |batch| {
            if batch.producer_id().is_some_and(|id| wanted.contains(&id)) {
                found.replay(batch, 0);
            }
            ControlFlow::Continue(())
        })
        .await?;
    }
    Ok(found)
}

/// Shows the batches in the first `bytes` of a segment, until `look` has seen enough.
async fn each_batch(
    path: &Path,
    bytes: u64,
    mut look: impl FnMut(&BatchView<'_>) -> ControlFlow<()>,
) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    let file = open(path).await?;
    let mut position = 0;
    while position < bytes {
        let mut part = read_at(&file, position, WINDOW_BYTES).await?;
        if BatchView::first(&part).is_err() {
            // Larger than the window, or damaged: which it is shows with as much as a batch may have.
            part = read_at(&file, position, crate::limits::BATCH_BYTES_MAX).await?;
        }
        let mut rest = part.as_slice();
        while position < bytes
            && let Ok(batch) = BatchView::first(rest)
        {
            if look(&batch).is_break() {
                return Ok(());
            }
            position += batch.len() as u64;
            rest = &rest[batch.len()..];
        }
        if rest.len() == part.len() {
            let text = format!("no batch at byte {position} of {}", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    Ok(())
}

async fn open(path: &Path) -> io::Result<File> {
    File::open(path, OpenOptions::new().read().direct()).await
}

/// Bytes from any position on.
async fn read_at(file: &File, position: u64, len: usize) -> io::Result<Vec<u8>> {
    let aligned = position - position % BLOCK;
    let skip = (position - aligned) as usize;
    let mut bytes =
        disk::read_part(file, aligned, (skip + len).next_multiple_of(BLOCK as usize)).await?;
    bytes.drain(..skip.min(bytes.len()));
    Ok(bytes)
}

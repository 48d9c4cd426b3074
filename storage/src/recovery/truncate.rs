//! Cutting a log back to an offset, for a truncation found in the journal.

use super::rebuild::{Rebuild, note};
use super::segments::segment_name;
use crate::batch::view::BatchView;
use crate::checkpoint::SegmentMeta;
use crate::disk;
use crate::ids::Offset;
use engine::file::{File, OpenOptions};
use std::io;
use std::path::Path;

const BLOCK: u64 = 4096;
const WINDOW_BYTES: usize = 1 << 20;

/// Cuts the log back to end at `to`, or before the batch that holds it: batches stay whole. Everything taken in
/// so far must have been written to the segments.
pub(crate) async fn cut_back(dir: &Path, rebuild: &mut Rebuild, to: Offset) -> io::Result<()> {
    let segments = &rebuild.checkpoint().segments;
    if to >= rebuild.checkpoint().synced_upto {
        return Ok(());
    }
    let Some(segment) = segments.iter().rfind(|segment| segment.base < to).copied() else {
        rebuild.on_truncated(to, None, Vec::new());
        return Ok(());
    };
    let path = dir.join(segment_name(segment.base));
    let file = File::open(&path, OpenOptions::new().read().direct()).await?;
    let mut kept = SegmentMeta::empty(segment.base);
    let mut end = segment.base;
    let mut whole = true;
    while whole && kept.bytes < segment.bytes && end < to {
        let part = read_at(&file, kept.bytes, WINDOW_BYTES).await?;
        let part = match BatchView::first(&part) {
            Ok(_) => part,
            // Larger than the window, or damaged: which it is shows with as much as the batch claims.
            Err(_) => read_at(&file, kept.bytes, crate::limits::BATCH_BYTES_MAX).await?,
        };
        let mut rest = part.as_slice();
        while let Ok(batch) = BatchView::first(rest) {
            whole = batch.next_offset() <= to && kept.bytes < segment.bytes;
            if !whole {
                break;
            }
            note(&mut kept, &batch);
            end = batch.next_offset();
            rest = &rest[batch.len()..];
        }
        if whole && rest.len() == part.len() {
            let text = format!("no batch at byte {} of {}", kept.bytes, path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    let partial = kept.bytes - kept.bytes % BLOCK;
    let mut tail = read_at(&file, partial, BLOCK as usize).await?;
    tail.truncate((kept.bytes - partial) as usize);
    rebuild.on_truncated(end, Some(kept), tail);
    Ok(())
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

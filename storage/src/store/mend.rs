//! Mends the last, partial block of the segment being written: its bytes are in memory, from the checkpoint or the last
//! write. Write-behind would write the block again with the log's next batch; an idle log has none coming.

use std::rc::Rc;

use engine::task::{self, Queue};

use crate::disk;
use crate::ids::Offset;
use crate::log::segment::batches_file_name;
use crate::log::space;
use crate::store::cell::LogCell;
use crate::store::shard_store::Inner;
use crate::write_behind;

/// A read found damage in a segment. Returns whether the segment's last block was part of it and is right now, so that
/// the read may be tried again.
pub(crate) async fn mend_last_block(inner: &Rc<Inner>, cell: &Rc<LogCell>, base: Offset) -> bool {
    // A write in flight brings the block anyway, or comes to be read again.
    if cell.writing.get() || cell.log.borrow().written.segment.base != base {
        return false;
    }
    let (inner, cell) = (inner.clone(), cell.clone());
    cell.writing.set(true);
    // A task of its own: a reader that goes away must not leave the log taken.
    let mending = task::spawn(Queue::Background, async move {
        let mended = rewrite(&inner, &cell).await;
        write_behind::release(&inner, &cell);
        mended
    });
    mending.await
}

/// Writes the block if it differs from its image. Not synced: until it is, the checkpoint has the image.
async fn rewrite(inner: &Rc<Inner>, cell: &Rc<LogCell>) -> bool {
    let (image, position, dir, base) = {
        let log = cell.log.borrow();
        let written = &log.written;
        let position = space::block_start(written.segment.bytes);
        (written.image.clone(), position, log.dir.clone(), written.segment.base)
    };
    if image.is_empty() {
        return false;
    }
    let key = cell.key(base);
    let written = async {
        let file = inner.files.get(key, &dir).await?;
        let there = disk::read_part(&file, position, space::BLOCK as usize).await?;
        if there.starts_with(&image) {
            return Ok(false);
        }
        file.write_at(position, disk::aligned(&image).await?).await?;
        Ok::<bool, std::io::Error>(true)
    };
    let mended = written.await.unwrap_or_else(|error| {
        tracing::error!(%dir, %error, "a damaged block cannot be written again");
        false
    });
    if mended {
        tracing::warn!(%dir, file = batches_file_name(base), position,
            "HDL-ST-047: the last block of a segment was damaged and is written again from its checkpoint. Nothing is \
             lost. The device is not sound: check it (dmesg, smartctl)");
        inner.cold.forget(key);
    }
    mended
}

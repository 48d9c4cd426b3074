//! Closes segments that are complete: cut to their exact length, indexed, never written again.
//!
//! Apache Kafka's dump tool refuses the zeros that pad an active segment's last block, so that a sealed file, and after
//! a clean shutdown every file, ends with its last batch.

use std::rc::Rc;

use engine::buffer::Slice;
use engine::file::{File, OpenOptions};
use engine::task::{self, Queue};

use crate::ids::Offset;
use crate::log::log::Standing;
use crate::log::segment::{Segment, index_file_name};
use crate::log::{SegmentIndex, space};
use crate::store::cell::LogCell;
use crate::store::shard_store::Inner;
use crate::write_behind;

/// An index of a shorter segment is built again faster than its file is opened and read.
const INDEX_FILE_FROM_BYTES: u64 = 1 << 20;

/// Seals the segments that write-behind has completed. The caller is the only one who writes to the log's files.
pub(crate) async fn seal_complete_segments(inner: &Rc<Inner>, cell: &Rc<LogCell>) {
    loop {
        let next = cell.log.borrow().unsealed().next().copied();
        let Some(segment) = next else { return };
        cut(inner, cell, &segment).await;
        let key = cell.key(segment.base);
        let index = cell.index.borrow_mut().take_if(|index| index.base_offset() == segment.base);
        match index.filter(|index| index.bytes() == segment.bytes) {
            Some(index) => {
                write_index(inner, cell, &index).await;
                inner.indexes.keep(key, Rc::new(*index));
            }
            // It is built when someone looks for something in the segment.
            None => tracing::debug!(base = %segment.base, "segment sealed without an index"),
        }
        inner.files.forget(key);
        cell.log.borrow_mut().on_sealed(segment.base);
        inner.count(|stats| stats.seals += 1);
    }
}

/// Cuts a segment's file to the exact length of its batches. What was reserved beyond goes back to the file system.
pub(crate) async fn cut(inner: &Rc<Inner>, cell: &Rc<LogCell>, segment: &Segment) {
    let dir = cell.log.borrow().dir.clone();
    let key = cell.key(segment.base);
    let cut = match inner.files.get(key, &dir).await {
        Ok(file) => file.set_len(segment.bytes).await,
        Err(error) => Err(error),
    };
    if let Err(error) = cut {
        // Its batches are there, only zeros follow them: nothing is lost and nobody but Kafka's tool is bothered.
        tracing::warn!(%dir, base = %segment.base, %error, "a segment could not be cut to its length");
    }
}

/// Writes the index beside its segment. Not synced: it carries a checksum and is built again when that does not hold.
pub(crate) async fn write_index(inner: &Rc<Inner>, cell: &Rc<LogCell>, index: &SegmentIndex) {
    if index.bytes() < INDEX_FILE_FROM_BYTES {
        return;
    }
    let dir = cell.log.borrow().dir.clone();
    let path = inner.files.dir(&dir).join(index_file_name(index.base_offset()));
    let options = OpenOptions::new().write().create().truncate();
    let written = match File::open(&path, options).await {
        Ok(file) => file.write_at(0, Slice::from_vec(index.encode())).await,
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        tracing::warn!(path = %path.display(), %error, "an index file could not be written");
    }
}

/// Bytes between two entries of an index. At most 16,384 entries (256 KiB) for a segment, however large: a reader walks
/// over as much as it reads in one chunk anyway.
pub(crate) fn index_interval(config: &crate::log::LogConfig) -> u32 {
    let spread = u32::try_from(config.segment_bytes >> 14).unwrap_or(u32::MAX);
    config.index_interval_bytes.max(spread).max(space::BLOCK as u32)
}

/// Writes an index that was built again, unless somebody is at the log's files: then the next one who builds it does.
pub(crate) fn keep_on_disk(inner: &Rc<Inner>, cell: &Rc<LogCell>, index: Rc<SegmentIndex>) {
    let usable = {
        let log = cell.log.borrow();
        let there = log.segment(index.base_offset()).is_some();
        there && log.standing == Standing::Online && !log.cutting
    };
    if !usable || cell.writing.replace(true) {
        return;
    }
    let (inner, cell) = (inner.clone(), cell.clone());
    task::spawn(Queue::Background, async move {
        write_index(&inner, &cell, &index).await;
        write_behind::release(&inner, &cell);
    });
}

/// The index of the segment being written, begun with it.
pub(crate) fn begin_index(cell: &LogCell, base: Offset) -> Box<SegmentIndex> {
    Box::new(SegmentIndex::new(base, index_interval(&cell.log.borrow().config)))
}

//! Where the batches a reader wants are: in the tail, in a segment, or not there yet. Decides; reads no file.

use std::cmp::Ordering;
use std::sync::Arc;

use engine::buffer::Slice;

use crate::batch::BatchHeader;
use crate::ids::{FilePosition, Generation, Offset};
use crate::limits::LEADER_EPOCHS_PER_LOG_MAX;
use crate::log::log::{Log, Standing};

/// What a read found.
pub enum Read {
    /// Whole batches from memory, as they go on the wire.
    Ready {
        /// The bytes, in order.
        pieces: Vec<Slice>,
        /// How many they are.
        bytes: usize,
    },
    /// The batches are in a segment: hand this to `read_cold`.
    Cold(ColdRead),
    /// Nothing visible at or after the offset, or nothing that fits.
    Empty,
}

/// A read that has to go to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColdRead {
    /// The first offset wanted; batches before the one that contains it are left out.
    pub from: Offset,
    /// The most bytes to return.
    pub max_bytes: usize,
    /// Return one batch even if it is larger than `max_bytes`.
    pub one_at_least: bool,
    /// The segment to begin in, by its base.
    pub segment: Offset,
    /// Bytes of batches that are in that segment's file.
    pub limit: FilePosition,
    /// The offset after the last of these batches.
    pub end: Offset,
    /// How often the log had been cut back: after another cut the file may hold other batches.
    pub cuts: u32,
}

/// A place in a segment where a batch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where in the file.
    pub position: FilePosition,
    /// The base offset of the batch there.
    pub offset: Offset,
}

/// Why a read was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The offset lies outside the log.
    #[error("offset {from} is outside {log_start}..={log_end}")]
    OutOfRange {
        /// What was asked for.
        from: Offset,
        /// The first offset there is.
        log_start: Offset,
        /// The offset after the last.
        log_end: Offset,
    },
    /// The log is offline.
    #[error("the partition is offline: {0}")]
    Offline(Arc<str>),
    /// The log was deleted.
    #[error("the partition was deleted")]
    Deleted,
    /// What the disk returned is not what was written. The bytes are not served.
    #[error("damaged data in segment {segment} at byte {position}: {what}")]
    Corrupt {
        /// The segment, by its base.
        segment: Offset,
        /// Where in its file.
        position: FilePosition,
        /// What is wrong there.
        what: &'static str,
    },
    /// The disk refused to read.
    #[error("segment {segment} cannot be read: {cause}")]
    Io {
        /// The segment, by its base.
        segment: Offset,
        /// The system's words.
        cause: Arc<str>,
    },
}

impl Log {
    /// Refuses what is not online.
    pub(crate) fn check_readable(&self) -> Result<(), ReadError> {
        match &self.standing {
            Standing::Online => Ok(()),
            Standing::Offline(cause) => Err(ReadError::Offline(cause.clone())),
            Standing::Deleted => Err(ReadError::Deleted),
        }
    }

    /// Finds at most `max_bytes` of whole batches, beginning with the one that contains `from`, never past the visible
    /// end; one batch even if it is larger, if `one_at_least`.
    ///
    /// # Errors
    /// When the log is not online or `from` lies outside it.
    pub fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        one_at_least: bool,
    ) -> Result<Read, ReadError> {
        self.check_readable()?;
        if from < self.log_start || from > self.log_end {
            let (log_start, log_end) = (self.log_start, self.log_end);
            return Err(ReadError::OutOfRange { from, log_start, log_end });
        }
        if from >= self.visible_end || (max_bytes == 0 && !one_at_least) {
            return Ok(Read::Empty);
        }
        if let Some(found) = self.tail.read(from, self.visible_end, max_bytes, one_at_least) {
            let (pieces, bytes) = (found.pieces, found.bytes);
            return Ok(if bytes == 0 { Read::Empty } else { Read::Ready { pieces, bytes } });
        }
        let segment = self.segment_of(from).or(self.segments.first());
        let cold = segment.and_then(|segment| {
            let (segment, (limit, end)) = (segment.base, self.limit_of(segment.base)?);
            let cuts = self.cuts;
            Some(ColdRead { from, max_bytes, one_at_least, segment, limit, end, cuts })
        });
        Ok(cold.map_or(Read::Empty, Read::Cold))
    }

    /// Bytes of batches that the file of this segment holds, and the offset after the last of them.
    pub(crate) fn limit_of(&self, segment: Offset) -> Option<(FilePosition, Offset)> {
        let limit = self.segment(segment)?.end();
        let written = &self.written.segment;
        match segment.cmp(&written.base) {
            Ordering::Less => {
                let after = self.segment_after(segment).map_or(self.log_end, |next| next.base);
                Some((limit, after))
            }
            Ordering::Equal => Some((written.end(), self.written.offset)),
            // Begun, and all of it still in memory.
            Ordering::Greater => Some((FilePosition(0), segment)),
        }
    }

    /// Whether a stored batch carries the leader epoch in which its records were written. Its checksum does not say.
    pub(crate) fn is_epoch_right(&self, header: &BatchHeader, generation: Generation) -> bool {
        // Records before the log's start are not served, and their epochs forgotten.
        if header.next_offset() <= self.log_start {
            return true;
        }
        let (epoch, offset) = (header.leader_epoch(), header.base_offset().max(self.log_start));
        let first = self.epochs.entries().first();
        if generation.0 as usize > LEADER_EPOCHS_PER_LOG_MAX
            && let Some(first) = first
            && self.epochs.epoch_at(offset) == Some(first.epoch)
        {
            // The oldest of so many may have been merged into one.
            return epoch <= first.epoch;
        }
        self.epochs.epoch_at(offset).is_none_or(|known| known == epoch)
    }

    /// The same read, gone on with in the next segment: after a compaction a segment may end before `from`.
    pub(crate) fn read_on(&self, read: &ColdRead) -> Option<ColdRead> {
        let segment = self.segment_after(read.segment)?.base;
        let (limit, end) = self.limit_of(segment)?;
        Some(ColdRead { segment, limit, end, ..*read })
    }
}

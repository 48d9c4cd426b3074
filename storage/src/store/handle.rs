//! One log, as the broker sees it.

use std::rc::Rc;

use engine::buffer::Slice;
use engine::task::{self, Queue};

use crate::batch::{BatchHeader, BatchView};
use crate::cold_read::ColdFound;
use crate::ids::{LeaderEpoch, LogId, Offset};
use crate::log::append::{AppendError, Appended};
use crate::log::log::Standing;
use crate::log::read::{ColdRead, Read, ReadError};
use crate::log::truncate::TruncateError;
use crate::log::{EpochStart, LogConfig};
use crate::store::cell::LogCell;
use crate::store::indexes::{self, Lookup};
use crate::store::mend;
use crate::store::retention;
use crate::store::room;
use crate::store::shard_store::Inner;
use crate::store::timestamps;
use crate::store::truncate;
use crate::store::watch::{Bell, Watch};

/// A log on this shard. Cheap to clone; stays valid when the log is deleted and says so then.
#[derive(Clone)]
pub struct LogHandle {
    pub(crate) inner: Rc<Inner>,
    pub(crate) cell: Rc<LogCell>,
}

/// Why records were not deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteRecordsError {
    /// The offset lies beyond what readers may see.
    #[error("offset {upto} is beyond the visible end {visible_end}")]
    OutOfRange {
        /// What was asked for.
        upto: Offset,
        /// The high watermark.
        visible_end: Offset,
    },
    /// The log takes no changes.
    #[error(transparent)]
    Refused(#[from] AppendError),
}

/// What becomes of a read that was overtaken.
enum Again {
    Cold(ColdRead),
    Done(Vec<Slice>),
}

impl LogHandle {
    pub(crate) fn new(inner: Rc<Inner>, cell: Rc<LogCell>) -> LogHandle {
        LogHandle { inner, cell }
    }

    /// The log's identity.
    pub fn id(&self) -> LogId {
        self.cell.log.borrow().id
    }

    /// The settings in force.
    pub fn config(&self) -> Rc<LogConfig> {
        self.cell.log.borrow().config.clone()
    }

    /// Whether it is online, and if not, why.
    pub fn standing(&self) -> Standing {
        self.cell.log.borrow().standing.clone()
    }

    /// Takes one produced batch: checks it, gives it its offsets and copies it once, into the journal. It may be
    /// acknowledged when [`LogHandle::visible`] resolves for [`Appended::next_offset`]; that holds for a duplicate as
    /// well, whose original may still be on its way.
    ///
    /// # Errors
    /// On [`AppendError::NoRoom`] wait for [`LogHandle::room`] and append again; the appends of one log do so in order.
    pub fn append(
        &self,
        batch: &[u8],
        epoch: LeaderEpoch,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        let (inner, cell) = (&self.inner, &self.cell);
        if inner.stopping.get() {
            return Err(AppendError::Stopped);
        }
        let visible_before = self.visible_end();
        let appended = cell
            .log
            .borrow_mut()
            .append(batch, epoch, now_ms, cell.slot, |entry| inner.journal.push(entry));
        match appended {
            Ok(appended) if appended.duplicate => {
                inner.count(|stats| stats.duplicates += 1);
                Ok(appended)
            }
            Ok(appended) => {
                inner.count(|stats| {
                    stats.appends += 1;
                    stats.appended_bytes += batch.len() as u64;
                });
                inner.behind.on_append(cell, batch.len(), inner.config.write_behind_bytes);
                if self.visible_end() != visible_before {
                    cell.on_visible();
                }
                room::grow_ahead(inner, cell);
                Ok(appended)
            }
            Err(AppendError::NoRoom) => {
                inner.count(|stats| stats.no_room += 1);
                let no_space = cell.log.borrow().plan_room(batch.len() as u64).is_some();
                if no_space && inner.free.get().is_full() {
                    return Err(AppendError::StorageFull);
                }
                Err(AppendError::NoRoom)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until an append of `bytes` has room: space in a segment file, in the journal, and memory.
    ///
    /// # Errors
    /// [`AppendError::StorageFull`] when the disk is full: it is asked again about once a second.
    pub async fn room(&self, bytes: usize) -> Result<(), AppendError> {
        room::room(&self.inner, &self.cell, bytes).await
    }

    /// Appends one batch, waiting for room as often as it takes.
    pub async fn append_waiting(
        &self,
        batch: &[u8],
        epoch: LeaderEpoch,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        loop {
            match self.append(batch, epoch, now_ms) {
                Err(AppendError::NoRoom) => self.room(batch.len()).await?,
                done => return done,
            }
        }
    }

    /// Ends when everything before `next` is as durable as its class demands, and visible.
    ///
    /// # Errors
    /// When the log is deleted or the shard stops before that.
    pub async fn visible(&self, next: Offset) -> Result<(), AppendError> {
        self.cell.visible(next).await
    }

    /// Ends when an append is as durable as its class demands, and visible: it may be acknowledged then. Unlike
    /// [`LogHandle::visible`] it cannot take for the batch what was appended at its offsets after a cut.
    ///
    /// # Errors
    /// When the batch was cut off, the log is deleted or the shard stops before that.
    pub async fn acknowledged(&self, appended: &Appended) -> Result<(), AppendError> {
        let next = appended.next_offset();
        let uncut = || match self.cell.log.borrow().is_uncut(next, appended.cuts) {
            true => Ok(()),
            false => Err(AppendError::Truncated),
        };
        uncut()?;
        self.cell.visible(next).await?;
        uncut()
    }

    /// The offset up to which readers may read: the high watermark.
    pub fn visible_end(&self) -> Offset {
        self.cell.log.borrow().visible_end
    }

    /// The first offset there is.
    pub fn log_start(&self) -> Offset {
        self.cell.log.borrow().log_start
    }

    /// The offset of the next record to be appended.
    pub fn log_end(&self) -> Offset {
        self.cell.log.borrow().log_end
    }

    /// Bytes of all its segments, what is still to be written behind included.
    pub fn bytes(&self) -> u64 {
        self.cell.log.borrow().bytes()
    }

    /// The latest epoch a record was written in.
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        self.cell.log.borrow().epochs.latest()
    }

    /// The epoch the record at `offset` was written in.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.cell.log.borrow().epochs.epoch_at(offset)
    }

    /// Which epoch begins where, oldest first.
    pub fn leader_epochs(&self) -> Vec<EpochStart> {
        self.cell.log.borrow().epochs.entries().to_vec()
    }

    /// The largest known epoch that is at most `epoch`, and where it ends; `None` if there is none.
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let log = self.cell.log.borrow();
        log.epochs.end_offset_for(epoch, log.log_end)
    }

    /// The same, as the leader answers it whose own epoch is `current`, even if it has written nothing yet.
    pub fn end_offset_for_epoch_as_leader(
        &self,
        epoch: LeaderEpoch,
        current: LeaderEpoch,
    ) -> Option<(LeaderEpoch, Offset)> {
        let log = self.cell.log.borrow();
        log.epochs.end_offset_as_leader(epoch, current, log.log_end)
    }

    /// Finds at most `max_bytes` of whole batches, beginning with the one that contains `from`, never past the visible
    /// end; one batch even if it is larger, if `one_at_least`.
    ///
    /// # Errors
    /// When `from` lies outside the log, or the log is offline or deleted.
    pub fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        one_at_least: bool,
    ) -> Result<Read, ReadError> {
        let read = self.cell.log.borrow().read(from, max_bytes, one_at_least)?;
        if let Read::Ready { bytes, .. } = &read {
            self.inner.count(|stats| {
                stats.tail_reads += 1;
                stats.tail_read_bytes += *bytes as u64;
            });
        }
        Ok(read)
    }

    /// Performs a read that has to go to the disk. Empty when retention has overtaken it.
    ///
    /// # Errors
    /// When the disk refuses or returns damaged batches, or the log is gone by now.
    pub async fn read_cold(&self, read: ColdRead) -> Result<Vec<Slice>, ReadError> {
        let (inner, cell) = (&self.inner, &self.cell);
        let mut read = read;
        loop {
            let (dir, is_there) = {
                let log = cell.log.borrow();
                log.check_readable()?;
                let there = log.segment(read.segment).is_some() && log.cuts == read.cuts;
                (log.dir.clone(), there)
            };
            if !is_there {
                match self.begin_again(&read)? {
                    Again::Cold(again) => read = again,
                    Again::Done(pieces) => return Ok(pieces),
                }
                continue;
            }
            let key = cell.key(read.segment);
            let lookup = Lookup::Offset(read.from);
            let hint = indexes::position(inner, cell, read.segment, read.limit, lookup).await;
            let generation = inner.config.journal.generation;
            let is_epoch_right =
                |header: &BatchHeader| cell.log.borrow().is_epoch_right(header, generation);
            let found = match hint {
                Ok(hint) if cell.key(read.segment) == key => {
                    inner.cold.read(key, &dir, &read, hint, &is_epoch_right).await
                }
                Ok(_) => Ok(ColdFound { overtaken: true, ..ColdFound::default() }),
                Err(error) => Err(error),
            };
            // The log was cut back under the read: what it found may be gone, or be other batches.
            let cut = cell.key(read.segment) != key;
            if cut || found.as_ref().is_ok_and(|found| found.overtaken) {
                match self.begin_again(&read)? {
                    Again::Cold(again) => read = again,
                    Again::Done(pieces) => return Ok(pieces),
                }
                continue;
            }
            if let Err(ReadError::Corrupt { segment, .. }) = &found
                && mend::mend_last_block(inner, cell, *segment).await
            {
                continue;
            }
            let found = found.map_err(|error| self.overtaken(&read, error))?;
            if found.index_wrong {
                tracing::warn!(%dir, segment = %read.segment, "an index was wrong and is built again");
                retention::forget_index(inner, cell, read.segment);
            }
            // Here, and perhaps larger than the read may be: going on behind it would leave it out.
            if found.is_here {
                return Ok(found.pieces);
            }
            let next = cell.log.borrow().read_on(&read);
            match next {
                Some(next) => read = next,
                None => return Ok(Vec::new()),
            }
        }
    }

    /// Decides anew where the batches of a read are, because they are not where they were.
    fn begin_again(&self, read: &ColdRead) -> Result<Again, ReadError> {
        Ok(match self.read(read.from, read.max_bytes, read.one_at_least)? {
            Read::Ready { pieces, .. } => Again::Done(pieces),
            Read::Cold(again) => Again::Cold(again),
            Read::Empty => Again::Done(Vec::new()),
        })
    }

    /// A file that went away under a read because retention deleted its segment is no error of the disk.
    fn overtaken(&self, read: &ColdRead, error: ReadError) -> ReadError {
        let log = self.cell.log.borrow();
        if matches!(error, ReadError::Io { .. }) && log.segment(read.segment).is_none() {
            let (log_start, log_end) = (log.log_start, log.log_end);
            return ReadError::OutOfRange { from: read.from, log_start, log_end };
        }
        error
    }

    /// Reads from wherever the batches are.
    ///
    /// # Errors
    /// As [`LogHandle::read`] and [`LogHandle::read_cold`].
    pub async fn read_any(
        &self,
        from: Offset,
        max_bytes: usize,
        one_at_least: bool,
    ) -> Result<Vec<Slice>, ReadError> {
        match self.read(from, max_bytes, one_at_least)? {
            Read::Ready { pieces, .. } => Ok(pieces),
            Read::Cold(cold) => self.read_cold(cold).await,
            Read::Empty => Ok(Vec::new()),
        }
    }

    /// The first visible record with a timestamp of at least `timestamp`: its offset and its own time.
    ///
    /// # Errors
    /// As a read of the batch that holds it.
    pub async fn offset_for_timestamp(
        &self,
        timestamp: i64,
    ) -> Result<Option<(Offset, i64)>, ReadError> {
        loop {
            let cuts = self.cell.log.borrow().cuts;
            let found = timestamps::first_at_or_after(self, timestamp).await;
            if self.cell.log.borrow().cuts == cuts {
                return found;
            }
        }
    }

    /// The visible record with the largest timestamp, the first of several: its offset and time.
    ///
    /// # Errors
    /// As a read of the batch that holds it.
    pub async fn max_timestamp_offset(&self) -> Result<Option<(Offset, i64)>, ReadError> {
        loop {
            let cuts = self.cell.log.borrow().cuts;
            let found = timestamps::largest(self).await;
            if self.cell.log.borrow().cuts == cuts {
                return found;
            }
        }
    }

    /// Moves the start of the log up to `upto`; returns the start in force, which never moves back. It is durable then,
    /// and the segments wholly before it are gone or about to go.
    ///
    /// # Errors
    /// When `upto` is beyond the visible end or the log takes no changes.
    pub async fn delete_records(&self, upto: Offset) -> Result<Offset, DeleteRecordsError> {
        let visible_end = self.visible_end();
        if upto > visible_end {
            return Err(DeleteRecordsError::OutOfRange { upto, visible_end });
        }
        let (inner, cell) = (self.inner.clone(), self.cell.clone());
        // A task of its own: whoever asked may go away, the start moves all the same.
        let moving = task::spawn(Queue::Produce, async move {
            retention::move_log_start(&inner, &cell, upto).await?;
            task::spawn(Queue::Background, async move {
                retention::delete_dead_segments(&inner, &cell).await;
            })
            .await;
            Ok::<_, DeleteRecordsError>(())
        });
        moving.await?;
        Ok(self.log_start())
    }

    /// Cuts the log back so that it ends at `to`, or before the batch that contains `to`: batches stay whole. Returns the
    /// log's end, which is durable then, whatever the log's class; behind the end of the log there is nothing to cut.
    /// Appends and readers meet the shorter log at once: the offsets are used again, by batches of a later leader epoch;
    /// whoever waits for one that was cut gets [`AppendError::Truncated`]. A crash before the return leaves the log as
    /// it was or cut, one after it only cut.
    ///
    /// # Errors
    /// When `to` lies before the log's start, the log takes no changes, or its segments cannot be read. Nothing has
    /// changed then.
    pub async fn truncate(&self, to: Offset) -> Result<Offset, TruncateError> {
        let cutting = truncate::truncate(&self.inner, &self.cell, to);
        cutting.await.unwrap_or(Err(TruncateError::Refused(AppendError::Stopped)))
    }

    /// A watch with a bell of its own; see [`LogHandle::watch_with`].
    pub fn watch(&self) -> Watch {
        self.watch_with(&Bell::new())
    }

    /// Hangs a bell on this log until the watch is dropped: it rings when the visible end or the start moves, or when
    /// the log is deleted. A long poll hangs one bell on all its logs.
    pub fn watch_with(&self, bell: &Bell) -> Watch {
        Watch::new(self.cell.clone(), bell.clone())
    }
}

/// The batches in a run of pieces, of which one may lie across two, as one copy. For look-ups, not for fetches.
pub(crate) fn joined(pieces: &[Slice]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
    for piece in pieces {
        bytes.extend_from_slice(piece);
    }
    debug_assert!(BatchView::first(&bytes).is_ok() || bytes.is_empty());
    bytes
}

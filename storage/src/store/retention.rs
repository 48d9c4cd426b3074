//! Deletes what is too old or too much, and moves the start of logs: durable in the journal first, files after.

use std::rc::Rc;

use engine::task::{self, Queue};
use engine::time;

use crate::durability::Durability;
use crate::ids::Offset;
use crate::journal::{Entry, EntryKind, PushRefusal};
use crate::log::append::AppendError;
use crate::log::log::Standing;
use crate::log::retain;
use crate::log::segment::{batches_file_name, index_file_name};
use crate::store::cell::LogCell;
use crate::store::files::SegmentKey;
use crate::store::handle::DeleteRecordsError;
use crate::store::room;
use crate::store::shard_store::Inner;
use crate::store::truncate;
use crate::{seal, write_behind};

/// Logs looked at before other tasks get their turn.
const LOGS_PER_TURN: usize = 64;

/// How long to wait before asking again whether a write has ended.
const FILES_BUSY_WAIT: std::time::Duration = std::time::Duration::from_millis(1);

/// Runs for as long as the shard does: looks at every log at the interval that the settings name.
pub(crate) async fn run(inner: Rc<Inner>) {
    loop {
        time::sleep(inner.config.retention_interval).await;
        for (at, cell) in inner.cells.all().into_iter().enumerate() {
            // A task of its own, so that the end of this one never leaves a log halfway.
            let inner = inner.clone();
            task::spawn(Queue::Background, async move { retain(&inner, &cell).await }).await;
            if at % LOGS_PER_TURN == LOGS_PER_TURN - 1 {
                task::yield_now().await;
            }
        }
    }
}

/// Applies one log's age and size settings, and forgets its silent producers.
pub(crate) async fn retain(inner: &Rc<Inner>, cell: &Rc<LogCell>) {
    let now_ms = time::unix_ms();
    let plan = {
        let mut log = cell.log.borrow_mut();
        if log.standing != Standing::Online {
            return;
        }
        let expiration_ms = log.config.producer_id_expiration_ms;
        log.producers.expire(now_ms, expiration_ms);
        retain::plan(&log.segments, log.visible_end, log.log_end, &log.config, now_ms)
    };
    if let Some(plan) = plan {
        let log_start = plan.log_start;
        // Without a new segment the last one cannot go, but those before it can.
        if plan.close_active && !close_active(inner, cell).await {
            tracing::debug!(
                dir = &*cell.log.borrow().dir,
                "the active segment could not be closed"
            );
        }
        if let Err(error) = move_log_start(inner, cell, log_start).await {
            tracing::warn!(dir = &*cell.log.borrow().dir, %error, "retention could not move the log's start");
            return;
        }
    }
    delete_dead_segments(inner, cell).await;
}

/// Begins a new, empty segment, so that the expired one before it can be deleted. Takes no space: a full disk is when
/// this matters most.
async fn close_active(inner: &Rc<Inner>, cell: &Rc<LogCell>) -> bool {
    let busy = {
        let log = cell.log.borrow();
        log.rolling || log.cutting
    };
    if busy || cell.making_room.borrow().is_some() {
        return false;
    }
    *cell.making_room.borrow_mut() = Some(Vec::new());
    let rolled = room::roll(inner, cell, 0, 0).await;
    for sender in cell.making_room.take().unwrap_or_default() {
        let _ = sender.send(rolled.clone());
    }
    rolled.is_ok()
}

/// Moves a log's start up to `to` and returns when that is durable. Readers are told after that. Must run to its end.
pub(crate) async fn move_log_start(
    inner: &Rc<Inner>,
    cell: &Rc<LogCell>,
    to: Offset,
) -> Result<(), DeleteRecordsError> {
    let lsn = loop {
        truncate::ended(inner, cell).await;
        let pushed = {
            let log = cell.log.borrow();
            log.check_writable()?;
            if to <= log.log_start {
                return Ok(());
            }
            // The log may have been cut back since this was asked for.
            if to > log.visible_end {
                let visible_end = log.visible_end;
                return Err(DeleteRecordsError::OutOfRange { upto: to, visible_end });
            }
            inner.journal.push(Entry {
                kind: EntryKind::LogStart,
                slot: cell.slot,
                log: log.id,
                base_offset: to,
                next_offset: log.log_end,
                roll: false,
                durability: Durability::Device,
                len: 0,
                write: &mut |_| {},
            })
        };
        match pushed {
            Ok(pushed) => break pushed.lsn,
            Err(PushRefusal::Busy) => inner.journal.room().await,
            Err(PushRefusal::TooLarge { len, max }) => {
                return Err(AppendError::TooLargeForJournal { len, max }.into());
            }
            Err(PushRefusal::Stopped) => return Err(AppendError::Stopped.into()),
        }
    };
    // A checkpoint made before this is durable must not take the entry for covered.
    cell.log.borrow_mut().pinned.push(lsn);
    inner.journal.flush().await;
    let moved = {
        let mut log = cell.log.borrow_mut();
        log.pinned.retain(|pinned| *pinned != lsn);
        log.on_log_start(to)
    };
    if moved {
        cell.bells.ring();
        inner.checkpoint_wanted.notify_all();
    }
    Ok(())
}

/// Deletes the files of segments that lie wholly before the log's durable start.
pub(crate) async fn delete_dead_segments(inner: &Rc<Inner>, cell: &Rc<LogCell>) {
    if cell.log.borrow().segments.len() < 2 {
        return;
    }
    // The files are this task's alone until it is done: no write and no seal meanwhile.
    while cell.writing.get() {
        time::sleep(FILES_BUSY_WAIT).await;
    }
    if cell.log.borrow().standing == Standing::Deleted {
        return;
    }
    cell.writing.set(true);
    let (dead, dir) = {
        let mut log = cell.log.borrow_mut();
        (log.take_dead_segments(), log.dir.clone())
    };
    for segment in &dead {
        forget(inner, cell, segment.base);
        let dir = inner.files.dir(&dir);
        for name in [batches_file_name(segment.base), index_file_name(segment.base)] {
            let path = dir.join(name);
            match engine::file::remove_large_file(&path).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "a segment could not be deleted");
                }
                _ => {}
            }
        }
        inner.count(|stats| stats.segments_deleted += 1);
    }
    seal::seal_complete_segments(inner, cell).await;
    write_behind::release(inner, cell);
}

/// Drops what is cached of a segment.
pub(crate) fn forget(inner: &Inner, cell: &LogCell, base: Offset) {
    forget_key(inner, cell.key(base));
}

/// The same, of a segment by its name.
pub(crate) fn forget_key(inner: &Inner, key: SegmentKey) {
    inner.files.forget(key);
    inner.cold.forget(key);
    inner.indexes.forget(key);
}

/// Drops a segment's index: the next look-up builds it again.
pub(crate) fn forget_index(inner: &Inner, cell: &LogCell, base: Offset) {
    inner.indexes.forget(cell.key(base));
    let mut index = cell.index.borrow_mut();
    if index.as_deref().is_some_and(|index| index.base_offset() == base) {
        *index = None;
    }
}

//! Making room for appends: segment files are created and grown before an offset is assigned.
//!
//! One attempt runs per log at a time, in a task of its own; all who need room wait for it. A full disk is remembered
//! for a second, in which appends are refused without asking the file system again. After that the next one asks, so
//! that service returns by itself when space does.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use engine::sync::{Receiver, oneshot};
use engine::task::{self, Queue};
use engine::time::{self, Instant};

use crate::disk;
use crate::log::append::AppendError;
use crate::log::log::Room;
use crate::log::space;
use crate::store::cell::LogCell;
use crate::store::shard_store::Inner;
use crate::store::truncate;

/// How long a refusal for lack of space stands before the disk is asked again.
const FULL_FOR: Duration = Duration::from_secs(1);

/// How long a figure of free space is believed.
const FREE_BELIEVED_FOR: Duration = Duration::from_millis(250);

/// What is known of the file system's free space.
#[derive(Clone, Copy)]
pub(crate) struct FreeSpace {
    asked: Option<Instant>,
    bytes: u64,
    full_until: Option<Instant>,
}

impl FreeSpace {
    pub(crate) fn unknown() -> FreeSpace {
        FreeSpace { asked: None, bytes: 0, full_until: None }
    }

    /// A refusal is young enough to stand.
    pub(crate) fn is_full(&self) -> bool {
        self.full_until.is_some_and(|until| time::now() < until)
    }
}

/// Waits until an append of `bytes` to this log has room in a segment and in the journal.
pub(crate) async fn room(
    inner: &Rc<Inner>,
    cell: &Rc<LogCell>,
    bytes: usize,
) -> Result<(), AppendError> {
    // Callers append, wait here, and append again. Should the two ever disagree about what room is, the shard slows
    // down instead of standing still: what frees memory runs on it as well.
    task::yield_now().await;
    truncate::ended(inner, cell).await;
    let needed = {
        let log = cell.log.borrow();
        log.check_writable()?;
        log.plan_room(bytes as u64).is_some()
    };
    if inner.stopping.get() {
        return Err(AppendError::Stopped);
    }
    if needed {
        if inner.free.get().is_full() {
            return Err(AppendError::StorageFull);
        }
        match make_in_background(inner, cell, bytes, Queue::Produce).await {
            Ok(made) => made?,
            Err(_) => return Err(AppendError::Stopped),
        }
    }
    inner.relieve();
    inner.journal.room_for(bytes).await;
    Ok(())
}

/// Begins the next reservation of a log that has used most of its last one.
pub(crate) fn grow_ahead(inner: &Rc<Inner>, cell: &Rc<LogCell>) {
    let needed = {
        let log = cell.log.borrow();
        let used = log.active().map_or(0, |active| active.bytes);
        !log.cutting && space::should_grow_ahead(log.reserved, used, log.config.segment_bytes)
    };
    if needed && cell.making_room.borrow().is_none() && !inner.free.get().is_full() {
        let used =
            cell.log.borrow().reserved + 1 - cell.log.borrow().active().map_or(0, |a| a.bytes);
        drop(make_in_background(inner, cell, used as usize, Queue::Background));
    }
}

/// Joins the attempt that runs, or begins one.
fn make_in_background(
    inner: &Rc<Inner>,
    cell: &Rc<LogCell>,
    bytes: usize,
    queue: Queue,
) -> Receiver<Result<(), AppendError>> {
    let (sender, receiver) = oneshot();
    let mut making = cell.making_room.borrow_mut();
    if let Some(waiting) = making.as_mut() {
        waiting.push(sender);
        return receiver;
    }
    *making = Some(vec![sender]);
    drop(making);
    let (inner, cell) = (inner.clone(), cell.clone());
    task::spawn(queue, async move {
        let made = make(&inner, &cell, bytes as u64).await;
        for sender in cell.making_room.take().unwrap_or_default() {
            let _ = sender.send(made.clone());
        }
    });
    receiver
}

async fn make(inner: &Rc<Inner>, cell: &Rc<LogCell>, bytes: u64) -> Result<(), AppendError> {
    let plan = cell.log.borrow().plan_room(bytes);
    let made = match plan {
        None => Ok(()),
        Some(Room::Roll { reserve }) => roll(inner, cell, reserve, space::block_end(bytes)).await,
        Some(Room::Grow { segment, from, step, least }) => {
            let (key, dir) = (cell.key(segment), cell.log.borrow().dir.clone());
            let file = inner.files.get(key, &dir).await.map_err(|error| refused(inner, &error))?;
            let got = reserve(inner, &file, from, step, least).await?;
            cell.log.borrow_mut().on_reserved(segment, from + got);
            Ok(())
        }
    };
    if made.is_ok() {
        cell.log.borrow().check_writable()?;
    }
    made
}

/// Creates the next segment's file at the log's end, which cannot move meanwhile.
pub(crate) async fn roll(
    inner: &Rc<Inner>,
    cell: &Rc<LogCell>,
    step: u64,
    least: u64,
) -> Result<(), AppendError> {
    let (base, dir, first) = {
        let mut log = cell.log.borrow_mut();
        log.rolling = true;
        (log.log_end, log.dir.clone(), log.segments.is_empty())
    };
    let refused = |error: io::Error| refused(inner, &error);
    if first {
        engine::file::create_dir_all(&inner.files.dir(&dir)).await.map_err(refused)?;
    }
    let key = cell.key(base);
    let file = inner.files.create(key, &dir).await.map_err(refused)?;
    // Bytes of an attempt that was never acknowledged, from before a crash.
    if file.len().await.map_err(refused)? > 0 {
        file.set_len(0).await.map_err(refused)?;
    }
    let got = reserve(inner, &file, 0, step, least).await?;
    cell.log.borrow_mut().on_rolled(time::unix_ms(), got);
    inner.count(|stats| stats.rolls += 1);
    Ok(())
}

/// Reserves `step` bytes at `from`, or at least `least` when there is no room for more. Returns how many.
async fn reserve(
    inner: &Rc<Inner>,
    file: &engine::file::File,
    from: u64,
    step: u64,
    least: u64,
) -> Result<u64, AppendError> {
    let free = free_bytes(inner).await.map_err(|error| refused(inner, &error))?;
    for bytes in [step, least] {
        if free < inner.config.reserve_bytes.saturating_add(bytes) {
            continue;
        }
        match inner.allocate(file, from, bytes).await {
            Ok(()) => {
                let mut known = inner.free.get();
                if known.full_until.is_some() {
                    tracing::info!("HDL-ST-025: space has returned; appends are taken again");
                }
                known.bytes = known.bytes.saturating_sub(bytes);
                known.full_until = None;
                inner.free.set(known);
                return Ok(bytes);
            }
            Err(error) if disk::is_full(&error) => {}
            Err(error) => return Err(refused(inner, &error)),
        }
    }
    Err(full(inner))
}

async fn free_bytes(inner: &Rc<Inner>) -> io::Result<u64> {
    let known = inner.free.get();
    if known.asked.is_some_and(|asked| asked.elapsed() < FREE_BELIEVED_FOR) {
        return Ok(known.bytes);
    }
    let (bytes, _total) = engine::file::free_bytes(inner.files.root()).await?;
    inner.free.set(FreeSpace { asked: Some(time::now()), bytes, ..inner.free.get() });
    Ok(bytes)
}

fn full(inner: &Rc<Inner>) -> AppendError {
    let mut known = inner.free.get();
    if known.full_until.is_none() {
        tracing::warn!(
            reserve_bytes = inner.config.reserve_bytes,
            "HDL-ST-021: the disk is full; appends are refused until space returns, reads go on"
        );
    }
    known.full_until = Some(time::now() + FULL_FOR);
    known.asked = None;
    inner.free.set(known);
    inner.count(|stats| stats.refused_full += 1);
    AppendError::StorageFull
}

fn refused(inner: &Rc<Inner>, error: &io::Error) -> AppendError {
    if disk::is_full(error) { full(inner) } else { AppendError::Io(error.to_string().into()) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use engine::shard::{Launch, block_on};

    use super::*;
    use crate::ids::{LeaderEpoch, LogId, Offset};
    use crate::log::LogConfig;
    use crate::log::read::Read;
    use crate::log::testing::produced_batch;
    use crate::node::{Known, Node, NodeOptions};
    use crate::store::{Store, StoreConfig};

    #[test]
    fn a_full_disk_refuses_appends_serves_reads_and_recovers() {
        // Goal: no acknowledged record and no offset is lost to a full disk, and service returns by itself. Method: the
        // file system refuses to reserve, as it does when it is full, and later no longer does.
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = dir.path().to_owned();
        let run = async move {
            let options = NodeOptions { node_id: 1, ..NodeOptions::default() };
            let node = Node::open(&path, &options).await.unwrap().node;
            let recovery = node.recover(&Known::default(), 1).await.unwrap();
            let config =
                StoreConfig::new(path.clone(), recovery.journal_config(0, 4 << 20, 16 << 20));
            let store = Store::start(config, recovery.states).await.unwrap();
            let id = LogId { topic: [1; 16], partition: 0, incarnation: 0 };
            let log = store.create(id, "a.b/0", Rc::new(LogConfig::default())).unwrap();
            let epoch = LeaderEpoch(1);
            let batch = produced_batch(2, 1_000);
            log.append_waiting(&batch, epoch, 0).await.unwrap();
            store.inner.refuse_space.set(true);
            let mut taken = 2;
            let refusal = loop {
                match log.append_waiting(&batch, epoch, 0).await {
                    Ok(appended) => taken = appended.next_offset().0,
                    Err(refusal) => break refusal,
                }
            };
            assert_eq!(refusal, AppendError::StorageFull);
            let at_once = log.append(&batch, epoch, 0).unwrap_err();
            assert_eq!(at_once, AppendError::StorageFull, "without asking the disk again");
            assert_eq!(log.log_end(), Offset(taken), "nothing is half taken");
            log.visible(Offset(taken)).await.unwrap();
            assert!(matches!(log.read(Offset(0), 100, true), Ok(Read::Ready { .. })));
            store.inner.refuse_space.set(false);
            time::sleep(FULL_FOR).await;
            let appended = log.append_waiting(&batch, epoch, 0).await.unwrap();
            assert_eq!(appended.base_offset, Offset(taken));
            store.shutdown().await;
        };
        block_on(&Launch::default(), run).unwrap();
    }
}

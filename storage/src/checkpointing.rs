//! When a checkpoint is made, and of what: it lets the journal forget, and bounds how long a restart takes.
//!
//! One is due some seconds after something changed, or as soon as the journal is a third full. Logs that did not change
//! are not written again. In order: write-behind catches up; each changed log says what its segments hold; one `syncfs`
//! makes that true on the device (12 ms for 10,000 files, where one sync each takes 0.65 s); the checkpoint is
//! appended, durable; the journal recycles what no log needs any more.

use std::rc::Rc;
use std::time::Duration;

use engine::task::{self, Queue};
use engine::time;

use crate::checkpoint::LogCheckpoint;
use crate::ids::Lsn;
use crate::limits;
use crate::planted::{self, Bug};
use crate::store::cell::LogCell;
use crate::store::shard_store::Inner;
use crate::write_behind;

/// Logs captured before other tasks get their turn.
const LOGS_PER_TURN: usize = 64;

/// The least time between two checkpoints, however full the journal is: each costs a sync of the file system.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// How long to wait after the disk had no space for one.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// Runs for as long as the shard does.
pub(crate) async fn run(inner: Rc<Inner>) {
    loop {
        wait_until_due(&inner).await;
        // Without this a log that is appended to all the time would hold the journal from its first batch on. What is not
        // in the journal's files yet does not hold it, and may wait for just this checkpoint to free one.
        let upto = inner.journal.written_upto();
        if is_full(&inner) {
            write_behind::flush(&inner, upto).await;
        }
        // A task of its own, so that the end of this one never ends a checkpoint halfway.
        let begun = inner.clone();
        task::spawn(Queue::Background, async move { checkpoint(&begun).await }).await;
        time::sleep(PAUSE_MIN).await;
    }
}

fn is_full(inner: &Inner) -> bool {
    inner.journal.fill() >= f64::from(inner.config.checkpoint_fill)
}

fn has_changed(inner: &Inner) -> bool {
    !inner.deleted.borrow().is_empty()
        || inner.behind.unwritten() > 0
        || inner.cells.all().iter().any(|cell| cell.log.borrow().changed)
}

/// An idle shard sleeps here without a timer; a busy one until its interval has passed or its journal fills.
async fn wait_until_due(inner: &Inner) {
    loop {
        let wanted = inner.checkpoint_wanted.notified();
        if has_changed(inner) || is_full(inner) {
            break;
        }
        wanted.await;
    }
    let due = time::now() + inner.config.checkpoint_interval;
    while !is_full(inner) {
        let wanted = inner.checkpoint_wanted.notified();
        let now = time::now();
        if now >= due || time::timeout(due.since(now), wanted).await.is_err() {
            return;
        }
    }
}

/// Makes a checkpoint of what the segments hold now. Must run to its end: it has taken note of what changed.
pub(crate) async fn checkpoint(inner: &Rc<Inner>) {
    let Ok(_alone) = inner.checkpoint_turn.acquire(1).await else { return };
    make(inner).await;
}

/// Ends when a checkpoint is durable that began after the first `begun` ones; makes it unless another did meanwhile. So
/// many logs that are cut back at once share one. Must run to its end as well.
pub(crate) async fn checkpoint_after(inner: &Rc<Inner>, begun: u64) {
    let Ok(_alone) = inner.checkpoint_turn.acquire(1).await else { return };
    // With the turn, all that began have ended.
    if inner.checkpoints_begun.get() == begun {
        make(inner).await;
    }
}

async fn make(inner: &Rc<Inner>) {
    inner.checkpoints_begun.set(inner.checkpoints_begun.get() + 1);
    let began = time::now();
    let deleted = inner.deleted.take();
    // Entries of a weaker class than `device` are flushed by nobody else. What is pushed from here on stays in the
    // journal whatever the logs say: it may be a log start that no log knows before it is durable.
    inner.journal.flush_written().await;
    let durable = inner.journal.durable_upto();
    if planted::is(Bug::RecycleEarly) {
        inner.journal.recycle_before(durable);
    }
    let (changed, cells, recycle_before) = capture(inner).await;
    let recycle_before = recycle_before.min(durable);
    if changed.is_empty() && deleted.is_empty() && !is_full(inner) {
        return;
    }
    let syncing = time::now();
    if let Err(error) = engine::file::syncfs(&inner.config.data_dir).await {
        engine::exit_now(
            limits::EXIT_STORAGE,
            &format!(
                "HDL-ST-023: the file system of {} could not be synced: {error}. Acknowledged \
                 records are safe in the journal; check the disk, then start again.",
                inner.config.data_dir.display()
            ),
        );
    }
    let synced = time::now();
    let logs = changed.len() as u64;
    let mut kept = Ok(());
    for id in &deleted {
        kept = kept.and(inner.checkpoints.forget(*id).await);
    }
    if let Err(error) = kept.and(inner.checkpoints.write(changed, recycle_before, durable).await) {
        if error.is_full() {
            tracing::warn!(%error, "HDL-ST-026: no space for a checkpoint; the journal keeps what it has until there is");
            // What was to be noted is to be noted still.
            cells.iter().for_each(|cell| cell.log.borrow_mut().changed = true);
            inner.deleted.borrow_mut().extend(deleted);
            time::sleep(FULL_PAUSE).await;
            return;
        }
        engine::exit_now(
            limits::EXIT_STORAGE,
            &format!("HDL-ST-024: a checkpoint could not be written: {error}"),
        );
    }
    inner.journal.recycle_before(recycle_before);
    inner.count(|stats| {
        stats.checkpoints += 1;
        stats.checkpointed_logs += logs;
        stats.checkpoint_took = began.elapsed();
        stats.checkpoint_sync_took = synced.since(syncing);
    });
}

/// The changed logs as their segments are now, and the first journal entry that some log still needs.
async fn capture(inner: &Rc<Inner>) -> (Vec<LogCheckpoint>, Vec<Rc<LogCell>>, Lsn) {
    // A log that is looked at later than this can only have newer entries beyond what is said of it.
    let next_lsn = inner.journal.next_lsn();
    let mut recycle_before = next_lsn;
    let (mut changed, mut cells) = (Vec::new(), Vec::new());
    for (at, cell) in inner.cells.all().into_iter().enumerate() {
        {
            let mut log = cell.log.borrow_mut();
            if let Some(oldest) = log.oldest_needed() {
                recycle_before = recycle_before.min(oldest);
            }
            if std::mem::take(&mut log.changed) {
                changed.push(log.checkpoint(inner.journal.next_lsn()));
                cells.push(cell.clone());
            }
        }
        if at % LOGS_PER_TURN == LOGS_PER_TURN - 1 {
            engine::task::yield_now().await;
        }
    }
    (changed, cells, recycle_before)
}

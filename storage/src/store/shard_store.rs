//! The store of one shard: starts with what recovery found, holds the logs, stops cleanly.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::path::Path;
use std::rc::{Rc, Weak};

use ahash::AHashMap;
use engine::file::File;
use engine::sync::{Notify, Semaphore};
use engine::task::{self, JoinHandle, Queue};

use crate::checkpoint_log::{CheckpointLog, CheckpointLogError};
use crate::cold_read::ColdReader;
use crate::ids::LogId;
use crate::journal::{Commit, Journal, JournalError};
use crate::log::LogConfig;
use crate::log::log::{Log, Standing};
use crate::log_state::LogState;
use crate::store::cell::{Cells, LogCell};
use crate::store::config::StoreConfig;
use crate::store::files::Files;
use crate::store::handle::LogHandle;
use crate::store::indexes::Indexes;
use crate::store::retention;
use crate::store::room::FreeSpace;
use crate::store::stats::StoreStats;
use crate::write_behind::WriteBehind;
use crate::{checkpointing, write_behind};

/// Why a store refused something that concerns no single append or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The journal could not be started.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The checkpoints could not be opened.
    #[error("the checkpoints cannot be opened: {0}")]
    Checkpoints(#[from] CheckpointLogError),
    /// A log with this id is here already.
    #[error("log {0} exists already")]
    Exists(LogId),
    /// No log with this id is here.
    #[error("log {0} does not exist")]
    Unknown(LogId),
    /// The file system refused.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// One shard's logs. Cheap to clone; lives on its shard.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Rc<Inner>,
}

/// What all parts of a store share.
pub struct Inner {
    pub(crate) config: StoreConfig,
    pub(crate) cells: Rc<Cells>,
    pub(crate) journal: Rc<Journal>,
    pub(crate) checkpoints: CheckpointLog,
    pub(crate) files: Rc<Files>,
    pub(crate) cold: Rc<ColdReader>,
    pub(crate) indexes: Indexes,
    pub(crate) behind: WriteBehind,
    pub(crate) free: Cell<FreeSpace>,
    pub(crate) stopping: Cell<bool>,
    /// Something changed that a checkpoint would hold, or the journal fills.
    pub(crate) checkpoint_wanted: Notify,
    /// One checkpoint at a time.
    pub(crate) checkpoint_turn: Semaphore,
    /// Checkpoints begun.
    pub(crate) checkpoints_begun: Cell<u64>,
    /// A log that was being cut back takes appends again.
    pub(crate) cut_ended: Notify,
    /// Logs deleted since the last checkpoint.
    pub(crate) deleted: RefCell<Vec<LogId>>,
    by_id: RefCell<AHashMap<LogId, u32>>,
    stats: Cell<StoreStats>,
    tasks: RefCell<Vec<JoinHandle<()>>>,
    #[cfg(test)]
    pub(crate) refuse_space: Cell<bool>,
}

impl Inner {
    pub(crate) fn count(&self, change: impl FnOnce(&mut StoreStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }

    /// Someone waits for room: what waits for its age no longer does, and a checkpoint frees the journal.
    pub(crate) fn relieve(&self) {
        self.behind.press();
        self.on_journal_grown();
    }

    /// Wakes the checkpoint as soon as the journal is full enough. Those who wait for room may have come before it was:
    /// what is pushed counts only once it is written.
    fn on_journal_grown(&self) {
        if self.journal.fill() >= f64::from(self.config.checkpoint_fill) {
            self.checkpoint_wanted.notify_all();
        }
    }

    /// Reserves bytes of a file. A file system that cannot reserve is believed to have what it says is free.
    pub(crate) async fn allocate(&self, file: &File, from: u64, bytes: u64) -> io::Result<()> {
        #[cfg(test)]
        if self.refuse_space.get() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if bytes == 0 {
            return Ok(());
        }
        match file.allocate(from, bytes).await {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            done => done,
        }
    }
}

impl Store {
    /// Starts the store of a shard with the logs that recovery assigned to it. They are configured with
    /// [`Store::configure`] before the first append; until then the defaults hold.
    pub async fn start(config: StoreConfig, states: Vec<LogState>) -> Result<Store, StoreError> {
        let cells = Rc::new(Cells::default());
        let mut by_id = AHashMap::with_hasher(ahash::RandomState::with_seeds(13, 14, 15, 16));
        let defaults = Rc::new(LogConfig::default());
        let now_ms = engine::time::unix_ms();
        for state in states {
            let id = state.checkpoint.id;
            let cell = cells.add(Log::from_state(state, defaults.clone(), now_ms));
            if by_id.insert(id, cell.slot).is_some() {
                return Err(StoreError::Exists(id));
            }
        }
        let committed = cells.clone();
        let started: Rc<OnceCell<Weak<Inner>>> = Rc::default();
        let store = started.clone();
        let device = config.device.clone();
        let on_commit = move |commit: &Commit<'_>| {
            if commit.durable && !commit.touched.is_empty() {
                device.on_commit(commit.bytes);
            }
            for (slot, _) in commit.touched {
                if let Some(cell) = committed.get(*slot) {
                    cell.on_commit(commit.written_upto, commit.durable_upto);
                }
            }
            if let Some(inner) = store.get().and_then(Weak::upgrade) {
                inner.on_journal_grown();
            }
        };
        let (generation, shard) = (config.journal.generation, config.journal.shard);
        let dir = config.data_dir.join("checkpoints");
        let (checkpoints, _) =
            CheckpointLog::open_sized(&dir, generation, shard, config.checkpoint_log_bytes).await?;
        let journal = Journal::start(config.journal.clone(), Box::new(on_commit)).await?;
        let root = config.data_dir.join("topics");
        let files = Rc::new(Files::new(root, config.direct, config.open_files_max));
        let cold = ColdReader::new(files.clone(), config.device.clone(), config.cold_cache_bytes);
        let inner = Rc::new(Inner {
            indexes: Indexes::new(config.index_cache_bytes),
            behind: WriteBehind::new(),
            free: Cell::new(FreeSpace::unknown()),
            stopping: Cell::new(false),
            checkpoint_wanted: Notify::new(),
            checkpoint_turn: Semaphore::new(1),
            checkpoints_begun: Cell::new(0),
            cut_ended: Notify::new(),
            deleted: RefCell::default(),
            by_id: RefCell::new(by_id),
            stats: Cell::default(),
            tasks: RefCell::default(),
            #[cfg(test)]
            refuse_space: Cell::new(false),
            config,
            cells,
            journal,
            checkpoints,
            files,
            cold,
        });
        let _ = started.set(Rc::downgrade(&inner));
        let tasks = vec![
            task::spawn(Queue::Background, write_behind::run(inner.clone())),
            task::spawn(Queue::Background, checkpointing::run(inner.clone())),
            task::spawn(Queue::Background, retention::run(inner.clone())),
        ];
        *inner.tasks.borrow_mut() = tasks;
        Ok(Store { inner })
    }

    /// Begins a log. Its files come with its first append; that it exists must be durable elsewhere before this call.
    /// `dir` is relative to the directory of all topics.
    ///
    /// # Errors
    /// When the log is here already.
    pub fn create(
        &self,
        id: LogId,
        dir: &str,
        config: Rc<LogConfig>,
    ) -> Result<LogHandle, StoreError> {
        let mut by_id = self.inner.by_id.borrow_mut();
        if by_id.contains_key(&id) {
            return Err(StoreError::Exists(id));
        }
        let log = Log::new(id, dir.into(), config, crate::ids::Offset::ZERO);
        let cell = self.inner.cells.add(log);
        by_id.insert(id, cell.slot);
        self.inner.checkpoint_wanted.notify_all();
        Ok(LogHandle::new(self.inner.clone(), cell))
    }

    /// The log with this id, if it is here.
    pub fn log(&self, id: &LogId) -> Option<LogHandle> {
        let slot = *self.inner.by_id.borrow().get(id)?;
        Some(LogHandle::new(self.inner.clone(), self.inner.cells.get(slot)?))
    }

    /// All logs, in no order that means something.
    pub fn logs(&self) -> Vec<LogHandle> {
        let cells = self.inner.cells.all();
        cells.into_iter().map(|cell| LogHandle::new(self.inner.clone(), cell)).collect()
    }

    /// Gives a log other settings; they hold from its next append on. Returns whether the log is here.
    pub fn configure(&self, id: &LogId, config: Rc<LogConfig>) -> bool {
        let handle = self.log(id);
        if let Some(handle) = &handle {
            handle.cell.log.borrow_mut().config = config;
        }
        handle.is_some()
    }

    /// Deletes a log and its files. That it is gone must be durable elsewhere before this call.
    ///
    /// # Errors
    /// When there is no such log, or its files could not be removed; it is gone from the store in any case.
    pub async fn delete(&self, id: &LogId) -> Result<(), StoreError> {
        let slot = self.inner.by_id.borrow_mut().remove(id).ok_or(StoreError::Unknown(*id))?;
        let Some(cell) = self.inner.cells.get(slot) else { return Err(StoreError::Unknown(*id)) };
        cell.log.borrow_mut().standing = Standing::Deleted;
        self.inner.behind.on_deleted(&cell);
        cell.on_deleted();
        self.inner.deleted.borrow_mut().push(*id);
        self.inner.checkpoint_wanted.notify_all();
        // A task of its own: whoever asked may go away, the files go all the same.
        let inner = self.inner.clone();
        task::spawn(Queue::Background, async move { delete_files(&inner, &cell).await }).await
    }

    /// Counters and sizes.
    pub fn stats(&self) -> StoreStats {
        let inner = &self.inner;
        StoreStats {
            logs: inner.by_id.borrow().len() as u64,
            cold: inner.cold.stats(),
            unwritten_bytes: inner.behind.unwritten(),
            cached_bytes: inner.behind.cached(),
            indexes_rebuilt: inner.indexes.rebuilt(),
            ..inner.stats.get()
        }
    }

    /// The shard's journal, for its counters.
    pub fn journal(&self) -> &Rc<Journal> {
        &self.inner.journal
    }

    /// Ends cleanly: appends are refused from now on, everything is written to its segments and synced, every segment
    /// is cut to its exact length, the last checkpoint says so and the journal gets its closing frame.
    pub async fn shutdown(&self) {
        self.inner.stopping.set(true);
        self.inner.journal.flush().await;
        let end = self.inner.journal.next_lsn();
        self.inner.behind.press();
        write_behind::flush(&self.inner, end).await;
        for task in self.inner.tasks.take() {
            task.cancel();
        }
        for cell in self.inner.cells.all() {
            cell.settled().await;
            write_behind::close_active(&self.inner, &cell).await;
        }
        checkpointing::checkpoint(&self.inner).await;
        self.inner.journal.stop().await;
    }
}

/// Removes the files of a deleted log once the operations on them have ended; no new one begins.
async fn delete_files(inner: &Rc<Inner>, cell: &Rc<LogCell>) -> Result<(), StoreError> {
    cell.settled().await;
    inner.cells.remove(cell.slot);
    let (dir, segments) = {
        let log = cell.log.borrow();
        (log.dir.clone(), log.segments.clone())
    };
    for segment in &segments {
        retention::forget(inner, cell, segment.base);
    }
    inner.count(|stats| stats.segments_deleted += segments.len() as u64);
    remove_dirs(inner.files.root(), &dir).await
}

/// Removes a log's directory, and its topic's when it was the last one in it.
async fn remove_dirs(root: &Path, dir: &str) -> Result<(), StoreError> {
    let path = root.join(dir);
    let failed = |path: &Path, source| StoreError::Io {
        what: "cannot delete",
        path: path.display().to_string(),
        source,
    };
    match engine::file::remove_dir_all(&path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&path, error)),
        _ => {}
    }
    let Some(parent) = path.parent().filter(|parent| *parent != root) else { return Ok(()) };
    let empty = engine::file::read_dir(parent).await.is_ok_and(|entries| entries.is_empty());
    if empty {
        match engine::file::remove_dir_all(parent).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(parent, error));
            }
            _ => {}
        }
    }
    Ok(())
}

impl LogCell {
    /// Waits until nothing that touches the log's files is in flight. The caller has made sure that nothing new begins.
    pub(crate) async fn settled(&self) {
        while self.writing.get() || self.making_room.borrow().is_some() || self.log.borrow().cutting
        {
            engine::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}

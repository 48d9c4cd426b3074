//! The files of one shard's journal: the one being written, those still needed, those ready ahead, and free ones.
//!
//! ```text
//!   pre-written ---> ready ---> live (last = being written) ---> free ---> ready (renamed)
//! ```
//!
//! A file is ready once it stands under its journal name, with the directory synced, so that changing over to it costs
//! nothing. Pre-writing it makes a later durable write one data write and one flush; a file that grows, or has
//! unwritten extents, costs a file system journal commit each time (1.7 to 2.3 times slower, measured).
//!
//! Holds always: live + ready + free bytes <= `bytes_max`, unless a start found more and has not deleted it yet; live
//! and ready files have consecutive sequences.

use super::entry::JournalConfig;
use super::file_name;
use crate::disk::{self, Pace};
use crate::ids::Lsn;
use crate::limits;
use crate::planted::{self, Bug};
use engine::file::{self, File, OpenOptions};
use engine::sync::Notify;
use engine::task::{self, JoinHandle, Queue};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// How long to wait after a file could not be made (the disk is full) before trying again.
const RETRY: Duration = Duration::from_secs(1);

/// The file being written.
#[derive(Clone)]
pub(super) struct Current {
    /// Its sequence, for the frames' headers.
    pub(super) sequence: u64,
    /// Open without `O_DSYNC`.
    pub(super) plain: File,
    /// Open with `O_DSYNC`.
    pub(super) dsync: File,
    /// Where the next frame goes.
    pub(super) position: u64,
    len: u64,
}

impl Current {
    /// Bytes left in the file.
    pub(super) fn remaining(&self) -> u64 {
        self.len - self.position
    }
}

struct LiveFile {
    path: PathBuf,
    len: u64,
    first_lsn: Lsn,
}

struct FreeFile {
    path: PathBuf,
    len: u64,
}

struct Ready {
    path: PathBuf,
    current: Current,
}

/// All files of one shard's journal.
pub(super) struct FilePool {
    config: JournalConfig,
    live: RefCell<VecDeque<LiveFile>>,
    ready: RefCell<VecDeque<Ready>>,
    free: RefCell<VecDeque<FreeFile>>,
    doomed: RefCell<Vec<PathBuf>>,
    current: RefCell<Option<Current>>,
    next_sequence: Cell<u64>,
    /// The task that keeps files ready.
    keeper: Cell<Option<JoinHandle<()>>>,
    stopping: Cell<bool>,
    starved: Cell<bool>,
    work: Notify,
    /// Something became ready, or free: whoever waits for a file or for room looks again.
    pub(super) changed: Notify,
}

impl FilePool {
    /// Opens the pool and makes the first file ready: a free one left by the last generation, or a small new one.
    pub(super) async fn open(config: JournalConfig) -> io::Result<Rc<FilePool>> {
        let pool = Rc::new(FilePool {
            live: RefCell::default(),
            ready: RefCell::default(),
            free: RefCell::default(),
            doomed: RefCell::default(),
            current: RefCell::new(None),
            next_sequence: Cell::new(1),
            keeper: Cell::new(None),
            stopping: Cell::new(false),
            starved: Cell::new(false),
            work: Notify::new(),
            changed: Notify::new(),
            config,
        });
        pool.adopt_free_files().await?;
        if !pool.prepare_free_file().await? {
            let bytes = pool.config.file_bytes.min(limits::JOURNAL_FIRST_FILE_BYTES);
            pool.prepare_new_file(bytes).await?;
        }
        pool.keeper.set(Some(task::spawn(Queue::Background, pool.clone().keep_ahead())));
        Ok(pool)
    }

    /// Takes over the free files this shard was given; what does not fit is deleted.
    async fn adopt_free_files(&self) -> io::Result<()> {
        let mut used = 0;
        for entry in file::read_dir(&self.config.dir).await? {
            let shard = entry.name.to_str().and_then(file_name::parse_free);
            if shard != Some(self.config.shard) {
                continue;
            }
            let path = self.config.dir.join(&entry.name);
            let fits = used + entry.len <= self.config.bytes_max;
            if entry.len == self.config.file_bytes && fits {
                used += entry.len;
                self.free.borrow_mut().push_back(FreeFile { path, len: entry.len });
            } else {
                file::remove_file(&path).await?;
            }
        }
        Ok(())
    }

    /// The file to write the next `bytes` to; waits for one to become ready. `leave` is run on the file that is left
    /// behind, before its successor is used.
    pub(super) async fn place(
        &self,
        bytes: u64,
        first_lsn: Lsn,
        leave: impl AsyncFnOnce(&File),
    ) -> Current {
        let current = self.current.borrow().clone();
        if let Some(current) = current {
            if current.position + bytes <= current.len {
                return current;
            }
            leave(&current.plain).await;
        }
        loop {
            let changed = self.changed.notified();
            let ready = self.ready.borrow_mut().pop_front();
            if let Some(Ready { path, current }) = ready {
                assert!(
                    bytes <= current.len || bytes <= self.config.file_bytes,
                    "a frame fits a file"
                );
                self.live.borrow_mut().push_back(LiveFile { path, len: current.len, first_lsn });
                *self.current.borrow_mut() = Some(current.clone());
                self.work.notify_one();
                if bytes <= current.len {
                    return current;
                }
                // The first file may be smaller than the largest frame: it is passed over.
                continue;
            }
            changed.await;
        }
    }

    /// Whether `bytes` can be written without waiting for a file.
    pub(super) fn can_place(&self, bytes: u64) -> bool {
        let fits = |current: &Current| bytes <= current.remaining();
        self.current.borrow().as_ref().is_some_and(fits)
            || self.ready.borrow().front().is_some_and(|ready| fits(&ready.current))
    }

    /// The file being written, once there is one.
    pub(super) fn current(&self) -> Option<Current> {
        self.current.borrow().clone()
    }

    /// `bytes` were written at the current file's position.
    pub(super) fn on_written(&self, bytes: u64) {
        if let Some(current) = self.current.borrow_mut().as_mut() {
            current.position += bytes;
        }
    }

    /// Bytes of live files that are taken: whole files but the one being written.
    fn live_bytes(&self) -> u64 {
        let live = self.live.borrow();
        let position = self.current.borrow().as_ref().map_or(0, |current| current.position);
        let behind: u64 = live.iter().rev().skip(1).map(|file| file.len).sum();
        behind + position
    }

    /// Most bytes live files can have together: the budget, or what there is while the disk gives no more.
    fn capacity(&self) -> u64 {
        if !self.starved.get() {
            return self.config.bytes_max;
        }
        let live: u64 = self.live.borrow().iter().map(|file| file.len).sum();
        let ready: u64 = self.ready.borrow().iter().map(|file| file.current.len).sum();
        let free: u64 = self.free.borrow().iter().map(|file| file.len).sum();
        live + ready + free
    }

    /// 0..1: how much of the budget holds data that no checkpoint has passed.
    pub(super) fn fill(&self) -> f64 {
        self.live_bytes() as f64 / self.capacity().max(1) as f64
    }

    /// Whether `bytes` more can be promised a place. One file's worth is kept back, for what the ends of files waste and
    /// for entries that must not wait (`reserve`).
    pub(super) fn has_room(&self, bytes: u64, reserve: bool) -> bool {
        let kept = if reserve { 0 } else { self.config.file_bytes };
        self.live_bytes() + bytes + kept <= self.capacity()
    }

    /// The LSN of the first entry in the oldest live file.
    pub(super) fn oldest_live(&self) -> Option<Lsn> {
        self.live.borrow().front().map(|file| file.first_lsn)
    }

    /// A checkpoint holds everything below `lsn`: files that end there become free.
    pub(super) fn recycle_before(&self, lsn: Lsn) {
        let mut live = self.live.borrow_mut();
        let mut freed = false;
        while live.get(1).is_some_and(|second| second.first_lsn <= lsn) {
            let Some(file) = live.pop_front() else { break };
            freed = true;
            if file.len == self.config.file_bytes {
                self.free.borrow_mut().push_back(FreeFile { path: file.path, len: file.len });
            } else {
                self.doomed.borrow_mut().push(file.path);
            }
        }
        drop(live);
        if freed {
            self.work.notify_one();
            self.changed.notify_all();
        }
    }

    /// Ends the task that keeps files ready, and waits until it does nothing more in the directory: the next opening's
    /// recovery takes away what it finds there.
    pub(super) async fn stop(&self) {
        self.stopping.set(true);
        self.work.notify_all();
        self.changed.notify_all();
        if let Some(keeper) = self.keeper.take() {
            keeper.await;
        }
    }

    async fn keep_ahead(self: Rc<FilePool>) {
        while !self.stopping.get() {
            let work = self.work.notified();
            match self.advance().await {
                Ok(true) => self.starved.set(false),
                Ok(false) => work.await,
                Err(_) if self.stopping.get() => break,
                Err(error) if !is_shortage(&error) => self.fail(&error),
                Err(error) => {
                    // What is there goes on being recycled, and entries are slowed by it.
                    if !self.starved.replace(true) {
                        tracing::warn!(shard = self.config.shard, %error,
                            "cannot make another journal file; going on with those there are");
                    }
                    let _ = engine::time::timeout(RETRY, work).await;
                }
            }
        }
    }

    /// One step of housekeeping; false when there is nothing to do.
    async fn advance(&self) -> io::Result<bool> {
        let doomed = self.doomed.borrow_mut().pop();
        if let Some(path) = doomed {
            disk::remove_if_there(&path).await?;
            return Ok(true);
        }
        if self.ready.borrow().len() >= limits::JOURNAL_FILES_AHEAD {
            return Ok(false);
        }
        if self.prepare_free_file().await? {
            return Ok(true);
        }
        let live: u64 = self.live.borrow().iter().map(|file| file.len).sum();
        let ready: u64 = self.ready.borrow().iter().map(|file| file.current.len).sum();
        if live + ready + self.config.file_bytes > self.config.bytes_max {
            return Ok(false);
        }
        self.prepare_new_file(self.config.file_bytes).await?;
        Ok(true)
    }

    /// A device that fails to make a file is not asked again: after a failed sync of the directory the next would succeed,
    /// and the file could be gone after a power cut, with what was acknowledged in it.
    fn fail(&self, error: &io::Error) -> ! {
        engine::exit_now(
            limits::EXIT_STORAGE,
            &format!(
                "HDL-ST-003: failed to make another journal file in {}: {error}. What was acknowledged is in the journal and \
                 will be replayed. Check the device and its file system (dmesg), then start again.",
                self.config.dir.display()
            ),
        )
    }

    async fn prepare_free_file(&self) -> io::Result<bool> {
        let Some(free) = self.free.borrow_mut().pop_front() else { return Ok(false) };
        self.make_ready(free).await?;
        Ok(true)
    }

    async fn prepare_new_file(&self, bytes: u64) -> io::Result<()> {
        let path = self.config.dir.join(file_name::fresh(self.config.shard));
        let pace = || match (self.stopping.get(), self.ready.borrow().is_empty()) {
            (true, _) => Pace::NoLonger,
            (false, true) => Pace::Urgent,
            (false, false) => Pace::Ahead,
        };
        if let Err(error) = disk::write_zeros(&path, bytes, pace).await {
            // What it has of a full disk's last space is better left to those who need less.
            let _ = disk::remove_if_there(&path).await;
            return Err(error);
        }
        self.make_ready(FreeFile { path, len: bytes }).await
    }

    /// Gives a pre-written file the next journal name. If that fails, the file is kept under the name that it has.
    async fn make_ready(&self, mut free: FreeFile) -> io::Result<()> {
        let made = self.rename_and_open(&mut free.path).await;
        let len = free.len;
        match made {
            Ok((sequence, plain, dsync)) => {
                self.next_sequence.set(sequence + 1);
                let current = Current { sequence, plain, dsync, position: 0, len };
                self.ready.borrow_mut().push_back(Ready { path: free.path, current });
                self.changed.notify_all();
                Ok(())
            }
            Err(error) => {
                // The small first file is none that is used again.
                if len == self.config.file_bytes {
                    self.free.borrow_mut().push_front(free);
                } else {
                    self.doomed.borrow_mut().push(free.path);
                }
                Err(error)
            }
        }
    }

    /// Its sequence, and the file opened without and with `O_DSYNC`.
    async fn rename_and_open(&self, name: &mut PathBuf) -> io::Result<(u64, File, File)> {
        let JournalConfig { dir, generation, shard, .. } = &self.config;
        let sequence = self.next_sequence.get();
        let path = dir.join(file_name::live(*generation, *shard, sequence));
        if *name != path {
            file::rename(&*name, &path).await?;
            name.clone_from(&path);
        }
        if !planted::is(Bug::MissDirectorySync) {
            file::sync_dir(dir).await?;
        }
        let plain = File::open(&path, OpenOptions::new().read().write().direct()).await?;
        let dsync = File::open(&path, OpenOptions::new().write().direct().dsync()).await?;
        Ok((sequence, plain, dsync))
    }
}

/// Whether something is short that may come back: space on the disk, memory, descriptors.
fn is_shortage(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    disk::is_full(error)
        || error.kind() == io::ErrorKind::OutOfMemory
        || matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

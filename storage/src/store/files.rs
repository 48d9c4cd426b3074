//! The open segment files of one shard: a bounded number, the longest unused closed first.
//!
//! Ten thousand idle logs hold no handle. A file is opened by its first write or cold read, and again if it was closed
//! in between. An operation in flight keeps its own handle, so that closing or deleting never takes it away.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ahash::AHashMap;
use engine::file::{File, OpenOptions};

use crate::ids::Offset;
use crate::log::segment::batches_file_name;

/// A segment of a log on this shard, as it is between two cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentKey {
    /// The log's number on this shard, never used again.
    pub slot: u32,
    /// How often the log had been cut back. What is known of its files from before a cut, or is still on its way from
    /// there, must not meet what comes under the same names after it.
    pub cuts: u32,
    /// The segment's first offset.
    pub base: Offset,
}

struct Open {
    file: File,
    used: u64,
}

/// The open files.
pub struct Files {
    root: PathBuf,
    direct: bool,
    max: usize,
    state: RefCell<State>,
}

struct State {
    open: AHashMap<SegmentKey, Open>,
    clock: u64,
}

impl Files {
    /// Files below `root` (the directory of all topics), at most `max` open at a time.
    pub fn new(root: PathBuf, direct: bool, max: usize) -> Files {
        let open = AHashMap::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4));
        Files { root, direct, max, state: RefCell::new(State { open, clock: 0 }) }
    }

    /// Where the files of a log are.
    pub fn dir(&self, log_dir: &str) -> PathBuf {
        self.root.join(log_dir)
    }

    /// The directory of all topics.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a segment's batches.
    pub fn path(&self, log_dir: &str, base: Offset) -> PathBuf {
        self.root.join(log_dir).join(batches_file_name(base))
    }

    /// The file of a segment that exists.
    pub async fn get(&self, key: SegmentKey, log_dir: &Rc<str>) -> io::Result<File> {
        if let Some(file) = self.cached(key) {
            return Ok(file);
        }
        let file = File::open(&self.path(log_dir, key.base), self.options()).await?;
        self.keep(key, file.clone());
        Ok(file)
    }

    /// The file of a new segment; an empty leftover of an attempt that failed halfway is taken over.
    pub async fn create(&self, key: SegmentKey, log_dir: &Rc<str>) -> io::Result<File> {
        let options = self.options().create();
        let file = File::open(&self.path(log_dir, key.base), options).await?;
        self.keep(key, file.clone());
        Ok(file)
    }

    /// Closes a file once the operations on it are done.
    pub fn forget(&self, key: SegmentKey) {
        self.state.borrow_mut().open.remove(&key);
    }

    /// Number of files held open.
    pub fn open(&self) -> usize {
        self.state.borrow().open.len()
    }

    fn options(&self) -> OpenOptions {
        let options = OpenOptions::new().read().write();
        if self.direct { options.direct() } else { options }
    }

    fn cached(&self, key: SegmentKey) -> Option<File> {
        let mut state = self.state.borrow_mut();
        state.clock += 1;
        let now = state.clock;
        let open = state.open.get_mut(&key)?;
        open.used = now;
        Some(open.file.clone())
    }

    fn keep(&self, key: SegmentKey, file: File) {
        let mut state = self.state.borrow_mut();
        state.clock += 1;
        let used = state.clock;
        state.open.insert(key, Open { file, used });
        if state.open.len() > self.max {
            // One pass closes an eighth, so that the scan is paid once in many openings.
            let mut ages: Vec<u64> = state.open.values().map(|open| open.used).collect();
            ages.sort_unstable();
            let limit = ages[ages.len() / 8];
            state.open.retain(|_, open| open.used > limit);
        }
    }
}

//! What operations do when their time has come.

use std::path::PathBuf;
use std::rc::Rc;

use super::disk::{DiskState, Errno, Mode, NodeId};
use super::file::Opened;
use super::shared::Shared;
use super::trace::digest;
use crate::buffer::{Block, Slice};
use crate::file::DirEntry;

/// An operation and what it owns.
pub(super) enum Action {
    Open {
        shared: Rc<Shared>,
        path: PathBuf,
        mode: Mode,
    },
    Read {
        node: NodeId,
        mode: Mode,
        position: u64,
        block: Block,
        from: usize,
        to: usize,
    },
    Write {
        node: NodeId,
        mode: Mode,
        position: u64,
        data: Vec<Slice>,
    },
    Sync {
        node: NodeId,
        before: u64,
    },
    Allocate {
        node: NodeId,
        mode: Mode,
        position: u64,
        len: u64,
    },
    SetLen {
        node: NodeId,
        mode: Mode,
        len: u64,
    },
    Len {
        node: NodeId,
    },
    Unlink {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    CreateDirs {
        path: PathBuf,
    },
    RemoveDirs {
        path: PathBuf,
    },
    SyncDir {
        path: PathBuf,
        before: u64,
    },
    SyncFs {
        path: PathBuf,
        before: u64,
    },
    ReadDir {
        path: PathBuf,
    },
    ReadAll {
        path: PathBuf,
    },
    Exists {
        path: PathBuf,
    },
    FreeBytes {
        path: PathBuf,
    },
    Lock {
        shared: Rc<Shared>,
        path: PathBuf,
    },
    /// A blocking job; not an operation of the disk.
    Job(Box<dyn FnOnce()>),
}

/// What an operation gives.
pub(super) enum Answer {
    Number(u64),
    Opened(Opened),
    Entries(Vec<DirEntry>),
    Bytes(Vec<u8>),
    Space(u64, u64),
}

/// An operation's result, and the memory it was lent.
pub(super) struct Output {
    pub result: Result<Answer, Errno>,
    pub block: Option<Block>,
}

impl Output {
    /// What tells it from other results.
    pub fn number(&self) -> u64 {
        match &self.result {
            Ok(Answer::Number(n)) => *n,
            Ok(Answer::Opened(opened)) => u64::from(opened.node()),
            Ok(Answer::Entries(entries)) => entries.len() as u64,
            Ok(Answer::Bytes(bytes)) => digest(bytes),
            Ok(Answer::Space(free, _)) => *free,
            Err(errno) => u64::MAX - *errno as u64,
        }
    }

    pub fn line(&self) -> String {
        match &self.result {
            Ok(_) => self.number().to_string(),
            Err(errno) => std::io::Error::from_raw_os_error(*errno).to_string(),
        }
    }
}

/// Microseconds.
const US: u64 = 1_000;

fn number(result: Result<u64, Errno>) -> Result<Answer, Errno> {
    result.map(Answer::Number)
}

fn nothing(result: Result<(), Errno>) -> Result<Answer, Errno> {
    result.map(|()| Answer::Number(0))
}

fn len_of(data: &[Slice]) -> u64 {
    data.iter().map(|slice| slice.len() as u64).sum()
}

/// The bytes of `data` in one piece.
fn joined(data: &[Slice]) -> std::borrow::Cow<'_, [u8]> {
    match data {
        [one] => (&**one).into(),
        many => {
            let mut bytes = Vec::with_capacity(len_of(many) as usize);
            many.iter().for_each(|slice| bytes.extend_from_slice(slice));
            bytes.into()
        }
    }
}

impl Action {
    pub fn is_disk(&self) -> bool {
        !matches!(self, Action::Job(_))
    }

    /// Bytes that travel.
    pub fn bytes(&self) -> u64 {
        match self {
            Action::Read { from, to, .. } => (to - from) as u64,
            Action::Write { data, .. } => len_of(data),
            _ => 0,
        }
    }

    /// How long it usually takes: from, to.
    pub fn latency_ns(&self) -> (u64, u64) {
        match self {
            Action::Len { .. } | Action::Exists { .. } | Action::FreeBytes { .. } => (US, 20 * US),
            Action::Job(_) => (5 * US, 300 * US),
            Action::Open { .. } | Action::ReadDir { .. } => (3 * US, 100 * US),
            _ => (10 * US, 500 * US),
        }
    }

    /// Syncs cover what has completed by now.
    pub fn on_submission(&mut self, disk: &DiskState) {
        if let Action::Sync { before, .. }
        | Action::SyncDir { before, .. }
        | Action::SyncFs { before, .. } = self
        {
            *before = disk.order();
        }
    }

    /// Three numbers that tell it from others.
    pub fn numbers(&self) -> [u64; 3] {
        let path = |path: &PathBuf| digest(path.as_os_str().as_encoded_bytes());
        match self {
            Action::Open { path: p, .. } => [1, path(p), 0],
            Action::Read { node, position, from, to, .. } => {
                [2 | u64::from(*node) << 8, *position, (to - from) as u64]
            }
            Action::Write { node, position, data, .. } => {
                let bytes = data.iter().fold(0, |sum: u64, s| sum.rotate_left(7) ^ digest(s));
                [3 | u64::from(*node) << 8, *position, bytes]
            }
            Action::Sync { node, before } => [4, u64::from(*node), *before],
            Action::Allocate { node, position, len, .. } => {
                [5 | u64::from(*node) << 8, *position, *len]
            }
            Action::SetLen { node, len, .. } => [6, u64::from(*node), *len],
            Action::Len { node } => [7, u64::from(*node), 0],
            Action::Unlink { path: p } => [8, path(p), 0],
            Action::Rename { from, to } => [9, path(from), path(to)],
            Action::CreateDirs { path: p } => [10, path(p), 0],
            Action::RemoveDirs { path: p } => [11, path(p), 0],
            Action::SyncDir { path: p, before } => [12, path(p), *before],
            Action::SyncFs { path: p, before } => [13, path(p), *before],
            Action::ReadDir { path: p } => [14, path(p), 0],
            Action::ReadAll { path: p } => [15, path(p), 0],
            Action::Exists { path: p } => [16, path(p), 0],
            Action::FreeBytes { path: p } => [17, path(p), 0],
            Action::Lock { path: p, .. } => [18, path(p), 0],
            Action::Job(_) => [19, 0, 0],
        }
    }

    pub fn line(&self, disk: &DiskState) -> String {
        let of = |node: &NodeId| disk.path_of(*node).display().to_string();
        match self {
            Action::Open { path, .. } => format!("open {}", path.display()),
            Action::Read { node, position, from, to, .. } => {
                format!("read {} {position}+{}", of(node), to - from)
            }
            Action::Write { node, mode, position, data } => {
                let dsync = if mode.dsync { "dsync " } else { "" };
                format!("{dsync}write {} {position}+{}", of(node), len_of(data))
            }
            Action::Sync { node, before } => format!("sync {} below {before}", of(node)),
            Action::Allocate { node, position, len, .. } => {
                format!("allocate {} {position}+{len}", of(node))
            }
            Action::SetLen { node, len, .. } => format!("set_len {} {len}", of(node)),
            Action::Len { node } => format!("len {}", of(node)),
            Action::Unlink { path } => format!("unlink {}", path.display()),
            Action::Rename { from, to } => format!("rename {} {}", from.display(), to.display()),
            Action::CreateDirs { path } => format!("create_dir_all {}", path.display()),
            Action::RemoveDirs { path } => format!("remove_dir_all {}", path.display()),
            Action::SyncDir { path, before } => {
                format!("sync_dir {} below {before}", path.display())
            }
            Action::SyncFs { before, .. } => format!("syncfs below {before}"),
            Action::ReadDir { path } => format!("read_dir {}", path.display()),
            Action::ReadAll { path } => format!("read {}", path.display()),
            Action::Exists { path } => format!("exists {}", path.display()),
            Action::FreeBytes { .. } => "free_bytes".to_owned(),
            Action::Lock { path, .. } => format!("lock {}", path.display()),
            Action::Job(_) => "blocking job".to_owned(),
        }
    }

    /// Does it.
    pub fn perform(self, shared: &Shared) -> Output {
        let mut block = None;
        let result = match self {
            Action::Job(job) => {
                job();
                Ok(Answer::Number(0))
            }
            Action::Read { node, mode, position, block: mut into, from, to } => {
                let mut disk = shared.disk.borrow_mut();
                let out = &mut into[from..to];
                // At the end of a file there is nothing to read, and the kernel says so before it looks at alignment.
                let behind = disk.len(node).is_ok_and(|len| position >= len);
                let refused = !behind && disk.check_direct(mode, position, out.len() as u64, true);
                let read = match (mode.read, refused) {
                    (false, _) => Err(libc::EBADF),
                    (true, true) => Err(libc::EINVAL),
                    (true, false) => disk.read(node, position, out),
                };
                block = Some(into);
                number(read)
            }
            other => other.perform_on(shared, &mut shared.disk.borrow_mut()),
        };
        Output { result, block }
    }

    fn perform_on(self, shared: &Shared, disk: &mut DiskState) -> Result<Answer, Errno> {
        match self {
            Action::Open { shared, path, mode } => {
                let node = disk.open(&path, mode)?;
                Ok(Answer::Opened(Opened::new(shared, node, mode)))
            }
            Action::Write { node, mode, position, data } => {
                let aligned = data.iter().all(Slice::is_direct);
                if !mode.write {
                    return Err(libc::EBADF);
                }
                if disk.check_direct(mode, position, len_of(&data), aligned) {
                    return Err(libc::EINVAL);
                }
                let bytes = joined(&data);
                number(disk.write(node, position, &bytes, mode.dsync, &shared.faults))
            }
            Action::Sync { .. } | Action::SyncFs { .. } if shared.sync_failed.get() => {
                Err(libc::EIO)
            }
            Action::Sync { node, before } => nothing(disk.sync(node, before, &shared.faults)),
            Action::Allocate { mode, .. } if !mode.write => Err(libc::EBADF),
            Action::SetLen { mode, .. } if !mode.write => Err(libc::EINVAL),
            Action::Allocate { node, position, len, .. } => {
                nothing(disk.allocate(node, position, len))
            }
            Action::SetLen { node, len, .. } => nothing(disk.set_len(node, len)),
            Action::Len { node } => number(disk.len(node)),
            Action::Unlink { path } => nothing(disk.unlink(&path)),
            Action::Rename { from, to } => nothing(disk.rename(&from, &to)),
            Action::CreateDirs { path } => nothing(disk.create_dirs(&path)),
            Action::RemoveDirs { path } => nothing(disk.remove_dirs(&path, &mut { u64::MAX })),
            Action::SyncDir { path, before } => nothing(disk.sync_dir(&path, before)),
            Action::SyncFs { path, before } => {
                disk.find(&path)?;
                let synced = disk.sync_all(before, &shared.faults);
                shared.sync_failed.set(synced.is_err());
                nothing(synced)
            }
            Action::ReadDir { path } => disk.read_dir(&path).map(Answer::Entries),
            Action::ReadAll { path } => {
                let node = disk.find(&path)?;
                let mut bytes = vec![0; disk.len(node)? as usize];
                disk.read(node, 0, &mut bytes)?;
                Ok(Answer::Bytes(bytes))
            }
            Action::Exists { path } => match disk.find(&path) {
                Ok(_) => Ok(Answer::Number(1)),
                Err(libc::ENOENT) => Ok(Answer::Number(0)),
                Err(errno) => Err(errno),
            },
            Action::FreeBytes { path } => {
                disk.find(&path)?;
                let (free, all) = disk.free_bytes();
                Ok(Answer::Space(free, all))
            }
            Action::Lock { shared, path } => {
                let (node, mode) = disk.lock(&path)?;
                Ok(Answer::Opened(Opened::locked(shared, node, mode)))
            }
            Action::Read { .. } | Action::Job(_) => unreachable!("performed above"),
        }
    }

    /// The process has ended while this was in flight: it is done in whole, in part or not at all.
    pub fn settle(self, shared: &Shared) {
        let dice = &shared.faults;
        match (self, dice.below(3)) {
            (Action::Write { node, mode, position, data }, _) => {
                let mut disk = shared.disk.borrow_mut();
                let aligned = data.iter().all(Slice::is_direct);
                if mode.write && !disk.check_direct(mode, position, len_of(&data), aligned) {
                    disk.settle_write(node, position, &joined(&data), mode.dsync, dice);
                }
            }
            (Action::RemoveDirs { path }, 0) => {
                let _ = shared.disk.borrow_mut().remove_dirs(&path, &mut dice.below(8));
            }
            (Action::Read { .. } | Action::Job(_), _) | (_, 0) => {}
            (Action::Open { path, mode, .. }, _) => shared.disk.borrow_mut().touch(&path, mode),
            (Action::Lock { path, .. }, _) => shared.disk.borrow_mut().touch(&path, Mode::LOCK),
            (action, _) => drop(action.perform(shared)),
        }
    }
}

//! Files and directories of the simulated disk, as the facade asks for them.

use std::io;
use std::path::Path;
use std::rc::Rc;

use super::action::{Action, Answer, Output};
use super::disk::{Mode, NodeId};
use super::here;
use super::operation::Io;
use super::shared::Shared;
use crate::buffer::{Block, Slice};
use crate::file::DirEntry;

/// A handle on a node of the disk; closes it when it is dropped.
pub(crate) struct Opened {
    shared: Rc<Shared>,
    /// The process it belongs to.
    epoch: u32,
    node: NodeId,
    mode: Mode,
    locked: bool,
}

impl Opened {
    pub(super) fn new(shared: Rc<Shared>, node: NodeId, mode: Mode) -> Opened {
        let epoch = shared.epoch();
        Opened { shared, epoch, node, mode, locked: false }
    }

    pub(super) fn locked(shared: Rc<Shared>, node: NodeId, mode: Mode) -> Opened {
        let mut opened = Opened::new(shared, node, mode);
        opened.locked = true;
        opened
    }

    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    async fn run(&self, action: Action) -> Output {
        assert_eq!(self.epoch, self.shared.epoch(), "a file is used by the process that opened it");
        self.shared.submit(action).await
    }

    async fn count(&self, action: Action) -> io::Result<usize> {
        number(self.run(action).await).map(|n| n as usize)
    }

    /// Reads into `from..to` of the block.
    pub(crate) async fn read(
        &self,
        position: u64,
        block: Block,
        from: usize,
        to: usize,
    ) -> (io::Result<usize>, Block) {
        let (node, mode) = (self.node, self.mode);
        let output = self.run(Action::Read { node, mode, position, block, from, to }).await;
        let (result, block) = (output.result, output.block);
        let block = block.expect("a read gives its block back");
        (number(Output { result, block: None }).map(|n| n as usize), block)
    }

    /// Writes `data`, or on a full disk a part of it.
    pub(crate) async fn write(&self, position: u64, data: Vec<Slice>) -> io::Result<usize> {
        let (node, mode) = (self.node, self.mode);
        self.count(Action::Write { node, mode, position, data }).await
    }

    pub(crate) async fn sync(&self) -> io::Result<()> {
        self.count(Action::Sync { node: self.node, before: 0 }).await.map(drop)
    }

    pub(crate) async fn allocate(&self, position: u64, len: u64) -> io::Result<()> {
        let (node, mode) = (self.node, self.mode);
        self.count(Action::Allocate { node, mode, position, len }).await.map(drop)
    }

    pub(crate) async fn set_len(&self, len: u64) -> io::Result<()> {
        let (node, mode) = (self.node, self.mode);
        self.count(Action::SetLen { node, mode, len }).await.map(drop)
    }

    pub(crate) async fn len(&self) -> io::Result<u64> {
        number(self.run(Action::Len { node: self.node }).await)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let shared = &self.shared;
        if shared.is_running() && !shared.is_dead() && shared.epoch() == self.epoch {
            // While the simulator itself panics, its message matters more than this handle.
            let Ok(mut disk) = shared.disk.try_borrow_mut() else { return };
            if self.locked {
                disk.unlock(self.node);
            }
            disk.close(self.node);
        }
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opened({})", self.node)
    }
}

fn number(output: Output) -> io::Result<u64> {
    match output.result {
        Ok(Answer::Number(n)) => Ok(n),
        Ok(_) => unreachable!("the operation gives a number"),
        Err(errno) => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// The world's disk, on a thread that runs a simulated process.
#[derive(Clone)]
pub(crate) struct FileSystem {
    shared: Rc<Shared>,
}

/// What stands in for the host's file system, on a thread that runs a simulated process.
pub(crate) fn file_system() -> Option<FileSystem> {
    here::running().map(|shared| FileSystem { shared })
}

impl FileSystem {
    fn start(&self, action: Action) -> Io {
        self.shared.submit(action)
    }

    async fn answer(&self, action: Action) -> io::Result<Answer> {
        self.start(action).await.result.map_err(io::Error::from_raw_os_error)
    }

    async fn nothing(&self, action: Action) -> io::Result<()> {
        self.answer(action).await.map(drop)
    }

    /// Opens with the flags of open(2).
    pub(crate) async fn open(&self, path: &Path, flags: i32) -> io::Result<Opened> {
        let is = |flag: i32| flags & flag == flag;
        let access = flags & libc::O_ACCMODE;
        let mode = Mode {
            read: access != libc::O_WRONLY,
            write: access != libc::O_RDONLY,
            create: is(libc::O_CREAT),
            exclusive: is(libc::O_EXCL),
            truncate: is(libc::O_TRUNC),
            direct: is(libc::O_DIRECT),
            dsync: is(libc::O_DSYNC),
        };
        let (shared, path) = (self.shared.clone(), path.to_owned());
        match self.answer(Action::Open { shared, path, mode }).await? {
            Answer::Opened(opened) => Ok(opened),
            _ => unreachable!("an open gives a handle"),
        }
    }

    /// Locks a file, which is created if need be.
    pub(crate) async fn lock(&self, path: &Path) -> io::Result<Opened> {
        let (shared, path) = (self.shared.clone(), path.to_owned());
        match self.answer(Action::Lock { shared, path }).await? {
            Answer::Opened(opened) => Ok(opened),
            _ => unreachable!("a lock gives a handle"),
        }
    }

    pub(crate) async fn unlink(&self, path: &Path) -> io::Result<()> {
        self.nothing(Action::Unlink { path: path.to_owned() }).await
    }

    pub(crate) async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.nothing(Action::Rename { from: from.to_owned(), to: to.to_owned() }).await
    }

    pub(crate) async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.nothing(Action::CreateDirs { path: path.to_owned() }).await
    }

    pub(crate) async fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.nothing(Action::RemoveDirs { path: path.to_owned() }).await
    }

    pub(crate) async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.nothing(Action::SyncDir { path: path.to_owned(), before: 0 }).await
    }

    pub(crate) async fn syncfs(&self, path: &Path) -> io::Result<()> {
        self.nothing(Action::SyncFs { path: path.to_owned(), before: 0 }).await
    }

    pub(crate) async fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        match self.answer(Action::ReadDir { path: path.to_owned() }).await? {
            Answer::Entries(entries) => Ok(entries),
            _ => unreachable!("a directory has entries"),
        }
    }

    /// All bytes of a file.
    pub(crate) async fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.answer(Action::ReadAll { path: path.to_owned() }).await? {
            Answer::Bytes(bytes) => Ok(bytes),
            _ => unreachable!("a file has bytes"),
        }
    }

    pub(crate) async fn exists(&self, path: &Path) -> io::Result<bool> {
        let output = self.start(Action::Exists { path: path.to_owned() }).await;
        number(output).map(|n| n == 1)
    }

    /// What it says of itself.
    pub(crate) async fn describe(&self, path: &Path) -> io::Result<crate::file::FileSystem> {
        self.free_bytes(path).await?;
        Ok(crate::file::FileSystem {
            kind: "sim".to_owned(),
            device: "/dev/sim0".to_owned(),
            device_id: 1,
            supports_direct: true,
        })
    }

    /// Bytes free and in all.
    pub(crate) async fn free_bytes(&self, path: &Path) -> io::Result<(u64, u64)> {
        match self.answer(Action::FreeBytes { path: path.to_owned() }).await? {
            Answer::Space(free, all) => Ok((free, all)),
            _ => unreachable!("a disk has space"),
        }
    }
}

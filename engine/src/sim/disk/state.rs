//! The disk's files, and what operations do to them; directories are in `tree`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use super::content::Content;
use super::counters::DiskCounters;
use super::faults::Faults;
use super::image::{PAGE, Piece, pieces_of};
use super::names::{Names, NodeId};
use crate::sim::dice::Dice;

/// An error as the system call numbers it.
pub(in crate::sim) type Errno = i32;

/// Direct I/O comes in units of the device's blocks, in the file and in memory.
const DIRECT_ALIGN: u64 = 4096;

/// The root directory.
pub(super) const ROOT: NodeId = 1;

pub(super) enum Kind {
    File(Box<Content>),
    Dir(Names),
}

pub(super) struct Node {
    pub parent: NodeId,
    pub name: OsString,
    /// It has a name that can be looked up.
    pub linked: bool,
    /// Handles of the process.
    pub opens: u32,
    pub kind: Kind,
}

/// How a file was opened.
#[derive(Clone, Copy)]
pub(in crate::sim) struct Mode {
    pub read: bool,
    pub write: bool,
    pub create: bool,
    pub exclusive: bool,
    pub truncate: bool,
    pub direct: bool,
    pub dsync: bool,
}

impl Mode {
    /// How a lock opens its file.
    pub const LOCK: Mode = Mode {
        read: false,
        write: true,
        create: true,
        exclusive: false,
        truncate: false,
        direct: false,
        dsync: false,
    };
}

pub(in crate::sim) struct DiskState {
    pub(super) nodes: BTreeMap<NodeId, Node>,
    pub(super) next: NodeId,
    /// Bytes.
    pub(super) capacity: u64,
    /// Blocks.
    pub(super) used: u64,
    /// Changes completed so far.
    order: u64,
    /// Renames from one directory to another: their order and both directories.
    pub(super) moves: Vec<(u64, NodeId, NodeId)>,
    pub(super) counters: DiskCounters,
    pub(super) faults: Faults,
    /// Files locked by the process.
    pub(super) locks: BTreeSet<NodeId>,
}

impl DiskState {
    pub fn new(capacity: u64) -> DiskState {
        let kind = Kind::Dir(Names::default());
        let root = Node { parent: ROOT, name: OsString::new(), linked: true, opens: 0, kind };
        DiskState {
            nodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
            capacity,
            used: 0,
            order: 0,
            moves: Vec::new(),
            counters: DiskCounters::default(),
            faults: Faults::default(),
            locks: BTreeSet::new(),
        }
    }

    /// The order that the next change will have: a sync submitted now covers those below it.
    pub fn order(&self) -> u64 {
        self.order
    }

    pub(super) fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order - 1
    }

    pub(super) fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("a node stays as long as something names it")
    }

    pub(super) fn content(&mut self, id: NodeId) -> Result<&mut Content, Errno> {
        match &mut self.node(id).kind {
            Kind::File(content) => Ok(content),
            Kind::Dir(_) => Err(libc::EISDIR),
        }
    }

    pub(super) fn names(&mut self, id: NodeId) -> Result<&mut Names, Errno> {
        match &mut self.node(id).kind {
            Kind::Dir(names) => Ok(names),
            Kind::File(_) => Err(libc::ENOTDIR),
        }
    }

    pub fn open(&mut self, path: &Path, mode: Mode) -> Result<NodeId, Errno> {
        let id = match self.find(path) {
            Ok(_) if mode.create && mode.exclusive => return Err(libc::EEXIST),
            Ok(id) => id,
            Err(libc::ENOENT) if mode.create => {
                let (parent, name) = self.find_parent(path)?;
                self.create(parent, name, Kind::File(Box::default()))?
            }
            Err(errno) => return Err(errno),
        };
        if matches!(self.node(id).kind, Kind::Dir(_)) && (mode.write || mode.create) {
            return Err(libc::EISDIR);
        }
        if mode.truncate && self.content(id)?.live.len > 0 {
            self.set_len(id, 0)?;
        }
        self.node(id).opens += 1;
        Ok(id)
    }

    /// An open whose handle nobody gets: what it creates or empties stays so.
    pub fn touch(&mut self, path: &Path, mode: Mode) {
        if let Ok(id) = self.open(path, mode) {
            self.close(id);
        }
    }

    pub fn close(&mut self, id: NodeId) {
        self.node(id).opens -= 1;
        self.free_if_unused(id);
    }

    pub fn read(&mut self, id: NodeId, position: u64, out: &mut [u8]) -> Result<u64, Errno> {
        let content = self.content(id)?;
        let len = content.live.len.saturating_sub(position).min(out.len() as u64);
        let bad = content.is_bad(position, len);
        let out = &mut out[..len as usize];
        content.live.read(position, out);
        self.counters.reads += 1;
        self.counters.bytes_read += len;
        if bad {
            self.counters.read_errors += 1;
            return Err(libc::EIO);
        }
        Ok(len)
    }

    /// Whether direct I/O of `len` bytes at `position` is refused.
    pub fn check_direct(&mut self, mode: Mode, position: u64, len: u64, memory: bool) -> bool {
        let aligned = position.is_multiple_of(DIRECT_ALIGN) && len.is_multiple_of(DIRECT_ALIGN);
        let refused = mode.direct && !(aligned && memory);
        self.counters.unaligned += u64::from(refused);
        refused
    }

    /// A write that has come to its end; what was written, which is less than `data` only on a full disk.
    pub fn write(
        &mut self,
        id: NodeId,
        position: u64,
        data: &[u8],
        dsync: bool,
        dice: &Dice,
    ) -> Result<u64, Errno> {
        self.counters.writes += 1;
        self.counters.bytes_written += data.len() as u64;
        self.counters.dsync_writes += u64::from(dsync);
        let order = self.next_order();
        if self.write_fails(id) {
            self.counters.write_errors += 1;
            self.content(id)?.fail_write(order, &pieces_of(position, data), dice);
            return Err(libc::EIO);
        }
        let fits = self.take_space(id, position, data.len() as u64)?;
        if fits == 0 && !data.is_empty() {
            return Err(libc::ENOSPC);
        }
        let pieces = pieces_of(position, &data[..fits as usize]);
        let content = self.content(id)?;
        if dsync {
            content.write_durable(&pieces);
        } else {
            content.write(order, pieces);
        }
        Ok(fits)
    }

    pub(super) fn write_fails(&mut self, id: NodeId) -> bool {
        if self.faults.is_empty() {
            return false;
        }
        let path = self.path_of(id);
        self.faults.write_fails(&path)
    }

    pub(super) fn sync_fails(&mut self, id: NodeId) -> bool {
        if self.faults.is_empty() {
            return false;
        }
        let path = self.path_of(id);
        self.faults.sync_fails(&path)
    }

    pub(super) fn free_blocks(&self) -> u64 {
        (self.capacity / PAGE).saturating_sub(self.used)
    }

    /// Space for a write; how many bytes of it have some.
    pub(super) fn take_space(&mut self, id: NodeId, position: u64, len: u64) -> Result<u64, Errno> {
        let free = self.free_blocks();
        let content = self.content(id)?;
        let fits = content.space.fitting(position, len, free);
        let taken = content.space.add(position, fits);
        self.used += taken;
        self.counters.no_space += u64::from(fits < len);
        Ok(fits)
    }

    pub fn allocate(&mut self, id: NodeId, position: u64, len: u64) -> Result<(), Errno> {
        self.counters.resizes += 1;
        let (free, order) = (self.free_blocks(), self.next_order());
        if len == 0 {
            return Err(libc::EINVAL);
        }
        if self.content(id)?.space.missing(position, len) > free {
            self.counters.no_space += 1;
            return Err(libc::ENOSPC);
        }
        self.used += self.content(id)?.reserve(order, position, len);
        Ok(())
    }

    pub fn set_len(&mut self, id: NodeId, len: u64) -> Result<(), Errno> {
        self.counters.resizes += 1;
        let order = self.next_order();
        let content = self.content(id)?;
        let before = content.space.count();
        content.set_len(order, len);
        self.used -= before - content.space.count();
        Ok(())
    }

    pub fn len(&mut self, id: NodeId) -> Result<u64, Errno> {
        match &self.node(id).kind {
            Kind::File(content) => Ok(content.live.len),
            Kind::Dir(_) => Ok(PAGE),
        }
    }

    /// Syncs a file, or a directory that was opened.
    pub fn sync(&mut self, id: NodeId, before: u64, dice: &Dice) -> Result<(), Errno> {
        if let Kind::Dir(_) = self.node(id).kind {
            return self.sync_names(id, before);
        }
        self.counters.syncs += 1;
        if self.sync_fails(id) {
            self.counters.sync_errors += 1;
            self.content(id)?.fail_sync(before, dice);
            return Err(libc::EIO);
        }
        self.content(id)?.sync(before);
        Ok(())
    }

    pub fn sync_all(&mut self, before: u64, dice: &Dice) -> Result<(), Errno> {
        self.counters.fs_syncs += 1;
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        let mut failed = false;
        for id in ids {
            let dirty = match &self.nodes[&id].kind {
                Kind::File(content) => !content.is_durable(),
                Kind::Dir(names) => names.pending().next().is_some(),
            };
            let fails = dirty && self.sync_fails(id);
            failed |= fails;
            match &mut self.node(id).kind {
                Kind::File(content) if fails => content.fail_sync(before, dice),
                Kind::File(content) => content.sync(before),
                Kind::Dir(_) if fails => {}
                Kind::Dir(names) => drop(names.sync(before)),
            }
        }
        self.sync_other_ends();
        self.sweep();
        if failed {
            self.counters.sync_errors += 1;
            return Err(libc::EIO);
        }
        Ok(())
    }

    /// Changes a file from outside.
    pub(super) fn damage(&mut self, id: NodeId, pieces: &[Piece]) {
        if let Ok(content) = self.content(id) {
            let before = content.space.count();
            content.damage(pieces);
            let taken = content.space.count() - before;
            self.used += taken;
        }
    }

    pub fn note_cancelled(&mut self) {
        self.counters.cancelled += 1;
    }

    /// Locks a file, which is created if need be.
    pub fn lock(&mut self, path: &Path) -> Result<(NodeId, Mode), Errno> {
        let mode = Mode::LOCK;
        let id = self.open(path, mode)?;
        if !self.locks.insert(id) {
            self.close(id);
            return Err(libc::EWOULDBLOCK);
        }
        Ok((id, mode))
    }

    pub fn unlock(&mut self, id: NodeId) {
        self.locks.remove(&id);
    }

    /// Bytes free and in all.
    pub fn free_bytes(&self) -> (u64, u64) {
        (self.free_blocks() * PAGE, self.capacity)
    }
}

//! The disk's files and directories, and what operations do to them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::content::{Content, Cut, Fate};
use super::counters::DiskCounters;
use super::faults::Faults;
use super::image::{PAGE, Piece, pieces_of};
use super::names::{Names, NodeId};
use crate::file::DirEntry;
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
    parent: NodeId,
    name: OsString,
    /// It has a name that can be looked up.
    linked: bool,
    /// Handles of the process.
    opens: u32,
    pub kind: Kind,
}

impl Node {
    pub fn is_linked(&self) -> bool {
        self.linked
    }
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
    next: NodeId,
    /// Bytes.
    pub(super) capacity: u64,
    /// Blocks.
    pub(super) used: u64,
    /// Changes completed so far.
    order: u64,
    /// Renames from one directory to another: their order and both directories.
    moves: Vec<(u64, NodeId, NodeId)>,
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

    fn next_order(&mut self) -> u64 {
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

    fn names(&mut self, id: NodeId) -> Result<&mut Names, Errno> {
        match &mut self.node(id).kind {
            Kind::Dir(names) => Ok(names),
            Kind::File(_) => Err(libc::ENOTDIR),
        }
    }

    /// The path under which a node was known last.
    pub fn path_of(&self, id: NodeId) -> PathBuf {
        let mut names = Vec::new();
        let mut at = id;
        while let Some(node) = self.nodes.get(&at).filter(|_| at != ROOT) {
            names.push(&node.name);
            at = node.parent;
        }
        let mut path = PathBuf::from("/");
        path.extend(names.into_iter().rev());
        path
    }

    /// What stands under a path. Relative paths start at the root.
    pub fn find(&mut self, path: &Path) -> Result<NodeId, Errno> {
        let mut at = ROOT;
        for part in path.components() {
            match part {
                Component::Normal(name) => {
                    at = *self.names(at)?.live.get(name).ok_or(libc::ENOENT)?;
                }
                Component::ParentDir => at = self.node(at).parent,
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        Ok(at)
    }

    fn find_parent(&mut self, path: &Path) -> Result<(NodeId, OsString), Errno> {
        let name = path.file_name().ok_or(libc::EINVAL)?.to_owned();
        let parent = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.names(parent)?;
        Ok((parent, name))
    }

    fn create(&mut self, parent: NodeId, name: OsString, kind: Kind) -> Result<NodeId, Errno> {
        let id = self.next;
        self.next += 1;
        self.counters.creates += 1;
        let order = self.next_order();
        self.names(parent)?.add(order, name.clone(), id);
        self.nodes.insert(id, Node { parent, name, linked: true, opens: 0, kind });
        Ok(id)
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

    /// Gives back the space of a file that has neither name nor handle. Its content stays while a power
    /// cut could bring the name back.
    fn free_if_unused(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id) else { return };
        if let Kind::File(content) = &node.kind
            && !node.linked
            && node.opens == 0
        {
            self.used -= content.space.count();
            if !self.is_reachable(id) {
                self.nodes.remove(&id);
            }
        }
    }

    fn is_reachable(&self, id: NodeId) -> bool {
        self.nodes.values().any(|node| match &node.kind {
            Kind::Dir(names) => names.reachable().any(|other| other == id),
            Kind::File(_) => false,
        })
    }

    /// Forgets nodes that nothing can bring back.
    fn sweep(&mut self) {
        let mut reachable = BTreeSet::from([ROOT]);
        let mut open = vec![ROOT];
        while let Some(id) = open.pop() {
            if let Some(Node { kind: Kind::Dir(names), .. }) = self.nodes.get(&id) {
                open.extend(names.reachable().filter(|id| reachable.insert(*id)));
            }
        }
        self.nodes.retain(|id, node| node.opens > 0 || reachable.contains(id));
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

    fn write_fails(&mut self, id: NodeId) -> bool {
        if self.faults.is_empty() {
            return false;
        }
        let path = self.path_of(id);
        self.faults.write_fails(&path)
    }

    fn sync_fails(&mut self, id: NodeId) -> bool {
        if self.faults.is_empty() {
            return false;
        }
        let path = self.path_of(id);
        self.faults.sync_fails(&path)
    }

    fn free_blocks(&self) -> u64 {
        (self.capacity / PAGE).saturating_sub(self.used)
    }

    /// Space for a write; how many bytes of it have some.
    fn take_space(&mut self, id: NodeId, position: u64, len: u64) -> Result<u64, Errno> {
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

    pub fn sync_dir(&mut self, path: &Path, before: u64) -> Result<(), Errno> {
        let id = self.find(path)?;
        self.sync_names(id, before)
    }

    fn sync_names(&mut self, id: NodeId, before: u64) -> Result<(), Errno> {
        self.names(id)?;
        self.counters.dir_syncs += 1;
        if self.sync_fails(id) {
            self.counters.sync_errors += 1;
            return Err(libc::EIO);
        }
        if self.names(id)?.sync(before) > 0 {
            self.sync_other_ends();
            self.sweep();
        }
        Ok(())
    }

    /// A rename between two directories is durable in both or in none.
    fn sync_other_ends(&mut self) {
        loop {
            let mut changed = false;
            for (order, from, to) in self.moves.clone() {
                let waits = |id| match self.nodes.get(&id).map(|node| &node.kind) {
                    Some(Kind::Dir(names)) => Some(names.pending().any(|o| o == order)),
                    _ => None,
                };
                let late = match (waits(from), waits(to)) {
                    (Some(true), Some(false)) => from,
                    (Some(false), Some(true)) => to,
                    _ => continue,
                };
                changed |= self.names(late).is_ok_and(|names| names.sync(order + 1) > 0);
            }
            if !changed {
                break;
            }
        }
        let nodes = &self.nodes;
        self.moves.retain(|(order, from, _)| match nodes.get(from).map(|node| &node.kind) {
            Some(Kind::Dir(names)) => names.pending().any(|o| o == *order),
            _ => false,
        });
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

    pub fn unlink(&mut self, path: &Path) -> Result<(), Errno> {
        let (parent, name) = self.find_parent(path)?;
        let id = self.find(path)?;
        self.content(id)?;
        self.remove_name(parent, name, id);
        Ok(())
    }

    fn remove_name(&mut self, parent: NodeId, name: OsString, id: NodeId) {
        self.counters.removes += 1;
        let order = self.next_order();
        if let Ok(names) = self.names(parent) {
            names.remove(order, name);
        }
        self.node(id).linked = false;
        self.free_if_unused(id);
    }

    /// `id` is `above` or stands somewhere below it.
    fn is_within(&self, mut id: NodeId, above: NodeId) -> bool {
        while id != above && id != ROOT {
            id = self.nodes[&id].parent;
        }
        id == above
    }

    pub fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Errno> {
        let (from_dir, from_name) = self.find_parent(from)?;
        let (to_dir, to_name) = self.find_parent(to)?;
        let id = self.find(from)?;
        let replaced = self.names(to_dir)?.live.get(&to_name).copied();
        if self.is_within(to_dir, id) {
            return Err(libc::EINVAL);
        }
        if replaced.is_some_and(|old| self.is_within(from_dir, old)) {
            return Err(libc::ENOTEMPTY);
        }
        if replaced == Some(id) {
            return Ok(());
        }
        if let Some(old) = replaced {
            match (&self.nodes[&id].kind, &self.nodes[&old].kind) {
                (Kind::File(_), Kind::File(_)) => {}
                (Kind::File(_), Kind::Dir(_)) => return Err(libc::EISDIR),
                (Kind::Dir(_), Kind::File(_)) => return Err(libc::ENOTDIR),
                (Kind::Dir(_), Kind::Dir(names)) if names.live.is_empty() => {}
                (Kind::Dir(_), Kind::Dir(_)) => return Err(libc::ENOTEMPTY),
            }
        }
        self.counters.renames += 1;
        let order = self.next_order();
        if from_dir == to_dir {
            self.names(to_dir)?.rename(order, from_name, to_name.clone(), id);
        } else {
            self.names(from_dir)?.remove(order, from_name);
            self.names(to_dir)?.add(order, to_name.clone(), id);
            self.moves.push((order, from_dir, to_dir));
        }
        let node = self.node(id);
        (node.parent, node.name) = (to_dir, to_name);
        if let Some(old) = replaced {
            self.node(old).linked = false;
            self.free_if_unused(old);
        }
        Ok(())
    }

    pub fn create_dirs(&mut self, path: &Path) -> Result<(), Errno> {
        let mut at = ROOT;
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            at = match self.names(at)?.live.get(name) {
                Some(id) => *id,
                None => self.create(at, name.to_owned(), Kind::Dir(Names::default()))?,
            };
        }
        self.names(at).map_err(|_| libc::EEXIST)?;
        Ok(())
    }

    /// Removes a directory and what is in it, children first; `budget` is how many names it gets to.
    pub fn remove_dirs(&mut self, path: &Path, budget: &mut u64) -> Result<(), Errno> {
        let (parent, name) = self.find_parent(path)?;
        let id = self.find(path)?;
        let children: Vec<(OsString, NodeId)> =
            self.names(id)?.live.iter().map(|(name, id)| (name.clone(), *id)).collect();
        for (child, child_id) in children {
            if matches!(self.node(child_id).kind, Kind::Dir(_)) {
                self.remove_dirs(&path.join(&child), budget)?;
            } else if *budget > 0 {
                *budget -= 1;
                self.remove_name(id, child, child_id);
            }
        }
        if *budget > 0 {
            *budget -= 1;
            self.remove_name(parent, name, id);
        }
        Ok(())
    }

    pub fn read_dir(&mut self, path: &Path) -> Result<Vec<DirEntry>, Errno> {
        let id = self.find(path)?;
        let names: Vec<(OsString, NodeId)> =
            self.names(id)?.live.iter().map(|(name, id)| (name.clone(), *id)).collect();
        let entry = |(name, id): (OsString, NodeId)| match &self.nodes[&id].kind {
            Kind::File(content) => DirEntry { name, is_dir: false, len: content.live.len },
            Kind::Dir(_) => DirEntry { name, is_dir: true, len: PAGE },
        };
        Ok(names.into_iter().map(entry).collect())
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

    /// A write that was in flight as its process ended: there in whole, in part or not at all.
    pub fn settle_write(
        &mut self,
        id: NodeId,
        position: u64,
        data: &[u8],
        dsync: bool,
        dice: &Dice,
    ) {
        let in_flight = Cut { dropped: 30, torn: 40 };
        let Ok(fits) = self.take_space(id, position, data.len() as u64) else { return };
        let pieces = pieces_of(position, &data[..fits as usize]);
        let (left, fate) = in_flight.survivors(pieces, dice);
        self.counters.torn_in_flight += u64::from(fate == Fate::Torn);
        if left.is_empty() {
            return;
        }
        let order = self.next_order();
        let durable = dsync && dice.one_in(2);
        if let Ok(content) = self.content(id) {
            if durable {
                content.write_durable(&left);
            } else {
                content.write(order, left);
            }
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

    /// The process is gone: its handles and locks with it. What it wrote is there.
    pub fn end_process(&mut self) {
        self.counters.kills += 1;
        self.locks.clear();
        let open: Vec<NodeId> =
            self.nodes.iter().filter(|(_, n)| n.opens > 0).map(|(id, _)| *id).collect();
        for id in open {
            self.node(id).opens = 0;
            self.free_if_unused(id);
        }
        assert_eq!(self.used, self.counted(), "space is counted once, for what has a name");
    }

    /// Blocks of all files that have a name or a handle.
    fn counted(&self) -> u64 {
        let space = |node: &Node| match &node.kind {
            Kind::File(content) if node.linked || node.opens > 0 => content.space.count(),
            _ => 0,
        };
        self.nodes.values().map(space).sum()
    }

    /// The power goes. Call it after [`DiskState::end_process`].
    pub fn cut_power(&mut self, dice: &Dice) {
        self.counters.power_cuts += 1;
        let cut = Cut::roll(dice);
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in &ids {
            let Some(Node { kind: Kind::Dir(names), .. }) = self.nodes.get_mut(id) else {
                continue;
            };
            let orders: Vec<u64> = names.pending().collect();
            let count = match cut.dropped {
                0 => orders.len(),
                100 => 0,
                _ => dice.below(orders.len() as u64 + 1) as usize,
            };
            if let Some(last) = orders[..count].last() {
                names.sync(*last + 1);
            }
        }
        self.sync_other_ends();
        self.moves.clear();
        for id in &ids {
            match &mut self.nodes.get_mut(id).expect("nothing was removed").kind {
                Kind::Dir(names) => self.counters.names_lost += names.revert() as u64,
                Kind::File(content) => content.cut(cut, dice, &mut self.counters),
            }
        }
        self.name_anew();
    }

    /// Names nodes as the directories do, and forgets those that have no name any more.
    fn name_anew(&mut self) {
        self.nodes.values_mut().for_each(|node| node.linked = false);
        let mut open = vec![ROOT];
        self.node(ROOT).linked = true;
        while let Some(id) = open.pop() {
            let Kind::Dir(names) = &self.node(id).kind else { continue };
            for (name, child) in names.live.clone() {
                let node = self.node(child);
                (node.parent, node.name, node.linked) = (id, name, true);
                open.push(child);
            }
        }
        self.nodes.retain(|_, node| node.linked);
        self.used = self.counted();
    }
}

//! The disk's directories: paths, names, and what becomes of files that lose theirs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::image::PAGE;
use super::names::{Names, NodeId};
use super::state::{DiskState, Errno, Kind, Node, ROOT};
use crate::file::DirEntry;

impl DiskState {
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

    pub(super) fn find_parent(&mut self, path: &Path) -> Result<(NodeId, OsString), Errno> {
        let name = path.file_name().ok_or(libc::EINVAL)?.to_owned();
        let parent = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.names(parent)?;
        Ok((parent, name))
    }

    pub(super) fn create(
        &mut self,
        parent: NodeId,
        name: OsString,
        kind: Kind,
    ) -> Result<NodeId, Errno> {
        let id = self.next;
        self.next += 1;
        self.counters.creates += 1;
        let order = self.next_order();
        self.names(parent)?.add(order, name.clone(), id);
        self.nodes.insert(id, Node { parent, name, linked: true, opens: 0, kind });
        Ok(id)
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

    pub fn unlink(&mut self, path: &Path) -> Result<(), Errno> {
        let (parent, name) = self.find_parent(path)?;
        let id = self.find(path)?;
        self.content(id)?;
        self.remove_name(parent, name, id);
        Ok(())
    }

    pub(super) fn remove_name(&mut self, parent: NodeId, name: OsString, id: NodeId) {
        self.counters.removes += 1;
        let order = self.next_order();
        if let Ok(names) = self.names(parent) {
            names.remove(order, name);
        }
        self.node(id).linked = false;
        self.free_if_unused(id);
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

    /// `id` is `above` or stands somewhere below it.
    pub(super) fn is_within(&self, mut id: NodeId, above: NodeId) -> bool {
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

    pub fn sync_dir(&mut self, path: &Path, before: u64) -> Result<(), Errno> {
        let id = self.find(path)?;
        self.sync_names(id, before)
    }

    pub(super) fn sync_names(&mut self, id: NodeId, before: u64) -> Result<(), Errno> {
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
    pub(super) fn sync_other_ends(&mut self) {
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

    /// Forgets nodes that nothing can bring back.
    pub(super) fn sweep(&mut self) {
        let mut reachable = BTreeSet::from([ROOT]);
        let mut open = vec![ROOT];
        while let Some(id) = open.pop() {
            if let Some(Node { kind: Kind::Dir(names), .. }) = self.nodes.get(&id) {
                open.extend(names.reachable().filter(|id| reachable.insert(*id)));
            }
        }
        self.nodes.retain(|id, node| node.opens > 0 || reachable.contains(id));
    }

    /// Gives back the space of a file that has neither name nor handle. Its content stays while a power
    /// cut could bring the name back.
    pub(super) fn free_if_unused(&mut self, id: NodeId) {
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

    pub(super) fn is_reachable(&self, id: NodeId) -> bool {
        self.nodes.values().any(|node| match &node.kind {
            Kind::Dir(names) => names.reachable().any(|other| other == id),
            Kind::File(_) => false,
        })
    }
}

//! One directory: the names that are there, the names that are durable, and the changes in between.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// Names a file or directory of a disk, for the life of the world.
pub(in crate::sim) type NodeId = u32;

enum NameChange {
    Add(OsString, NodeId),
    Remove(OsString),
    Move(OsString, OsString, NodeId),
}

/// The entries of a directory.
#[derive(Default)]
pub(super) struct Names {
    pub live: BTreeMap<OsString, NodeId>,
    durable: BTreeMap<OsString, NodeId>,
    /// In order of completion.
    pending: Vec<(u64, NameChange)>,
}

impl Names {
    pub fn add(&mut self, order: u64, name: OsString, id: NodeId) {
        self.live.insert(name.clone(), id);
        self.pending.push((order, NameChange::Add(name, id)));
    }

    pub fn remove(&mut self, order: u64, name: OsString) {
        self.live.remove(&name);
        self.pending.push((order, NameChange::Remove(name)));
    }

    pub fn rename(&mut self, order: u64, from: OsString, to: OsString, id: NodeId) {
        self.live.remove(&from);
        self.live.insert(to.clone(), id);
        self.pending.push((order, NameChange::Move(from, to, id)));
    }

    /// Orders of the changes that are not durable, oldest first.
    pub fn pending(&self) -> impl Iterator<Item = u64> + '_ {
        self.pending.iter().map(|(order, _)| *order)
    }

    /// Makes the changes older than `before` durable; how many there were.
    pub fn sync(&mut self, before: u64) -> usize {
        let covered = self.pending.partition_point(|(order, _)| *order < before);
        for (_, change) in self.pending.drain(..covered) {
            match change {
                NameChange::Add(name, id) => drop(self.durable.insert(name, id)),
                NameChange::Remove(name) => drop(self.durable.remove(&name)),
                NameChange::Move(from, to, id) => {
                    self.durable.remove(&from);
                    self.durable.insert(to, id);
                }
            }
        }
        covered
    }

    /// The power goes: what is durable is what there is. How many changes that took back.
    pub fn revert(&mut self) -> usize {
        self.live.clone_from(&self.durable);
        std::mem::take(&mut self.pending).len()
    }

    /// What a power cut could bring back: everything named by what is durable or pending.
    pub fn reachable(&self) -> impl Iterator<Item = NodeId> + '_ {
        let pending = self.pending.iter().filter_map(|(_, change)| match change {
            NameChange::Add(_, id) | NameChange::Move(_, _, id) => Some(*id),
            NameChange::Remove(_) => None,
        });
        self.live.values().chain(self.durable.values()).copied().chain(pending)
    }
}

//! The test's hand on the disk: faults, damage, a look at what is there.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::counters::DiskCounters;
use super::image::{PAGE, pieces_of};
use super::state::Kind;
use crate::sim::end::Crash;
use crate::sim::shared::Shared;

/// The disk of a world. It outlives the processes; clones are the same disk.
#[derive(Clone)]
pub struct Disk {
    shared: Rc<Shared>,
}

impl Disk {
    pub(in crate::sim) fn new(shared: Rc<Shared>) -> Disk {
        Disk { shared }
    }

    /// Ends the process at the `in_ios`-th I/O step from now (1 is the next): a submission, the middle of
    /// a write, or a completion, just before or just after it has its effect. Replaces an earlier order;
    /// holds for one process, or for the next one if none runs.
    pub fn crash_at_io(&self, in_ios: u64, kind: Crash) {
        self.shared.crash_at_io(in_ios.max(1), kind);
    }

    /// The `in_writes`-th write from now (1 is the next) to a file whose path contains this fails once
    /// with EIO. Each of its sectors is then, as the seed says, durable, in the cache only, readable but
    /// never durable unless it is written again, or as it was before.
    pub fn fail_write(&self, in_writes: u64, path_contains: &str) {
        self.shared.disk.borrow_mut().faults.fail_write(in_writes, path_contains);
    }

    /// The `in_syncs`-th sync from now (1 is the next; of the file or directory, or of the file system
    /// while it has changes there) whose path contains this fails once with EIO. Each sector that it was
    /// to make durable fares as with [`Disk::fail_write`]; a directory's changes stay pending.
    pub fn fail_sync(&self, in_syncs: u64, path_contains: &str) {
        self.shared.disk.borrow_mut().faults.fail_sync(in_syncs, path_contains);
    }

    /// Takes back every [`Disk::fail_write`], [`Disk::fail_sync`] and [`Disk::crash_at_io`] that has not
    /// struck.
    pub fn clear_faults(&self) {
        self.shared.disk.borrow_mut().faults.clear();
        self.shared.disarm_crash();
    }

    /// Makes a few sectors, within a page that holds something other than zeros, of a file whose path
    /// contains this fail with EIO when they are read, until they are written again. False if there is no
    /// such page.
    pub fn latent_read_error(&self, path_contains: &str) -> bool {
        let files = self.matching(path_contains);
        let mut disk = self.shared.disk.borrow_mut();
        let dice = &self.shared.faults;
        let first = dice.below(files.len() as u64) as usize;
        let turned = files[first..].iter().chain(&files[..first]);
        for (path, _) in turned {
            let spoiled = disk.find(path).and_then(|id| Ok(disk.content(id)?.spoil(dice)));
            if spoiled == Ok(true) {
                return true;
            }
        }
        false
    }

    /// How much fits, in bytes of whole 4 KiB blocks. Less than is used lets nothing grow.
    pub fn set_capacity(&self, bytes: u64) {
        self.shared.disk.borrow_mut().capacity = bytes;
    }

    /// Bytes of the blocks that files have.
    pub fn used(&self) -> u64 {
        self.shared.disk.borrow().used * PAGE
    }

    /// Every operation takes `factor` times as long, for a while from now.
    pub fn slow(&self, factor: u32, for_: Duration) {
        self.shared.slow(factor, for_);
    }

    /// Every file with its length, by path, as it can be read now.
    pub fn list(&self) -> Vec<(PathBuf, u64)> {
        self.matching("")
    }

    fn matching(&self, path_contains: &str) -> Vec<(PathBuf, u64)> {
        let disk = self.shared.disk.borrow();
        let mut files: Vec<(PathBuf, u64)> = disk
            .nodes
            .iter()
            .filter(|(_, node)| node.linked)
            .filter_map(|(id, node)| match &node.kind {
                Kind::File(content) => Some((disk.path_of(*id), content.live.len)),
                Kind::Dir(_) => None,
            })
            .filter(|(path, _)| path.to_string_lossy().contains(path_contains))
            .collect();
        files.sort();
        files
    }

    /// A file's bytes as they can be read now, with no regard to errors that reads would meet.
    pub fn read(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let mut disk = self.shared.disk.borrow_mut();
        let id = disk.find(path.as_ref()).ok()?;
        let content = disk.content(id).ok()?;
        let mut bytes = vec![0; content.live.len as usize];
        content.live.read(0, &mut bytes);
        Some(bytes)
    }

    /// Damage: changes a file's bytes, at once and durably.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn write(&self, path: impl AsRef<Path>, position: u64, bytes: &[u8]) {
        let mut disk = self.shared.disk.borrow_mut();
        let path = path.as_ref();
        let Ok(id) = disk.find(path) else { panic!("{} is not on the disk", path.display()) };
        disk.damage(id, &pieces_of(position, bytes));
    }

    /// What the disk has done and suffered so far.
    pub fn counters(&self) -> DiskCounters {
        self.shared.disk.borrow().counters
    }
}

//! Faults that were ordered and have not happened yet.

use std::path::Path;

/// One failure to come.
struct Armed {
    /// Matching operations until then, this one included.
    left: u64,
    path_contains: String,
}

/// Failures to come, of writes and of syncs.
#[derive(Default)]
pub(super) struct Faults {
    writes: Vec<Armed>,
    syncs: Vec<Armed>,
}

impl Faults {
    pub fn fail_write(&mut self, in_writes: u64, path_contains: &str) {
        self.writes.push(Armed::new(in_writes, path_contains));
    }

    pub fn fail_sync(&mut self, in_syncs: u64, path_contains: &str) {
        self.syncs.push(Armed::new(in_syncs, path_contains));
    }

    /// Whether this write is one that fails.
    pub fn write_fails(&mut self, path: &Path) -> bool {
        strike(&mut self.writes, path)
    }

    /// Whether this sync is one that fails.
    pub fn sync_fails(&mut self, path: &Path) -> bool {
        strike(&mut self.syncs, path)
    }

    /// Nothing is to fail.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.syncs.is_empty()
    }

    /// Nothing fails any more.
    pub fn clear(&mut self) {
        self.writes.clear();
        self.syncs.clear();
    }
}

impl Armed {
    fn new(left: u64, path_contains: &str) -> Armed {
        Armed { left: left.max(1), path_contains: path_contains.to_owned() }
    }
}

fn strike(armed: &mut Vec<Armed>, path: &Path) -> bool {
    let path = path.to_string_lossy();
    let mut fails = false;
    armed.retain_mut(|fault| {
        if path.contains(&fault.path_contains) {
            fault.left -= 1;
            fails |= fault.left == 0;
        }
        fault.left > 0
    });
    fails
}

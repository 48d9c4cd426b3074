//! Gives the space of large files back in steps.
//!
//! A file system gives all blocks of a file back in one transaction, and where it is mounted with `discard` it tells the
//! device of each. Flushes wait for that: 0.1 s for 1.5 GB (docs/decisions/0005-where-speed-stands.md). So a large file
//! loses its name at once, which is all that a crash may find, and is then cut off from its end through a descriptor
//! that is still open.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::shard::block_all_signals;

/// Cut off at once. Smaller files are not worth it.
const STEP_BYTES: u64 = 4 << 20;

/// Between two steps: 1 GB/s at the most.
const REST: Duration = Duration::from_millis(4);

/// Reads that were under way when the file lost its name may end before it is cut.
const READS_END_WITHIN: Duration = Duration::from_secs(1);

/// Bytes and files that may wait. Beyond that, files are given back as a whole: space matters more then.
const WAITING_BYTES_MAX: u64 = 4 << 30;
const WAITING_FILES_MAX: usize = 64;

static WAITING_BYTES: AtomicU64 = AtomicU64::new(0);

struct Nameless {
    file: File,
    bytes: u64,
    since: Instant,
}

/// A file that is worth giving back in steps, held open while its name is taken away.
pub(super) struct Held {
    file: File,
    bytes: u64,
}

/// Opens a file if it is a large one.
fn hold(path: &Path) -> Option<Held> {
    let large =
        fs::symlink_metadata(path).ok().filter(|of| of.is_file() && of.len() > STEP_BYTES)?;
    let file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(path).ok()?;
    Some(Held { file, bytes: large.len() })
}

/// Removes a file and gives its space back in steps.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    let held = hold(path);
    fs::remove_file(path)?;
    held.into_iter().for_each(give_back);
    Ok(())
}

/// Removes a directory with everything in it, and gives the space of its large files back in steps.
pub(super) fn remove_dir_all(path: &Path) -> io::Result<()> {
    let mut held = Vec::new();
    hold_below(path, &mut held);
    let removed = fs::remove_dir_all(path);
    held.into_iter().for_each(give_back);
    removed
}

fn hold_below(path: &Path, held: &mut Vec<Held>) {
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if held.len() >= WAITING_FILES_MAX {
            return;
        }
        if is_dir {
            hold_below(&entry.path(), held);
        } else {
            held.extend(hold(&entry.path()));
        }
    }
}

fn give_back(Held { file, bytes }: Held) {
    // Whatever still has a name somewhere is not ours to cut.
    if file.metadata().map_or(1, |of| of.nlink()) > 0 {
        return;
    }
    if WAITING_BYTES.fetch_add(bytes, Ordering::Relaxed) + bytes > WAITING_BYTES_MAX
        || queue().is_none_or(|queue| {
            let since = Instant::now();
            queue.try_send(Nameless { file, bytes, since }).is_err()
        })
    {
        WAITING_BYTES.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The thread's queue; `None` if there could be no thread.
fn queue() -> Option<&'static Sender<Nameless>> {
    static QUEUE: OnceLock<Option<Sender<Nameless>>> = OnceLock::new();
    let start = || {
        let (sender, receiver) = bounded(WAITING_FILES_MAX);
        let name = "give-back".to_owned();
        let begun = thread::Builder::new().name(name).spawn(move || cut_all(&receiver));
        begun.ok().map(|_| sender)
    };
    QUEUE.get_or_init(start).as_ref()
}

fn cut_all(receiver: &Receiver<Nameless>) {
    block_all_signals();
    for Nameless { file, bytes, since } in receiver {
        thread::sleep(READS_END_WITHIN.saturating_sub(since.elapsed()));
        let mut left = bytes;
        while left > 0 {
            left = left.saturating_sub(STEP_BYTES);
            if file.set_len(left).is_err() {
                break;
            }
            thread::sleep(REST);
        }
        WAITING_BYTES.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_without_a_name_are_cut() {
        let dir = tempfile::tempdir().expect("a directory");
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        File::create(&one).and_then(|file| file.set_len(3 * STEP_BYTES)).expect("it is made");
        fs::hard_link(&one, &other).expect("a second name");
        let watched = File::open(&one).expect("it is there");
        remove_file(&one).expect("it is removed");
        assert!(!one.exists() && WAITING_BYTES.load(Ordering::Relaxed) == 0);
        let below = dir.path().join("below");
        fs::create_dir(&below)
            .and_then(|()| fs::rename(&other, below.join("file")))
            .expect("moved");
        remove_dir_all(&below).expect("it is removed");
        assert!(!below.exists());
        let begun = Instant::now();
        while watched.metadata().expect("it is open").len() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "it is not cut");
            thread::yield_now();
        }
    }
}

//! Exclusive locks between processes.

use std::fs;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::{blocking, check};

/// An exclusive lock on a file, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    /// Holds the lock.
    _file: fs::File,
    path: PathBuf,
}

impl Lock {
    /// The file the lock is on.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Locks the file at `path`, which is created if need be and holds the locker's process id. If another
/// process (or another lock in this one) has it, fails with `WouldBlock`; the message names the holder when
/// that can be found out.
pub async fn lock_exclusive(path: impl AsRef<Path>) -> io::Result<Lock> {
    let path = path.as_ref().to_owned();
    blocking::run(move || {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(false).open(&path)?;
        // SAFETY: the descriptor is open for the length of the call.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(error);
            }
            let holder = match check::lock_holder(&path) {
                Some((pid, name)) => format!("{} is locked by {name} (pid {pid})", path.display()),
                None => format!("{} is locked by another process", path.display()),
            };
            return Err(io::Error::new(io::ErrorKind::WouldBlock, holder));
        }
        // The id is for people; `lock_holder` asks the kernel. It is written over the last one, at a fixed width,
        // because on a full disk the block that a truncation gives up could not be had again.
        if let Err(error) = file.write_all(format!("{:<10}\n", std::process::id()).as_bytes()) {
            tracing::warn!(%error, path = %path.display(), "the lock is held, but not signed");
        }
        Ok(Lock { _file: file, path })
    })
    .await
}

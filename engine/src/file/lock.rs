//! Exclusive locks between processes.

use std::fs;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

#[cfg(feature = "sim")]
use crate::sim;
use crate::{blocking, check};

/// An exclusive lock on a file, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    /// Holds the lock.
    _holder: Holder,
    path: PathBuf,
}

#[derive(Debug)]
#[expect(dead_code, reason = "owned for as long as the lock is held")]
enum Holder {
    File(fs::File),
    #[cfg(feature = "sim")]
    Sim(sim::Opened),
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
    #[cfg(feature = "sim")]
    if let Some(system) = sim::file_system() {
        let held = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                let holder = format!("{} is locked by another process", path.display());
                io::Error::new(io::ErrorKind::WouldBlock, holder)
            }
            _ => error,
        };
        let opened = system.lock(&path).await.map_err(held)?;
        return Ok(Lock { _holder: Holder::Sim(opened), path });
    }
    let name = path.clone();
    let file = blocking::run(move || {
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
        Ok(file)
    })
    .await?;
    Ok(Lock { _holder: Holder::File(file), path: name })
}

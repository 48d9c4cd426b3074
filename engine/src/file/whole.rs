//! Whole files, by name.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::handle::{c_path, check};
use super::sync_failure;
#[cfg(feature = "sim")]
use crate::sim;
use crate::{blocking, uring};

/// All bytes of a file.
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    #[cfg(feature = "sim")]
    if let Some(system) = sim::file_system() {
        return system.read(path.as_ref()).await;
    }
    let path = path.as_ref().to_owned();
    blocking::run(move || fs::read(path)).await
}

/// Replaces a file's contents so that a crash leaves either the old or the new ones: writes a temporary
/// file beside it (`<name>.tmp`), syncs it, renames it and syncs the directory.
pub async fn write_durably(path: impl AsRef<Path>, bytes: Vec<u8>) -> io::Result<()> {
    #[cfg(feature = "sim")]
    if sim::file_system().is_some() {
        return write_in_steps(path.as_ref(), bytes).await;
    }
    let path = path.as_ref().to_owned();
    blocking::run(move || {
        let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        let mut file = fs::File::create(&temporary)?;
        file.write_all(&bytes)?;
        sync_failure::unless_before(file.sync_all())?;
        fs::rename(&temporary, &path)?;
        fs::File::open(directory_of(&path))?.sync_all()
    })
    .await
}

/// The same on a simulated disk, each step an operation of its own.
#[cfg(feature = "sim")]
async fn write_in_steps(path: &Path, bytes: Vec<u8>) -> io::Result<()> {
    use super::{File, OpenOptions, sync_dir};
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let options = OpenOptions::new().write().create().truncate();
    let file = File::open(&temporary, options).await?;
    file.write_at(0, crate::buffer::Slice::from_vec(bytes)).await?;
    file.sync_all().await?;
    rename(&temporary, path).await?;
    sync_dir(directory_of(path)).await
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Removes a file. The removal is durable after [`super::sync_dir`].
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    #[cfg(feature = "sim")]
    if let Some(system) = sim::file_system() {
        return system.unlink(path.as_ref()).await;
    }
    check(uring::unlink(c_path(path.as_ref())?).await.0).map(drop)
}

/// Renames a file or directory, replacing a file at `to`. Durable after [`super::sync_dir`].
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    #[cfg(feature = "sim")]
    if let Some(system) = sim::file_system() {
        return system.rename(from.as_ref(), to.as_ref()).await;
    }
    check(uring::rename(c_path(from.as_ref())?, c_path(to.as_ref())?).await.0).map(drop)
}

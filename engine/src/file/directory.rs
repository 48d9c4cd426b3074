//! Directories and file systems.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::give_back;
use super::handle::c_path;
use super::sync_failure;
use crate::blocking;
#[cfg(feature = "sim")]
use crate::sim;

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name, without the directory.
    pub name: OsString,
    /// It is a directory.
    pub is_dir: bool,
    /// Its length in bytes, if it is a file.
    pub len: u64,
}

/// The file system a path lies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its type, such as `ext4`.
    pub kind: String,
    /// The device it lies on, such as `/dev/nvme0n1p2`, as the mount table names it.
    pub device: String,
    /// The device's number.
    pub device_id: u64,
    /// Direct I/O works.
    pub supports_direct: bool,
}

async fn with_path<T: Send + 'static>(
    path: impl AsRef<Path>,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let path = path.as_ref().to_owned();
    blocking::run(move || work(&path)).await
}

/// Creates a directory and those above it. Durable after [`sync_dir`] of each parent.
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    #[cfg(feature = "sim")]
    if let Some(system) = sim::file_system() {
        return system.create_dir_all(path.as_ref()).await;
    }
    with_path(path, |path| fs::create_dir_all(path)).await
}

/// Removes a directory with everything in it. The space of large files comes back in steps.
pub async fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    #[cfg(feature = "sim")]
    if let Some(system) = sim::file_system() {
        return system.remove_dir_all(path.as_ref()).await;
    }
    with_path(path, give_back::remove_dir_all).await
}

/// Removes a file; the space of a large one comes back in steps. The removal is durable after [`sync_dir`].
pub async fn remove_large_file(path: impl AsRef<Path>) -> io::Result<()> {
    #[cfg(feature = "sim")]
    if let Some(system) = sim::file_system() {
        return system.unlink(path.as_ref()).await;
    }
    with_path(path, give_back::remove_file).await
}

/// Makes creations, renames and removals in a directory durable.
pub async fn sync_dir(path: impl AsRef<Path>) -> io::Result<()> {
    #[cfg(feature = "sim")]
    if let Some(system) = sim::file_system() {
        return system.sync_dir(path.as_ref()).await;
    }
    with_path(path, |path| fs::File::open(path)?.sync_all()).await
}

/// A directory's entries, by name.
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<Vec<DirEntry>> {
    #[cfg(feature = "sim")]
    if let Some(system) = sim::file_system() {
        return system.read_dir(path.as_ref()).await;
    }
    with_path(path, |path| {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed while we were reading.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let (is_dir, len) = (metadata.is_dir(), metadata.len());
            entries.push(DirEntry { name: entry.file_name(), is_dir, len });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    })
    .await
}

/// Whether something is there under that name.
pub async fn exists(path: impl AsRef<Path>) -> io::Result<bool> {
    #[cfg(feature = "sim")]
    if let Some(system) = sim::file_system() {
        return system.exists(path.as_ref()).await;
    }
    with_path(path, |path| path.try_exists()).await
}

/// Bytes free (to this process) and in all, of the file system `path` lies on.
pub async fn free_bytes(path: impl AsRef<Path>) -> io::Result<(u64, u64)> {
    #[cfg(feature = "sim")]
    if let Some(system) = sim::file_system() {
        return system.free_bytes(path.as_ref()).await;
    }
    with_path(path, |path| {
        let name = c_path(path)?;
        // SAFETY: statvfs is plain integers, for which zero is a value.
        let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: the name is NUL-terminated and `stat` writable, both for the length of the call.
        if unsafe { libc::statvfs(name.as_ptr(), &mut stat) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize))
    })
    .await
}

/// Held for the length of each sync of a file system.
static SYNCING: Mutex<()> = Mutex::new(());

/// Makes everything written to the file system `path` lies on durable, whoever wrote it.
///
/// # Errors
/// When the system cannot, and ever after: it tells of a failure once, whoever asks first, and what it dropped then may
/// have been another shard's. So syncs are made one after the other, and neither they nor syncs of files succeed behind one
/// that failed.
pub async fn syncfs(path: impl AsRef<Path>) -> io::Result<()> {
    #[cfg(feature = "sim")]
    if let Some(system) = sim::file_system() {
        return system.syncfs(path.as_ref()).await;
    }
    with_path(path, |path| {
        let _turn = SYNCING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        sync_failure::unless_before(Ok(()))?;
        let file = fs::File::open(path)?;
        // SAFETY: the descriptor is open for the length of the call.
        if unsafe { libc::syncfs(file.as_raw_fd()) } < 0 {
            let error = io::Error::last_os_error();
            sync_failure::remember();
            return Err(error);
        }
        Ok(())
    })
    .await
}

/// What file system the directory `path` lies on. Tries direct I/O on a file that is there already, so that a full disk
/// can be asked too; in an empty directory on a file of its own, which it removes.
pub async fn file_system(path: impl AsRef<Path>) -> io::Result<FileSystem> {
    #[cfg(feature = "sim")]
    if let Some(system) = sim::file_system() {
        return system.describe(path.as_ref()).await;
    }
    with_path(path, |path| {
        let device_id = fs::metadata(path)?.dev();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let (kind, device) = mount_of(&mounts, &fs::canonicalize(path)?);
        Ok(FileSystem { kind, device, device_id, supports_direct: try_direct(path)? })
    })
    .await
}

fn try_direct(directory: &Path) -> io::Result<bool> {
    let mut direct = fs::OpenOptions::new();
    direct.read(true).custom_flags(libc::O_DIRECT);
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            return is_taken(direct.open(entry.path()));
        }
    }
    try_direct_on_new_file(directory)
}

fn try_direct_on_new_file(directory: &Path) -> io::Result<bool> {
    let name = directory.join(format!(".direct-{:016x}", crate::random::u64()));
    let mut options = fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).custom_flags(libc::O_DIRECT).open(&name);
    // The file is created before the flag is refused.
    match fs::remove_file(&name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    is_taken(opened)
}

/// Whether a file system takes the flag it was asked to open a file with.
fn is_taken(opened: io::Result<fs::File>) -> io::Result<bool> {
    match opened {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Type and device of the mount with the longest mount point that is a prefix of `path`.
fn mount_of(mountinfo: &str, path: &Path) -> (String, String) {
    let mut best: Option<(PathBuf, String, String)> = None;
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let Some(point) = left.split(' ').nth(4) else { continue };
        let mut right = right.split(' ');
        let (Some(kind), Some(device)) = (right.next(), right.next()) else { continue };
        let point = PathBuf::from(point.replace("\\040", " "));
        let longer = best.as_ref().is_none_or(|b| point.as_os_str().len() >= b.0.as_os_str().len());
        if path.starts_with(&point) && longer {
            best = Some((point, kind.to_owned(), device.to_owned()));
        }
    }
    let unknown = || ("unknown".to_owned(), "unknown".to_owned());
    best.map_or_else(unknown, |(_, kind, device)| (kind, device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_point_wins() {
        let table = "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
                     30 22 0:5 / /data\\040two rw shared:1 - xfs /dev/nvme0n1 rw\n\
                     31 22 0:6 / /data rw - btrfs /dev/sdb rw\n";
        let of = |path: &str| mount_of(table, Path::new(path));
        assert_eq!(of("/var/lib"), ("ext4".into(), "/dev/vda".into()));
        assert_eq!(of("/data/x"), ("btrfs".into(), "/dev/sdb".into()));
        assert_eq!(of("/data two/x"), ("xfs".into(), "/dev/nvme0n1".into()));
        assert_eq!(of("/database"), ("ext4".into(), "/dev/vda".into()));
    }
}

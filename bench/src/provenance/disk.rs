//! The file system and the device that hold a directory.

use std::fs;
use std::path::{Path, PathBuf};

use super::machine::first_line;

/// What a directory is mounted from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// `ext4`.
    pub file_system: String,
    /// `/dev/vda1`.
    pub device: String,
    /// `rw,relatime`.
    pub options: String,
}

impl Mount {
    /// That of the longest mount point that `dir` is below. `None` where it does not exist or `/proc` is missing.
    pub fn of(dir: &Path) -> Option<Mount> {
        let dir = fs::canonicalize(dir).ok()?;
        found(&fs::read_to_string("/proc/self/mounts").ok()?, &dir)
    }
}

fn found(mounts: &str, dir: &Path) -> Option<Mount> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (device, point, kind) = (fields.next()?, fields.next()?, fields.next()?);
        let options = fields.next().unwrap_or_default();
        let mount = Mount {
            file_system: kind.to_owned(),
            device: device.to_owned(),
            options: options.to_owned(),
        };
        // The kernel writes spaces in names as octal numbers.
        let point = point.replace("\\040", " ");
        dir.starts_with(&point).then_some((point.len(), mount))
    });
    // Of two mounts on one point the later hides the earlier.
    mounts.max_by_key(|(len, _)| *len).map(|(_, mount)| mount)
}

/// Maker and model of a device, empty where it does not say.
pub fn model(device: &str) -> String {
    let Some(disk) = disk(device) else { return String::new() };
    let parts = ["device/vendor", "device/model"].map(|name| first_line(disk.join(name)));
    let said = parts.into_iter().filter(|part| !part.is_empty() && !part.starts_with("0x"));
    said.collect::<Vec<_>>().join(" ")
}

/// Whether a device flushes its cache, takes forced unit access, whether it turns, and its scheduler, as the kernel says.
pub fn queue(device: &str) -> String {
    let Some(queue) = disk(device).map(|disk| disk.join("queue")) else { return String::new() };
    let of = |what: &str| first_line(queue.join(what));
    format!(
        "write cache: {}, fua: {}, rotational: {}, scheduler: {}",
        of("write_cache"),
        of("fua"),
        of("rotational"),
        of("scheduler")
    )
}

/// The kernel's directory of the disk that a device is, or is a partition of.
fn disk(device: &str) -> Option<PathBuf> {
    // A name below /dev/mapper is a link to the device itself.
    let device = fs::canonicalize(device).ok()?;
    let name = device.file_name()?;
    let directory = fs::canonicalize(Path::new("/sys/class/block").join(name)).ok()?;
    match directory.join("partition").exists() {
        true => directory.parent().map(Path::to_owned),
        false => Some(directory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_on_the_longest_mount_point_above_it() {
        let mounts = "/dev/vda1 / ext4 rw 0 0\ntmpfs /data tmpfs rw 0 0\n/dev/vdb /data/my\\040disk xfs rw,noatime 0 0\n";
        let check = |dir: &str, device: &str| {
            let mount = found(mounts, Path::new(dir)).expect("/ is above all");
            assert_eq!(mount.device, device, "{dir}");
        };
        check("/home", "/dev/vda1");
        check("/database", "/dev/vda1");
        check("/data/x", "tmpfs");
        check("/data/my disk/x", "/dev/vdb");
        let mount = found(mounts, Path::new("/data/my disk")).expect("it is there");
        assert_eq!((mount.file_system.as_str(), mount.options.as_str()), ("xfs", "rw,noatime"));
    }
}

//! What about this host may cost latency or throughput: read-only, at start, one line each.

use std::fs;
use std::path::{Path, PathBuf};

/// A warning about the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostWarning {
    /// What was found.
    pub what: String,
    /// What it costs.
    pub effect: &'static str,
}

/// The file system a directory is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its type, as `ext4`.
    pub kind: String,
    /// What is mounted, as `/dev/nvme0n1p1`.
    pub device: String,
}

/// Looks at the host. What cannot be read is not warned about.
pub fn warnings(data_dir: &Path, registered_bytes: u64) -> Vec<HostWarning> {
    let mut warnings = Vec::new();
    let mut warn = |what: String, effect| warnings.push(HostWarning { what, effect });
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    if !matches!(governor.trim(), "" | "performance") {
        warn(format!("cpu governor is {}", governor.trim()), "higher tail latency");
    }
    let limits = read("/proc/self/limits");
    if let Some(limit) = limit(&limits, "Max locked memory").filter(|&l| l < registered_bytes) {
        let (have, need) = (super::output::bytes(limit), super::output::bytes(registered_bytes));
        warn(
            format!("memlock limit {have} < {need} wanted"),
            "part of the memory is not registered",
        );
    }
    if let Some(limit) = limit(&limits, "Max open files").filter(|&limit| limit < 65_536) {
        warn(format!("open files limit {limit}"), "few connections and partitions can be served");
    }
    if read("/sys/kernel/mm/transparent_hugepage/enabled").contains("[always]") {
        warn("transparent huge pages are always on".into(), "memory use and latency may jump");
    }
    if read("/proc/swaps").lines().count() > 1 {
        warn("swap is on".into(), "a swapped page stalls a shard");
    }
    if let Some(mount) = mount(data_dir) {
        match mount.kind.as_str() {
            "tmpfs" | "ramfs" => warn(format!("data is on {}", mount.kind), "a reboot loses it"),
            "nfs" | "nfs4" | "cifs" | "9p" | "fuse" => {
                warn(
                    format!("data is on {}", mount.kind),
                    "durability is what its server makes of it",
                );
            }
            _ => {}
        }
    }
    warnings
}

/// The file system below a directory.
pub fn mount(dir: &Path) -> Option<Mount> {
    let dir = fs::canonicalize(dir).ok()?;
    find_mount(&fs::read_to_string("/proc/self/mountinfo").ok()?, &dir)
}

/// The mount whose point is the longest that `dir` lies below; the last one mounted there counts.
fn find_mount(mountinfo: &str, dir: &Path) -> Option<Mount> {
    let mut found: Option<(PathBuf, Mount)> = None;
    for line in mountinfo.lines() {
        let (left, right) = line.split_once(" - ")?;
        let point = PathBuf::from(unescape(left.split(' ').nth(4)?));
        let mut right = right.split(' ');
        let mount = Mount { kind: right.next()?.to_owned(), device: unescape(right.next()?) };
        let deeper = found
            .as_ref()
            .is_none_or(|(other, _)| point.components().count() >= other.components().count());
        if dir.starts_with(&point) && deeper {
            found = Some((point, mount));
        }
    }
    found.map(|(_, mount)| mount)
}

/// Mountinfo writes blanks as `\040`.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

/// A soft limit of `/proc/self/limits`; `None` is unlimited.
fn limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find(|line| line.starts_with(name))?;
    line[name.len()..].split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_counts() {
        let mountinfo = "\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
23 22 0:20 / /proc rw - proc proc rw
24 22 8:17 / /var/lib/my\\040data rw shared:1 - xfs /dev/nvme0n1 rw";
        let check = |dir: &str, kind: &str, device: &str| {
            let expected = Mount { kind: kind.into(), device: device.into() };
            assert_eq!(find_mount(mountinfo, Path::new(dir)), Some(expected));
        };
        check("/home/x", "ext4", "/dev/sda1");
        check("/var/lib/my data/topics", "xfs", "/dev/nvme0n1");
        check("/var/lib/my dat", "ext4", "/dev/sda1");
    }

    #[test]
    fn limits_are_read_from_their_column() {
        let limits = "\
Limit                     Soft Limit           Hard Limit           Units
Max open files            1024                 524288               files
Max locked memory         unlimited            unlimited            bytes";
        assert_eq!(limit(limits, "Max open files"), Some(1024));
        assert_eq!(limit(limits, "Max locked memory"), None);
        assert_eq!(limit(limits, "Max nothing"), None);
    }
}

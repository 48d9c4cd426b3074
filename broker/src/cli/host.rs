//! What about this host may cost latency or throughput: read-only, at start, one line each.

use std::fs;

/// A warning about the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostWarning {
    /// What was found.
    pub what: String,
    /// What it costs.
    pub effect: &'static str,
}

/// Looks at the host; `file_system` is the type of the one the data is on. What cannot be read is not warned about.
pub fn warnings(file_system: Option<&str>, registered_bytes: u64) -> Vec<HostWarning> {
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
    match file_system {
        Some(kind @ ("tmpfs" | "ramfs")) => {
            warn(format!("data is on {kind}"), "a reboot loses it");
        }
        Some(kind @ ("nfs" | "nfs4" | "cifs" | "9p" | "fuse")) => {
            warn(format!("data is on {kind}"), "durability is what its server makes of it");
        }
        _ => {}
    }
    warnings
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

//! Kernel, processors, memory, clock, and what a container may use of them. What is not told is empty or 0.

use std::fs;
use std::path::Path;

/// Runnable processes, averaged over the last minute.
pub fn load() -> f64 {
    let text = first_line("/proc/loadavg");
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// The kernel's release.
pub fn kernel() -> String {
    first_line("/proc/sys/kernel/osrelease")
}

/// Maker and product of the machine; of a virtual one at least that it is one.
pub fn product() -> String {
    let dmi = Path::new("/sys/class/dmi/id");
    let parts = ["sys_vendor", "product_name"].map(|name| first_line(dmi.join(name)));
    let mut parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if cpuinfo("flags").split(' ').any(|flag| flag == "hypervisor") {
        parts.push("virtual machine".to_owned());
    }
    parts.join(", ")
}

/// The processor's model.
pub fn processor() -> String {
    cpuinfo("model name")
}

/// Whether cores run two threads: `on`, `off`, `notsupported`.
pub fn smt() -> String {
    first_line("/sys/devices/system/cpu/smt/control")
}

/// Memory nodes.
pub fn numa_nodes() -> usize {
    let Ok(entries) = fs::read_dir("/sys/devices/system/node") else { return 0 };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let nodes = names.filter(|name| {
        let number = name.strip_prefix("node").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    nodes.count()
}

/// The first processor's frequency governor.
pub fn governor() -> String {
    first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
}

/// Memory of the machine.
pub fn memory_bytes() -> u64 {
    let line = first_line("/proc/meminfo");
    let kib = line.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The clock that the kernel reads.
pub fn clock_source() -> String {
    first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource")
}

/// What the control group of this process may use, where it is less than everything.
pub fn limits() -> Vec<String> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(group) = groups.lines().find_map(|line| line.strip_prefix("0::")) else {
        return Vec::new();
    };
    let mut limits = Vec::new();
    let mut below = Path::new("/sys/fs/cgroup").join(group.trim_start_matches('/'));
    // A limit of an outer group holds for the inner as well.
    while below.starts_with("/sys/fs/cgroup") {
        for name in ["cpu.max", "cpuset.cpus", "memory.max", "io.max"] {
            let limit = first_line(below.join(name));
            if !limit.is_empty() && !limit.starts_with("max") {
                limits.push(format!("{name} {limit}"));
            }
        }
        below.pop();
    }
    limits
}

/// The first line of a file, empty where there is none.
pub fn first_line(path: impl AsRef<Path>) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn cpuinfo(name: &str) -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split(": ").nth(1)).unwrap_or_default().to_owned()
}

//! Where a run took place: without this a number cannot be compared with another.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The circumstances of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Provenance {
    /// The source's revision; `+` when the tree had changes, empty when it is not known.
    pub revision: String,
    /// The kernel's release.
    pub kernel: String,
    /// The processor's model.
    pub processor: String,
    /// Cores this process may use.
    pub cores: usize,
    /// The data directory's file system.
    pub file_system: String,
    /// The device it is on.
    pub device: String,
    /// Whether the device takes forced unit access, flushes its cache, and its scheduler, as the kernel says.
    pub device_queue: String,
    /// Runnable processes, averaged over a minute, when the run began: what else the machine was doing.
    pub load_before: f64,
    /// The command line.
    pub command: Vec<String>,
}

impl Provenance {
    /// Of this process, with its data in `dir`.
    pub fn of(dir: &Path) -> Provenance {
        let (file_system, device) = mount(dir).unwrap_or_default();
        Provenance {
            revision: revision(),
            kernel: first_line("/proc/sys/kernel/osrelease"),
            processor: processor(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            device_queue: device_queue(&device),
            file_system,
            device,
            load_before: load(),
            command: std::env::args().collect(),
        }
    }
}

/// Runnable processes, averaged over the last minute.
pub fn load() -> f64 {
    let text = first_line("/proc/loadavg");
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

fn first_line(path: impl AsRef<Path>) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn revision() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(revision) = git(&["rev-parse", "--short=12", "HEAD"]) else { return String::new() };
    let changed = git(&["status", "--porcelain", "-uno"]).is_some_and(|text| !text.is_empty());
    if changed { revision + "+" } else { revision }
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find(|line| line.starts_with("model name"));
    model.and_then(|line| line.split(": ").nth(1)).unwrap_or_default().to_owned()
}

/// File system and device of the longest mount point that `dir` is below.
fn mount(dir: &Path) -> Option<(String, String)> {
    let dir = fs::canonicalize(dir).ok()?;
    let text = fs::read_to_string("/proc/self/mounts").ok()?;
    let mounts = text.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (device, point, kind) = (fields.next()?, fields.next()?, fields.next()?);
        dir.starts_with(point).then(|| (point.len(), kind.to_owned(), device.to_owned()))
    });
    mounts.max_by_key(|(len, _, _)| *len).map(|(_, kind, device)| (kind, device))
}

fn device_queue(device: &str) -> String {
    let name = device.rsplit('/').next().unwrap_or_default();
    let queue = Path::new("/sys/block").join(name).join("queue");
    let of = |what: &str| first_line(queue.join(what));
    format!(
        "write cache: {}, fua: {}, scheduler: {}",
        of("write_cache"),
        of("fua"),
        of("scheduler")
    )
}

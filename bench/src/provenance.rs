//! Where a run took place: without this a number cannot be compared with another.
//!
//! | module | holds |
//! |---|---|
//! | [`disk`] | file system, device, what its queue does |
//! | [`machine`] | kernel, processors, memory, clock, limits of a container |
//! | [`secrets`] | the command line, as it may be shown |

pub mod disk;
pub mod machine;
pub mod secrets;

use std::net::{IpAddr, ToSocketAddrs, UdpSocket};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub use machine::load;

/// The circumstances of a run. What the kernel does not tell is empty or 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The source's revision; `+` when the tree had changes, empty when it is not known.
    pub revision: String,
    /// Compiler, target, profile and flags of this program.
    pub build: String,
    /// When this was written down, Unix milliseconds.
    pub unix_ms: u64,
    /// The kernel's release.
    pub kernel: String,
    /// What the machine calls itself: its maker and product, or the hypervisor's.
    pub machine: String,
    /// The processor's model.
    pub processor: String,
    /// Cores this process may use.
    pub cores: usize,
    /// `on`, `off`, or as the kernel says.
    pub smt: String,
    /// Memory nodes.
    pub numa_nodes: usize,
    /// The frequency governor.
    pub governor: String,
    /// Memory of the machine in bytes.
    pub memory_bytes: u64,
    /// The clock that the kernel reads.
    pub clock_source: String,
    /// What a container may use: `memory 4 GiB`, `cpu 200000 100000`.
    pub limits: Vec<String>,
    /// The data directory's file system.
    pub file_system: String,
    /// What it was mounted with.
    pub mount_options: String,
    /// The device it is on.
    pub device: String,
    /// What the device calls itself.
    pub device_model: String,
    /// Whether the device takes forced unit access, flushes its cache, and its scheduler, as the kernel says.
    pub device_queue: String,
    /// Runnable processes, averaged over a minute, when the run began: what else the machine was doing.
    pub load_before: f64,
    /// The command line; passwords and the like are `***`.
    pub command: Vec<String>,
    /// Whether the generator ran on the broker's machine, where known.
    pub colocated: Option<bool>,
    /// What the user says was measured: a branch, a tag.
    pub gitref: Option<String>,
    /// What the user has to say about it.
    pub remark: Option<String>,
}

impl Provenance {
    /// Of this process, with its data in `dir`.
    pub fn of(dir: &Path) -> Provenance {
        let mount = disk::Mount::of(dir).unwrap_or_default();
        Provenance {
            revision: env!("BENCH_REVISION").to_owned(),
            build: env!("BENCH_BUILD").to_owned(),
            unix_ms: unix_ms(),
            kernel: machine::kernel(),
            machine: machine::product(),
            processor: machine::processor(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            smt: machine::smt(),
            numa_nodes: machine::numa_nodes(),
            governor: machine::governor(),
            memory_bytes: machine::memory_bytes(),
            clock_source: machine::clock_source(),
            limits: machine::limits(),
            device_model: disk::model(&mount.device),
            device_queue: disk::queue(&mount.device),
            file_system: mount.file_system,
            mount_options: mount.options,
            device: mount.device,
            load_before: load(),
            command: secrets::hidden(std::env::args()),
            colocated: None,
            gitref: None,
            remark: None,
        }
    }

    /// Notes whether the brokers (each `HOST:PORT`) run on this machine. Stays unknown where a name has no address.
    pub fn measured_at(&mut self, bootstrap: &[String]) {
        let mut here = Vec::new();
        for broker in bootstrap {
            let Ok(addresses) = broker.to_socket_addrs() else { return };
            here.extend(addresses.map(|address| is_local(address.ip())));
        }
        self.colocated = (!here.is_empty()).then(|| here.contains(&true));
    }
}

/// A socket can be bound to the machine's own addresses only.
fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_says_what_it_is() {
        let mut provenance = Provenance::of(&std::env::temp_dir());
        assert!(!provenance.kernel.is_empty(), "Linux says its release");
        assert!(provenance.cores > 0 && provenance.memory_bytes > 1 << 20, "{provenance:?}");
        assert!(!provenance.file_system.is_empty(), "some file system holds the directory");
        assert!(provenance.build.contains("rustc"), "{}", provenance.build);
        provenance.measured_at(&["127.0.0.1:9092".to_owned()]);
        assert_eq!(provenance.colocated, Some(true), "loopback is here");
        provenance.measured_at(&["192.0.2.1:9092".to_owned()]);
        assert_eq!(provenance.colocated, Some(false), "an address kept for documents is nobody's");
    }

    #[test]
    fn facts_that_an_older_result_lacks_are_unknown() {
        let old = r#"{"revision": "0123456789ab", "kernel": "6.1", "cores": 2, "load_before": 0.5, "command": []}"#;
        let provenance: Provenance = serde_json::from_str(old).expect("it is valid");
        assert_eq!(provenance.cores, 2);
        assert_eq!((provenance.memory_bytes, provenance.colocated), (0, None));
    }
}

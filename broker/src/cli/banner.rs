//! What a broker says when it serves: under 25 lines, then the log.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::host::HostWarning;
use super::output::{bytes, plural};
use crate::version::version;

/// What the banner tells.
#[derive(Debug, Clone)]
pub struct Facts {
    /// This node's number.
    pub node_id: i32,
    /// The cluster's id.
    pub cluster_id: String,
    /// The listeners: what is bound, what is advertised.
    pub listeners: Vec<(String, SocketAddr, String)>,
    /// Where the admin port is; `None` without one, or why there is none.
    pub admin: Result<Option<SocketAddr>, String>,
    /// The data directory.
    pub data_dir: PathBuf,
    /// The type of the file system below it, and the device.
    pub file_system: Option<(String, String)>,
    /// Free bytes on it.
    pub free_bytes: Option<u64>,
    /// Shards, cores they may use, memory of each.
    pub shards: usize,
    /// Cores of the host that the process may use.
    pub cores: usize,
    /// Memory of each shard.
    pub shard_memory_bytes: u64,
    /// The default durability class.
    pub durability: String,
    /// How a write is made durable here, and its measured median in microseconds.
    pub flush: Option<(String, u32)>,
    /// Topics and partitions there are.
    pub topics: u64,
    /// Partitions there are.
    pub partitions: u64,
    /// Whether the directory was formatted by this start.
    pub is_new: bool,
    /// Batches that were replayed from the journal.
    pub replayed_batches: u64,
    /// Why partitions are offline.
    pub offline: Vec<String>,
    /// What about the host costs performance.
    pub warnings: Vec<HostWarning>,
    /// Time from launch to readiness.
    pub took: Duration,
    /// Kafka's address for the examples.
    pub example: Option<String>,
}

/// Lines of offline partitions that are shown; the log has all of them.
const OFFLINE_SHOWN: usize = 4;

/// The banner's text, without a line feed at its end.
pub fn banner(facts: &Facts) -> String {
    let mut text = String::new();
    // Writing to memory cannot fail.
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10} {value}");
    };
    row(
        "heddle",
        &format!("{}   node {} · cluster {}", version(), facts.node_id, facts.cluster_id),
    );
    for (name, bound, advertised) in &facts.listeners {
        row("kafka", &format!("{bound} ({name})   advertised {advertised}"));
    }
    match &facts.admin {
        Ok(Some(address)) => row("admin", &format!("http://{address}/metrics")),
        Ok(None) => {}
        Err(why) => row("admin", &format!("none: {why}")),
    }
    row("data", &data(facts));
    if facts.is_new {
        row("", "formatted by this start, as the directory was empty");
    }
    let shards = format!(
        "{} on {}, {} memory each",
        facts.shards,
        plural(facts.cores as u64, "core"),
        bytes(facts.shard_memory_bytes)
    );
    row("shards", &shards);
    row("durability", &durability(facts));
    let mut state = plural(facts.topics, "topic") + ", " + &plural(facts.partitions, "partition");
    if facts.replayed_batches > 0 {
        let batches = plural(facts.replayed_batches, "record batch").replace("batchs", "batches");
        let _ = write!(state, "; {batches} replayed from the journal");
    }
    row("topics", &state);
    if !facts.offline.is_empty() {
        row(
            "OFFLINE",
            &format!("{} with damaged data:", plural(facts.offline.len() as u64, "log")),
        );
        for line in facts.offline.iter().take(OFFLINE_SHOWN) {
            row("  !", line);
        }
        if facts.offline.len() > OFFLINE_SHOWN {
            row("  !", "more in the log");
        }
    }
    if !facts.warnings.is_empty() {
        row("host", &plural(facts.warnings.len() as u64, "warning"));
        let width = facts.warnings.iter().map(|w| w.what.chars().count()).max().unwrap_or(0);
        for warning in &facts.warnings {
            row("  !", &format!("{:<width$}   {}", warning.what, warning.effect));
        }
    }
    let _ = write!(text, "ready in {:.2} s. ", facts.took.as_secs_f64());
    let bootstrap = match &facts.example {
        Some(address) => format!(" -b {address}"),
        None => String::new(),
    };
    let _ = write!(text, "Try:  heddle topic create demo{bootstrap}   ·   stop with Ctrl-C");
    text
}

fn data(facts: &Facts) -> String {
    let mut data = facts.data_dir.display().to_string();
    if let Some((kind, device)) = &facts.file_system {
        let _ = write!(data, "   {kind} on {device}");
    }
    if let Some(free) = facts.free_bytes {
        let _ = write!(data, ", {} free", bytes(free));
    }
    // The start fails where direct I/O does not work.
    data.push_str(", O_DIRECT yes");
    data
}

fn durability(facts: &Facts) -> String {
    let when = match facts.durability.as_str() {
        "device" => "acknowledged after the journal is flushed to the device",
        "written" => "acknowledged after the kernel has the journal's write",
        _ => "acknowledged from memory: a crash loses what was acknowledged last",
    };
    match (&facts.flush, facts.durability.as_str()) {
        (Some((primitive, median_us)), "device") if *median_us > 0 => {
            format!("{}: {when} ({primitive}, {median_us} us measured)", facts.durability)
        }
        _ => format!("{}: {when}", facts.durability),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            node_id: 1,
            cluster_id: "Vh3k".into(),
            listeners: vec![(
                "PLAINTEXT".into(),
                "127.0.0.1:9092".parse().expect("an address"),
                "127.0.0.1:9092".into(),
            )],
            admin: Ok(Some("127.0.0.1:9644".parse().expect("an address"))),
            data_dir: "./data".into(),
            file_system: Some(("ext4".into(), "/dev/vda".into())),
            free_bytes: Some(76 << 30),
            shards: 2,
            cores: 2,
            shard_memory_bytes: 256 << 20,
            durability: "device".into(),
            flush: Some(("O_DSYNC".into(), 158)),
            topics: 0,
            partitions: 0,
            is_new: true,
            replayed_batches: 0,
            offline: Vec::new(),
            warnings: vec![
                HostWarning {
                    what: "cpu governor is powersave".into(),
                    effect: "higher tail latency",
                },
                HostWarning { what: "swap is on".into(), effect: "a swapped page stalls a shard" },
            ],
            took: Duration::from_millis(210),
            example: None,
        }
    }

    #[test]
    fn a_first_start_says_all_it_should() {
        let text = banner(&facts());
        let (first, rest) = text.split_once('\n').expect("several lines");
        assert_eq!(first, format!("heddle     {}   node 1 · cluster Vh3k", version()));
        assert_eq!(
            rest,
            "\
kafka      127.0.0.1:9092 (PLAINTEXT)   advertised 127.0.0.1:9092
admin      http://127.0.0.1:9644/metrics
data       ./data   ext4 on /dev/vda, 76.0 GiB free, O_DIRECT yes
           formatted by this start, as the directory was empty
shards     2 on 2 cores, 256.0 MiB memory each
durability device: acknowledged after the journal is flushed to the device (O_DSYNC, 158 us measured)
topics     0 topics, 0 partitions
host       2 warnings
  !        cpu governor is powersave   higher tail latency
  !        swap is on                  a swapped page stalls a shard
ready in 0.21 s. Try:  heddle topic create demo   ·   stop with Ctrl-C"
        );
    }

    #[test]
    fn trouble_is_shown_and_stays_short() {
        let offline = (0..50).map(|n| format!("log {n} is damaged")).collect();
        let facts = Facts { offline, replayed_batches: 7, example: Some("h:1".into()), ..facts() };
        let text = banner(&facts);
        assert!(text.lines().count() < 25, "{text}");
        assert!(
            text.contains("OFFLINE    50 logs with damaged data:\n  !        log 0 is damaged\n")
        );
        assert!(text.contains("7 record batches replayed from the journal"));
        assert!(text.contains("heddle topic create demo -b h:1 "));
    }
}

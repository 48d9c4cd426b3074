//! The result of `heddle bench run`: one JSON document, [`Report`].
//!
//! Histograms are whole, not figures of them: whoever reads the file can merge and look at any percentile. Times are
//! nanoseconds unless a name says otherwise. A change of meaning raises [`FORMAT`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::latency::Latencies;
use crate::plan::Plan;
use crate::provenance::Provenance;

/// The number of the format that is written.
pub const FORMAT: u32 = 1;

/// A plan, where it was run, and what each run measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// What was asked.
    pub plan: Plan,
    /// Where, with what.
    pub provenance: Provenance,
    /// What was measured. At least one.
    pub runs: Vec<Run>,
}

/// One run of a plan against one broker.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// When the measured time began, Unix milliseconds.
    pub began_unix_ms: u64,
    /// Measured time in seconds, warm-up excluded.
    pub seconds: f64,
    /// Counts over the measured time.
    pub totals: Totals,
    /// From the intended send time to the acknowledgement: what an application sees.
    pub response: Latencies,
    /// From the moment the request was sent to its acknowledgement.
    pub service: Latencies,
    /// From the intended send time to the arrival at a consumer.
    pub end_to_end: Latencies,
    /// Each second of the measured time, in order.
    pub timeline: Vec<Second>,
    /// Each producer and consumer.
    pub clients: Vec<Client>,
    /// What the delivery audit found, warm-up included.
    pub audit: Audit,
    /// What the generator itself used.
    pub generator: Generator,
    /// What the broker used and said of itself, where it could be had.
    pub broker: Broker,
    /// What was done beside the plan's own clients: name (`catch-up reader`) to figures (`bytes_per_second`).
    pub beside: BTreeMap<String, BTreeMap<String, f64>>,
    /// Why these figures should not be trusted, if so.
    pub doubts: Vec<Doubt>,
}

/// Counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Records whose intended time came.
    pub intended: u64,
    /// Records acknowledged (sent, with acks=0).
    pub acknowledged: u64,
    /// Bytes of their keys and values.
    pub acknowledged_bytes: u64,
    /// Produce requests answered.
    pub requests: u64,
    /// Bytes of record batches in them.
    pub batch_bytes: u64,
    /// Records that arrived at consumers, each as often as it is read.
    pub consumed: u64,
    /// Bytes of their keys and values.
    pub consumed_bytes: u64,
    /// Fetch requests answered.
    pub fetches: u64,
    /// Records given up: refused for good.
    pub failed: u64,
    /// Requests sent again.
    pub retries: u64,
    /// Requests without an answer in time.
    pub timeouts: u64,
    /// Connections opened again.
    pub reconnects: u64,
    /// The most records whose time had come and that were not acknowledged yet.
    pub backlog_max: u64,
}

/// One second of the measured time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Second {
    /// Records whose intended time came.
    pub intended: u64,
    /// Records acknowledged.
    pub acknowledged: u64,
    /// Bytes of them.
    pub acknowledged_bytes: u64,
    /// Records that arrived at consumers.
    pub consumed: u64,
    /// Bytes of them.
    pub consumed_bytes: u64,
    /// Not acknowledged at its end though their time had come.
    pub backlog: u64,
    /// The latest that a record was handed to its batch behind its intended time.
    pub slip_ns: u64,
    /// Of records acknowledged in it.
    pub response: Latencies,
    /// Of requests answered in it.
    pub service: Latencies,
    /// Of records that arrived in it.
    pub end_to_end: Latencies,
    /// Processor time of the broker's threads in it, by thread name.
    pub broker_cpu_ns: BTreeMap<String, u64>,
    /// Resident memory of the broker at its end, 0 unknown.
    pub broker_resident_bytes: u64,
}

/// One producer or consumer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Client {
    /// `producer-3` or `consumer-0-2` (set, number).
    pub name: String,
    /// Records acknowledged or consumed.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Response latencies of a producer, end to end latencies of a consumer.
    pub latencies: Latencies,
    /// The same by second, each a V2 deflated histogram in base64; for the `.hlog`.
    pub by_second: Vec<String>,
}

/// What the delivery audit found. Every acknowledged record must be seen once by each set of consumers, in the order of its
/// producer and partition, unaltered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Acknowledged records that were waited for, times the sets of consumers.
    pub expected: u64,
    /// Records seen and checked.
    pub checked: u64,
    /// Acknowledged and not seen.
    pub lost: u64,
    /// Seen again.
    pub duplicated: u64,
    /// Seen after a later one of the same producer and partition.
    pub reordered: u64,
    /// With bytes that were not produced.
    pub altered: u64,
    /// Seen though they were refused or given up: counted, not a fault.
    pub unacknowledged_seen: u64,
    /// Not judged, because there were more gaps than the audit has room for.
    #[serde(default)]
    pub unjudged: u64,
    /// The first faults, each in a sentence with topic, partition, offset, producer and number.
    pub faults: Vec<String>,
}

impl Audit {
    /// Nothing was lost, duplicated, reordered or altered, and all was judged.
    pub fn passed(&self) -> bool {
        [self.lost, self.duplicated, self.reordered, self.altered, self.unjudged] == [0; 5]
    }
}

/// What the generator itself used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Threads that generated load.
    pub threads: u32,
    /// Processor seconds over the measured time, kernel workers included.
    pub cpu_seconds: f64,
    /// The busiest thread's share of its processor, between 0 and 1.
    pub busiest_share: f64,
    /// The part of records that were handed to their batch more than 1 ms behind their intended time.
    pub slipped: f64,
    /// The latest.
    pub slip_max_ns: u64,
    /// How often the wall clock and the monotonic clock moved apart by more than 1 ms.
    pub clock_jumps: u64,
}

/// What the broker used and said of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Broker {
    /// Name and version, where known.
    pub software: Option<String>,
    /// The class of durability in force, where known: of Heddle `ack.durability`, of Apache Kafka its flush settings.
    pub durability: Option<String>,
    /// Its settings that are not defaults.
    pub settings: BTreeMap<String, String>,
    /// Its process, where known.
    pub pid: Option<u32>,
    /// Processor seconds over the measured time, kernel workers included.
    pub cpu_seconds: Option<f64>,
    /// Resident memory at the end.
    pub resident_bytes: Option<u64>,
    /// Milliseconds from its start to its first answered request, if it was started for the run.
    pub start_ms: Option<f64>,
    /// Milliseconds from its start after `kill -9` to its first answered request.
    pub restart_ms: Option<f64>,
    /// Where requests spent their time, by API and stage, over the measured time; of Heddle only.
    pub stages: Vec<Stage>,
    /// What its counters grew by over the measured time (`syscalls`, `allocations`, `copied_bytes`, ..), by shard.
    pub counters: Vec<BTreeMap<String, u64>>,
}

/// One stage of one API on one shard.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stage {
    /// The shard whose connections the requests came by.
    pub shard: u16,
    /// `produce` or `fetch`.
    pub api: String,
    /// `receive`, `queue`, `hop`, `append`, `journal`, `send`, or `total`.
    pub stage: String,
    /// Time spent in it by requests answered in the measured time.
    pub latencies: Latencies,
    /// The exact sum, so that stages can be added up.
    pub sum_ns: u64,
}

/// A reason not to trust a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Doubt {
    /// A stable word: `generator-cpu`, `schedule-slip`, `clock`, `samples`, `errors`, `load`.
    pub about: String,
    /// A sentence with the figure and what to do.
    pub words: String,
}

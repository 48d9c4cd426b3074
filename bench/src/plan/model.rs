//! The plan of a run.
//!
//! All latencies of a run are counted from the times at which its plan intends records to be sent. Nothing in here depends
//! on the broker that is measured.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Everything that is asked of one run. In JSON, what is left out is as in [`Plan::default`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// The named workload it comes from, or `custom`.
    pub name: String,
    /// Topics; records go to all of them alike.
    pub topics: u32,
    /// Partitions of each topic.
    pub partitions: u32,
    /// Settings the topics are created with.
    pub topic_config: BTreeMap<String, String>,
    /// Producers, each with a connection of its own to each broker. 0: nothing is produced.
    pub producers: u32,
    /// How often every record is read, by so many independent sets of consumers. 0: nothing is consumed.
    pub fan_out: u32,
    /// Consumers of each set, which share its partitions. At least 1 where `fan_out` is.
    pub consumers: u32,
    /// Records a second, of all producers together.
    pub rate: Rate,
    /// How the intended times are spread.
    pub arrivals: Arrivals,
    /// Bytes of a record's value.
    pub sizes: Sizes,
    /// Keys of records.
    pub keys: Keys,
    /// How records find their partition.
    pub partitioning: Partitioning,
    /// What values consist of, behind the stamp that the audit needs.
    pub payload: Payload,
    /// Compression of batches.
    pub codec: Codec,
    /// Acknowledgements asked for.
    pub acks: Acks,
    /// How long a producer may wait for more records of a batch, in microseconds.
    pub linger_us: u64,
    /// The most bytes of a batch before compression.
    pub batch_bytes: u32,
    /// Requests a producer may have unanswered per connection, 1 to 5 where idempotent.
    pub in_flight: u32,
    /// The most batches of one request, each of another partition; 0: all that are due, as Java clients send them.
    pub request_batches: u32,
    /// Producers have ids, their batches sequence numbers.
    pub idempotent: bool,
    /// The least bytes a fetch waits for, and how long it waits for them in milliseconds.
    pub fetch_bytes_min: u32,
    /// See `fetch_bytes_min`.
    pub fetch_wait_ms: u32,
    /// The most bytes of one fetch.
    pub fetch_bytes_max: u32,
    /// Load before anything is counted, in milliseconds.
    pub warm_up_ms: u64,
    /// Measured time, in milliseconds.
    pub duration_ms: u64,
    /// What else happens meanwhile.
    pub beside: Vec<Beside>,
    /// Threads of the generator; 0 for as many as there are processors, at most one per client.
    pub threads: u32,
    /// Processors they are pinned to; empty: not pinned.
    pub cores: Vec<usize>,
    /// The seed of sizes, keys, arrivals and payloads.
    pub seed: u64,
}

impl Plan {
    /// Load before anything is counted.
    pub fn warm_up(&self) -> Duration {
        Duration::from_millis(self.warm_up_ms)
    }

    /// Measured time.
    pub fn duration(&self) -> Duration {
        Duration::from_millis(self.duration_ms)
    }

    /// How long a producer may wait for more records of a batch.
    pub fn linger(&self) -> Duration {
        Duration::from_micros(self.linger_us)
    }
}

/// Records a second, of all producers together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// Open loop: so many, on a schedule that waits for nobody.
    PerSecond(f64),
    /// Saturation: as many as are taken. Latencies are then those of full queues, and not comparable.
    Max,
}

/// How the intended times are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Evenly.
    Constant,
    /// At random, independently of each other: exponential gaps.
    Poisson,
}

/// Bytes of a record's value. The stamp takes the first 40; smaller values are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sizes {
    /// All the same.
    Fixed(u32),
    /// Anything between, both included.
    Uniform {
        /// The smallest.
        min: u32,
        /// The largest.
        max: u32,
    },
    /// Log-normal around a median, cut off at `max`.
    LogNormal {
        /// Half are smaller.
        median: u32,
        /// The standard deviation of the logarithm.
        sigma: f64,
        /// None is larger.
        max: u32,
    },
    /// Some sizes, each with its weight.
    Weighted(Vec<(u32, f64)>),
}

/// Keys of records.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keys {
    /// None.
    Null,
    /// So many different keys, each as likely as another.
    Uniform(u64),
    /// So many different keys; the n-th is chosen in proportion to n to the power of `-exponent`.
    Zipf {
        /// How many.
        count: u64,
        /// Above 0; 1 is common.
        exponent: f64,
    },
}

/// How records find their partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partitioning {
    /// The next record goes to the next partition: the most requests.
    RoundRobin,
    /// A batch is filled before the next partition's turn, as clients do for records without keys.
    Sticky,
    /// By the key's hash, as all clients do.
    ByKey,
}

/// What values consist of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// Random bytes: no codec makes them smaller.
    Random,
    /// Text-like bytes of which a codec leaves about this part, between 0 and 1.
    Compressible(f64),
}

/// Compression of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// None.
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// Acknowledgements asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acks {
    /// None is sent: there is no latency to measure, and the audit checks what arrived alone.
    Zero,
    /// The leader's.
    One,
    /// Those of all in-sync replicas.
    All,
}

/// What else happens while the producers and consumers of the plan are measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beside {
    /// Before the measurement so many bytes are produced to a topic of their own; meanwhile a consumer reads
    /// them from the beginning, again and again, at most so many bytes a second (0: at full speed).
    CatchUpReader {
        /// Bytes produced before.
        backlog_bytes: u64,
        /// Bytes a second, 0 without limit.
        bytes_per_second: u64,
    },
    /// The plan's consumers are held back until so many bytes lie in the topics, and then drain them while producers go on.
    Backlog {
        /// Bytes to be drained.
        bytes: u64,
    },
    /// So many connections a second are opened, make one ApiVersions call, and are closed.
    ConnectionStorm {
        /// Connections a second.
        per_second: f64,
    },
    /// So many connections are open and silent.
    IdleConnections {
        /// How many.
        count: u32,
    },
}

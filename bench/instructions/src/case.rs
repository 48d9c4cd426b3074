//! What is asked: one kind of request each, always with the same bytes.

use protocol::client::{FetchCall, FetchCallPartition, ProduceCall, ProduceCallPartition};
use protocol::fetch::Isolation;
use protocol::wire::TopicRef;
use storage::batch::{Builder, Codec, NewRecord};

/// The versions that current clients speak: topics by id.
pub const PRODUCE_VERSION: i16 = 13;
/// As [`PRODUCE_VERSION`].
pub const FETCH_VERSION: i16 = 17;

/// Bytes of a record's value.
const VALUE_BYTES: usize = 1024;

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its name in the kept counts.
    pub name: &'static str,
    /// What it asks.
    pub kind: Kind,
    /// Requests per round, of less than a megabyte together: with more, write-behind does not wait for its age.
    pub requests: usize,
}

/// What a request asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Appends a batch of so many records to one partition, acks=all.
    Produce {
        /// Records of 1 KiB.
        records: usize,
    },
    /// Reads one batch of each partition.
    Fetch {
        /// How many partitions.
        partitions: usize,
        /// Records of 1 KiB in each batch.
        records: usize,
    },
}

/// All cases.
pub const ALL: [Case; 5] = [
    Case { name: "produce-1x1KiB", kind: Kind::Produce { records: 1 }, requests: 16 },
    Case { name: "produce-16x1KiB", kind: Kind::Produce { records: 16 }, requests: 16 },
    Case { name: "produce-256x1KiB", kind: Kind::Produce { records: 256 }, requests: 2 },
    Case { name: "fetch-1x16KiB", kind: Kind::Fetch { partitions: 1, records: 16 }, requests: 16 },
    Case { name: "fetch-64x1KiB", kind: Kind::Fetch { partitions: 64, records: 1 }, requests: 16 },
];

/// The case with this name.
///
/// # Errors
/// When there is none; the words name those there are.
pub fn named(name: &str) -> Result<Case, String> {
    let names = || ALL.map(|case| case.name).join(", ");
    let found = ALL.into_iter().find(|case| case.name == name);
    found.ok_or_else(|| format!("there is no case `{name}`: use {}", names()))
}

impl Case {
    /// Records in a request or in its response.
    pub fn records(&self) -> usize {
        match self.kind {
            Kind::Produce { records } => records,
            Kind::Fetch { partitions, records } => partitions * records,
        }
    }

    /// Bytes of record batches in a request or in its response.
    pub fn bytes(&self) -> usize {
        match self.kind {
            Kind::Produce { records } => batch(records).len(),
            Kind::Fetch { partitions, records } => partitions * batch(records).len(),
        }
    }

    /// How many partitions its topic has. Each round produces to one of its own, see [`Case::room`].
    pub fn partitions(&self, rounds: usize) -> usize {
        match self.kind {
            Kind::Produce { .. } => rounds,
            Kind::Fetch { partitions, .. } => partitions,
        }
    }

    /// What a partition holds before the first round: of what is fetched, one batch.
    pub fn fill(&self, topic: [u8; 16], partition: usize) -> Option<Vec<u8>> {
        match self.kind {
            Kind::Produce { .. } => None,
            Kind::Fetch { records, .. } => Some(produce(topic, partition as i32, &batch(records))),
        }
    }

    /// What is asked before a round: its file reserves room ahead in steps that double, so that after these two megabytes
    /// none is due in a round.
    pub fn room(&self, topic: [u8; 16], round: usize) -> Vec<Vec<u8>> {
        match self.kind {
            Kind::Produce { .. } => vec![produce(topic, round as i32, &batch(960)); 2],
            Kind::Fetch { .. } => Vec::new(),
        }
    }

    /// The frame of its request in this round, length prefix included.
    pub fn request(&self, topic: [u8; 16], round: usize) -> Vec<u8> {
        match self.kind {
            Kind::Produce { records } => produce(topic, round as i32, &batch(records)),
            Kind::Fetch { partitions, records } => fetch(topic, partitions, batch(records).len()),
        }
    }
}

/// A produce request with one batch.
fn produce(topic: [u8; 16], partition: i32, batch: &[u8]) -> Vec<u8> {
    let partitions = vec![ProduceCallPartition { index: partition, records: batch }];
    let topics = vec![(TopicRef::Id(topic), partitions)];
    let call = ProduceCall { transactional_id: None, acks: -1, timeout_ms: 600_000, topics };
    call.encode(PRODUCE_VERSION, 1, Some("path-instructions"))
}

fn fetch(topic: [u8; 16], partitions: usize, batch_bytes: usize) -> Vec<u8> {
    let partition = |index: usize| FetchCallPartition {
        partition: index as i32,
        current_leader_epoch: -1,
        fetch_offset: 0,
        last_fetched_epoch: -1,
        partition_max_bytes: batch_bytes as i32,
    };
    let call = FetchCall {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 50 << 20,
        isolation: Isolation::ReadUncommitted,
        session_id: 0,
        session_epoch: -1,
        topics: vec![(TopicRef::Id(topic), (0..partitions).map(partition).collect())],
        forgotten: Vec::new(),
        rack_id: "",
    };
    call.encode(FETCH_VERSION, 1, Some("path-instructions"))
}

/// A batch of uncompressed records, the same bytes every time.
fn batch(records: usize) -> Vec<u8> {
    let mut builder = Builder::new(Codec::None);
    let value: Vec<u8> = (0..VALUE_BYTES).map(|at| (at * at % 251) as u8).collect();
    for record in 0..records {
        builder.push(NewRecord::of(&value).at(1_700_000_000_000 + record as i64));
    }
    builder.build().expect("records that are not compressed always pack")
}

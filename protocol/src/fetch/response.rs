//! The Fetch response: everything but the records, and where the records go.

use std::ops::Range;

use super::{CURRENT_LEADER_FROM, NODE_ENDPOINTS_FROM, SESSIONS_FROM};
use crate::error_code::ErrorCode;
use crate::header::{begin_response, finish_frame};
use crate::versions::ApiKey;
use crate::wire::{LeaderIdAndEpoch, NodeEndpoint, TopicRef, Writer};

/// A Fetch response. Fields that a version cannot say are left out of it without an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchResponse<'a> {
    /// How long the client should hold its next request back, in milliseconds.
    pub throttle_time_ms: i32,
    /// An error of the whole request, such as an unknown session (version 7 on).
    pub error: ErrorCode,
    /// The fetch session, 0 for none (version 7 on).
    pub session_id: i32,
    /// The topics.
    pub topics: Vec<TopicData<'a>>,
    /// The nodes named as current leaders (version 16 on).
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One topic of a Fetch response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicData<'a> {
    /// The topic as the request named it: by name up to version 12, by id from 13 on.
    pub topic: TopicRef<'a>,
    /// Its partitions.
    pub partitions: Vec<PartitionData>,
}

/// One partition of a Fetch response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionData {
    /// Partition number.
    pub partition: i32,
    /// The error, or none.
    pub error: ErrorCode,
    /// High watermark, -1 on error.
    pub high_watermark: i64,
    /// Last stable offset, -1 on error.
    pub last_stable_offset: i64,
    /// Log start offset, -1 if unknown (version 5 on).
    pub log_start_offset: i64,
    /// Where the log of the asking replica diverged (version 12 on).
    pub diverging_epoch: Option<EpochEndOffset>,
    /// Who leads the partition, if not this node (version 12 on).
    pub current_leader: Option<LeaderIdAndEpoch>,
    /// The snapshot to fetch instead, for replicas of the metadata log (version 12 on).
    pub snapshot_id: Option<SnapshotId>,
    /// Aborted transactions within the records: null for read-uncommitted, a list (empty too) for read-committed.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// The replica the consumer should read from instead, -1 for none (version 11 on).
    pub preferred_read_replica: i32,
    /// How many bytes of record batches this partition sends. No records are an empty set, never null: some clients
    /// read null as an error.
    pub records_bytes: usize,
}

/// An epoch and where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEndOffset {
    /// The epoch.
    pub epoch: i32,
    /// Its end offset.
    pub end_offset: i64,
}

/// A snapshot of the metadata log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotId {
    /// Its end offset.
    pub end_offset: i64,
    /// Its epoch.
    pub epoch: i32,
}

/// A transaction that was aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Who produced it.
    pub producer_id: i64,
    /// Its first offset.
    pub first_offset: i64,
}

impl PartitionData {
    /// An answer without records: an error, or nothing new.
    #[must_use]
    pub fn empty(partition: i32, error: ErrorCode) -> Self {
        Self {
            partition,
            error,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            snapshot_id: None,
            aborted_transactions: None,
            preferred_read_replica: -1,
            records_bytes: 0,
        }
    }
}

/// An encoded Fetch response: one buffer, and the places where records go between its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFetch {
    /// The whole frame without the records; its length prefix counts them.
    pub bytes: Vec<u8>,
    /// Where the records of each partition that has any go, in order.
    pub holes: Vec<Hole>,
}

/// A place where records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// Offset in [`EncodedFetch::bytes`] before which they go.
    pub at: usize,
    /// Whose they are: the index of the partition, counted over all topics in response order.
    pub partition: usize,
    /// How many bytes they are.
    pub records_bytes: usize,
}

/// A piece of a Fetch response, borrowing the buffer of [`EncodedFetch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A range of [`EncodedFetch::bytes`].
    Bytes(Range<usize>),
    /// The records of a partition, counted over all topics in response order.
    Records(usize),
}

/// A piece of a Fetch response, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Bytes of the frame.
    Bytes(Vec<u8>),
    /// The records of a partition, counted over all topics in response order.
    Records(usize),
}

impl EncodedFetch {
    /// The pieces to send, in order.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> {
        let mut from = 0;
        let holes = self.holes.iter().flat_map(move |hole| {
            let bytes = Piece::Bytes(from..hole.at);
            from = hole.at;
            [bytes, Piece::Records(hole.partition)]
        });
        let last = self.holes.last().map_or(0, |hole| hole.at);
        holes.chain((last < self.bytes.len()).then_some(Piece::Bytes(last..self.bytes.len())))
    }

    /// The pieces to send, in order, each owning its bytes. Copies the frame's bytes (not the records) unless there
    /// are no records at all; [`EncodedFetch::pieces`] copies nothing.
    #[must_use]
    pub fn into_parts(self) -> Vec<Part> {
        if self.holes.is_empty() {
            return vec![Part::Bytes(self.bytes)];
        }
        let owned = |piece| match piece {
            Piece::Bytes(range) => Part::Bytes(self.bytes[range].to_vec()),
            Piece::Records(partition) => Part::Records(partition),
        };
        self.pieces().map(owned).collect()
    }

    /// Length of the whole frame on the wire, records and length prefix included.
    #[must_use]
    pub fn wire_bytes(&self) -> usize {
        self.bytes.len() + self.holes.iter().map(|hole| hole.records_bytes).sum::<usize>()
    }
}

impl FetchResponse<'_> {
    /// Encodes the frame but for the records.
    ///
    /// # Panics
    /// If the version is not served (the header was parsed before), or if the records pass 2 GiB (`max_bytes` bounds
    /// them).
    #[must_use]
    pub fn encode(&self, version: i16, correlation_id: i32) -> EncodedFetch {
        let api = ApiKey::Fetch.api();
        assert!(api.serves(version), "the request's version was checked when its header was read");
        let flexible = api.flexible(version);
        let mut out = begin_response(api, version, correlation_id);
        let mut holes = Vec::new();
        out.i32(self.throttle_time_ms);
        if version >= SESSIONS_FROM {
            out.i16(self.error.code());
            out.i32(self.session_id);
        }
        out.length(self.topics.len(), flexible);
        let mut index = 0;
        for topic in &self.topics {
            out.topic(topic.topic, flexible);
            out.length(topic.partitions.len(), flexible);
            for partition in &topic.partitions {
                partition.encode(&mut out, version, flexible);
                if partition.records_bytes > 0 {
                    let records_bytes = partition.records_bytes;
                    holes.push(Hole { at: out.len(), partition: index, records_bytes });
                }
                partition.encode_tags(&mut out, flexible);
                index += 1;
            }
            out.no_tags(flexible);
        }
        if version >= NODE_ENDPOINTS_FROM && !self.node_endpoints.is_empty() {
            let mut contents = Vec::new();
            contents.node_endpoints(&self.node_endpoints);
            out.uvarint(1);
            out.uvarint(0); // tag 0: node endpoints
            out.uvarint(contents.len() as u32);
            out.raw(&contents);
        } else {
            out.no_tags(flexible);
        }
        finish_frame(&mut out, holes.iter().map(|hole| hole.records_bytes).sum());
        EncodedFetch { bytes: out, holes }
    }
}

impl PartitionData {
    /// Everything before the records.
    fn encode(&self, out: &mut Vec<u8>, version: i16, flexible: bool) {
        out.i32(self.partition);
        out.i16(self.error.code());
        out.i64(self.high_watermark);
        out.i64(self.last_stable_offset);
        if version >= 5 {
            out.i64(self.log_start_offset);
        }
        match &self.aborted_transactions {
            None => out.null(flexible),
            Some(aborted) => {
                out.length(aborted.len(), flexible);
                for transaction in aborted {
                    out.i64(transaction.producer_id);
                    out.i64(transaction.first_offset);
                    out.no_tags(flexible);
                }
            }
        }
        if version >= 11 {
            out.i32(self.preferred_read_replica);
        }
        out.length(self.records_bytes, flexible);
    }

    /// Everything after the records: the tags, all of which came with the flexible version 12.
    fn encode_tags(&self, out: &mut Vec<u8>, flexible: bool) {
        const _: () = assert!(CURRENT_LEADER_FROM == 12);
        if !flexible {
            return;
        }
        let count = u32::from(self.diverging_epoch.is_some())
            + u32::from(self.current_leader.is_some())
            + u32::from(self.snapshot_id.is_some());
        out.uvarint(count);
        if let Some(diverging) = self.diverging_epoch {
            out.uvarint(0);
            out.uvarint(13);
            out.i32(diverging.epoch);
            out.i64(diverging.end_offset);
            out.no_tags(true);
        }
        if let Some(leader) = self.current_leader {
            out.uvarint(1);
            out.uvarint(9);
            out.i32(leader.leader_id);
            out.i32(leader.leader_epoch);
            out.no_tags(true);
        }
        if let Some(snapshot) = self.snapshot_id {
            out.uvarint(2);
            out.uvarint(13);
            out.i64(snapshot.end_offset);
            out.i32(snapshot.epoch);
            out.no_tags(true);
        }
    }
}

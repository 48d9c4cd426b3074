//! Fetch from the client's side: the records of an answer share the bytes of its frame.

use bytes::Bytes;

use super::CallError;
use super::call::body;
use crate::error_code::ErrorCode;
use crate::fetch::{AbortedTransaction, Isolation, TOPIC_IDS_FROM};
use crate::header::{begin_request, finish_frame};
use crate::versions::ApiKey;
use crate::wire::{LeaderIdAndEpoch, Reader, TopicRef, Writer};

/// A Fetch request of a consumer to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchCall<'a> {
    /// How long the server may wait for `min_bytes`, in milliseconds.
    pub max_wait_ms: i32,
    /// Answer as soon as that many bytes are there.
    pub min_bytes: i32,
    /// Stop at about that many bytes.
    pub max_bytes: i32,
    /// Which records may be seen.
    pub isolation: Isolation,
    /// Fetch session id, 0 for none.
    pub session_id: i32,
    /// Fetch session epoch: -1 sessionless, 0 to begin a session.
    pub session_epoch: i32,
    /// Topics, by name up to version 12 and by id from 13 on, with their partitions.
    pub topics: Vec<(TopicRef<'a>, Vec<FetchCallPartition>)>,
    /// Topics whose partitions the session should drop.
    pub forgotten: Vec<(TopicRef<'a>, Vec<i32>)>,
    /// Rack of the consumer, empty if none.
    pub rack_id: &'a str,
}

/// A partition and where to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchCallPartition {
    /// Partition number.
    pub partition: i32,
    /// The leader epoch known, -1 not to check.
    pub current_leader_epoch: i32,
    /// Where to read from.
    pub fetch_offset: i64,
    /// Epoch of the last record fetched, -1 not to check.
    pub last_fetched_epoch: i32,
    /// Stop at about that many bytes for this partition.
    pub partition_max_bytes: i32,
}

impl FetchCall<'_> {
    /// Encodes a whole request frame.
    ///
    /// # Panics
    /// If the version is not one of ours, or a topic is named where the version wants ids (or the other way round):
    /// both are fixed when the versions are negotiated.
    #[must_use]
    pub fn encode(&self, version: i16, correlation_id: i32, client_id: Option<&str>) -> Vec<u8> {
        let api = ApiKey::Fetch.api();
        assert!(api.serves(version), "negotiated versions are in the table");
        let flexible = api.flexible(version);
        let by_id = version >= TOPIC_IDS_FROM;
        let mut out = begin_request(api, version, correlation_id, client_id);
        if version <= 14 {
            out.i32(-1); // not a replica
        }
        out.i32(self.max_wait_ms);
        out.i32(self.min_bytes);
        out.i32(self.max_bytes);
        out.i8(i8::from(self.isolation == Isolation::ReadCommitted));
        if version >= 7 {
            out.i32(self.session_id);
            out.i32(self.session_epoch);
        }
        out.length(self.topics.len(), flexible);
        for (topic, partitions) in &self.topics {
            assert_eq!(topic.id().is_some(), by_id, "topics are named as the version wants");
            out.topic(*topic, flexible);
            out.length(partitions.len(), flexible);
            for partition in partitions {
                partition.encode(&mut out, version, flexible);
            }
            out.no_tags(flexible);
        }
        if version >= 7 {
            out.length(self.forgotten.len(), flexible);
            for (topic, partitions) in &self.forgotten {
                assert_eq!(topic.id().is_some(), by_id, "topics are named as the version wants");
                out.topic(*topic, flexible);
                out.length(partitions.len(), flexible);
                for partition in partitions {
                    out.i32(*partition);
                }
                out.no_tags(flexible);
            }
        }
        if version >= 11 {
            out.string(self.rack_id, flexible);
        }
        out.no_tags(flexible);
        finish_frame(&mut out, 0);
        out
    }
}

impl FetchCallPartition {
    fn encode(&self, out: &mut Vec<u8>, version: i16, flexible: bool) {
        out.i32(self.partition);
        if version >= 9 {
            out.i32(self.current_leader_epoch);
        }
        out.i64(self.fetch_offset);
        if version >= 12 {
            out.i32(self.last_fetched_epoch);
        }
        if version >= 5 {
            out.i64(-1); // log start offset: only replicas have one
        }
        out.i32(self.partition_max_bytes);
        out.no_tags(flexible);
    }
}

/// The answer to a Fetch request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchAnswer {
    /// How long to hold the next request back, in milliseconds.
    pub throttle_time_ms: i32,
    /// An error of the whole request, such as an unknown session.
    pub error: ErrorCode,
    /// The fetch session, 0 for none.
    pub session_id: i32,
    /// The topics, in the order of the answer.
    pub topics: Vec<FetchedTopic>,
}

/// The answer for one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedTopic {
    /// Its name up to version 12, empty after.
    pub topic: String,
    /// Its id from version 13 on, zero before.
    pub topic_id: [u8; 16],
    /// Its partitions.
    pub partitions: Vec<FetchedPartition>,
}

/// The answer for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedPartition {
    /// Partition number.
    pub partition: i32,
    /// The error, or none.
    pub error: ErrorCode,
    /// High watermark.
    pub high_watermark: i64,
    /// Last stable offset.
    pub last_stable_offset: i64,
    /// Log start offset, -1 if the version does not say.
    pub log_start_offset: i64,
    /// Aborted transactions within the records, null for read-uncommitted.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// The replica to read from instead, -1 for none.
    pub preferred_read_replica: i32,
    /// Who leads the partition, if not the one asked.
    pub current_leader: Option<LeaderIdAndEpoch>,
    /// Record batches back to back, the last one possibly cut short. Shares the bytes of the frame.
    pub records: Bytes,
}

impl FetchAnswer {
    /// Decodes a response frame (without its length prefix).
    ///
    /// # Errors
    /// [`CallError`].
    pub fn decode(version: i16, correlation_id: i32, frame: &Bytes) -> Result<Self, CallError> {
        let api = ApiKey::Fetch.api();
        let body_at = body(api, version, correlation_id, frame)?;
        let bytes = frame.slice(body_at..);
        let flexible = api.flexible(version);
        let mut reader = Reader::new(&bytes, flexible);
        let mut answer = Self { throttle_time_ms: reader.i32("throttle time")?, ..Self::default() };
        if version >= 7 {
            answer.error = ErrorCode::from_wire(reader.i16("error code")?);
            answer.session_id = reader.i32("session id")?;
        }
        for _ in 0..reader.count(if flexible { 3 } else { 6 }, "topics")? {
            let (mut topic, mut topic_id) = (String::new(), [0; 16]);
            if version >= TOPIC_IDS_FROM {
                topic_id = reader.uuid("topic id")?;
            } else {
                topic = reader.string("topic name")?.to_owned();
            }
            let count = reader.count(22, "partitions")?;
            let mut partitions = Vec::new();
            for _ in 0..count {
                partitions.push(partition(&mut reader, &bytes, version)?);
            }
            reader.skip_tags()?;
            answer.topics.push(FetchedTopic { topic, topic_id, partitions });
        }
        reader.skip_tags()?;
        Ok(answer)
    }
}

fn partition(
    reader: &mut Reader<'_>,
    bytes: &Bytes,
    version: i16,
) -> Result<FetchedPartition, CallError> {
    let mut partition = FetchedPartition {
        partition: reader.i32("partition")?,
        error: ErrorCode::from_wire(reader.i16("error code")?),
        high_watermark: reader.i64("high watermark")?,
        last_stable_offset: reader.i64("last stable offset")?,
        log_start_offset: if version >= 5 { reader.i64("log start offset")? } else { -1 },
        aborted_transactions: None,
        preferred_read_replica: -1,
        current_leader: None,
        records: Bytes::new(),
    };
    if let Some(count) = reader.nullable_count(16, "aborted transactions")? {
        let mut aborted = Vec::with_capacity(count);
        for _ in 0..count {
            aborted.push(AbortedTransaction {
                producer_id: reader.i64("producer id")?,
                first_offset: reader.i64("first offset")?,
            });
            reader.skip_tags()?;
        }
        partition.aborted_transactions = Some(aborted);
    }
    if version >= 11 {
        partition.preferred_read_replica = reader.i32("preferred read replica")?;
    }
    if let Some(range) = reader.nullable_bytes("records")? {
        partition.records = bytes.slice(range);
    }
    let mut tags = reader.tags()?;
    while let Some((tag, mut contents)) = tags.next(reader)? {
        if tag == 1 {
            partition.current_leader = Some(LeaderIdAndEpoch {
                leader_id: contents.i32("leader id")?,
                leader_epoch: contents.i32("leader epoch")?,
            });
        }
    }
    Ok(partition)
}

//! Produce from the client's side: record batches are copied once, into the frame.

use std::sync::Arc;

use bytes::Bytes;

use super::CallError;
use super::call::body;
use crate::error_code::ErrorCode;
use crate::header::{begin_request, finish_frame};
use crate::produce::{RecordError, TOPIC_IDS_FROM};
use crate::versions::ApiKey;
use crate::wire::{LeaderIdAndEpoch, Reader, TopicRef, Writer};

/// A Produce request to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProduceCall<'a> {
    /// Transactional id, null outside transactions.
    pub transactional_id: Option<&'a str>,
    /// 0 (no answer will come), 1 or -1 (all).
    pub acks: i16,
    /// How long the server may wait for the acks, in milliseconds.
    pub timeout_ms: i32,
    /// Topics, by name up to version 12 and by id from 13 on, with their partitions.
    pub topics: Vec<(TopicRef<'a>, Vec<ProduceCallPartition<'a>>)>,
}

/// A partition and the record batch for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProduceCallPartition<'a> {
    /// Partition number.
    pub index: i32,
    /// One record batch as it will lie in the log.
    pub records: &'a [u8],
}

impl ProduceCall<'_> {
    /// Encodes a whole request frame.
    ///
    /// # Panics
    /// If the version is not one of ours, or a topic is named where the version wants ids (or the other way round):
    /// both are fixed when the versions are negotiated.
    #[must_use]
    pub fn encode(&self, version: i16, correlation_id: i32, client_id: Option<&str>) -> Vec<u8> {
        let api = ApiKey::Produce.api();
        assert!(api.serves(version), "negotiated versions are in the table");
        let flexible = api.flexible(version);
        let mut out = begin_request(api, version, correlation_id, client_id);
        let partitions = || self.topics.iter().flat_map(|(_, partitions)| partitions);
        let records: usize = partitions().map(|partition| partition.records.len()).sum();
        out.reserve(records + 64 * (1 + self.topics.len()) + 16 * partitions().count());
        out.nullable_string(self.transactional_id, flexible);
        out.i16(self.acks);
        out.i32(self.timeout_ms);
        out.length(self.topics.len(), flexible);
        for (topic, partitions) in &self.topics {
            let by_id = version >= TOPIC_IDS_FROM;
            assert_eq!(topic.id().is_some(), by_id, "topics are named as the version wants");
            out.topic(*topic, flexible);
            out.length(partitions.len(), flexible);
            for partition in partitions {
                out.i32(partition.index);
                out.length(partition.records.len(), flexible);
                out.raw(partition.records);
                out.no_tags(flexible);
            }
            out.no_tags(flexible);
        }
        out.no_tags(flexible);
        finish_frame(&mut out, 0);
        out
    }
}

/// The answer to a Produce request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProduceAnswer {
    /// The partitions of all topics, in the order of the answer.
    pub partitions: Vec<ProducedPartition>,
    /// How long to hold the next request back, in milliseconds.
    pub throttle_time_ms: i32,
}

/// The answer for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducedPartition {
    /// Name of the topic up to version 12, empty after. Shared by its partitions: copied for each, a frame of 1 MiB
    /// could ask for more than a gigabyte.
    pub topic: Arc<str>,
    /// Id of the topic from version 13 on, zero before.
    pub topic_id: [u8; 16],
    /// Partition number.
    pub index: i32,
    /// The error, or none.
    pub error: ErrorCode,
    /// Offset of the first record, -1 on error.
    pub base_offset: i64,
    /// The append time in Unix milliseconds, -1 unless the topic uses `LogAppendTime`.
    pub log_append_time_ms: i64,
    /// Log start offset, -1 if the version does not say.
    pub log_start_offset: i64,
    /// Which records were at fault.
    pub record_errors: Vec<RecordError>,
    /// Why the batch was refused, for people.
    pub error_message: Option<String>,
    /// Who leads the partition, if not the one asked.
    pub current_leader: Option<LeaderIdAndEpoch>,
}

impl ProduceAnswer {
    /// Decodes a response frame (without its length prefix).
    ///
    /// # Errors
    /// [`CallError`].
    pub fn decode(version: i16, correlation_id: i32, frame: &Bytes) -> Result<Self, CallError> {
        let api = ApiKey::Produce.api();
        let body_at = body(api, version, correlation_id, frame)?;
        let flexible = api.flexible(version);
        let mut reader = Reader::new(&frame[body_at..], flexible);
        let mut answer = Self::default();
        for _ in 0..reader.count(if flexible { 3 } else { 6 }, "topics")? {
            let mut topic: Arc<str> = Arc::from("");
            let mut topic_id = [0; 16];
            if version >= TOPIC_IDS_FROM {
                topic_id = reader.uuid("topic id")?;
            } else {
                topic = Arc::from(reader.string("topic name")?);
            }
            for _ in 0..reader.count(22, "partitions")? {
                let partition = partition(&mut reader, version, topic.clone(), topic_id)?;
                answer.partitions.push(partition);
            }
            reader.skip_tags()?;
        }
        answer.throttle_time_ms = reader.i32("throttle time")?;
        reader.skip_tags()?;
        Ok(answer)
    }
}

fn partition(
    reader: &mut Reader<'_>,
    version: i16,
    topic: Arc<str>,
    topic_id: [u8; 16],
) -> Result<ProducedPartition, CallError> {
    let mut partition = ProducedPartition {
        topic,
        topic_id,
        index: reader.i32("partition")?,
        error: ErrorCode::from_wire(reader.i16("error code")?),
        base_offset: reader.i64("base offset")?,
        log_append_time_ms: reader.i64("log append time")?,
        log_start_offset: if version >= 5 { reader.i64("log start offset")? } else { -1 },
        record_errors: Vec::new(),
        error_message: None,
        current_leader: None,
    };
    if version >= 8 {
        for _ in 0..reader.count(5, "record errors")? {
            let batch_index = reader.i32("batch index")?;
            let message = reader.nullable_string("record error message")?.map(str::to_owned);
            reader.skip_tags()?;
            partition.record_errors.push(RecordError { batch_index, message });
        }
        partition.error_message = reader.nullable_string("error message")?.map(str::to_owned);
    }
    let mut tags = reader.tags()?;
    while let Some((tag, mut contents)) = tags.next(reader)? {
        if tag == 0 {
            partition.current_leader = Some(LeaderIdAndEpoch {
                leader_id: contents.i32("leader id")?,
                leader_epoch: contents.i32("leader epoch")?,
            });
        }
    }
    Ok(partition)
}

//! The Produce response.

use super::CURRENT_LEADER_FROM;
use crate::error_code::ErrorCode;
use crate::header::{begin_response, finish_frame};
use crate::versions::ApiKey;
use crate::wire::{LeaderIdAndEpoch, NodeEndpoint, TopicRef, Writer};

/// A Produce response. Fields that a version cannot say are left out of it without an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProduceResponse<'a> {
    /// The topics, in request order.
    pub topics: Vec<TopicResponse<'a>>,
    /// How long the client should hold its next request back, in milliseconds.
    pub throttle_time_ms: i32,
    /// The nodes named as current leaders (version 10 on).
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One topic of a Produce response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicResponse<'a> {
    /// The topic as the request named it: by name up to version 12, by id from 13 on.
    pub topic: TopicRef<'a>,
    /// Its partitions, in request order.
    pub partitions: Vec<PartitionResponse>,
}

/// One partition of a Produce response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionResponse {
    /// Partition number.
    pub index: i32,
    /// The error, or none.
    pub error: ErrorCode,
    /// Offset of the first record, -1 on error.
    pub base_offset: i64,
    /// The append time in Unix milliseconds if the topic uses `LogAppendTime`, else -1.
    pub log_append_time_ms: i64,
    /// Log start offset (version 5 on), -1 if unknown.
    pub log_start_offset: i64,
    /// Which records were at fault (version 8 on).
    pub record_errors: Vec<RecordError>,
    /// Why the batch was refused, for people (version 8 on).
    pub error_message: Option<String>,
    /// Who leads the partition, if not this node (version 10 on).
    pub current_leader: Option<LeaderIdAndEpoch>,
}

/// A record at fault (KIP-467).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Its index in the batch, from 0.
    pub batch_index: i32,
    /// Why, for people.
    pub message: Option<String>,
}

impl PartitionResponse {
    /// An append that succeeded.
    #[must_use]
    pub fn appended(
        index: i32,
        base_offset: i64,
        log_append_time_ms: Option<i64>,
        log_start_offset: i64,
    ) -> Self {
        Self {
            base_offset,
            log_append_time_ms: log_append_time_ms.unwrap_or(-1),
            log_start_offset,
            ..Self::refused(index, ErrorCode::None, None)
        }
    }

    /// An append that was refused.
    #[must_use]
    pub fn refused(index: i32, error: ErrorCode, error_message: Option<String>) -> Self {
        Self {
            index,
            error,
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message,
            current_leader: None,
        }
    }
}

impl ProduceResponse<'_> {
    /// Encodes a whole response frame: length, header, body.
    ///
    /// # Panics
    /// If the version is not served: the header was parsed before.
    #[must_use]
    pub fn encode(&self, version: i16, correlation_id: i32) -> Vec<u8> {
        let api = ApiKey::Produce.api();
        assert!(api.serves(version), "the request's version was checked when its header was read");
        let flexible = api.flexible(version);
        let mut out = begin_response(api, version, correlation_id);
        out.length(self.topics.len(), flexible);
        for topic in &self.topics {
            out.topic(topic.topic, flexible);
            out.length(topic.partitions.len(), flexible);
            for partition in &topic.partitions {
                partition.encode(&mut out, version, flexible);
            }
            out.no_tags(flexible);
        }
        out.i32(self.throttle_time_ms);
        if flexible {
            if version >= CURRENT_LEADER_FROM && !self.node_endpoints.is_empty() {
                let mut contents = Vec::new();
                contents.node_endpoints(&self.node_endpoints);
                out.uvarint(1);
                out.uvarint(0); // tag 0: node endpoints
                out.uvarint(contents.len() as u32);
                out.raw(&contents);
            } else {
                out.uvarint(0);
            }
        }
        finish_frame(&mut out, 0);
        out
    }
}

impl PartitionResponse {
    fn encode(&self, out: &mut Vec<u8>, version: i16, flexible: bool) {
        out.i32(self.index);
        out.i16(self.error.code());
        out.i64(self.base_offset);
        out.i64(self.log_append_time_ms);
        if version >= 5 {
            out.i64(self.log_start_offset);
        }
        if version >= 8 {
            out.length(self.record_errors.len(), flexible);
            for error in &self.record_errors {
                out.i32(error.batch_index);
                out.nullable_string(error.message.as_deref(), flexible);
                out.no_tags(flexible);
            }
            out.nullable_string(self.error_message.as_deref(), flexible);
        }
        if flexible {
            match self.current_leader {
                Some(leader) if version >= CURRENT_LEADER_FROM => {
                    out.uvarint(1);
                    out.uvarint(0); // tag 0: current leader
                    out.uvarint(9);
                    out.i32(leader.leader_id);
                    out.i32(leader.leader_epoch);
                    out.no_tags(true);
                }
                _ => out.uvarint(0),
            }
        }
    }
}

//! The Produce request, borrowed.

use std::ops::Range;

use super::TOPIC_IDS_FROM;
use crate::versions::ApiKey;
use crate::wire::{Malformed, Reader, TopicRef, Why};

/// A Produce request. Names borrow from the body, records are ranges of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProduceRequest<'a> {
    /// Transactional id, null outside transactions.
    pub transactional_id: Option<&'a str>,
    /// 0, 1 or -1 (all); anything else is refused by the handler with `INVALID_REQUIRED_ACKS`.
    pub acks: i16,
    /// How long to wait for the acks, in milliseconds.
    pub timeout_ms: i32,
    topics: Vec<Topic<'a>>,
    /// The partitions of all topics, in request order: two allocations per request, whatever its shape.
    partitions: Vec<ProducePartition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Topic<'a> {
    topic: TopicRef<'a>,
    partitions: Range<usize>,
}

/// One topic of a Produce request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProduceTopic<'r, 'a> {
    /// By name up to version 12, by id from 13 on.
    pub topic: TopicRef<'a>,
    /// Its partitions.
    pub partitions: &'r [ProducePartition],
}

/// One partition of a Produce request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducePartition {
    /// Partition number as sent, possibly negative.
    pub index: i32,
    /// Where its record batch lies in the body; `None` is null.
    pub records: Option<Range<usize>>,
}

impl<'a> ProduceRequest<'a> {
    /// Decodes a request body (what follows the header). Bytes after the request are ignored, as Kafka does.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(body: &'a [u8], version: i16) -> Result<Self, Malformed> {
        let api = ApiKey::Produce.api();
        let flexible = api.flexible(version);
        let mut reader = Reader::new(body, flexible);
        if !api.serves(version) {
            return Err(reader.malformed("version", Why::Version { version }));
        }
        let by_id = version >= TOPIC_IDS_FROM;
        let transactional_id = reader.nullable_string("transactional id")?;
        let acks = reader.i16("acks")?;
        let timeout_ms = reader.i32("timeout")?;

        // The least a topic takes: its id or an empty name, an empty array, no tags.
        let topic_bytes_min = if by_id { 18 } else { if flexible { 3 } else { 6 } };
        let partition_bytes_min = if flexible { 6 } else { 8 };
        let count = reader.count(topic_bytes_min, "topics")?;
        let mut topics = Vec::with_capacity(count);
        let mut partitions = Vec::new();
        for _ in 0..count {
            let topic = if by_id {
                TopicRef::Id(reader.uuid("topic id")?)
            } else {
                TopicRef::Name(reader.string("topic name")?)
            };
            let first = partitions.len();
            let count = reader.count(partition_bytes_min, "partitions")?;
            partitions.reserve(count);
            for _ in 0..count {
                let index = reader.i32("partition")?;
                let records = reader.nullable_bytes("records")?;
                reader.skip_tags()?;
                partitions.push(ProducePartition { index, records });
            }
            reader.skip_tags()?;
            topics.push(Topic { topic, partitions: first..partitions.len() });
        }
        reader.skip_tags()?;
        Ok(Self { transactional_id, acks, timeout_ms, topics, partitions })
    }

    /// The topics, in request order.
    #[must_use]
    pub fn topics(&self) -> impl ExactSizeIterator<Item = ProduceTopic<'_, 'a>> {
        self.topics.iter().map(|topic| ProduceTopic {
            topic: topic.topic,
            partitions: &self.partitions[topic.partitions.clone()],
        })
    }

    /// The partitions of all topics, in request order.
    #[must_use]
    pub fn partitions(&self) -> &[ProducePartition] {
        &self.partitions
    }

    /// How many bytes of records the request carries.
    #[must_use]
    pub fn records_bytes(&self) -> usize {
        self.partitions.iter().flat_map(|partition| &partition.records).map(Range::len).sum()
    }
}

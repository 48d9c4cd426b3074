//! The Fetch request, borrowed.

use std::ops::Range;

use super::{SESSIONS_FROM, TOPIC_IDS_FROM};
use crate::versions::ApiKey;
use crate::wire::{Malformed, Reader, TopicRef, Why};

/// Which records a consumer may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Everything below the high watermark.
    #[default]
    ReadUncommitted,
    /// Only what lies below the last stable offset, with the list of aborted transactions.
    ReadCommitted,
}

impl Isolation {
    /// From the wire: 1 is read-committed, anything else is not, so that a byte we do not know never hides data that
    /// the client did not ask to be filtered.
    #[must_use]
    pub fn from_wire(level: i8) -> Self {
        if level == 1 { Self::ReadCommitted } else { Self::ReadUncommitted }
    }
}

/// A Fetch request. Names borrow from the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest<'a> {
    /// The cluster id the client expects, if it says so (version 12 on).
    pub cluster_id: Option<&'a str>,
    /// Node id of the replica that asks, -1 for a consumer.
    pub replica_id: i32,
    /// Its epoch (version 15 on), else -1.
    pub replica_epoch: i64,
    /// How long to wait for `min_bytes`, in milliseconds.
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
    /// Rack of the consumer, empty if not said (version 11 on).
    pub rack_id: &'a str,
    topics: Vec<(TopicRef<'a>, Range<usize>)>,
    partitions: Vec<FetchPartition>,
    forgotten: Vec<(TopicRef<'a>, Range<usize>)>,
    forgotten_partitions: Vec<i32>,
}

/// One topic of a Fetch request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchTopic<'r, 'a> {
    /// By name up to version 12, by id from 13 on.
    pub topic: TopicRef<'a>,
    /// Its partitions.
    pub partitions: &'r [FetchPartition],
}

/// One partition of a Fetch request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchPartition {
    /// Partition number as sent, possibly negative.
    pub partition: i32,
    /// The leader epoch the client knows, -1 not to check (version 9 on).
    pub current_leader_epoch: i32,
    /// Where to read from.
    pub fetch_offset: i64,
    /// Epoch of the last record fetched, -1 not to check for divergence (version 12 on).
    pub last_fetched_epoch: i32,
    /// Log start offset of a replica that asks, else -1 (version 5 on).
    pub log_start_offset: i64,
    /// Stop at about that many bytes for this partition.
    pub partition_max_bytes: i32,
}

/// A topic whose partitions a session should drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForgottenTopic<'r, 'a> {
    /// By name up to version 12, by id from 13 on.
    pub topic: TopicRef<'a>,
    /// Its partitions to drop.
    pub partitions: &'r [i32],
}

impl<'a> FetchRequest<'a> {
    /// Decodes a request body (what follows the header). Bytes after the request are ignored, as Kafka does.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(body: &'a [u8], version: i16) -> Result<Self, Malformed> {
        let api = ApiKey::Fetch.api();
        let mut reader = Reader::new(body, api.flexible(version));
        if !api.serves(version) {
            return Err(reader.malformed("version", Why::Version { version }));
        }
        let replica_id = if version <= 14 { reader.i32("replica id")? } else { -1 };
        let mut request = Self {
            cluster_id: None,
            replica_id,
            replica_epoch: -1,
            max_wait_ms: reader.i32("max wait")?,
            min_bytes: reader.i32("min bytes")?,
            max_bytes: reader.i32("max bytes")?,
            isolation: Isolation::from_wire(reader.i8("isolation level")?),
            session_id: 0,
            session_epoch: -1,
            rack_id: "",
            topics: Vec::new(),
            partitions: Vec::new(),
            forgotten: Vec::new(),
            forgotten_partitions: Vec::new(),
        };
        if version >= SESSIONS_FROM {
            request.session_id = reader.i32("session id")?;
            request.session_epoch = reader.i32("session epoch")?;
        }
        request.decode_topics(&mut reader, version)?;
        if version >= SESSIONS_FROM {
            request.decode_forgotten(&mut reader, version)?;
        }
        if version >= 11 {
            request.rack_id = reader.string("rack id")?;
        }
        let mut tags = reader.tags()?;
        while let Some((tag, mut contents)) = tags.next(&mut reader)? {
            match tag {
                0 => request.cluster_id = contents.nullable_string("cluster id")?,
                1 if version >= 15 => {
                    request.replica_id = contents.i32("replica id")?;
                    request.replica_epoch = contents.i64("replica epoch")?;
                    contents.skip_tags()?;
                }
                _ => continue,
            }
            if contents.remaining() > 0 {
                return Err(contents.malformed("fetch request", Why::TagSize { tag }));
            }
        }
        Ok(request)
    }

    fn decode_topics(&mut self, reader: &mut Reader<'a>, version: i16) -> Result<(), Malformed> {
        let flexible = ApiKey::Fetch.api().flexible(version);
        let partition_bytes_min = 4
            + if version >= 9 { 4 } else { 0 }
            + 8
            + if version >= 12 { 4 } else { 0 }
            + if version >= 5 { 8 } else { 0 }
            + 4
            + usize::from(flexible);
        let count = reader.count(topic_bytes_min(version, flexible), "topics")?;
        self.topics.reserve_exact(count);
        for _ in 0..count {
            let topic = topic(reader, version)?;
            let first = self.partitions.len();
            let count = reader.count(partition_bytes_min, "partitions")?;
            self.partitions.reserve(count);
            for _ in 0..count {
                let partition = FetchPartition {
                    partition: reader.i32("partition")?,
                    current_leader_epoch: match version {
                        9.. => reader.i32("current leader epoch")?,
                        _ => -1,
                    },
                    fetch_offset: reader.i64("fetch offset")?,
                    last_fetched_epoch: match version {
                        12.. => reader.i32("last fetched epoch")?,
                        _ => -1,
                    },
                    log_start_offset: match version {
                        5.. => reader.i64("log start offset")?,
                        _ => -1,
                    },
                    partition_max_bytes: reader.i32("partition max bytes")?,
                };
                // The directory id and high watermark of a replica (tags 0 and 1) are of no use to us.
                reader.skip_tags()?;
                self.partitions.push(partition);
            }
            reader.skip_tags()?;
            self.topics.push((topic, first..self.partitions.len()));
        }
        Ok(())
    }

    fn decode_forgotten(&mut self, reader: &mut Reader<'a>, version: i16) -> Result<(), Malformed> {
        let flexible = ApiKey::Fetch.api().flexible(version);
        let count = reader.count(topic_bytes_min(version, flexible), "forgotten topics")?;
        self.forgotten.reserve_exact(count);
        for _ in 0..count {
            let topic = topic(reader, version)?;
            let first = self.forgotten_partitions.len();
            let count = reader.count(4, "forgotten partitions")?;
            self.forgotten_partitions.reserve(count);
            for _ in 0..count {
                self.forgotten_partitions.push(reader.i32("forgotten partition")?);
            }
            reader.skip_tags()?;
            self.forgotten.push((topic, first..self.forgotten_partitions.len()));
        }
        Ok(())
    }

    /// The topics, in request order.
    #[must_use]
    pub fn topics(&self) -> impl ExactSizeIterator<Item = FetchTopic<'_, 'a>> {
        self.topics.iter().map(|(topic, partitions)| FetchTopic {
            topic: *topic,
            partitions: &self.partitions[partitions.clone()],
        })
    }

    /// How many partitions the request names, over all topics.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// The topics whose partitions the session should drop.
    #[must_use]
    pub fn forgotten_topics(&self) -> impl ExactSizeIterator<Item = ForgottenTopic<'_, 'a>> {
        self.forgotten.iter().map(|(topic, partitions)| ForgottenTopic {
            topic: *topic,
            partitions: &self.forgotten_partitions[partitions.clone()],
        })
    }
}

/// The least a topic takes: its id or an empty name, an empty array, no tags.
fn topic_bytes_min(version: i16, flexible: bool) -> usize {
    match (version >= TOPIC_IDS_FROM, flexible) {
        (true, _) => 18,
        (false, true) => 3,
        (false, false) => 6,
    }
}

fn topic<'a>(reader: &mut Reader<'a>, version: i16) -> Result<TopicRef<'a>, Malformed> {
    if version >= TOPIC_IDS_FROM {
        reader.uuid("topic id").map(TopicRef::Id)
    } else {
        reader.string("topic name").map(TopicRef::Name)
    }
}

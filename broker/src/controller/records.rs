//! What the metadata log remembers, and how each record looks as bytes.
//!
//! A record is `kind: u8, version: u8, body`; all numbers little endian, a text is `length: u16` and UTF-8. A kind or
//! version this build does not know is refused by name, never skipped: it was written by a newer build and may change
//! what a topic is. A version only ever gains a body by getting a new number.

use super::{ConfigResource, TopicId};

/// One fact of the cluster's metadata. The image is the replay of all of them, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The cluster exists under this id. Always the first record.
    ClusterFormed {
        /// Kafka's cluster id: 22 characters of base64url, or whatever `format` was given.
        cluster_id: String,
    },
    /// A topic exists from here on.
    TopicCreated {
        /// Its identity, never used before.
        id: TopicId,
        /// Its name, unused at this point of the log.
        name: String,
        /// The replicas of partition 0, 1, ...: node ids, the preferred leader first.
        partitions: Vec<Vec<i32>>,
        /// Its own settings, by name.
        configs: Vec<(String, String)>,
    },
    /// The topic is gone; its files may still be there.
    TopicDeleted {
        /// The topic.
        id: TopicId,
    },
    /// The files of a deleted topic are gone too, so that its tombstone is no longer needed.
    TopicPruned {
        /// The deleted topic.
        id: TopicId,
    },
    /// Snapshot only: a deleted topic whose files may still be there.
    Tombstone {
        /// The deleted topic.
        id: TopicId,
        /// The name it had.
        name: String,
        /// How many partitions it had.
        partitions: u32,
    },
    /// A topic has more partitions.
    PartitionsAdded {
        /// The topic.
        id: TopicId,
        /// Index of the first new partition: the count so far.
        first: u32,
        /// The replicas of partition `first`, `first + 1`, ...
        partitions: Vec<Vec<i32>>,
    },
    /// A setting was set, or (with no value) unset.
    ConfigChanged {
        /// Whose setting.
        resource: ConfigResource,
        /// Name of the setting.
        key: String,
        /// Its new value.
        value: Option<String>,
    },
    /// Producer ids below this one may have been handed out.
    ProducerIds {
        /// The first id that certainly was not.
        next: i64,
    },
}

/// Why bytes are not a record of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer build.
    #[error(
        "HDL-META-001: metadata record of kind {kind}, version {version} is unknown to this build of heddle; \
         it was written by a newer one: start that one"
    )]
    Unknown {
        /// First byte.
        kind: u8,
        /// Second byte.
        version: u8,
    },
    /// Shorter or longer than its own counts say, or no UTF-8. The log's checksum passed, so it was written so.
    #[error("HDL-META-002: metadata record of kind {kind} is malformed: {what}")]
    Malformed {
        /// First byte, or 0 for an empty record.
        kind: u8,
        /// The field that did not fit.
        what: &'static str,
    },
}

const VERSION: u8 = 1;

const CLUSTER_FORMED: u8 = 1;
const TOPIC_CREATED: u8 = 2;
const TOPIC_DELETED: u8 = 3;
const TOPIC_PRUNED: u8 = 4;
const TOMBSTONE: u8 = 5;
const PARTITIONS_ADDED: u8 = 6;
const CONFIG_CHANGED: u8 = 7;
const PRODUCER_IDS: u8 = 8;

const RESOURCE_TOPIC: u8 = 1;
const RESOURCE_BROKER: u8 = 2;
const RESOURCE_CLUSTER: u8 = 3;

impl Record {
    /// The record as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(64));
        match self {
            Record::ClusterFormed { cluster_id } => {
                out.start(CLUSTER_FORMED);
                out.text(cluster_id);
            }
            Record::TopicCreated { id, name, partitions, configs } => {
                out.start(TOPIC_CREATED);
                out.bytes(&id.0);
                out.text(name);
                out.replicas(partitions);
                out.u32(configs.len());
                for (key, value) in configs {
                    out.text(key);
                    out.text(value);
                }
            }
            Record::TopicDeleted { id } => {
                out.start(TOPIC_DELETED);
                out.bytes(&id.0);
            }
            Record::TopicPruned { id } => {
                out.start(TOPIC_PRUNED);
                out.bytes(&id.0);
            }
            Record::Tombstone { id, name, partitions } => {
                out.start(TOMBSTONE);
                out.bytes(&id.0);
                out.text(name);
                out.bytes(&partitions.to_le_bytes());
            }
            Record::PartitionsAdded { id, first, partitions } => {
                out.start(PARTITIONS_ADDED);
                out.bytes(&id.0);
                out.bytes(&first.to_le_bytes());
                out.replicas(partitions);
            }
            Record::ConfigChanged { resource, key, value } => {
                out.start(CONFIG_CHANGED);
                match resource {
                    ConfigResource::Topic(id) => {
                        out.bytes(&[RESOURCE_TOPIC]);
                        out.bytes(&id.0);
                    }
                    ConfigResource::Broker(node) => {
                        out.bytes(&[RESOURCE_BROKER]);
                        out.bytes(&node.to_le_bytes());
                    }
                    ConfigResource::Cluster => out.bytes(&[RESOURCE_CLUSTER]),
                }
                out.text(key);
                match value {
                    Some(value) => {
                        out.bytes(&[1]);
                        out.text(value);
                    }
                    None => out.bytes(&[0]),
                }
            }
            Record::ProducerIds { next } => {
                out.start(PRODUCER_IDS);
                out.bytes(&next.to_le_bytes());
            }
        }
        out.0
    }

    /// Reads a record back. Total: any bytes give a record or an error.
    pub fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
        let &[kind, version, ref body @ ..] = bytes else {
            return Err(RecordError::Malformed {
                kind: 0,
                what: "shorter than its two byte header",
            });
        };
        if version != VERSION {
            return Err(RecordError::Unknown { kind, version });
        }
        let mut body = Reader { kind, rest: body };
        let record = match kind {
            CLUSTER_FORMED => Record::ClusterFormed { cluster_id: body.text("cluster id")? },
            TOPIC_CREATED => Record::TopicCreated {
                id: body.id()?,
                name: body.text("topic name")?,
                partitions: body.replicas()?,
                configs: body.configs()?,
            },
            TOPIC_DELETED => Record::TopicDeleted { id: body.id()? },
            TOPIC_PRUNED => Record::TopicPruned { id: body.id()? },
            TOMBSTONE => Record::Tombstone {
                id: body.id()?,
                name: body.text("topic name")?,
                partitions: body.u32("partition count")?,
            },
            PARTITIONS_ADDED => Record::PartitionsAdded {
                id: body.id()?,
                first: body.u32("first partition")?,
                partitions: body.replicas()?,
            },
            CONFIG_CHANGED => Record::ConfigChanged {
                resource: body.resource()?,
                key: body.text("setting name")?,
                value: match body.u8("value mark")? {
                    0 => None,
                    1 => Some(body.text("setting value")?),
                    _ => return Err(body.malformed("value mark")),
                },
            },
            PRODUCER_IDS => {
                Record::ProducerIds { next: i64::from_le_bytes(body.array("next id")?) }
            }
            kind => return Err(RecordError::Unknown { kind, version }),
        };
        if body.rest.is_empty() { Ok(record) } else { Err(body.malformed("bytes after its end")) }
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn start(&mut self, kind: u8) {
        self.0.extend_from_slice(&[kind, VERSION]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn u32(&mut self, count: usize) {
        let count = u32::try_from(count).expect("counts are bounded by limits.rs, far below 2^32");
        self.bytes(&count.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        let length = u16::try_from(text.len()).expect("texts are bounded by limits.rs, below 2^16");
        self.bytes(&length.to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn replicas(&mut self, partitions: &[Vec<i32>]) {
        self.u32(partitions.len());
        for replicas in partitions {
            let count = u8::try_from(replicas.len())
                .expect("a partition has at most limits::REPLICAS_MAX replicas");
            self.bytes(&[count]);
            for node in replicas {
                self.bytes(&node.to_le_bytes());
            }
        }
    }
}

struct Reader<'a> {
    kind: u8,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn malformed(&self, what: &'static str) -> RecordError {
        RecordError::Malformed { kind: self.kind, what }
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], RecordError> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.malformed(what));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], RecordError> {
        Ok(self.take(N, what)?.try_into().expect("take gives exactly N bytes"))
    }

    fn u8(&mut self, what: &'static str) -> Result<u8, RecordError> {
        Ok(self.array::<1>(what)?[0])
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, RecordError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn id(&mut self) -> Result<TopicId, RecordError> {
        Ok(TopicId(self.array("topic id")?))
    }

    fn text(&mut self, what: &'static str) -> Result<String, RecordError> {
        let length = u16::from_le_bytes(self.array(what)?);
        let bytes = self.take(usize::from(length), what)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| self.malformed(what))
    }

    fn replicas(&mut self) -> Result<Vec<Vec<i32>>, RecordError> {
        let count = self.u32("partition count")? as usize;
        // Each partition takes at least one byte: a count beyond the rest is a lie, found before memory is taken.
        if count > self.rest.len() {
            return Err(self.malformed("partition count"));
        }
        let mut partitions = Vec::with_capacity(count);
        for _ in 0..count {
            let replicas = self.u8("replica count")?;
            let nodes = self.take(usize::from(replicas) * 4, "replicas")?;
            let node = |bytes: &[u8]| i32::from_le_bytes(bytes.try_into().expect("chunks of four"));
            partitions.push(nodes.chunks_exact(4).map(node).collect());
        }
        Ok(partitions)
    }

    fn configs(&mut self) -> Result<Vec<(String, String)>, RecordError> {
        let count = self.u32("setting count")? as usize;
        if count > self.rest.len() {
            return Err(self.malformed("setting count"));
        }
        (0..count).map(|_| Ok((self.text("setting name")?, self.text("setting value")?))).collect()
    }

    fn resource(&mut self) -> Result<ConfigResource, RecordError> {
        match self.u8("resource kind")? {
            RESOURCE_TOPIC => Ok(ConfigResource::Topic(self.id()?)),
            RESOURCE_BROKER => {
                Ok(ConfigResource::Broker(i32::from_le_bytes(self.array("node id")?)))
            }
            RESOURCE_CLUSTER => Ok(ConfigResource::Cluster),
            _ => Err(self.malformed("resource kind")),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn examples() -> Vec<Record> {
        let id = TopicId([7; 16]);
        vec![
            Record::ClusterFormed { cluster_id: "MkU3OEVBNTcwNTJENDM2Qg".into() },
            Record::TopicCreated {
                id,
                name: "orders".into(),
                partitions: vec![vec![1], vec![1, 2, 3], vec![]],
                configs: vec![("retention.ms".into(), "-1".into()), ("a".into(), String::new())],
            },
            Record::TopicDeleted { id },
            Record::TopicPruned { id },
            Record::Tombstone { id, name: "orders".into(), partitions: 3 },
            Record::PartitionsAdded { id, first: 3, partitions: vec![vec![1]] },
            Record::ConfigChanged {
                resource: ConfigResource::Topic(id),
                key: "k".into(),
                value: Some("v".into()),
            },
            Record::ConfigChanged {
                resource: ConfigResource::Broker(-1),
                key: "k".into(),
                value: None,
            },
            Record::ConfigChanged {
                resource: ConfigResource::Cluster,
                key: "k".into(),
                value: Some(String::new()),
            },
            Record::ProducerIds { next: i64::MAX },
        ]
    }

    #[test]
    fn every_kind_comes_back_as_it_was() {
        for record in examples() {
            assert_eq!(Record::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn bytes_on_the_disk_do_not_change() {
        let record = Record::TopicCreated {
            id: TopicId([9; 16]),
            name: "ab".into(),
            partitions: vec![vec![1], vec![258]],
            configs: vec![("k".into(), "v".into())],
        };
        let mut expected = vec![2, 1];
        expected.extend_from_slice(&[9; 16]);
        expected.extend_from_slice(&[2, 0, b'a', b'b']);
        expected.extend_from_slice(&[2, 0, 0, 0, 1, 1, 0, 0, 0, 1, 2, 1, 0, 0]);
        expected.extend_from_slice(&[1, 0, 0, 0, 1, 0, b'k', 1, 0, b'v']);
        assert_eq!(record.encode(), expected);
        assert_eq!(Record::ProducerIds { next: 1000 }.encode(), [8, 1, 0xe8, 3, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_newer_build_is_named_not_skipped() {
        assert_eq!(Record::decode(&[200, 1]), Err(RecordError::Unknown { kind: 200, version: 1 }));
        assert_eq!(
            Record::decode(&[1, 2, 0, 0]),
            Err(RecordError::Unknown { kind: 1, version: 2 })
        );
        let message = RecordError::Unknown { kind: 200, version: 1 }.to_string();
        assert!(message.contains("HDL-META-001") && message.contains("newer"), "{message}");
    }

    #[test]
    fn every_cut_and_every_tail_is_refused() {
        for record in examples() {
            let bytes = record.encode();
            for end in 0..bytes.len() {
                assert!(Record::decode(&bytes[..end]).is_err(), "{record:?} cut at {end}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(Record::decode(&longer).is_err(), "{record:?} with a tail");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..10) {
            let _ = Record::decode(&bytes);
            let _ = Record::decode(&[&[kind, 1], &bytes[..]].concat());
        }
    }
}

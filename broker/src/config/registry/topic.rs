//! Topic properties. Each names the broker properties it takes its value from when a topic sets
//! none; the first of them that is set wins.

use crate::config::property::{Kind, Property, Synonym, Unit};

const INT_MAX: i64 = i32::MAX as i64;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 3_600_000;

macro_rules! behind {
    ($($name:literal $(* $factor:expr)?),+) => {
        &[$(Synonym { name: $name, factor: 1 $(* $factor)? }),+]
    };
}

/// The topic properties, in the order of the reference page.
pub static TOPIC: &[Property] = &[
    Property::new(
        "cleanup.policy",
        Kind::Choices(&["delete", "compact"]),
        "delete",
        "What happens to old records: `delete` removes segments by age and size, nothing keeps \
         them for ever. `compact` is accepted and keeps every record, as there is no compaction \
         yet.",
    )
    .synonyms(behind!("log.cleanup.policy"))
    .dynamic(),
    Property::new(
        "retention.ms",
        Kind::Long(-1, i64::MAX),
        "604800000",
        "How long records are kept, -1 for ever.",
    )
    .unit(Unit::Milliseconds)
    .synonyms(behind!(
        "log.retention.ms",
        "log.retention.minutes" * MINUTE,
        "log.retention.hours" * HOUR
    ))
    .dynamic(),
    Property::new(
        "retention.bytes",
        Kind::Long(-1, i64::MAX),
        "-1",
        "How many bytes of each partition are kept, -1 for all.",
    )
    .unit(Unit::Bytes)
    .synonyms(behind!("log.retention.bytes"))
    .dynamic(),
    Property::new(
        "segment.bytes",
        Kind::Int(1_048_576, INT_MAX),
        "1073741824",
        "The size at which a segment is sealed and the next begins.",
    )
    .unit(Unit::Bytes)
    .synonyms(behind!("log.segment.bytes"))
    .dynamic(),
    Property::new(
        "segment.ms",
        Kind::Long(1, i64::MAX),
        "604800000",
        "The age at which a segment is sealed.",
    )
    .unit(Unit::Milliseconds)
    .synonyms(behind!("log.roll.ms", "log.roll.hours" * HOUR))
    .dynamic(),
    Property::new(
        "max.message.bytes",
        Kind::Int(0, INT_MAX),
        "1048588",
        "The largest record batch the topic accepts, after compression.",
    )
    .unit(Unit::Bytes)
    .synonyms(behind!("message.max.bytes"))
    .dynamic(),
    Property::new(
        "index.interval.bytes",
        Kind::Int(0, INT_MAX),
        "4096",
        "The bytes of records between two entries of the offset index.",
    )
    .unit(Unit::Bytes)
    .synonyms(behind!("log.index.interval.bytes"))
    .dynamic(),
    Property::new(
        "message.timestamp.type",
        Kind::Choice(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        "Whose clock a record's timestamp is: the producer's or the broker's.",
    )
    .synonyms(behind!("log.message.timestamp.type"))
    .dynamic(),
    Property::new(
        "message.timestamp.before.max.ms",
        Kind::Long(0, i64::MAX),
        "9223372036854775807",
        "How far a producer's timestamp may lie in the past.",
    )
    .unit(Unit::Milliseconds)
    .synonyms(behind!("log.message.timestamp.before.max.ms"))
    .dynamic(),
    Property::new(
        "message.timestamp.after.max.ms",
        Kind::Long(0, i64::MAX),
        "3600000",
        "How far a producer's timestamp may lie in the future.",
    )
    .unit(Unit::Milliseconds)
    .synonyms(behind!("log.message.timestamp.after.max.ms"))
    .dynamic(),
    Property::new(
        "min.insync.replicas",
        Kind::Int(1, 32_767),
        "1",
        "How many replicas must be in sync for a write with acks=all.",
    )
    .synonyms(behind!("min.insync.replicas"))
    .dynamic(),
    Property::new(
        "ack.durability",
        Kind::Choice(&["device", "written", "memory"]),
        "device",
        "When a write to this topic counts as done: `device` after the journal is flushed to the \
         device, `written` after the kernel has it, `memory` after it is in memory.",
    )
    .synonyms(behind!("ack.durability"))
    .dynamic()
    .own(),
    Property::new(
        "produce.validation",
        Kind::Choice(&["header", "deep"]),
        "header",
        "How compressed batches are checked: `header` by their header and checksum, `deep` by \
         decompressing them and walking every record, as Kafka does.",
    )
    .synonyms(behind!("produce.validation"))
    .dynamic()
    .own(),
    Property::new(
        "compression.type",
        Kind::Choice(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
        "producer",
        "The codec a broker stores batches in.",
    )
    .synonyms(behind!("compression.type"))
    .dynamic()
    .no_effect("Batches are stored as the producer compressed them."),
    Property::new(
        "compression.gzip.level",
        Kind::Int(-1, 9),
        "-1",
        "The level at which a broker recompresses with gzip.",
    )
    .synonyms(behind!("compression.gzip.level"))
    .dynamic()
    .no_effect("Batches are stored as the producer compressed them."),
    Property::new(
        "compression.lz4.level",
        Kind::Int(1, 17),
        "9",
        "The level at which a broker recompresses with lz4.",
    )
    .synonyms(behind!("compression.lz4.level"))
    .dynamic()
    .no_effect("Batches are stored as the producer compressed them."),
    Property::new(
        "compression.zstd.level",
        Kind::Int(-131_072, 22),
        "3",
        "The level at which a broker recompresses with zstd.",
    )
    .synonyms(behind!("compression.zstd.level"))
    .dynamic()
    .no_effect("Batches are stored as the producer compressed them."),
    Property::new(
        "leader.replication.throttled.replicas",
        Kind::List,
        "",
        "The replicas whose leaders are throttled while partitions move.",
    )
    .dynamic()
    .no_effect("A node alone moves no partitions."),
    Property::new(
        "follower.replication.throttled.replicas",
        Kind::List,
        "",
        "The replicas that are throttled while partitions move.",
    )
    .dynamic()
    .no_effect("A node alone moves no partitions."),
    Property::new(
        "delete.retention.ms",
        Kind::Long(0, i64::MAX),
        "86400000",
        "How long a compacted topic keeps the marks of deleted keys.",
    )
    .unit(Unit::Milliseconds)
    .synonyms(behind!("log.cleaner.delete.retention.ms"))
    .dynamic()
    .no_effect("There is no compaction yet."),
    Property::new(
        "min.cleanable.dirty.ratio",
        Kind::Double(0.0, 1.0),
        "0.5",
        "The share of uncompacted bytes at which a log is compacted.",
    )
    .synonyms(behind!("log.cleaner.min.cleanable.ratio"))
    .dynamic()
    .no_effect("There is no compaction yet."),
    Property::new(
        "min.compaction.lag.ms",
        Kind::Long(0, i64::MAX),
        "0",
        "How long a record stays uncompacted at least.",
    )
    .unit(Unit::Milliseconds)
    .synonyms(behind!("log.cleaner.min.compaction.lag.ms"))
    .dynamic()
    .no_effect("There is no compaction yet."),
    Property::new(
        "max.compaction.lag.ms",
        Kind::Long(1, i64::MAX),
        "9223372036854775807",
        "How long a record stays uncompacted at most.",
    )
    .unit(Unit::Milliseconds)
    .synonyms(behind!("log.cleaner.max.compaction.lag.ms"))
    .dynamic()
    .no_effect("There is no compaction yet."),
    Property::new(
        "flush.messages",
        Kind::Long(1, i64::MAX),
        "9223372036854775807",
        "After how many records Kafka flushes a log.",
    )
    .synonyms(behind!("log.flush.interval.messages"))
    .dynamic()
    .no_effect("ack.durability decides when a record is flushed, and `device` is the default."),
    Property::new(
        "flush.ms",
        Kind::Long(0, i64::MAX),
        "9223372036854775807",
        "After how long Kafka flushes a log.",
    )
    .unit(Unit::Milliseconds)
    .synonyms(behind!("log.flush.interval.ms"))
    .dynamic()
    .no_effect("ack.durability decides when a record is flushed, and `device` is the default."),
    Property::new(
        "segment.index.bytes",
        Kind::Int(4, INT_MAX),
        "10485760",
        "The size of Kafka's preallocated index files.",
    )
    .unit(Unit::Bytes)
    .synonyms(behind!("log.index.size.max.bytes"))
    .dynamic()
    .no_effect("Index files are written whole when a segment is sealed."),
    Property::new(
        "segment.jitter.ms",
        Kind::Long(0, i64::MAX),
        "0",
        "A random part taken off segment.ms.",
    )
    .unit(Unit::Milliseconds)
    .synonyms(behind!("log.roll.jitter.ms"))
    .dynamic()
    .no_effect("Sealing a segment is cheap here and needs no spreading."),
    Property::new(
        "file.delete.delay.ms",
        Kind::Long(0, i64::MAX),
        "60000",
        "How long Kafka keeps a deleted segment's file.",
    )
    .unit(Unit::Milliseconds)
    .synonyms(behind!("log.segment.delete.delay.ms"))
    .dynamic()
    .no_effect("A file goes as soon as no reader holds it."),
    Property::new(
        "preallocate",
        Kind::Bool,
        "false",
        "Whether Kafka allocates a segment's file whole.",
    )
    .synonyms(behind!("log.preallocate"))
    .dynamic()
    .no_effect("Segment space is always reserved before a write is accepted."),
    Property::new(
        "unclean.leader.election.enable",
        Kind::Bool,
        "false",
        "Whether a replica that is not in sync may become leader.",
    )
    .synonyms(behind!("unclean.leader.election.enable"))
    .dynamic()
    .no_effect("A node alone elects no leaders."),
];

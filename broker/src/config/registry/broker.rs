//! Kafka's broker properties that Heddle honours, with Kafka's meaning and default unless the
//! sentence says otherwise.

use crate::config::property::{Kind, Property, Unit};

const INT_MAX: i64 = i32::MAX as i64;

/// The honoured broker properties, in the order of the reference page.
pub static BROKER: &[Property] = &[
    Property::new(
        "node.id",
        Kind::Int(0, INT_MAX),
        "1",
        "The number of this node, unique in its cluster.",
    )
    .aliases(&["broker.id"]),
    Property::new(
        "process.roles",
        Kind::Choices(&["broker", "controller"]),
        "broker,controller",
        "The roles of this node. A Heddle node is always both; a list without `broker` is refused.",
    ),
    Property::new(
        "listeners",
        Kind::List,
        "PLAINTEXT://127.0.0.1:9092",
        "The addresses to listen on, as NAME://host:port separated by commas. An empty host means \
         all interfaces, port 0 any free port. Listeners named in controller.listener.names are \
         not opened.",
    ),
    Property::new(
        "advertised.listeners",
        Kind::List,
        "",
        "The addresses given to clients, as NAME://host:port. Without it, each listener's own \
         address; for a listener on all interfaces, this host's name.",
    )
    .unset(),
    Property::new(
        "listener.security.protocol.map",
        Kind::List,
        "PLAINTEXT:PLAINTEXT",
        "The security protocol of each listener name. Only PLAINTEXT can be served so far.",
    ),
    Property::new(
        "controller.listener.names",
        Kind::List,
        "",
        "Names in `listeners` that belong to Kafka's controller. Heddle opens none of them.",
    )
    .unset(),
    Property::new(
        "log.dirs",
        Kind::List,
        "./data",
        "The data directory. Exactly one: a node spreads its load over shards, not over \
         directories. Kafka's default is /tmp/kafka-logs.",
    )
    .aliases(&["log.dir"]),
    Property::new(
        "num.partitions",
        Kind::Int(1, 10_000),
        "1",
        "The number of partitions of a topic created without a number.",
    ),
    Property::new(
        "default.replication.factor",
        Kind::Short(1, 32_767),
        "1",
        "The replication factor of a topic created without one. A node alone can hold 1.",
    ),
    Property::new(
        "min.insync.replicas",
        Kind::Int(1, 32_767),
        "1",
        "How many replicas must be in sync for a write with acks=all.",
    )
    .dynamic(),
    Property::new(
        "auto.create.topics.enable",
        Kind::Bool,
        "true",
        "Whether a Metadata request that allows it creates the topics it names.",
    ),
    Property::new("delete.topic.enable", Kind::Bool, "true", "Whether topics can be deleted."),
    Property::new(
        "message.max.bytes",
        Kind::Int(0, INT_MAX),
        "1048588",
        "The largest record batch a topic accepts, after compression.",
    )
    .unit(Unit::Bytes)
    .dynamic(),
    Property::new(
        "socket.request.max.bytes",
        Kind::Int(1_024, INT_MAX),
        "104857600",
        "The largest request a connection may send; a larger one closes it.",
    )
    .unit(Unit::Bytes),
    Property::new(
        "connections.max.idle.ms",
        Kind::Long(1, i64::MAX),
        "600000",
        "A connection without a request for this long is closed.",
    )
    .unit(Unit::Milliseconds),
    Property::new(
        "max.connections",
        Kind::Int(1, 1_000_000),
        "16384",
        "The most client connections at a time; one more is closed at once. Kafka's default is \
         without limit.",
    ),
    Property::new(
        "max.connections.per.ip",
        Kind::Int(0, INT_MAX),
        "2147483647",
        "The most client connections from one address.",
    ),
    Property::new(
        "fetch.max.bytes",
        Kind::Int(1_024, INT_MAX),
        "57671680",
        "The most bytes one fetch is answered with, whatever it asks for; a first batch larger \
         than this is still returned whole.",
    )
    .unit(Unit::Bytes),
    Property::new(
        "max.incremental.fetch.session.cache.slots",
        Kind::Int(0, 100_000),
        "1000",
        "The most fetch sessions the node keeps.",
    ),
    Property::new(
        "producer.id.expiration.ms",
        Kind::Int(1, INT_MAX),
        "86400000",
        "How long the sequence numbers of a silent idempotent producer are remembered.",
    )
    .unit(Unit::Milliseconds),
    Property::new(
        "log.segment.bytes",
        Kind::Int(1_048_576, INT_MAX),
        "1073741824",
        "The size at which a segment is sealed and the next begins.",
    )
    .unit(Unit::Bytes)
    .dynamic(),
    Property::new(
        "log.roll.ms",
        Kind::Long(1, i64::MAX),
        "",
        "The age at which a segment is sealed; goes before log.roll.hours.",
    )
    .unset()
    .unit(Unit::Milliseconds)
    .dynamic(),
    Property::new(
        "log.roll.hours",
        Kind::Int(1, INT_MAX),
        "168",
        "The age at which a segment is sealed.",
    )
    .unit(Unit::Hours),
    Property::new(
        "log.retention.ms",
        Kind::Long(-1, i64::MAX),
        "",
        "How long records are kept, -1 for ever; goes before log.retention.minutes.",
    )
    .unset()
    .unit(Unit::Milliseconds)
    .dynamic(),
    Property::new(
        "log.retention.minutes",
        Kind::Int(-1, INT_MAX),
        "",
        "How long records are kept, -1 for ever; goes before log.retention.hours.",
    )
    .unset()
    .unit(Unit::Minutes),
    Property::new(
        "log.retention.hours",
        Kind::Int(-1, INT_MAX),
        "168",
        "How long records are kept, -1 for ever.",
    )
    .unit(Unit::Hours),
    Property::new(
        "log.retention.bytes",
        Kind::Long(-1, i64::MAX),
        "-1",
        "How many bytes of a partition are kept, -1 for all.",
    )
    .unit(Unit::Bytes)
    .dynamic(),
    Property::new(
        "log.retention.check.interval.ms",
        Kind::Long(1, i64::MAX),
        "300000",
        "How often segments are checked against the retention rules.",
    )
    .unit(Unit::Milliseconds),
    Property::new(
        "log.cleanup.policy",
        Kind::Choices(&["delete", "compact"]),
        "delete",
        "What happens to old records: `delete` removes segments by age and size, nothing keeps \
         them for ever. `compact` is accepted and keeps every record, as there is no compaction \
         yet.",
    )
    .dynamic(),
    Property::new(
        "log.index.interval.bytes",
        Kind::Int(0, INT_MAX),
        "4096",
        "The bytes of records between two entries of the offset index.",
    )
    .unit(Unit::Bytes)
    .dynamic(),
    Property::new(
        "log.message.timestamp.type",
        Kind::Choice(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        "Whose clock a record's timestamp is: the producer's or the broker's.",
    )
    .dynamic(),
    Property::new(
        "log.message.timestamp.before.max.ms",
        Kind::Long(0, i64::MAX),
        "9223372036854775807",
        "How far a producer's timestamp may lie in the past.",
    )
    .unit(Unit::Milliseconds)
    .dynamic(),
    Property::new(
        "log.message.timestamp.after.max.ms",
        Kind::Long(0, i64::MAX),
        "3600000",
        "How far a producer's timestamp may lie in the future.",
    )
    .unit(Unit::Milliseconds)
    .dynamic(),
];

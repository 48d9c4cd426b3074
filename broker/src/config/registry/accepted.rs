//! Kafka's broker properties that files carry and Heddle has no use for: pools of threads that
//! shards replace, and the tuning of parts that are not there. They are read and checked, named
//! once in the log, and do nothing.

use crate::config::property::{Kind, Property, Unit};

const INT_MAX: i64 = i32::MAX as i64;
const COUNT: Kind = Kind::Int(0, INT_MAX);
const LONG: Kind = Kind::Long(-1, i64::MAX);

const SHARDS: &str = "Shards do this work: one thread per core, see `shards`.";
const SOCKETS: &str =
    "The kernel sizes socket buffers by itself, see net.ipv4.tcp_rmem and tcp_wmem.";
const BUDGET: &str = "Each shard admits requests by memory, see `shard.memory.bytes`.";
const ALONE: &str = "A node alone replicates to nobody and elects no leaders.";
const NO_GROUPS: &str = "There are no consumer groups yet.";
const NO_TRANSACTIONS: &str = "There are no transactions yet.";
const NO_COMPACTION: &str = "There is no compaction yet.";
const NO_QUOTAS: &str = "There are no quotas yet.";
const JOURNAL: &str = "The journal decides when data reaches the device, see `ack.durability`.";

const fn p(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Property {
    Property::new(name, kind, default, doc)
}

/// The accepted properties that do nothing, each with its reason.
pub static ACCEPTED: &[Property] = &[
    p("num.network.threads", COUNT, "3", "Kafka's network threads.").mapped(SHARDS),
    p("num.io.threads", COUNT, "8", "Kafka's request threads.").mapped(SHARDS),
    p("num.replica.fetchers", COUNT, "1", "Kafka's replication threads.").mapped(SHARDS),
    p("num.recovery.threads.per.data.dir", COUNT, "2", "Kafka's recovery threads.").mapped(SHARDS),
    p("background.threads", COUNT, "10", "Kafka's background threads.").mapped(SHARDS),
    p("socket.send.buffer.bytes", Kind::Int(-1, INT_MAX), "102400", "The socket's send buffer.")
        .unit(Unit::Bytes)
        .mapped(SOCKETS),
    p("socket.receive.buffer.bytes", Kind::Int(-1, INT_MAX), "102400", "The receive buffer.")
        .unit(Unit::Bytes)
        .mapped(SOCKETS),
    p("socket.listen.backlog.size", COUNT, "50", "Connections waiting to be accepted.")
        .no_effect("The backlog is 4096, capped by net.core.somaxconn."),
    p("queued.max.requests", COUNT, "500", "Requests waiting for a thread.").mapped(BUDGET),
    p("queued.max.request.bytes", LONG, "-1", "Bytes of waiting requests.").mapped(BUDGET),
    p("max.connection.creation.rate", COUNT, "2147483647", "New connections per second.")
        .no_effect("`max.connections` bounds them."),
    p("max.request.partition.size.limit", COUNT, "2000", "Partitions in one describe request.")
        .no_effect("The request's size bounds them."),
    p("broker.rack", Kind::Text, "", "The rack of this node.").unset().no_effect(ALONE),
    p("inter.broker.listener.name", Kind::Text, "", "The listener between brokers.")
        .unset()
        .no_effect(ALONE),
    p("controller.quorum.voters", Kind::List, "", "The controllers of the cluster.")
        .unset()
        .no_effect("This node is its own controller."),
    p("controller.quorum.bootstrap.servers", Kind::List, "", "Where controllers are found.")
        .unset()
        .no_effect("This node is its own controller."),
    p("controller.quorum.election.timeout.ms", COUNT, "1000", "").no_effect(ALONE),
    p("controller.quorum.election.backoff.max.ms", COUNT, "1000", "").no_effect(ALONE),
    p("controller.quorum.fetch.timeout.ms", COUNT, "2000", "").no_effect(ALONE),
    p("controller.quorum.request.timeout.ms", COUNT, "2000", "").no_effect(ALONE),
    p("controller.quorum.append.linger.ms", COUNT, "25", "").no_effect(ALONE),
    p("broker.heartbeat.interval.ms", COUNT, "2000", "").no_effect(ALONE),
    p("broker.session.timeout.ms", COUNT, "9000", "").no_effect(ALONE),
    p("initial.broker.registration.timeout.ms", COUNT, "60000", "").no_effect(ALONE),
    p("controlled.shutdown.enable", Kind::Bool, "true", "").no_effect(ALONE),
    p("auto.leader.rebalance.enable", Kind::Bool, "true", "").no_effect(ALONE),
    p("leader.imbalance.check.interval.seconds", LONG, "300", "").no_effect(ALONE),
    p("leader.imbalance.per.broker.percentage", COUNT, "10", "").no_effect(ALONE),
    p("unclean.leader.election.enable", Kind::Bool, "false", "").no_effect(ALONE).dynamic(),
    p("replica.lag.time.max.ms", LONG, "30000", "").no_effect(ALONE),
    p("replica.fetch.max.bytes", COUNT, "1048576", "").unit(Unit::Bytes).no_effect(ALONE),
    p("replica.fetch.min.bytes", COUNT, "1", "").unit(Unit::Bytes).no_effect(ALONE),
    p("replica.fetch.response.max.bytes", COUNT, "10485760", "").unit(Unit::Bytes).no_effect(ALONE),
    p("replica.fetch.wait.max.ms", COUNT, "500", "").no_effect(ALONE),
    p("replica.fetch.backoff.ms", COUNT, "1000", "").no_effect(ALONE),
    p("replica.socket.timeout.ms", COUNT, "30000", "").no_effect(ALONE),
    p("replica.socket.receive.buffer.bytes", COUNT, "65536", "").no_effect(ALONE),
    p("replica.high.watermark.checkpoint.interval.ms", LONG, "5000", "").no_effect(JOURNAL),
    p("request.timeout.ms", COUNT, "30000", "Kafka's wait for another broker.").no_effect(ALONE),
    p("metadata.log.dir", Kind::Text, "", "Where Kafka keeps its metadata log.")
        .unset()
        .no_effect("Metadata lives in the data directory."),
    p("metadata.log.segment.bytes", COUNT, "1073741824", "")
        .no_effect("The metadata log takes snapshots by itself."),
    p("metadata.log.segment.ms", LONG, "604800000", "")
        .no_effect("The metadata log takes snapshots by itself."),
    p("metadata.log.max.record.bytes.between.snapshots", LONG, "20971520", "")
        .no_effect("The metadata log takes snapshots by itself."),
    p("metadata.log.max.snapshot.interval.ms", LONG, "3600000", "")
        .no_effect("The metadata log takes snapshots by itself."),
    p("metadata.max.retention.bytes", LONG, "104857600", "")
        .no_effect("The metadata log takes snapshots by itself."),
    p("metadata.max.retention.ms", LONG, "604800000", "")
        .no_effect("The metadata log takes snapshots by itself."),
    p("metadata.max.idle.interval.ms", COUNT, "500", "").no_effect(ALONE),
    p("compression.type", Kind::Choice(CODECS), "producer", "The codec batches are stored in.")
        .no_effect("Batches are stored as the producer compressed them.")
        .dynamic(),
    p("compression.gzip.level", Kind::Int(-1, 9), "-1", "")
        .no_effect("Nothing is recompressed.")
        .dynamic(),
    p("compression.lz4.level", Kind::Int(1, 17), "9", "")
        .no_effect("Nothing is recompressed.")
        .dynamic(),
    p("compression.zstd.level", Kind::Int(-131_072, 22), "3", "")
        .no_effect("Nothing is recompressed.")
        .dynamic(),
    p("log.flush.interval.messages", Kind::Long(1, i64::MAX), "9223372036854775807", "")
        .no_effect(JOURNAL)
        .dynamic(),
    p("log.flush.interval.ms", LONG, "9223372036854775807", "").no_effect(JOURNAL).dynamic(),
    p("log.flush.scheduler.interval.ms", LONG, "9223372036854775807", "").no_effect(JOURNAL),
    p("log.flush.offset.checkpoint.interval.ms", COUNT, "60000", "").no_effect(JOURNAL),
    p("log.flush.start.offset.checkpoint.interval.ms", COUNT, "60000", "").no_effect(JOURNAL),
    p("log.index.size.max.bytes", COUNT, "10485760", "")
        .unit(Unit::Bytes)
        .no_effect("Index files are written whole when a segment is sealed.")
        .dynamic(),
    p("log.preallocate", Kind::Bool, "false", "")
        .no_effect("Segment space is always reserved before a write is accepted.")
        .dynamic(),
    p("log.roll.jitter.ms", LONG, "0", "").no_effect("Sealing a segment is cheap here.").dynamic(),
    p("log.roll.jitter.hours", COUNT, "0", "").no_effect("Sealing a segment is cheap here."),
    p("log.segment.delete.delay.ms", LONG, "60000", "")
        .no_effect("A file goes as soon as no reader holds it.")
        .dynamic(),
    p("log.dir.failure.timeout.ms", LONG, "30000", "")
        .no_effect("A failed write or sync ends the process at once."),
    p("log.cleaner.enable", Kind::Bool, "true", "").no_effect(NO_COMPACTION),
    p("log.cleaner.threads", COUNT, "1", "").no_effect(NO_COMPACTION),
    p("log.cleaner.backoff.ms", LONG, "15000", "").no_effect(NO_COMPACTION),
    p("log.cleaner.dedupe.buffer.size", LONG, "134217728", "").no_effect(NO_COMPACTION),
    p("log.cleaner.io.buffer.size", COUNT, "524288", "").no_effect(NO_COMPACTION),
    p("log.cleaner.io.buffer.load.factor", Kind::Double(0.0, 1.0), "0.9", "")
        .no_effect(NO_COMPACTION),
    p(
        "log.cleaner.io.max.bytes.per.second",
        Kind::Double(0.0, f64::MAX),
        "1.7976931348623157e308",
        "",
    )
    .no_effect(NO_COMPACTION),
    p("log.cleaner.delete.retention.ms", LONG, "86400000", "").no_effect(NO_COMPACTION).dynamic(),
    p("log.cleaner.min.cleanable.ratio", Kind::Double(0.0, 1.0), "0.5", "")
        .no_effect(NO_COMPACTION)
        .dynamic(),
    p("log.cleaner.min.compaction.lag.ms", LONG, "0", "").no_effect(NO_COMPACTION).dynamic(),
    p("log.cleaner.max.compaction.lag.ms", LONG, "9223372036854775807", "")
        .no_effect(NO_COMPACTION)
        .dynamic(),
    p("offsets.topic.num.partitions", COUNT, "50", "").no_effect(NO_GROUPS),
    p("offsets.topic.replication.factor", COUNT, "3", "").no_effect(NO_GROUPS),
    p("offsets.topic.segment.bytes", COUNT, "104857600", "").no_effect(NO_GROUPS),
    p("offsets.topic.compression.codec", COUNT, "0", "").no_effect(NO_GROUPS),
    p("offsets.retention.minutes", COUNT, "10080", "").no_effect(NO_GROUPS),
    p("offsets.retention.check.interval.ms", LONG, "600000", "").no_effect(NO_GROUPS),
    p("offsets.commit.timeout.ms", COUNT, "5000", "").no_effect(NO_GROUPS),
    p("offsets.load.buffer.size", COUNT, "5242880", "").no_effect(NO_GROUPS),
    p("offset.metadata.max.bytes", COUNT, "4096", "").no_effect(NO_GROUPS),
    p("group.initial.rebalance.delay.ms", COUNT, "3000", "").no_effect(NO_GROUPS),
    p("group.min.session.timeout.ms", COUNT, "6000", "").no_effect(NO_GROUPS),
    p("group.max.session.timeout.ms", COUNT, "1800000", "").no_effect(NO_GROUPS),
    p("group.max.size", COUNT, "2147483647", "").no_effect(NO_GROUPS),
    p("group.consumer.heartbeat.interval.ms", COUNT, "5000", "").no_effect(NO_GROUPS),
    p("group.consumer.session.timeout.ms", COUNT, "45000", "").no_effect(NO_GROUPS),
    p("group.consumer.max.size", COUNT, "2147483647", "").no_effect(NO_GROUPS),
    p("group.consumer.assignors", Kind::List, "uniform,range", "").no_effect(NO_GROUPS),
    p("group.consumer.migration.policy", Kind::Text, "bidirectional", "").no_effect(NO_GROUPS),
    p("group.coordinator.rebalance.protocols", Kind::List, "classic,consumer", "")
        .no_effect(NO_GROUPS),
    p("group.coordinator.threads", COUNT, "4", "").no_effect(NO_GROUPS),
    p("group.coordinator.append.linger.ms", Kind::Int(-1, INT_MAX), "5", "").no_effect(NO_GROUPS),
    p("share.coordinator.state.topic.num.partitions", COUNT, "50", "").no_effect(NO_GROUPS),
    p("share.coordinator.state.topic.replication.factor", COUNT, "3", "").no_effect(NO_GROUPS),
    p("share.coordinator.state.topic.min.isr", COUNT, "2", "").no_effect(NO_GROUPS),
    p("share.coordinator.threads", COUNT, "1", "").no_effect(NO_GROUPS),
    p("transaction.state.log.num.partitions", COUNT, "50", "").no_effect(NO_TRANSACTIONS),
    p("transaction.state.log.replication.factor", COUNT, "3", "").no_effect(NO_TRANSACTIONS),
    p("transaction.state.log.min.isr", COUNT, "2", "").no_effect(NO_TRANSACTIONS),
    p("transaction.state.log.segment.bytes", COUNT, "104857600", "").no_effect(NO_TRANSACTIONS),
    p("transaction.max.timeout.ms", COUNT, "900000", "").no_effect(NO_TRANSACTIONS),
    p("transactional.id.expiration.ms", COUNT, "604800000", "").no_effect(NO_TRANSACTIONS),
    p("transaction.partition.verification.enable", Kind::Bool, "true", "")
        .no_effect(NO_TRANSACTIONS),
    p("quota.window.num", COUNT, "11", "").no_effect(NO_QUOTAS),
    p("quota.window.size.seconds", COUNT, "1", "").no_effect(NO_QUOTAS),
    p("controller.quota.window.num", COUNT, "11", "").no_effect(NO_QUOTAS),
    p("controller.quota.window.size.seconds", COUNT, "1", "").no_effect(NO_QUOTAS),
    p("replication.quota.window.num", COUNT, "11", "").no_effect(NO_QUOTAS),
    p("replication.quota.window.size.seconds", COUNT, "1", "").no_effect(NO_QUOTAS),
];

const CODECS: &[&str] = &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"];

/// Whether a name configures the Java machine or a class loaded into it: accepted from any file,
/// named once in the log, and without effect.
pub fn is_jvm_hook(name: &str) -> bool {
    const FAMILIES: &[&str] = &[
        "metric.reporters",
        "metrics.",
        "kafka.metrics.",
        "auto.include.jmx.reporter",
        "confluent.",
    ];
    FAMILIES.iter().any(|family| name.starts_with(family))
        || name.ends_with(".class")
        || name.ends_with(".class.name")
        || name.contains(".jmx.")
}

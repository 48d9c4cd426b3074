//! Heddle's own broker properties. The environment spells them `HEDDLE_`.

use crate::config::property::{Kind, Property, Unit};

/// Heddle's own properties, in the order of the reference page.
pub static OWN: &[Property] = &[
    Property::new(
        "cluster.id",
        Kind::Text,
        "",
        "The cluster id to format an empty data directory with, and to insist on afterwards. \
         Without it the first start makes one up.",
    )
    .unset()
    .own(),
    Property::new(
        "shards",
        Kind::Int(0, 256),
        "0",
        "How many shards serve, each on a core of its own; 0 is one per core the process may use.",
    )
    .own(),
    Property::new(
        "shard.cores",
        Kind::List,
        "",
        "The cores the shards are pinned to, in shard order. Without it, the cores the process \
         may use, in order.",
    )
    .unset()
    .own(),
    Property::new("shard.pin", Kind::Bool, "true", "Whether each shard is pinned to its core.")
        .own(),
    Property::new(
        "shard.memory.bytes",
        Kind::Long(67_108_864, 1_099_511_627_776),
        "268435456",
        "The memory of each shard for requests, journal buffers, the tail cache and cold reads.",
    )
    .unit(Unit::Bytes)
    .own(),
    Property::new(
        "shard.registered.bytes",
        Kind::Long(0, 1_099_511_627_776),
        "16777216",
        "How much of a shard's memory is registered with its ring. What RLIMIT_MEMLOCK forbids is \
         left unregistered.",
    )
    .unit(Unit::Bytes)
    .own(),
    Property::new(
        "shard.spin.us",
        Kind::Int(0, 10_000),
        "0",
        "How long an idle shard looks for work before it sleeps. More than 0 trades processor \
         time for latency.",
    )
    .unit(Unit::Microseconds)
    .own(),
    Property::new(
        "admin.listener",
        Kind::Text,
        "127.0.0.1:9644",
        "Where health, metrics and stage timings are served over HTTP, as HOST:PORT; port 0 takes \
         any free one, nothing leaves it out. It asks for no password: keep it where only you \
         reach it. If the default is taken the broker warns and goes without.",
    )
    .own(),
    Property::new(
        "ack.durability",
        Kind::Choice(&["device", "written", "memory"]),
        "device",
        "When a write counts as done: `device` after the journal is flushed to the device, \
         `written` after the kernel has it, `memory` after it is in memory.",
    )
    .own()
    .dynamic(),
    Property::new(
        "produce.validation",
        Kind::Choice(&["header", "deep"]),
        "header",
        "How compressed batches are checked: `header` by their header and checksum, `deep` by \
         decompressing them and walking every record, as Kafka does.",
    )
    .own()
    .dynamic(),
    Property::new(
        "journal.file.bytes",
        Kind::Long(4_194_304, 1_073_741_824),
        "",
        "The size of one journal file, of which each shard has at least four. Without it, a quarter \
         of the shard's share of journal.bytes.max, at most 64 MiB.",
    )
    .unset()
    .unit(Unit::Bytes)
    .own(),
    Property::new(
        "journal.bytes.max",
        Kind::Long(16_777_216, 1_099_511_627_776),
        "",
        "The most bytes in the journals of all shards of this node. It bounds how much a start \
         after a crash has to read. Without it, 1 GiB, or what the shards need at least: 64 MiB \
         each, or four files of journal.file.bytes.",
    )
    .unset()
    .unit(Unit::Bytes)
    .own(),
    Property::new(
        "journal.gap.max.us",
        Kind::Int(0, 1_000),
        "1000",
        "The longest a commit waits for company where each would otherwise carry one batch: above \
         4,000 batches a second and shard. There 1000 saves processor time, a sixth to a half, and \
         doubles the median latency; a few hundred only cost. 0: it never waits.",
    )
    .unit(Unit::Microseconds)
    .own(),
];

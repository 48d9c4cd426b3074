//! The layouts of all requests but Produce and Fetch. From Kafka's message definitions; a test holds each version of
//! each against what the `kafka-protocol` crate writes.

use super::schema::{Fields, int8, int16, int32, int32s, int64, structs, text, texts, uuid};
use crate::versions::ApiKey;

pub(super) fn schema(key: ApiKey) -> Fields {
    match key {
        ApiKey::Produce | ApiKey::Fetch => panic!("{key:?} has a decoder of its own"),
        ApiKey::ListOffsets => LIST_OFFSETS,
        ApiKey::Metadata => METADATA,
        ApiKey::FindCoordinator => FIND_COORDINATOR,
        ApiKey::ApiVersions => API_VERSIONS,
        ApiKey::CreateTopics => CREATE_TOPICS,
        ApiKey::DeleteTopics => DELETE_TOPICS,
        ApiKey::DeleteRecords => DELETE_RECORDS,
        ApiKey::InitProducerId => INIT_PRODUCER_ID,
        ApiKey::OffsetForLeaderEpoch => OFFSET_FOR_LEADER_EPOCH,
        ApiKey::DescribeConfigs => DESCRIBE_CONFIGS,
        ApiKey::AlterConfigs => ALTER_CONFIGS,
        ApiKey::CreatePartitions => CREATE_PARTITIONS,
        ApiKey::IncrementalAlterConfigs => INCREMENTAL_ALTER_CONFIGS,
        ApiKey::DescribeCluster => DESCRIBE_CLUSTER,
    }
}

const LIST_OFFSETS: Fields = &[
    int32("replica id"),
    int8("isolation level").from(2),
    structs(
        "topics",
        &[
            text("topic"),
            structs(
                "partitions",
                &[int32("partition"), int32("current leader epoch").from(4), int64("timestamp")],
            ),
        ],
    ),
    int32("timeout").from(10),
];

const METADATA: Fields = &[
    structs("topics", &[uuid("topic id").from(10), text("topic").nullable(10)]).nullable(1),
    int8("allow auto topic creation").from(4),
    int8("include cluster authorized operations").from(8).to(10),
    int8("include topic authorized operations").from(8),
];

const FIND_COORDINATOR: Fields =
    &[text("key").to(3), int8("key type").from(1), texts("coordinator keys").from(4)];

const API_VERSIONS: Fields =
    &[text("client software name").from(3), text("client software version").from(3)];

const CREATE_TOPICS: Fields = &[
    structs(
        "topics",
        &[
            text("topic"),
            int32("partitions"),
            int16("replication factor"),
            structs("assignments", &[int32("partition"), int32s("brokers")]),
            structs("configs", &[text("config"), text("config value").nullable(0)]),
        ],
    ),
    int32("timeout"),
    int8("validate only"),
];

const DELETE_TOPICS: Fields = &[
    structs("topics", &[text("topic").nullable(6), uuid("topic id")]).from(6),
    texts("topic names").to(5),
    int32("timeout"),
];

const DELETE_RECORDS: Fields = &[
    structs(
        "topics",
        &[text("topic"), structs("partitions", &[int32("partition"), int64("offset")])],
    ),
    int32("timeout"),
];

const INIT_PRODUCER_ID: Fields = &[
    text("transactional id").nullable(0),
    int32("transaction timeout"),
    int64("producer id").from(3),
    int16("producer epoch").from(3),
];

const OFFSET_FOR_LEADER_EPOCH: Fields = &[
    int32("replica id").from(3),
    structs(
        "topics",
        &[
            text("topic"),
            structs(
                "partitions",
                &[int32("partition"), int32("current leader epoch"), int32("leader epoch")],
            ),
        ],
    ),
];

const DESCRIBE_CONFIGS: Fields = &[
    structs(
        "resources",
        &[int8("resource type"), text("resource"), texts("configuration keys").nullable(0)],
    ),
    int8("include synonyms"),
    int8("include documentation").from(3),
];

const ALTER_CONFIGS: Fields = &[
    structs(
        "resources",
        &[
            int8("resource type"),
            text("resource"),
            structs("configs", &[text("config"), text("config value").nullable(0)]),
        ],
    ),
    int8("validate only"),
];

const CREATE_PARTITIONS: Fields = &[
    structs(
        "topics",
        &[text("topic"), int32("count"), structs("assignments", &[int32s("brokers")]).nullable(0)],
    ),
    int32("timeout"),
    int8("validate only"),
];

const INCREMENTAL_ALTER_CONFIGS: Fields = &[
    structs(
        "resources",
        &[
            int8("resource type"),
            text("resource"),
            structs(
                "configs",
                &[text("config"), int8("operation"), text("config value").nullable(0)],
            ),
        ],
    ),
    int8("validate only"),
];

const DESCRIBE_CLUSTER: Fields = &[
    int8("include cluster authorized operations"),
    int8("endpoint type").from(1),
    int8("include fenced brokers").from(2),
];

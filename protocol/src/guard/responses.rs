//! The layouts of all responses but those of Produce and Fetch, for the client side. From Kafka's message
//! definitions; a test holds each version of each against what the `kafka-protocol` crate writes.

use super::schema::{Field, Fields, int8, int16, int32, int32s, int64, structs, text, uuid};
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
        ApiKey::AlterConfigs | ApiKey::IncrementalAlterConfigs => ALTER_CONFIGS,
        ApiKey::CreatePartitions => CREATE_PARTITIONS,
        ApiKey::DescribeCluster => DESCRIBE_CLUSTER,
    }
}

const ERROR: Field = int16("error code");
const MESSAGE: Field = text("error message").nullable(0);
const THROTTLE: Field = int32("throttle time");

const LIST_OFFSETS: Fields = &[
    THROTTLE.from(2),
    structs(
        "topics",
        &[
            text("topic"),
            structs(
                "partitions",
                &[
                    int32("partition"),
                    ERROR,
                    int64("timestamp"),
                    int64("offset"),
                    int32("leader epoch").from(4),
                ],
            ),
        ],
    ),
];

const METADATA: Fields = &[
    THROTTLE.from(3),
    structs(
        "brokers",
        &[int32("node id"), text("host"), int32("port"), text("rack").from(1).nullable(1)],
    ),
    text("cluster id").from(2).nullable(2),
    int32("controller id").from(1),
    structs(
        "topics",
        &[
            ERROR,
            text("topic").nullable(12),
            uuid("topic id").from(10),
            int8("is internal").from(1),
            structs(
                "partitions",
                &[
                    ERROR,
                    int32("partition"),
                    int32("leader id"),
                    int32("leader epoch").from(7),
                    int32s("replicas"),
                    int32s("in-sync replicas"),
                    int32s("offline replicas").from(5),
                ],
            ),
            int32("topic authorized operations").from(8),
        ],
    ),
    int32("cluster authorized operations").from(8).to(10),
    ERROR.from(13),
];

const FIND_COORDINATOR: Fields = &[
    THROTTLE.from(1),
    ERROR.to(3),
    MESSAGE.from(1).to(3),
    int32("node id").to(3),
    text("host").to(3),
    int32("port").to(3),
    structs(
        "coordinators",
        &[text("key"), int32("node id"), text("host"), int32("port"), ERROR, MESSAGE],
    )
    .from(4),
];

const API_VERSIONS: Fields = &[
    ERROR,
    structs("api keys", &[int16("api key"), int16("min version"), int16("max version")]),
    THROTTLE.from(1),
    structs("supported features", FEATURE).from(3).tag(0),
    int64("finalized features epoch").from(3).tag(1),
    structs("finalized features", FEATURE).from(3).tag(2),
    int8("zk migration ready").from(3).tag(3),
];

const FEATURE: Fields = &[text("feature"), int16("level"), int16("level")];

const CREATE_TOPICS: Fields = &[
    THROTTLE,
    structs(
        "topics",
        &[
            text("topic"),
            uuid("topic id").from(7),
            ERROR,
            MESSAGE,
            int32("partitions").from(5),
            int16("replication factor").from(5),
            structs(
                "configs",
                &[
                    text("config"),
                    text("config value").nullable(0),
                    int8("read only"),
                    int8("config source"),
                    int8("is sensitive"),
                ],
            )
            .from(5)
            .nullable(5),
            int16("topic config error code").from(5).tag(0),
        ],
    ),
];

const DELETE_TOPICS: Fields = &[
    THROTTLE,
    structs(
        "responses",
        &[text("topic").nullable(6), uuid("topic id").from(6), ERROR, MESSAGE.from(5)],
    ),
];

const DELETE_RECORDS: Fields = &[
    THROTTLE,
    structs(
        "topics",
        &[
            text("topic"),
            structs("partitions", &[int32("partition"), int64("low watermark"), ERROR]),
        ],
    ),
];

const INIT_PRODUCER_ID: Fields = &[THROTTLE, ERROR, int64("producer id"), int16("producer epoch")];

const OFFSET_FOR_LEADER_EPOCH: Fields = &[
    THROTTLE,
    structs(
        "topics",
        &[
            text("topic"),
            structs(
                "partitions",
                &[ERROR, int32("partition"), int32("leader epoch"), int64("end offset")],
            ),
        ],
    ),
];

const DESCRIBE_CONFIGS: Fields = &[
    THROTTLE,
    structs(
        "results",
        &[
            ERROR,
            MESSAGE,
            int8("resource type"),
            text("resource"),
            structs(
                "configs",
                &[
                    text("config"),
                    text("config value").nullable(0),
                    int8("read only"),
                    int8("config source"),
                    int8("is sensitive"),
                    structs(
                        "synonyms",
                        &[text("config"), text("config value").nullable(0), int8("source")],
                    ),
                    int8("config type").from(3),
                    text("documentation").from(3).nullable(3),
                ],
            ),
        ],
    ),
];

const ALTER_CONFIGS: Fields =
    &[THROTTLE, structs("responses", &[ERROR, MESSAGE, int8("resource type"), text("resource")])];

const CREATE_PARTITIONS: Fields = &[THROTTLE, structs("results", &[text("topic"), ERROR, MESSAGE])];

const DESCRIBE_CLUSTER: Fields = &[
    THROTTLE,
    ERROR,
    MESSAGE,
    int8("endpoint type").from(1),
    text("cluster id"),
    int32("controller id"),
    structs(
        "brokers",
        &[
            int32("broker id"),
            text("host"),
            int32("port"),
            text("rack").nullable(0),
            int8("is fenced").from(2),
        ],
    ),
    int32("cluster authorized operations"),
];

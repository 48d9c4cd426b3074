//! What a run does when nothing else is asked: the workload `steady`.

use std::collections::BTreeMap;

use crate::plan::model::{Acks, Arrivals, Codec, Keys, Partitioning, Payload, Plan, Rate, Sizes};

impl Default for Plan {
    /// 1,000 records of 1 KiB a second from one producer to four partitions of a topic, read by one consumer, for 30 s
    /// behind 5 s of warm-up.
    fn default() -> Plan {
        Plan {
            name: "steady".to_owned(),
            topics: 1,
            partitions: 4,
            topic_config: BTreeMap::new(),
            producers: 1,
            fan_out: 1,
            consumers: 1,
            rate: Rate::PerSecond(1_000.0),
            arrivals: Arrivals::Constant,
            sizes: Sizes::Fixed(1_024),
            keys: Keys::Null,
            partitioning: Partitioning::Sticky,
            payload: Payload::Random,
            codec: Codec::None,
            acks: Acks::All,
            linger_us: 0,
            batch_bytes: 16 << 10,
            in_flight: 5,
            request_batches: 0,
            idempotent: true,
            fetch_bytes_min: 1,
            fetch_wait_ms: 500,
            fetch_bytes_max: 50 << 20,
            warm_up_ms: 5_000,
            duration_ms: 30_000,
            beside: Vec::new(),
            threads: 0,
            cores: Vec::new(),
            seed: 1,
        }
    }
}

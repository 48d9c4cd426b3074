//! Goal: no frame a peer can make panics, and what is refused is refused by us, never by surprise in the codec. Method:
//! good frames of every API and version are broken at random (bytes changed, inserted, removed, cut, lengths made
//! extreme) and taken through header and body as in the broker, codec included.
//!
//! `MUTANTS=1000000` runs that many instead of the default; a failure prints its seed and frame.

use bytes::Bytes;
use protocol::client::{FetchCall, FetchCallPartition, ProduceCall, ProduceCallPartition, request};
use protocol::codec::{Request, StrBytes};
use protocol::fetch::{FetchRequest, Isolation};
use protocol::messages as m;
use protocol::produce::ProduceRequest;
use protocol::versions::APIS;
use protocol::wire::TopicRef;
use protocol::{ApiKey, Malformed, RequestHeader, Why, decode_request};

/// A stream of numbers from a seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn topic() -> m::TopicName {
    m::TopicName(text("orders"))
}

/// A good frame, without its length prefix.
fn good(key: ApiKey, version: i16) -> Vec<u8> {
    fn frame<T: Request>(version: i16, body: T) -> Vec<u8> {
        request(version, 7, Some("mutant"), &body).expect("a good request can be encoded")
    }
    let frame = match key {
        ApiKey::Produce | ApiKey::Fetch => by_hand(key, version),
        ApiKey::ListOffsets => {
            use m::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
            let partition = ListOffsetsPartition::default().with_timestamp(-1);
            let topic =
                ListOffsetsTopic::default().with_name(topic()).with_partitions(vec![partition; 2]);
            frame(version, m::ListOffsetsRequest::default().with_topics(vec![topic; 2]))
        }
        ApiKey::Metadata => {
            let topic = m::metadata_request::MetadataRequestTopic::default();
            let topics = vec![topic.with_name(Some(crate::topic())); 3];
            frame(version, m::MetadataRequest::default().with_topics(Some(topics)))
        }
        ApiKey::FindCoordinator if version < 4 => {
            frame(version, m::FindCoordinatorRequest::default().with_key(text("group")))
        }
        ApiKey::FindCoordinator => {
            let keys = vec![text("a"), text("b")];
            frame(version, m::FindCoordinatorRequest::default().with_coordinator_keys(keys))
        }
        ApiKey::ApiVersions if version < 3 => frame(version, m::ApiVersionsRequest::default()),
        ApiKey::ApiVersions => {
            let request = m::ApiVersionsRequest::default();
            frame(version, request.with_client_software_name(text("mutant")))
        }
        ApiKey::CreateTopics => {
            use m::create_topics_request::{
                CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
            };
            let assignment =
                CreatableReplicaAssignment::default().with_broker_ids(vec![m::BrokerId(1); 2]);
            let config = CreatableTopicConfig::default().with_name(text("retention.ms"));
            let topic = CreatableTopic::default()
                .with_name(topic())
                .with_assignments(vec![assignment; 2])
                .with_configs(vec![config; 2]);
            frame(version, m::CreateTopicsRequest::default().with_topics(vec![topic; 2]))
        }
        ApiKey::DeleteTopics if version < 6 => {
            let names = vec![topic(); 3];
            frame(version, m::DeleteTopicsRequest::default().with_topic_names(names))
        }
        ApiKey::DeleteTopics => {
            let topic = m::delete_topics_request::DeleteTopicState::default();
            frame(version, m::DeleteTopicsRequest::default().with_topics(vec![topic; 3]))
        }
        ApiKey::DeleteRecords => {
            use m::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
            let partitions = vec![DeleteRecordsPartition::default(); 2];
            let topic =
                DeleteRecordsTopic::default().with_name(topic()).with_partitions(partitions);
            frame(version, m::DeleteRecordsRequest::default().with_topics(vec![topic; 2]))
        }
        ApiKey::InitProducerId => frame(version, m::InitProducerIdRequest::default()),
        ApiKey::OffsetForLeaderEpoch => {
            use m::offset_for_leader_epoch_request::{
                OffsetForLeaderPartition, OffsetForLeaderTopic,
            };
            let partitions = vec![OffsetForLeaderPartition::default(); 2];
            let topic =
                OffsetForLeaderTopic::default().with_topic(topic()).with_partitions(partitions);
            frame(version, m::OffsetForLeaderEpochRequest::default().with_topics(vec![topic; 2]))
        }
        ApiKey::DescribeConfigs => {
            let resource = m::describe_configs_request::DescribeConfigsResource::default()
                .with_resource_name(text("orders"))
                .with_configuration_keys(Some(vec![text("a"), text("b")]));
            frame(version, m::DescribeConfigsRequest::default().with_resources(vec![resource; 2]))
        }
        ApiKey::AlterConfigs => {
            use m::alter_configs_request::{AlterConfigsResource, AlterableConfig};
            let config = AlterableConfig::default().with_value(Some(text("x")));
            let resource = AlterConfigsResource::default().with_configs(vec![config; 2]);
            frame(version, m::AlterConfigsRequest::default().with_resources(vec![resource; 2]))
        }
        ApiKey::CreatePartitions => {
            use m::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
            let assignment =
                CreatePartitionsAssignment::default().with_broker_ids(vec![m::BrokerId(1)]);
            let topic =
                CreatePartitionsTopic::default().with_assignments(Some(vec![assignment; 2]));
            frame(version, m::CreatePartitionsRequest::default().with_topics(vec![topic; 2]))
        }
        ApiKey::IncrementalAlterConfigs => {
            use m::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
            let config = AlterableConfig::default().with_value(Some(text("x")));
            let resource = AlterConfigsResource::default().with_configs(vec![config; 2]);
            let request = m::IncrementalAlterConfigsRequest::default();
            frame(version, request.with_resources(vec![resource; 2]))
        }
        ApiKey::DescribeCluster => frame(version, m::DescribeClusterRequest::default()),
    };
    frame[4..].to_vec()
}

fn by_hand(key: ApiKey, version: i16) -> Vec<u8> {
    let topic = if version >= 13 { TopicRef::Id([7; 16]) } else { TopicRef::Name("orders") };
    if key == ApiKey::Produce {
        let partitions = vec![ProduceCallPartition { index: 1, records: &[0xab; 80] }; 2];
        let topics = vec![(topic, partitions); 2];
        let call = ProduceCall { transactional_id: Some("t"), acks: -1, timeout_ms: 9, topics };
        return call.encode(version, 7, Some("mutant"));
    }
    let partition = FetchCallPartition {
        partition: 1,
        current_leader_epoch: 3,
        fetch_offset: 77,
        last_fetched_epoch: -1,
        partition_max_bytes: 1 << 20,
    };
    let call = FetchCall {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 1 << 26,
        isolation: Isolation::ReadCommitted,
        session_id: 5,
        session_epoch: 6,
        topics: vec![(topic, vec![partition; 2]); 2],
        forgotten: vec![(topic, vec![1, 2, 3])],
        rack_id: "rack",
    };
    call.encode(version, 7, Some("mutant"))
}

/// Breaks a frame in one to four places.
fn mutate(frame: &mut Vec<u8>, numbers: &mut Numbers) {
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(frame.len());
        match numbers.below(8) {
            0 => frame.truncate(at),
            1 => frame.insert(at, numbers.next() as u8),
            2 if !frame.is_empty() => drop(frame.remove(at)),
            3 | 4 => {
                // A length or count made extreme, in either encoding.
                let extremes: [&[u8]; 6] = [
                    &[0x7f, 0xff, 0xff, 0xff],
                    &[0x80, 0, 0, 0],
                    &[0xff, 0xff, 0xff, 0xfe],
                    &[0xff, 0xff, 0xff, 0xff, 0x0f],
                    &[0x7f, 0xff],
                    &[0, 0x10, 0, 0],
                ];
                let extreme = extremes[numbers.below(extremes.len())];
                for (byte, value) in frame.iter_mut().skip(at).zip(extreme) {
                    *byte = *value;
                }
            }
            _ if !frame.is_empty() => frame[at] ^= 1 << numbers.below(8),
            _ => {}
        }
    }
}

/// What becomes of a frame.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// Its header leads nowhere.
    NoHandler,
    /// Its body is malformed.
    Refused(Malformed),
    /// It reaches a handler.
    Read,
}

/// Takes a frame through header and body, codec included.
fn receive(frame: &Bytes) -> Outcome {
    let Ok(header) = RequestHeader::parse(frame) else { return Outcome::NoHandler };
    match body(frame, &header) {
        Some(malformed) => Outcome::Refused(malformed),
        None => Outcome::Read,
    }
}

fn body(frame: &Bytes, header: &RequestHeader<'_>) -> Option<Malformed> {
    fn go<T: Request>(body: Bytes, version: i16) -> Option<Malformed> {
        decode_request::<T>(body, version).err()
    }
    let version = header.version;
    let body = frame.slice(header.body_at..);
    match header.api.key {
        ApiKey::Produce => ProduceRequest::decode(&body, version).err(),
        ApiKey::Fetch => FetchRequest::decode(&body, version).err(),
        ApiKey::ListOffsets => go::<m::ListOffsetsRequest>(body, version),
        ApiKey::Metadata => go::<m::MetadataRequest>(body, version),
        ApiKey::FindCoordinator => go::<m::FindCoordinatorRequest>(body, version),
        ApiKey::ApiVersions => go::<m::ApiVersionsRequest>(body, version),
        ApiKey::CreateTopics => go::<m::CreateTopicsRequest>(body, version),
        ApiKey::DeleteTopics => go::<m::DeleteTopicsRequest>(body, version),
        ApiKey::DeleteRecords => go::<m::DeleteRecordsRequest>(body, version),
        ApiKey::InitProducerId => go::<m::InitProducerIdRequest>(body, version),
        ApiKey::OffsetForLeaderEpoch => go::<m::OffsetForLeaderEpochRequest>(body, version),
        ApiKey::DescribeConfigs => go::<m::DescribeConfigsRequest>(body, version),
        ApiKey::AlterConfigs => go::<m::AlterConfigsRequest>(body, version),
        ApiKey::CreatePartitions => go::<m::CreatePartitionsRequest>(body, version),
        ApiKey::IncrementalAlterConfigs => go::<m::IncrementalAlterConfigsRequest>(body, version),
        ApiKey::DescribeCluster => go::<m::DescribeClusterRequest>(body, version),
    }
}

#[test]
fn mutants_are_refused_or_read_and_never_panic() {
    let frames: Vec<Vec<u8>> = APIS
        .iter()
        .flat_map(|api| (api.min..=api.max).map(|version| good(api.key, version)))
        .collect();
    for frame in &frames {
        assert_eq!(receive(&Bytes::from(frame.clone())), Outcome::Read, "the original is good");
    }
    let wanted = std::env::var("MUTANTS").ok().and_then(|count| count.parse().ok());
    let count: u64 = wanted.unwrap_or(40_000);
    let (mut refused, mut read) = (0u64, 0u64);
    for seed in 0..count {
        let mut numbers = Numbers(seed);
        let mut frame = frames[numbers.below(frames.len())].clone();
        mutate(&mut frame, &mut numbers);
        let frame = Bytes::from(frame);
        match receive(&frame) {
            Outcome::Refused(malformed) => {
                refused += 1;
                assert_ne!(malformed.why, Why::Refused, "seed {seed}: {malformed}: {frame:02x?}");
            }
            Outcome::Read => read += 1,
            Outcome::NoHandler => {}
        }
    }
    // Both happen in numbers, or the mutations test nothing.
    assert!(refused > count / 10 && read > count / 10, "{refused} refused, {read} read");
}

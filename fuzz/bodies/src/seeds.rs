//! Inputs to begin with: for each target at least one of each kind, valid where there is such a thing.
//!
//! `cargo run -p fuzz-bodies --example seeds` writes them below `fuzz/corpus`.

use protocol::client::{FetchCall, FetchCallPartition, ProduceCall, ProduceCallPartition, request};
use protocol::codec::{Encodable, Request, StrBytes};
use protocol::fetch::Isolation;
use protocol::messages as m;
use protocol::versions::APIS;
use protocol::wire::TopicRef;
use protocol::{ApiKey, api_versions};
use storage::batch::{Builder, Codec, NewRecord, pack};
use storage::checkpoint::{LogCheckpoint, SegmentMeta};
use storage::ids::{Generation, LogId, Lsn, Offset, ProducerId};
use storage::log::{Producers, SegmentIndex};
use storage::superblock::{Calibration, FlushPrimitive, Superblock};

/// The bytes of a script: numbers that are no pattern.
fn script(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn scripts(heads: &[u8], each: u64, len: usize) -> Vec<Vec<u8>> {
    let script =
        |head: u8, seed| [&[head][..], &script(seed + u64::from(head) * 100, len)].concat();
    heads.iter().flat_map(|head| (1..=each).map(move |seed| script(*head, seed))).collect()
}

/// Streams of frames.
pub fn frames() -> Vec<Vec<u8>> {
    let frame = |len: usize| [&(len as i32).to_be_bytes()[..], &vec![7; len]].concat();
    let limits_and_pieces = [0u8, 3, 9, 0, 200, 0, 80, 6];
    let of = |stream: Vec<u8>| [&limits_and_pieces[..], &stream].concat();
    vec![
        of([frame(8), frame(12), frame(100)].concat()),
        of([frame(20_000), frame(9)].concat()),
        of([frame(16_384), frame(16_385)].concat()),
        of(frame(7)),
        of((-1i32).to_be_bytes().to_vec()),
        of(b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        of([frame(30), frame(9)[..6].to_vec()].concat()),
        vec![2, 0, 0, 0, 0, 65],
    ]
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn topic() -> m::TopicName {
    m::TopicName(text("orders"))
}

/// A good request of every API and version, without the length prefix.
pub fn requests() -> Vec<Vec<u8>> {
    let all = APIS.iter().flat_map(|api| (api.min..=api.max).map(|version| (api.key, version)));
    all.map(|(key, version)| good(key, version)[4..].to_vec()).collect()
}

fn good(key: ApiKey, version: i16) -> Vec<u8> {
    fn frame<T: Request>(version: i16, body: &T) -> Vec<u8> {
        request(version, 7, Some("seed"), body).expect("a good request can be encoded")
    }
    match key {
        ApiKey::Produce | ApiKey::Fetch => by_hand(key, version),
        ApiKey::ListOffsets => {
            use m::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
            let partitions = vec![ListOffsetsPartition::default().with_timestamp(-1); 2];
            let topic = ListOffsetsTopic::default().with_name(topic()).with_partitions(partitions);
            frame(version, &m::ListOffsetsRequest::default().with_topics(vec![topic; 2]))
        }
        ApiKey::Metadata => {
            let topic = m::metadata_request::MetadataRequestTopic::default();
            let topics = vec![topic.with_name(Some(crate::seeds::topic())); 2];
            frame(version, &m::MetadataRequest::default().with_topics(Some(topics)))
        }
        ApiKey::FindCoordinator if version < 4 => {
            frame(version, &m::FindCoordinatorRequest::default().with_key(text("group")))
        }
        ApiKey::FindCoordinator => {
            let keys = vec![text("a"), text("b")];
            frame(version, &m::FindCoordinatorRequest::default().with_coordinator_keys(keys))
        }
        ApiKey::ApiVersions if version < 3 => frame(version, &m::ApiVersionsRequest::default()),
        ApiKey::ApiVersions => {
            let request = m::ApiVersionsRequest::default();
            frame(version, &request.with_client_software_name(text("seed")))
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
                .with_assignments(vec![assignment])
                .with_configs(vec![config]);
            frame(version, &m::CreateTopicsRequest::default().with_topics(vec![topic; 2]))
        }
        ApiKey::DeleteTopics if version < 6 => {
            frame(version, &m::DeleteTopicsRequest::default().with_topic_names(vec![topic(); 2]))
        }
        ApiKey::DeleteTopics => {
            let topic = m::delete_topics_request::DeleteTopicState::default();
            frame(version, &m::DeleteTopicsRequest::default().with_topics(vec![topic; 2]))
        }
        ApiKey::DeleteRecords => {
            use m::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
            let topic = DeleteRecordsTopic::default()
                .with_name(topic())
                .with_partitions(vec![DeleteRecordsPartition::default(); 2]);
            frame(version, &m::DeleteRecordsRequest::default().with_topics(vec![topic]))
        }
        ApiKey::InitProducerId => frame(version, &m::InitProducerIdRequest::default()),
        ApiKey::OffsetForLeaderEpoch => {
            use m::offset_for_leader_epoch_request as ask;
            let topic = ask::OffsetForLeaderTopic::default()
                .with_topic(topic())
                .with_partitions(vec![ask::OffsetForLeaderPartition::default(); 2]);
            frame(version, &m::OffsetForLeaderEpochRequest::default().with_topics(vec![topic]))
        }
        ApiKey::DescribeConfigs => {
            let resource = m::describe_configs_request::DescribeConfigsResource::default()
                .with_resource_name(text("orders"))
                .with_configuration_keys(Some(vec![text("a"), text("b")]));
            frame(version, &m::DescribeConfigsRequest::default().with_resources(vec![resource; 2]))
        }
        ApiKey::AlterConfigs => {
            use m::alter_configs_request::{AlterConfigsResource, AlterableConfig};
            let config = AlterableConfig::default().with_value(Some(text("x")));
            let resource = AlterConfigsResource::default().with_configs(vec![config; 2]);
            frame(version, &m::AlterConfigsRequest::default().with_resources(vec![resource]))
        }
        ApiKey::CreatePartitions => {
            use m::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
            let assignment =
                CreatePartitionsAssignment::default().with_broker_ids(vec![m::BrokerId(1)]);
            let topic =
                CreatePartitionsTopic::default().with_assignments(Some(vec![assignment; 2]));
            frame(version, &m::CreatePartitionsRequest::default().with_topics(vec![topic]))
        }
        ApiKey::IncrementalAlterConfigs => {
            use m::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
            let config = AlterableConfig::default().with_value(Some(text("x")));
            let resource = AlterConfigsResource::default().with_configs(vec![config; 2]);
            let request = m::IncrementalAlterConfigsRequest::default();
            frame(version, &request.with_resources(vec![resource]))
        }
        ApiKey::DescribeCluster => frame(version, &m::DescribeClusterRequest::default()),
    }
}

fn by_hand(key: ApiKey, version: i16) -> Vec<u8> {
    let topic = if version >= 13 { TopicRef::Id([7; 16]) } else { TopicRef::Name("orders") };
    if key == ApiKey::Produce {
        let partitions = vec![ProduceCallPartition { index: 1, records: &[0xab; 20] }; 2];
        let topics = vec![(topic, partitions); 2];
        let call = ProduceCall { transactional_id: Some("t"), acks: -1, timeout_ms: 9, topics };
        return call.encode(version, 7, Some("seed"));
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
    call.encode(version, 7, Some("seed"))
}

/// Answers of the crate, and values for our own.
pub fn responses() -> Vec<Vec<u8>> {
    let mut seeds = scripts(&[2, 3, 4], 6, 160);
    let handshake = api_versions::response(4, 7, &api_versions::Features::default());
    let api = |key: ApiKey| APIS.iter().position(|api| api.key == key).unwrap_or_default() as u8;
    seeds.push([&[0, api(ApiKey::ApiVersions), 4][..], &handshake[8..]].concat());
    let mut answer = |key: ApiKey, version: i16, body: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = vec![0, api(key), (version - key.api().min) as u8];
        body(&mut bytes);
        seeds.push(bytes);
    };
    for version in [1, 9, 13] {
        use m::metadata_response::{
            MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
        };
        let topic = MetadataResponseTopic::default()
            .with_name(Some(topic()))
            .with_partitions(vec![MetadataResponsePartition::default(); 2]);
        let response = m::MetadataResponse::default()
            .with_brokers(vec![MetadataResponseBroker::default()])
            .with_topics(vec![topic; 2]);
        answer(ApiKey::Metadata, version, &|out| {
            response.encode(out, version).expect("it can be said");
        });
    }
    for (produce, version) in [(1u8, 0u8), (1, 10), (0, 0), (0, 14)] {
        // A correlation id, perhaps tags, and then numbers of which most are small.
        seeds.push([&[1, produce, version][..], &[0; 120]].concat());
    }
    seeds
}

fn batch(codec: Codec) -> Vec<u8> {
    let mut builder = Builder::new(codec).producer(ProducerId(4), 0, 9);
    builder.push(NewRecord::of(b"value").key(b"key").at(1_000).header(b"h", Some(b"1")));
    builder.push(NewRecord::null().key(b"key").at(900).header(b"h", None));
    builder.build().expect("a small batch can be built")
}

/// Batches of every codec, and what the codecs make of text.
pub fn batches() -> Vec<Vec<u8>> {
    let mut seeds = scripts(&[3], 8, 120);
    let words: Vec<u8> = (0..600).map(|at| b"the quick brown fox "[at * at / 7 % 20]).collect();
    for (number, codec) in (0u8..).zip(Codec::ALL) {
        for what in [0, 1, 2] {
            seeds.push([&[what, 0][..], &batch(codec)].concat());
        }
        seeds.push([&[0, 1][..], &batch(codec), &batch(Codec::None), &[0; 61]].concat());
        let packed = pack(codec, &words).expect("text packs");
        seeds.push([&[4, 0, number, 0xff, 0x7f][..], &packed].concat());
        seeds.push([&[5, 0, number, 40][..], &words[..100]].concat());
    }
    seeds
}

/// Scripts of journals, and one frame.
pub fn journal() -> Vec<Vec<u8>> {
    let mut seeds = scripts(&[2, 3], 12, 400);
    seeds.push([&[0][..], &[0; 64]].concat());
    for kind in 0..4 {
        // Files used before, by each kind of stranger.
        seeds.push([&[2, 9, 0, kind, 39][..], &script(70 + u64::from(kind), 300)].concat());
    }
    let mut header = b"HDLFRAME".to_vec();
    header.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 2, 0]);
    header.extend_from_slice(&0xfeedu64.to_le_bytes());
    for word in [1u64, 1, 1, 1] {
        header.extend_from_slice(&word.to_le_bytes());
    }
    for word in [4096u32, 96 + 56, 96, 1, 0, 0] {
        header.extend_from_slice(&word.to_le_bytes());
    }
    header.extend_from_slice(&[0; 8]);
    header.extend_from_slice(&[3, 0, 2, 0, 96]);
    seeds.push([&[1][..], &header].concat());
    seeds
}

/// One of everything a node reads when it starts.
pub fn state() -> Vec<Vec<u8>> {
    let id = LogId { topic: [7; 16], partition: 2, incarnation: 0 };
    let checkpoint = LogCheckpoint {
        segments: vec![
            SegmentMeta { bytes: 9_000, max_timestamp: 5, ..SegmentMeta::empty(Offset(0)) },
            SegmentMeta { bytes: 4_100, ..SegmentMeta::empty(Offset(40)) },
        ],
        synced_upto: Offset(55),
        tail_image: vec![1, 2, 3, 4],
        log_start: Offset(3),
        replay_from: Lsn(1_234),
        ..LogCheckpoint::empty(id, "orders.abc/2")
    };
    let superblock = Superblock {
        sequence: 4,
        generation: Generation(9),
        shards: 2,
        clean: true,
        salt: 77,
        node_id: 1,
        directory_id: [4; 16],
        cluster_id: "MkU3OEVBNTcwNTJENDM2Qk".to_owned(),
        formatted_ms: 1_790_000_000_000,
        flush: FlushPrimitive::Dsync,
        calibration: Calibration::default(),
    };
    let mut producers = Producers::new();
    let bytes = batch(Codec::None);
    let view = storage::batch::BatchView::first(&bytes).expect("just built");
    producers.replay(&view, 5);
    let offline = LogCheckpoint { offline: Some("lost".to_owned()), ..checkpoint.clone() };
    let mut seeds = scripts(&[1, 4, 5], 6, 100);
    seeds.push([&[0][..], &checkpoint.encode()].concat());
    seeds.push([&[0][..], &offline.encode()].concat());
    seeds.push([&[2, 1, 9, 1, 0, 0][..], &superblock.encode()[..160]].concat());
    seeds.push([&[3, 1][..], &producers.snapshot(Offset(2))].concat());
    seeds.push([&[3, 1][..], &producers.snapshot(Offset(1))].concat());
    seeds
        .push(b"\x06#\ncluster.id=MkU3OEVBNTcwNTJENDM2Qk\nnode.id=3\ndirectory.id=SG9f\n".to_vec());
    seeds
}

/// Scripts of record logs, and records of both kinds.
pub fn records() -> Vec<Vec<u8>> {
    use broker::controller::{ConfigResource, Record, TopicId};
    let id = TopicId([9; 16]);
    let name = || "orders".to_owned();
    let setting = ("retention.ms".to_owned(), "1".to_owned());
    let records = [
        Record::ClusterFormed { cluster_id: "MkU3OEVBNTcwNTJENDM2Qk".to_owned() },
        Record::Tombstone { id: TopicId([8; 16]), name: name(), partitions: 3 },
        Record::TopicCreated {
            id,
            name: name(),
            partitions: vec![vec![1], vec![1]],
            configs: vec![setting],
        },
        Record::PartitionsAdded { id, first: 2, partitions: vec![vec![1]] },
        Record::ConfigChanged {
            resource: ConfigResource::Topic(id),
            key: "retention.ms".to_owned(),
            value: Some("5".to_owned()),
        },
        Record::ConfigChanged {
            resource: ConfigResource::Broker(1),
            key: "a".to_owned(),
            value: None,
        },
        Record::ProducerIds { next: 1_000 },
        Record::TopicDeleted { id },
        Record::TopicPruned { id },
    ];
    let mut listed = vec![1];
    let mut seeds = scripts(&[2, 3], 10, 200);
    for record in records {
        let bytes = record.encode();
        listed.push(bytes.len() as u8);
        listed.extend(bytes);
        seeds.push(listed.clone());
    }
    let log = LogId { topic: [7; 16], partition: 2, incarnation: 0 };
    let checkpoint = LogCheckpoint::empty(log, "orders.abc/2");
    let mut listed = vec![1];
    let kinds = [
        [&[1][..], &checkpoint.encode()].concat(),
        [&[2][..], &log.to_bytes()].concat(),
        [&[3][..], &[5; 16]].concat(),
    ];
    for bytes in kinds {
        listed.push(bytes.len() as u8);
        listed.extend(bytes);
    }
    seeds.push(listed);
    seeds.push([&[0][..], &[0; 64]].concat());
    seeds
}

/// Scripts of segments, and an index.
pub fn segments() -> Vec<Vec<u8>> {
    let mut seeds = scripts(&[2, 3], 10, 300);
    let mut index = SegmentIndex::new(Offset(1_000), 100);
    let mut run = Vec::new();
    for at in 0..4 {
        let mut builder = Builder::new(Codec::None).base_offset(Offset(1_000 + at));
        builder.push(NewRecord::of(&[b'x'; 90]).at(at));
        let bytes = builder.build().expect("a small batch can be built");
        let view = storage::batch::BatchView::first(&bytes).expect("just built");
        index.append(view.header(), view.len());
        run.extend_from_slice(&bytes);
    }
    seeds.push([&[0, 1, 9, 9][..], &index.encode()].concat());
    seeds.push([&[1, 6, 0xff, 0x0f, 1, 0, 0, 0, 0][..], &run].concat());
    seeds
}

/// Texts of every kind.
pub fn settings() -> Vec<Vec<u8>> {
    let mut seeds = scripts(&[4], 4, 80);
    let texts: [(u8, &[u8]); 24] = [
        (0, b"node.id=1\nlog.dirs=/data\nlisteners=PLAINTEXT://:9092\n"),
        (0, b"# c\nretention.ms = 7d\\\n  \nlog.segment.bytes: 64MiB\nack.durability written"),
        (0, b"a\\u0041=\\t\\u12"),
        (0, b"num.partitions=3\rlog.retention.hours=168\r\nqueued.max.requests=5"),
        (1, b"\x0cretention.ms7d"),
        (1, b"\x0dsegment.bytes1 GiB"),
        (1, b"\x0ecleanup.policycompact,delete"),
        (1, b"\x0eack.durabilitydevice"),
        (1, b"\x07node.id-1"),
        (2, b"\x01\x84\x23PLAINTEXT://[::1]:9092"),
        (2, b"\x00host.example:9092"),
        (2, b"\x00SSL://0.0.0.0"),
        (3, b"\x01\x01:\x01a:b\n:\n\nx:y:z"),
        (3, b"\x00\x00plain\r\nlines"),
        (4, b"\x10%t %p %o %k %s\\n"),
        (4, b"\x06%T %h%%"),
        (5, b"@2026-11-23T05:20:16Z"),
        (5, b"@-7d"),
        (5, b"-100"),
        (5, b"start"),
        (5, b"@1700000000000"),
        (5, b"name=value"),
        (5, b"\\x09\\t"),
        (5, b"2026-02-29"),
    ];
    seeds.extend(texts.map(|(what, text)| [&[what][..], text].concat()));
    seeds
}

//! Goal: Fetch by hand is the Fetch of the `kafka-protocol` crate, in every version and from both ends, and total.
//! Method: random messages are encoded by one and decoded by the other; then broken.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::Bytes;
use kafka_protocol::messages as m;
use kafka_protocol::messages::{fetch_request as ask, fetch_response as theirs};
use kafka_protocol::protocol::{Encodable, StrBytes};
use proptest::prelude::*;

use super::*;
use crate::client::{FetchAnswer, FetchCall, FetchCallPartition};
use crate::error_code::ErrorCode;
use crate::versions::ApiKey;
use crate::wire::{LeaderIdAndEpoch, NodeEndpoint, TopicRef, Why};

const VERSIONS: std::ops::RangeInclusive<i16> = 4..=18;

fn str_bytes(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn name(text: &str) -> m::TopicName {
    m::TopicName(str_bytes(text))
}

#[derive(Debug, Clone)]
struct Ask {
    limits: (i32, i32, i32),
    committed: bool,
    session: (i32, i32),
    topics: Vec<(String, [u8; 16], Vec<FetchPartition>)>,
    forgotten: Vec<(String, [u8; 16], Vec<i32>)>,
    rack_id: String,
    cluster_id: Option<String>,
    replica: Option<(i32, i64)>,
    tags: bool,
}

fn asks() -> impl Strategy<Value = Ask> {
    let partition = (any::<[i32; 2]>(), any::<[i64; 2]>(), any::<[i32; 2]>()).prop_map(
        |([partition, epoch], [offset, start], [last, bytes])| FetchPartition {
            partition,
            current_leader_epoch: epoch,
            fetch_offset: offset,
            last_fetched_epoch: last,
            log_start_offset: start,
            partition_max_bytes: bytes,
        },
    );
    let partitions = prop::collection::vec(partition, 0..4);
    let topics = prop::collection::vec(("\\PC{0,20}", any::<[u8; 16]>(), partitions), 0..4);
    let forgotten = prop::collection::vec(
        ("[a-z]{0,9}", any::<[u8; 16]>(), prop::collection::vec(any::<i32>(), 0..4)),
        0..3,
    );
    let clients = (
        "[a-z]{0,6}",
        prop::option::of("[a-z]{0,6}"),
        prop::option::of((0..9i32, 0..9i64)),
        any::<bool>(),
    );
    (any::<(i32, i32, i32)>(), any::<bool>(), any::<(i32, i32)>(), topics, forgotten, clients)
        .prop_map(|(limits, committed, session, topics, forgotten, clients)| {
            let (rack_id, cluster_id, replica, tags) = clients;
            Ask {
                limits,
                committed,
                session,
                topics,
                forgotten,
                rack_id,
                cluster_id,
                replica,
                tags,
            }
        })
}

/// The partition without what the version cannot say.
fn cut_down(partition: &FetchPartition, version: i16) -> FetchPartition {
    let mut partition = *partition;
    if version < 9 {
        partition.current_leader_epoch = -1;
    }
    if version < 12 {
        partition.last_fetched_epoch = -1;
    }
    if version < 5 {
        partition.log_start_offset = -1;
    }
    partition
}

fn encode(asked: &Ask, version: i16) -> Vec<u8> {
    let tag = || Bytes::from_static(b"unknown");
    let tags = asked.tags && version >= 12;
    let topics = asked.topics.iter().map(|(topic, id, partitions)| {
        let partitions = partitions.iter().map(|partition| {
            let ours = cut_down(partition, version);
            let mut partition = ask::FetchPartition::default()
                .with_partition(ours.partition)
                .with_current_leader_epoch(ours.current_leader_epoch)
                .with_fetch_offset(ours.fetch_offset)
                .with_last_fetched_epoch(ours.last_fetched_epoch)
                .with_log_start_offset(ours.log_start_offset)
                .with_partition_max_bytes(ours.partition_max_bytes);
            if tags && version >= 17 {
                partition = partition.with_replica_directory_id(uuid::Uuid::from_bytes([9; 16]));
            }
            if tags && version >= 18 {
                partition = partition.with_high_watermark(12);
            }
            if tags { partition.with_unknown_tagged_field(50, tag()) } else { partition }
        });
        let data = ask::FetchTopic::default().with_partitions(partitions.collect());
        match version {
            13.. => data.with_topic_id(uuid::Uuid::from_bytes(*id)),
            _ => data.with_topic(name(topic)),
        }
    });
    let mut request = m::FetchRequest::default()
        .with_max_wait_ms(asked.limits.0)
        .with_min_bytes(asked.limits.1)
        .with_max_bytes(asked.limits.2)
        .with_isolation_level(i8::from(asked.committed))
        .with_topics(topics.collect());
    if version >= 7 {
        let forgotten = asked.forgotten.iter().map(|(topic, id, partitions)| {
            let data = ask::ForgottenTopic::default().with_partitions(partitions.clone());
            match version {
                13.. => data.with_topic_id(uuid::Uuid::from_bytes(*id)),
                _ => data.with_topic(name(topic)),
            }
        });
        request = request
            .with_session_id(asked.session.0)
            .with_session_epoch(asked.session.1)
            .with_forgotten_topics_data(forgotten.collect());
    }
    if version >= 11 {
        request = request.with_rack_id(str_bytes(&asked.rack_id));
    }
    if version >= 12 {
        request = request.with_cluster_id(asked.cluster_id.as_deref().map(str_bytes));
    }
    if let Some((id, epoch)) = asked.replica {
        request = if version >= 15 {
            let state = ask::ReplicaState::default();
            request.with_replica_state(
                state.with_replica_id(m::BrokerId(id)).with_replica_epoch(epoch),
            )
        } else {
            request.with_replica_id(m::BrokerId(id))
        };
    }
    if tags {
        request = request.with_unknown_tagged_field(9, tag());
    }
    let mut bytes = Vec::new();
    request.encode(&mut bytes, version).unwrap();
    bytes
}

proptest! {
    #[test]
    fn requests_of_the_codec_are_read(asked in asks()) {
        for version in VERSIONS {
            let mut body = encode(&asked, version);
            let length = body.len();
            body.extend_from_slice(b"what follows is ignored");
            let request = FetchRequest::decode(&body, version).unwrap();
            let limits = (request.max_wait_ms, request.min_bytes, request.max_bytes);
            prop_assert_eq!(limits, asked.limits);
            prop_assert_eq!(request.isolation == Isolation::ReadCommitted, asked.committed);
            let sessions = version >= 7;
            let session = if sessions { asked.session } else { (0, -1) };
            prop_assert_eq!((request.session_id, request.session_epoch), session);
            prop_assert_eq!(request.rack_id, if version >= 11 { &*asked.rack_id } else { "" });
            let cluster = asked.cluster_id.as_deref().filter(|_| version >= 12);
            prop_assert_eq!(request.cluster_id, cluster);
            let (id, epoch) = asked.replica.unwrap_or((-1, -1));
            prop_assert_eq!(request.replica_id, id);
            prop_assert_eq!(request.replica_epoch, if version >= 15 { epoch } else { -1 });
            prop_assert_eq!(request.topics().len(), asked.topics.len());
            for (came, (topic, id, partitions)) in request.topics().zip(&asked.topics) {
                prop_assert_eq!(came.topic, as_topic(topic, *id, version));
                let sent: Vec<_> = partitions.iter().map(|p| cut_down(p, version)).collect();
                prop_assert_eq!(came.partitions, &sent[..]);
            }
            let forgotten = if sessions { &asked.forgotten[..] } else { &[] };
            prop_assert_eq!(request.forgotten_topics().len(), forgotten.len());
            for (came, (topic, id, partitions)) in request.forgotten_topics().zip(forgotten) {
                prop_assert_eq!(came.topic, as_topic(topic, *id, version));
                prop_assert_eq!(came.partitions, &partitions[..]);
            }
            for cut in (0..length).step_by(1 + length / 40) {
                prop_assert!(FetchRequest::decode(&body[..cut], version).is_err());
            }
        }
    }

    #[test]
    fn calls_of_the_client_are_those_of_the_codec(asked in asks()) {
        let mut asked = asked;
        (asked.tags, asked.cluster_id, asked.replica) = (false, None, None);
        for partition in asked.topics.iter_mut().flat_map(|(_, _, partitions)| partitions) {
            partition.log_start_offset = -1;
        }
        for version in VERSIONS {
            let topics = asked.topics.iter().map(|(topic, id, partitions)| {
                let partitions = partitions.iter().map(|partition| FetchCallPartition {
                    partition: partition.partition,
                    current_leader_epoch: partition.current_leader_epoch,
                    fetch_offset: partition.fetch_offset,
                    last_fetched_epoch: partition.last_fetched_epoch,
                    partition_max_bytes: partition.partition_max_bytes,
                });
                (as_topic(topic, *id, version), partitions.collect())
            });
            let forgotten = asked.forgotten.iter().map(|(topic, id, partitions)| {
                (as_topic(topic, *id, version), partitions.clone())
            });
            let call = FetchCall {
                max_wait_ms: asked.limits.0,
                min_bytes: asked.limits.1,
                max_bytes: asked.limits.2,
                isolation: match asked.committed {
                    true => Isolation::ReadCommitted,
                    false => Isolation::ReadUncommitted,
                },
                session_id: asked.session.0,
                session_epoch: asked.session.1,
                topics: topics.collect(),
                forgotten: forgotten.collect(),
                rack_id: &asked.rack_id,
            };
            let frame = call.encode(version, 1, None);
            let header = crate::RequestHeader::parse(&frame[4..]).unwrap();
            prop_assert_eq!(&frame[4 + header.body_at..], &encode(&asked, version)[..]);
        }
    }

    #[test]
    fn broken_requests_are_refused_or_bounded(
        asked in asks(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for version in VERSIONS {
            let mut body = encode(&asked, version);
            for (at, byte) in &damage {
                *at.get_mut(&mut body[..]) = *byte;
            }
            total(&body, version);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_bounded(
        body in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..3], 0..400),
    ) {
        for version in -1..=20 {
            total(&body, version);
        }
    }
}

fn as_topic(topic: &str, id: [u8; 16], version: i16) -> TopicRef<'_> {
    if version >= TOPIC_IDS_FROM { TopicRef::Id(id) } else { TopicRef::Name(topic) }
}

/// Decoding ends, and what it gives is no larger than the body.
fn total(body: &[u8], version: i16) {
    let Ok(request) = FetchRequest::decode(body, version) else { return };
    assert!(request.topics().len() * 3 <= body.len());
    assert!(request.partition_count() * 16 <= body.len());
    assert!(
        request.forgotten_topics().map(|t| t.partitions.len() * 4).sum::<usize>() <= body.len()
    );
}

fn answers() -> impl Strategy<Value = FetchResponse<'static>> {
    let leader = (0..99i32, 0..99i32)
        .prop_map(|(leader_id, leader_epoch)| LeaderIdAndEpoch { leader_id, leader_epoch });
    let diverging =
        (0..99i32, 0..99i64).prop_map(|(epoch, end_offset)| EpochEndOffset { epoch, end_offset });
    let snapshot =
        (0..99i64, 0..99i32).prop_map(|(end_offset, epoch)| SnapshotId { end_offset, epoch });
    let aborted = any::<[i64; 2]>()
        .prop_map(|[producer_id, first_offset]| AbortedTransaction { producer_id, first_offset });
    let partition = (
        (any::<i32>(), prop::sample::select(ErrorCode::ALL), any::<[i64; 3]>(), any::<i32>()),
        (prop::option::of(diverging), prop::option::of(leader), prop::option::of(snapshot)),
        prop::option::of(prop::collection::vec(aborted, 0..3)),
        prop_oneof![Just(0usize), 0usize..200, Just(20_000)],
    )
        .prop_map(
            |((partition, error, [high, stable, start], replica), tags, aborted, bytes)| {
                PartitionData {
                    partition,
                    error,
                    high_watermark: high,
                    last_stable_offset: stable,
                    log_start_offset: start,
                    diverging_epoch: tags.0,
                    current_leader: tags.1,
                    snapshot_id: tags.2,
                    aborted_transactions: aborted,
                    preferred_read_replica: replica,
                    records_bytes: bytes,
                }
            },
        );
    let topics = prop::collection::vec(
        (any::<[u8; 16]>(), prop::collection::vec(partition, 0..4))
            .prop_map(|(id, partitions)| TopicData { topic: TopicRef::Id(id), partitions }),
        0..4,
    );
    let node = (any::<i32>(), "[a-z.]{1,20}", any::<u16>(), prop::option::of("[a-z]{1,5}"))
        .prop_map(|(node_id, host, port, rack)| NodeEndpoint {
            node_id,
            host,
            port: i32::from(port),
            rack,
        });
    let error = prop::sample::select(ErrorCode::ALL);
    (any::<i32>(), error, any::<i32>(), topics, prop::collection::vec(node, 0..3)).prop_map(
        |(throttle_time_ms, error, session_id, topics, node_endpoints)| FetchResponse {
            throttle_time_ms,
            error,
            session_id,
            topics,
            node_endpoints,
        },
    )
}

/// Stand-in records of a partition: their length is what counts.
fn records(index: usize, bytes: usize) -> Bytes {
    Bytes::from(vec![index as u8 + 1; bytes])
}

/// The same answer as the crate would hold it, without what the version cannot say.
fn as_theirs(answer: &FetchResponse<'_>, version: i16) -> m::FetchResponse {
    let mut index = 0;
    let topics = answer.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|ours| {
            index += 1;
            let aborted = ours.aborted_transactions.as_ref().map(|aborted| {
                let aborted = aborted.iter().map(|transaction| {
                    theirs::AbortedTransaction::default()
                        .with_producer_id(m::ProducerId(transaction.producer_id))
                        .with_first_offset(transaction.first_offset)
                });
                aborted.collect()
            });
            let mut data = theirs::PartitionData::default()
                .with_partition_index(ours.partition)
                .with_error_code(ours.error.code())
                .with_high_watermark(ours.high_watermark)
                .with_last_stable_offset(ours.last_stable_offset)
                .with_aborted_transactions(aborted)
                .with_records(Some(records(index - 1, ours.records_bytes)));
            if version >= 5 {
                data = data.with_log_start_offset(ours.log_start_offset);
            }
            if version >= 11 {
                data = data.with_preferred_read_replica(m::BrokerId(ours.preferred_read_replica));
            }
            if version >= 12 {
                if let Some(diverging) = ours.diverging_epoch {
                    data = data.with_diverging_epoch(
                        theirs::EpochEndOffset::default()
                            .with_epoch(diverging.epoch)
                            .with_end_offset(diverging.end_offset),
                    );
                }
                if let Some(leader) = ours.current_leader {
                    data = data.with_current_leader(
                        theirs::LeaderIdAndEpoch::default()
                            .with_leader_id(m::BrokerId(leader.leader_id))
                            .with_leader_epoch(leader.leader_epoch),
                    );
                }
                if let Some(snapshot) = ours.snapshot_id {
                    data = data.with_snapshot_id(
                        theirs::SnapshotId::default()
                            .with_end_offset(snapshot.end_offset)
                            .with_epoch(snapshot.epoch),
                    );
                }
            }
            data
        });
        let data = theirs::FetchableTopicResponse::default().with_partitions(partitions.collect());
        match topic.topic {
            TopicRef::Id(id) => data.with_topic_id(uuid::Uuid::from_bytes(id)),
            TopicRef::Name(topic) => data.with_topic(name(topic)),
        }
    });
    let mut response = m::FetchResponse::default()
        .with_throttle_time_ms(answer.throttle_time_ms)
        .with_responses(topics.collect());
    if version >= 7 {
        response = response.with_error_code(answer.error.code()).with_session_id(answer.session_id);
    }
    if version >= 16 {
        let nodes = answer.node_endpoints.iter().map(|node| {
            theirs::NodeEndpoint::default()
                .with_node_id(m::BrokerId(node.node_id))
                .with_host(str_bytes(&node.host))
                .with_port(node.port)
                .with_rack(node.rack.as_deref().map(str_bytes))
        });
        response = response.with_node_endpoints(nodes.collect());
    }
    response
}

fn renamed(answer: &FetchResponse<'static>, version: i16) -> FetchResponse<'static> {
    let mut answer = answer.clone();
    if version < TOPIC_IDS_FROM {
        for (topic, name) in answer.topics.iter_mut().zip(["orders", "", "größe", "x"]) {
            topic.topic = TopicRef::Name(name);
        }
    }
    answer
}

/// Puts the pieces together as the socket would.
fn on_the_wire(answer: &FetchResponse<'_>, encoded: &EncodedFetch) -> Vec<u8> {
    let sizes: Vec<usize> = answer
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| partition.records_bytes))
        .collect();
    let mut wire = Vec::new();
    for piece in encoded.pieces() {
        match piece {
            Piece::Bytes(range) => wire.extend_from_slice(&encoded.bytes[range]),
            Piece::Records(index) => wire.extend_from_slice(&records(index, sizes[index])),
        }
    }
    wire
}

proptest! {
    #[test]
    fn answers_are_those_of_the_codec_and_come_back(answer in answers()) {
        for version in VERSIONS {
            let answer = renamed(&answer, version);
            let encoded = answer.encode(version, 42);
            let wire = on_the_wire(&answer, &encoded);
            prop_assert_eq!(encoded.wire_bytes(), wire.len());
            let theirs = as_theirs(&answer, version);
            let framed = crate::encode_response(ApiKey::Fetch, version, 42, &theirs).unwrap();
            prop_assert!(wire == framed, "version {}", version);

            let bytes: Vec<u8> = encoded.clone().into_parts().into_iter().flat_map(|part| {
                match part {
                    Part::Bytes(bytes) => bytes,
                    Part::Records(_) => Vec::new(),
                }
            }).collect();
            prop_assert_eq!(&bytes, &encoded.bytes);

            let frame = Bytes::from(wire).slice(4..);
            let came = FetchAnswer::decode(version, 42, &frame).unwrap();
            prop_assert_eq!(came.throttle_time_ms, answer.throttle_time_ms);
            prop_assert_eq!(came.topics.len(), answer.topics.len());
            let mut index = 0;
            for (came, sent) in came.topics.iter().zip(&answer.topics) {
                prop_assert_eq!(&came.topic, sent.topic.name().unwrap_or_default());
                prop_assert_eq!(came.topic_id, sent.topic.id().unwrap_or_default());
                prop_assert_eq!(came.partitions.len(), sent.partitions.len());
                for (came, sent) in came.partitions.iter().zip(&sent.partitions) {
                    prop_assert_eq!((came.partition, came.error), (sent.partition, sent.error));
                    prop_assert_eq!(came.high_watermark, sent.high_watermark);
                    prop_assert_eq!(&came.aborted_transactions, &sent.aborted_transactions);
                    prop_assert_eq!(&came.records, &records(index, sent.records_bytes));
                    let leader = sent.current_leader.filter(|_| version >= 12);
                    prop_assert_eq!(came.current_leader, leader);
                    index += 1;
                }
            }
            for cut in (0..frame.len()).step_by(1 + frame.len() / 40) {
                prop_assert!(FetchAnswer::decode(version, 42, &frame.slice(..cut)).is_err());
            }
        }
    }

    #[test]
    fn any_bytes_are_no_answer_or_one(
        body in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..3], 0..400),
    ) {
        let mut frame = 42i32.to_be_bytes().to_vec();
        frame.extend_from_slice(&body);
        let frame = Bytes::from(frame);
        for version in VERSIONS {
            if let Ok(answer) = FetchAnswer::decode(version, 42, &frame) {
                let partitions: usize = answer.topics.iter().map(|t| t.partitions.len()).sum();
                prop_assert!(partitions * 22 <= frame.len());
            }
        }
    }
}

#[test]
fn a_tag_that_does_not_fill_its_size_is_refused() {
    let asked = Ask {
        limits: (0, 0, 0),
        committed: false,
        session: (0, 0),
        topics: vec![],
        forgotten: vec![],
        rack_id: String::new(),
        cluster_id: Some("abc".into()),
        replica: None,
        tags: false,
    };
    let mut body = encode(&asked, 12);
    // ... one tag: 0, 4 bytes: a compact string of 3. Let it say 2.
    let at = body.len() - 4;
    assert_eq!(body[at..], [4, b'a', b'b', b'c']);
    body[at] = 3;
    let error = FetchRequest::decode(&body, 12).unwrap_err();
    assert_eq!(error.why, Why::TagSize { tag: 0 });
}

#[test]
fn without_records_a_response_is_one_piece() {
    let topics = vec![TopicData {
        topic: TopicRef::Name("t"),
        partitions: vec![PartitionData::empty(0, ErrorCode::OffsetOutOfRange)],
    }];
    let encoded = FetchResponse { topics, ..FetchResponse::default() }.encode(11, 1);
    assert_eq!(encoded.pieces().collect::<Vec<_>>(), [Piece::Bytes(0..encoded.bytes.len())]);
    assert!(matches!(&encoded.into_parts()[..], [Part::Bytes(_)]));
}

//! Goal: Produce by hand is the Produce of the `kafka-protocol` crate, in every version and from both ends, and
//! total. Method: random messages are encoded by one and decoded by the other; then broken.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::Bytes;
use kafka_protocol::messages as m;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use proptest::prelude::*;

use super::*;
use crate::client::{ProduceAnswer, ProduceCall, ProduceCallPartition};
use crate::error_code::ErrorCode;
use crate::versions::ApiKey;
use crate::wire::{LeaderIdAndEpoch, NodeEndpoint, TopicRef};

const VERSIONS: std::ops::RangeInclusive<i16> = 3..=13;

/// Number and records.
type AskPartition = (i32, Option<Vec<u8>>);

#[derive(Debug, Clone)]
struct Ask {
    transactional_id: Option<String>,
    acks: i16,
    timeout_ms: i32,
    /// Name, id, partitions.
    topics: Vec<(String, [u8; 16], Vec<AskPartition>)>,
    tags: bool,
}

fn asks() -> impl Strategy<Value = Ask> {
    let records = prop::option::of(prop::collection::vec(any::<u8>(), 0..300));
    let partitions = prop::collection::vec((any::<i32>(), records), 0..4);
    let topics = prop::collection::vec(("\\PC{0,20}", any::<[u8; 16]>(), partitions), 0..4);
    (prop::option::of("[a-z]{0,8}"), any::<i16>(), any::<i32>(), topics, any::<bool>()).prop_map(
        |(transactional_id, acks, timeout_ms, topics, tags)| Ask {
            transactional_id,
            acks,
            timeout_ms,
            topics,
            tags,
        },
    )
}

fn str_bytes(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn name(text: &str) -> m::TopicName {
    m::TopicName(str_bytes(text))
}

/// The request as the crate writes it, with an unknown tagged field in every struct if asked.
fn encode(ask: &Ask, version: i16) -> Vec<u8> {
    let tag = || Bytes::from_static(b"unknown");
    let tags = ask.tags && version >= 9;
    let topics = ask.topics.iter().map(|(topic, id, partitions)| {
        let partitions = partitions.iter().map(|(index, records)| {
            let mut partition = PartitionProduceData::default()
                .with_index(*index)
                .with_records(records.clone().map(Bytes::from));
            if tags {
                partition = partition.with_unknown_tagged_field(77, tag());
            }
            partition
        });
        let mut data = TopicProduceData::default().with_partition_data(partitions.collect());
        data = match version {
            13.. => data.with_topic_id(uuid::Uuid::from_bytes(*id)),
            _ => data.with_name(name(topic)),
        };
        if tags { data.with_unknown_tagged_field(5, tag()) } else { data }
    });
    let mut request = m::ProduceRequest::default()
        .with_transactional_id(
            ask.transactional_id.as_deref().map(|id| m::TransactionalId(str_bytes(id))),
        )
        .with_acks(ask.acks)
        .with_timeout_ms(ask.timeout_ms)
        .with_topic_data(topics.collect());
    if tags {
        request = request.with_unknown_tagged_field(9, tag());
    }
    let mut bytes = Vec::new();
    request.encode(&mut bytes, version).unwrap();
    bytes
}

proptest! {
    #[test]
    fn requests_of_the_codec_are_read(ask in asks()) {
        for version in VERSIONS {
            let mut body = encode(&ask, version);
            let length = body.len();
            body.extend_from_slice(b"what follows is ignored");
            let request = ProduceRequest::decode(&body, version).unwrap();
            prop_assert_eq!(request.transactional_id, ask.transactional_id.as_deref());
            prop_assert_eq!((request.acks, request.timeout_ms), (ask.acks, ask.timeout_ms));
            prop_assert_eq!(request.topics().len(), ask.topics.len());
            for (came, (topic, id, partitions)) in request.topics().zip(&ask.topics) {
                match version {
                    13.. => prop_assert_eq!(came.topic, TopicRef::Id(*id)),
                    _ => prop_assert_eq!(came.topic, TopicRef::Name(topic)),
                }
                prop_assert_eq!(came.partitions.len(), partitions.len());
                for (came, (index, records)) in came.partitions.iter().zip(partitions) {
                    prop_assert_eq!(came.index, *index);
                    let came = came.records.clone().map(|range| &body[range]);
                    prop_assert_eq!(came, records.as_deref());
                }
            }
            // Any cut loses something.
            for cut in (0..length).step_by(1 + length / 40) {
                prop_assert!(ProduceRequest::decode(&body[..cut], version).is_err());
            }
        }
    }

    #[test]
    fn calls_of_the_client_are_read_by_the_codec(ask in asks()) {
        for version in VERSIONS {
            let topics = ask.topics.iter().map(|(topic, id, partitions)| {
                let topic =
                    if version >= 13 { TopicRef::Id(*id) } else { TopicRef::Name(topic) };
                let partitions = partitions.iter().map(|(index, records)| ProduceCallPartition {
                    index: *index,
                    records: records.as_deref().unwrap_or_default(),
                });
                (topic, partitions.collect())
            });
            let call = ProduceCall {
                transactional_id: ask.transactional_id.as_deref(),
                acks: ask.acks,
                timeout_ms: ask.timeout_ms,
                topics: topics.collect(),
            };
            let frame = Bytes::from(call.encode(version, 1, Some("c"))).slice(4..);
            let header = crate::RequestHeader::parse(&frame).unwrap();
            let mut body = frame.slice(header.body_at..);
            let came = m::ProduceRequest::decode(&mut body, version).unwrap();
            prop_assert!(body.is_empty());
            let mut plain = ask.clone();
            plain.tags = false;
            for (_, _, partitions) in &mut plain.topics {
                for (_, records) in partitions {
                    records.get_or_insert_default();
                }
            }
            let mut again = Vec::new();
            came.encode(&mut again, version).unwrap();
            prop_assert_eq!(again, encode(&plain, version));
        }
    }

    #[test]
    fn broken_requests_are_refused_or_bounded(
        ask in asks(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for version in VERSIONS {
            let mut body = encode(&ask, version);
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
        for version in -1..=15 {
            total(&body, version);
        }
    }
}

/// Decoding ends, and what it gives lies within the body.
fn total(body: &[u8], version: i16) {
    let Ok(request) = ProduceRequest::decode(body, version) else { return };
    assert!(request.topics().len() * 3 <= body.len());
    assert!(request.partitions().len() * 6 <= body.len());
    assert!(request.records_bytes() <= body.len());
    for range in request.partitions().iter().flat_map(|partition| &partition.records) {
        assert!(range.start <= range.end && range.end <= body.len());
    }
}

fn answers() -> impl Strategy<Value = ProduceResponse<'static>> {
    let message = || prop::option::of("[a-z ü]{0,30}");
    let record_error = (any::<i32>(), message())
        .prop_map(|(batch_index, message)| RecordError { batch_index, message });
    let leader = prop::option::of((0..99i32, 0..99i32)).prop_map(|leader| {
        leader.map(|(leader_id, leader_epoch)| LeaderIdAndEpoch { leader_id, leader_epoch })
    });
    let partition = (
        (any::<i32>(), prop::sample::select(ErrorCode::ALL), any::<i64>(), any::<i64>()),
        (any::<i64>(), prop::collection::vec(record_error, 0..3), message(), leader),
    )
        .prop_map(|((index, error, base, append), (start, errors, message, leader))| {
            PartitionResponse {
                index,
                error,
                base_offset: base,
                log_append_time_ms: append,
                log_start_offset: start,
                record_errors: errors,
                error_message: message,
                current_leader: leader,
            }
        });
    let node = (any::<i32>(), "[a-z.]{1,20}", any::<u16>(), prop::option::of("[a-z]{1,5}"))
        .prop_map(|(node_id, host, port, rack)| NodeEndpoint {
            node_id,
            host,
            port: i32::from(port),
            rack,
        });
    let topics = prop::collection::vec(
        (any::<[u8; 16]>(), prop::collection::vec(partition, 0..4))
            .prop_map(|(id, partitions)| TopicResponse { topic: TopicRef::Id(id), partitions }),
        0..4,
    );
    (topics, any::<i32>(), prop::collection::vec(node, 0..3)).prop_map(
        |(topics, throttle_time_ms, node_endpoints)| ProduceResponse {
            topics,
            throttle_time_ms,
            node_endpoints,
        },
    )
}

/// The same answer as the crate would hold it, without what the version cannot say.
fn as_theirs(answer: &ProduceResponse<'_>, version: i16) -> m::ProduceResponse {
    let message = |text: &Option<String>| text.as_deref().map(str_bytes);
    let topics = answer.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|ours| {
            let mut partition = theirs::PartitionProduceResponse::default()
                .with_index(ours.index)
                .with_error_code(ours.error.code())
                .with_base_offset(ours.base_offset)
                .with_log_append_time_ms(ours.log_append_time_ms);
            if version >= 5 {
                partition = partition.with_log_start_offset(ours.log_start_offset);
            }
            if version >= 8 {
                let errors = ours.record_errors.iter().map(|error| {
                    theirs::BatchIndexAndErrorMessage::default()
                        .with_batch_index(error.batch_index)
                        .with_batch_index_error_message(message(&error.message))
                });
                partition = partition
                    .with_record_errors(errors.collect())
                    .with_error_message(message(&ours.error_message));
            }
            match ours.current_leader {
                Some(leader) if version >= 10 => partition.with_current_leader(
                    theirs::LeaderIdAndEpoch::default()
                        .with_leader_id(m::BrokerId(leader.leader_id))
                        .with_leader_epoch(leader.leader_epoch),
                ),
                _ => partition,
            }
        });
        let response =
            theirs::TopicProduceResponse::default().with_partition_responses(partitions.collect());
        match topic.topic {
            TopicRef::Id(id) => response.with_topic_id(uuid::Uuid::from_bytes(id)),
            TopicRef::Name(topic) => response.with_name(name(topic)),
        }
    });
    let mut response = m::ProduceResponse::default()
        .with_responses(topics.collect())
        .with_throttle_time_ms(answer.throttle_time_ms);
    if version >= 10 {
        let nodes = answer.node_endpoints.iter().map(|node| {
            theirs::NodeEndpoint::default()
                .with_node_id(m::BrokerId(node.node_id))
                .with_host(str_bytes(&node.host))
                .with_port(node.port)
                .with_rack(message(&node.rack))
        });
        response = response.with_node_endpoints(nodes.collect());
    }
    response
}

/// Topics named as the version wants them.
fn renamed(answer: &ProduceResponse<'static>, version: i16) -> ProduceResponse<'static> {
    let mut answer = answer.clone();
    if version < TOPIC_IDS_FROM {
        for (topic, name) in answer.topics.iter_mut().zip(["orders", "", "größe", "x"]) {
            topic.topic = TopicRef::Name(name);
        }
    }
    answer
}

proptest! {
    #[test]
    fn answers_are_those_of_the_codec_and_come_back(answer in answers()) {
        for version in VERSIONS {
            let answer = renamed(&answer, version);
            let frame = answer.encode(version, 42);
            let theirs = as_theirs(&answer, version);
            let framed =
                crate::encode_response(ApiKey::Produce, version, 42, &theirs).unwrap();
            prop_assert_eq!(&frame, &framed, "version {}", version);

            let frame = Bytes::from(frame).slice(4..);
            let came = ProduceAnswer::decode(version, 42, &frame).unwrap();
            prop_assert_eq!(came.throttle_time_ms, answer.throttle_time_ms);
            let sent = answer.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(move |partition| (topic.topic, partition))
            });
            prop_assert_eq!(came.partitions.len(), sent.clone().count());
            for (came, (topic, sent)) in came.partitions.iter().zip(sent) {
                prop_assert_eq!(&*came.topic, topic.name().unwrap_or_default());
                prop_assert_eq!(came.topic_id, topic.id().unwrap_or_default());
                prop_assert_eq!((came.index, came.error), (sent.index, sent.error));
                prop_assert_eq!(came.base_offset, sent.base_offset);
                if version >= 8 {
                    prop_assert_eq!(&came.record_errors, &sent.record_errors);
                    prop_assert_eq!(&came.error_message, &sent.error_message);
                }
                if version >= 10 {
                    prop_assert_eq!(came.current_leader, sent.current_leader);
                }
            }
            for cut in (0..frame.len()).step_by(1 + frame.len() / 40) {
                prop_assert!(ProduceAnswer::decode(version, 42, &frame.slice(..cut)).is_err());
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
            if let Ok(answer) = ProduceAnswer::decode(version, 42, &frame) {
                prop_assert!(answer.partitions.len() * 22 <= frame.len());
            }
        }
    }
}

#[test]
fn huge_counts_allocate_nothing() {
    use crate::wire::{Why, Writer};
    let mut body = Vec::new();
    body.i16(-1); // transactional id
    body.i16(1);
    body.i32(1000);
    body.i32(i32::MAX);
    let error = ProduceRequest::decode(&body, 7).unwrap_err();
    assert_eq!(error.why, Why::TooManyElements { count: i32::MAX as usize, max: 0 });
    assert_eq!(error.field, "topics");
}

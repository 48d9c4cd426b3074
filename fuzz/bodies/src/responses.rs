//! Responses: what our encoders write the crate and our own client read as it was meant, and any bytes are an answer or
//! refused.
//!
//! Rules: encoders never panic, whatever a handler puts in (long texts are cut); the frame's length is its length; the
//! crate reads every field back; the client's decoders are total, and refuse what the crate refuses for want of bytes.

use bytes::Bytes;
use protocol::api_versions::{self, Feature, Features};
use protocol::client::{FetchAnswer, ProduceAnswer};
use protocol::codec::{Decodable, Encodable, Request};
use protocol::fetch::{
    AbortedTransaction, EpochEndOffset, FetchResponse, Part, PartitionData, SnapshotId, TopicData,
};
use protocol::header::parse_response_header;
use protocol::messages as m;
use protocol::produce::{PartitionResponse, ProduceResponse, RecordError, TopicResponse};
use protocol::versions::APIS;
use protocol::wire::{LeaderIdAndEpoch, NodeEndpoint, TopicRef};
use protocol::{ApiKey, ErrorCode, Why, guard};

use crate::input::Input;
use crate::requests::both_refuse;

/// What to do, then the bytes or the values for it.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(5) {
        0 => any_answer(&mut input),
        1 => any_answer_by_hand(&mut input),
        2 => produce(&mut input),
        3 => fetch(&mut input),
        _ => handshake(&mut input),
    }
}

fn any_answer(input: &mut Input<'_>) {
    let api = &APIS[input.below(APIS.len())];
    let version = api.min + input.below((api.max - api.min + 1) as usize) as i16;
    let body = Bytes::copy_from_slice(input.rest());
    match api.key {
        ApiKey::Produce | ApiKey::Fetch => {
            let _ = parse_response_header(&body, api, version);
        }
        ApiKey::ListOffsets => guarded::<m::ListOffsetsRequest>(body, version),
        ApiKey::Metadata => guarded::<m::MetadataRequest>(body, version),
        ApiKey::FindCoordinator => guarded::<m::FindCoordinatorRequest>(body, version),
        ApiKey::ApiVersions => guarded::<m::ApiVersionsRequest>(body, version),
        ApiKey::CreateTopics => guarded::<m::CreateTopicsRequest>(body, version),
        ApiKey::DeleteTopics => guarded::<m::DeleteTopicsRequest>(body, version),
        ApiKey::DeleteRecords => guarded::<m::DeleteRecordsRequest>(body, version),
        ApiKey::InitProducerId => guarded::<m::InitProducerIdRequest>(body, version),
        ApiKey::OffsetForLeaderEpoch => guarded::<m::OffsetForLeaderEpochRequest>(body, version),
        ApiKey::DescribeConfigs => guarded::<m::DescribeConfigsRequest>(body, version),
        ApiKey::AlterConfigs => guarded::<m::AlterConfigsRequest>(body, version),
        ApiKey::CreatePartitions => guarded::<m::CreatePartitionsRequest>(body, version),
        ApiKey::IncrementalAlterConfigs => {
            guarded::<m::IncrementalAlterConfigsRequest>(body, version);
        }
        ApiKey::DescribeCluster => guarded::<m::DescribeClusterRequest>(body, version),
    }
}

fn guarded<T: Request>(body: Bytes, version: i16)
where
    T::Response: PartialEq + std::fmt::Debug,
{
    let key = ApiKey::from_wire(T::KEY).expect("served");
    let codec = key.api().codec_version(version);
    match guard::decode_response_body::<T>(body.clone(), version) {
        Ok(message) => {
            let walked = guard::check_response(key, version, &body).expect("it passed just now");
            // The crate loses unknown tags from 2^31 on when it writes, and still counts them.
            if walked.tags == 0 {
                let mut again = Vec::new();
                message.encode(&mut again, codec).expect("what was read can be said again");
                let read = guard::decode_response_body::<T>(Bytes::from(again), version);
                assert_eq!(read.expect("and read again"), message);
            }
        }
        Err(malformed) => {
            assert_ne!(malformed.why, Why::Refused, "refused by the crate alone: {malformed}");
            // The crate believes no tagged field's size; only ApiVersions answers have known ones.
            if both_refuse(&malformed) && key != ApiKey::ApiVersions {
                let theirs = T::Response::decode(&mut body.clone(), codec);
                assert!(theirs.is_err(), "only we refuse {key:?} {version}: {malformed}");
            }
        }
    }
}

fn any_answer_by_hand(input: &mut Input<'_>) {
    let (produce, version) = (input.flag(), input.byte());
    let key = if produce { ApiKey::Produce } else { ApiKey::Fetch };
    let api = key.api();
    let version = api.min + i16::from(version) % (api.max - api.min + 1);
    let frame = Bytes::copy_from_slice(input.rest());
    let Ok((correlation_id, _)) = parse_response_header(&frame, api, version) else { return };
    if produce {
        if let Ok(answer) = ProduceAnswer::decode(version, correlation_id, &frame) {
            assert!(answer.partitions.len() <= frame.len());
        }
    } else if let Ok(answer) = FetchAnswer::decode(version, correlation_id, &frame) {
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let records: usize = partitions.map(|partition| partition.records.len()).sum();
        assert!(records <= frame.len(), "records lie in the frame, each once");
    }
}

/// Texts of a handler: short, or longer than a string on the wire may be.
fn text(input: &mut Input<'_>) -> String {
    if input.below(32) == 31 { "ü".repeat(20_000) } else { input.text(20) }
}

/// What a reader gets of a text: long ones are cut.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(0x7fff)]
}

fn leader(input: &mut Input<'_>) -> LeaderIdAndEpoch {
    LeaderIdAndEpoch { leader_id: input.i32(), leader_epoch: input.i32() }
}

fn endpoints(input: &mut Input<'_>) -> Vec<NodeEndpoint> {
    input.list(2, |input| NodeEndpoint {
        node_id: input.i32(),
        host: text(input),
        port: input.i32(),
        rack: input.option(text),
    })
}

/// A name or an id, as the version wants.
fn topic<'a>(by_id: bool, name: &'a str, id: [u8; 16]) -> TopicRef<'a> {
    if by_id { TopicRef::Id(id) } else { TopicRef::Name(name) }
}

/// The body of a whole frame, after its length was checked.
fn body(frame: &[u8], key: ApiKey, version: i16, correlation_id: i32) -> Bytes {
    let length = i32::from_be_bytes(frame[..4].try_into().expect("four bytes"));
    assert_eq!(length as usize, frame.len() - 4, "the frame's length is its length");
    let header = parse_response_header(&frame[4..], key.api(), version);
    let (correlated, at) = header.expect("our own header");
    assert_eq!(correlated, correlation_id);
    Bytes::copy_from_slice(&frame[4 + at..])
}

fn produce(input: &mut Input<'_>) {
    let version = 3 + input.below(11) as i16;
    let correlation_id = input.i32();
    let topics = input.list(3, |input| {
        let partitions = input.list(3, |input| PartitionResponse {
            index: input.i32(),
            error: ErrorCode::from_wire(input.u16() as i16),
            base_offset: input.i64(),
            log_append_time_ms: input.i64(),
            log_start_offset: input.i64(),
            record_errors: input.list(3, |input| RecordError {
                batch_index: input.i32(),
                message: input.option(text),
            }),
            error_message: input.option(text),
            current_leader: input.option(leader),
        });
        (text(input), input.array::<16>(), partitions)
    });
    let response = ProduceResponse {
        topics: topics
            .iter()
            .map(|(name, id, partitions)| TopicResponse {
                topic: topic(version >= 13, name, *id),
                partitions: partitions.clone(),
            })
            .collect(),
        throttle_time_ms: input.i32(),
        node_endpoints: endpoints(input),
    };
    let frame = response.encode(version, correlation_id);
    let mut rest = body(&frame, ApiKey::Produce, version, correlation_id);
    let theirs = m::ProduceResponse::decode(&mut rest, version).expect("the crate reads ours");
    assert!(rest.is_empty());
    assert_eq!(theirs.throttle_time_ms, response.throttle_time_ms);
    assert_eq!(theirs.responses.len(), topics.len());
    let nodes = if version >= 10 { response.node_endpoints.len() } else { 0 };
    assert_eq!(theirs.node_endpoints.len(), nodes);
    let frame = Bytes::from(frame).slice(4..);
    let answer = ProduceAnswer::decode(version, correlation_id, &frame).expect("the client too");
    let mut answered = answer.partitions.iter();
    for ((name, id, partitions), theirs) in topics.iter().zip(&theirs.responses) {
        if version >= 13 {
            assert_eq!(theirs.topic_id.as_bytes(), id);
        } else {
            assert_eq!(theirs.name.as_str(), cut(name));
        }
        assert_eq!(theirs.partition_responses.len(), partitions.len());
        for (sent, theirs) in partitions.iter().zip(&theirs.partition_responses) {
            let came = answered.next().expect("the client sees every partition");
            assert_eq!((came.index, came.error), (sent.index, sent.error));
            assert_eq!((theirs.index, theirs.error_code), (sent.index, sent.error.code()));
            assert_eq!(
                (came.base_offset, theirs.base_offset),
                (sent.base_offset, sent.base_offset)
            );
            assert_eq!(theirs.log_append_time_ms, sent.log_append_time_ms);
            if version >= 5 {
                assert_eq!(theirs.log_start_offset, sent.log_start_offset);
            }
            if version >= 8 {
                assert_eq!(theirs.record_errors.len(), sent.record_errors.len());
                assert_eq!(
                    theirs.error_message.as_ref().map(|text| text.as_str()),
                    sent.error_message.as_deref().map(cut)
                );
            }
            if version >= 10 {
                assert_eq!(came.current_leader, sent.current_leader);
            }
        }
    }
}

fn fetch(input: &mut Input<'_>) {
    let version = 4 + input.below(15) as i16;
    let correlation_id = input.i32();
    let topics = input.list(3, |input| {
        let partitions = input.list(3, |input| PartitionData {
            partition: input.i32(),
            error: ErrorCode::from_wire(input.u16() as i16),
            high_watermark: input.i64(),
            last_stable_offset: input.i64(),
            log_start_offset: input.i64(),
            diverging_epoch: input
                .option(|input| EpochEndOffset { epoch: input.i32(), end_offset: input.i64() }),
            current_leader: input.option(leader),
            snapshot_id: input
                .option(|input| SnapshotId { end_offset: input.i64(), epoch: input.i32() }),
            aborted_transactions: input.option(|input| {
                input.list(3, |input| AbortedTransaction {
                    producer_id: input.i64(),
                    first_offset: input.i64(),
                })
            }),
            preferred_read_replica: input.i32(),
            records_bytes: input.below(300),
        });
        (text(input), input.array::<16>(), partitions)
    });
    let response = FetchResponse {
        throttle_time_ms: input.i32(),
        error: ErrorCode::from_wire(input.u16() as i16),
        session_id: input.i32(),
        topics: topics
            .iter()
            .map(|(name, id, partitions)| TopicData {
                topic: topic(version >= 13, name, *id),
                partitions: partitions.clone(),
            })
            .collect(),
        node_endpoints: endpoints(input),
    };
    let encoded = response.encode(version, correlation_id);
    let wire_bytes = encoded.wire_bytes();
    // The records of partition n are so many bytes n.
    let sizes: Vec<usize> = topics
        .iter()
        .flat_map(|(_, _, partitions)| partitions.iter().map(|one| one.records_bytes))
        .collect();
    let mut frame = Vec::new();
    for part in encoded.into_parts() {
        match part {
            Part::Bytes(bytes) => frame.extend(bytes),
            Part::Records(at) => frame.resize(frame.len() + sizes[at], at as u8),
        }
    }
    assert_eq!(frame.len(), wire_bytes);
    let mut rest = body(&frame, ApiKey::Fetch, version, correlation_id);
    let theirs = m::FetchResponse::decode(&mut rest, version).expect("the crate reads ours");
    assert!(rest.is_empty());
    assert_eq!(theirs.throttle_time_ms, response.throttle_time_ms);
    assert_eq!(theirs.responses.len(), topics.len());
    let frame = Bytes::from(frame).slice(4..);
    let answer = FetchAnswer::decode(version, correlation_id, &frame).expect("the client too");
    assert_eq!(answer.topics.len(), topics.len());
    if version >= 7 {
        assert_eq!((answer.error, answer.session_id), (response.error, response.session_id));
        assert_eq!(theirs.session_id, response.session_id);
    }
    let mut index = 0;
    for (((name, id, sent), theirs), came) in
        topics.iter().zip(&theirs.responses).zip(&answer.topics)
    {
        if version >= 13 {
            assert_eq!((theirs.topic_id.as_bytes(), &came.topic_id), (id, id));
        } else {
            assert_eq!((theirs.topic.as_str(), came.topic.as_str()), (cut(name), cut(name)));
        }
        assert_eq!((theirs.partitions.len(), came.partitions.len()), (sent.len(), sent.len()));
        for ((sent, theirs), came) in sent.iter().zip(&theirs.partitions).zip(&came.partitions) {
            let records = vec![index as u8; sent.records_bytes];
            assert_eq!(came.records, records, "records lie where they belong");
            assert_eq!(theirs.records.as_deref(), Some(&records[..]));
            assert_eq!((came.partition, came.error), (sent.partition, sent.error));
            assert_eq!(
                (theirs.partition_index, theirs.error_code),
                (sent.partition, sent.error.code())
            );
            assert_eq!(came.high_watermark, sent.high_watermark);
            assert_eq!(theirs.high_watermark, sent.high_watermark);
            assert_eq!(came.last_stable_offset, sent.last_stable_offset);
            assert_eq!(came.aborted_transactions, sent.aborted_transactions);
            if version >= 11 {
                assert_eq!(came.preferred_read_replica, sent.preferred_read_replica);
            }
            if version >= 12 {
                assert_eq!(came.current_leader, sent.current_leader);
                let diverging =
                    sent.diverging_epoch.unwrap_or(EpochEndOffset { epoch: -1, end_offset: -1 });
                assert_eq!(theirs.diverging_epoch.epoch, diverging.epoch);
                assert_eq!(theirs.diverging_epoch.end_offset, diverging.end_offset);
            }
            index += 1;
        }
    }
}

fn handshake(input: &mut Input<'_>) {
    let version = input.below(5) as i16;
    let correlation_id = input.i32();
    let feature = |input: &mut Input<'_>| Feature {
        name: text(input),
        min: input.u16() as i16,
        max: input.u16() as i16,
    };
    let features = Features {
        supported: input.list(3, feature),
        finalized: input.list(3, feature),
        finalized_epoch: input.i64(),
    };
    let frame = api_versions::response(version, correlation_id, &features);
    let mut rest = body(&frame, ApiKey::ApiVersions, version, correlation_id);
    let theirs = m::ApiVersionsResponse::decode(&mut rest, version).expect("the crate reads ours");
    assert!(rest.is_empty());
    assert_eq!(theirs.api_keys.len(), APIS.len());
    if version >= 4 {
        assert_eq!(theirs.supported_features.len(), features.supported.len());
    }
    let refusal = api_versions::unsupported_version(correlation_id);
    let mut rest = body(&refusal, ApiKey::ApiVersions, 0, correlation_id);
    let theirs = m::ApiVersionsResponse::decode(&mut rest, 0).expect("the crate reads ours");
    assert_eq!(theirs.error_code, ErrorCode::UnsupportedVersion.code());
}

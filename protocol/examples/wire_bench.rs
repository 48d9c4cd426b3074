//! How long the hot decoders and encoders take, beside the `kafka-protocol` crate's in the same run.
//!
//! `cargo run --release -p protocol --example wire_bench`

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::unwrap_used, reason = "a benchmark of good messages")]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use protocol::client::{ProduceCall, ProduceCallPartition};
use protocol::codec::{Decodable, Encodable};
use protocol::fetch::{FetchResponse, PartitionData, TopicData};
use protocol::produce::ProduceRequest;
use protocol::wire::TopicRef;
use protocol::{ApiKey, ErrorCode, RequestHeader, decode_request, guard, messages as m};

/// Best of 7 rounds, in nanoseconds per call: the machine is shared, and noise only ever adds.
fn time(mut work: impl FnMut()) -> f64 {
    let round = |work: &mut dyn FnMut()| {
        let mut calls = 0u64;
        let begin = Instant::now();
        while begin.elapsed().as_millis() < 40 {
            for _ in 0..100 {
                work();
            }
            calls += 100;
        }
        begin.elapsed().as_nanos() as f64 / calls as f64
    };
    (0..7).map(|_| round(&mut work)).fold(f64::INFINITY, f64::min)
}

fn line(what: &str, ours: f64, theirs: f64) {
    println!("{what:<52} {ours:>10.0} ns {theirs:>10.0} ns {:>7.1}x", theirs / ours);
}

fn produce(partitions: i32, record_bytes: usize) {
    let records = vec![7u8; record_bytes];
    let parts = (0..partitions).map(|index| ProduceCallPartition { index, records: &records });
    let call = ProduceCall {
        transactional_id: None,
        acks: -1,
        timeout_ms: 30_000,
        topics: vec![(TopicRef::Name("orders"), parts.collect())],
    };
    let frame = Bytes::from(call.encode(9, 1, Some("bench"))).slice(4..);
    let body_at = RequestHeader::parse(&frame).unwrap().body_at;
    let ours = time(|| {
        let header = RequestHeader::parse(black_box(&frame)).unwrap();
        let request = ProduceRequest::decode(&frame[header.body_at..], header.version).unwrap();
        black_box(request.records_bytes());
    });
    let theirs = time(|| {
        let mut body = black_box(&frame).slice(body_at..);
        black_box(m::ProduceRequest::decode(&mut body, 9).unwrap());
    });
    line(&format!("decode Produce, {partitions} partitions of {record_bytes} B"), ours, theirs);
}

fn fetch(partitions: i32, record_bytes: usize) {
    let parts = (0..partitions).map(|index| PartitionData {
        records_bytes: record_bytes,
        high_watermark: 1_000,
        ..PartitionData::empty(index, ErrorCode::None)
    });
    let topics = vec![TopicData { topic: TopicRef::Id([7; 16]), partitions: parts.collect() }];
    let response = FetchResponse { topics, ..FetchResponse::default() };
    let ours = time(|| {
        let encoded = black_box(&response).encode(16, 1);
        black_box(encoded.pieces().count());
    });
    let records = Bytes::from(vec![7u8; record_bytes]);
    let parts = (0..partitions).map(|index| {
        m::fetch_response::PartitionData::default()
            .with_partition_index(index)
            .with_records(Some(records.clone()))
    });
    let topic = m::fetch_response::FetchableTopicResponse::default()
        .with_topic_id(uuid::Uuid::from_bytes([7; 16]))
        .with_partitions(parts.collect());
    let body = m::FetchResponse::default().with_responses(vec![topic]);
    let theirs = time(|| {
        let mut out = Vec::with_capacity(64 + partitions as usize * (record_bytes + 64));
        black_box(&body).encode(&mut out, 16).unwrap();
        black_box(out);
    });
    line(&format!("encode Fetch, {partitions} partitions of {record_bytes} B"), ours, theirs);
}

fn guarded(topics: usize) {
    let names = (0..topics).map(|n| m::TopicName(format!("topic-{n}").into()));
    let names = names
        .map(|name| m::metadata_request::MetadataRequestTopic::default().with_name(Some(name)));
    let request = m::MetadataRequest::default().with_topics(Some(names.collect()));
    let mut body = Vec::new();
    request.encode(&mut body, 12).unwrap();
    let body = Bytes::from(body);
    let theirs = time(|| {
        black_box(m::MetadataRequest::decode(&mut black_box(&body).clone(), 12).unwrap());
    });
    let ours = time(|| {
        black_box(decode_request::<m::MetadataRequest>(black_box(&body).clone(), 12).unwrap());
    });
    let walk = time(|| {
        black_box(guard::check_request(ApiKey::Metadata, 12, black_box(&body)).unwrap());
    });
    line(&format!("decode Metadata of {topics} topics, guarded"), ours, theirs);
    println!("{:<52} {walk:>10.0} ns", "  of which the guard");
}

fn main() {
    println!("{:<52} {:>13} {:>13} {:>8}", "", "here", "kafka-protocol", "ratio");
    produce(1, 1_024);
    produce(64, 1_024);
    produce(1, 1_048_576);
    fetch(1, 1_024);
    fetch(64, 16_384);
    fetch(1, 1_048_576);
    guarded(1);
    guarded(1_000);
}

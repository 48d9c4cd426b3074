//! What the hot decoders and encoders of the wire take: frames, Produce and Fetch.
//!
//! `cargo bench -p protocol --bench wire`; `examples/wire_bench.rs` compares with the `kafka-protocol` crate.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use protocol::client::{FetchCall, FetchCallPartition, ProduceCall, ProduceCallPartition};
use protocol::fetch::{FetchRequest, FetchResponse, Isolation, PartitionData, TopicData};
use protocol::frame::{Frame, FrameReader};
use protocol::limits::FRAME_BYTES_MAX;
use protocol::produce::{PartitionResponse, ProduceRequest, ProduceResponse, TopicResponse};
use protocol::wire::TopicRef;
use protocol::{ErrorCode, RequestHeader};

const TOPIC: TopicRef<'static> = TopicRef::Id([7; 16]);
const PRODUCE_VERSION: i16 = 13;
const FETCH_VERSION: i16 = 17;

fn produce_frame(partitions: i32, record_bytes: usize) -> Vec<u8> {
    let records = vec![7; record_bytes];
    let parts = (0..partitions).map(|index| ProduceCallPartition { index, records: &records });
    let topics = vec![(TOPIC, parts.collect())];
    let call = ProduceCall { transactional_id: None, acks: -1, timeout_ms: 30_000, topics };
    call.encode(PRODUCE_VERSION, 1, Some("bench"))
}

fn fetch_frame(partitions: i32) -> Vec<u8> {
    let part = |partition| FetchCallPartition {
        partition,
        current_leader_epoch: -1,
        fetch_offset: 1_000,
        last_fetched_epoch: -1,
        partition_max_bytes: 1 << 20,
    };
    let call = FetchCall {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 50 << 20,
        isolation: Isolation::ReadUncommitted,
        session_id: 0,
        session_epoch: -1,
        topics: vec![(TOPIC, (0..partitions).map(part).collect())],
        forgotten: Vec::new(),
        rack_id: "",
    };
    call.encode(FETCH_VERSION, 1, Some("bench"))
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame");
    for (name, bytes) in [("small", 1 << 10), ("large", 256 << 10)] {
        let frame = produce_frame(1, bytes);
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(name, |b| {
            let mut reader = FrameReader::requests(FRAME_BYTES_MAX);
            b.iter(|| {
                let mut input = black_box(&frame[..]);
                match reader.next(&mut input) {
                    Ok(Some(Frame::Small(body))) => body.len(),
                    Ok(Some(Frame::Large { head, .. })) => head.len(),
                    other => panic!("a whole frame was given, not {other:?}"),
                }
            });
        });
    }
}

fn decoders(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for partitions in [1, 64] {
        let frame = produce_frame(partitions, 1 << 10).split_off(4);
        group.bench_function(BenchmarkId::new("produce", partitions), |b| {
            b.iter(|| {
                let header = RequestHeader::parse(black_box(&frame)).expect("a good header");
                let body = &frame[header.body_at..];
                let request = ProduceRequest::decode(body, header.version).expect("a good request");
                request.records_bytes()
            });
        });
        let frame = fetch_frame(partitions).split_off(4);
        group.bench_function(BenchmarkId::new("fetch", partitions), |b| {
            b.iter(|| {
                let header = RequestHeader::parse(black_box(&frame)).expect("a good header");
                let body = &frame[header.body_at..];
                let request = FetchRequest::decode(body, header.version).expect("a good request");
                request.partition_count()
            });
        });
    }
}

fn encoders(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    for partitions in [1, 64, 1_000] {
        let parts = (0..partitions).map(|index| PartitionResponse::appended(index, 1_000, None, 0));
        let topics = vec![TopicResponse { topic: TOPIC, partitions: parts.collect() }];
        let response = ProduceResponse { topics, ..ProduceResponse::default() };
        group.bench_function(BenchmarkId::new("produce", partitions), |b| {
            b.iter(|| black_box(&response).encode(PRODUCE_VERSION, 1));
        });
        let parts = (0..partitions).map(|index| PartitionData {
            records_bytes: 1 << 10,
            high_watermark: 1_000,
            ..PartitionData::empty(index, ErrorCode::None)
        });
        let topics = vec![TopicData { topic: TOPIC, partitions: parts.collect() }];
        let response = FetchResponse { topics, ..FetchResponse::default() };
        // With the places of the records, which go in as they lie in the store.
        group.bench_function(BenchmarkId::new("fetch", partitions), |b| {
            b.iter(|| black_box(&response).encode(FETCH_VERSION, 1).pieces().count());
        });
    }
}

criterion_group!(benches, frames, decoders, encoders);
criterion_main!(benches);

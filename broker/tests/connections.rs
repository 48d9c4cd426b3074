//! What a connection may do and how it ends: limits, idleness, large and slow frames, silent
//! failures, and a stop in the middle of everything. Each against a real broker process.
#![expect(clippy::disallowed_methods, reason = "a test is a client: it stands outside the engine")]

mod common;

use std::io::Write;
use std::time::{Duration, Instant};

use common::{Broker, Client, batch, fetch_call};
use protocol::ErrorCode;
use protocol::client::{FetchAnswer, ProduceCall, ProduceCallPartition};
use protocol::codec::StrBytes;
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use protocol::messages::{
    ApiVersionsRequest, DeleteRecordsRequest, DeleteTopicsRequest, OffsetForLeaderEpochRequest,
    TopicName,
};
use protocol::wire::TopicRef;

const T: TopicRef<'static> = TopicRef::Name("t");

fn start(overrides: &[&str]) -> (tempfile::TempDir, Broker) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let broker = Broker::start(&dir.path().join("data"), 2, overrides);
    (dir, broker)
}

fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str("t"))
}

/// True when the broker closes the connection without a word.
fn is_closed(client: &mut Client) -> bool {
    client.try_receive().is_none()
}

#[test]
fn large_requests_arrive_whole_however_they_are_cut() {
    let (_dir, broker) = start(&[]);
    let mut client = broker.client();
    client.create_topic("t", 2);
    // Around the size from which a frame gets a block of its own, and up to the largest batch.
    for bytes in [15_000, 16_300, 16_400, 100_000, 1_000_000] {
        let value = "v".repeat(bytes);
        let offset = client.produce(T, 1, &[&value]);
        assert_eq!(client.consume(T, 1, offset, 1), [value]);
    }
    // A large request may be the first of its connection: some clients ask for no versions.
    let mut fresh = broker.client();
    let value = "f".repeat(900_000);
    let offset = fresh.produce(T, 1, &[&value]);
    assert_eq!(client.consume(T, 1, offset, 1), [value]);
    // Two requests, the first large, cut in the middle of the second's length.
    let value = "w".repeat(50_000);
    let records = batch(&[&value]);
    let partition = ProduceCallPartition { index: 0, records: &records };
    let (transactional_id, topics) = (None, vec![(T, vec![partition])]);
    let first = ProduceCall { transactional_id, acks: 1, timeout_ms: 1000, topics };
    let (a, b) = (client.next_id(), client.next_id());
    let stream = [first.encode(9, a, None), first.encode(9, b, None)].concat();
    let cut = stream.len() / 2 + 2;
    for part in [&stream[..cut], &stream[cut..]] {
        client.send(part);
        std::thread::sleep(Duration::from_millis(30));
    }
    for (id, offset) in [(a, 0), (b, 1)] {
        let produced = client.receive_produce(T, id);
        assert_eq!((produced[0].error, produced[0].base_offset), (ErrorCode::None, offset));
    }
    // One byte at a time is slow, not wrong.
    let frame = protocol::client::request(3, 77, None, &ApiVersionsRequest::default());
    for byte in frame.expect("it can be said") {
        client.send(&[byte]);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(client.try_receive().is_some());
    broker.stop();
}

#[test]
fn a_batch_above_the_limit_is_refused_and_the_connection_lives() {
    let (_dir, broker) = start(&[]);
    let mut client = broker.client();
    client.create_topic("t", 1);
    let value = "v".repeat(3_000_000);
    let id = client.send_produce(T, -1, &[(0, batch(&[&value]))]);
    assert_eq!(client.receive_produce(T, id)[0].error, ErrorCode::MessageTooLarge);
    assert_eq!(client.produce(T, 0, &["small"]), 0);
    broker.stop();
}

#[test]
fn a_refused_batch_without_acknowledgement_closes_the_connection() {
    let (_dir, broker) = start(&[]);
    let mut client = broker.client();
    client.create_topic("t", 1);
    client.send_produce(TopicRef::Name("unknown"), 0, &[(0, batch(&["x"]))]);
    assert!(is_closed(&mut client));
    broker.stop();
}

#[test]
fn idle_connections_are_closed_and_waiting_ones_are_not() {
    let (_dir, broker) = start(&["connections.max.idle.ms=2000"]);
    let (mut idle, mut waiting) = (broker.client(), broker.client());
    waiting.create_topic("t", 1);
    let mut call = fetch_call(vec![(T, vec![(0, 0)])]);
    call.max_wait_ms = 6000;
    let fetch = waiting.send_fetch(12, &call);
    let began = Instant::now();
    assert!(is_closed(&mut idle));
    assert!(began.elapsed() >= Duration::from_millis(1900), "{:?}", began.elapsed());
    let answer = FetchAnswer::decode(12, fetch, &waiting.receive()).expect("it can be read");
    assert_eq!(answer.topics[0].partitions[0].error, ErrorCode::None);
    broker.stop();
}

#[test]
fn connections_above_the_limit_are_refused_until_one_ends() {
    let (_dir, broker) = start(&["max.connections=3"]);
    // The broker may not have noticed yet that the start's own probe has gone.
    let began = Instant::now();
    loop {
        let mut clients: Vec<Client> = (0..3).map(|_| broker.client()).collect();
        let is_served = |client: &mut Client| {
            let frame = protocol::client::request(0, 1, None, &ApiVersionsRequest::default());
            let sent = client.stream.write_all(&frame.expect("it can be said")).is_ok();
            sent && client.try_receive().is_some()
        };
        if clients.iter_mut().all(is_served) {
            assert!(!is_served(&mut broker.client()), "the fourth is refused");
            drop(clients.pop());
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "three connections are allowed");
    }
    while broker.client().stream.write_all(&[0]).is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "a place was given free");
    }
    broker.stop();
}

#[test]
fn a_stop_answers_what_waits_and_does_not_wait_for_it() {
    let (_dir, broker) = start(&[]);
    let mut client = broker.client();
    client.create_topic("t", 4);
    let mut call = fetch_call(vec![(T, (0..4).map(|partition| (partition, 0)).collect())]);
    (call.max_wait_ms, call.min_bytes) = (60_000, 1 << 20);
    let fetch = client.send_fetch(12, &call);
    client.send_produce(T, -1, &[(0, batch(&["last words"]))]);
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    broker.stop();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    FetchAnswer::decode(12, fetch, &client.receive()).expect("the fetch was answered");
    assert_eq!(client.receive_produce(T, 3)[0].error, ErrorCode::None);
    assert!(is_closed(&mut client));
}

#[test]
fn records_are_deleted_and_epochs_have_ends() {
    let (_dir, broker) = start(&[]);
    let mut client = broker.client();
    client.create_topic("t", 1);
    client.produce(T, 0, &["a", "b", "c", "d"]);
    let delete = |client: &mut Client, offset: i64| {
        let partition =
            DeleteRecordsPartition::default().with_partition_index(0).with_offset(offset);
        let topic =
            DeleteRecordsTopic::default().with_name(topic_name()).with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
        let response = client.call(2, &request);
        let partition = &response.topics[0].partitions[0];
        (partition.error_code, partition.low_watermark)
    };
    assert_eq!(delete(&mut client, 2), (0, 2));
    assert_eq!(delete(&mut client, 5), (ErrorCode::OffsetOutOfRange.code(), -1));
    let answer = client.fetch(12, &fetch_call(vec![(T, vec![(0, 1)])]));
    assert_eq!(answer.topics[0].partitions[0].error, ErrorCode::OffsetOutOfRange);
    assert_eq!(client.consume(T, 0, 2, 2), ["c", "d"]);
    assert_eq!(delete(&mut client, -1), (0, 4));

    let epoch_end = |client: &mut Client, current: i32, epoch: i32| {
        let partition = OffsetForLeaderPartition::default()
            .with_current_leader_epoch(current)
            .with_leader_epoch(epoch);
        let topic = OffsetForLeaderTopic::default()
            .with_topic(topic_name())
            .with_partitions(vec![partition]);
        let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
        let response = client.call(2, &request);
        let partition = &response.topics[0].partitions[0];
        (partition.error_code, partition.leader_epoch, partition.end_offset)
    };
    assert_eq!(epoch_end(&mut client, -1, 1), (0, 1, 4));
    assert_eq!(epoch_end(&mut client, 9, 1).0, ErrorCode::UnknownLeaderEpoch.code());
    assert_eq!(epoch_end(&mut client, 0, 1).0, ErrorCode::FencedLeaderEpoch.code());
    broker.stop();
}

#[test]
fn a_deleted_topic_wakes_who_waits_for_it() {
    let (_dir, broker) = start(&[]);
    let (mut consumer, mut admin) = (broker.client(), broker.client());
    let id = TopicRef::Id(admin.create_topic("t", 3));
    let mut call = fetch_call(vec![(id, (0..3).map(|partition| (partition, 0)).collect())]);
    call.max_wait_ms = 30_000;
    let fetch = consumer.send_fetch(17, &call);
    std::thread::sleep(Duration::from_millis(100));
    let began = Instant::now();
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name()]);
    assert_eq!(admin.call(4, &request).responses[0].error_code, 0);
    let answer = FetchAnswer::decode(17, fetch, &consumer.receive()).expect("it can be read");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let errors: Vec<ErrorCode> =
        answer.topics[0].partitions.iter().map(|partition| partition.error).collect();
    assert!(errors.iter().any(|error| !error.is_none()), "{errors:?}");
    // Created again, it is another topic.
    let again = TopicRef::Id(admin.create_topic("t", 3));
    assert_ne!(again, id);
    let answer = consumer.fetch(17, &call);
    assert_eq!(answer.topics[0].partitions[0].error, ErrorCode::UnknownTopicId);
    assert_eq!(admin.produce(again, 2, &["new"]), 0);
    broker.stop();
}

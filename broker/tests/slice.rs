//! The main path against a real broker process: topics are created, records go in and come out, in
//! order, at their offsets, also after a restart and after a kill.

mod common;

use common::{Broker, batch, fetch_call, values};
use protocol::ErrorCode;
use protocol::codec::StrBytes;
use protocol::fetch::Isolation;
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::{ListOffsetsRequest, MetadataRequest, TopicName};
use protocol::wire::TopicRef;

const T: TopicRef<'static> = TopicRef::Name("t");

fn lines(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("line {number}")).collect()
}

fn produce_lines(
    client: &mut common::Client,
    partition: i32,
    range: std::ops::Range<usize>,
) -> i64 {
    let lines = lines(range);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    client.produce(T, partition, &lines)
}

#[test]
fn records_come_back_in_order_over_restarts() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    for shards in [1, 2] {
        let data = dir.path().join(shards.to_string());
        let broker = Broker::start(&data, shards, &[]);
        let mut client = broker.client();
        client.create_topic("t", 4);
        for partition in 0..4 {
            assert_eq!(produce_lines(&mut client, partition, 0..10), 0);
            assert_eq!(produce_lines(&mut client, partition, 10..30), 10);
        }
        for partition in 0..4 {
            assert_eq!(client.consume(T, partition, 0, 30), lines(0..30));
            assert_eq!(client.consume(T, partition, 13, 17), lines(13..30), "inside a batch");
        }
        broker.stop();

        // A clean stop, another number of shards, then no stop at all.
        let broker = Broker::start(&data, 3 - shards, &[]);
        let mut client = broker.client();
        for partition in 0..4 {
            assert_eq!(client.consume(T, partition, 0, 30), lines(0..30));
            assert_eq!(produce_lines(&mut client, partition, 30..40), 30);
        }
        broker.kill();

        let broker = Broker::start(&data, shards, &[]);
        let mut client = broker.client();
        for partition in 0..4 {
            assert_eq!(client.consume(T, partition, 0, 40), lines(0..40));
            assert_eq!(produce_lines(&mut client, partition, 40..41), 40);
        }
        broker.stop();
    }
}

#[test]
fn responses_leave_in_request_order() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let broker = Broker::start(&dir.path().join("data"), 2, &[]);
    let mut client = broker.client();
    client.create_topic("t", 8);
    // A fetch that parks, then produces that finish at once: the answers keep the order, and the
    // fetch is woken by the last of the produces, to a partition of another shard maybe.
    let mut call = fetch_call(vec![(T, (0..8).map(|partition| (partition, 0)).collect())]);
    (call.max_wait_ms, call.min_bytes) = (20_000, 1);
    let fetch = client.send_fetch(12, &call);
    let produces: Vec<i32> =
        (0..8).map(|p| client.send_produce(T, 1, &[(p, batch(&["x"]))])).collect();
    let frame = client.receive();
    let answer = protocol::client::FetchAnswer::decode(12, fetch, &frame).expect("the fetch first");
    let records: usize = answer.topics[0].partitions.iter().map(|p| p.records.len()).sum();
    assert!(records > 0);
    for id in produces {
        assert_eq!(client.receive_produce(T, id)[0].error, ErrorCode::None);
    }
    // acks=0 sends nothing: the next answer is that of the request after it.
    client.send_produce(T, 0, &[(0, batch(&["silent"]))]);
    assert_eq!(client.produce(T, 0, &["heard"]), 2);
    broker.stop();
}

#[test]
fn an_idle_session_lists_no_partition_and_news_only() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let broker = Broker::start(&dir.path().join("data"), 2, &[]);
    let mut client = broker.client();
    let id = TopicRef::Id(client.create_topic("t", 6));
    let mut call = fetch_call(vec![(id, (0..6).map(|partition| (partition, 0)).collect())]);
    (call.max_wait_ms, call.session_epoch) = (50, 0);
    let answer = client.fetch(17, &call);
    assert_eq!(answer.topics[0].partitions.len(), 6);
    assert_ne!(answer.session_id, 0);
    (call.session_id, call.session_epoch, call.topics) = (answer.session_id, 1, Vec::new());
    let answer = client.fetch(17, &call);
    assert_eq!((answer.error, answer.topics.len()), (ErrorCode::None, 0), "nothing is new");

    let mut other = broker.client();
    assert_eq!(other.produce(T, 3, &["news"]), 0);
    call.session_epoch = 2;
    let answer = client.fetch(17, &call);
    let partitions = &answer.topics[0].partitions;
    assert_eq!((partitions.len(), partitions[0].partition), (1, 3));
    assert_eq!(values(&partitions[0].records), [(0, "news".to_owned())]);

    call.session_epoch = 2;
    assert_eq!(client.fetch(17, &call).error, ErrorCode::InvalidFetchSessionEpoch);
    call.session_id ^= 2;
    assert_eq!(client.fetch(17, &call).error, ErrorCode::FetchSessionIdNotFound);
    broker.stop();
}

#[test]
fn a_long_poll_waits_for_its_bytes_and_no_longer() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let broker = Broker::start(&dir.path().join("data"), 2, &[]);
    let (mut consumer, mut producer) = (broker.client(), broker.client());
    producer.create_topic("t", 2);
    let mut call = fetch_call(vec![(T, vec![(0, 0), (1, 0)])]);
    (call.max_wait_ms, call.min_bytes) = (20_000, 150);
    let began = std::time::Duration::ZERO;
    let fetch = consumer.send_fetch(12, &call);
    producer.produce(T, 0, &["one"]);
    producer.produce(T, 1, &["two"]);
    producer.produce(T, 1, &["three"]);
    let answer =
        protocol::client::FetchAnswer::decode(12, fetch, &consumer.receive()).expect("a fetch");
    let records: usize = answer.topics[0].partitions.iter().map(|p| p.records.len()).sum();
    assert!(records >= 150 && began.is_zero(), "{records} bytes");
    broker.stop();
}

#[test]
fn offsets_errors_and_unknown_things_are_answered() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let broker = Broker::start(&dir.path().join("data"), 2, &[]);
    let mut client = broker.client();
    client.create_topic("t", 1);
    produce_lines(&mut client, 0, 0..5);
    let list = |client: &mut common::Client, timestamp: i64| {
        let partition =
            ListOffsetsPartition::default().with_timestamp(timestamp).with_current_leader_epoch(-1);
        let topic = ListOffsetsTopic::default()
            .with_name(TopicName(StrBytes::from_static_str("t")))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_topics(vec![topic]);
        let response = client.call(8, &request);
        let partition = &response.topics[0].partitions[0];
        (partition.error_code, partition.offset)
    };
    assert_eq!(list(&mut client, -1), (0, 5));
    assert_eq!(list(&mut client, -2), (0, 0));
    assert_eq!(list(&mut client, 0), (0, 0));
    assert_eq!(list(&mut client, i64::MAX), (0, -1));

    let error = |client: &mut common::Client, topic, partition, offset| {
        let mut call = fetch_call(vec![(topic, vec![(partition, offset)])]);
        call.isolation = Isolation::ReadCommitted;
        let answer = client.fetch(12, &call);
        answer.topics[0].partitions[0].error
    };
    let unknown = TopicRef::Name("unknown");
    assert_eq!(error(&mut client, unknown, 0, 0), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(error(&mut client, T, 1, 0), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(error(&mut client, T, -1, 0), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(error(&mut client, T, 0, 6), ErrorCode::OffsetOutOfRange);
    assert_eq!(error(&mut client, T, 0, -5), ErrorCode::OffsetOutOfRange);

    let refused = |client: &mut common::Client, acks, records: Vec<u8>| {
        let id = client.send_produce(T, acks, &[(0, records)]);
        client.receive_produce(T, id)[0].error
    };
    assert_eq!(refused(&mut client, 7, batch(&["x"])), ErrorCode::InvalidRequiredAcks);
    let mut damaged = batch(&["x"]);
    *damaged.last_mut().expect("not empty") ^= 1;
    assert_eq!(refused(&mut client, 1, damaged), ErrorCode::CorruptMessage);
    assert_eq!(refused(&mut client, 1, vec![0; 30]), ErrorCode::InvalidRecord);

    let metadata = client.call(12, &MetadataRequest::default().with_topics(None));
    assert_eq!(metadata.topics.len(), 1);
    broker.stop();
}

#[test]
fn what_is_no_request_closes_the_connection_and_nothing_else() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let broker = Broker::start(&dir.path().join("data"), 2, &[]);
    let hostile: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &[0xff; 64],
        &[0, 0, 0, 4, 0, 0, 0, 0],
        &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        // Produce 9 whose body ends in the middle.
        &[0, 0, 0, 14, 0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0xff, 0xff],
        // Metadata 12 that says it has four billion topics.
        &[0, 0, 0, 16, 0, 3, 0, 12, 0, 0, 0, 1, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0x0f],
        // An API nobody has.
        &[0, 0, 0, 10, 0x33, 0x33, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
    ];
    for bytes in hostile {
        let mut client = broker.client();
        client.send(bytes);
        assert!(client.try_receive().is_none(), "{bytes:?}");
    }
    let mut client = broker.client();
    client.create_topic("t", 1);
    assert_eq!(client.produce(T, 0, &["still here"]), 0);
    broker.stop();
}

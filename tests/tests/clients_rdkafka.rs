//! librdkafka, in this process: each compression, keys, headers, timestamps, idempotence, 1 to 16
//! partitions, records from 0 bytes to the limit, written and read back as they were.

use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::Consumer;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, Timestamp};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use tests::load::{Load, client, create_topic, create_topic_with, reader};
use tests::watcher::is_of_the_connection;
use tests::{BrokerProcess, Settings, ledger};

const PATIENCE: Duration = Duration::from_secs(60);

type Plain = ThreadedProducer<DefaultProducerContext>;

/// What a test writes and wants back: partition, key, value, headers, timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    partition: i32,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    timestamp: i64,
}

/// Events of many shapes for `partitions` partitions.
fn events(partitions: i32) -> Vec<Event> {
    let sizes = [0, 1, 10, 127, 128, 1_000, 16_384, 100_000];
    let mut events = Vec::new();
    for index in 0..200_u64 {
        let size = sizes[usize::try_from(index).expect("small") % sizes.len()];
        let partition = i32::try_from(index).expect("small") % partitions;
        let text = format!("key-{index}").into_bytes();
        events.push(Event {
            partition,
            key: (index % 3 != 0).then_some(text),
            value: (index % 17 != 5).then(|| ledger::value(partition, index, size)),
            headers: (0..index % 4)
                .map(|n| {
                    (format!("h{n}"), (n != 2).then(|| vec![u8::try_from(n).expect("small"); 5]))
                })
                .collect(),
            timestamp: 1_700_000_000_000 + i64::try_from(index).expect("small") * 1_000,
        });
    }
    events
}

fn write(producer: &Plain, topic: &str, events: &[Event]) {
    for event in events {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &event.headers {
            headers = headers.insert(Header { key, value: value.as_ref() });
        }
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic)
            .partition(event.partition)
            .timestamp(event.timestamp)
            .headers(headers);
        record.key = event.key.as_deref();
        record.payload = event.value.as_deref();
        producer.send(record).map_err(|(error, _)| error).expect("the queue has room");
    }
    producer.flush(PATIENCE).expect("everything is acknowledged");
}

fn read(bootstrap: &str, topic: &str, partition: i32, count: usize) -> Vec<Event> {
    let consumer = reader(bootstrap, topic, partition, Offset::Beginning);
    let mut events = Vec::new();
    while events.len() < count {
        let message = consumer.poll(PATIENCE).expect("in time").expect("the broker answers Fetch");
        assert_eq!(message.offset(), i64::try_from(events.len()).expect("small"));
        let Timestamp::CreateTime(timestamp) = message.timestamp() else {
            panic!("another kind of timestamp: {:?}", message.timestamp());
        };
        events.push(Event {
            partition,
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: message.headers().map_or_else(Vec::new, |headers| {
                let owned = |h: Header<'_, &[u8]>| (h.key.to_owned(), h.value.map(<[u8]>::to_vec));
                headers.iter().map(owned).collect()
            }),
            timestamp,
        });
    }
    events
}

fn comes_back_as_it_was(codec: &str, idempotent: &str, partitions: i32) {
    let broker = BrokerProcess::start(Settings::default().shards(2));
    create_topic(&broker.bootstrap(), "events", partitions);
    let producer: Plain = client(&broker.bootstrap())
        .set("compression.codec", codec)
        .set("enable.idempotence", idempotent)
        .set("linger.ms", "5")
        .create()
        .expect("the settings are right");
    let all = events(partitions);
    write(&producer, "events", &all);
    for partition in 0..partitions {
        let expected: Vec<Event> =
            all.iter().filter(|e| e.partition == partition).cloned().collect();
        assert_eq!(read(&broker.bootstrap(), "events", partition, expected.len()), expected);
    }
}

#[test]
fn uncompressed_on_one_partition() {
    comes_back_as_it_was("none", "false", 1);
}

#[test]
fn gzip_on_two_partitions() {
    comes_back_as_it_was("gzip", "true", 2);
}

#[test]
fn snappy_on_three_partitions() {
    comes_back_as_it_was("snappy", "true", 3);
}

#[test]
fn lz4_on_eight_partitions() {
    comes_back_as_it_was("lz4", "false", 8);
}

#[test]
fn zstd_on_sixteen_partitions() {
    comes_back_as_it_was("zstd", "true", 16);
}

#[test]
fn records_up_to_the_limit_pass_and_beyond_it_are_refused() {
    // A batch fits half a journal file.
    let broker = BrokerProcess::start(Settings::default().with("journal.file.bytes=16777216"));
    create_topic_with(&broker.bootstrap(), "large", 1, &[("max.message.bytes", "5000000")]);
    create_topic(&broker.bootstrap(), "usual", 1);
    let producer: Plain = client(&broker.bootstrap())
        .set("message.max.bytes", "20000000")
        .create()
        .expect("the settings are right");
    let large = ledger::value(0, 1, 4_900_000);
    let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to("large").payload(&large[..]);
    producer.send(record).map_err(|(error, _)| error).expect("queued");
    producer.flush(PATIENCE).expect("acknowledged");
    let consumer = reader(&broker.bootstrap(), "large", 0, Offset::Beginning);
    let message = consumer.poll(PATIENCE).expect("in time").expect("the broker answers Fetch");
    assert_eq!(message.payload(), Some(&large[..]));

    let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to("usual").payload(&large[..]);
    producer.send(record).map_err(|(error, _)| error).expect("queued");
    producer.flush(PATIENCE).expect("answered");
    let (low, high) =
        consumer.fetch_watermarks("usual", 0, PATIENCE).expect("the broker answers ListOffsets");
    assert_eq!((low, high), (0, 0), "a batch beyond max.message.bytes must not be stored");
}

#[test]
fn offsets_are_found_by_timestamp() {
    let broker = BrokerProcess::start(Settings::default());
    create_topic(&broker.bootstrap(), "events", 1);
    let producer: Plain = client(&broker.bootstrap()).create().expect("the settings are right");
    write(&producer, "events", &events(1));
    let consumer = reader(&broker.bootstrap(), "events", 0, Offset::Beginning);
    for (timestamp, expected) in [
        (0, Offset::Offset(0)),
        (1_700_000_000_000, Offset::Offset(0)),
        (1_700_000_000_001, Offset::Offset(1)),
        (1_700_000_100_000, Offset::Offset(100)),
        (1_700_000_199_000, Offset::Offset(199)),
        (1_800_000_000_000, Offset::End),
    ] {
        let mut asked = rdkafka::TopicPartitionList::new();
        asked
            .add_partition_offset("events", 0, Offset::Offset(timestamp))
            .expect("a timestamp is a legal offset");
        let found = consumer.offsets_for_times(asked, PATIENCE).expect("the broker answers");
        assert_eq!(found.elements()[0].offset(), expected, "timestamp {timestamp}");
    }
}

/// What was seen: a consumer that had read nothing yet was told after a restart of the broker that no epoch was known at
/// its position, and with `auto.offset.reset=error` gave up; with `latest` it would have skipped what came meanwhile. The
/// position's epoch was the leader's, out of ListOffsets, and a leader's epoch was known only once it had written.
#[test]
fn a_position_survives_starts_in_which_nothing_is_written() {
    let mut broker = BrokerProcess::start(Settings::default());
    create_topic(&broker.bootstrap(), "quiet", 1);
    let from_start = reader(&broker.bootstrap(), "quiet", 0, Offset::Beginning);
    let from_end = reader(&broker.bootstrap(), "quiet", 0, Offset::End);
    for consumer in [&from_start, &from_end] {
        // Long enough to ask where the start and the end are.
        assert!(consumer.poll(Duration::from_secs(1)).is_none(), "there is nothing to read");
    }
    for _ in 0..2 {
        broker.kill();
        broker.restart();
    }
    let mut load = Load::start(&broker.bootstrap(), "quiet", 1);
    load.wait_for_progress();
    for consumer in [&from_start, &from_end] {
        let began = Instant::now();
        let message = loop {
            assert!(began.elapsed() < PATIENCE, "the record never comes");
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => break message,
                Some(Err(error)) if is_of_the_connection(&error) => {}
                Some(Err(error)) => panic!("{error}"),
                None => {}
            }
        };
        assert_eq!(message.offset(), 0);
    }
}

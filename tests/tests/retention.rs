//! Retention by size and by time, and forever, as a client sees them: the earliest offset moves, what
//! is kept stays readable, and the end never moves back.

use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::Consumer;
use tests::load::{Load, create_topic_with, read_all, reader};
use tests::{BrokerProcess, Settings};

const PATIENCE: Duration = Duration::from_secs(60);

fn settings() -> Settings {
    Settings::default().with("log.retention.check.interval.ms=100")
}

fn watermarks(bootstrap: &str, topic: &str) -> (i64, i64) {
    let consumer = reader(bootstrap, topic, 0, Offset::Beginning);
    consumer.fetch_watermarks(topic, 0, PATIENCE).expect("the broker answers ListOffsets")
}

/// Produces about 12 MB into one partition, segments of 1 MiB.
fn fill(bootstrap: &str, topic: &str, setting: (&str, &str)) -> tests::ledger::Ledger {
    create_topic_with(bootstrap, topic, 1, &[("segment.bytes", "1048576"), setting]);
    let mut load = Load::start(bootstrap, topic, 1);
    load.run_for(Duration::from_millis(1_500));
    load.finish()
}

fn waits_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What is left is in the ledger, from the first kept offset to the end, with no hole.
fn the_rest_is_whole(broker: &BrokerProcess, topic: &str, ledger: &tests::ledger::Ledger) {
    let (low, high) = watermarks(&broker.bootstrap(), topic);
    let seen = read_all(&broker.bootstrap(), topic, 0);
    assert_eq!(seen.first().map(|record| record.offset), (low < high).then_some(low));
    assert_eq!(i64::try_from(seen.len()).expect("small"), high - low);
    let complaints: Vec<String> = ledger
        .complaints(0, &seen)
        .into_iter()
        .filter(|complaint| !complaint.ends_with("is lost"))
        .collect();
    assert_eq!(complaints, Vec::<String>::new());
}

#[test]
fn by_size_the_oldest_segments_go() {
    let broker = BrokerProcess::start(settings());
    let ledger = fill(&broker.bootstrap(), "sized", ("retention.bytes", "3000000"));
    let end = watermarks(&broker.bootstrap(), "sized").1;
    waits_until("retention by size", || watermarks(&broker.bootstrap(), "sized").0 > 0);
    the_rest_is_whole(&broker, "sized", &ledger);
    assert_eq!(watermarks(&broker.bootstrap(), "sized").1, end, "the end never moves back");
}

#[test]
fn by_time_everything_goes_and_survives_a_crash_as_gone() {
    let mut broker = BrokerProcess::start(settings());
    fill(&broker.bootstrap(), "timed", ("retention.ms", "1000"));
    let end = watermarks(&broker.bootstrap(), "timed").1;
    waits_until("retention by time", || watermarks(&broker.bootstrap(), "timed") == (end, end));
    broker.kill();
    broker.restart();
    assert_eq!(watermarks(&broker.bootstrap(), "timed"), (end, end), "what was deleted came back");
    let mut load = Load::start(&broker.bootstrap(), "timed", 1);
    load.wait_for_progress();
    load.finish();
    assert!(watermarks(&broker.bootstrap(), "timed").1 > end, "an offset was used again");
}

#[test]
fn forever_keeps_all() {
    let broker = BrokerProcess::start(settings());
    let ledger = fill(&broker.bootstrap(), "kept", ("retention.ms", "-1"));
    std::thread::sleep(Duration::from_millis(1_000));
    ledger.assert_holds(0, &read_all(&broker.bootstrap(), "kept", 0));
}

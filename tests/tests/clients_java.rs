//! Apache Kafka's own command line tools, from its Java archives, against this broker.

use std::process::Command;

use tests::clients::{Client, run};
use tests::{BrokerProcess, Settings};

/// Runs one of the tools and returns what it printed.
fn tool(bootstrap: &str, class: &str, arguments: &[&str]) -> Option<String> {
    let mut java: Command = Client::ApacheKafka.find()?;
    java.arg(class).args(["--bootstrap-server", bootstrap]).args(arguments);
    Some(String::from_utf8_lossy(&run(&mut java).stdout).into_owned())
}

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const CONFIGS: &str = "kafka.admin.ConfigCommand";
const OFFSETS: &str = "org.apache.kafka.tools.GetOffsetShell";
const PERFORMANCE: &str = "org.apache.kafka.tools.ProducerPerformance";
const VERIFIABLE: &str = "org.apache.kafka.tools.VerifiableProducer";
const DUMP: &str = "org.apache.kafka.tools.DumpLogSegments";

#[test]
fn topics_and_configs() {
    let broker = BrokerProcess::start(Settings::default().shards(2));
    let at = broker.bootstrap();
    let create = [
        "--create",
        "--topic",
        "made-by-java",
        "--partitions",
        "4",
        "--config",
        "retention.ms=7200000",
    ];
    let Some(text) = tool(&at, TOPICS, &create) else { return };
    assert!(text.contains("Created topic made-by-java."), "{text}");
    let text = tool(&at, TOPICS, &["--describe", "--topic", "made-by-java"]).expect("found before");
    assert!(text.contains("PartitionCount: 4") && text.contains("retention.ms=7200000"), "{text}");
    tool(&at, TOPICS, &["--alter", "--topic", "made-by-java", "--partitions", "6"])
        .expect("found before");
    let text = tool(&at, TOPICS, &["--describe", "--topic", "made-by-java"]).expect("found before");
    assert!(text.contains("PartitionCount: 6"), "{text}");

    let alter = [
        "--alter",
        "--entity-type",
        "topics",
        "--entity-name",
        "made-by-java",
        "--add-config",
        "ack.durability=written",
    ];
    tool(&at, CONFIGS, &alter).expect("found before");
    let describe = ["--describe", "--entity-type", "topics", "--entity-name", "made-by-java"];
    let text = tool(&at, CONFIGS, &describe).expect("found before");
    assert!(
        text.contains("ack.durability=written") && text.contains("retention.ms=7200000"),
        "{text}"
    );

    tool(&at, TOPICS, &["--delete", "--topic", "made-by-java"]).expect("found before");
    let text = tool(&at, TOPICS, &["--list"]).expect("found before");
    assert!(!text.contains("made-by-java"), "{text}");
}

#[test]
fn producers_offsets_and_the_dump_of_segments() {
    let mut broker = BrokerProcess::start(Settings::default());
    let at = broker.bootstrap();
    if tool(&at, TOPICS, &["--create", "--topic", "load", "--partitions", "2"]).is_none() {
        return;
    }
    let mut performance = Client::ApacheKafka.find().expect("found before");
    performance.arg(PERFORMANCE).args([
        "--topic",
        "load",
        "--num-records",
        "20000",
        "--record-size",
        "1000",
    ]);
    performance.args([
        "--throughput",
        "-1",
        "--producer-props",
        &format!("bootstrap.servers={at}"),
    ]);
    performance.args(["acks=all", "compression.type=lz4"]);
    let text = String::from_utf8_lossy(&run(&mut performance).stdout).into_owned();
    assert!(text.contains("20000 records sent"), "{text}");
    let arguments = ["--topic", "load", "--max-messages", "5000", "--acks", "-1"];
    let text = tool(&at, VERIFIABLE, &arguments).expect("found before");
    let acknowledged = text.lines().filter(|line| line.contains("producer_send_success")).count();
    assert_eq!(acknowledged, 5_000, "{}", &text[text.len().saturating_sub(2_000)..]);

    let text = tool(&at, OFFSETS, &["--topic", "load"]).expect("found before");
    let end: u64 =
        text.lines().filter_map(|line| line.rsplit(':').next()?.trim().parse::<u64>().ok()).sum();
    assert_eq!(end, 25_000, "{text}");

    // A clean stop cuts the segments to their exact length, so that Kafka's tool reads them to the end.
    assert!(broker.stop().success());
    let mut batches_end = 0;
    for segment in segments(&broker) {
        let mut dump = Client::ApacheKafka.find().expect("found before");
        dump.args([DUMP, "--files"]).arg(&segment);
        let output = run(&mut dump);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.contains("isvalid: false") && !text.contains("invalid bytes"), "{text}");
        let last = text.lines().filter_map(|line| line.split("lastOffset: ").nth(1)).next_back();
        let last = last.and_then(|rest| rest.split(' ').next()).expect("a batch has a last offset");
        batches_end += last.parse::<u64>().expect("a number") + 1;
    }
    assert_eq!(batches_end, 25_000);
}

/// The segment files below a broker's data directory.
fn segments(broker: &BrokerProcess) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![broker.data().join("topics")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).expect("the broker has stopped") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "log") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty());
    found
}

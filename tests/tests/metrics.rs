//! The admin port of a real broker. Goal: requests' stage timings add up to their totals, also of those that hop to
//! another shard; counters and metrics say what happened; and nobody can hurt the broker through this port. Method: real
//! requests to two shards, pages read by a strict parser, and peers that send what no client would.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bench::admin::{Snapshot, snapshot};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    MetricFamily, MetricType,
};
use prost::Message;
use storage::batch::Codec;
use storage::batch::build::{Builder, NewRecord};
use tests::broker_process::{heddle, scratch};
use tests::calls::Calls;
use tests::http::Http;
use tests::load::{Load, create_topic, read_partitions};
use tests::openmetrics::Page;
use tests::{BrokerProcess, Settings};

const PARTITIONS: i32 = 4;
const ADMIN: &str = "admin.listener=127.0.0.1:0";
const PROTOBUF: &str = "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                        application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1\r\n";

fn broker() -> (BrokerProcess, SocketAddr) {
    let broker = BrokerProcess::start(Settings::default().shards(2).with(ADMIN));
    let admin = broker.admin();
    (broker, admin)
}

fn batch(records: usize) -> Vec<u8> {
    let mut builder = Builder::new(Codec::None);
    for _ in 0..records {
        builder.push(NewRecord::of(&[7; 100]).at(1));
    }
    builder.build().expect("nothing is compressed")
}

/// The times of all stages and of the whole, by shard and API.
fn sums(now: &Snapshot, before: &Snapshot) -> BTreeMap<(u16, String), (u64, u64, u64)> {
    let mut sums: BTreeMap<_, (u64, u64, u64)> = BTreeMap::new();
    for stage in now.since(before).0 {
        let (stages, total, requests) = sums.entry((stage.shard, stage.api)).or_default();
        match stage.stage.as_str() {
            "total" => (*total, *requests) = (stage.sum_ns, stage.latencies.count()),
            _ => *stages += stage.sum_ns,
        }
    }
    sums
}

fn count(now: &Snapshot, before: &Snapshot, counter: &str) -> u64 {
    now.since(before).1.iter().map(|shard| shard[counter]).sum()
}

fn spent(now: &Snapshot, before: &Snapshot, api: &str, stage: &str) -> u64 {
    let stages = now.since(before).0;
    stages.iter().filter(|s| s.api == api && s.stage == stage).map(|s| s.sum_ns).sum()
}

#[test]
fn stages_add_up_to_the_total_of_requests_that_hop_and_that_do_not() {
    let (broker, admin) = broker();
    let admin = admin.to_string();
    create_topic(&broker.bootstrap(), "t", PARTITIONS);
    let mut calls = Calls::connect(broker.address());
    let before = snapshot(&admin).expect("the page is there");
    let batch = batch(10);
    for partition in (0..PARTITIONS).cycle().take(40) {
        let (code, _) = calls.produce("t", partition, &batch).expect("an answer");
        assert_eq!(code, 0);
    }
    for partition in 0..PARTITIONS {
        let (code, records) = calls.fetch("t", partition, 0, 1 << 20).expect("an answer");
        assert_eq!((code, records.len()), (0, 10 * batch.len()));
    }
    let now = snapshot(&admin).expect("the page is there");
    let sums = sums(&now, &before);
    for (api, requests) in [("produce", 40), ("fetch", 4)] {
        let of_api = || sums.iter().filter(|((_, other), _)| other == api).map(|(_, sum)| *sum);
        assert_eq!(of_api().map(|(_, _, requests)| requests).sum::<u64>(), requests, "{api}");
        for (stages, total, _) in of_api() {
            assert_eq!(stages, total, "{api}: the stages add up");
        }
        assert_eq!(count(&now, &before, &format!("requests_{api}")), requests);
    }
    // One connection lives on one shard; two of four partitions are the other's.
    assert_eq!(count(&now, &before, "cross_shard_hops"), 20 + 2);
    for (api, stages) in [
        ("produce", ["queue", "hop", "append", "journal", "send"].as_slice()),
        ("fetch", ["queue", "hop", "read", "send"].as_slice()),
    ] {
        for stage in stages {
            assert!(spent(&now, &before, api, stage) > 0, "{api} spends time in {stage}");
        }
    }
    assert_eq!(
        (spent(&now, &before, "fetch", "journal"), spent(&now, &before, "fetch", "wait")),
        (0, 0)
    );
    let counted = |counter: &str| count(&now, &before, counter);
    assert_eq!((counted("batches"), counted("records")), (40, 400));
    assert_eq!(counted("batch_bytes"), 40 * batch.len() as u64);
    assert_eq!(counted("copied_journal_bytes"), 40 * batch.len() as u64);
    assert_eq!(counted("fetched_bytes"), 40 * batch.len() as u64);
    assert!(counted("syscalls") > 0 && counted("journal_flushes") > 0 && counted("cpu_ns") > 0);
    assert!(now.software.starts_with("heddle ") && now.durability == "device");
    assert_eq!(now.settings["shards"], "2");
}

#[test]
fn stages_of_overlapping_requests_and_long_polls_add_up() {
    let (broker, admin) = broker();
    let admin = admin.to_string();
    create_topic(&broker.bootstrap(), "t", PARTITIONS);
    let before = snapshot(&admin).expect("the page is there");
    let mut load = Load::start(&broker.bootstrap(), "t", PARTITIONS);
    load.run_for(Duration::from_millis(300));
    load.finish();
    let all: Vec<_> = (0..PARTITIONS).map(|partition| ("t".to_owned(), partition)).collect();
    let read = read_partitions(&broker.bootstrap(), &all);
    assert!(read.iter().map(Vec::len).sum::<usize>() > 0);
    let now = snapshot(&admin).expect("the page is there");
    let sums = sums(&now, &before);
    assert!(sums.keys().any(|(_, api)| api == "produce"));
    for ((shard, api), (stages, total, requests)) in sums {
        assert!(requests > 0);
        assert_eq!(stages, total, "{api} on shard {shard}");
    }
}

#[test]
fn metrics_say_what_happened_in_text_and_in_protobuf() {
    let (broker, admin) = broker();
    create_topic(&broker.bootstrap(), "events", PARTITIONS);
    let mut calls = Calls::connect(broker.address());
    for partition in 0..PARTITIONS {
        for _ in 0..=partition {
            assert_eq!(calls.produce("events", partition, &batch(3)).expect("an answer").0, 0);
        }
        assert_eq!(calls.fetch("events", partition, 0, 1 << 20).expect("an answer").0, 0);
    }
    let mut http = Http::connect(admin);
    let response = http.get("/metrics", "");
    assert_eq!(response.status, 200);
    assert!(response.content_type.starts_with("application/openmetrics-text"));
    let page = Page::read(&String::from_utf8(response.body).expect("UTF-8"));
    assert_eq!(page.sum("heddle_records", &[]), 30.0);
    assert_eq!(page.sum("kafka_server_brokertopicmetrics_messagesin", &[]), 30.0);
    assert_eq!(page.sum("heddle_requests", &[("api", "Produce")]), 10.0);
    assert_eq!(page.sum("kafka_server_brokertopicmetrics_totalfetchrequests", &[]), 4.0);
    assert_eq!(page.sum("heddle_cross_shard_hops", &[]) as u64 % 2, 0);
    assert!(page.sum("heddle_cross_shard_hops", &[]) > 0.0);
    for partition in 0..PARTITIONS {
        let number = partition.to_string();
        let labels = [("topic", "events"), ("partition", number.as_str())];
        let end = page.sum("kafka_topic_partition_current_offset", &labels);
        assert_eq!(end, f64::from(3 * (partition + 1)));
        assert_eq!(page.sum("kafka_topic_partition_oldest_offset", &labels), 0.0);
        assert!(page.sum("kafka_log_log_size", &labels) > 0.0);
    }
    assert!(page.sum("process_resident_memory_bytes", &[]) > 1e6);
    check_stage_sums(&page);

    let response = http.get("/public_metrics", PROTOBUF);
    assert!(response.content_type.starts_with("application/vnd.google.protobuf"));
    let mut rest = response.body.as_slice();
    let mut names = BTreeSet::new();
    while !rest.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut rest).expect("a family");
        if family.r#type() == MetricType::Histogram {
            check_native(&family);
        }
        assert!(names.insert(family.name));
    }
    let with_suffix = |(name, family): (&String, &tests::openmetrics::Family)| match &*family.kind {
        "counter" => format!("{name}_total"),
        "info" => format!("{name}_info"),
        _ => name.clone(),
    };
    let expected: BTreeSet<_> = page.0.iter().map(with_suffix).collect();
    assert_eq!(names, expected, "both forms have the same families");
    documented(&page);
}

/// In seconds, as the page has them.
fn check_stage_sums(page: &Page) {
    let mut sums: BTreeMap<(String, String), (f64, f64)> = BTreeMap::new();
    for sample in &page.0["heddle_request_duration_seconds"].samples {
        if sample.suffix == "_sum" {
            let key = (sample.labels["api"].clone(), sample.labels["shard"].clone());
            let (stages, total) = sums.entry(key).or_default();
            match sample.labels["stage"].as_str() {
                "total" => *total += sample.value,
                _ => *stages += sample.value,
            }
        }
    }
    assert_eq!(sums.len(), 4, "two APIs on two shards");
    assert!(sums.values().any(|(_, total)| *total > 0.0));
    for (key, (stages, total)) in sums {
        assert!((stages - total).abs() < 1e-9, "{key:?}: {stages} and {total}");
    }
}

/// The native buckets of each histogram hold as many as it counts, as do its classic ones.
fn check_native(family: &MetricFamily) {
    for metric in &family.metric {
        let histogram = metric.histogram.as_ref().expect("the type says so");
        let (mut count, mut sum) = (0, histogram.zero_count as i64);
        for delta in &histogram.positive_delta {
            count += delta;
            sum += count;
        }
        assert_eq!(sum, histogram.sample_count as i64, "{metric:?}");
        let lengths: u32 = histogram.positive_span.iter().map(|span| span.length).sum();
        assert_eq!(lengths as usize, histogram.positive_delta.len());
        let last = histogram.bucket.last().expect("there are classic buckets");
        assert_eq!(last.cumulative_count, histogram.sample_count);
    }
}

/// Every metric is explained in the manual, and the manual names no other.
fn documented(page: &Page) {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operate/metrics.md");
    let manual = std::fs::read_to_string(manual).expect("the manual has a page of metrics");
    let rows = manual.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let named: BTreeSet<&str> = rows.filter(|name| name.contains('_')).collect();
    let suffix = |kind: &str| match kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    };
    let served: BTreeSet<String> =
        page.0.iter().map(|(name, family)| format!("{name}{}", suffix(&family.kind))).collect();
    let served: BTreeSet<&str> = served.iter().map(String::as_str).collect();
    let missing: Vec<_> = served.difference(&named).collect();
    let unknown: Vec<_> = named.difference(&served).collect();
    assert!(missing.is_empty(), "docs/operate/metrics.md leaves out {missing:?}");
    assert!(unknown.is_empty(), "docs/operate/metrics.md names {unknown:?}, which are not served");
}

#[test]
fn requests_are_answered_in_their_order_and_others_refused() {
    let (broker, admin) = broker();
    let mut http = Http::connect(admin);
    for path in ["/healthz", "/readyz", "/v1/status/ready", "/v1/stages", "/"] {
        assert_eq!(http.get(path, "").status, 200, "{path}");
    }
    assert_eq!(http.get("/nothing", "").status, 404);
    // Three requests in one piece, one of them for the head alone.
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n");
    let head = "HEAD /v1/stages HTTP/1.1\r\nHost: t\r\n\r\n";
    http.send(format!("{}{head}{}", get("/healthz"), get("/readyz")).as_bytes());
    assert_eq!(http.response(true).expect("an answer").body, b"ok\n");
    let without = http.response(false).expect("an answer");
    assert!(without.status == 200 && without.length > 100 && without.keep_alive);
    assert_eq!(http.response(true).expect("an answer").body, b"{\"status\":\"ready\"}\n");
    // Requests byte by byte are requests.
    for byte in get("/healthz").as_bytes() {
        assert!(http.send(&[*byte]));
    }
    assert_eq!(http.response(true).expect("an answer").status, 200);
    let refused = [
        ("POST /metrics HTTP/1.1\r\nHost: t\r\n\r\n".to_owned(), 405),
        ("GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello".to_owned(), 413),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("\0\0\0\x12\0\x12\0\0garbage and more of it\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "x".repeat(20_000)), 431),
        (format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", "X: y\r\n".repeat(100)), 431),
    ];
    for (request, status) in refused {
        let mut http = Http::connect(admin);
        http.send(request.as_bytes());
        let response = http.response(true).expect("an answer");
        assert_eq!((response.status, response.keep_alive), (status, false), "{request:?}");
        assert!(http.is_closed(), "{request:?}");
    }
    assert!(!broker.log().contains("panicked"), "{}", broker.log());
}

#[test]
fn peers_that_take_their_time_cost_a_connection_for_a_while() {
    let (broker, admin) = broker();
    // As many as there may be, each of which has begun a request and goes on a byte at a time.
    let mut silent = Http::connect(admin);
    assert!(silent.send(b"GET /a"));
    let mut slow: Vec<Http> = (1..64).map(|_| Http::connect(admin)).collect();
    let mut closed = vec![false; slow.len()];
    for peer in &mut slow {
        assert!(peer.send(b"GET /a"));
    }
    let mut late = Http::connect(admin);
    late.send(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(late.response(true), None, "one more is closed at once");
    // Clients of Kafka do not notice.
    let mut calls = Calls::connect(broker.address());
    assert!(calls.producer_id().is_some());
    let began = Instant::now();
    while closed.iter().any(|closed| !closed) {
        assert!(began.elapsed() < Duration::from_secs(60), "they are closed");
        std::thread::sleep(Duration::from_millis(250));
        for (peer, closed) in slow.iter_mut().zip(&mut closed) {
            *closed |= !peer.send(b"a");
        }
    }
    // One that only listens hears why.
    assert_eq!(silent.response(true).expect("an answer").status, 408);
    assert!(silent.is_closed());
    assert_eq!(Http::connect(admin).get("/healthz", "").status, 200);
    assert!(broker.log().lines().all(|line| !line.contains("panicked")));
}

#[test]
fn a_port_that_is_taken_is_gone_without_unless_it_was_set() {
    // Where this fails somebody else has the default, which does as well.
    let _taken = TcpListener::bind("127.0.0.1:9644");
    let mut broker = BrokerProcess::start(Settings::default());
    let log = broker.log();
    assert!(log.contains("HDL-NET-012: no admin port: 127.0.0.1:9644"), "{log}");
    assert!(broker.is_running());

    let none = BrokerProcess::start(Settings::default().with("admin.listener="));
    assert!(!none.log().contains("HDL-NET-012"), "{}", none.log());

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let set = taken.local_addr().expect("it is bound").to_string();
    let directory = tempfile::tempdir_in(scratch()).expect("the build directory is writable");
    let output = Command::new(heddle())
        .args(["serve", "--listen", "127.0.0.1:0", "--shards", "1", "--admin", &set, "--data"])
        .arg(directory.path().join("data"))
        .args(["--override", "journal.file.bytes=8388608"])
        .stdin(Stdio::null())
        .output()
        .expect("the broker under test starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let expected = format!("error[HDL-NET-011]: cannot listen on {set} for the admin port");
    assert!(said.contains(&expected) && said.contains("--admin HOST:PORT"), "{said}");
}

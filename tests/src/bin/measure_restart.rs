//! How long a broker takes to serve again after `kill -9`, with a full journal and much data: measured, not judged.
//!
//! ```text
//! cargo build --release -p broker && cargo build -p tests
//! target/debug/measure-restart target/release/heddle --gigabytes 10 --rounds 5
//! ```
//!
//! Loads a broker of default settings through its own front door, in batches of 1 MiB from several connections, until it
//! holds that much. Then, in each round: loads on for some seconds, kills it under load, drops the page cache (that takes
//! root), starts it, and takes the time to the first answered request and to the moment when every partition has
//! acknowledged a record and given the end of its log. Prints a line of a Markdown table for each round.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use storage::batch::{Builder, Codec, NewRecord};
use tests::calls::Calls;
use tests::ledger::value;
use tests::{BrokerProcess, Settings};

const USAGE: &str = "usage: measure-restart HEDDLE [--gigabytes N] [--rounds N]";
const TOPIC: &str = "restart";
const PARTITIONS: i32 = 16;
const CONNECTIONS: i32 = 4;
/// How long each round loads before the kill: long enough for the journal to be as full as such a load makes it.
const LOAD_FOR: Duration = Duration::from_secs(3);
const RECORDS: u64 = 60;
const RECORD_BYTES: usize = 16 << 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((program, gigabytes, rounds)) = parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    measure(program, gigabytes, rounds);
    ExitCode::SUCCESS
}

fn parse(arguments: &[String]) -> Option<(PathBuf, u64, usize)> {
    let (program, mut options) = arguments.split_first()?;
    let (mut gigabytes, mut rounds) = (10, 5);
    while let [name, number, rest @ ..] = options {
        match name.as_str() {
            "--gigabytes" => gigabytes = number.parse().ok()?,
            "--rounds" => rounds = number.parse().ok()?,
            _ => return None,
        }
        options = rest;
    }
    let is_program = options.is_empty() && Path::new(program).is_file();
    is_program.then(|| (PathBuf::from(program), gigabytes, rounds))
}

fn measure(program: PathBuf, gigabytes: u64, rounds: usize) {
    let settings = Settings {
        shards: 2,
        overrides: Vec::new(),
        program: Some(program),
        ..Settings::default()
    };
    let mut broker = BrokerProcess::start(settings);
    let mut calls = Calls::connect(broker.address());
    assert_eq!(calls.create(TOPIC, PARTITIONS, &[]), Some(0), "the topic is created");
    let began = Instant::now();
    let loaded = load(broker.address(), move |loaded| loaded < gigabytes * 1_000_000_000);
    let mut total = loaded.finish();
    eprintln!("loaded {total} bytes in {:.1?}", began.elapsed());
    println!(
        "| round | data | the recovery, in its own words | first answer | every partition serves |"
    );
    println!("|---|---|---|---|---|");
    for round in 1..=rounds {
        let began = Instant::now();
        let running = load(broker.address(), move |_| began.elapsed() < LOAD_FOR * 2);
        thread::sleep(LOAD_FOR);
        broker.kill();
        total += running.finish();
        drop_page_cache();
        let began = Instant::now();
        broker.restart();
        let answered = began.elapsed();
        every_partition_serves(broker.address());
        let served = began.elapsed();
        println!(
            "| {round} | {:.1} GB | {} | {:.2} s | {:.2} s |",
            total as f64 / 1e9,
            replayed(&broker.log()),
            answered.as_secs_f64(),
            served.as_secs_f64()
        );
    }
    assert!(broker.stop().success(), "it stops cleanly");
}

/// A load that runs on threads of its own.
struct Running {
    threads: Vec<thread::JoinHandle<()>>,
    acknowledged: Arc<AtomicU64>,
}

impl Running {
    /// Waits for its end; returns the bytes that were acknowledged.
    fn finish(self) -> u64 {
        for thread in self.threads {
            thread.join().expect("a load ends by itself");
        }
        self.acknowledged.load(Ordering::Relaxed)
    }
}

/// Produces to all partitions until the broker goes away, or `wanted` of the bytes acknowledged so far is false.
fn load(address: SocketAddr, wanted: impl Fn(u64) -> bool + Clone + Send + 'static) -> Running {
    let acknowledged = Arc::new(AtomicU64::new(0));
    let ended = Arc::new(AtomicBool::new(false));
    let threads = (0..CONNECTIONS).map(|connection| {
        let (acknowledged, ended, wanted) = (acknowledged.clone(), ended.clone(), wanted.clone());
        thread::spawn(move || {
            let batch = batch(connection);
            let mut calls = Calls::connect(address);
            let mut partition = connection;
            while !ended.load(Ordering::Relaxed) && wanted(acknowledged.load(Ordering::Relaxed)) {
                match calls.produce(TOPIC, partition % PARTITIONS, &batch) {
                    Some((0, _)) => {
                        acknowledged.fetch_add(batch.len() as u64, Ordering::Relaxed);
                    }
                    Some((code, _)) => eprintln!("refused with {code}"),
                    None => ended.store(true, Ordering::Relaxed),
                }
                partition += CONNECTIONS;
            }
        })
    });
    Running { threads: threads.collect(), acknowledged: acknowledged.clone() }
}

/// A batch of about 1 MB that does not compress.
fn batch(connection: i32) -> Vec<u8> {
    let mut batch = Builder::new(Codec::None);
    for id in 0..RECORDS {
        let value = value(connection, id, RECORD_BYTES);
        batch.push(NewRecord::of(&value).key(&id.to_be_bytes()).at(1_700_000_000_000));
    }
    batch.build().expect("an uncompressed batch is made in memory")
}

fn every_partition_serves(address: SocketAddr) {
    let mut calls = Calls::connect(address);
    let mut one = Builder::new(Codec::None);
    one.push(NewRecord::of(b"served").at(1_700_000_000_000));
    let one = one.build().expect("an uncompressed batch is made in memory");
    for partition in 0..PARTITIONS {
        let (code, offset) = calls.produce(TOPIC, partition, &one).expect("the broker answers");
        assert_eq!(code, 0, "partition {partition} takes records");
        assert_eq!(calls.end(TOPIC, partition), Some(offset + 1), "and knows its end");
    }
}

fn drop_page_cache() {
    if let Err(error) = std::fs::write("/proc/sys/vm/drop_caches", "3") {
        eprintln!("the page cache stays (it takes root): {error}");
    }
}

/// What the last start says of its recovery: how much, and how long its parts took.
fn replayed(log: &str) -> String {
    let line = log.lines().rev().find(|line| line.contains("recovered"));
    let fields = line.into_iter().flat_map(str::split_whitespace);
    let told: Vec<_> = fields.filter(|field| field.contains('=')).collect();
    told.join(" ")
}

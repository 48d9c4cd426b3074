//! A client of Heddle's admin port: stage timings and counters before and after a measurement, and their difference.
//!
//! One GET of `/v1/stages` over a plain socket. What is read is bounded in bytes and time, because a measurement has to end
//! whatever listens there.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::error::BenchError;
use crate::latency::Latencies;
use crate::result::model::Stage;

/// How long connecting and answering may take together.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of an answer: a shard has some 50 kB at the most.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// What a broker knew of its work at one moment, counted since its start.
#[derive(Clone, Debug, Deserialize)]
pub struct Snapshot {
    /// Name and version.
    pub software: String,
    /// The class of durability of topics that name none.
    pub durability: String,
    /// Its settings that are not defaults.
    pub settings: BTreeMap<String, String>,
    shards: Vec<Shard>,
}

#[derive(Clone, Debug, Deserialize)]
struct Shard {
    shard: u16,
    cpu_ns: u64,
    counters: BTreeMap<String, u64>,
    stages: Vec<Timing>,
}

#[derive(Clone, Debug, Deserialize)]
struct Timing {
    api: String,
    stage: String,
    sum_ns: u64,
    histogram: Latencies,
}

/// Asks the broker whose admin port is at `admin`, HOST:PORT.
///
/// # Errors
/// Nobody listens there, or it is no Heddle.
pub fn snapshot(admin: &str) -> Result<Snapshot, BenchError> {
    let failed = |why: &dyn std::fmt::Display| {
        BenchError::failed(format!("stage timings cannot be read from {admin}: {why}"))
            .fix("name the admin port of the broker, as its banner says it, or none")
    };
    let body = get(admin, "/v1/stages").map_err(|why| failed(&why))?;
    serde_json::from_slice(&body).map_err(|error| failed(&format!("no stage timings: {error}")))
}

/// The body of a GET that was answered with 200.
fn get(admin: &str, path: &str) -> Result<Vec<u8>, String> {
    let deadline = Instant::now() + PATIENCE;
    let addresses = admin.to_socket_addrs().map_err(|error| error.to_string())?;
    let mut connected = Err("the name has no address".to_owned());
    for address in addresses {
        connected = TcpStream::connect_timeout(&address, PATIENCE).map_err(|e| e.to_string());
        if connected.is_ok() {
            break;
        }
    }
    let mut stream = connected?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    let sent = stream.set_write_timeout(Some(PATIENCE));
    let sent = sent.and_then(|()| stream.write_all(request.as_bytes()));
    sent.map_err(|error| format!("the request was not taken: {error}"))?;
    let mut answer = Vec::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!("no whole answer in {PATIENCE:?}"));
        }
        let read = stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut piece));
        match read.map_err(|error| format!("no whole answer: {error}"))? {
            0 => break,
            bytes => answer.extend_from_slice(&piece[..bytes]),
        }
        if answer.len() as u64 > ANSWER_BYTES_MAX {
            return Err(format!("the answer has more than {ANSWER_BYTES_MAX} bytes"));
        }
    }
    body(&answer)
}

/// The body of a whole response.
fn body(answer: &[u8]) -> Result<Vec<u8>, String> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or("what answers does not speak HTTP")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    if status.split_whitespace().nth(1) != Some("200") {
        return Err(format!("it answers {status}"));
    }
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let body = &answer[end + 4..];
    match length {
        Some(length) if body.len() == length => Ok(body.to_vec()),
        _ => Err(format!("the answer ended after {} bytes", body.len())),
    }
}

impl Snapshot {
    /// What was added since `earlier`: the stages that saw a request, by shard, and the counters of each shard, processor
    /// time (`cpu_ns`) among them. Where the broker was started again in between, what was added since its start.
    pub fn since(&self, earlier: &Snapshot) -> (Vec<Stage>, Vec<BTreeMap<String, u64>>) {
        let (mut stages, mut counters) = (Vec::new(), Vec::new());
        for shard in &self.shards {
            let before = earlier.shards.iter().find(|before| before.shard == shard.shard);
            let before = before.filter(|before| before.cpu_ns <= shard.cpu_ns);
            for timing in &shard.stages {
                let is =
                    |other: &&Timing| (&other.api, &other.stage) == (&timing.api, &timing.stage);
                let before = before.and_then(|before| before.stages.iter().find(is));
                let stage = timing.since(before, shard.shard);
                if stage.latencies.count() > 0 {
                    stages.push(stage);
                }
            }
            let of_before = |name: &str| before?.counters.get(name).copied();
            let mut grown: BTreeMap<String, u64> = shard
                .counters
                .iter()
                .map(|(name, now)| {
                    (name.clone(), now.saturating_sub(of_before(name).unwrap_or_default()))
                })
                .collect();
            let cpu_before = before.map_or(0, |before| before.cpu_ns);
            grown.insert("cpu_ns".into(), shard.cpu_ns - cpu_before);
            counters.push(grown);
        }
        (stages, counters)
    }
}

impl Timing {
    fn since(&self, before: Option<&Timing>, shard: u16) -> Stage {
        let mut histogram = self.histogram.histogram().clone();
        let mut sum_ns = self.sum_ns;
        if let Some(before) = before
            && histogram.subtract(before.histogram.histogram()).is_ok()
        {
            sum_ns = sum_ns.saturating_sub(before.sum_ns);
        }
        let (api, stage) = (self.api.clone(), self.stage.clone());
        Stage { shard, api, stage, latencies: histogram.into(), sum_ns }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use serde_json::json;

    use super::*;

    /// A shard whose requests took so long, all of it in the journal.
    fn page(took: &[u64], cpu_ns: u64) -> String {
        let mut latencies = Latencies::new();
        took.iter().for_each(|ns| latencies.record_ns(*ns, 1));
        let stage = |name: &str, latencies: &Latencies, sum: u64| {
            json!({
                "api": "produce", "stage": name, "sum_ns": sum, "histogram": latencies
            })
        };
        let sum = took.iter().sum();
        let stages = [
            stage("journal", &latencies, sum),
            stage("total", &latencies, sum),
            stage("hop", &Latencies::new(), 0),
        ];
        json!({
            "software": "heddle 0.1.0", "durability": "device", "settings": {"shards": "1"},
            "shards": [{
                "shard": 0, "cpu_ns": cpu_ns, "counters": {"syscalls": took.len()},
                "gauges": {"connections": 1.0}, "stages": stages,
            }],
        })
        .to_string()
    }

    /// Asks somebody who answers with these bytes.
    fn ask(answer: String) -> Result<Snapshot, BenchError> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let admin = listener.local_addr().expect("it is bound").to_string();
        let answering = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody connects");
            let mut request = [0; 1_024];
            let read = stream.read(&mut request).expect("it asks");
            stream.write_all(answer.as_bytes()).expect("it listens");
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let snapshot = snapshot(&admin);
        let request = answering.join().expect("it answers");
        assert!(request.starts_with("GET /v1/stages HTTP/1.1\r\n"), "{request}");
        snapshot
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn the_difference_is_what_was_measured() {
        let before = ask(ok(&page(&[1_000, 50_000], 100))).expect("a page");
        let after = ask(ok(&page(&[1_000, 50_000, 2_000_000, 70_000], 250))).expect("a page");
        let (stages, counters) = after.since(&before);
        let names: Vec<_> = stages.iter().map(|stage| stage.stage.as_str()).collect();
        assert_eq!(names, ["journal", "total"], "nothing hopped");
        for stage in &stages {
            assert_eq!((stage.latencies.count(), stage.sum_ns), (2, 2_070_000));
            assert!(stage.latencies.histogram().min() > 60_000);
        }
        assert_eq!(counters[0]["syscalls"], 2);
        assert_eq!(counters[0]["cpu_ns"], 150);
        assert_eq!(
            (after.software.as_str(), after.durability.as_str()),
            ("heddle 0.1.0", "device")
        );
    }

    #[test]
    fn a_broker_that_was_started_again_counts_from_its_start() {
        let before = ask(ok(&page(&[1_000, 50_000], 1_000))).expect("a page");
        let after = ask(ok(&page(&[9_000], 100))).expect("a page");
        let (stages, counters) = after.since(&before);
        assert_eq!((stages[0].latencies.count(), stages[0].sum_ns), (1, 9_000));
        assert_eq!((counters[0]["syscalls"], counters[0]["cpu_ns"]), (1, 100));
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let check = |answer: &str, expected: &str| {
            let error = ask(answer.to_owned()).expect_err("it is no page").to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("HTTP/1.1 503 Service Unavailable\r\n\r\nonly 1 of 2", "503 Service Unavailable");
        check("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "ended after 2 bytes");
        check("SSH-2.0-OpenSSH\r\n", "does not speak HTTP");
        check(&ok("{}"), "no stage timings");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let admin = listener.local_addr().expect("it is bound").to_string();
        drop(listener);
        let error = snapshot(&admin).expect_err("nobody listens").to_string();
        assert!(error.contains(&admin) && error.contains("refused"), "{error}");
    }
}

//! Clients that are not ours, so that nobody has to trust our own: Apache Kafka's `kafka-producer-perf-test`, and a small
//! open-loop client on librdkafka (`bench/neutral/open_loop_client.c`).

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use engine::shard::{self, Launch};
use serde_json::Value;

use super::row::Row;
use crate::error::BenchError;
use crate::load::{Where, cluster};
use crate::target::{kafka, process};

/// The client on librdkafka, compiled where it is needed.
const SOURCE: &str = include_str!("../../neutral/open_loop_client.c");
/// Records are as large as in the rows' own plans.
const RECORD_BYTES: u32 = 1_024;

/// Compiles the client on librdkafka; `Err` says why it is left out.
pub fn compile(dir: &Path) -> Result<PathBuf, String> {
    let (source, program) = (dir.join("open_loop_client.c"), dir.join("open_loop_client"));
    std::fs::write(&source, SOURCE).map_err(|error| error.to_string())?;
    let output = Command::new("cc")
        .args(["-O2", "-o"])
        .args([&program, &source])
        .args(["-lrdkafka", "-lpthread"])
        .output()
        .map_err(|error| format!("cc does not start: {error}"))?;
    match output.status.success() {
        true => Ok(program),
        false => {
            let errors = String::from_utf8_lossy(&output.stderr);
            let first = errors.lines().find(|line| line.contains("error")).unwrap_or("cc failed");
            Err(format!("{first} (librdkafka-dev is needed)"))
        }
    }
}

/// One run of the client on librdkafka.
///
/// # Errors
/// It fails.
pub fn librdkafka(
    program: &Path,
    row: &Row,
    at: &Where,
    warm_up_s: u64,
    seconds: u64,
) -> Result<BTreeMap<String, f64>, BenchError> {
    let topic = topic_name();
    let mut command = Command::new(program);
    command
        .args(["-b", &at.bootstrap.join(","), "-t", &topic])
        .args(["-p", &row.partitions.to_string(), "-l", &row.linger_ms.to_string()])
        .args(["-r", &row.rate.unwrap_or(0.0).to_string(), "-s", &RECORD_BYTES.to_string()])
        .args(["-w", &warm_up_s.to_string(), "-d", &seconds.to_string()]);
    if let Some(pid) = at.pid {
        command.args(["-P", &pid.to_string()]);
    }
    if row.rate.is_none() {
        command.arg("-n");
    }
    let printed = output(&mut command);
    let _ = topics(at, &topic, None);
    open_loop_figures(&printed?).ok_or_else(|| BenchError::failed("it printed no result"))
}

fn open_loop_figures(printed: &str) -> Option<BTreeMap<String, f64>> {
    let json: Value = serde_json::from_str(printed.lines().last()?).ok()?;
    let mut figures = BTreeMap::new();
    for (name, key) in [
        ("records_per_second", "ack_per_s"),
        ("mb_per_second", "MBps"),
        ("failed", "failed"),
        ("cpu_per_gb", "cpu_s_per_GB"),
        ("slip_us", "slip_us"),
    ] {
        figures.insert(name.to_owned(), json[key].as_f64()?);
    }
    for (name, kind) in [("response", "ack"), ("end-to-end", "e2e")] {
        if json[kind]["n"].as_u64()? == 0 {
            continue;
        }
        for (figure, key) in
            [("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"), ("p99.99", "p9999")]
        {
            figures.insert(format!("{name}-{figure}"), json[kind][key].as_f64()?);
        }
    }
    Some(figures)
}

/// One run of `kafka-producer-perf-test`: `seconds` at the row's rate, half the time without limit at saturation.
///
/// # Errors
/// There is no Java, or it fails.
pub fn perf_test(row: &Row, at: &Where, seconds: u64) -> Result<BTreeMap<String, f64>, BenchError> {
    let topic = topic_name();
    topics(at, &topic, Some(row.partitions))?;
    // At saturation it takes some 150,000 records a second.
    let records = row.rate.unwrap_or(100_000.0) * seconds as f64;
    let throughput = row.rate.map_or_else(|| "-1".to_owned(), |rate| rate.to_string());
    let mut command = kafka::tool("org.apache.kafka.tools.ProducerPerformance")?;
    command
        .args(["--topic", &topic, "--num-records", &(records as u64).to_string()])
        .args(["--record-size", &RECORD_BYTES.to_string(), "--throughput", &throughput])
        .arg("--producer-props")
        .arg(format!("bootstrap.servers={}", at.bootstrap.join(",")))
        .args(["acks=all", &format!("linger.ms={}", row.linger_ms), "batch.size=131072"]);
    let before = at.pid.and_then(process::cpu);
    let printed = output(&mut command);
    let after = at.pid.and_then(process::cpu);
    let _ = topics(at, &topic, None);
    let mut figures =
        perf_test_figures(&printed?).ok_or_else(|| BenchError::failed("it printed no result"))?;
    if let (Some(before), Some(after)) = (before, after) {
        let gb = records * f64::from(RECORD_BYTES) / 1e9;
        figures.insert("cpu_per_gb".into(), (after - before).as_secs_f64() / gb);
    }
    Ok(figures)
}

/// `50000 records sent, 998.0 records/sec (0.97 MB/sec), 1.95 ms avg latency, 340.00 ms max latency, 1 ms 50th, 4 ms 95th,
/// 30 ms 99th, 120 ms 99.9th.`
fn perf_test_figures(printed: &str) -> Option<BTreeMap<String, f64>> {
    let line = printed.lines().rev().find(|line| line.contains(" 99.9th"))?;
    let before = |words: &str| -> Option<f64> {
        let number = line[..line.find(words)?].rsplit([' ', '(']).next()?;
        number.replace(',', ".").parse().ok()
    };
    let mut figures = BTreeMap::new();
    figures.insert("records_per_second".into(), before(" records/sec")?);
    // It counts a MB as 2^20 bytes.
    figures.insert("mb_per_second".into(), before(" MB/sec")? * 1.048_576);
    for (name, words) in [("p50", " ms 50th"), ("p99", " ms 99th"), ("p99.9", " ms 99.9th")] {
        figures.insert(format!("service-{name}"), before(words)? * 1e3);
    }
    Some(figures)
}

fn output(command: &mut Command) -> Result<String, BenchError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| BenchError::failed(format!("{name} does not start: {error}")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => {
            let (printed, errors) = (text(&output.stdout), text(&output.stderr));
            let end = errors.lines().last().or(printed.lines().last()).unwrap_or_default();
            Err(BenchError::failed(format!("{name} ended with {}: {end}", output.status)))
        }
    }
}

fn topic_name() -> String {
    format!("heddle-bench-neutral-{:016x}", RandomState::new().build_hasher().finish())
}

/// Makes a topic with so many partitions, or deletes it.
fn topics(at: &Where, name: &str, partitions: Option<u32>) -> Result<(), BenchError> {
    let (addresses, names) = (at.bootstrap.clone(), vec![name.to_owned()]);
    let work = async move {
        let mut connection = cluster::any(&addresses).await?;
        match partitions {
            None => cluster::delete(&mut connection, &names).await,
            Some(partitions) => {
                let config = BTreeMap::new();
                cluster::create(&mut connection, &names, partitions, &config).await?;
                cluster::settled(&mut connection, &names, partitions).await.map(|_| ())
            }
        }
    };
    let done = shard::block_on(&Launch::default(), work);
    Ok(done.map_err(|error| BenchError::failed(error.to_string()))??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_clients_print_is_read() {
        let printed = "3000 records sent, 600.0 records/sec (0.59 MB/sec), 2.0 ms avg latency, 90.0 ms max latency.\n\
            50000 records sent, 998.0 records/sec (0.97 MB/sec), 1.95 ms avg latency, 340.00 ms max latency, \
            1 ms 50th, 4 ms 95th, 30 ms 99th, 120 ms 99.9th.\n";
        let figures = perf_test_figures(printed).expect("a result");
        assert_eq!(figures["records_per_second"], 998.0);
        assert_eq!((figures["service-p50"], figures["service-p99.9"]), (1e3, 120e3));
        assert!((figures["mb_per_second"] - 1.017).abs() < 0.001);
        assert!(perf_test_figures("no topic").is_none());

        let printed = r#"{"rate":1000,"sent":3,"acked":3,"failed":0,"ack_per_s":999,"MBps":1.0,"slip_us":5,"cpu_s_per_GB":4.5,
            "ack":{"n":3,"p50":250,"p99":900,"p999":901,"p9999":902,"max":903},"e2e":{"n":0,"p50":0}}"#
            .replace('\n', "");
        let figures = open_loop_figures(&printed).expect("a result");
        assert_eq!((figures["response-p99"], figures["cpu_per_gb"]), (900.0, 4.5));
        assert!(!figures.contains_key("end-to-end-p50"), "nothing was consumed");
        assert!(open_loop_figures("").is_none());
    }
}

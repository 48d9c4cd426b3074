//! Brokers as the bench starts them. Goal: a start is timed, a restart after `kill -9` too, a broker that cannot start says why,
//! and nothing is left behind, neither processes nor data. Method: this package's broker, and Apache Kafka where it is.

use std::path::Path;
use std::process::Command;

use bench::target::{Broker, Spec, process};
use tests::broker_process::{heddle, scratch};
use tests::clients::Client;

fn directory() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("bench-").tempdir_in(scratch()).expect("it is writable")
}

fn spec(settings: &str) -> Spec {
    format!("heddle={},shards=1,journal.file.bytes=8388608{settings}", heddle().display())
        .parse()
        .expect("a spec")
}

fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_broker_is_started_killed_and_stopped() {
    let dir = directory();
    let mut broker = Broker::start(&spec(",cores=0"), dir.path()).expect("it starts");
    let first = broker.pid().expect("it was started here");
    let facts = broker.facts();
    assert_eq!(facts.durability.as_deref(), Some("device"));
    assert!(facts.software.expect("it says so").starts_with("heddle"));
    assert_eq!(facts.settings["shards"], "1");
    assert!(facts.start_ms.expect("it was started") > 1.0);
    assert!(facts.resident_bytes.expect("it runs") > 1 << 20);
    assert!(process::cpu(first).expect("it runs").as_nanos() > 0);
    let allowed = std::fs::read_to_string(format!("/proc/{first}/status")).expect("it runs");
    assert!(allowed.contains("Cpus_allowed_list:\t0\n"), "{allowed}");

    broker.pause().expect("it runs");
    assert_eq!(process::state(first), Some('T'), "stopped");
    broker.go_on().expect("it answers again");

    let ms = broker.kill_and_restart().expect("it comes back");
    assert_eq!(broker.facts().restart_ms, Some(ms));
    let second = broker.pid().expect("it runs");
    assert!(first != second && !exists(first));
    broker.stop().expect("its data can be removed");
    assert!(!exists(second) && !dir.path().join("data").exists());
    assert!(dir.path().join("log").exists(), "what it said stays");
}

#[test]
fn a_broker_that_is_dropped_leaves_nothing() {
    let dir = directory();
    let broker = Broker::start(&spec(""), dir.path()).expect("it starts");
    let running = broker.at().bootstrap.join(",").parse().expect("a spec");
    let (pid, data) = (broker.pid().expect("it runs"), dir.path().join("data"));
    assert!(exists(pid) && data.exists());
    let found = Broker::start(&running, dir.path()).expect("it answers");
    assert_eq!(found.at().bootstrap, broker.at().bootstrap);
    found.stop().expect("it is left alone");
    assert!(exists(pid), "whoever did not start it does not end it");
    drop(broker);
    assert!(!exists(pid) && !data.exists());
    let error = Broker::start(&running, dir.path()).expect_err("it is gone");
    assert!(error.what.starts_with("no broker answers at 127.0.0.1:"), "{error}");
}

#[test]
fn a_broker_that_does_not_start_is_quoted() {
    let dir = directory();
    let error = Broker::start(&spec(",no.such.property=1"), dir.path()).expect_err("no property");
    assert!(error.what.starts_with("heddle ended at its start with exit status: 2"), "{error}");
    assert!(error.what.contains("no.such.property"), "{error}");
    let other: Spec = "cmd=other:echo {port} is not mine >&2; exit 7".parse().expect("a spec");
    let error = Broker::start(&other, directory().path()).expect_err("it ends");
    assert!(error.what.starts_with("other ended at its start"), "{error}");
    assert!(error.what.contains(" is not mine"), "{error}");
}

/// Any command can be a broker: here Heddle, started by `sh`.
#[test]
fn a_command_is_a_broker() {
    let dir = directory();
    let text = format!(
        "cmd=other:{} serve --listen 127.0.0.1:{{port}} --data {{data}} --shards 1 --override journal.file.bytes=8388608",
        heddle().display()
    );
    let broker = Broker::start(&text.parse().expect("a spec"), dir.path()).expect("it starts");
    let name = format!("/proc/{}/exe", broker.pid().expect("it runs"));
    let program = std::fs::read_link(name).expect("it runs");
    assert_eq!(program, heddle().canonicalize().expect("it is there"));
    broker.stop().expect("its data can be removed");
}

/// Apache Kafka starts from its archives with its own flags, answers after it was stopped for a while, and leaves nothing.
#[test]
fn apache_kafka_is_a_broker() {
    if Client::ApacheKafka.find().is_none() {
        return;
    }
    let dir = directory();
    let spec = "kafka-sync,num.io.threads=2".parse().expect("a spec");
    let mut broker = Broker::start(&spec, dir.path()).expect("it starts");
    let facts = broker.facts();
    assert!(facts.software.expect("known").starts_with("Apache Kafka 4."));
    assert_eq!(facts.durability.as_deref(), Some("log.flush.interval.messages=1"));
    let pid = broker.pid().expect("it runs");
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).expect("it runs");
    let words = String::from_utf8_lossy(&words).replace('\0', " ");
    assert!(words.contains("-Xmx1G -Xms1G -server -XX:+UseG1GC"), "{words}");
    broker.pause().expect("it runs");
    broker.go_on().expect("it answers again");
    broker.stop().expect("its data can be removed");
    assert!(!exists(pid) && !dir.path().join("data").exists());
    assert!(dir.path().join("server.log").exists());
    let run = Command::new("pgrep").args(["-f", &dir.path().display().to_string()]).output();
    assert!(run.is_ok_and(|output| output.stdout.is_empty()), "nothing of it is left");
}

//! `heddle bench` as a process: what it lists, what it refuses and how, and that a run against a real broker measures,
//! audits and cleans up behind itself.
//!
//! No figure decides a test: loads are small, and only counts and verdicts are looked at. Takes 10 seconds.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::disallowed_methods, reason = "a test has no shards")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use bench::plan::{Plan, workloads};
use bench::result::keep;
use bench::result::model::Report;
use common::Broker;
use serde_json::Value;
use tempfile::TempDir;

fn scratch() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn heddle(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heddle"));
    command.env_remove("HEDDLE_BOOTSTRAP_SERVER").env_remove("COLUMNS");
    command.args(arguments).output().unwrap()
}

/// Standard output, the exit code having been compared with 0.
fn done(arguments: &[&str]) -> String {
    let output = heddle(arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error of a command that ends with `code` and prints nothing else.
fn refused(code: i32, arguments: &[&str]) -> String {
    let output = heddle(arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    assert!(output.stdout.is_empty(), "a refusal prints on standard error");
    errors
}

#[test]
fn workloads_are_listed_and_can_be_written_down() {
    let text = done(&["bench", "list"]);
    let plans: Value = serde_json::from_str(&done(&["bench", "list", "--format", "json"])).unwrap();
    for (index, (name, question)) in workloads::all().enumerate() {
        let entry = format!("{name:<17} {question}\n");
        assert!(text.contains(&entry), "{text}");
        assert_eq!(plans[index]["name"], name);
        let plan: Plan = serde_json::from_value(plans[index]["plan"].clone()).unwrap();
        assert_eq!(Some(plan), workloads::named(name));
    }
    let keyed = done(&["bench", "list", "keyed"]);
    assert_eq!(keyed.lines().count(), 2, "{keyed}");
    let plan: Plan =
        serde_json::from_str(&done(&["bench", "list", "keyed", "--format", "json"])).unwrap();
    assert_eq!(plan.name, "keyed");
    assert_eq!(
        refused(2, &["bench", "list", "nothing"]),
        "error[HDL-BENCH-001]: there is no workload `nothing`\n  fix:  choose one of steady, small-requests, \
         many-producers, keyed, many-partitions, large-records, fan-out, catch-up, backlog, connection-storm, \
         retention, full-drive, soak\n"
    );
}

/// The help is read more often than the code: a change of it is looked at.
#[test]
fn the_help_of_a_run_is_as_it_was_reviewed() {
    let found = done(&["bench", "run", "--help"]);
    let reviewed = include_str!("golden/bench_run_help.txt");
    if found != reviewed {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench_run_help.txt");
        fs::write(&path, &found).unwrap();
        panic!(
            "the help has changed: look at {} and, if it is good, copy it over \
             broker/tests/golden/bench_run_help.txt\n{found}",
            path.display()
        );
    }
}

#[test]
fn what_cannot_be_run_is_refused_before_anything_starts() {
    let check = |arguments: &[&str], expected: &str| {
        let errors = refused(2, &[&["bench", "run"], arguments].concat());
        assert!(errors.starts_with(expected), "{arguments:?}: {errors}");
    };
    check(
        &["--consumers", "5"],
        "error[HDL-BENCH-001]: 5 consumers cannot share 4 partitions\n  \
         why:  each partition is read by one consumer of a set\n  \
         fix:  take fewer --consumers or more --partitions; --fan-out reads records again\n",
    );
    check(
        &["--size", "39"],
        "error[HDL-BENCH-001]: a value of 39 bytes is too small\n  \
         why:  its first 40 bytes say who produced it, for the audit\n",
    );
    check(
        &["--acks", "1", "--idempotent"],
        "error[HDL-BENCH-001]: an idempotent producer needs acks=all\n",
    );
    check(&["--workload", "nothing"], "error[HDL-BENCH-001]: there is no workload `nothing`\n");
    check(
        &["--plan", "/nowhere.json"],
        "error[HDL-BENCH-001]: the plan /nowhere.json cannot be read\n  why:  No such file",
    );
    check(
        &["--rate", "fast"],
        "error: invalid value 'fast' for '--rate <RATE>': write records a second as 5000, bytes a second as \
         50MiB/s, or max for saturation\n",
    );
    check(
        &["--beside", "rain"],
        "error: invalid value 'rain' for '--beside <WHAT>': write catch-up:",
    );
    check(
        &["--time", "30"],
        "error: invalid value '30' for '--time <TIME>': write a time with its unit",
    );
    check(&["--start=pulsar"], "error: invalid value 'pulsar' for '--start[=<BROKER>]'");
    check(
        &["--start", "--pid", "1"],
        "error: the argument '--start[=<BROKER>]' cannot be used with '--pid <PID>'",
    );
    check(
        &["--set", "a=b"],
        "error: the following required arguments were not provided:\n  --start",
    );
    let json = refused(2, &["bench", "run", "--consumers", "5", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["exit"], 2);
    assert_eq!(json["errors"][0]["why"], "each partition is read by one consumer of a set");
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    // Port 1 is privileged and unused: nobody listens there.
    let errors = refused(1, &["bench", "run", "-b", "127.0.0.1:1", "--time", "1s"]);
    assert!(errors.starts_with("error[HDL-BENCH-002]: "), "{errors}");
    assert!(errors.contains("127.0.0.1:1") && errors.contains("  fix:  "), "{errors}");
}

/// What holds of every run in which nothing goes wrong.
fn assert_sound(report: &Report, runs: usize) {
    assert_eq!(report.runs.len(), runs);
    for run in &report.runs {
        assert!(run.audit.passed(), "{:?}", run.audit);
        assert!(run.audit.expected > 0 && run.audit.checked >= run.audit.expected);
        assert!(run.totals.acknowledged > 0 && run.totals.consumed > 0, "{:?}", run.totals);
        assert_eq!(run.totals.failed, 0);
        assert!(run.response.count() > 0 && run.service.count() > 0 && run.end_to_end.count() > 0);
    }
}

const SHORT: [&str; 8] =
    ["--time", "1s", "--warm-up", "200ms", "--rate", "500", "--producers", "2"];

#[test]
fn a_run_prints_what_it_measured_keeps_it_and_leaves_no_topic() {
    let dir = scratch();
    let broker = Broker::start(&dir.path().join("data"), 1, &[]);
    let address = broker.address.to_string();
    let kept = dir.path().join("kept");
    let save = kept.to_str().unwrap();
    let more =
        ["--keys", "zipf:100,1.1", "-b", &address, "--save", save, "--remark", "a short one"];
    let text = done(&[&["bench", "run"], &SHORT[..], &more[..]].concat());
    for words in [
        "workload  custom · 2 producers, 1 consumer",
        "produce ack",
        "end to end",
        "audit     passed",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.contains(&format!("saved     {save}: result.json")), "{text}");
    let report = keep::load(&kept).unwrap();
    assert_sound(&report, 1);
    assert_eq!(report.provenance.remark.as_deref(), Some("a short one"));
    assert_eq!(report.plan.producers, 2);

    let more =
        ["--compression", "zstd", "--payload", "text:0.3", "-b", &address, "--format", "json"];
    let json = done(&[&["bench", "run"], &SHORT[..], &more[..]].concat());
    let report: Report = serde_json::from_str(&json).unwrap();
    assert_sound(&report, 1);
    let topics = done(&["topic", "list", "-b", &address, "--format", "json"]);
    assert!(!topics.contains("heddle-bench-"), "the runs' topics are deleted: {topics}");
    broker.stop();
}

#[test]
fn a_broker_is_started_for_the_runs_and_ended_after_them() {
    let dir = scratch();
    let data = dir.path().to_str().unwrap();
    let more =
        ["--start", "--set", "ack.durability=written", "--data", data, "--runs", "2", "--json"];
    let json = done(&[&["bench", "run"], &SHORT[..], &more[..]].concat());
    let report: Report = serde_json::from_str(&json).unwrap();
    assert_sound(&report, 2);
    for run in &report.runs {
        assert_eq!(run.broker.durability.as_deref(), Some("written"));
        assert!(run.broker.start_ms.is_some() && run.broker.pid.is_some());
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing of it is left");
    let pid = report.runs[0].broker.pid.unwrap();
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    assert!(!command.contains("heddle"), "the broker has ended: {command}");
}

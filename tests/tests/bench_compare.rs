//! `heddle bench compare` and `versus` as commands. Goal: a comparison ends with a verdict, its JSON and its exit code; it leaves no
//! process behind, however it ends; and wrong arguments are told clearly. Method: this package's broker, runs of half a second.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::broker_process::{heddle, scratch};

/// Small files: a start costs little.
const SMALL: &str = "shards=1,journal.file.bytes=8388608";

fn directory() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("compare-").tempdir_in(scratch()).expect("it is writable")
}

fn broker() -> String {
    format!("heddle={},{SMALL}", heddle().display())
}

fn bench(arguments: &[&str], data: &Path) -> Command {
    let mut command = Command::new(heddle());
    command.arg("bench").args(arguments).arg("--data").arg(data).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str], data: &Path) -> Output {
    bench(arguments, data).output().expect("the command starts")
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Processes whose command line has these words.
fn processes(words: &str) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").expect("it is Linux").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(words)
    };
    pids.filter(has).collect()
}

/// Waits for what another process does in its own time.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

const TINY: [&str; 8] =
    ["--rate", "400", "--time", "500ms", "--warm-up", "100ms", "--partitions", "2"];

#[test]
fn a_broker_is_compared_with_itself() {
    let dir = directory();
    let (broker, kept) = (broker(), dir.path().join("kept"));
    let kept = kept.display().to_string();
    let mut arguments = vec!["compare", &broker, &broker, "--pairs", "2", "--pairs-max", "3"];
    arguments.extend(TINY);
    arguments.extend(["--format", "json", "--save", &kept]);
    let output = run(&arguments, dir.path());
    let code = output.status.code().expect("it was not killed");
    assert!([0, 3, 4].contains(&code), "{code}: {}", errors(&output));
    let json: Value = serde_json::from_slice(&output.stdout).expect("one document");
    let pairs = json["a_runs"].as_array().expect("all runs of A").len();
    assert!((2..=3).contains(&pairs));
    assert_eq!(json["b_runs"].as_array().map(Vec::len), Some(pairs));
    assert_eq!(json["order"].as_array().map(Vec::len), Some(pairs));
    let throughput = &json["metrics"][0];
    assert_eq!(throughput["metric"], "throughput");
    assert!((throughput["a"].as_f64().expect("a figure") - 400.0).abs() < 100.0);
    let cpu = &json["metrics"][1];
    assert_eq!(
        (cpu["metric"].as_str(), cpu["decides"].as_bool()),
        (Some("cpu-per-request"), Some(true))
    );
    assert!(json["a_runs"][0]["broker"]["start_ms"].as_f64().is_some_and(|ms| ms > 0.0));
    let expected = match &json["verdict"] {
        Value::String(verdict) if verdict == "regression" => 3,
        Value::String(_) => 0,
        _ => 4,
    };
    assert_eq!(code, expected, "{}", json["verdict"]);
    for name in ["comparison.json", "comparison.txt"] {
        assert!(Path::new(&kept).join(name).exists(), "{name}");
    }
    let left = processes(&dir.path().display().to_string());
    assert!(left.is_empty(), "no broker is left: {left:?}");
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("it is there").flatten().collect();
    assert_eq!(left.len(), 1, "only what was kept is left: {left:?}");
}

/// Two results that `bench run --save` kept are compared as samples: so few and so short that nothing can be said.
#[test]
fn saved_results_are_compared() {
    let dir = directory();
    let start = format!("--start={}", broker());
    let names = ["a", "b"].map(|name| dir.path().join(name).display().to_string());
    for name in &names {
        let mut arguments = vec!["run", &start, "--runs", "2", "--save", name];
        arguments.extend(TINY);
        let output = run(&arguments, dir.path());
        assert!(output.status.success(), "{}", errors(&output));
    }
    let output = run(&["compare", &names[0], &names[1]], dir.path());
    assert_eq!(output.status.code(), Some(4), "{}", errors(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("2 and 2 saved runs") && text.contains("Inconclusive"), "{text}");
    let output = run(&["compare", &names[0], "heddle"], dir.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors(&output).contains("is a saved result and `heddle` is not"),
        "{}",
        errors(&output)
    );
}

/// The comparison is killed (`kill -9`) while a broker of its own serves: the broker ends, and its data goes.
#[test]
fn a_comparison_that_is_killed_leaves_nothing_behind() {
    let dir = directory();
    let broker = broker();
    let mut arguments = vec!["compare", &broker, &broker, "--quiet"];
    arguments.extend(["--rate", "400", "--time", "60s"]);
    let mut command = bench(&arguments, dir.path());
    let mut comparison = command.stderr(Stdio::null()).spawn().expect("the command starts");
    let words = "serve --listen 127.0.0.1:";
    let place = dir.path().display().to_string();
    let brokers = || -> Vec<u32> {
        let ours = processes(&place);
        let serve = processes(words);
        ours.into_iter().filter(|pid| serve.contains(pid)).collect()
    };
    wait_until("a broker starts", || !brokers().is_empty());
    comparison.kill().expect("it runs");
    comparison.wait().expect("it was killed");
    wait_until("nothing of it is left", || processes(&place).is_empty());
    let data = dir.path().join(format!("heddle-bench-{}", comparison.id())).join("a/1/data");
    let other = dir.path().join(format!("heddle-bench-{}", comparison.id())).join("b/1/data");
    assert!(!data.exists() && !other.exists(), "the data is gone");
}

#[test]
fn wrong_arguments_are_told_clearly() {
    let dir = directory();
    for (arguments, words) in [
        (vec!["compare", "heddle", "kafak"], "`kafak` is no broker"),
        (vec!["compare", "heddle=/nowhere", "heddle"], "there is no program at `/nowhere`"),
        (vec!["compare", "heddle", "cmd=other:run"], "has no {port}"),
        (vec!["compare", "heddle", "heddle", "--gate", "p99"], "no metric of this name"),
        (vec!["versus", "heddle", "kafak"], "`kafak` is no broker"),
        (vec!["versus", "--rows", "4"], "`4` is no row"),
    ] {
        let output = run(&arguments, dir.path());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", errors(&output));
        assert!(errors(&output).contains(words), "{arguments:?}: {}", errors(&output));
    }
    let output = run(&["compare", "127.0.0.1:1", "127.0.0.1:1"], dir.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("no broker answers at 127.0.0.1:1"), "{}", errors(&output));
}

/// Two configurations of Heddle side by side, cut short and gone on with: what was kept is not measured again.
#[test]
fn brokers_are_put_side_by_side() {
    let dir = directory();
    let (one, other) = (broker(), broker() + ",ack.durability=written");
    let kept = dir.path().join("kept");
    let shown = kept.display().to_string();
    let versus = |rows: &str| {
        let mut arguments = vec!["versus", &one, &other, "--pairs", "1", "--seconds", "1"];
        arguments.extend(["--warm-up", "0", "--no-neutral", "--rows", rows, "--save", &shown]);
        let output = run(&arguments, dir.path());
        assert!(output.status.success(), "{}", errors(&output));
        output
    };
    let first = versus("2x300");
    let text = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(text.contains("| 2x300 | heddle-2 |"), "{text}");
    assert!(text.contains("| heddle-2 |") && text.contains("start to first answer"), "{text}");
    let lines = || std::fs::read_to_string(kept.join("measurements.jsonl")).expect("it is kept");
    assert_eq!(lines().lines().count(), 1 + 2 + 2 + 2, "starts, loads, starts after kill -9");
    let second = versus("2x300,2xmax");
    assert_eq!(lines().lines().count(), 1 + 2 + 4 + 2, "{}", errors(&second));
    assert!(errors(&second).contains("1 of 2   load 2xmax"), "{}", errors(&second));
    let text = std::fs::read_to_string(kept.join("versus.md")).expect("it is kept");
    assert!(text.contains("| 2xmax | heddle"), "{text}");
    let left = processes(&dir.path().display().to_string());
    assert!(left.is_empty(), "no broker is left: {left:?}");
}

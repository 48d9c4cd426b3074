//! A result comes back from its files as it was, and HdrHistogram's own readers read the others.
//!
//! The interval logs are read with the Rust crate and, where it is installed, with HdrHistogram's Python package.

mod made_up;

use std::fs;
use std::path::Path;
use std::process::Command;

use bench::cli::{BenchArgs, Io};
use bench::error::{BenchError, Kind};
use bench::latency::Latencies;
use bench::result::model::Report;
use bench::result::{doubts, keep, table};
use clap::Parser;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use made_up::Wish;

fn short() -> Report {
    made_up::report(&Wish { rate: 500, seconds: 5, runs: 2, ..Wish::default() })
}

#[test]
fn a_report_comes_back_as_it_was() {
    let (dir, report) = (tempfile::tempdir().expect("a directory"), short());
    let files = keep::save(dir.path(), &report).expect("it is written");
    let names = files.iter().map(|file| file.file_name().expect("a name").to_string_lossy());
    let names: Vec<_> = names.collect();
    for name in ["result.json", "response.hgrm", "service.hlog", "end-to-end.hlog"] {
        assert!(names.iter().any(|written| written == name), "{name} is not among {names:?}");
    }
    let back = keep::load(dir.path()).expect("it was just written");
    let file = keep::load(&dir.path().join("result.json")).expect("the file does as well");
    let text = |report: &Report| serde_json::to_string(report).expect("it is data");
    assert_eq!(text(&back), text(&report));
    assert_eq!(text(&file), text(&report));
    assert_eq!(table::text(&back), table::text(&report));
    let left = fs::read_dir(dir.path()).expect("it is a directory").count();
    assert_eq!(left, files.len(), "nothing half written stays behind");
}

/// The command line, as the `heddle` binary has it below `bench`.
#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: BenchArgs,
}

fn bench(arguments: &[&str]) -> Result<u8, BenchError> {
    let line = Line::parse_from([&["bench"], arguments].concat());
    bench::cli::run(&line.args, &Io { quiet: true, ..Io::default() })
}

#[test]
fn the_command_writes_the_page_anew() {
    let (dir, report) = (tempfile::tempdir().expect("a directory"), short());
    keep::save(dir.path(), &report).expect("it is written");
    let page = dir.path().join("report.html");
    let first = fs::read_to_string(&page).expect("it was saved");
    assert!(first.ends_with("</html>\n"), "a whole page");
    fs::remove_file(&page).expect("it was there");
    let result = dir.path().to_string_lossy().into_owned();
    assert_eq!(bench(&["report", &result]).expect("it can be read"), 0);
    assert_eq!(fs::read_to_string(&page).expect("it is written again"), first);
    let both = dir.path().join("both.html").to_string_lossy().into_owned();
    bench(&["report", &result, &result, "-o", &both]).expect("several on one page");
    assert!(
        fs::read_to_string(&both).expect("it is there").contains("2 results beside each other")
    );
    let error = bench(&["report", "nothing/here"]).expect_err("there is no such result");
    assert_eq!(error.kind, Kind::Usage);
    let error = bench(&["report", &result, "-o", "/proc/page"]).expect_err("nobody writes there");
    assert!(error.kind == Kind::Failed && error.to_string().contains("/proc/page"), "{error}");
}

#[test]
fn what_cannot_be_read_says_why_and_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let check = |text: &[u8], why: &str| {
        let file = dir.path().join("result.json");
        fs::write(&file, text).expect("it is written");
        let error = keep::load(dir.path()).expect_err("it is no result");
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.fix.is_some(), "{error}");
        let words = error.to_string();
        assert!(words.contains(why) && words.contains("result.json"), "{words} does not say {why}");
    };
    let missing = keep::load(&dir.path().join("nowhere")).expect_err("there is none").to_string();
    assert!(missing.contains("nowhere") && missing.contains("--save"), "{missing}");
    let whole = serde_json::to_string(&short()).expect("it is data");
    check(b"", "not a whole result");
    check(b"\xff\xfe", "not a whole result");
    check(b"{}", "no format number");
    check(whole.as_bytes().split_at(whole.len() / 2).0, "not a whole result");
    check(whole.replacen("\"format\":1", "\"format\":2", 1).as_bytes(), "format 2");
    check(whole.replacen("\"format\":1", "\"format\":0", 1).as_bytes(), "older heddle");
    let response = whole.find("\"response\":\"").expect("there is one") + 20;
    let damaged = format!("{}!!{}", &whole[..response], &whole[response + 2..]);
    check(damaged.as_bytes(), "a histogram");
    let mut none = short();
    none.runs.clear();
    check(serde_json::to_string(&none).expect("it is data").as_bytes(), "no runs");
    let mut odd = short();
    odd.runs[1].clients[0].by_second[0] = "AAAA".to_owned();
    check(serde_json::to_string(&odd).expect("it is data").as_bytes(), "a histogram");
}

/// Latencies by tag (empty: none) of an interval log, merged, and the number of its intervals.
fn read_log(path: &Path) -> (Vec<(String, Latencies)>, usize) {
    let bytes = fs::read(path).expect("it was written");
    let (mut tags, mut intervals): (Vec<(String, Latencies)>, _) = (Vec::new(), 0);
    for entry in IntervalLogIterator::new(&bytes) {
        let LogEntry::Interval(interval) = entry.expect("each line can be read") else { continue };
        intervals += 1;
        assert_eq!(interval.duration().as_millis(), 1000);
        let latencies = Latencies::try_from(interval.encoded_histogram().to_owned());
        let latencies = latencies.expect("each histogram can be read");
        let max_ms = latencies.histogram().max() as f64 / 1e6;
        assert!((interval.max() - max_ms).abs() < 0.001, "{} {max_ms}", interval.max());
        let tag = interval.tag().map_or("", |tag| tag.as_str()).to_owned();
        match tags.iter_mut().find(|(known, _)| *known == tag) {
            Some((_, sum)) => sum.merge(&latencies),
            None => tags.push((tag, latencies)),
        }
    }
    (tags, intervals)
}

#[test]
fn interval_logs_have_each_second_of_each_client() {
    let (dir, report) = (tempfile::tempdir().expect("a directory"), short());
    keep::save(dir.path(), &report).expect("it is written");
    let (tags, intervals) = read_log(&dir.path().join("response.hlog"));
    assert_eq!(intervals, 2 * 5 * 4, "runs, seconds, producers");
    for (tag, latencies) in &tags {
        let mut expected = Latencies::new();
        for client in report.runs.iter().flat_map(|run| &run.clients) {
            if client.name == *tag {
                expected.merge(&client.latencies);
            }
        }
        assert_eq!(*latencies, expected, "{tag}");
    }
    let (tags, intervals) = read_log(&dir.path().join("end-to-end.hlog"));
    assert_eq!((tags.len(), intervals), (2, 2 * 5 * 2));
    let (tags, intervals) = read_log(&dir.path().join("service.hlog"));
    assert_eq!((tags.len(), intervals), (1, 2 * 5), "of all producers together");
    let mut expected = report.runs[0].service.clone();
    expected.merge(&report.runs[1].service);
    assert_eq!(tags[0].1, expected);
}

/// Counts of all intervals and the p99 in nanoseconds, as HdrHistogram's Python package reads them.
const READER: &str = "
import sys
from hdrh.log import HistogramLogReader
from hdrh.histogram import HdrHistogram
sum = HdrHistogram(1, 60 * 10**9, 3)
reader = HistogramLogReader(sys.argv[1], sum)
tags, starts = set(), []
while True:
    one = reader.get_next_interval_histogram()
    if not one:
        break
    tags.add(one.get_tag()); starts.append(one.get_start_time_stamp()); sum.add(one)
assert starts == sorted(starts), starts
print(sum.get_total_count(), sum.get_value_at_percentile(99), len(tags), int(starts[0]))
";

#[test]
fn hdrhistograms_python_reader_reads_the_logs() {
    let installed = std::env::var_os("HEDDLE_TEST_CLIENTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-clients"),
        |dir| dir.into(),
    );
    let python = installed.join("python/bin/python");
    let has = Command::new(&python).args(["-c", "import hdrh"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        let words =
            "HdrHistogram's Python package is not on this machine; run tests/install-clients.sh";
        assert!(std::env::var_os("REQUIRE_CLIENTS").is_none(), "{words}");
        eprintln!("not tested: {words}");
        return;
    }
    let (dir, report) = (tempfile::tempdir().expect("a directory"), short());
    keep::save(dir.path(), &report).expect("it is written");
    for (log, tags) in [("response.hlog", 4), ("end-to-end.hlog", 2), ("service.hlog", 1)] {
        let output = Command::new(&python).args(["-c", READER]).arg(dir.path().join(log)).output();
        let output = output.expect("it was just there");
        assert!(output.status.success(), "{log}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout);
        let said: Vec<u64> =
            said.split_whitespace().map(|n| n.parse().expect("a number")).collect();
        let mut expected = Latencies::new();
        for run in &report.runs {
            expected.merge(match log {
                "response.hlog" => &run.response,
                "service.hlog" => &run.service,
                _ => &run.end_to_end,
            });
        }
        let p99 = expected.histogram().value_at_quantile(0.99);
        assert_eq!((said[0], said[2]), (expected.count(), tags), "{log}");
        assert!(said[1].abs_diff(p99) <= p99 / 1000, "{log}: {} for {p99}", said[1]);
        assert_eq!(said[3], report.runs[0].began_unix_ms, "{log}");
    }
}

#[test]
fn the_table_says_what_was_measured_and_what_speaks_against_it() {
    let report = made_up::report(&Wish { rate: 2_000, seconds: 5, runs: 3, ..Wish::default() });
    let text = table::text(&report);
    for words in [
        "workload  small-requests · 4 producers, 2 consumers · 1 topic × 8 partitions · 1 KiB",
        "durability device",
        "30 000",
        "p99.999",
        "n/a",
        "backlog at most",
        "cores",
        "CPU s/GB",
        "by run",
        "±",
        "journal",
        "audit     passed: all 30 000 acknowledged records seen once",
        "(3 of 3 runs) [load]",
        "catch-up reader (run 2)",
    ] {
        assert!(text.contains(words), "{words} is missing in\n{text}");
    }
    assert!(!text.contains("saturation"), "{text}");
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    assert!(widest <= 140, "{widest} columns:\n{text}");
}

#[test]
fn latencies_of_full_queues_are_labelled() {
    let mut report = short();
    report.plan.rate = bench::plan::Rate::Max;
    let text = table::text(&report);
    assert!(text.contains("(saturation: latency not comparable)"), "{text}");
}

#[test]
fn a_failed_audit_is_not_overlooked() {
    let mut report = short();
    report.runs[0].audit.lost = 2;
    report.runs[0].audit.faults =
        vec!["topic t partition 3: producer 1's 17 and 18 lost".to_owned()];
    let text = table::text(&report);
    assert!(text.contains("audit     FAILED") && text.contains("producer 1's 17"), "{text}");
}

#[test]
fn what_was_not_measured_is_left_out() {
    let mut report = short();
    for run in &mut report.runs {
        run.end_to_end = Latencies::new();
        run.broker = Default::default();
        run.beside.clear();
    }
    let dir = tempfile::tempdir().expect("a directory");
    let files = keep::save(dir.path(), &report).expect("it is written");
    assert!(!files.iter().any(|file| file.ends_with("end-to-end.hgrm")), "{files:?}");
    let text = table::text(&report);
    assert!(!text.contains("end to end  "), "{text}");
    assert!(!text.contains("journal") && !text.contains("broker"), "{text}");
}

#[test]
fn each_doubt_is_raised_by_its_cause_alone() {
    let wish = Wish { rate: 500, seconds: 5, ..Wish::default() };
    let check = |load: f64, change: &dyn Fn(&mut Report), expected: &[&str]| {
        let mut report = made_up::report(&wish);
        change(&mut report);
        let found = doubts::doubts(&report.plan, &report.runs[0], load);
        let found: Vec<_> = found.iter().map(|doubt| doubt.about.as_str()).collect();
        assert_eq!(found, expected);
    };
    check(0.2, &|_| (), &[]);
    check(0.2, &|report| report.runs[0].generator.busiest_share = 0.8, &[]);
    check(0.2, &|report| report.runs[0].generator.busiest_share = 0.81, &["generator-cpu"]);
    check(0.2, &|report| report.runs[0].generator.slipped = 0.011, &["schedule-slip"]);
    check(0.2, &|report| report.runs[0].generator.clock_jumps = 1, &["clock"]);
    check(0.2, &|report| report.runs[0].totals.acknowledged = 2_000, &["behind"]);
    check(0.2, &|report| report.plan.rate = bench::plan::Rate::Max, &["saturation"]);
    check(0.2, &|report| report.runs[0].response = Latencies::new(), &["samples"]);
    check(0.2, &|report| report.runs[0].totals.timeouts = 1, &["errors"]);
    check(1.7, &|_| (), &["load"]);
}

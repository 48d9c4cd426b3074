//! A report as files, for people, for HdrHistogram's tools, and to be read again.
//!
//! | file | holds |
//! |---|---|
//! | `result.json` | everything, histograms whole ([`Report`]) |
//! | `response.hgrm`, `service.hgrm`, `end-to-end.hgrm` | percentile tables of all runs together, for the plotter |
//! | `response.hlog`, `end-to-end.hlog` | latencies by second, a tag for each client |
//! | `service.hlog` | latencies by second, of all clients together |
//! | `report.html` | the page |

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::model::{Client, FORMAT, Report};
use super::whole::Whole;
use super::{interval_log, percentile_table};
use crate::error::BenchError;
use crate::latency::Latencies;

/// The file that the others can be made from again.
pub const RESULT: &str = "result.json";

/// The page.
pub const PAGE: &str = "report.html";

/// Writes all files of a report into a directory, which is made if need be, over those of an earlier report. What was not
/// measured (end to end without consumers) has no file. Returns what was written.
///
/// # Errors
/// When a file cannot be written; the message names it.
pub fn save(dir: &Path, report: &Report) -> Result<Vec<PathBuf>, BenchError> {
    fs::create_dir_all(dir).map_err(|error| {
        BenchError::failed(format!("cannot make the directory {}: {error}", dir.display()))
    })?;
    let mut written = Vec::new();
    let mut write = |name: &str, text: &[u8]| {
        let path = dir.join(name);
        // Whoever reads meanwhile sees the old file or the new, not a part of it.
        let part = dir.join(format!(".{name}.part"));
        let done = fs::write(&part, text).and_then(|()| fs::rename(&part, &path));
        done.map_err(|error| {
            BenchError::failed(format!("cannot write {}: {error}", path.display()))
        })?;
        written.push(path);
        Ok::<(), BenchError>(())
    };
    let mut json = serde_json::to_vec(report).map_err(BenchError::failed)?;
    json.push(b'\n');
    write(RESULT, &json)?;
    let whole = Whole::of(report);
    let producer = |client: &Client| client.name.starts_with("producer");
    for (name, latencies) in [
        ("response", &whole.response),
        ("service", &whole.service),
        ("end-to-end", &whole.end_to_end),
    ] {
        if latencies.count() == 0 {
            continue;
        }
        write(&format!("{name}.hgrm"), percentile_table::text(latencies).as_bytes())?;
        let log = match name {
            "response" => interval_log::by_client(report, producer),
            "service" => interval_log::by_second(report, |second| &second.service),
            _ => interval_log::by_client(report, |client| !producer(client)),
        };
        write(&format!("{name}.hlog"), log.as_bytes())?;
    }
    write(PAGE, crate::report::html(std::slice::from_ref(report)).as_bytes())?;
    Ok(written)
}

/// Reads a report: its `result.json`, or the directory that has one.
///
/// # Errors
/// When there is none, when it is damaged, or when its format is not [`FORMAT`]; each says what to do.
pub fn load(path: &Path) -> Result<Report, BenchError> {
    let file = if path.is_dir() { path.join(RESULT) } else { path.to_owned() };
    let shown = file.display();
    let bytes = fs::read(&file).map_err(|error| {
        let fix =
            format!("give the directory or the {RESULT} that `heddle bench run --save DIR` wrote");
        BenchError::usage(format!("cannot read {shown}: {error}")).fix(fix)
    })?;
    parse(&bytes).map_err(|error| BenchError { what: format!("{shown}: {}", error.what), ..error })
}

fn parse(bytes: &[u8]) -> Result<Report, BenchError> {
    /// All formats have this.
    #[derive(Deserialize)]
    struct Numbered {
        format: Option<u32>,
    }
    let damaged = |error: &dyn std::fmt::Display| {
        BenchError::usage(format!("not a whole result of `heddle bench run`: {error}"))
            .fix("the file is damaged, cut off, or something else; repeat the run")
    };
    let numbered: Numbered = serde_json::from_slice(bytes).map_err(|error| damaged(&error))?;
    match numbered.format {
        Some(FORMAT) => {}
        Some(other) => {
            let words = format!("it has format {other}, this program reads format {FORMAT}");
            let age = if other > FORMAT { "newer" } else { "older" };
            return Err(BenchError::usage(words)
                .fix(format!("read it with the {age} heddle that wrote it")));
        }
        None => return Err(damaged(&"it has no format number")),
    }
    let report: Report = serde_json::from_slice(bytes).map_err(|error| damaged(&error))?;
    check(&report).map_err(|error| damaged(&error))?;
    Ok(report)
}

/// What the types allow and no run writes.
fn check(report: &Report) -> Result<(), String> {
    if report.runs.is_empty() {
        return Err("it has no runs".to_owned());
    }
    for (number, run) in report.runs.iter().enumerate() {
        if !run.seconds.is_finite() || run.seconds < 0.0 {
            return Err(format!("run {} measured {} seconds", number + 1, run.seconds));
        }
        let histograms = run.clients.iter().flat_map(|client| &client.by_second);
        for histogram in histograms {
            Latencies::try_from(histogram.clone())?;
        }
    }
    Ok(())
}

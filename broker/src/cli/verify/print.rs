//! The report as text or as JSON.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use storage::ids::Base64Url;
use storage::superblock::Superblock;
use storage::verify::{Finding, Report};

use crate::cli::output::{bytes, plural, table};

/// Everything a report is printed from.
pub struct Result<'a> {
    /// The data directory.
    pub data: &'a Path,
    /// Its superblock, if that can be read.
    pub superblock: Option<Superblock>,
    /// What was found.
    pub report: &'a Report,
    /// How many topics the metadata knows.
    pub topics: usize,
    /// How long it took.
    pub took: Duration,
}

/// The version of the JSON document's shape; it changes when a member goes or changes its meaning.
const SHAPE: u32 = 1;

/// One JSON document.
pub fn json(result: &Result<'_>) -> Value {
    let report = result.report;
    let checked = &report.checked;
    let block = result.superblock.as_ref();
    json!({
        "format": SHAPE,
        "directory": result.data.display().to_string(),
        "sound": report.is_sound(),
        "cluster_id": block.map(|block| block.cluster_id.clone()),
        "node_id": block.map(|block| block.node_id),
        "generation": block.map(|block| block.generation.0),
        "shards": block.map(|block| block.shards),
        "stopped_cleanly": block.map(|block| block.clean),
        "errors": report.errors,
        "warnings": report.warnings,
        "notes": report.notes,
        "omitted": report.omitted,
        "checked": {
            "topics": result.topics,
            "partitions": checked.logs,
            "segments": checked.segments,
            "indexes": checked.indexes,
            "batches": checked.batches,
            "records": checked.records,
            "journals": checked.journals,
            "frames": checked.frames,
            "entries": checked.entries,
            "checkpoints": checked.checkpoints,
            "bytes": checked.bytes,
        },
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "took_ms": u64::try_from(result.took.as_millis()).unwrap_or(u64::MAX),
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "severity": finding.severity().name(),
        "code": finding.code.to_string(),
        "what": finding.what,
        "file": finding.file,
        "position": finding.position,
        "partition": partition(finding),
        "topic_id": finding.log.map(|log| Base64Url(&log.topic).to_string()),
        "consequence": finding.code.consequence(),
        "fix": finding.code.fix(),
    })
}

/// `events-0` for the directory `events.<id>/0`; the log's id where there is none.
fn partition(finding: &Finding) -> Option<String> {
    let of_dir = |dir: &str| {
        let (topic, partition) = dir.split_once('/')?;
        let name = topic.rsplit_once('.').map_or(topic, |(name, _)| name);
        Some(format!("{name}-{partition}"))
    };
    let named = finding.dir.as_deref().and_then(of_dir);
    named.or_else(|| finding.log.map(|log| log.to_string()))
}

/// A table of the findings, what they mean, and one line that sums up.
pub fn text(result: &Result<'_>) -> String {
    let report = result.report;
    let mut out = String::new();
    if !report.findings.is_empty() {
        let rows: Vec<_> = report
            .findings
            .iter()
            .map(|finding| {
                let place = match (&finding.file, finding.position) {
                    (Some(file), Some(position)) => format!("{file}:{position}"),
                    (Some(file), None) => file.clone(),
                    (None, _) => "-".to_owned(),
                };
                let partition = partition(finding).unwrap_or_else(|| "-".to_owned());
                let severity = finding.severity().to_string();
                [severity, finding.code.to_string(), partition, place, finding.what.clone()]
            })
            .collect();
        out += &table(["SEVERITY", "CODE", "PARTITION", "FILE:BYTE", "WHAT"], &rows);
        out += "\n\n";
        let codes: BTreeSet<_> = report.findings.iter().map(|finding| finding.code).collect();
        for code in codes {
            let title = code.title().trim_end_matches('.');
            let _ = writeln!(out, "{code}  {title}: {}", code.consequence());
            let _ = writeln!(out, "            do: {}", code.fix());
        }
        if report.omitted > 0 {
            let _ = writeln!(out, "{} are not listed", plural(report.omitted, "more finding"));
        }
        out.push('\n');
    }
    out + &summary(result)
}

fn summary(result: &Result<'_>) -> String {
    let (report, checked) = (result.report, &result.report.checked);
    let verdict = if report.is_sound() { "sound" } else { "DAMAGED" };
    format!(
        "{verdict}: {}, {}, {} in {}; {} in {}, {}, {}; {} in {:.1} s",
        plural(report.errors, "error"),
        plural(report.warnings, "warning"),
        plural(report.notes, "note"),
        result.data.display(),
        plural(checked.records, "record"),
        plural(checked.logs, "partition"),
        plural(checked.segments, "segment"),
        plural(checked.frames, "journal frame"),
        bytes(checked.bytes),
        result.took.as_secs_f64(),
    )
}

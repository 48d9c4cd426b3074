//! What lies in the directory and is not part of the data in force.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use engine::file::{self, DirEntry};

use super::code::Code;
use super::finding::{Finding, Findings};
use super::journal::JournalFile;
use crate::checkpoint_log;
use crate::ids::{Base64Url, Generation};
use crate::journal::file_name;
use crate::node::Known;
use crate::recovery;

/// What a data directory has at its top.
const TOP: [&str; 8] = [
    "lock",
    "superblock",
    "meta.properties",
    "journal",
    "checkpoints",
    "metadata",
    "topics",
    "quarantine",
];
/// What may lie beside it on a file system of its own.
const LOST_AND_FOUND: &str = "lost+found";
/// Space held back for a start on a full disk.
const RESERVE: &str = "reserve";

/// The entries of a directory; one that is not there has none.
pub(super) async fn list(data: &Path, name: &str, findings: &Findings) -> Vec<DirEntry> {
    match file::read_dir(data.join(name)).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let name = if name.is_empty() { "." } else { name };
            findings.add(Finding::new(Code::Unreadable, error.to_string()).file(name));
            Vec::new()
        }
    }
}

/// The top of the directory, and the quarantine.
pub(super) async fn check_top(data: &Path, findings: &Findings) {
    for entry in list(data, "", findings).await {
        let name = entry.name.to_string_lossy();
        if !TOP.contains(&&*name) && name != LOST_AND_FOUND {
            let what = "not a part of a data directory";
            findings.add(Finding::new(Code::Leftover, what).file(&*name));
        }
    }
    let kept = list(data, "quarantine", findings).await;
    if let Some(first) = kept.first() {
        let bytes: u64 = kept.iter().map(|entry| entry.len).sum();
        let first = first.name.to_string_lossy();
        let what = format!("{} file(s) of {bytes} bytes, the first {first}", kept.len());
        findings.add(Finding::new(Code::Quarantine, what).file("quarantine"));
    }
}

/// The checkpoint files, whose generation in force is `generation`.
pub(super) async fn check_checkpoints(
    data: &Path,
    generation: Generation,
    shards: u16,
    findings: &Findings,
) {
    let base = recovery::base_name(generation);
    let logs: Vec<_> =
        (0..shards).map(|shard| format!("{}.", checkpoint_log::name(generation, shard))).collect();
    for entry in list(data, "checkpoints", findings).await {
        let name = entry.name.to_string_lossy();
        let of_log = |log: &String| name.starts_with(log.as_str()) && name.ends_with(".records");
        if name == RESERVE || name == base || logs.iter().any(of_log) {
            continue;
        }
        let what = format!("not a checkpoint of generation {generation}, which is in force");
        let finding = Finding::new(Code::Leftover, what);
        findings.add(finding.file(format!("checkpoints/{name}")));
    }
}

/// The journal files of the generation in force, with their shards; others are told.
pub(super) async fn journal_files(
    data: &Path,
    generation: Generation,
    findings: &Findings,
) -> Vec<(u16, JournalFile)> {
    let mut found = Vec::new();
    let mut others = Vec::new();
    for entry in list(data, "journal", findings).await {
        let name = entry.name.to_string_lossy().into_owned();
        let path = data.join("journal").join(&entry.name);
        match file_name::parse_live(&name) {
            Some((of, shard, sequence)) if of == generation => {
                found.push((shard, JournalFile { path, sequence, len: entry.len }));
            }
            Some((of, ..)) if of > generation => {
                let what = format!("it is of generation {of}, the superblock names {generation}");
                let finding = Finding::new(Code::JournalOfLater, what);
                findings.add(finding.file(format!("journal/{name}")));
            }
            Some(_) => others.push(name),
            // Kept for later, or about to be made when the broker ended.
            None if file_name::parse_free(&name).is_some() || name.ends_with(".new") => {}
            None => {
                let what = "not a journal file";
                let finding = Finding::new(Code::Leftover, what);
                findings.add(finding.file(format!("journal/{name}")));
            }
        }
    }
    if let Some(first) = others.first() {
        let what = format!("{} file(s) of earlier generations, the first {first}", others.len());
        findings.add(Finding::new(Code::JournalOfOther, what).file("journal"));
    }
    found
}

/// Directories of topics and partitions that no log lives in. `dirs`: those of the logs.
pub(super) async fn check_topics(
    data: &Path,
    dirs: &BTreeSet<String>,
    known: Option<&Known>,
    findings: &Findings,
) {
    let topics: BTreeSet<&str> =
        dirs.iter().filter_map(|dir| dir.split_once('/').map(|(topic, _)| topic)).collect();
    for entry in list(data, "topics", findings).await {
        let name = entry.name.to_string_lossy().into_owned();
        let topic = format!("topics/{name}");
        if !topics.contains(name.as_str()) {
            if !dirs.contains(&name) {
                findings.add(unknown_topic(&name, known).file(topic));
            }
            continue;
        }
        for entry in list(data, &topic, findings).await {
            let partition = entry.name.to_string_lossy();
            if !dirs.contains(&format!("{name}/{partition}")) {
                let what = "not a partition of the topic";
                let finding = Finding::new(Code::TopicUnknown, what);
                findings.add(finding.file(format!("{topic}/{partition}")));
            }
        }
    }
}

fn unknown_topic(name: &str, known: Option<&Known>) -> Finding {
    let id = name.rsplit_once('.').map(|(_, id)| id);
    let deleted = known.is_some_and(|known| {
        known.deleted_topics.iter().any(|topic| Some(&*Base64Url(topic).to_string()) == id)
    });
    if deleted {
        Finding::new(Code::TopicDeleted, "its topic was deleted")
    } else {
        Finding::new(Code::TopicUnknown, "no checkpoint and no metadata knows it")
    }
}

//! The check of a whole directory, in the order in which a start reads it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::rc::Rc;

use engine::task::{self, Queue};

use super::checkpoints;
use super::code::Code;
use super::finding::{Finding, Findings, Progress, Report};
use super::identity;
use super::journal::{JournalFile, Logs, Shard};
use super::leftovers;
use super::logs::{self, Files, LogCheck, Rules};
use super::promise::Promise;
use super::record_logs;
use crate::checkpoint::LogCheckpoint;
use crate::ids::{Generation, LeaderEpoch, LogId};
use crate::journal::frame::Identity;
use crate::node::Known;
use crate::superblock::Superblock;

/// Logs read at the same time: while one waits for the device, the other computes checksums.
const READERS: usize = 2;
/// Names listed in one finding.
const NAMES_MAX: usize = 5;

/// Says of a directory below `topics` whether it is meant.
pub type Accepts = Rc<dyn Fn(&str) -> bool>;

/// What to check beyond the directory itself.
#[derive(Clone, Default)]
pub struct Options {
    /// What the metadata says of logs; without it, whatever checkpoints and journals name is taken for a log.
    pub known: Option<Known>,
    /// Unpack every batch and walk over its records.
    pub deep: bool,
    /// Reads only the segments of logs whose directory below `topics` this accepts. Everything else is checked all
    /// the same.
    pub only: Option<Accepts>,
    /// Called after each read.
    pub on_progress: Option<Rc<dyn Fn(Progress)>>,
}

/// Reads a data directory that no broker has open, and says what is wrong with it. Writes nothing.
///
/// What cannot be read is a finding too, so that there is always a report. Memory: the checkpoints of all logs, a
/// record log's file at a time, and for each of two readers one batch.
pub async fn check(data: &Path, options: &Options) -> Report {
    let findings = Findings::new(options.on_progress.clone());
    leftovers::check_top(data, &findings).await;
    let block = identity::superblock(data, &findings).await;
    if let Some(block) = &block {
        identity::meta_properties(data, block, &findings).await;
    }
    // Without a superblock, the latest base checkpoint is the best guess; the journals need its salt.
    let in_force = match &block {
        Some(block) => InForce { generation: block.generation, shards: block.shards },
        None => guess(data, &findings).await,
    };
    let known = options.known.as_ref();
    let deleted = |id: &LogId| known.is_some_and(|known| known.is_deleted(id));
    let InForce { generation, shards } = in_force;
    let mut found = checkpoints::read(data, generation, shards, &deleted, &findings).await;
    leftovers::check_checkpoints(data, generation, shards, &findings).await;
    record_logs::check(data, &findings).await;
    for (id, dir) in known.iter().flat_map(|known| &known.logs) {
        let empty = || Promise::new(LogCheckpoint::empty(*id, dir)).0;
        found.promises.entry(*id).or_insert_with(empty);
    }
    let mut logs = Logs {
        promises: std::mem::take(&mut found.promises),
        deleted: &deleted,
        open: known.is_none(),
        unknown: BTreeMap::new(),
    };
    let files = leftovers::journal_files(data, generation, &findings).await;
    if let Some(block) = &block
        && !found.incomplete
    {
        check_journals(data, block, &found.journals, files, &mut logs, &findings).await;
    }
    check_metadata(known, &logs, &findings);
    let promises = logs.promises;
    let clean = block.as_ref().is_some_and(|block| block.clean);
    let rules = Rules {
        topics: data.join("topics"),
        epoch_max: block.map_or(LeaderEpoch(i32::MAX), |block| {
            LeaderEpoch(i32::try_from(block.generation.0).unwrap_or(i32::MAX))
        }),
        deep: options.deep,
        clean,
    };
    let dirs = promises.values().map(|log| log.dir.clone()).collect();
    if !found.incomplete {
        leftovers::check_topics(data, &dirs, known, &findings).await;
    }
    check_logs(promises, rules, options, &findings).await;
    findings.take()
}

#[derive(Clone, Copy)]
struct InForce {
    generation: Generation,
    shards: u16,
}

/// The latest generation with a base checkpoint, and its shards.
async fn guess(data: &Path, findings: &Findings) -> InForce {
    let mut best = InForce { generation: Generation(0), shards: 0 };
    let entries = leftovers::list(data, "checkpoints", findings).await;
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    let names: Vec<_> =
        entries.iter().map(|entry| entry.name.to_string_lossy().into_owned()).collect();
    for name in &names {
        let base = name.strip_prefix('g').and_then(|name| name.strip_suffix(".base"));
        if let Some(generation) = base.and_then(hex) {
            best.generation = best.generation.max(Generation(generation));
        }
    }
    let prefix = format!("g{:08x}-s", best.generation.0);
    for name in &names {
        let shard = name.strip_prefix(&prefix).and_then(|rest| rest.get(..4)).and_then(hex);
        if let Some(shard) = shard.and_then(|shard| u16::try_from(shard).ok()) {
            best.shards = best.shards.max(shard.saturating_add(1));
        }
    }
    best
}

async fn check_journals(
    data: &Path,
    block: &Superblock,
    journals: &BTreeMap<u16, (crate::ids::Lsn, crate::ids::Lsn)>,
    files: Vec<(u16, JournalFile)>,
    logs: &mut Logs<'_>,
    findings: &Findings,
) {
    let mut by_shard: BTreeMap<u16, Vec<JournalFile>> =
        (0..block.shards).map(|shard| (shard, Vec::new())).collect();
    for (shard, file) in files {
        by_shard.entry(shard).or_default().push(file);
    }
    for (shard, files) in by_shard {
        let (from, durable) = journals.get(&shard).copied().unwrap_or_default();
        let identity = Identity { generation: block.generation, shard, salt: block.salt };
        let clean = block.clean && block.generation > Generation(0);
        let shard = Shard { data, identity, from, durable, files, clean, findings };
        shard.check(logs).await;
    }
}

/// What journals and checkpoints name, against what the metadata knows.
fn check_metadata(known: Option<&Known>, logs: &Logs<'_>, findings: &Findings) {
    for (id, entries) in &logs.unknown {
        let what = format!("{entries} entries of log {id}");
        findings.add(Finding::new(Code::EntryUnknownLog, what).of_log(*id, ""));
    }
    let Some(known) = known else { return };
    let unlisted =
        |id: &LogId, log: &Promise| !known.logs.contains_key(id) && !log.segments.is_empty();
    for (id, log) in logs.promises.iter().filter(|(id, log)| unlisted(id, log)) {
        let what = format!("log {id} with offsets {} to {}", log.log_start, log.end);
        findings.add(Finding::new(Code::LogUnlisted, what).of_log(*id, &log.dir));
    }
}

/// Lists all logs, then reads them, some at a time.
async fn check_logs(
    promises: BTreeMap<LogId, Promise>,
    rules: Rules,
    options: &Options,
    findings: &Findings,
) {
    let mut queue = VecDeque::new();
    let mut absent = Vec::new();
    for promise in promises.into_values().filter(|log| !log.dir.is_empty()) {
        if options.only.as_ref().is_some_and(|accepts| !accepts(&promise.dir)) {
            continue;
        }
        match logs::list(&rules.topics.join(&promise.dir)).await {
            Ok(files) => {
                let sizes = files.segments.values().chain(files.indexes.values());
                findings.expect(sizes.sum());
                if !files.there && promise.segments.is_empty() {
                    absent.push(promise.dir.clone());
                }
                queue.push_back((promise, files));
            }
            Err(error) => {
                let file = format!("topics/{}", promise.dir);
                let finding = Finding::new(Code::Unreadable, error.to_string()).file(file);
                findings.add(finding.of_log(promise.id, &promise.dir));
            }
        }
    }
    if !absent.is_empty() {
        let names = absent.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>().join(", ");
        let more = if absent.len() > NAMES_MAX { ", ..." } else { "" };
        let what = format!("{} of them: {names}{more}", absent.len());
        findings.add(Finding::new(Code::TopicWithoutFiles, what).file("topics"));
    }
    let queue: Rc<RefCell<VecDeque<(Promise, Files)>>> = Rc::new(RefCell::new(queue));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (queue, rules, findings) = (queue.clone(), rules.clone(), findings.clone());
            task::spawn(Queue::Cold, async move {
                loop {
                    let next = queue.borrow_mut().pop_front();
                    let Some((promise, files)) = next else { return };
                    let (promise, files) = (&promise, &files);
                    LogCheck { rules: &rules, promise, files, findings: &findings }.run().await;
                }
            })
        })
        .collect();
    for reader in readers {
        reader.await;
    }
}

//! Starts a directory and looks at everything it serves, by offset and by time, cold and from the tail, and holds it
//! against what was acknowledged.

use super::Dice;
use super::template::{
    JOURNAL_BYTES_MAX, JOURNAL_FILE_BYTES, LOGS, LogTruth, METADATA_FILE_BYTES, PRODUCER, Truth,
    log_config,
};
use crate::store_support::{batch, log_dir, log_id};
use engine::buffer::Slice;
use engine::shard::{Launch, block_on};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use storage::batch::{Stamp, patch, split};
use storage::ids::{LeaderEpoch, Offset};
use storage::log::Standing;
use storage::log::append::AppendError;
use storage::log::read::ReadError;
use storage::node::{Known, Node, NodeOptions};
use storage::record_log::RecordLog;
use storage::store::{LogHandle, Store, StoreConfig};
use storage::verify::{self, Severity};

/// What was found.
#[derive(Default, Debug)]
pub struct Findings {
    /// The node did not start, and why.
    pub refused: Option<String>,
    /// Logs that said that something of theirs is damaged, with their words.
    pub reported: BTreeMap<u32, String>,
    /// What must never be: wrong bytes, records missing without a word. Ends the test.
    pub wrong: Vec<String>,
    /// Damage in the journal that recovery reported.
    pub journal_damage: usize,
    pub entries: u64,
    pub quarantined: Vec<PathBuf>,
    /// What `heddle verify` says before the start: findings of severity error, and the logs they are about.
    pub verified: Vec<String>,
    pub verified_logs: BTreeSet<u32>,
    /// What was appended to each log that took it: a base offset and the stored bytes.
    pub appended: BTreeMap<u32, Vec<u8>>,
}

/// What may be asked of a directory.
#[derive(Clone)]
pub struct Questions {
    pub dice: Dice,
    /// Logs of which this many last acknowledged batches may be gone: none, but where a test takes them away itself.
    pub least_end: BTreeMap<u32, i64>,
    pub metadata: bool,
}

/// Starts the directory on a shard of its own; the shard's end is a crash for it. A start that hangs is `wrong`.
pub fn examine(dir: &Path, truth: &Truth, questions: Questions) -> Findings {
    let dir = dir.to_owned();
    let truth = truth.clone();
    let launch = Launch {
        memory_bytes_per_shard: 24 << 20,
        registered_bytes_per_shard: 0,
        ..Launch::default()
    };
    let looked = block_on(&launch, async move {
        let looking = look(&dir, &truth, questions);
        match engine::time::timeout(Duration::from_secs(120), looking).await {
            Ok(findings) => findings,
            Err(_) => Findings { wrong: vec!["it hangs".to_owned()], ..Findings::default() },
        }
    });
    looked.expect("a shard starts")
}

async fn look(dir: &Path, truth: &Truth, questions: Questions) -> Findings {
    let mut found = Findings::default();
    verify(dir, &mut found).await;
    let refused = match begin(dir, truth, &questions, &mut found).await {
        Ok((_node, store, epoch)) => {
            for (number, log) in &truth.logs {
                let handle = store.log(&log_id(*number)).expect("every known log is there");
                let mut view = View { number: *number, handle, truth: log, found: &mut found };
                view.look(&questions, epoch).await;
            }
            None
        }
        Err(error) => Some(error.to_string()),
    };
    found.refused = refused;
    found
}

/// The offline check, which has judgements of its own.
async fn verify(dir: &Path, found: &mut Findings) {
    let options = verify::Options { known: Some(known()), ..verify::Options::default() };
    let report = verify::check(dir, &options).await;
    for finding in report.findings.iter().filter(|one| one.severity() == Severity::Error) {
        found.verified.push(format!("{:?}: {}", finding.code, finding.what));
        found.verified_logs.extend(finding.log.map(|log| log.partition));
    }
}

fn known() -> Known {
    let logs = (0..LOGS).map(|one| (log_id(one), log_dir(one))).collect();
    Known { logs, ..Known::default() }
}

async fn begin(
    dir: &Path,
    truth: &Truth,
    questions: &Questions,
    found: &mut Findings,
) -> Result<(Node, Store, LeaderEpoch), Box<dyn std::error::Error>> {
    let options = NodeOptions { node_id: 1, ..NodeOptions::default() };
    if questions.metadata {
        let opened = RecordLog::open(&dir.join("metadata"), "meta", METADATA_FILE_BYTES).await?;
        if opened.1 != truth.metadata {
            let (have, want) = (opened.1.len(), truth.metadata.len());
            found.wrong.push(format!("the metadata log has {have} records instead of {want}"));
        }
    }
    let node = Node::open(dir, &options).await?.node;
    let recovery = node.recover(&known(), 1).await?;
    let report = &recovery.report;
    found.journal_damage = report.damage.len();
    found.entries = report.entries;
    found.quarantined.clone_from(&report.quarantined);
    for damage in &report.damage {
        if !damage.file.contains(".journal") {
            found.wrong.push(format!("a report without a file: {damage:?}"));
        }
    }
    if !report.unknown.is_empty() || !report.unlisted.is_empty() {
        found.wrong.push(format!("logs from nowhere: {report:?}"));
    }
    let journal = recovery.journal_config(0, JOURNAL_FILE_BYTES, JOURNAL_BYTES_MAX);
    let mut config = StoreConfig::new(dir.to_owned(), journal);
    config.cache_bytes = 1 << 20;
    config.cold_cache_bytes = 2 << 20;
    let epoch = LeaderEpoch(recovery.generation.0 as i32);
    let store = Store::start(config, recovery.states).await.map_err(Box::new)?;
    for number in 0..LOGS {
        store.configure(&log_id(number), Rc::new(log_config(number)));
    }
    Ok((node, store, epoch))
}

struct View<'a> {
    number: u32,
    handle: LogHandle,
    truth: &'a LogTruth,
    found: &'a mut Findings,
}

impl View<'_> {
    async fn look(&mut self, questions: &Questions, epoch: LeaderEpoch) {
        if let Standing::Offline(reason) = self.handle.standing() {
            if !reason.chars().any(|one| one.is_ascii_digit()) {
                self.wrong(format!("the reason names no place: {reason}"));
            }
            self.report(reason.to_string());
            let read = self.handle.read_any(Offset(0), 1 << 20, true).await;
            let append = self.handle.append(&batch(1, 1, 10), epoch, 0);
            let refused = matches!(read, Err(ReadError::Offline(_)))
                && matches!(append, Err(AppendError::Offline(_)));
            if !refused {
                self.wrong("an offline log serves".to_owned());
            }
            return;
        }
        let end = self.handle.visible_end().0;
        let least = questions.least_end.get(&self.number).copied().unwrap_or(self.truth.end());
        let is_end = end == 0 || self.truth.batches.iter().any(|batch| batch.next == end);
        if end < least || !is_end {
            self.wrong(format!("it ends at {end}, acknowledged were {least}"));
            return;
        }
        if self.handle.log_start().0 != self.truth.log_start {
            self.wrong(format!("it begins at {}", self.handle.log_start()));
        }
        self.read_through(end).await;
        let mut dice = questions.dice.clone();
        if end > self.truth.log_start {
            for _ in 0..3 {
                let span = (end - self.truth.log_start) as u64;
                let offset = self.truth.log_start + dice.below(span) as i64;
                self.read_one(offset).await;
                self.read_time(self.truth.batch_of(offset).base, end).await;
            }
        }
        self.append(end, epoch).await;
    }

    fn wrong(&mut self, what: String) {
        self.found.wrong.push(format!("log {}: {what}", self.number));
    }

    fn report(&mut self, words: String) {
        self.found.reported.entry(self.number).or_insert(words);
    }

    /// Everything in order, in large pieces; where a read is refused, batch by batch to behind the damage.
    async fn read_through(&mut self, end: i64) {
        let mut next = self.truth.log_start;
        while next < end {
            match self.read(next, 128 << 10).await {
                Some(reached) => next = reached,
                None => next = self.truth.batch_of(next).next,
            }
        }
    }

    async fn read_one(&mut self, offset: i64) {
        self.read(offset, 1).await;
    }

    /// Reads once and compares; says how far it came, `None` when the log refused.
    async fn read(&mut self, from: i64, max: usize) -> Option<i64> {
        let pieces = match self.handle.read_any(Offset(from), max, true).await {
            Ok(pieces) => pieces,
            Err(error @ (ReadError::Corrupt { .. } | ReadError::Io { .. })) => {
                self.report(error.to_string());
                return None;
            }
            Err(error) => {
                self.wrong(format!("a read from {from} was answered {error}"));
                return None;
            }
        };
        let bytes = joined(&pieces);
        let first = self.truth.batch_of(from);
        let expected = self.truth.bytes.get(first.at..first.at + bytes.len());
        if bytes.is_empty() || expected != Some(&bytes[..]) {
            let at = bytes.iter().zip(&self.truth.bytes[first.at..]).position(|(a, b)| a != b);
            self.wrong(format!("wrong bytes from {from}: {} bytes, {at:?} differs", bytes.len()));
            return None;
        }
        split(&bytes).flatten().last().map(|batch| batch.next_offset().0)
    }

    /// The batch that begins with `base` is found by its time.
    async fn read_time(&mut self, base: i64, end: i64) {
        let wanted = self.truth.batch_of(base).timestamp;
        let first = self.truth.batches.iter().find(|batch| {
            batch.timestamp >= wanted && batch.next > self.truth.log_start && batch.next <= end
        });
        let expected = first.map(|batch| (batch.base.max(self.truth.log_start), batch.timestamp));
        match self.handle.offset_for_timestamp(wanted).await {
            Ok(found) => {
                let found = found.map(|(offset, time)| (offset.0, time));
                if found != expected {
                    self.wrong(format!("time {wanted} is at {found:?} and not {expected:?}"));
                }
            }
            Err(ReadError::OutOfRange { .. } | ReadError::Deleted) => {
                self.wrong(format!("time {wanted} is out of range"));
            }
            Err(error) => self.report(error.to_string()),
        }
    }

    /// A new batch, and the last one once more, which is a duplicate.
    async fn append(&mut self, end: i64, epoch: LeaderEpoch) {
        let now = engine::time::unix_ms();
        if self.number == PRODUCER && end == self.truth.end() && !self.truth.last_sent.is_empty() {
            let sent = self.truth.last_sent.clone();
            let last = self.truth.batches.last().expect("it has batches").base;
            match self.handle.append_waiting(&sent, epoch, now).await {
                Ok(again) if again.duplicate && again.base_offset.0 == last => {}
                other => self.wrong(format!("the duplicate of the last batch: {other:?}")),
            }
        }
        let sent = batch(1_000_000 + end, 1, 100);
        let appended = match self.handle.append_waiting(&sent, epoch, now).await {
            Ok(appended) => appended,
            Err(error) => return self.wrong(format!("an append was refused: {error}")),
        };
        if appended.base_offset.0 != end {
            self.wrong(format!("appended at {} and not at {end}", appended.base_offset));
        }
        let visible = self.handle.visible(appended.next_offset()).await;
        let read = self.handle.read_any(appended.base_offset, 1 << 20, true).await;
        let mut stored = sent;
        patch(&mut stored, appended.base_offset, epoch, Stamp::Keep);
        let bytes = read.map(|pieces| joined(&pieces));
        if visible.is_err() || bytes.as_ref() != Ok(&stored) {
            self.wrong(format!("what was appended is not served: {visible:?}, {bytes:?}"));
        }
        self.found.appended.insert(self.number, stored);
    }
}

fn joined(pieces: &[Slice]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
    for piece in pieces {
        bytes.extend_from_slice(piece);
    }
    bytes
}

impl Truth {
    /// As if these logs ended there.
    pub fn cut(&self, ends: &BTreeMap<u32, i64>) -> Truth {
        let mut truth = self.clone();
        for (number, end) in ends {
            let log = truth.logs.get_mut(number).expect("it is known");
            log.batches.retain(|batch| batch.next <= *end);
            log.bytes.truncate(log.batches.last().map_or(0, |batch| batch.at + batch.len));
            // What was sent last is gone: it is no duplicate any more.
            log.last_sent.clear();
        }
        truth
    }

    /// With what was appended while it was looked at.
    pub fn and(&self, found: &Findings) -> Truth {
        let mut truth = self.clone();
        for (number, stored) in &found.appended {
            let log = truth.logs.get_mut(number).expect("it is known");
            let view = split(stored).next().expect("one batch").expect("a whole batch");
            let base = view.base_offset().0;
            let kept = log.batches.iter().take_while(|batch| batch.next <= base).count();
            log.batches.truncate(kept);
            log.bytes.truncate(log.batches.last().map_or(0, |batch| batch.at + batch.len));
            log.push(stored);
            log.last_sent.clear();
        }
        truth
    }
}

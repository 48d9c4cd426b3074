//! The segments and indexes of one log, read front to back.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::batches::{LogSoFar, Problem, SegmentWalk};
use super::code::Code;
use super::finding::{Finding, Findings};
use super::promise::{Promise, PromisedSegment};
use super::read::{Source, Stream};
use crate::batch::{BATCH_HEADER_BYTES, BatchView, FramingError};
use crate::disk;
use crate::ids::{LeaderEpoch, Offset};
use crate::log::SegmentIndex;
use crate::log::segment::{batches_file_name, index_file_name};

const BLOCK: u64 = 4096;
/// Most bytes of an index file: its header and as many entries as it may have.
const INDEX_BYTES_MAX: u64 = 64 + 16 * crate::limits::INDEX_ENTRIES_MAX as u64;
/// Findings told of one segment; behind them only the number is.
const SEGMENT_FINDINGS_MAX: usize = 20;

/// What all logs share.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) topics: PathBuf,
    /// The epoch of the node's last start.
    pub(super) epoch_max: LeaderEpoch,
    /// Unpack every batch.
    pub(super) deep: bool,
    /// The last stop was a clean one.
    pub(super) clean: bool,
}

/// The files in a log's directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// Bytes of each segment, by base offset.
    pub(super) segments: BTreeMap<Offset, u64>,
    /// Bytes of each index.
    pub(super) indexes: BTreeMap<Offset, u64>,
    /// What else there is.
    pub(super) others: Vec<String>,
    /// The directory is there.
    pub(super) there: bool,
}

/// Lists a log's directory; one that is not there has nothing in it.
pub(super) async fn list(dir: &Path) -> io::Result<Files> {
    let mut files = Files::default();
    let entries = match engine::file::read_dir(dir).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        other => other?,
    };
    files.there = true;
    for entry in entries {
        let name = entry.name.to_string_lossy().into_owned();
        match parse_name(&name) {
            Some((base, true)) => drop(files.segments.insert(base, entry.len)),
            Some((base, false)) => drop(files.indexes.insert(base, entry.len)),
            None => files.others.push(name),
        }
    }
    Ok(files)
}

/// The base offset in a file's name, and whether it is a segment's and not an index's.
fn parse_name(name: &str) -> Option<(Offset, bool)> {
    let (digits, kind) = name.split_once('.')?;
    let sound = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let base = Offset(digits.parse().ok().filter(|_| sound)?);
    match kind {
        "log" => Some((base, true)),
        "hindex" => Some((base, false)),
        _ => None,
    }
}

/// One log while it is checked.
pub(super) struct LogCheck<'a> {
    pub(super) rules: &'a Rules,
    pub(super) promise: &'a Promise,
    pub(super) files: &'a Files,
    pub(super) findings: &'a Findings,
}

impl LogCheck<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.rules.topics.join(&self.promise.dir).join(name)
    }

    fn name(&self, name: &str) -> String {
        format!("topics/{}/{name}", self.promise.dir)
    }

    fn finding(&self, code: Code, what: impl Into<String>, file: &str) -> Finding {
        let finding = Finding::new(code, what).file(self.name(file));
        finding.of_log(self.promise.id, &self.promise.dir)
    }

    /// Reads everything that must be there.
    pub(super) async fn run(self) {
        self.findings.count(|checked| checked.logs += 1);
        let mut so_far = LogSoFar::new(self.promise, self.rules.epoch_max, self.rules.deep);
        let mut whole = true;
        for (at, segment) in self.promise.segments.iter().enumerate() {
            if self.promise.is_dead(at) {
                continue;
            }
            whole &= self.segment(at, segment, &mut so_far).await;
        }
        if whole && let Some(problem) = so_far.check_producers() {
            let finding = Finding::new(problem.code, problem.what);
            self.findings.add(finding.of_log(self.promise.id, &self.promise.dir));
        }
        self.unlisted();
    }

    /// Files that nothing names.
    fn unlisted(&self) {
        let listed = |base: &Offset| {
            self.promise.segments.binary_search_by_key(base, |segment| segment.base).is_ok()
        };
        for base in self.files.segments.keys().filter(|base| !listed(base)) {
            let what = "no checkpoint and no entry of the journal names it";
            self.findings.add(self.finding(Code::SegmentUnlisted, what, &batches_file_name(*base)));
        }
        for base in self.files.indexes.keys().filter(|base| !listed(base)) {
            let what = "an index without its segment";
            self.findings.add(self.finding(Code::Leftover, what, &index_file_name(*base)));
        }
        for name in &self.files.others {
            let what = "neither a segment nor an index";
            self.findings.add(self.finding(Code::Leftover, what, name));
        }
    }

    /// Checks one segment; false if something in it is wrong, or it is not there.
    async fn segment(&self, at: usize, segment: &PromisedSegment, log: &mut LogSoFar) -> bool {
        let name = batches_file_name(segment.base);
        let tail = self.promise.tail.as_ref().filter(|tail| tail.segment == segment.base);
        let synced = segment.base < self.promise.synced_upto;
        let Some(len) = self.files.segments.get(&segment.base).copied() else {
            let gone = self.promise.segment_end(at) <= self.promise.log_start;
            let bytes = segment.meta.map_or(u64::from(synced), |meta| meta.bytes);
            if bytes > 0 && !gone {
                let upto = self.promise.segment_end(at).min(self.promise.synced_upto);
                let what = format!("it holds the offsets from {} to {upto}", segment.base);
                self.findings.add(self.finding(Code::SegmentMissing, what, &name));
            }
            return bytes == 0;
        };
        self.findings.count(|checked| checked.segments += 1);
        if let Some(meta) = segment.meta {
            let need = if tail.is_some() { meta.bytes - meta.bytes % BLOCK } else { meta.bytes };
            if len < need {
                let what = format!("it has {len} bytes, and {need} are synced");
                self.findings.add(self.finding(Code::SegmentShort, what, &name).position(len));
                if len == 0 {
                    return false;
                }
            }
        }
        let index = self.index(segment.base).await;
        let source = Source::open(&self.path(&name), self.name(&name), self.findings).await;
        let source = match source {
            Ok(source) => source,
            Err(error) => {
                self.findings.add(self.finding(Code::Unreadable, error.to_string(), &name));
                return false;
            }
        };
        let overlay = tail.map(|tail| (tail.position, tail.bytes.clone())).unwrap_or_default();
        let walk = SegmentWalk::new(segment.base, index);
        let stream = Stream::new(source, overlay);
        let mut check = SegmentCheck { of: self, at, segment, name, stream, walk, told: 0 };
        let whole = check.synced(log).await;
        if whole {
            check.beyond(log).await;
        }
        check.end(whole, len);
        whole
    }

    /// The segment's index, if it has a sound one.
    async fn index(&self, base: Offset) -> Option<SegmentIndex> {
        self.files.indexes.get(&base)?;
        let name = index_file_name(base);
        self.findings.count(|checked| checked.indexes += 1);
        let what = match disk::read_whole(&self.path(&name), INDEX_BYTES_MAX).await {
            Ok(bytes) => {
                self.findings.on_read(bytes.len() as u64);
                match SegmentIndex::decode(&bytes) {
                    Ok(index) if index.base_offset() == base => return Some(index),
                    Ok(index) => format!("it is of the segment at {}", index.base_offset()),
                    Err(error) => error.to_string(),
                }
            }
            Err(error) => error.to_string(),
        };
        self.findings.add(self.finding(Code::IndexDamaged, what, &name));
        None
    }
}

/// One segment while it is read.
struct SegmentCheck<'a> {
    of: &'a LogCheck<'a>,
    at: usize,
    segment: &'a PromisedSegment,
    name: String,
    stream: Stream,
    walk: SegmentWalk,
    told: usize,
}

impl SegmentCheck<'_> {
    fn say(&mut self, problem: Problem, position: u64) {
        self.told += 1;
        if self.told > SEGMENT_FINDINGS_MAX {
            return;
        }
        let index = matches!(problem.code, Code::IndexWrong | Code::IndexDamaged);
        let finding = if index {
            self.of.finding(problem.code, problem.what, &index_file_name(self.segment.base))
        } else {
            self.of.finding(problem.code, problem.what, &self.name).position(position)
        };
        self.of.findings.add(finding);
    }

    /// Whether a batch at the present position is synced, and so must be right.
    fn is_promised(&self) -> bool {
        let upto = self.of.promise.synced_upto;
        let by_offset = self.walk.next.is_none_or(|next| next < upto);
        match self.segment.meta {
            Some(meta) => self.walk.position < meta.bytes,
            None => self.segment.base < upto && by_offset,
        }
    }

    /// Reads what is synced; false if something in it is wrong.
    async fn synced(&mut self, log: &mut LogSoFar) -> bool {
        let mut whole = true;
        while self.is_promised() {
            let position = self.walk.position;
            self.stream.fill(BATCH_HEADER_BYTES).await;
            if let Err(FramingError::Truncated { need, .. }) = BatchView::first(self.stream.rest())
            {
                self.stream.fill(need).await;
            }
            let problems = match BatchView::first(self.stream.rest()) {
                Ok(batch) => {
                    let problems = self.walk.take(&batch, log);
                    let len = batch.len();
                    self.stream.skip(len);
                    problems
                }
                Err(error) => {
                    let next = self.walk.next_place(position).filter(|next| *next < self.limit());
                    let what = match next {
                        Some(next) => {
                            format!("{error}; bytes {position} to {next} are passed over")
                        }
                        None => format!("{error}; what follows in the segment is not checked"),
                    };
                    self.say(Problem { code: Code::BatchFraming, what }, position);
                    whole = false;
                    let Some(next) = next else { return false };
                    self.stream.seek(next);
                    self.walk.resume(next);
                    continue;
                }
            };
            for problem in problems {
                whole &= problem.code == Code::IndexWrong;
                self.say(problem, position);
            }
        }
        if self.walk.hurt {
            return false;
        }
        if let Some(meta) = self.segment.meta {
            let end = self.of.promise.segment_end(self.at).min(self.of.promise.synced_upto);
            let position = self.walk.position;
            if position > meta.bytes {
                let what = format!("a batch reaches over its {} bytes", meta.bytes);
                self.say(Problem { code: Code::SegmentAccount, what }, position);
                return false;
            }
            for problem in self.walk.check_account(&meta, end) {
                whole &= problem.code == Code::SegmentTimes;
                self.say(problem, position);
            }
        }
        whole
    }

    /// Where what is synced ends at the latest.
    fn limit(&self) -> u64 {
        self.segment.meta.map_or(u64::MAX, |meta| meta.bytes)
    }

    /// Reads on as long as batches follow that the journal holds too.
    async fn beyond(&mut self, log: &mut LogSoFar) {
        let end = self.of.promise.segment_end(self.at);
        while self.walk.next.is_some_and(|next| next < end) {
            let position = self.walk.position;
            self.stream.fill(BATCH_HEADER_BYTES).await;
            if let Err(FramingError::Truncated { need, .. }) = BatchView::first(self.stream.rest())
            {
                self.stream.fill(need).await;
            }
            let Ok(batch) = BatchView::first(self.stream.rest()) else { break };
            let joins = self.walk.next == Some(batch.base_offset()) && batch.next_offset() <= end;
            if !joins || !batch.check_crc() {
                break;
            }
            let problems = self.walk.take(&batch, log);
            let len = batch.len();
            self.stream.skip(len);
            for problem in problems {
                self.say(problem, position);
            }
        }
        let (next, position) = (self.walk.next.unwrap_or(self.segment.base), self.walk.position);
        // Where records are known to be lost, what lies behind the log's end may be them.
        if !self.of.promise.is_whole() {
            return;
        }
        let written = next >= end;
        if !written {
            let what = format!("offsets {next} to {end} are in the journal and not in the segment");
            self.say(Problem { code: Code::NotWrittenBehind, what }, position);
        }
        let mut zeros = true;
        loop {
            self.stream.fill(1).await;
            let rest = self.stream.rest();
            if rest.is_empty() {
                break;
            }
            zeros &= rest.iter().all(|byte| *byte == 0);
            let len = rest.len();
            self.stream.skip(len);
        }
        if written && !zeros {
            let what = "something else than zeros behind its last batch".to_owned();
            let code = if self.of.rules.clean { Code::Padding } else { Code::StaleTail };
            self.say(Problem { code, what }, position);
        }
    }

    fn end(&mut self, whole: bool, len: u64) {
        let sealed = self.at + 1 < self.of.promise.segments.len();
        let (position, clean) = (self.walk.position, self.of.rules.clean);
        let settled = whole && self.of.promise.is_whole();
        if settled && (sealed || clean) && len > position {
            let what = format!("its batches end at byte {position}, the file has {len}");
            self.say(Problem { code: Code::NotCut, what }, position);
        }
        if self.stream.overlay_differs {
            let what = "the block has other bytes than the checkpoint's image of it".to_owned();
            let at = self.of.promise.tail.as_ref().map_or(0, |tail| tail.position);
            let code = if clean { Code::TailBlockDamaged } else { Code::TailBlock };
            self.say(Problem { code, what }, at);
        }
        if settled && self.walk.index_bytes().is_some_and(|bytes| bytes > position) {
            let what = "it covers more bytes than the segment has".to_owned();
            self.say(Problem { code: Code::IndexDamaged, what }, 0);
        }
        if self.told > SEGMENT_FINDINGS_MAX {
            let what =
                format!("{} more finding(s) of this segment", self.told - SEGMENT_FINDINGS_MAX);
            let finding = self.of.finding(Code::BatchFraming, what, &self.name);
            self.of.findings.add(finding);
        }
        let (batches, records) = (self.walk.batches, self.walk.records);
        self.of.findings.count(|checked| {
            checked.batches += batches;
            checked.records += records;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        assert_eq!(parse_name(&batches_file_name(Offset(42))), Some((Offset(42), true)));
        assert_eq!(parse_name(&index_file_name(Offset(7))), Some((Offset(7), false)));
        for name in ["7.log", "00000000000000000000.log.tmp", "99999999999999999999.log", "x"] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}

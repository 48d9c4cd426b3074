//! The journals of the generation in force: every frame from where they are needed, entry by entry into the promises.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::code::Code;
use super::finding::{Finding, Findings, relative};
use super::promise::{Promise, Taken};
use super::read::{CHUNK_BYTES, Source};
use crate::ids::{LogId, Lsn, Offset};
use crate::journal::frame::{Broken, FRAME_ALIGN, Frame, Header, Identity};
use crate::journal::walk::{End, FileFacts, Gap, Step, Walker, Window};

/// A journal file of the generation in force.
#[derive(Clone, Debug)]
pub(super) struct JournalFile {
    pub(super) path: PathBuf,
    pub(super) sequence: u64,
    pub(super) len: u64,
}

/// One shard's journal.
pub(super) struct Shard<'a> {
    pub(super) data: &'a Path,
    pub(super) identity: Identity,
    /// Every entry below is in some checkpoint.
    pub(super) from: Lsn,
    /// It was on the device up to here when the last checkpoint was taken.
    pub(super) durable: Lsn,
    pub(super) files: Vec<JournalFile>,
    /// The superblock says that the last stop was clean.
    pub(super) clean: bool,
    pub(super) findings: &'a Findings,
}

/// All logs while the journals are read.
pub(super) struct Logs<'a> {
    pub(super) promises: BTreeMap<LogId, Promise>,
    /// Whether a log has a tombstone.
    pub(super) deleted: &'a dyn Fn(&LogId) -> bool,
    /// What no checkpoint and no metadata names may be created by an entry: the metadata is not known.
    pub(super) open: bool,
    pub(super) unknown: BTreeMap<LogId, u64>,
}

impl Shard<'_> {
    /// Walks the journal.
    pub(super) async fn check(mut self, logs: &mut Logs<'_>) {
        self.files.sort_by_key(|file| file.sequence);
        self.findings.count(|checked| checked.journals += 1);
        for file in self.files.iter().filter(|file| file.len % FRAME_ALIGN as u64 != 0) {
            let what = format!("it has {} bytes", file.len);
            let finding = Finding::new(Code::JournalCut, what);
            self.findings.add(finding.file(relative(self.data, &file.path)));
        }
        let mut reader = match Reader::open(&self).await {
            Ok(reader) => reader,
            Err((file, error)) => {
                self.findings.add(Finding::new(Code::Unreadable, error.to_string()).file(file));
                return;
            }
        };
        let mut walker = Walker::new(self.identity, reader.facts(), self.from, self.durable);
        let mut before: Option<Before> = None;
        let mut incomplete = false;
        loop {
            match walker.step(reader.window()) {
                Step::Read { file, position, len } => {
                    if let Err(error) = reader.load(file, position, len).await {
                        let finding = Finding::new(Code::Unreadable, error.to_string());
                        self.findings.add(finding.file(reader.name(file)).position(position));
                        return;
                    }
                }
                Step::Frame { frame, file, position } => {
                    let at = (reader.name(file), position);
                    if let Some(what) =
                        before.as_ref().and_then(|before| before.contradicted(&frame))
                    {
                        let finding = Finding::new(Code::FrameContradicts, what);
                        self.findings.add(finding.file(at.0.clone()).position(position));
                    }
                    self.on_frame(&frame, &at, logs);
                    before = Some(Before::of(&frame));
                }
                Step::Gap(gap) => {
                    before = None;
                    incomplete |= !gap.complete;
                    self.on_gap(&gap, reader.name(gap.file), logs);
                }
                Step::End(end) => {
                    self.on_end(&end, reader.name(end.file));
                    break;
                }
            }
        }
        if incomplete {
            self.settle_suspects(logs);
        }
    }

    fn on_frame(&self, frame: &Frame<'_>, at: &(String, u64), logs: &mut Logs<'_>) {
        self.findings.count(|checked| checked.frames += 1);
        for entry in frame.entries() {
            let id = entry.head.log;
            if logs.open && !logs.promises.contains_key(&id) && !(logs.deleted)(&id) {
                let empty = crate::checkpoint::LogCheckpoint::empty(id, "");
                logs.promises.insert(id, Promise::new(empty).0);
            }
            let Some(log) = logs.promises.get_mut(&id) else {
                if !(logs.deleted)(&id) {
                    *logs.unknown.entry(id).or_default() += 1;
                }
                continue;
            };
            let told = |what: String, log: &Promise| {
                let finding = Finding::new(Code::EntryContradicts, what).file(at.0.clone());
                self.findings.add(finding.position(at.1).of_log(id, &log.dir));
            };
            let shard = self.identity.shard;
            if let Some(other) = log.seen_in.replace(shard)
                && other != shard
                && !std::mem::replace(&mut log.broken, true)
            {
                told(format!("both shard {other} and shard {shard} journalled it"), log);
            }
            match log.apply(&entry) {
                Ok(Taken::Passed) => {}
                Ok(Taken::In) => self.findings.count(|checked| checked.entries += 1),
                Err(what) => told(what, log),
            }
        }
    }

    /// Acknowledged frames are missing: the logs they name lose records, unless a checkpoint holds all that was in them.
    fn on_gap(&self, gap: &Gap, file: String, logs: &mut Logs<'_>) {
        let resume = gap.to.unwrap_or(Lsn(u64::MAX));
        let mut lost = Vec::new();
        for named in &gap.named {
            let Some(log) = logs.promises.get_mut(&named.log) else { continue };
            if log.replay_from < resume {
                log.broken = true;
                lost.push((log.id, log.dir.clone(), named.next_offset, log.end));
            }
        }
        let mut suspects = 0;
        if !gap.complete {
            let ours = |log: &Promise| log.seen_in.is_none_or(|seen| seen == self.identity.shard);
            for log in logs.promises.values_mut().filter(|log| log.replay_from < resume) {
                if ours(log) && !log.broken {
                    log.suspect = true;
                    suspects += 1;
                }
            }
        }
        let to = gap.to.map_or("its end".to_owned(), |to| format!("LSN {to}"));
        let what = format!(
            "acknowledged frames from LSN {} to {to} are damaged or missing{}",
            gap.from,
            if gap.complete { "" } else { ", and nothing names all they held" }
        );
        let covered = lost.is_empty() && suspects == 0;
        let code = if covered { Code::JournalDamagedCovered } else { Code::JournalDamaged };
        self.findings.add(Finding::new(code, what).file(file.clone()).position(gap.position));
        for (id, dir, next, end) in lost {
            let what = format!("acknowledged up to offset {next}, there up to {end}");
            let finding = Finding::new(Code::RecordsLost, what).file(file.clone());
            self.findings.add(finding.position(gap.position).of_log(id, &dir));
        }
    }

    /// Frames that nobody names are lost: a log whose next entry joined on is whole, any other cannot be proven so.
    fn settle_suspects(&self, logs: &mut Logs<'_>) {
        for log in logs.promises.values_mut() {
            let ours = log.seen_in.is_none_or(|seen| seen == self.identity.shard);
            if std::mem::take(&mut log.suspect) && ours && !log.broken {
                log.broken = true;
                let what = format!(
                    "it cannot be proven that it has no acknowledged record behind {}",
                    log.end
                );
                let file = format!("journal/ of shard {}", self.identity.shard);
                let finding = Finding::new(Code::RecordsLost, what).file(file);
                self.findings.add(finding.of_log(log.id, &log.dir));
            }
        }
    }

    fn on_end(&self, end: &End, file: String) {
        let say = |code, what: String| {
            self.findings.add(Finding::new(code, what).file(file.clone()).position(end.position));
        };
        match end.broken {
            // What stood there before the file was used again.
            None | Some(Broken::Foreign | Broken::NoMagic) => {}
            Some(broken) => {
                say(Code::TornTail, format!("the journal ends with LSN {}: {broken}", end.upto));
            }
        }
        if end.discarded > 0 {
            let what = format!("{} whole frame(s) behind LSN {}", end.discarded, end.upto);
            say(Code::FramesDropped, what);
        }
        if self.clean && !end.closed {
            let what = format!("it ends with LSN {} and no closing frame", end.upto);
            say(Code::NotClosed, what);
        }
    }
}

/// What the frame before said, for the next to repeat.
struct Before {
    touched: BTreeMap<LogId, Offset>,
    durable_upto: Lsn,
    written_upto: Lsn,
}

impl Before {
    fn of(frame: &Frame<'_>) -> Before {
        let touched = frame.entries().map(|entry| (entry.head.log, entry.head.next_offset));
        let header = frame.header();
        Before {
            touched: touched.collect(),
            durable_upto: header.durable_upto,
            written_upto: header.next_lsn(),
        }
    }

    /// How the next frame contradicts it.
    fn contradicted(&self, next: &Frame<'_>) -> Option<String> {
        let durable = next.header().durable_upto;
        if durable < self.durable_upto || durable > self.written_upto {
            return Some(format!(
                "it says that {durable} was durable, where {} to {} is possible",
                self.durable_upto, self.written_upto
            ));
        }
        let named: BTreeMap<_, _> =
            next.predecessor().map(|named| (named.log, named.next_offset)).collect();
        if named == self.touched {
            return None;
        }
        let keys = |map: &BTreeMap<LogId, Offset>| map.keys().copied().collect::<BTreeSet<_>>();
        let other = keys(&named).symmetric_difference(&keys(&self.touched)).count();
        Some(format!(
            "its list of what the frame before touched has {} log(s), that frame {}; {other} are not in both",
            named.len(),
            self.touched.len()
        ))
    }
}

/// Reads the files for the walker, a window at a time.
struct Reader<'a> {
    shard: &'a Shard<'a>,
    /// The first that is needed.
    first: usize,
    open: Option<(usize, Source)>,
    file: usize,
    position: u64,
    bytes: Vec<u8>,
}

impl<'a> Reader<'a> {
    /// Of the files, those that can hold entries from `from` on: one whose successor begins at or below it is not needed.
    async fn open(shard: &'a Shard<'a>) -> Result<Reader<'a>, (String, io::Error)> {
        let mut reader =
            Reader { shard, first: 0, open: None, file: 0, position: 0, bytes: Vec::new() };
        let mut first = 0;
        for index in 0..shard.files.len() {
            let lsn = reader.first_lsn(index).await;
            let lsn = lsn.map_err(|error| (reader.name(index), error))?;
            if lsn.is_some_and(|lsn| lsn <= shard.from) {
                first = index;
            }
        }
        reader.first = first;
        reader.bytes.clear();
        let needed = shard.files[first.min(shard.files.len())..].iter();
        shard.findings.expect(needed.map(|file| file.len).sum());
        Ok(reader)
    }

    /// The LSN of the whole frame of this journal at the front of a file.
    async fn first_lsn(&mut self, index: usize) -> io::Result<Option<Lsn>> {
        self.load(index, 0, FRAME_ALIGN).await?;
        let file = &self.shard.files[index];
        let Ok(header) = Header::decode(&self.bytes) else { return Ok(None) };
        let ours = header.identity == self.shard.identity && header.file_sequence == file.sequence;
        if !ours || u64::from(header.total_len) > file.len {
            return Ok(None);
        }
        self.load(index, 0, header.total_len as usize).await?;
        Ok(Frame::check(&self.bytes).ok().map(|frame| frame.header().lsn))
    }

    fn facts(&self) -> Vec<FileFacts> {
        let needed = self.shard.files.iter().skip(self.first);
        needed.map(|file| FileFacts { sequence: file.sequence, len: file.len }).collect()
    }

    fn name(&self, file: usize) -> String {
        match self.shard.files.get(self.first + file) {
            Some(file) => relative(self.shard.data, &file.path),
            None => "journal".to_owned(),
        }
    }

    fn window(&self) -> Window<'_> {
        Window { file: self.file, position: self.position, bytes: &self.bytes }
    }

    async fn load(&mut self, file: usize, position: u64, len: usize) -> io::Result<()> {
        let index = self.first + file;
        let found = self.shard.files.get(index).ok_or(io::ErrorKind::NotFound)?;
        let mut source = match self.open.take() {
            Some((open, source)) if open == index => source,
            _ => Source::open(&found.path, self.name(file), self.shard.findings).await?,
        };
        let rest = usize::try_from(found.len.saturating_sub(position)).unwrap_or(usize::MAX);
        let want = len.max(CHUNK_BYTES).min(rest);
        self.bytes = source.read(position, want).await;
        if self.bytes.len() < len {
            // Shorter than the directory said: what is missing fails every check.
            self.bytes.resize(len, 0);
        }
        (self.file, self.position) = (file, position);
        self.open = Some((index, source));
        engine::task::yield_now().await;
        Ok(())
    }
}

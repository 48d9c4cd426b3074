//! Drives the recovery of all logs: shard by shard through the journals, entry by entry into the logs, and to the disk
//! whenever enough has gathered.

use super::logs::{self, Logs, Taken};
use super::quarantine::Quarantine;
use super::rebuild::{Applied, Later, Rebuild, SegmentWrite};
use super::segments::{self, Listing};
use super::source::{FoundFile, Source};
use super::truncate;
use crate::checkpoint::LogCheckpoint;
use crate::ids::{Generation, LogId, Lsn, Offset};
use crate::journal::frame::{Frame, Identity, Purpose};
use crate::journal::walk::{Gap, Step, Walker};
use engine::file::{File, OpenOptions};
use engine::task::{self, Queue};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Bytes of replayed batches held in memory, over all logs, before they are written to their segments.
const PENDING_BYTES_MAX: usize = 32 << 20;
/// Logs written to at the same time.
const WRITERS: usize = 8;

/// What recovery did and found.
#[derive(Clone, Debug, Default)]
pub struct RecoveryReport {
    /// Journals read: the shards of the last generation.
    pub journals: usize,
    /// Journals whose last frame said that the stop was clean.
    pub closed: usize,
    /// Frames read, idle and closing ones included.
    pub frames: u64,
    /// Entries that a checkpoint did not hold already.
    pub entries: u64,
    /// Bytes of batches written back to segments.
    pub bytes: u64,
    /// Entries of deleted logs, passed over.
    pub deleted: u64,
    /// Logs nobody knows, with the number of their entries; their frames are in quarantine.
    pub unknown: BTreeMap<LogId, u64>,
    /// Logs with a checkpoint that the metadata does not know and has no tombstone of: replayed and kept, not served.
    pub unlisted: Vec<LogId>,
    /// Damage in acknowledged data.
    pub damage: Vec<DamageReport>,
    /// Logs that are offline, with the cause.
    pub offline: BTreeMap<LogId, String>,
    /// Files put into quarantine.
    pub quarantined: Vec<PathBuf>,
    /// How long it took, in ms.
    pub took_ms: u64,
}

/// Acknowledged frames of one shard's journal that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamageReport {
    /// Whose journal.
    pub shard: u16,
    /// The file in which the damage begins, and where.
    pub file: String,
    /// See `file`.
    pub position: u64,
    /// The first LSN missing.
    pub from: Lsn,
    /// Where the journal goes on.
    pub to: Option<Lsn>,
}

/// All logs while they are rebuilt.
pub(crate) struct Replayer<'a> {
    topics: PathBuf,
    logs: Logs,
    listings: BTreeMap<LogId, Listing>,
    deleted: &'a dyn Fn(&LogId) -> bool,
    quarantine: Quarantine,
    /// Journal files with damage: to be kept.
    damaged_files: BTreeSet<PathBuf>,
    report: RecoveryReport,
    pending: usize,
    generation: Generation,
    clean: bool,
    now_ms: i64,
}

/// What recovery made.
pub(crate) struct Replayed {
    pub(crate) checkpoints: Vec<LogCheckpoint>,
    pub(crate) report: RecoveryReport,
    pub(crate) quarantine: Quarantine,
    pub(crate) damaged_files: BTreeSet<PathBuf>,
    /// To be done in these directories once the checkpoints are in force.
    pub(crate) later: Vec<(PathBuf, Later)>,
}

impl<'a> Replayer<'a> {
    /// `generation`: whose journals are read. `clean`: it ended with checkpoints that hold everything. `checkpoints`:
    /// the last of each log. `deleted`: whether a log has a tombstone.
    pub(crate) fn new(
        data: &Path,
        generation: Generation,
        clean: bool,
        checkpoints: Vec<LogCheckpoint>,
        deleted: &'a dyn Fn(&LogId) -> bool,
    ) -> Replayer<'a> {
        Replayer {
            topics: data.join("topics"),
            logs: checkpoints.into_iter().map(|one| (one.id, Rebuild::new(one))).collect(),
            listings: BTreeMap::new(),
            deleted,
            quarantine: Quarantine::new(data),
            damaged_files: BTreeSet::new(),
            report: RecoveryReport::default(),
            pending: 0,
            generation,
            clean,
            now_ms: engine::time::unix_ms(),
        }
    }

    fn dir(&self, checkpoint: &LogCheckpoint) -> PathBuf {
        self.topics.join(&checkpoint.dir)
    }

    /// Looks for the segment files that the checkpoints list, before anything is written.
    pub(crate) async fn check_files(&mut self) -> io::Result<()> {
        let dirs: Vec<_> =
            self.logs.iter().map(|(id, log)| (*id, self.dir(log.checkpoint()))).collect();
        for (id, dir) in dirs {
            let listing = segments::list(&dir).await?;
            if let Some(log) = self.logs.get_mut(&id) {
                let absent = segments::absent(log.checkpoint(), &listing);
                if absent.is_empty() {
                    log.on_complete();
                }
                for (segment, cause) in absent {
                    log.on_absent(segment, cause);
                }
            }
            self.listings.insert(id, listing);
        }
        Ok(())
    }

    /// Replays one shard's journal. `from`: every entry below is in some checkpoint. `durable`: how far it was on the
    /// device when the last checkpoint was taken.
    pub(crate) async fn replay_shard(
        &mut self,
        identity: Identity,
        files: Vec<FoundFile>,
        from: Lsn,
        durable: Lsn,
    ) -> io::Result<()> {
        self.report.journals += 1;
        let mut source = Source::open(files, identity, from).await?;
        let mut walker = Walker::new(identity, source.facts(), from, durable);
        let mut gaps = Vec::new();
        loop {
            match walker.step(source.window()) {
                Step::Read { file, position, len } => {
                    source.load(file, position, len).await?;
                    task::yield_now().await;
                }
                Step::Frame { frame, .. } => self.on_frame(identity.shard, &frame).await?,
                Step::Gap(gap) => {
                    self.on_gap(identity.shard, source.path(gap.file), &gap);
                    gaps.push(gap);
                }
                Step::End(end) => {
                    tracing::debug!(shard = identity.shard, upto = %end.upto, closed = end.closed,
                        discarded = end.discarded, "journal replayed");
                    self.report.closed += usize::from(end.closed);
                    let told = gaps.iter().any(|gap: &Gap| gap.to.is_none());
                    if !self.clean
                        && !end.closed
                        && !told
                        && source.is_unreadable(identity, &end).await?
                    {
                        let gap = end.as_gap();
                        self.on_gap(identity.shard, source.path(gap.file), &gap);
                        gaps.push(gap);
                    }
                    break;
                }
            }
        }
        logs::settle_suspects(&mut self.logs, identity.shard, &gaps);
        self.quarantine.end_frames().await
    }

    async fn on_frame(&mut self, shard: u16, frame: &Frame<'_>) -> io::Result<()> {
        self.report.frames += 1;
        if frame.header().purpose != Purpose::Entries {
            return Ok(());
        }
        let mut keep = false;
        for entry in frame.entries() {
            let id = entry.head.log;
            let pending = |logs: &Logs| logs.get(&id).map_or(0, Rebuild::pending_bytes);
            let before = pending(&self.logs);
            let applied = match logs::take_entry(&mut self.logs, shard, &entry, self.now_ms) {
                Taken::Applied(applied) => applied,
                Taken::Unknown => {
                    if (self.deleted)(&id) {
                        self.report.deleted += 1;
                    } else {
                        *self.report.unknown.entry(id).or_default() += 1;
                        keep = true;
                    }
                    continue;
                }
            };
            self.pending += pending(&self.logs) - before;
            match applied {
                Applied::Covered => {}
                Applied::Taken | Applied::Unplaced => {
                    self.report.entries += 1;
                    self.report.bytes += entry.payload.len() as u64;
                    keep |= applied == Applied::Unplaced;
                }
                Applied::Refused => keep = true,
                Applied::Truncate(to) => self.truncate(id, to).await?,
            }
        }
        if keep {
            let generation = frame.header().identity.generation.0;
            let name = format!("g{generation:08x}-s{shard:04x}.frames");
            self.quarantine.keep_frame(&name, frame.bytes()).await?;
        }
        if self.pending > PENDING_BYTES_MAX { self.flush().await } else { Ok(()) }
    }

    async fn truncate(&mut self, id: LogId, to: Offset) -> io::Result<()> {
        self.flush().await?;
        self.report.entries += 1;
        let Some(log) = self.logs.get_mut(&id) else { return Ok(()) };
        let dir = self.topics.join(&log.checkpoint().dir);
        if let Err(error) = truncate::cut_back(&dir, log, to).await {
            log.take_offline(format!("it cannot be cut back to offset {to}: {error}"));
            return Ok(());
        }
        // Indexes that reach behind the cut would speak of other batches once the log has grown again.
        let kept = log.checkpoint().segments.last().map_or(Offset(i64::MIN), |last| last.base);
        let others = self.listings.get(&id).map_or(&[][..], |listing| &listing.others);
        for (_, name) in others.iter().filter(|(base, _)| *base >= kept) {
            crate::disk::remove_if_there(&dir.join(name)).await?;
        }
        Ok(())
    }

    /// Acknowledged frames are missing: the logs they name go offline, unless a checkpoint holds all that was in them.
    fn on_gap(&mut self, shard: u16, path: Option<&PathBuf>, gap: &Gap) {
        let missing = || format!("the journal of shard {shard}, of which every file is missing");
        let file = path.map_or_else(missing, |path| path.display().to_string());
        tracing::error!(shard, %file, position = gap.position, from = %gap.from, to = ?gap.to,
            "HDL-ST-041: acknowledged frames of the journal are damaged. Partitions that had records only there are offline \
             and named with HDL-ST-040, all others serve; the file is kept in quarantine. The device is not sound: check \
             it (dmesg, smartctl)");
        self.damaged_files.extend(path.cloned());
        self.report.damage.push(DamageReport {
            shard,
            file: file.clone(),
            position: gap.position,
            from: gap.from,
            to: gap.to,
        });
        logs::on_gap(&mut self.logs, shard, &file, gap);
    }

    /// Writes what has gathered.
    async fn flush(&mut self) -> io::Result<()> {
        let mut work = Vec::new();
        for log in self.logs.values_mut() {
            if log.is_touched() {
                let writes = log.take_writes();
                if !writes.is_empty() {
                    work.push((self.topics.join(&log.checkpoint().dir), writes));
                }
            }
        }
        self.pending = self.logs.values().map(Rebuild::pending_bytes).sum();
        write_all(work).await
    }

    /// Brings every segment file to its exact bytes, and ends. Nothing is synced yet.
    pub(crate) async fn finish(mut self) -> io::Result<Replayed> {
        let mut work = Vec::new();
        let mut checkpoints = Vec::with_capacity(self.logs.len());
        let (mut leftovers, mut later) = (Vec::new(), Vec::new());
        for (id, mut log) in std::mem::take(&mut self.logs) {
            let dir = self.topics.join(&log.checkpoint().dir);
            let listing = self.listings.remove(&id).unwrap_or_default();
            log.settle_absent();
            let exact = log.checkpoint().segments.last().is_none_or(|active| {
                listing.segments.get(&active.base).copied().unwrap_or(0) == active.bytes
            });
            if log.is_touched() || !exact {
                work.push((dir.clone(), log.take_last_writes()));
            }
            match &log.checkpoint().offline {
                // What an offline log has is left for whoever looks into it.
                Some(reason) => drop(self.report.offline.insert(id, reason.clone())),
                None => {
                    let behind = log.take_later();
                    leftovers.push(self.leftovers(&dir, &listing, &log, &behind));
                    if behind != Later::default() {
                        later.push((dir, behind));
                    }
                }
            }
            checkpoints.push(log.finish());
        }
        write_all(work).await?;
        for leftover in leftovers.into_iter().flatten() {
            match leftover {
                Leftover::Remove(path) => crate::disk::remove_if_there(&path).await?,
                Leftover::Keep(path, name) => {
                    tracing::warn!(file = %path.display(), "a segment file that no checkpoint lists goes to quarantine");
                    self.quarantine.take_file(&path, &name).await?;
                }
            }
        }
        for (id, entries) in &self.report.unknown {
            tracing::error!(log = %id, entries, "HDL-ST-042: the journal has entries of a log that the metadata does not \
                know and has no tombstone of; their frames are in quarantine");
        }
        self.report.quarantined = self.quarantine.kept.clone();
        Ok(Replayed {
            checkpoints,
            report: self.report,
            quarantine: self.quarantine,
            damaged_files: self.damaged_files,
            later,
        })
    }

    /// Segment files that are no part of the log: before its start they are what a retention left half done, behind a
    /// cut what a cut did; any other behind its end holds what was never acknowledged, and is kept in quarantine all
    /// the same.
    fn leftovers(
        &self,
        dir: &Path,
        listing: &Listing,
        log: &Rebuild,
        later: &Later,
    ) -> Vec<Leftover> {
        let checkpoint = log.checkpoint();
        let first = checkpoint.segments.first().map(|segment| segment.base);
        let listed = |base: &Offset| {
            checkpoint.segments.binary_search_by_key(base, |segment| segment.base).is_ok()
        };
        let mut found = Vec::new();
        let unlisted = listing.segments.keys().filter(|base| !listed(base));
        for base in unlisted.filter(|base| !later.removed.contains(base)) {
            let path = dir.join(segments::segment_name(*base));
            let retired = first.is_none_or(|first| *base < first) && *base < checkpoint.log_start;
            if retired || log.is_cut_off(*base) {
                found.push(Leftover::Remove(path));
            } else {
                let generation = self.generation.0;
                let segment = segments::segment_name(*base);
                found.push(Leftover::Keep(
                    path,
                    format!("g{generation:08x}-{}-{segment}", checkpoint.id),
                ));
            }
        }
        for (_, name) in listing.others.iter().filter(|(base, _)| !listed(base)) {
            found.push(Leftover::Remove(dir.join(name)));
        }
        found
    }
}

/// What becomes of a file that is no part of its log.
enum Leftover {
    Remove(PathBuf),
    /// It goes to quarantine under this name.
    Keep(PathBuf, String),
}

/// Cuts and removes what is no part of the logs any more, now that no checkpoint in force speaks of it. Nothing is lost
/// if that fails or a crash takes it back: the next start cuts the file that takes appends, and puts a segment that no
/// checkpoint lists into quarantine.
pub(crate) async fn perform_later(later: Vec<(PathBuf, Later)>) {
    for (dir, later) in later {
        for (base, bytes) in later.cuts {
            let path = dir.join(segments::segment_name(base));
            if let Err(error) = cut_file(&path, bytes).await {
                tracing::warn!(path = %path.display(), %error, "a segment could not be cut to its length");
            }
        }
        for base in later.removed {
            let path = dir.join(segments::segment_name(base));
            if let Err(error) = crate::disk::remove_if_there(&path).await {
                tracing::warn!(path = %path.display(), %error, "a segment could not be deleted");
            }
        }
    }
}

async fn cut_file(path: &Path, bytes: u64) -> io::Result<()> {
    let file = File::open(path, OpenOptions::new().write().direct()).await?;
    file.set_len(bytes).await?;
    file.close().await
}

/// Performs each log's writes in order, several logs at a time.
async fn write_all(work: Vec<(PathBuf, Vec<SegmentWrite>)>) -> io::Result<()> {
    let queue = Rc::new(RefCell::new(VecDeque::from(work)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let queue = queue.clone();
            task::spawn(Queue::Produce, async move {
                loop {
                    let next = queue.borrow_mut().pop_front();
                    let Some((dir, writes)) = next else { return Ok::<(), io::Error>(()) };
                    segments::perform(dir, writes).await?;
                }
            })
        })
        .collect();
    let mut first_error = Ok(());
    for writer in writers {
        let result = writer.await;
        first_error = first_error.and(result);
    }
    first_error
}

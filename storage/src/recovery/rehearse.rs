//! Recovery of one shard's journal in memory: the same walk, judgements and rebuilding, and no file is touched.
//!
//! For those who want to know what recovery would make of some bytes: fuzzing, tests, tools that look at a node that is
//! down. `Replayer` does the same with files.

use super::logs::{self, Logs, Taken};
use super::rebuild::{Applied, Rebuild, SegmentWrite};
use crate::checkpoint::LogCheckpoint;
use crate::ids::{LogId, Lsn, Offset};
use crate::journal::frame::{Identity, Purpose};
use crate::journal::walk::{End, FileFacts, Gap, Step, Walker, Window};
use std::collections::BTreeMap;

/// A shard's journal in memory, and what its checkpoints say.
pub struct Rehearsal<'a> {
    /// Whose frames count.
    pub identity: Identity,
    /// The journal's files: sequence and bytes, rising by sequence.
    pub files: Vec<(u64, &'a [u8])>,
    /// The last checkpoint of each log.
    pub checkpoints: Vec<LogCheckpoint>,
    /// Every entry below is in some checkpoint.
    pub from: Lsn,
    /// How far the journal was on the device when the last checkpoint was taken.
    pub durable: Lsn,
    /// When, in ms since 1970: producers count as heard now.
    pub now_ms: i64,
}

/// What recovery would make of it.
#[derive(Debug)]
pub struct Rehearsed {
    /// Each log's checkpoint of the next generation.
    pub checkpoints: Vec<LogCheckpoint>,
    /// What would be written to segment files, per log, in order.
    pub writes: BTreeMap<LogId, Vec<SegmentWrite>>,
    /// Entries of logs without a checkpoint.
    pub unknown: u64,
    /// Truncations found: `(log, offset)`. They need segment files, so the log stays as it was and goes offline.
    pub truncations: Vec<(LogId, Offset)>,
    /// First LSN of each frame replayed.
    pub frames: Vec<Lsn>,
    /// Acknowledged frames that cannot be read.
    pub gaps: Vec<Gap>,
    /// Where the journal ends.
    pub end: End,
}

impl Rehearsal<'_> {
    /// Walks the journal and rebuilds the logs. Total over any bytes.
    ///
    /// # Panics
    /// When the files do not rise by sequence, or a checkpoint breaks its own invariants: [`LogCheckpoint::decode`]
    /// gives none that does.
    pub fn run(self) -> Rehearsed {
        let shard = self.identity.shard;
        let facts = |(sequence, bytes): &(u64, &[u8])| FileFacts {
            sequence: *sequence,
            len: bytes.len() as u64,
        };
        let facts = self.files.iter().map(facts).collect();
        let mut walker = Walker::new(self.identity, facts, self.from, self.durable);
        let mut logs: Logs =
            self.checkpoints.into_iter().map(|one| (one.id, Rebuild::new(one))).collect();
        let (mut unknown, mut truncations) = (0, Vec::new());
        let (mut frames, mut gaps) = (Vec::new(), Vec::new());
        let mut window = Window::default();
        let end = loop {
            match walker.step(window) {
                Step::Read { file, position, len } => {
                    let at = position as usize;
                    window = Window { file, position, bytes: &self.files[file].1[at..at + len] };
                }
                Step::Frame { frame, .. } => {
                    frames.push(frame.header().lsn);
                    if frame.header().purpose != Purpose::Entries {
                        continue;
                    }
                    for entry in frame.entries() {
                        let taken = logs::take_entry(&mut logs, shard, &entry, self.now_ms);
                        match taken {
                            Taken::Unknown => unknown += 1,
                            Taken::Applied(Applied::Truncate(to)) => {
                                truncations.push((entry.head.log, to));
                                if let Some(log) = logs.get_mut(&entry.head.log) {
                                    log.take_offline(format!(
                                        "it is to be cut back to offset {to}"
                                    ));
                                }
                            }
                            Taken::Applied(_) => {}
                        }
                    }
                }
                Step::Gap(gap) => {
                    logs::on_gap(&mut logs, shard, "the journal", &gap);
                    gaps.push(gap);
                }
                Step::End(end) => break end,
            }
        };
        logs::settle_suspects(&mut logs, shard, &gaps);
        let mut writes = BTreeMap::new();
        let mut checkpoints = Vec::with_capacity(logs.len());
        for (id, mut log) in logs {
            log.settle_absent();
            if log.is_touched() {
                writes.insert(id, log.take_last_writes());
            }
            checkpoints.push(log.finish());
        }
        Rehearsed { checkpoints, writes, unknown, truncations, frames, gaps, end }
    }
}

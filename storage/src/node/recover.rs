//! From generation g to g + 1: see `recovery` for the rules.

use super::open::{Node, NodeError, io_error};
use crate::checkpoint::LogCheckpoint;
use crate::checkpoint_log;
use crate::disk;
use crate::ids::{Generation, LogId, Lsn};
use crate::journal::frame::Identity;
use crate::journal::{JournalConfig, file_name};
use crate::log_state::LogState;
use crate::planted::{self, Bug};
use crate::recovery::{self, FoundFile, RecoveryReport, Replayer};
use crate::superblock::FlushPrimitive;
use engine::file::{self, File, OpenOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file that holds nothing but space, in the checkpoints' directory: a base checkpoint and the segments' last blocks
/// need some before old files can go.
const RESERVE: &str = "reserve";
const RESERVE_BYTES: u64 = 16 << 20;

/// What the metadata says of logs: it is replayed first.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// All logs of this node with their directories below `topics`.
    pub logs: BTreeMap<LogId, String>,
    /// Topics with a tombstone: entries of theirs are passed over.
    pub deleted_topics: BTreeSet<[u8; 16]>,
}

impl Known {
    /// The log has a tombstone: its topic's, or a later incarnation.
    pub(crate) fn is_deleted(&self, id: &LogId) -> bool {
        // A later incarnation of the same partition is a tombstone for the earlier ones.
        let later = LogId { incarnation: id.incarnation.saturating_add(1), ..*id };
        let last = LogId { incarnation: u32::MAX, ..*id };
        self.deleted_topics.contains(&id.topic) || self.logs.range(later..=last).next().is_some()
    }
}

/// A node ready for its next generation. Plain data that may travel to all shards.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The generation to write: also the leader epoch of this start.
    pub generation: Generation,
    /// Its random number.
    pub salt: u64,
    /// How this device is flushed.
    pub flush: FlushPrimitive,
    /// Where journals are.
    pub journal_dir: PathBuf,
    /// Where checkpoints are.
    pub checkpoint_dir: PathBuf,
    /// Where segments are.
    pub topics_dir: PathBuf,
    /// Every known log, to be given to the shard that owns it.
    pub states: Vec<LogState>,
    /// What was done and found.
    pub report: RecoveryReport,
}

impl Recovery {
    /// The settings of one shard's journal. `bytes_max` is per shard.
    pub fn journal_config(&self, shard: u16, file_bytes: u64, bytes_max: u64) -> JournalConfig {
        JournalConfig {
            dir: self.journal_dir.clone(),
            shard,
            generation: self.generation,
            salt: self.salt,
            file_bytes,
            bytes_max,
            flush: self.flush,
            gap_max: Duration::from_millis(1),
        }
    }
}

impl Node {
    /// Replays the last generation's journals and begins the next, for `shards` shards. To be called once, before any
    /// journal is started.
    pub async fn recover(&self, known: &Known, shards: u16) -> Result<Recovery, NodeError> {
        let started = engine::time::now();
        let before = self.superblock();
        let next = Generation(before.generation.0 + 1);
        let at = |source| io_error("recover", &self.dir, source);
        self.open_reserve().await?;

        let (checkpoints, journals) = self.checkpoints(known).await?;
        let is_deleted = |id: &LogId| known.is_deleted(id);
        let (generation, clean) = (before.generation, before.clean);
        let mut replayer = Replayer::new(&self.dir, generation, clean, checkpoints, &is_deleted);
        replayer.check_files().await.map_err(at)?;
        for (shard, files) in self.journal_files(before.generation, before.shards).await? {
            let identity = Identity { generation: before.generation, shard, salt: before.salt };
            let (from, durable) = journals.get(&shard).copied().unwrap_or_default();
            replayer.replay_shard(identity, files, from, durable).await.map_err(at)?;
        }
        let read = engine::time::now();
        let mut replayed = replayer.finish().await.map_err(at)?;
        let written = engine::time::now();

        // Everything the base checkpoint speaks of is on the device before it is written, and it before the superblock
        // names it.
        file::syncfs(&self.dir).await.map_err(at)?;
        let synced = engine::time::now();
        let dir = self.checkpoint_dir();
        recovery::write_base(&dir, next, replayed.checkpoints.iter()).await.map_err(at)?;
        let salt = engine::random::u64();
        self.change(|superblock| {
            superblock.generation = next;
            superblock.shards = shards;
            superblock.salt = salt;
            superblock.clean = false;
        })
        .await?;

        recovery::perform_later(replayed.later).await;
        for path in &replayed.damaged_files {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_else(|| "journal".to_owned());
            replayed.quarantine.take_file(path, &name).await.map_err(at)?;
        }
        replayed.report.quarantined = replayed.quarantine.kept.clone();
        self.release_journals(next, shards).await?;
        self.remove_old_checkpoints(next).await?;
        self.keep_reserve().await;

        let mut report = replayed.report;
        let ended = engine::time::now();
        report.took_ms = ended.since(started).as_millis() as u64;
        tracing::info!(
            generation = next.0,
            frames = report.frames,
            entries = report.entries,
            bytes = report.bytes,
            replay_ms = read.since(started).as_millis(),
            write_ms = written.since(read).as_millis(),
            sync_ms = synced.since(written).as_millis(),
            renew_ms = ended.since(synced).as_millis(),
            "recovered"
        );
        let mut states = Vec::with_capacity(known.logs.len());
        for checkpoint in replayed.checkpoints {
            if known.logs.contains_key(&checkpoint.id) {
                states.push(LogState { checkpoint });
            } else {
                tracing::error!(log = %checkpoint.id, dir = %checkpoint.dir, end = %checkpoint.synced_upto,
                    "HDL-ST-043: a log has data and the metadata does not know it; it is kept and not served");
                report.unlisted.push(checkpoint.id);
            }
        }
        Ok(Recovery {
            generation: next,
            salt,
            flush: before.flush,
            journal_dir: self.journal_dir(),
            checkpoint_dir: dir,
            topics_dir: self.topics_dir(),
            states,
            report,
        })
    }

    /// The last checkpoint of each log, and for each shard from where its journal is needed and how far it was durable.
    async fn checkpoints(
        &self,
        known: &Known,
    ) -> Result<(Vec<LogCheckpoint>, BTreeMap<u16, (Lsn, Lsn)>), NodeError> {
        let superblock = self.superblock();
        let dir = self.checkpoint_dir();
        let generation = superblock.generation;
        let mut logs = BTreeMap::new();
        let mut journals = BTreeMap::new();
        if generation > Generation(0) {
            let base = recovery::read_base(&dir, generation).await.map_err(|source| {
                let path = dir.join(recovery::base_name(generation)).display().to_string();
                NodeError::Damaged { path, source }
            })?;
            logs.extend(base.into_iter().map(|checkpoint| (checkpoint.id, checkpoint)));
        }
        for shard in 0..superblock.shards {
            let found = checkpoint_log::read(&dir, generation, shard).await?;
            journals.insert(shard, (found.journal_from, found.journal_durable));
            for (id, mut checkpoint) in found.logs {
                if planted::is(Bug::OldProducerSnapshot)
                    && let Some(checkpoint) = &mut checkpoint
                {
                    let older = logs.get(&id);
                    checkpoint.producers = older
                        .map(|older: &LogCheckpoint| older.producers.clone())
                        .unwrap_or_default();
                }
                match checkpoint {
                    Some(checkpoint) => logs.insert(id, checkpoint),
                    None => logs.remove(&id),
                };
            }
        }
        logs.retain(|id, _| !known.is_deleted(id));
        for (id, dir) in &known.logs {
            logs.entry(*id).or_insert_with(|| LogCheckpoint::empty(*id, dir));
        }
        Ok((logs.into_values().collect(), journals))
    }

    /// The journal files of a generation, by shard; shards without files too.
    async fn journal_files(
        &self,
        generation: Generation,
        shards: u16,
    ) -> Result<BTreeMap<u16, Vec<FoundFile>>, NodeError> {
        let dir = self.journal_dir();
        let mut found: BTreeMap<u16, Vec<FoundFile>> =
            (0..shards).map(|shard| (shard, Vec::new())).collect();
        let entries = file::read_dir(&dir).await;
        for entry in entries.map_err(|source| io_error("read", &dir, source))? {
            let Some((of, shard, sequence)) = entry.name.to_str().and_then(file_name::parse_live)
            else {
                continue;
            };
            if of == generation {
                let path = dir.join(&entry.name);
                found.entry(shard).or_default().push(FoundFile { path, sequence, len: entry.len });
            }
        }
        Ok(found)
    }

    /// Old journal files are spread over the new shards, to be used again.
    async fn release_journals(&self, next: Generation, shards: u16) -> Result<(), NodeError> {
        let dir = self.journal_dir();
        let at = |source| io_error("release journals in", &dir, source);
        let mut number = 0u64;
        for entry in file::read_dir(&dir).await.map_err(at)? {
            let name = entry.name.to_string_lossy();
            let path = dir.join(&entry.name);
            let old =
                file_name::parse_live(&name).is_some() || file_name::parse_free(&name).is_some();
            if old {
                let shard = (number % u64::from(shards.max(1))) as u16;
                let unique = u64::from(next.0) << 24 | number;
                let to = dir.join(file_name::free(shard, unique));
                file::rename(&path, to).await.map_err(at)?;
                number += 1;
            } else if name.ends_with(".new") {
                file::remove_file(&path).await.map_err(at)?;
            }
        }
        file::sync_dir(&dir).await.map_err(at)
    }

    /// On a full disk the reserve is given up, so that recovery has room for its own files.
    async fn open_reserve(&self) -> Result<(), NodeError> {
        let dir = self.checkpoint_dir();
        let at = |source| io_error("examine", &dir, source);
        let (free, _) = file::free_bytes(&dir).await.map_err(at)?;
        if free < RESERVE_BYTES {
            tracing::warn!(free, "the disk is full: recovering in the reserve");
            disk::remove_if_there(&dir.join(RESERVE)).await.map_err(at)?;
            sync(&dir).await?;
        }
        Ok(())
    }

    /// Takes the reserve back, if the disk has room for it and for the files that the shards are about to make.
    async fn keep_reserve(&self) {
        let path = self.checkpoint_dir().join(RESERVE);
        let taken = async {
            let (free, _) = file::free_bytes(&self.checkpoint_dir()).await?;
            if free < 2 * RESERVE_BYTES && !file::exists(&path).await? {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            let file = File::open(&path, OpenOptions::new().write().create()).await?;
            file.allocate(0, RESERVE_BYTES).await?;
            file.close().await
        };
        if let Err(error) = taken.await {
            tracing::warn!(%error, "no room for the reserve that lets a node start on a full disk");
        }
    }

    async fn remove_old_checkpoints(&self, next: Generation) -> Result<(), NodeError> {
        let dir = self.checkpoint_dir();
        let at = |source| io_error("remove old checkpoints in", &dir, source);
        for entry in file::read_dir(&dir).await.map_err(at)? {
            let name = entry.name.to_string_lossy();
            if name != recovery::base_name(next) && name != RESERVE {
                file::remove_file(dir.join(&*name)).await.map_err(at)?;
            }
        }
        sync(&dir).await
    }
}

async fn sync(dir: &Path) -> Result<(), NodeError> {
    file::sync_dir(dir).await.map_err(|source| io_error("sync", dir, source))
}

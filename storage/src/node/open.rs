//! Opening, and at the first start formatting, a data directory.

use super::meta_properties::{self, MetaProperties};
use crate::checkpoint_log::CheckpointLogError;
use crate::disk;
use crate::ids::{Base64Url, Generation};
use crate::journal::calibrate::{calibrate, direct_io_refusal};
use crate::superblock::{CLUSTER_ID_BYTES_MAX, SLOT_BYTES, Superblock, SuperblockError};
use engine::file::{self, File, Lock, OpenOptions};
use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

const SUPERBLOCK: &str = "superblock";
const LOCK: &str = "lock";
const DIRECTORIES: [&str; 4] = ["journal", "checkpoints", "topics", "quarantine"];

/// What the configuration says of the directory.
#[derive(Clone, Debug, Default)]
pub struct NodeOptions {
    /// `cluster.id`, if it is configured: formats with it, and refuses a directory of another cluster.
    pub cluster_id: Option<String>,
    /// `node.id`: refuses a directory of another node.
    pub node_id: i32,
    /// Measure the flush primitives again.
    pub recalibrate: bool,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Another process has it.
    #[error("HDL-ST-030: the data directory {dir} is in use: {source}")]
    Locked {
        /// The directory.
        dir: String,
        /// Names the holder where it can be found out.
        source: io::Error,
    },
    /// The file system cannot do what the journal needs.
    #[error("HDL-ST-031: {0}. Use a directory on a local ext4 or XFS file system.")]
    NoDirectIo(String),
    /// There is data, and no superblock says whose.
    #[error(
        "HDL-ST-032: {dir} is not empty ({entry}) and has no superblock, so it is not formatted. \
         Use another directory, or empty this one if nothing in it is needed."
    )]
    NotEmpty {
        /// The directory.
        dir: String,
        /// The first thing found in it.
        entry: String,
    },
    /// The superblock cannot be read.
    #[error("HDL-ST-033: {path}: {source}. Restore it from a backup of this directory.")]
    Superblock {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: SuperblockError,
    },
    /// It belongs to somebody else.
    #[error("HDL-ST-034: {dir} has {what} {have}, and the configuration says {want}")]
    Foreign {
        /// The directory.
        dir: String,
        /// `cluster.id` or `node.id`.
        what: &'static str,
        /// What the directory says.
        have: String,
        /// What is configured.
        want: String,
    },
    /// A cluster id that cannot be stored.
    #[error("HDL-ST-035: a cluster id has 1 to {CLUSTER_ID_BYTES_MAX} bytes, this has {0}")]
    ClusterId(usize),
    /// A file that recovery needs is missing or damaged.
    #[error(
        "HDL-ST-036: cannot recover from {path}: {source}. Nothing was changed. Restore the file from a backup."
    )]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// A checkpoint log that recovery needs is damaged.
    #[error("HDL-ST-037: cannot recover: {0}. Nothing was changed.")]
    Checkpoints(#[from] CheckpointLogError),
    /// The system refused something else.
    #[error("HDL-ST-038: {what} {path}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// To what.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// An opened data directory. Lives on one shard; dropping it gives the lock back.
pub struct Node {
    pub(super) dir: PathBuf,
    pub(super) superblock: RefCell<Superblock>,
    file: File,
    _lock: Lock,
}

/// See [`Node::open`].
pub struct Opened {
    /// The directory.
    pub node: Node,
    /// It was empty and has just been formatted.
    pub formatted: bool,
}

impl Node {
    /// Locks the directory and reads its superblock; formats it if it is empty.
    pub async fn open(dir: &Path, options: &NodeOptions) -> Result<Opened, NodeError> {
        let at = |what| move |source| io_error(what, dir, source);
        file::create_dir_all(dir).await.map_err(at("create"))?;
        let lock =
            file::lock_exclusive(dir.join(LOCK)).await.map_err(|source| match source.kind() {
                io::ErrorKind::WouldBlock => {
                    NodeError::Locked { dir: dir.display().to_string(), source }
                }
                _ => io_error("lock", &dir.join(LOCK), source),
            })?;
        if let Some(refusal) = direct_io_refusal(dir).await.map_err(at("examine"))? {
            return Err(NodeError::NoDirectIo(refusal));
        }
        let path = dir.join(SUPERBLOCK);
        let there = file::exists(&path).await.map_err(at("read"))?;
        if !there {
            check_empty(dir).await?;
            format(dir, options).await?;
        }
        let at_file = |what| {
            let path = &path;
            move |source| io_error(what, path, source)
        };
        let bytes = disk::read_whole(&path, 1 << 20).await.map_err(at_file("read"))?;
        let superblock = Superblock::decode_newest(&bytes)
            .map_err(|source| NodeError::Superblock { path: path.display().to_string(), source })?;
        if Superblock::damaged_slots(&bytes) > 0 {
            tracing::warn!(file = %path.display(),
                "HDL-ST-046: one slot of the superblock is damaged. Nothing is lost: the other one holds the same and was \
                 read, and both are written at each start. The device is not sound: check it (dmesg, smartctl)");
        }
        check_identity(dir, &superblock, options)?;
        let opening = File::open(&path, OpenOptions::new().read().write().direct()).await;
        let file = opening.map_err(at_file("open"))?;
        let node =
            Node { dir: dir.to_owned(), superblock: RefCell::new(superblock), file, _lock: lock };
        for name in DIRECTORIES {
            file::create_dir_all(dir.join(name)).await.map_err(at("create"))?;
        }
        if there && options.recalibrate {
            node.recalibrate().await?;
        }
        node.write_meta_properties().await?;
        Ok(Opened { node, formatted: !there })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the superblock says now.
    pub fn superblock(&self) -> Superblock {
        self.superblock.borrow().clone()
    }

    /// Where journals are.
    pub fn journal_dir(&self) -> PathBuf {
        self.dir.join("journal")
    }

    /// Where checkpoints are.
    pub fn checkpoint_dir(&self) -> PathBuf {
        self.dir.join("checkpoints")
    }

    /// Where segments are.
    pub fn topics_dir(&self) -> PathBuf {
        self.dir.join("topics")
    }

    /// Measures the flush primitives and keeps the faster one.
    pub async fn recalibrate(&self) -> Result<(), NodeError> {
        let measured = calibrate(&self.dir).await;
        let calibration = measured.map_err(|source| io_error("calibrate", &self.dir, source))?;
        self.change(|superblock| {
            superblock.calibration = calibration;
            superblock.flush = calibration.fastest();
        })
        .await
    }

    /// Notes that every shard has stopped cleanly, with checkpoints that hold everything. Recovery looks for itself; it
    /// asks this only where the end of a journal cannot be read.
    pub async fn mark_clean(&self) -> Result<(), NodeError> {
        self.change(|superblock| superblock.clean = true).await
    }

    /// Changes the superblock durably: one slot after the other, so that a torn write leaves the old one, and damage to
    /// either leaves the new one.
    pub(super) async fn change(
        &self,
        change: impl FnOnce(&mut Superblock),
    ) -> Result<(), NodeError> {
        let mut next = self.superblock();
        change(&mut next);
        let at = |source| io_error("write", &self.dir.join(SUPERBLOCK), source);
        for _slot in 0..2 {
            next.sequence += 1;
            let slot = disk::aligned(&next.encode()).await.map_err(at)?;
            self.file.write_at_synced(next.slot_position(), slot).await.map_err(at)?;
        }
        self.superblock.replace(next);
        Ok(())
    }

    async fn write_meta_properties(&self) -> Result<(), NodeError> {
        let path = self.dir.join(meta_properties::FILE);
        let text = MetaProperties::text(&self.superblock.borrow());
        let there = file::exists(&path).await.unwrap_or(false);
        if there && file::read(&path).await.is_ok_and(|bytes| bytes == text.as_bytes()) {
            return Ok(());
        }
        let written = file::write_durably(&path, text.into_bytes()).await;
        written.map_err(|source| io_error("write", &path, source))
    }
}

pub(super) fn io_error(what: &'static str, path: &Path, source: io::Error) -> NodeError {
    NodeError::Io { what, path: path.display().to_string(), source }
}

/// Only what a format that was cut short leaves may be there.
async fn check_empty(dir: &Path) -> Result<(), NodeError> {
    let at = |source| io_error("read", dir, source);
    for entry in file::read_dir(dir).await.map_err(at)? {
        let name = entry.name.to_string_lossy().into_owned();
        let ours = [LOCK, "lost+found", meta_properties::FILE, "calibrate.tmp"];
        let harmless = ours.contains(&name.as_str())
            // The second is what `write_durably` begins the first as.
            || ["superblock.new", "superblock.new.tmp"].contains(&name.as_str())
            || (DIRECTORIES.contains(&name.as_str())
                && file::read_dir(dir.join(&name)).await.map_err(at)?.is_empty());
        if !harmless {
            return Err(NodeError::NotEmpty { dir: dir.display().to_string(), entry: name });
        }
    }
    // A meta.properties alone may be Kafka's: then this is its directory, and stays so.
    let path = dir.join(meta_properties::FILE);
    let text = file::read(&path).await.unwrap_or_default();
    if !text.is_empty() && !text.starts_with(b"# Written by heddle") {
        return Err(NodeError::NotEmpty {
            dir: dir.display().to_string(),
            entry: meta_properties::FILE.to_owned(),
        });
    }
    Ok(())
}

/// Writes the first superblock; the directory is ours from its rename on.
async fn format(dir: &Path, options: &NodeOptions) -> Result<(), NodeError> {
    let at = |source| io_error("format", dir, source);
    let cluster_id = match &options.cluster_id {
        Some(id) => id.clone(),
        None => Base64Url(&random_id()).to_string(),
    };
    if cluster_id.is_empty() || cluster_id.len() > CLUSTER_ID_BYTES_MAX {
        return Err(NodeError::ClusterId(cluster_id.len()));
    }
    let calibration = calibrate(dir).await.map_err(at)?;
    let mut superblock = Superblock {
        sequence: 0,
        generation: Generation(0),
        shards: 0,
        clean: true,
        salt: 0,
        node_id: options.node_id,
        directory_id: random_id(),
        cluster_id,
        formatted_ms: engine::time::unix_ms(),
        flush: calibration.fastest(),
        calibration,
    };
    let fresh = dir.join("superblock.new");
    let mut file = vec![0; 2 * SLOT_BYTES];
    for _slot in 0..2 {
        superblock.sequence += 1;
        let position = superblock.slot_position() as usize;
        file[position..position + SLOT_BYTES].copy_from_slice(&superblock.encode());
    }
    file::write_durably(&fresh, file).await.map_err(at)?;
    file::rename(&fresh, dir.join(SUPERBLOCK)).await.map_err(at)?;
    file::sync_dir(dir).await.map_err(at)
}

/// A UUID that does not print with a leading dash, which command lines would take for an option; Kafka avoids it too.
fn random_id() -> [u8; 16] {
    loop {
        let id = engine::random::uuid();
        if !Base64Url(&id).to_string().starts_with('-') {
            return id;
        }
    }
}

fn check_identity(dir: &Path, have: &Superblock, want: &NodeOptions) -> Result<(), NodeError> {
    let foreign = |what, have: String, want: String| {
        Err(NodeError::Foreign { dir: dir.display().to_string(), what, have, want })
    };
    if let Some(id) = &want.cluster_id
        && *id != have.cluster_id
    {
        return foreign("cluster.id", have.cluster_id.clone(), id.clone());
    }
    if want.node_id != have.node_id {
        return foreign("node.id", have.node_id.to_string(), want.node_id.to_string());
    }
    Ok(())
}

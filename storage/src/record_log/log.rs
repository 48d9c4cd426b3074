//! The record log's files: which one counts, appending, and changing over to the next with a snapshot.
//!
//! `<name>.<sequence>.records` is the file in force: the one with the highest sequence whose snapshot is complete. The
//! next is kept ready under the next sequence. Once a snapshot is durable in it, the file before gets the sequence
//! behind and is ready in its turn. So there are two files, and a third for a moment when they must grow.

use super::frame::{self, Part, Place, RecordsDamage, Replay, encode, encoded_len};
use crate::disk::{self, Pace};
use crate::limits;
use crate::limits::EXIT_STORAGE;
use engine::buffer::Slice;
use engine::file::{self, File, OpenOptions};
use engine::sync::{Permit, Semaphore};
use engine::task::{self, Queue};
use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// How often each frame is written, one copy behind the other.
const COPIES: u64 = 2;

/// Why a record log cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordLogError {
    /// The system refused; for an append or a snapshot nothing was written.
    #[error("record log {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Records that were acknowledged are damaged.
    #[error("record log {path} is damaged: {damage}")]
    Damaged {
        /// The file.
        path: String,
        /// Where.
        damage: RecordsDamage,
    },
    /// The file in force is gone or its snapshot is damaged: an older one is not what was acknowledged last.
    #[error("record log {path} has no whole snapshot, and files show that there was one")]
    Lost {
        /// The log's name.
        path: String,
    },
    /// More than one append may carry.
    #[error("{bytes} bytes of records in one append: at most {max} are taken")]
    TooLarge {
        /// The append.
        bytes: usize,
        /// The limit.
        max: usize,
    },
}

/// A small durable log of records.
///
/// Appends and snapshots are carried out by tasks of their own: whoever waits for one may go away, and the write that is
/// in flight is never overtaken by another to the same place.
pub struct RecordLog {
    inner: Rc<Inner>,
}

struct Inner {
    dir: PathBuf,
    name: String,
    file_bytes: u64,
    current: RefCell<Current>,
    next: RefCell<Option<Next>>,
    turn: Semaphore,
}

#[derive(Clone)]
struct Current {
    file: File,
    path: PathBuf,
    len: u64,
    place: Place,
    position: u64,
    snapshot_bytes: u64,
}

struct Next {
    path: PathBuf,
    sequence: u64,
    len: u64,
}

/// A file of the log in the directory.
struct Found {
    sequence: u64,
    path: PathBuf,
    len: u64,
}

/// Which file is in force.
enum Chosen {
    /// None: the log was never used.
    Begin,
    File {
        found: Found,
        place: Place,
        /// As it stands there, with its copy.
        last_frame: Vec<u8>,
        end: u64,
        snapshot_bytes: u64,
        records: Vec<Vec<u8>>,
        healed: u64,
        next: Option<Next>,
        older: Vec<Found>,
    },
}

/// The log's files, newest first.
async fn find(dir: &Path, name: &str) -> io::Result<Vec<Found>> {
    let mut files = Vec::new();
    for entry in file::read_dir(dir).await? {
        if let Some(sequence) = entry.name.to_str().and_then(|file| parse_name(name, file)) {
            files.push(Found { sequence, path: dir.join(&entry.name), len: entry.len });
        }
    }
    files.sort_by_key(|found| std::cmp::Reverse(found.sequence));
    Ok(files)
}

async fn choose(dir: &Path, name: &str, files: Vec<Found>) -> Result<Chosen, RecordLogError> {
    let lost = || RecordLogError::Lost { path: dir.join(name).display().to_string() };
    let mut next: Option<Next> = None;
    let mut used_before = false;
    let mut files = files.into_iter();
    while let Some(found) = files.next() {
        let path = || found.path.display().to_string();
        let bytes = disk::read_whole(&found.path, limits::RECORD_FILE_BYTES_MAX)
            .await
            .map_err(|source| RecordLogError::Io { path: path(), source })?;
        let replayed = frame::replay(&bytes, found.sequence)
            .map_err(|damage| RecordLogError::Damaged { path: path(), damage })?;
        match replayed {
            Replay::NoSnapshot { used_before: before } => {
                used_before |= before;
                let Found { path, sequence, len } = found;
                next = Some(Next { path, sequence, len });
            }
            Replay::Records { records, salt, next_number, last, end, snapshot_bytes, healed } => {
                // A gap between this file and the next: the one in between was in force, and is gone.
                if next.as_ref().is_some_and(|next| next.sequence > found.sequence + 1) {
                    return Err(lost());
                }
                let place = Place { sequence: found.sequence, salt, number: next_number };
                if healed > 0 {
                    warn_of_damage(&found.path, healed);
                }
                let older = files.collect();
                let last_frame = bytes[last as usize..end as usize].to_vec();
                return Ok(Chosen::File {
                    found,
                    place,
                    last_frame,
                    end,
                    snapshot_bytes,
                    records,
                    healed,
                    next,
                    older,
                });
            }
        }
    }
    if used_before || next.is_some_and(|next| next.sequence > 1) {
        return Err(lost());
    }
    Ok(Chosen::Begin)
}

/// One copy of some frames is damaged: the other was read, nothing is lost.
pub(crate) fn warn_of_damage(path: &Path, frames: u64) {
    tracing::warn!(file = %path.display(), frames,
        "HDL-ST-045: a record log file is damaged. Nothing is lost: each frame is there twice, and what is damaged was \
         read from its copy. The device is not sound: check it (dmesg, smartctl)");
}

fn file_name(name: &str, sequence: u64) -> String {
    format!("{name}.{sequence:016x}.records")
}

fn parse_name(name: &str, file: &str) -> Option<u64> {
    let sequence = file.strip_prefix(name)?.strip_prefix('.')?.strip_suffix(".records")?;
    u64::from_str_radix(sequence, 16).ok()
}

impl RecordLog {
    /// Opens or begins the log `name` in `dir`; returns what it holds: the last snapshot's records and those appended
    /// since, in order. `file_bytes` (a multiple of 4,096) is the size of its files; they grow when a snapshot needs it.
    pub async fn open(
        dir: &Path,
        name: &str,
        file_bytes: u64,
    ) -> Result<(RecordLog, Vec<Vec<u8>>), RecordLogError> {
        let fail =
            |source| RecordLogError::Io { path: dir.join(name).display().to_string(), source };
        file::create_dir_all(dir).await.map_err(fail)?;
        let found = find(dir, name).await.map_err(fail)?;
        match choose(dir, name, found).await? {
            Chosen::Begin => {
                let log = RecordLog::begin(dir, name, file_bytes).await.map_err(fail)?;
                log.inner.prepare_next().await?;
                Ok((log, Vec::new()))
            }
            Chosen::File {
                found,
                place,
                last_frame,
                end,
                snapshot_bytes,
                records,
                healed,
                next,
                older,
            } => {
                let file = open_direct(&found.path).await.map_err(fail)?;
                // Whoever wrote the last frame may have ended because its sync failed: then it can be read and is not
                // durable, and no later sync makes it so. Frames behind it would outlive it. Those before it are
                // durable, or it would not have been written.
                let position = end - last_frame.len() as u64;
                let last_frame = disk::aligned(&last_frame).await.map_err(fail)?;
                file.write_at_synced(position, last_frame).await.map_err(fail)?;
                let Found { path, len, .. } = found;
                let current = Current { file, path, len, place, position: end, snapshot_bytes };
                let log = RecordLog::new(dir, name, file_bytes, current, next);
                // A predecessor is here only if the process ended between its successor's snapshot and its reuse.
                for old in older {
                    file::remove_file(&old.path).await.map_err(|error| log.inner.error(error))?;
                }
                log.inner.prepare_next().await?;
                if healed > 0 {
                    log.renew(records.clone()).await;
                }
                Ok((log, records))
            }
        }
    }

    /// What the log `name` holds, without opening it for writing; `None` when there is no such log. Used for logs of
    /// the past, which may have been begun and never written.
    pub async fn read(dir: &Path, name: &str) -> Result<Option<Vec<Vec<u8>>>, RecordLogError> {
        let fail =
            |source| RecordLogError::Io { path: dir.join(name).display().to_string(), source };
        let found = find(dir, name).await.map_err(fail)?;
        if found.is_empty() {
            return Ok(None);
        }
        match choose(dir, name, found).await? {
            Chosen::Begin => Ok(None),
            Chosen::File { records, .. } => Ok(Some(records)),
        }
    }

    fn new(
        dir: &Path,
        name: &str,
        file_bytes: u64,
        current: Current,
        next: Option<Next>,
    ) -> RecordLog {
        let inner = Inner {
            dir: dir.to_owned(),
            name: name.to_owned(),
            file_bytes,
            current: RefCell::new(current),
            next: RefCell::new(next),
            turn: Semaphore::new(1),
        };
        RecordLog { inner: Rc::new(inner) }
    }

    /// Writes everything anew, so that each frame is there twice again.
    async fn renew(&self, records: Vec<Vec<u8>>) {
        if let Err(error) = self.inner.change_over(records, 0).await {
            tracing::warn!(log = %self.inner.name, %error, "a damaged record log cannot be written anew");
        }
    }

    /// The first file, with an empty snapshot.
    async fn begin(dir: &Path, name: &str, file_bytes: u64) -> io::Result<RecordLog> {
        let path = dir.join(file_name(name, 1));
        disk::write_zeros(&path, file_bytes, || Pace::Urgent).await?;
        file::sync_dir(dir).await?;
        let current = begin_file(path, 1, file_bytes, &[]).await?;
        Ok(RecordLog::new(dir, name, file_bytes, current, None))
    }

    /// Appends the records, all or none; returns once they are durable. Appends are served in order. A failed write ends
    /// the process: whether it is on the disk is not known, and after a failed sync cannot be known.
    pub async fn append(&self, records: Vec<Vec<u8>>) -> Result<(), RecordLogError> {
        let inner = self.inner.clone();
        task::spawn(Queue::Produce, async move { inner.append(records).await }).await
    }

    /// The file is half full of what was appended since the snapshot: time for the next.
    pub fn needs_snapshot(&self) -> bool {
        let current = self.inner.current.borrow();
        current.position - current.snapshot_bytes > (current.len - current.snapshot_bytes) / 2
    }

    /// Replaces everything by `records`; returns once they are durable. On an error the log is as it was.
    pub async fn snapshot(&self, records: Vec<Vec<u8>>) -> Result<(), RecordLogError> {
        let inner = self.inner.clone();
        let work = async move {
            let _turn = inner.turn().await?;
            inner.change_over(records, 0).await
        };
        task::spawn(Queue::Produce, work).await
    }

    /// Replaces everything by what `rewrite` makes of it; nothing is appended in between. On an error the log is as it was.
    pub async fn rewrite(
        &self,
        rewrite: impl FnOnce(Vec<Vec<u8>>) -> Vec<Vec<u8>> + 'static,
    ) -> Result<(), RecordLogError> {
        let inner = self.inner.clone();
        let work = async move {
            let _turn = inner.turn().await?;
            let records = inner.read_back().await?;
            inner.change_over(rewrite(records), 0).await
        };
        task::spawn(Queue::Produce, work).await
    }

    /// Everything the log holds, read from the disk: the snapshot's records and those appended since.
    pub async fn records(&self) -> Result<Vec<Vec<u8>>, RecordLogError> {
        let _turn = self.inner.turn().await?;
        self.inner.read_back().await
    }
}

impl Inner {
    async fn turn(&self) -> Result<Permit, RecordLogError> {
        self.turn.acquire(1).await.map_err(|_| self.error(closed()))
    }

    async fn append(&self, records: Vec<Vec<u8>>) -> Result<(), RecordLogError> {
        let _turn = self.turn().await?;
        let bytes = encoded_len(&records);
        if bytes > limits::RECORD_APPEND_BYTES_MAX {
            let max = limits::RECORD_APPEND_BYTES_MAX;
            return Err(RecordLogError::TooLarge { bytes, max });
        }
        let total = COPIES * bytes.next_multiple_of(frame::ALIGN) as u64;
        let full = {
            let current = self.current.borrow();
            current.position + total > current.len
        };
        if full {
            let all = self.read_back().await?;
            self.change_over(all, total).await?;
        }
        let current = self.current.borrow().clone();
        let encoded = encode(current.place, Part::Append, &records);
        let frame = twice(&encoded).await.map_err(|error| self.error(error))?;
        if let Err(error) = current.file.write_at_synced(current.position, frame).await {
            self.fail(&error);
        }
        let mut current = self.current.borrow_mut();
        current.position += total;
        current.place.number += 1;
        Ok(())
    }

    async fn read_back(&self) -> Result<Vec<Vec<u8>>, RecordLogError> {
        let (path, sequence) = {
            let current = self.current.borrow();
            (current.path.clone(), current.place.sequence)
        };
        let bytes = disk::read_whole(&path, limits::RECORD_FILE_BYTES_MAX)
            .await
            .map_err(|error| self.error(error))?;
        match frame::replay(&bytes, sequence) {
            Ok(Replay::Records { records, .. }) => Ok(records),
            Ok(Replay::NoSnapshot { .. }) => {
                Err(RecordLogError::Lost { path: path.display().to_string() })
            }
            Err(damage) => {
                Err(RecordLogError::Damaged { path: path.display().to_string(), damage })
            }
        }
    }

    /// Writes a snapshot into the next file and goes on there, with room for `more` bytes behind it.
    async fn change_over(&self, records: Vec<Vec<u8>>, more: u64) -> Result<(), RecordLogError> {
        let frames = split(records);
        let snapshot: u64 = frames
            .iter()
            .map(|records| COPIES * encoded_len(records).next_multiple_of(frame::ALIGN) as u64)
            .sum();
        let need = snapshot + more;
        if need > limits::RECORD_FILE_BYTES_MAX / 2 {
            let max = (limits::RECORD_FILE_BYTES_MAX / 2) as usize;
            return Err(RecordLogError::TooLarge { bytes: need as usize, max });
        }
        self.prepare_sized(2 * need).await.or_else(|error| {
            // A full disk: the file kept ready does as long as the snapshot fits it.
            let fits = self.next.borrow().as_ref().is_some_and(|next| next.len >= need);
            if fits { Ok(()) } else { Err(error) }
        })?;
        let Some(next) = self.next.borrow_mut().take() else { return Err(self.error(closed())) };
        let begun = begin_file(next.path.clone(), next.sequence, next.len, &frames).await;
        let current = match begun {
            Ok(current) => current,
            Err(error) => self.fail(&error),
        };
        let old = self.current.replace(current);
        if let Err(error) = self.retire(old).await {
            // The old file stays as it is; the next snapshot makes a new one.
            tracing::warn!(log = %self.name, %error, "cannot keep a record log file for reuse");
        }
        self.prepare_next().await.or_else(|error| {
            tracing::warn!(log = %self.name, %error, "cannot prepare the next record log file");
            Ok(())
        })
    }

    /// The file before becomes the next one.
    async fn retire(&self, old: Current) -> io::Result<()> {
        let sequence = self.current.borrow().place.sequence + 1;
        let path = self.dir.join(file_name(&self.name, sequence));
        drop(old.file);
        if old.len < self.file_bytes {
            file::remove_file(&old.path).await?;
            return file::sync_dir(&self.dir).await;
        }
        file::rename(&old.path, &path).await?;
        file::sync_dir(&self.dir).await?;
        *self.next.borrow_mut() = Some(Next { path, sequence, len: old.len });
        Ok(())
    }

    /// As large as the one in force, so that its records fit there even when the disk is full by then.
    async fn prepare_next(&self) -> Result<(), RecordLogError> {
        let bytes = self.current.borrow().len;
        self.prepare_sized(bytes).await
    }

    /// Makes sure that the next file is there and has at least `bytes`.
    async fn prepare_sized(&self, bytes: u64) -> Result<(), RecordLogError> {
        let bytes = bytes.max(self.file_bytes).next_multiple_of(frame::ALIGN as u64);
        if self.next.borrow().as_ref().is_some_and(|next| next.len >= bytes) {
            return Ok(());
        }
        let sequence = self.current.borrow().place.sequence + 1;
        let fresh = self.dir.join(format!("{}.new", self.name));
        let path = self.dir.join(file_name(&self.name, sequence));
        let made = async {
            disk::write_zeros(&fresh, bytes, || Pace::Urgent).await?;
            file::rename(&fresh, &path).await?;
            file::sync_dir(&self.dir).await
        };
        match made.await {
            Ok(()) => {
                *self.next.borrow_mut() = Some(Next { path, sequence, len: bytes });
                Ok(())
            }
            Err(error) => {
                let _ = disk::remove_if_there(&fresh).await;
                Err(self.error(error))
            }
        }
    }

    fn error(&self, source: io::Error) -> RecordLogError {
        RecordLogError::Io { path: self.dir.join(&self.name).display().to_string(), source }
    }

    fn fail(&self, error: &io::Error) -> ! {
        engine::exit_now(
            EXIT_STORAGE,
            &format!(
                "HDL-ST-002: failed to write the record log {} in {}: {error}. What was acknowledged is safe. Check the device \
                 and its file system (dmesg), then start again.",
                self.name,
                self.dir.display()
            ),
        )
    }
}

fn closed() -> io::Error {
    io::Error::other("the record log is closed")
}

/// Makes a file that holds a snapshot and nothing else; `replay` reads it. Durable on return, but for its name.
pub(crate) async fn write_snapshot_file(
    path: &Path,
    sequence: u64,
    records: Vec<Vec<u8>>,
) -> io::Result<()> {
    let options = OpenOptions::new().write().create().truncate().direct();
    let file = File::open(path, options).await?;
    write_snapshot(&file, sequence, &split(records)).await?;
    file.sync_all().await
}

async fn open_direct(path: &Path) -> io::Result<File> {
    File::open(path, OpenOptions::new().read().write().direct()).await
}

/// Writes the snapshot's frames to the front of a file; the last one says that it is complete.
async fn begin_file(
    path: PathBuf,
    sequence: u64,
    len: u64,
    frames: &[Vec<Vec<u8>>],
) -> io::Result<Current> {
    let file = open_direct(&path).await?;
    let (place, position) = write_snapshot(&file, sequence, frames).await?;
    Ok(Current { file, path, len, place, position, snapshot_bytes: position })
}

/// Returns the place and position of the frame behind the snapshot.
async fn write_snapshot(
    file: &File,
    sequence: u64,
    frames: &[Vec<Vec<u8>>],
) -> io::Result<(Place, u64)> {
    let mut place = Place { sequence, salt: engine::random::u64(), number: 0 };
    let mut position = 0;
    let empty = [Vec::new()];
    let frames = if frames.is_empty() { &empty } else { frames };
    for (index, records) in frames.iter().enumerate() {
        let last = index + 1 == frames.len();
        let part = if last { Part::SnapshotEnd } else { Part::Snapshot };
        let encoded = encode(place, part, records);
        let data = twice(&encoded).await?;
        // The frame that says that the snapshot is complete is written when the others are durable.
        if last {
            file.sync_data().await?;
            file.write_at_synced(position, data).await?;
        } else {
            file.write_at(position, data).await?;
        }
        position += COPIES * encoded.len() as u64;
        place.number += 1;
    }
    Ok((place, position))
}

/// A frame and its copy, for one write.
async fn twice(frame: &[u8]) -> io::Result<Slice> {
    let mut block = disk::block(2 * frame.len()).await?;
    block[..frame.len()].copy_from_slice(frame);
    block[frame.len()..2 * frame.len()].copy_from_slice(frame);
    Ok(block.freeze(2 * frame.len()))
}

/// Groups a snapshot's records into frames of about 1 MiB.
fn split(records: Vec<Vec<u8>>) -> Vec<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    let (mut frame, mut bytes) = (Vec::new(), 0);
    for record in records {
        if !frame.is_empty() && bytes + record.len() > limits::RECORD_SNAPSHOT_FRAME_BYTES {
            frames.push(std::mem::take(&mut frame));
            bytes = 0;
        }
        bytes += record.len() + 4;
        frame.push(record);
    }
    frames.push(frame);
    frames
}

//! `<data>/quarantine`: what recovery found and has no place for is kept there, never deleted by the broker.
//!
//! - `g<generation>-s<shard>.frames`: whole journal frames, as they were, that hold entries of logs nobody knows, or of
//!   logs that are offline.
//! - journal files with damage in them, under their own names.
//! - segment files that no checkpoint lists.

use crate::disk;
use engine::file::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Bytes gathered before they are written.
const CHUNK_BYTES: usize = 1 << 20;

/// The quarantine directory, during one recovery.
pub(crate) struct Quarantine {
    dir: PathBuf,
    made: bool,
    frames: Option<Frames>,
    /// What was put there.
    pub(crate) kept: Vec<PathBuf>,
}

struct Frames {
    file: File,
    position: u64,
    pending: Vec<u8>,
}

impl Quarantine {
    pub(crate) fn new(data: &Path) -> Quarantine {
        Quarantine { dir: data.join("quarantine"), made: false, frames: None, kept: Vec::new() }
    }

    async fn make(&mut self) -> io::Result<()> {
        if !self.made {
            file::create_dir_all(&self.dir).await?;
            self.made = true;
        }
        Ok(())
    }

    /// Keeps a frame's bytes in the file `name`; the first of a recovery begins the file anew.
    pub(crate) async fn keep_frame(&mut self, name: &str, frame: &[u8]) -> io::Result<()> {
        self.make().await?;
        if self.frames.is_none() {
            let path = self.dir.join(name);
            let options = OpenOptions::new().write().create().truncate().direct();
            let file = File::open(&path, options).await?;
            self.frames = Some(Frames { file, position: 0, pending: Vec::new() });
            self.kept.push(path);
        }
        let Some(frames) = &mut self.frames else { return Ok(()) };
        frames.pending.extend_from_slice(frame);
        let padded = frames.pending.len().next_multiple_of(engine::buffer::ALIGN);
        frames.pending.resize(padded, 0);
        if frames.pending.len() >= CHUNK_BYTES { frames.flush().await } else { Ok(()) }
    }

    /// Ends the file of frames of one shard; the caller syncs the file system later.
    pub(crate) async fn end_frames(&mut self) -> io::Result<()> {
        match self.frames.take() {
            Some(mut frames) => frames.flush().await,
            None => Ok(()),
        }
    }

    /// Moves a file here, under `name`.
    pub(crate) async fn take_file(&mut self, path: &Path, name: &str) -> io::Result<()> {
        self.make().await?;
        let to = self.dir.join(name);
        file::rename(path, &to).await?;
        self.kept.push(to);
        Ok(())
    }
}

impl Frames {
    async fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let slice = disk::aligned(&self.pending).await?;
        self.file.write_at(self.position, slice).await?;
        self.position += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

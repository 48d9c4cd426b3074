//! Reading files front to back, also those that do not read everywhere.

use std::io;
use std::path::Path;

use engine::file::{File, OpenOptions};

use super::code::Code;
use super::finding::{Finding, Findings};
use crate::disk;

/// Bytes read at once.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

const BLOCK: usize = 4096;

/// A file open for reading.
pub(super) struct Source {
    file: File,
    pub(super) len: u64,
    /// How findings name it.
    name: String,
    findings: Findings,
    /// Unreadable blocks were told once.
    told: bool,
}

impl Source {
    /// Opens it directly, so that the check does not push the page cache out; on a file system that cannot do that,
    /// as others do.
    pub(super) async fn open(path: &Path, name: String, findings: &Findings) -> io::Result<Source> {
        let direct = File::open(path, OpenOptions::new().read().direct()).await;
        let file = match direct {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                File::open(path, OpenOptions::new().read()).await?
            }
            other => other?,
        };
        let len = file.len().await?;
        Ok(Source { file, len, name, findings: findings.clone(), told: false })
    }

    /// Up to `len` bytes from `position` (a multiple of 4,096) on; fewer at the end of the file. Blocks that the device
    /// does not give read as zeros, and are told.
    pub(super) async fn read(&mut self, position: u64, len: usize) -> Vec<u8> {
        let rest = usize::try_from(self.len.saturating_sub(position)).unwrap_or(usize::MAX);
        let len = len.min(rest);
        let Source { file, name, findings, told, .. } = self;
        let lost = |at, error: &io::Error| {
            if !std::mem::replace(told, true) {
                let what = format!("a block cannot be read: {error}");
                findings.add(Finding::new(Code::Unreadable, what).file(name.as_str()).position(at));
            }
            true
        };
        let whole = len.next_multiple_of(BLOCK);
        let mut bytes =
            disk::read_what_is_there(file, position, whole, lost).await.unwrap_or_default();
        bytes.truncate(len);
        findings.on_read(bytes.len() as u64);
        bytes
    }
}

/// A file seen from its front, with other bytes laid over a part of it.
pub(super) struct Stream {
    source: Source,
    bytes: Vec<u8>,
    at: usize,
    /// Where `bytes` begin; a multiple of [`CHUNK_BYTES`].
    start: u64,
    end: u64,
    overlay: (u64, Vec<u8>),
    /// The file has other bytes than the overlay where that lies.
    pub(super) overlay_differs: bool,
}

impl Stream {
    /// `overlay`: bytes that stand at this position, whatever the file has there.
    pub(super) fn new(source: Source, overlay: (u64, Vec<u8>)) -> Stream {
        let end = source.len.max(overlay.0 + overlay.1.len() as u64);
        let end = if overlay.1.is_empty() { source.len } else { end };
        Stream { source, bytes: Vec::new(), at: 0, start: 0, end, overlay, overlay_differs: false }
    }

    /// Where the next byte stands.
    pub(super) fn position(&self) -> u64 {
        self.start + self.at as u64
    }

    /// The bytes at hand.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Passes over bytes at hand.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.bytes.len());
    }

    /// Goes on at a position further behind.
    pub(super) fn seek(&mut self, position: u64) {
        let have = self.start + self.bytes.len() as u64;
        if position <= have {
            self.skip((position - self.position().min(position)) as usize);
            return;
        }
        self.start = position - position % CHUNK_BYTES as u64;
        self.at = (position - self.start) as usize;
        self.bytes.clear();
    }

    /// Reads until at least `need` bytes are at hand or the file ends.
    pub(super) async fn fill(&mut self, need: usize) {
        while self.bytes.len() < self.at + need {
            let position = self.start + self.bytes.len() as u64;
            if position >= self.end {
                self.at = self.at.min(self.bytes.len());
                return;
            }
            if self.at >= CHUNK_BYTES && self.bytes.len() >= CHUNK_BYTES {
                let passed = self.at - self.at % CHUNK_BYTES;
                let passed = passed.min(self.bytes.len() - self.bytes.len() % CHUNK_BYTES);
                self.bytes.drain(..passed);
                self.start += passed as u64;
                self.at -= passed;
            }
            let want = CHUNK_BYTES.min((self.end - position) as usize);
            let mut chunk = self.source.read(position, want).await;
            // What the overlay holds beyond the file's end.
            chunk.resize(want, 0);
            self.lay_over(position, &mut chunk);
            self.bytes.extend_from_slice(&chunk);
            engine::task::yield_now().await;
        }
    }

    fn lay_over(&mut self, position: u64, chunk: &mut [u8]) {
        let (at, bytes) = &self.overlay;
        let from = (*at).max(position);
        let to = (at + bytes.len() as u64).min(position + chunk.len() as u64);
        if from >= to {
            return;
        }
        let image = &bytes[(from - at) as usize..(to - at) as usize];
        let there = &mut chunk[(from - position) as usize..(to - position) as usize];
        self.overlay_differs |= there != image;
        there.copy_from_slice(image);
    }
}

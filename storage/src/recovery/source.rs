//! Reads one shard's journal files for the walker, a window at a time.

use crate::disk;
use crate::ids::Lsn;
use crate::journal::frame::{FRAME_ALIGN, Frame, Header, Identity};
use crate::journal::walk::{End, FileFacts, Window};
use engine::file::{File, OpenOptions};
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

/// Bytes read at once.
const WINDOW_BYTES: usize = 1 << 20;

/// A journal file found in the directory.
#[derive(Clone, Debug)]
pub(crate) struct FoundFile {
    pub path: PathBuf,
    pub sequence: u64,
    pub len: u64,
}

/// One shard's journal files, by sequence.
pub(crate) struct Source {
    files: Vec<FoundFile>,
    open: Option<(usize, File)>,
    file: usize,
    position: u64,
    bytes: Vec<u8>,
    /// 4 KiB blocks that the device does not give, by file and position. They read as zeros, which no frame passes its
    /// checks with.
    unreadable: BTreeSet<(usize, u64)>,
    /// Bytes read so far.
    pub(crate) bytes_read: u64,
}

impl Source {
    /// Of the files, those that can hold entries from `from` on: a file whose successor begins at or below it is
    /// not needed.
    pub(crate) async fn open(
        mut files: Vec<FoundFile>,
        identity: Identity,
        from: Lsn,
    ) -> io::Result<Source> {
        files.sort_by_key(|file| file.sequence);
        for file in &mut files {
            // A file that was cut short: direct reads end with the last whole block.
            file.len -= file.len % FRAME_ALIGN as u64;
        }
        let mut needed = 0;
        for (index, file) in files.iter().enumerate() {
            if first_lsn(file, identity).await?.is_some_and(|lsn| lsn <= from) {
                needed = index;
            }
        }
        files.drain(..needed);
        Ok(Source {
            files,
            open: None,
            file: 0,
            position: 0,
            bytes: Vec::new(),
            unreadable: BTreeSet::new(),
            bytes_read: 0,
        })
    }

    /// The walker's view of the files.
    pub(crate) fn facts(&self) -> Vec<FileFacts> {
        let facts = |file: &FoundFile| FileFacts { sequence: file.sequence, len: file.len };
        self.files.iter().map(facts).collect()
    }

    /// The path of a file of [`Source::facts`].
    pub(crate) fn path(&self, file: usize) -> Option<&PathBuf> {
        self.files.get(file).map(|file| &file.path)
    }

    /// Whether the frame that should stand at a place where the walk ended may be there and cannot be read: a write cut
    /// short by a power cut reads as something, so this is damage even if nothing behind it says that it was acknowledged.
    pub(crate) async fn is_unreadable(
        &mut self,
        identity: Identity,
        end: &End,
    ) -> io::Result<bool> {
        if self.unreadable.is_empty() {
            return Ok(false);
        }
        for (file, position) in [(end.file, end.position), (end.file + 1, 0)] {
            let Some(found) = self.files.get(file) else { continue };
            if position >= found.len {
                continue;
            }
            let sequence = found.sequence;
            self.load(file, position, FRAME_ALIGN).await?;
            if self.unreadable.contains(&(file, position)) {
                return Ok(true);
            }
            let Ok(header) = Header::decode(&self.bytes) else { continue };
            let expected = header.is_of(&identity) && header.file_sequence == sequence;
            if expected && header.lsn == end.upto {
                let behind = position + u64::from(header.total_len);
                return Ok(self
                    .unreadable
                    .range((file, position)..(file, behind))
                    .next()
                    .is_some());
            }
        }
        Ok(false)
    }

    /// The bytes at hand.
    pub(crate) fn window(&self) -> Window<'_> {
        Window { file: self.file, position: self.position, bytes: &self.bytes }
    }

    /// Makes the window cover at least `len` bytes from `position`, or what the file has of them.
    pub(crate) async fn load(&mut self, file: usize, position: u64, len: usize) -> io::Result<()> {
        let found = self.files.get(file).cloned().ok_or(io::ErrorKind::NotFound)?;
        let handle = match self.open.take() {
            Some((open, handle)) if open == file => handle,
            _ => open_file(&found).await?,
        };
        let rest = usize::try_from(found.len - position).unwrap_or(usize::MAX);
        let want = len.max(WINDOW_BYTES).min(rest);
        let unreadable = &mut self.unreadable;
        let lost = |at, error: &io::Error| {
            let lost = disk::is_medium_error(error);
            if lost && unreadable.insert((file, at)) {
                tracing::error!(file = %found.path.display(), position = at, %error,
                    "HDL-ST-048: a block of the journal cannot be read. Whether something acknowledged was there is \
                     decided by what stands behind it (HDL-ST-041). The device is not sound: check it (dmesg, smartctl)");
            }
            lost
        };
        self.bytes = disk::read_what_is_there(&handle, position, want, lost).await?;
        if self.bytes.len() < len {
            // The file is shorter than the directory said: what is missing reads as zeros and fails every check.
            self.bytes.resize(len, 0);
        }
        self.bytes_read += self.bytes.len() as u64;
        (self.file, self.position) = (file, position);
        self.open = Some((file, handle));
        Ok(())
    }
}

/// The LSN of the whole frame at the front of a file, if one of this journal stands there.
async fn first_lsn(file: &FoundFile, identity: Identity) -> io::Result<Option<Lsn>> {
    let handle = open_file(file).await?;
    // What cannot be read here is told when the walk gets to it.
    let lost = |_, error: &io::Error| disk::is_medium_error(error);
    let head = disk::read_what_is_there(&handle, 0, FRAME_ALIGN, lost).await?;
    let Ok(header) = Header::decode(&head) else { return Ok(None) };
    let ours = header.is_of(&identity) && header.file_sequence == file.sequence;
    if !ours || u64::from(header.total_len) > file.len {
        return Ok(None);
    }
    let bytes = disk::read_what_is_there(&handle, 0, header.total_len as usize, lost).await?;
    Ok(Frame::check(&bytes).ok().map(|frame| frame.header().lsn))
}

async fn open_file(file: &FoundFile) -> io::Result<File> {
    File::open(&file.path, OpenOptions::new().read().direct()).await
}

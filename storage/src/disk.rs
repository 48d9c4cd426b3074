//! Small patterns of file I/O that several parts of storage share.

use crate::limits;
use engine::buffer::{self, Block, Slice};
use engine::file::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Bytes written at once when a file is pre-written: large enough to be quick, small enough to let others in.
const ZEROS_BYTES: usize = 256 << 10;

/// The pause between two of them when nobody waits.
const ZEROS_PAUSE: Duration = Duration::from_millis(2);

/// How the writing of a file of zeros goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Somebody waits for the file.
    Urgent,
    /// Nobody waits: the device is left to others most of the time.
    Ahead,
    /// Nobody will use it: the writing ends with [`io::ErrorKind::Interrupted`] and leaves what there is of the file.
    NoLonger,
}

/// Makes a file of `bytes` (a multiple of 4,096) zeros at `path`, written and synced, so that later direct writes into
/// it change no metadata. Replaces what is there. Its directory is not synced. `pace` is asked after each write;
/// 64 MiB take half a second at [`Pace::Ahead`].
pub(crate) async fn write_zeros(
    path: &Path,
    bytes: u64,
    pace: impl Fn() -> Pace,
) -> io::Result<()> {
    let options = OpenOptions::new().write().create().truncate().direct();
    let file = File::open(path, options).await?;
    // Reserves the space in few extents, and says at once when there is too little.
    file.allocate(0, bytes).await?;
    let mut block = block(ZEROS_BYTES.min(bytes as usize)).await?;
    block.fill(0);
    let len = block.len();
    let zeros = block.freeze(len);
    let mut position = 0;
    while position < bytes {
        let len = zeros.len().min((bytes - position) as usize);
        file.write_at(position, zeros.slice(..len)).await?;
        position += len as u64;
        match pace() {
            Pace::Urgent => engine::task::yield_now().await,
            Pace::Ahead => engine::time::sleep(ZEROS_PAUSE).await,
            Pace::NoLonger => return Err(io::ErrorKind::Interrupted.into()),
        }
    }
    file.sync_all().await?;
    file.close().await
}

/// A block of memory, waiting for it; more than the shard's whole memory is an error.
pub(crate) async fn block(bytes: usize) -> io::Result<Block> {
    buffer::alloc(bytes).await.map_err(|error| io::Error::new(io::ErrorKind::OutOfMemory, error))
}

/// `bytes` in aligned memory, for a direct write; padded with zeros to whole 4 KiB blocks.
pub(crate) async fn aligned(bytes: &[u8]) -> io::Result<Slice> {
    let len = bytes.len().next_multiple_of(buffer::ALIGN);
    let mut block = block(len).await?;
    block[..bytes.len()].copy_from_slice(bytes);
    block[bytes.len()..len].fill(0);
    Ok(block.freeze(len))
}

/// A whole file in memory, read directly. `limit`: most bytes.
pub(crate) async fn read_whole(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path, OpenOptions::new().read().direct()).await?;
    let len = file.len().await?;
    if len > limit {
        let text = format!("{} has {len} bytes, more than the {limit} it may have", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut bytes = Vec::with_capacity(len as usize);
    let mut block = block(limits::JOURNAL_BLOCK_BYTES).await?;
    while (bytes.len() as u64) < len {
        let (read, back) = file.read_at(bytes.len() as u64, block).await;
        block = back;
        let read = read?;
        if read == 0 {
            break;
        }
        bytes.extend_from_slice(&block[..read]);
    }
    file.close().await?;
    Ok(bytes)
}

/// Reads up to `len` bytes at `position` (both multiples of 4,096); fewer at the end of the file.
pub(crate) async fn read_part(file: &File, position: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len);
    let mut block = block(len.clamp(buffer::ALIGN, limits::JOURNAL_BLOCK_BYTES)).await?;
    while bytes.len() < len {
        let want = block.len().min(len - bytes.len());
        let (read, back) = file.read_len_at(position + bytes.len() as u64, block, want).await;
        block = back;
        let read = read?;
        bytes.extend_from_slice(&block[..read]);
        if read < want {
            break;
        }
    }
    Ok(bytes)
}

/// Like [`read_part`], but where the device does not give some of it, only the 4 KiB blocks that it does not give are
/// missing: they read as zeros. `lost` hears of each, with its position, and says whether that may be; if not, its
/// error is the result.
pub(crate) async fn read_what_is_there(
    file: &File,
    position: u64,
    len: usize,
    mut lost: impl FnMut(u64, &io::Error) -> bool,
) -> io::Result<Vec<u8>> {
    if let Ok(bytes) = read_part(file, position, len).await {
        return Ok(bytes);
    }
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let at = position + bytes.len() as u64;
        let want = buffer::ALIGN.min(len - bytes.len());
        match read_part(file, at, buffer::ALIGN).await {
            Ok(block) if block.is_empty() => break,
            Ok(block) => bytes.extend_from_slice(&block[..want.min(block.len())]),
            Err(error) if lost(at, &error) => bytes.resize(bytes.len() + want, 0),
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// Whether a read failed because the medium no longer has the block, as the kernel's block layer says it: EIO,
/// ENODATA (a medium error), EBADMSG and EILSEQ (its own checksum is wrong), EREMOTEIO. Anything else may pass.
pub(crate) fn is_medium_error(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(5 | 61 | 74 | 84 | 121))
}

/// Whether the disk, or what is left of a quota, had no space for it.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Removes a file; it may be gone already.
pub(crate) async fn remove_if_there(path: &Path) -> io::Result<()> {
    match file::remove_file(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

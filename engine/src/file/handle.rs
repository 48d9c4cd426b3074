//! An open file.

use std::ffi::CString;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use super::options::OpenOptions;
use super::sync_failure;
use crate::buffer::{ALIGN, Block, Slice};
use crate::limits::IOVECS_MAX;
#[cfg(feature = "sim")]
use crate::sim;
use crate::uring::{self, Descriptor, Hold};
use crate::{blocking, local};

/// An open file of this shard. Clones are the same file; the last one to go, or the last operation in
/// flight, closes it.
#[derive(Clone)]
pub struct File {
    inner: Inner,
}

#[derive(Clone)]
enum Inner {
    Ring(Rc<Descriptor>),
    #[cfg(feature = "sim")]
    Sim(Rc<sim::Opened>),
}

/// A new file's permissions, before the umask.
const MODE: u32 = 0o644;

pub(super) fn c_path(path: &Path) -> io::Result<CString> {
    let bytes = path.as_os_str().as_bytes();
    CString::new(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a path with a NUL byte"))
}

pub(super) fn check(result: i32) -> io::Result<usize> {
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result as usize) }
}

fn is_interrupted<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(e) if e.kind() == io::ErrorKind::Interrupted)
}

impl File {
    /// Opens `path`.
    pub async fn open(path: &Path, options: OpenOptions) -> io::Result<File> {
        #[cfg(feature = "sim")]
        if let Some(system) = sim::file_system() {
            let opened = system.open(path, options.flags()).await?;
            return Ok(File { inner: Inner::Sim(Rc::new(opened)) });
        }
        let (result, _) = uring::open(c_path(path)?, options.flags(), MODE).await;
        let raw = check(result)?;
        // SAFETY: the kernel has just opened this descriptor for us alone.
        let fd = unsafe { OwnedFd::from_raw_fd(raw as i32) };
        Ok(File { inner: Inner::Ring(Rc::new(Descriptor::new(fd))) })
    }

    fn fd(&self) -> &Rc<Descriptor> {
        match &self.inner {
            Inner::Ring(fd) => fd,
            #[cfg(feature = "sim")]
            Inner::Sim(_) => unreachable!("a simulated file has no descriptor"),
        }
    }

    /// Reads up to the whole block at `position`; fewer bytes at the end of the file.
    pub async fn read_at(&self, position: u64, buf: Block) -> (io::Result<usize>, Block) {
        let len = buf.len();
        self.read_len_at(position, buf, len).await
    }

    /// Reads up to `len` bytes at `position` into the front of the block; fewer at the end of the file.
    /// Short reads in between are continued.
    ///
    /// # Panics
    /// If the block is shorter than `len`.
    pub async fn read_len_at(
        &self,
        position: u64,
        buf: Block,
        len: usize,
    ) -> (io::Result<usize>, Block) {
        self.read_range_at(position, buf, 0..len).await
    }

    /// Reads on where a read of the file from `position` into the block has come to: up to the end of the range, which
    /// begins on the grid of direct reads. Returns how far the block is filled then; less at the end of the file.
    ///
    /// # Panics
    /// If the range does not lie in the block, or begins off the grid.
    pub async fn read_range_at(
        &self,
        position: u64,
        mut buf: Block,
        Range { start, end: len }: Range<usize>,
    ) -> (io::Result<usize>, Block) {
        assert!(len <= buf.len(), "a read fits into its block");
        assert!(
            start.is_multiple_of(ALIGN),
            "a read goes on at the begin of a block of the device"
        );
        let mut done = start;
        while done < len {
            // A file that ended inside a block may have grown since. What is behind that end is asked for from
            // the block's begin on: a device with blocks of 4 KiB takes no other place.
            let from = done - done % ALIGN;
            let result;
            (result, buf) = self.read_once(position + from as u64, buf, from, len).await;
            match result {
                Ok(n) if from + n <= done => break,
                Ok(n) => done = from + n,
                result if is_interrupted(&result) => {}
                Err(error) => return (Err(error), buf),
            }
            // A direct read that ends off the grid has reached the end of the file, and the rest
            // could not be asked for.
            if !done.is_multiple_of(512) {
                break;
            }
        }
        (Ok(done), buf)
    }

    /// One read into `from..to` of the block.
    async fn read_once(
        &self,
        position: u64,
        buf: Block,
        from: usize,
        to: usize,
    ) -> (io::Result<usize>, Block) {
        #[cfg(feature = "sim")]
        if let Inner::Sim(file) = &self.inner {
            return file.read(position, buf, from, to).await;
        }
        let (result, hold) = uring::read(self.fd(), position, buf, from, to).await;
        let Hold::Block(buf) = hold else { unreachable!("a read holds its block") };
        (check(result), buf)
    }

    /// One write, which may be short.
    async fn write_once(&self, position: u64, data: Slice) -> io::Result<usize> {
        #[cfg(feature = "sim")]
        if let Inner::Sim(file) = &self.inner {
            return file.write(position, vec![data]).await;
        }
        check(uring::write(self.fd(), position, data).await.0)
    }

    /// Writes all of `data` at `position`. Memory of the registered region is written without being mapped
    /// again.
    pub async fn write_at(&self, position: u64, data: Slice) -> io::Result<()> {
        let mut done = 0;
        while done < data.len() {
            match self.write_once(position + done as u64, data.slice(done..)).await {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                result if is_interrupted(&result) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of `data` at `position` and syncs the file's data: one submission, the sync
    /// linked behind the write. On return the bytes are on the device.
    pub async fn write_at_synced(&self, position: u64, data: Slice) -> io::Result<()> {
        #[cfg(feature = "sim")]
        if let Inner::Sim(file) = &self.inner {
            self.write_at(position, data).await?;
            return file.sync().await;
        }
        let mut done = 0;
        loop {
            let rest = data.slice(done..);
            let whole = rest.len();
            let (write, sync) = uring::write_then_sync(self.fd(), position + done as u64, rest);
            let (wrote, _) = write.await;
            let (synced, _) = sync.await;
            match check(wrote) {
                Ok(n) if n == whole => {
                    if !is_interrupted(&check(synced)) {
                        return sync_failure::unless_before(check(synced).map(drop));
                    }
                    return self.sync_data().await;
                }
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                // A short write breaks the link: go on with the rest.
                Ok(n) => done += n,
                result if is_interrupted(&result) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes `data`, slice behind slice, at `position`.
    pub async fn write_vectored_at(&self, mut position: u64, data: Vec<Slice>) -> io::Result<()> {
        let mut rest: std::collections::VecDeque<Slice> = data.into();
        rest.retain(|slice| !slice.is_empty());
        while !rest.is_empty() {
            let part: Vec<Slice> = rest.iter().take(IOVECS_MAX).cloned().collect();
            let mut wrote = match self.write_part(position, part).await {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => n,
                result if is_interrupted(&result) => 0,
                Err(error) => return Err(error),
            };
            position += wrote as u64;
            while let Some(first) = rest.front_mut() {
                if wrote < first.len() {
                    *first = first.slice(wrote..);
                    break;
                }
                wrote -= first.len();
                rest.pop_front();
            }
        }
        Ok(())
    }

    async fn write_part(&self, position: u64, part: Vec<Slice>) -> io::Result<usize> {
        #[cfg(feature = "sim")]
        if let Inner::Sim(file) = &self.inner {
            return file.write(position, part).await;
        }
        check(uring::write_vectored(self.fd(), position, part).await.0)
    }

    /// Everything written is on the device, and what is needed to find it. Fails for good once a sync of a file system has
    /// failed in this process ([`super::syncfs`]).
    pub async fn sync_data(&self) -> io::Result<()> {
        #[cfg(feature = "sim")]
        if let Inner::Sim(file) = &self.inner {
            return file.sync().await;
        }
        sync_failure::unless_before(check(uring::sync(self.fd(), true).await.0).map(drop))
    }

    /// Everything written is on the device, with all attributes.
    pub async fn sync_all(&self) -> io::Result<()> {
        #[cfg(feature = "sim")]
        if let Inner::Sim(file) = &self.inner {
            return file.sync().await;
        }
        sync_failure::unless_before(check(uring::sync(self.fd(), false).await.0).map(drop))
    }

    /// Reserves space for `position..position + len` without moving the file's end (FALLOC_FL_KEEP_SIZE);
    /// fails with `StorageFull` before anything depends on it.
    pub async fn allocate(&self, position: u64, len: u64) -> io::Result<()> {
        #[cfg(feature = "sim")]
        if let Inner::Sim(file) = &self.inner {
            return file.allocate(position, len).await;
        }
        check(uring::allocate(self.fd(), position, len).await.0).map(drop)
    }

    /// Cuts or extends the file to `len` bytes.
    pub async fn set_len(&self, len: u64) -> io::Result<()> {
        #[cfg(feature = "sim")]
        if let Inner::Sim(file) = &self.inner {
            return file.set_len(len).await;
        }
        if local::with(|local| local.ring().features.truncate) {
            return check(uring::truncate(self.fd(), len).await.0).map(drop);
        }
        let file = self.duplicate()?;
        blocking::run(move || file.set_len(len)).await
    }

    /// The file's length in bytes.
    pub async fn len(&self) -> io::Result<u64> {
        #[cfg(feature = "sim")]
        if let Inner::Sim(file) = &self.inner {
            return file.len().await;
        }
        let (result, hold) = uring::attributes(self.fd()).await;
        check(result)?;
        let Hold::Statx(_, statx) = hold else { unreachable!("a statx holds its result") };
        Ok(statx.stx_size)
    }

    /// Closes this handle.
    pub async fn close(self) -> io::Result<()> {
        drop(self);
        Ok(())
    }

    fn duplicate(&self) -> io::Result<std::fs::File> {
        // SAFETY: the descriptor is open as long as `self`; the duplicate is ours.
        let fd = unsafe {
            crate::remote::owned(libc::fcntl(self.fd().raw().as_raw_fd(), libc::F_DUPFD_CLOEXEC, 0))
        };
        fd.map(std::fs::File::from)
    }
}

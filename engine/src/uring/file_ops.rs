//! Operations on files, each with the memory it needs.

use std::ffi::CString;
use std::rc::Rc;

use io_uring::{opcode, squeue, types};

use super::{Descriptor, Hold, Operation};
use crate::buffer::{Block, Slice};
use crate::limits::TRANSFER_BYTES_MAX;
use crate::local;

fn fd_of(fd: &Descriptor) -> types::Fd {
    types::Fd(fd.raw())
}

/// The length of one transfer; the kernel would cut it shorter than 2 GiB anyhow.
fn transfer(len: usize) -> u32 {
    len.min(TRANSFER_BYTES_MAX) as u32
}

/// Starts an operation that a future awaits.
///
/// # Safety
/// As [`super::Ring::start`].
unsafe fn start(entry: squeue::Entry, fd: Option<&Rc<Descriptor>>, hold: Hold) -> Operation {
    // SAFETY: as the caller promises.
    local::with(|local| unsafe { local.ring().start(entry, fd.cloned(), hold, false) })
}

/// Reads `from..to` of `block` at `position` of the file.
pub(crate) fn read(
    fd: &Rc<Descriptor>,
    position: u64,
    mut block: Block,
    from: usize,
    to: usize,
) -> Operation {
    let part = &mut block[from..to];
    let (address, len) = (part.as_mut_ptr(), transfer(part.len()));
    let entry = match block.registered() {
        Some(index) => {
            opcode::ReadFixed::new(fd_of(fd), address, len, index).offset(position).build()
        }
        None => opcode::Read::new(fd_of(fd), address, len).offset(position).build(),
    };
    // SAFETY: the address lies in the block, which the operation owns exclusively.
    unsafe { start(entry, Some(fd), Hold::Block(block)) }
}

fn write_entry(fd: &Descriptor, position: u64, data: &Slice) -> squeue::Entry {
    let (address, len) = (data.as_ptr(), transfer(data.len()));
    match data.registered() {
        Some(index) => {
            opcode::WriteFixed::new(fd_of(fd), address, len, index).offset(position).build()
        }
        None => opcode::Write::new(fd_of(fd), address, len).offset(position).build(),
    }
}

/// Writes `data` at `position`; may write less.
pub(crate) fn write(fd: &Rc<Descriptor>, position: u64, data: Slice) -> Operation {
    let entry = write_entry(fd, position, &data);
    // SAFETY: the address lies in the slice, immutable and kept alive by the operation.
    unsafe { start(entry, Some(fd), Hold::Slice(data)) }
}

/// Writes `data` at `position` and, if all of it was written, syncs the file's data.
pub(crate) fn write_then_sync(
    fd: &Rc<Descriptor>,
    position: u64,
    data: Slice,
) -> (Operation, Operation) {
    let write = write_entry(fd, position, &data);
    let sync = sync_entry(fd, true);
    // SAFETY: as in `write`; a sync has no memory.
    local::with(|local| unsafe { local.ring().start_linked(write, sync, fd, Hold::Slice(data)) })
}

/// Writes `data` piece after piece at `position`; may write less. At most `limits::IOVECS_MAX` pieces.
pub(crate) fn write_vectored(fd: &Rc<Descriptor>, position: u64, data: Vec<Slice>) -> Operation {
    let iovec =
        |s: &Slice| libc::iovec { iov_base: s.as_ptr().cast_mut().cast(), iov_len: s.len() };
    let iovecs: Vec<libc::iovec> = data.iter().map(iovec).collect();
    let entry = opcode::Writev::new(fd_of(fd), iovecs.as_ptr(), iovecs.len() as u32);
    // SAFETY: the vectors and the slices they point into live on the heap and belong to the operation.
    unsafe { start(entry.offset(position).build(), Some(fd), Hold::Gather(iovecs, data)) }
}

fn sync_entry(fd: &Descriptor, data_only: bool) -> squeue::Entry {
    let flags = if data_only { types::FsyncFlags::DATASYNC } else { types::FsyncFlags::empty() };
    opcode::Fsync::new(fd_of(fd)).flags(flags).build()
}

/// Syncs the file, or just its data.
pub(crate) fn sync(fd: &Rc<Descriptor>, data_only: bool) -> Operation {
    // SAFETY: no memory.
    unsafe { start(sync_entry(fd, data_only), Some(fd), Hold::Nothing) }
}

/// Reserves space without moving the file's end.
pub(crate) fn allocate(fd: &Rc<Descriptor>, position: u64, len: u64) -> Operation {
    let entry = opcode::Fallocate::new(fd_of(fd), len).offset(position);
    let entry = entry.mode(libc::FALLOC_FL_KEEP_SIZE).build();
    // SAFETY: no memory.
    unsafe { start(entry, Some(fd), Hold::Nothing) }
}

/// Cuts or extends the file; only where [`super::Features::truncate`] says so.
pub(crate) fn truncate(fd: &Rc<Descriptor>, len: u64) -> Operation {
    // SAFETY: no memory.
    unsafe { start(opcode::Ftruncate::new(fd_of(fd), len).build(), Some(fd), Hold::Nothing) }
}

/// Asks for the file's attributes; they are in the hold that comes back.
pub(crate) fn attributes(fd: &Rc<Descriptor>) -> Operation {
    // SAFETY: statx is plain integers, for which zero is a value.
    let mut statx: Box<libc::statx> = Box::new(unsafe { std::mem::zeroed() });
    let empty = CString::default();
    let into: *mut libc::statx = &mut *statx;
    let entry = opcode::Statx::new(fd_of(fd), empty.as_ptr(), into.cast());
    let entry = entry.flags(libc::AT_EMPTY_PATH).mask(libc::STATX_BASIC_STATS).build();
    // SAFETY: path and result lie on the heap and belong to the operation.
    unsafe { start(entry, Some(fd), Hold::Statx(empty, statx)) }
}

/// Opens a file; the result is its descriptor.
pub(crate) fn open(path: CString, flags: i32, mode: u32) -> Operation {
    let entry = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr());
    let entry = entry.flags(flags | libc::O_CLOEXEC).mode(mode).build();
    // SAFETY: the path lies on the heap and belongs to the operation.
    local::with(|local| unsafe { local.ring().start(entry, None, Hold::Path(path), true) })
}

/// Removes a file.
pub(crate) fn unlink(path: CString) -> Operation {
    let entry = opcode::UnlinkAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).build();
    // SAFETY: as in `open`.
    unsafe { start(entry, None, Hold::Path(path)) }
}

/// Renames a file.
pub(crate) fn rename(from: CString, to: CString) -> Operation {
    let here = types::Fd(libc::AT_FDCWD);
    let entry = opcode::RenameAt::new(here, from.as_ptr(), here, to.as_ptr()).build();
    // SAFETY: as in `open`, for both paths.
    unsafe { start(entry, None, Hold::Paths(from, to)) }
}

/// Reads the eight bytes of an eventfd.
pub(crate) fn read_word(fd: &Rc<Descriptor>) -> Operation {
    let mut word = Box::new(0u64);
    let address: *mut u64 = &mut *word;
    let entry = opcode::Read::new(fd_of(fd), address.cast(), 8).build();
    // SAFETY: the word lies on the heap and belongs to the operation.
    unsafe { start(entry, Some(fd), Hold::Word(word)) }
}

/// Reads one record of a signalfd.
pub(crate) fn read_signal(fd: &Rc<Descriptor>) -> Operation {
    // SAFETY: signalfd_siginfo is plain integers, for which zero is a value.
    let mut info: Box<libc::signalfd_siginfo> = Box::new(unsafe { std::mem::zeroed() });
    let address: *mut libc::signalfd_siginfo = &mut *info;
    let len = size_of::<libc::signalfd_siginfo>() as u32;
    let entry = opcode::Read::new(fd_of(fd), address.cast(), len).build();
    // SAFETY: the record lies on the heap and belongs to the operation.
    unsafe { start(entry, Some(fd), Hold::Signal(info)) }
}

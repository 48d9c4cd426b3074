//! Anonymous memory mappings.

use std::io;
use std::ptr::{self, NonNull};

const HUGE_PAGE: usize = 2 << 20;

/// Zeroed memory of its own pages, given back to the kernel when dropped.
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
    /// What was mapped, with the slack that alignment took.
    mapped: (NonNull<u8>, usize),
    /// Kept by its thread for the next world instead of being given back.
    #[cfg(feature = "sim")]
    reused: bool,
}

// SAFETY: a mapping is plain memory; it belongs to whoever holds the value, on any thread.
unsafe impl Send for Mapping {}
// SAFETY: a shared Mapping only tells its address and length.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes (rounded up to 4 KiB), page aligned, without huge pages: it is first touched while requests
    /// wait, and in a virtual machine the first touch of a huge page takes milliseconds.
    pub fn new(len: usize) -> io::Result<Mapping> {
        let len = len.next_multiple_of(super::ALIGN);
        let base = map(len)?;
        // SAFETY: the range is the mapping made above; the advice changes no contents.
        unsafe { libc::madvise(base.as_ptr().cast(), len, libc::MADV_NOHUGEPAGE) };
        Ok(Mapping {
            base,
            len,
            mapped: (base, len),
            #[cfg(feature = "sim")]
            reused: false,
        })
    }

    /// Maps `len` bytes aligned to 2 MiB and asks for huge pages there; without them it works as well.
    pub fn huge(len: usize) -> io::Result<Mapping> {
        let len = len.next_multiple_of(super::ALIGN);
        let whole = len + HUGE_PAGE;
        let mapped = map(whole)?;
        let skip = mapped.as_ptr().addr().next_multiple_of(HUGE_PAGE) - mapped.as_ptr().addr();
        // SAFETY: skip < 2 MiB and the mapping is at least that much longer than `len`, so the result
        // lies inside it and is not null.
        let base = unsafe { mapped.add(skip) };
        // SAFETY: the range lies inside the mapping made above; the advice changes no contents.
        unsafe { libc::madvise(base.as_ptr().cast(), len, libc::MADV_HUGEPAGE) };
        Ok(Mapping {
            base,
            len,
            mapped: (mapped, whole),
            #[cfg(feature = "sim")]
            reused: false,
        })
    }

    /// As [`Mapping::new`], for a simulated shard: one that an earlier shard of this thread has left, as it
    /// left it, or a new one.
    #[cfg(feature = "sim")]
    pub fn reused(len: usize) -> io::Result<Mapping> {
        let len = len.next_multiple_of(super::ALIGN);
        let mut mapping = match left::take(len) {
            Some(mapping) => mapping,
            None => Mapping::new(len)?,
        };
        mapping.reused = true;
        Ok(mapping)
    }

    /// Fills it with zeros, as a new one is.
    #[cfg(feature = "sim")]
    pub fn clear(&mut self) {
        // SAFETY: the range is mapped and writable, and `&mut self` says that no block is in it.
        unsafe { self.base.write_bytes(0, self.len) };
    }

    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub fn len(&self) -> usize {
        self.len
    }
}

fn map(len: usize) -> io::Result<NonNull<u8>> {
    assert!(len > 0, "an empty mapping has no address");
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that exists.
    let base = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(NonNull::new(base.cast()).expect("mmap gives an address or MAP_FAILED"))
}

/// Mappings that simulated shards of this thread have left: thousands of worlds need not fault in the same
/// pages each.
#[cfg(feature = "sim")]
mod left {
    use std::cell::RefCell;

    use super::Mapping;

    const BYTES_MAX: usize = 64 << 20;

    thread_local! {
        static LEFT: RefCell<Vec<Mapping>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn take(len: usize) -> Option<Mapping> {
        LEFT.with_borrow_mut(|left| {
            let found = left.iter().rposition(|mapping| mapping.len == len)?;
            Some(left.swap_remove(found))
        })
    }

    /// Keeps the mapping; the caller's is gone if so. False without room, or when the thread ends.
    pub(super) fn keep(mapping: &Mapping) -> bool {
        let keep = |left: &RefCell<Vec<Mapping>>| {
            let mut left = left.borrow_mut();
            let bytes: usize = left.iter().map(|mapping| mapping.len).sum();
            let fits = bytes + mapping.len <= BYTES_MAX;
            if fits {
                let (base, len, mapped) = (mapping.base, mapping.len, mapping.mapped);
                left.push(Mapping { base, len, mapped, reused: false });
            }
            fits
        };
        LEFT.try_with(keep) == Ok(true)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        #[cfg(feature = "sim")]
        if self.reused && left::keep(self) {
            return;
        }
        // SAFETY: the range is exactly what mmap returned, unmapped once, here; owners of a Mapping
        // drop it only when nothing refers to its memory any more.
        unsafe { libc::munmap(self.mapped.0.as_ptr().cast(), self.mapped.1) };
    }
}

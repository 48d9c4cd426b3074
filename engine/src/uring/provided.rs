//! The provided receive buffers: memory the kernel picks from when data arrives.
//!
//! Holds always: a buffer is either in the kernel's ring or lent to exactly one chunk; `free` counts the
//! former.

use std::cell::{Cell, RefCell};
use std::io;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::Waker;

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use crate::buffer::Mapping;
use crate::limits::{RECEIVE_BUFFER_BYTES, RECEIVE_BUFFERS, RECEIVE_BUFFERS_LOW};

/// The group number of the one buffer ring.
pub(crate) const GROUP: u16 = 0;

pub(crate) struct Provided {
    entries: Mapping,
    /// Shared with the chunks that lie in it: a chunk may outlive its shard.
    memory: Rc<Mapping>,
    tail: Cell<u16>,
    free: Cell<usize>,
    /// Receivers that wait for a buffer to come back.
    starved: RefCell<Vec<Waker>>,
}

impl Provided {
    pub fn new() -> io::Result<Provided> {
        let entries = Mapping::new(usize::from(RECEIVE_BUFFERS) * size_of::<BufRingEntry>())?;
        let memory = Rc::new(Mapping::new(usize::from(RECEIVE_BUFFERS) * RECEIVE_BUFFER_BYTES)?);
        let (tail, free) = (Cell::new(0), Cell::new(0));
        Ok(Provided { entries, memory, tail, free, starved: RefCell::default() })
    }

    pub fn register(&self, ring: &IoUring) -> io::Result<()> {
        let address = self.entries.base().as_ptr().addr() as u64;
        // SAFETY: the entries' mapping is zeroed, page aligned, long enough for RECEIVE_BUFFERS entries,
        // and lives in the same struct as the ring, which is closed (and every operation on it
        // finished) before this struct's fields are dropped.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(address, RECEIVE_BUFFERS, GROUP, 0)?;
        }
        (0..RECEIVE_BUFFERS).for_each(|id| self.give(id));
        Ok(())
    }

    /// Buffers the kernel can pick from.
    pub fn free(&self) -> usize {
        self.free.get()
    }

    /// So few are left that chunks should not keep theirs.
    pub fn is_low(&self) -> bool {
        self.free.get() < RECEIVE_BUFFERS_LOW
    }

    /// The kernel has put data into buffer `id`: it is lent until [`Provided::give`].
    pub fn lend(&self, id: u16) -> NonNull<u8> {
        assert!(id < RECEIVE_BUFFERS, "the kernel names buffers that were given to it");
        self.free.set(self.free.get() - 1);
        // SAFETY: id < RECEIVE_BUFFERS, so the buffer lies inside the mapping.
        unsafe { self.memory.base().add(usize::from(id) * RECEIVE_BUFFER_BYTES) }
    }

    /// The memory all buffers lie in.
    pub fn memory(&self) -> &Rc<Mapping> {
        &self.memory
    }

    /// Gives buffer `id` (back) to the kernel. It is one of these buffers and not lent any more.
    pub fn give(&self, id: u16) {
        let tail = self.tail.get();
        let ring: *mut BufRingEntry = self.entries.base().as_ptr().cast();
        // SAFETY: the index is masked to the ring's length. The kernel reads an entry only after the tail
        // below has passed it, so nobody else looks at this one now; this thread is the only writer.
        unsafe {
            let entry = &mut *ring.add(usize::from(tail & (RECEIVE_BUFFERS - 1)));
            entry.set_addr(
                self.memory.base().add(usize::from(id) * RECEIVE_BUFFER_BYTES).as_ptr().addr()
                    as u64,
            );
            entry.set_len(RECEIVE_BUFFER_BYTES as u32);
            entry.set_bid(id);
        }
        self.tail.set(tail.wrapping_add(1));
        // SAFETY: the tail is a 16-bit field of the ring's first entry, aligned and inside the mapping;
        // the kernel reads it concurrently, which the atomic store (release, so that the entry is seen
        // first) allows for.
        let shared = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(ring).cast_mut()) };
        shared.store(self.tail.get(), Ordering::Release);
        self.free.set(self.free.get() + 1);
        if !self.starved.borrow().is_empty() {
            self.starved.take().into_iter().for_each(Waker::wake);
        }
    }

    /// `waker` is woken when a buffer comes back.
    pub fn wait(&self, waker: &Waker) {
        let mut starved = self.starved.borrow_mut();
        if !starved.iter().any(|w| w.will_wake(waker)) {
            starved.push(waker.clone());
        }
    }
}

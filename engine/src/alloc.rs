//! Counts what a thread takes from the memory allocator.
//!
//! [`Counting`] goes around the allocator of a binary; without it nothing is counted. A count is a plain cell of the
//! thread: about a nanosecond, and no line of memory that two cores share.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

/// What a thread has allocated since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocations {
    /// Calls that gave out memory, growing included.
    pub count: u64,
    /// Bytes they asked for.
    pub bytes: u64,
}

thread_local! {
    // Without a destructor and initialised at compile time: reading it never allocates.
    static OF_THREAD: Cell<Allocations> = const { Cell::new(Allocations { count: 0, bytes: 0 }) };
}

/// What the calling thread has allocated; zero for ever where [`Counting`] is not the global allocator.
pub fn of_thread() -> Allocations {
    OF_THREAD.get()
}

/// An allocator that counts by thread what another one gives out.
pub struct Counting<A>(pub A);

fn count(bytes: usize) {
    // A thread that ends may free and allocate after its cells are gone: that is not counted.
    let _ = OF_THREAD.try_with(|of_thread| {
        let Allocations { count, bytes: before } = of_thread.get();
        of_thread.set(Allocations { count: count + 1, bytes: before + bytes as u64 });
    });
}

// SAFETY: every call goes to the inner allocator with the arguments it was given, and its result is returned as it
// is; counting touches neither, does not allocate and does not panic.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises; `at` came from the inner allocator.
        unsafe { self.0.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        // SAFETY: as the caller promises; `at` came from the inner allocator.
        unsafe { self.0.realloc(at, layout, new_size) }
    }
}

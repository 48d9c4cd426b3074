//! Wakers that are plain numbers: executor, task index, generation.
//!
//! A `Waker` may by its type be cloned, woken and dropped on any thread. Ours owns nothing: its data
//! pointer *is* the 64-bit number `executor:16 | generation:24 | index:24`, so that clone and drop are
//! free and need no reference count, and a waker that outlives its task finds a newer generation and
//! does nothing. On the home thread a wake pushes the task to its run queue; elsewhere it goes through
//! the home's cross-thread queue.

use std::ptr;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::slab::Key;
use crate::{local, remote};

const _: () = assert!(usize::BITS == 64, "a waker is a 64-bit number in a pointer");

const INDEX_BITS: u32 = 24;
const FIELD: u64 = (1 << INDEX_BITS) - 1;

fn encode(executor: u16, key: Key) -> *const () {
    let number = (u64::from(executor) << 48)
        | ((u64::from(key.generation) & FIELD) << INDEX_BITS)
        | (u64::from(key.index) & FIELD);
    ptr::without_provenance(number as usize)
}

fn decode(data: *const ()) -> (u16, Key) {
    let number = data.addr() as u64;
    let key =
        Key { index: (number & FIELD) as u32, generation: ((number >> INDEX_BITS) & FIELD) as u32 };
    ((number >> 48) as u16, key)
}

static VTABLE: RawWakerVTable =
    RawWakerVTable::new(|data| RawWaker::new(data, &VTABLE), wake, wake, |_| {});

/// The waker of one task of one executor.
pub(crate) fn of_task(executor: u16, key: Key) -> Waker {
    // SAFETY: the vtable's functions never follow the data pointer (it is a number without
    // provenance), hold no resource, and act only through thread-safe or thread-local state; so they
    // may be called from any thread, any number of times, as the RawWaker contract asks.
    unsafe { Waker::from_raw(RawWaker::new(encode(executor, key), &VTABLE)) }
}

fn wake(data: *const ()) {
    let (executor, key) = decode(data);
    let home = local::try_with(|local| {
        let home = local.id == executor;
        if home {
            local.executor.schedule(key);
        }
        home
    });
    if home != Some(true) {
        remote::wake_task(executor, key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_pointer() {
        for (executor, index, generation) in [(0, 0, 0), (7, 9, 1), (1023, 0xff_ffff, 0xff_ffff)] {
            let key = Key { index, generation };
            assert_eq!(decode(encode(executor, key)), (executor, key));
        }
    }

    #[test]
    fn waking_a_task_of_no_executor_does_nothing() {
        let waker = of_task(u16::MAX, Key { index: 1, generation: 1 });
        waker.wake_by_ref();
        drop(waker.clone());
    }
}

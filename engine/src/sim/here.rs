//! The world of the calling thread: what the facade asks.

use std::cell::RefCell;
use std::rc::Rc;

use super::Disk;
use super::shared::Shared;

thread_local! {
    static HERE: RefCell<Option<Rc<Shared>>> = const { RefCell::new(None) };
}

/// Makes `shared` the thread's world.
///
/// # Panics
/// If the thread has one already.
pub(super) fn enter(shared: Rc<Shared>) {
    HERE.with(|here| {
        let before = here.replace(Some(shared));
        assert!(before.is_none(), "a thread has one world at a time");
    });
}

pub(super) fn leave() {
    let _ = HERE.try_with(RefCell::take);
}

fn with<R>(f: impl FnOnce(&Rc<Shared>) -> R) -> Option<R> {
    HERE.try_with(|here| here.borrow().as_ref().map(f)).ok().flatten()
}

/// The world, while one of its processes runs.
pub(super) fn running() -> Option<Rc<Shared>> {
    with(|shared| shared.is_running().then(|| shared.clone())).flatten()
}

/// The world's clock, on a thread with a world.
pub(crate) fn now_ns() -> Option<u64> {
    with(|shared| shared.now())
}

/// The world's calendar, on a thread with a world.
pub(crate) fn unix_ms() -> Option<i64> {
    with(|shared| shared.unix_ms())
}

/// A random number of the world, on a thread with a world.
pub(crate) fn random() -> Option<u64> {
    with(|shared| shared.process.u64())
}

/// The thread has a world.
pub(crate) fn is_here() -> bool {
    with(|_| ()).is_some()
}

/// The thread runs a simulated process.
pub(crate) fn is_running() -> bool {
    with(|shared| shared.is_running()) == Some(true)
}

/// The disk of the calling thread's world.
///
/// # Panics
/// On a thread without a world.
pub fn disk() -> Disk {
    with(|shared| Disk::new(shared.clone())).expect("a thread with a world has a disk")
}

/// A number below `limit` from the world's dice for tests, which the scheduler and the disk do not use.
///
/// # Panics
/// On a thread without a world.
pub fn roll(limit: u64) -> u64 {
    with(|shared| shared.model.below(limit)).expect("a thread with a world has dice")
}

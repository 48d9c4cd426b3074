//! The current shard of a thread: what the facade's free functions act on.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use crate::buffer::Arena;
use crate::executor::Executor;
use crate::remote::Remote;
use crate::shard::ShardId;
use crate::stats::Counters;
use crate::sync::Semaphore;
use crate::timer::Timers;
use crate::uring::Ring;

/// Something with queues to other shards, looked after once per turn.
pub(crate) trait Mailbox {
    /// Moves what waits in outboxes as far as there is room.
    fn flush(&self);
    /// Wakes the reader if it waits and there is mail; true if so.
    fn deliver(&self) -> bool;
}

/// Everything one shard's thread owns. The fields drop in this order: tasks first (they refer to
/// everything), then the ring (the kernel writes no more), then the memory.
pub(crate) struct Local {
    pub shard: ShardId,
    pub id: u16,
    pub executor: Executor,
    pub timers: RefCell<Timers>,
    pub mailboxes: RefCell<Vec<Weak<dyn Mailbox>>>,
    pub blocking: Semaphore,
    pub counters: Counters,
    pub ring: Ring,
    pub arena: Arena,
    pub remote: Arc<Remote>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Local>>> = const { RefCell::new(None) };
}

/// Makes `local` the thread's shard.
///
/// # Panics
/// If the thread is a shard already.
pub(crate) fn install(local: Rc<Local>) {
    CURRENT.with(|current| {
        let vacant = current.borrow().is_none();
        assert!(vacant, "a thread is one shard: the engine was started inside itself");
        current.replace(Some(local));
    });
}

pub(crate) fn uninstall() -> Option<Rc<Local>> {
    CURRENT.with(RefCell::take)
}

/// Acts on the thread's shard.
///
/// # Panics
/// On a thread that is not a shard.
pub(crate) fn with<R>(f: impl FnOnce(&Local) -> R) -> R {
    try_with(f).expect("called on a thread that is not a shard (see engine::shard)")
}

/// Acts on the thread's shard, if it is one (and has not ended).
pub(crate) fn try_with<R>(f: impl FnOnce(&Local) -> R) -> Option<R> {
    let acted = CURRENT.try_with(|current| {
        let current = current.borrow();
        current.as_deref().map(f)
    });
    acted.ok().flatten()
}

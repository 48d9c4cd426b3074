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
use crate::uring::{Ring, RingCounters};

/// Something with queues to other shards, looked after once per turn.
pub(crate) trait Mailbox {
    /// Moves what waits in outboxes as far as there is room.
    fn flush(&self);
    /// Wakes the reader if it waits and there is mail; true if so.
    fn deliver(&self) -> bool;
}

/// What performs a shard's I/O.
#[cfg_attr(
    feature = "sim",
    expect(clippy::large_enum_variant, reason = "one value per shard, and it never moves")
)]
pub(crate) enum Host {
    Ring(Ring),
    #[cfg(feature = "sim")]
    Sim(crate::sim::Host),
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
    pub host: Host,
    pub arena: Arena,
    pub remote: Arc<Remote>,
}

impl Local {
    /// The ring of a shard that has one.
    ///
    /// # Panics
    /// On a simulated shard, which has files, timers and mail, but neither sockets nor signals.
    #[inline]
    pub fn ring(&self) -> &Ring {
        match &self.host {
            Host::Ring(ring) => ring,
            #[cfg(feature = "sim")]
            Host::Sim(_) => panic!("sockets and signals are not simulated"),
        }
    }

    /// What the host counted.
    pub fn ring_counters(&self) -> &RingCounters {
        match &self.host {
            Host::Ring(ring) => &ring.counters,
            #[cfg(feature = "sim")]
            Host::Sim(host) => host.counters(),
        }
    }

    /// Operations in flight.
    pub fn in_flight(&self) -> usize {
        match &self.host {
            Host::Ring(ring) => ring.in_flight(),
            #[cfg(feature = "sim")]
            Host::Sim(host) => host.in_flight(),
        }
    }
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

//! What other threads may do to a shard: wake it, and make its tasks ready.
//!
//! The sleep protocol: a shard that is about to wait in the kernel sets `asleep`, then looks at every
//! queue once more; whoever puts something in one of its queues looks at `asleep` afterwards. With a
//! sequentially consistent fence between the two steps on both sides, at least one of them sees the
//! other, and the first to swap `asleep` back is the only one that pays for a wake-up.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use crossbeam::queue::SegQueue;

use crate::limits::EXECUTORS_MAX;
use crate::local;
use crate::slab::Key;

/// The part of a shard that other threads hold.
pub(crate) struct Remote {
    id: u16,
    asleep: AtomicBool,
    /// How its sleep is ended; a simulated shard's scheduler looks at `asleep`.
    bell: Option<Bell>,
    /// Tasks made ready elsewhere: by the blocking pool (bounded by its jobs) and by foreign wakers.
    woken: SegQueue<Key>,
    wakes: AtomicU64,
}

/// What ends a wait in the kernel.
struct Bell {
    /// A duplicate of the ring's descriptor, so that its number is not reused while somebody may still
    /// send to it. Messages to a ring whose shard has ended fail, which is ignored.
    ring: OwnedFd,
    event: OwnedFd,
}

static REMOTES: RwLock<Vec<Weak<Remote>>> = RwLock::new(Vec::new());

impl Remote {
    /// Registers a new executor with its ring; the number it gets is free again once it is dropped.
    pub fn register(ring: RawFd) -> io::Result<Arc<Remote>> {
        // SAFETY: dup of a descriptor that the caller keeps open for the length of the call.
        let ring = unsafe { owned(libc::fcntl(ring, libc::F_DUPFD_CLOEXEC, 0)) }?;
        // SAFETY: eventfd takes no pointers.
        let event = unsafe { owned(libc::eventfd(0, libc::EFD_CLOEXEC)) }?;
        Ok(Self::enter(Some(Bell { ring, event })))
    }

    /// Registers a simulated executor.
    #[cfg(feature = "sim")]
    pub fn register_simulated() -> Arc<Remote> {
        Self::enter(None)
    }

    fn enter(bell: Option<Bell>) -> Arc<Remote> {
        let mut remotes = REMOTES.write().unwrap_or_else(PoisonError::into_inner);
        let free = remotes.iter().position(|r| r.strong_count() == 0);
        let id = free.unwrap_or(remotes.len());
        assert!(id < EXECUTORS_MAX, "more than {EXECUTORS_MAX} executors in one process");
        let remote = Arc::new(Remote {
            id: id as u16,
            asleep: AtomicBool::new(false),
            bell,
            woken: SegQueue::new(),
            wakes: AtomicU64::new(0),
        });
        let weak = Arc::downgrade(&remote);
        match free {
            Some(id) => remotes[id] = weak,
            None => remotes.push(weak),
        }
        remote
    }

    pub fn id(&self) -> u16 {
        self.id
    }

    pub fn event(&self) -> RawFd {
        let bell = self.bell.as_ref().expect("only shards with a ring listen for threads");
        bell.event.as_raw_fd()
    }

    /// Ends the shard's sleep, if it sleeps. Call it after the reason to wake lies where the shard looks.
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        if !self.asleep.load(Ordering::Relaxed) || !self.asleep.swap(false, Ordering::SeqCst) {
            return;
        }
        self.wakes.fetch_add(1, Ordering::Relaxed);
        let Some(bell) = &self.bell else { return };
        let sent = local::try_with(|l| l.ring().send_wake(bell.ring.as_raw_fd()));
        if sent != Some(true) {
            let one = 1u64.to_ne_bytes();
            // SAFETY: eight readable bytes, as an eventfd takes them. The counter cannot overflow: the
            // shard reads it down and `asleep` lets one writer through per sleep.
            unsafe { libc::write(bell.event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        }
    }

    /// Step one of falling asleep; the caller then looks at its queues, and may wait if all are empty.
    pub fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    pub fn stay_awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Nobody has ended the sleep yet.
    #[cfg(feature = "sim")]
    pub fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::SeqCst)
    }

    pub fn take_woken(&self) -> Option<Key> {
        self.woken.pop()
    }

    pub fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// How often others had to wake this shard out of its sleep.
    pub fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::Relaxed)
    }
}

/// Takes over a descriptor a system call has just returned.
///
/// # Safety
/// `fd` is negative or open and owned by nobody else.
pub(crate) unsafe fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as the caller promises.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes a task of another thread's executor ready; nothing happens if that executor is gone.
pub(crate) fn wake_task(executor: u16, key: Key) {
    let remotes = REMOTES.read().unwrap_or_else(PoisonError::into_inner);
    let Some(remote) = remotes.get(executor as usize).and_then(Weak::upgrade) else { return };
    drop(remotes);
    remote.woken.push(key);
    remote.wake();
}

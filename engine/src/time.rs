//! Time: a monotonic clock, the calendar, sleeping and time limits.

use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::local;
use crate::slab::Key;

/// A point of the monotonic clock, in nanoseconds: CLOCK_MONOTONIC, one clock for all threads and processes of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

/// The beginning of the monotonic clock.
pub const ORIGIN: Instant = Instant(0);

impl Instant {
    /// Nanoseconds since the clock's own beginning.
    pub fn nanos(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Time from `self` until now.
    pub fn elapsed(self) -> Duration {
        now().since(self)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, d: Duration) -> Instant {
        let ns = u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(ns))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, d: Duration) -> Instant {
        let ns = u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_sub(ns))
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Instant) -> Duration {
        self.since(earlier)
    }
}

fn read_clock(clock: libc::clockid_t) -> (i64, i64) {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid timespec for the length of the call, and the clocks asked for always exist.
    let failed = unsafe { libc::clock_gettime(clock, &mut t) };
    assert_eq!(failed, 0, "these clocks always exist");
    (t.tv_sec, t.tv_nsec)
}

/// The monotonic clock, now. Works on every thread.
pub fn now() -> Instant {
    #[cfg(feature = "sim")]
    if let Some(ns) = crate::sim::now_ns() {
        return Instant(ns);
    }
    let (s, ns) = read_clock(libc::CLOCK_MONOTONIC);
    Instant(s as u64 * 1_000_000_000 + ns as u64)
}

/// Processor time that the calling thread has used, in the kernel and outside of it. Kernel workers that act for its
/// ring have their own.
pub fn thread_cpu() -> Duration {
    let (s, ns) = read_clock(libc::CLOCK_THREAD_CPUTIME_ID);
    Duration::new(s as u64, ns as u32)
}

/// Milliseconds since 1970-01-01 UTC by the system's calendar clock. Works on every thread.
pub fn unix_ms() -> i64 {
    #[cfg(feature = "sim")]
    if let Some(ms) = crate::sim::unix_ms() {
        return ms;
    }
    let (s, ns) = read_clock(libc::CLOCK_REALTIME);
    s * 1000 + ns / 1_000_000
}

/// Waits for `d`; also below a millisecond. Zero returns at the next turn of the loop.
pub async fn sleep(d: Duration) {
    sleep_until(now() + d).await;
}

/// Waits until `deadline`; one that has passed returns at the next turn of the loop.
pub async fn sleep_until(deadline: Instant) {
    Sleep { deadline, key: None }.await;
}

struct Sleep {
    deadline: Instant,
    key: Option<Key>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        local::with(|local| {
            let mut timers = local.timers.borrow_mut();
            match self.key {
                Some(key) if timers.refresh(key, cx.waker()) => Poll::Pending,
                Some(_) => {
                    self.key = None;
                    Poll::Ready(())
                }
                None => {
                    self.key = Some(timers.insert(self.deadline.0, cx.waker().clone()));
                    Poll::Pending
                }
            }
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            local::try_with(|local| local.timers.borrow_mut().cancel(key));
        }
    }
}

/// The time limit of [`timeout`] passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("timed out")]
pub struct Elapsed;

/// `future`'s output, or [`Elapsed`] after `d`; the future is then dropped, which cancels it.
pub async fn timeout<F: Future>(d: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut limit = pin!(sleep(d));
    std::future::poll_fn(move |cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        limit.as_mut().poll(cx).map(|()| Err(Elapsed))
    })
    .await
}

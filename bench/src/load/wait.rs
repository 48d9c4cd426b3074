//! Waiting for one of two things.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use engine::time::{self, Instant};

/// Waits until `future` ends or the clock shows `at` nanoseconds, if that is given.
pub async fn until(at: Option<u64>, future: impl Future<Output = ()>) {
    let Some(at) = at else { return future.await };
    let now = time::now();
    let mut limit = pin!(time::sleep_until(now + at_least(at, now)));
    let mut future = pin!(future);
    poll_fn(move |cx| {
        if future.as_mut().poll(cx).is_ready() { Poll::Ready(()) } else { limit.as_mut().poll(cx) }
    })
    .await;
}

fn at_least(at: u64, now: Instant) -> std::time::Duration {
    std::time::Duration::from_nanos(at.saturating_sub(now.nanos()))
}

//! Tasks: futures that run on the shard that spawned them, in one of four queues with shares.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::local;
use crate::slab::Key;

/// The run queue a task belongs to. When more than one has work, time is divided 1000 : 600 : 200 : 50.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Network readers and writers, the journal, replication.
    Produce = 0,
    /// Tail fetches and long polls.
    Fetch = 1,
    /// Cold reads.
    Cold = 2,
    /// Write-behind, checkpoints, retention, everything that can wait.
    Background = 3,
}

enum Outcome<T> {
    Running(Option<Waker>),
    Done(T),
    Taken,
}

/// Awaits a spawned task's output. Dropping it detaches the task, which goes on running.
pub struct JoinHandle<T> {
    key: Key,
    outcome: Rc<RefCell<Outcome<T>>>,
}

/// Runs `future` on this shard in queue `queue`. It is first polled after the caller awaits.
///
/// # Panics
/// Outside a shard, and beyond [`crate::limits::TASKS_MAX`] tasks.
#[cfg_attr(feature = "sim", track_caller)]
pub fn spawn<T: 'static>(queue: Queue, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
    let outcome = Rc::new(RefCell::new(Outcome::Running(None)));
    let result = outcome.clone();
    let body = async move {
        let value = future.await;
        let before = result.replace(Outcome::Done(value));
        if let Outcome::Running(Some(waker)) = before {
            waker.wake();
        }
    };
    let key = local::with(|local| local.executor.spawn(queue, Box::pin(body)));
    #[cfg(feature = "sim")]
    {
        let place = std::panic::Location::caller();
        local::with(|local| local.executor.set_place(key, place));
    }
    JoinHandle { key, outcome }
}

impl<T> JoinHandle<T> {
    /// Drops the task's future; what it awaited is cancelled. A task that is finished stays finished,
    /// one that cancels itself ends at its next await.
    pub fn cancel(self) {
        local::with(|local| local.executor.cancel(self.key));
    }

    /// The task has produced its output (or was awaited to the end).
    pub fn is_finished(&self) -> bool {
        !matches!(*self.outcome.borrow(), Outcome::Running(_))
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut outcome = self.outcome.borrow_mut();
        match std::mem::replace(&mut *outcome, Outcome::Taken) {
            Outcome::Done(value) => Poll::Ready(value),
            Outcome::Running(_) => {
                *outcome = Outcome::Running(Some(cx.waker().clone()));
                Poll::Pending
            }
            Outcome::Taken => panic!("a JoinHandle was polled after it had given its output"),
        }
    }
}

/// Lets every other ready task of the shard run once before the caller goes on.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

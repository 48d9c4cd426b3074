//! A small pool of threads for system calls the ring lacks.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use crossbeam::channel::{Sender, bounded};

use crate::limits::{BLOCKING_JOBS_MAX, BLOCKING_THREADS, EXECUTORS_MAX};
use crate::local;
use crate::shard::{self, block_all_signals};
use crate::task::Queue;

type Job = Box<dyn FnOnce() + Send>;

struct Outcome<T> {
    value: Option<thread::Result<T>>,
    waker: Option<Waker>,
}

/// Runs `work` on a thread of the process's pool and waits for its result. At most
/// [`BLOCKING_JOBS_MAX`] of a shard's jobs are out at a time; the next wait in order. Dropping the future
/// does not stop work that is out. A panic in `work` goes on in the caller.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let limit = local::with(|local| local.blocking.clone());
    let permit = limit.acquire(1).await.expect("the limit on blocking jobs is never closed");
    #[cfg(feature = "sim")]
    if crate::sim::is_running() {
        let result = crate::sim::run_job(work, permit).await;
        return result.unwrap_or_else(|panic| shard::go_on_panicking(panic));
    }
    let shared = Arc::new(Mutex::new(Outcome { value: None, waker: None }));
    let outcome = shared.clone();
    let job: Job = Box::new(move || {
        let value = catch_unwind(AssertUnwindSafe(work));
        let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.value = Some(value);
        let waker = outcome.waker.take();
        drop(outcome);
        if let Some(waker) = waker {
            waker.wake();
        }
    });
    // The queue holds every job that all shards' limits let out, so this never blocks. A caller
    // that gives up leaves its job in the queue and its permit with it, below.
    pool().send(job).expect("the pool's threads live as long as the process");
    let result = Waiting { shared: Some(shared), permit: Some(permit) }.await;
    result.unwrap_or_else(|panic| shard::go_on_panicking(panic))
}

struct Waiting<T: Send + 'static> {
    shared: Option<Arc<Mutex<Outcome<T>>>>,
    permit: Option<crate::sync::Permit>,
}

impl<T: Send + 'static> Future for Waiting<T> {
    type Output = thread::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let shared = self.shared.as_ref().expect("a finished job is not polled");
        let mut outcome = shared.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome.value.take() {
            Some(value) => {
                drop(outcome);
                self.shared = None;
                Poll::Ready(value)
            }
            None => {
                outcome.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T: Send + 'static> Drop for Waiting<T> {
    fn drop(&mut self) {
        // The job of a caller that gave up keeps its permit until it is done, so that the bound on jobs
        // holds whatever callers do.
        let (Some(shared), Some(permit)) = (self.shared.take(), self.permit.take()) else { return };
        let rest = Waiting { shared: Some(shared), permit: None };
        local::try_with(|local| {
            let wait = async move {
                let _ = rest.await;
                drop(permit);
            };
            local.executor.try_spawn(Queue::Background, Box::pin(wait))
        });
    }
}

fn pool() -> &'static Sender<Job> {
    static POOL: OnceLock<Sender<Job>> = OnceLock::new();
    POOL.get_or_init(|| {
        let (sender, receiver) = bounded::<Job>(EXECUTORS_MAX * BLOCKING_JOBS_MAX as usize);
        for i in 0..BLOCKING_THREADS {
            let receiver = receiver.clone();
            let work = move || {
                block_all_signals();
                receiver.into_iter().for_each(|job| job());
            };
            let thread = thread::Builder::new().name(format!("blocking-{i}"));
            thread.spawn(work).expect("the process can start its two helper threads");
        }
        sender
    })
}

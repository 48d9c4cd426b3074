//! The single-threaded executor: a slab of tasks and the run queues.
//!
//! Holds always: a task is in a run queue at most once; a future is polled or dropped while nothing of
//! the executor is borrowed, so that it may spawn, wake and cancel freely.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::limits::TASKS_MAX;
use crate::queue::RunQueues;
use crate::slab::{Key, Slab};
use crate::task::Queue;
use crate::waker;

pub(crate) type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

struct Task {
    /// Absent while the task is being polled.
    future: Option<LocalFuture>,
    queue: Queue,
    /// In a run queue.
    scheduled: bool,
    /// Cancelled while it was being polled: dropped when that poll returns.
    cancelled: bool,
    /// Where it was spawned: its name in the simulator's report of a process that is stuck.
    #[cfg(feature = "sim")]
    place: Option<&'static std::panic::Location<'static>>,
}

pub(crate) struct Executor {
    id: u16,
    tasks: RefCell<Slab<Task>>,
    runs: RefCell<RunQueues>,
    ending: Cell<bool>,
}

impl Executor {
    pub fn new(id: u16) -> Self {
        let (tasks, runs) = (RefCell::new(Slab::new()), RefCell::default());
        Executor { id, tasks, runs, ending: Cell::new(false) }
    }

    pub fn spawn(&self, queue: Queue, future: LocalFuture) -> Key {
        let mut tasks = self.tasks.borrow_mut();
        assert!(tasks.len() < TASKS_MAX, "more than {TASKS_MAX} tasks on one shard");
        let task = Task {
            future: Some(future),
            queue,
            scheduled: true,
            cancelled: false,
            #[cfg(feature = "sim")]
            place: None,
        };
        let key = tasks.insert(task);
        self.runs.borrow_mut().push(queue, key);
        key
    }

    /// Spawns unless the shard is ending, when new tasks would never run.
    pub fn try_spawn(&self, queue: Queue, future: LocalFuture) -> Option<Key> {
        (!self.ending.get()).then(|| self.spawn(queue, future))
    }

    /// Makes a task ready; one that is ready already, or gone, stays as it is.
    pub fn schedule(&self, key: Key) {
        if let Some(task) = self.tasks.borrow_mut().get_mut(key)
            && !task.scheduled
        {
            task.scheduled = true;
            self.runs.borrow_mut().push(task.queue, key);
        }
    }

    /// Drops a task's future now, or at the end of its poll if it is the one running.
    pub fn cancel(&self, key: Key) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(task) = tasks.get_mut(key) else { return };
        let future = if task.future.is_some() {
            tasks.remove(key)
        } else {
            task.cancelled = true;
            None
        };
        drop(tasks);
        drop(future);
    }

    pub fn is_idle(&self) -> bool {
        self.runs.borrow().is_empty()
    }

    pub fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    #[cfg(feature = "sim")]
    pub fn set_place(&self, key: Key, place: &'static std::panic::Location<'static>) {
        if let Some(task) = self.tasks.borrow_mut().get_mut(key) {
            task.place = Some(place);
        }
    }

    /// Where the tasks alive were spawned, in order of their places in the slab.
    #[cfg(feature = "sim")]
    pub fn places(&self) -> Vec<String> {
        let mut tasks = self.tasks.borrow_mut();
        let keys = tasks.keys();
        let places = keys.into_iter().filter_map(|key| tasks.get_mut(key).map(|t| t.place));
        let name = |place: Option<&std::panic::Location<'_>>| match place {
            Some(place) => place.to_string(),
            None => "a task of the engine".to_owned(),
        };
        places.map(name).collect()
    }

    /// Polls the next ready task; its queue, or None when nothing is ready.
    pub fn poll_next(&self) -> Option<usize> {
        let (queue, key) = self.runs.borrow_mut().pop()?;
        let taken = self.tasks.borrow_mut().get_mut(key).and_then(|task| {
            task.scheduled = false;
            task.future.take()
        });
        let Some(mut future) = taken else { return Some(queue) };
        let waker = waker::of_task(self.id, key);
        let done = match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(()) => true,
            Poll::Pending => {
                let mut tasks = self.tasks.borrow_mut();
                let task = tasks.get_mut(key).expect("a running task is not removed");
                if task.cancelled {
                    true
                } else {
                    task.future = Some(future);
                    return Some(queue);
                }
            }
        };
        if done {
            let removed = self.tasks.borrow_mut().remove(key);
            drop(removed);
        }
        Some(queue)
    }

    pub fn charge(&self, queue: usize, ns: u64) {
        self.runs.borrow_mut().charge(queue, ns);
    }

    /// Drops every task, also those that dropping others brings about.
    pub fn clear(&self) {
        self.ending.set(true);
        loop {
            let keys = self.tasks.borrow().keys();
            if keys.is_empty() {
                return;
            }
            for key in keys {
                let removed = self.tasks.borrow_mut().remove(key);
                drop(removed);
            }
        }
    }
}

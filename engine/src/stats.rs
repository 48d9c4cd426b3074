//! Counters of a shard's loop, for metrics and for measurements.

use std::cell::Cell;

use crate::local;
use crate::queue::QUEUES;

/// What a shard's loop has done since it started. Counts only grow, unless named otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Turns of the loop.
    pub turns: u64,
    /// `io_uring_enter` calls.
    pub enters: u64,
    /// Of those, calls that were allowed to wait.
    pub waits: u64,
    /// Operations handed to the ring.
    pub submissions: u64,
    /// Completions taken from the ring.
    pub completions: u64,
    /// Wake-ups this shard sent to other rings.
    pub wakes_sent: u64,
    /// Times other threads had to wake this shard.
    pub wakes_received: u64,
    /// Tasks polled.
    pub polls: u64,
    /// Time spent polling, in nanoseconds, by queue (produce, fetch, cold, background).
    pub queue_ns: [u64; QUEUES],
    /// Polls longer than [`crate::limits::LONG_TASK`], by queue.
    pub long_tasks: [u64; QUEUES],
    /// The longest poll, in nanoseconds.
    pub longest_task_ns: u64,
    /// Receives that found no provided buffer free.
    pub receive_starved: u64,
    /// Received chunks copied out because provided buffers ran low.
    pub receive_copied: u64,
    /// Sends that found the socket's buffer full.
    pub sends_blocked: u64,
    /// Operations in flight now.
    pub operations: u64,
    /// Tasks alive now.
    pub tasks: u64,
}

/// The cells behind [`Stats`].
#[derive(Default)]
pub(crate) struct Counters {
    pub turns: Cell<u64>,
    pub polls: Cell<u64>,
    pub queue_ns: [Cell<u64>; QUEUES],
    pub long_tasks: [Cell<u64>; QUEUES],
    pub longest_task_ns: Cell<u64>,
}

/// Adds to a counter.
pub(crate) fn add(cell: &Cell<u64>, n: u64) {
    cell.set(cell.get() + n);
}

/// This shard's counters.
pub fn read() -> Stats {
    local::with(|local| {
        let (counters, ring) = (&local.counters, local.ring_counters());
        Stats {
            turns: counters.turns.get(),
            enters: ring.enters.get(),
            waits: ring.waits.get(),
            submissions: ring.submissions.get(),
            completions: ring.completions.get(),
            wakes_sent: ring.wakes_sent.get(),
            wakes_received: local.remote.wakes(),
            polls: counters.polls.get(),
            queue_ns: std::array::from_fn(|i| counters.queue_ns[i].get()),
            long_tasks: std::array::from_fn(|i| counters.long_tasks[i].get()),
            longest_task_ns: counters.longest_task_ns.get(),
            receive_starved: ring.receive_starved.get(),
            receive_copied: ring.receive_copied.get(),
            sends_blocked: ring.sends_blocked.get(),
            operations: local.in_flight() as u64,
            tasks: local.executor.len() as u64,
        }
    })
}

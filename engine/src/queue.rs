//! Run queues with shares: which ready task runs next.
//!
//! Each queue has a virtual runtime, real time divided by its shares; the queue that is furthest
//! behind runs. A queue that was empty starts level with the others, so that idling saves up nothing.

use std::collections::VecDeque;

use crate::slab::Key;
use crate::task::Queue;

/// Number of run queues.
pub(crate) const QUEUES: usize = 4;

const SHARES: [u64; QUEUES] = [1000, 600, 200, 50];

/// Name of a queue in logs and statistics.
pub(crate) const NAMES: [&str; QUEUES] = ["produce", "fetch", "cold", "background"];

#[derive(Default)]
struct Run {
    ready: VecDeque<Key>,
    virtual_ns: u64,
}

/// The ready tasks of one shard.
#[derive(Default)]
pub(crate) struct RunQueues {
    runs: [Run; QUEUES],
    ready: usize,
    /// Virtual time of the queue that ran last, as it was when it was picked (start-time fair queueing).
    clock: u64,
}

impl RunQueues {
    pub fn is_empty(&self) -> bool {
        self.ready == 0
    }

    pub fn push(&mut self, queue: Queue, key: Key) {
        let i = queue as usize;
        if self.runs[i].ready.is_empty() {
            self.runs[i].virtual_ns = self.runs[i].virtual_ns.max(self.clock);
        }
        self.runs[i].ready.push_back(key);
        self.ready += 1;
    }

    /// The next task, with its queue; the caller reports the time it took to [`RunQueues::charge`].
    pub fn pop(&mut self) -> Option<(usize, Key)> {
        let busy = self.runs.iter().enumerate().filter(|(_, run)| !run.ready.is_empty());
        let (i, _) = busy.min_by_key(|(_, run)| run.virtual_ns)?;
        self.ready -= 1;
        self.clock = self.runs[i].virtual_ns;
        self.runs[i].ready.pop_front().map(|key| (i, key))
    }

    pub fn charge(&mut self, queue: usize, ns: u64) {
        // At least one nanosecond, so that equal queues take turns.
        self.runs[queue].virtual_ns += ns.max(1) * SHARES[0] / SHARES[queue];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u32) -> Key {
        Key { index, generation: 0 }
    }

    #[test]
    fn one_queue_is_first_in_first_out() {
        let mut runs = RunQueues::default();
        (0..3).for_each(|i| runs.push(Queue::Fetch, key(i)));
        let order: Vec<u32> = std::iter::from_fn(|| runs.pop()).map(|(_, k)| k.index).collect();
        assert_eq!(order, [0, 1, 2]);
        assert!(runs.is_empty());
    }

    #[test]
    fn equal_work_is_divided_by_shares() {
        let mut runs = RunQueues::default();
        let queues = [Queue::Produce, Queue::Fetch, Queue::Cold, Queue::Background];
        queues.iter().for_each(|q| runs.push(*q, key(*q as u32)));
        let mut count = [0u64; QUEUES];
        for _ in 0..18_500 {
            let (i, k) = runs.pop().expect("all four stay busy");
            runs.charge(i, 1000);
            count[i] += 1;
            runs.push(queues[i], k);
        }
        for (i, n) in count.iter().enumerate() {
            assert!(n.abs_diff(SHARES[i] * 10) <= SHARES[i] / 5, "queue {i} ran {n} times");
        }
    }

    #[test]
    fn a_queue_that_slept_does_not_catch_up() {
        let mut runs = RunQueues::default();
        runs.push(Queue::Produce, key(0));
        for _ in 0..1000 {
            let (i, k) = runs.pop().expect("busy");
            runs.charge(i, 1000);
            runs.push(Queue::Produce, k);
        }
        runs.push(Queue::Background, key(1));
        let mut background = 0;
        for _ in 0..210 {
            let (i, k) = runs.pop().expect("busy");
            runs.charge(i, 1000);
            background += u32::from(i == Queue::Background as usize);
            runs.push(if i == 0 { Queue::Produce } else { Queue::Background }, k);
        }
        assert!((9..=12).contains(&background), "ran {background} of 210 times");
    }
}

//! Fetches of this shard's connections that wait for something to happen in a log.
//!
//! Home side: the logs may live on any shard. A fetch registers each log it waits for; a notice that
//! a log moved (from the local store, or by mail) marks which of its partitions to read again and
//! wakes it once, however many moved. Registration is one-shot per log: a notice takes all entries of
//! its log out, a fetch that goes on waiting registers again with its next read.
//!
//! Invariant: an id in `by_log` is in `waits`, and the log is in that wait's `logs`.

use std::collections::BTreeMap;
use std::rc::Rc;

use ahash::{AHashMap, RandomState};
use engine::sync::Notify;
use storage::ids::LogId;

/// A waiting fetch.
#[derive(Default)]
struct Wait {
    /// Places (in the fetch's list) whose logs moved since the fetch last looked.
    fired: Vec<usize>,
    logs: Vec<LogId>,
}

/// All waiting fetches of one shard.
pub struct Waits {
    by_log: AHashMap<LogId, BTreeMap<u64, usize>>,
    waits: AHashMap<u64, (Wait, Rc<Notify>)>,
    next: u64,
}

impl Default for Waits {
    fn default() -> Self {
        Waits {
            by_log: AHashMap::with_hasher(RandomState::with_seeds(2, 7, 1, 8)),
            waits: AHashMap::with_hasher(RandomState::with_seeds(2, 8, 1, 8)),
            next: 0,
        }
    }
}

impl Waits {
    /// Begins a wait over nothing; `wake` is notified when one of its logs moves.
    pub fn begin(&mut self, wake: Rc<Notify>) -> u64 {
        let id = self.next;
        self.next += 1;
        self.waits.insert(id, (Wait::default(), wake));
        id
    }

    /// Adds a log to a wait; `place` is what [`Waits::take_fired`] says when it moves.
    pub fn watch(&mut self, id: u64, log: LogId, place: usize) {
        let (wait, _) = self.waits.get_mut(&id).expect("the wait has begun and not ended");
        if self.by_log.entry(log).or_default().insert(id, place).is_none() {
            wait.logs.push(log);
        }
    }

    /// A log moved: its waits are marked and woken.
    pub fn on_moved(&mut self, log: &LogId) {
        let Some(entries) = self.by_log.remove(log) else { return };
        for (id, place) in entries {
            let (wait, wake) = self.waits.get_mut(&id).expect("an id in by_log is in waits");
            wait.logs.retain(|other| other != log);
            wait.fired.push(place);
            wake.notify_all();
        }
    }

    /// The places whose logs moved since the last call.
    pub fn take_fired(&mut self, id: u64) -> Vec<usize> {
        let (wait, _) = self.waits.get_mut(&id).expect("the wait has begun and not ended");
        std::mem::take(&mut wait.fired)
    }

    /// Whether a log moved since the last [`Waits::take_fired`].
    pub fn has_fired(&self, id: u64) -> bool {
        self.waits.get(&id).is_some_and(|(wait, _)| !wait.fired.is_empty())
    }

    /// Ends a wait.
    pub fn end(&mut self, id: u64) {
        let Some((wait, _)) = self.waits.remove(&id) else { return };
        for log in &wait.logs {
            let entries = self.by_log.get_mut(log).expect("a wait's log is in by_log");
            entries.remove(&id);
            if entries.is_empty() {
                self.by_log.remove(log);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(partition: u32) -> LogId {
        LogId { topic: [1; 16], partition, incarnation: 0 }
    }

    #[test]
    fn a_moved_log_fires_once_for_each_fetch_that_waits_for_it() {
        let mut waits = Waits::default();
        let (a, b) = (waits.begin(Rc::default()), waits.begin(Rc::default()));
        waits.watch(a, log(0), 0);
        waits.watch(a, log(1), 1);
        waits.watch(b, log(1), 0);
        waits.on_moved(&log(1));
        waits.on_moved(&log(1));
        assert_eq!((waits.take_fired(a), waits.take_fired(b)), (vec![1], vec![0]));
        assert!(waits.take_fired(a).is_empty());
        waits.on_moved(&log(0));
        assert_eq!(waits.take_fired(a), [0]);
    }

    #[test]
    fn an_ended_wait_leaves_nothing_behind() {
        let mut waits = Waits::default();
        let (a, b) = (waits.begin(Rc::default()), waits.begin(Rc::default()));
        for id in [a, b] {
            waits.watch(id, log(0), 0);
            waits.watch(id, log(0), 0);
        }
        waits.end(a);
        waits.on_moved(&log(0));
        assert_eq!(waits.take_fired(b), [0]);
        waits.end(b);
        assert!(waits.waits.is_empty() && waits.by_log.is_empty());
    }
}

//! A fetch that waits for its logs to move, as the fetch sees it.

use std::rc::Rc;

use engine::sync::Notify;
use storage::ids::LogId;

use super::shard::Shard;

/// A wait for the next move of some logs, here or on other shards. Dropping it ends the wait.
pub struct Watching {
    shard: Rc<Shard>,
    id: u64,
    wake: Rc<Notify>,
}

impl Watching {
    /// Begins a wait over nothing.
    pub fn begin(shard: &Rc<Shard>) -> Watching {
        let wake = Rc::new(Notify::default());
        let id = shard.waits.borrow_mut().begin(wake.clone());
        Watching { shard: shard.clone(), id, wake }
    }

    /// Adds a log. Its owner tells of the next move only when it is asked to (see
    /// [`ReadCall::watch_below`](super::ReadCall::watch_below)), so this comes before the read.
    pub fn watch(&self, log: LogId, place: usize) {
        self.shard.waits.borrow_mut().watch(self.id, log, place);
    }

    /// Resolves when a log has moved since the last [`Watching::take_fired`].
    pub async fn moved(&self) {
        while !self.shard.waits.borrow().has_fired(self.id) {
            self.wake.notified().await;
        }
    }

    /// The places whose logs moved. They are no longer watched.
    pub fn take_fired(&self) -> Vec<usize> {
        self.shard.waits.borrow_mut().take_fired(self.id)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.shard.waits.borrow_mut().end(self.id);
    }
}

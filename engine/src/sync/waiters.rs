//! Tasks that wait in line.

use std::collections::BTreeMap;
use std::task::Waker;

/// Wakers by ticket; the lowest ticket has waited longest. Leaving the line costs O(log n).
#[derive(Default)]
pub(crate) struct Waiters {
    line: BTreeMap<u64, Waker>,
    next: u64,
}

impl Waiters {
    /// Joins the end of the line, or stays at one's place with a fresh waker.
    pub fn wait(&mut self, ticket: &mut Option<u64>, waker: &Waker) {
        let number = *ticket.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.line.insert(number, waker.clone());
    }

    /// Leaves the line; true if one was still in it.
    pub fn leave(&mut self, ticket: u64) -> bool {
        self.line.remove(&ticket).is_some()
    }

    pub fn contains(&self, ticket: u64) -> bool {
        self.line.contains_key(&ticket)
    }

    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Takes the first in line out of it and wakes it.
    pub fn wake_one(&mut self) -> bool {
        self.line.pop_first().map(|(_, waker)| waker.wake()).is_some()
    }

    pub fn wake_all(&mut self) {
        std::mem::take(&mut self.line).into_values().for_each(Waker::wake);
    }
}

//! A limit on log lines that peers can cause: one per interval, and how many were held back.

use std::cell::Cell;
use std::time::Duration;

use engine::time::{self, Instant};

/// Lets one line through per interval.
pub struct LogLimit {
    interval: Duration,
    last: Cell<Option<Instant>>,
    held_back: Cell<u64>,
}

impl LogLimit {
    /// One line per `interval`.
    pub const fn new(interval: Duration) -> LogLimit {
        LogLimit { interval, last: Cell::new(None), held_back: Cell::new(0) }
    }

    /// `Some(n)` when a line may be written now, `n` lines having been held back since the last.
    pub fn take(&self) -> Option<u64> {
        self.take_at(time::now())
    }

    fn take_at(&self, now: Instant) -> Option<u64> {
        if self.last.get().is_some_and(|last| now < last + self.interval) {
            self.held_back.set(self.held_back.get() + 1);
            return None;
        }
        self.last.set(Some(now));
        Some(self.held_back.take())
    }
}

//! What the threads of a run have in common: plain numbers, each written by one side and looked at by the others every
//! few milliseconds.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use crate::error::BenchError;

/// When what happens, on the monotonic clock in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The first record is meant for about then.
    pub begin: u64,
    /// The measured time begins.
    pub measure: u64,
    /// It ends, and the schedule with it.
    pub end: u64,
}

/// Decisions of the calling thread, and what it has to know.
#[derive(Debug, Default)]
pub struct Control {
    begin: AtomicU64,
    measure: AtomicU64,
    end: AtomicU64,
    /// Clients that are connected and wait for the begin.
    pub ready: AtomicUsize,
    /// Producers that have nothing left to send or wait for.
    pub finished: AtomicUsize,
    /// When all producers had; 0 not yet.
    pub produced: AtomicU64,
    /// Consumers that were held back may read.
    pub released: AtomicBool,
    /// Consumers that have seen all that was acknowledged, or given up.
    pub drained: AtomicUsize,
    /// Consumers that have read what lay there before the load.
    pub caught_up: AtomicUsize,
    /// When the last of them had.
    pub caught_up_at: AtomicU64,
    /// Things beside that have their figures.
    pub sides_done: AtomicUsize,
    /// Everybody ends: what was asked for is done, or the run has failed or was interrupted.
    pub stopped: AtomicBool,
    /// A signal asked for the end.
    pub interrupted: AtomicBool,
    /// By lane, one more than the offset of the last record acknowledged.
    pub acked_ends: Vec<AtomicI64>,
    failure: Mutex<Option<BenchError>>,
}

impl Control {
    /// For so many lanes.
    pub fn new(lanes: usize) -> Control {
        let acked_ends = (0..lanes).map(|_| AtomicI64::new(0)).collect();
        Control { acked_ends, ..Control::default() }
    }

    /// Decides when it begins.
    pub fn set_times(&self, times: Times) {
        self.measure.store(times.measure, SeqCst);
        self.end.store(times.end, SeqCst);
        self.begin.store(times.begin, SeqCst);
    }

    /// When it begins, once that is decided.
    pub fn times(&self) -> Option<Times> {
        match self.begin.load(SeqCst) {
            0 => None,
            begin => Some(Times {
                begin,
                measure: self.measure.load(SeqCst),
                end: self.end.load(SeqCst),
            }),
        }
    }

    /// Everybody shall end.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(SeqCst)
    }

    /// Ends the run for a reason; the first one counts.
    pub fn fail(&self, error: BenchError) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
        drop(failure);
        self.stopped.store(true, SeqCst);
    }

    /// Why it was ended, if it failed.
    pub fn failure(&self) -> Option<BenchError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

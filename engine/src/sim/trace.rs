//! What happened, in order: a hash of it always, lines of it if asked for.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// Lines kept; of a longer run the latest.
const LINES_MAX: usize = 1 << 20;

pub(super) struct Trace {
    hash: Cell<u64>,
    events: Cell<u64>,
    lines: Option<RefCell<VecDeque<String>>>,
}

impl Trace {
    pub fn new(lines: bool) -> Trace {
        let lines = lines.then(RefCell::default);
        Trace { hash: Cell::new(0xcbf2_9ce4_8422_2325), events: Cell::new(0), lines }
    }

    /// An event: the numbers that tell it from others, and what a person reads.
    pub fn event(&self, numbers: &[u64], line: impl FnOnce() -> String) {
        let mut hash = self.hash.get();
        for number in numbers {
            hash = (hash ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
        self.hash.set(hash);
        self.events.set(self.events.get() + 1);
        if let Some(lines) = &self.lines {
            let mut lines = lines.borrow_mut();
            if lines.len() == LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(line());
        }
    }

    pub fn hash(&self) -> u64 {
        self.hash.get()
    }

    pub fn events(&self) -> u64 {
        self.events.get()
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.as_ref().map_or_else(Vec::new, |lines| lines.borrow().iter().cloned().collect())
    }
}

/// A number that stands for `bytes`: their length and up to 64 words spread over them.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    let step = (bytes.len() / 64).max(8);
    let mut hash = bytes.len() as u64;
    for part in bytes.chunks(step) {
        let mut word = [0; 8];
        let n = part.len().min(8);
        word[..n].copy_from_slice(&part[..n]);
        hash =
            (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    hash
}

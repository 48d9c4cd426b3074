//! Record bytes that responses of this shard's connections keep from being freed.

use std::cell::Cell;

use engine::sync::Notify;

/// A count of bytes, and a signal when it gets less.
#[derive(Default)]
pub struct Pinned {
    bytes: Cell<usize>,
    released: Notify,
}

impl Pinned {
    /// Bytes pinned now.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    pub(super) fn pin(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes);
    }

    pub(super) fn release(&self, bytes: usize) {
        if bytes > 0 {
            self.bytes.set(self.bytes.get() - bytes);
            self.released.notify_all();
        }
    }

    /// Waits until fewer than `max` bytes are pinned.
    pub async fn below(&self, max: usize) {
        while self.bytes.get() >= max {
            self.released.notified().await;
        }
    }
}

//! The producer ids one shard may hand out without asking.
//!
//! A block is durable before its first id leaves, so no id is ever given twice: a crash skips the
//! rest of the block.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use engine::sync::Semaphore;

use super::{ControllerHandle, Refusal};

/// A shard's block of producer ids. Clones share the block.
#[derive(Clone)]
pub struct ProducerIds {
    controller: ControllerHandle,
    block: Rc<RefCell<Range<i64>>>,
    /// One request for a new block at a time; the others wait for it.
    refill: Rc<Semaphore>,
}

impl ProducerIds {
    /// An empty block: the first id asked for fetches one.
    pub fn new(controller: ControllerHandle) -> ProducerIds {
        ProducerIds {
            controller,
            block: Rc::new(RefCell::new(0..0)),
            refill: Rc::new(Semaphore::new(1)),
        }
    }

    /// An id that nobody else ever gets.
    ///
    /// # Errors
    /// What [`ControllerHandle::take_producer_ids`] refuses with.
    pub async fn next(&self) -> Result<i64, Refusal> {
        if let Some(id) = self.take() {
            return Ok(id);
        }
        let _permit = self.refill.acquire(1).await;
        loop {
            // Somebody else may have fetched a block while this one waited for the permit.
            if let Some(id) = self.take() {
                return Ok(id);
            }
            let block = self.controller.take_producer_ids().await?;
            *self.block.borrow_mut() = block;
        }
    }

    fn take(&self) -> Option<i64> {
        self.block.borrow_mut().next()
    }
}

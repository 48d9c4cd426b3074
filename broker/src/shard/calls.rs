//! Calls of this shard to others that were posted and not yet answered.
//!
//! A call takes a permit of its peer's window before it is posted and gives it back when the answer
//! arrives, even if nobody waits for the answer any more. So the mail between two shards is bounded
//! by the two windows, and posting never has to wait.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use engine::shard::ShardId;
use engine::sync::{Permit, Receiver, Semaphore, Sender, oneshot};

use super::mail::Answer;
use crate::limits::CALLS_PER_PEER_MAX;

/// The right to post one call to a certain peer.
pub struct Window(Permit);

struct InFlight {
    answer: Sender<Answer>,
    _window: Permit,
}

/// The table of calls in flight. The slot number goes out with the call and comes back with the
/// answer.
pub struct Calls {
    windows: Vec<Semaphore>,
    table: RefCell<Table>,
}

#[derive(Default)]
struct Table {
    slots: Vec<Option<InFlight>>,
    free: Vec<u32>,
}

/// An answer to come.
pub struct Pending(Receiver<Answer>);

impl Calls {
    /// No call is in flight to any of `shards` peers.
    pub fn new(shards: usize) -> Calls {
        let windows = (0..shards).map(|_| Semaphore::new(CALLS_PER_PEER_MAX as u64)).collect();
        Calls { windows, table: RefCell::default() }
    }

    /// Waits, in the order of asking, until a call to `to` may be posted.
    pub async fn window(&self, to: ShardId) -> Window {
        let permit = self.windows[usize::from(to.0)].acquire(1).await;
        Window(permit.expect("windows are never closed"))
    }

    /// Takes a slot for a call that is posted right after.
    pub fn begin(&self, window: Window) -> (u32, Pending) {
        let (answer, receiver) = oneshot();
        let in_flight = InFlight { answer, _window: window.0 };
        let mut table = self.table.borrow_mut();
        let slot = match table.free.pop() {
            Some(slot) => {
                table.slots[slot as usize] = Some(in_flight);
                slot
            }
            None => {
                table.slots.push(Some(in_flight));
                (table.slots.len() - 1) as u32
            }
        };
        (slot, Pending(receiver))
    }

    /// The answer to the call in `slot` arrived.
    ///
    /// # Panics
    /// When no call is in flight there: a peer answered twice.
    pub fn on_answer(&self, slot: u32, answer: Answer) {
        let mut table = self.table.borrow_mut();
        let in_flight = table.slots[slot as usize].take().expect("a call is answered once");
        table.free.push(slot);
        drop(table);
        // Nobody may wait for it any more; then the answer is dropped here.
        let _ = in_flight.answer.send(answer);
    }
}

impl Future for Pending {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let answer = Pin::new(&mut self.0).poll(cx);
        answer.map(|answer| answer.expect("the table keeps the sender until the answer arrives"))
    }
}

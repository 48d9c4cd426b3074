//! A signal that something may have changed.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::waiters::Waiters;

#[derive(Default)]
struct State {
    /// How often `notify_all` was called.
    rounds: u64,
    /// A `notify_one` that found nobody waiting.
    spare: bool,
    waiters: Waiters,
}

/// Wakes tasks that wait for a condition kept elsewhere. Take [`Notify::notified`] first, then look at the
/// condition, then await: a `notify_all` in between is not lost.
#[derive(Default)]
pub struct Notify {
    state: RefCell<State>,
}

impl Notify {
    /// A signal nobody has given yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends every [`Notified`] that was taken before this call.
    pub fn notify_all(&self) {
        let mut state = self.state.borrow_mut();
        state.rounds += 1;
        state.waiters.wake_all();
    }

    /// Ends the wait of the first in line; with nobody in line, the next one that waits ends at once.
    pub fn notify_one(&self) {
        let mut state = self.state.borrow_mut();
        if !state.waiters.wake_one() {
            state.spare = true;
        }
    }

    /// A future that ends with the next `notify_all`, or with a `notify_one` that is its turn.
    pub fn notified(&self) -> Notified<'_> {
        Notified { notify: self, rounds: self.state.borrow().rounds, ticket: None }
    }
}

/// Waits for one notification.
pub struct Notified<'a> {
    notify: &'a Notify,
    rounds: u64,
    ticket: Option<u64>,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.notify.state.borrow_mut();
        let one = self.ticket.is_some_and(|t| !state.waiters.contains(t));
        if one || state.rounds != self.rounds {
            drop(state);
            self.ticket = None;
            return Poll::Ready(());
        }
        if self.ticket.is_none() && std::mem::take(&mut state.spare) {
            return Poll::Ready(());
        }
        let mut ticket = self.ticket;
        state.waiters.wait(&mut ticket, cx.waker());
        drop(state);
        self.ticket = ticket;
        Poll::Pending
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.notify.state.borrow_mut();
        let waiting = state.waiters.leave(ticket);
        // It was this one's turn and it goes away unheard: pass the turn on.
        if !waiting && state.rounds == self.rounds && !state.waiters.wake_one() {
            state.spare = true;
        }
    }
}

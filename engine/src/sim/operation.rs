//! An operation in flight, and the future that awaits it.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::action::{Action, Output};
use super::shared::Shared;
use crate::slab::Key;

pub(super) struct Op {
    order: u64,
    /// Until it is performed.
    action: Option<Action>,
    output: Option<Output>,
    waker: Option<Waker>,
    /// Its future is gone.
    abandoned: bool,
}

impl Op {
    pub fn new(order: u64, action: Action) -> Op {
        Op { order, action: Some(action), output: None, waker: None, abandoned: false }
    }

    pub fn order(&self) -> u64 {
        self.order
    }

    pub fn is_disk(&self) -> bool {
        self.action.as_ref().is_some_and(Action::is_disk)
    }

    pub fn start(&mut self) -> Option<Action> {
        self.action.take()
    }

    pub fn finish(&mut self, output: Output) -> Option<Waker> {
        self.output = Some(output);
        self.waker.take()
    }

    pub fn is_abandoned(&self) -> bool {
        self.abandoned
    }
}

/// A future for one operation's output. Dropped early, it leaves the operation to the dice: it is
/// cancelled without effect, or goes on with nobody to hear of it.
#[must_use = "dropping it asks for the operation's cancellation"]
pub(super) struct Io {
    shared: Rc<Shared>,
    key: Option<Key>,
}

impl Io {
    pub fn new(shared: Rc<Shared>, key: Key) -> Io {
        Io { shared, key: Some(key) }
    }

    /// What a process that is about to end gets.
    pub fn never(shared: Rc<Shared>) -> Io {
        Io { shared, key: None }
    }
}

impl Future for Io {
    type Output = Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        let Some(key) = self.key else { return Poll::Pending };
        let mut ops = self.shared.ops.borrow_mut();
        let op = ops.get_mut(key).expect("an operation stays until its future has the output");
        match op.output.take() {
            Some(output) => {
                let op = ops.remove(key);
                drop(ops);
                drop(op);
                self.key = None;
                Poll::Ready(output)
            }
            None => {
                op.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        // While the simulator itself panics, its message matters more than this operation.
        let Ok(mut ops) = self.shared.ops.try_borrow_mut() else { return };
        let Some(op) = ops.get_mut(key) else { return };
        // The end of the process settles what is in flight.
        if self.shared.is_dead() {
            op.waker = None;
            return;
        }
        let done = op.output.is_some();
        let cancelled = !done && op.is_disk() && self.shared.faults.one_in(2);
        if done || cancelled {
            let op = ops.remove(key);
            drop(ops);
            drop(op);
            if cancelled {
                self.shared.disk.borrow_mut().note_cancelled();
            }
        } else {
            op.abandoned = true;
            op.waker = None;
        }
    }
}

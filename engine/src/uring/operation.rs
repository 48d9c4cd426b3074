//! Operations in flight: who hears of their completion, and what they own until then.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::{Descriptor, Hold};
use crate::local;
use crate::net::{Acceptor, Socket};
use crate::slab::Key;

/// Who is told when an operation completes.
pub(super) enum Listener {
    /// An [`Operation`] future.
    Future { waker: Option<Waker>, result: Option<i32> },
    /// Nobody any more: the future was dropped. The result is thrown away.
    Nobody,
    /// A socket's receiving side; multishot receives complete more than once.
    Receive(Rc<Socket>),
    /// A socket's sending side.
    Send(Rc<Socket>),
    /// A listener; completes once per connection.
    Accept(Rc<Acceptor>),
}

/// One operation in flight.
pub(super) struct InFlight {
    pub listener: Listener,
    pub hold: Hold,
    /// Keeps the descriptor open. Never read.
    pub _fd: Option<Rc<Descriptor>>,
    /// A successful result is a new descriptor.
    pub gives_descriptor: bool,
}

/// A future for one operation's result (as the system call gives it, errors negative) and for what it
/// owned. Dropped early, it leaves the operation to itself: a cancellation is asked for, and the memory is
/// freed when the kernel is done with it.
#[must_use = "dropping it asks for the operation's cancellation"]
pub(crate) struct Operation {
    pub(super) key: Option<Key>,
}

impl Future for Operation {
    type Output = (i32, Hold);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let key = self.key.expect("a finished operation is not polled");
        let done = local::with(|local| local.ring().poll(key, cx.waker()));
        match done {
            Some(output) => {
                self.key = None;
                Poll::Ready(output)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            local::try_with(|local| local.ring().abandon(key));
        }
    }
}

//! Weighted permits, given out strictly in order.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

struct Waiter {
    wanted: u64,
    waker: Waker,
}

struct State {
    capacity: u64,
    free: u64,
    line: BTreeMap<u64, Waiter>,
    /// Tickets whose permits were taken out of `free` for them and not yet picked up.
    granted: BTreeMap<u64, u64>,
    next: u64,
    closed: bool,
}

impl State {
    fn grant(&mut self) {
        while let Some(first) = self.line.first_entry() {
            if first.get().wanted > self.free {
                return;
            }
            let (ticket, waiter) = first.remove_entry();
            self.free -= waiter.wanted;
            self.granted.insert(ticket, waiter.wanted);
            waiter.waker.wake();
        }
    }

    fn release(&mut self, permits: u64) {
        self.free += permits;
        debug_assert!(self.free <= self.capacity, "no more permits come back than went out");
        self.grant();
    }
}

/// Why [`Semaphore::acquire`] gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcquireError {
    /// The semaphore was closed.
    #[error("closed")]
    Closed,
    /// More permits were asked for than there will ever be.
    #[error("more permits asked for than exist")]
    TooMany,
}

/// A number of permits. Cloning gives another handle to the same ones. A large request at the head of the
/// line holds up small ones behind it, so that it is served at all.
#[derive(Clone)]
pub struct Semaphore {
    state: Rc<RefCell<State>>,
}

impl Semaphore {
    /// A semaphore with `permits` free ones, which is also the most there will be.
    pub fn new(permits: u64) -> Self {
        let state = State {
            capacity: permits,
            free: permits,
            line: BTreeMap::new(),
            granted: BTreeMap::new(),
            next: 0,
            closed: false,
        };
        Semaphore { state: Rc::new(RefCell::new(state)) }
    }

    /// Waits for `permits` at once. Dropping the future leaves the line.
    pub async fn acquire(&self, permits: u64) -> Result<Permit, AcquireError> {
        Acquire { semaphore: self, permits, ticket: None }.await
    }

    /// `permits` at once, if nobody waits and they are free.
    pub fn try_acquire(&self, permits: u64) -> Option<Permit> {
        let mut state = self.state.borrow_mut();
        if state.closed || !state.line.is_empty() || state.free < permits {
            return None;
        }
        state.free -= permits;
        Some(Permit { state: self.state.clone(), permits })
    }

    /// Ends all waiting, now and later, with [`AcquireError::Closed`]. Permits that are out stay good.
    pub fn close(&self) {
        let mut state = self.state.borrow_mut();
        state.closed = true;
        std::mem::take(&mut state.line).into_values().for_each(|w| w.waker.wake());
    }

    /// Permits nobody holds.
    pub fn available(&self) -> u64 {
        self.state.borrow().free
    }

    /// Requests in line.
    pub fn waiting(&self) -> usize {
        self.state.borrow().line.len()
    }
}

struct Acquire<'a> {
    semaphore: &'a Semaphore,
    permits: u64,
    ticket: Option<u64>,
}

impl Future for Acquire<'_> {
    type Output = Result<Permit, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let permits = self.permits;
        let shared = &self.semaphore.state;
        let mut state = shared.borrow_mut();
        if let Some(ticket) = self.ticket {
            if state.granted.remove(&ticket).is_some() {
                let permit = Permit { state: shared.clone(), permits };
                drop(state);
                self.ticket = None;
                return Poll::Ready(Ok(permit));
            }
            if let Some(waiter) = state.line.get_mut(&ticket) {
                waiter.waker.clone_from(cx.waker());
                return Poll::Pending;
            }
        }
        if state.closed {
            return Poll::Ready(Err(AcquireError::Closed));
        }
        if permits > state.capacity {
            return Poll::Ready(Err(AcquireError::TooMany));
        }
        if state.line.is_empty() && state.free >= permits {
            state.free -= permits;
            return Poll::Ready(Ok(Permit { state: shared.clone(), permits }));
        }
        state.next += 1;
        let ticket = state.next;
        state.line.insert(ticket, Waiter { wanted: permits, waker: cx.waker().clone() });
        drop(state);
        self.ticket = Some(ticket);
        Poll::Pending
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.semaphore.state.borrow_mut();
        state.line.remove(&ticket);
        match state.granted.remove(&ticket) {
            Some(permits) => state.release(permits),
            None => state.grant(),
        }
    }
}

/// Permits that are out; dropping it gives them back.
pub struct Permit {
    state: Rc<RefCell<State>>,
    permits: u64,
}

impl Permit {
    /// How many permits it holds.
    pub fn permits(&self) -> u64 {
        self.permits
    }

    /// Takes `permits` of this one's into a permit of their own.
    ///
    /// # Panics
    /// With fewer left than asked for.
    pub fn split(&mut self, permits: u64) -> Permit {
        assert!(permits <= self.permits, "a permit is split within what it holds");
        self.permits -= permits;
        Permit { state: self.state.clone(), permits }
    }

    /// Gives `permits` of this one's back early; more than it holds gives back all.
    pub fn release(&mut self, permits: u64) {
        let permits = permits.min(self.permits);
        self.permits -= permits;
        self.state.borrow_mut().release(permits);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.state.borrow_mut().release(self.permits);
    }
}

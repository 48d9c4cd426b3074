//! A bounded first-in, first-out queue between tasks.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use super::waiters::Waiters;

struct State<T> {
    items: VecDeque<T>,
    capacity: usize,
    closed: bool,
    pushers: Waiters,
    poppers: Waiters,
}

/// The queue was closed; what could not be pushed comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed<T>(pub T);

/// Why [`Queue::try_push`] gave its item back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryPushError<T> {
    /// No room now.
    Full(T),
    /// No room ever again.
    Closed(T),
}

/// A queue of at most `capacity` items. Cloning gives another handle to the same queue.
pub struct Queue<T> {
    state: Rc<RefCell<State<T>>>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Queue { state: self.state.clone() }
    }
}

impl<T> Queue<T> {
    /// An empty queue for `capacity` items, at least one.
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a queue has room for something");
        let state = State {
            items: VecDeque::new(),
            capacity,
            closed: false,
            pushers: Waiters::default(),
            poppers: Waiters::default(),
        };
        Queue { state: Rc::new(RefCell::new(state)) }
    }

    /// Waits for room and adds `item` at the end. Dropping the future before it ends drops the item.
    pub async fn push(&self, item: T) -> Result<(), Closed<T>> {
        let mut item = Some(item);
        let mut place = Place::new(&self.state, |s| &mut s.pushers, |s| s.items.len() < s.capacity);
        poll_fn(move |cx| {
            let mut state = self.state.borrow_mut();
            let mine = place.may_enter(&state.pushers);
            let room = mine && state.items.len() < state.capacity;
            if !state.closed && !room {
                state.pushers.wait(&mut place.ticket, cx.waker());
                return Poll::Pending;
            }
            place.done(&mut state.pushers);
            let item = item.take().expect("a finished push is not polled");
            if state.closed {
                return Poll::Ready(Err(Closed(item)));
            }
            state.items.push_back(item);
            state.poppers.wake_one();
            if state.items.len() < state.capacity {
                state.pushers.wake_one();
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Adds `item` at the end if there is room and nobody waits for it.
    pub fn try_push(&self, item: T) -> Result<(), TryPushError<T>> {
        let mut state = self.state.borrow_mut();
        if state.closed {
            return Err(TryPushError::Closed(item));
        }
        if state.items.len() >= state.capacity || !state.pushers.is_empty() {
            return Err(TryPushError::Full(item));
        }
        state.items.push_back(item);
        state.poppers.wake_one();
        Ok(())
    }

    /// Waits for the first item; None once the queue is closed and empty.
    pub async fn pop(&self) -> Option<T> {
        let mut place = Place::new(&self.state, |s| &mut s.poppers, |s| !s.items.is_empty());
        poll_fn(move |cx| {
            let mut state = self.state.borrow_mut();
            if let Some(item) = state.items.pop_front() {
                place.done(&mut state.poppers);
                state.pushers.wake_one();
                if !state.items.is_empty() {
                    state.poppers.wake_one();
                }
                return Poll::Ready(Some(item));
            }
            if state.closed {
                place.done(&mut state.poppers);
                return Poll::Ready(None);
            }
            state.poppers.wait(&mut place.ticket, cx.waker());
            Poll::Pending
        })
        .await
    }

    /// The first item, if there is one.
    pub fn try_pop(&self) -> Option<T> {
        let mut state = self.state.borrow_mut();
        let item = state.items.pop_front()?;
        state.pushers.wake_one();
        Some(item)
    }

    /// Refuses what is pushed from now on; what is inside can still be popped.
    pub fn close(&self) {
        let mut state = self.state.borrow_mut();
        state.closed = true;
        state.pushers.wake_all();
        state.poppers.wake_all();
    }

    /// Items inside.
    pub fn len(&self) -> usize {
        self.state.borrow().items.len()
    }

    /// Nothing inside.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The queue was closed.
    pub fn is_closed(&self) -> bool {
        self.state.borrow().closed
    }
}

/// A place in one of the two lines, which passes its turn on when it is dropped.
struct Place<'a, T> {
    state: &'a RefCell<State<T>>,
    line: fn(&mut State<T>) -> &mut Waiters,
    could: fn(&State<T>) -> bool,
    ticket: Option<u64>,
}

impl<'a, T> Place<'a, T> {
    fn new(
        state: &'a RefCell<State<T>>,
        line: fn(&mut State<T>) -> &mut Waiters,
        could: fn(&State<T>) -> bool,
    ) -> Self {
        Place { state, line, could, ticket: None }
    }

    /// A newcomer may not overtake those in line; one whose turn was called may go.
    fn may_enter(&self, line: &Waiters) -> bool {
        match self.ticket {
            None => line.is_empty(),
            Some(ticket) => !line.contains(ticket),
        }
    }

    fn done(&mut self, line: &mut Waiters) {
        if let Some(ticket) = self.ticket.take() {
            line.leave(ticket);
        }
    }
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.state.borrow_mut();
        let waiting = (self.line)(&mut state).leave(ticket);
        if !waiting && (self.could)(&state) {
            (self.line)(&mut state).wake_one();
        }
    }
}

//! The state of one connection: what has arrived, what is being received and what is being sent.
//!
//! ```text
//! receiving:  Idle --recv--> Multi --4 chunks unread--> Multi (stopping) --last completion--> Idle
//!             Idle --recv, the first, or after much at once--> Once --completion--> Idle
//!             Idle --recv_exact--> Exact --completion--> Idle
//! sending:    None --send, small--> Inline --all sent--> None
//!                                   Inline --socket full--> Waiting
//!             None --send, large--> Waiting --all sent--> None
//! ```
//! Holds always: bytes reach the reader in stream order, because at most one receive is in flight and
//! `inbox` is emptied before another kind begins; at most one send is in flight.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::task::Waker;

use io_uring::cqueue;

use super::chunk::Chunk;
use crate::limits::{RECEIVE_BUFFER_BYTES, RECEIVE_CHUNKS_MAX, SEND_INLINE_BYTES};
use crate::slab::Key;
use crate::stats::add;
use crate::sync::Waiters;
use crate::time::Instant;
use crate::uring::{self, Descriptor, Outgoing, Ring};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Receiving {
    Idle,
    Multi { key: Key, stopping: bool },
    Once(Key),
    Exact,
}

#[derive(Clone, Copy)]
pub(super) enum End {
    /// The peer will send no more.
    Closed,
    /// The connection failed, with this errno.
    Failed(i32),
}

#[derive(Clone, Copy)]
struct Sending {
    key: Key,
    inline: bool,
}

pub(super) struct State {
    pub inbox: VecDeque<Chunk>,
    pub receiving: Receiving,
    pub end: Option<End>,
    pub receiver: Option<Waker>,
    /// Receives left before multishot is used (again). One multishot receive takes in some 50 buffers of a
    /// peer that floods before it can be stopped, so it is kept for peers that send little at a time.
    pub once: u32,
    sending: Option<Sending>,
    send_error: Option<i32>,
    /// When the last send that went well was over.
    sent_at: Option<Instant>,
    pub senders: Waiters,
    /// The stream was dropped: sends are not continued.
    abandoned: bool,
}

/// Receives one by one after a large body, since another is likely and a multishot receive would have to
/// be stopped for it, at the price of a turn of the loop.
const ONCE_AFTER_EXACT: u32 = 64;

/// The same, after a peer has sent much more than was read.
const ONCE_AFTER_FLOOD: u32 = 64;

pub(crate) struct Socket {
    fd: Rc<Descriptor>,
    pub(super) state: RefCell<State>,
}

impl Socket {
    pub fn new(fd: Descriptor) -> Rc<Socket> {
        let state = State {
            inbox: VecDeque::new(),
            receiving: Receiving::Idle,
            end: None,
            receiver: None,
            once: 1,
            sending: None,
            send_error: None,
            sent_at: None,
            senders: Waiters::default(),
            abandoned: false,
        };
        Rc::new(Socket { fd: Rc::new(fd), state: RefCell::new(state) })
    }

    pub fn descriptor(&self) -> &Rc<Descriptor> {
        &self.fd
    }

    /// The next bytes, if they are here; else a receive is in flight and the waker is kept.
    pub fn poll_receive(self: &Rc<Self>, ring: &Ring, waker: &Waker) -> Option<io::Result<Chunk>> {
        let mut state = self.state.borrow_mut();
        if let Some(chunk) = state.inbox.pop_front() {
            return Some(Ok(chunk));
        }
        match state.end {
            Some(End::Closed) => return Some(Ok(Chunk::empty())),
            Some(End::Failed(errno)) => return Some(Err(io::Error::from_raw_os_error(errno))),
            None => {}
        }
        if state.receiving == Receiving::Idle {
            if ring.provided.free() == 0 {
                ring.provided.wait(waker);
                return None;
            }
            state.receiving = if state.once > 0 {
                state.once -= 1;
                Receiving::Once(uring::receive_once(ring, self))
            } else {
                Receiving::Multi { key: uring::receive_multi(ring, self), stopping: false }
            };
        }
        state.receiver = Some(waker.clone());
        None
    }

    /// True when no receive is in flight; else one that is gets stopped and the waker is kept.
    pub fn poll_stopped(&self, ring: &Ring, waker: &Waker) -> bool {
        let mut state = self.state.borrow_mut();
        match &mut state.receiving {
            Receiving::Idle | Receiving::Exact => return true,
            Receiving::Multi { key, stopping } => {
                if !*stopping {
                    *stopping = true;
                    ring.cancel(*key);
                }
            }
            Receiving::Once(key) => ring.cancel(*key),
        }
        state.receiver = Some(waker.clone());
        false
    }

    /// Copies what has arrived into `to`; how much that was.
    pub fn take_arrived(&self, to: &mut [u8]) -> usize {
        let mut state = self.state.borrow_mut();
        let mut done = 0;
        while done < to.len()
            && let Some(chunk) = state.inbox.front_mut()
        {
            let n = chunk.len().min(to.len() - done);
            to[done..done + n].copy_from_slice(&chunk[..n]);
            chunk.advance(n);
            done += n;
            if chunk.is_empty() {
                state.inbox.pop_front();
            }
        }
        done
    }

    pub fn begin_exact(&self) -> Result<(), io::Error> {
        let mut state = self.state.borrow_mut();
        match state.end {
            Some(End::Closed) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(End::Failed(errno)) => return Err(io::Error::from_raw_os_error(errno)),
            None => {}
        }
        assert!(state.receiving == Receiving::Idle, "one task receives at a time");
        state.receiving = Receiving::Exact;
        state.once = ONCE_AFTER_EXACT;
        Ok(())
    }

    /// The exact receive is over; with `end` if the stream is as well.
    pub(super) fn finish_exact(&self, end: Option<End>) {
        let mut state = self.state.borrow_mut();
        state.receiving = Receiving::Idle;
        if end.is_some() {
            state.end = end;
        }
    }

    pub(crate) fn on_received(self: &Rc<Self>, ring: &Ring, result: i32, flags: u32, last: bool) {
        let mut state = self.state.borrow_mut();
        if last {
            state.receiving = Receiving::Idle;
        }
        let buffer = cqueue::buffer_select(flags);
        match (result, buffer) {
            (1.., Some(id)) => {
                if result as usize == RECEIVE_BUFFER_BYTES {
                    // More is likely to be there already.
                    state.once = state.once.max(1);
                }
                let mut chunk = Chunk::received(ring, id, result as usize);
                let joined = state.inbox.back_mut().is_some_and(|before| before.append(&chunk));
                if !joined && !state.abandoned {
                    if ring.provided.is_low() {
                        add(&ring.counters.receive_copied, 1);
                        chunk.detach();
                    }
                    state.inbox.push_back(chunk);
                }
            }
            (0.., buffer) => {
                if let Some(id) = buffer {
                    drop(Chunk::received(ring, id, 0));
                }
                state.end = Some(End::Closed);
            }
            (errno, buffer) => {
                if let Some(id) = buffer {
                    drop(Chunk::received(ring, id, 0));
                }
                match -errno {
                    // Stopped by us; the reader starts it again.
                    libc::ECANCELED => {}
                    // Out of buffers: the reader starts again when some are back.
                    libc::ENOBUFS => add(&ring.counters.receive_starved, 1),
                    libc::EINTR | libc::EAGAIN => {}
                    errno => state.end = Some(End::Failed(errno)),
                }
            }
        }
        if state.inbox.len() >= RECEIVE_CHUNKS_MAX
            && let Receiving::Multi { key, stopping } = &mut state.receiving
            && !*stopping
        {
            *stopping = true;
            ring.cancel(*key);
            state.once = ONCE_AFTER_FLOOD;
        }
        let receiver = state.receiver.take();
        drop(state);
        if let Some(receiver) = receiver {
            receiver.wake();
        }
    }

    /// Whether a send may begin; else the waker waits its turn under `ticket`.
    pub fn poll_send_ready(&self, ring: &Ring, ticket: &mut Option<u64>, waker: &Waker) -> bool {
        let mut state = self.state.borrow_mut();
        let mine = match *ticket {
            None => state.senders.is_empty(),
            Some(ticket) => !state.senders.contains(ticket),
        };
        if mine && state.sending.is_none() {
            if let Some(ticket) = ticket.take() {
                state.senders.leave(ticket);
            }
            return true;
        }
        state.senders.wait(ticket, waker);
        if state.sending.is_some_and(|s| s.inline) {
            ring.await_inline();
        }
        false
    }

    /// A sender gives up its place in line.
    pub fn leave_send(&self, ticket: u64) {
        let mut state = self.state.borrow_mut();
        if !state.senders.leave(ticket) && state.sending.is_none() {
            state.senders.wake_one();
        }
    }

    /// The error of an earlier send, which every later one repeats.
    pub fn send_error(&self) -> io::Result<()> {
        match self.state.borrow().send_error {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => Ok(()),
        }
    }

    pub fn start_send(self: &Rc<Self>, ring: &Ring, outgoing: Box<Outgoing>) {
        let inline = outgoing.left() <= SEND_INLINE_BYTES;
        let key = uring::send(ring, self, outgoing, inline);
        let mut state = self.state.borrow_mut();
        debug_assert!(state.sending.is_none());
        state.sending = Some(Sending { key, inline });
        if inline && !state.senders.is_empty() {
            ring.await_inline();
        }
    }

    /// One whose turn it was has nothing to send: the next in line has the turn.
    pub fn pass_turn(&self) {
        let mut state = self.state.borrow_mut();
        if state.sending.is_none() {
            state.senders.wake_one();
        }
    }

    /// When the last send ended; `None` while one is in flight, after a failure, and before the first.
    pub fn sent_at(&self) -> Option<Instant> {
        let state = self.state.borrow();
        match (state.sending, state.send_error) {
            (None, None) => state.sent_at,
            _ => None,
        }
    }

    pub(crate) fn on_sent(
        self: &Rc<Self>,
        ring: &Ring,
        result: i32,
        mut outgoing: Box<Outgoing>,
        at: Instant,
    ) {
        let mut state = self.state.borrow_mut();
        let was_inline = state.sending.take().is_some_and(|s| s.inline);
        let whole = match result {
            0.. => outgoing.advance(result as usize),
            _ if was_inline && -result == libc::EAGAIN => false,
            _ if -result == libc::EINTR => false,
            _ => {
                state.send_error = Some(-result);
                state.senders.wake_all();
                drop(state);
                drop(outgoing);
                return;
            }
        };
        if outgoing.is_done() {
            state.sent_at = Some(at);
            state.senders.wake_one();
            drop(state);
            drop(outgoing);
        } else if state.abandoned {
            state.send_error = Some(libc::ECANCELED);
        } else {
            if !whole {
                add(&ring.counters.sends_blocked, 1);
            }
            let inline = whole && outgoing.left() <= SEND_INLINE_BYTES;
            let key = uring::send(ring, self, outgoing, inline);
            state.sending = Some(Sending { key, inline });
            if inline && !state.senders.is_empty() {
                ring.await_inline();
            }
        }
    }

    /// The stream was dropped: everything in flight ends as soon as the kernel lets it. What the
    /// next submission sends without waiting is still sent.
    pub fn abandon(&self, ring: &Ring) {
        let mut state = self.state.borrow_mut();
        state.abandoned = true;
        let inbox = std::mem::take(&mut state.inbox);
        match state.receiving {
            Receiving::Multi { key, stopping: false } | Receiving::Once(key) => ring.cancel(key),
            Receiving::Multi { stopping: true, .. } | Receiving::Idle | Receiving::Exact => {}
        }
        match state.sending {
            Some(Sending { key, inline: false }) => ring.cancel(key),
            // The descriptor is closed when it is over.
            Some(Sending { inline: true, .. }) => ring.await_inline(),
            None => {}
        }
        drop(state);
        drop(inbox);
    }
}

//! Mail between shards: bounded first-in, first-out queues, one per pair and direction.
//!
//! Posting never waits. A message goes into the pair's queue, or, while that is full, into a local outbox
//! that is flushed every turn and as soon as the receiver has made room; either way the order from one
//! shard to another is kept. The receiver is woken through its ring only when it had declared itself
//! asleep. Outboxes are bounded by the callers' windows of outstanding requests.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;

use crate::limits::{MAIL_PER_TURN_MAX, OUTBOX_MAX};
use crate::local::{self, Mailbox};
use crate::remote::Remote;
use crate::shard::ShardId;

/// The queue from one shard to another.
struct Lane<M> {
    queue: ArrayQueue<M>,
    /// The sender has an outbox waiting for room here.
    held_up: CachePadded<AtomicBool>,
}

struct Lanes<M> {
    shards: usize,
    /// By receiver, then sender.
    lanes: Vec<Lane<M>>,
    remotes: Vec<OnceLock<Arc<Remote>>>,
}

impl<M> Lanes<M> {
    fn lane(&self, from: usize, to: usize) -> &Lane<M> {
        &self.lanes[to * self.shards + from]
    }

    fn wake(&self, shard: usize) {
        // One that has not joined yet looks at its queues when it does.
        if let Some(remote) = self.remotes[shard].get() {
            remote.wake();
        }
    }
}

/// The queues among all shards, made before they start; every shard joins once.
pub struct Mesh<M> {
    lanes: Arc<Lanes<M>>,
}

impl<M> Clone for Mesh<M> {
    fn clone(&self) -> Self {
        Mesh { lanes: self.lanes.clone() }
    }
}

impl<M: Send + 'static> Mesh<M> {
    /// Queues of `capacity` messages for each pair of `shards`.
    pub fn new(shards: usize, capacity: usize) -> Mesh<M> {
        assert!(shards > 0 && capacity > 0, "a mesh connects shards by queues with room");
        let lane = |_| Lane { queue: ArrayQueue::new(capacity), held_up: CachePadded::default() };
        let lanes = (0..shards * shards).map(lane).collect();
        let remotes = (0..shards).map(|_| OnceLock::new()).collect();
        Mesh { lanes: Arc::new(Lanes { shards, lanes, remotes }) }
    }

    /// The calling shard's end. Called once per shard, on that shard.
    ///
    /// # Panics
    /// If `shard` is out of range or has joined before.
    pub fn join(&self, shard: ShardId) -> Post<M> {
        let me = usize::from(shard.0);
        let remote = local::with(|local| local.remote.clone());
        let joined = self.lanes.remotes[me].set(remote);
        assert!(joined.is_ok(), "shard {me} joins a mesh once");
        let outboxes = (0..self.lanes.shards).map(|_| RefCell::default()).collect();
        let inner = Rc::new(Inner {
            me,
            lanes: self.lanes.clone(),
            outboxes,
            waiting: Cell::new(0),
            own: RefCell::default(),
            turn: Cell::new(0),
            reader: RefCell::new(None),
            read: Cell::new(0),
        });
        local::with(|local| {
            let mut boxes = local.mailboxes.borrow_mut();
            boxes.retain(|b| b.strong_count() > 0);
            boxes.push(Rc::downgrade(&inner) as _);
        });
        Post { inner }
    }
}

struct Inner<M> {
    me: usize,
    lanes: Arc<Lanes<M>>,
    outboxes: Vec<RefCell<VecDeque<M>>>,
    /// Messages in all outboxes.
    waiting: Cell<usize>,
    /// Messages to oneself.
    own: RefCell<VecDeque<M>>,
    /// The sender to look at next, so that none is always last.
    turn: Cell<usize>,
    reader: RefCell<Option<Waker>>,
    /// Messages read since the loop last looked after the mail.
    read: Cell<usize>,
}

/// One shard's end of a mesh.
pub struct Post<M> {
    inner: Rc<Inner<M>>,
}

impl<M> Clone for Post<M> {
    fn clone(&self) -> Self {
        Post { inner: self.inner.clone() }
    }
}

impl<M: Send + 'static> Post<M> {
    /// Sends `message` to shard `to` (also to oneself). Never waits; messages from here to there
    /// arrive in the order they were posted.
    ///
    /// # Panics
    /// With [`OUTBOX_MAX`] messages waiting for full queues: somebody posts without a window.
    pub fn post(&self, to: ShardId, message: M) {
        let (inner, to) = (&self.inner, usize::from(to.0));
        if to == inner.me {
            inner.own.borrow_mut().push_back(message);
            inner.wake_reader();
            return;
        }
        let mut outbox = inner.outboxes[to].borrow_mut();
        let refused = if outbox.is_empty() {
            inner.lanes.lane(inner.me, to).queue.push(message).err()
        } else {
            Some(message)
        };
        match refused {
            None => inner.lanes.wake(to),
            Some(message) => {
                assert!(inner.waiting.get() < OUTBOX_MAX, "a shard posts within its windows");
                outbox.push_back(message);
                inner.waiting.set(inner.waiting.get() + 1);
            }
        }
    }

    /// The next message and the shard it came from, the senders taking turns. One task reads. After
    /// [`MAIL_PER_TURN_MAX`] messages it lets the rest of the shard have a turn, so that mail which
    /// never ends starves nobody.
    pub async fn next(&self) -> (ShardId, M) {
        let inner = &self.inner;
        poll_fn(|cx| {
            let more = inner.read.get() < MAIL_PER_TURN_MAX;
            if let Some(mail) = more.then(|| inner.take()).flatten() {
                inner.read.set(inner.read.get() + 1);
                return Poll::Ready(mail);
            }
            *inner.reader.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// The next message, if one is there.
    pub fn try_next(&self) -> Option<(ShardId, M)> {
        self.inner.take()
    }

    /// Messages that wait here for room in full queues.
    pub fn outbox_len(&self) -> usize {
        self.inner.waiting.get()
    }
}

impl<M> Inner<M> {
    fn take(&self) -> Option<(ShardId, M)> {
        let shards = self.lanes.shards;
        let first = self.turn.get();
        for i in 0..shards {
            let from = (first + i) % shards;
            let message = if from == self.me {
                self.own.borrow_mut().pop_front()
            } else {
                self.take_from(from)
            };
            if let Some(message) = message {
                self.turn.set((from + 1) % shards);
                return Some((ShardId(from as u16), message));
            }
        }
        None
    }

    fn take_from(&self, from: usize) -> Option<M> {
        let lane = self.lanes.lane(from, self.me);
        let message = lane.queue.pop()?;
        // Pairs with the fence in `flush_to`.
        fence(Ordering::SeqCst);
        if lane.held_up.load(Ordering::Relaxed) && lane.held_up.swap(false, Ordering::SeqCst) {
            self.lanes.wake(from);
        }
        Some(message)
    }

    fn wake_reader(&self) -> bool {
        let reader = self.reader.borrow_mut().take();
        reader.map(Waker::wake).is_some()
    }

    fn flush_to(&self, to: usize) {
        let mut outbox = self.outboxes[to].borrow_mut();
        if outbox.is_empty() {
            return;
        }
        let lane = self.lanes.lane(self.me, to);
        let mut sent = 0;
        let mut announced = false;
        while let Some(message) = outbox.pop_front() {
            match lane.queue.push(message) {
                Ok(()) => sent += 1,
                Err(message) => {
                    outbox.push_front(message);
                    if announced {
                        break;
                    }
                    // Either the receiver sees the flag after its next pop, or this second try sees
                    // the room that the pop has made.
                    lane.held_up.store(true, Ordering::SeqCst);
                    fence(Ordering::SeqCst);
                    announced = true;
                }
            }
        }
        if sent > 0 {
            self.waiting.set(self.waiting.get() - sent);
            self.lanes.wake(to);
        }
    }
}

impl<M> Mailbox for Inner<M> {
    fn flush(&self) {
        if self.waiting.get() > 0 {
            (0..self.lanes.shards).filter(|to| *to != self.me).for_each(|to| self.flush_to(to));
        }
    }

    fn deliver(&self) -> bool {
        self.read.set(0);
        if self.reader.borrow().is_none() {
            return false;
        }
        let others = (0..self.lanes.shards).filter(|from| *from != self.me);
        let mail = !self.own.borrow().is_empty()
            || others.into_iter().any(|from| !self.lanes.lane(from, self.me).queue.is_empty());
        mail && self.wake_reader()
    }
}

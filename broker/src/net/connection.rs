//! One client connection: its state, its life from accept to close, and its writer.
//!
//! Two tasks: the reader (`net::reader`) takes frames off the socket and starts requests, the
//! writer sends replies in the order of the requests. The reader stops reading while too much is
//! outstanding, so a connection's memory is bounded by what it may have in flight.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use engine::buffer::Piece;
use engine::net::{Accepted, Stream};
use engine::shard::ShardId;
use engine::sync::{Notify, Permit};
use engine::task::{self, Queue};
use engine::time::{self, Instant};

use super::pinned::Pinned;
use super::reader;
use super::reply_order::{ReplyOrder, Ticket};
use crate::limits::{
    CONNECTION_PINNED_BYTES_MAX, CONNECTION_REQUEST_BYTES_MAX, FRAME_RATE_BYTES_MIN,
    FRAME_STALL_MAX, REPLIES_PER_SEND_MAX, REQUESTS_PER_CONNECTION_MAX, SHUTDOWN_GRACE,
};
use crate::observe::{Observed, Stage, Timed, Trace};
use crate::shard::{Mail, Shard};

/// The shard that accepts and keeps the books of all connections.
const ACCEPTING: ShardId = ShardId(0);

/// A response, ready to be sent.
pub struct Reply {
    /// The whole frame, length prefix included.
    pub pieces: Vec<Piece>,
    /// Record bytes in `pieces` that lie in the store's buffers.
    pub pinned: usize,
    /// Where its request spent its time, if it is timed.
    pub trace: Option<(Timed, Trace)>,
}

impl From<Vec<u8>> for Reply {
    fn from(frame: Vec<u8>) -> Reply {
        Reply { pieces: vec![Piece::Vec(frame)], pinned: 0, trace: None }
    }
}

/// One client connection.
pub struct Connection {
    /// The client.
    pub peer: SocketAddr,
    /// Which of the configured listeners it came in by.
    pub listener: usize,
    /// The last fetch found too little and had to wait.
    pub fetch_waited: Cell<bool>,
    pub(super) stream: Stream,
    replies: RefCell<ReplyOrder<Reply>>,
    /// The timed requests whose responses are in the last send.
    sent: RefCell<Vec<(Timed, Trace)>>,
    observed: Rc<Observed>,
    /// A reply may leave, or the connection closes.
    writer_wake: Notify,
    /// Something outstanding got less, or the connection closes.
    reader_wake: Notify,
    /// The connection closes: whoever waits for data on its behalf stops.
    closed: Notify,
    request_bytes: Cell<usize>,
    pinned_bytes: Cell<usize>,
    /// The same of all connections of this shard.
    pinned_here: Rc<Pinned>,
    is_closed: Cell<bool>,
    is_finishing: Cell<bool>,
    last_active: Cell<Instant>,
    /// When the frame that is being received began, and its length if that is known.
    frame: Cell<Option<(Instant, usize)>>,
    /// When the send in progress began.
    sending: Cell<Option<Instant>>,
}

/// A request that was read: its place in the order of replies, and its bytes in the budget. Dropped
/// without an answer (its task was cancelled, or it has none to give) it counts as answered with
/// nothing.
pub struct Request {
    connection: Rc<Connection>,
    ticket: Option<Ticket>,
    bytes: usize,
    memory: Option<Permit>,
    trace: Option<(Timed, Trace)>,
}

/// Serves a connection placed on this shard, in tasks of its own.
pub fn start(shard: &Rc<Shard>, accepted: Accepted, listener: usize) {
    task::spawn(Queue::Produce, serve(shard.clone(), accepted, listener));
}

async fn serve(shard: Rc<Shard>, accepted: Accepted, listener: usize) {
    let peer = accepted.peer();
    let connection = Rc::new(Connection::new(
        peer,
        listener,
        accepted.into_stream(),
        shard.connections.pinned.clone(),
        shard.observed.clone(),
    ));
    if let Some(id) = shard.connections.open(connection.clone()) {
        shard.observed.connections_opened.add(1);
        connection.run(&shard).await;
        shard.observed.connections_closed.add(1);
        shard.connections.closed(id);
    }
    match shard.id == ACCEPTING {
        true => shard.connections.on_closed(shard.id, peer.ip()),
        false => shard.post(ACCEPTING, Mail::Closed(peer.ip())),
    }
}

impl Connection {
    fn new(
        peer: SocketAddr,
        listener: usize,
        stream: Stream,
        pinned_here: Rc<Pinned>,
        observed: Rc<Observed>,
    ) -> Connection {
        Connection {
            peer,
            listener,
            fetch_waited: Cell::new(false),
            stream,
            replies: RefCell::default(),
            sent: RefCell::default(),
            observed,
            writer_wake: Notify::default(),
            reader_wake: Notify::default(),
            closed: Notify::default(),
            request_bytes: Cell::new(0),
            pinned_bytes: Cell::new(0),
            pinned_here,
            is_closed: Cell::new(false),
            is_finishing: Cell::new(false),
            last_active: Cell::new(time::now()),
            frame: Cell::new(None),
            sending: Cell::new(None),
        }
    }

    async fn run(self: &Rc<Self>, shard: &Rc<Shard>) {
        let writer = task::spawn(Queue::Produce, self.clone().write());
        let end = reader::read(shard, self).await;
        if end.complaint().is_some() {
            self.observed.complaints.add(1);
        }
        if let Some(words) = end.complaint()
            && let Some(held_back) = shard.connections.complaints.take()
        {
            let peer = self.peer;
            tracing::warn!(%peer, held_back, "HDL-NET-003: closing a connection: {words}");
        }
        if end.lets_replies_leave() {
            // What was asked before still gets its answer.
            let _ = time::timeout(
                SHUTDOWN_GRACE,
                self.until(|connection| {
                    connection.replies.borrow().outstanding() == 0
                        && connection.sending.get().is_none()
                }),
            )
            .await;
        }
        self.shutdown();
        writer.await;
        self.stream.clone().close().await;
        self.settle();
        // Replies that never left go, and with them what they pin.
        *self.replies.borrow_mut() = ReplyOrder::default();
        self.release(self.pinned_bytes.get());
    }

    /// Sends replies in order until the connection closes.
    async fn write(self: Rc<Self>) {
        let mut ready = Vec::new();
        let mut queued = VecDeque::new();
        let mut traces = Vec::new();
        // Bytes pinned by the send that is under way: the socket takes them after `send` returns.
        let mut pinned = 0;
        while !self.is_closed.get() {
            self.replies.borrow_mut().take_ready(&mut ready);
            // Places became free, whether or not there is something to send.
            self.reader_wake.notify_all();
            queued.extend(ready.drain(..));
            self.sending.set(Some(time::now()));
            let sent = if !queued.is_empty() {
                let count = queued.len().min(REPLIES_PER_SEND_MAX);
                let mut pieces = Vec::new();
                let mut pinned_next = 0;
                let mut bytes = 0;
                for reply in queued.drain(..count) {
                    let Reply { pieces: of_reply, pinned: by_reply, trace } = reply;
                    bytes += of_reply.iter().map(|piece| piece.len()).sum::<usize>();
                    pieces.extend(of_reply);
                    pinned_next += by_reply;
                    traces.extend(trace);
                }
                // Waits for the send before it, which is then accounted for.
                let mut sent = self.stream.flush().await;
                self.settle();
                if sent.is_ok() {
                    sent = self.stream.send(pieces).await;
                    self.observed.sent_bytes.add(bytes as u64);
                }
                std::mem::swap(&mut *self.sent.borrow_mut(), &mut traces);
                traces.clear();
                self.release(std::mem::replace(&mut pinned, pinned_next));
                sent
            } else if pinned > 0 {
                let sent = self.stream.flush().await;
                self.settle();
                self.release(std::mem::take(&mut pinned));
                sent
            } else {
                self.sending.set(None);
                self.writer_wake.notified().await;
                continue;
            };
            self.sending.set(None);
            self.last_active.set(time::now());
            if sent.is_err() {
                // The peer is gone; the reader learns it from the shutdown.
                self.shutdown();
            }
        }
    }

    /// Accounts for the requests whose responses the kernel has taken by now. Nobody is woken for that, so it happens
    /// before the next send, when the connection closes, and when somebody asks for the timings.
    pub(super) fn settle(&self) {
        let Some(at) = self.stream.sent_at() else { return };
        for (timed, mut trace) in self.sent.borrow_mut().drain(..) {
            trace.mark(Stage::Send, at);
            self.observed.on_answered(timed, &trace);
        }
    }

    /// Bytes of replies are no longer pinned.
    fn release(&self, pinned: usize) {
        self.pinned_bytes.set(self.pinned_bytes.get() - pinned);
        self.pinned_here.release(pinned);
        self.reader_wake.notify_all();
    }

    /// Enters a request that was read, in the order of arrival.
    pub(super) fn begin(self: &Rc<Self>, bytes: usize) -> Request {
        self.request_bytes.set(self.request_bytes.get() + bytes);
        let ticket = Some(self.replies.borrow_mut().reserve());
        Request { connection: self.clone(), ticket, bytes, memory: None, trace: None }
    }

    /// Waits until a request of `bytes` may be read: always when nothing is outstanding.
    pub(super) async fn room(&self, bytes: usize) {
        self.until(|connection| {
            let outstanding = connection.replies.borrow().outstanding();
            outstanding == 0
                || (outstanding < REQUESTS_PER_CONNECTION_MAX
                    && connection.request_bytes.get() + bytes <= CONNECTION_REQUEST_BYTES_MAX)
        })
        .await;
    }

    /// Waits until every request before this one, the last that was read, is answered.
    pub(super) async fn before(&self, _last: &Request) {
        self.until(|connection| connection.replies.borrow().unfinished() == 1).await;
    }

    /// Waits until `holds`, or the connection closes.
    async fn until(&self, holds: impl Fn(&Connection) -> bool) {
        while !self.is_closed.get() && !holds(self) {
            self.reader_wake.notified().await;
        }
    }

    /// Record bytes a response may pin now, on top of what earlier ones still pin.
    pub fn pinned_room(&self) -> usize {
        CONNECTION_PINNED_BYTES_MAX.saturating_sub(self.pinned_bytes.get())
    }

    /// True from the moment the connection closes.
    pub fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// True when no further request is read: answer without waiting for more data.
    pub fn is_finishing(&self) -> bool {
        self.is_finishing.get() || self.is_closed.get()
    }

    /// Resolves when the connection closes or finishes; check before waiting.
    pub async fn closing(&self) {
        while !self.is_finishing() {
            self.closed.notified().await;
        }
    }

    /// Notes that bytes arrived: now, which it returns.
    pub(super) fn on_received(&self) -> Instant {
        let now = time::now();
        self.last_active.set(now);
        now
    }

    /// Notes that a frame is being received since `now`; `length` is 0 while it is unknown or small.
    pub(super) fn on_frame_begun(&self, length: usize, now: Instant) {
        if self.frame.get().is_none() {
            self.frame.set(Some((now, length)));
        }
    }

    /// Notes that the frame in progress is complete. When it began, if it did not arrive in one piece.
    pub(super) fn on_frame_complete(&self) -> Option<Instant> {
        self.frame.take().map(|(began, _)| began)
    }

    /// Closes the connection if it is idle, or a frame or a send has stalled.
    pub(super) fn sweep(&self, now: Instant, idle_max: Duration) {
        let outstanding = self.replies.borrow().outstanding();
        let idle = outstanding == 0 && now > self.last_active.get() + idle_max;
        let stalled = self.frame.get().is_some_and(|(began, length)| {
            let slow = Duration::from_secs((length / FRAME_RATE_BYTES_MIN) as u64);
            now > began + FRAME_STALL_MAX + slow
        });
        let unread = self.sending.get().is_some_and(|began| now > began + idle_max);
        if idle || stalled || unread {
            tracing::debug!(peer = %self.peer, idle, stalled, unread, "closing a connection");
            self.shutdown();
        }
    }

    /// Reads no more; closes when what is outstanding is answered.
    pub(super) fn finish(&self) {
        self.is_finishing.set(true);
        self.reader_wake.notify_all();
        self.closed.notify_all();
    }

    /// Closes at once.
    pub fn shutdown(&self) {
        if self.is_closed.replace(true) {
            return;
        }
        self.stream.shutdown();
        self.reader_wake.notify_all();
        self.writer_wake.notify_all();
        self.closed.notify_all();
    }
}

impl Request {
    /// The connection it came by.
    pub fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// Keeps its part of the shard's memory for requests until it is answered.
    pub(super) fn hold(&mut self, memory: Permit) {
        self.memory = Some(memory);
    }

    /// Says where it spent its time until now: what follows is the sending of its response.
    pub(super) fn time(&mut self, timed: Timed, trace: Trace) {
        self.trace = Some((timed, trace));
    }

    /// Hands in the response. It leaves when those before it have left.
    pub fn answer(mut self, reply: impl Into<Reply>) {
        let mut reply = reply.into();
        reply.trace = self.trace.take();
        let connection = &self.connection;
        if !connection.is_closed() {
            connection.pinned_bytes.set(connection.pinned_bytes.get() + reply.pinned);
            connection.pinned_here.pin(reply.pinned);
        }
        self.finish(Some(reply));
    }

    /// The request has no response.
    pub fn answer_nothing(self) {
        if let Some((timed, trace)) = &self.trace {
            self.connection.observed.on_answered(*timed, trace);
        }
    }

    /// The request failed and has no response to say so in: the connection closes.
    pub fn fail(self) {
        self.connection.shutdown();
    }

    fn finish(&mut self, reply: Option<Reply>) {
        let Some(ticket) = self.ticket.take() else { return };
        let connection = &self.connection;
        connection.request_bytes.set(connection.request_bytes.get() - self.bytes);
        if connection.is_closed() {
            return;
        }
        if connection.replies.borrow_mut().finish(ticket, reply) {
            connection.writer_wake.notify_all();
        }
        connection.reader_wake.notify_all();
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.finish(None);
    }
}

//! One shard's ring: submitting, waiting, handing completions out.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use io_uring::{IoUring, Probe, cqueue, opcode, squeue, types};

use super::operation::{InFlight, Listener};
use super::{Descriptor, Hold, Operation, Provided};
use crate::limits::{COMPLETIONS, SEND_UNSEEN_MAX, SUBMISSIONS};
use crate::slab::{Key, Slab};
use crate::stats::add;
use crate::time;

/// Marks completions nobody listens to: of closes, cancellations, wake-ups sent.
const IGNORE: u64 = u64::MAX;
/// Marks a wake-up that came from another ring.
const WAKE: u64 = u64::MAX - 1;
/// Marks wake-ups sent, in the upper half; the lower is the descriptor of the ring they went to.
const WAKE_SENT: u64 = 0xffff_fffe << 32;
/// How long the end of a shard waits for the kernel to let go of its memory.
const DRAIN_MAX: Duration = Duration::from_secs(10);

fn number(key: Key) -> u64 {
    u64::from(key.generation) << 32 | u64::from(key.index)
}

/// What this kernel's ring offers beyond [`crate::limits::KERNEL_MIN`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Features {
    /// Truncation as an operation (6.9).
    pub truncate: bool,
}

/// How long a call into the kernel may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// Submit, and see what is there.
    No,
    /// Until something completes.
    Forever,
    /// Until something completes, but no longer than this.
    For(Duration),
}

#[derive(Default)]
pub(crate) struct RingCounters {
    pub enters: Cell<u64>,
    pub waits: Cell<u64>,
    pub submissions: Cell<u64>,
    pub completions: Cell<u64>,
    pub wakes_sent: Cell<u64>,
    pub receive_starved: Cell<u64>,
    pub receive_copied: Cell<u64>,
    pub sends_blocked: Cell<u64>,
}

pub(crate) struct Ring {
    // Drops first: closing the ring ends the kernel's use of everything below.
    ring: RefCell<IoUring>,
    in_flight: RefCell<Slab<InFlight>>,
    /// Completions taken from the ring and not yet handed out.
    taken: RefCell<Vec<(u64, i32, u32)>>,
    /// Sends that are over once they are submitted, see `settle`.
    inline: RefCell<Vec<Key>>,
    /// Something on this shard waits for one of those: do not sleep on them.
    inline_awaited: Cell<bool>,
    /// One of those holds another shard's memory: do not sleep on them for long.
    inline_foreign: Cell<bool>,
    /// When the kernel was last entered with inline sends to submit: that is when they left.
    entered: Cell<Option<time::Instant>>,
    ending: Cell<bool>,
    pub provided: Provided,
    pub features: Features,
    pub counters: RingCounters,
}

impl Ring {
    /// A new ring, for this thread only.
    pub fn new() -> io::Result<Ring> {
        let ring: IoUring = IoUring::builder()
            .dontfork()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        let features = Features { truncate: probe.is_supported(opcode::Ftruncate::CODE) };
        let provided = Provided::new()?;
        provided.register(&ring)?;
        Ok(Ring {
            ring: RefCell::new(ring),
            in_flight: RefCell::new(Slab::new()),
            taken: RefCell::default(),
            inline: RefCell::default(),
            inline_awaited: Cell::new(false),
            inline_foreign: Cell::new(false),
            entered: Cell::new(None),
            ending: Cell::new(false),
            provided,
            features,
            counters: RingCounters::default(),
        })
    }

    pub fn fd(&self) -> RawFd {
        self.ring.borrow().as_raw_fd()
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.borrow().len()
    }

    /// Registers memory for fixed-buffer operations.
    ///
    /// # Safety
    /// The memory stays mapped as long as the ring lives.
    pub unsafe fn register_buffers(&self, parts: &[libc::iovec]) -> io::Result<()> {
        // SAFETY: as the caller promises.
        unsafe { self.ring.borrow().submitter().register_buffers(parts) }
    }

    /// Starts an operation whose result a future awaits.
    ///
    /// # Safety
    /// Every address in `entry` lies in memory that `hold` owns and that does not move with it, and its
    /// descriptor is `fd` (or needs none).
    pub(super) unsafe fn start(
        &self,
        entry: squeue::Entry,
        fd: Option<Rc<Descriptor>>,
        hold: Hold,
        gives_descriptor: bool,
    ) -> Operation {
        let listener = Listener::Future { waker: None, result: None };
        let op = InFlight { listener, hold, _fd: fd, gives_descriptor };
        let key = self.in_flight.borrow_mut().insert(op);
        // SAFETY: the slab now owns what the entry refers to, until the last completion.
        unsafe { self.push(&[entry.user_data(number(key))]) };
        Operation { key: Some(key) }
    }

    /// Starts two operations, the second when the first has succeeded in full.
    ///
    /// # Safety
    /// As [`Ring::start`], for both; `hold` belongs to the first, the second needs no memory.
    pub(super) unsafe fn start_linked(
        &self,
        first: squeue::Entry,
        second: squeue::Entry,
        fd: &Rc<Descriptor>,
        hold: Hold,
    ) -> (Operation, Operation) {
        let future = || Listener::Future { waker: None, result: None };
        let mut ops = self.in_flight.borrow_mut();
        let mut add = |hold| {
            let fd = Some(fd.clone());
            let op = InFlight { listener: future(), hold, _fd: fd, gives_descriptor: false };
            ops.insert(op)
        };
        let (a, b) = (add(hold), add(Hold::Nothing));
        drop(ops);
        let first = first.flags(squeue::Flags::IO_LINK).user_data(number(a));
        // SAFETY: as in `start`.
        unsafe { self.push(&[first, second.user_data(number(b))]) };
        (Operation { key: Some(a) }, Operation { key: Some(b) })
    }

    /// Starts an operation whose completions go to `listener`.
    ///
    /// # Safety
    /// As [`Ring::start`].
    pub(super) unsafe fn start_for(
        &self,
        entry: squeue::Entry,
        fd: &Rc<Descriptor>,
        hold: Hold,
        listener: Listener,
    ) -> Key {
        let gives_descriptor = matches!(listener, Listener::Accept(_));
        let op = InFlight { listener, hold, _fd: Some(fd.clone()), gives_descriptor };
        let key = self.in_flight.borrow_mut().insert(op);
        // SAFETY: as in `start`.
        unsafe { self.push(&[entry.user_data(number(key))]) };
        key
    }

    /// Starts a send that takes what fits now and is over once it is submitted. Only a failed or short one
    /// completes in the ring; for the others `settle` stands in. `foreign`: it holds memory of another shard.
    ///
    /// # Safety
    /// As [`Ring::start`]; and the entry is a send with MSG_DONTWAIT and MSG_WAITALL, not linked, see `settle`.
    pub(super) unsafe fn start_inline(
        &self,
        entry: squeue::Entry,
        fd: &Rc<Descriptor>,
        hold: Hold,
        listener: Listener,
        foreign: bool,
    ) -> Key {
        let entry = entry.flags(squeue::Flags::SKIP_SUCCESS);
        // SAFETY: as the caller promises.
        let key = unsafe { self.start_for(entry, fd, hold, listener) };
        self.inline.borrow_mut().push(key);
        if foreign {
            self.inline_foreign.set(true);
        }
        key
    }

    /// Queues entries next to each other, entering the kernel first if they do not fit.
    ///
    /// # Safety
    /// What the entries refer to stays valid until their last completions.
    unsafe fn push(&self, entries: &[squeue::Entry]) {
        add(&self.counters.submissions, entries.len() as u64);
        loop {
            // SAFETY: as the caller promises.
            let pushed = unsafe { self.ring.borrow_mut().submission().push_multiple(entries) };
            if pushed.is_ok() {
                return;
            }
            self.enter_once(0, None);
        }
    }

    /// Tells the kernel to do something that nobody waits for.
    fn push_ignored(&self, entry: squeue::Entry) {
        let entry = entry.flags(squeue::Flags::SKIP_SUCCESS).user_data(IGNORE);
        // SAFETY: the callers' entries carry numbers only, no addresses.
        unsafe { self.push(&[entry]) };
    }

    /// Closes a descriptor that no operation in flight names.
    pub fn close(&self, fd: OwnedFd) {
        if self.ending.get() {
            return drop(fd);
        }
        self.push_ignored(opcode::Close::new(types::Fd(fd.into_raw_fd())).build());
    }

    /// Asks for an operation's end. Its last completion still comes.
    pub fn cancel(&self, key: Key) {
        self.push_ignored(opcode::AsyncCancel::new(number(key)).build());
    }

    /// Shuts a socket down, both ways.
    ///
    /// The kernel gives this to a worker thread, which looks the descriptor up only then: it has to stay
    /// open until the completion, or the shutdown meets whatever has got its number meanwhile.
    pub fn shutdown(&self, fd: &Rc<Descriptor>) {
        let entry = opcode::Shutdown::new(types::Fd(fd.raw()), libc::SHUT_RDWR).build();
        // SAFETY: the entry carries numbers only, and the operation in flight owns its descriptor.
        unsafe { self.start_for(entry, fd, Hold::Nothing, Listener::Nobody) };
    }

    /// Ends the sleep of the shard behind another ring, with the next submission; false if there may be
    /// none any more, because this shard is ending.
    pub fn send_wake(&self, ring: RawFd) -> bool {
        if self.ending.get() {
            return false;
        }
        add(&self.counters.wakes_sent, 1);
        let entry = opcode::MsgRingData::new(types::Fd(ring), 0, WAKE, None).build();
        let entry = entry.flags(squeue::Flags::SKIP_SUCCESS);
        // SAFETY: the entry carries numbers only, no addresses.
        unsafe { self.push(&[entry.user_data(WAKE_SENT | ring as u64)]) };
        true
    }

    /// A wake-up did not get through. The sleeper counts on it, since one is sent per sleep: for want of
    /// memory it is sent again. Anything else means that there is no such shard any more.
    fn wake_failed(&self, ring: RawFd, errno: i32) {
        if matches!(errno, libc::ENOMEM | libc::EOVERFLOW | libc::EAGAIN | libc::EINTR) {
            self.send_wake(ring);
        }
    }

    /// The result of an operation, if it is there; else its future's waker is kept.
    pub(super) fn poll(&self, key: Key, waker: &Waker) -> Option<(i32, Hold)> {
        let mut ops = self.in_flight.borrow_mut();
        let op = ops.get_mut(key).expect("an operation stays until its future has the result");
        let Listener::Future { waker: kept, result } = &mut op.listener else {
            unreachable!("only futures poll")
        };
        match *result {
            Some(result) => {
                let op = ops.remove(key).expect("it was just there");
                drop(ops);
                Some((result, op.hold))
            }
            None => {
                *kept = Some(waker.clone());
                None
            }
        }
    }

    /// The future of an operation is gone.
    pub(super) fn abandon(&self, key: Key) {
        let mut ops = self.in_flight.borrow_mut();
        let Some(op) = ops.get_mut(key) else { return };
        if let Listener::Future { result: Some(result), .. } = op.listener {
            let op = ops.remove(key);
            drop(ops);
            if let Some(op) = op {
                self.throw_away(op, result);
            }
            return;
        }
        op.listener = Listener::Nobody;
        drop(ops);
        self.cancel(key);
    }

    fn throw_away(&self, op: InFlight, result: i32) {
        if op.gives_descriptor && result >= 0 {
            // SAFETY: the kernel has just opened this descriptor for an operation nobody awaits.
            self.close(unsafe { OwnedFd::from_raw_fd(result) });
        }
    }

    /// Something waits for an inline send: the loop must come back right after submitting it.
    pub fn await_inline(&self) {
        if self.has_inline() {
            self.inline_awaited.set(true);
        }
    }

    /// There are inline sends that are not settled.
    pub fn has_inline(&self) -> bool {
        !self.inline.borrow().is_empty()
    }

    pub fn is_inline_awaited(&self) -> bool {
        self.inline_awaited.get()
    }

    /// Something is to be submitted or to be picked up.
    pub fn has_work(&self) -> bool {
        let mut ring = self.ring.borrow_mut();
        let (_, sq, cq) = ring.split();
        !sq.is_empty() || sq.taskrun() || sq.cq_overflow() || !cq.is_empty()
    }

    /// Enters the kernel once: submits what is queued and waits as told.
    ///
    /// Inline sends do not end the wait unless they fail, so that a request whose answer leaves inline costs
    /// one system call. What hangs on their success on this shard makes the loop come back at once
    /// (`await_inline`); what may hang on it elsewhere bounds the wait.
    pub fn enter(&self, wait: Wait) {
        let foreign = self.inline_foreign.get();
        match wait {
            // Completions that a full submission queue made us take already are work at hand.
            _ if self.has_taken() => self.enter_once(0, None),
            Wait::No => self.enter_once(0, None),
            Wait::Forever if foreign => self.enter_once(1, Some(SEND_UNSEEN_MAX)),
            Wait::Forever => self.enter_once(1, None),
            Wait::For(d) if foreign => self.enter_once(1, Some(d.min(SEND_UNSEEN_MAX))),
            Wait::For(d) => self.enter_once(1, Some(d)),
        }
    }

    fn enter_once(&self, want: usize, limit: Option<Duration>) {
        add(&self.counters.enters, 1);
        add(&self.counters.waits, u64::from(want > 0));
        if self.has_inline() {
            self.entered.set(Some(time::now()));
        }
        let entered = {
            let ring = self.ring.borrow();
            match limit {
                None => ring.submit_and_wait(want),
                Some(limit) => {
                    let limit = types::Timespec::from(limit);
                    let args = types::SubmitArgs::new().timespec(&limit);
                    ring.submitter().submit_with_args(want, &args)
                }
            }
        };
        match entered.as_ref().map_err(|e| e.raw_os_error()) {
            Ok(_) | Err(Some(libc::ETIME | libc::EINTR)) => {}
            // The kernel is short of memory or wants its completions taken first: both pass.
            Err(Some(libc::EBUSY | libc::EAGAIN)) => {}
            Err(_) => crate::exit_now(70, &format!("HDL-IO-010: io_uring_enter: {entered:?}")),
        }
        self.take_completions();
    }

    fn take_completions(&self) {
        let mut ring = self.ring.borrow_mut();
        let mut taken = self.taken.borrow_mut();
        taken.extend(ring.completion().map(|c| (c.user_data(), c.result(), c.flags())));
    }

    /// Hands out the completions taken so far.
    pub fn dispatch(&self) {
        let settled = self.take_settled();
        let mut batch = self.taken.take();
        add(&self.counters.completions, batch.len() as u64);
        for (user_data, result, flags) in batch.drain(..) {
            if user_data == IGNORE || user_data == WAKE {
                continue;
            }
            if user_data & WAKE_SENT == WAKE_SENT {
                self.wake_failed(user_data as u32 as RawFd, -result);
            } else {
                let key = Key { index: user_data as u32, generation: (user_data >> 32) as u32 };
                self.complete(key, result, flags);
            }
        }
        self.settle(settled);
        // Keep the allocation, unless handing out has taken new completions already.
        let mut taken = self.taken.borrow_mut();
        if taken.is_empty() {
            *taken = batch;
        }
    }

    /// The inline sends about which all is known: every entry was submitted, so they are over; and no completion
    /// is held back by a full queue, so that those that failed are among the ones taken.
    ///
    /// The kernel tries a send in the call that submits it. MSG_DONTWAIT forbids it to arm a poll or to hand
    /// the send to a worker, MSG_WAITALL makes a short send a failed one, and a failed request posts
    /// its completion, SKIP_SUCCESS or not, before that call begins to wait (`req_set_fail`,
    /// `io_submit_flush_completions`; the same from 6.1 to 6.18).
    fn take_settled(&self) -> Vec<Key> {
        if !self.has_inline() {
            return Vec::new();
        }
        let mut ring = self.ring.borrow_mut();
        let (_, sq, cq) = ring.split();
        if !sq.is_empty() || sq.cq_overflow() || !cq.is_empty() {
            return Vec::new();
        }
        self.inline_awaited.set(false);
        self.inline_foreign.set(false);
        self.inline.take()
    }

    /// Reports success for those whose failure was not reported.
    fn settle(&self, mut settled: Vec<Key>) {
        for key in settled.drain(..) {
            let Some(op) = self.in_flight.borrow_mut().remove(key) else { continue };
            let (Listener::Send(socket), Hold::Outgoing(outgoing)) = (op.listener, op.hold) else {
                unreachable!("only sends are inline")
            };
            let sent = outgoing.attempted() as i32;
            let at = self.entered.get().unwrap_or_else(time::now);
            socket.on_sent(self, sent, outgoing, at);
        }
        let mut inline = self.inline.borrow_mut();
        if inline.is_empty() {
            *inline = settled;
        }
    }

    pub fn has_taken(&self) -> bool {
        !self.taken.borrow().is_empty()
    }

    fn complete(&self, key: Key, result: i32, flags: u32) {
        let more = cqueue::more(flags);
        let mut ops = self.in_flight.borrow_mut();
        let op = ops.get_mut(key).expect("a completion belongs to an operation in flight");
        match &mut op.listener {
            Listener::Future { waker, result: place } => {
                debug_assert!(!more, "futures await operations that complete once");
                *place = Some(result);
                let waker = waker.take();
                drop(ops);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Listener::Nobody => {
                let op = if more { None } else { ops.remove(key) };
                drop(ops);
                if let Some(op) = op {
                    self.throw_away(op, result);
                }
            }
            Listener::Receive(socket) => {
                let socket = socket.clone();
                let op = if more { None } else { ops.remove(key) };
                drop(ops);
                socket.on_received(self, result, flags, !more);
                drop(op);
            }
            Listener::Send(socket) => {
                let socket = socket.clone();
                let op = ops.remove(key).expect("it was just there");
                drop(ops);
                let Hold::Outgoing(outgoing) = op.hold else { unreachable!("sends hold theirs") };
                socket.on_sent(self, result, outgoing, time::now());
            }
            Listener::Accept(acceptor) => {
                let acceptor = acceptor.clone();
                let op = if more { None } else { ops.remove(key) };
                drop(ops);
                // SAFETY: a successful accept gives a descriptor that nobody else owns.
                let fd = (result >= 0).then(|| unsafe { OwnedFd::from_raw_fd(result) });
                acceptor.on_accepted(self, fd.ok_or(-result), !more);
                drop(op);
            }
        }
    }

    /// Ends every operation and waits until the kernel has let go of all memory. What it does not let
    /// go of in time is leaked, never freed.
    pub fn drain(&self) {
        self.ending.set(true);
        let limit = time::now() + DRAIN_MAX;
        while self.in_flight() > 0 && time::now() < limit {
            let keys = self.in_flight.borrow().keys();
            for key in keys {
                self.cancel(key);
            }
            let tick = Duration::from_millis(100);
            let wait = if self.has_inline() { 0 } else { 1 };
            self.enter_once(wait, Some(tick));
            self.dispatch();
            // Results of futures that were leaked rather than dropped have nobody to take them.
            let keys = self.in_flight.borrow().keys();
            for key in keys {
                let mut ops = self.in_flight.borrow_mut();
                let done = ops.get_mut(key).is_some_and(|op| {
                    matches!(op.listener, Listener::Future { result: Some(_), .. })
                });
                let op = if done { ops.remove(key) } else { None };
                drop(ops);
                drop(op);
            }
        }
        let left = std::mem::replace(&mut *self.in_flight.borrow_mut(), Slab::new());
        if left.len() > 0 {
            tracing::warn!(operations = left.len(), "the kernel still holds memory; it is leaked");
            std::mem::forget(left);
            std::mem::forget(self.provided.memory().clone());
        }
    }
}

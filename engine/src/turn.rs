//! One turn of a shard's loop.
//!
//! A turn takes in what others sent, polls ready tasks for a bounded time, hands over mail, and enters the
//! kernel once: to submit, to pick up completions and, when nothing is ready, to sleep until something
//! completes, a timer is due or another shard wakes it. An idle shard sits in that call at 0 % CPU.

use std::task::Waker;
use std::time::Duration;

use crate::limits::{LONG_TASK, TURN_POLLS_MAX, TURN_TIME_MAX};
use crate::local::Local;
use crate::queue::NAMES;
use crate::stats::add;
use crate::time;
use crate::uring::Wait;

/// Turns until `done` says so. A shard without work spins for up to `spin` before it sleeps.
pub(crate) fn run_until(local: &Local, spin: Duration, done: impl Fn() -> bool) {
    let mut woken = Vec::new();
    loop {
        add(&local.counters.turns, 1);
        take_in(local, &mut woken);
        poll_tasks(local);
        if done() {
            return;
        }
        deliver_mail(local);
        enter(local, spin);
        local.ring().dispatch();
    }
}

/// Work from elsewhere: memory given back, tasks woken by other threads, timers.
pub(crate) fn take_in(local: &Local, woken: &mut Vec<Waker>) {
    if local.arena.has_returns() {
        local.arena.take_returns();
    }
    while let Some(key) = local.remote.take_woken() {
        local.executor.schedule(key);
    }
    local.timers.borrow_mut().take_due(time::now().nanos(), woken);
    woken.drain(..).for_each(Waker::wake);
}

fn poll_tasks(local: &Local) {
    let start = time::now();
    let mut before = start;
    for _ in 0..TURN_POLLS_MAX {
        let Some(queue) = local.executor.poll_next() else { return };
        let after = time::now();
        let took = after.since(before);
        let ns = took.as_nanos() as u64;
        local.executor.charge(queue, ns);
        let counters = &local.counters;
        add(&counters.polls, 1);
        add(&counters.queue_ns[queue], ns);
        if took > LONG_TASK {
            add(&counters.long_tasks[queue], 1);
            if ns > counters.longest_task_ns.get() {
                counters.longest_task_ns.set(ns);
                tracing::debug!(queue = NAMES[queue], us = ns / 1000, "a task ran long");
            }
        }
        if after.since(start) > TURN_TIME_MAX {
            return;
        }
        before = after;
    }
}

/// Flushes outboxes and wakes readers; true if there was mail.
pub(crate) fn deliver_mail(local: &Local) -> bool {
    let boxes = local.mailboxes.borrow();
    let mut any = false;
    for mailbox in boxes.iter() {
        if let Some(mailbox) = mailbox.upgrade() {
            mailbox.flush();
            any |= mailbox.deliver();
        }
    }
    any
}

fn enter(local: &Local, spin: Duration) {
    let ring = local.ring();
    // Memory a task waits for may be in a send that is done as soon as it is submitted.
    let inline_awaited =
        ring.is_inline_awaited() || (ring.has_inline() && local.arena.is_awaited());
    if !local.executor.is_idle() || inline_awaited || ring.has_taken() {
        if ring.has_work() {
            ring.enter(Wait::No);
        }
        return;
    }
    if !spin.is_zero() && spin_for_work(local, spin) {
        return;
    }
    local.remote.fall_asleep();
    local.arena.announce_want();
    // Whatever came before `asleep` was set is seen here; whatever comes after wakes us.
    let awake = deliver_mail(local) || local.remote.has_woken() || local.arena.has_returns();
    let wait = if awake || !local.executor.is_idle() {
        Wait::No
    } else {
        let next = local.timers.borrow_mut().next_ns();
        match next.map(|at| at.saturating_sub(time::now().nanos())) {
            None => Wait::Forever,
            Some(0) => Wait::No,
            Some(ns) => Wait::For(Duration::from_nanos(ns)),
        }
    };
    if !matches!(wait, Wait::No) || ring.has_work() {
        ring.enter(wait);
    }
    local.remote.stay_awake();
}

/// Looks for work without sleeping, for a bounded time.
fn spin_for_work(local: &Local, spin: Duration) -> bool {
    let ring = local.ring();
    if ring.has_work() {
        ring.enter(Wait::No);
        if ring.has_taken() {
            return true;
        }
    }
    let start = time::now();
    let timer = local.timers.borrow_mut().next_ns();
    loop {
        let due = timer.is_some_and(|at| at <= time::now().nanos());
        let found = deliver_mail(local) || local.remote.has_woken() || local.arena.has_returns();
        if due || found || !local.executor.is_idle() {
            return true;
        }
        if ring.has_work() {
            ring.enter(Wait::No);
            if ring.has_taken() {
                return true;
            }
        }
        if start.elapsed() > spin {
            return false;
        }
        std::hint::spin_loop();
    }
}

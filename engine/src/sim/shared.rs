//! What a world's parts share: clock, dice, disk, and the operations in flight.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::Duration;

use super::dice::Dice;
use super::disk::DiskState;
use super::end::Crash;
use super::operation::{Io, Op};
use super::trace::Trace;
use super::{Action, WorldConfig};
use crate::slab::{Key, Slab};

/// Where the calendar starts: 2026-01-01.
const CALENDAR_MS: i64 = 1_767_225_600_000;
/// Where the clock starts; nothing compares with zero by accident.
const CLOCK_NS: u64 = 1_000_000_000;

/// What the queue holds for an operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Middle,
    End,
}

/// How the disk keeps time while one process runs.
#[derive(Clone, Copy)]
enum Pace {
    /// Anywhere between the bounds, seldom far beyond.
    Usual,
    /// All alike, so that completions meet.
    Even,
    /// Often far beyond.
    Rough,
}

/// When, the operation's order, the operation, what happens to it.
type Event = (u64, u64, Key, Stage);

pub(super) struct Shared {
    clock: Cell<u64>,
    /// Which shard runs next, for how long, and whatever else is not the disk's.
    pub scheduler: Dice,
    /// How long operations take.
    latency: Dice,
    /// What faults do.
    pub faults: Dice,
    /// The processes' own random numbers.
    pub process: Dice,
    /// The test's.
    pub model: Dice,
    pub trace: Trace,
    pub disk: RefCell<DiskState>,
    pub ops: RefCell<Slab<Op>>,
    queue: RefCell<BinaryHeap<Reverse<Event>>>,
    submitted: Cell<u64>,
    /// I/O steps until the crash; zero: none is ordered.
    crash_in: Cell<u64>,
    crash_kind: Cell<Crash>,
    doom: Cell<Option<Crash>>,
    slow: Cell<(u32, u64)>,
    pace: Cell<Pace>,
    running: Cell<bool>,
    /// A sync of the file system failed in this process.
    pub sync_failed: Cell<bool>,
    dead: Cell<bool>,
    /// Numbers the processes.
    epoch: Cell<u32>,
}

impl Shared {
    pub fn new(config: &WorldConfig) -> Rc<Shared> {
        let dice = |purpose| Dice::new(config.seed, purpose);
        Rc::new(Shared {
            clock: Cell::new(CLOCK_NS),
            scheduler: dice(1),
            latency: dice(2),
            faults: dice(3),
            process: dice(4),
            model: dice(5),
            trace: Trace::new(config.trace),
            disk: RefCell::new(DiskState::new(config.disk_bytes)),
            ops: RefCell::new(Slab::new()),
            queue: RefCell::default(),
            submitted: Cell::new(0),
            crash_in: Cell::new(0),
            crash_kind: Cell::new(Crash::Kill),
            doom: Cell::new(None),
            slow: Cell::new((1, 0)),
            pace: Cell::new(Pace::Usual),
            running: Cell::new(false),
            dead: Cell::new(false),
            sync_failed: Cell::new(false),
            epoch: Cell::new(0),
        })
    }

    pub fn now(&self) -> u64 {
        self.clock.get()
    }

    pub fn unix_ms(&self) -> i64 {
        CALENDAR_MS + (self.clock.get() / 1_000_000) as i64
    }

    /// Lets time pass until `ns`, unless it is later already.
    pub fn pass_until(&self, ns: u64) {
        self.clock.set(self.clock.get().max(ns));
    }

    pub fn is_running(&self) -> bool {
        self.running.get()
    }

    pub fn is_dead(&self) -> bool {
        self.dead.get()
    }

    pub fn epoch(&self) -> u32 {
        self.epoch.get()
    }

    pub fn start_process(&self) {
        self.epoch.set(self.epoch.get() + 1);
        self.running.set(true);
        self.dead.set(false);
        self.sync_failed.set(false);
        self.doom.set(None);
        self.pace.set(match self.latency.below(4) {
            0 => Pace::Even,
            1 => Pace::Rough,
            _ => Pace::Usual,
        });
    }

    /// From now on nothing the process does reaches the disk.
    pub fn die(&self) {
        self.dead.set(true);
    }

    pub fn end_process(&self) {
        self.running.set(false);
        self.queue.borrow_mut().clear();
        self.disarm_crash();
    }

    pub fn crash_at_io(&self, in_ios: u64, kind: Crash) {
        self.crash_in.set(in_ios);
        self.crash_kind.set(kind);
    }

    pub fn disarm_crash(&self) {
        self.crash_in.set(0);
    }

    /// The crash that was ordered and whose time has come.
    pub fn doom(&self) -> Option<Crash> {
        self.doom.get()
    }

    /// An I/O step; true if the process ends with it.
    fn step(&self) -> bool {
        match self.crash_in.get() {
            0 => false,
            left => {
                self.crash_in.set(left - 1);
                if left == 1 {
                    self.doom.set(Some(self.crash_kind.get()));
                }
                left == 1
            }
        }
    }

    pub fn power_cut(&self) {
        self.disk.borrow_mut().cut_power(&self.faults);
        self.trace.event(&[4, self.now()], || format!("{:>14} power cut", self.now()));
    }

    pub fn slow(&self, factor: u32, for_: Duration) {
        let until = self.clock.get().saturating_add(for_.as_nanos() as u64);
        self.slow.set((factor.max(1), until));
    }

    fn latency_of(&self, action: &Action) -> u64 {
        let (low, high) = action.latency_ns();
        let dice = &self.latency;
        let (rarely, from) = match self.pace.get() {
            Pace::Usual => (250, low),
            Pace::Even => (1_000, high - high / 50),
            Pace::Rough => (20, low),
        };
        let base = if action.is_disk() && dice.one_in(rarely) {
            dice.between(5_000_000, 20_000_000)
        } else {
            dice.between(from, high)
        };
        // About 2 GB/s.
        let ns = base + action.bytes() / 2;
        let (factor, until) = self.slow.get();
        if self.now() < until { ns * u64::from(factor) } else { ns }
    }

    /// Starts an operation.
    pub fn submit(self: &Rc<Self>, mut action: Action) -> Io {
        if self.is_dead() || self.doom().is_some() {
            return Io::never(self.clone());
        }
        let order = self.submitted.get();
        self.submitted.set(order + 1);
        action.on_submission(&self.disk.borrow());
        let takes = self.latency_of(&action);
        let numbers = action.numbers();
        self.trace.event(&[1, self.now(), numbers[0], numbers[1], numbers[2], takes], || {
            let line = action.line(&self.disk.borrow());
            format!("{:>14} submit {order} {line}, takes {takes} ns", self.now())
        });
        let is_io = action.is_disk();
        let is_write = matches!(action, Action::Write { .. });
        let key = self.ops.borrow_mut().insert(Op::new(order, action));
        let at = self.now() + takes;
        let mut queue = self.queue.borrow_mut();
        if is_write && self.crash_in.get() > 0 {
            let middle = self.now() + takes / 2;
            queue.push(Reverse((middle, order, key, Stage::Middle)));
        }
        queue.push(Reverse((at, order, key, Stage::End)));
        drop(queue);
        if is_io {
            self.step();
        }
        Io::new(self.clone(), key)
    }

    /// When the next operation has something to happen.
    pub fn next_ns(&self) -> Option<u64> {
        self.queue.borrow().peek().map(|Reverse((at, ..))| *at)
    }

    /// Lets the next thing happen to an operation.
    pub fn complete_next(&self) {
        let next = self.queue.borrow_mut().pop();
        let Some(Reverse((_, order, key, stage))) = next else { return };
        let mut ops = self.ops.borrow_mut();
        let Some(op) = ops.get_mut(key) else { return };
        let is_io = op.is_disk();
        if stage == Stage::Middle {
            drop(ops);
            self.step();
            return;
        }
        let doomed = is_io && self.step();
        if doomed && self.faults.one_in(2) {
            // The process ends just before it has an effect: it stays in flight.
            return;
        }
        let Some(action) = op.start() else { return };
        drop(ops);
        let output = action.perform(self);
        self.trace.event(&[2, self.now(), order, output.number()], || {
            format!("{:>14} done {order}: {}", self.now(), output.line())
        });
        let mut ops = self.ops.borrow_mut();
        let waker = ops.get_mut(key).and_then(|op| op.finish(output));
        let abandoned = match ops.get_mut(key) {
            Some(op) if op.is_abandoned() => ops.remove(key),
            _ => None,
        };
        drop(ops);
        drop(abandoned);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What is in flight as the process ends, oldest first; results nobody took are thrown away.
    pub fn take_in_flight(&self) -> Vec<Action> {
        let mut ops = self.ops.replace(Slab::new());
        let mut left: Vec<Op> = ops.keys().into_iter().filter_map(|key| ops.remove(key)).collect();
        left.sort_by_key(Op::order);
        left.into_iter().filter_map(|mut op| op.start()).collect()
    }
}

//! One simulated process: its shards, and the scheduler that lets one of them run at a time.
//!
//! Shards run side by side in virtual time: a poll takes a little of it, during which its shard is busy
//! and the others are not. Which of the shards that could run goes first is the dice's decision.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::task::Waker;

use super::end::{self, Crash, ProcessEnd};
use super::shared::Shared;
use crate::buffer::{Arena, Simulated};
use crate::executor::Executor;
use crate::limits::{BLOCKING_JOBS_MAX, LONG_TASK, TURN_POLLS_MAX};
use crate::local::{self, Local};
use crate::remote::Remote;
use crate::shard::ShardId;
use crate::stats::{Counters, add};
use crate::sync::Semaphore;
use crate::task::{self, Queue};
use crate::timer::Timers;
use crate::turn;
use crate::uring::RingCounters;

/// The I/O of a simulated shard.
pub(crate) struct Host {
    shared: Rc<Shared>,
    counters: RingCounters,
}

impl Host {
    pub fn counters(&self) -> &RingCounters {
        &self.counters
    }

    /// Of the whole process.
    pub fn in_flight(&self) -> usize {
        self.shared.ops.borrow().len()
    }
}

struct SimShard {
    local: Rc<Local>,
    /// It sleeps until it is woken or its timer is due.
    asleep: bool,
    timer: Option<u64>,
    /// Busy until then.
    free_at: u64,
    /// Polls until the end of its turn.
    polls_left: u64,
    ended: bool,
    woken: Vec<Waker>,
    /// Its polls take so many times as long.
    slowness: u64,
}

pub(super) struct Process {
    shared: Rc<Shared>,
    shards: Vec<SimShard>,
}

type Panic = Box<dyn Any + Send>;

impl Process {
    pub fn start(shared: Rc<Shared>, shards: usize, memory_bytes: usize) -> Process {
        assert!(shards > 0, "at least one shard is launched");
        assert!(!shared.is_running(), "a world runs one process at a time");
        assert!(local::try_with(|_| ()).is_none(), "a shard runs no world");
        shared.start_process();
        end::forget();
        let memory = match shared.scheduler.below(4) {
            0 | 1 => Simulated::AsLeft,
            2 => Simulated::Filled(0),
            _ => Simulated::Filled(shared.scheduler.u64() as u8),
        };
        let shard = |i| SimShard::new(&shared, i as u16, memory_bytes, memory);
        let shards = (0..shards).map(shard).collect();
        Process { shared, shards }
    }

    pub fn run<F, Fut, T>(mut self, main: F, polls_max: u64) -> ProcessEnd<T>
    where
        F: Fn(ShardId) -> Fut,
        Fut: Future<Output = T> + 'static,
        T: 'static,
    {
        let outputs: Vec<Rc<RefCell<Option<T>>>> =
            self.shards.iter().map(|_| Rc::default()).collect();
        let end = match self.spawn_mains(&main, &outputs) {
            Ok(()) => self.drive(polls_max, |i| outputs[i].borrow().is_some()),
            Err(panic) => end::end_of(panic),
        };
        self.shared.die();
        let dropped = end::catch(|| drop(main));
        let cut = matches!(end, ProcessEnd::Crashed(Crash::PowerCut));
        let cleared = self.clear(cut);
        // What the outputs own may be memory of the shards, whose tasks are gone: they may outlive them.
        match (end, dropped.and(cleared)) {
            (ProcessEnd::Ended(_), Err(panic)) => end::end_of(panic),
            (ProcessEnd::Ended(_), Ok(())) => {
                let take = |o: &Rc<RefCell<Option<T>>>| o.take().expect("every shard has ended");
                ProcessEnd::Ended(outputs.iter().map(take).collect())
            }
            (ProcessEnd::Exited { code, message }, _) => ProcessEnd::Exited { code, message },
            (ProcessEnd::Crashed(kind), _) => ProcessEnd::Crashed(kind),
            (ProcessEnd::Stuck(why), _) => ProcessEnd::Stuck(why),
            (ProcessEnd::Panicked(why), _) => ProcessEnd::Panicked(why),
        }
    }

    fn spawn_mains<F, Fut, T>(
        &mut self,
        main: &F,
        outputs: &[Rc<RefCell<Option<T>>>],
    ) -> Result<(), Panic>
    where
        F: Fn(ShardId) -> Fut,
        Fut: Future<Output = T> + 'static,
        T: 'static,
    {
        for (shard, output) in self.shards.iter().zip(outputs) {
            let place = output.clone();
            shard.act(|local| {
                let future = main(local.shard);
                drop(task::spawn(Queue::Produce, async move {
                    let value = future.await;
                    *place.borrow_mut() = Some(value);
                }));
            })?;
        }
        Ok(())
    }

    fn drive(&mut self, polls_max: u64, is_done: impl Fn(usize) -> bool) -> ProcessEnd<()> {
        let mut polls = 0;
        let mut ready = Vec::new();
        loop {
            if let Some(kind) = self.shared.doom() {
                return ProcessEnd::Crashed(kind);
            }
            if self.shards.iter().all(|shard| shard.ended) {
                return ProcessEnd::Ended(Vec::new());
            }
            let now = self.shared.now();
            self.find_ready(now, &mut ready);
            let due = self.shared.next_ns().is_some_and(|at| at <= now);
            let choices = ready.len() as u64 + u64::from(due);
            if choices == 0 {
                let Some(next) = self.next_ns() else {
                    let why = "nothing is ready, no timer runs and no operation is in flight";
                    return ProcessEnd::Stuck(self.describe(why));
                };
                self.shared.pass_until(next);
                continue;
            }
            let choice = self.shared.scheduler.below(choices) as usize;
            let Some(i) = ready.get(choice).copied() else {
                self.shared.complete_next();
                continue;
            };
            polls += 1;
            if polls > polls_max {
                return ProcessEnd::Stuck(self.describe(&format!("{polls_max} polls, and no end")));
            }
            if let Err(panic) = self.poll(i, &is_done) {
                return end::end_of(panic);
            }
        }
    }

    /// The shards that can run now.
    fn find_ready(&mut self, now: u64, ready: &mut Vec<usize>) {
        ready.clear();
        for (i, shard) in self.shards.iter_mut().enumerate() {
            if shard.ended {
                continue;
            }
            if shard.asleep && !shard.local.remote.is_asleep() {
                shard.asleep = false;
                let wake = now + self.shared.scheduler.between(1_000, 40_000);
                shard.free_at = shard.free_at.max(wake);
            }
            if shard.asleep && shard.timer.is_some_and(|at| at <= now) {
                shard.local.remote.stay_awake();
                shard.asleep = false;
            }
            if !shard.asleep && shard.free_at <= now {
                ready.push(i);
            }
        }
    }

    /// When something can happen next.
    fn next_ns(&self) -> Option<u64> {
        let shards = self.shards.iter().filter(|shard| !shard.ended);
        let shards = shards.filter_map(|s| if s.asleep { s.timer } else { Some(s.free_at) });
        shards.chain(self.shared.next_ns()).min()
    }

    /// One step of a shard's turn.
    fn poll(&mut self, i: usize, is_done: &impl Fn(usize) -> bool) -> Result<(), Panic> {
        let (shared, shard) = (&self.shared, &mut self.shards[i]);
        let now = shared.now();
        let mut woken = std::mem::take(&mut shard.woken);
        let mut polled = None;
        let mut sleeps = false;
        let ends_turn = shard.polls_left == 0;
        shard.act(|local| {
            turn::take_in(local, &mut woken);
            polled = local.executor.poll_next();
            if polled.is_none() || ends_turn {
                turn::deliver_mail(local);
                sleeps = local.executor.is_idle() && falls_asleep(local);
            }
        })?;
        shard.woken = woken;
        let cost = cost_of_poll(shared, polled.is_some()) * shard.slowness;
        if let Some(queue) = polled {
            shard.charge(queue, cost);
        }
        shard.polls_left = match polled {
            Some(_) if !ends_turn => shard.polls_left - 1,
            _ => {
                add(&shard.local.counters.turns, 1);
                shared.scheduler.below(TURN_POLLS_MAX as u64 / 16)
            }
        };
        shard.free_at = now + cost;
        shard.asleep = sleeps;
        if sleeps {
            shard.timer = shard.local.timers.borrow_mut().next_ns();
        }
        let queue = polled.map_or(u64::MAX, |queue| queue as u64);
        shared.trace.event(&[3, now, i as u64, queue, cost], || {
            let what = polled.map_or("looks", |_| "polls");
            format!("{now:>14} shard {i} {what} for {cost} ns")
        });
        if is_done(i) {
            self.end_shard(i)?;
        }
        Ok(())
    }

    /// A shard's main future has ended: its other tasks end with it.
    fn end_shard(&mut self, i: usize) -> Result<(), Panic> {
        let shard = &mut self.shards[i];
        shard.ended = true;
        shard.act(|local| {
            local.executor.clear();
            local.arena.take_returns();
        })
    }

    /// Drops all tasks and settles what is in flight.
    fn clear(&mut self, cut_power: bool) -> Result<(), Panic> {
        let mut result = Ok(());
        for shard in &self.shards {
            // A destructor that panics leaves the others to the next try.
            for _ in 0..=shard.local.executor.len() {
                let cleared = shard.act(|local| local.executor.clear());
                let done = cleared.is_ok();
                result = result.and(cleared);
                if done {
                    break;
                }
            }
        }
        let in_flight = self.shared.take_in_flight();
        self.shared.disk.borrow_mut().end_process();
        for action in in_flight {
            result = result.and(end::catch(|| action.settle(&self.shared)));
        }
        if cut_power {
            self.shared.power_cut();
        }
        self.shared.end_process();
        for shard in &self.shards {
            result = result.and(shard.act(|local| local.arena.take_returns()));
        }
        result
    }

    fn describe(&self, why: &str) -> String {
        let mut text = why.to_owned();
        for shard in self.shards.iter().filter(|shard| !shard.ended) {
            text += &format!("; shard {} waits in", shard.local.shard);
            for place in shard.local.executor.places() {
                text += &format!(" [{place}]");
            }
        }
        text
    }
}

impl SimShard {
    fn new(shared: &Rc<Shared>, number: u16, memory_bytes: usize, memory: Simulated) -> SimShard {
        let remote = Remote::register_simulated();
        let arena = Arena::simulated(memory_bytes, memory, remote.clone());
        let host = Host { shared: shared.clone(), counters: RingCounters::default() };
        let local = Rc::new(Local {
            shard: ShardId(number),
            id: remote.id(),
            executor: Executor::new(remote.id()),
            timers: RefCell::new(Timers::new(shared.now())),
            mailboxes: RefCell::default(),
            blocking: Semaphore::new(u64::from(BLOCKING_JOBS_MAX)),
            counters: Counters::default(),
            host: local::Host::Sim(host),
            arena,
            remote,
        });
        let free_at = shared.now() + shared.scheduler.below(200_000);
        SimShard {
            local,
            asleep: false,
            timer: None,
            free_at,
            polls_left: 0,
            ended: false,
            woken: Vec::new(),
            slowness: if shared.scheduler.one_in(8) { 15 } else { 1 },
        }
    }

    /// Does something as this shard.
    fn act<R>(&self, part: impl FnOnce(&Local) -> R) -> Result<R, Panic> {
        local::install(self.local.clone());
        let result = end::catch(|| part(&self.local));
        let _ = local::uninstall();
        result
    }

    fn charge(&self, queue: usize, ns: u64) {
        self.local.executor.charge(queue, ns);
        let counters = &self.local.counters;
        add(&counters.polls, 1);
        add(&counters.queue_ns[queue], ns);
        if u128::from(ns) > LONG_TASK.as_nanos() {
            add(&counters.long_tasks[queue], 1);
            counters.longest_task_ns.set(counters.longest_task_ns.get().max(ns));
        }
    }
}

/// The protocol of the real loop: say that it sleeps, look once more, sleep.
fn falls_asleep(local: &Local) -> bool {
    local.remote.fall_asleep();
    local.arena.announce_want();
    let mail = turn::deliver_mail(local);
    let awake = mail || local.remote.has_woken() || local.arena.has_returns();
    if awake || !local.executor.is_idle() {
        local.remote.stay_awake();
        return false;
    }
    true
}

/// Virtual time a poll takes; now and then another process has the core.
fn cost_of_poll(shared: &Shared, polled: bool) -> u64 {
    let dice = &shared.scheduler;
    match (polled, dice.below(2_000)) {
        (false, _) => dice.between(200, 1_000),
        (true, 0) => dice.between(200_000, 3_000_000),
        (true, _) => dice.between(1_000, 3_000),
    }
}

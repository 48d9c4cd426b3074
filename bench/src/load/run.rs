//! The order of a run: topics, threads, warm-up, measured time, drain, audit.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use engine::{signal, time};

use super::beside::{self, Side};
use super::context::Job;
use super::control::{Control, Times};
use super::limits::{CONNECT_MAX, DRAIN_MAX, PREPARE_MAX, SHOW, SILENCE_MAX};
use super::live::{Live, Phase, Where};
use super::meter::Seconds;
use super::outcome::{self, Outcome};
use super::scribe::{Roll, Scribe};
use super::threads::{self, Seat};
use super::topics::Topics;
use super::usage::{Clocks, Sampler, Threads};
use crate::error::BenchError;
use crate::plan::Plan;
use crate::record::{Lanes, Pool, reconcile};
use crate::result::model::Run;

/// Time between the decision to begin and the first record.
const LEAD: Duration = Duration::from_millis(50);

/// Who is shown how it goes.
pub type Watcher<'a> = &'a mut dyn FnMut(&Live);

/// Runs `plan` against the broker at `at`: makes topics of its own, loads them, audits the delivery, deletes them.
/// `watch` is called some five times a second on the calling thread. What the audit finds is in [`Run::audit`].
///
/// SIGINT and SIGTERM are blocked on the calling thread from now on: they end a run in order.
///
/// # Errors
/// The broker cannot be reached or refuses what the plan needs; or the run was interrupted by a signal.
pub fn run(plan: &Plan, at: &Where, watch: Watcher<'_>) -> Result<Run, BenchError> {
    plan.check()?;
    signal::block();
    let topics = Topics::new(&at.bootstrap, plan.topics);
    let result = run_on(plan, at, &topics, watch);
    let deleted = topics.delete();
    let run = result?;
    if let Err(error) = deleted {
        // What was measured was measured.
        tracing::warn!("the topics of the run are left behind: {error}");
    }
    Ok(run)
}

fn run_on(plan: &Plan, at: &Where, topics: &Topics, watch: Watcher<'_>) -> Result<Run, BenchError> {
    say(watch, "topics are created");
    let (layout, from) = topics.make(plan)?;
    let lanes = Lanes {
        topics: layout.topics.iter().map(|topic| topic.name.clone()).collect(),
        partitions: plan.partitions,
    };
    let sides = beside::prepare(plan, at, watch)?;
    let job = Arc::new(Job {
        plan: plan.clone(),
        bootstrap: at.bootstrap.clone(),
        from,
        run: time::now().nanos() as u32 ^ std::process::id(),
        pool: Pool::new(plan.payload, plan.sizes.max(), plan.seed),
        control: Arc::new(Control::new(layout.leaders.len())),
        layout,
        bytes_max: 0,
        prefill_bytes: beside::prefill_bytes(plan),
        acked: Mutex::default(),
        seen: Mutex::default(),
    });
    let outcome = generate(&job, at, &sides, watch);
    let figures = beside::finish(sides, &job);
    let outcome = outcome?;
    let acked = job.acked.lock().unwrap_or_else(PoisonError::into_inner);
    let seen = job.seen.lock().unwrap_or_else(PoisonError::into_inner);
    let audit = reconcile(&acked, &seen, &lanes);
    Ok(outcome::run_of(outcome, audit, figures))
}

/// Shows what goes on while preparing.
pub fn say(watch: Watcher<'_>, words: &str) {
    watch(&Live { words: Some(words.to_owned()), ..Live::default() });
}

/// Starts the clients of a job, lets them work, and ends them.
///
/// # Errors
/// They cannot be started or connected; the broker refuses something for good; a signal.
pub fn generate(
    job: &Arc<Job>,
    at: &Where,
    sides: &[Arc<Side>],
    watch: Watcher<'_>,
) -> Result<Outcome, BenchError> {
    let plan = &job.plan;
    let own_threads = Arc::new(Threads::default());
    let consumers = (plan.fan_out * plan.consumers) as usize;
    let count = threads::count(plan, sides.len());
    let (returns, spares): (Vec<_>, Vec<_>) = (0..count).map(|_| channel()).unzip();
    let measured_seconds = plan.duration().as_secs_f64().ceil() as usize;
    let roll = Roll {
        producers: (0..plan.producers).map(|number| format!("producer-{number}")).collect(),
        consumers: (0..consumers as u32)
            .map(|at| format!("consumer-{}-{}", at / plan.consumers, at % plan.consumers))
            .collect(),
        seconds: measured_seconds,
    };
    let (scribe, notes) = Scribe::start(roll, returns);
    let mut seats: Vec<Seat> = spares
        .into_iter()
        .map(|spares| Seat {
            producers: Vec::new(),
            consumers: Vec::new(),
            sides: Vec::new(),
            notes: notes.clone(),
            spares,
        })
        .collect();
    drop(notes);
    for producer in 0..plan.producers {
        seats[producer as usize % count].producers.push(producer);
    }
    for at in 0..consumers {
        let (set, number) = (at as u32 / plan.consumers, at as u32 % plan.consumers);
        seats[(plan.producers as usize + at) % count].consumers.push((set, number, at));
    }
    for (number, side) in sides.iter().enumerate() {
        seats[(plan.producers as usize + consumers + number) % count].sides.push(side.clone());
    }
    let running = threads::start(job, seats, &own_threads)?;
    let mut stage = Stage {
        job,
        at,
        scribe,
        threads: own_threads,
        sampler: Sampler::new(at.pid),
        clocks: Clocks::default(),
        consumers,
        sides: sides.len(),
    };
    let worked = stage.work(watch);
    job.control.stopped.store(true, SeqCst);
    let Ok(()) = running.join();
    let ledger = stage.scribe.finish();
    if job.control.interrupted.load(SeqCst) {
        return Err(BenchError::interrupted("the run"));
    }
    if let Some(error) = job.control.failure() {
        return Err(error);
    }
    let mut outcome = worked?;
    outcome.ledger = ledger;
    outcome.broker_seconds = std::mem::take(&mut stage.sampler.seconds);
    Ok(outcome)
}

/// A job under way, as the calling thread sees it.
struct Stage<'a> {
    job: &'a Arc<Job>,
    at: &'a Where,
    scribe: Scribe,
    threads: Arc<Threads>,
    sampler: Sampler,
    clocks: Clocks,
    consumers: usize,
    sides: usize,
}

impl Stage<'_> {
    fn work(&mut self, watch: Watcher<'_>) -> Result<Outcome, BenchError> {
        let (job, plan) = (self.job, &self.job.plan);
        let control = &job.control;
        let clients = plan.producers as usize + self.consumers + self.sides;
        let most = PREPARE_MAX + prefill_max(job.prefill_bytes);
        let ready = || control.ready.load(SeqCst) >= clients;
        if !self.wait(watch, Phase::Preparing, most, &ready) {
            let ready = control.ready.load(SeqCst);
            control.fail(BenchError::failed(format!(
                "only {ready} of {clients} clients were ready within {} s",
                most.as_secs()
            )));
            return Err(BenchError::failed("the run was stopped"));
        }
        let begin = (time::now() + LEAD).nanos();
        let measure = begin + plan.warm_up().as_nanos() as u64;
        let times = Times { begin, measure, end: measure + plan.duration().as_nanos() as u64 };
        if job.prefill_bytes == 0 {
            control.released.store(true, SeqCst);
        }
        control.set_times(times);
        let mut outcome = Outcome::new(times, self.at, self.threads.clone());
        self.pass(watch, times, Phase::WarmUp, measure);
        control.released.store(true, SeqCst);
        outcome.on_begin();
        self.sampler.begin();
        self.measure(watch, times);
        outcome.on_end(&self.sampler, &self.clocks);
        self.drain(watch, times);
        Ok(outcome)
    }

    /// Waits until `at`, showing how it goes.
    fn pass(&mut self, watch: Watcher<'_>, times: Times, phase: Phase, at: u64) {
        while !self.job.control.is_stopped() {
            let now = time::now().nanos();
            let finished = self.job.control.finished.load(SeqCst);
            let done = self.job.bytes_max > 0 && finished >= self.job.plan.producers as usize;
            if now >= at || done {
                return;
            }
            self.show(watch, times, phase);
            thread::sleep(Duration::from_nanos(at - now).min(SHOW));
        }
    }

    fn measure(&mut self, watch: Watcher<'_>, times: Times) {
        let seconds = Seconds::new(times);
        for second in 0..seconds.count() as i64 {
            self.pass(watch, times, Phase::Measuring, seconds.end_of(second));
            self.sampler.second();
        }
    }

    fn drain(&mut self, watch: Watcher<'_>, times: Times) {
        let control = self.job.control.clone();
        let producers = self.job.plan.producers as usize;
        let finished = || control.finished.load(SeqCst) >= producers;
        self.wait_in(watch, Some(times), Phase::Draining, DRAIN_MAX * 2, &finished);
        let sides = self.sides;
        let noted = || control.sides_done.load(SeqCst) >= sides;
        self.wait_in(watch, Some(times), Phase::Draining, CONNECT_MAX, &noted);
        control.produced.store(time::now().nanos(), SeqCst);
        let consumers = self.consumers;
        let drained = || control.drained.load(SeqCst) >= consumers;
        // A drain that goes on is not cut off: silence ends it.
        self.wait_in(watch, Some(times), Phase::Draining, SILENCE_MAX * 100, &drained);
    }

    /// Waits for `done`, up to `most`; false if it did not come, or the run was stopped.
    fn wait(
        &mut self,
        watch: Watcher<'_>,
        phase: Phase,
        most: Duration,
        done: &dyn Fn() -> bool,
    ) -> bool {
        self.wait_in(watch, None, phase, most, done)
    }

    fn wait_in(
        &mut self,
        watch: Watcher<'_>,
        times: Option<Times>,
        phase: Phase,
        most: Duration,
        done: &dyn Fn() -> bool,
    ) -> bool {
        let began = time::now();
        let mut shown = began - SHOW;
        while !done() {
            if self.job.control.is_stopped() || began.elapsed() > most {
                return false;
            }
            if shown.elapsed() >= SHOW {
                shown = time::now();
                match times {
                    Some(times) => self.show(watch, times, phase),
                    None => say(watch, "clients connect"),
                }
            }
            thread::sleep(Duration::from_millis(2));
        }
        true
    }

    fn show(&mut self, watch: Watcher<'_>, times: Times, phase: Phase) {
        self.clocks.look();
        let now = time::now().nanos();
        let (from, to) = match phase {
            Phase::Preparing | Phase::WarmUp => (times.begin, times.measure),
            Phase::Measuring => (times.measure, times.end),
            Phase::Draining => (times.end, times.end + (DRAIN_MAX + SILENCE_MAX).as_nanos() as u64),
        };
        // A second is complete a little after its end, when all clients have handed it in.
        let complete = now.saturating_sub(150_000_000).max(times.begin);
        let second = Seconds::new(times).of(complete) - 1;
        let recent = self.scribe.recent(second).unwrap_or_default();
        watch(&Live {
            phase,
            elapsed: Duration::from_nanos(now.saturating_sub(from)),
            of: Duration::from_nanos(to - from),
            intended_per_second: recent.counts.intended as f64,
            acknowledged_per_second: recent.counts.acknowledged as f64,
            bytes_per_second: recent.counts.acknowledged_bytes as f64,
            consumed_per_second: recent.counts.consumed as f64,
            response: recent.response,
            backlog: recent.backlog,
            failed: recent.failed,
            words: None,
        });
    }
}

/// Time allowed for so many bytes before the load: a slow disk's.
fn prefill_max(bytes: u64) -> Duration {
    Duration::from_secs(bytes / (4 << 20))
}

/// What was done beside the clients, by name.
pub type Figures = BTreeMap<String, BTreeMap<String, f64>>;

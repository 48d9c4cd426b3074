//! Runs one scenario: process after process in one world, until its operations are done or the model objects.

use std::rc::Rc;
use std::time::Duration;

use engine::mail::Mesh;
use engine::shard::ShardId;
use engine::sim::{Crash, ProcessEnd, World, WorldConfig};
use storage::planted::{self, Bug};

use crate::coverage::Coverage;
use crate::first;
use crate::mail::Mail;
use crate::model::Aftermath;
use crate::scenario::Scenario;
use crate::shared::{Next, Shared};
use crate::start::follow;
use crate::violation::{Rule, Violation};

/// Messages that may wait from one shard to another.
const MAIL_SLOTS: usize = 256;
/// Processes of one scenario at most: more means that it does not get on.
const PROCESSES_MAX: usize = 600;

/// What is kept of a run besides its outcome.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep {
    /// The lines of the engine's trace, not only its hash.
    pub trace: bool,
    /// A line for each operation and what came of it.
    pub notes: bool,
}

/// Why a scenario failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The model objects.
    Violation(Violation),
    /// An assertion, of the storage code or of the harness.
    Panic(String),
    /// Nothing went on any more.
    Stuck(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Violation(violation) => write!(f, "violation of the model: {violation}"),
            Failure::Panic(message) => write!(f, "panic: {message}"),
            Failure::Stuck(message) => write!(f, "stuck: {message}"),
        }
    }
}

impl Failure {
    /// Whether another failure is of the same kind, so that a scenario may be shrunk from one to the other.
    pub fn is_like(&self, other: &Failure) -> bool {
        match (self, other) {
            (Failure::Violation(one), Failure::Violation(other)) => one.rule == other.rule,
            (Failure::Panic(_), Failure::Panic(_)) | (Failure::Stuck(_), Failure::Stuck(_)) => true,
            _ => false,
        }
    }
}

/// What a run gave.
#[derive(Debug)]
pub struct Outcome {
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// The hash over everything that happened.
    pub trace_hash: u64,
    /// Events of the world.
    pub events: u64,
    /// What happened.
    pub coverage: Coverage,
    /// The engine's trace, if it was kept.
    pub trace: Vec<String>,
    /// The scenario's lines, if they were kept.
    pub notes: Vec<String>,
}

/// Runs a scenario with a bug planted, or without one.
pub fn run(scenario: &Scenario, bug: Option<Bug>, keep: Keep) -> Outcome {
    planted::plant(bug);
    let outcome = run_world(scenario, keep);
    planted::plant(None);
    outcome
}

fn run_world(scenario: &Scenario, keep: Keep) -> Outcome {
    let settings = &scenario.settings;
    let mut world = World::new(WorldConfig {
        seed: scenario.seed,
        disk_bytes: settings.disk_bytes,
        memory_bytes_per_shard: settings.memory_bytes,
        trace: keep.trace,
    });
    let shared = Shared::new(scenario.clone(), keep.notes);
    let mut runner =
        Runner { world: &mut world, shared: shared.clone(), shards: 0, sync_errors: 0 };
    let failure = runner.run();
    let coverage = *shared.coverage.borrow();
    Outcome {
        failure,
        trace_hash: world.trace_hash(),
        events: world.events(),
        coverage,
        trace: world.trace(),
        notes: shared.take_notes(),
    }
}

struct Runner<'a> {
    world: &'a mut World,
    shared: Rc<Shared>,
    /// Of the process before.
    shards: u8,
    /// Syncs that had failed when the process began.
    sync_errors: u64,
}

impl Runner<'_> {
    fn run(&mut self) -> Option<Failure> {
        for _ in 0..PROCESSES_MAX {
            let was_over = self.shared.is_over();
            let end = self.run_process();
            if let Some(violation) = self.shared.violation() {
                return Some(Failure::Violation(violation));
            }
            match self.on_end(end) {
                Ok(true) if was_over => return None,
                Ok(_) => {}
                Err(failure) => return Some(failure),
            }
        }
        Some(Failure::Stuck(format!("the scenario does not end within {PROCESSES_MAX} processes")))
    }

    fn run_process(&mut self) -> ProcessEnd<Result<(), String>> {
        let next = self.shared.next.borrow().clone();
        self.world.advance(next.pause + Duration::from_millis(1));
        let mut crashes = next.while_starting.iter().copied();
        if let Some(at) = crashes.next() {
            self.world.disk().crash_at_io(at.ios, at.crash);
        }
        let while_starting = crashes.collect();
        *self.shared.next.borrow_mut() = Next { while_starting, ..next };
        self.shared.in_flight.set(0);
        self.shared.serving.set(false);
        self.shared.stopping.set(false);
        {
            let mut model = self.shared.model.borrow_mut();
            model.faults.full = model.faults.limited;
        }
        self.shared.count(|coverage| {
            coverage.starts += 1;
            coverage.shards_changed += u64::from(self.shards != 0 && self.shards != next.shards);
        });
        self.shared.note(|| format!("process of {} shards", next.shards));
        self.shards = next.shards;
        self.sync_errors = self.world.disk().counters().sync_errors;
        let shards = usize::from(next.shards);
        let mesh: Mesh<Mail> = Mesh::new(shards, MAIL_SLOTS);
        let shared = self.shared.clone();
        shared.running.set(true);
        let end = self.world.run(shards, move |shard: ShardId| {
            let post = Rc::new(mesh.join(shard));
            let shared = shared.clone();
            async move {
                if shard == ShardId(0) {
                    first::run(shared, post, shards).await
                } else {
                    follow(shared, post, shard, shards).await;
                    Ok(())
                }
            }
        });
        self.shared.running.set(false);
        self.shared.note(|| format!("process ended: {end:?}"));
        end
    }

    /// Takes note of how a process ended. True when it ended in order.
    fn on_end(&mut self, end: ProcessEnd<Result<(), String>>) -> Result<bool, Failure> {
        let serving = self.shared.serving.get();
        let mut model = self.shared.model.borrow_mut();
        let mut coverage = self.shared.coverage.borrow_mut();
        match end {
            ProcessEnd::Crashed(crash) => {
                coverage.crashes_while_starting += u64::from(!serving);
                match crash {
                    Crash::Kill => coverage.kills += 1,
                    Crash::PowerCut => coverage.power_cuts += 1,
                }
                // A sync may fail just as the process dies, which does not hear of it: the page cache has lost what was written.
                let sync_failed = self.world.disk().counters().sync_errors > self.sync_errors;
                let aftermath = match crash {
                    Crash::Kill if !sync_failed => Aftermath::Killed,
                    Crash::Kill | Crash::PowerCut => Aftermath::PowerLost,
                };
                model.on_end(aftermath);
                Ok(false)
            }
            ProcessEnd::Ended(results) => match results.into_iter().find_map(Result::err) {
                None => Ok(true),
                Some(error) => {
                    model.on_end(Aftermath::PowerLost);
                    let no_space = error.contains("No space left");
                    if model.faults.io > 0 && !no_space {
                        model.faults.io -= 1;
                        coverage.starts_refused_io += 1;
                    } else if model.faults.limited && no_space {
                        coverage.starts_refused_full += 1;
                        model.faults.limited = false;
                        self.world.disk().set_capacity(self.shared.scenario.settings.disk_bytes);
                    } else {
                        let text = format!("the node did not start: {error}");
                        return Err(Failure::Violation(Violation::new(Rule::Start, text)));
                    }
                    Ok(false)
                }
            },
            ProcessEnd::Exited { code, message } => {
                model.on_end(Aftermath::PowerLost);
                if model.faults.io == 0 {
                    let text = format!("the process ended with {code}: {message}");
                    return Err(Failure::Violation(Violation::new(Rule::Ended, text)));
                }
                model.faults.io -= 1;
                let write = message.contains("write") && !message.contains("sync");
                coverage.write_failed += u64::from(write);
                coverage.sync_failed += u64::from(!write);
                Ok(false)
            }
            ProcessEnd::Panicked(message) => Err(Failure::Panic(message)),
            ProcessEnd::Stuck(message) => Err(Failure::Stuck(message)),
        }
    }
}

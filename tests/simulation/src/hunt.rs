//! Runs many seeds on all cores, and says what failed so that it can be repeated.

use std::fmt::Write;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use storage::planted::Bug;

use crate::coverage::Coverage;
use crate::run::{Failure, Keep, Outcome, run};
use crate::scenario::Scenario;
use crate::shrink::shrink;

/// How long a failing scenario is made smaller.
pub const SHRINK_LIMIT: Duration = Duration::from_secs(40);

/// The stack of a thread that runs worlds: unoptimised futures are large.
const STACK_BYTES: usize = 16 << 20;

/// What many seeds gave.
#[derive(Debug, Default)]
pub struct Hunt {
    /// Seeds that were run.
    pub seeds: u64,
    /// In how many of them each thing happened.
    pub coverage: Coverage,
    /// Events of all their worlds.
    pub events: u64,
    /// The failing seed with the lowest number among those that were run.
    pub failed: Option<(u64, Failure)>,
}

/// Threads to run seeds on.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Runs seeds from `from` on, `count` of them or without end, and stops at the first failure. `progress` is told now and then.
pub fn hunt(
    from: u64,
    count: Option<u64>,
    threads: usize,
    bug: Option<Bug>,
    progress: impl Fn(&Hunt) + Sync,
) -> Hunt {
    let next = AtomicU64::new(from);
    let stop = AtomicBool::new(false);
    let found = Mutex::new(Hunt::default());
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if count.is_some_and(|count| seed >= from.saturating_add(count)) {
                return;
            }
            let outcome = run(&Scenario::draw(seed), bug, Keep::default());
            let mut found = found.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            found.on_outcome(seed, outcome);
            if found.failed.is_some() {
                stop.store(true, Ordering::Relaxed);
            }
            progress(&found);
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let thread = thread::Builder::new().stack_size(STACK_BYTES);
            thread.spawn_scoped(scope, work).expect("a thread can be started");
        }
    });
    found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Hunt {
    fn on_outcome(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        self.events += outcome.events;
        self.coverage.add_world(&outcome.coverage);
        if let Some(failure) = outcome.failure
            && self.failed.as_ref().is_none_or(|(other, _)| seed < *other)
        {
            self.failed = Some((seed, failure));
        }
    }
}

/// Runs something on a thread with room for a world.
pub fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        let running = thread.spawn_scoped(scope, work).expect("a thread can be started");
        running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Everything somebody needs who wants to see a failure again, with the scenario made smaller.
pub fn report(seed: u64, bug: Option<Bug>, failure: &Failure) -> String {
    let scenario = Scenario::draw(seed);
    let (smaller, last) = on_large_stack(|| shrink(&scenario, bug, failure, SHRINK_LIMIT));
    let mut text = String::new();
    let planted = bug.map(|bug| format!(" --plant {bug:?}")).unwrap_or_default();
    let _ = writeln!(text, "seed {seed} failed: {failure}");
    let _ = writeln!(text, "revision: {}", revision());
    let _ = writeln!(
        text,
        "repeat it: cargo run -p simulation --bin heddle-sim -- replay {seed} --trace{planted}"
    );
    let _ = writeln!(text, "{:?}", scenario.settings);
    let _ = writeln!(
        text,
        "{} of {} operations are enough for: {last}",
        smaller.operations.len(),
        scenario.operations.len()
    );
    for operation in &smaller.operations {
        let _ = writeln!(text, "  {operation:?}");
    }
    text
}

/// The revision of the tree, if `git` knows it.
pub fn revision() -> String {
    let asked = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let said = asked.ok().filter(|output| output.status.success());
    said.map_or("unknown".to_owned(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

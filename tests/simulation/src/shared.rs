//! What all parts of one simulated world share, over all its processes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use engine::sim::{self, Crash};

use crate::coverage::Coverage;
use crate::model::Model;
use crate::operation::{CrashAt, Operation};
use crate::scenario::Scenario;
use crate::violation::{Verdict, Violation};

/// How the next process is to be started.
#[derive(Clone, Debug)]
pub struct Next {
    /// Its shards.
    pub shards: u8,
    /// How long the node is down before.
    pub pause: Duration,
    /// Crashes while it starts, and while those after it do.
    pub while_starting: Vec<CrashAt>,
}

/// One world's model and what steers it.
pub struct Shared {
    /// What is to happen.
    pub scenario: Scenario,
    cursor: Cell<usize>,
    /// What was promised.
    pub model: RefCell<Model>,
    /// What happened.
    pub coverage: RefCell<Coverage>,
    /// The next process.
    pub next: RefCell<Next>,
    /// Operations under way.
    pub in_flight: Cell<usize>,
    /// A process is running.
    pub running: Cell<bool>,
    /// The process takes operations.
    pub serving: Cell<bool>,
    /// The process is on its way to a clean end.
    pub stopping: Cell<bool>,
    tags: Cell<u64>,
    violation: RefCell<Option<Violation>>,
    notes: Option<RefCell<Vec<String>>>,
}

impl Shared {
    /// The begin of a world. `notes`: keep a line for each thing that happens.
    pub fn new(scenario: Scenario, notes: bool) -> Rc<Shared> {
        let next = Next {
            shards: scenario.settings.shards,
            pause: Duration::ZERO,
            while_starting: scenario.while_formatting.clone(),
        };
        Rc::new(Shared {
            scenario,
            cursor: Cell::new(0),
            model: RefCell::default(),
            coverage: RefCell::default(),
            next: RefCell::new(next),
            in_flight: Cell::new(0),
            running: Cell::new(false),
            serving: Cell::new(false),
            stopping: Cell::new(false),
            tags: Cell::new(0),
            violation: RefCell::new(None),
            notes: notes.then(RefCell::default),
        })
    }

    /// The next operation; none is left when the scenario is over.
    pub fn next_operation(&self) -> Option<Operation> {
        let at = self.cursor.get();
        self.cursor.set(at + 1);
        let operation = self.scenario.operations.get(at).cloned();
        if let Some(operation) = &operation {
            self.note(|| format!("#{at} {operation:?}"));
        }
        operation
    }

    /// Whether all operations were begun.
    pub fn is_over(&self) -> bool {
        self.cursor.get() >= self.scenario.operations.len()
    }

    /// A number that no other batch has.
    pub fn tag(&self) -> u64 {
        self.tags.set(self.tags.get() + 1);
        self.tags.get()
    }

    /// Counts.
    pub fn count(&self, change: impl FnOnce(&mut Coverage)) {
        change(&mut self.coverage.borrow_mut());
    }

    /// Keeps a line, if lines are kept.
    pub fn note(&self, line: impl FnOnce() -> String) {
        if let Some(notes) = &self.notes {
            let line = line();
            let micros = if self.running.get() { engine::time::now().nanos() / 1_000 } else { 0 };
            notes.borrow_mut().push(format!("{micros:>12} us {line}"));
        }
    }

    /// Takes the lines.
    pub fn take_notes(&self) -> Vec<String> {
        self.notes.as_ref().map(RefCell::take).unwrap_or_default()
    }

    /// Takes note of a violation; the first counts.
    pub fn on_violation(&self, violation: Violation) {
        self.note(|| format!("VIOLATION {violation}"));
        self.violation.borrow_mut().get_or_insert(violation);
    }

    /// The violation, if there was one.
    pub fn violation(&self) -> Option<Violation> {
        self.violation.borrow().clone()
    }

    /// What a verdict gave; a violation ends the process.
    pub fn hold<T>(&self, verdict: Verdict<T>) -> T {
        match verdict {
            Ok(value) => value,
            Err(violation) => {
                self.on_violation(violation);
                sim::crash(Crash::Kill)
            }
        }
    }
}

//! Makes a failing scenario smaller: takes operations out while it still fails.

use std::time::{Duration, Instant};

use storage::planted::Bug;

use crate::run::{Failure, Keep, run};
use crate::scenario::Scenario;

/// A smaller scenario that fails in the same way. Takes no longer than `limit` and a run.
pub fn shrink(
    scenario: &Scenario,
    bug: Option<Bug>,
    failure: &Failure,
    limit: Duration,
) -> (Scenario, Failure) {
    let begun = Instant::now();
    let mut best = (scenario.clone(), failure.clone());
    let fails = |candidate: &Scenario| {
        run(candidate, bug, Keep::default()).failure.filter(|other| failure.is_like(other))
    };
    // What comes after the failure is not needed; then ever smaller runs of what comes before it.
    let mut part = best.0.operations.len().div_ceil(2);
    while part > 0 {
        let mut at = best.0.operations.len();
        let mut smaller = false;
        while at > 0 {
            if begun.elapsed() > limit {
                return best;
            }
            let from = at.saturating_sub(part);
            let mut candidate = best.0.clone();
            candidate.operations.drain(from..at);
            if let Some(failure) = fails(&candidate) {
                best = (candidate, failure);
                smaller = true;
            }
            at = from;
        }
        if part == 1 && !smaller {
            break;
        }
        part = if part > 1 { part / 2 } else { 1 };
    }
    best
}

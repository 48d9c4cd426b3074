//! The storage code under some thousands of seeds. Goal: nothing that was promised is lost, whatever happens to the
//! process and the disk. Method: scenarios of at least 500 operations and a crash on a simulated host, a model beside
//! them. About 3 minutes on two cores; `HEDDLE_SIM_SEEDS` sets how many seeds, 2,000 if it is not set.

use simulation::coverage::Coverage;
use simulation::hunt::{hunt, on_large_stack, report, threads};
use simulation::run::{Keep, run};
use simulation::scenario::Scenario;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 2_000;
/// In how many of 2,000 worlds each thing must have happened.
const AT_LEAST: u64 = 50;

fn seeds() -> u64 {
    match std::env::var("HEDDLE_SIM_SEEDS") {
        Ok(text) => text.parse().expect("HEDDLE_SIM_SEEDS is a number"),
        Err(_) => SEEDS,
    }
}

#[test]
fn nothing_that_was_promised_is_lost() {
    let seeds = seeds();
    let found = hunt(0, Some(seeds), threads(), None, |_| {});
    println!("{seeds} seeds, {} events; worlds with:\n{}", found.events, found.coverage);
    if let Some((seed, failure)) = &found.failed {
        panic!("{}", report(*seed, None, failure));
    }
    assert_eq!(found.seeds, seeds);
    check_coverage(&found.coverage, seeds);
}

/// A suite that never gets to where bugs are finds none.
fn check_coverage(coverage: &Coverage, seeds: u64) {
    let wanted = (seeds * AT_LEAST / SEEDS).min(AT_LEAST);
    let happened = [
        ("a journal file was used again", coverage.journal_recycled),
        ("a segment was rolled", coverage.segment_rolled),
        ("a topic was deleted and created again", coverage.recreated),
        ("retention deleted", coverage.retention),
        ("the number of shards changed", coverage.shards_changed),
        ("the disk was full", coverage.disk_full),
        ("a sync failed", coverage.sync_failed),
        ("a duplicate met its original in flight", coverage.duplicate_in_flight),
        ("a log was cut back", coverage.truncated),
        ("a process was killed", coverage.kills),
        ("the power was cut", coverage.power_cuts),
        ("a process crashed while it started", coverage.crashes_while_starting),
        ("a part of a segment could not be read", coverage.latent_errors),
    ];
    let missed: Vec<_> = happened.iter().filter(|(_, worlds)| *worlds < wanted).collect();
    assert!(missed.is_empty(), "too seldom for {seeds} seeds, {wanted} are wanted: {missed:?}");
}

#[test]
fn a_seed_is_one_run() {
    // Goal: a seed that failed fails again. Method: two runs of each, one after the other on the same thread, so that
    // what the first leaves behind would show.
    on_large_stack(|| {
        for seed in (0..16).map(|at| at * 131) {
            let scenario = Scenario::draw(seed);
            let (one, two) =
                (run(&scenario, None, Keep::default()), run(&scenario, None, Keep::default()));
            assert_eq!(one.trace_hash, two.trace_hash, "seed {seed}");
            assert_eq!(one.coverage, two.coverage, "seed {seed}");
            assert!(scenario.operations.len() >= 500 && one.coverage.power_cuts > 0);
        }
    });
}

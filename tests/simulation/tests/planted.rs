//! Ten bugs, planted in the storage code, are each found by the simulation. Goal: a suite that passes has looked. Method:
//! seeds are run with the bug until the model objects, which must be within a stated number; the seed that found it
//! passes without the bug. About a minute.

use simulation::hunt::{hunt, on_large_stack, threads};
use simulation::run::{Failure, Keep, run};
use simulation::scenario::Scenario;
use storage::planted::Bug;

/// Looks for the bug in the first `within` seeds.
fn is_found(bug: Bug, within: u64) {
    let found = hunt(0, Some(within), threads(), Some(bug), |_| {});
    let Some((seed, failure)) = found.failed else { panic!("{bug:?} hides from {within} seeds") };
    println!("{bug:?}: seed {seed}, {failure}");
    // Not an assertion of the storage code, not a fault of the harness: the model must see it.
    assert!(matches!(failure, Failure::Violation(_)), "{bug:?} in seed {seed}: {failure}");
    let scenario = Scenario::draw(seed);
    let without = on_large_stack(|| run(&scenario, None, Keep::default()).failure);
    assert_eq!(without, None, "seed {seed} without {bug:?}");
}

#[test]
fn a_skipped_flush_is_found() {
    is_found(Bug::SkipFlush, 20);
}

#[test]
fn an_acknowledgement_at_submission_is_found() {
    is_found(Bug::AcknowledgeAtSubmission, 20);
}

#[test]
fn a_journal_recycled_early_is_found() {
    is_found(Bug::RecycleEarly, 1_000);
}

#[test]
fn an_ignored_epoch_is_found() {
    is_found(Bug::IgnoreEpoch, 100);
}

#[test]
fn a_missed_directory_sync_is_found() {
    is_found(Bug::MissDirectorySync, 100);
}

#[test]
fn a_duplicate_answered_early_is_found() {
    is_found(Bug::AnswerDuplicateEarly, 100);
}

#[test]
fn a_tail_block_rewritten_late_is_found() {
    is_found(Bug::RewriteTailBlockLate, 20);
}

#[test]
fn an_old_producer_snapshot_is_found() {
    is_found(Bug::OldProducerSnapshot, 100);
}

#[test]
fn a_lost_truncation_is_found() {
    is_found(Bug::LoseTruncate, 100);
}

#[test]
fn a_log_id_used_again_is_found() {
    is_found(Bug::ReuseLogId, 100);
}

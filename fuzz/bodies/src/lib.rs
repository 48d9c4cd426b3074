//! What each fuzz target does with its bytes: one function `fn(&[u8])` per target, which panics when a rule is broken.
//!
//! The functions are ordinary code, so that the corpora are replayed by ordinary tests (`tests/replay.rs`) as well as
//! by libFuzzer (`fuzz/fuzz_targets/`). `fuzz/README.md` lists the targets and their rules.

pub mod batches;
pub mod frames;
pub mod journal;
pub mod records;
pub mod requests;
pub mod responses;
pub mod segments;
pub mod settings;
pub mod state;

pub mod seeds;

mod input;
mod made;

/// A target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder under `fuzz/corpus`.
    pub name: &'static str,
    /// What it does with some bytes. Panics when a rule is broken.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 9] = [
    Target { name: "frames", run: frames::run, seeds: seeds::frames },
    Target { name: "requests", run: requests::run, seeds: seeds::requests },
    Target { name: "responses", run: responses::run, seeds: seeds::responses },
    Target { name: "batches", run: batches::run, seeds: seeds::batches },
    Target { name: "journal", run: journal::run, seeds: seeds::journal },
    Target { name: "state", run: state::run, seeds: seeds::state },
    Target { name: "records", run: records::run, seeds: seeds::records },
    Target { name: "segments", run: segments::run, seeds: seeds::segments },
    Target { name: "settings", run: settings::run, seeds: seeds::settings },
];

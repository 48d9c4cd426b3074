//! Goal: no input of the corpora makes the code under test take memory out of proportion. Method: each runs under an
//! allocator that counts, and what was allocated in total, freed or not, the rules' own copies included, stays below a
//! bound: the largest batch, stream or journal that a target makes is under 1 MiB, and is copied some dozen times.
//!
//! A process of its own with a single test, because the counter is that of the whole process. Takes a few seconds.

use std::alloc::System;
use std::path::Path;

use fuzz_bodies::TARGETS;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What one input may allocate in total, in bytes.
const ALLOCATED_MAX: usize = 64 << 20;

#[test]
fn no_input_allocates_out_of_proportion() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    for target in TARGETS {
        let (mut files, mut most) = (0, 0);
        for entry in std::fs::read_dir(corpus.join(target.name)).expect("each has a corpus") {
            let path = entry.expect("the corpus can be listed").path();
            let input = std::fs::read(&path).expect("the corpus can be read");
            let region = Region::new(ALLOCATOR);
            (target.run)(&input);
            let change = region.change();
            let (allocated, file) = (change.bytes_allocated, path.display());
            assert!(allocated <= ALLOCATED_MAX, "{file}: {allocated} bytes");
            most = most.max(allocated);
            files += 1;
        }
        println!("{}: {files} files, at most {most} bytes", target.name);
    }
}

//! Goal: what was ever found by fuzzing stays found, and every input of the corpora keeps every rule of its target, on
//! each ordinary test run. Method: each file of `fuzz/corpus/<target>` runs as it is, then as mutants of it, made from a
//! seed: so many that all targets together take well under a minute. `FUZZ_MUTANTS=10` makes that many of each instead.
//!
//! Takes about half a minute. A failure names the file and the seed; `fuzz/README.md` says how to go on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fuzz_bodies::{TARGETS, Target};

/// Mutants of one target, over all its files, unless the environment says how many of each.
const MUTANTS: usize = 2_500;

/// A stream of numbers from a seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Breaks an input in one to four places.
fn mutate(input: &mut Vec<u8>, numbers: &mut Numbers) {
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(input.len());
        match numbers.below(8) {
            0 => input.truncate(at.max(1)),
            1 => input.insert(at, numbers.next() as u8),
            2 if input.len() > 1 => drop(input.remove(at)),
            3 => {
                let extremes: [&[u8]; 5] = [
                    &[0x7f, 0xff, 0xff, 0xff],
                    &[0x80, 0, 0, 0],
                    &[0xff, 0xff, 0xff, 0xff, 0x0f],
                    &[0, 0, 0, 0, 0, 0, 0, 0],
                    &[0xff; 8],
                ];
                let extreme = extremes[numbers.below(extremes.len())];
                for (byte, value) in input.iter_mut().skip(at).zip(extreme) {
                    *byte = *value;
                }
            }
            4 if !input.is_empty() => {
                let from = numbers.below(input.len());
                let len = numbers.below(16).min(input.len() - from).min(input.len() - at);
                input.copy_within(from..from + len, at);
            }
            _ if !input.is_empty() => input[at] ^= 1 << numbers.below(8),
            _ => {}
        }
    }
}

fn corpus(target: &Target) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target.name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("each target has a corpus")
        .map(|entry| entry.expect("the corpus can be listed").path())
        .collect();
    files.sort();
    files
}

fn keeps_the_rules(target: &Target, input: &[u8], what: &str) {
    let ran = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    assert!(ran.is_ok(), "{}: {what} breaks a rule: {input:02x?}", target.name);
}

fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let files = corpus(target);
    assert!(files.len() >= 5, "the corpus of {name} has {} files", files.len());
    let of_each = std::env::var("FUZZ_MUTANTS").ok().and_then(|count| count.parse().ok());
    let of_each: usize = of_each.unwrap_or(MUTANTS.div_ceil(files.len()));
    let (began, mut slowest) = (Instant::now(), Duration::ZERO);
    for file in &files {
        let input = std::fs::read(file).expect("the corpus can be read");
        let shown = file.file_name().unwrap_or_default().display();
        let begun = Instant::now();
        keeps_the_rules(target, &input, &format!("{shown}"));
        slowest = slowest.max(begun.elapsed());
        for seed in 0..of_each as u64 {
            let mut mutant = input.clone();
            mutate(&mut mutant, &mut Numbers(seed));
            keeps_the_rules(target, &mutant, &format!("{shown}, mutant {seed}"));
        }
    }
    let count = files.len();
    println!(
        "{name}: {count} files, {of_each} mutants each, {:?}, slowest {slowest:?}",
        began.elapsed()
    );
}

#[test]
fn every_target_has_its_test_and_no_other_corpus_is_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let mut folders: Vec<String> = std::fs::read_dir(folder)
        .expect("the corpora are part of the tree")
        .map(|entry| entry.expect("they can be listed").file_name().to_string_lossy().into_owned())
        .collect();
    let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    folders.sort();
    names.sort_unstable();
    assert_eq!(folders, names);
    let tests = include_str!("replay.rs");
    for name in names {
        assert!(tests.contains(&format!("replay(\"{name}\")")), "{name} is not replayed");
        let target = format!("../../fuzz_targets/{name}.rs");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(target);
        assert!(path.exists(), "{name} has no fuzz target");
    }
}

#[test]
fn seeds_keep_the_rules() {
    for target in &TARGETS {
        for (number, seed) in (target.seeds)().iter().enumerate() {
            keeps_the_rules(target, seed, &format!("seed {number}"));
        }
    }
}

#[test]
fn frames() {
    replay("frames");
}

#[test]
fn requests() {
    replay("requests");
}

#[test]
fn responses() {
    replay("responses");
}

#[test]
fn batches() {
    replay("batches");
}

#[test]
fn journal() {
    replay("journal");
}

#[test]
fn state() {
    replay("state");
}

#[test]
fn records() {
    replay("records");
}

#[test]
fn segments() {
    replay("segments");
}

#[test]
fn settings() {
    replay("settings");
}

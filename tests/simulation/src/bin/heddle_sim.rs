//! Runs simulated worlds: seeds until told to stop, one seed again, or the hunt for planted bugs.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use simulation::hunt::{self, hunt, on_large_stack, report};
use simulation::run::{Keep, run};
use simulation::scenario::Scenario;
use simulation::shrink::shrink;
use storage::planted::Bug;

/// The storage code on a simulated host, with a model beside it.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs seeds, and stops at the first that fails. Without --seeds it runs until Ctrl-C.
    Run {
        /// The first seed.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// How many.
        #[arg(long)]
        seeds: Option<u64>,
        /// Threads; as many as there are cores if nothing is said.
        #[arg(long)]
        jobs: Option<usize>,
        /// With this bug planted.
        #[arg(long, value_parser = bug)]
        plant: Option<Bug>,
    },
    /// Runs one seed again and says what happened in it.
    Replay {
        /// The seed.
        seed: u64,
        /// The engine's own trace as well.
        #[arg(long)]
        trace: bool,
        /// Takes operations out while it still fails.
        #[arg(long)]
        shrink: bool,
        /// With this bug planted.
        #[arg(long, value_parser = bug)]
        plant: Option<Bug>,
    },
    /// Plants each of the ten bugs and looks for it.
    Bugs {
        /// Seeds to try for each.
        #[arg(long, default_value_t = 2_000)]
        seeds: u64,
    },
}

fn bug(text: &str) -> Result<Bug, String> {
    let found = Bug::ALL.into_iter().find(|bug| format!("{bug:?}").eq_ignore_ascii_case(text));
    found.ok_or_else(|| format!("no such bug; there are {:?}", Bug::ALL))
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { from, seeds, jobs, plant } => {
            run_seeds(from, seeds, jobs.unwrap_or_else(hunt::threads), plant)
        }
        Command::Replay { seed, trace, shrink, plant } => replay(seed, trace, shrink, plant),
        Command::Bugs { seeds } => bugs(seeds),
    }
}

fn run_seeds(from: u64, seeds: Option<u64>, jobs: usize, plant: Option<Bug>) -> ExitCode {
    let begun = Instant::now();
    let told = AtomicU64::new(0);
    let progress = |found: &hunt::Hunt| {
        let seconds = begun.elapsed().as_secs();
        if told.fetch_max(seconds, Ordering::Relaxed) < seconds {
            let of = seeds.map_or(String::new(), |seeds| format!(" of {seeds}"));
            let rate = found.seeds as f64 / begun.elapsed().as_secs_f64();
            eprintln!("{}{of} seeds, {rate:.0}/s, {} events", found.seeds, found.events);
        }
    };
    let found = hunt(from, seeds, jobs, plant, progress);
    println!("{} seeds from {from} on in {:.1?}; worlds with:", found.seeds, begun.elapsed());
    print!("{}", found.coverage);
    match &found.failed {
        None => ExitCode::SUCCESS,
        Some((seed, failure)) => {
            eprintln!("{}", report(*seed, plant, failure));
            ExitCode::FAILURE
        }
    }
}

fn replay(seed: u64, trace: bool, smaller: bool, plant: Option<Bug>) -> ExitCode {
    let mut scenario = Scenario::draw(seed);
    if smaller {
        scenario = on_large_stack(|| {
            let outcome = run(&scenario, plant, Keep::default());
            match outcome.failure {
                Some(failure) => shrink(&scenario, plant, &failure, Duration::from_secs(300)).0,
                None => scenario,
            }
        });
    }
    let keep = Keep { trace, notes: true };
    let outcome = on_large_stack(|| run(&scenario, plant, keep));
    println!("{:?}", scenario.settings);
    for line in outcome.notes.iter().chain(&outcome.trace) {
        println!("{line}");
    }
    println!("{}", outcome.coverage);
    println!("{} events, trace {:016x}", outcome.events, outcome.trace_hash);
    match outcome.failure {
        None => ExitCode::SUCCESS,
        Some(failure) => {
            println!("{} operations, {failure}", scenario.operations.len());
            ExitCode::FAILURE
        }
    }
}

fn bugs(seeds: u64) -> ExitCode {
    println!("{:<26} {:>8} {:>8}  as", "bug", "seed", "time");
    let mut all = true;
    for bug in Bug::ALL {
        let begun = Instant::now();
        let found = hunt(0, Some(seeds), hunt::threads(), Some(bug), |_| {});
        let name = format!("{bug:?}");
        match found.failed {
            Some((seed, failure)) => {
                let failure = failure.to_string();
                let short: String = failure.chars().take(100).collect();
                println!("{name:<26} {seed:>8} {:>7.1}s  {short}", begun.elapsed().as_secs_f64());
            }
            None => {
                all = false;
                println!("{name:<26} {:>8} {:>7.1}s", "none", begun.elapsed().as_secs_f64());
            }
        }
    }
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

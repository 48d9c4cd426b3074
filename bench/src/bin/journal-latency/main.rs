//! What an acknowledgement costs: latency and throughput of the journal through storage's `Store`, alone and beside
//! hard neighbours, next to raw writes to the same disk in the same run. See `bench/README.md`.

mod load;
mod neighbour;
mod options;
mod raw;
mod report;
mod rounds;
mod saturation;
mod stand;

use std::process::ExitCode;

use bench::provenance::Provenance;
use clap::Parser;
use engine::shard::{Launch, block_on};

use crate::options::Options;

fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(error) = std::fs::create_dir_all(&options.data_dir) {
        return failed(&format!("cannot make {}: {error}", options.data_dir.display()));
    }
    let provenance = Provenance::of(&options.data_dir);
    // As a broker's shard has by default.
    let launch = Launch {
        memory_bytes_per_shard: 256 << 20,
        registered_bytes_per_shard: 16 << 20,
        ..Launch::default()
    };
    let json = options.json.clone();
    let results = match block_on(&launch, rounds::run(options)) {
        Ok(Ok(results)) => results,
        Ok(Err(error)) => return failed(&error),
        Err(error) => return failed(&error.to_string()),
    };
    println!("{}", report::text(&provenance, &results));
    let Some(path) = json else { return ExitCode::SUCCESS };
    let text = report::json(&provenance, &results);
    match std::fs::write(&path, text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("cannot write {}: {error}", path.display())),
    }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("journal-latency: {why}");
    ExitCode::FAILURE
}

//! `path-instructions`: counts, compares with what is kept, and says what grew. See bench/README.md.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use instructions::case::{self, Case};
use instructions::count::{self, Run};
use instructions::{drive, table};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Instructions per request of the produce and the fetch path, counted under callgrind.
#[derive(Parser)]
#[command(name = "path-instructions")]
struct Options {
    /// Where the data and callgrind's files go: below it, in a directory of their own. Needs direct I/O.
    #[arg(long, default_value = "target/instructions")]
    dir: PathBuf,
    /// The kept counts.
    #[arg(long, default_value = "bench/instructions.tsv")]
    kept: PathBuf,
    /// Writes the counts to the kept ones instead of failing when one grew.
    #[arg(long)]
    keep: bool,
    /// Only these cases, separated by commas.
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// How often each case is counted; the cheapest round is taken.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Serves the requests and counts nothing: what runs under valgrind.
    #[arg(long, hide = true)]
    drive: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(code) => code,
        Err(words) => {
            eprintln!("path-instructions: {words}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, String> {
    let cases = match options.cases.is_empty() {
        true => case::ALL.to_vec(),
        false => options.cases.iter().map(|name| case::named(name)).collect::<Result<_, _>>()?,
    };
    if options.drive {
        drive::drive(&options.dir, &cases, options.rounds)?;
        return Ok(ExitCode::SUCCESS);
    }
    count_and_compare(options, &cases)
}

fn count_and_compare(options: &Options, cases: &[Case]) -> Result<ExitCode, String> {
    let program = std::env::current_exe().map_err(|e| format!("cannot find myself: {e}"))?;
    let run = Run { program, dir: options.dir.clone(), rounds: options.rounds };
    let counts = count::count(&run, cases)?;
    if options.keep {
        table::keep(&options.kept, &counts)?;
    }
    let kept = table::load(&options.kept)?;
    let grown = table::grown(&counts, &kept);
    let report = format!(
        "{}\n\n{}\ncallgrind's files: {}/callgrind.out.<file>\n{}",
        table::table(&counts, &kept),
        table::dearest(&counts),
        options.dir.display(),
        grown.iter().map(|one| format!("{one}\n")).collect::<String>(),
    );
    // Who reads only the first lines has seen enough.
    let _ = std::io::stdout().write_all(report.as_bytes());
    Ok(ExitCode::from(u8::from(!grown.is_empty())))
}

//! The commands below `bench`.

use std::io::Write;

use clap::{Args, Subcommand};

use super::{list, report};
use crate::error::BenchError;

const EXAMPLES: &str = "\
EXAMPLES:
  heddle bench run --start --time 10s           measure a broker of this binary
  heddle bench run -b other:9092 -w keyed       measure any other, with a named workload
  heddle bench compare heddle=OLD heddle=NEW    runs in pairs until there is a verdict
  heddle bench versus --quick                   Heddle beside Apache Kafka
  heddle bench list                             named workloads, and what each is for
  heddle bench report base --open               a kept result again, and its page

EXIT CODES:
  0 done · 1 failed · 2 usage · 3 regression · 4 inconclusive · 6 the delivery audit failed";

/// Arguments of `heddle bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run a load against a broker, and say what it measured
    Run(Box<super::run::RunArgs>),
    /// Compare two brokers, binaries, configurations or saved results
    Compare(Box<super::compare::CompareArgs>),
    /// Measure several brokers side by side: Heddle, Apache Kafka, any other
    Versus(Box<super::versus::VersusArgs>),
    /// List the named workloads, and what each is for
    List(list::ListArgs),
    /// Show kept results again: as tables, and as a page
    Report(report::ReportArgs),
}

/// How results and progress are printed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Io {
    /// Results as JSON.
    pub json: bool,
    /// Nothing but results and errors.
    pub quiet: bool,
    /// Progress may be shown.
    pub progress: bool,
    /// Standard error is a terminal.
    pub terminal: bool,
}

impl Io {
    /// Prints a sentence for a person on standard error, unless quiet.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }
}

/// Prints a text and a line feed on standard output. A reader that went away (`| head`) is not an error.
pub fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Runs the command. The exit code: 0, or as listed under `EXIT CODES`.
///
/// # Errors
/// The command line or a file is wrong, or the measurement failed.
pub fn run(args: &BenchArgs, io: &Io) -> Result<u8, BenchError> {
    match &args.action {
        Action::Run(args) => super::run::run(args, io),
        Action::Compare(args) => super::compare::run(args, io),
        Action::Versus(args) => super::versus::run(args, io),
        Action::List(args) => list::run(args, io),
        Action::Report(args) => report::run(args, io),
    }
}

//! `heddle bench`: the commands of the `bench` crate, in the house's manner of options and failures.

use bench::cli::{BenchArgs, Io};
use bench::error::{BenchError, Kind};

use super::failure::{EXIT_AUDIT, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, Failure};
use super::output::Output;

/// Runs the command.
///
/// # Errors
/// The command line or a file is wrong, or the measurement failed.
pub fn run(args: &BenchArgs, output: &Output) -> Result<u8, Failure> {
    let io = Io {
        json: output.is_json(),
        quiet: output.quiet,
        progress: output.progress,
        terminal: output.terminal,
    };
    Ok(bench::cli::run(args, &io)?)
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        let (code, exit) = match error.kind {
            Kind::Usage => ("HDL-BENCH-001", EXIT_USAGE),
            Kind::Failed => ("HDL-BENCH-002", EXIT_FAILED),
            Kind::Audit => ("HDL-BENCH-003", EXIT_AUDIT),
            Kind::Interrupted => ("HDL-BENCH-004", EXIT_INTERRUPTED),
        };
        let failure = Failure::new(code, error.what).exit(exit);
        Failure { why: error.why, fix: error.fix, ..failure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_its_reason_and_its_kind() {
        let error = BenchError::usage("no such rate").why("it is negative").fix("take another");
        let failure = Failure::from(error);
        assert_eq!(failure.exit, 2);
        assert_eq!(
            failure.to_string(),
            "error[HDL-BENCH-001]: no such rate\n  why:  it is negative\n  fix:  take another"
        );
    }
}

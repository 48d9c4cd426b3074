//! The command tree, the options all commands share, and the way from arguments to an exit code.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::client::Cluster;
use super::failure::Failure;
use super::output::{Format, Output};
use super::{bench, consume, dump, generate, logs, produce, serve, storage, topic, verify};

const EXAMPLES: &str = "\
EXAMPLES:
  heddle                                      start a broker on 127.0.0.1:9092, data in ./data
  heddle topic create events -p 4             create a topic
  heddle produce events < lines.txt           send every line
  heddle consume events -o start -e           print every record, then stop

EXIT CODES:
  0 done · 1 failed · 2 usage or configuration · 5 the host forbids what is needed · 124 timed out ·
  130 interrupted · of bench: 3 regression, 4 inconclusive, 6 the delivery audit failed";

/// The heading of options that many commands share.
const COMMON: &str = "Common options";

/// An event streaming broker for Linux that speaks the Kafka protocol.
#[derive(Debug, Parser)]
#[command(name = "heddle", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// Without a command: serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of `serve`, for when it is not written.
    #[command(flatten)]
    pub serve: serve::ServeArgs,
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Common {
    /// How results and errors are printed: text or json
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT", hide_possible_values = true, help_heading = COMMON)]
    pub format: Format,
    /// How log lines on standard error are printed: text or json
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT", hide_possible_values = true, help_heading = COMMON)]
    pub log_format: logs::LogFormat,
    /// Say nothing but results and errors
    #[arg(long, short, global = true, help_heading = COMMON)]
    pub quiet: bool,
    /// Show no progress
    #[arg(long, global = true, help_heading = COMMON)]
    pub no_progress: bool,
}

/// Options of every command that talks to a broker.
#[derive(Debug, Clone, Args)]
pub struct Bootstrap {
    /// The brokers to ask first, as HOST:PORT separated by commas
    #[arg(
        long,
        short,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:9092",
        env = "HEDDLE_BOOTSTRAP_SERVER",
        help_heading = COMMON
    )]
    pub bootstrap_server: String,
    /// Seconds to wait for each answer
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=86_400),
        help_heading = COMMON
    )]
    pub timeout: u64,
}

impl Bootstrap {
    /// The cluster behind these options; nothing is connected yet.
    ///
    /// # Errors
    /// An address is malformed.
    pub fn cluster(&self) -> Result<Cluster, Failure> {
        Cluster::new(&self.bootstrap_server, Duration::from_secs(self.timeout))
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a broker (what `heddle` alone does)
    Serve(serve::ServeArgs),
    /// Create, list, describe, alter and delete topics
    Topic(topic::TopicArgs),
    /// Send lines as records
    Produce(produce::ProduceArgs),
    /// Print records
    Consume(consume::ConsumeArgs),
    /// Format a data directory and say what it holds
    Storage(storage::StorageArgs),
    /// Check everything in a data directory whose broker is down
    Verify(verify::VerifyArgs),
    /// Verify and print single files of a data directory
    Dump(dump::DumpArgs),
    /// Measure any broker that speaks the Kafka protocol
    Bench(::bench::cli::BenchArgs),
    /// Write reference pages and other texts
    Generate(generate::GenerateArgs),
}

/// Runs the command line and returns the process's exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(&cli.common);
    match run(&cli, &output) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit)
        }
    }
}

fn run(cli: &Cli, output: &Output) -> Result<u8, Failure> {
    let command = match &cli.command {
        None => return serve::run(&cli.serve, &cli.common),
        Some(_) if !cli.serve.is_empty() => {
            return Err(Failure::usage("options of `serve` stand before another command")
                .fix("write options behind the command they belong to"));
        }
        Some(command) => command,
    };
    if !matches!(command, Command::Serve(_)) {
        logs::open_for_client(cli.common.log_format);
    }
    match command {
        Command::Serve(args) => serve::run(args, &cli.common),
        Command::Topic(args) => topic::run(args, output),
        Command::Produce(args) => produce::run(args, output),
        Command::Consume(args) => consume::run(args, output),
        Command::Storage(args) => storage::run(args, output),
        Command::Verify(args) => verify::run(args, output),
        Command::Dump(args) => dump::run(args, output),
        Command::Bench(args) => bench::run(args, output),
        Command::Generate(args) => generate::run(args),
    }
}

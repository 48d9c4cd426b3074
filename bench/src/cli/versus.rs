//! `heddle bench versus`: several brokers side by side.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::args::{Io, print};
use super::place;
use crate::error::BenchError;
use crate::provenance::Provenance;
use crate::target::{Spec, spec};
use crate::versus::{Course, Journal, Measurement, Options, Row, course, row, table};

const EXAMPLES: &str = "\
Brokers: heddle, heddle=PATH, kafka, kafka-sync (log.flush.interval.messages=1), cmd=NAME:COMMAND, each
but the last with ,KEY=VALUE settings; or HOST:PORT of one that runs. Ratios are to the first.

Every round takes each broker once, each alone on the machine: the others are stopped (SIGSTOP), with
everything they wrote synced. With --save DIR every measurement is kept as soon as it is made, and the
same command goes on where it was interrupted.

EXAMPLES:
  heddle bench versus --quick                                 a few minutes
  heddle bench versus --save bench/runs/2026-11-23-host       everything: some hours
  heddle bench versus heddle kafka --rows 4x1000,64xmax/5 --pairs 5 --no-neutral --no-starts";

/// Arguments of `heddle bench versus`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct VersusArgs {
    /// The brokers. Without: heddle, kafka and kafka-sync
    #[arg(value_name = "BROKER")]
    brokers: Vec<Spec>,
    /// The loads, as PARTITIONSxRATE[/LINGER_MS] separated by commas; the rate in records of 1 KiB a
    /// second, or max
    #[arg(long, value_name = "ROWS", value_delimiter = ',', value_parser = row, default_value = row::ALL)]
    rows: Vec<Row>,
    /// How often everything is measured
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pairs: u16,
    /// Measured seconds of each load
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=3_600))]
    seconds: u16,
    /// Seconds of each load before it is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=3_600))]
    warm_up: u16,
    /// Seconds of load once after the start of a JVM
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(0..=3_600))]
    jvm_warm_up: u16,
    /// A quick look: one round of three rows, 3 seconds each after 2, a JVM warmed up for 10
    #[arg(long, conflicts_with_all = ["pairs", "seconds", "warm_up", "jvm_warm_up"])]
    quick: bool,
    /// Leave out the clients that are not ours: librdkafka's and Apache Kafka's
    #[arg(long)]
    no_neutral: bool,
    /// Leave out fresh starts and starts after kill -9
    #[arg(long)]
    no_starts: bool,
    /// Processors the brokers may use, as 0,1 or 2-3
    #[arg(long, value_name = "LIST", value_parser = cores)]
    broker_cores: Option<Cores>,
    /// Where the brokers' data goes while they run
    #[arg(long, value_name = "DIR", default_value = ".")]
    data: PathBuf,
    /// Keep every measurement in a directory, or under a name below .heddle/runs, and go on from there
    #[arg(long, value_name = "DIR|NAME")]
    save: Option<String>,
}

/// Processors. A type of its own, because clap takes a `Vec` for a repeated option.
#[derive(Clone, Debug)]
struct Cores(Vec<usize>);

fn cores(text: &str) -> Result<Cores, String> {
    spec::cores(text).map(Cores).map_err(|error| error.to_string())
}

fn row(text: &str) -> Result<Row, String> {
    text.parse()
}

/// Runs the command.
///
/// # Errors
/// The options are wrong, or measurements cannot be kept. A broker that fails is shown as failed.
pub fn run(args: &VersusArgs, io: &Io) -> Result<u8, BenchError> {
    let dir = args.data.join(format!("heddle-bench-{}", std::process::id()));
    let options = options(args, &dir)?;
    fs::create_dir_all(&dir).map_err(|error| {
        BenchError::usage(format!("{} cannot be made: {error}", dir.display()))
            .fix("name another directory with --data")
    })?;
    let done = measure(args, &options, io);
    // Logs of brokers that failed are worth keeping.
    if matches!(done, Ok(0)) {
        let _ = fs::remove_dir_all(&dir);
    } else {
        io.say(&format!("logs are in {}", dir.display()));
    }
    done
}

fn options(args: &VersusArgs, dir: &Path) -> Result<Options, BenchError> {
    let cores = args.broker_cores.as_ref().map(|cores| cores.0.as_slice()).unwrap_or_default();
    let specs = match args.brokers.as_slice() {
        [] => vec!["heddle".parse()?, "kafka".parse()?, "kafka-sync".parse()?],
        given => given.to_vec(),
    };
    let specs: Vec<Spec> = specs.into_iter().map(|spec: Spec| spec.on_cores(cores)).collect();
    let all = args.rows.iter().map(Row::to_string).collect::<Vec<_>>().join(",");
    let rows = match args.quick && all == row::ALL {
        true => row::QUICK.split(',').filter_map(|text| text.parse().ok()).collect(),
        false => args.rows.clone(),
    };
    let pick = |given: u16, quick: u64| if args.quick { quick } else { u64::from(given) };
    Ok(Options {
        brokers: course::named(specs),
        rows,
        rounds: pick(args.pairs, 1) as usize,
        seconds: pick(args.seconds, 3),
        warm_up_s: pick(args.warm_up, 2),
        jvm_warm_up_s: pick(args.jvm_warm_up, 10),
        neutral: !args.no_neutral,
        starts: !args.no_starts,
        dir: dir.to_owned(),
    })
}

/// 0, or 1 where something failed.
fn measure(args: &VersusArgs, options: &Options, io: &Io) -> Result<u8, BenchError> {
    let save = args.save.as_deref().map(place::to_write);
    let mut journal = match &save {
        Some(dir) => Journal::open(dir, &options.about())?,
        None => Journal::in_memory(),
    };
    let provenance = Provenance::of(&options.dir);
    let done = Course::new(options, &mut journal, &mut |words| io.say(words)).run();
    let names: Vec<String> = options.brokers.iter().map(|(name, _)| name.clone()).collect();
    let text = table::text(&journal.measurements, &names);
    let json = json!({
        "about": options.about(),
        "provenance": provenance,
        "measurements": table::figures(&journal.measurements),
    });
    match io.json {
        true => print(&json.to_string()),
        false => print(&text),
    }
    if let Some(dir) = &save {
        for (name, text) in [("versus.md", text + "\n"), ("versus.json", format!("{json:#}\n"))] {
            fs::write(dir.join(name), text).map_err(|error| {
                BenchError::failed(format!("{} cannot be written: {error}", dir.display()))
            })?;
        }
        io.say(&format!("saved     {}: versus.md, versus.json, and every run", dir.display()));
    }
    done?;
    let failed = |one: &Measurement| {
        one.failed.is_some() || one.run.as_ref().is_some_and(|run| !run.audit.passed())
    };
    Ok(u8::from(journal.measurements.iter().any(failed)))
}

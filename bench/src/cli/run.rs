//! `heddle bench run`: a plan against a broker, once or several times, and what it measured.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::args::{Io, print};
use super::place;
use super::progress::Progress;
use crate::error::{BenchError, Kind};
use crate::load::{self, Where};
use crate::plan::PlanArgs;
use crate::provenance::Provenance;
use crate::result::model::{FORMAT, Report, Run};
use crate::result::{doubts, keep, table, workload};
use crate::target::{Broker, Spec};

const EXAMPLES: &str = "\
EXAMPLES:
  heddle bench run                             the workload `steady` against 127.0.0.1:9092
  heddle bench run --start -w keyed            against a broker of this binary, started for it
  heddle bench run --rate max --batch 256KiB   how much it takes
  heddle bench run --rate 50MiB/s --producers 4 --consumers 4 --time 60s --runs 5 --save base
  heddle bench run -b other:9092 --size 100..1000 --linger 5ms -z lz4 --payload text:0.3

Latencies count from the time at which a record was meant to be sent, so that a broker that stalls
cannot hide it. Every acknowledged record must be seen once by each set of consumers, in order and
unaltered; otherwise the run fails with exit code 6 and says where.";

const WHERE: &str = "Broker";
const RESULT: &str = "Result";
/// The heading that the options of every command have.
const COMMON: &str = "Common options";

/// Arguments of `heddle bench run`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// The brokers to ask first, as HOST:PORT separated by commas; without it
    /// HEDDLE_BOOTSTRAP_SERVER, or 127.0.0.1:9092
    #[arg(long, short, value_name = "HOST:PORT", help_heading = COMMON)]
    bootstrap_server: Option<String>,
    /// The broker's process on this host, whose processor time and memory are sampled
    #[arg(long, value_name = "PID", help_heading = WHERE)]
    pid: Option<u32>,
    /// The broker's admin address, which tells where requests spend their time
    #[arg(long, value_name = "HOST:PORT", help_heading = WHERE)]
    admin: Option<String>,
    /// Start a broker as a process for the runs: this binary, or =heddle=PATH, =kafka, =kafka-sync or
    /// =cmd=NAME:COMMAND
    #[arg(long, value_name = "BROKER", num_args = 0..=1, require_equals = true, default_missing_value = "heddle",
        conflicts_with_all = ["bootstrap_server", "pid", "admin"], help_heading = WHERE)]
    start: Option<Spec>,
    /// A setting of the started broker, several times if need be
    #[arg(long, value_name = "NAME=VALUE", value_parser = crate::plan::grammar::name_value, requires = "start", help_heading = WHERE)]
    set: Vec<(String, String)>,
    /// Where the started broker's data goes while it runs
    #[arg(long, value_name = "DIR", requires = "start", default_value = ".", help_heading = WHERE)]
    data: PathBuf,
    /// How often the plan is run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000), help_heading = RESULT)]
    runs: u32,
    /// Keep the result in a directory, or under a name below .heddle/runs
    #[arg(long, value_name = "DIR|NAME", help_heading = RESULT)]
    save: Option<String>,
    /// What was measured, a branch or a tag; kept in the result
    #[arg(long, value_name = "TEXT", help_heading = RESULT)]
    gitref: Option<String>,
    /// A remark, kept in the result
    #[arg(long, value_name = "TEXT", help_heading = RESULT)]
    remark: Option<String>,
    /// Print the result as JSON, as --format json does
    #[arg(long, help_heading = RESULT)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// The plan cannot be run, the broker cannot be started or reached, or the audit failed; then the result was printed before.
pub fn run(args: &RunArgs, io: &Io) -> Result<u8, BenchError> {
    let io = Io { json: io.json || args.json, ..*io };
    let plan = args.plan.plan()?;
    let stand = Stand::new(args)?;
    let mut provenance = Provenance::of(stand.data());
    provenance.measured_at(&stand.at.bootstrap);
    provenance.gitref.clone_from(&args.gitref);
    provenance.remark.clone_from(&args.remark);
    if workload::saturates(&plan) {
        io.say(&format!("--rate max: {}", workload::SATURATION));
    }
    let mut report = Report { format: FORMAT, plan, provenance, runs: Vec::new() };
    let measured = measure(&mut report, args.runs, &stand, &io);
    // What was measured before something went wrong is shown and kept all the same.
    if !report.runs.is_empty() {
        show(&report, args.save.as_deref(), &io)?;
    }
    stand.end()?;
    measured?;
    judge(&report)
}

fn measure(report: &mut Report, runs: u32, stand: &Stand, io: &Io) -> Result<(), BenchError> {
    let mut progress = Progress::start(io, &report.plan, runs);
    for number in 1..=runs {
        progress.begin(number);
        let run = load::run(&report.plan, &stand.at, &mut |live| progress.show(live));
        let Ok(mut run) = run else {
            progress.finish();
            return run.map(|_| ());
        };
        if let Some(broker) = &stand.broker {
            broker.complete(&mut run.broker);
        }
        run.doubts = doubts::doubts(&report.plan, &run, report.provenance.load_before);
        report.runs.push(run);
    }
    progress.finish();
    Ok(())
}

/// Prints the result and keeps it, if that was asked for.
fn show(report: &Report, save: Option<&str>, io: &Io) -> Result<(), BenchError> {
    match io.json {
        true => print(&serde_json::to_string(report).map_err(BenchError::failed)?),
        false => print(table::text(report).trim_end()),
    }
    let Some(save) = save else { return Ok(()) };
    let dir = place::to_write(save);
    let written = keep::save(&dir, report)?;
    let names = written.iter().filter_map(|path| path.file_name());
    let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
    let line = format!("saved     {}: {}", dir.display(), names.join(", "));
    if io.json {
        io.say(&line)
    } else {
        print(&line)
    }
    Ok(())
}

/// Exit code 0, or the failure of the audit.
fn judge(report: &Report) -> Result<u8, BenchError> {
    let failed = |(_, run): &(usize, &Run)| !run.audit.passed();
    let Some((index, run)) = report.runs.iter().enumerate().find(failed) else { return Ok(0) };
    let audit = &run.audit;
    let what = format!("the delivery audit of run {} failed: {}", index + 1, table::wrong(audit));
    let error = BenchError { kind: Kind::Audit, ..BenchError::failed(what) };
    Err(match audit.faults.is_empty() {
        true => error,
        false => error.why(audit.faults.join("\n        ")),
    })
}

/// The broker that is measured, and what has to be ended with it.
struct Stand {
    at: Where,
    broker: Option<Broker>,
    /// Made for the broker, removed with it.
    dir: Option<PathBuf>,
}

impl Stand {
    fn new(args: &RunArgs) -> Result<Stand, BenchError> {
        let Some(spec) = &args.start else {
            let text = args.bootstrap_server.clone();
            let text = text.or_else(|| std::env::var("HEDDLE_BOOTSTRAP_SERVER").ok());
            let text = text.unwrap_or_else(|| "127.0.0.1:9092".to_owned());
            let bootstrap = text.split(',').map(|part| part.trim().to_owned()).collect();
            let at = Where { bootstrap, pid: args.pid, admin: args.admin.clone() };
            return Ok(Stand { at, broker: None, dir: None });
        };
        let mut spec = spec.clone();
        if let Spec::Running { .. } | Spec::Command { .. } = spec
            && let Some((name, _)) = args.set.first()
        {
            return Err(BenchError::usage(format!("`{name}` cannot be set"))
                .why("only Heddle and Apache Kafka take settings here")
                .fix("write it into the command, or configure the broker that runs already"));
        }
        for (name, value) in &args.set {
            spec = spec.with(name, value);
        }
        let dir = args.data.join(format!("heddle-bench-{}", std::process::id()));
        fs::create_dir_all(&dir).map_err(|error| {
            BenchError::usage(format!("{} cannot be made", dir.display()))
                .why(error)
                .fix("name another directory with --data")
        })?;
        let mut stand = Stand { at: Where::default(), broker: None, dir: Some(dir.clone()) };
        let broker = Broker::start(&spec, &dir)?;
        stand.at = broker.at();
        stand.broker = Some(broker);
        Ok(stand)
    }

    /// The broker's data, or the current directory, as far as is known.
    fn data(&self) -> &Path {
        self.dir.as_deref().unwrap_or(Path::new("."))
    }

    fn end(mut self) -> Result<(), BenchError> {
        self.broker.take().map_or(Ok(()), Broker::stop)
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        // The broker first, whose files these are.
        self.broker = None;
        if let Some(dir) = &self.dir {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::result::model::Audit;

    fn report(audits: Vec<Audit>) -> Report {
        let run = |audit| Run { audit, ..Run::default() };
        let runs = audits.into_iter().map(run).collect();
        Report { format: FORMAT, plan: Plan::default(), provenance: Provenance::default(), runs }
    }

    #[test]
    fn a_failed_audit_is_a_failure_that_says_where() {
        assert_eq!(judge(&report(vec![Audit::default(); 3])), Ok(0));
        let faults = vec!["record 7 lost".to_owned(), "record 9 lost".to_owned()];
        let failed = Audit { lost: 2, faults, ..Audit::default() };
        let error = judge(&report(vec![Audit::default(), failed])).expect_err("two were lost");
        assert_eq!(error.kind, Kind::Audit);
        assert_eq!(
            error.what,
            "the delivery audit of run 2 failed: 2 lost, 0 duplicated, 0 reordered, 0 altered, 0 not judged"
        );
        assert_eq!(error.why.as_deref(), Some("record 7 lost\n        record 9 lost"));
        let unjudged = Audit { unjudged: 1, ..Audit::default() };
        assert!(judge(&report(vec![unjudged])).is_err(), "what was not judged is not passed");
    }
}

//! `heddle bench compare`: two brokers, binaries, configurations or saved results.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::args::{Io, print};
use super::place;
use crate::compare::comparison::table;
use crate::compare::metric::Metric;
use crate::compare::pairs::{Step, sides};
use crate::compare::verdict::{Judged, judge, overall};
use crate::compare::{Comparison, Measured, Rules, Side, in_pairs};
use crate::error::{BenchError, Kind};
use crate::plan::{Plan, PlanArgs, grammar};
use crate::provenance::Provenance;
use crate::result::figures::plural;
use crate::result::model::{Report, Run};
use crate::result::{keep, workload};
use crate::target::contender::measure;
use crate::target::{Between, Contender, Spec, spec};

const EXAMPLES: &str = "\
A and B are brokers to start:  heddle, heddle=PATH, kafka, kafka-sync, cmd=NAME:COMMAND, each but the
last with ,KEY=VALUE settings; a broker that runs, HOST:PORT[,pid=PID]; or results that
`heddle bench run --save` kept.

EXAMPLES:
  heddle bench compare heddle=old/heddle heddle=new/heddle -w small-requests
  heddle bench compare heddle heddle,ack.durability=written --time 20s
  heddle bench compare heddle kafka-sync --rate 20000 --linger 5ms
  heddle bench compare base new                         two results, saved as base and new

Runs are made in pairs, each side alone on the machine in its turn, until every metric that decides has
a verdict. Regression and improvement need significance and size; no change needs an interval within
the limit.

EXIT CODES:
  0 no change or improvement · 1 failed · 2 usage · 3 regression · 4 inconclusive · 6 the delivery audit failed";

const VERDICT: &str = "Verdict";
const BROKERS: &str = "Brokers";

/// Arguments of `heddle bench compare`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompareArgs {
    /// What it is compared with
    #[arg(value_name = "A")]
    a: String,
    /// What is in question
    #[arg(value_name = "B")]
    b: String,
    #[command(flatten)]
    plan: PlanArgs,
    /// Pairs before the first verdict
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..=1_000), help_heading = VERDICT)]
    pairs: u16,
    /// Pairs after which it stays inconclusive
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u16).range(2..=1_000), help_heading = VERDICT)]
    pairs_max: u16,
    /// The change of throughput and of processor time that matters, in percent
    #[arg(long, value_name = "PERCENT", default_value = "3", value_parser = percent, help_heading = VERDICT)]
    limit: f64,
    /// The change of a median latency that matters, in percent
    #[arg(long, value_name = "PERCENT", default_value = "3", value_parser = percent, help_heading = VERDICT)]
    limit_p50: f64,
    /// The change of a p99 or p99.9 that matters, in percent
    #[arg(long, value_name = "PERCENT", default_value = "5", value_parser = percent, help_heading = VERDICT)]
    limit_p99: f64,
    /// The metrics that decide, separated by commas: throughput, cpu-per-request, cpu-per-gb,
    /// service-p50, service-p99, response-p50, response-p99, response-p99.9, end-to-end-p99.
    /// Without: throughput,cpu-per-request,service-p50,response-p99; at --rate max the first two
    #[arg(long, value_name = "METRICS", value_delimiter = ',', value_parser = metric, help_heading = VERDICT)]
    gate: Vec<Metric>,
    /// The most that a comparison of something with itself may be wrong
    #[arg(long, value_name = "P", default_value = "0.003", value_parser = part, help_heading = VERDICT)]
    alpha: f64,
    /// Processors the brokers may use, as 0,1 or 2-3
    #[arg(long, value_name = "LIST", value_parser = cores, help_heading = BROKERS)]
    broker_cores: Option<Cores>,
    /// How long a JVM is warmed up with the same load before the first pair
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = grammar::duration, help_heading = BROKERS)]
    jvm_warm_up: Duration,
    /// Where the brokers' data goes while they run
    #[arg(long, value_name = "DIR", default_value = ".", help_heading = BROKERS)]
    data: PathBuf,
    /// Keep the comparison with all its runs in a directory, or under a name below .heddle/runs
    #[arg(long, value_name = "DIR|NAME")]
    save: Option<String>,
}

/// Processors. A type of its own, because clap takes a `Vec` for a repeated option.
#[derive(Clone, Debug)]
struct Cores(Vec<usize>);

fn cores(text: &str) -> Result<Cores, String> {
    spec::cores(text).map(Cores).map_err(|error| error.to_string())
}

fn percent(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.trim_end_matches('%').trim().parse().ok();
    let number = number.filter(|number| *number > 0.0 && *number <= 1_000.0);
    number.map(|number| number / 100.0).ok_or_else(|| "no percentage above 0".into())
}

fn part(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| *number > 0.0 && *number < 1.0);
    number.ok_or_else(|| "no number between 0 and 1".into())
}

fn metric(text: &str) -> Result<Metric, String> {
    Metric::named(text).ok_or_else(|| {
        let names = Metric::ALL.map(Metric::name).join(", ");
        format!("no metric of this name; there are {names}")
    })
}

/// Runs the command.
///
/// # Errors
/// The options are wrong, a broker cannot be started, a run fails, or an audit does.
pub fn run(args: &CompareArgs, io: &Io) -> Result<u8, BenchError> {
    if args.pairs > args.pairs_max {
        return Err(BenchError::usage(format!(
            "--pairs {} is more than --pairs-max {}",
            args.pairs, args.pairs_max
        )));
    }
    let comparison = match (saved(&args.a), saved(&args.b)) {
        (Some(a), Some(b)) => of_saved(args, &a, &b)?,
        (None, None) => of_brokers(args, io)?,
        (a, _) => {
            let (result, broker) =
                if a.is_some() { (&args.a, &args.b) } else { (&args.b, &args.a) };
            return Err(BenchError::usage(format!(
                "`{result}` is a saved result and `{broker}` is not"
            ))
            .fix("compare two saved results, or two brokers"));
        }
    };
    match io.json {
        true => print(&serde_json::to_string(&comparison).map_err(BenchError::failed)?),
        false => print(&comparison.text()),
    }
    if let Some(save) = &args.save {
        keep_comparison(&place::to_write(save), &comparison, io)?;
    }
    Ok(comparison.exit_code())
}

/// The saved result that an argument names, if it names one.
fn saved(text: &str) -> Option<PathBuf> {
    let path = place::to_read(text);
    let is_result = path.is_dir() || path.extension().is_some_and(|extension| extension == "json");
    (is_result && path.exists()).then_some(path)
}

fn rules(args: &CompareArgs, plan: &Plan) -> Rules {
    let saturates = workload::saturates(plan);
    let default = Metric::GATE.into_iter().filter(|metric| !(saturates && metric.is_latency()));
    Rules {
        pairs: args.pairs.into(),
        pairs_max: args.pairs_max.into(),
        alpha: args.alpha,
        limit: args.limit,
        limit_p50: args.limit_p50,
        limit_tail: args.limit_p99,
        gate: if args.gate.is_empty() { default.collect() } else { args.gate.clone() },
    }
}

fn of_saved(args: &CompareArgs, a: &Path, b: &Path) -> Result<Comparison, BenchError> {
    let (of_a, of_b): (Report, Report) = (keep::load(a)?, keep::load(b)?);
    if of_a.plan != of_b.plan {
        let words = format!("{} and {} did not run the same plan", args.a, args.b);
        return Err(BenchError::usage(words).fix("repeat one of them with the plan of the other"));
    }
    let pairs = of_a.runs.len().min(of_b.runs.len());
    // There is one look at what is there.
    let rules = Rules { pairs, pairs_max: pairs, ..rules(args, &of_a.plan) };
    let judged = judge(&sides(&of_a.runs, &of_b.runs, false), &rules);
    let measured = Measured { a: of_a.runs, b: of_b.runs, order: Vec::new(), judged };
    let names = [a, b].map(|path| path.display().to_string());
    Ok(Comparison::new(names, false, of_b.plan, rules, of_b.provenance, measured))
}

fn of_brokers(args: &CompareArgs, io: &Io) -> Result<Comparison, BenchError> {
    let plan = args.plan.plan()?;
    let rules = rules(args, &plan);
    let cores = args.broker_cores.as_ref().map(|cores| cores.0.as_slice()).unwrap_or_default();
    let spec = |text: &str| text.parse::<Spec>().map(|spec| spec.on_cores(cores));
    let (a, b) = (spec(&args.a)?, spec(&args.b)?);
    let dir = args.data.join(format!("heddle-bench-{}", std::process::id()));
    fs::create_dir_all(&dir).map_err(|error| {
        BenchError::usage(format!("{} cannot be made: {error}", dir.display()))
            .fix("name another directory with --data")
    })?;
    let provenance = Provenance::of(&dir);
    let names = [a.to_string(), b.to_string()];
    // A process that lives through all its turns is another thing than one that is new in each.
    let is_jvm = |spec: &Spec| matches!(spec, Spec::Kafka { .. });
    let between = if is_jvm(&a) || is_jvm(&b) { Between::Kept } else { Between::Fresh };
    let mut contenders =
        [Contender::new(a, &dir.join("a"), between), Contender::new(b, &dir.join("b"), between)];
    for contender in contenders.iter_mut().filter(|contender| is_jvm(contender.spec())) {
        io.say(&format!("warming {} up", contender.spec().label()));
        let warm_up_ms = args.jvm_warm_up.as_millis() as u64;
        let warm = Plan { warm_up_ms: 0, duration_ms: warm_up_ms.max(1_000), ..plan.clone() };
        contender.turn(|broker| measure(broker, &warm, &mut |_| {}).map(|_| ()))?;
    }
    let mut one = |step: Step| {
        let contender = &mut contenders[usize::from(step.side == Side::B)];
        let run = contender.turn(|broker| measure(broker, &plan, &mut |_| {}))?;
        io.say(&line(step, &run));
        checked(step, run)
    };
    let mut looked = |judged: &[Judged], next: Option<usize>| {
        if let Some(next) = next {
            let verdict = overall(judged).words();
            let more = plural(next as u64, "pair");
            io.say(&format!("\n{}\n\n{verdict}: going on to {more}\n", table(judged)));
        }
    };
    let measured = in_pairs(&rules, provenance.unix_ms, &mut one, &mut looked)?;
    for contender in contenders {
        contender.end()?;
    }
    let _ = fs::remove_dir_all(&dir);
    Ok(Comparison::new(names, true, plan, rules, provenance, measured))
}

fn checked(step: Step, run: Run) -> Result<Run, BenchError> {
    if run.audit.passed() {
        return Ok(run);
    }
    let Step { pair, side, .. } = step;
    let what = format!("the delivery audit of {} in pair {pair} failed", side.letter());
    let error = BenchError { kind: Kind::Audit, ..BenchError::failed(what) };
    Err(error.why(run.audit.faults.join("\n        ")))
}

/// A run in a line.
fn line(step: Step, run: &Run) -> String {
    let Step { pair, look, side, remaining } = step;
    let figures = Metric::GATE.iter().filter_map(|metric| {
        let value = metric.of(run)?;
        Some(format!("{} {}", metric.name(), metric.show(value)))
    });
    let figures: Vec<String> = figures.collect();
    let eta = remaining.map_or_else(String::new, |left| format!("   eta {} s", left.as_secs()));
    format!("pair {pair} of {look}   {}   {}{eta}", side.letter(), figures.join("   "))
}

fn keep_comparison(dir: &Path, comparison: &Comparison, io: &Io) -> Result<(), BenchError> {
    let trouble = |error: std::io::Error| {
        BenchError::failed(format!("{} cannot be written: {error}", dir.display()))
    };
    fs::create_dir_all(dir).map_err(trouble)?;
    let json = serde_json::to_vec(comparison).map_err(BenchError::failed)?;
    fs::write(dir.join("comparison.json"), json).map_err(trouble)?;
    fs::write(dir.join("comparison.txt"), comparison.text() + "\n").map_err(trouble)?;
    io.say(&format!("saved     {}: comparison.json, comparison.txt", dir.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        compare: CompareArgs,
    }

    fn parse(arguments: &[&str]) -> CompareArgs {
        let line = ["compare"].iter().chain(arguments);
        Line::try_parse_from(line).expect("the arguments are right").compare
    }

    #[test]
    fn rules_follow_the_options() {
        let args =
            parse(&["heddle", "heddle", "--limit", "2%", "--gate", "service-p50,throughput"]);
        let rules = rules(&args, &Plan::default());
        assert_eq!((rules.limit, rules.limit_tail), (0.02, 0.05));
        assert_eq!(rules.gate, [Metric::ServiceP50, Metric::Throughput]);
        let same = super::rules(&parse(&["a", "b"]), &Plan::default());
        assert_eq!(same, Rules::default(), "the help says what the default is");
        let full = Plan { rate: crate::plan::Rate::Max, ..Plan::default() };
        let gate = super::rules(&parse(&["a", "b"]), &full).gate;
        assert_eq!(gate, [Metric::Throughput, Metric::CpuPerRequest], "queues are full");
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let refused = |arguments: &[&str]| {
            let error = run(&parse(arguments), &Io { quiet: true, ..Io::default() });
            let error = error.expect_err("it cannot be compared");
            assert_eq!(error.kind, Kind::Usage, "{error}");
            error.to_string()
        };
        assert!(refused(&["kafak", "heddle"]).starts_with("`kafak` is no broker"));
        assert!(refused(&["heddle", "heddle", "--pairs", "9", "--pairs-max", "8"]).contains("9"));
        assert!(
            refused(&["heddle", "src"]).contains("`src` is a saved result and `heddle` is not")
        );
        assert!(refused(&["src", "src"]).starts_with("cannot read src/result.json"));
        for wrong in [["--limit", "0"], ["--alpha", "1"], ["--gate", "p99"], ["--pairs", "1"]] {
            let line = ["compare", "a", "b"].iter().chain(&wrong);
            assert!(Line::try_parse_from(line).is_err(), "{wrong:?}");
        }
    }
}

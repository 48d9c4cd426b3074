//! A plan from options: a named workload or a file, and what the options change of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use crate::error::BenchError;
use crate::plan::grammar::{self, RateText};
use crate::plan::model::{Acks, Arrivals, Beside, Codec, Keys, Partitioning, Payload, Plan, Sizes};
use crate::plan::workloads;
use crate::record::KEY_BYTES;
use crate::target::spec;

const LOAD: &str = "Load";
const RECORDS: &str = "Records";
const PRODUCERS: &str = "Producers";
const CONSUMERS: &str = "Consumers";
const GENERATOR: &str = "Generator";

/// Options that say what a run does. Each overrides the workload.
#[derive(Clone, Debug, Default, Args)]
pub struct PlanArgs {
    /// Begin with a named workload; `heddle bench list` shows all. Without: steady
    #[arg(long, short, value_name = "NAME", help_heading = LOAD)]
    pub workload: Option<String>,
    /// Begin with a plan in a file, as `heddle bench list NAME --format json` prints one
    #[arg(long, value_name = "FILE.json", conflicts_with = "workload", help_heading = LOAD)]
    pub plan: Option<PathBuf>,
    /// Records a second of all producers together, as 5000 or 50MiB/s; max for saturation
    #[arg(long, value_name = "RATE", value_parser = grammar::rate, help_heading = LOAD)]
    pub rate: Option<RateText>,
    /// How intended times are spread: constant or poisson
    #[arg(long, value_name = "SPREAD", value_parser = grammar::arrivals, help_heading = LOAD)]
    pub arrivals: Option<Arrivals>,
    /// Measured time, as 30s or 10m
    #[arg(long, value_name = "TIME", value_parser = grammar::duration, help_heading = LOAD)]
    pub time: Option<Duration>,
    /// Load before anything is counted
    #[arg(long, value_name = "TIME", value_parser = grammar::duration, help_heading = LOAD)]
    pub warm_up: Option<Duration>,
    /// Topics, made for the run and deleted after it
    #[arg(long, value_name = "N", help_heading = LOAD)]
    pub topics: Option<u32>,
    /// Partitions of each topic
    #[arg(long, short, value_name = "N", help_heading = LOAD)]
    pub partitions: Option<u32>,
    /// A setting of the topics, several times if need be
    #[arg(long, value_name = "NAME=VALUE", value_parser = grammar::name_value, help_heading = LOAD)]
    pub topic_config: Vec<(String, String)>,
    /// What else happens meanwhile: catch-up:5GiB@100MB/s, backlog:1GiB, storm:200 (connections a
    /// second), idle:10000 (connections); several times if need be
    #[arg(long, value_name = "WHAT", value_parser = grammar::beside, help_heading = LOAD)]
    pub beside: Vec<Beside>,

    /// Bytes of a value: 1KiB, 100..1000, lognormal:1KiB,0.8 or 1KiB:9,64KiB:1
    #[arg(long, value_name = "SIZE", value_parser = grammar::sizes, help_heading = RECORDS)]
    pub size: Option<Sizes>,
    /// Keys: none, so many different ones as 1000, or zipf:1000,1.1
    #[arg(long, value_name = "KEYS", value_parser = grammar::keys, help_heading = RECORDS)]
    pub keys: Option<Keys>,
    /// What values consist of: random, or text:0.3, of which a codec leaves 0.3
    #[arg(long, value_name = "BYTES", value_parser = grammar::payload, help_heading = RECORDS)]
    pub payload: Option<Payload>,

    /// Producers, each with connections of its own
    #[arg(long, value_name = "N", help_heading = PRODUCERS)]
    pub producers: Option<u32>,
    /// Whose acknowledgement is waited for: all, 1 or 0
    #[arg(long, value_name = "ACKS", value_parser = grammar::acks, help_heading = PRODUCERS)]
    pub acks: Option<Acks>,
    /// Producers have ids and their batches sequence numbers; as is usual, off with --acks 0 and 1
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = PRODUCERS)]
    pub idempotent: Option<bool>,
    /// How long a batch waits for more records, as 5ms
    #[arg(long, value_name = "TIME", value_parser = grammar::duration, help_heading = PRODUCERS)]
    pub linger: Option<Duration>,
    /// The most bytes of a batch before compression, as 16KiB
    #[arg(long, value_name = "BYTES", value_parser = grammar::small_bytes, help_heading = PRODUCERS)]
    pub batch: Option<u32>,
    /// Unanswered requests of a connection
    #[arg(long, value_name = "N", help_heading = PRODUCERS)]
    pub in_flight: Option<u32>,
    /// The most batches of one request: 0 for all that are due, as Java clients do; 1 as librdkafka does
    #[arg(long, value_name = "N", help_heading = PRODUCERS)]
    pub request_batches: Option<u32>,
    /// Compression: none, gzip, snappy, lz4 or zstd
    #[arg(long, short = 'z', value_name = "CODEC", value_parser = grammar::codec, help_heading = PRODUCERS)]
    pub compression: Option<Codec>,
    /// How records find their partition: round-robin, sticky or key
    #[arg(long, value_name = "HOW", value_parser = grammar::partitioning, help_heading = PRODUCERS)]
    pub partitioner: Option<Partitioning>,

    /// Consumers of each set, which share its partitions; 0 for none
    #[arg(long, value_name = "N", help_heading = CONSUMERS)]
    pub consumers: Option<u32>,
    /// Sets of consumers, each of which reads every record; 0 for none
    #[arg(long, value_name = "N", help_heading = CONSUMERS)]
    pub fan_out: Option<u32>,
    /// The least bytes a fetch waits for
    #[arg(long, value_name = "BYTES", value_parser = grammar::small_bytes, help_heading = CONSUMERS)]
    pub fetch_min: Option<u32>,
    /// How long it waits for them
    #[arg(long, value_name = "TIME", value_parser = grammar::duration, help_heading = CONSUMERS)]
    pub fetch_wait: Option<Duration>,
    /// The most bytes of a fetch
    #[arg(long, value_name = "BYTES", value_parser = grammar::small_bytes, help_heading = CONSUMERS)]
    pub fetch_max: Option<u32>,

    /// Threads of the generator; 0 for as many as there are processors
    #[arg(long, value_name = "N", help_heading = GENERATOR)]
    pub threads: Option<u32>,
    /// Processors its threads are pinned to, as 0,1 or 2-3
    #[arg(long, value_name = "LIST", value_parser = cores, help_heading = GENERATOR)]
    pub cores: Option<Cores>,
    /// The seed of sizes, keys, arrivals and payloads
    #[arg(long, value_name = "N", help_heading = GENERATOR)]
    pub seed: Option<u64>,
}

/// Processors. A type of its own, because clap takes a `Vec` for a repeated option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores(pub Vec<usize>);

fn cores(text: &str) -> Result<Cores, String> {
    spec::cores(text).map(Cores).map_err(|error| error.to_string())
}

impl PlanArgs {
    /// The plan that the options ask for, checked.
    ///
    /// What goes together follows: keys bring partitioning by key unless `--partitioner` says otherwise, `--acks 0` and `1`
    /// turn idempotence off unless `--idempotent` says otherwise, and `--consumers 0` means no sets of them.
    ///
    /// # Errors
    /// The workload or the file is not there, or the plan cannot be run.
    pub fn plan(&self) -> Result<Plan, BenchError> {
        let mut plan = self.begin()?;
        let before = plan.clone();
        self.change_clients(&mut plan);
        self.change_records(&mut plan);
        self.change_requests(&mut plan);
        self.change_run(&mut plan);
        if self.workload.is_none() && self.plan.is_none() && plan != before {
            plan.name = "custom".to_owned();
        }
        plan.check()?;
        Ok(plan)
    }

    fn begin(&self) -> Result<Plan, BenchError> {
        match (&self.plan, &self.workload) {
            (Some(path), _) => read(path),
            (None, Some(name)) => workloads::named(name).ok_or_else(|| workloads::unknown(name)),
            (None, None) => Ok(Plan::default()),
        }
    }

    fn change_clients(&self, plan: &mut Plan) {
        set(&mut plan.topics, self.topics);
        set(&mut plan.partitions, self.partitions);
        plan.topic_config.extend(self.topic_config.iter().cloned());
        set(&mut plan.producers, self.producers);
        set(&mut plan.fan_out, self.fan_out);
        match (self.consumers, self.fan_out) {
            (Some(0), None) => plan.fan_out = 0,
            (Some(consumers), _) => {
                plan.consumers = consumers;
                plan.fan_out = self.fan_out.unwrap_or(plan.fan_out.max(1));
            }
            (None, _) => {}
        }
    }

    fn change_records(&self, plan: &mut Plan) {
        set(&mut plan.sizes, self.size.clone());
        set(&mut plan.payload, self.payload);
        if let Some(keys) = self.keys {
            plan.keys = keys;
            plan.partitioning = match (keys, plan.partitioning) {
                (Keys::Null, Partitioning::ByKey) => Partitioning::Sticky,
                (Keys::Null, other) => other,
                _ => Partitioning::ByKey,
            };
        }
        set(&mut plan.partitioning, self.partitioner);
        // Behind sizes and keys, which say how many records a number of bytes is.
        if let Some(rate) = self.rate {
            let key = if plan.keys == Keys::Null { 0 } else { KEY_BYTES };
            plan.rate = rate.rate(plan.sizes.mean() + key as f64);
        }
        set(&mut plan.arrivals, self.arrivals);
    }

    fn change_requests(&self, plan: &mut Plan) {
        if let Some(acks) = self.acks {
            plan.acks = acks;
            plan.idempotent &= acks == Acks::All;
        }
        set(&mut plan.idempotent, self.idempotent);
        set(&mut plan.linger_us, self.linger.map(|linger| linger.as_micros() as u64));
        set(&mut plan.batch_bytes, self.batch);
        set(&mut plan.in_flight, self.in_flight);
        set(&mut plan.request_batches, self.request_batches);
        set(&mut plan.codec, self.compression);
        set(&mut plan.fetch_bytes_min, self.fetch_min);
        let wait_ms = |wait: Duration| u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        set(&mut plan.fetch_wait_ms, self.fetch_wait.map(wait_ms));
        set(&mut plan.fetch_bytes_max, self.fetch_max);
    }

    fn change_run(&self, plan: &mut Plan) {
        let ms = |time: Duration| time.as_millis() as u64;
        set(&mut plan.warm_up_ms, self.warm_up.map(ms));
        set(&mut plan.duration_ms, self.time.map(ms));
        if !self.beside.is_empty() {
            plan.beside.clone_from(&self.beside);
        }
        set(&mut plan.threads, self.threads);
        set(&mut plan.cores, self.cores.clone().map(|cores| cores.0));
        set(&mut plan.seed, self.seed);
    }
}

fn set<T>(to: &mut T, from: Option<T>) {
    if let Some(value) = from {
        *to = value;
    }
}

/// A plan from a file. What the file does not say is as in the workload `steady`.
fn read(path: &Path) -> Result<Plan, BenchError> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        BenchError::usage(format!("the plan {shown} cannot be read")).why(error)
    })?;
    let mut plan: Plan = serde_json::from_str(&text).map_err(|error| {
        BenchError::usage(format!("{shown} is not a plan"))
            .why(error)
            .fix("`heddle bench list steady --format json` prints one to begin with")
    })?;
    let named: Named = serde_json::from_str(&text).unwrap_or_default();
    let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    plan.name = named.name.unwrap_or_else(stem);
    Ok(plan)
}

/// Whether a file gives its plan a name.
#[derive(Default, Deserialize)]
struct Named {
    name: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::plan::model::Rate;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        plan: PlanArgs,
    }

    fn plan(line: &str) -> Result<Plan, String> {
        let words = ["bench"].into_iter().chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.plan.plan().map_err(|error| error.to_string())
    }

    fn check(line: &str, change: impl FnOnce(&mut Plan)) {
        let mut expected = Plan { name: "custom".into(), ..Plan::default() };
        change(&mut expected);
        assert_eq!(plan(line), Ok(expected), "{line}");
    }

    #[test]
    fn every_option_has_its_effect() {
        check("", |plan| plan.name = "steady".into());
        check("--topics 3 -p 8 --producers 2 --consumers 5 --fan-out 2", |plan| {
            (plan.topics, plan.partitions, plan.producers) = (3, 8, 2);
            (plan.consumers, plan.fan_out) = (5, 2);
        });
        check("--arrivals poisson --time 1m --warm-up 500ms --seed 9", |plan| {
            (plan.arrivals, plan.duration_ms) = (Arrivals::Poisson, 60_000);
            (plan.warm_up_ms, plan.seed) = (500, 9);
        });
        check(
            "--linger 5ms --batch 64KiB --in-flight 2 --compression lz4 --request-batches 1",
            |plan| {
                (plan.linger_us, plan.batch_bytes, plan.request_batches) = (5_000, 65_536, 1);
                (plan.in_flight, plan.codec) = (2, Codec::Lz4);
            },
        );
        check("--fetch-min 1KiB --fetch-wait 100ms --fetch-max 1MiB", |plan| {
            (plan.fetch_bytes_min, plan.fetch_wait_ms) = (1_024, 100);
            plan.fetch_bytes_max = 1 << 20;
        });
        check("--threads 2 --cores 0-1 --payload text:0.3", |plan| {
            (plan.threads, plan.cores) = (2, vec![0, 1]);
            plan.payload = Payload::Compressible(0.3);
        });
        check("--topic-config a=b --topic-config c=d --partitioner round-robin", |plan| {
            plan.topic_config = [("a", "b"), ("c", "d")].map(|(a, b)| (a.into(), b.into())).into();
            plan.partitioning = Partitioning::RoundRobin;
        });
        check("--beside storm:200 --beside idle:10", |plan| {
            plan.beside = vec![
                Beside::ConnectionStorm { per_second: 200.0 },
                Beside::IdleConnections { count: 10 },
            ];
        });
    }

    #[test]
    fn bytes_a_second_are_records_of_the_size_asked_for() {
        check("--rate 50MiB/s", |plan| plan.rate = Rate::PerSecond(51_200.0));
        check("--rate 1MB/s --size 100..300", |plan| {
            (plan.rate, plan.sizes) =
                (Rate::PerSecond(5_000.0), Sizes::Uniform { min: 100, max: 300 });
        });
        check("--size 84 --rate 1MB/s --keys 10", |plan| {
            (plan.rate, plan.sizes) = (Rate::PerSecond(10_000.0), Sizes::Fixed(84));
            (plan.keys, plan.partitioning) = (Keys::Uniform(10), Partitioning::ByKey);
        });
        check("--rate max", |plan| plan.rate = Rate::Max);
    }

    #[test]
    fn what_goes_together_follows() {
        check("--acks 1", |plan| (plan.acks, plan.idempotent) = (Acks::One, false));
        check("--idempotent=false --in-flight 20", |plan| {
            (plan.idempotent, plan.in_flight) = (false, 20);
        });
        check("--consumers 0", |plan| plan.fan_out = 0);
        check("--keys 10 --partitioner sticky", |plan| plan.keys = Keys::Uniform(10));
        let keyless = plan("--workload keyed --keys none").expect("it can be run");
        assert_eq!((keyless.keys, keyless.partitioning), (Keys::Null, Partitioning::Sticky));
    }

    #[test]
    fn a_workload_is_changed_by_options_and_keeps_its_name() {
        let fan_out = workloads::named("fan-out").expect("it is listed");
        assert_eq!(plan("-w fan-out"), Ok(fan_out.clone()));
        let changed = plan("--workload fan-out --time 2s -p 8");
        assert_eq!(changed, Ok(Plan { duration_ms: 2_000, partitions: 8, ..fan_out }));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |line: &str, words: &str| {
            let error = plan(line).expect_err(line);
            assert!(error.contains(words), "{line}: {error}");
        };
        refused("--workload nothing", "there is no workload `nothing` (choose one of steady, ");
        refused("--rate fast", "write records a second as 5000");
        refused("--acks 1 --idempotent", "an idempotent producer needs acks=all");
        refused("--consumers 9", "9 consumers cannot share 4 partitions");
        refused("--size 10", "a value of 10 bytes is too small");
        refused("--workload keyed --plan x.json", "cannot be used with");
        refused("--plan /nowhere/x.json", "the plan /nowhere/x.json cannot be read: No such file");
        refused("--cores a", "'a' for '--cores <LIST>'");
        refused("--time 30", "write a time with its unit");
    }

    #[test]
    fn a_file_may_say_all_or_a_part() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("mine.json");
        let write = |text: &str| fs::write(&path, text).expect("a file can be written");
        let line = format!("--plan {} --time 1s", path.display());
        let keyed = workloads::named("keyed").expect("it is listed");
        write(&serde_json::to_string(&keyed).expect("a plan is text"));
        assert_eq!(plan(&line), Ok(Plan { duration_ms: 1_000, ..keyed }));
        write(r#"{"producers": 3}"#);
        let expected =
            Plan { producers: 3, duration_ms: 1_000, name: "mine".into(), ..Plan::default() };
        assert_eq!(plan(&line), Ok(expected));
        write(r#"{"producer": 3}"#);
        let error = plan(&line).expect_err("it is misspelt");
        assert!(error.contains("mine.json is not a plan: unknown field `producer`"), "{error}");
    }
}

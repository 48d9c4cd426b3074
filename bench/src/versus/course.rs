//! What is measured, in which order.
//!
//! Every round takes each broker once, one after the other, each round beginning with another one: what the machine does
//! meanwhile meets all alike. All brokers are kept ([`Between::Kept`]): a JVM has to stay warm, and who is compared with it is
//! treated the same way.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::measurement::{Journal, Measurement, What};
use super::neutral;
use super::row::Row;
use crate::error::{BenchError, Kind};
use crate::plan::Plan;
use crate::target::contender::measure;
use crate::target::{Between, Broker, Contender, Spec, process};

/// How long a broker that has just started may settle before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(2);

/// What is asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// The brokers, each with its name.
    pub brokers: Vec<(String, Spec)>,
    /// The loads.
    pub rows: Vec<Row>,
    /// How often everything is measured.
    pub rounds: usize,
    /// Measured seconds of a load.
    pub seconds: u64,
    /// Seconds of load before.
    pub warm_up_s: u64,
    /// Seconds of load once after the start of a JVM.
    pub jvm_warm_up_s: u64,
    /// Other people's clients too.
    pub neutral: bool,
    /// Fresh starts, and starts after `kill -9`.
    pub starts: bool,
    /// Where the brokers' data goes.
    pub dir: PathBuf,
}

impl Options {
    /// What must be the same when measurements are added to others.
    pub fn about(&self) -> Value {
        let brokers: BTreeMap<&str, String> =
            self.brokers.iter().map(|(name, spec)| (name.as_str(), spec.to_string())).collect();
        json!({
            "format": 1,
            "brokers": brokers,
            "seconds": self.seconds,
            "warm_up_s": self.warm_up_s,
            "jvm_warm_up_s": self.jvm_warm_up_s,
        })
    }
}

/// Gives every broker a name of its own: `heddle`, `heddle-2`.
pub fn named(specs: Vec<Spec>) -> Vec<(String, Spec)> {
    let mut named: Vec<(String, Spec)> = Vec::new();
    for spec in specs {
        let label = spec.label();
        let same = named.iter().filter(|(_, other)| other.label() == label).count();
        let name = if same == 0 { label } else { format!("{label}-{}", same + 1) };
        named.push((name, spec));
    }
    named
}

/// One step of the course.
#[derive(Clone, Debug, PartialEq)]
struct Step {
    what: What,
    row: Option<Row>,
    /// The number of the broker.
    broker: usize,
    round: usize,
}

/// A course that is run.
pub struct Course<'a> {
    options: &'a Options,
    journal: &'a mut Journal,
    /// Told before each step what is measured, and how long the rest will take.
    say: &'a mut dyn FnMut(&str),
    contenders: Vec<Contender>,
    /// The client on librdkafka, once it is compiled.
    client: Option<PathBuf>,
}

impl<'a> Course<'a> {
    /// Nothing is started yet.
    pub fn new(
        options: &'a Options,
        journal: &'a mut Journal,
        say: &'a mut dyn FnMut(&str),
    ) -> Course<'a> {
        let contender = |(name, spec): &(String, Spec)| {
            Contender::new(spec.clone(), &options.dir.join(name), Between::Kept)
        };
        let contenders = options.brokers.iter().map(contender).collect();
        Course { options, journal, say, contenders, client: None }
    }

    /// Measures what is not in the journal yet. What fails is kept as failed, and the course goes on.
    ///
    /// # Errors
    /// A measurement cannot be kept, or the course was interrupted.
    pub fn run(mut self) -> Result<(), BenchError> {
        if self.options.neutral {
            match neutral::compile(&self.options.dir) {
                Ok(client) => self.client = Some(client),
                Err(why) => (self.say)(&format!("librdkafka's client is left out: {why}")),
            }
        }
        let steps: Vec<Step> = steps(self.options, self.client.is_some())
            .into_iter()
            .filter(|step| !self.journal.has(&step.what, self.name(step), step.round))
            .collect();
        let expected: Vec<f64> = steps.iter().map(|step| self.expected_s(step)).collect();
        let (began, whole) = (Instant::now(), expected.iter().sum::<f64>());
        let mut done = 0.0;
        for (index, step) in steps.iter().enumerate() {
            // What has passed shows how long what was expected really takes.
            let pace = if done > 0.0 { began.elapsed().as_secs_f64() / done } else { 1.0 };
            let eta = ((whole - done) * pace / 60.0).ceil();
            let words = describe(&step.what);
            let (name, round) = (self.name(step).to_owned(), step.round);
            (self.say)(&format!(
                "{} of {}   {words}   round {round}   {name}   eta {eta} min",
                index + 1,
                steps.len()
            ));
            let mut measurement = Measurement {
                what: step.what.clone(),
                broker: name,
                round,
                figures: BTreeMap::new(),
                run: None,
                failed: None,
            };
            let ended = self.step(step, &mut measurement);
            // Nobody listens for signals while other people's clients run, which a terminal interrupts as well.
            if engine::signal::is_pending() {
                return Err(BenchError::interrupted("the comparison"));
            }
            if let Err(error) = ended {
                if error.kind == Kind::Interrupted {
                    return Err(error);
                }
                (self.say)(&format!("   failed: {error}"));
                measurement.failed = Some(error.to_string());
            }
            self.journal.add(measurement)?;
            done += expected[index];
        }
        for contender in self.contenders {
            contender.end()?;
        }
        Ok(())
    }

    fn name(&self, step: &Step) -> &str {
        &self.options.brokers[step.broker].0
    }

    fn step(&mut self, step: &Step, into: &mut Measurement) -> Result<(), BenchError> {
        let options = self.options;
        let (name, spec) = &options.brokers[step.broker];
        if step.what == What::Start {
            let dir = options.dir.join(format!("{name}-start-{}", step.round));
            into.figures = fresh_start(spec, &dir)?;
            let _ = std::fs::remove_dir_all(&dir);
            return Ok(());
        }
        self.warm(step)?;
        let contender = &mut self.contenders[step.broker];
        let figure = |name: &str, value: f64| BTreeMap::from([(name.to_owned(), value)]);
        match (&step.what, &step.row) {
            (What::Load { .. }, Some(row)) => {
                let plan = row.plan(options.warm_up_s * 1_000, options.seconds * 1_000);
                let run = contender.turn(|broker| measure(broker, &plan, &mut |_| {}))?;
                into.run = Some(run);
            }
            (What::Librdkafka { .. }, Some(row)) => {
                let client = self.client.as_deref().unwrap_or(std::path::Path::new(""));
                let (warm_up, seconds) = (options.warm_up_s, options.seconds);
                into.figures = contender.turn(|broker| {
                    neutral::librdkafka(client, row, &broker.at(), warm_up, seconds)
                })?;
            }
            (What::PerfTest { .. }, Some(row)) => {
                let seconds = options.seconds;
                into.figures =
                    contender.turn(|broker| neutral::perf_test(row, &broker.at(), seconds))?;
            }
            _ => {
                let ms = contender.turn(Broker::kill_and_restart)?;
                into.figures = figure("restart_ms", ms);
            }
        }
        Ok(())
    }

    /// A JVM that is new runs the first load until its code is compiled.
    fn warm(&mut self, step: &Step) -> Result<(), BenchError> {
        let contender = &mut self.contenders[step.broker];
        let seconds = self.options.jvm_warm_up_s;
        let is_jvm = matches!(contender.spec(), Spec::Kafka { .. });
        let is_load = step.what != What::Restart;
        if !contender.starts() || !is_jvm || !is_load || seconds == 0 {
            return Ok(());
        }
        (self.say)(&format!("   {} is warmed up for {seconds} s", contender.spec().label()));
        let fallback = Row { partitions: 4, rate: Some(5_000.0), linger_ms: 0 };
        let row = step.row.clone().unwrap_or(fallback);
        let plan: Plan = row.plan(0, seconds * 1_000);
        contender.turn(|broker| measure(broker, &plan, &mut |_| {}).map(|_| ()))
    }

    /// Seconds a step should take.
    fn expected_s(&self, step: &Step) -> f64 {
        let load = (self.options.warm_up_s + self.options.seconds + 3) as f64;
        let is_jvm = matches!(self.options.brokers[step.broker].1, Spec::Kafka { .. });
        match step.what {
            What::Start if is_jvm => 12.0,
            What::Restart if is_jvm => 20.0,
            What::Start | What::Restart => 4.0,
            _ if is_jvm => load + 4.0,
            _ => load,
        }
    }
}

fn describe(what: &What) -> String {
    match what {
        What::Start => "start".into(),
        What::Load { row } => format!("load {row}"),
        What::Librdkafka { row } => format!("librdkafka {row}"),
        What::PerfTest { row } => format!("kafka-producer-perf-test {row}"),
        What::Restart => "kill -9 and start".into(),
    }
}

/// A start on an empty directory, and the memory a little later.
fn fresh_start(spec: &Spec, dir: &std::path::Path) -> Result<BTreeMap<String, f64>, BenchError> {
    let broker = Broker::start(spec, dir)?;
    std::thread::sleep(SETTLE);
    let mut figures = BTreeMap::new();
    if let Some(ms) = broker.start_ms() {
        figures.insert("start_ms".into(), ms);
    }
    if let Some(bytes) = broker.pid().and_then(process::resident) {
        figures.insert("resident_bytes".into(), bytes as f64);
    }
    broker.stop()?;
    Ok(figures)
}

/// Everything, in order: starts while nothing else runs, loads, other people's clients, and at last starts after
/// `kill -9`, with the data of all loads.
fn steps(options: &Options, has_client: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut all = |what: What, row: Option<&Row>, is_wanted: &dyn Fn(&Spec) -> bool| {
        for round in 1..=options.rounds {
            let count = options.brokers.len();
            for place in 0..count {
                let broker = (place + round - 1) % count;
                if is_wanted(&options.brokers[broker].1) {
                    steps.push(Step { what: what.clone(), row: row.cloned(), broker, round });
                }
            }
        }
    };
    let ours = |spec: &Spec| !matches!(spec, Spec::Running { .. });
    if options.starts {
        all(What::Start, None, &ours);
    }
    for row in &options.rows {
        all(What::Load { row: row.to_string() }, Some(row), &|_| true);
    }
    if options.neutral {
        for row in options.rows.iter().filter(|_| has_client) {
            all(What::Librdkafka { row: row.to_string() }, Some(row), &|_| true);
        }
        // It counts latencies in whole milliseconds from the sending: throughput is what it is good for.
        let saturated = options.rows.iter().filter(|row| row.rate.is_none());
        for row in saturated {
            all(What::PerfTest { row: row.to_string() }, Some(row), &|_| true);
        }
    }
    if options.starts {
        all(What::Restart, None, &ours);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(brokers: &[&str]) -> Options {
        let specs = brokers.iter().map(|text| text.parse().expect("a spec")).collect();
        Options {
            brokers: named(specs),
            rows: vec!["4x1000".parse().expect("a row"), "4xmax/5".parse().expect("a row")],
            rounds: 2,
            seconds: 1,
            warm_up_s: 0,
            jvm_warm_up_s: 0,
            neutral: true,
            starts: true,
            dir: std::env::temp_dir(),
        }
    }

    #[test]
    fn every_round_begins_with_another_broker() {
        let options = options(&["heddle", "kafka", "127.0.0.1:9"]);
        let steps = steps(&options, true);
        let order = |what: &What| {
            let of = steps.iter().filter(|step| &step.what == what);
            of.map(|step| (step.round, step.broker)).collect::<Vec<_>>()
        };
        let load = What::Load { row: "4x1000".into() };
        assert_eq!(order(&load), [(1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (2, 0)]);
        assert_eq!(order(&What::Start), [(1, 0), (1, 1), (2, 1), (2, 0)], "only what is ours");
        assert_eq!(order(&What::PerfTest { row: "4x1000".into() }), []);
        assert_eq!(order(&What::PerfTest { row: "4xmax/5".into() }).len(), 6);
        assert_eq!(steps.first().map(|step| &step.what), Some(&What::Start));
        assert_eq!(steps.last().map(|step| &step.what), Some(&What::Restart));
        let without = super::steps(&options, false);
        assert!(!without.iter().any(|step| matches!(step.what, What::Librdkafka { .. })));
    }

    #[test]
    fn brokers_have_names_of_their_own() {
        let named = options(&["heddle", "kafka", "heddle,shards=1"]).brokers;
        let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["heddle", "kafka", "heddle-2"]);
    }

    /// What fails is kept as failed, and the rest is measured.
    #[test]
    fn a_broker_that_is_not_there_does_not_end_the_course() {
        let mut options = options(&["127.0.0.1:1", "127.0.0.1:2"]);
        (options.neutral, options.rounds) = (false, 1);
        let mut journal = Journal::in_memory();
        let mut said = Vec::new();
        let mut say = |words: &str| said.push(words.to_owned());
        Course::new(&options, &mut journal, &mut say).run().expect("it goes on");
        assert_eq!(journal.measurements.len(), 4, "two rows of two brokers");
        let failed = |one: &Measurement| one.failed.as_deref().unwrap_or_default().to_owned();
        assert!(journal.measurements.iter().all(|one| failed(one).contains("no broker answers")));
        assert!(said[0].starts_with("1 of 4   load 4x1000   round 1   127.0.0.1:1"), "{said:?}");
    }
}

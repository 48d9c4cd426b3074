//! The load generator against real broker processes: what it sends arrives, is measured and is audited; and the audit
//! finds what a lying go-between does to records. Runs of a second or two, each with a broker of its own.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use bench::load::{Phase, Where, run};
use bench::plan::{Acks, Arrivals, Beside, Codec, Keys, Partitioning, Payload, Plan, Rate, Sizes};
use bench::result::model::{Report, Run};
use protocol::messages::MetadataRequest;
use tests::broker_process::{BrokerProcess, Settings};
use tests::calls::Calls;
use tests::go_between::{Deed, GoBetween};

/// A short run of everything's simplest.
fn plan() -> Plan {
    Plan {
        topics: 1,
        partitions: 2,
        producers: 1,
        fan_out: 1,
        consumers: 1,
        rate: Rate::PerSecond(500.0),
        sizes: Sizes::Fixed(256),
        acks: Acks::All,
        idempotent: false,
        warm_up_ms: 200,
        duration_ms: 1_000,
        threads: 1,
        ..Plan::default()
    }
}

fn at(broker: &BrokerProcess) -> Where {
    Where { bootstrap: vec![broker.bootstrap()], pid: Some(broker.pid()), admin: None }
}

fn measure(plan: &Plan, at: &Where) -> Run {
    run(plan, at, &mut |_| {}).expect("the run is measured")
}

/// What holds of every run in which nothing goes wrong.
fn assert_sound(plan: &Plan, run: &Run) {
    assert!(run.audit.passed(), "{:?}", run.audit);
    let totals = &run.totals;
    assert_eq!((totals.failed, totals.timeouts, totals.reconnects), (0, 0, 0));
    assert!(totals.acknowledged > 0 && totals.intended > 0);
    if plan.acks != Acks::Zero {
        assert!(run.audit.expected > 0);
        assert_eq!(run.response.count(), of_seconds(run, |second| second.response.count()));
    }
    if plan.fan_out > 0 {
        assert!(run.audit.checked > 0 && run.end_to_end.count() > 0);
    }
    let clients = plan.producers + plan.fan_out * plan.consumers;
    assert_eq!(run.clients.len(), clients as usize);
    assert_eq!(run.timeline.len() as u64, plan.duration_ms.div_ceil(1_000));
}

fn of_seconds(run: &Run, figure: impl Fn(&bench::result::model::Second) -> u64) -> u64 {
    run.timeline.iter().map(figure).sum()
}

fn rate_of(plan: &Plan) -> u64 {
    let Rate::PerSecond(rate) = plan.rate else { panic!("it has a rate") };
    (rate * plan.duration_ms as f64 / 1e3) as u64
}

#[test]
fn an_open_loop_keeps_its_schedule_and_every_record_is_seen() {
    let broker = BrokerProcess::start(Settings::default());
    let plan = Plan { duration_ms: 2_000, ..plan() };
    let mut phases = Vec::new();
    let run = run(&plan, &at(&broker), &mut |live| {
        if phases.last() != Some(&live.phase) {
            phases.push(live.phase);
        }
    });
    let run = run.expect("the run is measured");
    assert_sound(&plan, &run);
    assert!(phases.starts_with(&[Phase::Preparing, Phase::WarmUp, Phase::Measuring]), "{phases:?}");
    assert_eq!(run.totals.intended, rate_of(&plan), "the schedule waits for nobody");
    assert_eq!(run.response.count(), rate_of(&plan), "each measured record has its latency");
    assert_eq!(run.end_to_end.count(), rate_of(&plan));
    assert!(run.audit.expected >= rate_of(&plan), "the warm-up is audited too");
    assert_eq!(run.timeline.iter().map(|second| second.intended).collect::<Vec<_>>(), [500, 500]);
    assert!(run.service.histogram().min() <= run.response.histogram().max());
    assert!(run.broker.cpu_seconds.is_some() && run.broker.resident_bytes > Some(1 << 20));
    assert!(run.timeline.iter().any(|second| !second.broker_cpu_ns.is_empty()));
    assert!(run.generator.cpu_seconds > 0.0 && run.generator.threads == 1);
    assert_eq!(topics_of(&broker), 0, "its topics are gone");
}

fn topics_of(broker: &BrokerProcess) -> usize {
    let all = MetadataRequest::default().with_topics(None);
    let answer = Calls::connect(broker.address()).call(9, &all).expect("the broker answers");
    answer.topics.len()
}

#[test]
fn saturation_takes_what_requests_and_batches_allow() {
    let broker = BrokerProcess::start(Settings::default());
    let plan = Plan { rate: Rate::Max, sizes: Sizes::Fixed(1_024), in_flight: 3, ..plan() };
    let run = measure(&plan, &at(&broker));
    assert_sound(&plan, &run);
    let per_request = run.totals.batch_bytes / run.totals.requests.max(1);
    assert!(
        per_request > u64::from(plan.batch_bytes),
        "a request carries both partitions' batches"
    );
}

#[test]
fn every_codec_comes_back_unaltered() {
    let broker = BrokerProcess::start(Settings::default());
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let plan = Plan {
            codec,
            payload: Payload::Compressible(0.3),
            sizes: Sizes::Uniform { min: 100, max: 2_000 },
            linger_us: 5_000,
            duration_ms: 500,
            ..plan()
        };
        let run = measure(&plan, &at(&broker));
        assert_sound(&plan, &run);
        let packed = run.totals.batch_bytes < run.totals.acknowledged_bytes;
        assert_eq!(packed, codec != Codec::None, "{codec:?}");
    }
}

#[test]
fn acknowledgements_and_sequences_as_asked_for() {
    let broker = BrokerProcess::start(Settings::default());
    for (acks, idempotent) in
        [(Acks::Zero, false), (Acks::One, false), (Acks::All, false), (Acks::All, true)]
    {
        let plan = Plan { acks, idempotent, producers: 3, duration_ms: 500, ..plan() };
        let run = measure(&plan, &at(&broker));
        assert_sound(&plan, &run);
        assert!(run.audit.checked >= run.totals.acknowledged, "{acks:?}: {:?}", run.audit);
    }
}

#[test]
fn partitions_sets_of_consumers_keys_and_sizes() {
    let broker = BrokerProcess::start(Settings::default().shards(2));
    let plan = Plan {
        topics: 3,
        partitions: 20,
        producers: 4,
        fan_out: 3,
        consumers: 2,
        threads: 2,
        keys: Keys::Zipf { count: 1_000, exponent: 1.0 },
        partitioning: Partitioning::ByKey,
        arrivals: Arrivals::Poisson,
        sizes: Sizes::Weighted(vec![(100, 10.0), (20_000, 1.0), (300_000, 0.05)]),
        rate: Rate::PerSecond(1_000.0),
        ..plan()
    };
    let run = measure(&plan, &at(&broker));
    assert_sound(&plan, &run);
    assert_eq!(run.audit.checked, run.audit.expected, "each set sees each record once");
    assert_eq!(run.audit.expected % 3, 0);
    assert_eq!(run.end_to_end.count(), 3 * run.response.count());
}

#[test]
fn what_happens_beside_has_figures() {
    let broker = BrokerProcess::start(Settings::default());
    let beside = vec![
        Beside::CatchUpReader { backlog_bytes: 2 << 20, bytes_per_second: 0 },
        Beside::Backlog { bytes: 1 << 20 },
        Beside::ConnectionStorm { per_second: 50.0 },
        Beside::IdleConnections { count: 20 },
    ];
    let plan = Plan { beside, fan_out: 2, ..plan() };
    let run = measure(&plan, &at(&broker));
    assert_sound(&plan, &run);
    let figure = |name: &str, figure: &str| run.beside[name].get(figure).copied().unwrap_or(-1.0);
    assert!(figure("catch-up reader", "bytes") >= (2 << 20) as f64, "{:?}", run.beside);
    assert_eq!(figure("catch-up reader", "broken_batches"), 0.0);
    assert!(figure("backlog", "drained_ms") > 0.0, "{:?}", run.beside);
    assert_eq!(figure("connection storm", "opened"), 50.0, "{:?}", run.beside);
    assert_eq!(figure("idle connections", "open"), 20.0);
    assert_eq!(figure("idle connections", "closed_by_broker"), 0.0);
    assert_eq!(topics_of(&broker), 0);
}

#[test]
fn a_broker_that_is_killed_and_comes_back_is_survived() {
    for idempotent in [true, false] {
        let mut broker = BrokerProcess::start(Settings::default());
        let plan = Plan { idempotent, producers: 2, duration_ms: 3_000, ..plan() };
        let at = Where { pid: None, ..at(&broker) };
        let measured = std::thread::scope(|scope| {
            let runs = scope.spawn(|| measure(&plan, &at));
            std::thread::sleep(Duration::from_millis(1_500));
            broker.kill();
            broker.restart();
            runs.join().expect("the generator does not panic")
        });
        assert!(measured.audit.passed(), "{:?}", measured.audit);
        assert!(measured.totals.reconnects > 0);
        assert!(idempotent || measured.totals.retries == 0);
        assert_eq!(measured.totals.intended, rate_of(&plan));
        assert!(measured.audit.expected > 0);
    }
}

/// One record a request and one partition, so that the go-between knows what it does.
fn told_apart() -> Plan {
    Plan { partitions: 1, rate: Rate::PerSecond(100.0), sizes: Sizes::Fixed(3_000), ..plan() }
}

/// What of a command there is to see: its exit code, standard output and standard error.
fn heddle(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(tests::broker_process::heddle()).args(arguments).output();
    let output = output.expect("heddle is built with the tests");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn behind(deed: Deed) -> Run {
    let between = GoBetween::new(deed);
    let advertised = format!("advertised.listeners=PLAINTEXT://{}", between.address());
    let broker = BrokerProcess::start(Settings::default().with(&advertised));
    between.forward_to(broker.address());
    let at = Where { bootstrap: vec![between.address().to_string()], pid: None, admin: None };
    let run = measure(&told_apart(), &at);
    assert!(between.is_done(), "it had its chance");
    run
}

#[test]
fn a_record_that_is_not_stored_is_missed_and_one_stored_twice_is_seen() {
    // The ninth request is acknowledged, and what was stored is the eighth once more.
    let audit = behind(Deed::StoreTheOneBefore { request: 9 }).audit;
    assert_eq!((audit.lost, audit.duplicated, audit.altered), (1, 1, 0), "{audit:?}");
    assert!(!audit.passed() && !audit.faults.is_empty());
}

#[test]
fn a_record_stored_twice_is_a_duplicate() {
    let audit = behind(Deed::StoreTwice { request: 9 }).audit;
    assert_eq!((audit.lost, audit.duplicated, audit.reordered), (0, 1, 0), "{audit:?}");
}

#[test]
fn records_stored_in_another_order_are_reordered() {
    let audit = behind(Deed::Swap { request: 9 }).audit;
    assert_eq!((audit.lost, audit.duplicated), (0, 0), "{audit:?}");
    assert!(audit.reordered > 0, "{audit:?}");
}

#[test]
fn a_byte_changed_on_the_way_to_a_consumer_is_found() {
    let audit = behind(Deed::ChangeFetched).audit;
    assert_eq!((audit.lost, audit.altered), (0, 1), "{audit:?}");
}

/// Whoever runs the command sees what the audit found, in the result, on standard error and in the exit code.
#[test]
fn the_command_fails_with_what_the_audit_found() {
    let between = GoBetween::new(Deed::StoreTwice { request: 9 });
    let advertised = format!("advertised.listeners=PLAINTEXT://{}", between.address());
    let broker = BrokerProcess::start(Settings::default().with(&advertised));
    between.forward_to(broker.address());
    let dir = tempfile::tempdir().expect("a directory");
    let plan = dir.path().join("plan.json");
    let text = serde_json::to_string(&told_apart()).expect("a plan is text");
    std::fs::write(&plan, text).expect("a file can be written");
    let plan = plan.to_str().expect("its name is text");
    let address = between.address().to_string();
    let (code, result, errors) =
        heddle(&["bench", "run", "--plan", plan, "-b", &address, "--json"]);
    assert!(between.is_done(), "it had its chance");
    assert_eq!(code, Some(6), "{errors}");
    let report: Report = serde_json::from_str(&result).expect("the result is there all the same");
    assert_eq!(report.runs[0].audit.duplicated, 1);
    let fault = &report.runs[0].audit.faults[0];
    assert!(
        errors.contains("error[HDL-BENCH-003]: the delivery audit of run 1 failed"),
        "{errors}"
    );
    assert!(errors.contains(fault) && fault.ends_with("was seen before"), "{fault}: {errors}");
}

/// Ctrl-C ends a run in order: it takes its topics along, and says so in words and in the exit code.
#[test]
fn an_interrupted_run_cleans_up_and_says_so() {
    let broker = BrokerProcess::start(Settings::default());
    let address = broker.address().to_string();
    let run = Command::new(tests::broker_process::heddle())
        .args(["bench", "run", "-b", &address, "--rate", "100", "--time", "60s"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let run = run.expect("heddle is built with the tests");
    while topics_of(&broker) == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let asked = Command::new("kill").args(["-INT", &run.id().to_string()]).status();
    assert!(asked.expect("kill is on every machine").success());
    let output = run.wait_with_output().expect("it ends");
    let errors = String::from_utf8(output.stderr).expect("it prints UTF-8");
    assert_eq!(output.status.code(), Some(130), "{errors}");
    assert!(
        errors.contains("error[HDL-BENCH-004]: the run was interrupted by a signal"),
        "{errors}"
    );
    assert_eq!(topics_of(&broker), 0);
}

#[test]
fn what_cannot_be_measured_is_said_in_plain_words() {
    let nowhere = Where { bootstrap: vec!["127.0.0.1:1".into()], pid: None, admin: None };
    let error = run(&plan(), &nowhere, &mut |_| {}).expect_err("nobody listens there");
    assert!(error.to_string().contains("cannot connect to 127.0.0.1:1"), "{error}");

    let broker = BrokerProcess::start(Settings::default());
    let config = BTreeMap::from([("cleanup.policy".to_owned(), "nonsense".to_owned())]);
    let refused = Plan { topic_config: config, ..plan() };
    let error = run(&refused, &at(&broker), &mut |_| {}).expect_err("it is refused");
    assert!(error.to_string().contains("was not created"), "{error}");
}

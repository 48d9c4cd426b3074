//! A report as a run would make it, made up from a seed: half a million latencies with a tail, a minute with two bad moments,
//! two shards, stages that add up.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;

use bench::latency::Latencies;
use bench::plan::{Acks, Arrivals, Beside, Codec, Keys, Partitioning, Payload, Plan, Rate, Sizes};
use bench::provenance::Provenance;
use bench::result::model::{
    Audit, Broker, Client, Doubt, FORMAT, Generator, Report, Run, Second, Stage, Totals,
};

/// What is made up.
pub struct Wish {
    /// Everything random comes from it.
    pub seed: u64,
    /// Records a second.
    pub rate: u64,
    /// Measured seconds.
    pub seconds: usize,
    /// Runs of the plan.
    pub runs: usize,
    /// All latencies, times this.
    pub slower: f64,
}

impl Default for Wish {
    fn default() -> Wish {
        Wish { seed: 1, rate: 8_000, seconds: 60, runs: 1, slower: 1.0 }
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// At least 0, below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.unit(), self.unit());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// Around `median`, nearly always within a third of it to three times it.
    fn log_normal(&mut self, median: f64) -> f64 {
        median * (0.3 * self.normal()).exp()
    }
}

/// A report.
pub fn report(wish: &Wish) -> Report {
    let runs = (0..wish.runs).map(|number| run(wish, number)).collect();
    Report { format: FORMAT, plan: plan(wish), provenance: provenance(), runs }
}

/// Its plan.
pub fn plan(wish: &Wish) -> Plan {
    Plan {
        name: "small-requests".to_owned(),
        topics: 1,
        partitions: 8,
        topic_config: BTreeMap::from([("retention.bytes".to_owned(), "1073741824".to_owned())]),
        producers: 4,
        fan_out: 1,
        consumers: 2,
        rate: Rate::PerSecond(wish.rate as f64),
        arrivals: Arrivals::Poisson,
        sizes: Sizes::Fixed(1024),
        keys: Keys::Null,
        partitioning: Partitioning::RoundRobin,
        payload: Payload::Random,
        codec: Codec::None,
        acks: Acks::All,
        linger_us: 0,
        batch_bytes: 16_384,
        in_flight: 5,
        request_batches: 0,
        idempotent: true,
        fetch_bytes_min: 1,
        fetch_wait_ms: 500,
        fetch_bytes_max: 50 << 20,
        warm_up_ms: 10_000,
        duration_ms: wish.seconds as u64 * 1000,
        beside: vec![Beside::CatchUpReader { backlog_bytes: 2 << 30, bytes_per_second: 64 << 20 }],
        threads: 1,
        cores: vec![1],
        seed: wish.seed,
    }
}

fn provenance() -> Provenance {
    Provenance {
        revision: "0123456789ab".to_owned(),
        build: "rustc 1.95.0, x86_64-unknown-linux-gnu, release (optimisation 3)".to_owned(),
        unix_ms: 1_795_000_000_000,
        kernel: "6.12.9-amd64".to_owned(),
        machine: "QEMU, Standard PC, virtual machine".to_owned(),
        processor: "AMD EPYC 9354 32-Core Processor".to_owned(),
        cores: 2,
        smt: "off".to_owned(),
        numa_nodes: 1,
        governor: "performance".to_owned(),
        memory_bytes: 24 << 30,
        clock_source: "tsc".to_owned(),
        limits: vec!["memory.max 25769803776".to_owned()],
        file_system: "ext4".to_owned(),
        mount_options: "rw,relatime".to_owned(),
        device: "/dev/vda1".to_owned(),
        device_model: "virtio".to_owned(),
        device_queue: "write cache: write back, fua: 0, rotational: 0, scheduler: none".to_owned(),
        load_before: 0.12,
        command: ["heddle", "bench", "run", "--workload", "small-requests", "--save", "runs/first"]
            .map(str::to_owned)
            .to_vec(),
        colocated: Some(true),
        gitref: Some("main".to_owned()),
        remark: Some("made up for a test; not a measurement".to_owned()),
    }
}

fn run(wish: &Wish, number: usize) -> Run {
    let mut dice = Dice(wish.seed * 1000 + number as u64);
    let mut run = Run {
        began_unix_ms: 1_795_000_010_000 + 80_000 * number as u64,
        seconds: wish.seconds as f64,
        ..Run::default()
    };
    let mut clients: Vec<Client> = (0..4).map(|n| client(format!("producer-{n}"))).collect();
    clients.extend((0..2).map(|n| client(format!("consumer-0-{n}"))));
    for at in 0..wish.seconds {
        let second = second(wish, &mut dice, at, &mut clients);
        run.response.merge(&second.response);
        run.service.merge(&second.service);
        run.end_to_end.merge(&second.end_to_end);
        run.totals.intended += second.intended;
        run.totals.acknowledged += second.acknowledged;
        run.totals.consumed += second.consumed;
        run.totals.backlog_max = run.totals.backlog_max.max(second.backlog);
        run.timeline.push(second);
    }
    let totals = &mut run.totals;
    totals.acknowledged_bytes = totals.acknowledged * 1024;
    totals.consumed_bytes = totals.consumed * 1024;
    totals.requests = totals.acknowledged * 3 / 4;
    totals.batch_bytes = totals.acknowledged_bytes + totals.requests * 61;
    totals.fetches = totals.consumed / 2;
    totals.retries = 3;
    run.clients = clients;
    run.audit = audit(&run.totals);
    run.generator = Generator {
        threads: 1,
        cpu_seconds: 0.31 * run.seconds,
        busiest_share: 0.31,
        slipped: 0.0004,
        slip_max_ns: 1_830_000,
        clock_jumps: 0,
    };
    run.broker = broker(wish, &mut dice, &run);
    let figures = [("bytes_per_second", 66_874_368.0), ("rounds", 1.9)];
    let figures = figures.map(|(name, value)| (name.to_owned(), value));
    run.beside.insert("catch-up reader".to_owned(), BTreeMap::from(figures));
    run.doubts.push(Doubt {
        about: "load".to_owned(),
        words: "1.7 processes wanted to run on this machine in the minute before.".to_owned(),
    });
    run
}

fn client(name: String) -> Client {
    let latencies = Latencies::new();
    Client { name, records: 0, bytes: 0, latencies, by_second: Vec::new() }
}

fn second(wish: &Wish, dice: &mut Dice, at: usize, clients: &mut [Client]) -> Second {
    let mut second = Second { intended: wish.rate, ..Second::default() };
    let mut by_client: Vec<Latencies> = clients.iter().map(|_| Latencies::new()).collect();
    // Two bad moments: a stall, and a slow stretch.
    let stall_ns = if at == 23 { 38e6 } else { 0.0 };
    let slow = if (40..44).contains(&at) { 3.2 } else { 1.0 };
    for record in 0..wish.rate {
        let mut service = dice.log_normal(310_000.0) * wish.slower * slow;
        if dice.unit() < 0.004 {
            service *= 2.0 + 6.0 * dice.unit();
        }
        let stalled = stall_ns * (1.0 - record as f64 / wish.rate as f64 * 12.0).max(0.0);
        let waiting = dice.log_normal(25_000.0) + stalled;
        let arrival = dice.log_normal(70_000.0) * slow;
        let response = service + waiting;
        second.response.record_ns(response as u64, 1);
        second.end_to_end.record_ns((response + arrival) as u64, 1);
        second.service.record_ns(service as u64, 1);
        by_client[(record % 4) as usize].record_ns(response as u64, 1);
        by_client[4 + (record % 2) as usize].record_ns((response + arrival) as u64, 1);
    }
    for (client, latencies) in clients.iter_mut().zip(by_client) {
        client.records += latencies.count();
        client.bytes += latencies.count() * 1024;
        client.latencies.merge(&latencies);
        client.by_second.push(String::from(latencies));
    }
    second.backlog = (dice.log_normal(4.0) * slow) as u64 + if at == 23 { 310 } else { 0 };
    second.acknowledged = wish.rate - if at == 23 { wish.rate / 30 } else { 0 }
        + if at == 24 { wish.rate / 30 } else { 0 };
    second.consumed = second.acknowledged;
    second.acknowledged_bytes = second.acknowledged * 1024;
    second.consumed_bytes = second.consumed * 1024;
    second.slip_ns = dice.log_normal(90_000.0) as u64;
    let busy = |dice: &mut Dice, ns: f64| (dice.log_normal(ns) * slow.sqrt()) as u64;
    for (thread, ns) in [("shard-0", 310e6), ("shard-1", 270e6), ("iou-wrk-0", 24e6), ("log", 1e6)]
    {
        second.broker_cpu_ns.insert(thread.to_owned(), busy(dice, ns));
    }
    second.broker_resident_bytes = (410 << 20) + ((at as u64) << 19);
    second
}

fn audit(totals: &Totals) -> Audit {
    let expected = totals.acknowledged;
    Audit { expected, checked: expected, unacknowledged_seen: 2, ..Audit::default() }
}

fn broker(wish: &Wish, dice: &mut Dice, run: &Run) -> Broker {
    let cpu_ns: u64 = run.timeline.iter().flat_map(|second| second.broker_cpu_ns.values()).sum();
    let mut stages = Vec::new();
    for shard in 0..2 {
        let produce = [
            ("receive", 9_000.0),
            ("queue", 14_000.0),
            ("hop", 11_000.0),
            ("append", 6_000.0),
            ("journal", 210_000.0),
            ("send", 12_000.0),
        ];
        stages.extend(stages_of(wish, dice, shard, "produce", &produce));
        let fetch = [
            ("receive", 7_000.0),
            ("queue", 15_000.0),
            ("hop", 12_000.0),
            ("wait", 380_000.0),
            ("read", 9_000.0),
            ("send", 21_000.0),
        ];
        stages.extend(stages_of(wish, dice, shard, "fetch", &fetch));
    }
    let settings = [("ack.durability", "device"), ("shards", "2"), ("memory.per.shard", "256 MiB")];
    Broker {
        software: Some("Heddle 0.1.0 (0123456789ab)".to_owned()),
        durability: Some("device".to_owned()),
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        pid: Some(4242),
        cpu_seconds: Some(cpu_ns as f64 / 1e9),
        resident_bytes: run.timeline.last().map(|second| second.broker_resident_bytes),
        start_ms: Some(41.7),
        restart_ms: Some(212.4),
        stages,
        counters: (0..2)
            .map(|shard| {
                let counters = [("syscalls", 1_204_331 + shard), ("copied_bytes", 245_760_000)];
                counters.map(|(name, count)| (name.to_owned(), count)).into()
            })
            .collect(),
    }
}

fn stages_of(
    wish: &Wish,
    dice: &mut Dice,
    shard: u16,
    api: &str,
    medians: &[(&str, f64)],
) -> Vec<Stage> {
    let new = |stage: &str| Stage {
        shard,
        api: api.to_owned(),
        stage: stage.to_owned(),
        latencies: Latencies::new(),
        sum_ns: 0,
    };
    let mut stages: Vec<Stage> = medians.iter().map(|(stage, _)| new(stage)).collect();
    let mut total = new("total");
    for _ in 0..wish.rate * wish.seconds as u64 / 12 {
        let mut sum = 0;
        for (stage, (_, median)) in stages.iter_mut().zip(medians) {
            let took = (dice.log_normal(*median) * wish.slower) as u64;
            stage.latencies.record_ns(took, 1);
            stage.sum_ns += took;
            sum += took;
        }
        total.latencies.record_ns(sum, 1);
        total.sum_ns += sum;
    }
    stages.push(total);
    stages
}

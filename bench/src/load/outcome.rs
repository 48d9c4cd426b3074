//! From what was counted to the result of a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::time;

use super::control::Times;
use super::live::Where;
use super::run::Figures;
use super::scribe::Ledger;
use super::usage::{Clocks, Sampler, Threads};
use crate::admin::{self, Snapshot};
use crate::latency::Latencies;
use crate::result::model::{Audit, Broker, Generator, Run, Totals};
use crate::target::process;

/// What came of a job.
pub struct Outcome {
    /// When it was measured.
    pub times: Times,
    /// What the clients handed in.
    pub ledger: Ledger,
    /// The broker's processor time and memory of each second.
    pub broker_seconds: Vec<(BTreeMap<String, u64>, u64)>,
    threads: Arc<Threads>,
    began_unix_ms: u64,
    used_before: BTreeMap<u32, u64>,
    admin: Option<String>,
    stages_before: Option<Snapshot>,
    generator: Generator,
    broker: Broker,
}

impl Outcome {
    /// Nothing yet.
    pub fn new(times: Times, at: &Where, threads: Arc<Threads>) -> Outcome {
        Outcome {
            times,
            ledger: Ledger::default(),
            broker_seconds: Vec::new(),
            threads,
            began_unix_ms: 0,
            used_before: BTreeMap::new(),
            admin: at.admin.clone(),
            stages_before: None,
            generator: Generator::default(),
            broker: Broker { pid: at.pid, ..Broker::default() },
        }
    }

    /// The measured time begins.
    pub fn on_begin(&mut self) {
        self.began_unix_ms = time::unix_ms().max(0) as u64;
        self.stages_before = self.snapshot();
        self.used_before = self.threads.used();
    }

    /// It ends.
    pub fn on_end(&mut self, sampler: &Sampler, clocks: &Clocks) {
        let seconds = (time::now().nanos().max(self.times.measure + 1) - self.times.measure) as f64;
        let used = self.threads.used();
        let grown = |(thread, ns): (&u32, &u64)| {
            (ns - self.used_before.get(thread).copied().unwrap_or(0).min(*ns)) as f64
        };
        let used: Vec<f64> = used.iter().map(grown).collect();
        self.generator.threads = used.len() as u32;
        self.generator.cpu_seconds = used.iter().sum::<f64>() / 1e9;
        self.generator.busiest_share = used.iter().fold(0.0, |most, ns| ns.max(most)) / seconds;
        self.generator.clock_jumps = clocks.jumps();
        self.broker.cpu_seconds = match sampler.cpu {
            (Some(before), Some(after)) => Some(after.saturating_sub(before).as_secs_f64()),
            _ => None,
        };
        self.broker.resident_bytes = self.broker.pid.and_then(process::resident);
        if let Some(after) = self.snapshot() {
            if let Some(before) = &self.stages_before {
                (self.broker.stages, self.broker.counters) = after.since(before);
            }
            self.broker.software = Some(after.software);
            self.broker.durability = Some(after.durability);
            self.broker.settings = after.settings;
        }
    }

    /// What the broker says of itself. It measures all the same where it says nothing.
    fn snapshot(&self) -> Option<Snapshot> {
        let found = admin::snapshot(self.admin.as_ref()?);
        found.inspect_err(|error| tracing::warn!("no stage timings: {error}")).ok()
    }
}

/// The result of a run.
pub fn run_of(outcome: Outcome, audit: Audit, beside: Figures) -> Run {
    let Outcome { times, ledger, broker_seconds, began_unix_ms, mut generator, broker, .. } =
        outcome;
    let Ledger { mut seconds, counts, clients } = ledger;
    for (second, (cpu, resident)) in seconds.iter_mut().zip(broker_seconds) {
        second.broker_cpu_ns = cpu;
        second.broker_resident_bytes = resident;
    }
    generator.slip_max_ns = counts.slip_max_ns;
    generator.slipped = counts.slipped as f64 / (counts.handed.max(1)) as f64;
    let mut response = Latencies::new();
    let mut service = Latencies::new();
    let mut end_to_end = Latencies::new();
    for second in &seconds {
        response.merge(&second.response);
        service.merge(&second.service);
        end_to_end.merge(&second.end_to_end);
    }
    let totals = Totals {
        intended: counts.intended,
        acknowledged: counts.acknowledged,
        acknowledged_bytes: counts.acknowledged_bytes,
        requests: counts.requests,
        batch_bytes: counts.batch_bytes,
        consumed: counts.consumed,
        consumed_bytes: counts.consumed_bytes,
        fetches: counts.fetches,
        failed: counts.failed,
        retries: counts.retries,
        timeouts: counts.timeouts,
        reconnects: counts.reconnects,
        backlog_max: seconds.iter().map(|second| second.backlog).max().unwrap_or(0),
    };
    Run {
        began_unix_ms,
        seconds: (times.end - times.measure) as f64 / 1e9,
        totals,
        response,
        service,
        end_to_end,
        timeline: seconds,
        clients,
        audit,
        generator,
        broker,
        beside,
        doubts: Vec::new(),
    }
}

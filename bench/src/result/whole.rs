//! Several runs of one plan together. Histograms are merged, which is exact; percentiles are never averaged.

use std::collections::BTreeMap;

use super::model::{Audit, Generator, Report, Run, Totals};
use crate::latency::Latencies;

/// All runs of a report, as if they had been one.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// How many.
    pub runs: usize,
    /// Measured seconds of all of them.
    pub seconds: f64,
    /// Counts, added up; of the backlog the largest.
    pub totals: Totals,
    /// From the intended send time to the acknowledgement.
    pub response: Latencies,
    /// From the sending of the request to its acknowledgement.
    pub service: Latencies,
    /// From the intended send time to the arrival at a consumer.
    pub end_to_end: Latencies,
    /// Counts of the audits, added up, and all their sentences.
    pub audit: Audit,
    /// Processor time and clock jumps added up; of shares and slips the worst.
    pub generator: Generator,
    /// Processor seconds of the broker, where all runs know them.
    pub broker_cpu_seconds: Option<f64>,
    /// The most resident memory of the broker, where known.
    pub broker_resident_bytes: Option<u64>,
    /// What the broker's counters grew by, all shards together.
    pub counters: BTreeMap<String, u64>,
}

impl Whole {
    /// Of a report.
    pub fn of(report: &Report) -> Whole {
        Whole::of_runs(&report.runs)
    }

    /// Of some runs of one plan.
    pub fn of_runs(runs: &[Run]) -> Whole {
        let mut whole = Whole { runs: runs.len(), ..Whole::default() };
        for run in runs {
            whole.add(run);
        }
        let cpu: Option<Vec<f64>> = runs.iter().map(|run| run.broker.cpu_seconds).collect();
        whole.broker_cpu_seconds = cpu.filter(|all| !all.is_empty()).map(|all| all.iter().sum());
        whole
    }

    fn add(&mut self, run: &Run) {
        self.seconds += run.seconds;
        self.response.merge(&run.response);
        self.service.merge(&run.service);
        self.end_to_end.merge(&run.end_to_end);
        add_totals(&mut self.totals, &run.totals);
        add_audit(&mut self.audit, &run.audit);
        add_generator(&mut self.generator, &run.generator);
        self.broker_resident_bytes = self.broker_resident_bytes.max(run.broker.resident_bytes);
        for (name, count) in run.broker.counters.iter().flatten() {
            *self.counters.entry(name.clone()).or_default() += count;
        }
    }

    /// A count a second.
    pub fn per_second(&self, count: u64) -> f64 {
        if self.seconds > 0.0 { count as f64 / self.seconds } else { 0.0 }
    }

    /// Bytes that processor time is put beside: those produced or, where nothing is, those consumed.
    pub fn bytes(&self) -> u64 {
        match self.totals.acknowledged_bytes {
            0 => self.totals.consumed_bytes,
            bytes => bytes,
        }
    }

    /// Processor seconds for each GB (1,000,000,000 bytes) of [`Whole::bytes`].
    pub fn seconds_per_gb(&self, cpu_seconds: f64) -> Option<f64> {
        (self.bytes() > 0).then(|| cpu_seconds / (self.bytes() as f64 / 1e9))
    }

    /// Processor time as a number of whole processors.
    pub fn cores(&self, cpu_seconds: f64) -> f64 {
        if self.seconds > 0.0 { cpu_seconds / self.seconds } else { 0.0 }
    }
}

fn add_totals(sum: &mut Totals, totals: &Totals) {
    sum.intended += totals.intended;
    sum.acknowledged += totals.acknowledged;
    sum.acknowledged_bytes += totals.acknowledged_bytes;
    sum.requests += totals.requests;
    sum.batch_bytes += totals.batch_bytes;
    sum.consumed += totals.consumed;
    sum.consumed_bytes += totals.consumed_bytes;
    sum.fetches += totals.fetches;
    sum.failed += totals.failed;
    sum.retries += totals.retries;
    sum.timeouts += totals.timeouts;
    sum.reconnects += totals.reconnects;
    sum.backlog_max = sum.backlog_max.max(totals.backlog_max);
}

fn add_audit(sum: &mut Audit, audit: &Audit) {
    sum.expected += audit.expected;
    sum.checked += audit.checked;
    sum.lost += audit.lost;
    sum.duplicated += audit.duplicated;
    sum.reordered += audit.reordered;
    sum.altered += audit.altered;
    sum.unacknowledged_seen += audit.unacknowledged_seen;
    sum.faults.extend(audit.faults.iter().cloned());
}

fn add_generator(sum: &mut Generator, generator: &Generator) {
    sum.threads = sum.threads.max(generator.threads);
    sum.cpu_seconds += generator.cpu_seconds;
    sum.busiest_share = sum.busiest_share.max(generator.busiest_share);
    sum.slipped = sum.slipped.max(generator.slipped);
    sum.slip_max_ns = sum.slip_max_ns.max(generator.slip_max_ns);
    sum.clock_jumps += generator.clock_jumps;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(latency_us: u64, records: u64) -> Run {
        let mut run = Run { seconds: 10.0, ..Run::default() };
        run.response.record_ns(latency_us * 1000, records);
        run.totals.acknowledged = records;
        run.totals.acknowledged_bytes = records * 1_000_000;
        run.totals.backlog_max = records;
        run.broker.cpu_seconds = Some(1.0);
        run
    }

    #[test]
    fn percentiles_are_those_of_all_operations() {
        let whole = Whole::of_runs(&[run(100, 9_000), run(900, 1_000)]);
        let at = |quantile| whole.response.histogram().value_at_quantile(quantile) / 1000;
        assert_eq!((at(0.5), at(0.9)), (100, 100), "9 of 10 took 100 us");
        assert_eq!(at(0.95) / 10, 90, "an average of the two p95 would be 500");
        assert_eq!(whole.totals.acknowledged, 10_000);
        assert_eq!(whole.totals.backlog_max, 9_000, "the largest, not the sum");
        assert_eq!(whole.per_second(whole.totals.acknowledged), 500.0);
        assert_eq!(whole.seconds_per_gb(2.0), Some(0.2));
        assert_eq!(whole.cores(2.0), 0.1);
    }

    #[test]
    fn processor_time_is_known_of_all_runs_or_of_none() {
        let mut unknown = run(100, 1);
        unknown.broker.cpu_seconds = None;
        assert_eq!(Whole::of_runs(&[run(100, 1), run(100, 1)]).broker_cpu_seconds, Some(2.0));
        assert_eq!(Whole::of_runs(&[run(100, 1), unknown]).broker_cpu_seconds, None);
        assert_eq!(Whole::of_runs(&[]).broker_cpu_seconds, None);
    }
}

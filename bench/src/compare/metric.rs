//! What is compared: figures of one run, each with the way that is worse and the change that matters.

use serde::Serialize;

use crate::latency::Latencies;
use crate::result::figures::value_at;
use crate::result::model::Run;

/// A figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Records acknowledged a second; consumed, where nothing is produced.
    Throughput,
    /// Processor time of the broker for each request answered.
    CpuPerRequest,
    /// Processor seconds of the broker for each GB acknowledged or consumed.
    CpuPerGb,
    /// From sending to acknowledgement.
    ServiceP50,
    /// See `ServiceP50`.
    ServiceP99,
    /// From the intended send time to the acknowledgement.
    ResponseP50,
    /// See `ResponseP50`.
    ResponseP99,
    /// See `ResponseP50`.
    #[serde(rename = "response-p99.9")]
    ResponseP999,
    /// From the intended send time to the consumer.
    EndToEndP99,
}

impl Metric {
    /// All, in the order of tables.
    pub const ALL: [Metric; 9] = [
        Metric::Throughput,
        Metric::CpuPerRequest,
        Metric::CpuPerGb,
        Metric::ServiceP50,
        Metric::ServiceP99,
        Metric::ResponseP50,
        Metric::ResponseP99,
        Metric::ResponseP999,
        Metric::EndToEndP99,
    ];

    /// Those that decide, where nothing else is asked for. The others repeat them: deciding on all would only make each
    /// verdict need more pairs.
    pub const GATE: [Metric; 4] =
        [Metric::Throughput, Metric::CpuPerRequest, Metric::ServiceP50, Metric::ResponseP99];

    /// As it is written in options and tables.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Throughput => "throughput",
            Metric::CpuPerRequest => "cpu-per-request",
            Metric::CpuPerGb => "cpu-per-gb",
            Metric::ServiceP50 => "service-p50",
            Metric::ServiceP99 => "service-p99",
            Metric::ResponseP50 => "response-p50",
            Metric::ResponseP99 => "response-p99",
            Metric::ResponseP999 => "response-p99.9",
            Metric::EndToEndP99 => "end-to-end-p99",
        }
    }

    /// The metric of this name.
    pub fn named(name: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// More of it is worse.
    pub fn is_cost(self) -> bool {
        self != Metric::Throughput
    }

    /// It is a latency, which at saturation is that of full queues.
    pub fn is_latency(self) -> bool {
        !matches!(self, Metric::Throughput | Metric::CpuPerRequest | Metric::CpuPerGb)
    }

    /// Its value; `None` where the run has none, or too few operations for the percentile.
    pub fn of(self, run: &Run) -> Option<f64> {
        let totals = &run.totals;
        let produced = totals.acknowledged > 0;
        let at = |latencies: &Latencies, quantile| {
            value_at(latencies, quantile).map(|latency| latency.as_secs_f64() * 1e6)
        };
        let per = |count: u64| {
            let cpu = run.broker.cpu_seconds?;
            (count > 0).then(|| cpu / count as f64)
        };
        let value = match self {
            Metric::Throughput => {
                let records = if produced { totals.acknowledged } else { totals.consumed };
                (run.seconds > 0.0).then(|| records as f64 / run.seconds)
            }
            // How many fetches find something depends on chance; of produce requests a rate makes as many each time.
            Metric::CpuPerRequest => {
                per(if produced { totals.requests } else { totals.fetches }).map(|s| s * 1e6)
            }
            Metric::CpuPerGb => {
                let bytes =
                    if produced { totals.acknowledged_bytes } else { totals.consumed_bytes };
                per(bytes).map(|s| s * 1e9)
            }
            Metric::ServiceP50 => at(&run.service, 0.5),
            Metric::ServiceP99 => at(&run.service, 0.99),
            Metric::ResponseP50 => at(&run.response, 0.5),
            Metric::ResponseP99 => at(&run.response, 0.99),
            Metric::ResponseP999 => at(&run.response, 0.999),
            Metric::EndToEndP99 => at(&run.end_to_end, 0.99),
        };
        // Ratios of nothing mean nothing.
        value.filter(|value| *value > 0.0)
    }

    /// A value with its unit.
    pub fn show(self, value: f64) -> String {
        use crate::result::figures::{latency, number};
        match self {
            Metric::Throughput => format!("{}/s", number(value)),
            Metric::CpuPerGb => format!("{value:.2} s"),
            _ => latency(value * 1e3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_run() {
        let mut run = Run { seconds: 2.0, ..Run::default() };
        run.totals.acknowledged = 4_000;
        run.totals.acknowledged_bytes = 4_000_000;
        run.totals.requests = 1_000;
        run.broker.cpu_seconds = Some(0.12);
        run.service.record_ns(1_000_000, 1_000);
        run.response.record_ns(2_000_000, 4_000);
        let value = |metric: Metric| metric.of(&run).map(|value| (value / 10.0).round() * 10.0);
        assert_eq!(value(Metric::Throughput), Some(2_000.0));
        assert_eq!(value(Metric::CpuPerRequest), Some(120.0));
        assert_eq!(value(Metric::CpuPerGb), Some(30.0));
        assert_eq!(value(Metric::ServiceP50), Some(1_000.0));
        assert_eq!(value(Metric::ResponseP99), Some(2_000.0));
        assert_eq!(value(Metric::ResponseP999), None, "four beyond it");
        assert_eq!(value(Metric::EndToEndP99), None, "nothing is consumed");
        assert_eq!(Metric::CpuPerRequest.show(41.52), "41.5 us");
    }

    #[test]
    fn names_are_found() {
        for metric in Metric::ALL {
            assert_eq!(Metric::named(metric.name()), Some(metric));
            let json = serde_json::to_string(&metric).expect("a name");
            assert_eq!(json, format!("\"{}\"", metric.name()));
        }
        assert_eq!(Metric::named("p99"), None);
    }
}

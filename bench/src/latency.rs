//! Latencies as histograms: merged, never averaged.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// The longest latency that is told apart from longer ones.
const LONGEST: Duration = Duration::from_secs(60);

/// Latencies in nanoseconds with three digits. In JSON it is the whole histogram, V2 deflated, in base64, which the
/// tools of HdrHistogram read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Latencies(Histogram<u64>);

/// A histogram in figures, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    /// Operations.
    pub count: u64,
    /// Half of them took at most this long.
    pub p50_us: f64,
    /// 99 of 100.
    pub p99_us: f64,
    /// 999 of 1,000.
    pub p99_9_us: f64,
    /// The longest.
    pub max_us: f64,
    /// The mean.
    pub mean_us: f64,
}

impl Latencies {
    /// None yet. Grows with the longest latency, up to a minute and some 200 kB.
    pub fn new() -> Latencies {
        let mut histogram = Histogram::new(3).expect("three digits");
        histogram.auto(true);
        Latencies(histogram)
    }

    /// One operation more. What took longer than a minute counts as a minute.
    pub fn record(&mut self, took: Duration) {
        self.record_ns(took.as_nanos() as u64, 1);
    }

    /// `count` operations that took as long. What took longer than a minute counts as a minute.
    pub fn record_ns(&mut self, ns: u64, count: u64) {
        let ns = ns.min(LONGEST.as_nanos() as u64);
        self.0.record_n(ns, count).expect("a histogram that grows takes every latency");
    }

    /// Operations.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The histogram, for whatever else is asked of it.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    /// Forgets all of them, and keeps the memory.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// Those of another histogram as well.
    pub fn merge(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("all may grow");
    }

    /// In figures.
    pub fn summary(&self) -> Summary {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1000.0;
        Summary {
            count: self.0.len(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            p99_9_us: at(0.999),
            max_us: self.0.max() as f64 / 1000.0,
            mean_us: self.0.mean() / 1000.0,
        }
    }
}

impl From<Histogram<u64>> for Latencies {
    fn from(mut histogram: Histogram<u64>) -> Latencies {
        histogram.auto(true);
        Latencies(histogram)
    }
}

impl From<Latencies> for String {
    fn from(latencies: Latencies) -> String {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&latencies.0, &mut bytes)
            .expect("a histogram is written to memory");
        STANDARD.encode(bytes)
    }
}

impl TryFrom<String> for Latencies {
    type Error = String;

    fn try_from(text: String) -> Result<Latencies, String> {
        let bytes = STANDARD.decode(text).map_err(|error| format!("a histogram: {error}"))?;
        let histogram = Deserializer::new().deserialize(&mut bytes.as_slice());
        histogram.map(Latencies::from).map_err(|error| format!("a histogram: {error}"))
    }
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_comes_back_from_json() {
        let mut latencies = Latencies::new();
        latencies.record_ns(1_234_567, 3);
        latencies.record(Duration::from_secs(100));
        let json = serde_json::to_string(&latencies).expect("it is text");
        let back: Latencies = serde_json::from_str(&json).expect("it was just written");
        assert_eq!(back, latencies);
        assert!(back.summary().max_us > 59e6, "it took more than a minute");
        assert!(serde_json::from_str::<Latencies>("\"AAAA\"").is_err(), "no histogram");
    }

    #[test]
    fn quantiles_of_a_merge_are_those_of_all() {
        let (mut low, mut high) = (Latencies::new(), Latencies::new());
        (1..=999).for_each(|_| low.record(Duration::from_micros(100)));
        high.record(Duration::from_millis(5));
        low.merge(&high);
        let summary = low.summary();
        assert_eq!(summary.count, 1000);
        assert!((summary.p99_9_us - 100.0).abs() < 1.0, "999 of 1,000 took 100 us");
        assert!((summary.max_us - 5000.0).abs() < 10.0);
    }
}

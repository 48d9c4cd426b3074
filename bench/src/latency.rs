//! Latencies as histograms: merged, never averaged.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart from longer ones.
const LONGEST: Duration = Duration::from_secs(60);

/// Latencies from the moment an operation was meant to begin, in nanoseconds with three digits.
#[derive(Clone, Debug)]
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
    /// None yet.
    pub fn new() -> Latencies {
        let longest = LONGEST.as_nanos() as u64;
        Latencies(Histogram::new_with_max(longest, 3).expect("a range of 60 s at three digits"))
    }

    /// One operation more. What took longer than a minute counts as a minute.
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(took.as_nanos() as u64);
    }

    /// Those of another histogram as well.
    pub fn merge(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("all have the same range");
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

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

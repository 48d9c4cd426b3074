//! Histograms by second as the interval log (`.hlog`) that HdrHistogram's log processor and its readers take.

use std::fmt::Write;

use super::model::{Client, Report, Run, Second};
use crate::latency::Latencies;

/// The largest value of an interval is written in milliseconds.
const MAX_DIVISOR: f64 = 1e6;

/// A log under construction.
struct Log {
    text: String,
    /// Unix seconds that the intervals are counted from.
    base: f64,
}

/// A line for each client and second of all runs, tagged with the client's name. Which clients, `of` says.
pub fn by_client(report: &Report, of: impl Fn(&Client) -> bool) -> String {
    let mut log = Log::begin(report);
    for run in &report.runs {
        let seconds = run.clients.iter().map(|client| client.by_second.len()).max().unwrap_or(0);
        // The readers want intervals in the order of their begin.
        for second in 0..seconds {
            for client in run.clients.iter().filter(|client| of(client)) {
                let Some(histogram) = client.by_second.get(second) else { continue };
                let Ok(latencies) = Latencies::try_from(histogram.clone()) else { continue };
                log.interval(run, second, Some(&client.name), &latencies, histogram);
            }
        }
    }
    log.text
}

/// A line for each second of all runs, without tags.
pub fn by_second(report: &Report, of: impl Fn(&Second) -> &Latencies) -> String {
    let mut log = Log::begin(report);
    for run in &report.runs {
        for (second, what) in run.timeline.iter().enumerate() {
            let latencies = of(what);
            log.interval(run, second, None, latencies, &String::from(latencies.clone()));
        }
    }
    log.text
}

impl Log {
    fn begin(report: &Report) -> Log {
        let base = report.runs.first().map_or(0, |run| run.began_unix_ms) as f64 / 1000.0;
        let text = format!(
            "#[Histogram log format version 1.3]\n\
             #[Latencies in nanoseconds; Interval_Max in milliseconds]\n\
             #[BaseTime: {base:.3} (seconds since epoch)]\n\
             #[StartTime: {base:.3} (seconds since epoch)]\n\
             \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
        );
        Log { text, base }
    }

    fn interval(
        &mut self,
        run: &Run,
        second: usize,
        tag: Option<&str>,
        latencies: &Latencies,
        encoded: &str,
    ) {
        if let Some(tag) = tag {
            // A tag ends at the comma.
            let tag = tag.replace([',', ' ', '\n', '\r'], "_");
            let _ = write!(self.text, "Tag={tag},");
        }
        let begin = run.began_unix_ms as f64 / 1000.0 - self.base + second as f64;
        let max = latencies.histogram().max() as f64 / MAX_DIVISOR;
        let _ = writeln!(self.text, "{begin:.3},1.000,{max:.3},{encoded}");
    }
}

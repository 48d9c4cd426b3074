//! A histogram as the percentile table that HdrHistogram's plotter and its Java, C and Python tools write (`.hgrm`).

use std::fmt::Write;

use crate::latency::Latencies;

/// Lines for each halving of what is left up to 100 %; the tools' own default.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// The table, values in milliseconds (the plotter's default) to the nanosecond.
pub fn text(latencies: &Latencies) -> String {
    let histogram = latencies.histogram();
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        count += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        let value = milliseconds(step.value_iterated_to().min(histogram.max()) as f64);
        let _ = write!(text, "{value:>12.6} {quantile:>14.12} {count:>10}");
        // The last line has no fourth column: it would be infinite.
        if quantile < 1.0 {
            let _ = write!(text, " {:>14.2}", 1.0 / (1.0 - quantile));
        }
        text.push('\n');
    }
    let _ = write!(
        text,
        "#[Mean    = {:>12.6}, StdDeviation   = {:>12.6}]\n\
         #[Max     = {:>12.6}, Total count    = {:>12}]\n\
         #[Buckets = {:>12}, SubBuckets     = {:>12}]\n",
        milliseconds(histogram.mean()),
        milliseconds(histogram.stdev()),
        milliseconds(histogram.max() as f64),
        histogram.len(),
        histogram.buckets(),
        2048,
    );
    text
}

fn milliseconds(ns: f64) -> f64 {
    ns / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_what_the_plotter_looks_for() {
        let mut latencies = Latencies::new();
        latencies.record_ns(250_000, 900);
        latencies.record_ns(2_000_000, 100);
        let text = text(&latencies);
        // The plotter takes each line of four numbers that is no comment.
        let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1).map(|line| {
            let fields = line.split_ascii_whitespace();
            fields.map(|field| field.parse::<f64>().expect("a number")).collect::<Vec<_>>()
        });
        let rows: Vec<_> = rows.filter(|row| !row.is_empty()).collect();
        assert!(rows.windows(2).all(|pair| pair[0][1] <= pair[1][1] && pair[0][2] <= pair[1][2]));
        let half = rows.iter().find(|row| row[1] == 0.5).expect("a line for the median");
        assert!((half[0] - 0.25).abs() < 0.001, "in milliseconds: {half:?}");
        assert_eq!(half[2..], [900.0, 2.0]);
        let last = rows.last().expect("a line for all");
        assert_eq!(last[1..], [1.0, 1000.0]);
        assert!((last[0] - 2.0).abs() < 0.01, "{last:?}");
        assert!(text.contains("Total count    =         1000]"), "{text}");
    }

    #[test]
    fn nothing_measured_is_a_table_without_lines() {
        assert!(text(&Latencies::new()).contains("Total count    =            0]"));
    }
}

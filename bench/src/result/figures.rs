//! Percentiles that may be said, and numbers as people read them.

use std::time::Duration;

use crate::latency::Latencies;

/// The percentiles that are reported, as parts of 1.
pub const QUANTILES: [f64; 8] = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999];

/// With fewer operations beyond it, a percentile is the luck of a few of them.
pub const BEYOND_MIN: u64 = 10;

/// What stands for a figure that there is none of.
pub const NONE: &str = "n/a";

/// The latency that this part of all operations did not exceed; `None` where fewer than [`BEYOND_MIN`] lie beyond it.
pub fn value_at(latencies: &Latencies, quantile: f64) -> Option<Duration> {
    let beyond = latencies.count() as f64 * (1.0 - quantile);
    // 1 - 0.999 is not a thousandth to the last bit.
    let enough = beyond + 1e-6 >= BEYOND_MIN as f64;
    let ns = latencies.histogram().value_at_quantile(quantile);
    enough.then(|| Duration::from_nanos(ns.min(latencies.histogram().max())))
}

/// The longest; `None` of nothing.
pub fn max(latencies: &Latencies) -> Option<Duration> {
    (latencies.count() > 0).then(|| Duration::from_nanos(latencies.histogram().max()))
}

/// `p50`, `p99.9`.
pub fn percentile(quantile: f64) -> String {
    let text = format!("{:.4}", quantile * 100.0);
    format!("p{}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A latency in microseconds without its unit: `12.3`, `1 204`; [`NONE`] where there is none.
pub fn us(latency: Option<Duration>) -> String {
    latency.map_or_else(|| NONE.to_owned(), |latency| number(latency.as_nanos() as f64 / 1000.0))
}

/// A latency with the unit that suits it: `850 ns`, `12.3 us`, `1.20 ms`, `2.4 s`.
pub fn latency(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 999.5 => (ns, "ns"),
        ns if ns < 999_500.0 => (ns / 1e3, "us"),
        ns if ns < 999_500_000.0 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{} {unit}", short(value))
}

/// Three digits that count or all of them, no needless zeros: `0`, `4.25`, `97.1`, `850`, `1 204`.
pub fn short(value: f64) -> String {
    if value >= 999.5 {
        return count(value.round() as u64);
    }
    let decimals = match value.abs() {
        size if size < 9.995 => 2,
        size if size < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A figure with one digit behind the point below 100, and groups of three: `12.3`, `51 200`.
pub fn number(value: f64) -> String {
    if value.abs() < 99.95 { format!("{value:.1}") } else { count(value.round().max(0.0) as u64) }
}

/// A count in groups of three: `3 072 000`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `1 record`, `2 records`.
pub fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Bytes with a binary unit: `512 B`, `1 KiB`, `1.5 GiB`.
pub fn bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes, 0);
    while value >= 1023.95 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let text = format!("{value:.1}");
    format!("{} {}", text.trim_end_matches(".0"), units[unit])
}

/// A part of 1 in per cent: `0.4 %`, `84 %`.
pub fn share(part: f64) -> String {
    let percent = part * 100.0;
    if percent.abs() < 9.95 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

/// How far figures of several runs lie apart: half the distance of the outermost, as a part of the median.
/// `None` of fewer than two, or around nothing.
pub fn spread(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(low), Some(high)) = (sorted.first(), sorted.last()) else { return None };
    let middle = median(&sorted)?;
    (sorted.len() > 1 && middle > 0.0).then(|| (high - low) / 2.0 / middle)
}

fn median(sorted: &[f64]) -> Option<f64> {
    let high = *sorted.get(sorted.len() / 2)?;
    let low = if sorted.len().is_multiple_of(2) { sorted[sorted.len() / 2 - 1] } else { high };
    Some((low + high) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_needs_ten_operations_beyond_it() {
        let check = |operations: u64, quantile: f64, expected: bool| {
            let mut latencies = Latencies::new();
            latencies.record_ns(1_000_000, operations);
            assert_eq!(
                value_at(&latencies, quantile).is_some(),
                expected,
                "{operations} {quantile}"
            );
        };
        check(0, 0.5, false);
        check(19, 0.5, false);
        check(20, 0.5, true);
        for (decimals, quantile) in [(3, 0.99), (4, 0.999), (5, 0.9999), (6, 0.99999)] {
            check(10_u64.pow(decimals) - 1, quantile, false);
            check(10_u64.pow(decimals), quantile, true);
        }
    }

    #[test]
    fn no_percentile_is_longer_than_the_longest() {
        let mut latencies = Latencies::new();
        latencies.record_ns(1_234_567, 10_000);
        assert_eq!(value_at(&latencies, 0.999), max(&latencies));
        assert_eq!(max(&Latencies::new()), None);
    }

    #[test]
    fn numbers_as_people_read_them() {
        assert_eq!(QUANTILES.map(percentile).join(" "), "p50 p75 p90 p95 p99 p99.9 p99.99 p99.999");
        assert_eq!(us(None), "n/a");
        assert_eq!(us(Some(Duration::from_nanos(12_340))), "12.3");
        assert_eq!(us(Some(Duration::from_micros(1_204))), "1 204");
        let latencies = [0.0, 850.0, 12_340.0, 999_499.0, 1_204_000.0, 2.4e9];
        let expected = ["0 ns", "850 ns", "12.3 us", "999 us", "1.2 ms", "2.4 s"];
        assert_eq!(latencies.map(latency), expected);
        assert_eq!(
            [512.0, 1024.0, 1536.0, 2e9].map(bytes),
            ["512 B", "1 KiB", "1.5 KiB", "1.9 GiB"]
        );
        assert_eq!(count(3_072_000), "3 072 000");
        assert_eq!(
            [0.0, 4.25, 97.1, 850.0, 1_204.3].map(short),
            ["0", "4.25", "97.1", "850", "1 204"]
        );
        assert_eq!([0.004, 0.0996, 0.84].map(share), ["0.4 %", "10 %", "84 %"]);
        assert_eq!([plural(1, "run"), plural(2, "run")], ["1 run", "2 runs"]);
    }

    #[test]
    fn spread_is_half_the_distance_around_the_median() {
        assert_eq!(spread(&[100.0]), None);
        assert_eq!(spread(&[0.0, 0.0]), None);
        assert_eq!(spread(&[90.0, 110.0, 100.0]), Some(0.1));
        assert_eq!(spread(&[90.0, 110.0]), Some(0.1));
    }
}

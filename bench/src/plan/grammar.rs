//! How the parts of a plan are written in options: text to value, or how to write it.

use std::time::Duration;

use crate::plan::model::{Acks, Arrivals, Beside, Codec, Keys, Partitioning, Payload, Rate, Sizes};

/// A rate as it is written. Bytes become records when the sizes are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RateText {
    /// Records a second.
    Records(f64),
    /// Bytes of keys and values a second.
    Bytes(f64),
    /// As many as are taken.
    Max,
}

impl RateText {
    /// Records a second, where a record has so many bytes on average.
    pub fn rate(self, record_bytes: f64) -> Rate {
        match self {
            RateText::Records(records) => Rate::PerSecond(records),
            RateText::Bytes(bytes) => Rate::PerSecond(bytes / record_bytes),
            RateText::Max => Rate::Max,
        }
    }
}

/// `5000`, `5000/s`, `50MiB/s` or `max`.
///
/// # Errors
/// How to write it.
pub fn rate(text: &str) -> Result<RateText, String> {
    let plain = text.strip_suffix("/s").unwrap_or(text);
    let read = match plain {
        "max" => Some(RateText::Max),
        _ => match number(plain) {
            Some(records) => Some(RateText::Records(records)),
            None => with_unit(plain, BYTE_UNITS).map(RateText::Bytes),
        },
    };
    let sensible = |rate: &RateText| match rate {
        RateText::Records(rate) | RateText::Bytes(rate) => *rate > 0.0,
        RateText::Max => text == "max",
    };
    read.filter(sensible).ok_or_else(|| {
        "write records a second as 5000, bytes a second as 50MiB/s, or max for saturation".into()
    })
}

/// `1024`, `16KiB`, `1.5MB`.
///
/// # Errors
/// How to write it.
pub fn bytes(text: &str) -> Result<u64, String> {
    let read = number(text).or_else(|| with_unit(text, BYTE_UNITS));
    let read = read.filter(|bytes| bytes.fract() == 0.0 && *bytes < (1u64 << 53) as f64);
    read.map(|bytes| bytes as u64)
        .ok_or_else(|| "write bytes as 1024, 16KiB, 64MiB, 1GiB or 1MB".into())
}

/// The same, of what is smaller than 4 GiB.
///
/// # Errors
/// How to write it.
pub fn small_bytes(text: &str) -> Result<u32, String> {
    u32::try_from(bytes(text)?).map_err(|_| "that is 4 GiB or more".into())
}

/// `30s`, `500ms`, `100us`, `5m`, `12h`; `0` needs no unit.
///
/// # Errors
/// How to write it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let seconds = match text {
        "0" => Some(0.0),
        _ => with_unit(text, TIME_UNITS),
    };
    let seconds = seconds.filter(|seconds| *seconds < 1e9);
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "write a time with its unit, as 30s, 500ms, 100us, 5m or 12h".into())
}

/// `1KiB`, `100..1000`, `lognormal:1KiB,0.8` or `1KiB:9,64KiB:1`.
///
/// # Errors
/// How to write it.
pub fn sizes(text: &str) -> Result<Sizes, String> {
    let read = if let Some(rest) = text.strip_prefix("lognormal:") {
        log_normal(rest)
    } else if let Some((min, max)) = text.split_once("..") {
        let max = max.strip_prefix('=').unwrap_or(max);
        both(size(min), size(max)).map(|(min, max)| Sizes::Uniform { min, max })
    } else if text.contains(':') {
        let each = text.split(',').map(|part| {
            let (bytes, weight) = part.split_once(':')?;
            both(size(bytes), number(weight))
        });
        each.collect::<Option<Vec<_>>>().map(Sizes::Weighted)
    } else {
        size(text).map(Sizes::Fixed)
    };
    read.ok_or_else(|| {
        "write one size as 1KiB, a range as 100..1000, a median and its spread as lognormal:1KiB,0.8, or sizes \
         with their weights as 1KiB:9,64KiB:1"
            .into()
    })
}

/// Median, spread, and perhaps the largest; without it, what lies four standard deviations above the median.
fn log_normal(text: &str) -> Option<Sizes> {
    let parts: Vec<&str> = text.split(',').collect();
    let (median, sigma, max) = match parts[..] {
        [median, sigma] => (median, sigma, None),
        [median, sigma, max] => (median, sigma, Some(size(max)?)),
        _ => return None,
    };
    let (median, sigma) = both(size(median), number(sigma))?;
    let four_above = (f64::from(median) * (4.0 * sigma).exp()).min(1_000_000.0) as u32;
    Some(Sizes::LogNormal { median, sigma, max: max.unwrap_or(four_above.max(median)) })
}

/// `none`, `1000` or `zipf:1000,1.1`.
///
/// # Errors
/// How to write it.
pub fn keys(text: &str) -> Result<Keys, String> {
    let count = |text: &str| text.replace('_', "").parse::<u64>().ok();
    let read = match (text, text.strip_prefix("zipf:")) {
        ("none", _) => Some(Keys::Null),
        (_, Some(rest)) => {
            let (different, exponent) = rest.split_once(',').unwrap_or((rest, "1"));
            both(count(different), number(exponent))
                .map(|(count, exponent)| Keys::Zipf { count, exponent })
        }
        _ => count(text).map(Keys::Uniform),
    };
    read.ok_or_else(|| {
        "write none, a number of different keys as 1000, or with some more common than others as zipf:1000,1.1".into()
    })
}

/// `round-robin`, `sticky` or `key`.
///
/// # Errors
/// How to write it.
pub fn partitioning(text: &str) -> Result<Partitioning, String> {
    match text {
        "round-robin" => Ok(Partitioning::RoundRobin),
        "sticky" => Ok(Partitioning::Sticky),
        "key" => Ok(Partitioning::ByKey),
        _ => Err("write round-robin, sticky or key".into()),
    }
}

/// `random` or `text:0.3`.
///
/// # Errors
/// How to write it.
pub fn payload(text: &str) -> Result<Payload, String> {
    match (text, text.strip_prefix("text:")) {
        ("random", _) => Some(Payload::Random),
        (_, Some(part)) => number(part).map(Payload::Compressible),
        _ => None,
    }
    .ok_or_else(|| "write random, or the part that a codec leaves as text:0.3".into())
}

/// `none`, `gzip`, `snappy`, `lz4` or `zstd`.
///
/// # Errors
/// How to write it.
pub fn codec(text: &str) -> Result<Codec, String> {
    match text {
        "none" => Ok(Codec::None),
        "gzip" => Ok(Codec::Gzip),
        "snappy" => Ok(Codec::Snappy),
        "lz4" => Ok(Codec::Lz4),
        "zstd" => Ok(Codec::Zstd),
        _ => Err("write none, gzip, snappy, lz4 or zstd".into()),
    }
}

/// `all`, `1` or `0`.
///
/// # Errors
/// How to write it.
pub fn acks(text: &str) -> Result<Acks, String> {
    match text {
        "all" | "-1" => Ok(Acks::All),
        "1" => Ok(Acks::One),
        "0" => Ok(Acks::Zero),
        _ => Err("write all, 1 or 0".into()),
    }
}

/// `constant` or `poisson`.
///
/// # Errors
/// How to write it.
pub fn arrivals(text: &str) -> Result<Arrivals, String> {
    match text {
        "constant" => Ok(Arrivals::Constant),
        "poisson" => Ok(Arrivals::Poisson),
        _ => Err("write constant or poisson".into()),
    }
}

/// `catch-up:5GiB@100MB/s`, `backlog:1GiB`, `storm:200` or `idle:10000`.
///
/// # Errors
/// How to write it.
pub fn beside(text: &str) -> Result<Beside, String> {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    let read = match kind {
        "catch-up" => {
            let (backlog, rate) = rest.split_once('@').unwrap_or((rest, "0"));
            let rate = rate.strip_suffix("/s").unwrap_or(rate);
            both(bytes(backlog).ok(), bytes(rate).ok()).map(|(backlog_bytes, bytes_per_second)| {
                Beside::CatchUpReader { backlog_bytes, bytes_per_second }
            })
        }
        "backlog" => bytes(rest).ok().map(|bytes| Beside::Backlog { bytes }),
        "storm" => number(rest.strip_suffix("/s").unwrap_or(rest))
            .map(|per_second| Beside::ConnectionStorm { per_second }),
        "idle" => rest.replace('_', "").parse().ok().map(|count| Beside::IdleConnections { count }),
        _ => None,
    };
    read.ok_or_else(|| {
        "write catch-up:5GiB@100MB/s (a consumer of old records), backlog:1GiB (drained meanwhile), storm:200 \
         (connections a second) or idle:10000 (silent connections)"
            .into()
    })
}

/// `NAME=VALUE`.
///
/// # Errors
/// How to write it.
pub fn name_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().into(), value.into())),
        _ => Err("write it as NAME=VALUE".into()),
    }
}

const BYTE_UNITS: &[(&str, f64)] = &[
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("B", 1.0),
];

const TIME_UNITS: &[(&str, f64)] =
    &[("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// A number that is not negative, as `5000`, `20_000`, `0.5`.
fn number(text: &str) -> Option<f64> {
    let plain = text.replace('_', "");
    let digits = plain.starts_with(|first: char| first.is_ascii_digit())
        && plain.chars().all(|char| char.is_ascii_digit() || char == '.');
    if digits { plain.parse().ok() } else { None }
}

/// A number and its unit, in the unit's own measure. The case of letters does not matter.
fn with_unit(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let split = text.find(|char: char| !char.is_ascii_digit() && char != '.' && char != '_')?;
    let (digits, unit) = text.split_at(split);
    let (_, factor) = units.iter().find(|(name, _)| unit.trim().eq_ignore_ascii_case(name))?;
    number(digits).map(|number| number * factor)
}

fn size(text: &str) -> Option<u32> {
    small_bytes(text).ok()
}

fn both<A, B>(a: Option<A>, b: Option<B>) -> Option<(A, B)> {
    a.zip(b)
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn check<T: Debug + PartialEq>(read: Result<T, String>, expected: T) {
        assert_eq!(read, Ok(expected));
    }

    fn refused<T: Debug>(parser: fn(&str) -> Result<T, String>, texts: &[&str]) {
        for text in texts {
            let words = parser(text).expect_err(text);
            assert!(words.starts_with("write ") || words.starts_with("that is"), "{text}: {words}");
        }
    }

    #[test]
    fn rates() {
        check(rate("5000"), RateText::Records(5_000.0));
        check(rate("20_000/s"), RateText::Records(20_000.0));
        check(rate("0.5"), RateText::Records(0.5));
        check(rate("50MiB/s"), RateText::Bytes(50.0 * 1_048_576.0));
        check(rate("50mb/s"), RateText::Bytes(50e6));
        check(rate("max"), RateText::Max);
        assert_eq!(RateText::Bytes(10_240.0).rate(1_024.0), Rate::PerSecond(10.0));
        assert_eq!(RateText::Max.rate(1_024.0), Rate::Max);
        refused(
            rate,
            &["", "0", "-5", "fast", "max/s", "5 per s", "1e400", "NaN", "inf", "5/m", "MiB/s"],
        );
    }

    #[test]
    fn byte_counts() {
        check(bytes("0"), 0);
        check(bytes("1024"), 1_024);
        check(bytes("16KiB"), 16_384);
        check(bytes("16kib"), 16_384);
        check(bytes("1.5 MiB"), 1_572_864);
        check(bytes("1MB"), 1_000_000);
        check(bytes("512B"), 512);
        refused(bytes, &["", "1.5", "-1", "1XB", "KiB", "0.1B", "99999999TiB", "1KiB2"]);
        refused(small_bytes, &["4GiB", "x"]);
    }

    #[test]
    fn durations() {
        check(duration("30s"), Duration::from_secs(30));
        check(duration("500ms"), Duration::from_millis(500));
        check(duration("100us"), Duration::from_micros(100));
        check(duration("100µs"), Duration::from_micros(100));
        check(duration("1.5m"), Duration::from_secs(90));
        check(duration("12h"), Duration::from_secs(43_200));
        check(duration("0"), Duration::ZERO);
        refused(duration, &["", "30", "-1s", "s", "1d", "1e9s", "99999999999s"]);
    }

    #[test]
    fn sizes_of_all_kinds() {
        check(sizes("1KiB"), Sizes::Fixed(1_024));
        check(sizes("100..1000"), Sizes::Uniform { min: 100, max: 1_000 });
        check(sizes("100..=1KiB"), Sizes::Uniform { min: 100, max: 1_024 });
        let sigma = 0.8;
        check(
            sizes("lognormal:1KiB,0.8,64KiB"),
            Sizes::LogNormal { median: 1_024, sigma, max: 65_536 },
        );
        check(sizes("lognormal:1KiB,0.8"), Sizes::LogNormal { median: 1_024, sigma, max: 25_121 });
        check(
            sizes("lognormal:1KiB,4"),
            Sizes::LogNormal { median: 1_024, sigma: 4.0, max: 1_000_000 },
        );
        check(sizes("1KiB:9,64KiB:1"), Sizes::Weighted(vec![(1_024, 9.0), (65_536, 1.0)]));
        refused(
            sizes,
            &["", "big", "1..", "..5", "lognormal:1KiB", "lognormal:,1", "1KiB:", "1KiB:9,2KiB"],
        );
    }

    #[test]
    fn keys_partitions_and_payloads() {
        check(keys("none"), Keys::Null);
        check(keys("1000"), Keys::Uniform(1_000));
        check(keys("zipf:1000,1.1"), Keys::Zipf { count: 1_000, exponent: 1.1 });
        check(keys("zipf:1_000"), Keys::Zipf { count: 1_000, exponent: 1.0 });
        refused(keys, &["", "some", "-1", "zipf:", "zipf:10,x", "1.5"]);
        check(partitioning("round-robin"), Partitioning::RoundRobin);
        check(partitioning("sticky"), Partitioning::Sticky);
        check(partitioning("key"), Partitioning::ByKey);
        refused(partitioning, &["", "random"]);
        check(payload("random"), Payload::Random);
        check(payload("text:0.3"), Payload::Compressible(0.3));
        refused(payload, &["", "text", "text:", "text:x", "zeros"]);
    }

    #[test]
    fn words_with_few_choices() {
        check(codec("zstd"), Codec::Zstd);
        check(acks("-1"), Acks::All);
        check(acks("0"), Acks::Zero);
        check(arrivals("poisson"), Arrivals::Poisson);
        refused(codec, &["", "brotli", "LZ4"]);
        refused(acks, &["", "2", "leader"]);
        refused(arrivals, &["", "random"]);
        check(name_value("a=b=c"), ("a".into(), "b=c".into()));
        refused(name_value, &["a", "=b", ""]);
    }

    #[test]
    fn what_happens_beside() {
        check(
            beside("catch-up:5GiB@100MB/s"),
            Beside::CatchUpReader { backlog_bytes: 5 << 30, bytes_per_second: 100_000_000 },
        );
        check(
            beside("catch-up:1GiB"),
            Beside::CatchUpReader { backlog_bytes: 1 << 30, bytes_per_second: 0 },
        );
        check(beside("backlog:1GiB"), Beside::Backlog { bytes: 1 << 30 });
        check(beside("storm:200"), Beside::ConnectionStorm { per_second: 200.0 });
        check(beside("idle:10_000"), Beside::IdleConnections { count: 10_000 });
        refused(
            beside,
            &["", "storm", "storm:", "catch-up:", "catch-up:1GiB@x", "idle:-1", "rain:5"],
        );
    }
}

//! A plan in a line, and setting by setting.

use super::figures::{bytes, count, plural, share, short};
use crate::plan::{Acks, Arrivals, Beside, Codec, Keys, Partitioning, Payload, Plan, Rate, Sizes};

/// What stands beside the latencies of a run at full speed.
pub const SATURATION: &str = "saturation: latency not comparable";

/// The plan in a line: `steady · 1 producer, 2 consumers · 1 topic × 4 partitions · 1 KiB · acks=all · open loop 1 000/s`.
pub fn line(plan: &Plan) -> String {
    format!("{} · {}", plan.name, asked(plan))
}

/// The same without its name.
pub fn asked(plan: &Plan) -> String {
    let mut parts = vec![clients(plan)];
    parts.push(format!(
        "{} × {}",
        plural(u64::from(plan.topics), "topic"),
        plural(u64::from(plan.partitions), "partition")
    ));
    if plan.producers > 0 {
        parts.push(sizes(&plan.sizes));
        parts.push(acks(plan.acks).to_owned());
        if plan.codec != Codec::None {
            parts.push(codec(plan.codec).to_owned());
        }
        parts.push(rate(plan));
    }
    parts.join(" · ")
}

/// What else happens meanwhile, each in words.
pub fn besides(plan: &Plan) -> Vec<String> {
    plan.beside.iter().map(beside).collect()
}

/// Every setting that says what was asked: its name and its value in words.
pub fn settings(plan: &Plan) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("workload", plan.name.clone()),
        ("topics", count(plan.topics.into())),
        ("partitions of each", count(plan.partitions.into())),
        ("producers", count(plan.producers.into())),
        ("consumers", readers(plan)),
        ("rate", rate(plan)),
        ("record values", sizes(&plan.sizes)),
        ("payload", payload(plan.payload)),
        ("keys", keys(plan.keys)),
        ("partitioning", partitioning(plan.partitioning).to_owned()),
        ("compression", codec(plan.codec).to_owned()),
        ("acknowledgements", acks(plan.acks).to_owned()),
        ("idempotent", if plan.idempotent { "yes" } else { "no" }.to_owned()),
        ("linger", format!("{} ms", short(plan.linger_us as f64 / 1000.0))),
        ("batch at most", bytes(plan.batch_bytes.into())),
        ("requests in flight", count(plan.in_flight.into())),
        ("batches in a request", request_batches(plan.request_batches)),
        (
            "fetch",
            format!(
                "at least {} within {} ms, at most {}",
                bytes(plan.fetch_bytes_min.into()),
                plan.fetch_wait_ms,
                bytes(plan.fetch_bytes_max.into())
            ),
        ),
        ("warm-up", seconds(plan.warm_up_ms)),
        ("measured", seconds(plan.duration_ms)),
        ("generator threads", threads(plan)),
        ("seed", plan.seed.to_string()),
    ];
    rows.extend(besides(plan).into_iter().map(|words| ("beside", words)));
    if !plan.topic_config.is_empty() {
        let pairs = plan.topic_config.iter().map(|(name, value)| format!("{name}={value}"));
        rows.push(("topic settings", pairs.collect::<Vec<_>>().join(" ")));
    }
    rows
}

/// Whether the plan asks for as much as is taken.
pub fn saturates(plan: &Plan) -> bool {
    plan.rate == Rate::Max && plan.producers > 0
}

fn clients(plan: &Plan) -> String {
    let producers = plural(plan.producers.into(), "producer");
    match (plan.producers, plan.fan_out) {
        (0, _) => readers(plan),
        (_, 0) => producers,
        _ => format!("{producers}, {}", readers(plan)),
    }
}

fn readers(plan: &Plan) -> String {
    match plan.fan_out {
        0 => "no consumers".to_owned(),
        1 => plural(plan.consumers.into(), "consumer"),
        sets => format!("{sets} × {}", plural(plan.consumers.into(), "consumer")),
    }
}

fn rate(plan: &Plan) -> String {
    let per_second = match plan.rate {
        Rate::Max => return "as fast as acknowledged (saturation)".to_owned(),
        Rate::PerSecond(per_second) => count(per_second.round() as u64),
    };
    let spread = match plan.arrivals {
        Arrivals::Constant => "",
        Arrivals::Poisson => " (Poisson)",
    };
    format!("open loop {per_second}/s{spread}")
}

fn sizes(sizes: &Sizes) -> String {
    let of = |size: u32| bytes(size.into());
    match sizes {
        Sizes::Fixed(size) => of(*size),
        Sizes::Uniform { min, max } => format!("{} to {}", of(*min), of(*max)),
        Sizes::LogNormal { median, sigma, max } => {
            format!("log-normal around {} (σ {sigma}), at most {}", of(*median), of(*max))
        }
        Sizes::Weighted(sizes) => {
            let all: f64 = sizes.iter().map(|(_, weight)| weight).sum();
            let each =
                sizes.iter().map(|(size, weight)| format!("{} {}", share(weight / all), of(*size)));
            each.collect::<Vec<_>>().join(", ")
        }
    }
}

fn payload(payload: Payload) -> String {
    match payload {
        Payload::Random => "random".to_owned(),
        Payload::Compressible(part) => format!("compressible to about {}", share(part)),
    }
}

fn keys(keys: Keys) -> String {
    match keys {
        Keys::Null => "none".to_owned(),
        Keys::Uniform(different) => format!("{} different", count(different)),
        Keys::Zipf { count: different, exponent } => {
            format!("{} different, Zipf {exponent}", count(different))
        }
    }
}

fn partitioning(partitioning: Partitioning) -> &'static str {
    match partitioning {
        Partitioning::RoundRobin => "round robin",
        Partitioning::Sticky => "sticky",
        Partitioning::ByKey => "by key",
    }
}

fn request_batches(most: u32) -> String {
    match most {
        0 => "all that are due".to_owned(),
        most => format!("at most {}", count(most.into())),
    }
}

fn codec(codec: Codec) -> &'static str {
    match codec {
        Codec::None => "none",
        Codec::Gzip => "gzip",
        Codec::Snappy => "snappy",
        Codec::Lz4 => "lz4",
        Codec::Zstd => "zstd",
    }
}

fn acks(acks: Acks) -> &'static str {
    match acks {
        Acks::Zero => "acks=0",
        Acks::One => "acks=1",
        Acks::All => "acks=all",
    }
}

fn beside(beside: &Beside) -> String {
    match *beside {
        Beside::CatchUpReader { backlog_bytes, bytes_per_second: 0 } => {
            format!("a catch-up reader of {}", bytes(backlog_bytes as f64))
        }
        Beside::CatchUpReader { backlog_bytes, bytes_per_second } => format!(
            "a catch-up reader of {} at {}/s",
            bytes(backlog_bytes as f64),
            bytes(bytes_per_second as f64)
        ),
        Beside::Backlog { bytes: backlog } => {
            format!("a backlog of {} to drain", bytes(backlog as f64))
        }
        Beside::ConnectionStorm { per_second } => {
            format!("{} new connections/s", count(per_second.round() as u64))
        }
        Beside::IdleConnections { count: idle } => {
            format!("{} idle connections", count(idle.into()))
        }
    }
}

fn threads(plan: &Plan) -> String {
    let threads = match plan.threads {
        0 => "as many as processors".to_owned(),
        threads => count(threads.into()),
    };
    if plan.cores.is_empty() {
        return threads;
    }
    let cores: Vec<_> = plan.cores.iter().map(usize::to_string).collect();
    format!("{threads}, on processors {}", cores.join(","))
}

fn seconds(ms: u64) -> String {
    format!("{} s", short(ms as f64 / 1000.0))
}

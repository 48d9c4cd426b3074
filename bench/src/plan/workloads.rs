//! Named workloads: each answers one question about a broker, on a machine with two cores as on a larger one.
//!
//! Among them are the six in which Vanlightly found brokers to differ in 2023: many producers, keyed small batches, a
//! backlog drained under load, retention at work, a drive that fills up, and many hours.

use crate::error::BenchError;
use crate::plan::model::{Arrivals, Beside, Keys, Partitioning, Plan, Rate, Sizes};

/// A named workload.
struct Workload {
    name: &'static str,
    question: &'static str,
    plan: fn(Plan) -> Plan,
}

const MIB: u64 = 1 << 20;

const ALL: &[Workload] = &[
    Workload {
        name: "steady",
        question: "What does an acknowledgement cost when there is little to do?",
        plan: |plan| plan,
    },
    Workload {
        name: "small-requests",
        question: "How many requests does it take when each carries one small record?",
        plan: |plan| Plan {
            partitions: 8,
            producers: 4,
            rate: Rate::PerSecond(8_000.0),
            arrivals: Arrivals::Poisson,
            sizes: Sizes::Fixed(100),
            partitioning: Partitioning::RoundRobin,
            batch_bytes: 256,
            ..plan
        },
    },
    Workload {
        name: "many-producers",
        question: "Does latency hold when the same load comes from 200 producers instead of a few?",
        plan: |plan| Plan {
            partitions: 16,
            producers: 200,
            consumers: 2,
            rate: Rate::PerSecond(10_000.0),
            arrivals: Arrivals::Poisson,
            linger_us: 5_000,
            ..plan
        },
    },
    Workload {
        name: "keyed",
        question: "What do keys cost, which scatter records over many small batches?",
        plan: |plan| Plan {
            partitions: 32,
            producers: 4,
            consumers: 2,
            rate: Rate::PerSecond(20_000.0),
            arrivals: Arrivals::Poisson,
            sizes: Sizes::Fixed(256),
            keys: Keys::Zipf { count: 100_000, exponent: 1.0 },
            partitioning: Partitioning::ByKey,
            linger_us: 5_000,
            ..plan
        },
    },
    Workload {
        name: "many-partitions",
        question: "What does each of 2 000 partitions cost when all of them are written to?",
        plan: |plan| Plan {
            topics: 2,
            partitions: 1_000,
            producers: 4,
            consumers: 2,
            rate: Rate::PerSecond(5_000.0),
            arrivals: Arrivals::Poisson,
            partitioning: Partitioning::RoundRobin,
            linger_us: 20_000,
            ..plan
        },
    },
    Workload {
        name: "large-records",
        question: "Do records of 64 KiB to 900 KiB hold up the small ones beside them?",
        plan: |plan| Plan {
            producers: 2,
            rate: Rate::PerSecond(500.0),
            arrivals: Arrivals::Poisson,
            sizes: Sizes::Weighted(vec![(1_024, 90.0), (65_536, 9.0), (900 << 10, 1.0)]),
            batch_bytes: 1_000_000,
            ..plan
        },
    },
    Workload {
        name: "fan-out",
        question: "What does it cost when eight sets of consumers read every record?",
        plan: |plan| Plan {
            fan_out: 8,
            producers: 2,
            rate: Rate::PerSecond(5_000.0),
            arrivals: Arrivals::Poisson,
            linger_us: 1_000,
            ..plan
        },
    },
    Workload {
        name: "catch-up",
        question: "Do producers and tail consumers notice a consumer that reads old records from the disk?",
        plan: |plan| Plan {
            producers: 2,
            rate: Rate::PerSecond(5_000.0),
            arrivals: Arrivals::Poisson,
            linger_us: 1_000,
            beside: vec![Beside::CatchUpReader {
                backlog_bytes: 1_024 * MIB,
                bytes_per_second: 100_000_000,
            }],
            ..plan
        },
    },
    Workload {
        name: "backlog",
        question: "Can consumers drain a backlog while producers go on, and how fast?",
        plan: |plan| Plan {
            producers: 2,
            consumers: 2,
            rate: Rate::PerSecond(20_000.0),
            linger_us: 5_000,
            batch_bytes: 64 << 10,
            beside: vec![Beside::Backlog { bytes: 512 * MIB }],
            ..plan
        },
    },
    Workload {
        name: "connection-storm",
        question: "Do 300 new connections a second, beside 1 000 silent ones, disturb those at work?",
        plan: |plan| Plan {
            producers: 2,
            rate: Rate::PerSecond(2_000.0),
            arrivals: Arrivals::Poisson,
            beside: vec![
                Beside::IdleConnections { count: 1_000 },
                Beside::ConnectionStorm { per_second: 300.0 },
            ],
            ..plan
        },
    },
    Workload {
        name: "retention",
        question: "Does latency jump when old segments begin to be deleted? (10 minutes)",
        plan: |plan| Plan {
            topic_config: settings(&[
                ("retention.bytes", "33554432"),
                ("segment.bytes", "8388608"),
            ]),
            producers: 2,
            rate: Rate::PerSecond(10_000.0),
            linger_us: 5_000,
            duration_ms: 10 * 60 * 1_000,
            ..plan
        },
    },
    Workload {
        name: "full-drive",
        question: "Does latency hold while the drive fills up? (writes 36 GB in 30 minutes: see that they fit)",
        plan: |plan| Plan {
            topic_config: settings(&[("retention.ms", "-1")]),
            producers: 2,
            rate: Rate::PerSecond(20_000.0),
            linger_us: 5_000,
            batch_bytes: 64 << 10,
            duration_ms: 30 * 60 * 1_000,
            ..plan
        },
    },
    Workload {
        name: "soak",
        question: "Are latency and memory the same after 12 hours?",
        plan: |plan| Plan {
            topic_config: settings(&[
                ("retention.bytes", "1073741824"),
                ("segment.bytes", "134217728"),
            ]),
            producers: 2,
            rate: Rate::PerSecond(5_000.0),
            arrivals: Arrivals::Poisson,
            linger_us: 1_000,
            duration_ms: 12 * 60 * 60 * 1_000,
            ..plan
        },
    },
];

fn settings(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The workload of a name.
pub fn named(name: &str) -> Option<Plan> {
    let workload = ALL.iter().find(|workload| workload.name == name)?;
    Some((workload.plan)(Plan { name: name.to_owned(), ..Plan::default() }))
}

/// The refusal of a name that no workload has.
pub fn unknown(name: &str) -> BenchError {
    let names: Vec<_> = all().map(|(name, _)| name).collect();
    BenchError::usage(format!("there is no workload `{name}`"))
        .fix(format!("choose one of {}", names.join(", ")))
}

/// Every workload: its name and the question it answers.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALL.iter().map(|workload| (workload.name, workload.question))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_can_be_found_and_run() {
        for (name, question) in all() {
            let plan = named(name).expect("it is listed");
            assert_eq!(plan.name, name);
            assert!(question.contains('?'), "{name} asks nothing");
            plan.check().expect(name);
        }
        assert_eq!(named("steady"), Some(Plan::default()));
        assert_eq!(named("nothing"), None);
    }

    #[test]
    fn the_readme_asks_the_same_questions() {
        let readme = include_str!("../../README.md");
        for (name, question) in all() {
            let row = format!("| `{name}` | {question} |");
            assert!(readme.contains(&row), "bench/README.md lacks {row}");
        }
    }

    #[test]
    fn the_wire_and_the_disk_of_a_small_machine_suffice() {
        for (name, _) in all() {
            let plan = named(name).expect("it is listed");
            let Rate::PerSecond(rate) = plan.rate else { panic!("{name} has no rate") };
            assert!(rate * plan.sizes.mean() < 30e6, "{name}: {} B/s", rate * plan.sizes.mean());
        }
    }
}

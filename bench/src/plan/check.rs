//! Whether a plan can be run at all: what cannot is refused before anything is started, with what, why and what to do.

use std::fmt::Display;

use crate::error::BenchError;
use crate::plan::model::{Beside, Keys, Partitioning, Payload, Plan, Rate, Sizes};
use crate::record::STAMP_BYTES;

/// Partitions of all topics together.
pub const PARTITIONS_MAX: u64 = 100_000;
/// Producers, consumers of all sets together, and topics.
pub const CLIENTS_MAX: u32 = 10_000;
/// Producers times partitions times sets of consumers: the audit keeps 8 bytes for each, 128 MiB in all.
pub const AUDIT_CELLS_MAX: u64 = 1 << 24;
/// Bytes of a batch before compression.
pub const BATCH_BYTES_MAX: u32 = 64 << 20;
/// Requests in flight on a connection.
pub const IN_FLIGHT_MAX: u32 = 1_000;
/// The same for an idempotent producer, of whose batches a broker remembers five.
pub const IN_FLIGHT_IDEMPOTENT_MAX: u32 = 5;
/// What a record takes in a batch besides its key and value, the batch's header included.
const RECORD_OVERHEAD: u64 = 128;
/// What brokers take when a topic does not say otherwise.
const MESSAGE_BYTES_DEFAULT: u64 = 1_048_588;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

impl Plan {
    /// Refuses what cannot be run or would mean something else than it says.
    ///
    /// # Errors
    /// The first thing that is wrong, of kind [`Usage`](crate::error::Kind::Usage).
    pub fn check(&self) -> Result<(), BenchError> {
        self.check_clients()?;
        self.check_records()?;
        self.check_batches()?;
        self.check_fetches()?;
        self.check_times()?;
        self.check_beside()?;
        self.check_generator()
    }

    fn check_clients(&self) -> Result<(), BenchError> {
        within("topics", self.topics, 1, CLIENTS_MAX)?;
        within("partitions", u64::from(self.partitions), 1, PARTITIONS_MAX)?;
        within("producers", self.producers, 0, CLIENTS_MAX)?;
        within("sets of consumers", self.fan_out, 0, CLIENTS_MAX)?;
        let partitions = u64::from(self.topics) * u64::from(self.partitions);
        within("partitions of all topics together", partitions, 1, PARTITIONS_MAX)?;
        if self.fan_out > 0 {
            within("consumers", self.consumers, 1, CLIENTS_MAX)?;
            let consumers = u64::from(self.fan_out) * u64::from(self.consumers);
            within("consumers of all sets together", consumers, 1, CLIENTS_MAX.into())?;
            if u64::from(self.consumers) > partitions {
                let what =
                    format!("{} consumers cannot share {partitions} partitions", self.consumers);
                return Err(BenchError::usage(what)
                    .why("each partition is read by one consumer of a set")
                    .fix("take fewer --consumers or more --partitions; --fan-out reads records again"));
            }
        }
        let cells = partitions * u64::from(self.producers) * u64::from(self.fan_out);
        if cells > AUDIT_CELLS_MAX {
            let what = format!("{cells} pairs of producer and partition are too many to audit");
            return Err(BenchError::usage(what)
                .why(format!(
                    "the audit has room for {AUDIT_CELLS_MAX}, all sets of consumers together"
                ))
                .fix("take fewer producers, partitions or sets of consumers"));
        }
        let reads_backlog = self.beside.iter().any(|b| matches!(b, Beside::CatchUpReader { .. }));
        match (self.producers, self.fan_out) {
            (0, 0) if self.beside.is_empty() => Err(BenchError::usage("there is nothing to do")
                .why("the plan has neither producers nor consumers")
                .fix("add --producers 1")),
            (0, 1..) if !reads_backlog => Err(BenchError::usage("there is nothing to read")
                .why("without producers the run's own topics stay empty")
                .fix("add --producers 1, or --consumers 0 --fan-out 0")),
            _ => Ok(()),
        }
    }

    fn check_records(&self) -> Result<(), BenchError> {
        if let Rate::PerSecond(rate) = self.rate {
            finite("a rate", rate, 0.001, 1e9)?;
        }
        check_sizes(&self.sizes)?;
        match self.keys {
            Keys::Null => {}
            Keys::Uniform(count) => within("different keys", count, 1, u64::MAX)?,
            Keys::Zipf { count, exponent } => {
                within("different keys", count, 1, u64::MAX)?;
                finite("the exponent of a Zipf distribution", exponent, 0.01, 10.0)?;
            }
        }
        if self.keys == Keys::Null && self.partitioning == Partitioning::ByKey {
            return Err(BenchError::usage("records cannot find their partition by key")
                .why("they have no keys")
                .fix("add --keys 1000, or choose --partitioner sticky or round-robin"));
        }
        if let Payload::Compressible(part) = self.payload {
            finite("the part that a codec leaves of a payload", part, 0.01, 0.99)?;
        }
        Ok(())
    }

    fn check_batches(&self) -> Result<(), BenchError> {
        within("the bytes of a batch", self.batch_bytes, 128, BATCH_BYTES_MAX)?;
        within("requests in flight", self.in_flight, 1, IN_FLIGHT_MAX)?;
        within("batches in a request", u64::from(self.request_batches), 0, PARTITIONS_MAX)?;
        within("microseconds of linger", self.linger_us, 0, MINUTE_MS * 1_000)?;
        if self.idempotent {
            if self.acks != crate::plan::Acks::All {
                return Err(BenchError::usage("an idempotent producer needs acks=all")
                    .why("brokers refuse sequence numbers with fewer acknowledgements")
                    .fix("choose --acks all or --idempotent=false"));
            }
            if self.in_flight > IN_FLIGHT_IDEMPOTENT_MAX {
                let most = IN_FLIGHT_IDEMPOTENT_MAX;
                return Err(BenchError::usage(format!(
                    "an idempotent producer has at most {most} requests in flight"
                ))
                .why(format!("a broker remembers its last {most} batches of a partition"))
                .fix(format!("choose --in-flight {most} or --idempotent=false")));
            }
        }
        let taken = match self.topic_config.get("max.message.bytes") {
            None => MESSAGE_BYTES_DEFAULT,
            Some(text) => text.parse().map_err(|_| {
                BenchError::usage(format!("max.message.bytes={text} is not a number of bytes"))
                    .fix("write it as --topic-config max.message.bytes=2000000")
            })?,
        };
        let record = u64::from(self.sizes.max()) + RECORD_OVERHEAD;
        let largest = record.max(self.batch_bytes.into());
        if self.producers > 0 && largest > taken {
            let what = if record > taken { "records" } else { "batches" };
            return Err(BenchError::usage(format!("{what} of up to {largest} bytes are refused"))
                .why(format!("the topics take batches of at most {taken} bytes"))
                .fix(format!(
                    "make them smaller with --size and --batch, or add --topic-config max.message.bytes={}",
                    largest.next_power_of_two()
                )));
        }
        Ok(())
    }

    fn check_fetches(&self) -> Result<(), BenchError> {
        within("the most bytes of a fetch", self.fetch_bytes_max, 1_024, i32::MAX as u32)?;
        within("the least bytes of a fetch", self.fetch_bytes_min, 0, self.fetch_bytes_max)?;
        within("milliseconds that a fetch waits", u64::from(self.fetch_wait_ms), 0, MINUTE_MS)
    }

    fn check_times(&self) -> Result<(), BenchError> {
        within("milliseconds of warm-up", self.warm_up_ms, 0, DAY_MS)?;
        within("milliseconds of measured time", self.duration_ms, 100, 30 * DAY_MS)
    }

    fn check_beside(&self) -> Result<(), BenchError> {
        for (index, beside) in self.beside.iter().enumerate() {
            let same =
                |other: &Beside| std::mem::discriminant(other) == std::mem::discriminant(beside);
            if self.beside[..index].iter().any(same) {
                return Err(BenchError::usage(format!("{} is asked for twice", name(beside)))
                    .fix("say --beside once for each kind"));
            }
            match *beside {
                Beside::CatchUpReader { backlog_bytes, .. } => {
                    within("bytes for a catch-up reader", backlog_bytes, 1 << 20, 1 << 50)?;
                }
                Beside::Backlog { bytes } => {
                    within("bytes of a backlog", bytes, 1 << 20, 1 << 50)?;
                    if self.fan_out == 0 || self.producers == 0 {
                        return Err(BenchError::usage("a backlog cannot be built up and drained")
                            .why("the plan needs producers and consumers for that")
                            .fix("add --producers 1 --consumers 1 --fan-out 1"));
                    }
                }
                Beside::ConnectionStorm { per_second } => {
                    finite("connections a second", per_second, 0.1, 100_000.0)?;
                }
                Beside::IdleConnections { count } => {
                    within("idle connections", count, 1, 1_000_000)?;
                }
            }
        }
        Ok(())
    }

    fn check_generator(&self) -> Result<(), BenchError> {
        within("threads", self.threads, 0, 1_024)?;
        let mut cores = self.cores.clone();
        cores.sort_unstable();
        if cores.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(BenchError::usage("a processor is named twice in --cores")
                .fix("name each once, as --cores 0,1"));
        }
        if !cores.is_empty() && self.threads as usize > cores.len() {
            let what = format!("{} threads have {} processors", self.threads, cores.len());
            return Err(BenchError::usage(what)
                .why("a generator's threads do not share a processor")
                .fix("name more --cores or take fewer --threads"));
        }
        Ok(())
    }
}

fn check_sizes(sizes: &Sizes) -> Result<(), BenchError> {
    let least = STAMP_BYTES as u32;
    let size = |bytes: u32| {
        if bytes < least {
            let what = format!("a value of {bytes} bytes is too small");
            return Err(BenchError::usage(what)
                .why(format!("its first {least} bytes say who produced it, for the audit"))
                .fix(format!("take at least --size {least}")));
        }
        within("the bytes of a value", bytes, least, BATCH_BYTES_MAX)
    };
    match sizes {
        Sizes::Fixed(bytes) => size(*bytes),
        Sizes::Uniform { min, max } => {
            size(*min)?;
            size(*max)?;
            ascending(*min, *max)
        }
        Sizes::LogNormal { median, sigma, max } => {
            size(*median)?;
            size(*max)?;
            finite("the spread of a log-normal", *sigma, 0.001, 5.0)?;
            ascending(*median, *max)
        }
        Sizes::Weighted(weights) => {
            within("sizes", weights.len() as u64, 1, 10_000)?;
            for (bytes, weight) in weights {
                size(*bytes)?;
                finite("the weight of a size", *weight, 1e-9, 1e12)?;
            }
            Ok(())
        }
    }
}

fn ascending(low: u32, high: u32) -> Result<(), BenchError> {
    if low <= high {
        return Ok(());
    }
    Err(BenchError::usage(format!("sizes from {low} to {high} bytes run backwards"))
        .fix(format!("write the smaller one first: {high}..{low}")))
}

fn within<T: PartialOrd + Display>(
    name: &str,
    found: T,
    least: T,
    most: T,
) -> Result<(), BenchError> {
    if least <= found && found <= most {
        return Ok(());
    }
    Err(BenchError::usage(format!("{name}: {found} is out of range"))
        .fix(format!("choose between {least} and {most}")))
}

fn finite(name: &str, found: f64, least: f64, most: f64) -> Result<(), BenchError> {
    // What is not a number is not within anything.
    within(name, found, least, most)
}

fn name(beside: &Beside) -> &'static str {
    match beside {
        Beside::CatchUpReader { .. } => "catch-up",
        Beside::Backlog { .. } => "backlog",
        Beside::ConnectionStorm { .. } => "storm",
        Beside::IdleConnections { .. } => "idle",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::plan::Acks;

    fn check(expected: &str, change: impl FnOnce(&mut Plan)) {
        let mut plan = Plan::default();
        change(&mut plan);
        match plan.check() {
            Ok(()) => assert_eq!(expected, "", "it was to be refused"),
            Err(error) => {
                assert_eq!(error.to_string(), expected);
                assert_eq!(error.kind, Kind::Usage);
            }
        }
    }

    #[test]
    fn plans_that_make_sense_are_taken() {
        check("", |_| {});
        check("", |plan| plan.rate = Rate::Max);
        check("", |plan| plan.fan_out = 0);
        check("", |plan| (plan.acks, plan.idempotent, plan.in_flight) = (Acks::Zero, false, 64));
        check("", |plan| {
            plan.producers = 0;
            plan.beside =
                vec![Beside::CatchUpReader { backlog_bytes: 1 << 30, bytes_per_second: 0 }];
        });
        check("", |plan| {
            plan.sizes = Sizes::Fixed(2_000_000);
            plan.topic_config.insert("max.message.bytes".into(), "4194304".into());
        });
    }

    #[test]
    fn clients_that_cannot_work_are_refused() {
        check("topics: 0 is out of range (choose between 1 and 10000)", |plan| plan.topics = 0);
        check(
            "5 consumers cannot share 4 partitions: each partition is read by one consumer of a set (take fewer \
             --consumers or more --partitions; --fan-out reads records again)",
            |plan| plan.consumers = 5,
        );
        check(
            "there is nothing to read: without producers the run's own topics stay empty (add --producers 1, or \
             --consumers 0 --fan-out 0)",
            |plan| plan.producers = 0,
        );
        check(
            "there is nothing to do: the plan has neither producers nor consumers (add --producers 1)",
            |plan| (plan.producers, plan.fan_out) = (0, 0),
        );
        check(
            "1000000000 pairs of producer and partition are too many to audit: the audit has room for 16777216, all \
             sets of consumers together (take fewer producers, partitions or sets of consumers)",
            |plan| (plan.producers, plan.partitions) = (10_000, 100_000),
        );
    }

    #[test]
    fn records_that_cannot_be_are_refused() {
        check(
            "a value of 39 bytes is too small: its first 40 bytes say who produced it, for the audit (take at least \
             --size 40)",
            |plan| plan.sizes = Sizes::Uniform { min: 39, max: 100 },
        );
        check(
            "sizes from 200 to 100 bytes run backwards (write the smaller one first: 100..200)",
            |plan| {
                plan.sizes = Sizes::Uniform { min: 200, max: 100 };
            },
        );
        check("sizes: 0 is out of range (choose between 1 and 10000)", |plan| {
            plan.sizes = Sizes::Weighted(Vec::new());
        });
        check("a rate: NaN is out of range (choose between 0.001 and 1000000000)", |plan| {
            plan.rate = Rate::PerSecond(f64::NAN);
        });
        check(
            "records cannot find their partition by key: they have no keys (add --keys 1000, or choose --partitioner \
             sticky or round-robin)",
            |plan| plan.partitioning = Partitioning::ByKey,
        );
        check(
            "records of up to 2000128 bytes are refused: the topics take batches of at most 1048588 bytes (make them \
             smaller with --size and --batch, or add --topic-config max.message.bytes=2097152)",
            |plan| plan.sizes = Sizes::Fixed(2_000_000),
        );
        check(
            "batches of up to 2097152 bytes are refused: the topics take batches of at most 1048588 bytes (make them \
             smaller with --size and --batch, or add --topic-config max.message.bytes=2097152)",
            |plan| plan.batch_bytes = 2 << 20,
        );
    }

    #[test]
    fn producers_that_brokers_refuse_are_refused_first() {
        check(
            "an idempotent producer needs acks=all: brokers refuse sequence numbers with fewer acknowledgements \
             (choose --acks all or --idempotent=false)",
            |plan| plan.acks = Acks::One,
        );
        check(
            "an idempotent producer has at most 5 requests in flight: a broker remembers its last 5 batches of a \
             partition (choose --in-flight 5 or --idempotent=false)",
            |plan| plan.in_flight = 6,
        );
    }

    #[test]
    fn what_happens_beside_is_checked_too() {
        check("storm is asked for twice (say --beside once for each kind)", |plan| {
            plan.beside = vec![Beside::ConnectionStorm { per_second: 1.0 }; 2];
        });
        check(
            "a backlog cannot be built up and drained: the plan needs producers and consumers for that (add \
             --producers 1 --consumers 1 --fan-out 1)",
            |plan| {
                plan.fan_out = 0;
                plan.beside = vec![Beside::Backlog { bytes: 1 << 30 }];
            },
        );
    }

    #[test]
    fn threads_need_processors_of_their_own() {
        check("a processor is named twice in --cores (name each once, as --cores 0,1)", |plan| {
            plan.cores = vec![0, 1, 0];
        });
        check(
            "2 threads have 1 processors: a generator's threads do not share a processor (name more --cores or take \
             fewer --threads)",
            |plan| (plan.threads, plan.cores) = (2, vec![0]),
        );
    }
}

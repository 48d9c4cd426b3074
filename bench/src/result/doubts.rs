//! Why a run should not be trusted. An honest generator says so itself.

use super::figures::{count, latency, plural, share, value_at};
use super::model::{Doubt, Run};
use super::workload;
use crate::plan::{Acks, Plan};

/// Above this share of a processor, a thread of the generator waits in line itself and measures that.
pub const BUSIEST_SHARE_MAX: f64 = 0.8;

/// The part of records that may be handed to their batch too late.
pub const SLIPPED_MAX: f64 = 0.01;

/// The part of intended records that may be missing from the acknowledged before the broker did not keep up.
pub const BEHIND_MAX: f64 = 0.01;

/// With more runnable processes than this before the run, the machine had other work.
pub const LOAD_MAX: f64 = 1.0;

/// What speaks against a run. `load_average` is that of the minute before it.
pub fn doubts(plan: &Plan, run: &Run, load_average: f64) -> Vec<Doubt> {
    let all = [
        generator(run),
        slip(run),
        clock(run),
        behind(plan, run),
        saturation(plan),
        samples(plan, run),
        errors(run),
        load(load_average),
    ];
    let doubts = all.into_iter().flatten();
    doubts.map(|(about, words)| Doubt { about: about.to_owned(), words }).collect()
}

type Found = Option<(&'static str, String)>;

fn generator(run: &Run) -> Found {
    let busiest = run.generator.busiest_share;
    (busiest > BUSIEST_SHARE_MAX).then(|| {
        let words = format!(
            "The generator's busiest thread used {} of its processor, more than {}: it may have measured itself. \
             Give it more threads or processors, or lower the rate.",
            share(busiest),
            share(BUSIEST_SHARE_MAX)
        );
        ("generator-cpu", words)
    })
}

fn slip(run: &Run) -> Found {
    let slipped = run.generator.slipped;
    (slipped > SLIPPED_MAX).then(|| {
        let words = format!(
            "{} of the records were handed to their batch more than 1 ms late, at most {} late: the schedule slipped, \
             and their latency is partly the generator's. Lower the rate or give it more processors.",
            share(slipped),
            latency(run.generator.slip_max_ns as f64)
        );
        ("schedule-slip", words)
    })
}

fn clock(run: &Run) -> Found {
    let jumps = run.generator.clock_jumps;
    (jumps > 0).then(|| {
        let words = format!(
            "The wall clock and the monotonic clock moved apart by more than 1 ms {}: a clock was set, or the machine \
             was paused. Repeat the run.",
            if jumps == 1 { "once".to_owned() } else { format!("{} times", count(jumps)) }
        );
        ("clock", words)
    })
}

fn behind(plan: &Plan, run: &Run) -> Found {
    let totals = &run.totals;
    let missing = totals.intended.saturating_sub(totals.acknowledged) as f64;
    let behind = missing > totals.intended as f64 * BEHIND_MAX;
    (behind && !workload::saturates(plan)).then(|| {
        let words = format!(
            "{} of {} records were acknowledged in the measured time: the broker did not keep up with the rate, and the \
             latencies are those of a queue that grows. Lower the rate.",
            count(totals.acknowledged),
            count(totals.intended)
        );
        ("behind", words)
    })
}

fn saturation(plan: &Plan) -> Found {
    workload::saturates(plan).then(|| {
        let words = "Records were sent as fast as they were acknowledged: the throughput is the most there is, the latencies \
                     are those of full queues. Compare latencies at a fixed rate."
            .to_owned();
        ("saturation", words)
    })
}

fn samples(plan: &Plan, run: &Run) -> Found {
    let measured = match (plan.producers > 0 && plan.acks != Acks::Zero, plan.fan_out) {
        (true, _) => &run.response,
        (false, 0) => return None,
        (false, _) => &run.end_to_end,
    };
    value_at(measured, 0.99).is_none().then(|| {
        let words = format!(
            "Only {} measured: too few for a p99. Measure longer or at a higher rate.",
            match measured.count() {
                1 => "1 operation was".to_owned(),
                operations => format!("{} operations were", count(operations)),
            }
        );
        ("samples", words)
    })
}

fn errors(run: &Run) -> Found {
    let totals = &run.totals;
    let counts = [
        (totals.failed, "record given up", "records given up"),
        (
            totals.timeouts,
            "request without an answer in time",
            "requests without an answer in time",
        ),
        (totals.reconnects, "connection opened again", "connections opened again"),
    ];
    let parts: Vec<String> = counts
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| {
            format!("{} {}", count(number), if number == 1 { one } else { many })
        })
        .collect();
    (!parts.is_empty()).then(|| {
        let words = format!("{}: see the broker's log for the reason.", parts.join(", "));
        ("errors", words)
    })
}

fn load(load_average: f64) -> Found {
    (load_average > LOAD_MAX).then(|| {
        let words = format!(
            "{load_average:.1} processes wanted to run on this machine in the minute before: it had other work. Repeat the \
             run when it has none."
        );
        ("load", words)
    })
}

/// Doubts of several runs in one list: the same matter once, with the words of the first run it was said of, and how many.
pub fn merged(runs: &[Run]) -> Vec<Doubt> {
    let mut all: Vec<(Doubt, u64)> = Vec::new();
    for doubt in runs.iter().flat_map(|run| &run.doubts) {
        match all.iter_mut().find(|(known, _)| known.about == doubt.about) {
            Some((_, runs)) => *runs += 1,
            None => all.push((doubt.clone(), 1)),
        }
    }
    let several = runs.len() > 1;
    let worded = all.into_iter().map(|(mut doubt, times)| {
        if several {
            doubt.words += &format!(" ({times} of {})", plural(runs.len() as u64, "run"));
        }
        doubt
    });
    worded.collect()
}

//! The stages of a request, and the time it spent in each.
//!
//! A [`Trace`] is a sum with a hand on the clock: `at` is the instant up to which everything is accounted for, and
//! [`Trace::mark`] gives the time from there to a later instant to one stage. So the stages add up to the total whatever
//! happens in between, and a place that was forgotten shows as a longer stage, never as a hole. Instants come from
//! CLOCK_MONOTONIC, which is the same for all shards: those of another shard come back with its answer
//! ([`AppendPath`], [`ReadPath`]). What a request does on several shards at once is told along the path of the shard
//! that was done last, because that is what it waited for.

use std::time::Duration;

use engine::time::Instant;

/// A stage of a request. Each begins where the one before it ended; a request may come back to a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// From the moment when its first byte was there until its last one was.
    Receive,
    /// Waiting for its turn and for room: behind requests of the same chunk, for the connection's and the shard's
    /// memory, in a log that has no room. Of a fetch also its decoding and its session.
    Queue,
    /// Mail to the shard that owns the log, and back; waiting for the right to send it.
    Hop,
    /// Decoding a produce, checking its batches, giving them their offsets, copying them into the journal.
    Append,
    /// Until they are visible in the topic's class of durability: group commit, write, flush.
    Journal,
    /// Waiting for records to come, as the client asked for.
    Wait,
    /// Finding records in memory or on the disk, and putting the response together.
    Read,
    /// Until the kernel has taken the response: encoding a produce's, earlier replies, a socket that is full.
    Send,
}

/// How many stages there are.
pub const STAGES: usize = 8;

impl Stage {
    /// All of them, in order.
    pub const ALL: [Stage; STAGES] = [
        Stage::Receive,
        Stage::Queue,
        Stage::Hop,
        Stage::Append,
        Stage::Journal,
        Stage::Wait,
        Stage::Read,
        Stage::Send,
    ];

    /// Its name in metrics and reports.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Receive => "receive",
            Stage::Queue => "queue",
            Stage::Hop => "hop",
            Stage::Append => "append",
            Stage::Journal => "journal",
            Stage::Wait => "wait",
            Stage::Read => "read",
            Stage::Send => "send",
        }
    }
}

/// An API whose requests are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timed {
    /// Produce.
    Produce,
    /// Fetch.
    Fetch,
}

impl Timed {
    /// Both.
    pub const ALL: [Timed; 2] = [Timed::Produce, Timed::Fetch];

    /// Its name in metrics and reports.
    pub fn name(self) -> &'static str {
        match self {
            Timed::Produce => "produce",
            Timed::Fetch => "fetch",
        }
    }

    /// The stages its requests can spend time in, in order.
    pub fn stages(self) -> &'static [Stage] {
        use Stage::{Append, Hop, Journal, Queue, Read, Receive, Send, Wait};
        match self {
            Timed::Produce => &[Receive, Queue, Hop, Append, Journal, Send],
            Timed::Fetch => &[Receive, Queue, Hop, Wait, Read, Send],
        }
    }
}

/// The time that one request spent in each stage so far.
///
/// Invariant: the stages add up to `at - began`.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    began: Instant,
    at: Instant,
    ns: [u64; STAGES],
}

impl Trace {
    /// A request whose first byte is there.
    pub fn begin(began: Instant) -> Trace {
        Trace { began, at: began, ns: [0; STAGES] }
    }

    /// The instant up to which everything is accounted for.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// What passed until `now` belongs to `stage`. An instant that was passed already (on another shard, at the same
    /// time) adds nothing.
    pub fn mark(&mut self, stage: Stage, now: Instant) {
        if now > self.at {
            self.ns[stage as usize] += now.nanos() - self.at.nanos();
            self.at = now;
        }
    }

    /// What passed since is the way of batches through a log of this shard.
    pub fn follow_append(&mut self, path: &AppendPath) {
        self.mark(Stage::Append, path.appended);
        if let Some((begun, appended)) = path.waited {
            self.mark(Stage::Queue, begun);
            self.mark(Stage::Append, appended);
        }
        self.mark(Stage::Journal, path.done);
    }

    /// The same on another shard.
    pub fn follow_remote_append(&mut self, path: &AppendPath) {
        self.mark(Stage::Hop, path.arrived);
        self.follow_append(path);
    }

    /// What passed since is a read on another shard, but for the way back.
    pub fn follow_remote_read(&mut self, path: &ReadPath) {
        self.mark(Stage::Hop, path.arrived);
        self.mark(Stage::Read, path.done);
    }

    /// Nanoseconds spent in `stage`.
    pub fn ns(&self, stage: Stage) -> u64 {
        self.ns[stage as usize]
    }

    /// The time from its first byte until [`Trace::at`].
    pub fn total(&self) -> Duration {
        self.at.since(self.began)
    }
}

/// When batches of one request passed the places of the shard that owns their logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendPath {
    /// They came to the shard.
    pub arrived: Instant,
    /// Those that found room were appended.
    pub appended: Instant,
    /// The last one that had to wait for room got it, and was appended.
    pub waited: Option<(Instant, Instant)>,
    /// All were visible, or refused, or out of time.
    pub done: Instant,
}

/// When a read passed the places of the shard that owns the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPath {
    /// It came to the shard.
    pub arrived: Instant,
    /// Everything was found.
    pub done: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ns: u64) -> Instant {
        // Times of tests are small; the clock's own beginning is as good as any.
        engine::time::ORIGIN + Duration::from_nanos(ns)
    }

    fn sum(trace: &Trace) -> u64 {
        Stage::ALL.iter().map(|stage| trace.ns(*stage)).sum()
    }

    fn check(trace: &Trace, expected: &[(Stage, u64)]) {
        for stage in Stage::ALL {
            let expected = expected.iter().find(|(other, _)| *other == stage).map_or(0, |e| e.1);
            assert_eq!(trace.ns(stage), expected, "{stage:?} of {trace:?}");
        }
        assert_eq!(sum(trace), trace.total().as_nanos() as u64);
    }

    #[test]
    fn each_interval_belongs_to_one_stage() {
        let mut trace = Trace::begin(at(100));
        trace.mark(Stage::Receive, at(110));
        trace.mark(Stage::Queue, at(110));
        trace.mark(Stage::Append, at(125));
        trace.mark(Stage::Journal, at(325));
        trace.mark(Stage::Send, at(330));
        use Stage::{Append, Journal, Receive, Send};
        check(&trace, &[(Receive, 10), (Append, 15), (Journal, 200), (Send, 5)]);
    }

    #[test]
    fn a_hop_is_what_lies_outside_of_the_owner() {
        let mut trace = Trace::begin(at(0));
        trace.mark(Stage::Append, at(5));
        let path = AppendPath {
            arrived: at(12),
            appended: at(20),
            waited: Some((at(50), at(53))),
            done: at(150),
        };
        trace.follow_remote_append(&path);
        trace.mark(Stage::Hop, at(160));
        use Stage::{Append, Hop, Journal, Queue};
        check(&trace, &[(Append, 5 + 8 + 3), (Hop, 7 + 10), (Queue, 30), (Journal, 97)]);
    }

    #[test]
    fn what_went_on_elsewhere_at_the_same_time_is_not_counted_twice() {
        let mut trace = Trace::begin(at(0));
        trace.mark(Stage::Append, at(40));
        let path = AppendPath { arrived: at(10), appended: at(20), waited: None, done: at(90) };
        trace.follow_remote_append(&path);
        trace.mark(Stage::Hop, at(95));
        use Stage::{Append, Hop, Journal};
        check(&trace, &[(Append, 40), (Journal, 50), (Hop, 5)]);
    }

    #[test]
    fn each_api_has_the_stages_it_is_told_to_have() {
        for timed in Timed::ALL {
            let stages = timed.stages();
            assert!(stages.is_sorted() && stages.len() == 6);
            assert!(stages.contains(&Stage::Receive) && stages.contains(&Stage::Send));
        }
    }

    proptest! {
        /// Whatever is marked in whatever order, with instants of shards that worked at the same time.
        #[test]
        fn stages_add_up_to_the_total(
            began in 0_u64..1_000,
            steps in prop::collection::vec((0_usize..STAGES + 2, prop::array::uniform5(0_u64..1_000)), 0..40),
        ) {
            let mut trace = Trace::begin(at(began));
            let mut last = began;
            for (what, times) in steps {
                let [a, b, c, d, e] = times.map(at);
                let path = AppendPath { arrived: a, appended: b, waited: Some((c, d)), done: e };
                match what {
                    STAGES => trace.follow_remote_append(&path),
                    what if what > STAGES => {
                        trace.follow_remote_read(&ReadPath { arrived: a, done: b });
                    }
                    what => trace.mark(Stage::ALL[what], a),
                }
                prop_assert!(trace.at().nanos() >= last);
                last = trace.at().nanos();
                prop_assert_eq!(sum(&trace), trace.total().as_nanos() as u64);
            }
        }
    }
}

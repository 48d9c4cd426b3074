//! What the hot paths of a shard write: the histograms of its requests, and counters.
//!
//! Plain cells of one thread. A request costs a histogram entry for each of its stages and a few additions.

use std::cell::{Cell, RefCell};

use protocol::ApiKey;
use protocol::versions::APIS;

use super::histogram::{Histogram, HistogramCopy};
use super::trace::{Stage, Timed, Trace};

/// One number that only grows.
#[derive(Debug, Default)]
pub struct Count(Cell<u64>);

impl Count {
    /// Adds.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.set(self.0.get() + n);
    }

    /// What it is now.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// A shard's histograms and counters.
#[derive(Default)]
pub struct Observed {
    /// Requests that were read, by their place in [`APIS`].
    requests: [Count; APIS.len()],
    /// Bytes of requests, with their lengths.
    pub received_bytes: Count,
    /// Bytes of responses.
    pub sent_bytes: Count,
    /// Connections that were opened here.
    pub connections_opened: Count,
    /// Connections that were closed here.
    pub connections_closed: Count,
    /// Of those, the ones that sent what cannot be answered.
    pub complaints: Count,
    /// Calls of requests to other shards.
    pub hops: Count,
    /// Batches that logs of this shard took.
    pub batches: Count,
    /// Records in them.
    pub records: Count,
    /// Their bytes.
    pub batch_bytes: Count,
    /// Batches that logs of this shard refused.
    pub batches_refused: Count,
    /// Bytes of batches in responses of this shard's connections.
    pub fetched_bytes: Count,
    /// Partitions of fetches that were answered with an error.
    pub fetches_refused: Count,
    /// Bytes of requests that were copied out of receive buffers.
    pub copied_receive_bytes: Count,
    /// Bytes of batches that were copied into responses, because they are few.
    pub copied_fetch_bytes: Count,
    timings: RefCell<[Timings; Timed::ALL.len()]>,
}

/// The requests of one API.
#[derive(Default)]
struct Timings {
    /// By stage.
    stages: [Histogram; Stage::ALL.len()],
    total: Histogram,
}

/// Copies of the histograms of one API.
#[derive(Clone, Debug)]
pub struct TimingsCopy {
    /// Which.
    pub timed: Timed,
    /// Its stages, in order.
    pub stages: Vec<(Stage, HistogramCopy)>,
    /// From the first byte of the request until the last of its response was sent.
    pub total: HistogramCopy,
}

impl Observed {
    /// A request was read.
    pub fn on_request(&self, key: ApiKey, bytes: usize) {
        if let Ok(place) = APIS.binary_search_by_key(&key, |api| api.key) {
            self.requests[place].add(1);
        }
        self.received_bytes.add(bytes as u64);
    }

    /// A request is answered, and its trace complete. It counts in the stages in which it spent time.
    pub fn on_answered(&self, timed: Timed, trace: &Trace) {
        let timings = &mut self.timings.borrow_mut()[timed as usize];
        for stage in timed.stages() {
            let ns = trace.ns(*stage);
            if ns > 0 {
                timings.stages[*stage as usize].add(ns);
            }
        }
        timings.total.add(trace.total().as_nanos() as u64);
    }

    /// Requests that were read, by the name of their API.
    pub fn requests(&self) -> Vec<(&'static str, u64)> {
        APIS.iter().zip(&self.requests).map(|(api, count)| (api.name, count.get())).collect()
    }

    /// Copies of the histograms.
    pub fn timings(&self) -> Vec<TimingsCopy> {
        let timings = self.timings.borrow();
        let copy = |timed: Timed| {
            let timings = &timings[timed as usize];
            let stage = |stage: &Stage| (*stage, timings.stages[*stage as usize].copy());
            let stages = timed.stages().iter().map(stage).collect();
            TimingsCopy { timed, stages, total: timings.total.copy() }
        };
        Timed::ALL.map(copy).into()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use engine::time::ORIGIN;

    use super::*;

    #[test]
    fn the_sums_of_the_stages_are_the_sum_of_the_totals() {
        let observed = Observed::default();
        for request in 0..1_000_u64 {
            for timed in Timed::ALL {
                let mut trace = Trace::begin(ORIGIN + Duration::from_nanos(request));
                for (step, stage) in timed.stages().iter().enumerate() {
                    let took = Duration::from_nanos(request * request * step as u64);
                    trace.mark(*stage, trace.at() + took);
                }
                observed.on_answered(timed, &trace);
            }
        }
        for copy in observed.timings() {
            let sum: u64 = copy.stages.iter().map(|(_, copy)| copy.sum_ns).sum();
            assert_eq!(sum, copy.total.sum_ns);
            let counts: Vec<_> = copy.stages.iter().map(|(_, copy)| copy.count).collect();
            assert_eq!(counts, [0, 999, 999, 999, 999, 999], "request 0 took no time at all");
            assert_eq!(copy.total.count, 1_000);
        }
    }

    #[test]
    fn requests_are_counted_by_api() {
        let observed = Observed::default();
        observed.on_request(ApiKey::DescribeCluster, 30);
        observed.on_request(ApiKey::Produce, 1_000);
        observed.on_request(ApiKey::Produce, 1_000);
        let counted: Vec<_> = observed.requests().into_iter().filter(|(_, n)| *n > 0).collect();
        assert_eq!(counted, [("Produce", 2), ("DescribeCluster", 1)]);
        assert_eq!(observed.received_bytes.get(), 2_030);
    }
}

//! Where requests spent their time in the broker: the shards of all runs together, by API.

use std::collections::BTreeMap;

use super::model::{Run, Stage};
use crate::latency::Latencies;

/// The stages in the order in which a request passes them.
pub const ORDER: [&str; 8] =
    ["receive", "queue", "hop", "append", "journal", "wait", "read", "send"];

/// The name of the whole.
pub const TOTAL: &str = "total";

/// The stages of one API. They add up to the total.
#[derive(Clone, Debug)]
pub struct Api {
    /// `produce` or `fetch`.
    pub name: String,
    /// In the order of [`ORDER`], others behind; those that no request passed are left out.
    pub stages: Vec<Part>,
    /// From the first byte to the last.
    pub total: Part,
}

/// One stage, or the total.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// The time each request spent in it.
    pub latencies: Latencies,
    /// The exact sum.
    pub sum_ns: u64,
}

impl Api {
    /// Requests.
    pub fn requests(&self) -> u64 {
        self.total.latencies.count()
    }

    /// The mean time in a stage over all requests, those that did not pass it included: such means add up.
    pub fn mean_ns(&self, part: &Part) -> f64 {
        part.sum_ns as f64 / self.requests().max(1) as f64
    }

    /// A stage's part of the total time, between 0 and 1.
    pub fn share(&self, part: &Part) -> f64 {
        part.sum_ns as f64 / self.total.sum_ns.max(1) as f64
    }

    /// The part of the total that no stage accounts for. Negative where stages overlap.
    pub fn unaccounted(&self) -> f64 {
        1.0 - self.stages.iter().map(|part| self.share(part)).sum::<f64>()
    }
}

/// The stages of each API, requests of all runs and shards together. Empty where the broker told none.
pub fn apis(runs: &[Run]) -> Vec<Api> {
    let all = || runs.iter().flat_map(|run| &run.broker.stages);
    let mut names: Vec<&str> = Vec::new();
    for stage in all() {
        if !names.contains(&stage.api.as_str()) {
            names.push(&stage.api);
        }
    }
    // Produce first, whatever the broker named first.
    names.sort_by_key(|name| *name != "produce");
    let apis = names.into_iter().map(|name| api(name, all().filter(|stage| stage.api == name)));
    apis.filter(|api| api.requests() > 0).collect()
}

/// The total of each shard that the requests of an API came by, all runs together, in the order of shards.
pub fn shards(runs: &[Run], api: &str) -> Vec<(u16, Part)> {
    let mut shards: BTreeMap<u16, Part> = BTreeMap::new();
    let all = runs.iter().flat_map(|run| &run.broker.stages);
    for stage in all.filter(|stage| stage.api == api && stage.stage == TOTAL) {
        let name = TOTAL.to_owned();
        let new = || Part { name, latencies: Latencies::new(), sum_ns: 0 };
        let part = shards.entry(stage.shard).or_insert_with(new);
        part.latencies.merge(&stage.latencies);
        part.sum_ns += stage.sum_ns;
    }
    shards.into_iter().filter(|(_, part)| part.latencies.count() > 0).collect()
}

fn api<'a>(name: &str, all: impl Iterator<Item = &'a Stage>) -> Api {
    let empty = |name: &str| Part { name: name.to_owned(), latencies: Latencies::new(), sum_ns: 0 };
    let mut stages: Vec<Part> = ORDER.iter().map(|name| empty(name)).collect();
    let mut total = empty(TOTAL);
    for stage in all {
        let part = if stage.stage == TOTAL {
            &mut total
        } else if let Some(at) = stages.iter().position(|part| part.name == stage.stage) {
            &mut stages[at]
        } else {
            stages.push(empty(&stage.stage));
            stages.last_mut().expect("one was just added")
        };
        part.latencies.merge(&stage.latencies);
        part.sum_ns += stage.sum_ns;
    }
    stages.retain(|part| part.latencies.count() > 0);
    Api { name: name.to_owned(), stages, total }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(shard: u16, api: &str, stage: &str, us: u64, requests: u64) -> Stage {
        let mut latencies = Latencies::new();
        latencies.record_ns(us * 1000, requests);
        let sum_ns = us * 1000 * requests;
        Stage { shard, api: api.to_owned(), stage: stage.to_owned(), latencies, sum_ns }
    }

    #[test]
    fn shards_are_merged_and_stages_stand_in_their_order() {
        let mut run = Run::default();
        for shard in 0..2 {
            run.broker.stages.push(stage(shard, "fetch", "total", 10, 5));
            run.broker.stages.push(stage(shard, "produce", "journal", 300, 100));
            run.broker.stages.push(stage(shard, "produce", "receive", 100, 100));
            run.broker.stages.push(stage(shard, "produce", "weave", 100, 50));
            run.broker.stages.push(stage(shard, "produce", "total", 450, 100));
        }
        let shards = shards(&[run.clone(), run.clone()], "produce");
        let of = |at: usize| (shards[at].0, shards[at].1.latencies.count());
        assert_eq!((of(0), of(1), shards.len()), ((0, 200), (1, 200), 2), "two runs");
        let apis = apis(&[run]);
        assert_eq!(
            apis.iter().map(|api| api.name.as_str()).collect::<Vec<_>>(),
            ["produce", "fetch"]
        );
        let produce = &apis[0];
        let names: Vec<_> = produce.stages.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["receive", "journal", "weave"], "in order, unknown ones behind");
        assert_eq!(produce.requests(), 200);
        assert_eq!(produce.mean_ns(&produce.stages[2]), 50_000.0, "over all requests");
        assert!(produce.unaccounted().abs() < 1e-9, "the stages are the total");
        assert!((apis[1].unaccounted() - 1.0).abs() < 1e-9, "nothing is known of fetches");
    }
}

//! `/v1/stages`: stage timings and counters of every shard since its start, whole, as JSON. `heddle bench` reads it before
//! and after a measurement and takes the difference.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use serde_json::{Map, Value, json};

use super::gather::Gathered;
use super::http::{Response, Status};
use crate::observe::ShardSnapshot;
use crate::observe::histogram::HistogramCopy;
use crate::observe::snapshot::{COUNTERS, GAUGES};

/// The page.
pub fn page(gathered: &Gathered) -> Response {
    if !gathered.is_whole() {
        let (some, all) = (gathered.shards.len(), gathered.shards_asked);
        let text = format!("only {some} of {all} shards answered in time; ask again\n");
        return Response::text(Status::Unavailable, text);
    }
    let shards: Vec<Value> = gathered.shards.iter().map(shard).collect();
    let page = json!({
        "software": gathered.software,
        "durability": gathered.durability,
        "settings": gathered.settings,
        "shards": shards,
    });
    Response::json(Status::Ok, &page)
}

fn shard(snapshot: &ShardSnapshot) -> Value {
    let named = COUNTERS.iter().zip(snapshot.counters);
    let mut counters: Map<String, Value> =
        named.map(|(named, value)| (named.name.into(), value.into())).collect();
    for (api, requests) in &snapshot.requests {
        counters.insert(format!("requests_{}", snake(api)), (*requests).into());
    }
    let gauges: Map<String, Value> = GAUGES
        .iter()
        .zip(snapshot.gauges)
        .map(|(named, value)| (named.name.into(), value.into()))
        .collect();
    let mut stages = Vec::new();
    for timings in &snapshot.timings {
        let of_stage = timings.stages.iter().map(|(stage, copy)| (stage.name(), copy));
        for (stage, copy) in of_stage.chain([("total", &timings.total)]) {
            stages.push(json!({
                "api": timings.timed.name(),
                "stage": stage,
                "count": copy.count,
                "sum_ns": copy.sum_ns,
                "histogram": encode(copy),
            }));
        }
    }
    json!({
        "shard": snapshot.shard,
        "cpu_ns": snapshot.cpu.as_nanos() as u64,
        "counters": counters,
        "gauges": gauges,
        "stages": stages,
    })
}

/// As the tools of HdrHistogram read it: V2, deflated, in base64.
fn encode(copy: &HistogramCopy) -> String {
    let mut histogram: Histogram<u64> = Histogram::new(3).expect("three digits are possible");
    histogram.auto(true);
    for (ns, count) in &copy.buckets {
        histogram.record_n(*ns, *count).expect("a histogram that grows takes every duration");
    }
    let mut bytes = Vec::new();
    let written = V2DeflateSerializer::new().serialize(&histogram, &mut bytes);
    written.expect("memory takes every byte");
    STANDARD.encode(bytes)
}

/// `DescribeConfigs` as `describe_configs`.
pub(super) fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;

    use super::*;
    use crate::observe::Histogram as Ours;

    #[test]
    fn names_of_apis_become_names_of_counters() {
        assert_eq!(snake("Produce"), "produce");
        assert_eq!(snake("OffsetForLeaderEpoch"), "offset_for_leader_epoch");
    }

    #[test]
    fn a_histogram_is_read_by_others() {
        let mut ours = Ours::default();
        for n in 1..=1_000_u64 {
            ours.add(n * 1_000);
        }
        let bytes = STANDARD.decode(encode(&ours.copy())).expect("base64");
        let histogram: Histogram<u64> =
            Deserializer::new().deserialize(&mut bytes.as_slice()).expect("a histogram");
        assert_eq!(histogram.len(), 1_000);
        for quantile in [0.01, 0.5, 0.99, 1.0] {
            let (exact, told) = (quantile * 1e6, histogram.value_at_quantile(quantile) as f64);
            assert!((told - exact).abs() < exact / 80.0, "{told} instead of {exact}");
        }
    }
}

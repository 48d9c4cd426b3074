//! The figures that are looked at first: tiles of one result, or a table of several beside each other.

use super::escape::{count, escape, max, typeset, value_at};
use super::page::Shown;
use crate::latency::Latencies;
use crate::result::figures::{self, QUANTILES, bytes, percentile, share, short};
use crate::result::model::Run;
use crate::result::whole::Whole;
use crate::result::workload;

/// A figure in a tile.
struct Tile {
    name: &'static str,
    value: String,
    beside: String,
}

/// The tiles of one result.
pub fn tiles(shown: &Shown) -> String {
    let whole = &shown.whole;
    let mut tiles = latency_tiles(whole);
    tiles.extend(throughput_tiles(whole));
    tiles.extend(cost_tiles(whole));
    let mut html = String::from("<div class=\"tiles\">");
    for Tile { name, value, beside } in tiles {
        html += &format!(
            "<div class=\"tile\"><span>{}</span><b>{}</b><span>{}</span></div>",
            escape(name),
            escape(&value),
            escape(&beside)
        );
    }
    html + "</div>"
}

fn latency_tiles(whole: &Whole) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let at = |latencies: &Latencies, quantile| value_at(latencies, quantile);
    if whole.response.count() > 0 {
        let response = &whole.response;
        let beside = format!("p50 {}", at(response, 0.5));
        tiles.push(Tile { name: "produce ack p99", value: at(response, 0.99), beside });
        let beside = format!("max {}", max(response));
        tiles.push(Tile { name: "produce ack p99.9", value: at(response, 0.999), beside });
    }
    if whole.end_to_end.count() > 0 {
        let beside = format!("p50 {}", at(&whole.end_to_end, 0.5));
        let value = at(&whole.end_to_end, 0.99);
        tiles.push(Tile { name: "end to end p99", value, beside });
    }
    tiles
}

fn throughput_tiles(whole: &Whole) -> Vec<Tile> {
    let totals = &whole.totals;
    let tile = |name, records: u64, size: u64| {
        let beside = format!("{} MB/s", short(whole.per_second(size) / 1e6));
        let value = count(whole.per_second(records).round() as u64) + "/s";
        (records > 0).then(|| Tile { name, value, beside: typeset(&beside) })
    };
    let produced = tile("records produced", totals.acknowledged, totals.acknowledged_bytes);
    let consumed = tile("records consumed", totals.consumed, totals.consumed_bytes);
    [produced, consumed].into_iter().flatten().collect()
}

fn cost_tiles(whole: &Whole) -> Vec<Tile> {
    let mut tiles = Vec::new();
    if let Some(cpu) = whole.broker_cpu_seconds {
        let per_gb = whole.seconds_per_gb(cpu);
        let beside = per_gb.map_or(String::new(), |cost| format!("{} CPU s/GB", short(cost)));
        let value = format!("{} cores", short(whole.cores(cpu)));
        tiles.push(Tile { name: "broker CPU", value: typeset(&value), beside: typeset(&beside) });
    }
    if let Some(resident) = whole.broker_resident_bytes {
        let value = typeset(&bytes(resident as f64));
        tiles.push(Tile { name: "broker memory", value, beside: "resident".to_owned() });
    }
    let late = share(whole.generator.slipped);
    tiles.push(Tile {
        name: "generator",
        value: typeset(&share(whole.generator.busiest_share)),
        beside: typeset(&format!("busiest thread; {late} late")),
    });
    tiles
}

/// Latencies of one result in figures, runs together.
pub fn latencies(shown: &Shown) -> String {
    let mut names = vec!["µs".to_owned(), "count".to_owned()];
    names.extend(QUANTILES.map(percentile));
    names.push("max".to_owned());
    let mut rows = Vec::new();
    for (name, latencies) in shown.kinds() {
        let mut row = vec![name.to_owned(), count(latencies.count())];
        let us = |value| typeset(&figures::us(value));
        row.extend(QUANTILES.map(|quantile| us(figures::value_at(latencies, quantile))));
        row.push(us(figures::max(latencies)));
        rows.push(row);
    }
    let turned = turned(&names, &rows);
    // On a phone the percentiles go down the page instead of out of it.
    let mut html = format!(
        "<div class=\"wide\">{}</div><div class=\"narrow\">{}</div>",
        super::escape::table("data main", &names, &rows),
        super::escape::table("data main", &turned[0], &turned[1..])
    );
    html += "<p class=\"note\">Produce ack and end to end count from the intended send time, service from the sending of the \
             request. n/a: fewer than ten operations lie beyond.</p>";
    if workload::saturates(&shown.report.plan) {
        html += &format!("<p class=\"warn\">{}</p>", escape(workload::SATURATION));
    }
    html
}

/// Rows as columns, heads among them.
fn turned(names: &[String], rows: &[Vec<String>]) -> Vec<Vec<String>> {
    let column = |(at, name): (usize, &String)| {
        let cells = rows.iter().map(|row| row[at].clone());
        [name.clone()].into_iter().chain(cells).collect()
    };
    names.iter().enumerate().map(column).collect()
}

/// Of several runs, figures of each and how far they lie apart. Nothing of a single one.
pub fn runs(shown: &Shown) -> String {
    let runs = &shown.report.runs;
    if runs.len() < 2 {
        return String::new();
    }
    let mut names = vec!["by run".to_owned()];
    names.extend((1..=runs.len()).map(|run| run.to_string()));
    names.push("spread".to_owned());
    let ns = |latencies: &Latencies, quantile| {
        figures::value_at(latencies, quantile).map(|value| value.as_nanos() as f64)
    };
    type Figure<'a> = (&'a str, &'a dyn Fn(&Run) -> Option<f64>, &'a dyn Fn(f64) -> String);
    let per_second = |rate: f64| count(rate.round() as u64) + "/s";
    let cores = |cores: f64| typeset(&format!("{} cores", short(cores)));
    let figures: [Figure; 6] = [
        ("produce ack p50", &|run| ns(&run.response, 0.5), &super::escape::latency),
        ("produce ack p99", &|run| ns(&run.response, 0.99), &super::escape::latency),
        ("produce ack p99.9", &|run| ns(&run.response, 0.999), &super::escape::latency),
        ("end to end p99", &|run| ns(&run.end_to_end, 0.99), &super::escape::latency),
        (
            "records produced",
            &|run| (run.seconds > 0.0).then(|| run.totals.acknowledged as f64 / run.seconds),
            &per_second,
        ),
        (
            "broker CPU",
            &|run| {
                run.broker.cpu_seconds.filter(|_| run.seconds > 0.0).map(|cpu| cpu / run.seconds)
            },
            &cores,
        ),
    ];
    let mut rows = Vec::new();
    for (name, of, words) in figures {
        let values: Vec<Option<f64>> = runs.iter().map(of).collect();
        if values.iter().all(Option::is_none) {
            continue;
        }
        let mut row = vec![name.to_owned()];
        row.extend(values.iter().map(|value| value.map_or(figures::NONE.to_owned(), words)));
        let known: Option<Vec<f64>> = values.into_iter().collect();
        let spread = known.and_then(|known| figures::spread(&known));
        let spread = spread.map(|spread| typeset(&format!("±{}", share(spread))));
        row.push(spread.unwrap_or_else(|| figures::NONE.to_owned()));
        rows.push(row);
    }
    super::escape::table("data main", &names, &rows)
}

/// Several results beside each other; each but the first also as a change to the first.
pub fn comparison(all: &[Shown]) -> String {
    let mut names = vec![String::new()];
    names.extend(all.iter().map(Shown::name));
    let at = |kind: fn(&Whole) -> &Latencies, quantile: f64| {
        move |shown: &Shown| {
            figures::value_at(kind(&shown.whole), quantile).map(|value| value.as_nanos() as f64)
        }
    };
    let mut rows = Vec::new();
    let mut row =
        |name: &str, of: &dyn Fn(&Shown) -> Option<f64>, words: &dyn Fn(f64) -> String| {
            let values: Vec<_> = all.iter().map(of).collect();
            if values.iter().all(Option::is_none) {
                return;
            }
            let first = values.first().copied().flatten();
            let mut row = vec![name.to_owned()];
            for (number, value) in values.into_iter().enumerate() {
                row.push(match (value, first.filter(|first| *first > 0.0 && number > 0)) {
                    (None, _) => figures::NONE.to_owned(),
                    (Some(value), None) => words(value),
                    (Some(value), Some(first)) => {
                        let change = (value / first - 1.0) * 100.0;
                        typeset(&format!("{}  ({change:+.1} %)", words(value)))
                    }
                });
            }
            rows.push(row);
        };
    let latency = super::escape::latency;
    for quantile in [0.5, 0.99, 0.999, 0.9999] {
        let name = format!("produce ack {}", percentile(quantile));
        row(&name, &at(|whole| &whole.response, quantile), &latency);
    }
    for quantile in [0.5, 0.99, 0.999] {
        let name = format!("end to end {}", percentile(quantile));
        row(&name, &at(|whole| &whole.end_to_end, quantile), &latency);
    }
    let rate = |shown: &Shown| Some(shown.whole.per_second(shown.whole.totals.acknowledged));
    row("records produced", &rate, &|value| count(value.round() as u64) + "/s");
    let megabytes =
        |shown: &Shown| Some(shown.whole.per_second(shown.whole.totals.acknowledged_bytes) / 1e6);
    row("throughput", &megabytes, &|value| typeset(&format!("{} MB/s", short(value))));
    let cost = |shown: &Shown| shown.whole.seconds_per_gb(shown.whole.broker_cpu_seconds?);
    row("broker CPU", &cost, &|value| typeset(&format!("{} s/GB", short(value))));
    let memory = |shown: &Shown| shown.whole.broker_resident_bytes.map(|bytes| bytes as f64);
    row("broker memory", &memory, &|value| typeset(&bytes(value)));
    let note = "<p class=\"note\">Changes to the first result, without a judgement: whether one is more than chance, \
                <code>heddle bench compare</code> says, which runs both in turns.</p>";
    super::escape::table("data main", &names, &rows) + note
}

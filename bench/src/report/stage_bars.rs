//! Where requests spent their time in the broker: the mean as one bar whose parts add up, and below it how far each stage
//! reaches.

use super::escape::{count, heads, latency, max, table, typeset, value_at};
use super::figure::{Key, figure};
use super::scale::Scale;
use super::svg::{Plot, Svg, Width, fitted};
use crate::result::figures::{self, share};
use crate::result::stages::{Api, ORDER, Part};

/// A part of the total that no stage accounts for is shown from here on.
const UNACCOUNTED_MIN: f64 = 0.005;

/// The figure of one API; its table has the total of each shard as well.
pub fn chart(api: &Api, shards: &[(u16, Part)]) -> String {
    let mut keys: Vec<_> = api
        .stages
        .iter()
        .map(|part| {
            let words = format!("{} {}", part.name, typeset(&share(api.share(part))));
            Key::area(colour(part), words)
        })
        .collect();
    if api.unaccounted() > UNACCOUNTED_MIN {
        let words = format!("in no stage {}", typeset(&share(api.unaccounted())));
        keys.push(Key::area("f0", words));
    }
    let words = format!(
        "{} requests, {} each on average. The bar is the mean, its parts add up to it. Below, for each stage: median (dot), \
         p99 (end of the bar), longest (stroke).",
        count(api.requests()),
        latency(api.mean_ns(&api.total))
    );
    let title = format!("Stages of a {} request", api.name);
    figure(&title, &words, &keys, |width| draw(api, width), &as_table(api, shards))
}

/// A stage has one colour in all APIs.
fn colour(part: &Part) -> String {
    let at = ORDER.iter().position(|name| *name == part.name).unwrap_or(ORDER.len());
    format!("f{}", at + 1)
}

fn draw(api: &Api, width: Width) -> Svg {
    let left = if width == Width::Wide { 74.0 } else { 62.0 };
    let rows = api.stages.len() + 1;
    let (bar, row) = (44.0, 26.0);
    let top = bar + 34.0;
    let height = top + row * rows as f64 + 30.0;
    let mut svg = Svg::new(width.units(), height);
    let right = width.units() - 14.0;
    stack(&mut svg, api, (left, right), bar);
    let plot = Plot { left, right, top, bottom: top + row * rows as f64 };
    let all = || api.stages.iter().chain([&api.total]).map(|part| part.latencies.histogram());
    let low = all().map(|histogram| histogram.value_at_quantile(0.5)).min().unwrap_or(1);
    let high = all().map(|histogram| histogram.max()).max().unwrap_or(1);
    let x = Scale::log_around(low as f64, high as f64, plot.left, plot.right);
    for value in x.faint_ticks() {
        svg.line("faint", (x.at(value), plot.top), (x.at(value), plot.bottom));
    }
    for value in x.ticks(if width == Width::Wide { 12 } else { 5 }) {
        svg.line("grid", (x.at(value), plot.top), (x.at(value), plot.bottom));
        svg.text("middle", (x.at(value), plot.bottom + 18.0), &latency(value));
    }
    for (number, part) in api.stages.iter().enumerate() {
        let place = plot.top + row * number as f64;
        reach(&mut svg, part, &x, (plot, place, row), &colour(part));
    }
    reach(&mut svg, &api.total, &x, (plot, plot.bottom - row, row), "total");
    svg
}

/// The mean as one bar.
fn stack(svg: &mut Svg, api: &Api, (left, right): (f64, f64), height: f64) {
    svg.text("end", (left - 8.0, height / 2.0 + 10.0), "mean");
    let mut from = left;
    for part in &api.stages {
        let width = api.share(part) * (right - left);
        let words = format!(
            "{}\nmean  {}\nshare  {}",
            part.name,
            latency(api.mean_ns(part)),
            share(api.share(part))
        );
        svg.rect_with_words(&colour(part), (from, 6.0), (width - 1.0, height), &words);
        let label = latency(api.mean_ns(part));
        if width > 16.0 + 7.5 * label.chars().count().max(part.name.len()) as f64 {
            svg.text("inside", (from + 8.0, 24.0), &part.name);
            svg.text("inside", (from + 8.0, 41.0), &label);
        }
        from += width;
    }
    if api.unaccounted() > UNACCOUNTED_MIN {
        let words = format!("in no stage\nshare  {}", share(api.unaccounted()));
        svg.rect_with_words("f0", (from, 6.0), (right - from, height), &words);
    }
}

/// One stage from its median to its p99 and its longest.
fn reach(svg: &mut Svg, part: &Part, x: &Scale, (plot, top, row): (Plot, f64, f64), class: &str) {
    let middle = top + row / 2.0;
    let histogram = part.latencies.histogram();
    svg.text("end", (plot.left - 8.0, middle + 4.0), &fitted(&part.name, 9));
    let at = |quantile| x.at(histogram.value_at_quantile(quantile) as f64);
    let longest = x.at(histogram.max() as f64);
    svg.line("whisker", (at(0.5), middle), (longest, middle));
    svg.line("whisker", (longest, middle - 5.0), (longest, middle + 5.0));
    if figures::value_at(&part.latencies, 0.99).is_some() {
        svg.rect(class, (at(0.5), middle - 5.0), at(0.99) - at(0.5), 10.0);
    }
    svg.circle("median", (at(0.5), middle), 4.5);
    let words = format!(
        "{}\np50  {}\np99  {}\np99.9  {}\nmax  {}",
        part.name,
        value_at(&part.latencies, 0.5),
        value_at(&part.latencies, 0.99),
        value_at(&part.latencies, 0.999),
        max(&part.latencies)
    );
    svg.rect_with_words("band", (plot.left, top), (plot.right - plot.left, row), &words);
}

fn as_table(api: &Api, shards: &[(u16, Part)]) -> String {
    let row = |part: &Part| {
        vec![
            part.name.clone(),
            latency(api.mean_ns(part)),
            share(api.share(part)),
            value_at(&part.latencies, 0.5),
            value_at(&part.latencies, 0.99),
            value_at(&part.latencies, 0.999),
            max(&part.latencies),
            count(part.latencies.count()),
        ]
    };
    let mut rows: Vec<_> = api.stages.iter().chain([&api.total]).map(row).collect();
    if shards.len() > 1 {
        rows.extend(shards.iter().map(|(shard, part)| of_shard(api, *shard, part)));
    }
    table("data", &heads(&["", "mean", "share", "p50", "p99", "p99.9", "max", "requests"]), &rows)
}

/// A shard's total. Its mean is over its own requests, its share that of the requests.
fn of_shard(api: &Api, shard: u16, part: &Part) -> Vec<String> {
    let requests = part.latencies.count();
    vec![
        format!("total, shard {shard}"),
        latency(part.sum_ns as f64 / requests.max(1) as f64),
        format!("{} of requests", share(requests as f64 / api.requests().max(1) as f64)),
        value_at(&part.latencies, 0.5),
        value_at(&part.latencies, 0.99),
        value_at(&part.latencies, 0.999),
        max(&part.latencies),
        count(requests),
    ]
}

//! Records a second: intended, acknowledged, consumed; and what waits.

use super::escape::{count, heads, table, typeset};
use super::figure::{Key, figure};
use super::scale::Scale;
use super::svg::{Plot, Svg, Width};
use super::timeline::{Column, Timeline};

/// The figure.
pub fn chart(timeline: &Timeline, runs: usize, fan_out: u32) -> String {
    let read = match fan_out {
        0 | 1 => "consumed".to_owned(),
        sets => format!("consumed (by {sets} sets of consumers together)"),
    };
    let mut keys = vec![
        Key::line("intended", "intended"),
        Key::line("c1", "acknowledged"),
        Key::line("c3 dash", read),
        Key::area("backlog", "backlog (below): not acknowledged though their time had come"),
    ];
    if timeline.columns.iter().all(|column| column.what.consumed == 0) {
        keys[2].words = "consumed: none".to_owned();
    }
    let words = "Records a second. Where acknowledged falls below intended, records wait; the backlog says how many.";
    figure(
        "Throughput over time",
        words,
        &keys,
        |width| draw(timeline, runs, width),
        &as_table(timeline, runs),
    )
}

fn draw(timeline: &Timeline, runs: usize, width: Width) -> Svg {
    let (height, left) = if width == Width::Wide { (330.0, 74.0) } else { (280.0, 62.0) };
    let right = width.units() - 14.0;
    let plot = Plot { left, right, top: 12.0, bottom: height - 112.0 };
    let strip = Plot { left, right, top: height - 88.0, bottom: height - 28.0 };
    let mut svg = Svg::new(width.units(), height);
    let rates = |column: &Column| {
        [column.what.intended, column.what.acknowledged, column.what.consumed]
            .map(|count| column.per_second(count))
    };
    let high = timeline.columns.iter().flat_map(rates).fold(0.0, f64::max);
    let y = Scale::from_zero(high, plot.bottom, plot.top);
    svg.value_axis(plot, &y, 4, short_count);
    for (series, class) in [(0, "intended"), (2, "c3 dash"), (1, "c1")] {
        timeline.line(&mut svg, plot, (class, series), |column| Some(y.at(rates(column)[series])));
    }
    let most = timeline.columns.iter().map(|column| column.what.backlog).max().unwrap_or(0);
    let waiting = Scale::from_zero(most.max(1) as f64, strip.bottom, strip.top);
    svg.value_axis(strip, &waiting, 2, short_count);
    for (column, (x, width)) in timeline.columns.iter().zip(timeline.places(strip)) {
        let top = waiting.at(column.what.backlog as f64);
        svg.rect("backlog", (x, top), width + 0.15, strip.bottom - top);
    }
    timeline.axis(&mut svg, strip, if width == Width::Wide { 12 } else { 6 });
    timeline.words(&mut svg, Plot { top: plot.top, ..strip }, |column| {
        let [intended, acknowledged, consumed] =
            rates(column).map(|rate| count(rate.round() as u64));
        let megabytes = column.per_second(column.what.acknowledged_bytes) / 1e6;
        format!(
            "{}\nintended  {intended}/s\nacknowledged  {acknowledged}/s ({megabytes:.2} MB/s)\nconsumed  {consumed}/s\nbacklog  {}",
            column.when(runs),
            count(column.what.backlog)
        )
    });
    svg
}

/// `8 000`, `1.2 M`.
fn short_count(value: f64) -> String {
    match value {
        value if value >= 1e6 => {
            typeset(&format!("{} M", crate::result::figures::short(value / 1e6)))
        }
        value if value < 10.0 => crate::result::figures::short(value),
        value => count(value.round() as u64),
    }
}

fn as_table(timeline: &Timeline, runs: usize) -> String {
    let rows = timeline.columns.iter().map(|column| {
        let what = &column.what;
        let each = |number: u64| count(column.per_second(number).round() as u64);
        vec![
            column.when(runs),
            each(what.intended),
            each(what.acknowledged),
            format!("{:.2}", column.per_second(what.acknowledged_bytes) / 1e6),
            each(what.consumed),
            count(what.backlog),
            super::escape::latency(what.slip_ns as f64),
        ]
    });
    let names = [
        "",
        "intended/s",
        "acknowledged/s",
        "MB/s",
        "consumed/s",
        "backlog",
        "generator late at most",
    ];
    table("data", &heads(&names), &rows.collect::<Vec<_>>())
}

//! Whether some clients fared worse than others: a row for each, from its median to its p99 and its longest.

use super::escape::{count, heads, latency, max, table, value_at};
use super::figure::figure;
use super::scale::Scale;
use super::svg::{Plot, Svg, Width, fitted};
use crate::latency::Latencies;
use crate::result::figures;
use crate::result::model::Run;

/// More rows than this would fill the page; the slowest are shown.
const ROWS_MAX: usize = 16;

/// A client of all runs together.
struct Row {
    name: String,
    records: u64,
    bytes: u64,
    latencies: Latencies,
}

/// The figure. Nothing with fewer than two clients.
pub fn chart(runs: &[Run]) -> String {
    let all = rows(runs);
    if all.len() < 2 {
        return String::new();
    }
    let mut shown: Vec<&Row> = all.iter().collect();
    let mut words = "Producers: response. Consumers: end to end. Median (dot), p99 (end of the bar), longest (stroke)."
        .to_owned();
    if shown.len() > ROWS_MAX {
        shown.sort_by_key(|row| {
            std::cmp::Reverse(row.latencies.histogram().value_at_quantile(0.99))
        });
        let fastest = shown.last().map(|row| row.latencies.histogram().value_at_quantile(0.99));
        shown.truncate(ROWS_MAX);
        words += &format!(
            " The {ROWS_MAX} with the longest p99 of {} clients; the fastest has {}.",
            all.len(),
            latency(fastest.unwrap_or(0) as f64)
        );
    }
    figure("Clients beside each other", &words, &[], |width| draw(&shown, width), &as_table(&all))
}

fn rows(runs: &[Run]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for client in runs.iter().flat_map(|run| &run.clients) {
        let at = *places.entry(client.name.clone()).or_insert_with(|| {
            let (name, latencies) = (client.name.clone(), Latencies::new());
            rows.push(Row { name, records: 0, bytes: 0, latencies });
            rows.len() - 1
        });
        rows[at].records += client.records;
        rows[at].bytes += client.bytes;
        rows[at].latencies.merge(&client.latencies);
    }
    rows
}

fn draw(rows: &[&Row], width: Width) -> Svg {
    let left = 116.0;
    let height_of_row = 24.0;
    let bottom = 8.0 + height_of_row * rows.len() as f64;
    let plot = Plot { left, right: width.units() - 14.0, top: 8.0, bottom };
    let mut svg = Svg::new(width.units(), bottom + 30.0);
    let all = || rows.iter().map(|row| row.latencies.histogram());
    let low = all().map(|histogram| histogram.value_at_quantile(0.5)).min().unwrap_or(1);
    let high = all().map(|histogram| histogram.max()).max().unwrap_or(1);
    let x = Scale::log_around(low as f64, high as f64, plot.left, plot.right);
    for value in x.faint_ticks() {
        svg.line("faint", (x.at(value), plot.top), (x.at(value), plot.bottom));
    }
    for value in x.ticks(if width == Width::Wide { 12 } else { 4 }) {
        svg.line("grid", (x.at(value), plot.top), (x.at(value), plot.bottom));
        svg.text("middle", (x.at(value), plot.bottom + 18.0), &latency(value));
    }
    for (number, row) in rows.iter().enumerate() {
        let top = plot.top + height_of_row * number as f64;
        let middle = top + height_of_row / 2.0;
        svg.text("end", (plot.left - 8.0, middle + 4.0), &fitted(&row.name, 17));
        let at = |quantile| x.at(row.latencies.histogram().value_at_quantile(quantile) as f64);
        let longest = x.at(row.latencies.histogram().max() as f64);
        svg.line("whisker", (at(0.5), middle), (longest, middle));
        svg.line("whisker", (longest, middle - 5.0), (longest, middle + 5.0));
        let class = if row.name.starts_with("consumer") { "f3" } else { "f1" };
        if figures::value_at(&row.latencies, 0.99).is_some() {
            svg.rect(class, (at(0.5), middle - 5.0), at(0.99) - at(0.5), 10.0);
        }
        svg.circle("median", (at(0.5), middle), 4.5);
        let words = format!(
            "{}\n{} records\np50  {}\np99  {}\nmax  {}",
            row.name,
            count(row.records),
            value_at(&row.latencies, 0.5),
            value_at(&row.latencies, 0.99),
            max(&row.latencies)
        );
        svg.rect_with_words(
            "band",
            (plot.left, top),
            (plot.right - plot.left, height_of_row),
            &words,
        );
    }
    svg
}

fn as_table(rows: &[Row]) -> String {
    let rows = rows.iter().map(|row| {
        vec![
            row.name.clone(),
            count(row.records),
            figures::bytes(row.bytes as f64),
            value_at(&row.latencies, 0.5),
            value_at(&row.latencies, 0.99),
            value_at(&row.latencies, 0.999),
            max(&row.latencies),
        ]
    });
    let names = ["", "records", "bytes", "p50", "p99", "p99.9", "max"];
    table("data", &heads(&names), &rows.collect::<Vec<_>>())
}

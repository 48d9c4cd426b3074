//! Latency over time: a column for each second, a row for each range of latency, the darker the more operations.
//!
//! Colour goes by the logarithm of the count, so that a single slow operation is seen beside a thousand fast ones.

use std::fmt::Write;

use super::escape::{count, heads, latency, max, table, value_at};
use super::figure::{Key, figure};
use super::scale::Scale;
use super::svg::{Plot, Svg, Width, short};
use super::timeline::{Column, Timeline};
use crate::latency::Latencies;
use crate::result::figures;
use crate::result::model::Second;

/// Steps of colour: classes `h1` to `h9`.
const LEVELS: usize = 9;

/// Height of a row, about.
const ROW: f64 = 7.0;

/// Which latencies of a second.
pub type Of = fn(&Second) -> &Latencies;

/// The map. Nothing where nothing was measured.
pub fn map(title: &str, words: &str, timeline: &Timeline, runs: usize, of: Of) -> String {
    let all = || timeline.columns.iter().map(|column| of(&column.what));
    if all().all(|latencies| latencies.count() == 0) {
        return String::new();
    }
    let keys = [
        Key::line("over p50", "p50 of the column"),
        Key::line("over p99", "p99 of the column (where it has 1\u{202f}000 operations)"),
    ];
    let html = figure(
        title,
        words,
        &keys,
        |width| draw(timeline, runs, of, width),
        &as_table(timeline, runs, of),
    );
    let cells = Cells::of(timeline, of, 40);
    html.replacen("</ul>", &format!("</ul>{}", ramp(cells.most)), 1)
}

/// Operations by column and row.
struct Cells {
    /// Of each column, from the fastest row to the slowest.
    counts: Vec<Vec<u64>>,
    /// The most of one cell.
    most: u64,
    low: f64,
    high: f64,
}

impl Cells {
    fn of(timeline: &Timeline, of: Of, rows: usize) -> Cells {
        let measured =
            || timeline.columns.iter().map(|column| of(&column.what)).filter(|of| of.count() > 0);
        let low = measured().map(|of| of.histogram().min_nz()).min().unwrap_or(1).max(1) as f64;
        let high = measured().map(|of| of.histogram().max()).max().unwrap_or(1) as f64;
        let (low, high) = Scale::log_around(low, high, 0.0, 1.0).ends();
        let scale = Scale::log(low, high, 0.0, rows as f64);
        let mut counts = vec![vec![0; rows]; timeline.columns.len()];
        for (column, cells) in timeline.columns.iter().zip(&mut counts) {
            for step in of(&column.what).histogram().iter_recorded() {
                let row = scale.at(step.value_iterated_to() as f64) as usize;
                cells[row.min(rows - 1)] += step.count_at_value();
            }
        }
        let most = counts.iter().flatten().copied().max().unwrap_or(0);
        Cells { counts, most, low, high }
    }

    /// 1 to [`LEVELS`]; 0 of none.
    fn level(&self, count: u64) -> usize {
        match count {
            0 => 0,
            _ => {
                let part = (count as f64).ln() / (self.most.max(2) as f64).ln();
                1 + (part * (LEVELS - 1) as f64).round() as usize
            }
        }
    }
}

fn draw(timeline: &Timeline, runs: usize, of: Of, width: Width) -> Svg {
    let (height, left) = if width == Width::Wide { (340.0, 74.0) } else { (260.0, 62.0) };
    let plot = Plot { left, right: width.units() - 14.0, top: 8.0, bottom: height - 28.0 };
    let mut svg = Svg::new(width.units(), height);
    let rows = ((plot.bottom - plot.top) / ROW) as usize;
    let cells = Cells::of(timeline, of, rows);
    let y = Scale::log(cells.low, cells.high, plot.bottom, plot.top);
    svg.value_axis(plot, &y, 10, latency);
    let row_height = (plot.bottom - plot.top) / rows as f64;
    let places = timeline.places(plot);
    for level in 1..=LEVELS {
        let mut words = String::new();
        for (counts, (x, width)) in cells.counts.iter().zip(&places) {
            // Neighbours of one colour are one rectangle; a hair of overlap leaves no seam.
            let mut row = 0;
            while row < rows {
                let many =
                    counts[row..].iter().take_while(|count| cells.level(**count) == level).count();
                if many > 0 {
                    let height = row_height * many as f64;
                    let top = plot.bottom - row_height * (row + many) as f64;
                    let [x, top, w, h] = [*x, top, width + 0.15, height + 0.15].map(short);
                    let _ = write!(words, "M{x} {top}h{w}v{h}h-{w}z");
                }
                row += many.max(1);
            }
        }
        if !words.is_empty() {
            svg.path(&format!("h{level}"), LEVELS, &words);
        }
    }
    for (series, (class, quantile)) in
        [("over p50", 0.5), ("over p99", 0.99)].into_iter().enumerate()
    {
        let at = |column: &Column| figures::value_at(of(&column.what), quantile);
        let line = |column: &Column| at(column).map(|value| y.at(value.as_nanos() as f64));
        if series == 1 {
            timeline.steps(&mut svg, plot, ("under", series), line);
        }
        timeline.steps(&mut svg, plot, (class, series), line);
    }
    timeline.axis(&mut svg, plot, if width == Width::Wide { 12 } else { 6 });
    timeline.words(&mut svg, plot, |column| {
        let latencies = of(&column.what);
        format!(
            "{}\n{} operations\np50  {}\np99  {}\nmax  {}",
            column.when(runs),
            count(latencies.count()),
            value_at(latencies, 0.5),
            value_at(latencies, 0.99),
            max(latencies)
        )
    });
    svg
}

/// The colours and the counts they stand for.
fn ramp(most: u64) -> String {
    let mut html = String::from("<div class=\"ramp\"><span>1</span>");
    for level in 1..=LEVELS {
        html += &format!(
            "<svg aria-hidden=\"true\"><rect class=\"h{level}\" width=\"24\" height=\"11\"/></svg>"
        );
    }
    html + &format!("<span>{} operations</span></div>", count(most))
}

fn as_table(timeline: &Timeline, runs: usize, of: Of) -> String {
    let rows = timeline.columns.iter().map(|column| {
        let latencies = of(&column.what);
        vec![
            column.when(runs),
            count(latencies.count()),
            value_at(latencies, 0.5),
            value_at(latencies, 0.9),
            value_at(latencies, 0.99),
            value_at(latencies, 0.999),
            max(latencies),
        ]
    });
    let names = heads(&["", "count", "p50", "p90", "p99", "p99.9", "max"]);
    table("data", &names, &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::model::Run;

    #[test]
    fn each_operation_is_in_one_cell() {
        let mut run = Run::default();
        for second in 0..3 {
            let mut what = Second::default();
            what.response.record_ns(250_000 << second, 100);
            what.response.record_ns(90_000_000, second);
            run.timeline.push(what);
        }
        let cells = Cells::of(&Timeline::of(&[run]), |second| &second.response, 40);
        let sums: Vec<u64> = cells.counts.iter().map(|column| column.iter().sum()).collect();
        assert_eq!(sums, [100, 101, 102]);
        assert_eq!(cells.most, 100);
        assert_eq!([0, 1, 10, 100].map(|count| cells.level(count)), [0, 1, 5, LEVELS]);
    }
}

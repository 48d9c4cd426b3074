//! Latency by percentile. Each step to the right halves, or tenths, what is still slower: the tail is as wide as the rest.

use super::escape::{heads, latency, max, table, value_at};
use super::figure::{Key, figure};
use super::scale::Scale;
use super::svg::{Plot, Svg, Width};
use crate::latency::Latencies;
use crate::result::figures::{BEYOND_MIN, QUANTILES, percentile};

/// One curve.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What it is called.
    pub name: String,
    /// What the legend says beside the name; may be empty.
    pub words: String,
    /// Its class: colour and dashes.
    pub class: String,
    /// Of all runs.
    pub latencies: Latencies,
    /// Of each run, drawn faintly; empty for a single one.
    pub runs: Vec<Latencies>,
}

/// The curves on one another.
pub fn curves(title: &str, words: &str, curves: &[Curve]) -> String {
    let keys: Vec<_> = curves.iter().map(key).collect();
    figure(title, words, &keys, |width| draw(curves, width), &as_table(curves))
}

fn key(curve: &Curve) -> Key {
    let colon = if curve.words.is_empty() { "" } else { ": " };
    Key::line(&curve.class, format!("{}{colon}{}", curve.name, curve.words))
}

fn draw(curves: &[Curve], width: Width) -> Svg {
    let (height, left) = if width == Width::Wide { (400.0, 74.0) } else { (300.0, 62.0) };
    let plot = Plot { left, right: width.units() - 14.0, top: 12.0, bottom: height - 44.0 };
    let mut svg = Svg::new(width.units(), height);
    let all = || curves.iter().flat_map(|curve| curve.runs.iter().chain([&curve.latencies]));
    let low = all().map(|latencies| latencies.histogram().value_at_quantile(0.01)).min();
    let high = all().map(|latencies| latencies.histogram().max()).max();
    let (low, high) = (low.unwrap_or(1) as f64, high.unwrap_or(1) as f64);
    let y = Scale::log_around(low, high, plot.bottom, plot.top);
    svg.value_axis(plot, &y, 10, latency);
    let most = curves.iter().map(|curve| curve.latencies.count()).max().unwrap_or(0);
    let x = Scale::linear(0.0, nines(1.0 - 1.0 / most.max(10) as f64), plot.left, plot.right);
    percentile_axis(&mut svg, plot, &x, width);
    for (series, curve) in curves.iter().enumerate() {
        for run in &curve.runs {
            let points = points(run, &x, &y, false);
            svg.line_through(&format!("{} thin", curve.class), series, &points);
        }
        let sure = points(&curve.latencies, &x, &y, false);
        let rest = points(&curve.latencies, &x, &y, true);
        svg.line_through(&format!("{} unsure", curve.class), series, &rest);
        svg.line_through(&curve.class, series, &sure);
    }
    bands(&mut svg, plot, &x, curves);
    svg
}

/// How many nines: 0.9 is 1, 0.99 is 2.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

fn percentile_axis(svg: &mut Svg, plot: Plot, x: &Scale, width: Width) {
    let (_, last) = x.ends();
    let mut marks = vec![0.0, 0.5];
    if width == Width::Wide {
        marks.extend([0.75, 0.95]);
    }
    marks.extend(
        (1..).map(|nines| 1.0 - 10_f64.powi(-nines)).take_while(|mark| nines(*mark) <= last),
    );
    for mark in marks {
        let place = x.at(nines(mark));
        svg.line("grid", (place, plot.top), (place, plot.bottom));
        let words = percentile(mark);
        let words = words.trim_start_matches('p');
        // The narrow drawing has no room for both a number of nines and the unit.
        let unit = if width == Width::Wide { "\u{202f}%" } else { "" };
        svg.text("middle", (place, plot.bottom + 18.0), &format!("{words}{unit}"));
    }
    let words = "percentile of operations";
    svg.text("middle axis", ((plot.left + plot.right) / 2.0, plot.bottom + 38.0), words);
}

/// Points every other unit; up to where enough operations lie beyond or, for `rest`, from there on.
fn points(latencies: &Latencies, x: &Scale, y: &Scale, rest: bool) -> Vec<(f64, f64)> {
    let count = latencies.count();
    if count == 0 {
        return Vec::new();
    }
    let end = nines(1.0 - 1.0 / count.max(2) as f64);
    let sure = nines(1.0 - BEYOND_MIN as f64 / count.max(BEYOND_MIN + 1) as f64);
    let (from, to) = if rest { (sure, end) } else { (nines(0.01), sure.min(end)) };
    let steps = ((x.at(to) - x.at(from)) / 2.0).ceil().max(1.0);
    let at = |step: f64| {
        let nines = from + (to - from) * step / steps;
        let value = latencies.histogram().value_at_quantile(1.0 - 10_f64.powf(-nines));
        (x.at(nines), y.at(value.min(latencies.histogram().max()) as f64))
    };
    (0..=steps as usize).map(|step| at(step as f64)).collect()
}

/// What each third of a power of ten says when it is pointed at.
fn bands(svg: &mut Svg, plot: Plot, x: &Scale, curves: &[Curve]) {
    let (_, last) = x.ends();
    let mut marks = vec![0.0];
    for decade in 0..=(last as i32) {
        let beyond = 10_f64.powi(-decade);
        marks.extend([0.5, 0.25, 0.1].map(|part| 1.0 - beyond * part));
    }
    marks.retain(|mark| nines(*mark) <= last);
    let places: Vec<f64> = marks.iter().map(|mark| x.at(nines(*mark))).collect();
    for (number, mark) in marks.iter().enumerate() {
        let begin = number
            .checked_sub(1)
            .map_or(plot.left, |before| (places[before] + places[number]) / 2.0);
        let end = places.get(number + 1).map_or(plot.right, |next| (places[number] + next) / 2.0);
        let mut words = if *mark == 0.0 { "the fastest".to_owned() } else { percentile(*mark) };
        for curve in curves {
            let value = match *mark == 0.0 {
                true => latency(curve.latencies.histogram().min() as f64),
                false => value_at(&curve.latencies, *mark),
            };
            words += &format!("\n{}  {value}", curve.name);
        }
        let size = (end - begin, plot.bottom - plot.top);
        svg.rect_with_words("band", (begin, plot.top), size, &words);
    }
}

fn as_table(curves: &[Curve]) -> String {
    let mut names = heads(&["", "count"]);
    names.extend(QUANTILES.map(percentile));
    names.push("max".to_owned());
    let mut rows = Vec::new();
    for curve in curves {
        let mut row = |name: String, latencies: &Latencies| {
            let mut row = vec![name, super::escape::count(latencies.count())];
            row.extend(QUANTILES.map(|quantile| value_at(latencies, quantile)));
            row.push(max(latencies));
            rows.push(row);
        };
        row(curve.name.clone(), &curve.latencies);
        for (number, run) in curve.runs.iter().enumerate() {
            row(format!("{}, run {}", curve.name, number + 1), run);
        }
    }
    table("data", &names, &rows)
}

//! Processor time of the broker's threads, second by second.

use std::collections::BTreeMap;

use super::escape::table;
use super::figure::{Key, figure};
use super::scale::Scale;
use super::svg::{Plot, Svg, Width};
use super::timeline::{Column, Timeline};
use crate::result::figures;

/// More lines could not be told apart; what used least goes together.
const LINES_MAX: usize = 6;

/// Threads with less than this part of all processor time have no line of their own.
const PART_MIN: f64 = 0.01;

/// The rest of the threads.
const OTHERS: &str = "others";

/// The figure. Nothing where the broker's threads were not seen.
pub fn chart(timeline: &Timeline, runs: usize) -> String {
    let lines = lines(timeline);
    if lines.is_empty() {
        return String::new();
    }
    let name = |(number, name): (usize, &String)| Key::line(class(number), name.clone());
    let mut keys: Vec<_> = lines.iter().enumerate().map(name).collect();
    keys.push(Key::line("sum", "all threads"));
    let words = "Cores in use, by thread; a shard is one thread on one core. A thread at 1 has nothing left.";
    let table = as_table(timeline, runs, &lines);
    figure(
        "Broker CPU over time",
        words,
        &keys,
        |width| draw(timeline, runs, &lines, width),
        &table,
    )
}

fn class(number: usize) -> String {
    let dash = if number.is_multiple_of(2) { "" } else { " dash" };
    format!("c{}{dash}", number + 1)
}

/// Names of the threads that have a line of their own, shards first, and of the rest.
fn lines(timeline: &Timeline) -> Vec<String> {
    let mut used: BTreeMap<&str, u64> = BTreeMap::new();
    for (thread, ns) in timeline.columns.iter().flat_map(|column| &column.what.broker_cpu_ns) {
        *used.entry(thread).or_default() += ns;
    }
    let mut threads: Vec<_> = used.into_iter().filter(|(_, ns)| *ns > 0).collect();
    threads.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
    let all: u64 = threads.iter().map(|(_, ns)| ns).sum();
    let busy = threads.iter().take_while(|(_, ns)| *ns as f64 >= all as f64 * PART_MIN).count();
    let rest = busy < threads.len() || threads.len() > LINES_MAX;
    threads.truncate(busy.min(if rest { LINES_MAX - 1 } else { LINES_MAX }));
    let mut names: Vec<_> = threads.into_iter().map(|(name, _)| name.to_owned()).collect();
    names.sort_by_key(|name| (!name.contains("shard"), name.clone()));
    names.extend(rest.then(|| OTHERS.to_owned()));
    names
}

/// Cores that a line used in a column.
fn cores(column: &Column, lines: &[String], line: &str) -> f64 {
    let own = column.what.broker_cpu_ns.iter().filter(|(thread, _)| match line {
        OTHERS => !lines.contains(thread),
        name => *thread == name,
    });
    column.per_second(own.map(|(_, ns)| ns).sum()) / 1e9
}

fn all(column: &Column) -> f64 {
    column.per_second(column.what.broker_cpu_ns.values().sum()) / 1e9
}

fn draw(timeline: &Timeline, runs: usize, lines: &[String], width: Width) -> Svg {
    let (height, left) = if width == Width::Wide { (270.0, 74.0) } else { (240.0, 62.0) };
    let plot = Plot { left, right: width.units() - 14.0, top: 12.0, bottom: height - 28.0 };
    let mut svg = Svg::new(width.units(), height);
    let high = timeline.columns.iter().map(all).fold(0.0, f64::max);
    let y = Scale::from_zero(high, plot.bottom, plot.top);
    svg.value_axis(plot, &y, 4, figures::short);
    timeline.line(&mut svg, plot, ("sum", lines.len()), |column| Some(y.at(all(column))));
    for (series, line) in lines.iter().enumerate() {
        let at = |column: &Column| Some(y.at(cores(column, lines, line)));
        timeline.line(&mut svg, plot, (&class(series), series), at);
    }
    timeline.axis(&mut svg, plot, if width == Width::Wide { 12 } else { 6 });
    timeline.words(&mut svg, plot, |column| {
        let mut words = column.when(runs);
        for line in lines {
            words += &format!("\n{line}  {:.2}", cores(column, lines, line));
        }
        words + &format!("\nall threads  {:.2} cores", all(column))
    });
    svg
}

fn as_table(timeline: &Timeline, runs: usize, lines: &[String]) -> String {
    let mut names = vec![String::new()];
    names.extend(lines.iter().cloned());
    names.extend(["all threads".to_owned(), "resident".to_owned()]);
    let rows = timeline.columns.iter().map(|column| {
        let mut row = vec![column.when(runs)];
        row.extend(lines.iter().map(|line| format!("{:.2}", cores(column, lines, line))));
        row.push(format!("{:.2}", all(column)));
        row.push(match column.what.broker_resident_bytes {
            0 => figures::NONE.to_owned(),
            bytes => figures::bytes(bytes as f64),
        });
        row
    });
    table("data", &names, &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::model::{Run, Second};

    #[test]
    fn idle_threads_share_a_line() {
        let check = |threads: &[(&str, u64)], expected: &[&str]| {
            let broker_cpu_ns =
                threads.iter().map(|(name, ns)| ((*name).to_owned(), *ns)).collect();
            let second = Second { broker_cpu_ns, ..Second::default() };
            let timeline = Timeline::of(&[Run { timeline: vec![second], ..Run::default() }]);
            let lines = lines(&timeline);
            assert_eq!(lines, expected);
            let sum: f64 = lines.iter().map(|line| cores(&timeline.columns[0], &lines, line)).sum();
            assert!((sum - all(&timeline.columns[0])).abs() < 1e-9, "no thread is lost");
        };
        check(&[], &[]);
        check(&[("shard-0", 0)], &[]);
        check(&[("shard-1", 500), ("shard-0", 400)], &["shard-0", "shard-1"]);
        check(&[("log", 1), ("shard-0", 400), ("iou-wrk-7", 2)], &["shard-0", OTHERS]);
        let names: Vec<String> = (0..20).map(|number| format!("shard-{number:02}")).collect();
        let many: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 100)).collect();
        check(&many, &["shard-00", "shard-01", "shard-02", "shard-03", "shard-04", OTHERS]);
    }
}

//! What was measured, for people: Markdown that is as readable on a terminal.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::measurement::{Measurement, What};
use super::row::Row;
use crate::compare::statistics::median;
use crate::result::figures::{NONE, latency, number, value_at};
use crate::result::model::Run;
use crate::result::table::wrong;

/// Figures of latencies in a row.
const PERCENTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// How a row was measured.
type Kind = fn(String) -> What;

/// All measurements of one thing by one broker.
struct Cell<'m> {
    all: Vec<&'m Measurement>,
}

impl<'m> Cell<'m> {
    fn of(measurements: &'m [Measurement], what: &What, broker: &str) -> Cell<'m> {
        let is =
            |one: &&Measurement| one.failed.is_none() && &one.what == what && one.broker == broker;
        let mut all: Vec<_> = measurements.iter().filter(is).collect();
        all.sort_by_key(|one| one.round);
        Cell { all }
    }

    /// A figure of each round that has it.
    fn rounds(&self, name: &str) -> Vec<(usize, f64)> {
        let value = |one: &&Measurement| Some((one.round, figure(one, name)?));
        self.all.iter().filter_map(value).collect()
    }

    fn median(&self, name: &str) -> Option<f64> {
        let values: Vec<f64> = self.rounds(name).into_iter().map(|(_, value)| value).collect();
        (!values.is_empty()).then(|| median(&values))
    }

    /// How many times as much as the other, the median over rounds that both have; with the least and the most.
    fn ratio(&self, to: &Cell<'_>, name: &str) -> Option<(f64, f64, f64)> {
        let theirs = to.rounds(name);
        let same = |round: usize| theirs.iter().find(|(other, _)| *other == round);
        let ours = self.rounds(name).into_iter();
        let ratios: Vec<f64> =
            ours.filter_map(|(round, value)| Some(value / same(round)?.1)).collect();
        let (least, most) = ratios.iter().fold((f64::INFINITY, 0.0f64), |(low, high), ratio| {
            (low.min(*ratio), high.max(*ratio))
        });
        (!ratios.is_empty()).then(|| (median(&ratios), least, most))
    }
}

/// A figure by its name, of a run of ours or as another client said it.
pub fn figure(one: &Measurement, name: &str) -> Option<f64> {
    match &one.run {
        Some(run) => of_run(run, name),
        None => one.figures.get(name).copied(),
    }
}

fn of_run(run: &Run, name: &str) -> Option<f64> {
    let at = |kind: &str, latencies: &crate::latency::Latencies| {
        let name = name.strip_prefix(kind)?.strip_prefix('-')?;
        let (_, quantile) = PERCENTILES.into_iter().find(|(percentile, _)| *percentile == name)?;
        value_at(latencies, quantile).map(|latency| latency.as_secs_f64() * 1e6)
    };
    let seconds = (run.seconds > 0.0).then_some(run.seconds);
    match name {
        "records_per_second" => Some(run.totals.acknowledged as f64 / seconds?),
        "mb_per_second" => Some(run.totals.acknowledged_bytes as f64 / 1e6 / seconds?),
        "cpu_per_gb" => {
            let gb = run.totals.acknowledged_bytes as f64 / 1e9;
            (gb > 0.0).then_some(run.broker.cpu_seconds? / gb)
        }
        "resident_bytes" => run.broker.resident_bytes.map(|bytes| bytes as f64),
        _ => at("response", &run.response)
            .or_else(|| at("end-to-end", &run.end_to_end))
            .or_else(|| at("service", &run.service)),
    }
}

/// All tables. Ratios are to the first broker.
pub fn text(measurements: &[Measurement], brokers: &[String]) -> String {
    let mut text = String::new();
    let mut section = |title: &str, table: Option<String>| {
        if let Some(table) = table {
            text += &format!("{title}\n\n{table}\n\n");
        }
    };
    let kinds: [(&str, Kind); 3] = [
        ("Our generator", |row| What::Load { row }),
        ("librdkafka", |row| What::Librdkafka { row }),
        ("kafka-producer-perf-test", |row| What::PerfTest { row }),
    ];
    for (title, what) in kinds {
        let fixed = rates(measurements, brokers, what);
        section(&format!("{title}, fixed rates (ms; medians of the rounds)"), fixed);
        let full = saturation(measurements, brokers, what);
        section(&format!("{title}, saturation (medians of the rounds)"), full);
    }
    section("Memory and starts (medians of the rounds)", starts(measurements, brokers));
    let failed: Vec<String> = measurements
        .iter()
        .filter_map(|one| {
            Some(format!("- {:?}, {}: {}", one.what, one.broker, one.failed.as_ref()?))
        })
        .collect();
    if !failed.is_empty() {
        text += &format!("Failed\n\n{}\n\n", failed.join("\n"));
    }
    let faults: Vec<String> = measurements.iter().filter_map(fault).collect();
    if !faults.is_empty() {
        text += &format!("Delivery audits that failed\n\n{}\n\n", faults.join("\n"));
    }
    text.trim_end().to_owned()
}

fn fault(one: &Measurement) -> Option<String> {
    let audit = &one.run.as_ref()?.audit;
    let Measurement { what, broker, round, .. } = one;
    (!audit.passed()).then(|| format!("- {what:?}, {broker}, round {round}: {}", wrong(audit)))
}

/// The rows that were measured in this way, in their order.
fn rows(measurements: &[Measurement], what: Kind) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for one in measurements {
        if let What::Load { row } | What::Librdkafka { row } | What::PerfTest { row } = &one.what
            && what(row.clone()) == one.what
            && let Ok(row) = row.parse()
            && !rows.contains(&row)
        {
            rows.push(row);
        }
    }
    rows
}

fn rates(measurements: &[Measurement], brokers: &[String], what: Kind) -> Option<String> {
    let rows = rows(measurements, what).into_iter().filter(|row| row.rate.is_some());
    let mut table = table(&[
        "load",
        "broker",
        "ack p50",
        "p99",
        "p99.9",
        "p99.99",
        "times p99 (least to most)",
        "end to end p50",
        "p99",
        "CPU s/GB",
        "reached",
    ]);
    let mut has_some = false;
    for row in rows {
        let first = Cell::of(measurements, &what(row.to_string()), &brokers[0]);
        for broker in brokers {
            let cell = Cell::of(measurements, &what(row.to_string()), broker);
            if cell.all.is_empty() {
                continue;
            }
            has_some = true;
            // The other clients count from the sending, or from the intended time: each says which by its name.
            let kind = if cell.median("response-p50").is_some() { "response" } else { "service" };
            let ms = |name: String| {
                let us = cell.median(&name);
                us.map_or_else(|| NONE.into(), |us| three(us / 1e3))
            };
            let mut cells = vec![row.to_string(), broker.clone()];
            cells.extend(PERCENTILES.map(|(name, _)| ms(format!("{kind}-{name}"))));
            cells.push(times(cell.ratio(&first, &format!("{kind}-p99")), broker == &brokers[0]));
            cells.extend(["p50", "p99"].map(|name| ms(format!("end-to-end-{name}"))));
            cells.push(cell.median("cpu_per_gb").map_or_else(|| NONE.into(), three));
            let part = cell.median("records_per_second").zip(row.rate);
            let part = part.map(|(reached, rate)| format!("{:.0} %", 100.0 * reached / rate));
            cells.push(part.unwrap_or_else(|| NONE.into()));
            table.add_row(cells);
        }
    }
    has_some.then(|| table.to_string())
}

fn saturation(measurements: &[Measurement], brokers: &[String], what: Kind) -> Option<String> {
    let rows = rows(measurements, what).into_iter().filter(|row| row.rate.is_none());
    let mut table =
        table(&["load", "broker", "MB/s", "records/s", "times MB/s (least to most)", "CPU s/GB"]);
    let mut has_some = false;
    for row in rows {
        let first = Cell::of(measurements, &what(row.to_string()), &brokers[0]);
        for broker in brokers {
            let cell = Cell::of(measurements, &what(row.to_string()), broker);
            if cell.all.is_empty() {
                continue;
            }
            has_some = true;
            let show = |name: &str, as_text: fn(f64) -> String| {
                cell.median(name).map_or_else(|| NONE.into(), as_text)
            };
            table.add_row([
                row.to_string(),
                broker.clone(),
                show("mb_per_second", three),
                show("records_per_second", number),
                times(cell.ratio(&first, "mb_per_second"), broker == &brokers[0]),
                show("cpu_per_gb", three),
            ]);
        }
    }
    has_some.then(|| table.to_string())
}

fn starts(measurements: &[Measurement], brokers: &[String]) -> Option<String> {
    let mut table = table(&[
        "broker",
        "start to first answer",
        "after kill -9",
        "memory after start, MiB",
        "after the loads, MiB",
    ]);
    let mut has_some = false;
    for broker in brokers {
        let start = Cell::of(measurements, &What::Start, broker);
        let restart = Cell::of(measurements, &What::Restart, broker);
        let mib = |bytes: f64| number(bytes / f64::from(1 << 20));
        let of_load = |one: &&Measurement| {
            &one.broker == broker && matches!(one.what, What::Load { .. }) && one.failed.is_none()
        };
        let loaded = measurements.iter().filter(of_load);
        let loaded = loaded.filter_map(|one| figure(one, "resident_bytes"));
        let loaded = loaded.fold(None, |most: Option<f64>, bytes| {
            Some(most.map_or(bytes, |most| most.max(bytes)))
        });
        let ms = |ms: Option<f64>| ms.map_or_else(|| NONE.into(), |ms| latency(ms * 1e6));
        has_some |= !start.all.is_empty() || !restart.all.is_empty() || loaded.is_some();
        table.add_row([
            broker.clone(),
            ms(start.median("start_ms")),
            ms(restart.median("restart_ms")),
            start.median("resident_bytes").map_or_else(|| NONE.into(), mib),
            loaded.map_or_else(|| NONE.into(), mib),
        ]);
    }
    has_some.then(|| table.to_string())
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(head);
    for (index, name) in head.iter().enumerate() {
        let is_name = ["load", "broker"].contains(name);
        if let Some(column) = table.column_mut(index).filter(|_| !is_name) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Three digits that count, however small.
fn three(value: f64) -> String {
    match value {
        value if value >= 99.95 => number(value),
        value if value >= 9.995 => format!("{value:.1}"),
        value if value >= 0.9995 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

fn times(ratio: Option<(f64, f64, f64)>, is_first: bool) -> String {
    match ratio {
        _ if is_first => "1".into(),
        Some((median, least, most)) => {
            format!("{} ({} to {})", three(median), three(least), three(most))
        }
        None => NONE.into(),
    }
}

/// The figures of every measurement, without the histograms.
pub fn figures(measurements: &[Measurement]) -> Value {
    const NAMES: [&str; 4] =
        ["records_per_second", "mb_per_second", "cpu_per_gb", "resident_bytes"];
    let kinds = ["response", "service", "end-to-end"];
    let percentiles = kinds.iter().flat_map(|kind| {
        PERCENTILES.iter().map(move |(percentile, _)| format!("{kind}-{percentile}"))
    });
    let names: Vec<String> = NAMES.iter().map(|name| name.to_string()).chain(percentiles).collect();
    let one = |one: &Measurement| {
        let mut figures = one.figures.clone();
        if let Some(run) = &one.run {
            let of = names.iter().filter_map(|name| Some((name.clone(), of_run(run, name)?)));
            figures.extend(of);
        }
        json!({
            "measured": one.what, "broker": one.broker, "round": one.round, "failed": one.failed,
            "figures": figures, "audit_passed": one.run.as_ref().map(|run| run.audit.passed()),
        })
    };
    measurements.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn load(row: &str, broker: &str, round: usize, us: u64) -> Measurement {
        let mut run = Run { seconds: 10.0, ..Run::default() };
        run.totals.acknowledged = 10_000;
        run.totals.acknowledged_bytes = 10_240_000;
        run.response.record_ns(us * 1_000, 10_000);
        run.broker.cpu_seconds = Some(0.5);
        run.broker.resident_bytes = Some(100 << 20);
        let what = What::Load { row: row.into() };
        let (broker, figures) = (broker.into(), BTreeMap::new());
        Measurement { what, broker, round, figures, run: Some(run), failed: None }
    }

    #[test]
    fn ratios_are_made_within_rounds() {
        let mut all = vec![
            load("4x1000", "heddle", 1, 200),
            load("4x1000", "heddle", 2, 400),
            load("4x1000", "kafka", 1, 2_000),
            load("4x1000", "kafka", 2, 2_000),
            load("4xmax/5", "heddle", 1, 9_000),
        ];
        let mut failed = load("4x1000", "kafka", 3, 1);
        failed.failed = Some("it was gone".into());
        all.push(failed);
        let figures = BTreeMap::from([("restart_ms".to_owned(), 21.0)]);
        all.push(Measurement {
            what: What::Restart,
            run: None,
            figures,
            ..load("4x1000", "heddle", 1, 1)
        });
        let text = text(&all, &["heddle".into(), "kafka".into()]);
        let line = |begin: [&str; 2]| {
            let cells =
                |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
            let mut lines = text.lines().map(cells);
            lines
                .find(|cells| {
                    cells.len() > 2 && cells[1] == begin[0] && cells[2].contains(begin[1])
                })
                .unwrap_or_else(|| panic!("{begin:?} in\n{text}"))
        };
        let kafka = line(["4x1000", "kafka"]);
        assert_eq!(kafka[3], "2.00");
        assert_eq!(kafka[6], NONE, "one of 10,000 lies beyond p99.99");
        assert_eq!(kafka[7], "7.50 (5.00 to 10.0)");
        assert_eq!((kafka[10].as_str(), kafka[11].as_str()), ("48.8", "100 %"));
        let full = line(["4xmax/5", "heddle"]);
        assert_eq!((full[3].as_str(), full[6].as_str()), ("1.02", "48.8"));
        let starts = line(["heddle", ""]);
        assert_eq!((starts[3].as_str(), starts[5].as_str()), ("21 ms", "100"));
        assert!(
            text.contains("Failed\n\n- Load { row: \"4x1000\" }, kafka: it was gone"),
            "{text}"
        );
        assert!(!text.contains("librdkafka"), "nothing of it was measured");
        let json = super::figures(&all);
        assert_eq!(json[0]["figures"]["records_per_second"], 1_000.0);
        assert_eq!(json[5]["failed"], "it was gone");
    }

    #[test]
    fn an_audit_that_failed_is_shown() {
        let mut one = load("4x1000", "kafka", 1, 200);
        if let Some(run) = &mut one.run {
            run.audit.lost = 3;
        }
        let text = text(&[one], &["kafka".into()]);
        assert!(text.contains("Delivery audits that failed\n\n- "), "{text}");
        assert!(text.contains("kafka, round 1: 3 lost"), "{text}");
    }
}

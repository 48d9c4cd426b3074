//! The result on a terminal.

use comfy_table::{CellAlignment, Table, presets};

use super::figures::{self, QUANTILES, bytes, count, latency, number, percentile, plural, share};
use super::model::{Audit, Report, Run};
use super::stages::{self, Api, Part};
use super::whole::Whole;
use super::{doubts, workload};
use crate::latency::Latencies;

/// Everything a person wants to know of a report first: latencies, throughput, costs, stages, the audit, and doubts.
pub fn text(report: &Report) -> String {
    let whole = Whole::of(report);
    let mut text = format!("workload  {}\n", workload::line(&report.plan));
    for words in workload::besides(&report.plan) {
        text += &format!("beside    {words}\n");
    }
    let runs = if whole.runs > 1 {
        format!("{} of ", plural(whole.runs as u64, "run"))
    } else {
        String::new()
    };
    let seconds = whole.seconds / whole.runs.max(1) as f64;
    text += &format!(
        "measured  {runs}{} s after a warm-up of {} s",
        figures::short(seconds),
        figures::short(report.plan.warm_up_ms as f64 / 1000.0)
    );
    if let Some(durability) = durability(&report.runs) {
        text += &format!(" · durability {durability}");
    }
    text += "\n\n";
    text += &latencies(report, &whole);
    text += "\n\n";
    text += &throughput(&whole);
    text += &costs(&whole);
    if report.runs.len() > 1 {
        text += "\n";
        text += &spread(&report.runs);
        text += "\n";
    }
    for api in stages::apis(&report.runs) {
        text += "\n";
        text += &stage_table(&api);
        text += "\n";
    }
    text += &beside(&report.runs);
    text += "\n";
    text += &audit(&whole.audit);
    for doubt in doubts::merged(&report.runs) {
        text += &format!("doubt     {} [{}]\n", doubt.words, doubt.about);
    }
    text
}

/// The class of durability in force, if the broker said so and all runs agree.
pub fn durability(runs: &[Run]) -> Option<&str> {
    let first = runs.first()?.broker.durability.as_deref()?;
    runs.iter().all(|run| run.broker.durability.as_deref() == Some(first)).then_some(first)
}

/// How many records of which kind the audit found wrong.
pub fn wrong(audit: &Audit) -> String {
    format!(
        "{} lost, {} duplicated, {} reordered, {} altered, {} not judged",
        count(audit.lost),
        count(audit.duplicated),
        count(audit.reordered),
        count(audit.altered),
        count(audit.unjudged)
    )
}

/// The audit in a line and, where it found something, its sentences.
pub fn audit(audit: &Audit) -> String {
    if !audit.passed() {
        let mut text =
            format!("audit     FAILED: of {} records {}\n", count(audit.expected), wrong(audit));
        for fault in &audit.faults {
            text += &format!("          {fault}\n");
        }
        return text;
    }
    let mut text = match audit.expected {
        0 if audit.checked == 0 => {
            "audit     nothing was consumed, so nothing could be checked".to_owned()
        }
        0 => format!(
            "audit     passed: {} seen, each once, in order, unaltered",
            plural(audit.checked, "record")
        ),
        expected => format!(
            "audit     passed: all {} seen once, in order, unaltered",
            plural(expected, "acknowledged record")
        ),
    };
    if audit.unacknowledged_seen > 0 {
        text +=
            &format!("; {} that had been given up", plural(audit.unacknowledged_seen, "record"));
    }
    text + "\n"
}

fn latencies(report: &Report, whole: &Whole) -> String {
    let mut head = vec!["us".to_owned(), "count".to_owned()];
    head.extend(QUANTILES.map(percentile));
    head.push("max".to_owned());
    let mut table = plain(head);
    let full = workload::saturates(&report.plan);
    for (name, latencies) in [
        ("produce ack", &whole.response),
        ("service", &whole.service),
        ("end to end", &whole.end_to_end),
    ] {
        if latencies.count() == 0 {
            continue;
        }
        let mut row = vec![name.to_owned()];
        row.extend(figures_of(latencies));
        table.add_row(row);
    }
    let mut text = print(&table);
    text += "\n(produce ack and end to end from the intended send time, service from the sending)";
    if full {
        text += &format!("\n({})", workload::SATURATION);
    }
    text
}

fn figures_of(latencies: &Latencies) -> Vec<String> {
    let mut row = vec![count(latencies.count())];
    row.extend(QUANTILES.map(|quantile| figures::us(figures::value_at(latencies, quantile))));
    row.push(figures::us(figures::max(latencies)));
    row
}

fn throughput(whole: &Whole) -> String {
    let totals = &whole.totals;
    let rate = |records: u64, size: u64| {
        let per_second = whole.per_second(size);
        format!(
            "{} records/s  {:.2} MB/s",
            count(whole.per_second(records).round() as u64),
            per_second / 1e6
        )
    };
    let mut text = String::new();
    if totals.intended > 0 || totals.acknowledged > 0 {
        text += &format!("produced  {}", rate(totals.acknowledged, totals.acknowledged_bytes));
        if totals.requests > 0 {
            let batch = totals.batch_bytes as f64 / totals.requests as f64;
            text += &format!("  {} a request", bytes(batch));
        }
        text += &format!("  backlog at most {}\n", count(totals.backlog_max));
    }
    if totals.consumed > 0 {
        text += &format!("consumed  {}\n", rate(totals.consumed, totals.consumed_bytes));
    }
    text += &format!(
        "errors    {} given up  {} retries  {} timeouts  {} reconnects\n",
        count(totals.failed),
        count(totals.retries),
        count(totals.timeouts),
        count(totals.reconnects)
    );
    text
}

fn costs(whole: &Whole) -> String {
    let cost = |cpu_seconds: f64| {
        let per_gb = whole.seconds_per_gb(cpu_seconds);
        let per_gb =
            per_gb.map_or(String::new(), |cost| format!("  {} CPU s/GB", figures::short(cost)));
        format!("{:.2} cores{per_gb}", whole.cores(cpu_seconds))
    };
    let mut text = String::new();
    if let Some(cpu) = whole.broker_cpu_seconds {
        text += &format!("broker    {}", cost(cpu));
        if let Some(resident) = whole.broker_resident_bytes {
            text += &format!("  {} resident", bytes(resident as f64));
        }
        text += "\n";
    }
    let generator = &whole.generator;
    text += &format!(
        "generator {}  busiest thread {}  {} records late by more than 1 ms, at most {}\n",
        cost(generator.cpu_seconds),
        share(generator.busiest_share),
        share(generator.slipped),
        latency(generator.slip_max_ns as f64)
    );
    text
}

/// Figures of each run, and how far they lie apart.
fn spread(runs: &[Run]) -> String {
    let mut head = vec!["by run".to_owned()];
    head.extend((1..=runs.len()).map(|run| run.to_string()));
    head.push("spread".to_owned());
    let mut table = plain(head);
    let at = |of: fn(&Run) -> &Latencies, quantile: f64| {
        move |run: &Run| {
            figures::value_at(of(run), quantile).map(|value| value.as_nanos() as f64 / 1000.0)
        }
    };
    let mut row = |name: &str, of: &dyn Fn(&Run) -> Option<f64>| {
        let figures: Vec<Option<f64>> = runs.iter().map(of).collect();
        if figures.iter().all(Option::is_none) {
            return;
        }
        let mut row = vec![name.to_owned()];
        row.extend(figures.iter().map(|figure| figure.map_or(figures::NONE.to_owned(), number)));
        let known: Option<Vec<f64>> = figures.into_iter().collect();
        let spread = known.and_then(|known| figures::spread(&known));
        row.push(spread.map_or(figures::NONE.to_owned(), |spread| format!("±{}", share(spread))));
        table.add_row(row);
    };
    row("produce ack p50", &at(|run| &run.response, 0.5));
    row("produce ack p99", &at(|run| &run.response, 0.99));
    row("produce ack p99.9", &at(|run| &run.response, 0.999));
    row("end to end p99", &at(|run| &run.end_to_end, 0.99));
    row("records/s", &|run| {
        (run.seconds > 0.0).then(|| run.totals.acknowledged as f64 / run.seconds)
    });
    print(&table)
}

fn stage_table(api: &Api) -> String {
    let head = [&api.name, "mean us", "share", "p50", "p99", "p99.9", "max", "requests"];
    let mut table = plain(head.map(str::to_owned).to_vec());
    let mut row = |part: &Part| {
        let at = |quantile| figures::us(figures::value_at(&part.latencies, quantile));
        table.add_row([
            part.name.clone(),
            number(api.mean_ns(part) / 1000.0),
            share(api.share(part)),
            at(0.5),
            at(0.99),
            at(0.999),
            figures::us(figures::max(&part.latencies)),
            count(part.latencies.count()),
        ]);
    };
    api.stages.iter().for_each(&mut row);
    row(&api.total);
    print(&table)
}

fn beside(runs: &[Run]) -> String {
    let mut text = String::new();
    for (number, run) in runs.iter().enumerate() {
        for (name, figures) in &run.beside {
            let of = if runs.len() > 1 { format!(" (run {})", number + 1) } else { String::new() };
            let figures =
                figures.iter().map(|(name, value)| format!("{name} {}", self::number(*value)));
            let figures = figures.collect::<Vec<_>>().join("  ");
            text += &format!("beside    {name}{of}  {figures}\n");
        }
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn plain(head: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    // It is for logs and mail as well as for terminals: one width everywhere.
    table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    table
}

fn print(table: &Table) -> String {
    let text = table.to_string();
    let lines = text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
    lines.collect::<Vec<_>>().join("\n")
}

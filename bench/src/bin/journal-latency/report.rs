//! The results, for people and for programs.

use bench::latency::Summary;
use bench::provenance::{self, Provenance};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::json;

use crate::neighbour::Neighbour;
use crate::rounds::{Cell, Results, Round};
use crate::saturation::Saturation;

/// As tables.
pub fn text(provenance: &Provenance, results: &Results) -> String {
    let Provenance { revision, kernel, processor, cores, file_system, device_queue, .. } =
        provenance;
    let mut text = format!(
        "revision {revision}, kernel {kernel}, {processor} ({cores} cores), {file_system} ({device_queue})\n\
         journal flushed by {}; load average {:.1} before, {:.1} after\n",
        results.flush,
        provenance.load_before,
        provenance::load()
    );
    text += "\nRaw durable writes of 4 KiB, one after the other, into a pre-written file (us)\n";
    text += &durable(results).to_string();
    text +=
        "\n\nFrom the intended time of an append of 1 KiB to its visibility (us), class device\n";
    text += &latencies(&results.cells).to_string();
    if !results.saturation.is_empty() {
        text += "\n\nThroughput, medians of the rounds\n";
        text += &throughput(results).to_string();
    }
    text
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(head.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn figures(summary: &Summary) -> [String; 5] {
    let us = |us: f64| format!("{us:.0}");
    [
        summary.count.to_string(),
        us(summary.p50_us),
        us(summary.p99_us),
        us(summary.p99_9_us),
        us(summary.max_us),
    ]
}

fn durable(results: &Results) -> Table {
    let mut table = table(&["primitive", "writes", "p50", "p99", "p99.9", "max"]);
    for (name, latencies) in [
        ("O_DSYNC", &results.durable.dsync),
        ("write + fdatasync", &results.durable.write_then_sync),
    ] {
        let mut row = vec![name.to_owned()];
        row.extend(figures(&latencies.summary()));
        table.add_row(row);
    }
    table
}

fn latencies(cells: &[Cell]) -> Table {
    let mut table = table(&[
        "stream",
        "beside",
        "appends",
        "p50",
        "p99",
        "p99.9",
        "max",
        "round p99",
        "round p99.9",
        "to alone",
        "beside MB/s",
        "commits/s",
        "entries each",
        "checkpoints",
        "CPU %",
    ]);
    for cell in cells {
        let summary = cell.latencies.summary();
        let alone = cells.iter().find(|other| {
            (other.rate, other.logs, other.neighbour) == (cell.rate, cell.logs, Neighbour::Alone)
        });
        let ratio = alone
            .map_or(String::new(), |alone| format!("{:.2}", round_tail(cell) / round_tail(alone)));
        let mean = |of: fn(&Round) -> f64| {
            cell.rounds.iter().map(of).sum::<f64>() / cell.rounds.len().max(1) as f64
        };
        let mut row =
            vec![format!("{}/s, {} logs", cell.rate, cell.logs), cell.neighbour.to_string()];
        row.extend(figures(&summary));
        let round_p99 = median(cell.rounds.iter().map(|round| round.latency.p99_us).collect());
        row.extend([format!("{round_p99:.0}"), format!("{:.0}", round_tail(cell)), ratio]);
        row.push(format!("{:.0}", mean(|round| round.neighbour_mb_s)));
        row.push(format!("{:.0}", mean(|round| round.journal_writes_s)));
        row.push(format!("{:.1}", mean(|round| round.entries_per_write)));
        row.push(cell.rounds.iter().map(|round| round.checkpoints).sum::<u64>().to_string());
        row.push(format!("{:.0}", mean(|round| round.processor_percent)));
        table.add_row(row);
    }
    table
}

/// The p99.9 of the median round. Bursts of other users of the disk hit some rounds and fill the tail of the merged
/// histogram; this is what is left between them.
fn round_tail(cell: &Cell) -> f64 {
    median(cell.rounds.iter().map(|round| round.latency.p99_9_us).collect())
}

fn throughput(results: &Results) -> Table {
    let mut table = table(&[
        "what",
        "MB/s visible",
        "of raw",
        "MB/s to the segments",
        "CPU s per GB",
        "commits/s",
        "KiB each",
        "no room, permille",
    ]);
    let raw = median(results.raw_stream_mb_s.clone());
    let mut row = vec!["raw direct writes, 4 x 1 MiB".to_owned(), format!("{raw:.0}")];
    row.resize(8, String::new());
    table.add_row(row);
    let mut sizes: Vec<usize> = results.saturation.iter().map(|one| one.batch_bytes).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for size in sizes.into_iter().rev() {
        let of = |figure: fn(&Saturation) -> f64| {
            let all = results.saturation.iter().filter(|one| one.batch_bytes == size);
            median(all.map(figure).collect())
        };
        let visible = of(|one| one.visible_mb_s);
        table.add_row([
            format!("batches of {} KiB", size >> 10),
            format!("{visible:.0}"),
            format!("{:.2}", visible / raw),
            format!("{:.0}", of(|one| one.written_behind_mb_s)),
            format!("{:.2}", of(|one| one.processor_s_per_gb)),
            format!("{:.0}", of(|one| one.journal_writes_s)),
            format!("{:.0}", of(|one| one.journal_write_bytes / 1024.0)),
            format!("{:.0}", of(|one| one.no_room_permille)),
        ]);
    }
    table
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// As JSON, rounds and all.
pub fn json(provenance: &Provenance, results: &Results) -> String {
    #[derive(Serialize)]
    struct OneCell<'a> {
        rate: u32,
        logs: usize,
        neighbour: Neighbour,
        latency: Summary,
        rounds: &'a [Round],
    }
    let cells: Vec<OneCell<'_>> = results
        .cells
        .iter()
        .map(|cell| OneCell {
            rate: cell.rate,
            logs: cell.logs,
            neighbour: cell.neighbour,
            latency: cell.latencies.summary(),
            rounds: &cell.rounds,
        })
        .collect();
    let value = json!({
        "provenance": provenance,
        "load_after": provenance::load(),
        "flush": results.flush,
        "durability": "device",
        "raw_durable_4k": {
            "o_dsync": results.durable.dsync.summary(),
            "write_then_fdatasync": results.durable.write_then_sync.summary(),
        },
        "append_to_visible": cells,
        "raw_stream_mb_s": results.raw_stream_mb_s,
        "saturation": results.saturation,
    });
    format!("{value:#}\n")
}

//! The order of a run: everything in turns, so that all of it sees the same machine.

use std::rc::Rc;
use std::time::Duration;

use bench::latency::{Latencies, Summary};
use bench::processor;
use engine::task::{self, Queue};
use engine::time;
use serde::Serialize;

use crate::load::OpenLoop;
use crate::neighbour::{Neighbour, OLD_BATCH_BYTES};
use crate::options::Options;
use crate::raw::{self, Durable};
use crate::saturation::{self, Saturation};
use crate::stand::{self, Stand};

/// Bytes of a batch of the stream that is watched.
const WATCHED_BATCH_BYTES: usize = 1024;

/// Bytes on their way while the old data is made.
const OLD_IN_FLIGHT: usize = 64;

/// What a run found.
pub struct Results {
    /// The flush primitive the journal used.
    pub flush: &'static str,
    /// Raw durable writes.
    pub durable: Durable,
    /// MB/s of raw large writes, one figure per round.
    pub raw_stream_mb_s: Vec<f64>,
    /// Throughput, one figure per round and size.
    pub saturation: Vec<Saturation>,
    /// Latency beside each neighbour.
    pub cells: Vec<Cell>,
}

/// One stream beside one neighbour, all rounds of it.
pub struct Cell {
    /// Appends per second.
    pub rate: u32,
    /// Logs they went to.
    pub logs: usize,
    /// What else went on.
    pub neighbour: Neighbour,
    /// From the intended time to visibility.
    pub latencies: Latencies,
    /// What each round had to say by itself.
    pub rounds: Vec<Round>,
}

/// One round of a cell.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// The stream's latencies.
    pub latency: Summary,
    /// MB/s of the neighbour.
    pub neighbour_mb_s: f64,
    /// Journal writes per second, and entries in each.
    pub journal_writes_s: f64,
    /// Entries of a journal write.
    pub entries_per_write: f64,
    /// Checkpoints that were made meanwhile.
    pub checkpoints: u64,
    /// Writes to segments, and their bytes.
    pub segment_writes: u64,
    /// Bytes they wrote.
    pub segment_bytes: u64,
    /// Appends that met no room.
    pub no_room: u64,
    /// Appends that were refused.
    pub refused: u64,
    /// Tasks of the shard that ran for more than half a millisecond, by queue.
    pub long_tasks: [u64; 4],
    /// Processor time used, in percent of one core.
    pub processor_percent: f64,
}

/// Performs the run.
pub async fn run(options: Options) -> Result<Results, String> {
    let stand = Rc::new(Stand::open(&options).await?);
    let measured = measure(&stand, &options).await;
    let stand = Rc::into_inner(stand).ok_or("a measurement has not ended")?;
    let closed = stand.close(options.keep).await;
    let results = measured?;
    closed.map(|()| results)
}

async fn measure(stand: &Rc<Stand>, options: &Options) -> Result<Results, String> {
    if options.neighbours.contains(&Neighbour::ColdReader) {
        eprintln!("writing {} MiB to be read cold", options.cold_mib);
        write_old(stand, options.cold_mib << 20).await?;
    }
    let mut results = Results {
        flush: stand.flush,
        durable: Durable::default(),
        raw_stream_mb_s: Vec::new(),
        saturation: Vec::new(),
        cells: cells(options),
    };
    let io = |error: std::io::Error| error.to_string();
    for round in 0..options.rounds {
        stand.settle().await?;
        eprintln!("round {} of {}: raw writes", round + 1, options.rounds);
        raw::durable(stand, options.duration() / 2, &mut results.durable).await.map_err(io)?;
        for cell in &mut results.cells {
            let Cell { rate, logs, neighbour, .. } = cell;
            eprintln!("round {}: {rate}/s to {logs} logs, {neighbour}", round + 1);
            let found = one_round(stand, options, cell, round).await?;
            cell.rounds.push(found);
            stand.settle().await?;
        }
        if options.saturation.is_empty() {
            continue;
        }
        eprintln!("round {}: throughput", round + 1);
        let stream = raw::stream(stand, options.duration()).await.map_err(io)?;
        results.raw_stream_mb_s.push(stream / 1e6);
        for bytes in &options.saturation {
            let found = saturation::measure(stand, *bytes, options.duration()).await?;
            results.saturation.push(found);
            stand.settle().await?;
        }
    }
    Ok(results)
}

fn cells(options: &Options) -> Vec<Cell> {
    let mut cells = Vec::new();
    for &rate in &options.rates {
        for &logs in &options.logs {
            for &neighbour in &options.neighbours {
                let (latencies, rounds) = (Latencies::new(), Vec::new());
                cells.push(Cell { rate, logs, neighbour, latencies, rounds });
            }
        }
    }
    cells
}

async fn one_round(
    stand: &Rc<Stand>,
    options: &Options,
    cell: &mut Cell,
    round: u32,
) -> Result<Round, String> {
    let (batch, _) = stand::batch(WATCHED_BATCH_BYTES);
    let logs = stand.watched[..cell.logs].to_vec();
    let until = time::now() + options.duration();
    let (journal, store) = (stand.store.journal().stats(), stand.store.stats());
    let (loop_before, used, begun) = (engine::shard::stats(), processor::used(), time::now());
    let (neighbour, their_stand, their_options) = (cell.neighbour, stand.clone(), options.clone());
    let working = task::spawn(Queue::Produce, async move {
        neighbour.run(&their_stand, &their_options, until).await
    });
    let seed = u64::from(round) * 1000 + u64::from(cell.rate) + cell.logs as u64;
    let stream = OpenLoop { logs, batch, rate: f64::from(cell.rate), until, seed };
    let outcome = stream.run().await;
    let neighbour_bytes = working.await;
    let took = begun.elapsed().as_secs_f64();
    let used = processor::used().saturating_sub(used);
    let (journal_now, store_now) = (stand.store.journal().stats(), stand.store.stats());
    let loop_now = engine::shard::stats();
    cell.latencies.merge(&outcome.latencies);
    let writes = journal_now.writes - journal.writes;
    Ok(Round {
        latency: outcome.latencies.summary(),
        neighbour_mb_s: neighbour_bytes as f64 / 1e6 / took,
        journal_writes_s: writes as f64 / took,
        entries_per_write: (journal_now.entries - journal.entries) as f64 / writes.max(1) as f64,
        checkpoints: store_now.checkpoints - store.checkpoints,
        segment_writes: store_now.segment_writes - store.segment_writes,
        segment_bytes: store_now.segment_written_bytes - store.segment_written_bytes,
        no_room: store_now.no_room - store.no_room,
        refused: outcome.refused,
        long_tasks: std::array::from_fn(|queue| {
            loop_now.long_tasks[queue] - loop_before.long_tasks[queue]
        }),
        processor_percent: used.as_secs_f64() / took * 100.0,
    })
}

/// Fills the logs that are read cold.
async fn write_old(stand: &Stand, bytes: u64) -> Result<(), String> {
    let (batch, _) = stand::batch(OLD_BATCH_BYTES);
    while stand.old.iter().map(|log| log.bytes()).sum::<u64>() < bytes {
        let until = time::now() + Duration::from_millis(200);
        let written = crate::load::closed_loop(&stand.old, &batch, OLD_IN_FLIGHT, until).await;
        written.map_err(|error| error.to_string())?;
    }
    Ok(())
}

//! What the device itself can do: durable 4 KiB writes with each flush primitive, and a stream of large writes.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bench::latency::Latencies;
use engine::file::{File, OpenOptions};
use engine::task::{self, Queue};
use engine::time;

use crate::stand::{self, RAW_BYTES, Stand};

const BLOCK_BYTES: usize = 4096;

/// Bytes of a write of the stream, and how many are in flight.
const STREAM_WRITE_BYTES: usize = 1 << 20;
const STREAM_IN_FLIGHT: usize = 4;

/// Durable writes one after the other, by flush primitive.
#[derive(Clone, Debug, Default)]
pub struct Durable {
    /// O_DSYNC.
    pub dsync: Latencies,
    /// A write linked to fdatasync.
    pub write_then_sync: Latencies,
}

/// Writes 4 KiB after 4 KiB into the pre-written file, with both primitives in turn.
pub async fn durable(stand: &Stand, duration: Duration, into: &mut Durable) -> std::io::Result<()> {
    let plain = File::open(&stand.raw, OpenOptions::new().write().direct()).await?;
    let dsync = File::open(&stand.raw, OpenOptions::new().write().direct().dsync()).await?;
    let data = stand::raw_data(BLOCK_BYTES).await.map_err(std::io::Error::other)?;
    let end = time::now() + duration;
    let mut position = 0;
    while time::now() < end {
        let begun = time::now();
        dsync.write_at(position, data.clone()).await?;
        let between = time::now();
        plain.write_at_synced(position + BLOCK_BYTES as u64, data.clone()).await?;
        into.dsync.record(between.since(begun));
        into.write_then_sync.record(between.elapsed());
        position = (position + 2 * BLOCK_BYTES as u64) % RAW_BYTES;
    }
    Ok(())
}

/// Bytes per second of large direct writes in a row.
pub async fn stream(stand: &Stand, duration: Duration) -> std::io::Result<f64> {
    let file = File::open(&stand.raw, OpenOptions::new().write().direct()).await?;
    let data = stand::raw_data(STREAM_WRITE_BYTES).await.map_err(std::io::Error::other)?;
    let (next, done) = (Rc::new(Cell::new(0_u64)), Rc::new(Cell::new(0_u64)));
    let (start, end) = (time::now(), time::now() + duration);
    let mut writers = Vec::new();
    for _ in 0..STREAM_IN_FLIGHT {
        let (file, data) = (file.clone(), data.clone());
        let (next, done) = (next.clone(), done.clone());
        writers.push(task::spawn(Queue::Produce, async move {
            while time::now() < end {
                let at = next.get();
                next.set(at + data.len() as u64);
                file.write_at(at % RAW_BYTES, data.clone()).await?;
                done.set(done.get() + data.len() as u64);
            }
            std::io::Result::Ok(())
        }));
    }
    for writer in writers {
        writer.await?;
    }
    Ok(done.get() as f64 / start.elapsed().as_secs_f64())
}

//! What else goes on while the journal is watched: work of the store, and the same amount of raw work as a yardstick of
//! what the device itself does to its users.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use clap::ValueEnum;
use engine::file::{File, OpenOptions};
use engine::sync::Semaphore;
use engine::task::{self, Queue};
use engine::time::{self, Instant};
use serde::Serialize;
use storage::ids::{Count, Offset};
use storage::log::read::Read;
use storage::store::LogHandle;

use crate::load::OpenLoop;
use crate::options::Options;
use crate::stand::{self, RAW_BYTES, Stand};

/// Bytes of a batch in the logs that are read cold.
pub const OLD_BATCH_BYTES: usize = 64 << 10;

/// The most one cold read asks for.
const COLD_READ_BYTES: usize = 1 << 20;

/// Bytes of a raw write, and of a raw read: as large as write-behind's and the cold reader's.
const RAW_WRITE_BYTES: usize = 1 << 20;
const RAW_READ_BYTES: usize = 256 << 10;

/// The neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Neighbour {
    /// None.
    Alone,
    /// Large batches to other logs: they pass through the same journal and are written behind.
    WriteBehind,
    /// A reader that drains old segments as fast as it can.
    ColdReader,
    /// Raw direct writes to another file, as many MB/s as the large batches have.
    RawWrites,
    /// Raw direct reads of another file, as fast as they come, two in flight.
    RawReads,
}

impl Neighbour {
    /// All of them.
    pub const ALL: [Neighbour; 5] = [
        Neighbour::Alone,
        Neighbour::WriteBehind,
        Neighbour::ColdReader,
        Neighbour::RawWrites,
        Neighbour::RawReads,
    ];

    /// Does its work until then; returns the bytes it wrote or read.
    pub async fn run(self, stand: &Rc<Stand>, options: &Options, until: Instant) -> u64 {
        match self {
            Neighbour::Alone => 0,
            Neighbour::WriteBehind => write_bulk(stand, options, until).await,
            Neighbour::ColdReader => read_old(&stand.old, until).await,
            Neighbour::RawWrites => raw_writes(stand, options.neighbour_mb, until).await,
            Neighbour::RawReads => raw_reads(stand, until).await,
        }
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no neighbour is hidden");
        f.write_str(value.get_name())
    }
}

async fn write_bulk(stand: &Stand, options: &Options, until: Instant) -> u64 {
    let (batch, _) = stand::batch(options.neighbour_batch);
    let rate = options.neighbour_mb * 1e6 / batch.len() as f64;
    let stream = OpenLoop { logs: stand.bulk.clone(), batch, rate, until, seed: 77 };
    stream.run().await.bytes
}

/// Reads the logs from their beginning to where memory begins, and again, as a lagging consumer does.
async fn read_old(logs: &[LogHandle], until: Instant) -> u64 {
    let (batch, records) = stand::batch(OLD_BATCH_BYTES);
    let mut total = 0;
    loop {
        for log in logs {
            let mut from = Offset::ZERO;
            while let Ok(Read::Cold(cold)) = log.read(from, COLD_READ_BYTES, true) {
                if time::now() >= until {
                    return total;
                }
                let reader = log.clone();
                // As the broker does.
                let reading = task::spawn(Queue::Cold, async move { reader.read_cold(cold).await });
                let Ok(pieces) = reading.await else { return total };
                let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
                if bytes == 0 {
                    break;
                }
                total += bytes as u64;
                from += Count((bytes / batch.len()) as i64 * records);
            }
            task::yield_now().await;
        }
        if time::now() >= until {
            return total;
        }
    }
}

async fn raw_writes(stand: &Stand, mb: f64, until: Instant) -> u64 {
    let options = OpenOptions::new().write().direct();
    let Ok(file) = File::open(&stand.raw, options).await else { return 0 };
    let Ok(data) = stand::raw_data(RAW_WRITE_BYTES).await else { return 0 };
    let pause = std::time::Duration::from_secs_f64(data.len() as f64 / (mb * 1e6));
    let (mut due, mut total) = (time::now(), 0);
    while due < until {
        time::sleep_until(due).await;
        if file.write_at(total % RAW_BYTES, data.clone()).await.is_err() {
            return total;
        }
        total += data.len() as u64;
        due = due + pause;
    }
    total
}

async fn raw_reads(stand: &Stand, until: Instant) -> u64 {
    let Ok(file) = File::open(&stand.raw, OpenOptions::new().read().direct()).await else {
        return 0;
    };
    let total = Rc::new(Cell::new(0_u64));
    let two = Semaphore::new(2);
    let mut position = 0;
    while time::now() < until {
        let Ok(permit) = two.acquire(1).await else { break };
        let Ok(block) = engine::buffer::alloc(RAW_READ_BYTES).await else { break };
        let (file, total) = (file.clone(), total.clone());
        let at = position % RAW_BYTES;
        position += RAW_READ_BYTES as u64;
        task::spawn(Queue::Cold, async move {
            let (read, _) = file.read_at(at, block).await;
            total.set(total.get() + read.unwrap_or(0) as u64);
            drop(permit);
        });
    }
    let _ = two.acquire(2).await;
    total.get()
}

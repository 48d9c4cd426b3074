//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::neighbour::Neighbour;

/// Measures durable writes, the journal alone, and the journal beside write-behind and cold reads.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// A directory on the file system to measure; a fresh data directory is made in it and removed again.
    pub data_dir: PathBuf,
    /// How often everything is measured, in turns.
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// How long one measurement of a round takes.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Appends per second of the stream that is watched.
    #[arg(long, value_delimiter = ',', default_values_t = [1000, 5000])]
    pub rates: Vec<u32>,
    /// Logs that stream goes to.
    #[arg(long, value_delimiter = ',', default_values_t = [4, 64])]
    pub logs: Vec<usize>,
    /// What else happens meanwhile.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = Neighbour::ALL)]
    pub neighbours: Vec<Neighbour>,
    /// MB/s that the writing neighbours offer.
    #[arg(long, default_value_t = 75.0)]
    pub neighbour_mb: f64,
    /// Bytes of a batch of the writing neighbour.
    #[arg(long, default_value_t = 256 << 10)]
    pub neighbour_batch: usize,
    /// MiB that cold readers read again and again; beyond every cache.
    #[arg(long, default_value_t = 768)]
    pub cold_mib: u64,
    /// Bytes of the batches whose throughput is measured; none: leave it out.
    #[arg(long, value_delimiter = ',', default_values_t = [256 << 10, 16 << 10])]
    pub saturation: Vec<usize>,
    /// Bytes that segment writes and cold reads may have in flight; the broker's are 8 MiB.
    #[arg(long, default_value_t = 8 << 20)]
    pub device_bytes: usize,
    /// Milliseconds between checkpoints; the broker's are 10 s.
    #[arg(long, default_value_t = 10_000)]
    pub checkpoint_ms: u64,
    /// Leave the data directory behind.
    #[arg(long)]
    pub keep: bool,
    /// Where the results go as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

impl Options {
    /// How long one measurement of a round takes.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// The most logs any stream goes to.
    pub fn logs_max(&self) -> usize {
        self.logs.iter().copied().max().unwrap_or(1)
    }
}

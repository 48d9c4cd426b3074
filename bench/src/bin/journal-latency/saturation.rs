//! How much goes through the store when producers never pause.

use std::time::Duration;

use bench::processor;
use engine::time;
use serde::Serialize;

use crate::load;
use crate::stand::{self, Stand};

/// Bytes of batches on their way at a time.
const WINDOW_BYTES: usize = 8 << 20;

/// One measurement.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Saturation {
    /// Bytes of a batch.
    pub batch_bytes: usize,
    /// MB/s that became visible.
    pub visible_mb_s: f64,
    /// MB/s over the time until all of it was in segments.
    pub written_behind_mb_s: f64,
    /// Processor seconds per GB, until all of it was in segments.
    pub processor_s_per_gb: f64,
    /// Times the journal was written per second.
    pub journal_writes_s: f64,
    /// Bytes of a journal write.
    pub journal_write_bytes: f64,
    /// Appends that met no room, of 1,000.
    pub no_room_permille: f64,
}

/// Appends as fast as 8 MiB on their way allow.
pub async fn measure(
    stand: &Stand,
    batch_bytes: usize,
    duration: Duration,
) -> Result<Saturation, String> {
    let (batch, _) = stand::batch(batch_bytes);
    let in_flight = (WINDOW_BYTES / batch_bytes).max(1);
    let (journal, store) = (stand.store.journal().stats(), stand.store.stats());
    let (begun, used) = (time::now(), processor::used());
    let bytes = load::closed_loop(&stand.bulk, &batch, in_flight, begun + duration).await;
    let bytes = bytes.map_err(|error| error.to_string())?;
    let took = begun.elapsed();
    while stand.store.stats().unwritten_bytes > 0 {
        time::sleep(Duration::from_millis(5)).await;
    }
    let (settled, used) = (begun.elapsed(), processor::used().saturating_sub(used));
    let (journal_now, store_now) = (stand.store.journal().stats(), stand.store.stats());
    let appended = (store_now.appended_bytes - store.appended_bytes) as f64;
    let writes = (journal_now.writes - journal.writes) as f64;
    Ok(Saturation {
        batch_bytes,
        visible_mb_s: bytes as f64 / 1e6 / duration.as_secs_f64(),
        written_behind_mb_s: appended / 1e6 / settled.as_secs_f64(),
        processor_s_per_gb: used.as_secs_f64() / (appended / 1e9),
        journal_writes_s: writes / took.as_secs_f64(),
        journal_write_bytes: (journal_now.bytes - journal.bytes) as f64 / writes.max(1.0),
        no_room_permille: (store_now.no_room - store.no_room) as f64 * 1000.0
            / (store_now.appends - store.appends).max(1) as f64,
    })
}

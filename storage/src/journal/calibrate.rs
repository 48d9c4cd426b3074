//! Which flush primitive this device likes better: measured at the first start, and again on request.
//!
//! Both are tried in turn on a pre-written file, so that both see the same weather. The figures are kept in the
//! superblock, for people too.

use crate::disk::{self, Pace};
use crate::superblock::Calibration;
use engine::file::{self, File, OpenOptions};
use engine::time;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Writes of each kind.
const WRITES: u64 = 64;
/// No fewer, however slow the device is.
const WRITES_MIN: u64 = 8;
/// A first start should not wait longer for this.
const TIME_MAX: Duration = Duration::from_millis(100);
const BLOCK: u64 = 4096;

/// Measures both primitives with 4 KiB writes to a file in `dir`, which is removed again.
pub async fn calibrate(dir: &Path) -> io::Result<Calibration> {
    let path = dir.join("calibrate.tmp");
    let result = measure(&path).await;
    disk::remove_if_there(&path).await?;
    result
}

async fn measure(path: &Path) -> io::Result<Calibration> {
    disk::write_zeros(path, 2 * WRITES * BLOCK, || Pace::Urgent).await?;
    let plain = File::open(path, OpenOptions::new().write().direct()).await?;
    let dsync = File::open(path, OpenOptions::new().write().direct().dsync()).await?;
    let data = disk::aligned(&[0x5a; BLOCK as usize]).await?;
    let (mut dsync_us, mut sync_us) = (Vec::new(), Vec::new());
    let started = time::now();
    for turn in 0..WRITES {
        let begun = time::now();
        dsync.write_at(2 * turn * BLOCK, data.clone()).await?;
        let between = time::now();
        plain.write_at_synced((2 * turn + 1) * BLOCK, data.clone()).await?;
        dsync_us.push(micros(between.since(begun)));
        sync_us.push(micros(time::now().since(between)));
        if turn + 1 >= WRITES_MIN && time::now().since(started) > TIME_MAX {
            break;
        }
    }
    plain.close().await?;
    dsync.close().await?;
    Ok(Calibration {
        writes: dsync_us.len() as u32,
        dsync_p50_us: percentile(&mut dsync_us, 50),
        dsync_p99_us: percentile(&mut dsync_us, 99),
        sync_p50_us: percentile(&mut sync_us, 50),
        sync_p99_us: percentile(&mut sync_us, 99),
    })
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// Nearest rank.
fn percentile(values: &mut [u32], percent: usize) -> u32 {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or(0)
}

/// What stands in the way of direct writes in `dir`, in words; `None` when nothing does.
pub async fn direct_io_refusal(dir: &Path) -> io::Result<Option<String>> {
    let system = file::file_system(dir).await?;
    Ok((!system.supports_direct).then(|| {
        format!("{} is on {}, which has no direct I/O (O_DIRECT)", dir.display(), system.kind)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut values: Vec<u32> = (1..=64).rev().collect();
        assert_eq!(percentile(&mut values, 50), 32);
        assert_eq!(percentile(&mut values, 99), 64);
        assert_eq!(percentile(&mut [7], 99), 7);
        assert_eq!(percentile(&mut [], 50), 0);
    }
}

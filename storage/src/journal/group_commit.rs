//! When the next frame goes out, and how fast entries are let in. Pure.
//!
//! Group commit clocks itself: while one write is in flight, the next frame accumulates, and goes out on completion. A
//! durable write costs 40 to 85 us of CPU whatever is in it (measured, `docs/decisions/0002-journal.md`), so between the
//! rate at which commits are few and the rate at which they fill by themselves there is a band in which each would
//! carry one record and the core would do little else. There, and only there, a commit waits for company.

use std::time::Duration;

/// Below this many entries per millisecond nothing waits.
const RATE_LOW_PER_MS: f64 = 4.0;
/// Entries a waiting commit hopes for.
const ENTRIES_WANTED: f64 = 3.0;
/// Weight of the newest sample in the moving averages.
const WEIGHT: f64 = 1.0 / 16.0;
/// A pause this long between commits says nothing about the rate: the averages start again.
const PAUSE: Duration = Duration::from_millis(20);

/// Moving averages over the recent commits, and the gap they ask for.
pub struct GroupCommit {
    gap_max: Duration,
    entry_interval_us: f64,
    write_us: f64,
    samples: u32,
}

impl GroupCommit {
    /// Gaps never exceed `gap_max`.
    pub fn new(gap_max: Duration) -> GroupCommit {
        GroupCommit { gap_max, entry_interval_us: 0.0, write_us: 0.0, samples: 0 }
    }

    /// A frame with `entries` entries completed, `since_last` after the one before; its write took `write`.
    pub fn on_commit(&mut self, since_last: Duration, write: Duration, entries: usize) {
        if entries == 0 || since_last > PAUSE {
            self.samples = 0;
            return;
        }
        let interval = since_last.as_secs_f64() * 1e6 / entries as f64;
        let write = write.as_secs_f64() * 1e6;
        let weight = if self.samples == 0 { 1.0 } else { WEIGHT };
        self.entry_interval_us += (interval - self.entry_interval_us) * weight;
        self.write_us += (write - self.write_us) * weight;
        self.samples = self.samples.saturating_add(1);
    }

    /// How long the next commit waits after the last one's completion.
    pub fn gap(&self) -> Duration {
        let few = self.samples < 16 || self.entry_interval_us * RATE_LOW_PER_MS > 1000.0;
        let fills_itself = self.write_us >= ENTRIES_WANTED * self.entry_interval_us;
        if few || fills_itself {
            return Duration::ZERO;
        }
        let wanted = ENTRIES_WANTED * self.entry_interval_us - self.write_us;
        Duration::from_nanos((wanted * 1000.0) as u64).min(self.gap_max)
    }
}

/// The fill of the journal from which entries are slowed.
pub const SLOW_FROM: f64 = 0.5;
/// Nanoseconds a byte costs half-way between there and full.
const BYTE_COST_NS: f64 = 10.0;
/// How far ahead of the pace a burst may run.
const BURST: Duration = Duration::from_millis(2);

/// Slows entries from half full on: each byte let in costs time, more the fuller the journal is, without a cliff.
///
/// Half-way between `SLOW_FROM` and full this allows 100 MB/s; at nine tenths of the way 11 MB/s; at 99 hundredths
/// 1 MB/s. Write-behind and checkpoints push nothing, so they pass while producers wait.
#[derive(Default)]
pub struct Pace {
    next_ns: u64,
}

impl Pace {
    /// How long until an entry may go in at `now_ns`, at this fill (0..1).
    pub fn wait(&self, now_ns: u64, fill: f64) -> Duration {
        if fill < SLOW_FROM {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.next_ns.saturating_sub(now_ns)).saturating_sub(BURST)
    }

    /// An entry of `bytes` went in.
    pub fn on_entry(&mut self, now_ns: u64, fill: f64, bytes: usize) {
        if fill < SLOW_FROM {
            self.next_ns = now_ns;
            return;
        }
        let way = ((fill - SLOW_FROM) / (1.0 - SLOW_FROM)).min(0.999);
        let cost = bytes as f64 * BYTE_COST_NS * way / (1.0 - way);
        self.next_ns = self.next_ns.max(now_ns).saturating_add(cost as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap_at(entries_per_second: f64, write_us: u64) -> Duration {
        let mut group = GroupCommit::new(Duration::from_millis(1));
        let interval = Duration::from_secs_f64(1.0 / entries_per_second);
        let write = Duration::from_micros(write_us);
        for _ in 0..200 {
            // Back to back: a commit takes as long as its write, or as the next entry takes to come.
            let since = write.max(interval) + group.gap();
            let entries = (since.as_secs_f64() * entries_per_second).round().max(1.0) as usize;
            group.on_commit(since, write, entries);
        }
        group.gap()
    }

    #[test]
    fn a_commit_waits_only_where_it_would_carry_one_record() {
        assert_eq!(gap_at(500.0, 150), Duration::ZERO, "few commits");
        assert_eq!(gap_at(3_000.0, 150), Duration::ZERO, "few commits");
        let gap = gap_at(6_000.0, 150);
        assert!(gap > Duration::from_micros(150) && gap < Duration::from_micros(500), "{gap:?}");
        assert_eq!(gap_at(50_000.0, 150), Duration::ZERO, "commits fill by themselves");
        assert!(gap_at(5_000.0, 10) <= Duration::from_millis(1));
    }

    #[test]
    fn a_pause_starts_the_averages_again() {
        let mut group = GroupCommit::new(Duration::from_millis(1));
        for _ in 0..50 {
            group.on_commit(Duration::from_micros(170), Duration::from_micros(100), 1);
        }
        assert!(group.gap() > Duration::ZERO);
        group.on_commit(Duration::from_secs(1), Duration::from_micros(100), 1);
        assert_eq!(group.gap(), Duration::ZERO);
    }

    /// Pushes as fast as the pace lets in, for one second, and returns the bytes.
    fn bytes_per_second(fill: f64) -> f64 {
        let mut pace = Pace::default();
        let (mut now, mut bytes) = (0u64, 0usize);
        while now < 1_000_000_000 && bytes < 10 << 30 {
            now += pace.wait(now, fill).as_nanos() as u64;
            pace.on_entry(now, fill, 16 << 10);
            bytes += 16 << 10;
        }
        bytes as f64
    }

    #[test]
    fn the_fuller_the_journal_the_slower_it_takes_entries() {
        assert!(bytes_per_second(0.49) > 5e9);
        let rates = [0.55, 0.65, 0.75, 0.85, 0.95, 0.99].map(bytes_per_second);
        assert!(rates.is_sorted_by(|a, b| a > b), "{rates:?}");
        assert!((90e6..120e6).contains(&rates[2]), "{rates:?}");
        assert!(rates[5] > 1e6, "slow, but never stopped: {rates:?}");
    }
}

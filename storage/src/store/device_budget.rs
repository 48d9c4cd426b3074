//! What write-behind and cold reads of all shards together may have in flight on one device.
//!
//! Without a bound they move the journal's p99 from 0.3 to 0.9 ms (segment writes at 200 MB/s) or to 3 ms (cold reads
//! at full speed): the device's queue is the one thing that all shards share.
//!
//! Even within the bound a commit of one record waits behind the reads that were begun before it. So while small commits
//! go on, cold reads go one after the other, of all shards together, in steps of [`CALM_READ_BYTES`]. Commits that carry
//! much ask for no such care: their clients wait for throughput, and readers must not fall behind them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use engine::time;

/// How long a shard waits before it asks again. Long against a 4 KiB read (0.1 ms), short against a 1 MiB write's turn.
const ASK_AGAIN_AFTER: Duration = Duration::from_micros(500);

/// Bytes read at once while small commits go on. A step takes the device some 0.15 ms, about as long as the commit that may wait behind
/// it (docs/decisions/0004-stalls.md has the figures).
pub const CALM_READ_BYTES: usize = 64 << 10;

/// A commit of at most so many bytes is a small one: what a few clients send that wait for each acknowledgement.
const SMALL_COMMIT_BYTES: u64 = 128 << 10;

/// How long after a small commit the next one is expected.
const COMMITS_GO_ON: Duration = Duration::from_millis(20);

/// The bytes in flight, shared by all shards of a process.
#[derive(Debug)]
pub struct DeviceBudget {
    in_flight: AtomicUsize,
    bytes_max: usize,
    /// When a small commit was flushed last, in nanoseconds of the monotonic clock; 0 never.
    small_commit_at: AtomicU64,
    /// A read that keeps out of the commits' way is in flight.
    calm_read: AtomicBool,
    /// Shards whose turn to read has not come.
    waiting: AtomicUsize,
}

/// A read in flight, which ends when this is dropped.
#[derive(Debug)]
pub struct ReadShare {
    share: Share,
    is_calm: bool,
}

/// Bytes in flight that go back to the budget when this is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<DeviceBudget>,
    bytes: usize,
}

impl DeviceBudget {
    /// A budget of `bytes_max`.
    pub fn new(bytes_max: usize) -> Arc<DeviceBudget> {
        Arc::new(DeviceBudget {
            in_flight: AtomicUsize::new(0),
            bytes_max,
            small_commit_at: AtomicU64::new(0),
            calm_read: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Takes `bytes` if they fit. What is larger than the whole budget fits when nothing else is in flight.
    pub fn try_take(self: &Arc<DeviceBudget>, bytes: usize) -> Option<Share> {
        // Relaxed is enough: the counter guards no other memory, and each update is one atomic step.
        let taken = self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
            (before == 0 || before + bytes <= self.bytes_max).then_some(before + bytes)
        });
        taken.ok().map(|_| Share { budget: self.clone(), bytes })
    }

    /// Waits until `bytes` fit. Shards share no wake-up here, so a refused one asks again a little later.
    pub async fn take(self: &Arc<DeviceBudget>, bytes: usize) -> Share {
        loop {
            if let Some(share) = self.try_take(bytes) {
                return share;
            }
            time::sleep(ASK_AGAIN_AFTER).await;
        }
    }

    /// A journal has flushed a write of `bytes` that somebody waited for.
    pub fn on_commit(&self, bytes: u64) {
        if bytes <= SMALL_COMMIT_BYTES {
            self.small_commit_at.store(time::now().nanos(), Ordering::Relaxed);
        }
    }

    /// Small commits go on: reads keep out of their way.
    pub fn is_calm(&self) -> bool {
        let at = self.small_commit_at.load(Ordering::Relaxed);
        at > 0 && time::now().nanos().saturating_sub(at) < COMMITS_GO_ON.as_nanos() as u64
    }

    /// Begins a read of `bytes` if it may begin now.
    pub fn try_read(self: &Arc<DeviceBudget>, bytes: usize) -> Option<ReadShare> {
        if !self.is_calm() {
            return self.try_take(bytes).map(|share| ReadShare { share, is_calm: false });
        }
        if self.calm_read.swap(true, Ordering::Relaxed) {
            return None;
        }
        let share = self.try_take(bytes);
        if share.is_none() {
            self.calm_read.store(false, Ordering::Relaxed);
        }
        share.map(|share| ReadShare { share, is_calm: true })
    }

    /// Waits until a read of `bytes` may begin. A shard asks for one at a time.
    pub async fn read(self: &Arc<DeviceBudget>, bytes: usize) -> ReadShare {
        if let Some(share) = self.try_read(bytes) {
            return share;
        }
        let _waiting = Waiting::new(&self.waiting);
        loop {
            time::sleep(ASK_AGAIN_AFTER).await;
            if let Some(share) = self.try_read(bytes) {
                return share;
            }
        }
    }

    /// Lets a shard go first whose turn to read has not come, if there is one.
    pub async fn give_way(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            time::sleep(ASK_AGAIN_AFTER).await;
        }
    }

    /// Bytes in flight now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.in_flight.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Drop for ReadShare {
    fn drop(&mut self) {
        if self.is_calm {
            self.share.budget.calm_read.store(false, Ordering::Relaxed);
        }
    }
}

/// One more shard that waits, until this is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Waiting<'_> {
    fn new(count: &AtomicUsize) -> Waiting<'_> {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_go_one_after_the_other_while_small_commits_go_on() {
        let budget = DeviceBudget::new(8 << 20);
        let reads = [budget.try_read(1 << 20), budget.try_read(1 << 20)];
        assert!(reads.iter().all(Option::is_some), "nobody waits for commits");
        drop(reads);
        budget.on_commit(SMALL_COMMIT_BYTES + 1);
        assert!(!budget.is_calm(), "who sends so much at once waits for throughput");
        budget.on_commit(4096);
        let first = budget.try_read(4096);
        assert!(budget.is_calm() && first.is_some());
        assert!(budget.try_read(4096).is_none());
        assert!(budget.try_take(4096).is_some(), "writes do not wait for reads");
        drop(first);
        assert!(budget.try_read(4096).is_some());
        let long_ago = time::now().nanos() - 2 * COMMITS_GO_ON.as_nanos() as u64;
        budget.small_commit_at.store(long_ago, Ordering::Relaxed);
        let reads = [budget.try_read(4096), budget.try_read(4096)];
        assert!(reads.iter().all(Option::is_some), "the last small commit is long ago");
        drop(reads);
        assert_eq!(budget.in_flight(), 0);
    }

    #[test]
    fn shares_come_back() {
        let budget = DeviceBudget::new(100);
        let first = budget.try_take(60);
        assert!(first.is_some());
        assert!(budget.try_take(60).is_none());
        drop(first);
        assert!(budget.try_take(60).is_some(), "dropped at once, so nothing stays in flight");
        assert_eq!(budget.in_flight(), 0);
    }

    #[test]
    fn a_single_large_transfer_is_let_through() {
        let budget = DeviceBudget::new(100);
        let large = budget.try_take(1000);
        assert!(large.is_some());
        assert!(budget.try_take(1).is_none());
    }
}

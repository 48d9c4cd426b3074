//! What the generator itself takes of the machine, and what the broker's process does.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::target::process;

/// Apart by more than this between two looks, the clocks were not moved by the usual slow correction.
const JUMP: Duration = Duration::from_millis(1);

/// How far apart two readings of the one clock may be for a reading of the other between them to count.
const TOGETHER: Duration = Duration::from_micros(200);

/// The generator's threads and the processor time each has used.
#[derive(Debug, Default)]
pub struct Threads {
    /// By number of the thread: what it had used when it ended.
    known: Mutex<BTreeMap<u32, Option<u64>>>,
}

impl Threads {
    /// The calling thread is one of them.
    pub fn enter(&self) {
        if let Some(thread) = this_thread() {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(thread, None);
        }
    }

    /// The calling thread is about to end.
    pub fn leave(&self) {
        if let Some(thread) = this_thread() {
            let used = used_by(thread);
            self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(thread, used);
        }
    }

    /// Processor time in nanoseconds by thread, that of kernel workers added to the thread they work for.
    pub fn used(&self) -> BTreeMap<u32, u64> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let used = |(thread, ended): (&u32, &Option<u64>)| {
            (*thread, ended.or_else(|| used_by(*thread)).unwrap_or(0))
        };
        let mut by_thread: BTreeMap<u32, u64> = known.iter().map(used).collect();
        for (worker, owner) in workers() {
            if let Some(place) = by_thread.get_mut(&owner) {
                *place += used_by(worker).unwrap_or(0);
            }
        }
        by_thread
    }
}

fn this_thread() -> Option<u32> {
    fs::read_link("/proc/thread-self").ok()?.file_name()?.to_str()?.parse().ok()
}

/// Processor time of a thread of this process, in nanoseconds.
fn used_by(thread: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    stat.split(' ').next()?.trim().parse().ok()
}

/// Workers of io_uring, each with the thread that it works for.
fn workers() -> Vec<(u32, u32)> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let worker = |thread: fs::DirEntry| {
        let name = fs::read_to_string(thread.path().join("comm")).ok()?;
        let owner = name.trim().strip_prefix("iou-wrk-")?.parse().ok()?;
        Some((thread.file_name().to_str()?.parse().ok()?, owner))
    };
    threads.flatten().filter_map(worker).collect()
}

/// Notices when the calendar clock is moved.
#[derive(Debug, Default)]
pub struct Clocks {
    apart: Option<i128>,
    jumps: u64,
}

impl Clocks {
    /// Compares the clocks once more.
    pub fn look(&mut self) {
        let before = engine::time::now();
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let after = engine::time::now();
        if after.since(before) > TOGETHER {
            return;
        }
        let wall = since_1970.map_or(0, |time| time.as_nanos() as i128);
        self.compare(wall - i128::from(before.nanos()));
    }

    fn compare(&mut self, apart: i128) {
        let before = self.apart.replace(apart).unwrap_or(apart);
        self.jumps += u64::from((apart - before).unsigned_abs() > JUMP.as_nanos());
    }

    /// How often it was moved.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }
}

/// The broker's process, second by second.
#[derive(Debug, Default)]
pub struct Sampler {
    pid: Option<u32>,
    before: BTreeMap<String, u64>,
    /// Processor time by thread name, and resident memory, of each second.
    pub seconds: Vec<(BTreeMap<String, u64>, u64)>,
    /// Processor time at the begin and the end of the measured time.
    pub cpu: (Option<Duration>, Option<Duration>),
}

impl Sampler {
    /// Of a process, if it is known.
    pub fn new(pid: Option<u32>) -> Sampler {
        Sampler { pid, ..Sampler::default() }
    }

    /// The measured time begins.
    pub fn begin(&mut self) {
        let Some(pid) = self.pid else { return };
        self.before = process::cpu_by_thread(pid);
        self.cpu.0 = process::cpu(pid);
    }

    /// A second is over.
    pub fn second(&mut self) {
        let Some(pid) = self.pid else { return };
        let now = process::cpu_by_thread(pid);
        let grown = |(name, ns): (&String, &u64)| {
            let before = self.before.get(name).copied().unwrap_or(0);
            (name.clone(), ns.saturating_sub(before))
        };
        let spent = now.iter().map(grown).collect();
        self.seconds.push((spent, process::resident(pid).unwrap_or(0)));
        self.before = now;
        self.cpu.1 = process::cpu(pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_clock_is_noticed_and_a_corrected_one_is_not() {
        let mut clocks = Clocks::default();
        [5, 100_000, 200_000, 300_000].into_iter().for_each(|apart| clocks.compare(apart));
        assert_eq!(clocks.jumps(), 0);
        [50_000_000, 50_000_000, 0].into_iter().for_each(|apart| clocks.compare(apart));
        assert_eq!(clocks.jumps(), 2);
    }

    #[test]
    fn a_thread_is_known_after_its_end() {
        let threads = Threads::default();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                threads.enter();
                let this = this_thread().expect("the kernel numbers threads");
                // Until the kernel has seen it work: however fast the machine, it ends.
                while used_by(this).unwrap_or(1) == 0 {
                    std::hint::black_box(workers());
                }
                threads.leave();
            });
            thread.join().expect("it ends");
        });
        let used = threads.used();
        assert_eq!(used.len(), 1);
        assert!(used.values().all(|ns| *ns > 0), "it has done something");
    }
}

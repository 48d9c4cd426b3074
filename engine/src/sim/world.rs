//! A world: one seed, one clock, one disk, and one process at a time.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use super::disk::Disk;
use super::end::ProcessEnd;
use super::here;
use super::process::Process;
use super::shared::Shared;
use crate::shard::ShardId;

/// What a world is made of.
#[derive(Clone, Copy, Debug)]
pub struct WorldConfig {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// The disk's capacity.
    pub disk_bytes: u64,
    /// What [`crate::buffer`] may hand out per shard.
    pub memory_bytes_per_shard: usize,
    /// Keep lines of what happens, not only their hash.
    pub trace: bool,
}

/// A simulated machine. The thread that makes it belongs to it until it is dropped: time and random
/// numbers are the world's there.
pub struct World {
    shared: Rc<Shared>,
    memory_bytes: usize,
    polls_max: u64,
}

/// Polls of one process after which it is held to go round in circles.
const POLLS_MAX: u64 = 20_000_000;

impl World {
    /// A machine with an empty disk.
    ///
    /// # Panics
    /// If the calling thread has a world already.
    pub fn new(config: WorldConfig) -> World {
        let shared = Shared::new(&config);
        here::enter(shared.clone());
        World { shared, memory_bytes: config.memory_bytes_per_shard, polls_max: POLLS_MAX }
    }

    /// Runs a process of `shards` shards, `main` on each. Returns when all their futures have ended, or
    /// when the process has died.
    ///
    /// # Panics
    /// From within a process, or on a thread that is a shard.
    pub fn run<F, Fut, T>(&mut self, shards: usize, main: F) -> ProcessEnd<T>
    where
        F: Fn(ShardId) -> Fut,
        Fut: Future<Output = T> + 'static,
        T: 'static,
    {
        let process = Process::start(self.shared.clone(), shards, self.memory_bytes);
        process.run(main, self.polls_max)
    }

    /// The disk.
    pub fn disk(&self) -> Disk {
        Disk::new(self.shared.clone())
    }

    /// Lets time pass between processes.
    pub fn advance(&mut self, d: Duration) {
        self.shared.pass_until(self.shared.now().saturating_add(d.as_nanos() as u64));
    }

    /// The power goes while no process runs: what an ended process left in caches fares as it does with
    /// [`super::Crash::PowerCut`].
    pub fn cut_power(&mut self) {
        self.shared.power_cut();
    }

    /// Bounds the polls of each process from now on; beyond it the process is [`ProcessEnd::Stuck`].
    pub fn set_polls_max(&mut self, polls: u64) {
        self.polls_max = polls;
    }

    /// A hash over everything that has happened: shards polled, operations with their data and results,
    /// and the time of each. The same seed with the same code gives the same.
    pub fn trace_hash(&self) -> u64 {
        self.shared.trace.hash()
    }

    /// The lines of what happened, if they are kept; of a long run the last million.
    pub fn trace(&self) -> Vec<String> {
        self.shared.trace.lines()
    }

    /// How many events have happened.
    pub fn events(&self) -> u64 {
        self.shared.trace.events()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        here::leave();
    }
}

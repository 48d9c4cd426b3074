//! Where a run takes place, and what is shown of it while it does.

use std::time::Duration;

use crate::latency::Latencies;

/// The broker that is measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Where {
    /// Addresses to begin with, each `HOST:PORT`. The others are learnt from the first that answers.
    pub bootstrap: Vec<String>,
    /// Its process on this host, whose processor time and memory are then sampled.
    pub pid: Option<u32>,
    /// Heddle's admin address, `HOST:PORT`, which tells where requests spend their time.
    pub admin: Option<String>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Topics are created, connections opened, a backlog produced.
    #[default]
    Preparing,
    /// Load, not counted.
    WarmUp,
    /// Load that is measured.
    Measuring,
    /// No new records: acknowledgements and consumers are waited for.
    Draining,
}

/// A run as it goes on. Rates are of the last whole second.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// How far it is.
    pub phase: Phase,
    /// Time spent in the phase.
    pub elapsed: Duration,
    /// Time the phase takes; of [`Phase::Draining`] the most it takes.
    pub of: Duration,
    /// Records meant to be sent.
    pub intended_per_second: f64,
    /// Records acknowledged.
    pub acknowledged_per_second: f64,
    /// Bytes of keys and values acknowledged.
    pub bytes_per_second: f64,
    /// Records that arrived at consumers.
    pub consumed_per_second: f64,
    /// Response latencies of the last second.
    pub response: Latencies,
    /// Records whose time has come and that are not acknowledged.
    pub backlog: u64,
    /// Records given up so far.
    pub failed: u64,
    /// What goes on, where a phase has more to say.
    pub words: Option<String>,
}

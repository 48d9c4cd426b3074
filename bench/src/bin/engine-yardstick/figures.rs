//! What was measured, and its summary.

use serde_json::{Value, json};

/// Echo round trips of one contender at one number of connections.
pub struct Echo {
    pub name: &'static str,
    pub connections: usize,
    /// Of single requests at one connection; of whole waves (one request per connection) at more.
    pub round_trips_ns: Vec<u64>,
    pub requests: u64,
    pub wall_ns: u64,
    /// CPU time of the server's threads; None if it cannot be told.
    pub cpu_ns: Option<u64>,
}

pub struct EchoSummary {
    pub p50_us: f64,
    pub p99_us: f64,
    pub per_second: f64,
    pub cpu_us: Option<f64>,
}

impl Echo {
    pub fn new(name: &'static str, connections: usize) -> Echo {
        let round_trips_ns = Vec::new();
        Echo { name, connections, round_trips_ns, requests: 0, wall_ns: 0, cpu_ns: Some(0) }
    }

    pub fn summary(&self) -> EchoSummary {
        EchoSummary {
            p50_us: quantile(&self.round_trips_ns, 0.50),
            p99_us: quantile(&self.round_trips_ns, 0.99),
            per_second: self.requests as f64 * 1e9 / self.wall_ns.max(1) as f64,
            cpu_us: self.cpu_ns.map(|c| c as f64 / 1e3 / self.requests.max(1) as f64),
        }
    }

    pub fn json(&mut self) -> Value {
        let s = self.summary();
        json!({ "name": self.name, "connections": self.connections, "p50_us": s.p50_us,
            "p99_us": s.p99_us, "requests_per_second": s.per_second,
            "server_cpu_us_per_request": s.cpu_us })
    }
}

/// Hops of one contender: half a round trip each.
pub struct Hop {
    pub name: &'static str,
    hops_ns: Vec<u64>,
    /// CPU time of both threads; None if it cannot be told.
    cpu_ns: Option<u64>,
}

/// Round trips between two threads, as one run measured them.
pub struct Hops {
    pub round_trips_ns: Vec<u64>,
    /// CPU time of both threads, start and end included.
    pub cpu_ns: Option<u64>,
}

pub struct HopSummary {
    pub p10_us: f64,
    pub cpu_us: Option<f64>,
    pub p50_us: f64,
    pub p99_us: f64,
    pub mean_us: f64,
}

impl Hop {
    pub fn new(name: &'static str) -> Hop {
        Hop { name, hops_ns: Vec::new(), cpu_ns: Some(0) }
    }

    pub fn add(&mut self, hops: Hops) {
        self.hops_ns.extend(hops.round_trips_ns.into_iter().map(|ns| ns / 2));
        self.cpu_ns = self.cpu_ns.zip(hops.cpu_ns).map(|(a, b)| a + b);
    }

    pub fn summary(&self) -> HopSummary {
        let mean = self.hops_ns.iter().sum::<u64>() as f64 / self.hops_ns.len().max(1) as f64;
        let hops = 2.0 * self.hops_ns.len().max(1) as f64;
        HopSummary {
            p10_us: quantile(&self.hops_ns, 0.10),
            cpu_us: self.cpu_ns.map(|ns| ns as f64 / 1e3 / hops),
            p50_us: quantile(&self.hops_ns, 0.50),
            p99_us: quantile(&self.hops_ns, 0.99),
            mean_us: mean / 1e3,
        }
    }

    pub fn json(&mut self) -> Value {
        let s = self.summary();
        json!({ "name": self.name, "p10_us": s.p10_us, "p50_us": s.p50_us, "p99_us": s.p99_us,
            "mean_us": s.mean_us, "cpu_us_per_hop": s.cpu_us })
    }
}

/// The quantile of single values (not of averages), in microseconds.
fn quantile(ns: &[u64], q: f64) -> f64 {
    let mut sorted = ns.to_vec();
    sorted.sort_unstable();
    let at = ((sorted.len() as f64 * q) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |ns| *ns as f64 / 1e3)
}

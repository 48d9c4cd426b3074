//! Streams of appends: open loop, each timed from the moment it was meant to be sent.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bench::latency::Latencies;
use engine::sync::Gate;
use engine::task::{self, Queue};
use engine::time::{self, Instant};
use storage::log::append::AppendError;
use storage::store::LogHandle;

use crate::stand::EPOCH;

/// A stream at a mean rate whatever becomes of it; the pauses are random (Poisson), as those of many independent
/// producers are.
pub struct OpenLoop {
    /// Where it goes, in turn.
    pub logs: Vec<LogHandle>,
    /// What is appended each time.
    pub batch: Rc<[u8]>,
    /// Appends per second.
    pub rate: f64,
    /// Until when.
    pub until: Instant,
    /// Different streams get different pauses; a run is the same as the one before.
    pub seed: u64,
}

/// What became of a stream.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// From the intended time to visibility.
    pub latencies: Latencies,
    /// Bytes of the batches.
    pub bytes: u64,
    /// Appends that were refused for good.
    pub refused: u64,
}

impl OpenLoop {
    /// Runs it, and waits for the last append to become visible.
    pub async fn run(self) -> Outcome {
        let outcome = Rc::new(RefCell::new(Outcome::default()));
        let gate = Gate::new();
        let mut pauses =
            Pauses { state: self.seed | 1, mean: Duration::from_secs_f64(1.0 / self.rate) };
        let mut due = time::now();
        for turn in 0_usize.. {
            due = due + pauses.next();
            if due >= self.until {
                break;
            }
            if due > time::now() {
                time::sleep_until(due).await;
            } else if turn % 64 == 0 {
                task::yield_now().await;
            }
            let log = self.logs[turn % self.logs.len()].clone();
            let (batch, outcome) = (self.batch.clone(), outcome.clone());
            let pass = gate.enter().expect("the gate is closed at the end");
            task::spawn(Queue::Produce, async move {
                let done = append(&log, &batch).await;
                let mut outcome = outcome.borrow_mut();
                match done {
                    Ok(()) => outcome.latencies.record(due.elapsed()),
                    Err(_) => outcome.refused += 1,
                }
                outcome.bytes += batch.len() as u64;
                drop(pass);
            });
        }
        gate.close().await;
        outcome.take()
    }
}

/// Appends a batch and waits until it is visible.
pub async fn append(log: &LogHandle, batch: &[u8]) -> Result<(), AppendError> {
    let appended = log.append_waiting(batch, EPOCH, time::unix_ms()).await?;
    log.visible(appended.next_offset()).await
}

/// Exponentially distributed pauses, from xorshift64*.
struct Pauses {
    state: u64,
    mean: Duration,
}

impl Pauses {
    fn next(&mut self) -> Duration {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let bits = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        // In (0, 1]: its logarithm exists.
        let uniform = (bits + 1) as f64 / (1_u64 << 53) as f64;
        self.mean.mul_f64(-uniform.ln())
    }
}

/// As many appends in flight as there are, one after the other, until the time is over. Returns the bytes that became
/// visible in that time.
pub async fn closed_loop(
    logs: &[LogHandle],
    batch: &Rc<[u8]>,
    in_flight: usize,
    until: Instant,
) -> Result<u64, AppendError> {
    let bytes = Rc::new(Cell::new(0));
    let mut loops = Vec::new();
    for number in 0..in_flight {
        let log = logs[number % logs.len()].clone();
        let (batch, bytes) = (batch.clone(), bytes.clone());
        loops.push(task::spawn(Queue::Produce, async move {
            while time::now() < until {
                append(&log, &batch).await?;
                if time::now() < until {
                    bytes.set(bytes.get() + batch.len() as u64);
                }
            }
            Ok::<(), AppendError>(())
        }));
    }
    for one in loops {
        one.await?;
    }
    Ok(bytes.get())
}

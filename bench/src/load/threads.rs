//! The generator's threads: which clients each runs, and how it ends.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::shard::{self, Launch, Running, ShardId};
use engine::task::{self, JoinHandle, Queue};
use engine::{signal, time};

use super::beside::{self, Side};
use super::consumer::Consumer;
use super::context::{Context, Job};
use super::limits::{LOOK, PRODUCER_BYTES_MAX, PRODUCERS_BYTES_MAX, SHARD_MEMORY_BYTES};
use super::meter::{Desk, Note};
use super::producer::Producer;
use super::usage::Threads;
use crate::error::BenchError;
use crate::latency::Latencies;
use crate::plan::Plan;

/// How long clients may take to end after the run was stopped.
const END_MAX: Duration = Duration::from_secs(2);

/// What one thread runs.
pub struct Seat {
    /// Numbers of producers.
    pub producers: Vec<u32>,
    /// Set, number in it, and number through all sets.
    pub consumers: Vec<(u32, u32, usize)>,
    /// What else happens.
    pub sides: Vec<Arc<Side>>,
    /// Where figures are handed in.
    pub notes: Sender<Note>,
    /// Where empty histograms come from.
    pub spares: Receiver<Latencies>,
}

/// How many threads a plan gets.
pub fn count(plan: &Plan, sides: usize) -> usize {
    let clients = plan.producers as usize + (plan.fan_out * plan.consumers) as usize + sides;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = if plan.threads == 0 { processors } else { plan.threads as usize };
    wanted.clamp(1, clients.max(1))
}

/// Starts a thread for each seat.
///
/// # Errors
/// The machine has no io_uring for us, or no memory.
pub fn start(
    job: &Arc<Job>,
    seats: Vec<Seat>,
    threads: &Arc<Threads>,
) -> Result<Running<Infallible>, BenchError> {
    let launch = Launch {
        shards: seats.len(),
        pin: !job.plan.cores.is_empty(),
        cores: job.plan.cores.clone(),
        memory_bytes_per_shard: SHARD_MEMORY_BYTES,
        ..Launch::default()
    };
    let (job, threads) = (job.clone(), threads.clone());
    let seats = Mutex::new(seats.into_iter().map(Some).collect::<Vec<_>>());
    let body = move |shard: ShardId| {
        let at = usize::from(shard.0);
        let seat = seats.lock().unwrap_or_else(PoisonError::into_inner)[at].take();
        let seat = seat.expect("a thread starts once");
        run(job.clone(), seat, threads.clone(), shard)
    };
    let running = shard::launch(launch, body);
    running.map_err(|error| BenchError::failed(format!("the generator cannot start: {error}")))
}

/// What one of so many producers of a thread may hold: [`PRODUCER_BYTES_MAX`], or more where its partitions' open batches
/// would not fit twice and so leave before their time.
fn producer_bytes_max(plan: &Plan, producers: usize) -> usize {
    let share = PRODUCERS_BYTES_MAX / producers.max(1);
    let batch = plan.batch_bytes as usize;
    let open = (plan.topics as usize * plan.partitions as usize).saturating_mul(batch);
    PRODUCER_BYTES_MAX.max(open.saturating_mul(2)).min(share.max(2 * batch))
}

async fn run(
    job: Arc<Job>,
    seat: Seat,
    threads: Arc<Threads>,
    shard: ShardId,
) -> Result<(), Infallible> {
    threads.enter();
    let context = Context::new(job.clone(), Desk::new(seat.notes, seat.spares));
    task::spawn(Queue::Produce, context.clone().tick());
    if shard == ShardId(0) {
        task::spawn(Queue::Background, listen(job.clone()));
    }
    let bytes_max = producer_bytes_max(&job.plan, seat.producers.len());
    let allowance = job.bytes_max / u64::from(job.plan.producers.max(1));
    let producers: Vec<JoinHandle<()>> = seat
        .producers
        .iter()
        .map(|number| {
            let producer = Producer::new(context.clone(), *number, bytes_max, allowance);
            task::spawn(Queue::Produce, producer.run())
        })
        .collect();
    let consumers: Vec<Rc<Consumer>> = seat
        .consumers
        .iter()
        .map(|(set, number, index)| {
            let consumer = Consumer::new(context.clone(), *set, *number);
            task::spawn(Queue::Fetch, consumer.clone().run(*index));
            consumer
        })
        .collect();
    for side in &seat.sides {
        beside::start(side, &context);
    }
    while !context.control().is_stopped() {
        time::sleep(LOOK).await;
    }
    // One that hangs in a call has nothing to tell.
    let ended = async {
        for producer in producers {
            producer.await;
        }
    };
    let _ = time::timeout(END_MAX, ended).await;
    consumers.iter().for_each(|consumer| consumer.finish());
    context.hand_in();
    threads.leave();
    Ok(())
}

/// Ends the run at a signal.
async fn listen(job: Arc<Job>) {
    signal::terminate().await;
    job.control.interrupted.store(true, SeqCst);
    job.control.stopped.store(true, SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_batches_of_all_partitions_fit_twice() {
        let plan = |partitions, batch_bytes| Plan { partitions, batch_bytes, ..Plan::default() };
        assert_eq!(producer_bytes_max(&plan(4, 16 << 10), 1), PRODUCER_BYTES_MAX);
        assert_eq!(producer_bytes_max(&plan(64, 1_000_000), 1), 128_000_000);
        assert_eq!(producer_bytes_max(&plan(10_000, 1_000_000), 1), PRODUCERS_BYTES_MAX);
        assert_eq!(producer_bytes_max(&plan(4, 16 << 10), 1_000), PRODUCERS_BYTES_MAX / 1_000);
        assert_eq!(producer_bytes_max(&plan(4, 1_000_000), 1_000), 2_000_000, "at least one whole");
    }
}

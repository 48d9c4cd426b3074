//! Connections that are opened and closed, and connections that are just there.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use engine::sync::Semaphore;
use engine::task::{self, Queue};
use engine::time;

use super::super::connection::Connection;
use super::super::context::Context;
use super::super::limits::{LOOK, STORM_OPEN_MAX};
use super::side::{self, Side};
use crate::latency::Latencies;

/// Opens connections on a schedule, each for one call. Latencies count from the intended time to the end of the call.
pub async fn storm(side: Arc<Side>, context: Rc<Context>, per_second: f64) {
    let Some((began, end)) = side::measured(&context).await else { return };
    let latencies = Rc::new(RefCell::new(Latencies::new()));
    let failed = Rc::new(Cell::new(0u64));
    let open = Semaphore::new(STORM_OPEN_MAX as u64);
    let addresses: Vec<String> = context.layout().brokers.values().cloned().collect();
    let gap = 1e9 / per_second;
    let mut number = 0u64;
    loop {
        let intended = began + (number as f64 * gap) as u64;
        if intended >= end || context.control().is_stopped() {
            break;
        }
        let wait = intended.saturating_sub(time::now().nanos());
        if wait > 0 {
            time::sleep(Duration::from_nanos(wait)).await;
        }
        let Ok(permit) = open.acquire(1).await else { break };
        let address = addresses[number as usize % addresses.len()].clone();
        let (taken, refused) = (latencies.clone(), failed.clone());
        task::spawn(Queue::Produce, async move {
            match Connection::open(&address).await {
                Ok(_) => {
                    let took = time::now().nanos() - intended;
                    taken.borrow_mut().record_ns(took, 1);
                }
                Err(_) => refused.set(refused.get() + 1),
            }
            drop(permit);
        });
        number += 1;
        if number.is_multiple_of(64) {
            note(&side, number, &latencies.borrow(), failed.get());
        }
    }
    // Those that are still open may end: the drain takes longer than a call.
    while open.available() < STORM_OPEN_MAX as u64 && !context.control().is_stopped() {
        time::sleep(LOOK).await;
    }
    note(&side, number, &latencies.borrow(), failed.get());
}

fn note(side: &Side, attempts: u64, latencies: &Latencies, failed: u64) {
    let summary = latencies.summary();
    side.note(&[
        ("attempts", attempts as f64),
        ("opened", summary.count as f64),
        ("failed", failed as f64),
        ("p50_us", summary.p50_us),
        ("p99_us", summary.p99_us),
        ("max_us", summary.max_us),
    ]);
}

/// Opens connections before the load, and leaves them alone until it is over.
pub async fn idle(side: Arc<Side>, context: Rc<Context>, count: u32) {
    let addresses: Vec<String> = context.layout().brokers.values().cloned().collect();
    let mut open = Vec::new();
    let mut failed = 0;
    for number in 0..count as usize {
        match Connection::open(&addresses[number % addresses.len()]).await {
            Ok(connection) => open.push(connection),
            Err(_) => failed += 1,
        }
        if context.control().is_stopped() {
            return;
        }
    }
    side.note(&[("open", open.len() as f64), ("failed", f64::from(failed))]);
    if side::measured(&context).await.is_none() {
        return;
    }
    while context.control().finished.load(SeqCst) < context.plan().producers as usize
        && !context.control().is_stopped()
    {
        time::sleep(LOOK).await;
    }
    // What the broker closed meanwhile has something to read: the end of the stream.
    let mut closed = 0;
    for connection in open {
        let (_stream, mut incoming) = connection.split();
        let ended = time::timeout(Duration::ZERO, incoming.next()).await;
        closed += u32::from(ended.is_ok());
    }
    side.note(&[("closed_by_broker", f64::from(closed))]);
}

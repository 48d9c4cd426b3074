//! Measures the journal alone: records of a given size pushed open-loop at a given rate, the time from the intended
//! push to the commit, and what it cost.
//!
//! `cargo run --release -p storage --example journal_latency -- DIR RATE SECONDS [BYTES] [CLASS]`
#![expect(clippy::print_stdout, reason = "a measuring tool prints its result")]

use engine::shard::{Launch, block_on};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use storage::durability::Durability;
use storage::ids::{LogId, Lsn, Offset};
use storage::journal::{Commit, Entry, EntryKind, Journal, PushRefusal};
use storage::node::{Known, Node, NodeOptions};

struct Waiting {
    pushed: VecDeque<(Lsn, u64)>,
    took_ns: Vec<u64>,
}

async fn measure(dir: PathBuf, rate: f64, seconds: f64, bytes: usize, class: Durability) {
    let begun = engine::time::now();
    let node = Node::open(&dir, &NodeOptions::default()).await.expect("the directory opens").node;
    let recovery = node.recover(&Known::default(), 1).await.expect("it recovers");
    let config = recovery.journal_config(0, 64 << 20, 1 << 30);
    let waiting = Rc::new(RefCell::new(Waiting { pushed: VecDeque::new(), took_ns: Vec::new() }));
    let told = waiting.clone();
    let on_commit = Box::new(move |commit: &Commit<'_>| {
        let upto =
            if class == Durability::Device { commit.durable_upto } else { commit.written_upto };
        let now = engine::time::now().nanos();
        let mut waiting = told.borrow_mut();
        while let Some((lsn, at)) = waiting.pushed.front().copied() {
            if lsn >= upto {
                break;
            }
            waiting.pushed.pop_front();
            waiting.took_ns.push(now.saturating_sub(at));
        }
    });
    let journal = Journal::start(config, on_commit).await.expect("the journal starts");
    println!(
        "ready after {:.0} ms, {} ({:?})",
        engine::time::now().since(begun).as_secs_f64() * 1e3,
        recovery.flush.name(),
        node.superblock().calibration
    );
    let payload = vec![0x61; bytes];
    let started = engine::time::now();
    let mut slots: BTreeMap<u32, i64> = BTreeMap::new();
    for number in 0..(rate * seconds) as u64 {
        let intended = started + Duration::from_secs_f64(number as f64 / rate);
        if engine::time::now() < intended {
            engine::time::sleep_until(intended).await;
        }
        let slot = (number % 64) as u32;
        let base = slots.entry(slot).or_default();
        loop {
            let pushed = journal.push(Entry {
                kind: EntryKind::Append,
                slot,
                log: LogId { topic: [1; 16], partition: slot, incarnation: 0 },
                base_offset: Offset(*base),
                next_offset: Offset(*base + 1),
                roll: false,
                durability: class,
                len: bytes,
                write: &mut |to| to.copy_from_slice(&payload),
            });
            match pushed {
                Ok(pushed) => {
                    waiting.borrow_mut().pushed.push_back((pushed.lsn, intended.nanos()));
                    break;
                }
                Err(PushRefusal::Busy) => journal.room_for(bytes).await,
                Err(refusal) => panic!("{refusal}"),
            }
        }
        *base += 1;
        if journal.fill() > 0.3 {
            journal.recycle_before(journal.durable_upto());
        }
    }
    let took = engine::time::now().since(started).as_secs_f64();
    journal.flush().await;
    let stats = journal.stats();
    let mut took_ns = std::mem::take(&mut waiting.borrow_mut().took_ns);
    took_ns.sort_unstable();
    let at = |share: f64| took_ns[((took_ns.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    println!(
        "{:.0}/s of {bytes} B {class}: p50 {:.0} us, p99 {:.0}, p99.9 {:.0}, max {:.0}; {:.2} entries/write, \
         {:.1} MB/s to the device",
        took_ns.len() as f64 / took,
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        stats.entries as f64 / stats.writes as f64,
        stats.bytes as f64 / took / 1e6
    );
    journal.stop().await;
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize, default: f64| {
        arguments.get(at).map_or(default, |text| text.parse().expect("a number"))
    };
    let dir = PathBuf::from(arguments.get(1).map_or("/tmp/heddle-journal", String::as_str));
    let class = arguments.get(5).map_or(Durability::Device, |text| text.parse().expect("a class"));
    let work = measure(dir, number(2, 1000.0), number(3, 5.0), number(4, 1024.0) as usize, class);
    block_on(&Launch::default(), work).expect("the engine starts");
}

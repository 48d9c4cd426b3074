//! Journals on a disk that fails. Goals: with a part that can no longer be read the node starts, and each log has all that
//! was acknowledged or is offline and says so; after a sync that failed the process ends. Method: a small node, one
//! fault, a start; many seeds, because where the fault lies decides what is known. A few seconds.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use engine::sim::{Crash, ProcessEnd, World, WorldConfig, crash, roll};
use engine::time;
use storage::batch::{Builder, Codec, NewRecord, Stamp, patch};
use storage::ids::{LeaderEpoch, LogId, Offset};
use storage::log::{LogConfig, Standing};
use storage::node::{Known, Node, NodeOptions};
use storage::store::{Store, StoreConfig};

const SEEDS: u64 = 150;
const LOGS: u32 = 3;

/// The stored bytes of what was acknowledged, by log.
type Acknowledged = Rc<RefCell<Vec<Vec<u8>>>>;

fn log_id(number: u32) -> LogId {
    LogId { topic: [number as u8 + 1; 16], partition: number, incarnation: 0 }
}

fn log_dir(number: u32) -> String {
    format!("topic-{number}.id/{number}")
}

async fn start() -> (Node, Store, LeaderEpoch) {
    let dir = Path::new("/data");
    let node = Node::open(dir, &NodeOptions { node_id: 1, ..NodeOptions::default() }).await;
    let node = node.unwrap().node;
    let logs = (0..LOGS).map(|one| (log_id(one), log_dir(one))).collect();
    let recovery = node.recover(&Known { logs, ..Known::default() }, 1).await;
    let recovery = recovery.expect("a journal that cannot be read is no reason not to start");
    let mut config = StoreConfig::new(dir.to_owned(), recovery.journal_config(0, 1 << 20, 8 << 20));
    (config.write_behind_age, config.reserve_bytes) = (Duration::from_millis(5), 0);
    // In some worlds checkpoints hold the front of the journal, in others none of it.
    config.checkpoint_interval = Duration::from_millis(1 + roll(400));
    let epoch = LeaderEpoch(recovery.generation.0 as i32);
    let store = Store::start(config, recovery.states).await.unwrap();
    for number in 0..LOGS {
        if store.log(&log_id(number)).is_none() {
            store.create(log_id(number), &log_dir(number), Rc::new(LogConfig::default())).unwrap();
        }
    }
    (node, store, epoch)
}

/// Appends for a while and dies.
async fn live(acknowledged: Acknowledged) {
    let (_node, store, epoch) = start().await;
    for round in 0..40 + roll(40) {
        let number = roll(u64::from(LOGS)) as u32;
        let value = vec![round as u8; 1 + roll(9_000) as usize];
        let mut builder = Builder::new(Codec::None);
        builder.push(NewRecord::of(&value).at(time::unix_ms()));
        let mut batch = builder.build().unwrap();
        let log = store.log(&log_id(number)).unwrap();
        let appended = log.append_waiting(&batch, epoch, time::unix_ms()).await.unwrap();
        log.acknowledged(&appended).await.unwrap();
        patch(&mut batch, appended.base_offset, epoch, Stamp::Keep);
        acknowledged.borrow_mut()[number as usize].extend(batch);
        time::sleep(Duration::from_millis(roll(4))).await;
    }
    // Mostly the idle frame is written, which says that the last one was acknowledged.
    time::sleep(Duration::from_millis(roll(40))).await;
    crash(Crash::Kill)
}

/// Starts again; which logs are offline.
async fn find(acknowledged: Acknowledged) -> Vec<bool> {
    let (_node, store, _) = start().await;
    let mut offline = Vec::new();
    let acknowledged = acknowledged.borrow().clone();
    for (number, expected) in acknowledged.iter().enumerate() {
        let log = store.log(&log_id(number as u32)).unwrap();
        offline.push(matches!(log.standing(), Standing::Offline(_)));
        if offline[number] {
            continue;
        }
        let mut found = Vec::new();
        let mut next = Offset(0);
        while next < log.visible_end() {
            for piece in log.read_any(next, 1 << 20, true).await.unwrap() {
                found.extend_from_slice(&piece);
            }
            let last = storage::batch::split(&found).last().unwrap().unwrap();
            next = last.next_offset();
        }
        // What was on its way may be there as well.
        assert!(
            found.starts_with(expected),
            "log {number}: {} bytes of {}",
            found.len(),
            expected.len()
        );
    }
    offline
}

#[test]
fn a_journal_that_cannot_be_read_costs_only_what_was_there() {
    let (mut whole, mut some, mut all) = (0, 0, 0);
    for seed in 0..SEEDS {
        let (disk_bytes, memory_bytes_per_shard) = (256 << 20, 16 << 20);
        let mut world =
            World::new(WorldConfig { seed, disk_bytes, memory_bytes_per_shard, trace: false });
        let acknowledged: Acknowledged = Rc::new(RefCell::new(vec![Vec::new(); LOGS as usize]));
        let given = acknowledged.clone();
        let ended = world.run(1, move |_| live(given.clone()));
        assert!(matches!(ended, ProcessEnd::Crashed(Crash::Kill)), "seed {seed}");
        assert!(world.disk().latent_read_error("/data/journal/"), "seed {seed}: no journal");
        let given = acknowledged.clone();
        let found = match world.run(1, move |_| find(given.clone())) {
            ProcessEnd::Ended(found) => found,
            ProcessEnd::Panicked(why) => panic!("seed {seed}: {why}"),
            _ => panic!("seed {seed}: the node did not start"),
        };
        match found[0].iter().filter(|offline| **offline).count() {
            0 => whole += 1,
            1 => some += 1,
            _ => all += 1,
        }
    }
    println!("{SEEDS} worlds: nothing lost in {whole}, one log offline in {some}, more in {all}");
    assert!(whole > 0 && some > 0, "the sectors lay in the same place each time");
}

/// The directory of the journals, or a file in it, cannot be synced once: the process ends with its cause instead of
/// asking again, and what it had acknowledged is there.
#[test]
fn a_sync_that_fails_is_not_asked_again() {
    let (mut of_frames, mut of_files, mut at_start) = (0, 0, 0);
    for seed in 0..60 {
        let (disk_bytes, memory_bytes_per_shard) = (256 << 20, 16 << 20);
        let mut world =
            World::new(WorldConfig { seed, disk_bytes, memory_bytes_per_shard, trace: false });
        world.disk().fail_sync(1 + seed % 12, "/data/journal");
        let acknowledged: Acknowledged = Rc::new(RefCell::new(vec![Vec::new(); LOGS as usize]));
        let given = acknowledged.clone();
        match world.run(1, move |_| live(given.clone())) {
            ProcessEnd::Exited { code: 74, message } if message.starts_with("HDL-ST-001") => {
                of_frames += 1;
            }
            ProcessEnd::Exited { code: 74, message } if message.starts_with("HDL-ST-003") => {
                of_files += 1;
            }
            // Before the node had started: `start` would not have it.
            ProcessEnd::Panicked(_) if acknowledged.borrow().concat().is_empty() => at_start += 1,
            ProcessEnd::Exited { code, message } => panic!("seed {seed}: {code}, {message}"),
            ProcessEnd::Crashed(_) => {}
            _ => panic!("seed {seed}: the process neither ended nor went on"),
        }
        world.disk().clear_faults();
        world.cut_power();
        let given = acknowledged.clone();
        let found = match world.run(1, move |_| find(given.clone())) {
            ProcessEnd::Ended(found) => found,
            ProcessEnd::Panicked(why) => panic!("seed {seed}: {why}"),
            _ => panic!("seed {seed}: the node did not start"),
        };
        assert!(found[0].iter().all(|offline| !offline), "seed {seed}: a log is offline");
    }
    println!(
        "a frame's sync failed in {of_frames}, a file's in {of_files}, {at_start} at the start"
    );
    assert!(of_files > 0, "no sync of the journal's files or its directory failed");
}

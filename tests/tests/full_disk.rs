//! A full disk: produce is refused with an error that clients retry, fetches go on, topics can be deleted and created, and
//! when space returns the waiting records go in, again and again without a restart. Then a crash on the full disk, and
//! everything acknowledged is there.
//!
//! On ext4 and XFS on loop devices; a file takes the rest of the space, sometimes to the last block. `HEDDLE_FULL_DISK_CYCLES`
//! is how often each disk fills up (5; about half a minute).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tests::calls::Calls;
use tests::counts::count;
use tests::disk::{Disk, Fault, FileSystem};
use tests::load::{Load, create_topic, read_all};
use tests::verify::verify;
use tests::{BrokerProcess, Settings};

/// What the broker logs when it begins to refuse appends.
const FULL: &str = "HDL-ST-021";
/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// Without an answer for this long after the disk was reported full, the load is stalled.
const STALLED_AFTER: Duration = Duration::from_millis(400);

fn start(disk: &Disk) -> BrokerProcess {
    let settings = Settings::default()
        .data(&disk.path().join("data"))
        .with("journal.file.bytes=4194304")
        .with("journal.bytes.max=33554432")
        .with("log.segment.bytes=4194304");
    let broker = BrokerProcess::start(settings);
    create_topic(&broker.bootstrap(), "small", 2);
    broker
}

/// Takes the space and sends until the broker says that the disk is full and answers no more.
fn fill(disk: &Disk, left: u64, broker: &BrokerProcess, load: &mut Load) -> PathBuf {
    let before = broker.log().matches(FULL).count();
    let ballast = disk.ballast(left);
    let began = Instant::now();
    while broker.log().matches(FULL).count() == before {
        assert!(began.elapsed() < PATIENCE, "the disk never fills up:\n{}", broker.log());
        assert!(load.run_until_stalled(STALLED_AFTER), "the load is never refused");
    }
    ballast
}

fn serves_while_full(broker: &BrokerProcess, load: &Load) {
    let ledger = load.ledger();
    ledger.assert_holds(0, &read_all(&broker.bootstrap(), "small", 0));
    let mut calls = Calls::connect(broker.address());
    assert_eq!(calls.create("meanwhile", 3, &[]), Some(0), "a topic is created on a full disk");
    assert_eq!(calls.delete("meanwhile"), Some(0), "and deleted");
}

fn produce_resumes_without_a_restart(kind: FileSystem) {
    let Some(disk) = Disk::mount(kind, 500, Fault::Plain) else { return };
    let mut broker = start(&disk);
    let mut load = Load::start(&broker.bootstrap(), "small", 2);
    load.wait_for_progress();
    let lefts = [12 << 20, 0, 66 << 20, 4 << 20];
    for cycle in 0..count("HEDDLE_FULL_DISK_CYCLES", 5) {
        let ballast = fill(&disk, lefts[cycle % lefts.len()], &broker, &mut load);
        serves_while_full(&broker, &load);
        std::fs::remove_file(ballast).expect("just made");
        load.wait_for_progress();
    }
    let ledger = load.finish();
    for partition in 0..2 {
        ledger.assert_holds(partition, &read_all(&broker.bootstrap(), "small", partition));
    }
    assert!(broker.stop().success());
}

#[test]
fn produce_waits_until_space_returns_on_ext4() {
    produce_resumes_without_a_restart(FileSystem::Ext4);
}

#[test]
fn produce_waits_until_space_returns_on_xfs() {
    produce_resumes_without_a_restart(FileSystem::Xfs);
}

/// Not a block is left: even the lock file could not grow.
#[test]
fn a_broker_that_dies_on_a_full_disk_starts_on_it() {
    for kind in [FileSystem::Ext4, FileSystem::Xfs] {
        let Some(disk) = Disk::mount(kind, 500, Fault::Plain) else { return };
        let mut broker = start(&disk);
        let mut load = Load::start(&broker.bootstrap(), "small", 2);
        load.run_for(Duration::from_millis(300));
        load.wait_for_progress();
        let ballast = fill(&disk, 0, &broker, &mut load);
        broker.kill();
        verify(broker.data());
        broker.restart();
        serves_while_full(&broker, &load);
        std::fs::remove_file(ballast).expect("just made");
        load.wait_for_progress();
        let ledger = load.finish();
        for partition in 0..2 {
            ledger.assert_holds(partition, &read_all(&broker.bootstrap(), "small", partition));
        }
        assert!(broker.stop().success());
    }
}

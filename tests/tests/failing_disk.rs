//! Disks that fail under the broker: the process ends with exit status 74 and a cause, nothing is acknowledged that is not
//! there, and on the mended disk everything acknowledged is back.
//!
//! Three ways to fail, on loop devices: every write fails; writes go on and only flushes fail, as when a drive cannot write
//! its cache back; the device lied about its size, so that writes to new places fail. Each under load, and mended as by
//! an exchange of the cable: what the device took and never flushed is gone. `HEDDLE_FAILING_DISK_RUNS` is how often of each
//! kind (2; about half a minute).

use std::time::{Duration, Instant};

use tests::counts::count;
use tests::disk::{Disk, Fault, FileSystem};
use tests::storm::Storm;
use tests::verify::verify;
use tests::{BrokerProcess, Settings};

/// How long a disk may take to run full.
const PATIENCE: Duration = Duration::from_secs(60);
/// Exit status after a failed write or sync: sysexits' EX_IOERR.
const EXIT_STORAGE: i32 = 74;

fn settings(disk: &Disk, shards: usize) -> Settings {
    Settings::default()
        .shards(shards)
        .data(&disk.path().join("data"))
        .with("journal.bytes.max=67108864")
        .with("log.segment.bytes=8388608")
}

fn ends_with_its_cause(
    fault: Fault,
    records_per_tick: usize,
    fail: impl Fn(&Disk, &mut BrokerProcess, &mut Storm),
) {
    for run in 0..count("HEDDLE_FAILING_DISK_RUNS", 2) {
        let kind = [FileSystem::Ext4, FileSystem::Xfs][run % 2];
        let Some(disk) = Disk::mount(kind, 700, fault) else { return };
        let shards = 1 + run / 2 % 2;
        let mut broker = BrokerProcess::start(settings(&disk, shards));
        let mut storm = Storm::start(broker.address(), &[(3, "device")], records_per_tick);
        fail(&disk, &mut broker, &mut storm);
        let status = broker.wait_for_end();
        let log = broker.log();
        assert_eq!(status.code(), Some(EXIT_STORAGE), "{fault:?}, run {run}:\n{log}");
        let named = log.contains("HDL-ST-") && !log.contains("panicked");
        assert!(named, "{fault:?}, run {run}: no cause is named:\n{log}");
        storm.on_death();
        disk.mend();
        verify(broker.data());
        broker.restart();
        storm.check();
        storm.run_for(Duration::from_millis(100));
        broker.kill();
        storm.on_death();
        broker.restart();
        storm.finish(1);
        assert!(broker.stop().success());
    }
}

/// Presses the disk's switch under load.
fn press(disk: &Disk, _: &mut BrokerProcess, storm: &mut Storm) {
    let switch = disk.switch();
    storm.run_for(Duration::from_millis(700));
    switch.press();
}

#[test]
fn failed_writes() {
    ends_with_its_cause(Fault::VolatileCache, 10, press);
}

#[test]
fn failed_flushes() {
    ends_with_its_cause(Fault::Flushes, 10, press);
}

#[test]
fn a_disk_that_is_smaller_than_it_says() {
    // The RAM disk below the image holds 200 MB of its 700.
    ends_with_its_cause(Fault::Full(200), 40, |_, broker, storm| {
        let began = Instant::now();
        while broker.is_running() && began.elapsed() < PATIENCE {
            storm.run_for(Duration::from_millis(100));
        }
    });
}

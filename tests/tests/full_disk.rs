//! A full disk: produce is refused with an error that clients retry, fetches go on, and when space returns the
//! waiting records go in without a restart. Then a crash on the full disk, and everything acknowledged is there.

use std::time::{Duration, Instant};

use tests::disk::SmallDisk;
use tests::load::{Load, create_topic, read_all};
use tests::{BrokerProcess, Settings};

#[test]
fn produce_waits_and_fetch_goes_on_until_space_returns() {
    let Some(disk) = SmallDisk::mount(400) else { return };
    let settings = Settings::default()
        .data(&disk.path().join("data"))
        .with("journal.bytes.max=67108864")
        .with("log.segment.bytes=4194304");
    let mut broker = BrokerProcess::start(settings);
    create_topic(&broker.bootstrap(), "small", 2);
    let mut load = Load::start(&broker.bootstrap(), "small", 2);
    load.run_for(Duration::from_millis(300));
    load.wait_for_progress();
    // Let the journal have the files it wants before the rest of the disk is taken.
    std::thread::sleep(Duration::from_secs(3));

    // The crash comes in the round in which not a block is left: even the lock file could not grow.
    for (round, left) in [12 << 20, 0, 4 << 20].into_iter().enumerate() {
        let ballast = disk.ballast(left);
        let stalled = load.run_until_stalled(Duration::from_secs(2));
        assert!(stalled, "round {round}: the disk never filled up:\n{}", broker.log());
        let seen = read_all(&broker.bootstrap(), "small", 0);
        assert!(!seen.is_empty(), "fetches go on while the disk is full");
        if round == 1 {
            broker.kill();
            broker.restart();
            assert!(!read_all(&broker.bootstrap(), "small", 0).is_empty());
        }
        std::fs::remove_file(ballast).expect("just made");
        let began = Instant::now();
        load.wait_for_progress();
        assert!(began.elapsed() < Duration::from_secs(30), "service returns by itself");
    }

    let ledger = load.finish();
    for partition in 0..2 {
        ledger.assert_holds(partition, &read_all(&broker.bootstrap(), "small", partition));
    }
    assert!(broker.stop().success());
}

//! A disk whose writes begin to fail: the process ends and says why, nothing is acknowledged that is not there, and on
//! the mended disk everything acknowledged is back.

use std::time::Duration;

use tests::disk::SmallDisk;
use tests::load::{Load, create_topic, read_all};
use tests::{BrokerProcess, Settings};

#[test]
fn a_failed_write_ends_the_process_with_its_cause() {
    // The image has 600 MB, the RAM disk below it 150: blocks beyond that answer with an error.
    let Some(disk) = SmallDisk::that_fails_after(150, 600) else { return };
    let settings = Settings::default()
        .data(&disk.path().join("data"))
        .with("journal.bytes.max=33554432")
        .with("log.segment.bytes=8388608");
    let mut broker = BrokerProcess::start(settings);
    create_topic(&broker.bootstrap(), "doomed", 2);
    let mut load = Load::start(&broker.bootstrap(), "doomed", 2);
    load.run_until_stalled(Duration::from_secs(3));
    let status = broker.wait_for_end();
    assert!(!status.success(), "a failed write is no success");
    let log = broker.log();
    assert!(log.contains("HDL-") && !log.contains("panicked"), "no cause is named:\n{log}");

    disk.mend(600);
    broker.restart();
    load.wait_for_progress();
    let ledger = load.finish();
    for partition in 0..2 {
        ledger.assert_holds(partition, &read_all(&broker.bootstrap(), "doomed", partition));
    }
    assert!(broker.stop().success());
}

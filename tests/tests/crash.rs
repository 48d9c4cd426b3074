//! `kill -9` under load: everything acknowledged is there afterwards, in order, once, byte for byte,
//! at its offset.
//!
//! An idempotent librdkafka producer in this process keeps sending batches from one small record to
//! 1 MiB while the broker is killed and started again; a reader then goes through every partition
//! from the start and the ledger says what is wrong.

use std::time::Duration;

use tests::load::{Load, create_topic, read_all};
use tests::{BrokerProcess, Settings};

/// Kills of each test.
const KILLS: usize = 50;

fn survives_kills(shards_of_run: impl Fn(usize) -> usize) {
    let partitions = 6;
    let mut broker = BrokerProcess::start(Settings::default().shards(shards_of_run(0)));
    create_topic(&broker.bootstrap(), "crash", partitions);
    let mut load = Load::start(&broker.bootstrap(), "crash", partitions);
    for kill in 1..=KILLS {
        load.run_for(Duration::from_millis(150 + (kill as u64 * 37) % 200));
        broker.kill();
        broker.restart_with(Settings::default().shards(shards_of_run(kill)));
        load.wait_for_progress();
    }
    let ledger = load.finish();
    assert!(ledger.acknowledged_count() > KILLS, "the load never got going");
    for partition in 0..partitions {
        let seen = read_all(&broker.bootstrap(), "crash", partition);
        ledger.assert_holds(partition, &seen);
    }
}

#[test]
fn nothing_acknowledged_is_lost_on_one_shard() {
    survives_kills(|_| 1);
}

#[test]
fn nothing_acknowledged_is_lost_on_two_shards() {
    survives_kills(|_| 2);
}

#[test]
fn nothing_acknowledged_is_lost_while_the_shard_count_changes() {
    survives_kills(|run| 1 + run % 3);
}

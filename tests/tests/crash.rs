//! `kill -9` under load: everything acknowledged is there afterwards, in order, once, byte for byte, at its offset, and so is
//! everything a consumer saw.
//!
//! Idempotent librdkafka producers send batches from one small record to 1 MiB to a topic of class `device` and one of class
//! `written`, consumers read along, topics come and go; the broker is killed and started again, on one shard, on two, and
//! on a number that changes; `heddle verify` finds what was left sound. `HEDDLE_KILLS` is how often in all (150; about a minute).

use std::time::Duration;

use tests::counts::count;
use tests::storm::Storm;
use tests::verify::verify;
use tests::{BrokerProcess, Settings};

/// Kills after which everything is read and checked: reading all of it each time would take longer than all the rest.
const CHECK_EVERY: usize = 10;
/// What the broker says at a start that found batches in the journal which no segment had yet.
const REPLAYED: &str = "replayed from the journal";
/// Kills after which `heddle verify` looks at what was left.
const VERIFY_EVERY: usize = 10;
/// Kills that one data directory goes through.
const KILLS_PER_DIRECTORY: usize = 50;

fn survives_kills(shards_of_run: impl Fn(usize) -> usize) {
    let kills = count("HEDDLE_KILLS", 150).div_ceil(3);
    for first in (0..kills).step_by(KILLS_PER_DIRECTORY) {
        let last = kills.min(first + KILLS_PER_DIRECTORY);
        let mut broker = BrokerProcess::start(Settings::default().shards(shards_of_run(first)));
        let mut storm = Storm::start(broker.address(), &[(4, "device"), (2, "written")], 15);
        for kill in first + 1..=last {
            storm.run_for(Duration::from_millis(100 + (kill as u64 * 37) % 200));
            broker.kill();
            let refused = storm.on_death();
            assert_eq!(refused, [], "a broker that is killed refuses nothing before");
            if kill % VERIFY_EVERY == 0 {
                verify(broker.data());
            }
            broker.restart_with(Settings::default().shards(shards_of_run(kill)));
            match kill % CHECK_EVERY {
                0 => storm.check(),
                _ => storm.settle(),
            }
        }
        storm.finish(last - first);
        assert!(broker.log().contains(REPLAYED), "no journal was ahead of its segments");
        assert!(broker.stop().success());
        verify(broker.data());
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

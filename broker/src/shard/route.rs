//! Which shard owns a partition.
//!
//! Partitions belong to the node, not to a shard number: the answer changes with the number of
//! shards, and recovery hands every log to its owner of this start.

use engine::shard::ShardId;
use storage::ids::LogId;

/// The owner of a log among `shards` shards: partitions of one topic go round all shards, and
/// topics begin at different ones, so that many small topics spread as well as one large one.
pub fn owner(log: &LogId, shards: usize) -> ShardId {
    // FNV-1a over the topic id: ids are random, any mixing of all bytes spreads them.
    let start = log.topic.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let shards = shards as u64;
    let shard = (start % shards + u64::from(log.partition) % shards) % shards;
    ShardId(shard as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_of_a_topic_go_round_the_shards() {
        let on = |partition| {
            let log = LogId { topic: [9; 16], partition, incarnation: 0 };
            usize::from(owner(&log, 3).0)
        };
        let first = on(0);
        for partition in 0..12 {
            assert_eq!(on(partition), (first + partition as usize) % 3);
        }
    }

    #[test]
    fn topics_of_one_partition_spread() {
        let mut counts = [0; 4];
        for topic in 0..=255u8 {
            let mut id = [0; 16];
            id[7] = topic;
            let log = LogId { topic: id, partition: 0, incarnation: 0 };
            counts[usize::from(owner(&log, 4).0)] += 1;
        }
        assert!(counts.iter().all(|&count| count > 32), "{counts:?}");
    }
}

//! One fetch session (KIP-227): what a client fetches and what it was last told about it.
//!
//! A client that fetches many partitions names them once; afterwards it sends only changes and the
//! broker answers only with news. Pure: the fetch path asks which partitions to read and which of
//! the results the client has not seen yet.
//!
//! Invariant: `order` and `partitions` hold the same keys, one entry each.

use std::collections::BTreeMap;
use std::rc::Rc;

use ahash::{AHashMap, RandomState};

/// How a client names a topic: by name up to version 12 of Fetch, by id from 13 on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicKey {
    /// The topic's name.
    Name(Rc<str>),
    /// The topic's id, as 16 bytes in wire order.
    Id([u8; 16]),
}

/// One partition as the client names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey {
    /// The topic.
    pub topic: TopicKey,
    /// The partition's number.
    pub partition: i32,
}

/// What the client wants of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The first offset it has not seen.
    pub fetch_offset: i64,
    /// Most record bytes it takes from this partition in one response.
    pub max_bytes: i32,
    /// The leader epoch it knows, -1 when it does not say.
    pub current_leader_epoch: i32,
    /// The epoch of the last record it has, -1 when it does not say.
    pub last_fetched_epoch: i32,
}

/// What a fetch found in one partition: the part of the answer that decides whether it is news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Records are returned.
    pub has_records: bool,
    /// An error is returned.
    pub is_error: bool,
    /// The log diverges from the client's (a truncation it must do is returned).
    pub diverges: bool,
    /// The high watermark, -1 with an error.
    pub high_watermark: i64,
    /// The log start offset, -1 with an error.
    pub log_start_offset: i64,
}

struct Cached {
    key: PartitionKey,
    wanted: Wanted,
    high_watermark: i64,
    log_start_offset: i64,
}

/// The state of one session.
pub struct Session {
    pub(super) id: i32,
    /// The epoch the next incremental fetch must carry.
    pub(super) epoch: i32,
    pub(super) by_id: bool,
    pub(super) created_ms: i64,
    pub(super) used_ms: i64,
    /// Partitions in the order in which they are read. One that returned records moves to the end,
    /// so that a busy partition does not starve those behind it.
    order: BTreeMap<u64, Cached>,
    partitions: AHashMap<PartitionKey, u64>,
    next_order: u64,
}

/// The epoch after `epoch`; 0 and -1 have meanings of their own and are skipped.
pub(super) fn next_epoch(epoch: i32) -> i32 {
    if epoch < 0 {
        -1
    } else if epoch == i32::MAX {
        1
    } else {
        epoch + 1
    }
}

impl Session {
    pub(super) fn new(id: i32, by_id: bool, now_ms: i64) -> Session {
        Session {
            id,
            epoch: 1,
            by_id,
            created_ms: now_ms,
            used_ms: now_ms,
            order: BTreeMap::new(),
            partitions: AHashMap::with_hasher(RandomState::with_seeds(3, 1, 4, 1)),
            next_order: 0,
        }
    }

    /// Partitions in the session.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// True when no partition is in the session.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Adds a partition, or changes what is wanted of it.
    pub(super) fn want(&mut self, key: PartitionKey, wanted: Wanted) {
        match self.partitions.get(&key) {
            Some(place) => {
                let cached = self.order.get_mut(place).expect("both maps hold the same keys");
                cached.wanted = wanted;
            }
            None => {
                let place = self.next_order;
                self.next_order += 1;
                self.partitions.insert(key.clone(), place);
                let cached = Cached { key, wanted, high_watermark: -1, log_start_offset: -1 };
                self.order.insert(place, cached);
            }
        }
    }

    pub(super) fn forget(&mut self, key: &PartitionKey) {
        if let Some(place) = self.partitions.remove(key) {
            self.order.remove(&place);
        }
    }

    /// Everything to read, in order.
    pub(super) fn wanted(&self) -> Vec<(PartitionKey, Wanted)> {
        self.order.values().map(|cached| (cached.key.clone(), cached.wanted)).collect()
    }

    /// Takes note of what was found in `key`; true when the client has not heard it yet.
    ///
    /// Kafka's rule: news are records, an error, a divergence, a moved high watermark or log start.
    /// An error is forgotten at once (the watermark is set to an impossible value), so that the
    /// recovery after it is news again.
    pub(super) fn is_news(&mut self, key: &PartitionKey, found: &Found) -> bool {
        let Some(&place) = self.partitions.get(key) else {
            // Forgotten by a later request of the same connection while this one waited.
            return true;
        };
        let cached = self.order.get_mut(&place).expect("both maps hold the same keys");
        let moved = cached.high_watermark != found.high_watermark
            || cached.log_start_offset != found.log_start_offset;
        cached.high_watermark = found.high_watermark;
        cached.log_start_offset = found.log_start_offset;
        if found.is_error {
            cached.high_watermark = -1;
        }
        if found.has_records {
            let cached = self.order.remove(&place).expect("both maps hold the same keys");
            self.partitions.insert(key.clone(), self.next_order);
            self.order.insert(self.next_order, cached);
            self.next_order += 1;
        }
        moved || found.has_records || found.is_error || found.diverges
    }

    /// Stops on a broken invariant. For tests and the simulator.
    pub fn check_invariants(&self) {
        assert_eq!(self.order.len(), self.partitions.len(), "both maps hold the same keys");
        for (key, place) in &self.partitions {
            assert!(self.order.get(place).is_some_and(|cached| cached.key == *key));
        }
    }
}

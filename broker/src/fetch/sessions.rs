//! The fetch sessions of one shard: ids, epochs, creation and eviction (KIP-227).
//!
//! Pure. A fetch begins here with [`Sessions::begin`], which resolves its session into the list of
//! partitions to read, and ends with [`Sessions::finish`], which says what goes on the wire. A
//! client that comes back over a connection on another shard finds its session unknown and starts
//! a new one, as it must after any eviction.
//!
//! Invariants: never more than `slots` sessions; a session's id modulo the number of shards is this
//! shard, so that two shards never give out the same id.

use std::collections::BTreeMap;

use super::session::{Found, PartitionKey, Session, Wanted, next_epoch};
use crate::limits::{FETCH_SESSION_IDLE_MS, FETCH_SESSION_PARTITIONS_MAX};

/// The session part of a fetch request.
pub struct Begin {
    /// 0 for none.
    pub session_id: i32,
    /// -1: no session (or close this one), 0: start one, above: the next incremental fetch.
    pub epoch: i32,
    /// The request names topics by id (version 13 and above).
    pub by_id: bool,
    /// Partitions in the request.
    pub partitions: Vec<(PartitionKey, Wanted)>,
    /// Partitions an incremental request takes out of its session.
    pub forgotten: Vec<PartitionKey>,
}

/// What is to be read, and how the fetch stands to sessions.
#[derive(Debug)]
pub struct Context {
    /// What the fetch will be to the session cache when it finishes.
    pub kind: Kind,
    /// Partitions to read, in the order in which they are read and answered.
    pub partitions: Vec<(PartitionKey, Wanted)>,
}

/// How a fetch stands to sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every partition is answered, nothing is remembered.
    Sessionless,
    /// Every partition is answered, and a session is made if there is room.
    Full {
        /// Topics are named by id.
        by_id: bool,
    },
    /// Only news are answered.
    Incremental {
        /// The session.
        id: i32,
    },
}

/// Why a fetch was refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionError {
    /// FETCH_SESSION_ID_NOT_FOUND: evicted, or never was.
    UnknownId,
    /// INVALID_FETCH_SESSION_EPOCH: a request was lost or sent twice.
    WrongEpoch,
    /// FETCH_SESSION_TOPIC_ID_ERROR: the session was made with names and the request has ids, or
    /// the other way round.
    NameIdMix,
}

/// The session cache of one shard.
pub struct Sessions {
    sessions: BTreeMap<i32, Session>,
    slots: usize,
    shard: u32,
    shards: u32,
}

impl Sessions {
    /// An empty cache of `slots` sessions on shard `shard` of `shards`.
    pub fn new(slots: usize, shard: u16, shards: usize) -> Sessions {
        assert!((shard as usize) < shards, "a shard's number is below the number of shards");
        Sessions { sessions: BTreeMap::new(), slots, shard: shard.into(), shards: shards as u32 }
    }

    /// Resolves a request into what is to be read.
    pub fn begin(&mut self, begin: Begin, now_ms: i64) -> Result<Context, SessionError> {
        if begin.epoch <= 0 {
            // A full fetch closes the session it names, if there is one: the client starts afresh.
            self.sessions.remove(&begin.session_id);
            let kind = match begin.epoch {
                0 => Kind::Full { by_id: begin.by_id },
                _ => Kind::Sessionless,
            };
            return Ok(Context { kind, partitions: begin.partitions });
        }
        let session = self.sessions.get_mut(&begin.session_id).ok_or(SessionError::UnknownId)?;
        if session.epoch != begin.epoch {
            return Err(SessionError::WrongEpoch);
        }
        if session.by_id != begin.by_id {
            return Err(SessionError::NameIdMix);
        }
        for key in &begin.forgotten {
            session.forget(key);
        }
        for (key, wanted) in begin.partitions {
            session.want(key, wanted);
            if session.len() > FETCH_SESSION_PARTITIONS_MAX {
                // The client begins anew with everything it wants, and gets no session then.
                self.sessions.remove(&begin.session_id);
                return Err(SessionError::UnknownId);
            }
        }
        session.epoch = next_epoch(session.epoch);
        session.used_ms = now_ms;
        let partitions = session.wanted();
        Ok(Context { kind: Kind::Incremental { id: session.id }, partitions })
    }

    /// Ends a fetch: the session id to answer with, and for each partition whether it is answered.
    /// `found` stands beside the context's partitions, one for one.
    pub fn finish(
        &mut self,
        context: &Context,
        found: &[Found],
        random: u64,
        now_ms: i64,
    ) -> (i32, Vec<bool>) {
        assert_eq!(context.partitions.len(), found.len(), "each partition has one result");
        let all = || vec![true; found.len()];
        match context.kind {
            Kind::Sessionless => (0, all()),
            Kind::Full { by_id } => {
                let Some(id) = self.create(by_id, context.partitions.len(), random, now_ms) else {
                    return (0, all());
                };
                let session = self.sessions.get_mut(&id).expect("it was just made");
                for ((key, wanted), found) in context.partitions.iter().zip(found) {
                    session.want(key.clone(), *wanted);
                    session.is_news(key, found);
                }
                (id, all())
            }
            Kind::Incremental { id } => {
                // Evicted or closed meanwhile: the client learns it with its next request.
                let Some(session) = self.sessions.get_mut(&id) else { return (id, all()) };
                let news = context.partitions.iter().zip(found);
                (id, news.map(|((key, _), found)| session.is_news(key, found)).collect())
            }
        }
    }

    /// Sessions in the cache.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// True when there is no session.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    fn create(&mut self, by_id: bool, size: usize, random: u64, now_ms: i64) -> Option<i32> {
        if size > FETCH_SESSION_PARTITIONS_MAX || self.slots == 0 {
            return None;
        }
        if self.sessions.len() >= self.slots {
            let evicted = self.evictable(size, now_ms)?;
            self.sessions.remove(&evicted);
        }
        let id = self.free_id(random);
        self.sessions.insert(id, Session::new(id, by_id, now_ms));
        Some(id)
    }

    /// Kafka's rule: the session unused the longest, if that is two minutes; else the smallest one
    /// that has lived for two minutes and is smaller than the newcomer. A scan of at most 1,000
    /// entries, and only when a session is made in a full cache.
    fn evictable(&self, size: usize, now_ms: i64) -> Option<i32> {
        let idle = self.sessions.values().min_by_key(|session| session.used_ms)?;
        if now_ms - idle.used_ms > FETCH_SESSION_IDLE_MS {
            return Some(idle.id);
        }
        self.sessions
            .values()
            .filter(|session| now_ms - session.created_ms > FETCH_SESSION_IDLE_MS)
            .filter(|session| session.len() < size)
            .min_by_key(|session| (session.len(), session.used_ms))
            .map(|session| session.id)
    }

    fn free_id(&self, random: u64) -> i32 {
        // Ids are ours modulo the number of shards, positive, and not easily guessed.
        let rounds = (i32::MAX as u32 / self.shards).max(2) - 1;
        let mut round = (random % u64::from(rounds)) as u32;
        loop {
            let id = (round * self.shards + self.shard) as i32;
            if id > 0 && !self.sessions.contains_key(&id) {
                return id;
            }
            round = (round + 1) % rounds;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::TopicKey;
    use super::*;

    fn key(partition: i32) -> PartitionKey {
        PartitionKey { topic: TopicKey::Id([7; 16]), partition }
    }

    fn wanted(fetch_offset: i64) -> Wanted {
        let (current_leader_epoch, last_fetched_epoch) = (-1, -1);
        Wanted { fetch_offset, max_bytes: 1 << 20, current_leader_epoch, last_fetched_epoch }
    }

    fn idle(high_watermark: i64) -> Found {
        Found {
            has_records: false,
            is_error: false,
            diverges: false,
            high_watermark,
            log_start_offset: 0,
        }
    }

    fn begin(session_id: i32, epoch: i32, partitions: &[i32]) -> Begin {
        let partitions = partitions.iter().map(|&p| (key(p), wanted(0))).collect();
        Begin { session_id, epoch, by_id: true, partitions, forgotten: Vec::new() }
    }

    /// A session over `partitions`, all idle at high watermark 10.
    fn open(sessions: &mut Sessions, partitions: &[i32], now_ms: i64) -> i32 {
        let context = sessions.begin(begin(0, 0, partitions), now_ms).expect("a full fetch");
        let found: Vec<_> = partitions.iter().map(|_| idle(10)).collect();
        let random = 12345 + now_ms as u64 * 1000;
        let (id, include) = sessions.finish(&context, &found, random, now_ms);
        assert!(include.iter().all(|&included| included), "a full fetch answers everything");
        id
    }

    fn numbers(context: &Context) -> Vec<i32> {
        context.partitions.iter().map(|(key, _)| key.partition).collect()
    }

    #[test]
    fn second_fetch_of_an_idle_session_lists_no_partition() {
        let mut sessions = Sessions::new(10, 1, 4);
        let id = open(&mut sessions, &[0, 1], 0);
        assert!(id > 0 && id % 4 == 1);
        let context = sessions.begin(begin(id, 1, &[]), 1).expect("the next epoch");
        assert_eq!(numbers(&context), [0, 1]);
        assert_eq!(sessions.finish(&context, &[idle(10), idle(10)], 0, 1), (id, vec![false; 2]));
    }

    #[test]
    fn news_are_records_errors_and_moved_offsets() {
        let mut sessions = Sessions::new(10, 0, 1);
        let id = open(&mut sessions, &[0, 1, 2, 3], 0);
        let context = sessions.begin(begin(id, 1, &[]), 1).expect("the next epoch");
        let found = [
            Found { has_records: true, ..idle(10) },
            Found { is_error: true, ..idle(-1) },
            idle(11),
            Found { log_start_offset: 5, ..idle(10) },
        ];
        assert_eq!(sessions.finish(&context, &found, 0, 1).1, [true; 4]);
        // The partition with records is read last next time; the error's recovery is news.
        let context = sessions.begin(begin(id, 2, &[]), 2).expect("the next epoch");
        assert_eq!(numbers(&context), [1, 2, 3, 0]);
        let found = [idle(10), idle(11), Found { log_start_offset: 5, ..idle(10) }, idle(10)];
        assert_eq!(sessions.finish(&context, &found, 0, 2).1, [true, false, false, false]);
        sessions.sessions[&id].check_invariants();
    }

    #[test]
    fn partitions_are_added_changed_and_forgotten() {
        let mut sessions = Sessions::new(10, 0, 1);
        let id = open(&mut sessions, &[0, 1], 0);
        let mut change = begin(id, 1, &[2]);
        change.partitions.push((key(1), wanted(99)));
        change.forgotten = vec![key(0), key(77)];
        let context = sessions.begin(change, 1).expect("the next epoch");
        assert_eq!(context.partitions, [(key(1), wanted(99)), (key(2), wanted(0))]);
        sessions.sessions[&id].check_invariants();
    }

    #[test]
    fn a_wrong_epoch_an_unknown_id_and_a_change_of_naming_are_refused() {
        let mut sessions = Sessions::new(10, 0, 1);
        let id = open(&mut sessions, &[0], 0);
        assert_eq!(sessions.begin(begin(id, 2, &[]), 1).err(), Some(SessionError::WrongEpoch));
        assert_eq!(sessions.begin(begin(id + 1, 1, &[]), 1).err(), Some(SessionError::UnknownId));
        let by_name = Begin { by_id: false, ..begin(id, 1, &[]) };
        assert_eq!(sessions.begin(by_name, 1).err(), Some(SessionError::NameIdMix));
        assert!(sessions.begin(begin(id, 1, &[]), 1).is_ok(), "refusals change nothing");
    }

    #[test]
    fn a_full_fetch_closes_the_session_it_names() {
        let mut sessions = Sessions::new(10, 0, 1);
        let id = open(&mut sessions, &[0], 0);
        let context = sessions.begin(begin(id, -1, &[0]), 1).expect("a closing fetch");
        assert_eq!(context.kind, Kind::Sessionless);
        assert!(sessions.is_empty());
        assert_eq!(sessions.begin(begin(id, 1, &[]), 1).err(), Some(SessionError::UnknownId));
    }

    #[test]
    fn a_full_cache_evicts_the_idle_then_the_small_then_nobody() {
        let mut sessions = Sessions::new(2, 0, 1);
        let first = open(&mut sessions, &[0, 1], 0);
        let second = open(&mut sessions, &[0, 1], 0);
        assert_eq!(open(&mut sessions, &[0], 1), 0, "everything is in use: no session");
        sessions.begin(begin(first, 1, &[]), 100_000).expect("the next epoch");
        let third = open(&mut sessions, &[0], FETCH_SESSION_IDLE_MS + 1);
        assert_ne!(third, 0);
        assert_eq!(sessions.begin(begin(second, 1, &[]), 1).err(), Some(SessionError::UnknownId));
        // `first` was used but is old, and smaller than a session of three.
        let fourth = open(&mut sessions, &[0, 1, 2], FETCH_SESSION_IDLE_MS + 2);
        assert_ne!(fourth, 0);
        assert_eq!(sessions.begin(begin(first, 2, &[]), 1).err(), Some(SessionError::UnknownId));
        assert_eq!(sessions.len(), 2);
    }

    #[test]
    fn a_session_that_grows_too_large_ends() {
        let mut sessions = Sessions::new(10, 0, 1);
        let id = open(&mut sessions, &[0], 0);
        let all: Vec<i32> = (0..=FETCH_SESSION_PARTITIONS_MAX as i32).collect();
        assert_eq!(sessions.begin(begin(id, 1, &all), 1).err(), Some(SessionError::UnknownId));
        assert!(sessions.is_empty());
        assert_eq!(open(&mut sessions, &all, 2), 0, "and no other takes its place");
    }

    #[test]
    fn epochs_wrap_past_the_values_with_a_meaning() {
        assert_eq!((next_epoch(1), next_epoch(i32::MAX), next_epoch(-1)), (2, 1, -1));
    }
}

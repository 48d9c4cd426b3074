//! Fetch (key 1), versions 4 to 18.
//!
//! - v5: log start offset. v7: sessions (KIP-227). v9: leader epoch checks (KIP-320). v11: rack.
//! - v12: flexible, divergence by epoch. v13: topic ids (KIP-516). v15 to 18 change what replicas say.
//!
//! In two steps: [`Fetch::begin`] runs in the connection's reader, because session epochs count
//! requests in order; [`Fetch::run`] runs in a task of its own, reads on all owning shards at once,
//! and waits for more if the client says so. Waiting holds no buffer and no slot of any shard.
//!
//! Differs from Kafka: only whole batches are returned, never a cut one at the end; a response may
//! be smaller than asked while earlier ones of the connection are still being sent.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use engine::buffer::Piece;
use engine::shard::ShardId;
use engine::time::{self, Instant};
use protocol::fetch::{
    EpochEndOffset, FetchRequest, FetchResponse, Isolation, PartitionData, TopicData,
};
use protocol::wire::{LeaderIdAndEpoch, NodeEndpoint, TopicRef};
use protocol::{ErrorCode, Malformed};
use storage::ids::{LogId, Offset};

use super::errors::{self, Naming};
use super::fetch_response;
use super::partitions::{check_epoch, log_of};
use super::table::Asked;
use crate::controller::{Image, TopicId};
use crate::fetch::plan::Remaining;
use crate::fetch::session::{self, PartitionKey, TopicKey, Wanted};
use crate::fetch::sessions::{Begin, Context, SessionError};
use crate::limits::{FETCH_WAIT_MAX, PINNED_MEMORY_DIVISOR, PINNED_WAIT_MIN};
use crate::net::connection::{Connection, Reply};
use crate::net::either::{Either, either};
use crate::observe::{ReadPath, Stage, Trace};
use crate::shard::{Answer, Call, Found, ReadCall, ReadItem, Records, Shard, Watching};

/// A fetch that was read and whose session, if any, has counted it.
pub struct Fetch {
    asked: Asked,
    context: Result<Context, SessionError>,
    wait: Duration,
    min_bytes: usize,
    max_bytes: usize,
    isolation: Isolation,
}

/// How much a response may hold.
#[derive(Clone, Copy)]
struct Limit {
    max_bytes: usize,
    one_at_least: bool,
}

/// One partition of a fetch in progress.
struct Part {
    log: Result<LogId, ErrorCode>,
    wanted: Wanted,
    found: Option<Found<Piece>>,
    bytes: usize,
}

impl Fetch {
    /// Reads the request in `frame` and resolves its session.
    pub fn begin(shard: &Shard, asked: Asked, frame: &[u8]) -> Result<Fetch, Malformed> {
        let request = FetchRequest::decode(&frame[asked.body_at..], asked.version)?;
        let by_id = asked.version >= protocol::fetch::TOPIC_IDS_FROM;
        let mut partitions = Vec::with_capacity(request.partition_count());
        for topic in request.topics() {
            let topic_key = key(topic.topic);
            partitions.extend(topic.partitions.iter().map(|partition| {
                let key = PartitionKey { topic: topic_key.clone(), partition: partition.partition };
                let wanted = Wanted {
                    fetch_offset: partition.fetch_offset,
                    max_bytes: partition.partition_max_bytes,
                    current_leader_epoch: partition.current_leader_epoch,
                    last_fetched_epoch: partition.last_fetched_epoch,
                };
                (key, wanted)
            }));
        }
        let mut forgotten = Vec::new();
        for topic in request.forgotten_topics() {
            let topic_key = key(topic.topic);
            forgotten.extend(
                topic.partitions.iter().map(|partition| PartitionKey {
                    topic: topic_key.clone(),
                    partition: *partition,
                }),
            );
        }
        let (session_id, epoch) = (request.session_id, request.session_epoch);
        let begin = Begin { session_id, epoch, by_id, partitions, forgotten };
        let context = shard.sessions.borrow_mut().begin(begin, time::unix_ms());
        let bytes = |asked: i32| usize::try_from(asked).unwrap_or(0);
        Ok(Fetch {
            asked,
            context,
            wait: Duration::from_millis(bytes(request.max_wait_ms) as u64).min(FETCH_WAIT_MAX),
            min_bytes: bytes(request.min_bytes),
            max_bytes: bytes(request.max_bytes).min(shard.config.fetch_max_bytes),
            isolation: request.isolation,
        })
    }

    /// Reads, waits as long as the client lets us, and puts the response together.
    /// `trace` is told where the time goes.
    pub async fn run(
        self,
        shard: Rc<Shard>,
        connection: Rc<Connection>,
        trace: &mut Trace,
    ) -> Reply {
        let context = match &self.context {
            Ok(context) => context,
            Err(error) => return self.refused(*error),
        };
        let image = shard.image();
        let mut parts: Vec<Part> = context
            .partitions
            .iter()
            .map(|(key, wanted)| Part {
                log: resolve(&shard, &image, key, wanted),
                wanted: *wanted,
                found: None,
                bytes: 0,
            })
            .collect();
        drop(image);
        let limit = self.limit(&shard, &connection).await;
        self.gather(&shard, &connection, &mut parts, limit, trace).await;
        let reply = self.respond(&shard, &connection, context, parts, limit);
        trace.mark(Stage::Read, time::now());
        reply
    }

    /// How much this fetch may return now: less while earlier responses still pin memory.
    async fn limit(&self, shard: &Shard, connection: &Connection) -> Limit {
        let pinned = &shard.connections.pinned;
        let pinned_max = shard.config.shard_memory_bytes / PINNED_MEMORY_DIVISOR;
        if pinned.bytes() >= 2 * pinned_max {
            let wait = self.wait.max(PINNED_WAIT_MIN);
            let room = either(pinned.below(2 * pinned_max), connection.closing());
            if time::timeout(wait, room).await.is_err() {
                return Limit { max_bytes: 0, one_at_least: false };
            }
        }
        let room = connection.pinned_room().min(pinned_max.saturating_sub(pinned.bytes()));
        Limit { max_bytes: self.max_bytes.min(room), one_at_least: true }
    }

    /// Reads until there is enough, or time is up.
    async fn gather(
        &self,
        shard: &Rc<Shard>,
        connection: &Connection,
        parts: &mut [Part],
        limit: Limit,
        trace: &mut Trace,
    ) {
        let now = time::now();
        trace.mark(Stage::Queue, now);
        let deadline = now + self.wait;
        let all: Vec<usize> = (0..parts.len()).filter(|&place| parts[place].log.is_ok()).collect();
        // A fetch that is likely to find something is spared the registration; one behind a fetch
        // that had to wait is likely to wait as well, and is spared the first of two reads.
        if !connection.fetch_waited.get() || !self.waits() {
            self.read(shard, parts, &all, limit, 0, trace).await;
            if self.is_enough(parts) || !self.waits() || connection.is_finishing() {
                return;
            }
        }
        // Read once more, now to be told of the next move of each log if there is too little.
        connection.fetch_waited.set(false);
        let watching = Watching::begin(shard);
        let mut places = all;
        loop {
            for &place in &places {
                if let Ok(log) = parts[place].log {
                    watching.watch(log, place);
                }
            }
            self.read(shard, parts, &places, limit, self.min_bytes, trace).await;
            if self.is_enough(parts) || connection.is_finishing() {
                return;
            }
            connection.fetch_waited.set(true);
            // Nothing is pinned while waiting: what was found is read again afterwards.
            places.clear();
            for (place, part) in parts.iter_mut().enumerate() {
                if part.bytes > 0 {
                    part.found = None;
                    places.push(place);
                }
            }
            let is_over = !wait(&watching, connection, deadline).await;
            trace.mark(Stage::Wait, time::now());
            for place in watching.take_fired() {
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            if is_over {
                self.read(shard, parts, &places, limit, 0, trace).await;
                return;
            }
        }
    }

    /// Whether the client lets this fetch wait at all.
    fn waits(&self) -> bool {
        !self.wait.is_zero() && self.min_bytes > 0
    }

    /// Whether the response can leave: enough bytes, an error or a divergence to tell, or nothing to
    /// wait for.
    fn is_enough(&self, parts: &[Part]) -> bool {
        let urgent = |part: &Part| match (&part.log, &part.found) {
            (Err(_), _) => true,
            (Ok(_), Some(found)) => !matches!(found.records, Ok(Records::Bytes(_))),
            (Ok(_), None) => false,
        };
        parts.iter().map(|part| part.bytes).sum::<usize>() >= self.min_bytes
            || parts.is_empty()
            || parts.iter().any(urgent)
    }

    /// Reads the partitions at `places` on their owners, all at once.
    async fn read(
        &self,
        shard: &Rc<Shard>,
        parts: &mut [Part],
        places: &[usize],
        limit: Limit,
        watch_below: usize,
        trace: &mut Trace,
    ) {
        let mut groups: BTreeMap<ShardId, (Vec<usize>, Vec<ReadItem>)> = BTreeMap::new();
        for &place in places {
            let Ok(log) = parts[place].log else { continue };
            let wanted = &parts[place].wanted;
            let item = ReadItem {
                log,
                from: Offset(wanted.fetch_offset),
                max_bytes: usize::try_from(wanted.max_bytes).unwrap_or(0),
                last_epoch: (wanted.last_fetched_epoch >= 0).then_some(wanted.last_fetched_epoch),
            };
            let (places, items) = groups.entry(shard.owner(&log)).or_default();
            places.push(place);
            items.push(item);
        }
        let mut pending = Vec::new();
        let mut local = None;
        for (to, (places, items)) in groups {
            let Limit { max_bytes, one_at_least } = limit;
            let call = ReadCall { items, max_bytes, one_at_least, watch_below };
            if to == shard.id {
                local = Some((places, shard.read(&call, shard.id)));
            } else {
                let window = shard.window(to).await;
                pending.push((places, shard.call_in(window, to, Call::Read(call))));
            }
        }
        let reads_here = local.is_some();
        if let Some((places, reading)) = local {
            let found = reading.found_here().await;
            place_all(parts, places, found.into_iter().map(|found| found.map(Piece::Slice)));
        }
        let here = time::now();
        if pending.is_empty() {
            trace.mark(Stage::Read, here);
            return;
        }
        let mut there: Option<ReadPath> = None;
        for (places, pending) in pending {
            match pending.await {
                Answer::Read(found, path) => {
                    let found = found.into_iter().map(|found| found.map(Piece::Parcel));
                    place_all(parts, places, found);
                    there = there.filter(|other| other.done > path.done).or(Some(path));
                }
                _ => unreachable!("a call is answered in kind"),
            }
        }
        // Along the way of the shard that was done last.
        match there {
            Some(there) if !reads_here || there.done > here => trace.follow_remote_read(&there),
            _ => trace.mark(Stage::Read, here),
        }
        trace.mark(Stage::Hop, time::now());
    }

    fn refused(&self, error: SessionError) -> Reply {
        let error = match error {
            SessionError::UnknownId => ErrorCode::FetchSessionIdNotFound,
            SessionError::WrongEpoch => ErrorCode::InvalidFetchSessionEpoch,
            SessionError::NameIdMix => ErrorCode::FetchSessionTopicIdError,
        };
        let response = FetchResponse { error, ..FetchResponse::default() };
        response.encode(self.asked.version, self.asked.correlation_id).bytes.into()
    }

    fn respond(
        &self,
        shard: &Shard,
        connection: &Connection,
        context: &Context,
        parts: Vec<Part>,
        limit: Limit,
    ) -> Reply {
        let mut remaining = Remaining::new(limit.max_bytes);
        let mut answers = Vec::with_capacity(parts.len());
        let mut summaries = Vec::with_capacity(parts.len());
        for (part, (key, _)) in parts.into_iter().zip(&context.partitions) {
            let (mut data, pieces) = self.partition(shard, key, part);
            let slices: Vec<&[u8]> = pieces.iter().map(|piece| &**piece).collect();
            data.records_bytes = remaining.take(&slices);
            shard.observed.fetched_bytes.add(data.records_bytes as u64);
            shard.observed.fetches_refused.add(u64::from(!data.error.is_none()));
            summaries.push(session::Found {
                has_records: data.records_bytes > 0,
                is_error: !data.error.is_none(),
                diverges: data.diverging_epoch.is_some(),
                high_watermark: data.high_watermark,
                log_start_offset: data.log_start_offset,
            });
            answers.push((data, pieces));
        }
        let (random, now_ms) = (engine::random::u64(), time::unix_ms());
        let (session_id, included) =
            shard.sessions.borrow_mut().finish(context, &summaries, random, now_ms);
        let mut topics: Vec<TopicData<'_>> = Vec::new();
        let mut records = Vec::new();
        let (mut is_fenced, mut fetched) = (false, 0);
        for (((data, pieces), (key, _)), included) in
            answers.into_iter().zip(&context.partitions).zip(included)
        {
            if !included {
                continue;
            }
            is_fenced |= data.current_leader.is_some();
            fetched += data.records_bytes;
            records.push((data.records_bytes, pieces));
            let topic = reference(&key.topic);
            match topics.last_mut() {
                Some(last) if last.topic == topic => last.partitions.push(data),
                _ => topics.push(TopicData { topic, partitions: vec![data] }),
            }
        }
        let node_endpoints = match is_fenced {
            true => vec![this_node(shard, connection)],
            false => Vec::new(),
        };
        let response = FetchResponse {
            throttle_time_ms: 0,
            error: ErrorCode::None,
            session_id,
            topics,
            node_endpoints,
        };
        let encoded = response.encode(self.asked.version, self.asked.correlation_id);
        let reply = fetch_response::assemble(encoded, records);
        shard.observed.copied_fetch_bytes.add((fetched - reply.pinned) as u64);
        reply
    }

    /// The answer for one partition but for the number of bytes, and its records.
    fn partition(
        &self,
        shard: &Shard,
        key: &PartitionKey,
        part: Part,
    ) -> (PartitionData, Vec<Piece>) {
        let naming = match key.topic {
            TopicKey::Name(_) => Naming::Name,
            TopicKey::Id(_) => Naming::Id,
        };
        let found = match (part.log, part.found) {
            (Ok(_), Some(found)) => found,
            (Ok(_), None) => unreachable!("every log that was resolved was read"),
            (Err(code), _) => return (self.failed(shard, key.partition, code), Vec::new()),
        };
        let mut data = PartitionData {
            high_watermark: found.high_watermark.0,
            last_stable_offset: found.high_watermark.0,
            log_start_offset: found.log_start.0,
            aborted_transactions: match self.isolation {
                Isolation::ReadCommitted => Some(Vec::new()),
                Isolation::ReadUncommitted => None,
            },
            ..PartitionData::empty(key.partition, ErrorCode::None)
        };
        match found.records {
            Ok(Records::Bytes(pieces)) => (data, pieces),
            Ok(Records::Diverging { epoch, end }) => {
                data.diverging_epoch = Some(EpochEndOffset { epoch, end_offset: end.0 });
                (data, Vec::new())
            }
            Err(error) => {
                let code = errors::of_log(&error, naming);
                (self.failed(shard, key.partition, code), Vec::new())
            }
        }
    }

    fn failed(&self, shard: &Shard, partition: i32, code: ErrorCode) -> PartitionData {
        let mut data = PartitionData::empty(partition, code);
        if code == ErrorCode::FencedLeaderEpoch {
            let (leader_id, leader_epoch) = (shard.config.node_id, shard.leader_epoch.0);
            data.current_leader = Some(LeaderIdAndEpoch { leader_id, leader_epoch });
        }
        data
    }
}

/// Waits for the next move of a watched log; false when time is up or the connection closes.
async fn wait(watching: &Watching, connection: &Connection, deadline: Instant) -> bool {
    let left = deadline.since(time::now());
    let moved = time::timeout(left, either(watching.moved(), connection.closing())).await;
    matches!(moved, Ok(Either::First(())))
}

fn place_all(
    parts: &mut [Part],
    places: Vec<usize>,
    found: impl ExactSizeIterator<Item = Found<Piece>>,
) {
    assert_eq!(places.len(), found.len(), "each item has one result");
    for (place, found) in places.into_iter().zip(found) {
        let part = &mut parts[place];
        part.bytes = match &found.records {
            Ok(Records::Bytes(pieces)) => pieces.iter().map(|piece| piece.len()).sum(),
            _ => 0,
        };
        part.found = Some(found);
    }
}

fn resolve(
    shard: &Shard,
    image: &Image,
    key: &PartitionKey,
    wanted: &Wanted,
) -> Result<LogId, ErrorCode> {
    let topic = match &key.topic {
        TopicKey::Name(name) => image.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)?,
        TopicKey::Id(id) => image.topic_by_id(TopicId(*id)).ok_or(ErrorCode::UnknownTopicId)?,
    };
    let log = log_of(topic, key.partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    check_epoch(shard, wanted.current_leader_epoch)?;
    Ok(log)
}

fn key(topic: TopicRef<'_>) -> TopicKey {
    match topic {
        TopicRef::Name(name) => TopicKey::Name(name.into()),
        TopicRef::Id(id) => TopicKey::Id(id),
    }
}

fn reference(topic: &TopicKey) -> TopicRef<'_> {
    match topic {
        TopicKey::Name(name) => TopicRef::Name(name),
        TopicKey::Id(id) => TopicRef::Id(*id),
    }
}

fn this_node(shard: &Shard, connection: &Connection) -> NodeEndpoint {
    let advertised = &shard.advertised[connection.listener];
    NodeEndpoint {
        node_id: shard.config.node_id,
        host: advertised.host.clone(),
        port: i32::from(advertised.port),
        rack: None,
    }
}

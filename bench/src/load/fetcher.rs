//! Reads partitions from one broker, one fetch after the other, and opens the connection again when it breaks.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use engine::time;
use protocol::client::{FetchAnswer, FetchCall, FetchCallPartition};
use protocol::fetch::{Isolation, TOPIC_IDS_FROM};
use protocol::{ApiKey, ErrorCode};

use super::cluster::Layout;
use super::connection::{CLIENT_ID, Connection};
use super::context::Context;
use super::limits::{ANSWER_MAX, PARTITION_FETCH_BYTES_MAX, PAUSE_FIRST, PAUSE_LAST};
use super::trouble::Trouble;

/// How long to wait where nothing is led by the broker.
const NOTHING_LED: Duration = Duration::from_millis(50);

/// What a fetch brought of one partition.
pub struct Fetched {
    /// Whose it is, counted through all topics.
    pub lane: usize,
    /// Batches, the last possibly cut off.
    pub records: Bytes,
    /// Up to where the broker lets consumers read.
    pub high_watermark: i64,
    /// The first offset there is; -1 unknown.
    pub log_start: i64,
    /// What the broker says.
    pub error: ErrorCode,
}

/// Who reads.
pub trait Reader {
    /// What all share.
    fn context(&self) -> &Rc<Context>;

    /// The topics, as they are known.
    fn layout(&self) -> Rc<Layout>;

    /// From where to read which of the lanes that `broker` leads.
    fn positions(&self, broker: i32) -> Vec<(usize, i64)>;

    /// Notes how far the records reach: called before the next request leaves.
    fn advance(&self, fetched: &Fetched);

    /// Looks at the records, which arrived `now` in answer to a request sent at `sent`.
    fn take(&self, fetched: Fetched, now: u64, sent: u64);

    /// A fetch has been answered.
    fn on_fetch(&self, now: u64);

    /// The connection broke or could not be opened; `timed_out` for want of an answer.
    fn on_trouble(&self, timed_out: bool);

    /// A connection was opened; `again` if there was one before.
    fn on_connected(&self, again: bool);

    /// Wait before the next request for so long, to keep to a rate.
    fn pause(&self) -> Option<Duration>;

    /// Nothing more is to be read.
    fn is_over(&self) -> bool;
}

/// Reads what `broker` leads until the reader says that it is over.
pub async fn run<R: Reader + 'static>(reader: Rc<R>, broker: i32) {
    let mut pause = PAUSE_FIRST;
    let mut again = false;
    while !reader.is_over() {
        let read = read(&*reader, broker, &mut again, &mut pause).await;
        let Err(trouble) = read else { return };
        if !trouble.is_retriable() {
            return reader.context().control().fail(trouble.into());
        }
        reader.on_trouble(matches!(trouble, Trouble::TimedOut { .. }));
        time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_LAST);
        // If nobody answers now, the next attempt shows it.
        let _ = reader.context().refresh().await;
    }
}

/// A request that was sent.
struct Asked {
    correlation: i32,
    at: u64,
}

async fn read<R: Reader>(
    reader: &R,
    broker: i32,
    again: &mut bool,
    pause: &mut Duration,
) -> Result<(), Trouble> {
    let address = loop {
        let layout = reader.layout();
        if let Some(address) = layout.brokers.get(&broker) {
            break address.clone();
        }
        if reader.is_over() {
            return Ok(());
        }
        time::sleep(NOTHING_LED).await;
    };
    let connection = Connection::open(&address).await?;
    let most = if reader.layout().has_ids() { i16::MAX } else { TOPIC_IDS_FROM - 1 };
    let version = connection.version_at_most(ApiKey::Fetch, most)?;
    let (stream, mut incoming) = connection.split();
    reader.on_connected(std::mem::replace(again, true));
    let plan = reader.context().plan();
    let within = ANSWER_MAX + Duration::from_millis(u64::from(plan.fetch_wait_ms));
    let mut correlation = 1_000;
    let mut turn = 0;
    let mut asked: Option<Asked> = None;
    while !reader.is_over() {
        if asked.is_none() {
            if let Some(wait) = reader.pause() {
                time::sleep(wait).await;
            }
            let mut positions = reader.positions(broker);
            if positions.is_empty() {
                time::sleep(NOTHING_LED).await;
                continue;
            }
            // Each partition is first in its turn: a broker fills an answer from the front.
            turn = (turn + 1) % positions.len();
            positions.rotate_left(turn);
            correlation = (correlation + 1) & i32::MAX;
            let frame = encode(reader, version, correlation, &positions);
            let sent = stream.send(vec![frame.into()]).await;
            sent.map_err(|error| incoming.lost(error))?;
            asked = Some(Asked { correlation, at: time::now().nanos() });
        }
        let Some(Asked { correlation: id, at }) = asked.take() else { continue };
        let frame = incoming.next_within(within).await?;
        let now = time::now().nanos();
        let answer = FetchAnswer::decode(version, id, &frame);
        let answer = answer.map_err(|error| incoming.protocol(error))?;
        Trouble::check(answer.error.code(), None, || "a fetch was refused".into())?;
        reader.on_fetch(now);
        let fetched = split(&reader.layout(), version, answer);
        let moved = fetched.iter().find(|one| one.error.retriable()).map(|one| one.error);
        fetched.iter().filter(|one| one.error.is_none()).for_each(|one| reader.advance(one));
        if let Some(code) = moved {
            fetched.into_iter().for_each(|one| reader.take(one, now, at));
            return Err(Trouble::Refused { what: "a fetch".into(), code, message: None });
        }
        *pause = PAUSE_FIRST;
        if reader.pause().is_none() && !reader.is_over() {
            // The broker gathers the next answer while this one is looked at.
            let mut positions = reader.positions(broker);
            if !positions.is_empty() {
                turn = (turn + 1) % positions.len();
                positions.rotate_left(turn);
                correlation = (correlation + 1) & i32::MAX;
                let frame = encode(reader, version, correlation, &positions);
                let sent = stream.send(vec![frame.into()]).await;
                asked = Some(Asked { correlation, at: time::now().nanos() });
                if let Err(error) = sent {
                    fetched.into_iter().for_each(|one| reader.take(one, now, at));
                    return Err(incoming.lost(error));
                }
            }
        }
        fetched.into_iter().for_each(|one| reader.take(one, now, at));
    }
    Ok(())
}

fn encode<R: Reader>(
    reader: &R,
    version: i16,
    correlation: i32,
    positions: &[(usize, i64)],
) -> Vec<u8> {
    let plan = reader.context().plan();
    let layout = reader.layout();
    let by_id = version >= TOPIC_IDS_FROM;
    let partition_max_bytes = plan.fetch_bytes_max.min(PARTITION_FETCH_BYTES_MAX) as i32;
    let mut topics: BTreeMap<usize, usize> = BTreeMap::new();
    let mut call = FetchCall {
        max_wait_ms: plan.fetch_wait_ms as i32,
        min_bytes: plan.fetch_bytes_min as i32,
        max_bytes: plan.fetch_bytes_max as i32,
        isolation: Isolation::ReadUncommitted,
        session_id: 0,
        session_epoch: -1,
        topics: Vec::new(),
        forgotten: Vec::new(),
        rack_id: "",
    };
    for (lane, fetch_offset) in positions {
        let (topic, partition) = layout.place(*lane);
        let at = *topics.entry(topic).or_insert_with(|| {
            call.topics.push((layout.topics[topic].named(by_id), Vec::new()));
            call.topics.len() - 1
        });
        call.topics[at].1.push(FetchCallPartition {
            partition,
            current_leader_epoch: -1,
            fetch_offset: *fetch_offset,
            last_fetched_epoch: -1,
            partition_max_bytes,
        });
    }
    call.encode(version, correlation, Some(CLIENT_ID))
}

fn split(layout: &Layout, version: i16, answer: FetchAnswer) -> Vec<Fetched> {
    let by_id = version >= TOPIC_IDS_FROM;
    let mut all = Vec::new();
    for topic in answer.topics {
        let Some(at) = layout.topic(&topic.topic, topic.topic_id, by_id) else { continue };
        for partition in topic.partitions {
            let Some(lane) = layout.lane(at, partition.partition) else { continue };
            all.push(Fetched {
                lane,
                records: partition.records,
                high_watermark: partition.high_watermark,
                log_start: partition.log_start_offset,
                error: partition.error,
            });
        }
    }
    all
}

//! Requests in flight, offsets and retries of a reader.
//!
//! One request per leader is always in flight: the next one leaves as soon as the batch headers of
//! an answer have told where to go on, before its records are printed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::client::{FetchAnswer, FetchCall, FetchCallPartition, FetchedPartition};
use protocol::fetch::Isolation;
use protocol::wire::TopicRef;
use protocol::{ApiKey, ErrorCode};
use storage::batch::split;

use super::offset::Start;
use crate::cli::client::connection::CLIENT_ID;
use crate::cli::client::{ClientError, Cluster, InFlight, TopicInfo};
use crate::cli::failure::{EXIT_TIMED_OUT, Failure};
use crate::cli::output::Output;

/// From this version on, topics are named by id.
const TOPIC_IDS_FROM: i16 = protocol::fetch::TOPIC_IDS_FROM;
/// What a request may be answered with, in all and per partition.
const FETCH_BYTES: i32 = 16 << 20;
const PARTITION_BYTES: i32 = 4 << 20;
/// How long a broker may wait for records: short when others wait for their turn to be asked.
const WAIT_ALONE_MS: i32 = 500;
const WAIT_SHARED_MS: i32 = 50;
/// The pauses after failures.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LAST: Duration = Duration::from_secs(1);

struct Partition {
    next: i64,
    /// Read no further than this offset.
    stop: Option<i64>,
}

impl Partition {
    fn is_done(&self) -> bool {
        self.stop.is_some_and(|stop| self.next >= stop)
    }
}

/// Batches of one partition that were fetched and are to be printed.
pub struct Fetched {
    /// The partition.
    pub partition: i32,
    /// Records before this offset were asked for by nobody: they only share a batch.
    pub from: i64,
    /// Records from this offset on are not wanted.
    pub stop: Option<i64>,
    /// Whole batches.
    pub batches: Bytes,
}

/// Reads a topic.
pub struct Fetcher<'a> {
    cluster: Cluster,
    topic: TopicInfo,
    output: &'a Output,
    partitions: BTreeMap<i32, Partition>,
    in_flight: BTreeMap<i32, InFlight>,
    give_up_after: Duration,
    failing_since: Option<Instant>,
    pause: Duration,
    /// Where the list of partitions begins in the next request, so that each is first in turn.
    turn: usize,
}

impl<'a> Fetcher<'a> {
    /// A reader of the given partitions.
    ///
    /// # Errors
    /// The offsets to start from cannot be found.
    pub fn start(
        mut cluster: Cluster,
        topic: TopicInfo,
        partitions: &[i32],
        start: Start,
        stop_at_end: bool,
        give_up_after: Duration,
        output: &'a Output,
    ) -> Result<Self, Failure> {
        let oldest = cluster.offsets(&topic, partitions, -2)?;
        let ends = cluster.offsets(&topic, partitions, -1)?;
        let at_time = match start {
            Start::Time(time) => cluster.offsets(&topic, partitions, time)?,
            _ => partitions.iter().map(|&partition| (partition, -1)).collect(),
        };
        let mut states = BTreeMap::new();
        for ((&(partition, oldest), &(_, end)), &(_, at_time)) in
            oldest.iter().zip(&ends).zip(&at_time)
        {
            let next = start.resolve(oldest, end, at_time);
            if next < oldest || next > end {
                return Err(Failure::new(
                    "HDL-CONSUME-001",
                    format!("no offset {next} in partition {partition}"),
                )
                .why(format!("it holds the offsets {oldest} to {end}"))
                .fix("start within them, or use -o start or -o end"));
            }
            states.insert(partition, Partition { next, stop: stop_at_end.then_some(end) });
        }
        Ok(Fetcher {
            cluster,
            topic,
            output,
            partitions: states,
            in_flight: BTreeMap::new(),
            give_up_after,
            failing_since: None,
            pause: PAUSE_FIRST,
            turn: 0,
        })
    }

    /// Records left until the end as it was at the start; `None` when reading goes on for ever.
    pub fn left(&self) -> Option<u64> {
        let left = |p: &Partition| p.stop.map(|stop| u64::try_from(stop - p.next).unwrap_or(0));
        self.partitions.values().map(left).sum()
    }

    /// Whether every partition was read to its end.
    pub fn is_done(&self) -> bool {
        self.partitions.values().all(Partition::is_done)
    }

    /// Waits for one answer. It may hold nothing.
    ///
    /// # Errors
    /// A broker refused, or none could be reached for too long.
    pub fn next(&mut self) -> Result<Vec<Fetched>, Failure> {
        match self.try_next() {
            Ok(fetched) => {
                if let Some(since) = self.failing_since.take() {
                    self.pause = PAUSE_FIRST;
                    let seconds = since.elapsed().as_secs_f64();
                    self.output.say(&format!("going on after {seconds:.1} s"));
                }
                Ok(fetched)
            }
            Err((leader, error)) => {
                if let Some(leader) = leader {
                    self.in_flight.remove(&leader);
                    self.cluster.disconnect(leader);
                }
                if !error.is_retriable() {
                    return Err(error.into());
                }
                self.on_trouble(error)?;
                self.refresh()?;
                Ok(Vec::new())
            }
        }
    }

    fn try_next(&mut self) -> Result<Vec<Fetched>, (Option<i32>, ClientError)> {
        let leaders: BTreeSet<i32> = self
            .partitions
            .iter()
            .filter(|(_, state)| !state.is_done())
            .map(|(&partition, _)| self.leader(partition))
            .collect();
        for &leader in &leaders {
            self.ask(leader, leaders.len()).map_err(|error| (Some(leader), error))?;
        }
        // The leader asked longest ago is next: ids of requests grow.
        let oldest = self.in_flight.iter().min_by_key(|(_, sent)| sent.correlation);
        let Some((&leader, &sent)) = oldest else { return Ok(Vec::new()) };
        let answer = self.receive(leader, sent).map_err(|error| (Some(leader), error))?;
        self.in_flight.remove(&leader);
        let mut fetched = Vec::new();
        for partition in answer.topics.into_iter().flat_map(|topic| topic.partitions) {
            match self.on_partition(partition) {
                Ok(found) => fetched.extend(found),
                // What was fetched before it is asked for again: nothing was printed yet.
                Err(error) => {
                    for undone in &fetched {
                        self.undo(undone);
                    }
                    return Err((None, error));
                }
            }
        }
        if leaders.contains(&leader) {
            self.ask(leader, leaders.len()).map_err(|error| {
                for undone in &fetched {
                    self.undo(undone);
                }
                (Some(leader), error)
            })?;
        }
        Ok(fetched)
    }

    fn undo(&mut self, fetched: &Fetched) {
        if let Some(state) = self.partitions.get_mut(&fetched.partition) {
            state.next = fetched.from;
        }
    }

    fn leader(&self, partition: i32) -> i32 {
        let index = usize::try_from(partition).unwrap_or(usize::MAX);
        self.topic.leaders.get(index).copied().unwrap_or(-1)
    }

    /// Asks a leader for more, unless it has been asked.
    fn ask(&mut self, leader: i32, leaders: usize) -> Result<(), ClientError> {
        if self.in_flight.contains_key(&leader) {
            return Ok(());
        }
        let mut asked: Vec<FetchCallPartition> = self
            .partitions
            .iter()
            .filter(|&(&partition, state)| self.leader(partition) == leader && !state.is_done())
            .map(|(&partition, state)| FetchCallPartition {
                partition,
                current_leader_epoch: -1,
                fetch_offset: state.next,
                last_fetched_epoch: -1,
                partition_max_bytes: PARTITION_BYTES,
            })
            .collect();
        if asked.is_empty() {
            return Ok(());
        }
        let turn = self.turn % asked.len();
        asked.rotate_left(turn);
        self.turn = self.turn.wrapping_add(1);
        let connection = self.cluster.broker(leader)?;
        let cap = if self.topic.id.is_nil() { TOPIC_IDS_FROM - 1 } else { i16::MAX };
        let version = connection.version(ApiKey::Fetch, cap)?;
        let topic = match version >= TOPIC_IDS_FROM {
            true => TopicRef::Id(*self.topic.id.as_bytes()),
            false => TopicRef::Name(&self.topic.name),
        };
        let call = FetchCall {
            max_wait_ms: if leaders == 1 { WAIT_ALONE_MS } else { WAIT_SHARED_MS },
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            isolation: Isolation::ReadUncommitted,
            session_id: 0,
            session_epoch: -1,
            topics: vec![(topic, asked)],
            forgotten: Vec::new(),
            rack_id: "",
        };
        let correlation = connection.next_correlation();
        connection.send_frame(&call.encode(version, correlation, Some(CLIENT_ID)))?;
        self.in_flight.insert(leader, InFlight { correlation, version });
        Ok(())
    }

    fn receive(&mut self, leader: i32, sent: InFlight) -> Result<FetchAnswer, ClientError> {
        let connection = self.cluster.broker(leader)?;
        let frame = connection.receive_frame()?;
        let answer = FetchAnswer::decode(sent.version, sent.correlation, &frame)
            .map_err(|error| connection.protocol_error(error))?;
        ClientError::check(answer.error.code(), None, || "the fetch was refused".into())?;
        Ok(answer)
    }

    fn on_partition(&mut self, answer: FetchedPartition) -> Result<Option<Fetched>, ClientError> {
        let index = answer.partition;
        let Some(state) = self.partitions.get_mut(&index) else { return Ok(None) };
        if answer.error == ErrorCode::OffsetOutOfRange && answer.log_start_offset > state.next {
            self.output.say(&format!(
                "partition {index}: offsets {} to {} were deleted before they were read",
                state.next,
                answer.log_start_offset - 1
            ));
            state.next = answer.log_start_offset;
            return Ok(None);
        }
        ClientError::check(answer.error.code(), None, || format!("partition {index}"))?;
        let mut batches = split(&answer.records);
        let mut next = state.next;
        // A batch cut short at the end of the answer comes whole next time.
        for batch in batches.by_ref().map_while(Result::ok) {
            next = next.max(batch.header().next_offset().0);
        }
        let whole = batches.position();
        if next == state.next {
            return Ok(None);
        }
        let from = std::mem::replace(&mut state.next, next);
        let batches = answer.records.slice(..whole);
        Ok(Some(Fetched { partition: index, from, stop: state.stop, batches }))
    }

    fn refresh(&mut self) -> Result<(), Failure> {
        loop {
            let name = self.topic.name.clone();
            match self.cluster.topic(&name, false) {
                Ok(topic) => {
                    self.topic = topic;
                    return Ok(());
                }
                Err(error) if error.is_retriable() => self.on_trouble(error)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn on_trouble(&mut self, error: ClientError) -> Result<(), Failure> {
        let since = match self.failing_since {
            Some(since) => since,
            None => {
                self.output.say(&format!("{error}; trying again"));
                *self.failing_since.insert(Instant::now())
            }
        };
        if since.elapsed() >= self.give_up_after {
            return Err(Failure { exit: EXIT_TIMED_OUT, ..Failure::from(error) }
                .fix("see to the broker; --give-up-after allows more time"));
        }
        std::thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(PAUSE_LAST);
        Ok(())
    }
}

//! Produce (key 0), versions 3 to 13 (0 to 2 are advertised and refused, see `protocol::versions`).
//!
//! - v3: record batches of format 2. v5: log start offset. v7: zstd. v8: record errors (KIP-467).
//! - v9: flexible. v10: current leader (KIP-951); the only node always leads. v13: topic ids (KIP-516).
//!
//! In two steps: [`start`] runs in the connection's reader and gives every batch to its log, so that
//! batches of one connection reach a log in the order of its requests; [`Started::finish`] runs in a
//! task of its own and waits for the acknowledgements, so that requests overlap.
//!
//! Differs from Kafka: acks=1 and acks=all mean the same on a single node, both wait for the
//! durability class of the topic; `timeout_ms` below a second counts as a second. Produce never
//! creates a topic.

use std::rc::Rc;
use std::time::Duration;

use engine::buffer::Slice;
use engine::shard::ShardId;
use engine::time;
use protocol::produce::{PartitionResponse, ProduceRequest, ProduceResponse, TopicResponse};
use protocol::wire::TopicRef;
use protocol::{ErrorCode, Malformed};
use storage::ids::LogId;
use storage::log::append::Appended;

use super::errors::{self, Naming};
use super::partitions::log_of;
use super::table::Asked;
use crate::controller::{Image, Topic, TopicId};
use crate::limits::{PRODUCE_TIMEOUT_MAX, PRODUCE_TIMEOUT_MIN};
use crate::observe::{AppendPath, Stage, Trace};
use crate::shard::{Answer, Call, Pending, ProduceCall, ProduceError, Produced, Shard};

/// A produce whose batches are with their logs.
pub struct Started {
    asked: Asked,
    /// False with acks=0: nothing is answered.
    is_answered: bool,
    naming: Naming,
    /// Topics in request order, with the number of their partitions.
    topics: Vec<(TopicName, usize)>,
    /// Partition number and, where it is known already, the answer; in request order.
    partitions: Vec<(i32, Option<PartitionResponse>)>,
    /// Batches of this shard, and their places in `partitions`.
    local: Option<(Vec<usize>, Produced)>,
    /// Calls to other shards, and their places in `partitions`.
    remote: Vec<(Vec<usize>, Pending)>,
    /// Where the request spent its time so far.
    trace: Trace,
}

/// Batches for one shard, and their places in the request.
type Group = (Vec<usize>, Vec<(LogId, Slice)>);

/// How a produce ends.
pub enum Finished {
    /// With this response frame.
    Answer(Vec<u8>),
    /// Without a response, as acks=0 asks.
    Silent,
    /// With acks=0 and a batch that was refused: closing the connection is the only way to tell.
    Close,
}

/// A topic as the request named it, owned.
enum TopicName {
    Name(String),
    Id([u8; 16]),
}

impl TopicName {
    fn as_ref(&self) -> TopicRef<'_> {
        match self {
            TopicName::Name(name) => TopicRef::Name(name),
            TopicName::Id(id) => TopicRef::Id(*id),
        }
    }
}

/// Gives every batch of the request in `frame` to its log. Waits only for the right to send mail.
pub async fn start(
    shard: &Rc<Shard>,
    asked: Asked,
    frame: &Slice,
    mut trace: Trace,
) -> Result<Started, Malformed> {
    crate::planted::slow_down();
    let request = ProduceRequest::decode(&frame[asked.body_at..], asked.version)?;
    let image = shard.image();
    let mut naming = Naming::Name;
    let mut topics = Vec::with_capacity(request.topics().len());
    let mut partitions = Vec::with_capacity(request.partitions().len());
    let mut groups: Vec<Group> = Vec::new();
    groups.resize_with(shard.shards, Default::default);
    let refused = refusal(&request);
    for topic in request.topics() {
        let known = find(&image, topic.topic);
        naming = naming_of(topic.topic);
        topics.push((owned(topic.topic), topic.partitions.len()));
        for partition in topic.partitions {
            let log = match (refused, &known) {
                (Some(code), _) => Err(code),
                (None, Ok(known)) => {
                    log_of(known, partition.index).ok_or(ErrorCode::UnknownTopicOrPartition)
                }
                (None, Err(code)) => Err(*code),
            };
            let answer = match (log, &partition.records) {
                (Ok(log), Some(range)) => {
                    let range = asked.body_at + range.start..asked.body_at + range.end;
                    let (places, batches) = &mut groups[usize::from(shard.owner(&log).0)];
                    places.push(partitions.len());
                    batches.push((log, frame.slice(range)));
                    None
                }
                (Ok(_), None) => Some(refused_without_records(partition.index)),
                (Err(code), _) => Some(PartitionResponse::refused(partition.index, code, None)),
            };
            partitions.push((partition.index, answer));
        }
    }
    let is_answered = request.acks != 0;
    let timeout = is_answered.then(|| timeout(request.timeout_ms));
    let (local, remote) = hand_out(shard, groups, timeout, &mut trace).await;
    Ok(Started { asked, is_answered, naming, topics, partitions, local, remote, trace })
}

/// Hands batches to their owners. All windows are taken first, so that nothing is appended here
/// while a peer's window is still waited for.
async fn hand_out(
    shard: &Rc<Shard>,
    groups: Vec<Group>,
    timeout: Option<Duration>,
    trace: &mut Trace,
) -> (Option<(Vec<usize>, Produced)>, Vec<(Vec<usize>, Pending)>) {
    let mut windows = Vec::new();
    let here = usize::from(shard.id.0);
    let hops = groups.iter().enumerate().any(|(to, group)| to != here && !group.0.is_empty());
    if hops {
        trace.mark(Stage::Append, time::now());
    }
    for (to, (places, _)) in groups.iter().enumerate() {
        let to = ShardId(to as u16);
        let is_remote = to != shard.id && !places.is_empty();
        windows.push(if is_remote { Some(shard.window(to).await) } else { None });
    }
    let arrived = if hops { time::now() } else { trace.at() };
    trace.mark(Stage::Hop, arrived);
    let mut local = None;
    let mut remote = Vec::new();
    for (to, ((places, batches), window)) in groups.into_iter().zip(windows).enumerate() {
        match window {
            Some(window) => {
                let parcel = |(log, batch): (LogId, Slice)| (log, batch.into_parcel());
                let batches = batches.into_iter().map(parcel).collect();
                let call = Call::Produce(ProduceCall { batches, timeout });
                remote.push((places, shard.call_in(window, ShardId(to as u16), call)));
            }
            None if !places.is_empty() => {
                let append = |(log, batch): (LogId, Slice)| shard.append(&log, batch);
                let appending = batches.into_iter().map(append).collect();
                local = Some((places, Produced::begin(arrived, appending, timeout)));
            }
            None => {}
        }
    }
    (local, remote)
}

impl Started {
    /// Waits for every acknowledgement. With where the request spent its time: along the way of the shard that was
    /// done last.
    pub async fn finish(mut self) -> (Finished, Trace) {
        let mut here = None;
        if let Some((places, produced)) = self.local.take() {
            let (results, path) = produced.acknowledged().await;
            self.place(places, results);
            here = Some(path);
        }
        let mut there: Option<AppendPath> = None;
        let hops = !self.remote.is_empty();
        for (places, pending) in std::mem::take(&mut self.remote) {
            match pending.await {
                Answer::Produce(results, path) => {
                    self.place(places, results);
                    there = there.filter(|other| other.done > path.done).or(Some(path));
                }
                _ => unreachable!("a call is answered in kind"),
            }
        }
        let mut trace = self.trace;
        match (here, there) {
            (Some(here), there) if there.is_none_or(|there| there.done < here.done) => {
                trace.follow_append(&here);
            }
            (_, Some(there)) => trace.follow_remote_append(&there),
            (_, None) => trace.mark(Stage::Append, time::now()),
        }
        if hops {
            trace.mark(Stage::Hop, time::now());
        }
        let finished = match self.is_answered {
            true => Finished::Answer(self.encode()),
            false if self.is_refused() => Finished::Close,
            false => Finished::Silent,
        };
        (finished, trace)
    }

    fn place(&mut self, places: Vec<usize>, results: Vec<Result<Appended, ProduceError>>) {
        assert_eq!(places.len(), results.len(), "each batch has one result");
        for (place, result) in places.into_iter().zip(results) {
            let (index, answer) = &mut self.partitions[place];
            *answer = Some(match result {
                Ok(appended) => PartitionResponse::appended(
                    *index,
                    appended.base_offset.0,
                    appended.log_append_time,
                    appended.log_start.0,
                ),
                Err(error) => errors::of_produce(*index, &error, self.naming),
            });
        }
    }

    fn is_refused(&self) -> bool {
        let refused = |answer: &PartitionResponse| !answer.error.is_none();
        self.partitions.iter().filter_map(|(_, answer)| answer.as_ref()).any(refused)
    }

    fn encode(self) -> Vec<u8> {
        let mut answers = self.partitions.into_iter();
        let topics = self.topics.iter().map(|(name, count)| {
            let answers = answers.by_ref().take(*count);
            let partitions =
                answers.map(|(_, answer)| answer.expect("every batch has its result")).collect();
            TopicResponse { topic: name.as_ref(), partitions }
        });
        let response = ProduceResponse { topics: topics.collect(), ..ProduceResponse::default() };
        response.encode(self.asked.version, self.asked.correlation_id)
    }
}

/// What refuses every batch of the request.
fn refusal(request: &ProduceRequest<'_>) -> Option<ErrorCode> {
    match request.acks {
        // A transactional producer cannot have got its id: InitProducerId refuses it by name.
        -1..=1 if request.transactional_id.is_some() => Some(ErrorCode::InvalidProducerIdMapping),
        -1..=1 => None,
        _ => Some(ErrorCode::InvalidRequiredAcks),
    }
}

fn refused_without_records(index: i32) -> PartitionResponse {
    let message = "there are no records".to_owned();
    PartitionResponse::refused(index, ErrorCode::InvalidRecord, Some(message))
}

fn find<'i>(image: &'i Image, topic: TopicRef<'_>) -> Result<&'i Topic, ErrorCode> {
    match topic {
        TopicRef::Name(name) => {
            image.topic(name).map(|topic| &**topic).ok_or(ErrorCode::UnknownTopicOrPartition)
        }
        TopicRef::Id(id) => {
            image.topic_by_id(TopicId(id)).map(|topic| &**topic).ok_or(ErrorCode::UnknownTopicId)
        }
    }
}

fn naming_of(topic: TopicRef<'_>) -> Naming {
    match topic {
        TopicRef::Name(_) => Naming::Name,
        TopicRef::Id(_) => Naming::Id,
    }
}

fn owned(topic: TopicRef<'_>) -> TopicName {
    match topic {
        TopicRef::Name(name) => TopicName::Name(name.to_owned()),
        TopicRef::Id(id) => TopicName::Id(id),
    }
}

fn timeout(timeout_ms: i32) -> Duration {
    let asked = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    asked.clamp(PRODUCE_TIMEOUT_MIN, PRODUCE_TIMEOUT_MAX)
}

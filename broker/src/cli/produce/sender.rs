//! Requests in flight, acknowledgements and retries.
//!
//! Batches of a partition are sent in order, up to five requests at a time per broker. After a
//! failure they are sent again in the same order with the same sequence numbers, and the broker
//! answers those it has already with success: it remembers the last five batches of each producer
//! and partition, which is why no more than five may be in flight.
//!
//! Holds always: a batch is in exactly one place (`ready`, in flight, or done), and the batches of
//! a partition in `ready` are in the order of their places.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use protocol::client::{ProduceAnswer, ProduceCall, ProduceCallPartition};
use protocol::messages::InitProducerIdRequest;
use protocol::messages::ProducerId;
use protocol::wire::TopicRef;
use protocol::{ApiKey, ErrorCode};

use super::accumulate::{Batch, Identity};
use crate::cli::client::connection::CLIENT_ID;
use crate::cli::client::{ClientError, Cluster, InFlight, TopicInfo};
use crate::cli::failure::{EXIT_TIMED_OUT, Failure};
use crate::cli::output::{Output, plural};
use crate::cli::progress::Progress;

/// Requests in flight per broker with idempotence; without, 1, so that order survives a retry.
const IN_FLIGHT_MAX: usize = 5;
/// Bytes of batches in one request, unless a single batch is larger.
const REQUEST_BYTES: usize = 4 << 20;
/// From this version on, topics are named by id.
const TOPIC_IDS_FROM: i16 = protocol::produce::TOPIC_IDS_FROM;
/// The first pause after a failure; each further one doubles up to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LAST: Duration = Duration::from_secs(1);

/// How to send.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// 0, 1, or -1 for all.
    pub acks: i16,
    /// Whether records carry sequence numbers.
    pub idempotent: bool,
    /// How long without any acknowledgement before giving up.
    pub give_up_after: Duration,
}

struct Sent {
    request: InFlight,
    batches: Vec<Batch>,
}

/// What has been acknowledged in one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Records.
    pub records: u64,
    /// The offset of the first one; -1 when the broker did not say.
    pub first_offset: i64,
    /// The offset of the last one; -1 when the broker did not say.
    pub last_offset: i64,
}

/// Sends batches until they are acknowledged.
pub struct Sender<'a> {
    cluster: Cluster,
    topic: TopicInfo,
    options: Options,
    output: &'a Output,
    ready: Vec<VecDeque<Batch>>,
    in_flight: BTreeMap<i32, VecDeque<Sent>>,
    /// Batches in flight per partition.
    outstanding: Vec<usize>,
    /// Partitions whose oldest batch failed: one batch at a time until one succeeds.
    careful: Vec<bool>,
    acknowledged: Vec<Acknowledged>,
    failing_since: Option<Instant>,
    pause: Duration,
    retries: u64,
    /// Shown and counted as batches are acknowledged.
    pub progress: Progress,
}

impl<'a> Sender<'a> {
    /// A sender for a topic that was found.
    pub fn new(
        cluster: Cluster,
        topic: TopicInfo,
        options: Options,
        output: &'a Output,
        progress: Progress,
    ) -> Self {
        let partitions = topic.leaders.len();
        let none = Acknowledged { records: 0, first_offset: -1, last_offset: -1 };
        Sender {
            cluster,
            topic,
            options,
            output,
            ready: (0..partitions).map(|_| VecDeque::new()).collect(),
            in_flight: BTreeMap::new(),
            outstanding: vec![0; partitions],
            careful: vec![false; partitions],
            acknowledged: vec![none; partitions],
            failing_since: None,
            pause: PAUSE_FIRST,
            retries: 0,
            progress,
        }
    }

    /// Asks for a producer id.
    ///
    /// # Errors
    /// No broker gives one.
    pub fn identify(&mut self) -> Result<Identity, Failure> {
        let ask = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        loop {
            let result = self.cluster.any().and_then(|connection| {
                let version = connection.version(ApiKey::InitProducerId, i16::MAX)?;
                let answer = connection.call(&ask, version)?;
                ClientError::check(answer.error_code, None, || "no producer id was given".into())?;
                Ok(Identity { id: answer.producer_id.0, epoch: answer.producer_epoch })
            });
            match result {
                Ok(identity) => return Ok(identity),
                Err(error) if error.is_retriable() => {
                    self.cluster.disconnect_any();
                    self.on_trouble(error)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes a batch, and sends what can be sent. Waits for acknowledgements while too much waits.
    ///
    /// # Errors
    /// A batch was refused, or nothing was acknowledged for too long.
    pub fn submit(&mut self, batch: Batch) -> Result<(), Failure> {
        self.ready[batch.partition as usize].push_back(batch);
        self.send_ready()?;
        while self.ready.iter().map(VecDeque::len).sum::<usize>() > 2 * IN_FLIGHT_MAX {
            self.step()?;
        }
        Ok(())
    }

    /// Waits until everything submitted is acknowledged.
    ///
    /// # Errors
    /// As [`Sender::submit`].
    pub fn drain(&mut self) -> Result<(), Failure> {
        while self.waiting() > 0 {
            self.step()?;
        }
        Ok(())
    }

    /// Records submitted and not acknowledged.
    pub fn waiting(&self) -> u64 {
        let sent = self.in_flight.values().flatten().flat_map(|sent| &sent.batches);
        let batches = self.ready.iter().flatten().chain(sent);
        batches.map(|batch| u64::from(batch.records)).sum()
    }

    /// What was acknowledged, by partition.
    pub fn acknowledged(&self) -> &[Acknowledged] {
        &self.acknowledged
    }

    /// How many batches were sent again.
    pub fn retries(&self) -> u64 {
        self.retries
    }

    /// One acknowledgement, or one attempt to send again.
    fn step(&mut self) -> Result<(), Failure> {
        self.send_ready()?;
        let busiest = self.in_flight.iter().max_by_key(|(_, sent)| sent.len());
        match busiest.map(|(&leader, _)| leader) {
            Some(leader) => self.receive(leader),
            // Nothing could be sent: leaders are missing or cannot be reached.
            None if self.waiting() > 0 => self.refresh(),
            None => Ok(()),
        }
    }

    fn send_ready(&mut self) -> Result<(), Failure> {
        let leaders: std::collections::BTreeSet<i32> = (0..self.ready.len())
            .filter(|&partition| !self.ready[partition].is_empty())
            .map(|partition| self.topic.leaders[partition])
            .filter(|&leader| leader >= 0)
            .collect();
        for leader in leaders {
            while self.window_open(leader) {
                let batches = self.take_batches(leader);
                if batches.is_empty() {
                    break;
                }
                if let Err((error, batches)) = self.send(leader, batches) {
                    self.put_back(batches);
                    self.on_connection_lost(leader, error)?;
                    break;
                }
            }
        }
        Ok(())
    }

    fn window_open(&self, leader: i32) -> bool {
        let window = if self.options.idempotent { IN_FLIGHT_MAX } else { 1 };
        self.in_flight.get(&leader).map_or(0, VecDeque::len) < window
    }

    /// Takes at most one batch per partition for a request to `leader`.
    fn take_batches(&mut self, leader: i32) -> Vec<Batch> {
        let mut batches = Vec::new();
        let mut bytes = 0;
        for partition in 0..self.ready.len() {
            let led = self.topic.leaders[partition] == leader;
            let held = self.careful[partition] && self.outstanding[partition] > 0;
            let Some(next) = self.ready[partition].front().filter(|_| led && !held) else {
                continue;
            };
            if !batches.is_empty() && bytes + next.bytes.len() > REQUEST_BYTES {
                break;
            }
            bytes += next.bytes.len();
            batches.extend(self.ready[partition].pop_front());
        }
        batches
    }

    fn send(&mut self, leader: i32, batches: Vec<Batch>) -> Result<(), (ClientError, Vec<Batch>)> {
        let request = match self.send_request(leader, &batches) {
            Ok(request) => request,
            Err(error) => return Err((error, batches)),
        };
        for batch in &batches {
            self.outstanding[batch.partition as usize] += 1;
        }
        if self.options.acks == 0 {
            for batch in batches {
                self.on_acknowledged(&batch, -1);
            }
        } else {
            self.in_flight.entry(leader).or_default().push_back(Sent { request, batches });
        }
        Ok(())
    }

    fn send_request(&mut self, leader: i32, batches: &[Batch]) -> Result<InFlight, ClientError> {
        let connection = self.cluster.broker(leader)?;
        // Without an id from Metadata, topics can only be named.
        let cap = if self.topic.id.is_nil() { TOPIC_IDS_FROM - 1 } else { i16::MAX };
        let version = connection.version(ApiKey::Produce, cap)?;
        let topic = match version >= TOPIC_IDS_FROM {
            true => TopicRef::Id(*self.topic.id.as_bytes()),
            false => TopicRef::Name(&self.topic.name),
        };
        let partitions = batches.iter().map(|batch| ProduceCallPartition {
            index: batch.partition as i32,
            records: &batch.bytes,
        });
        let call = ProduceCall {
            transactional_id: None,
            acks: self.options.acks,
            timeout_ms: 30_000,
            topics: vec![(topic, partitions.collect())],
        };
        let correlation = connection.next_correlation();
        connection.send_frame(&call.encode(version, correlation, Some(CLIENT_ID)))?;
        Ok(InFlight { correlation, version })
    }

    /// Reads the oldest answer of a leader.
    fn receive(&mut self, leader: i32) -> Result<(), Failure> {
        let Some(sent) = self.in_flight.get_mut(&leader).and_then(VecDeque::pop_front) else {
            return Ok(());
        };
        let answer = match self.cluster.broker(leader) {
            Ok(connection) => connection.receive_frame().and_then(|frame| {
                let request = sent.request;
                ProduceAnswer::decode(request.version, request.correlation, &frame)
                    .map_err(|error| connection.protocol_error(error))
            }),
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => self.on_answer(sent.batches, &answer),
            Err(error) => {
                self.in_flight.entry(leader).or_default().push_front(sent);
                self.on_connection_lost(leader, error)
            }
        }
    }

    fn on_answer(&mut self, batches: Vec<Batch>, answer: &ProduceAnswer) -> Result<(), Failure> {
        let mut trouble = None;
        for batch in batches {
            let index = batch.partition as usize;
            let result = answer.partitions.iter().find(|p| p.index == batch.partition as i32);
            let Some(result) = result else {
                return Err(Failure::new("HDL-NET-004", "an acknowledgement is missing")
                    .why(format!("the answer does not mention partition {index}")));
            };
            match result.error {
                ErrorCode::None => self.on_acknowledged(&batch, result.base_offset),
                // It was stored so long ago that the broker no longer knows where.
                ErrorCode::DuplicateSequenceNumber => self.on_acknowledged(&batch, -1),
                error => {
                    // An earlier batch failed and this one came before its repetition: not its fault.
                    let follows = error == ErrorCode::OutOfOrderSequenceNumber
                        && self.ready[index].front().is_some_and(|first| first.place < batch.place);
                    if !follows && !error.retriable() {
                        return Err(refusal(&batch, error, result.error_message.as_deref()));
                    }
                    self.outstanding[index] -= 1;
                    self.careful[index] = true;
                    self.put_back(vec![batch]);
                    if !follows {
                        trouble = Some((index, error));
                    }
                }
            }
        }
        match trouble {
            None => Ok(()),
            Some((partition, error)) => {
                let what = || format!("partition {partition}");
                let error = ClientError::check(error.code(), None, what)
                    .expect_err("only errors are trouble");
                self.on_trouble(error)?;
                self.refresh()
            }
        }
    }

    fn on_acknowledged(&mut self, batch: &Batch, base_offset: i64) {
        let index = batch.partition as usize;
        self.outstanding[index] -= 1;
        self.careful[index] = false;
        let acknowledged = &mut self.acknowledged[index];
        acknowledged.records += u64::from(batch.records);
        if base_offset >= 0 {
            if acknowledged.first_offset < 0 {
                acknowledged.first_offset = base_offset;
            }
            let last = base_offset + i64::from(batch.records) - 1;
            acknowledged.last_offset = acknowledged.last_offset.max(last);
        }
        self.progress.add(u64::from(batch.records), batch.payload);
        if let Some(since) = self.failing_since.take() {
            self.pause = PAUSE_FIRST;
            let text = format!("going on after {:.1} s", since.elapsed().as_secs_f64());
            self.progress.say(self.output, &text);
        }
    }

    /// Everything in flight to a leader is uncertain: it goes back to be sent again.
    fn on_connection_lost(&mut self, leader: i32, error: ClientError) -> Result<(), Failure> {
        self.cluster.disconnect(leader);
        let sent = self.in_flight.remove(&leader).unwrap_or_default();
        for batch in sent.into_iter().flat_map(|sent| sent.batches) {
            self.outstanding[batch.partition as usize] -= 1;
            self.retries += 1;
            self.put_back(vec![batch]);
        }
        if !error.is_retriable() {
            return Err(error.into());
        }
        self.on_trouble(error)?;
        self.refresh()
    }

    /// Puts batches back into `ready`, in the order of their places.
    fn put_back(&mut self, batches: Vec<Batch>) {
        for batch in batches {
            let ready = &mut self.ready[batch.partition as usize];
            let at = ready.partition_point(|other| other.place < batch.place);
            ready.insert(at, batch);
        }
    }

    /// Finds the leaders again, waiting until they can be found.
    fn refresh(&mut self) -> Result<(), Failure> {
        loop {
            let name = self.topic.name.clone();
            match self.cluster.topic(&name, false) {
                Ok(topic) if topic.leaders.len() < self.topic.leaders.len() => {
                    return Err(Failure::new("HDL-PRODUCE-003", "the topic changed under way")
                        .why("it has fewer partitions than before: it was created anew"));
                }
                Ok(topic) => {
                    self.topic = topic;
                    return Ok(());
                }
                Err(error) if error.is_retriable() => self.on_trouble(error)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits before another attempt, or gives up.
    fn on_trouble(&mut self, error: ClientError) -> Result<(), Failure> {
        let since = match self.failing_since {
            Some(since) => since,
            None => {
                self.progress.say(self.output, &format!("{error}; trying again"));
                *self.failing_since.insert(Instant::now())
            }
        };
        if since.elapsed() >= self.options.give_up_after {
            let seconds = self.options.give_up_after.as_secs();
            let failure = Failure::from(error);
            let last = match &failure.why {
                Some(why) => format!("{}: {why}", failure.what),
                None => failure.what,
            };
            return Err(Failure::new(
                "HDL-PRODUCE-002",
                format!("nothing went through for {seconds} s"),
            )
            .why(last)
            .fix("see to the broker and send the rest again; --give-up-after allows more time")
            .exit(EXIT_TIMED_OUT));
        }
        std::thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(PAUSE_LAST);
        Ok(())
    }
}

/// The failure for a batch that the broker will never take.
fn refusal(batch: &Batch, error: ErrorCode, message: Option<&str>) -> Failure {
    let (from, to) = batch.lines;
    let records = plural(u64::from(batch.records), "record");
    let what = format!("{records} from lines {from} to {to} refused: {}", error.name());
    let failure = Failure::new("HDL-PRODUCE-001", what);
    let failure = failure.why(message.filter(|text| !text.is_empty()).unwrap_or(error.text()));
    match error {
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge if batch.records == 1 => failure
            .fix("raise the topic's limit: heddle topic alter TOPIC --set max.message.bytes=…"),
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => {
            failure.fix("lower --batch-bytes, or raise the topic's max.message.bytes")
        }
        ErrorCode::OutOfOrderSequenceNumber | ErrorCode::InvalidProducerEpoch => failure.fix(
            "the broker no longer knows this producer: compare the topic's end with the input and \
             send the rest again",
        ),
        ErrorCode::InvalidRecord => failure.fix("a compacted topic needs keys: see -K"),
        _ => failure,
    }
}

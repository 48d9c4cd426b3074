//! A broker process and a client of it over a plain socket, with `protocol::client` for the bytes.
#![expect(clippy::disallowed_types, reason = "a test is a client: it stands outside the engine")]
#![expect(clippy::disallowed_methods, reason = "a test is a client: it stands outside the engine")]
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::client::{
    self, FetchAnswer, FetchCall, FetchCallPartition, ProduceAnswer, ProduceCall,
    ProduceCallPartition, ProducedPartition,
};
use protocol::codec::{Request, StrBytes};
use protocol::fetch::Isolation;
use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::{CreateTopicsRequest, TopicName};
use protocol::wire::TopicRef;
use protocol::{ErrorCode, RequestHeader};
use storage::batch::build::{Builder, NewRecord};
use storage::batch::records::Records;
use storage::batch::{Codec, split};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A broker as a process, killed when dropped.
pub struct Broker {
    child: Child,
    pub address: SocketAddr,
    log: PathBuf,
}

impl Broker {
    /// Starts a broker on `data`, on a port the kernel chooses, and waits until it says that it is ready.
    ///
    /// A port picked beforehand would not do: until the broker binds it, a connection to it from the
    /// range of outgoing ports may be given that very port and connect to itself.
    pub fn start(data: &Path, shards: usize, overrides: &[&str]) -> Broker {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heddle"));
        command.arg("serve").args(["--listen", "127.0.0.1:0"]);
        command.arg("--data").arg(data).args(["--shards", &shards.to_string()]);
        for pair in ["shard.pin=false", "journal.file.bytes=8388608"].iter().chain(overrides) {
            command.args(["--override", pair]);
        }
        let log = data.with_extension("log");
        let file =
            File::options().create(true).append(true).open(&log).expect("a log can be written");
        let logged_before = file.metadata().expect("an open file has a length").len();
        let errors = file.try_clone().expect("a file handle can be cloned");
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = command.spawn().expect("the broker starts");
        let began = Instant::now();
        // Made first, so that a broker that does not get ready is killed and its log is shown.
        let mut broker = Broker { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), log };
        broker.address = loop {
            if let Some(address) = listening(&broker.log, logged_before) {
                break address;
            }
            let ended = broker.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "the broker ended with {ended:?}");
            assert!(began.elapsed() < PATIENCE, "the broker does not get ready");
            std::thread::sleep(Duration::from_millis(10));
        };
        broker
    }

    /// Connects a client.
    pub fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).expect("the broker listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("an option can be set");
        Client { stream, correlation_id: 0 }
    }

    /// Stops it with SIGTERM and waits for its end.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(asked.expect("kill is on every machine").success());
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                assert!(status.success(), "the broker ended with {status}");
                return;
            }
            assert!(began.elapsed() < PATIENCE, "the broker does not stop");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it with SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("--- the broker's log ---\n{log}");
        }
    }
}

/// Where the broker listens, once its banner says that it is ready; what was logged before it does not count.
fn listening(log: &Path, logged_before: u64) -> Option<SocketAddr> {
    let log = std::fs::read_to_string(log).expect("the log can be read");
    let (banner, _) = log[logged_before as usize..].split_once("ready in ")?;
    let (_, line) = banner.split_once("\nkafka ").expect("the banner says where it listens");
    let address = line.split_whitespace().next().expect("an address");
    Some(address.parse().expect("host and port"))
}

/// One connection.
pub struct Client {
    pub stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    /// The correlation id for the next request.
    pub fn next_id(&mut self) -> i32 {
        self.correlation_id += 1;
        self.correlation_id
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &[u8]) {
        self.stream.write_all(frame).expect("the broker reads");
    }

    /// Receives a frame, without its length.
    pub fn receive(&mut self) -> Bytes {
        self.try_receive().expect("the broker answers")
    }

    /// Receives a frame, or the end of the connection.
    pub fn try_receive(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).ok()?;
        Some(frame.into())
    }

    /// One request and its response.
    pub fn call<T: Request>(&mut self, version: i16, body: &T) -> T::Response {
        let id = self.next_id();
        let frame = client::request(version, id, Some("test"), body).expect("it can be said");
        RequestHeader::parse(&frame[4..]).expect("it is served");
        self.send(&frame);
        client::response::<T>(version, id, &self.receive()).expect("it can be read")
    }

    /// Creates a topic; its id.
    pub fn create_topic(&mut self, name: &str, partitions: i32) -> [u8; 16] {
        let topic = CreatableTopic::default()
            .with_name(TopicName(StrBytes::from_string(name.to_owned())))
            .with_num_partitions(partitions)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000);
        let response = self.call(7, &request);
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
        response.topics[0].topic_id.into_bytes()
    }

    /// Sends a produce without waiting; its correlation id.
    pub fn send_produce(
        &mut self,
        topic: TopicRef<'_>,
        acks: i16,
        batches: &[(i32, Vec<u8>)],
    ) -> i32 {
        let partitions = batches
            .iter()
            .map(|(index, records)| ProduceCallPartition { index: *index, records })
            .collect();
        let call = ProduceCall {
            transactional_id: None,
            acks,
            timeout_ms: 30_000,
            topics: vec![(topic, partitions)],
        };
        let id = self.next_id();
        self.send(&call.encode(produce_version(topic), id, Some("test")));
        id
    }

    /// Receives the answer to a produce.
    pub fn receive_produce(&mut self, topic: TopicRef<'_>, id: i32) -> Vec<ProducedPartition> {
        let frame = self.receive();
        let answer = ProduceAnswer::decode(produce_version(topic), id, &frame);
        answer.expect("it can be read").partitions
    }

    /// Produces one batch of `values` and gives its base offset.
    pub fn produce(&mut self, topic: TopicRef<'_>, partition: i32, values: &[&str]) -> i64 {
        let id = self.send_produce(topic, -1, &[(partition, batch(values))]);
        let produced = self.receive_produce(topic, id);
        assert_eq!(produced[0].error, ErrorCode::None, "{:?}", produced[0].error_message);
        produced[0].base_offset
    }

    /// Sends a fetch without waiting; its correlation id.
    pub fn send_fetch(&mut self, version: i16, call: &FetchCall<'_>) -> i32 {
        let id = self.next_id();
        self.send(&call.encode(version, id, Some("test")));
        id
    }

    /// One fetch and its answer.
    pub fn fetch(&mut self, version: i16, call: &FetchCall<'_>) -> FetchAnswer {
        let id = self.send_fetch(version, call);
        FetchAnswer::decode(version, id, &self.receive()).expect("it can be read")
    }

    /// All values of a partition from `offset` on, read until `count` are there.
    pub fn consume(
        &mut self,
        topic: TopicRef<'_>,
        partition: i32,
        mut offset: i64,
        count: usize,
    ) -> Vec<String> {
        let mut all = Vec::new();
        let began = Instant::now();
        while all.len() < count {
            assert!(began.elapsed() < PATIENCE, "{} of {count} records came", all.len());
            let call = fetch_call(vec![(topic, vec![(partition, offset)])]);
            let version = if topic.id().is_some() { 17 } else { 12 };
            let answer = self.fetch(version, &call);
            assert_eq!(answer.error, ErrorCode::None);
            for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
                assert_eq!(partition.error, ErrorCode::None);
                for (at, value) in values(&partition.records) {
                    if at >= offset {
                        assert_eq!(at, offset, "offsets follow each other");
                        all.push(value);
                        offset += 1;
                    }
                }
            }
        }
        all
    }
}

fn produce_version(topic: TopicRef<'_>) -> i16 {
    if topic.id().is_some() { 13 } else { 9 }
}

/// A sessionless fetch of (partition, offset) by topic, waiting up to half a second for one byte.
pub fn fetch_call<'a>(topics: Vec<(TopicRef<'a>, Vec<(i32, i64)>)>) -> FetchCall<'a> {
    let partition = |(partition, fetch_offset): (i32, i64)| FetchCallPartition {
        partition,
        current_leader_epoch: -1,
        fetch_offset,
        last_fetched_epoch: -1,
        partition_max_bytes: 1 << 20,
    };
    let topics = topics
        .into_iter()
        .map(|(topic, partitions)| (topic, partitions.into_iter().map(partition).collect()))
        .collect();
    FetchCall {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 50 << 20,
        isolation: Isolation::ReadUncommitted,
        session_id: 0,
        session_epoch: -1,
        topics,
        forgotten: Vec::new(),
        rack_id: "",
    }
}

/// A batch of these values, as a producer sends it.
pub fn batch(values: &[&str]) -> Vec<u8> {
    let mut builder = Builder::new(Codec::None);
    for value in values {
        builder.push(NewRecord::of(value.as_bytes()).at(1_700_000_000_000));
    }
    builder.build().expect("no codec, no error")
}

/// Offsets and values in the batches of a fetch.
pub fn values(records: &[u8]) -> Vec<(i64, String)> {
    let mut all = Vec::new();
    for batch in split(records) {
        let batch = batch.expect("whole batches are returned");
        assert!(batch.check_crc(), "the checksum holds");
        let records = Records::unpacked(&batch, 1 << 30).expect("the records unpack");
        for record in records.iter() {
            let record = record.expect("the records are whole");
            let value = record.value.expect("each record has a value");
            all.push((record.offset.0, String::from_utf8_lossy(value).into_owned()));
        }
    }
    all
}

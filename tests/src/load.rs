//! An in-process librdkafka producer and reader, as the tests drive them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::ledger::{Ledger, Seen, value};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The settings every client starts from.
pub fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("broker.address.family", "v4")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "200");
    config
}

/// Drives a future to its end on this thread; the futures of librdkafka are woken by its own threads.
pub fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park_timeout(Duration::from_millis(100)),
        }
    }
}

/// Creates a topic and waits until it is there.
pub fn create_topic(bootstrap: &str, name: &str, partitions: i32) {
    create_topic_with(bootstrap, name, partitions, &[]);
}

/// Creates a topic with settings of its own.
pub fn create_topic_with(bootstrap: &str, name: &str, partitions: i32, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> =
        client(bootstrap).create().expect("the settings are right");
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for (key, text) in settings {
        topic = topic.set(key, text);
    }
    let answers = wait(admin.create_topics([&topic], &AdminOptions::new()))
        .expect("the broker answers CreateTopics");
    for answer in answers {
        answer.expect("the topic is created");
    }
}

/// What the delivery reports say, shared with librdkafka's thread.
#[derive(Clone, Default)]
struct Reports {
    ledger: Arc<Mutex<Ledger>>,
    failures: Arc<Mutex<Vec<String>>>,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, id: Box<u64>) {
        match result {
            Ok(message) => self.ledger.lock().expect("no holder panics").acknowledged(
                message.partition(),
                *id,
                message.offset(),
            ),
            Err((error, _)) => {
                self.failures.lock().expect("no holder panics").push(error.to_string());
            }
        }
    }
}

/// An idempotent producer that sends records of many sizes to every partition and keeps the ledger.
pub struct Load {
    producer: ThreadedProducer<Reports>,
    reports: Reports,
    topic: String,
    partitions: i32,
    next: u64,
}

impl Load {
    /// A producer that has sent nothing yet.
    pub fn start(bootstrap: &str, topic: &str, partitions: i32) -> Self {
        let reports = Reports::default();
        let producer = client(bootstrap)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "1")
            .set("batch.size", "1000000")
            .set("message.max.bytes", "1000000")
            .set("message.timeout.ms", "120000")
            .set("retry.backoff.ms", "20")
            .set("retry.backoff.max.ms", "200")
            .set("queue.buffering.max.kbytes", "65536")
            .create_with_context(reports.clone())
            .expect("the settings are right");
        Self { producer, reports, topic: topic.to_owned(), partitions, next: 0 }
    }

    /// Sends for this long, small records mostly, now and then one close to 1 MiB.
    pub fn run_for(&mut self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            self.send(40);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends this many records more; waits for nothing but room in the queue.
    pub fn send(&mut self, records: usize) {
        (0..records).for_each(|_| self.send_one());
    }

    /// Sends until nothing was acknowledged for `quiet`; false if that does not happen in a minute.
    pub fn run_until_stalled(&mut self, quiet: Duration) -> bool {
        let began = Instant::now();
        let (mut before, mut moved) = (self.acknowledged(), Instant::now());
        while began.elapsed() < PATIENCE {
            if self.producer.in_flight_count() < 20_000 {
                self.send(100);
            }
            std::thread::sleep(Duration::from_millis(10));
            let now = self.acknowledged();
            if now != before {
                (before, moved) = (now, Instant::now());
            }
            if moved.elapsed() > quiet {
                return true;
            }
        }
        false
    }

    /// Waits until something more is acknowledged than is now.
    pub fn wait_for_progress(&mut self) {
        let before = self.acknowledged();
        let began = Instant::now();
        self.send_one();
        while self.acknowledged() == before {
            assert!(
                began.elapsed() < PATIENCE,
                "nothing acknowledged any more: {:?}",
                self.failures()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for every report and returns the ledger.
    pub fn finish(self) -> Ledger {
        self.producer.flush(PATIENCE).expect("everything sent is reported");
        assert_eq!(self.failures(), Vec::<String>::new(), "records were given up");
        self.ledger()
    }

    /// What was sent and acknowledged until now.
    pub fn ledger(&self) -> Ledger {
        self.reports.ledger.lock().expect("no holder panics").clone()
    }

    fn acknowledged(&self) -> usize {
        self.reports.ledger.lock().expect("no holder panics").acknowledged_count()
    }

    fn failures(&self) -> Vec<String> {
        self.reports.failures.lock().expect("no holder panics").clone()
    }

    fn send_one(&mut self) {
        let id = self.next;
        self.next += 1;
        let partition = i32::try_from(id % self.partitions.unsigned_abs() as u64).expect("small");
        let bytes = match id % 1_009 {
            0 => 990_000,
            1..=8 => 60_000,
            9..=40 => 4_000,
            rest => usize::try_from(rest).expect("small") % 300,
        };
        self.reports.ledger.lock().expect("no holder panics").sent(partition, id, bytes);
        let key = id.to_be_bytes();
        let body = value(partition, id, bytes);
        let mut record = BaseRecord::with_opaque_to(&self.topic, Box::new(id))
            .partition(partition)
            .key(&key[..])
            .payload(&body[..]);
        loop {
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err((error, _)) => panic!("librdkafka refused a record: {error}"),
            }
        }
    }
}

/// A reader of one partition from `from` on.
pub fn reader(bootstrap: &str, topic: &str, partition: i32, from: Offset) -> BaseConsumer {
    reader_of(bootstrap, &[(topic.to_owned(), partition)], from)
}

/// A reader of these partitions, of each from `from` on.
pub fn reader_of(bootstrap: &str, partitions: &[(String, i32)], from: Offset) -> BaseConsumer {
    let consumer: BaseConsumer = client(bootstrap)
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "false")
        .set("check.crcs", "true")
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "50")
        .create()
        .expect("the settings are right");
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition_offset(topic, *partition, from).expect("the offset is legal");
    }
    consumer.assign(&list).expect("a partition can be assigned");
    consumer
}

/// Every record of a partition, from the start to the end it has now.
pub fn read_all(bootstrap: &str, topic: &str, partition: i32) -> Vec<Seen> {
    let one = [(topic.to_owned(), partition)];
    read_partitions(bootstrap, &one).pop().expect("one list for each partition")
}

/// Every record of these partitions, each from its start to the end it has now, in the same order.
pub fn read_partitions(bootstrap: &str, partitions: &[(String, i32)]) -> Vec<Vec<Seen>> {
    let consumer = reader_of(bootstrap, partitions, Offset::Beginning);
    let ends: Vec<(i64, i64)> = partitions
        .iter()
        .map(|(topic, partition)| {
            let ends = consumer.fetch_watermarks(topic, *partition, PATIENCE);
            ends.expect("the broker answers ListOffsets")
        })
        .collect();
    let mut seen = vec![Vec::new(); partitions.len()];
    let is_read = |seen: &Vec<Seen>, (low, high): &(i64, i64)| {
        low >= high || seen.last().is_some_and(|last| last.offset + 1 >= *high)
    };
    let began = Instant::now();
    while !seen.iter().zip(&ends).all(|(seen, ends)| is_read(seen, ends)) {
        let counts: Vec<usize> = seen.iter().map(Vec::len).collect();
        assert!(began.elapsed() < PATIENCE, "only {counts:?} records of {partitions:?}, {ends:?}");
        let Some(answer) = consumer.poll(Duration::from_millis(200)) else { continue };
        let message = answer.expect("the broker answers Fetch");
        let at = partitions
            .iter()
            .position(|(topic, partition)| {
                topic == message.topic() && *partition == message.partition()
            })
            .expect("only what was assigned is read");
        seen[at].push(Seen::of(&message));
    }
    // What came in after the question where the end is does not count.
    for (seen, (_, high)) in seen.iter_mut().zip(&ends) {
        seen.retain(|record| record.offset < *high);
    }
    seen
}

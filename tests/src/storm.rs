//! Everything at once against one broker that will die: idempotent producers with batches of all sizes, consumers that
//! read along, and topics that come and go; and afterwards the proof that nothing of it was lost.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::calls::Code;
use crate::churn::Churn;
use crate::load::{Load, create_topic_with, read_partitions};
use crate::watcher::{Ids, Watcher, taken_back};

/// How often producers send; how much is the caller's choice.
const TICK: Duration = Duration::from_millis(2);

/// One topic that is there all the time, with its producer and its consumer.
struct Stream {
    topic: String,
    partitions: i32,
    load: Load,
    watcher: Watcher,
    /// What the consumer had seen when the broker died.
    watched: Vec<Ids>,
}

/// See the module. The order of calls is `run_for`, the death of the broker, `on_death`, its next start, `check`.
pub struct Storm {
    address: SocketAddr,
    records_per_tick: usize,
    streams: Vec<Stream>,
    churn: Option<Churn>,
    running: Option<JoinHandle<Churn>>,
}

impl Storm {
    /// Creates a topic for each `(partitions, durability class)` and begins to read it. Each topic gets
    /// `records_per_tick` records every 2 ms, of 1.7 kB on average.
    pub fn start(address: SocketAddr, topics: &[(i32, &str)], records_per_tick: usize) -> Self {
        let bootstrap = address.to_string();
        let stream = |(partitions, class): &(i32, &str)| {
            let topic = format!("storm-{class}");
            create_topic_with(&bootstrap, &topic, *partitions, &[("ack.durability", class)]);
            Stream {
                load: Load::start(&bootstrap, &topic, *partitions),
                watcher: Watcher::start(&bootstrap, &topic, *partitions),
                watched: Vec::new(),
                partitions: *partitions,
                topic,
            }
        };
        Self {
            address,
            records_per_tick,
            streams: topics.iter().map(stream).collect(),
            churn: Some(Churn::new("churn", u64::from(address.port()))),
            running: None,
        }
    }

    /// Blows for this long, and in the background until the broker dies: what was sent and not answered, and topics.
    pub fn run_for(&mut self, time: Duration) {
        if let Some(churn) = self.churn.take() {
            let address = self.address;
            self.running = Some(thread::spawn(move || churn.run(address)));
        }
        let began = Instant::now();
        while began.elapsed() < time {
            for stream in &mut self.streams {
                stream.load.send(self.records_per_tick);
            }
            thread::sleep(TICK);
        }
    }

    /// The broker has died: notes what consumers saw until then. Returns what was refused before, and with which codes.
    ///
    /// # Panics
    /// When a client was told something that cannot be.
    pub fn on_death(&mut self) -> Vec<(String, Code)> {
        for stream in &mut self.streams {
            stream.watched = stream.watcher.seen();
            stream.watcher.assert_content();
        }
        let churn = self.running.take().expect("it was running").join();
        let churn = churn.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let refused = churn.refused().to_vec();
        self.churn = Some(churn);
        refused
    }

    /// The broker is back: waits until each producer goes on, and asks which topics there are.
    ///
    /// # Panics
    /// When the broker takes nothing any more, or a topic is there that must not be, or the other way round.
    pub fn settle(&mut self) {
        for stream in &mut self.streams {
            stream.load.wait_for_progress();
            stream.watcher.assert_content();
        }
        self.churn.as_mut().expect("the broker has died before").settle(self.address);
    }

    /// Settles, and then reads everything and holds it against what was acknowledged and what consumers saw.
    ///
    /// # Panics
    /// When anything is lost, altered, out of order or there twice.
    pub fn check(&mut self) {
        self.settle();
        for stream in &mut self.streams {
            let ledger = stream.load.ledger();
            let partitions: Vec<_> =
                (0..stream.partitions).map(|partition| (stream.topic.clone(), partition)).collect();
            let read = read_partitions(&self.address.to_string(), &partitions);
            for ((partition, seen), watched) in (0..).zip(&read).zip(&stream.watched) {
                ledger.assert_holds(partition, seen);
                let gone = taken_back(watched, seen);
                let topic = &stream.topic;
                assert!(gone.is_empty(), "{topic} {partition}: {:?}", &gone[..gone.len().min(20)]);
            }
        }
        self.churn.as_ref().expect("settled above").check(self.address);
    }

    /// Waits for all answers that are still due and checks everything once more.
    ///
    /// # Panics
    /// As [`Storm::check`], and when the storm never got going.
    pub fn finish(mut self, deaths: usize) {
        self.check();
        let churned = self.churn.as_ref().map_or(0, Churn::answered);
        assert!(churned as usize > deaths, "only {churned} changes of topics and batches to them");
        for stream in self.streams {
            let watched: usize = stream.watcher.seen().iter().map(Ids::len).sum();
            assert!(watched > deaths, "{}: a consumer saw {watched} records", stream.topic);
            let ledger = stream.load.finish();
            let acknowledged = ledger.acknowledged_count();
            assert!(acknowledged > deaths, "{}: {acknowledged} acknowledged", stream.topic);
        }
    }
}

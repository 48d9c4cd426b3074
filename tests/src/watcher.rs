//! A consumer that reads along, through every crash: what it saw once must be there ever after, at its offset.
//!
//! It stays subscribed while the broker is away and goes on where it stood. It complains when an offset is missing or comes
//! twice, when a value is not the one that was sent, or when the broker tells it that its position does not exist.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::Offset;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;

use crate::ledger::{Seen, value};
use crate::load::reader_of;

/// The id of each record, by its offset.
pub type Ids = BTreeMap<i64, u64>;

/// A consumer of all partitions of a topic, on a thread of its own; it ends when dropped.
pub struct Watcher {
    notes: Arc<Mutex<Notes>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Notes {
    seen: Vec<Ids>,
    complaints: Vec<String>,
}

impl Watcher {
    /// Begins to read a topic from its start.
    pub fn start(bootstrap: &str, topic: &str, partitions: i32) -> Self {
        let list: Vec<_> = (0..partitions).map(|partition| (topic.to_owned(), partition)).collect();
        let notes = Notes { seen: vec![Ids::new(); list.len()], ..Notes::default() };
        let notes = Arc::new(Mutex::new(notes));
        let stop = Arc::new(AtomicBool::new(false));
        let (of_thread, stop_of_thread) = (notes.clone(), stop.clone());
        let consumer = reader_of(bootstrap, &list, Offset::Beginning);
        let thread = thread::spawn(move || {
            while !stop_of_thread.load(Ordering::Relaxed) {
                match consumer.poll(Duration::from_millis(50)) {
                    None => {}
                    Some(answer) => of_thread.lock().expect("no holder panics").take(answer),
                }
            }
        });
        Self { notes, stop, thread: Some(thread) }
    }

    /// What it has seen until now, for each partition.
    pub fn seen(&self) -> Vec<Ids> {
        self.notes.lock().expect("no holder panics").seen.clone()
    }

    /// Fails the test when the consumer was told something that cannot be.
    ///
    /// # Panics
    /// With its complaints.
    pub fn assert_content(&self) {
        let complaints = self.notes.lock().expect("no holder panics").complaints.clone();
        assert_eq!(complaints, Vec::<String>::new(), "complaints of a consumer");
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Notes {
    fn take(&mut self, answer: Result<impl Message, KafkaError>) {
        match answer {
            Ok(message) => {
                let at = usize::try_from(message.partition()).expect("it is one of the assigned");
                let Seen { offset, id, value: found } = Seen::of(&message);
                let next = self.seen[at].last_key_value().map_or(0, |(last, _)| last + 1);
                if offset != next {
                    self.complaints.push(format!("partition {at}: {offset} came for {next}"));
                }
                if found != value(message.partition(), id, found.len()) {
                    self.complaints.push(format!("partition {at}: {offset} (id {id}) is altered"));
                }
                self.seen[at].insert(offset, id);
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => self.complaints.push(error.to_string()),
        }
    }
}

/// Whether the error only says that the broker is not there.
pub fn is_of_the_connection(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
        )
    )
}

/// Everything of `watched` that a later reading of the partition does not have at its place.
pub fn taken_back(watched: &Ids, read: &[Seen]) -> Vec<String> {
    let read: Ids = read.iter().map(|record| (record.offset, record.id)).collect();
    let gone = watched.iter().filter(|(offset, id)| read.get(offset) != Some(*id));
    gone.map(|(offset, id)| format!("record {id} was seen at {offset}: {:?} is", read.get(offset)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_consumer_saw_cannot_change() {
        let seen = |offset, id| Seen { offset, id, value: Vec::new() };
        let watched = Ids::from([(0, 7), (1, 9)]);
        assert_eq!(taken_back(&watched, &[seen(0, 7), seen(1, 9), seen(2, 8)]), [""; 0]);
        assert_eq!(taken_back(&watched, &[seen(0, 7)]).len(), 1, "lost");
        assert_eq!(taken_back(&watched, &[seen(0, 7), seen(1, 8)]).len(), 1, "offset used again");
    }
}

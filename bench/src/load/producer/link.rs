//! One producer's connection to one broker: sends what is due there, as many requests at a time as the plan allows, and
//! opens the connection again when it breaks.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use engine::net::Stream;
use engine::sync::Notify;
use engine::task::{self, Queue};
use engine::time;
use protocol::ApiKey;
use protocol::client::request as plain_request;
use protocol::messages::ApiVersionsRequest;
use protocol::produce::TOPIC_IDS_FROM;

use super::super::connection::{CLIENT_ID, Connection, Incoming};
use super::super::limits::{ANSWER_MAX, PAUSE_FIRST, PAUSE_LAST, REQUEST_BYTES_MAX};
use super::super::trouble::Trouble;
use super::accumulate::Batch;
use super::client::Producer;
use super::request::{self, Terms};
use crate::plan::Acks;

/// A request without an answer.
pub struct Sent {
    /// Its correlation id.
    pub correlation: i32,
    /// The version of Produce it was in.
    pub version: i16,
    /// When it was sent.
    pub at: u64,
    /// What it carries; nothing if it only asks whether all before it were taken in.
    pub batches: Vec<Batch>,
}

/// A connection to one broker.
pub struct Link {
    /// The broker's node id.
    pub broker: i32,
    /// Its lanes that are due.
    pub due: RefCell<VecDeque<u32>>,
    /// Requests in the order they were sent.
    pub in_flight: RefCell<VecDeque<Sent>>,
    /// Something is due, an answer has come, or the end.
    pub wake: Notify,
    stream: RefCell<Option<Stream>>,
    /// Why the connection does not serve any more.
    broken: RefCell<Option<Trouble>>,
    correlation: Cell<i32>,
    /// Whether it was asked if all before was taken in; of a producer that wants no acknowledgements.
    asked_for_end: Cell<bool>,
}

impl Link {
    /// Not connected yet.
    pub fn new(broker: i32) -> Rc<Link> {
        Rc::new(Link {
            broker,
            due: RefCell::default(),
            in_flight: RefCell::default(),
            wake: Notify::new(),
            stream: RefCell::default(),
            broken: RefCell::default(),
            correlation: Cell::new(1_000),
            asked_for_end: Cell::new(false),
        })
    }

    /// Connected, and fewer requests are in flight than may be.
    pub fn has_room(&self, in_flight: usize) -> bool {
        self.is_connected() && self.in_flight.borrow().len() < in_flight
    }

    /// Connected.
    pub fn is_connected(&self) -> bool {
        self.stream.borrow().is_some() && self.broken.borrow().is_none()
    }

    /// The connection does not serve any more.
    pub fn break_off(&self, trouble: Trouble) {
        if let Some(stream) = &*self.stream.borrow() {
            stream.shutdown();
        }
        self.broken.borrow_mut().get_or_insert(trouble);
        self.wake.notify_one();
    }

    /// Breaks the connection off if its oldest request has waited too long; true if so.
    pub fn is_overdue(&self, now: u64) -> bool {
        let oldest = self.in_flight.borrow().front().map(|sent| sent.at);
        let overdue = oldest.is_some_and(|at| now > at + ANSWER_MAX.as_nanos() as u64);
        if overdue && self.is_connected() {
            let address = format!("broker {}", self.broker);
            self.break_off(Trouble::TimedOut { address, seconds: ANSWER_MAX.as_secs() });
            return true;
        }
        false
    }

    /// Connects, sends, and connects again, until the producer ends.
    pub async fn run(self: Rc<Self>, producer: Rc<Producer>) {
        let mut pause = PAUSE_FIRST;
        let mut again = false;
        while !producer.is_closing() {
            let opened = self.open(&producer).await;
            match opened {
                Ok((terms, incoming)) => {
                    if std::mem::replace(&mut again, true) {
                        producer.count(|counts| counts.reconnects += 1);
                    }
                    pause = PAUSE_FIRST;
                    let reading = read(self.clone(), producer.clone(), incoming);
                    let reader = task::spawn(Queue::Produce, reading);
                    producer.on_connected();
                    self.send_all(&producer, terms).await;
                    reader.cancel();
                    *self.stream.borrow_mut() = None;
                    self.asked_for_end.set(false);
                    let lost = std::mem::take(&mut *self.in_flight.borrow_mut());
                    producer.on_lost(lost);
                }
                Err(trouble) if !trouble.is_retriable() => {
                    return producer.fail(trouble.into());
                }
                Err(trouble) => producer.on_unreachable(trouble),
            }
            if producer.is_closing() {
                return;
            }
            time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LAST);
            // The partitions may have moved; if nobody answers, that is counted at the next attempt.
            let _ = producer.refresh().await;
            producer.redistribute();
        }
    }

    async fn open(&self, producer: &Producer) -> Result<(Terms, Incoming), Trouble> {
        let layout = producer.layout();
        let Some(address) = layout.brokers.get(&self.broker) else {
            let address = format!("broker {}", self.broker);
            return Err(Trouble::Unreachable { address, why: "it has left the cluster".into() });
        };
        let connection = Connection::open(address).await?;
        let most = if layout.has_ids() { i16::MAX } else { TOPIC_IDS_FROM - 1 };
        let version = connection.version_at_most(ApiKey::Produce, most)?;
        let (stream, incoming) = connection.split();
        *self.broken.borrow_mut() = None;
        *self.stream.borrow_mut() = Some(stream);
        Ok((Terms { version, acks: producer.acks() }, incoming))
    }

    /// Sends what becomes due until the connection breaks or the producer ends.
    async fn send_all(&self, producer: &Rc<Producer>, terms: Terms) {
        let stream = self.stream.borrow().clone().expect("it was just opened");
        loop {
            let woken = self.wake.notified();
            if self.broken.borrow().is_some() || producer.is_closing() {
                return;
            }
            let room = self.in_flight.borrow().len() < producer.in_flight();
            let batches = if room { self.take(producer) } else { Vec::new() };
            let sent = if batches.is_empty() {
                if !(room && producer.wants_end() && !self.asked_for_end.replace(true)) {
                    woken.await;
                    continue;
                }
                self.ask_for_end(&stream).await
            } else {
                self.send(producer, terms, &stream, batches).await
            };
            if let Err(error) = sent {
                let (address, why) = (stream.peer_addr().to_string(), error.to_string());
                self.break_off(Trouble::Lost { address, why });
            }
        }
    }

    /// The batches of one request.
    fn take(&self, producer: &Rc<Producer>) -> Vec<Batch> {
        let mut batches: Vec<Batch> = Vec::new();
        let mut bytes = 0;
        // Lanes that have more are listed anew behind these, for the next request.
        let mut due = std::mem::take(&mut *self.due.borrow_mut());
        while bytes < REQUEST_BYTES_MAX
            && batches.len() < producer.request_batches()
            && let Some(lane) = due.pop_front()
        {
            if let Some(batch) = producer.take(lane) {
                bytes += batch.frame.len();
                batches.push(batch);
            }
        }
        let mut place = self.due.borrow_mut();
        due.append(&mut place);
        *place = due;
        drop(place);
        producer.distribute();
        batches
    }

    async fn send(
        &self,
        producer: &Rc<Producer>,
        terms: Terms,
        stream: &Stream,
        mut batches: Vec<Batch>,
    ) -> std::io::Result<()> {
        let correlation = self.next_correlation();
        let pieces = request::encode(terms, correlation, &producer.layout(), &mut batches);
        let at = time::now().nanos();
        batches.iter_mut().filter(|b| b.sent_first == 0).for_each(|b| b.sent_first = at);
        if terms.acks == Acks::Zero {
            let sent = stream.send(pieces).await;
            producer.on_sent(batches, sent.is_ok());
            return sent;
        }
        let sent = Sent { correlation, version: terms.version, at, batches };
        self.in_flight.borrow_mut().push_back(sent);
        stream.send(pieces).await
    }

    /// A call whose answer comes only after everything before it was taken in.
    async fn ask_for_end(&self, stream: &Stream) -> std::io::Result<()> {
        let correlation = self.next_correlation();
        let ask = ApiVersionsRequest::default();
        let frame = plain_request(0, correlation, Some(CLIENT_ID), &ask)
            .expect("version 0 has no fields to be wrong");
        let at = time::now().nanos();
        let sent = Sent { correlation, version: 0, at, batches: Vec::new() };
        self.in_flight.borrow_mut().push_back(sent);
        stream.send(vec![frame.into()]).await
    }

    /// Its producer's last requests were answered: nothing is on its way to the broker.
    pub fn is_quiet(&self) -> bool {
        self.in_flight.borrow().is_empty() && (self.asked_for_end.get() || !self.is_connected())
    }

    fn next_correlation(&self) -> i32 {
        self.correlation.set(self.correlation.get().wrapping_add(1) & i32::MAX);
        self.correlation.get()
    }
}

async fn read(link: Rc<Link>, producer: Rc<Producer>, mut incoming: Incoming) {
    loop {
        match incoming.next().await {
            Ok(frame) => {
                if let Err(why) = producer.on_answer(&link, &frame) {
                    let trouble = incoming.protocol(why);
                    producer.fail(trouble.clone().into());
                    return link.break_off(trouble);
                }
            }
            Err(trouble) => return link.break_off(trouble),
        }
    }
}

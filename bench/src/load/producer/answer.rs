//! What becomes of batches: acknowledged, sent again, or given up.
//!
//! Without sequence numbers a batch is sent again only if that can neither store it twice nor behind a later one: the
//! broker said no to it, and nothing else of its partition is in flight. Otherwise its records are given up, which the
//! audit does not hold against the broker.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use engine::time;
use protocol::ErrorCode;
use protocol::client::{ProduceAnswer, ProducedPartition, correlation_id};
use protocol::produce::TOPIC_IDS_FROM;

use super::super::limits::DELIVERY_MAX;
use super::accumulate::Batch;
use super::client::Producer;
use super::link::{Link, Sent};

impl Producer {
    /// A frame has come by `link`.
    ///
    /// # Errors
    /// It is not the answer to the oldest request, in words.
    pub(super) fn on_answer(self: &Rc<Self>, link: &Rc<Link>, frame: &Bytes) -> Result<(), String> {
        if self.is_closing() {
            // It gave up waiting for this one.
            return Ok(());
        }
        let now = time::now().nanos();
        let sent = link.in_flight.borrow_mut().pop_front();
        let Some(sent) = sent else { return Err("an answer that nobody asked for".into()) };
        if sent.batches.is_empty() {
            correlation_id(frame).map_err(|error| error.to_string())?;
            self.on_room();
            return Ok(());
        }
        let answer = ProduceAnswer::decode(sent.version, sent.correlation, frame);
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                link.in_flight.borrow_mut().push_front(sent);
                return Err(error.to_string());
            }
        };
        self.on_served(now, &sent);
        let mut batches = sent.batches;
        for partition in &answer.partitions {
            let Some(batch) = self.take_named(&mut batches, partition, sent.version) else {
                return Err("an answer for a partition that was not written to".into());
            };
            self.on_result(now, batch, partition);
        }
        if !batches.is_empty() {
            return Err("no answer for a partition that was written to".into());
        }
        link.wake.notify_one();
        self.distribute();
        self.on_room();
        Ok(())
    }

    fn on_served(&self, now: u64, sent: &Sent) {
        let meters = self.meter.borrow();
        let Some((meter, service)) = &*meters else { return };
        service.borrow_mut().on_served(now, sent.at);
        let mut meter = meter.borrow_mut();
        meter.turn(now);
        meter.counts.requests += 1;
    }

    fn take_named(
        &self,
        batches: &mut Vec<Batch>,
        partition: &ProducedPartition,
        version: i16,
    ) -> Option<Batch> {
        let layout = self.layout();
        let by_id = version >= TOPIC_IDS_FROM;
        let topic = layout.topic(&partition.topic, partition.topic_id, by_id)?;
        let lane = layout.lane(topic, partition.index)? as u32;
        let at = batches.iter().position(|batch| batch.lane == lane)?;
        Some(batches.swap_remove(at))
    }

    fn on_result(self: &Rc<Self>, now: u64, batch: Batch, partition: &ProducedPartition) {
        let idempotent = self.context.plan().idempotent;
        let code = partition.error;
        match code {
            // One that is there already is acknowledged by saying so.
            ErrorCode::None | ErrorCode::DuplicateSequenceNumber => {
                self.on_acknowledged(now, batch, partition.base_offset);
            }
            ErrorCode::OutOfOrderSequenceNumber if idempotent && self.follows_failed(&batch) => {
                self.send_again(batch);
            }
            _ if code.retriable()
                && now.saturating_sub(batch.sent_first) < DELIVERY_MAX.as_nanos() as u64 =>
            {
                let alone = !self.batches.borrow().has_company(batch.lane);
                if idempotent || alone { self.send_again(batch) } else { self.give_up(batch) }
            }
            _ => {
                self.give_up(batch);
                if idempotent {
                    // What follows would not be next in sequence.
                    self.unidentified.set(true);
                    self.recover();
                }
            }
        }
    }

    fn follows_failed(&self, batch: &Batch) -> bool {
        self.batches.borrow().waits_for_earlier(batch.lane, batch.first)
    }

    fn on_acknowledged(&self, now: u64, batch: Batch, base_offset: i64) {
        let numbers = batch.first..batch.first + batch.count();
        if base_offset >= 0 {
            let end = &mut self.ends.borrow_mut()[batch.lane as usize];
            *end = (*end).max(base_offset + batch.count() as i64);
        }
        self.acked.borrow_mut().on_acknowledged(batch.lane, numbers);
        if let Some((meter, _)) = &*self.meter.borrow() {
            let mut meter = meter.borrow_mut();
            meter.on_answered(now, &batch.intended);
            meter.counts.acknowledged += batch.count();
            meter.counts.acknowledged_bytes += batch.bytes;
            meter.counts.batch_bytes += batch.frame.len() as u64;
        }
        self.batches.borrow_mut().settle(batch, true);
    }

    /// Batches for which no acknowledgement comes have been sent, or not.
    pub(super) fn on_sent(self: &Rc<Self>, batches: Vec<Batch>, sent: bool) {
        let now = time::now().nanos();
        for batch in batches {
            if !sent {
                self.give_up(batch);
                continue;
            }
            if let Some((meter, _)) = &*self.meter.borrow() {
                let mut meter = meter.borrow_mut();
                meter.turn(now);
                meter.counts.acknowledged += batch.count();
                meter.counts.acknowledged_bytes += batch.bytes;
                meter.counts.batch_bytes += batch.frame.len() as u64;
            }
            self.batches.borrow_mut().settle(batch, true);
        }
        self.count(|counts| counts.requests += 1);
        self.distribute();
        self.on_room();
    }

    /// The connection broke: nobody knows what became of these.
    pub(super) fn on_lost(self: &Rc<Self>, lost: VecDeque<Sent>) {
        let now = time::now().nanos();
        for batch in lost.into_iter().flat_map(|sent| sent.batches) {
            let young = now.saturating_sub(batch.sent_first) < DELIVERY_MAX.as_nanos() as u64;
            if self.context.plan().idempotent && young && !self.is_closing() {
                self.send_again(batch);
            } else {
                self.give_up(batch);
            }
        }
        self.on_room();
    }

    fn send_again(self: &Rc<Self>, batch: Batch) {
        self.count(|counts| counts.retries += 1);
        self.batches.borrow_mut().put_back(batch);
        self.recover();
    }

    /// Its records are not waited for any more.
    pub(super) fn give_up(&self, batch: Batch) {
        self.count(|counts| counts.failed += batch.count());
        self.batches.borrow_mut().settle(batch, false);
    }
}

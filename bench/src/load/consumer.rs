//! A consumer: reads its share of the partitions, measures end to end, and checks every record.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use engine::task::{self, Queue};
use engine::time;
use protocol::ErrorCode;
use storage::batch::{BatchView, FramingError, Records, split};

use super::cluster::Layout;
use super::context::{Context, Watch};
use super::fetcher::{self, Fetched, Reader};
use super::limits::{END_SEEN_MAX, SILENCE_MAX, UNPACKED_BYTES_MAX};
use super::meter::{Counts, SharedMeter, Whose};
use crate::record::{Altered, Seen};

/// How often new leaders are looked for.
const SPREAD: Duration = Duration::from_millis(200);

/// How far one partition was read.
#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    /// The offset of the next record.
    position: i64,
    /// Where records are looked at: behind `position` while an answer is being looked at.
    checked: i64,
    /// Since when the broker says, to requests sent behind the last acknowledgement, that there is no more; 0 it does not.
    ended: u64,
    /// Bytes at this position are no batch.
    broken_at: Option<i64>,
}

/// One consumer of a set. It alone reads its partitions for the set.
pub struct Consumer {
    context: Rc<Context>,
    lanes: Vec<usize>,
    /// By lane of the run; those of others are not used.
    places: RefCell<Vec<Lane>>,
    seen: RefCell<Option<Seen>>,
    meter: RefCell<Option<SharedMeter>>,
    /// Brokers that are read from.
    brokers: RefCell<BTreeSet<i32>>,
    connected: Cell<bool>,
    begun: Cell<bool>,
    drained: Cell<bool>,
    last_record: Cell<u64>,
    caught_up: Cell<bool>,
}

impl Consumer {
    /// The consumer `number` of `set`.
    pub fn new(context: Rc<Context>, set: u32, number: u32) -> Rc<Consumer> {
        let job = context.job.clone();
        let consumers = job.plan.consumers as usize;
        let of_mine = |lane: &usize| lane % consumers == number as usize;
        let lanes: Vec<usize> = (0..job.layout.leaders.len()).filter(of_mine).collect();
        let ids: Vec<u32> = lanes.iter().map(|lane| *lane as u32).collect();
        let seen = Seen::new(job.run, set, &ids, job.plan.producers);
        let place = |from: &i64| Lane { position: *from, checked: *from, ..Lane::default() };
        Rc::new(Consumer {
            lanes,
            places: RefCell::new(job.from.iter().map(place).collect()),
            seen: RefCell::new(Some(seen)),
            meter: RefCell::default(),
            brokers: RefCell::default(),
            connected: Cell::new(false),
            begun: Cell::new(false),
            drained: Cell::new(false),
            last_record: Cell::new(0),
            caught_up: Cell::new(job.prefill_bytes == 0),
            context,
        })
    }

    /// Reads until the run ends. `index` counts through all sets.
    pub async fn run(self: Rc<Self>, index: usize) {
        self.spread();
        self.context.watch(self.clone());
        if self.lanes.is_empty() {
            self.on_connected(false);
        }
        let Some(times) = self.context.begin().await else { return };
        let meter = self.context.meter(Whose::Consumer(index), times, None);
        *self.meter.borrow_mut() = Some(meter);
        self.last_record.set(time::now().nanos());
        self.begun.set(true);
        // Brokers that lead nothing yet may one day.
        while !self.is_over() {
            self.spread();
            time::sleep(SPREAD).await;
        }
    }

    /// Reads from brokers that are not read from yet.
    fn spread(self: &Rc<Self>) {
        let layout = self.context.layout();
        for lane in &self.lanes {
            let broker = layout.leaders[*lane];
            if broker >= 0 && self.brokers.borrow_mut().insert(broker) {
                task::spawn(Queue::Fetch, fetcher::run(self.clone(), broker));
            }
        }
    }

    /// What it has seen, when the run is over.
    pub fn finish(&self) {
        if let Some(seen) = self.seen.borrow_mut().take() {
            self.context.tell_seen(seen);
        }
    }

    fn count(&self, count: impl FnOnce(&mut Counts)) {
        if let Some(meter) = &*self.meter.borrow() {
            count(&mut meter.borrow_mut().counts);
        }
    }

    /// Everything acknowledged was read, or will not come any more.
    fn is_through(&self, now: u64, produced: u64) -> bool {
        let places = self.places.borrow();
        let silent = now > self.last_record.get().max(produced) + SILENCE_MAX.as_nanos() as u64;
        self.lanes.iter().all(|lane| {
            let place = &places[*lane];
            let acked = self.context.control().acked_ends[*lane].load(SeqCst);
            let ended = place.ended > 0;
            let stays_ended = ended && now > place.ended + END_SEEN_MAX.as_nanos() as u64;
            (ended && place.checked >= acked) || stays_ended || silent
        })
    }

    /// What lay there before the load was read. Producers tell their ends again only when the load is over.
    fn has_caught_up(&self) -> bool {
        let places = self.places.borrow();
        let ends = &self.context.control().acked_ends;
        self.begun.get()
            && self.lanes.iter().all(|lane| places[*lane].checked >= ends[*lane].load(SeqCst))
    }

    /// Checks the records of a batch that begin at `from` or later.
    fn check(&self, lane: usize, batch: &BatchView<'_>, from: i64, now: u64) {
        let mut seen = self.seen.borrow_mut();
        let meter = self.meter.borrow();
        let (Some(seen), Some(meter)) = (&mut *seen, &*meter) else { return };
        let mut meter = meter.borrow_mut();
        meter.turn(now);
        let pool = &self.context.job.pool;
        let is_whole = batch.check_crc();
        let lane = lane as u32;
        let Ok(records) = Records::unpacked(batch, UNPACKED_BYTES_MAX) else {
            seen.on_record(lane, batch.last_offset().0, Err(Altered::Stamp));
            return;
        };
        for record in records.iter() {
            let Ok(record) = record else {
                seen.on_record(lane, batch.last_offset().0, Err(Altered::Stamp));
                return;
            };
            if record.offset.0 < from {
                continue;
            }
            let value = record.value.unwrap_or_default();
            let mut found = pool.check(value);
            if let (false, Ok(stamp)) = (is_whole, found) {
                // What its checksum covers besides the value is not as it was.
                found = Err(Altered::Bytes { stamp, at: 0 });
            }
            meter.counts.consumed += 1;
            meter.counts.consumed_bytes += (value.len() + record.key.map_or(0, <[u8]>::len)) as u64;
            if let Some(stamp) = seen.on_record(lane, record.offset.0, found) {
                meter.on_arrived(now, stamp.intended_ns);
            }
        }
    }
}

impl Reader for Consumer {
    fn context(&self) -> &Rc<Context> {
        &self.context
    }

    fn layout(&self) -> Rc<Layout> {
        self.context.layout()
    }

    fn positions(&self, broker: i32) -> Vec<(usize, i64)> {
        if !self.begun.get() || !self.context.control().released.load(SeqCst) {
            return Vec::new();
        }
        let layout = self.context.layout();
        let places = self.places.borrow();
        let led = self.lanes.iter().filter(|lane| layout.leaders[**lane] == broker);
        led.map(|lane| (*lane, places[*lane].position)).collect()
    }

    fn advance(&self, fetched: &Fetched) {
        let place = &mut self.places.borrow_mut()[fetched.lane];
        for batch in split(&fetched.records) {
            let Ok(batch) = batch else { break };
            place.position = place.position.max(batch.next_offset().0);
        }
    }

    fn take(&self, fetched: Fetched, now: u64, sent: u64) {
        let Fetched { lane, records, high_watermark, log_start, error } = fetched;
        let (mut from, asked_from) = {
            let place = &self.places.borrow()[lane];
            (place.checked, place.position)
        };
        if error == ErrorCode::OffsetOutOfRange && log_start > from {
            // What was deleted is not seen; the audit says so.
            let place = &mut self.places.borrow_mut()[lane];
            (place.position, place.checked) = (log_start, log_start);
            return;
        }
        for batch in split(&records) {
            match batch {
                Ok(batch) => {
                    if batch.next_offset().0 > from {
                        self.check(lane, &batch, from, now);
                        from = batch.next_offset().0;
                        self.last_record.set(now);
                    }
                }
                Err(FramingError::Truncated { .. }) => break,
                Err(_) => {
                    // It is asked for again, and told once.
                    let place = &mut self.places.borrow_mut()[lane];
                    if place.broken_at.replace(from) != Some(from)
                        && let Some(seen) = &mut *self.seen.borrow_mut()
                    {
                        seen.on_record(lane as u32, from, Err(Altered::Stamp));
                    }
                    break;
                }
            }
        }
        let produced = self.context.control().produced.load(SeqCst);
        let place = &mut self.places.borrow_mut()[lane];
        place.checked = from;
        place.position = place.position.max(asked_from);
        let ends = error.is_none() && produced > 0 && sent > produced && high_watermark <= from;
        place.ended = match (ends, place.ended) {
            (true, 0) => now,
            (true, since) => since,
            (false, _) => 0,
        };
    }

    fn on_fetch(&self, now: u64) {
        if let Some(meter) = &*self.meter.borrow() {
            let mut meter = meter.borrow_mut();
            meter.turn(now);
            meter.counts.fetches += 1;
        }
    }

    fn on_trouble(&self, timed_out: bool) {
        self.count(|counts| counts.timeouts += u64::from(timed_out));
    }

    fn on_connected(&self, again: bool) {
        if again {
            self.count(|counts| counts.reconnects += 1);
        }
        if !self.connected.replace(true) {
            self.context.control().ready.fetch_add(1, SeqCst);
        }
    }

    fn pause(&self) -> Option<Duration> {
        None
    }

    fn is_over(&self) -> bool {
        self.context.control().is_stopped()
    }
}

/// Kept beside the consumer, which starts further readers.
impl Watch for Consumer {
    fn look(&self, now: u64) {
        if !self.caught_up.get() && self.has_caught_up() {
            self.caught_up.set(true);
            self.context.control().caught_up_at.fetch_max(now, SeqCst);
            self.context.control().caught_up.fetch_add(1, SeqCst);
        }
        let produced = self.context.control().produced.load(SeqCst);
        if produced > 0 && !self.drained.get() && self.is_through(now, produced) {
            self.drained.set(true);
            self.context.control().drained.fetch_add(1, SeqCst);
        }
    }
}

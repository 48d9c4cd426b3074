//! The producer itself: writes records when they are due, sees that what is due is sent, and ends in order.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;

use engine::sync::Notify;
use engine::task::{self, Queue};
use engine::time;

use super::super::cluster::{self, Layout};
use super::super::context::{Context, Watch};
use super::super::control::Times;
use super::super::limits::{
    DRAIN_MAX, FULL_STEP, LINGER_STEP, LOOK, PAUSE_FIRST, PAUSE_LAST, RECORDS_PER_TURN,
    REQUEST_BYTES_MAX,
};
use super::super::meter::{Counts, SharedMeter, Whose};
use super::super::trouble::Trouble;
use super::super::wait;
use super::accumulate::{Accumulator, Batch, Full};
use super::link::{Link, Sent};
use super::schedule::Schedule;
use crate::error::BenchError;
use crate::plan::{Acks, Plan};
use crate::record::{Acked, ArrivalDice};

/// A client that produces, with a connection to each broker.
pub struct Producer {
    /// What it shares with the others of its thread.
    pub context: Rc<Context>,
    pub(super) batches: RefCell<Accumulator>,
    pub(super) acked: RefCell<Acked>,
    /// By lane, one more than the offset of the last record acknowledged.
    pub(super) ends: RefCell<Vec<i64>>,
    pub(super) meter: RefCell<Option<(SharedMeter, SharedMeter)>>,
    number: u32,
    links: RefCell<BTreeMap<i32, Rc<Link>>>,
    /// There is room again, or the end.
    wake: Notify,
    /// The producer waits for room rather than for time.
    is_full: Cell<bool>,
    /// Since when records have had to wait for memory.
    full_since: Cell<u64>,
    closing: Cell<bool>,
    /// The schedule is over: what is left goes out.
    ending: Cell<bool>,
    recovering: Cell<bool>,
    /// A new producer id is needed; nothing is sent until it is there.
    pub(super) unidentified: Cell<bool>,
    /// Why the last attempt to connect failed.
    unreachable: RefCell<Option<Trouble>>,
    /// Bytes of keys and values that may still be produced.
    allowance: Cell<u64>,
}

impl Producer {
    /// The producer with this number, which may hold `bytes_max` of batches. `share` of the job's bytes are its own.
    pub fn new(context: Rc<Context>, number: u32, bytes_max: usize, share: u64) -> Rc<Producer> {
        let job = context.job.clone();
        let lanes = job.layout.leaders.len();
        let pool = job.pool.clone();
        let batches = Accumulator::new(&job.plan, number, job.run, pool, bytes_max);
        Rc::new(Producer {
            context,
            batches: RefCell::new(batches),
            acked: RefCell::new(Acked::new(number, lanes as u32)),
            ends: RefCell::new(vec![0; lanes]),
            meter: RefCell::default(),
            number,
            links: RefCell::default(),
            wake: Notify::new(),
            is_full: Cell::new(false),
            full_since: Cell::new(0),
            closing: Cell::new(false),
            ending: Cell::new(false),
            recovering: Cell::new(false),
            unidentified: Cell::new(false),
            unreachable: RefCell::default(),
            allowance: Cell::new(if share == 0 { u64::MAX } else { share }),
        })
    }

    fn plan(&self) -> &Plan {
        self.context.plan()
    }

    /// Produces the plan's share, and tells what was acknowledged.
    pub async fn run(self: Rc<Self>) {
        let times = self.prepare().await;
        if let Some(times) = times {
            let schedule = Schedule::new(self.plan(), self.number, times);
            self.feed(schedule).await;
            self.drain().await;
        }
        self.closing.set(true);
        self.links.borrow().values().for_each(|link| link.wake.notify_one());
        self.tell_ends();
        let none = Acked::new(self.number, 0);
        self.context.tell_acked(self.acked.replace(none));
        self.context.control().finished.fetch_add(1, SeqCst);
    }

    /// Connects, gets an id, and waits for the begin.
    async fn prepare(self: &Rc<Self>) -> Option<Times> {
        if self.plan().idempotent
            && let Err(trouble) = self.identify().await
        {
            self.fail(trouble.into());
            return None;
        }
        self.redistribute();
        self.context.watch(self.clone());
        let began = time::now();
        loop {
            let woken = self.wake.notified();
            if self.links.borrow().values().all(|link| link.is_connected()) {
                break;
            }
            if began.elapsed() > super::super::limits::CONNECT_MAX {
                let trouble = self.unreachable.borrow().clone();
                let slow = || BenchError::failed("a producer could not connect in time");
                self.fail(trouble.map_or_else(slow, BenchError::from));
            }
            if self.context.control().is_stopped() {
                return None;
            }
            wait::until(Some(time::now().nanos() + 100_000_000), woken).await;
        }
        self.prefill().await;
        self.context.control().ready.fetch_add(1, SeqCst);
        let times = self.context.begin().await?;
        let schedule = ArrivalDice::new(self.plan(), self.number);
        let whose = Whose::Producer(self.number as usize);
        let meter = self.context.meter(whose, times, schedule);
        *self.meter.borrow_mut() = Some((meter, self.context.service(times)));
        Some(times)
    }

    /// Produces what is to lie in the topics before the load, as fast as it is taken.
    async fn prefill(self: &Rc<Self>) {
        let bytes = self.context.job.prefill_bytes / u64::from(self.plan().producers);
        if bytes == 0 {
            return;
        }
        let allowance = self.allowance.replace(bytes);
        self.batches.borrow_mut().saturate();
        self.feed(Schedule::Max { end: u64::MAX }).await;
        self.batches.borrow_mut().make_all_due();
        self.distribute();
        while !self.batches.borrow().is_empty() && !self.context.control().is_stopped() {
            time::sleep(LOOK).await;
        }
        self.tell_ends();
        self.batches.borrow_mut().keep_to(self.context.plan());
        self.allowance.set(allowance);
    }

    fn tell_ends(&self) {
        for (end, shared) in self.ends.borrow().iter().zip(&self.context.control().acked_ends) {
            shared.fetch_max(*end, SeqCst);
        }
    }

    /// Gets a producer id; records that are numbered for an earlier one are given up.
    async fn identify(&self) -> Result<(), Trouble> {
        let mut connection = self.context.any().await?;
        let identity = cluster::producer_id(&mut connection).await?;
        let old = self.batches.borrow_mut().identify(identity);
        old.into_iter().for_each(|batch| self.give_up(batch));
        Ok(())
    }

    /// Writes records when they are due, until the schedule is over.
    async fn feed(self: &Rc<Self>, mut schedule: Schedule) {
        loop {
            let woken = self.wake.notified();
            let mut now = time::now().nanos();
            if self.context.control().is_stopped() {
                return;
            }
            if self.allowance.get() == 0 {
                schedule.cut(now);
            }
            if schedule.is_over(now) {
                return;
            }
            let more = match self.write_due(&mut schedule, now) {
                Ok(more) => more,
                Err(error) => return self.fail(error),
            };
            self.distribute();
            if schedule.is_over(now) {
                return;
            }
            if more {
                // Others on the thread have a turn, the links first of all.
                task::yield_now().await;
                continue;
            }
            now = time::now().nanos();
            let at = self.wake_at(&schedule, now);
            wait::until(at, woken).await;
        }
    }

    /// Writes what is due, up to a turn's worth; true if there is more.
    fn write_due(&self, schedule: &mut Schedule, now: u64) -> Result<bool, BenchError> {
        let mut batches = self.batches.borrow_mut();
        batches.end_linger(now);
        self.is_full.set(false);
        let meters = self.meter.borrow();
        // There is none before the load.
        let mut meter = meters.as_ref().map(|(meter, _)| meter.borrow_mut());
        if let Some(meter) = &mut meter {
            meter.turn(now);
        }
        let saturates = matches!(schedule, Schedule::Max { .. });
        for _ in 0..RECORDS_PER_TURN {
            let Some(intended) = schedule.due(now) else { return Ok(false) };
            if self.allowance.get() == 0 {
                return Ok(true);
            }
            if saturates && batches.ready_bytes() >= self.target() {
                self.is_full.set(true);
                return Ok(false);
            }
            let before = batches.written_bytes();
            if let Err(Full::Memory) = batches.push(now, intended)? {
                self.is_full.set(true);
                if self.full_since.get() == 0 {
                    self.full_since.set(now);
                }
                return Ok(false);
            }
            schedule.advance();
            let bytes = batches.written_bytes() - before;
            self.allowance.set(self.allowance.get().saturating_sub(bytes));
            let Some(meter) = &mut meter else { continue };
            if saturates {
                meter.counts.intended += 1;
            }
            // What had to wait for room is late through no fault of this side.
            let waited = self.full_since.get();
            meter.on_handed(if waited > 0 { 0 } else { now - intended });
        }
        Ok(true)
    }

    /// At saturation, bytes of whole batches that wait for a request to leave with.
    fn target(&self) -> usize {
        let plan = self.plan();
        let lanes = (plan.topics * plan.partitions) as usize;
        (lanes * plan.batch_bytes as usize).clamp(1, REQUEST_BYTES_MAX)
            * self.links.borrow().len().max(1)
    }

    /// When to look again, if no room comes before.
    fn wake_at(&self, schedule: &Schedule, now: u64) -> Option<u64> {
        let batches = self.batches.borrow();
        let deadline = batches.next_deadline();
        let in_flight = self.in_flight();
        let has_room = self.links.borrow().values().any(|link| link.has_room(in_flight));
        if self.is_full.get() {
            return Some(deadline.map_or(schedule.end(), |deadline| deadline.min(schedule.end())));
        }
        // A backlog that is being worked off is over once all that is due was written.
        self.full_since.set(0);
        let next = schedule.next()?;
        let next = match (has_room, self.plan().linger_us) {
            (true, 0) => next,
            (true, _) => next.max(now + LINGER_STEP.as_nanos() as u64),
            (false, _) => {
                self.is_full.set(true);
                next.max(now + FULL_STEP.as_nanos() as u64)
            }
        };
        Some(deadline.map_or(next, |deadline| deadline.min(next)))
    }

    /// Sends what is left and waits for its answers, for a bounded time.
    async fn drain(self: &Rc<Self>) {
        self.ending.set(true);
        self.batches.borrow_mut().make_all_due();
        self.distribute();
        self.links.borrow().values().for_each(|link| link.wake.notify_one());
        let began = time::now();
        loop {
            let woken = self.wake.notified();
            let is_empty = self.batches.borrow().is_empty();
            let is_quiet = self.acks() != Acks::Zero
                || self.links.borrow().values().all(|link| link.is_quiet());
            if is_empty && is_quiet {
                return;
            }
            if is_empty {
                self.links.borrow().values().for_each(|link| link.wake.notify_one());
            }
            if began.elapsed() > DRAIN_MAX || self.context.control().is_stopped() {
                return self.abandon();
            }
            wait::until(Some(time::now().nanos() + 20_000_000), woken).await;
        }
    }

    /// Gives up what has had no answer.
    fn abandon(&self) {
        let left = self.batches.borrow_mut().abandon();
        match left {
            Ok(left) => left.into_iter().for_each(|batch| self.give_up(batch)),
            Err(error) => self.fail(error),
        }
        let links: Vec<_> = self.links.borrow().values().cloned().collect();
        for link in links {
            let lost: VecDeque<Sent> = std::mem::take(&mut *link.in_flight.borrow_mut());
            lost.into_iter().flat_map(|sent| sent.batches).for_each(|batch| self.give_up(batch));
        }
    }

    /// Hands lanes that have become due to the connections to their leaders.
    pub(super) fn distribute(self: &Rc<Self>) {
        if !self.batches.borrow().has_due() {
            return;
        }
        let layout = self.context.layout();
        let links = self.links.borrow();
        let mut batches = self.batches.borrow_mut();
        let mut homeless = Vec::new();
        for lane in batches.take_due() {
            match links.get(&layout.leaders[lane as usize]) {
                Some(link) => {
                    let mut due = link.due.borrow_mut();
                    if due.is_empty() {
                        link.wake.notify_one();
                    }
                    due.push_back(lane);
                }
                None => homeless.push(lane),
            }
        }
        // A partition without a leader waits until the cluster was asked again.
        if !homeless.is_empty() {
            homeless.into_iter().for_each(|lane| batches.hold(lane));
            drop((batches, links));
            self.recover();
        }
    }

    /// After a look at the cluster: connections to brokers that are new, and lanes to those that lead them now.
    pub(super) fn redistribute(self: &Rc<Self>) {
        for broker in self.context.layout().brokers.keys() {
            let mut links = self.links.borrow_mut();
            if !links.contains_key(broker) {
                let link = Link::new(*broker);
                links.insert(*broker, link.clone());
                task::spawn(Queue::Produce, link.run(self.clone()));
            }
        }
        self.links.borrow().values().for_each(|link| link.due.borrow_mut().clear());
        self.batches.borrow_mut().list_all_again();
        self.distribute();
        self.links.borrow().values().for_each(|link| link.wake.notify_one());
    }

    /// Asks the cluster again and lets the lanes go on that were held, after a pause.
    pub(super) fn recover(self: &Rc<Self>) {
        if !self.recovering.replace(true) {
            let producer = self.clone();
            task::spawn(Queue::Produce, async move { producer.recover_slowly().await });
        }
    }

    async fn recover_slowly(self: Rc<Self>) {
        let mut pause = PAUSE_FIRST;
        loop {
            time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LAST);
            if self.is_closing() {
                break;
            }
            if self.refresh().await.is_err() {
                continue;
            }
            if self.unidentified.get() {
                if !self.is_quiet() || self.identify().await.is_err() {
                    continue;
                }
                self.unidentified.set(false);
            }
            break;
        }
        self.recovering.set(false);
        self.batches.borrow_mut().release();
        self.redistribute();
    }

    /// No request is without its answer.
    fn is_quiet(&self) -> bool {
        self.links.borrow().values().all(|link| link.in_flight.borrow().is_empty())
    }

    /// Asks where partitions are led.
    pub(super) async fn refresh(&self) -> Result<(), Trouble> {
        self.context.refresh().await
    }

    /// The topics as they are known.
    pub(super) fn layout(&self) -> Rc<Layout> {
        self.context.layout()
    }

    /// Acknowledgements asked for.
    pub(super) fn acks(&self) -> Acks {
        self.plan().acks
    }

    /// Requests that may be in flight on a connection.
    pub(super) fn in_flight(&self) -> usize {
        self.plan().in_flight as usize
    }

    /// The most batches of one request.
    pub(super) fn request_batches(&self) -> usize {
        match self.plan().request_batches {
            0 => usize::MAX,
            most => most as usize,
        }
    }

    /// The producer ends: nothing is sent any more.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// A connection should ask whether all it sent was taken in.
    pub(super) fn wants_end(&self) -> bool {
        self.ending.get() && self.acks() == Acks::Zero && self.batches.borrow().is_empty()
    }

    /// The next batch of a due lane.
    pub(super) fn take(&self, lane: u32) -> Option<Batch> {
        if self.unidentified.get() {
            self.batches.borrow_mut().unlist(lane);
            return None;
        }
        let taken = self.batches.borrow_mut().take(lane);
        // At saturation the next batches are written while these are on their way.
        self.on_room();
        match taken {
            Ok(batch) => batch,
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    /// There may be room for records that wait.
    pub(super) fn on_room(&self) {
        if self.is_full.get() || self.ending.get() {
            self.wake.notify_one();
        }
    }

    /// A connection is there.
    pub(super) fn on_connected(self: &Rc<Self>) {
        self.wake.notify_one();
        self.batches.borrow_mut().list_all_again();
        self.links.borrow().values().for_each(|link| link.due.borrow_mut().clear());
        self.distribute();
    }

    /// A broker cannot be reached at the moment.
    pub(super) fn on_unreachable(&self, trouble: Trouble) {
        *self.unreachable.borrow_mut() = Some(trouble);
    }

    /// Counts, once there is a meter.
    pub(super) fn count(&self, count: impl FnOnce(&mut Counts)) {
        if let Some((meter, _)) = &*self.meter.borrow() {
            count(&mut meter.borrow_mut().counts);
        }
    }

    /// Ends the run.
    pub(super) fn fail(&self, error: BenchError) {
        self.context.control().fail(error);
        self.wake.notify_one();
    }
}

impl Watch for Producer {
    fn look(&self, now: u64) {
        for link in self.links.borrow().values() {
            if link.is_overdue(now) {
                self.count(|counts| counts.timeouts += 1);
            }
        }
        if self.context.control().is_stopped() {
            self.wake.notify_one();
        }
    }
}

//! What the clients of one generator thread share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::sync::Notify;
use engine::{task, time};

use super::cluster::{self, Layout};
use super::control::{Control, Times};
use super::limits::LOOK;
use super::meter::{Desk, Meter, SharedMeter, Whose};
use super::trouble::Trouble;
use crate::plan::Plan;
use crate::record::{Acked, ArrivalDice, Pool, Seen};

/// Metadata that is younger is not asked for again.
const FRESH: Duration = Duration::from_millis(100);

/// What all threads of a run share.
pub struct Job {
    /// What is asked for.
    pub plan: Plan,
    /// Where to ask when no broker that is known answers.
    pub bootstrap: Vec<String>,
    /// The topics as they were made.
    pub layout: Layout,
    /// By lane, the offset from which consumers read.
    pub from: Vec<i64>,
    /// The number in the stamps of the run's records.
    pub run: u32,
    /// The bytes of values.
    pub pool: Pool,
    /// Decisions.
    pub control: Arc<Control>,
    /// Produce so many bytes of keys and values and no more; 0 for no such end.
    pub bytes_max: u64,
    /// So many bytes lie in the topics before consumers read, and before the load; 0 none.
    pub prefill_bytes: u64,
    /// What was acknowledged, once producers have ended.
    pub acked: Mutex<Vec<Acked>>,
    /// What was seen, once consumers have ended.
    pub seen: Mutex<Vec<Seen>>,
}

impl Job {
    /// Names of the topics.
    pub fn names(&self) -> Vec<String> {
        self.layout.topics.iter().map(|topic| topic.name.clone()).collect()
    }
}

/// One thread of a run.
pub struct Context {
    /// What all threads share.
    pub job: Arc<Job>,
    /// The topics as they were when somebody asked last.
    layout: RefCell<Rc<Layout>>,
    asked: Cell<u64>,
    asking: Cell<bool>,
    desk: Rc<Desk>,
    meters: RefCell<Vec<SharedMeter>>,
    service: RefCell<Option<SharedMeter>>,
    begun: Notify,
    watchers: RefCell<Vec<Rc<dyn Watch>>>,
}

/// What wants to be looked at every few milliseconds.
pub trait Watch {
    /// It is `now`.
    fn look(&self, now: u64);
}

impl Context {
    /// A thread's share of `job`.
    pub fn new(job: Arc<Job>, desk: Rc<Desk>) -> Rc<Context> {
        let layout = RefCell::new(Rc::new(job.layout.clone()));
        Rc::new(Context {
            job,
            layout,
            asked: Cell::new(0),
            asking: Cell::new(false),
            desk,
            meters: RefCell::default(),
            service: RefCell::default(),
            begun: Notify::new(),
            watchers: RefCell::default(),
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.job.plan
    }

    /// Decisions.
    pub fn control(&self) -> &Control {
        &self.job.control
    }

    /// The topics as they are known here.
    pub fn layout(&self) -> Rc<Layout> {
        self.layout.borrow().clone()
    }

    /// Asks the cluster where partitions are led, unless somebody on the thread has just done so or does.
    pub async fn refresh(&self) -> Result<(), Trouble> {
        let young = |asked: u64| time::now().nanos() - asked < FRESH.as_nanos() as u64;
        if self.asking.get() || young(self.asked.get()) {
            return Ok(());
        }
        self.asking.set(true);
        let found = self.ask().await;
        self.asking.set(false);
        self.asked.set(time::now().nanos());
        *self.layout.borrow_mut() = Rc::new(found?);
        Ok(())
    }

    async fn ask(&self) -> Result<Layout, Trouble> {
        let mut connection = self.any().await?;
        let names = self.job.names();
        cluster::layout(&mut connection, &names, self.job.layout.partitions).await
    }

    /// A connection to any broker.
    pub async fn any(&self) -> Result<super::connection::Connection, Trouble> {
        let layout = self.layout();
        let mut addresses: Vec<String> = layout.brokers.values().cloned().collect();
        addresses.extend(self.job.bootstrap.iter().cloned());
        addresses.dedup();
        cluster::any(&addresses).await
    }

    /// Waits for the begin of the load; `None` when the run ends before.
    pub async fn begin(&self) -> Option<Times> {
        loop {
            let begun = self.begun.notified();
            if self.control().is_stopped() {
                return None;
            }
            if let Some(times) = self.control().times() {
                return Some(times);
            }
            begun.await;
        }
    }

    /// A meter for a client, which hands in its figures every second from now on.
    pub fn meter(&self, whose: Whose, times: Times, schedule: Option<ArrivalDice>) -> SharedMeter {
        let meter = Meter::new(whose, times, schedule, self.desk.clone());
        let meter = Rc::new(RefCell::new(meter));
        self.meters.borrow_mut().push(meter.clone());
        meter
    }

    /// The meter of service times.
    pub fn service(&self, times: Times) -> SharedMeter {
        let mut service = self.service.borrow_mut();
        service.get_or_insert_with(|| self.meter(Whose::Service, times, None)).clone()
    }

    /// Looks at `watched` every few milliseconds.
    pub fn watch(&self, watched: Rc<dyn Watch>) {
        self.watchers.borrow_mut().push(watched);
    }

    /// Looks after the others' decisions, slow requests and the ends of seconds, until the run ends.
    pub async fn tick(self: Rc<Self>) {
        loop {
            time::sleep(LOOK).await;
            let now = time::now().nanos();
            self.begun.notify_all();
            // What is done here may add watchers and meters.
            let watchers = self.watchers.borrow().clone();
            watchers.iter().for_each(|watched| watched.look(now));
            drop(watchers);
            let meters = self.meters.borrow().clone();
            for (at, meter) in meters.iter().enumerate() {
                meter.borrow_mut().turn(now);
                if at % 64 == 63 {
                    task::yield_now().await;
                }
            }
        }
    }

    /// Hands in what is left, at the end of the thread.
    pub fn hand_in(&self) {
        self.watchers.borrow_mut().clear();
        for meter in self.meters.borrow_mut().drain(..) {
            meter.borrow_mut().turn(time::now().nanos());
            meter.borrow_mut().hand_in();
        }
        self.desk.close();
    }

    /// What a producer had acknowledged.
    pub fn tell_acked(&self, acked: Acked) {
        self.job.acked.lock().unwrap_or_else(PoisonError::into_inner).push(acked);
    }

    /// What a consumer has seen.
    pub fn tell_seen(&self, seen: Seen) {
        self.job.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    }
}

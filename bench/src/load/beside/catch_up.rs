//! A reader of old records: from the beginning to the end of a topic that nobody writes to any more, again and again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use engine::task::{self, Queue};
use engine::time;
use storage::batch::split;

use super::super::cluster::Layout;
use super::super::context::Context;
use super::super::fetcher::{self, Fetched, Reader};
use super::side::{self, Kind, Side};

struct CatchUp {
    side: Arc<Side>,
    context: Rc<Context>,
    layout: Rc<Layout>,
    /// By partition: the first offset, one behind the last, the next to read.
    places: RefCell<Vec<(i64, i64, i64)>>,
    bytes_per_second: u64,
    began: u64,
    end: u64,
    bytes: Cell<u64>,
    fetches: Cell<u64>,
    passes: Cell<u64>,
    broken: Cell<u64>,
    troubles: Cell<u64>,
}

/// Starts it.
pub fn start(side: &Arc<Side>, context: &Rc<Context>) {
    let (side, context) = (side.clone(), context.clone());
    task::spawn(Queue::Background, async move {
        let Kind::CatchUp { layout, from, to, bytes_per_second } = &side.kind else { return };
        let places = from.iter().zip(to).map(|(from, to)| (*from, *to, *from)).collect();
        let (layout, bytes_per_second) = (Rc::new(layout.clone()), *bytes_per_second);
        let Some((began, end)) = side::measured(&context).await else { return };
        let reader = Rc::new(CatchUp {
            side: side.clone(),
            context,
            layout: layout.clone(),
            places: RefCell::new(places),
            bytes_per_second,
            began,
            end,
            bytes: Cell::new(0),
            fetches: Cell::new(0),
            passes: Cell::new(0),
            broken: Cell::new(0),
            troubles: Cell::new(0),
        });
        for broker in layout.brokers.keys() {
            task::spawn(Queue::Background, fetcher::run(reader.clone(), *broker));
        }
    });
}

impl CatchUp {
    fn note(&self, now: u64) {
        let seconds = (now.min(self.end).saturating_sub(self.began)) as f64 / 1e9;
        self.side.note(&[
            ("bytes", self.bytes.get() as f64),
            ("bytes_per_second", self.bytes.get() as f64 / seconds.max(1e-3)),
            ("fetches", self.fetches.get() as f64),
            ("passes", self.passes.get() as f64),
            ("broken_batches", self.broken.get() as f64),
            ("troubles", self.troubles.get() as f64),
        ]);
    }
}

impl Reader for CatchUp {
    fn context(&self) -> &Rc<Context> {
        &self.context
    }

    fn layout(&self) -> Rc<Layout> {
        self.layout.clone()
    }

    fn positions(&self, broker: i32) -> Vec<(usize, i64)> {
        let mut places = self.places.borrow_mut();
        if places.iter().all(|(_, to, at)| at >= to) {
            self.passes.set(self.passes.get() + 1);
            places.iter_mut().for_each(|(from, _, at)| *at = *from);
        }
        let places = places.iter().enumerate();
        let led = places
            .filter(|(lane, place)| self.layout.leaders[*lane] == broker && place.2 < place.1);
        led.map(|(lane, place)| (lane, place.2)).collect()
    }

    fn advance(&self, fetched: &Fetched) {
        let at = &mut self.places.borrow_mut()[fetched.lane].2;
        for batch in split(&fetched.records) {
            let Ok(batch) = batch else { break };
            *at = (*at).max(batch.next_offset().0);
        }
    }

    fn take(&self, fetched: Fetched, _now: u64, _sent: u64) {
        for batch in split(&fetched.records) {
            let Ok(batch) = batch else { break };
            if !batch.check_crc() {
                self.broken.set(self.broken.get() + 1);
            }
        }
        self.bytes.set(self.bytes.get() + fetched.records.len() as u64);
    }

    fn on_fetch(&self, now: u64) {
        self.fetches.set(self.fetches.get() + 1);
        self.note(now);
    }

    fn on_trouble(&self, _timed_out: bool) {
        self.troubles.set(self.troubles.get() + 1);
    }

    fn on_connected(&self, _again: bool) {}

    fn pause(&self) -> Option<Duration> {
        if self.bytes_per_second == 0 {
            return None;
        }
        let due = self.bytes.get() as f64 / self.bytes_per_second as f64 * 1e9;
        let ahead = (self.began + due as u64).checked_sub(time::now().nanos())?;
        (ahead > 0).then(|| Duration::from_nanos(ahead))
    }

    fn is_over(&self) -> bool {
        let now = time::now().nanos();
        let over = now >= self.end || self.context.control().is_stopped();
        if over {
            self.note(now);
        }
        over
    }
}

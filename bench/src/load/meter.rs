//! What one client measures: counts and one live histogram, handed over at the end of each second.
//!
//! A record's latency belongs to the run when its *intended* time lies in the measured time, and is filed under the
//! second in which its answer came, behind the end under the last. Counts belong to the time at which they happen.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender};

use super::control::Times;
use super::limits::SLIP;
use crate::latency::Latencies;
use crate::record::ArrivalDice;

const SECOND: u64 = 1_000_000_000;

/// What is counted; the fields are those of [`crate::result::model::Totals`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are described where they end up")]
pub struct Counts {
    pub intended: u64,
    pub acknowledged: u64,
    pub acknowledged_bytes: u64,
    pub requests: u64,
    pub batch_bytes: u64,
    pub consumed: u64,
    pub consumed_bytes: u64,
    pub fetches: u64,
    pub failed: u64,
    pub retries: u64,
    pub timeouts: u64,
    pub reconnects: u64,
    /// Records handed to their batch.
    pub handed: u64,
    /// Of them, how many too late.
    pub slipped: u64,
    /// The latest of them, in nanoseconds.
    pub slip_max_ns: u64,
}

impl Counts {
    /// Adds another's.
    pub fn add(&mut self, other: &Counts) {
        self.intended += other.intended;
        self.acknowledged += other.acknowledged;
        self.acknowledged_bytes += other.acknowledged_bytes;
        self.requests += other.requests;
        self.batch_bytes += other.batch_bytes;
        self.consumed += other.consumed;
        self.consumed_bytes += other.consumed_bytes;
        self.fetches += other.fetches;
        self.failed += other.failed;
        self.retries += other.retries;
        self.timeouts += other.timeouts;
        self.reconnects += other.reconnects;
        self.handed += other.handed;
        self.slipped += other.slipped;
        self.slip_max_ns = self.slip_max_ns.max(other.slip_max_ns);
    }
}

/// The run's time in seconds: those of the warm-up are negative, the last may be shorter, behind it comes one without
/// end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds {
    times: Times,
}

impl Seconds {
    /// Of a run.
    pub fn new(times: Times) -> Seconds {
        Seconds { times }
    }

    /// Those of the measured time.
    pub fn count(&self) -> usize {
        (self.times.end - self.times.measure).div_ceil(SECOND) as usize
    }

    /// The second that `at` lies in.
    pub fn of(&self, at: u64) -> i64 {
        if at >= self.times.end {
            return self.count() as i64;
        }
        (at as i64 - self.times.measure as i64).div_euclid(SECOND as i64)
    }

    /// When a second is over.
    pub fn end_of(&self, second: i64) -> u64 {
        match second - self.count() as i64 {
            0.. => u64::MAX,
            -1 => self.times.end,
            _ => (self.times.measure as i64 + (second + 1) * SECOND as i64) as u64,
        }
    }

    /// A record meant for then is measured.
    pub fn is_measured(&self, intended: u64) -> bool {
        (self.times.measure..self.times.end).contains(&intended)
    }
}

/// Whose figures they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The response latencies of a producer.
    Producer(usize),
    /// The end-to-end latencies of a consumer, counted through all sets.
    Consumer(usize),
    /// The service latencies of a thread's producers.
    Service,
}

/// One client's second.
#[derive(Debug)]
pub struct Note {
    /// Whose.
    pub whose: Whose,
    /// See [`Seconds::of`].
    pub second: i64,
    /// What was counted.
    pub counts: Counts,
    /// What was measured.
    pub latencies: Latencies,
}

/// Where a thread's meters hand their figures in and get empty histograms.
pub struct Desk {
    /// None once the thread's clients have ended.
    notes: RefCell<Option<Sender<Note>>>,
    spares: Receiver<Latencies>,
}

impl Desk {
    /// Notes go to `notes`; histograms that were read come back through `spares`.
    pub fn new(notes: Sender<Note>, spares: Receiver<Latencies>) -> Rc<Desk> {
        Rc::new(Desk { notes: RefCell::new(Some(notes)), spares })
    }

    /// Takes nothing more: whoever reads the notes waits for no further ones of this thread, whatever clients that were
    /// given up still hold on to.
    pub fn close(&self) {
        self.notes.take();
    }
}

/// The schedule once more, to count what was intended however far behind the producer is.
struct Ahead {
    dice: ArrivalDice,
    begin: u64,
    next: u64,
    end: u64,
}

/// Counts and measures for one client.
pub struct Meter {
    whose: Whose,
    seconds: Seconds,
    second: i64,
    second_ends: u64,
    /// Of this second.
    pub counts: Counts,
    live: Latencies,
    ahead: Option<Ahead>,
    desk: Rc<Desk>,
}

/// A meter that its client and the thread's ticker use.
pub type SharedMeter = Rc<RefCell<Meter>>;

impl Meter {
    /// A meter that begins with the load.
    pub fn new(whose: Whose, times: Times, schedule: Option<ArrivalDice>, desk: Rc<Desk>) -> Meter {
        let seconds = Seconds::new(times);
        let second = seconds.of(times.begin);
        let ahead = schedule.map(|mut dice| {
            let next = times.begin + dice.draw();
            Ahead { dice, begin: times.begin, next, end: times.end }
        });
        let (counts, live) = (Counts::default(), Latencies::new());
        let second_ends = seconds.end_of(second);
        Meter { whose, seconds, second, second_ends, counts, live, ahead, desk }
    }

    /// It is `now`: what came before belongs to seconds that are over.
    #[inline]
    pub fn turn(&mut self, now: u64) {
        if now >= self.second_ends {
            self.roll(now);
        }
    }

    #[cold]
    fn roll(&mut self, now: u64) {
        while now >= self.second_ends {
            self.hand_in();
            self.second += 1;
            self.second_ends = self.seconds.end_of(self.second);
        }
    }

    /// Hands in what there is, at the end of a second or of all.
    pub fn hand_in(&mut self) {
        if let Some(ahead) = &mut self.ahead {
            let until = self.second_ends.min(ahead.end);
            while ahead.next < until {
                self.counts.intended += 1;
                ahead.next = ahead.begin + ahead.dice.draw();
            }
        }
        let empty = self.desk.spares.try_recv().unwrap_or_default();
        let note = Note {
            whose: self.whose,
            second: self.second,
            counts: std::mem::take(&mut self.counts),
            latencies: std::mem::replace(&mut self.live, empty),
        };
        if let Some(notes) = &*self.desk.notes.borrow() {
            // Nobody listens any more when the run was given up.
            let _ = notes.send(note);
        }
    }

    /// Records meant for `intended` (ascending) have had their answer `now`.
    pub fn on_answered(&mut self, now: u64, intended: &[u64]) {
        self.turn(now);
        let (Some(first), Some(last)) = (intended.first(), intended.last()) else { return };
        let all = self.second < 0
            || (self.seconds.is_measured(*first) && self.seconds.is_measured(*last));
        for at in intended {
            if all || self.seconds.is_measured(*at) {
                self.live.record_ns(now.saturating_sub(*at), 1);
            }
        }
    }

    /// One record meant for `intended` arrived `now`. The caller has called [`Meter::turn`].
    #[inline]
    pub fn on_arrived(&mut self, now: u64, intended: u64) {
        if self.second < 0 || self.seconds.is_measured(intended) {
            self.live.record_ns(now.saturating_sub(intended), 1);
        }
    }

    /// A request sent at `sent` has its answer `now`.
    pub fn on_served(&mut self, now: u64, sent: u64) {
        self.turn(now);
        if self.second < self.seconds.count() as i64 {
            self.live.record_ns(now.saturating_sub(sent), 1);
        }
    }

    /// A record is handed to its batch `late` nanoseconds behind its time.
    #[inline]
    pub fn on_handed(&mut self, late: u64) {
        self.counts.handed += 1;
        self.counts.slipped += u64::from(late > SLIP.as_nanos() as u64);
        self.counts.slip_max_ns = self.counts.slip_max_ns.max(late);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::plan::{Plan, Rate};

    const TIMES: Times =
        Times { begin: 10 * SECOND, measure: 11 * SECOND, end: 13 * SECOND + SECOND / 2 };

    #[test]
    fn seconds_begin_with_the_measured_time() {
        let seconds = Seconds::new(TIMES);
        assert_eq!(seconds.count(), 3);
        let at = [10 * SECOND, 11 * SECOND - 1, 11 * SECOND, 13 * SECOND, TIMES.end, 99 * SECOND];
        assert_eq!(at.map(|at| seconds.of(at)), [-1, -1, 0, 2, 3, 3]);
        assert_eq!(
            [-1, 0, 2, 3].map(|second| seconds.end_of(second)),
            [11 * SECOND, 12 * SECOND, TIMES.end, u64::MAX]
        );
    }

    #[test]
    fn intended_records_are_counted_though_none_is_sent() {
        let (notes, received) = mpsc::channel();
        let (_keep, spares) = mpsc::channel();
        let plan = Plan { rate: Rate::PerSecond(100.0), producers: 1, ..Plan::default() };
        let dice = ArrivalDice::new(&plan, 0);
        let desk = Desk::new(notes, spares);
        let mut meter = Meter::new(Whose::Producer(0), TIMES, dice, desk);
        meter.on_answered(12 * SECOND, &[11 * SECOND - 5, 11 * SECOND, 12 * SECOND]);
        meter.turn(TIMES.end + 1);
        meter.on_answered(TIMES.end + 2, &[TIMES.end - 1, TIMES.end]);
        meter.hand_in();
        drop(meter);
        let found: Vec<_> =
            received.iter().map(|n| (n.second, n.counts.intended, n.latencies.count())).collect();
        assert_eq!(found, [(-1, 100, 0), (0, 100, 0), (1, 100, 2), (2, 50, 0), (3, 0, 1)]);
    }
}

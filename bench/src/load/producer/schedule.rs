//! When a producer's records are meant to be sent.

use super::super::control::Times;
use crate::plan::Plan;
use crate::record::ArrivalDice;

/// The intended times of one producer.
pub enum Schedule {
    /// Open loop: a time for each record, whatever becomes of those before it.
    Open {
        /// Draws times from the begin on.
        dice: ArrivalDice,
        /// Where the times count from.
        begin: u64,
        /// The next record's.
        next: u64,
        /// None is meant for then or later.
        end: u64,
    },
    /// Saturation: a record's time is that at which there is room for it.
    Max {
        /// None is written then or later.
        end: u64,
    },
}

impl Schedule {
    /// That of one of the plan's producers.
    pub fn new(plan: &Plan, producer: u32, times: Times) -> Schedule {
        match ArrivalDice::new(plan, producer) {
            None => Schedule::Max { end: times.end },
            Some(mut dice) => {
                let next = times.begin + dice.draw();
                Schedule::Open { dice, begin: times.begin, next, end: times.end }
            }
        }
    }

    /// The intended time of the next record, if its time has come.
    #[inline]
    pub fn due(&self, now: u64) -> Option<u64> {
        match self {
            Schedule::Open { next, end, .. } => (*next <= now && *next < *end).then_some(*next),
            Schedule::Max { end } => (now < *end).then_some(now),
        }
    }

    /// The next record has been written.
    #[inline]
    pub fn advance(&mut self) {
        if let Schedule::Open { dice, begin, next, .. } = self {
            *next = *begin + dice.draw();
        }
    }

    /// When the next record is due; `None` when there is none any more.
    pub fn next(&self) -> Option<u64> {
        match self {
            Schedule::Open { next, end, .. } => (*next < *end).then_some(*next),
            Schedule::Max { .. } => None,
        }
    }

    /// No record is meant for then or later.
    pub fn end(&self) -> u64 {
        match self {
            Schedule::Open { end, .. } | Schedule::Max { end } => *end,
        }
    }

    /// Whether there will be no record from `now` on.
    pub fn is_over(&self, now: u64) -> bool {
        match self {
            Schedule::Open { next, end, .. } => *next >= *end,
            Schedule::Max { end } => now >= *end,
        }
    }

    /// No record is meant for `now` or later: the run was stopped.
    pub fn cut(&mut self, now: u64) {
        match self {
            Schedule::Open { end, .. } | Schedule::Max { end } => *end = (*end).min(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Rate;

    const TIMES: Times = Times { begin: 1_000, measure: 1_000, end: 1_000 + 2_000_000_000 };

    #[test]
    fn times_do_not_wait_and_end_with_the_run() {
        let plan = Plan { rate: Rate::PerSecond(1_000.0), producers: 2, ..Plan::default() };
        let mut schedule = Schedule::new(&plan, 1, TIMES);
        assert_eq!(schedule.due(999), None);
        let mut times = Vec::new();
        while let Some(at) = schedule.due(u64::MAX) {
            times.push(at);
            schedule.advance();
        }
        assert_eq!((times.len(), times[0]), (1_000, 1_001_000), "half of 1,000/s for 2 s");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 2_000_000));
        assert!(schedule.is_over(0) && schedule.next().is_none());
    }

    #[test]
    fn saturation_is_always_due_until_the_end() {
        let plan = Plan { rate: Rate::Max, ..Plan::default() };
        let mut schedule = Schedule::new(&plan, 0, TIMES);
        assert_eq!((schedule.due(5_000), schedule.next()), (Some(5_000), None));
        assert!(schedule.is_over(TIMES.end) && schedule.due(TIMES.end).is_none());
        schedule.cut(4_000);
        assert!(schedule.is_over(4_000));
    }
}

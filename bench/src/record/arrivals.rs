//! When the next record is meant to be sent.

use crate::plan::{Arrivals, Plan, Rate};
use crate::record::random::Random;

/// The schedule of one producer: nanoseconds from the begin of the load, ascending, waiting for nobody.
#[derive(Clone, Debug)]
pub struct ArrivalDice {
    kind: Kind,
    gap_ns: f64,
}

#[derive(Clone, Debug)]
enum Kind {
    Constant { phase: f64, number: u64 },
    Poisson { random: Random, at: f64 },
}

impl ArrivalDice {
    /// The schedule of one of the plan's producers; none at saturation.
    ///
    /// Each producer has the same part of the rate. Constant ones take turns, so that all together are constant too.
    pub fn new(plan: &Plan, producer: u32) -> Option<ArrivalDice> {
        let Rate::PerSecond(rate) = plan.rate else { return None };
        let gap_ns = 1e9 * f64::from(plan.producers) / rate;
        let kind = match plan.arrivals {
            Arrivals::Constant => {
                Kind::Constant { phase: f64::from(producer) / f64::from(plan.producers), number: 0 }
            }
            Arrivals::Poisson => {
                Kind::Poisson { random: Random::new(plan.seed, 5, producer), at: 0.0 }
            }
        };
        Some(ArrivalDice { kind, gap_ns })
    }

    /// The intended time of the next record.
    #[inline]
    pub fn draw(&mut self) -> u64 {
        match &mut self.kind {
            // A product, not a sum: no error grows with the number.
            Kind::Constant { phase, number } => {
                let at = (*number as f64 + *phase) * self.gap_ns;
                *number += 1;
                at as u64
            }
            // Below 2^53 ns, which are 104 days, the sum is exact to a nanosecond.
            Kind::Poisson { random, at } => {
                *at -= (1.0 - random.unit()).ln() * self.gap_ns;
                *at as u64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arrivals: Arrivals) -> Plan {
        Plan { rate: Rate::PerSecond(10_000.0), producers: 4, arrivals, ..Plan::default() }
    }

    fn times(plan: &Plan, producer: u32, count: usize) -> Vec<u64> {
        let mut dice = ArrivalDice::new(plan, producer).expect("there is a rate");
        (0..count).map(|_| dice.draw()).collect()
    }

    #[test]
    fn constant_producers_take_turns() {
        let plan = plan(Arrivals::Constant);
        let mut all: Vec<u64> = (0..4).flat_map(|producer| times(&plan, producer, 2_500)).collect();
        all.sort_unstable();
        assert_eq!((all[0], all[1], all[9_999]), (0, 100_000, 999_900_000));
        assert!(all.windows(2).all(|pair| pair[1] - pair[0] == 100_000));
    }

    #[test]
    fn a_schedule_does_not_drift() {
        let plan = Plan { rate: Rate::PerSecond(3.0), producers: 1, ..Plan::default() };
        let times = times(&plan, 0, 3_000_001);
        assert_eq!(times[3_000_000], 1_000_000_000_000_000, "a million seconds");
    }

    #[test]
    fn poisson_gaps_are_exponential() {
        let plan = plan(Arrivals::Poisson);
        let times = times(&plan, 2, 200_001);
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((mean / 400_000.0 - 1.0).abs() < 0.02, "{mean}");
        for factor in [0.1, 0.5, 1.0, 2.0, 4.0] {
            let longer = gaps.iter().filter(|gap| **gap > factor * 400_000.0).count();
            let share = longer as f64 / gaps.len() as f64;
            assert!((share - (-factor).exp()).abs() < 0.01, "{factor}: {share}");
        }
        assert_eq!(times[..100], self::times(&plan, 2, 100), "the same every time");
        assert_ne!(times[..100], self::times(&plan, 3, 100), "not that of another producer");
    }

    #[test]
    fn saturation_has_no_schedule() {
        assert!(ArrivalDice::new(&Plan { rate: Rate::Max, ..Plan::default() }, 0).is_none());
    }
}

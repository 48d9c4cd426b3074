//! Confidence intervals of a shift, by the bootstrap.
//!
//! Pairs are drawn again with replacement, as often as there are pairs, and the estimate is made anew: what it then lies
//! between is the interval. With few pairs that is too narrow, so its ends are moved out by what Student's t has over the normal
//! distribution ("expanded percentile", Hesterberg 2015, "What teachers should know about the bootstrap", 3.3).

use super::chance::Chance;
use super::statistics::{hodges_lehmann, hodges_lehmann_shift, t_beyond, t_two_sided};

/// Draws; the ends of an interval then move by a few hundredths of its width from seed to seed.
const DRAWS: usize = 1_000;
/// The normal distribution is Student's with so much freedom.
const NORMAL: f64 = 1e9;
/// Repeated on the same data, an interval is the same.
const SEED: u64 = 0x6865_6464_6c65;

/// Where 95 of 100 such intervals hold the true shift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Of the middle of paired differences. Unbounded for fewer than two.
pub fn of_pairs(differences: &[f64]) -> Interval {
    let mut chance = Chance::new(SEED);
    let mut drawn = differences.to_vec();
    bootstrap(differences.len(), || {
        redraw(&mut chance, differences, &mut drawn);
        hodges_lehmann(&drawn)
    })
}

/// Of the shift from `a` to `b`, which are not paired. Unbounded for fewer than two of either.
pub fn of_samples(a: &[f64], b: &[f64]) -> Interval {
    let mut chance = Chance::new(SEED);
    let (mut drawn_a, mut drawn_b) = (a.to_vec(), b.to_vec());
    bootstrap(a.len().min(b.len()), || {
        redraw(&mut chance, a, &mut drawn_a);
        redraw(&mut chance, b, &mut drawn_b);
        hodges_lehmann_shift(&drawn_a, &drawn_b)
    })
}

fn redraw(chance: &mut Chance, from: &[f64], into: &mut [f64]) {
    into.iter_mut().for_each(|value| *value = from[chance.below(from.len())]);
}

fn bootstrap(count: usize, mut estimate: impl FnMut() -> f64) -> Interval {
    if count < 2 {
        return Interval { low: f64::NEG_INFINITY, high: f64::INFINITY };
    }
    let mut estimates: Vec<f64> = (0..DRAWS).map(|_| estimate()).collect();
    estimates.sort_unstable_by(f64::total_cmp);
    let n = count as f64;
    let out = t_beyond(0.05, n - 1.0) * (n / (n - 1.0)).sqrt();
    let tail = t_two_sided(out, NORMAL) / 2.0;
    let at = (tail * DRAWS as f64) as usize;
    Interval { low: estimates[at], high: estimates[DRAWS - 1 - at] }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of intervals around the middle of five or twelve normal differences, about 95 of 100 hold the true middle.
    #[test]
    fn intervals_hold_the_truth() {
        for (pairs, at_least) in [(5, 0.88), (12, 0.91)] {
            let mut chance = Chance::new(pairs as u64);
            let holds = (0..100).filter(|_| {
                let differences: Vec<f64> = (0..pairs).map(|_| 3.0 + chance.normal()).collect();
                let interval = of_pairs(&differences);
                interval.low <= 3.0 && 3.0 <= interval.high
            });
            let part = holds.count() as f64 / 100.0;
            assert!((at_least..=0.99).contains(&part), "{pairs} pairs: {part}");
        }
    }

    #[test]
    fn few_runs_say_little() {
        assert_eq!(of_pairs(&[1.0]).high, f64::INFINITY);
        assert_eq!(of_samples(&[1.0, 2.0], &[1.0]).low, f64::NEG_INFINITY);
        assert_eq!(of_pairs(&[1.0, 1.0, 1.0]), Interval { low: 1.0, high: 1.0 });
        let apart = of_samples(&[1.0, 2.0, 3.0, 4.0], &[11.0, 12.0, 13.0, 14.0]);
        assert!(apart.low >= 7.0 && apart.high <= 13.0, "{apart:?}");
    }
}

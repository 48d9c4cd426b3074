//! How large the next value is.

use crate::plan::Sizes;
use crate::record::random::Random;
use crate::record::stamp::STAMP_BYTES;

/// Draws the bytes of values, stamp included. The same for the same seed and producer.
#[derive(Clone, Debug)]
pub struct SizeDice {
    kind: Kind,
    random: Random,
}

#[derive(Clone, Debug)]
enum Kind {
    Fixed(u32),
    Uniform { min: u32, count: u64 },
    LogNormal { mu: f64, sigma: f64, max: u32 },
    Weighted(Vec<Slot>),
}

/// One slot of Walker's alias table: every slot is as likely as another, and holds at most two sizes.
#[derive(Clone, Copy, Debug)]
struct Slot {
    own: u32,
    own_share: f64,
    alias: u32,
}

impl SizeDice {
    /// The dice of one producer.
    pub fn new(sizes: &Sizes, seed: u64, producer: u32) -> SizeDice {
        let kind = match sizes {
            Sizes::Fixed(bytes) => Kind::Fixed(*bytes),
            Sizes::Uniform { min, max } => {
                Kind::Uniform { min: *min, count: u64::from(max.saturating_sub(*min)) + 1 }
            }
            Sizes::LogNormal { median, sigma, max } => {
                Kind::LogNormal { mu: f64::from(*median).ln(), sigma: *sigma, max: *max }
            }
            Sizes::Weighted(weights) => Kind::Weighted(alias_table(weights)),
        };
        SizeDice { kind, random: Random::new(seed, 3, producer) }
    }

    /// The next size, at least that of a stamp.
    #[inline]
    pub fn draw(&mut self) -> u32 {
        let random = &mut self.random;
        let bytes = match &self.kind {
            Kind::Fixed(bytes) => *bytes,
            Kind::Uniform { min, count } => min + random.below(*count) as u32,
            Kind::LogNormal { mu, sigma, max } => {
                let drawn = (mu + sigma * random.normal()).exp();
                drawn.min(f64::from(*max)) as u32
            }
            Kind::Weighted(slots) => {
                let slot = slots[random.below(slots.len() as u64) as usize];
                if random.unit() < slot.own_share { slot.own } else { slot.alias }
            }
        };
        bytes.max(STAMP_BYTES as u32)
    }
}

/// Vose's way to make Walker's table: sizes that are rarer than average share a slot with one that is more common.
fn alias_table(weights: &[(u32, f64)]) -> Vec<Slot> {
    let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let average = total / weights.len() as f64;
    let mut shares: Vec<f64> = weights.iter().map(|(_, weight)| weight / average).collect();
    let slot = |(bytes, _): &(u32, f64)| Slot { own: *bytes, own_share: 1.0, alias: *bytes };
    let mut slots: Vec<Slot> = weights.iter().map(slot).collect();
    let (mut rare, mut common): (Vec<usize>, Vec<usize>) =
        (0..weights.len()).partition(|index| shares[*index] < 1.0);
    while let (Some(small), Some(&large)) = (rare.pop(), common.last()) {
        slots[small].own_share = shares[small];
        slots[small].alias = weights[large].0;
        shares[large] -= 1.0 - shares[small];
        if shares[large] < 1.0 {
            common.pop();
            rare.push(large);
        }
    }
    slots
}

impl Sizes {
    /// The largest value that can be drawn, in bytes.
    pub fn max(&self) -> u32 {
        match self {
            Sizes::Fixed(bytes) => *bytes,
            Sizes::Uniform { max, .. } | Sizes::LogNormal { max, .. } => *max,
            Sizes::Weighted(weights) => weights.iter().map(|(bytes, _)| *bytes).max().unwrap_or(0),
        }
    }

    /// The average over many values, in bytes; that of a log-normal without its cut.
    pub fn mean(&self) -> f64 {
        match self {
            Sizes::Fixed(bytes) => f64::from(*bytes),
            Sizes::Uniform { min, max } => (f64::from(*min) + f64::from(*max)) / 2.0,
            Sizes::LogNormal { median, sigma, .. } => {
                f64::from(*median) * (sigma * sigma / 2.0).exp()
            }
            Sizes::Weighted(weights) => {
                let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
                weights.iter().map(|(bytes, weight)| f64::from(*bytes) * weight).sum::<f64>()
                    / total
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: usize = 200_000;

    fn draws(sizes: &Sizes) -> Vec<u32> {
        let mut dice = SizeDice::new(sizes, 11, 0);
        let mut drawn: Vec<u32> = (0..DRAWS).map(|_| dice.draw()).collect();
        drawn.sort_unstable();
        drawn
    }

    fn mean(drawn: &[u32]) -> f64 {
        drawn.iter().map(|bytes| f64::from(*bytes)).sum::<f64>() / drawn.len() as f64
    }

    #[test]
    fn a_fixed_size_is_always_the_same() {
        let drawn = draws(&Sizes::Fixed(1_000));
        assert_eq!((drawn[0], drawn[DRAWS - 1]), (1_000, 1_000));
        assert_eq!(draws(&Sizes::Fixed(3))[0], 40, "never less than a stamp");
    }

    #[test]
    fn a_range_has_both_its_ends_and_an_even_spread() {
        let sizes = Sizes::Uniform { min: 100, max: 1_099 };
        let drawn = draws(&sizes);
        assert_eq!((drawn[0], drawn[DRAWS - 1]), (100, 1_099));
        assert!((mean(&drawn) - sizes.mean()).abs() < 2.0);
        for part in 1..10 {
            let at = f64::from(drawn[DRAWS * part / 10]);
            assert!((at - (100.0 + 100.0 * part as f64)).abs() < 10.0, "{part}: {at}");
        }
    }

    #[test]
    fn a_log_normal_has_its_median_and_its_spread() {
        let sizes = Sizes::LogNormal { median: 1_024, sigma: 0.8, max: 1 << 20 };
        let drawn = draws(&sizes);
        let near = |found: f64, wanted: f64| (found / wanted - 1.0).abs() < 0.02;
        assert!(near(f64::from(drawn[DRAWS / 2]), 1_024.0));
        // One standard deviation above the median.
        let above = f64::from(drawn[(DRAWS as f64 * 0.841_345) as usize]);
        assert!(near(above, 1_024.0 * 0.8f64.exp()), "{above}");
        assert!(near(mean(&drawn), sizes.mean()), "{}", mean(&drawn));
        let cut = draws(&Sizes::LogNormal { median: 1_024, sigma: 2.0, max: 5_000 });
        assert_eq!((cut[0], cut[DRAWS - 1]), (40, 5_000));
    }

    #[test]
    fn weights_are_shares() {
        let sizes = Sizes::Weighted(vec![(1_024, 9.0), (65_536, 1.0), (100, 0.5), (200, 4.5)]);
        let drawn = draws(&sizes);
        for (bytes, wanted) in [(1_024, 0.6), (65_536, 0.0667), (100, 0.0333), (200, 0.3)] {
            let found = drawn.iter().filter(|size| **size == bytes).count() as f64 / DRAWS as f64;
            assert!((found - wanted).abs() < 0.005, "{bytes}: {found}");
        }
        assert!((mean(&drawn) / sizes.mean() - 1.0).abs() < 0.02);
        assert_eq!(sizes.max(), 65_536);
        assert_eq!(draws(&Sizes::Weighted(vec![(77, 3.0)]))[DRAWS - 1], 77);
    }

    #[test]
    fn producers_draw_the_same_every_time_and_not_the_same_as_each_other() {
        let sizes = Sizes::Uniform { min: 100, max: 100_000 };
        let first = |seed, producer| {
            let mut dice = SizeDice::new(&sizes, seed, producer);
            [dice.draw(), dice.draw(), dice.draw()]
        };
        assert_eq!(first(1, 0), first(1, 0));
        assert_ne!(first(1, 0), first(1, 1));
        assert_ne!(first(1, 0), first(2, 0));
    }
}

//! Numbers from the seed: one stream per purpose, so that asking more of one shifts none of the others.

use std::cell::Cell;

/// A stream of numbers (splitmix64).
pub(super) struct Dice(Cell<u64>);

impl Dice {
    /// The stream `purpose` of `seed`.
    pub fn new(seed: u64, purpose: u64) -> Dice {
        let dice = Dice(Cell::new(seed ^ purpose.wrapping_mul(0xa076_1d64_78bd_642f)));
        // Neighbouring seeds start far apart.
        dice.0.set(dice.u64());
        dice
    }

    pub fn u64(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; zero if the limit is zero.
    pub fn below(&self, limit: u64) -> u64 {
        ((u128::from(self.u64()) * u128::from(limit)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True once in `n` times.
    pub fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let take = |seed, purpose| {
            let dice = Dice::new(seed, purpose);
            (0..8).map(|_| dice.u64()).collect::<Vec<_>>()
        };
        assert_eq!(take(1, 1), take(1, 1));
        assert_ne!(take(1, 1), take(2, 1));
        assert_ne!(take(1, 1), take(1, 2));
    }

    #[test]
    fn numbers_stay_in_their_bounds_and_reach_them() {
        let dice = Dice::new(7, 0);
        let seen: std::collections::BTreeSet<u64> = (0..200).map(|_| dice.between(3, 6)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!(dice.below(0), 0);
        assert_eq!((0..10_000).filter(|_| dice.one_in(10)).count() / 100, 10);
    }
}

//! The generator behind all dice.
//!
//! Of our own, because a plan and its seed must give the same records in every build: libraries are free to change what
//! their distributions draw, and two binaries that are compared must be given the same load.

/// A seeded generator of random numbers (SplitMix64, Steele et al. 2014). Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of one `purpose` of one client: each has a sequence of its own.
    pub fn new(seed: u64, purpose: u64, client: u32) -> Random {
        let mut random = Random(seed);
        random.0 = random.next_u64() ^ purpose.wrapping_mul(0xd605_1bd1_9a41_b3c5);
        random.0 = random.next_u64() ^ u64::from(client).wrapping_mul(0x9f86_47a1_35d3_6c1b);
        random.next_u64();
        random
    }

    /// Any number.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0. Off by at most one part in 2^64 / `bound`.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        debug_assert!(bound > 0, "nothing is below 0");
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from 0, included, to 1, excluded.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number of the standard normal distribution (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_never_changes() {
        let mut random = Random::new(1, 2, 3);
        let drawn = [random.next_u64(), random.next_u64(), random.next_u64()];
        assert_eq!(drawn, SEQUENCE, "a plan's records would no longer be what they were");
    }

    const SEQUENCE: [u64; 3] =
        [2_883_843_188_146_331_420, 2_591_016_977_739_759_535, 405_338_838_213_480_117];

    #[test]
    fn purposes_and_clients_have_sequences_of_their_own() {
        let mut first: Vec<u64> = Vec::new();
        for (seed, purpose, client) in [(1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0), (0, 0, 0)] {
            first.push(Random::new(seed, purpose, client).next_u64());
        }
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 5);
    }

    #[test]
    fn numbers_are_spread_evenly_and_normally() {
        let mut random = Random::new(7, 0, 0);
        let mut counts = [0u32; 10];
        (0..100_000).for_each(|_| counts[random.below(10) as usize] += 1);
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
        let normals: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let mean = normals.iter().sum::<f64>() / 1e5;
        let variance = normals.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }
}

//! Durations by size: 64 buckets to each doubling, so a value is known to 1.6 %, in a table that is never longer and
//! never allocates after it was made. To add one costs a shift and three additions.
//!
//! Not the crate `hdrhistogram`, which does the same with more choices to be made for each value; the copies that
//! leave the process are in its form.

use std::time::Duration;

/// Buckets to a doubling, as a power of two.
const FINE_BITS: u32 = 6;
/// Longer ones count as this: somewhat more than a minute.
const LONGEST_NS: u64 = (1 << LONGEST_BITS) - 1;
const LONGEST_BITS: u32 = 36;
const BUCKETS: usize = ((LONGEST_BITS - FINE_BITS + 1) as usize) << FINE_BITS;

/// Durations by size, with their exact sum.
#[derive(Clone)]
pub struct Histogram {
    counts: Box<[u64]>,
    count: u64,
    sum_ns: u64,
}

/// A copy of a [`Histogram`], small where it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistogramCopy {
    /// Durations.
    pub count: u64,
    /// Their exact sum.
    pub sum_ns: u64,
    /// The buckets that are not empty: a duration in the middle of the bucket, and how many are in it; ascending.
    pub buckets: Vec<(u64, u64)>,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; BUCKETS].into(), count: 0, sum_ns: 0 }
    }
}

impl Histogram {
    /// One duration more. What is longer than 68 seconds counts as that long; the sum stays exact.
    #[inline]
    pub fn add(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
        self.count += 1;
        self.sum_ns += ns;
    }

    /// A copy of what was added so far.
    pub fn copy(&self) -> HistogramCopy {
        let used = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        HistogramCopy {
            count: self.count,
            sum_ns: self.sum_ns,
            buckets: used.map(|(bucket, count)| (middle(bucket), *count)).collect(),
        }
    }
}

impl HistogramCopy {
    /// How many lasted at most `limit`, as well as the buckets tell: whole buckets, by their middle.
    pub fn at_most(&self, limit: Duration) -> u64 {
        let limit = limit.as_nanos() as u64;
        self.buckets.iter().take_while(|(ns, _)| *ns <= limit).map(|(_, count)| count).sum()
    }
}

/// The bucket of a duration: itself below 64 ns, then the position of its first bit and the six bits behind it.
#[inline]
fn bucket(ns: u64) -> usize {
    let ns = ns.min(LONGEST_NS);
    let shift = (u64::BITS - FINE_BITS).saturating_sub((ns | 1).leading_zeros() + 1);
    // One block of 64 for each shift, and the leading one makes the next block.
    ((u64::from(shift) << FINE_BITS) + (ns >> shift)) as usize
}

/// The duration in the middle of a bucket.
fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket >> FINE_BITS).saturating_sub(1);
    let lowest = (bucket - (shift << FINE_BITS)) << shift;
    lowest + ((1 << shift) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_durations_have_buckets_of_their_own() {
        for ns in 0..2 << FINE_BITS {
            assert_eq!((bucket(ns), middle(bucket(ns))), (ns as usize, ns));
        }
        assert_eq!(bucket(LONGEST_NS), BUCKETS - 1);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_copy_holds_what_was_added() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.copy(), HistogramCopy::default());
        for ns in [5, 5, 1_000_000, 100_000_000_000] {
            histogram.add(ns);
        }
        let copy = histogram.copy();
        assert_eq!((copy.count, copy.sum_ns), (4, 100_001_000_010));
        assert_eq!(copy.buckets.iter().map(|(_, count)| count).sum::<u64>(), 4);
        assert_eq!(copy.buckets[0], (5, 2));
        assert_eq!(copy.at_most(Duration::from_micros(1)), 2);
        assert_eq!(copy.at_most(Duration::from_millis(2)), 3);
        assert_eq!(copy.at_most(Duration::from_secs(100)), 4);
    }

    proptest! {
        /// Buckets ascend with durations, and their middle is near.
        #[test]
        fn a_bucket_is_near_its_durations(ns in 0..=LONGEST_NS, more in 0_u64..1_000_000_000) {
            prop_assert!(bucket(ns) < BUCKETS);
            prop_assert!(bucket(ns) <= bucket(ns + more));
            let off = middle(bucket(ns)).abs_diff(ns);
            prop_assert!(off <= ns / 100, "{ns} is told as {}", middle(bucket(ns)));
        }
    }
}

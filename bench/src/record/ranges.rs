//! Sets of numbers that mostly follow each other: a few ranges however many numbers there are.

use std::ops::Range;

/// A set of numbers as ranges, in ascending order, with at least one number missing between two of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds `range`. What is in the set already stays.
    ///
    /// At once where the numbers come in order; where they do not, a search and a move of what lies above.
    #[inline]
    pub fn add(&mut self, range: Range<u64>) {
        match self.0.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if last.1 == range.start => last.1 = range.end,
            Some(last) if last.1 > range.start => self.add_below(range),
            _ => self.0.push((range.start, range.end)),
        }
    }

    fn add_below(&mut self, range: Range<u64>) {
        // The ranges that touch the new one become one with it.
        let from = self.0.partition_point(|held| held.1 < range.start);
        let to = self.0.partition_point(|held| held.0 <= range.end);
        let mut whole = (range.start, range.end);
        if from < to {
            whole = (whole.0.min(self.0[from].0), whole.1.max(self.0[to - 1].1));
        }
        self.0.splice(from..to, [whole]);
    }

    /// Whether the set holds a number of `range`, or one beside it: then adding it needs no room.
    pub fn touches(&self, range: &Range<u64>) -> bool {
        let at = self.0.partition_point(|held| held.1 < range.start);
        self.0.get(at).is_some_and(|held| held.0 <= range.end)
    }

    /// How many numbers are in the set.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(from, to)| to - from).sum()
    }

    /// How many ranges are held: 16 bytes each.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.iter().map(|(from, to)| *from..*to)
    }

    /// The numbers that are in both sets.
    pub fn intersection(&self, other: &Ranges) -> Ranges {
        let mut both = Ranges::default();
        let (mut mine, mut theirs) = (self.iter().peekable(), other.iter().peekable());
        while let (Some(a), Some(b)) = (mine.peek(), theirs.peek()) {
            both.add(a.start.max(b.start)..a.end.min(b.end));
            if a.end < b.end {
                mine.next();
            } else {
                theirs.next();
            }
        }
        both
    }
}

impl From<Range<u64>> for Ranges {
    fn from(range: Range<u64>) -> Ranges {
        let mut ranges = Ranges::default();
        ranges.add(range);
        ranges
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn numbers(ranges: &Ranges) -> BTreeSet<u64> {
        ranges.iter().flatten().collect()
    }

    fn build(parts: &[(u64, u64)]) -> (Ranges, BTreeSet<u64>) {
        let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
        for (from, len) in parts {
            let (before, touches) = (ranges.len(), ranges.touches(&(*from..from + len)));
            ranges.add(*from..from + len);
            assert!(
                *len == 0 || touches != (ranges.len() > before),
                "room is needed for what is apart"
            );
            set.extend(*from..from + len);
        }
        (ranges, set)
    }

    proptest! {
        #[test]
        fn a_set_of_ranges_is_a_set(
            parts in prop::collection::vec((0u64..120, 0u64..12), 0..40),
            others in prop::collection::vec((0u64..120, 0u64..12), 0..40),
        ) {
            let (ranges, set) = build(&parts);
            let (other_ranges, other_set) = build(&others);
            let both: BTreeSet<u64> = set.intersection(&other_set).copied().collect();
            prop_assert_eq!(numbers(&ranges.intersection(&other_ranges)), both);
            prop_assert_eq!(ranges.count(), set.len() as u64);
            prop_assert_eq!(numbers(&ranges), set);
            let held: Vec<_> = ranges.iter().collect();
            prop_assert!(held.iter().all(|range| !range.is_empty()));
            prop_assert!(held.windows(2).all(|pair| pair[0].end < pair[1].start), "{:?}", held);
        }
    }
}

//! What brokers acknowledged: one half of the delivery audit.

use std::ops::Range;

use crate::record::ranges::Ranges;

/// Ranges that are remembered per producer: 1 MiB. A producer whose acknowledgements come in order needs one per lane,
/// and one more for each run of records that was given up in between.
pub const ACKED_RANGES_MAX: usize = 65_536;

/// The records of one producer that were acknowledged, by lane.
///
/// What was refused or given up is told to nobody: it is not expected, and not a fault when it is seen.
#[derive(Clone, Debug)]
pub struct Acked {
    producer: u32,
    lanes: Vec<Ranges>,
    held: usize,
    unjudged: u64,
}

impl Acked {
    /// None yet, of a producer that writes to lanes below `lanes`.
    pub fn new(producer: u32, lanes: u32) -> Acked {
        let lanes = vec![Ranges::default(); lanes as usize];
        Acked { producer, lanes, held: 0, unjudged: 0 }
    }

    /// The records with these numbers were acknowledged, of which none was before.
    ///
    /// # Panics
    /// When there is no such lane.
    #[inline]
    pub fn on_acknowledged(&mut self, lane: u32, numbers: Range<u64>) {
        let ranges = &mut self.lanes[lane as usize];
        if self.held >= ACKED_RANGES_MAX && !ranges.touches(&numbers) {
            self.unjudged += numbers.end - numbers.start;
            return;
        }
        let before = ranges.len();
        ranges.add(numbers);
        self.held = self.held + ranges.len() - before;
    }

    /// The producer.
    pub fn producer(&self) -> u32 {
        self.producer
    }

    /// What was acknowledged on a lane.
    pub fn on_lane(&self, lane: u32) -> &Ranges {
        &self.lanes[lane as usize]
    }

    /// Acknowledged records that were not remembered, for want of room.
    pub fn unjudged(&self) -> u64 {
        self.unjudged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_order_is_one_range_and_memory_has_an_end() {
        let mut acked = Acked::new(3, 2);
        (0..1_000_000).for_each(|number| acked.on_acknowledged(1, number * 16..number * 16 + 16));
        assert_eq!((acked.on_lane(1).len(), acked.on_lane(1).count()), (1, 16_000_000));
        for number in 0..ACKED_RANGES_MAX as u64 + 10 {
            acked.on_acknowledged(0, number * 3..number * 3 + 2);
        }
        assert_eq!(acked.on_lane(0).len() + 1, ACKED_RANGES_MAX);
        assert_eq!(acked.unjudged(), 11 * 2);
        acked.on_acknowledged(1, 16_000_000..16_000_001);
        acked.on_acknowledged(0, 2..3);
        assert_eq!(acked.unjudged(), 11 * 2, "what joins other ranges needs no room");
    }
}

//! One chunk of memory split in halves: which parts are free.
//!
//! A full binary tree over the 256 pages of a chunk; each node holds the largest free order below it
//! (plus one; zero is "nothing free"). Taking and giving back walk one path of nine nodes.

use super::ALIGN;
use crate::limits::BLOCK_CHUNK_BYTES;

const PAGES: usize = BLOCK_CHUNK_BYTES / ALIGN;
/// The order of a whole chunk; order n is 4 KiB << n.
pub(super) const TOP: u8 = PAGES.trailing_zeros() as u8;
const NODES: usize = 2 * PAGES - 1;

const _: () = assert!(PAGES.is_power_of_two());

pub(super) struct Buddy {
    free: Box<[u8; NODES]>,
}

/// The smallest order whose blocks hold `bytes`; None above a chunk.
pub(super) fn order_of(bytes: usize) -> Option<u8> {
    let size = bytes.max(ALIGN).checked_next_power_of_two()?;
    (size <= BLOCK_CHUNK_BYTES).then(|| (size / ALIGN).trailing_zeros() as u8)
}

/// Bytes of a block of `order`.
pub(super) fn size_of(order: u8) -> usize {
    ALIGN << order
}

impl Buddy {
    /// A chunk that is all free.
    pub fn new() -> Self {
        let mut free = Box::new([0; NODES]);
        let mut level_first = 0;
        for level in 0..=TOP {
            let nodes = 1 << level;
            free[level_first..level_first + nodes].fill(TOP - level + 1);
            level_first += nodes;
        }
        Buddy { free }
    }

    /// The largest order that can be taken.
    pub fn largest(&self) -> Option<u8> {
        self.free[0].checked_sub(1)
    }

    pub fn is_all_free(&self) -> bool {
        self.free[0] == TOP + 1
    }

    /// Byte offset of a part of `order`, now taken.
    pub fn take(&mut self, order: u8) -> Option<usize> {
        let wanted = order + 1;
        if self.free[0] < wanted {
            return None;
        }
        let (mut node, mut at) = (0, TOP);
        while at > order {
            at -= 1;
            let (left, right) = (2 * node + 1, 2 * node + 2);
            let (l, r) = (self.free[left], self.free[right]);
            // The fuller half, so that the emptier one stays whole.
            node = if l >= wanted && (r < wanted || l <= r) { left } else { right };
        }
        debug_assert_eq!(self.free[node], wanted, "a free node of its order is whole");
        self.free[node] = 0;
        let first_of_level = (1 << (TOP - order)) - 1;
        self.update_above(node, order);
        Some((node - first_of_level) * size_of(order))
    }

    /// Gives the part back that [`Buddy::take`] returned.
    pub fn give(&mut self, offset: usize, order: u8) {
        let node = (1 << (TOP - order)) - 1 + offset / size_of(order);
        assert_eq!(self.free[node], 0, "a block is freed once");
        self.free[node] = order + 1;
        self.update_above(node, order);
    }

    fn update_above(&mut self, mut node: usize, mut order: u8) {
        while node > 0 {
            node = (node - 1) / 2;
            order += 1;
            let (l, r) = (self.free[2 * node + 1], self.free[2 * node + 2]);
            // Both halves whole (each holds its order plus one) make a whole.
            self.free[node] = if l == order && r == order { order + 1 } else { l.max(r) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn orders_cover_their_sizes() {
        assert_eq!(order_of(0), Some(0));
        assert_eq!(order_of(4096), Some(0));
        assert_eq!(order_of(4097), Some(1));
        assert_eq!(order_of(BLOCK_CHUNK_BYTES), Some(TOP));
        assert_eq!(order_of(BLOCK_CHUNK_BYTES + 1), None);
        assert_eq!(order_of(usize::MAX), None);
    }

    #[test]
    fn small_blocks_keep_together() {
        let mut b = Buddy::new();
        let first = b.take(0);
        let big = b.take(TOP - 1);
        assert_eq!((first, big), (Some(0), Some(BLOCK_CHUNK_BYTES / 2)));
        assert_eq!(b.take(0), Some(4096));
    }

    proptest! {
        #[test]
        fn parts_never_overlap_and_all_comes_back(steps in prop::collection::vec((0u8..=TOP, any::<u16>()), 1..400)) {
            let mut b = Buddy::new();
            let mut taken: Vec<(usize, u8)> = Vec::new();
            for (order, pick) in steps {
                if pick % 3 == 0 && !taken.is_empty() {
                    let (offset, order) = taken.swap_remove(pick as usize % taken.len());
                    b.give(offset, order);
                } else if let Some(offset) = b.take(order) {
                    prop_assert_eq!(offset % size_of(order), 0);
                    prop_assert!(offset + size_of(order) <= BLOCK_CHUNK_BYTES);
                    for (o, n) in &taken {
                        prop_assert!(offset + size_of(order) <= *o || o + size_of(*n) <= offset);
                    }
                    taken.push((offset, order));
                }
            }
            for (offset, order) in taken {
                b.give(offset, order);
            }
            prop_assert!(b.is_all_free());
        }
    }
}

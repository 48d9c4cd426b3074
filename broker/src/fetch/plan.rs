//! How the bytes of one fetch response are shared out among its partitions.
//!
//! Partitions are read on the shards that own them, all at once, each shard held to the whole
//! response's limit because it does not know what the others found. Here the results meet: they
//! are cut to the response's limit in the order of the request. Whole batches only; Kafka may cut
//! one in the middle, which costs the client a look at bytes it throws away.
//!
//! Pure; nothing here owns bytes.

/// Offset of the batch length in a batch, and the bytes before the counted ones (kafka.md 3.1).
const LENGTH_AT: usize = 8;
const LENGTH_EXCLUDES: usize = 12;

/// Bytes of the whole batches at the front of `pieces` that fit in `limit`. The first batch counts
/// even if it does not fit when `first_whole` (KIP-74: a client must be able to get past a batch
/// larger than its limits). Bytes after the last whole batch never count.
pub fn whole_batches(pieces: &[&[u8]], limit: usize, first_whole: bool) -> usize {
    let total: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut cursor = Cursor { pieces, piece: 0, piece_start: 0 };
    let mut end = 0;
    while let Some(length) = cursor.length_at(end + LENGTH_AT) {
        let next = end + LENGTH_EXCLUDES + length;
        let fits = next <= limit || (first_whole && end == 0);
        if next > total || !fits {
            break;
        }
        end = next;
    }
    end
}

/// What is left of a response's limit while it is filled in order.
#[derive(Debug, Clone, Copy)]
pub struct Remaining {
    bytes: usize,
    is_empty: bool,
}

impl Remaining {
    /// Nothing is in the response yet.
    pub fn new(max_bytes: usize) -> Remaining {
        Remaining { bytes: max_bytes, is_empty: true }
    }

    /// Takes a partition's records into the response: how many of their bytes go in.
    pub fn take(&mut self, pieces: &[&[u8]]) -> usize {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        if total == 0 {
            return 0;
        }
        let taken = match total <= self.bytes {
            true => total,
            false => whole_batches(pieces, self.bytes, self.is_empty),
        };
        self.bytes = self.bytes.saturating_sub(taken);
        self.is_empty &= taken == 0;
        taken
    }
}

/// Reads forward through bytes that lie in several pieces.
struct Cursor<'a> {
    pieces: &'a [&'a [u8]],
    piece: usize,
    piece_start: usize,
}

impl Cursor<'_> {
    /// The big-endian i32 at `position`, as a length. `None` past the end or when negative.
    fn length_at(&mut self, position: usize) -> Option<usize> {
        while self.piece_start + self.pieces.get(self.piece)?.len() <= position {
            self.piece_start += self.pieces[self.piece].len();
            self.piece += 1;
        }
        let tail = &self.pieces[self.piece][position - self.piece_start..];
        let bytes = match tail.first_chunk::<4>() {
            Some(bytes) => *bytes,
            None => {
                let rest = self.pieces[self.piece + 1..].iter().copied().flatten();
                let mut all = tail.iter().chain(rest);
                let mut bytes = [0; 4];
                for byte in &mut bytes {
                    *byte = *all.next()?;
                }
                bytes
            }
        };
        usize::try_from(i32::from_be_bytes(bytes)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Batches of these lengths (at least 12), back to back.
    fn batches(lengths: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for &length in lengths {
            let start = bytes.len();
            bytes.resize(start + length, 0);
            let counted = (length - LENGTH_EXCLUDES) as i32;
            bytes[start + LENGTH_AT..start + LENGTH_EXCLUDES]
                .copy_from_slice(&counted.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn only_whole_batches_count() {
        let bytes = batches(&[100, 50, 70]);
        let pieces = [&bytes[..]];
        assert_eq!(whole_batches(&pieces, 220, false), 220);
        assert_eq!(whole_batches(&pieces, 219, false), 150);
        assert_eq!(whole_batches(&pieces, 99, false), 0);
        assert_eq!(whole_batches(&[&bytes[..219]], 1000, true), 150);
    }

    #[test]
    fn the_first_batch_is_returned_even_if_it_does_not_fit() {
        let bytes = batches(&[100, 50]);
        assert_eq!(whole_batches(&[&bytes], 10, true), 100);
        let mut remaining = Remaining::new(10);
        assert_eq!(remaining.take(&[&bytes]), 100);
        assert_eq!(
            remaining.take(&[&bytes]),
            0,
            "only the first partition with records may exceed"
        );
    }

    #[test]
    fn a_response_is_filled_in_order() {
        let bytes = batches(&[100, 50]);
        let mut remaining = Remaining::new(260);
        assert_eq!(remaining.take(&[]), 0);
        assert_eq!(remaining.take(&[&bytes]), 150);
        assert_eq!(remaining.take(&[&bytes]), 100);
        assert_eq!(remaining.take(&[&bytes]), 0);
    }

    proptest! {
        /// However the bytes are cut into pieces, the answer is the same, and it never panics.
        #[test]
        fn pieces_do_not_matter(
            lengths in proptest::collection::vec(12usize..80, 0..12),
            cuts in proptest::collection::vec(0usize..1000, 0..8),
            limit in 0usize..1000,
        ) {
            let bytes = batches(&lengths);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut start = 0;
            for cut in cuts {
                pieces.push(&bytes[start..cut]);
                start = cut;
            }
            pieces.push(&bytes[start..]);
            let expected = whole_batches(&[&bytes], limit, true);
            prop_assert_eq!(whole_batches(&pieces, limit, true), expected);
        }

        #[test]
        fn any_bytes_are_cut_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), limit in 0usize..300) {
            prop_assert!(whole_batches(&[&bytes], limit, true) <= bytes.len());
        }
    }
}

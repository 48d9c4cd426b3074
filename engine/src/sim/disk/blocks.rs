//! Which 4 KiB blocks of a file have space.

use super::image::PAGE;

/// A set of block numbers.
#[derive(Clone, Default)]
pub(super) struct Blocks {
    bits: Vec<u64>,
    count: u64,
}

/// The blocks that `len` bytes at `position` touch.
fn range(position: u64, len: u64) -> std::ops::Range<u64> {
    let end = if len == 0 { position / PAGE } else { (position + len).div_ceil(PAGE) };
    position / PAGE..end
}

/// The words that hold `blocks`, each with the bits of those.
fn words(blocks: std::ops::Range<u64>) -> impl Iterator<Item = (usize, u64)> {
    let (from, to) = (blocks.start, blocks.end);
    (from / 64..to.div_ceil(64)).map(move |word| {
        let (low, high) = (from.max(word * 64) - word * 64, to.min((word + 1) * 64) - word * 64);
        (word as usize, (u64::MAX << low) & (u64::MAX >> (64 - high)))
    })
}

impl Blocks {
    pub fn count(&self) -> u64 {
        self.count
    }

    fn word(&self, word: usize) -> u64 {
        self.bits.get(word).copied().unwrap_or_default()
    }

    /// How many of the blocks that `len` bytes at `position` touch are missing.
    pub fn missing(&self, position: u64, len: u64) -> u64 {
        let missing =
            |(word, mask): (usize, u64)| u64::from((mask & !self.word(word)).count_ones());
        words(range(position, len)).map(missing).sum()
    }

    /// Bytes from `position` on, `len` at most, that `free` more blocks are enough for.
    pub fn fitting(&self, position: u64, len: u64, mut free: u64) -> u64 {
        if self.missing(position, len) <= free {
            return len;
        }
        for block in range(position, len) {
            if self.word((block / 64) as usize) >> (block % 64) & 1 == 0 {
                if free == 0 {
                    return (block * PAGE).saturating_sub(position);
                }
                free -= 1;
            }
        }
        unreachable!("more blocks are missing than are free")
    }

    /// Adds the blocks that `len` bytes at `position` touch; how many were missing.
    pub fn add(&mut self, position: u64, len: u64) -> u64 {
        let before = self.count;
        for (word, mask) in words(range(position, len)) {
            if word >= self.bits.len() {
                self.bits.resize(word + 1, 0);
            }
            self.count += u64::from((mask & !self.bits[word]).count_ones());
            self.bits[word] |= mask;
        }
        self.count - before
    }

    /// Takes away all blocks past `len` bytes.
    pub fn cut(&mut self, len: u64) {
        let keep = len.div_ceil(PAGE);
        let word = (keep / 64) as usize;
        if word < self.bits.len() {
            self.bits[word] &= (1 << (keep % 64)) - 1;
            self.bits.truncate(word + 1);
        }
        self.count = self.bits.iter().map(|word| u64::from(word.count_ones())).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_counted_once_per_block() {
        let mut blocks = Blocks::default();
        assert_eq!(blocks.add(100, 1), 1);
        assert_eq!(blocks.add(0, 3 * PAGE), 2);
        assert_eq!(blocks.missing(PAGE, 300 * PAGE), 298);
        assert_eq!(blocks.fitting(PAGE, 300 * PAGE, 2), 4 * PAGE);
        assert_eq!(blocks.fitting(PAGE + 1, 300 * PAGE, 0), 2 * PAGE - 1);
        assert_eq!(blocks.fitting(0, PAGE, 0), PAGE);
        blocks.add(PAGE * 63, 3 * PAGE);
        blocks.cut(PAGE * 64);
        assert_eq!(blocks.count(), 4);
        blocks.cut(PAGE + 1);
        assert_eq!(blocks.count(), 2);
        blocks.cut(0);
        assert_eq!(blocks.count(), 0);
        assert_eq!(blocks.add(0, 128 * PAGE), 128);
        assert_eq!(blocks.add(129 * PAGE + 1, 0), 0);
    }
}

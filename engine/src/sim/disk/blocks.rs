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
    position / PAGE..(position + len).div_ceil(PAGE)
}

impl Blocks {
    pub fn count(&self) -> u64 {
        self.count
    }

    fn has(&self, block: u64) -> bool {
        self.bits.get((block / 64) as usize).is_some_and(|word| word >> (block % 64) & 1 == 1)
    }

    /// How many of the blocks that `len` bytes at `position` touch are missing.
    pub fn missing(&self, position: u64, len: u64) -> u64 {
        range(position, len).filter(|block| !self.has(*block)).count() as u64
    }

    /// Bytes from `position` on, `len` at most, that `free` more blocks are enough for.
    pub fn fitting(&self, position: u64, len: u64, mut free: u64) -> u64 {
        for block in range(position, len) {
            if !self.has(block) {
                if free == 0 {
                    return (block * PAGE).saturating_sub(position);
                }
                free -= 1;
            }
        }
        len
    }

    /// Adds the blocks that `len` bytes at `position` touch; how many were missing.
    pub fn add(&mut self, position: u64, len: u64) -> u64 {
        let before = self.count;
        for block in range(position, len) {
            let word = (block / 64) as usize;
            if word >= self.bits.len() {
                self.bits.resize(word + 1, 0);
            }
            self.count += !self.bits[word] >> (block % 64) & 1;
            self.bits[word] |= 1 << (block % 64);
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
    }
}

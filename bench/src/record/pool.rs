//! The bytes behind the stamp of each value.
//!
//! They are made once per plan and seed; a value is a slice of them. So a producer copies once, a consumer compares with
//! `memcmp`, and nobody hashes a record. Values take slices that follow each other, so that no bytes come twice within
//! [`POOL_BYTES`]: a codec finds no repetition that was not put there on purpose.

use std::sync::Arc;

use crate::plan::Payload;
use crate::record::random::Random;
use crate::record::stamp::{Altered, STAMP_BYTES, Stamp};

/// Bytes before the pool begins again: as large as the largest window that zstd looks back at its usual level.
pub const POOL_BYTES: usize = 2 << 20;

/// Compressible bytes consist of cells of this size: random bytes in front, then text that is the same in all.
const CELL_BYTES: usize = 256;

/// What lz4 and zstd need on top of its random bytes for a cell: the lengths and the distance of the repetition.
const CELL_OVERHEAD: f64 = 5.0;

/// The repeated text.
const TEXT: &[u8] = b"the shuttle carries the weft through the shed, the reed beats it home, and every heddle holds \
exactly one thread of the warp; a thread that breaks is found where it broke, for the cloth keeps the order in which \
it was woven. ";

/// The bytes of which values consist. Cheap to clone: all clones share them.
#[derive(Clone, Debug)]
pub struct Pool {
    /// [`POOL_BYTES`], and then the first ones again, as many as the largest value has.
    bytes: Arc<[u8]>,
}

/// Where a producer takes its next value from.
#[derive(Clone, Debug)]
pub struct Cursor(usize);

impl Pool {
    /// The bytes of a plan whose values have at most `value_bytes_max` bytes.
    ///
    /// Takes some 2 ms and [`POOL_BYTES`] plus `value_bytes_max` of memory.
    pub fn new(payload: Payload, value_bytes_max: u32, seed: u64) -> Pool {
        let mut random = Random::new(seed, 1, 0);
        let mut bytes = Vec::with_capacity(POOL_BYTES + value_bytes_max as usize);
        match payload {
            Payload::Random => put_random(&mut bytes, POOL_BYTES, &mut random),
            Payload::Compressible(left) => {
                let wanted = left * CELL_BYTES as f64 - CELL_OVERHEAD;
                while bytes.len() < POOL_BYTES {
                    // The fraction decides how often a cell has one random byte more.
                    let noise = (wanted + random.unit()).clamp(1.0, CELL_BYTES as f64) as usize;
                    put_random(&mut bytes, noise, &mut random);
                    bytes.extend(TEXT.iter().cycle().take(CELL_BYTES - noise));
                }
            }
        }
        assert_eq!(bytes.len(), POOL_BYTES, "cells fill the pool");
        while bytes.len() < POOL_BYTES + value_bytes_max as usize {
            let more = (POOL_BYTES + value_bytes_max as usize - bytes.len()).min(POOL_BYTES);
            bytes.extend_from_within(..more);
        }
        Pool { bytes: bytes.into() }
    }

    /// The cursor of a producer. Each begins somewhere else.
    pub fn cursor(&self, seed: u64, producer: u32) -> Cursor {
        Cursor(Random::new(seed, 2, producer).below(POOL_BYTES as u64) as usize)
    }

    /// The bytes of a value behind its stamp.
    ///
    /// # Panics
    /// When the stamp names bytes that no cursor gives.
    #[inline]
    pub fn value(&self, stamp: &Stamp) -> &[u8] {
        let from = stamp.position as usize;
        &self.bytes[from..from + (stamp.length as usize - STAMP_BYTES)]
    }

    /// Compares a value with what was produced.
    ///
    /// # Errors
    /// It has no stamp, or other bytes or another length than its stamp says.
    #[inline]
    pub fn check(&self, value: &[u8]) -> Result<Stamp, Altered> {
        let stamp = Stamp::parse(value)?;
        if stamp.length as usize != value.len() {
            return Err(Altered::Length { stamp, found: value.len() as u32 });
        }
        let from = stamp.position as usize;
        let tail = &value[STAMP_BYTES..];
        match self.bytes.get(from..from + tail.len()) {
            Some(produced) if produced == tail => Ok(stamp),
            Some(produced) => {
                let same = tail.iter().zip(produced).take_while(|(a, b)| a == b).count();
                Err(Altered::Bytes { stamp, at: (STAMP_BYTES + same) as u32 })
            }
            // The stamp is whole, but of a plan with other values.
            None => Err(Altered::Bytes { stamp, at: STAMP_BYTES as u32 }),
        }
    }
}

impl Cursor {
    /// The position of the next value, which has `length` bytes, stamp included.
    #[inline]
    pub fn next(&mut self, length: u32) -> u32 {
        let position = self.0;
        self.0 += length as usize - STAMP_BYTES;
        while self.0 >= POOL_BYTES {
            self.0 -= POOL_BYTES;
        }
        position as u32
    }
}

fn put_random(bytes: &mut Vec<u8>, count: usize, random: &mut Random) {
    let end = bytes.len() + count;
    while bytes.len() + 8 <= end {
        bytes.extend_from_slice(&random.next_u64().to_le_bytes());
    }
    let rest = end - bytes.len();
    bytes.extend_from_slice(&random.next_u64().to_le_bytes()[..rest]);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use storage::batch::{Codec, pack};

    use super::*;

    fn stamp(cursor: &mut Cursor, number: u64, length: u32) -> Stamp {
        let position = cursor.next(length);
        Stamp { run: 9, producer: 1, lane: 2, number, intended_ns: number << 20, position, length }
    }

    /// `values` values of `length` bytes, one after the other, as they stand in a batch.
    fn values(pool: &Pool, length: u32, values: u64) -> Vec<u8> {
        let mut cursor = pool.cursor(3, 1);
        let mut all = Vec::new();
        for number in 0..values {
            let stamp = stamp(&mut cursor, number, length);
            all.extend_from_slice(&stamp.to_bytes());
            all.extend_from_slice(pool.value(&stamp));
        }
        all
    }

    #[test]
    fn a_value_is_what_was_produced_or_says_what_is_not() {
        for payload in [Payload::Random, Payload::Compressible(0.3)] {
            let pool = Pool::new(payload, 5_000, 4);
            let mut cursor = pool.cursor(4, 0);
            for number in 0..3_000 {
                let length = [40, 41, 100, 1_024, 5_000][number as usize % 5];
                let stamp = stamp(&mut cursor, number, length);
                let mut value = stamp.to_bytes().to_vec();
                value.extend_from_slice(pool.value(&stamp));
                assert_eq!(pool.check(&value), Ok(stamp));
                let short = pool.check(&value[..value.len() - 1]);
                match length {
                    40 => assert_eq!(short, Err(Altered::Stamp)),
                    _ => assert_eq!(short, Err(Altered::Length { stamp, found: length - 1 })),
                }
                let at = 40 + (number as usize * 7) % (length as usize - 39);
                if at < value.len() {
                    value[at] ^= 0x10;
                    let altered = Altered::Bytes { stamp, at: at as u32 };
                    assert_eq!(pool.check(&value), Err(altered));
                }
            }
        }
        let large = Pool::new(Payload::Random, 3 << 20, 4);
        let stamp = Stamp { length: 3 << 20, ..stamp(&mut Cursor(POOL_BYTES - 1), 0, 40) };
        assert_eq!(large.value(&stamp).len(), (3 << 20) - 40, "larger than the pool itself");
        let mut foreign = stamp.to_bytes().to_vec();
        foreign.resize(3 << 20, 0);
        assert_eq!(large.check(&foreign), Err(Altered::Bytes { stamp, at: 40 }));
        let small = Pool::new(Payload::Random, 100, 4);
        assert_eq!(small.check(&foreign), Err(Altered::Bytes { stamp, at: 40 }));
    }

    #[test]
    fn codecs_leave_the_part_that_was_asked_for() {
        for left in [0.1, 0.25, 0.5, 0.8] {
            let pool = Pool::new(Payload::Compressible(left), 4_096, 4);
            for (length, count) in [(1_024, 16), (1_024, 250), (4_096, 16)] {
                let plain = values(&pool, length, count);
                for codec in [Codec::Lz4, Codec::Zstd, Codec::Snappy, Codec::Gzip] {
                    let packed = pack(codec, &plain).unwrap().len() as f64 / plain.len() as f64;
                    // Snappy copies at most 64 bytes at a time.
                    let tolerance = if codec == Codec::Snappy { 0.08 } else { 0.05 };
                    assert!(
                        (packed - left).abs() < tolerance,
                        "{codec:?} leaves {packed:.3} of {count} values of {length}, not {left}"
                    );
                }
            }
        }
    }

    #[test]
    fn no_codec_makes_random_values_smaller() {
        let pool = Pool::new(Payload::Random, 1_024, 4);
        for count in [16, 250, 1_000] {
            let plain = values(&pool, 1_024, count);
            for codec in [Codec::Lz4, Codec::Zstd, Codec::Snappy, Codec::Gzip] {
                let packed = pack(codec, &plain).unwrap().len() as f64 / plain.len() as f64;
                assert!(packed > 0.96, "{codec:?} leaves {packed:.3} of {count} values");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
        let bytes = |seed| values(&Pool::new(Payload::Random, 1_024, seed), 1_024, 10);
        assert_eq!(bytes(5), bytes(5));
        assert_ne!(bytes(5), bytes(6));
    }
}

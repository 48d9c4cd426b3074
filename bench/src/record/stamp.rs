//! The stamp at the front of each value.
//!
//! ```text
//!  0      4      8         12     16        24             32         36       40
//!  check  run    producer  lane   number    intended_ns    position   length   bytes of the pool ..
//! ```
//!
//! All little-endian. `check` is a mix of the other 36 bytes, so that damage to the stamp is told from a record that is
//! out of place. A *lane* is a partition of the run's topics: topic number times partitions plus partition.

/// Bytes of a stamp; no value is smaller.
pub const STAMP_BYTES: usize = 40;

/// Who produced a record, as which of its records, and meant for when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The run it belongs to, chosen at random.
    pub run: u32,
    /// Its producer.
    pub producer: u32,
    /// The partition it was meant for.
    pub lane: u32,
    /// Counted per producer and lane, from 0, without holes.
    pub number: u64,
    /// When it was meant to be sent: nanoseconds of the monotonic clock, the same for all processes of a host.
    pub intended_ns: u64,
    /// Where in the pool its other bytes are.
    pub position: u32,
    /// Bytes of the whole value.
    pub length: u32,
}

/// In what way a value is not what was produced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Altered {
    /// It has no stamp, or a damaged one: who produced it cannot be said.
    Stamp,
    /// It has another length than its stamp says.
    Length {
        /// Its stamp.
        stamp: Stamp,
        /// Its bytes.
        found: u32,
    },
    /// Bytes behind the stamp differ.
    Bytes {
        /// Its stamp.
        stamp: Stamp,
        /// The first that does, counted from the begin of the value.
        at: u32,
    },
}

impl Stamp {
    /// The stamp as it stands in the value.
    #[inline]
    pub fn to_bytes(&self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        bytes[4..8].copy_from_slice(&self.run.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.producer.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.lane.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.intended_ns.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.position.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.length.to_le_bytes());
        let check = self.check();
        bytes[..4].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// The stamp of a value.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    #[inline]
    pub fn parse(value: &[u8]) -> Result<Stamp, Altered> {
        let Some(bytes) = value.first_chunk::<STAMP_BYTES>() else { return Err(Altered::Stamp) };
        let stamp = Stamp {
            run: u32_at(bytes, 4),
            producer: u32_at(bytes, 8),
            lane: u32_at(bytes, 12),
            number: u64_at(bytes, 16),
            intended_ns: u64_at(bytes, 24),
            position: u32_at(bytes, 32),
            length: u32_at(bytes, 36),
        };
        if u32_at(bytes, 0) == stamp.check() { Ok(stamp) } else { Err(Altered::Stamp) }
    }

    /// A mix of all fields: two rounds of a widening multiplication for each 16 bytes. A few nanoseconds.
    #[inline]
    fn check(&self) -> u32 {
        let words = [
            u64::from(self.run) << 32 | u64::from(self.producer),
            u64::from(self.lane) << 32 | u64::from(self.position),
            self.number,
            self.intended_ns ^ u64::from(self.length).rotate_left(40),
        ];
        let front = fold(words[0] ^ 0x4865_6464_6c65_2e31, words[1] ^ 0x9e37_79b9_7f4a_7c15);
        let back = fold(words[2] ^ 0xe703_7ed1_a0b4_28db, words[3] ^ 0x8ebc_6af0_9c88_c6e3);
        let mixed = fold(front ^ 0x5899_65cc_7537_4cc3, back ^ 0x1d8e_4e27_c47d_124f);
        (mixed ^ (mixed >> 32)) as u32
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

fn u32_at(bytes: &[u8; STAMP_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8; STAMP_BYTES], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_stamp() -> impl Strategy<Value = Stamp> {
        let small = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>());
        (small, any::<u64>(), any::<u64>()).prop_map(|(small, number, intended_ns)| {
            let (run, producer, lane, position, length) = small;
            Stamp { run, producer, lane, number, intended_ns, position, length }
        })
    }

    proptest! {
        #[test]
        fn a_stamp_comes_back(stamp in any_stamp()) {
            prop_assert_eq!(Stamp::parse(&stamp.to_bytes()), Ok(stamp));
        }

        #[test]
        fn no_flipped_bit_goes_unnoticed(stamp in any_stamp()) {
            for bit in 0..STAMP_BYTES * 8 {
                let mut bytes = stamp.to_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                prop_assert_eq!(Stamp::parse(&bytes), Err(Altered::Stamp), "bit {}", bit);
            }
        }
    }

    #[test]
    fn what_is_too_short_or_foreign_has_no_stamp() {
        for value in [&b""[..], &[0; 39], &[0; 40], &[0xff; 40], &[b'x'; 1024]] {
            assert_eq!(Stamp::parse(value), Err(Altered::Stamp));
        }
    }
}

//! The partition of a key, exactly as the Java client computes it, so that mixed producers agree.

/// The murmur2 hash of Kafka's `Utils.murmur2`: MurmurHash2 with its own seed, little-endian words.
#[must_use]
pub fn murmur2(data: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut hash = SEED ^ data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (at, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    hash as i32
}

/// The partition of a key among `partitions` (at least 1).
///
/// # Panics
/// If `partitions` is 0: a topic has at least one.
#[must_use]
pub fn partition_for_key(key: &[u8], partitions: u32) -> u32 {
    assert!(partitions > 0, "a topic has at least one partition");
    // toPositive: the sign bit is dropped, not the sign.
    (murmur2(key) as u32 & 0x7fff_ffff) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_java_client() {
        let check = |text: &str, expected: i32| assert_eq!(murmur2(text.as_bytes()), expected);
        check("21", -973_932_308);
        check("foobar", -790_332_482);
        check("a-little-bit-long-string", -985_981_536);
        check("a-little-bit-longer-string", -1_486_304_829);
        check("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971);
        check("abc", 479_470_107);
    }

    #[test]
    fn partitions_are_positive_and_in_range() {
        assert_eq!(partition_for_key(b"foobar", 10), (-790_332_482i32 as u32 & 0x7fff_ffff) % 10);
        for key in 0..1000u32 {
            assert!(partition_for_key(&key.to_le_bytes(), 7) < 7);
        }
        assert_eq!(partition_for_key(b"", 1), 0);
    }
}

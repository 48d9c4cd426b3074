//! Numbers that mean something, as types that do not mix.
//!
//! Arithmetic on offsets saturates instead of overflowing: an offset may come from a damaged file or from a peer, and
//! nothing read from there may end the process. Real offsets stay far from the ends of `i64`.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// The position of a record in its partition's log, counted in records from 0. An *end* offset is that of the next
/// record to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

/// A number of records: what lies between two offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count(pub i64);

/// The number of a partition's leadership. Each change of leader, and each start of a node, raises it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderEpoch(pub i32);

/// The id a producer was given for idempotence, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub i64);

/// The position of an entry in a shard's journal of one generation: strictly rising, never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// The number of a node's start. Each start writes journals of its own generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u32);

/// A byte position in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePosition(pub u64);

/// The identity of one log. Never reused: a topic created again has another id, a log begun again another incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    /// The topic's UUID, as on the wire.
    pub topic: [u8; 16],
    /// The partition's number in its topic.
    pub partition: u32,
    /// Which life of this partition on this node it is.
    pub incarnation: u32,
}

impl Offset {
    /// The first offset of any log.
    pub const ZERO: Offset = Offset(0);
    /// An offset no record ever has.
    pub const MAX: Offset = Offset(i64::MAX);
}

impl Count {
    /// One record.
    pub const ONE: Count = Count(1);
}

impl LeaderEpoch {
    /// What a producer writes into a batch: no epoch.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);
}

impl Add<Count> for Offset {
    type Output = Offset;
    fn add(self, count: Count) -> Offset {
        Offset(self.0.saturating_add(count.0))
    }
}

impl AddAssign<Count> for Offset {
    fn add_assign(&mut self, count: Count) {
        *self = *self + count;
    }
}

impl Sub for Offset {
    type Output = Count;
    fn sub(self, other: Offset) -> Count {
        Count(self.0.saturating_sub(other.0))
    }
}

impl Sub<Count> for Offset {
    type Output = Offset;
    fn sub(self, count: Count) -> Offset {
        Offset(self.0.saturating_sub(count.0))
    }
}

impl Add<u64> for FilePosition {
    type Output = FilePosition;
    fn add(self, bytes: u64) -> FilePosition {
        FilePosition(self.0.saturating_add(bytes))
    }
}

impl Sub for FilePosition {
    type Output = u64;
    /// Bytes between two positions; 0 when `other` lies behind `self`.
    fn sub(self, other: FilePosition) -> u64 {
        self.0.saturating_sub(other.0)
    }
}

impl LogId {
    /// Bytes of an encoded id.
    pub const BYTES: usize = 24;

    /// The id as it stands in journal frames and checkpoints: topic, then both numbers in little endian.
    pub fn to_bytes(self) -> [u8; LogId::BYTES] {
        let mut bytes = [0; LogId::BYTES];
        bytes[..16].copy_from_slice(&self.topic);
        bytes[16..20].copy_from_slice(&self.partition.to_le_bytes());
        bytes[20..].copy_from_slice(&self.incarnation.to_le_bytes());
        bytes
    }

    /// The inverse of [`LogId::to_bytes`].
    pub fn from_bytes(bytes: &[u8; LogId::BYTES]) -> LogId {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let mut topic = [0; 16];
        topic.copy_from_slice(&bytes[..16]);
        LogId { topic, partition: word(16), incarnation: word(20) }
    }
}

macro_rules! display_number {
    ($($name:ident),*) => { $(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )* };
}
display_number!(Offset, Count, LeaderEpoch, ProducerId, Lsn, Generation, FilePosition);

impl fmt::Display for LogId {
    /// `<topic uuid in Kafka's base64url>-<partition>#<incarnation>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}#{}", Base64Url(&self.topic), self.partition, self.incarnation)
    }
}

/// Shows bytes as base64url without padding, the form in which Kafka prints a UUID (22 characters).
#[derive(Clone, Copy, Debug)]
pub struct Base64Url<'a>(pub &'a [u8]);

impl fmt::Display for Base64Url<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for group in self.0.chunks(3) {
            let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
                << (8 * (3 - group.len()));
            for digit in 0..=group.len() {
                let index = (bits >> (18 - 6 * digit)) & 63;
                write!(f, "{}", ALPHABET[index as usize] as char)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_differ_by_counts() {
        assert_eq!(Offset(7) - Offset(3), Count(4));
        assert_eq!(Offset(3) + Count(4), Offset(7));
        assert_eq!(Offset::MAX + Count(1), Offset::MAX);
    }

    #[test]
    fn log_id_round_trips() {
        let id = LogId { topic: [9; 16], partition: 77, incarnation: 0x0102_0304 };
        assert_eq!(LogId::from_bytes(&id.to_bytes()), id);
    }

    #[test]
    fn base64url_matches_kafka() {
        // `Uuid.ONE_UUID` and an ordinary id as kafka-storage prints them.
        let mut one = [0; 16];
        one[15] = 1;
        assert_eq!(Base64Url(&one).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(Base64Url(&[0xff; 16]).to_string(), "_____________________w");
    }
}

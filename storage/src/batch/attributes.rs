//! The attribute bits of a batch: codec, timestamp type and what kind of batch it is.

use std::fmt;
use std::str::FromStr;

/// The 16 attribute bits of a batch header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub i16);

/// How the records of a batch are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Records stand as they are.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// A raw snappy block, or the framing of xerial's Java library.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// RFC 8878.
    Zstd,
}

/// What the timestamps of a batch mean (`message.timestamp.type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// Each record carries the time its producer gave it.
    #[default]
    CreateTime,
    /// All records carry the time of their append: the batch's max timestamp.
    LogAppendTime,
}

impl Attributes {
    /// Bit 3: the timestamps are append times.
    pub const LOG_APPEND_TIME: i16 = 1 << 3;
    /// Bit 4: the batch belongs to a transaction.
    pub const TRANSACTIONAL: i16 = 1 << 4;
    /// Bit 5: the batch holds a control record and is never shown to applications.
    pub const CONTROL: i16 = 1 << 5;
    /// Bit 6: the base timestamp is a delete horizon (set by compaction).
    pub const DELETE_HORIZON: i16 = 1 << 6;

    /// The bits of a batch packed with `codec`.
    pub const fn of(codec: Codec) -> Attributes {
        Attributes(codec.bits())
    }

    /// The codec, or the unknown number in the lowest three bits.
    pub const fn codec(self) -> Result<Codec, u8> {
        match self.0 & 7 {
            0 => Ok(Codec::None),
            1 => Ok(Codec::Gzip),
            2 => Ok(Codec::Snappy),
            3 => Ok(Codec::Lz4),
            4 => Ok(Codec::Zstd),
            other => Err(other as u8),
        }
    }

    /// What the batch's timestamps mean.
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & Attributes::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    pub const fn is_transactional(self) -> bool {
        self.0 & Attributes::TRANSACTIONAL != 0
    }

    /// Whether the batch holds a control record.
    pub const fn is_control(self) -> bool {
        self.0 & Attributes::CONTROL != 0
    }

    /// Whether the base timestamp is a delete horizon.
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & Attributes::DELETE_HORIZON != 0
    }

    /// These bits with another timestamp type.
    pub const fn with_timestamp_type(self, kind: TimestampType) -> Attributes {
        match kind {
            TimestampType::CreateTime => Attributes(self.0 & !Attributes::LOG_APPEND_TIME),
            TimestampType::LogAppendTime => Attributes(self.0 | Attributes::LOG_APPEND_TIME),
        }
    }
}

impl Codec {
    /// All codecs, by their number.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// The number in the attribute bits.
    pub const fn bits(self) -> i16 {
        match self {
            Codec::None => 0,
            Codec::Gzip => 1,
            Codec::Snappy => 2,
            Codec::Lz4 => 3,
            Codec::Zstd => 4,
        }
    }

    /// Kafka's name of the codec.
    pub const fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }
}

impl TimestampType {
    /// Kafka's name of the type.
    pub const fn name(self) -> &'static str {
        match self {
            TimestampType::CreateTime => "CreateTime",
            TimestampType::LogAppendTime => "LogAppendTime",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for TimestampType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text named no codec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression {0:?}: use none, gzip, snappy, lz4 or zstd")]
pub struct UnknownCodec(pub String);

impl FromStr for Codec {
    type Err = UnknownCodec;

    fn from_str(text: &str) -> Result<Codec, UnknownCodec> {
        Codec::ALL
            .into_iter()
            .find(|codec| codec.name().eq_ignore_ascii_case(text.trim()))
            .ok_or_else(|| UnknownCodec(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_round_trip_by_number_and_name() {
        for codec in Codec::ALL {
            assert_eq!(Attributes::of(codec).codec(), Ok(codec));
            assert_eq!(codec.name().parse(), Ok(codec));
        }
        for unknown in 5..8 {
            assert_eq!(Attributes(unknown).codec(), Err(unknown as u8));
        }
        assert!("brotli".parse::<Codec>().is_err());
    }

    #[test]
    fn the_timestamp_bit_is_independent_of_the_others() {
        let bits = Attributes(Attributes::TRANSACTIONAL | Codec::Lz4.bits());
        let rewritten = bits.with_timestamp_type(TimestampType::LogAppendTime);
        assert_eq!(rewritten.timestamp_type(), TimestampType::LogAppendTime);
        assert!(rewritten.is_transactional() && !rewritten.is_control());
        assert_eq!(rewritten.codec(), Ok(Codec::Lz4));
        assert_eq!(rewritten.with_timestamp_type(TimestampType::CreateTime), bits);
    }
}

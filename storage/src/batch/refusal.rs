//! Why a produced batch is refused, and what Kafka calls that.

use crate::batch::attributes::Codec;
use crate::batch::compress::UnpackError;
use crate::batch::records::RecordFault;
use crate::batch::view::FramingError;

/// What a produced batch did wrong. Nothing of it has been stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// No bytes at all.
    #[error("there is no record batch")]
    None,
    /// The bytes are not a batch of format 2.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// A produce request carries one batch per partition.
    #[error("{bytes} bytes follow the batch; one batch per partition is allowed")]
    Trailing {
        /// Bytes behind the first batch.
        bytes: usize,
    },
    /// Above `max.message.bytes`.
    #[error("the batch has {bytes} bytes, max.message.bytes is {max}")]
    TooLarge {
        /// Bytes of the batch.
        bytes: usize,
        /// The bound in force.
        max: usize,
    },
    /// Above `segment.bytes`: no segment could hold it.
    #[error("the batch has {bytes} bytes, segment.bytes is {max}")]
    LargerThanSegment {
        /// Bytes of the batch.
        bytes: usize,
        /// The bound in force.
        max: usize,
    },
    /// The checksum does not match: damaged on the way.
    #[error("the checksum is {computed:#010x}, the batch says {claimed:#010x}")]
    Crc {
        /// What the header says.
        claimed: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// Offsets are the broker's to give.
    #[error("base offset {0} where a producer must send 0")]
    BaseOffset(i64),
    /// A producer's batch has records, and one offset for each.
    #[error("{count} records with a last offset delta of {last_offset_delta}")]
    Count {
        /// What the header counts.
        count: i32,
        /// The last offset delta, which must be one less.
        last_offset_delta: i32,
    },
    /// So many records cannot be in so few bytes.
    #[error("{count} records cannot be in a batch of {bytes} bytes")]
    Density {
        /// What the header counts.
        count: i32,
        /// Bytes of the packed records.
        bytes: usize,
    },
    /// Control batches are the broker's to write.
    #[error("a producer may not send control batches")]
    Control,
    /// Transactions do not exist here yet.
    #[error("transactional batches are not supported")]
    Transactional,
    /// Bits that only a broker sets.
    #[error("attribute bits {bits:#06x} are not a producer's to set")]
    Attributes {
        /// The bits in question.
        bits: i16,
    },
    /// A producer id with no epoch or no sequence.
    #[error("producer id {producer_id} with epoch {epoch} and base sequence {base_sequence}")]
    Producer {
        /// The producer's id.
        producer_id: i64,
        /// Its epoch.
        epoch: i16,
        /// The first sequence number.
        base_sequence: i32,
    },
    /// No codec has this number.
    #[error("unknown compression codec {0}")]
    UnknownCodec(u8),
    /// The request's version does not know this codec yet.
    #[error("{0} needs a later version of the produce request")]
    CodecNotYet(Codec),
    /// The timestamp type is append time, which only a broker sets.
    #[error("a producer may not send append times")]
    AppendTime,
    /// A batch's or a record's time is outside `message.timestamp.before/after.max.ms`.
    #[error("timestamp {timestamp} is outside {min}..={max}")]
    Timestamp {
        /// The record at fault; `None` when only the header was looked at.
        index: Option<i32>,
        /// Its time, in ms since 1970.
        timestamp: i64,
        /// The earliest allowed.
        min: i64,
        /// The latest allowed.
        max: i64,
    },
    /// A record is broken.
    #[error("record {index}: {fault}")]
    Record {
        /// Which, counted from 0.
        index: i32,
        /// What is wrong.
        fault: RecordFault,
    },
    /// A record's place in the batch is not the one it claims.
    #[error("record {index} has offset delta {delta}")]
    OffsetDelta {
        /// Which, counted from 0.
        index: i32,
        /// What it claims.
        delta: i32,
    },
    /// A compacted topic needs keys.
    #[error("record {index} has no key, and the topic is compacted")]
    NoKey {
        /// Which, counted from 0.
        index: i32,
    },
    /// The records do not unpack.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
}

/// What Kafka answers; the broker's `api` maps it to the error code of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchRefusal {
    /// CORRUPT_MESSAGE: retriable, the bytes were damaged on the way.
    CorruptMessage,
    /// INVALID_RECORD.
    InvalidRecord,
    /// MESSAGE_TOO_LARGE.
    MessageTooLarge,
    /// RECORD_LIST_TOO_LARGE.
    RecordListTooLarge,
    /// UNSUPPORTED_COMPRESSION_TYPE.
    UnsupportedCompression,
    /// INVALID_TIMESTAMP.
    InvalidTimestamp,
    /// INVALID_TXN_STATE: no transaction can be open here.
    InvalidTransaction,
}

impl BatchError {
    /// What Kafka answers to this fault.
    pub fn refusal(&self) -> BatchRefusal {
        match self {
            BatchError::Framing(FramingError::Length { .. }) | BatchError::Crc { .. } => {
                BatchRefusal::CorruptMessage
            }
            BatchError::TooLarge { .. } => BatchRefusal::MessageTooLarge,
            BatchError::LargerThanSegment { .. } => BatchRefusal::RecordListTooLarge,
            BatchError::UnknownCodec(_) | BatchError::CodecNotYet(_) => {
                BatchRefusal::UnsupportedCompression
            }
            BatchError::AppendTime | BatchError::Timestamp { .. } => BatchRefusal::InvalidTimestamp,
            BatchError::Transactional => BatchRefusal::InvalidTransaction,
            BatchError::None
            | BatchError::Framing(_)
            | BatchError::Trailing { .. }
            | BatchError::BaseOffset(_)
            | BatchError::Count { .. }
            | BatchError::Density { .. }
            | BatchError::Control
            | BatchError::Attributes { .. }
            | BatchError::Producer { .. }
            | BatchError::Record { .. }
            | BatchError::OffsetDelta { .. }
            | BatchError::NoKey { .. }
            | BatchError::Unpack(_) => BatchRefusal::InvalidRecord,
        }
    }

    /// The record to name in the answer's record errors (Produce 8 and later), counted from 0.
    pub fn record_index(&self) -> Option<i32> {
        match self {
            BatchError::Record { index, .. }
            | BatchError::OffsetDelta { index, .. }
            | BatchError::NoKey { index } => Some(*index),
            BatchError::Timestamp { index, .. } => *index,
            _ => None,
        }
    }
}

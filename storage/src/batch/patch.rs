//! What a leader writes into a batch it takes.
//!
//! Base offset and leader epoch lie outside the checksum; the attributes and the largest timestamp inside it. For those
//! two it is computed anew over the whole batch. (It could be derived from the old one, as only 40 bytes changed, but
//! that arithmetic takes 3 us whatever the size, and a pass over 90 KB takes no longer.)

use zerocopy::FromBytes;

use crate::batch::attributes::TimestampType;
use crate::batch::crc::crc32c;
use crate::batch::view::{BATCH_HEADER_BYTES, BatchHeader, CRC_FROM};
use crate::ids::{LeaderEpoch, Offset};

/// What becomes of a batch's timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamp {
    /// They stay: the checksum stays.
    #[default]
    Keep,
    /// The header's largest timestamp was wrong; this is the true one.
    MaxTimestamp(i64),
    /// All records take the time of the append.
    LogAppendTime(i64),
}

/// Writes offset, epoch and stamp into a batch that passed its check.
///
/// # Panics
/// When `batch` is shorter than a header: it was not checked.
pub fn patch(batch: &mut [u8], base_offset: Offset, leader_epoch: LeaderEpoch, stamp: Stamp) {
    assert!(batch.len() >= BATCH_HEADER_BYTES, "only a checked batch may be patched");
    let (header, _) = BatchHeader::mut_from_prefix(batch).expect("its length was just compared");
    header.base_offset = base_offset.0.into();
    header.leader_epoch = leader_epoch.0.into();
    match stamp {
        Stamp::Keep => return,
        Stamp::MaxTimestamp(timestamp) => header.max_timestamp = timestamp.into(),
        Stamp::LogAppendTime(now_ms) => {
            let attributes = header.attributes().with_timestamp_type(TimestampType::LogAppendTime);
            header.attributes = attributes.0.into();
            header.max_timestamp = now_ms.into();
        }
    }
    let crc = crc32c(&batch[CRC_FROM..]);
    batch[17..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
}

/// Copies a checked batch into `target`, which has exactly its length, and patches it there: the one copy a produced
/// batch takes on its way to being acknowledged.
///
/// # Panics
/// When the lengths differ or are shorter than a header.
pub fn copy_patched(
    batch: &[u8],
    target: &mut [u8],
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    stamp: Stamp,
) {
    target.copy_from_slice(batch);
    patch(target, base_offset, leader_epoch, stamp);
}

//! A stored or received batch seen in place, and a run of them split apart.
//!
//! A view promises only the frame: magic 2, a length that fits the bytes at hand and room for the header. Whether the
//! checksum holds is asked with [`BatchView::check_crc`]; whether a producer may send it is `check`'s business.

use std::ops::Deref;

use zerocopy::byteorder::big_endian::{I16, I32, I64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::batch::attributes::{Attributes, TimestampType};
use crate::batch::crc::crc32c;
use crate::ids::{Count, LeaderEpoch, Offset, ProducerId};
use crate::limits::BATCH_BYTES_MAX;

/// Bytes of a batch's header; its records begin there.
pub const BATCH_HEADER_BYTES: usize = 61;

/// Bytes before those that the length field counts: the base offset and the length itself.
pub const LENGTH_PREFIX_BYTES: usize = 12;

/// Where the bytes covered by the checksum begin: everything from the attributes on.
pub const CRC_FROM: usize = 21;

/// The only batch format there is since Kafka 4.0.
pub const MAGIC: i8 = 2;

/// The header of a batch exactly as it stands on the wire and on disk.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct BatchHeader {
    pub(crate) base_offset: I64,
    pub(crate) batch_length: I32,
    pub(crate) leader_epoch: I32,
    pub(crate) magic: i8,
    pub(crate) crc: U32,
    pub(crate) attributes: I16,
    pub(crate) last_offset_delta: I32,
    pub(crate) base_timestamp: I64,
    pub(crate) max_timestamp: I64,
    pub(crate) producer_id: I64,
    pub(crate) producer_epoch: I16,
    pub(crate) base_sequence: I32,
    pub(crate) count: I32,
}

const _: () = assert!(size_of::<BatchHeader>() == BATCH_HEADER_BYTES);

impl BatchHeader {
    /// The offset of the first record, or of where it once was: compaction keeps it.
    pub fn base_offset(&self) -> Offset {
        Offset(self.base_offset.get())
    }

    /// The offset of the last record.
    pub fn last_offset(&self) -> Offset {
        self.base_offset() + Count(i64::from(self.last_offset_delta.get()))
    }

    /// The offset a reader goes on with after this batch.
    pub fn next_offset(&self) -> Offset {
        self.last_offset() + Count::ONE
    }

    /// The epoch of the leader that appended the batch; a producer writes -1.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.leader_epoch.get())
    }

    /// The checksum the header claims.
    pub fn crc(&self) -> u32 {
        self.crc.get()
    }

    /// The attribute bits.
    pub fn attributes(&self) -> Attributes {
        Attributes(self.attributes.get())
    }

    /// Last offset minus base offset; from a producer also the last sequence minus the base sequence.
    pub fn last_offset_delta(&self) -> i32 {
        self.last_offset_delta.get()
    }

    /// The time that the records' deltas count from, in ms since 1970.
    pub fn base_timestamp(&self) -> i64 {
        self.base_timestamp.get()
    }

    /// The largest timestamp of the records, in ms since 1970; -1 when they have none.
    pub fn max_timestamp(&self) -> i64 {
        self.max_timestamp.get()
    }

    /// What the timestamps mean.
    pub fn timestamp_type(&self) -> TimestampType {
        self.attributes().timestamp_type()
    }

    /// The idempotent producer the batch came from, if it came from one.
    pub fn producer_id(&self) -> Option<ProducerId> {
        let id = self.producer_id.get();
        (id >= 0).then_some(ProducerId(id))
    }

    /// The epoch of the producer; -1 without one.
    pub fn producer_epoch(&self) -> i16 {
        self.producer_epoch.get()
    }

    /// The sequence number of the first record; -1 without a producer id.
    pub fn base_sequence(&self) -> i32 {
        self.base_sequence.get()
    }

    /// The sequence number of the last record. Sequences go on with 0 after `i32::MAX`.
    pub fn last_sequence(&self) -> i32 {
        let base = self.base_sequence.get();
        if base < 0 {
            return base;
        }
        (base.wrapping_add(self.last_offset_delta.get().max(0))) & i32::MAX
    }

    /// Number of records present; fewer than offsets after compaction.
    pub fn count(&self) -> i32 {
        self.count.get()
    }

    /// Bytes of the whole batch as its length field claims, `None` if that is below a header or above the limit.
    pub fn total_len(&self) -> Option<usize> {
        let total =
            usize::try_from(self.batch_length.get()).ok()?.checked_add(LENGTH_PREFIX_BYTES)?;
        (BATCH_HEADER_BYTES..=BATCH_BYTES_MAX).contains(&total).then_some(total)
    }
}

/// Why bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// The bytes end inside the batch.
    #[error("the batch needs {need} bytes and {have} are there")]
    Truncated {
        /// Bytes at hand.
        have: usize,
        /// Bytes needed to go on: a header's, or the whole batch's once its length is known.
        need: usize,
    },
    /// The length field is smaller than a header or larger than any batch may be.
    #[error(
        "batch length {length} is outside {min}..={max}",
        min = BATCH_HEADER_BYTES - LENGTH_PREFIX_BYTES,
        max = BATCH_BYTES_MAX - LENGTH_PREFIX_BYTES
    )]
    Length {
        /// What the field says.
        length: i32,
    },
    /// Not a batch of format 2.
    #[error("magic {magic} where 2 is expected")]
    Magic {
        /// What the field says.
        magic: i8,
    },
}

/// One batch, seen in place. Dereferences to its header.
#[derive(Clone, Copy, Debug)]
pub struct BatchView<'a> {
    header: &'a BatchHeader,
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The batch that `bytes` begin with; more may follow it.
    ///
    /// # Errors
    /// When there is no whole batch of format 2. The magic is judged before the length, as its place is the same in
    /// all formats.
    pub fn first(bytes: &'a [u8]) -> Result<BatchView<'a>, FramingError> {
        let Ok((header, _)) = BatchHeader::ref_from_prefix(bytes) else {
            return Err(FramingError::Truncated { have: bytes.len(), need: BATCH_HEADER_BYTES });
        };
        if header.magic != MAGIC {
            return Err(FramingError::Magic { magic: header.magic });
        }
        let Some(total) = header.total_len() else {
            return Err(FramingError::Length { length: header.batch_length.get() });
        };
        match bytes.get(..total) {
            Some(bytes) => Ok(BatchView { header, bytes }),
            None => Err(FramingError::Truncated { have: bytes.len(), need: total }),
        }
    }

    /// The header.
    pub fn header(&self) -> &'a BatchHeader {
        self.header
    }

    /// The whole batch.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Bytes of the whole batch.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never: a batch has a header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The records, packed as the codec says.
    pub fn records(&self) -> &'a [u8] {
        &self.bytes[BATCH_HEADER_BYTES..]
    }

    /// The checksum of the bytes as they are.
    pub fn computed_crc(&self) -> u32 {
        crc32c(&self.bytes[CRC_FROM..])
    }

    /// Whether the checksum in the header is that of the bytes.
    pub fn check_crc(&self) -> bool {
        self.header.crc() == self.computed_crc()
    }
}

impl Deref for BatchView<'_> {
    type Target = BatchHeader;

    fn deref(&self) -> &BatchHeader {
        self.header
    }
}

/// The batches of a run of bytes, in order. See [`split`].
#[derive(Clone, Debug)]
pub struct Split<'a> {
    bytes: &'a [u8],
    position: usize,
    failed: bool,
}

/// Takes a run of stored batches apart (a segment, a piece of a fetch).
///
/// Ends at the end of the bytes and at zero padding, with which active segments fill their last 4 KiB. Anything else
/// that is no whole batch comes as one error and ends the iteration; [`Split::position`] then says where it begins.
pub fn split(bytes: &[u8]) -> Split<'_> {
    Split { bytes, position: 0, failed: false }
}

impl Split<'_> {
    /// Bytes taken so far: the end of the last batch that came whole.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl<'a> Iterator for Split<'a> {
    type Item = Result<BatchView<'a>, FramingError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.position..)?;
        if self.failed || is_padding(rest) {
            return None;
        }
        let batch = BatchView::first(rest);
        match &batch {
            Ok(batch) => self.position += batch.len(),
            Err(_) => self.failed = true,
        }
        Some(batch)
    }
}

/// Whether nothing but zeros stands where a header would. No batch begins so: its magic is 2.
fn is_padding(rest: &[u8]) -> bool {
    rest.iter().take(BATCH_HEADER_BYTES).all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use proptest::prelude::*;

    use super::*;

    fn batch(base_offset: i64, payload: &[u8]) -> Vec<u8> {
        let mut header = BatchHeader::read_from_bytes(&[0; BATCH_HEADER_BYTES]).unwrap();
        header.base_offset = base_offset.into();
        header.batch_length =
            ((BATCH_HEADER_BYTES - LENGTH_PREFIX_BYTES + payload.len()) as i32).into();
        header.magic = MAGIC;
        header.last_offset_delta = 1.into();
        header.base_sequence = (i32::MAX).into();
        header.count = 2.into();
        let mut bytes = [header.as_bytes(), payload].concat();
        let crc = crc32c(&bytes[CRC_FROM..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    #[test]
    fn reads_a_header() {
        let bytes = batch(42, b"hello");
        let view = BatchView::first(&bytes).unwrap();
        assert_eq!(view.base_offset(), Offset(42));
        assert_eq!(view.last_offset(), Offset(43));
        assert_eq!(view.next_offset(), Offset(44));
        assert_eq!(view.last_sequence(), 0, "sequences wrap to 0");
        assert_eq!(view.records(), b"hello");
        assert!(view.check_crc());
    }

    #[test]
    fn splits_a_run_and_stops_at_padding() {
        let mut bytes = [batch(0, b"a"), batch(2, b""), batch(4, b"ccc")].concat();
        let whole = bytes.len();
        bytes.resize(4096, 0);
        let mut run = split(&bytes);
        let bases: Vec<_> = run.by_ref().map(|b| b.unwrap().base_offset().0).collect();
        assert_eq!(bases, [0, 2, 4]);
        assert_eq!(run.position(), whole);
    }

    #[test]
    fn says_where_a_torn_batch_begins() {
        let mut bytes = [batch(0, b"a"), batch(2, b"bbbb")].concat();
        let first = batch(0, b"a").len();
        bytes.pop();
        let mut run = split(&bytes);
        assert!(run.next().unwrap().is_ok());
        let have = bytes.len() - first;
        assert_eq!(
            run.next().unwrap().unwrap_err(),
            FramingError::Truncated { have, need: have + 1 }
        );
        assert!(run.next().is_none());
        assert_eq!(run.position(), first);
    }

    #[test]
    fn refuses_impossible_lengths_and_magics() {
        let mut bytes = batch(0, b"");
        bytes[8..12].copy_from_slice(&48i32.to_be_bytes());
        assert_eq!(BatchView::first(&bytes).unwrap_err(), FramingError::Length { length: 48 });
        bytes[8..12].copy_from_slice(&(-1i32).to_be_bytes());
        assert_eq!(BatchView::first(&bytes).unwrap_err(), FramingError::Length { length: -1 });
        bytes[16] = 1;
        assert_eq!(BatchView::first(&bytes).unwrap_err(), FramingError::Magic { magic: 1 });
    }

    proptest! {
        #[test]
        fn any_bytes_split_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..100) {
            let mut bytes = bytes;
            if let Some(byte) = bytes.get_mut(at) { *byte = 2; }
            for batch in split(&bytes).flatten() {
                let _ = (batch.last_offset(), batch.next_offset(), batch.last_sequence(), batch.check_crc());
            }
        }
    }
}

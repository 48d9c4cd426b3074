//! The sparse index of one segment: where to begin looking for an offset or a time.
//!
//! One entry each `index.interval.bytes`: the base offset and the file position of a batch, and the largest timestamp of
//! all batches *before* it. Positions, offsets and those largest timestamps all rise, so one binary search in one array
//! answers both questions, and a scan of at most one interval of batches finds the record.
//! In memory while the segment is written; written beside the segment when it is sealed (`.hindex`).

use zerocopy::byteorder::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::batch::BatchHeader;
use crate::batch::crc::crc32c;
use crate::ids::{Count, FilePosition, Offset};
use crate::limits::INDEX_ENTRIES_MAX;

/// The index of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentIndex {
    base_offset: Offset,
    interval_bytes: u32,
    bytes: u64,
    next_offset: Offset,
    max_timestamp: i64,
    max_timestamp_offset: Offset,
    entries: Vec<Entry>,
}

/// One place in the segment, exactly as it stands in the file.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
struct Entry {
    /// The largest timestamp of all batches before this place.
    max_timestamp_before: I64,
    /// Base offset of the batch here, from the segment's base offset.
    relative_offset: U32,
    /// Where the batch begins.
    position: U32,
}

/// The file's header.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct FileHeader {
    magic: [u8; 8],
    /// CRC-32C of everything behind this field.
    crc: U32,
    version: U16,
    reserved: [u8; 2],
    base_offset: I64,
    next_offset: I64,
    bytes: U64,
    max_timestamp: I64,
    max_timestamp_offset: I64,
    interval_bytes: U32,
    entries: U32,
}

const MAGIC: [u8; 8] = *b"HEDDLEIX";
const VERSION: u16 = 1;
const CRC_FROM: usize = 12;
const HEADER_BYTES: usize = size_of::<FileHeader>();
const ENTRY_BYTES: usize = size_of::<Entry>();
const _: () = assert!(HEADER_BYTES == 64 && ENTRY_BYTES == 16);

/// Before any batch: smaller than every time a record can have.
const NO_TIME: i64 = i64::MIN;

/// Why bytes are not an index file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Not an index file, or cut short.
    #[error("not an index file, or cut short")]
    Malformed,
    /// Written by a later version.
    #[error("the index has version {0}")]
    Version(u16),
    /// The checksum does not match.
    #[error("the index's checksum is {computed:#010x}, it says {claimed:#010x}")]
    Crc {
        /// What the file says.
        claimed: u32,
        /// What it gives.
        computed: u32,
    },
}

impl SegmentIndex {
    /// The index of an empty segment that begins at `base_offset`, with an entry each `interval_bytes`.
    pub fn new(base_offset: Offset, interval_bytes: u32) -> SegmentIndex {
        SegmentIndex {
            base_offset,
            interval_bytes,
            bytes: 0,
            next_offset: base_offset,
            max_timestamp: NO_TIME,
            max_timestamp_offset: base_offset,
            entries: Vec::new(),
        }
    }

    /// The segment's first offset.
    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// The offset after the last record covered.
    pub fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// Bytes of the segment covered: where the next batch begins.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The largest timestamp in the segment, and the base offset of the first batch that has it. After a truncation
    /// the offset may lie before that batch, by at most an interval.
    pub fn max_timestamp(&self) -> Option<(i64, Offset)> {
        (self.bytes > 0).then_some((self.max_timestamp, self.max_timestamp_offset))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none: the segment is shorter than two batches.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Entry `at`, counted from 0: the largest timestamp of all batches before, then base offset and position of a batch.
    pub fn place(&self, at: usize) -> Option<(i64, Offset, FilePosition)> {
        let entry = self.entries.get(at)?;
        let offset = self.base_offset + Count(i64::from(entry.relative_offset.get()));
        let position = FilePosition(u64::from(entry.position.get()));
        Some((entry.max_timestamp_before.get(), offset, position))
    }

    /// Takes in the next batch of the segment, `len` bytes long.
    ///
    /// A batch out of reach of an entry (4 GiB or offsets from the base) is covered, only without an entry of its own;
    /// segments are rolled long before.
    pub fn append(&mut self, header: &BatchHeader, len: usize) {
        let covered = self.entries.last().map_or(0, |entry| u64::from(entry.position.get()));
        if self.bytes - covered > u64::from(self.interval_bytes)
            && let Ok(position) = u32::try_from(self.bytes)
            && let Ok(relative) = u32::try_from((header.base_offset() - self.base_offset).0)
        {
            self.push(Entry {
                max_timestamp_before: self.max_timestamp.into(),
                relative_offset: relative.into(),
                position: position.into(),
            });
        }
        if header.max_timestamp() > self.max_timestamp {
            self.max_timestamp = header.max_timestamp();
            self.max_timestamp_offset = header.base_offset();
        }
        self.bytes += len as u64;
        self.next_offset = self.next_offset.max(header.next_offset());
    }

    /// Above the limit each second entry goes and the interval doubles.
    fn push(&mut self, entry: Entry) {
        if self.entries.len() >= INDEX_ENTRIES_MAX {
            let mut keep = false;
            self.entries.retain(|_| {
                keep = !keep;
                keep
            });
            self.interval_bytes = self.interval_bytes.saturating_mul(2);
        }
        self.entries.push(entry);
    }

    /// Where to begin looking for the batch that holds `offset`: the begin of a batch at or before it.
    pub fn position_for_offset(&self, offset: Offset) -> FilePosition {
        let relative = (offset - self.base_offset).0;
        let after = self
            .entries
            .partition_point(|entry| i64::from(entry.relative_offset.get()) <= relative);
        self.position_before(after)
    }

    /// The base offset of the batch at a position that a look-up gave.
    pub(crate) fn offset_at(&self, position: FilePosition) -> Offset {
        let at =
            self.entries.binary_search_by_key(&position.0, |entry| entry.position.get().into());
        match at {
            Ok(at) => self.base_offset + Count(i64::from(self.entries[at].relative_offset.get())),
            Err(_) => self.base_offset,
        }
    }

    /// Where to begin looking for the first record with a timestamp of at least `timestamp`: all batches before lie
    /// before it in time. `None` when the segment has no such record.
    pub fn position_for_timestamp(&self, timestamp: i64) -> Option<FilePosition> {
        if self.bytes == 0 || self.max_timestamp < timestamp {
            return None;
        }
        let after =
            self.entries.partition_point(|entry| entry.max_timestamp_before.get() < timestamp);
        Some(self.position_before(after))
    }

    /// The position of the entry before the `after`th, the segment's begin before the first.
    fn position_before(&self, after: usize) -> FilePosition {
        match self.entries[..after].last() {
            Some(entry) => FilePosition(u64::from(entry.position.get())),
            None => FilePosition(0),
        }
    }

    /// Where to begin with a walk over the last bytes of the segment: the begin of a batch at or before `position`.
    pub fn position_before_byte(&self, position: u64) -> FilePosition {
        let after =
            self.entries.partition_point(|entry| u64::from(entry.position.get()) <= position);
        self.position_before(after)
    }

    /// Forgets what lies behind the last entry before `end`, and returns where the segment has to be read again
    /// from: the batches from there up to `end` are to be appended anew, and then [`SegmentIndex::on_cut`] called.
    pub fn truncate(&mut self, end: Offset) -> FilePosition {
        let relative = (end - self.base_offset).0;
        let kept =
            self.entries.partition_point(|entry| i64::from(entry.relative_offset.get()) < relative);
        let Some(last) = kept.checked_sub(1).map(|last| self.entries[last]) else {
            *self = SegmentIndex::new(self.base_offset, self.interval_bytes);
            return FilePosition(0);
        };
        self.entries.truncate(kept);
        self.bytes = u64::from(last.position.get());
        self.next_offset = self.base_offset + Count(i64::from(last.relative_offset.get()));
        if self.max_timestamp_offset >= self.next_offset {
            // Which batch had the largest time before is not remembered; its first entry bounds it from below.
            self.max_timestamp = last.max_timestamp_before.get();
            let holder = self
                .entries
                .partition_point(|entry| entry.max_timestamp_before.get() < self.max_timestamp);
            self.max_timestamp_offset = match self.entries[..holder].last() {
                Some(entry) => self.base_offset + Count(i64::from(entry.relative_offset.get())),
                None => self.base_offset,
            };
        }
        FilePosition(self.bytes)
    }

    /// The segment ends here now: an entry that names its end names a batch that is gone.
    pub fn on_cut(&mut self) {
        let bytes = self.bytes;
        self.entries.retain(|entry| u64::from(entry.position.get()) < bytes);
    }

    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let header = FileHeader {
            magic: MAGIC,
            crc: 0.into(),
            version: VERSION.into(),
            reserved: [0; 2],
            base_offset: self.base_offset.0.into(),
            next_offset: self.next_offset.0.into(),
            bytes: self.bytes.into(),
            max_timestamp: self.max_timestamp.into(),
            max_timestamp_offset: self.max_timestamp_offset.0.into(),
            interval_bytes: self.interval_bytes.into(),
            entries: (self.entries.len() as u32).into(),
        };
        let mut out = [header.as_bytes(), self.entries.as_bytes()].concat();
        let crc = crc32c(&out[CRC_FROM..]);
        out[8..CRC_FROM].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// When they are not a whole index of a version known here. The segment then has to be read to build it again.
    pub fn decode(bytes: &[u8]) -> Result<SegmentIndex, IndexError> {
        let (header, rest) =
            FileHeader::read_from_prefix(bytes).map_err(|_| IndexError::Malformed)?;
        if header.magic != MAGIC {
            return Err(IndexError::Malformed);
        }
        let (claimed, computed) = (header.crc.get(), crc32c(&bytes[CRC_FROM..]));
        if claimed != computed {
            return Err(IndexError::Crc { claimed, computed });
        }
        if header.version.get() != VERSION {
            return Err(IndexError::Version(header.version.get()));
        }
        let entries = <[Entry]>::ref_from_bytes(rest).map_err(|_| IndexError::Malformed)?.to_vec();
        let count = header.entries.get() as usize;
        let index = SegmentIndex {
            base_offset: Offset(header.base_offset.get()),
            interval_bytes: header.interval_bytes.get(),
            bytes: header.bytes.get(),
            next_offset: Offset(header.next_offset.get()),
            max_timestamp: header.max_timestamp.get(),
            max_timestamp_offset: Offset(header.max_timestamp_offset.get()),
            entries,
        };
        let whole = index.entries.len() == count && count <= INDEX_ENTRIES_MAX;
        if whole && index.rises() { Ok(index) } else { Err(IndexError::Malformed) }
    }

    /// What every lookup relies on.
    fn rises(&self) -> bool {
        let within =
            self.entries.last().is_none_or(|entry| u64::from(entry.position.get()) < self.bytes);
        within
            && self.entries.windows(2).all(|pair| {
                pair[0].relative_offset.get() < pair[1].relative_offset.get()
                    && pair[0].position.get() < pair[1].position.get()
                    && pair[0].max_timestamp_before.get() <= pair[1].max_timestamp_before.get()
            })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use proptest::prelude::*;

    use super::*;
    use crate::batch::{BatchView, Builder, Codec, NewRecord, split};

    /// A segment from offset 1,000 on: batches of (records, time, bytes per record).
    fn segment(batches: &[(i32, i64, usize)]) -> Vec<u8> {
        let mut offset = Offset(1_000);
        let mut bytes = Vec::new();
        for (records, timestamp, len) in batches {
            let mut builder = Builder::new(Codec::None).base_offset(offset);
            for _ in 0..*records {
                builder.push(NewRecord::of(&vec![b'x'; *len]).at(*timestamp));
            }
            offset += Count(i64::from(*records));
            bytes.extend_from_slice(&builder.build().unwrap());
        }
        bytes
    }

    fn index(segment: &[u8], interval: u32) -> SegmentIndex {
        let mut index = SegmentIndex::new(Offset(1_000), interval);
        for batch in split(segment).map(Result::unwrap) {
            index.append(batch.header(), batch.len());
        }
        assert_eq!(index.bytes(), segment.len() as u64);
        assert!(index.rises());
        index
    }

    fn batches() -> impl Strategy<Value = Vec<(i32, i64, usize)>> {
        prop::collection::vec((1i32..5, 0i64..50, 0usize..40), 0..40)
    }

    #[test]
    fn an_empty_segment_finds_nothing() {
        let index = SegmentIndex::new(Offset(5), 4_096);
        assert!(index.is_empty());
        assert_eq!(index.max_timestamp(), None);
        assert_eq!(index.position_for_offset(Offset(5)), FilePosition(0));
        assert_eq!(index.position_for_timestamp(i64::MIN), None);
        assert_eq!(SegmentIndex::decode(&index.encode()).unwrap(), index);
    }

    #[test]
    fn damage_is_noticed() {
        let bytes = index(&segment(&[(3, 10, 50), (2, 20, 90), (1, 5, 9)]), 100).encode();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(SegmentIndex::decode(&damaged).is_err(), "byte {at}");
        }
        assert!(SegmentIndex::decode(&bytes[..bytes.len() - 1]).is_err());
        assert_eq!(SegmentIndex::decode(b""), Err(IndexError::Malformed));
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let bytes = segment(&[(1, 0, 0)]);
        let mut header = *BatchView::first(&bytes).unwrap().header();
        let mut index = SegmentIndex::new(Offset(0), 0);
        for offset in 0..INDEX_ENTRIES_MAX as i64 + 1_000 {
            header.base_offset = offset.into();
            index.append(&header, 1);
        }
        assert!(index.len() <= INDEX_ENTRIES_MAX && index.rises());
        let position = index.position_for_offset(Offset(INDEX_ENTRIES_MAX as i64));
        assert!(position.0 <= INDEX_ENTRIES_MAX as u64);
    }

    proptest! {
        #[test]
        fn a_scan_from_the_position_finds_every_offset(batches in batches(), interval in 0u32..400) {
            let segment = segment(&batches);
            let index = index(&segment, interval);
            prop_assert_eq!(&SegmentIndex::decode(&index.encode()).unwrap(), &index);
            let mut position = 0;
            for batch in split(&segment).map(Result::unwrap) {
                for offset in batch.base_offset().0..batch.next_offset().0 {
                    let from = index.position_for_offset(Offset(offset)).0;
                    prop_assert!(from <= position);
                    let found = split(&segment[from as usize..]).map(Result::unwrap).find(|found| found.next_offset() > Offset(offset));
                    prop_assert_eq!(found.unwrap().base_offset(), batch.base_offset());
                }
                position += batch.len() as u64;
            }
        }

        #[test]
        fn a_scan_from_the_position_finds_the_first_batch_of_a_time(batches in batches(), interval in 0u32..400, timestamp in -1i64..51) {
            let segment = segment(&batches);
            let index = index(&segment, interval);
            let first = |from: usize| {
                split(&segment[from..])
                    .map(Result::unwrap)
                    .find(|batch| batch.max_timestamp() >= timestamp)
                    .map(|batch| batch.base_offset())
            };
            match index.position_for_timestamp(timestamp) {
                Some(position) => prop_assert_eq!(first(position.0 as usize), first(0)),
                None => prop_assert_eq!(first(0), None),
            }
            let max = split(&segment).map(Result::unwrap).map(|batch| (batch.max_timestamp(), -batch.base_offset().0)).max();
            prop_assert_eq!(index.max_timestamp(), max.map(|(timestamp, offset)| (timestamp, Offset(-offset))));
        }

        #[test]
        fn what_is_cut_off_can_be_appended_again(batches in batches(), interval in 0u32..400, cut in 1_000i64..1_100) {
            let segment = segment(&batches);
            let whole = index(&segment, interval);
            let mut cut_off = whole.clone();
            let from = cut_off.truncate(Offset(cut)).0;
            prop_assert_eq!(cut_off.bytes(), from);
            for batch in split(&segment[from as usize..]).map(Result::unwrap) {
                cut_off.append(batch.header(), batch.len());
            }
            prop_assert_eq!(&cut_off.entries, &whole.entries);
            prop_assert_eq!((cut_off.bytes, cut_off.next_offset), (whole.bytes, whole.next_offset));
            prop_assert_eq!(cut_off.max_timestamp().map(|max| max.0), whole.max_timestamp().map(|max| max.0));
        }

        #[test]
        fn any_bytes_are_an_index_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = bytes;
            let _ = SegmentIndex::decode(&bytes);
            if bytes.len() >= HEADER_BYTES {
                bytes[..8].copy_from_slice(&MAGIC);
                bytes[12..14].copy_from_slice(&VERSION.to_le_bytes());
                let entries = (bytes.len() - HEADER_BYTES) / ENTRY_BYTES;
                bytes[60..64].copy_from_slice(&(entries as u32).to_le_bytes());
                let crc = crc32c(&bytes[CRC_FROM..]);
                bytes[8..12].copy_from_slice(&crc.to_le_bytes());
                let _ = SegmentIndex::decode(&bytes).map(|mut index| index.truncate(Offset(7)));
            }
        }
    }
}

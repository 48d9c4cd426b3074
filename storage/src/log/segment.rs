//! One segment of a log: what is known of a file of batches without opening it.

use crate::checkpoint::SegmentMeta;
use crate::ids::{Count, FilePosition, Offset};

/// A file of whole batches, back to back, named after the offset it begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The offset of its first record, or of the record to come while it is empty.
    pub base: Offset,
    /// Bytes of batches appended to it; the file may still hold fewer of them, or zeros behind them.
    pub bytes: u64,
    /// The largest timestamp of its records in ms; -1 when none has one.
    pub max_timestamp: i64,
    /// The last offset of the batch with the largest timestamp; -1 when none has one.
    pub max_timestamp_offset: Offset,
    /// The max timestamp of its first batch in ms; -1 while it is empty or when that batch has none.
    pub first_timestamp: i64,
    /// When it was begun, in ms since 1970. Rolls by time count from here when its records have no timestamps.
    pub created_ms: i64,
    /// Its file has its exact length, its index is on disk, and it will never be written again.
    pub sealed: bool,
}

impl Segment {
    /// An empty segment that begins with `base`.
    pub fn new(base: Offset, created_ms: i64) -> Segment {
        Segment {
            base,
            bytes: 0,
            max_timestamp: -1,
            max_timestamp_offset: Offset(-1),
            first_timestamp: -1,
            created_ms,
            sealed: false,
        }
    }

    /// Where the next batch goes.
    pub fn end(&self) -> FilePosition {
        FilePosition(self.bytes)
    }

    /// A segment as a checkpoint knows it.
    pub fn from_meta(meta: &SegmentMeta, created_ms: i64, sealed: bool) -> Segment {
        Segment {
            base: meta.base,
            bytes: meta.bytes,
            max_timestamp: meta.max_timestamp,
            max_timestamp_offset: meta.max_timestamp_offset,
            first_timestamp: meta.first_timestamp,
            created_ms,
            sealed,
        }
    }

    /// What a checkpoint keeps of it.
    pub fn meta(&self) -> SegmentMeta {
        SegmentMeta {
            base: self.base,
            bytes: self.bytes,
            first_timestamp: self.first_timestamp,
            max_timestamp: self.max_timestamp,
            max_timestamp_offset: self.max_timestamp_offset,
        }
    }

    /// Takes a batch of `bytes` that ends with `last` and whose newest record is of `max_timestamp` into the account.
    pub fn on_append(&mut self, bytes: u64, max_timestamp: i64, last: Offset) {
        assert!(!self.sealed, "a sealed segment takes no appends");
        if self.bytes == 0 {
            self.first_timestamp = max_timestamp;
        }
        self.bytes += bytes;
        if max_timestamp > self.max_timestamp {
            self.max_timestamp = max_timestamp;
            self.max_timestamp_offset = last;
        }
    }

    /// Whether an append of `bytes` ending before `next` must go to another segment: this one would outgrow
    /// `segment_bytes`, be older than `segment_ms`, or its relative offsets would leave the index's 31 bits.
    pub fn is_full_for(&self, append: &Append, segment_bytes: u64, segment_ms: i64) -> bool {
        if self.bytes == 0 {
            return false;
        }
        let age = if self.first_timestamp >= 0 && append.max_timestamp >= 0 {
            append.max_timestamp.saturating_sub(self.first_timestamp)
        } else {
            append.now_ms.saturating_sub(self.created_ms)
        };
        self.bytes + append.bytes > segment_bytes
            || age > segment_ms
            || append.next - self.base > Count(i64::from(i32::MAX))
    }
}

/// What decides whether an append fits into a segment.
#[derive(Clone, Copy, Debug)]
pub struct Append {
    /// Bytes of the batch.
    pub bytes: u64,
    /// The offset after the batch.
    pub next: Offset,
    /// Its newest record's timestamp; -1 without one.
    pub max_timestamp: i64,
    /// The wall clock in ms since 1970.
    pub now_ms: i64,
}

/// The name of the file that holds the batches: Kafka's, so that its dump tool accepts it.
pub fn batches_file_name(base: Offset) -> String {
    format!("{:020}.log", base.0)
}

/// The name of the file that holds our index of the segment.
pub fn index_file_name(base: Offset) -> String {
    format!("{:020}.hindex", base.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(bytes: u64, next: i64, max_timestamp: i64, now_ms: i64) -> Append {
        Append { bytes, next: Offset(next), max_timestamp, now_ms }
    }

    #[test]
    fn an_empty_segment_takes_anything() {
        let segment = Segment::new(Offset(5), 0);
        assert!(!segment.is_full_for(&append(1 << 40, 6, 1 << 50, 1 << 50), 10, 10));
    }

    #[test]
    fn size_age_and_offset_range_close_a_segment() {
        let mut segment = Segment::new(Offset(5), 1_000);
        segment.on_append(100, 500, Offset(5));
        let full = |a| segment.is_full_for(&a, 200, 50);
        assert!(!full(append(100, 7, 550, 9_999)), "exactly full and exactly old enough stays");
        assert!(full(append(101, 7, 550, 0)), "too many bytes");
        assert!(full(append(1, 7, 551, 0)), "too new by its own timestamps");
        assert!(!full(append(1, 7, -1, 1_050)), "without timestamps the wall clock counts");
        assert!(full(append(1, 7, -1, 1_051)));
        assert!(full(append(1, 5 + i64::from(i32::MAX) + 1, 500, 0)), "offsets out of range");
    }

    #[test]
    fn names_are_kafkas() {
        assert_eq!(batches_file_name(Offset(42)), "00000000000000000042.log");
        assert_eq!(index_file_name(Offset(42)), "00000000000000000042.hindex");
    }
}

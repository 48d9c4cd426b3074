//! Building batches, for the command line's own client, the bench and tests.

use std::io;

use zerocopy::IntoBytes;

use crate::batch::attributes::{Attributes, Codec, TimestampType};
use crate::batch::compress;
use crate::batch::crc::crc32c;
use crate::batch::varint;
use crate::batch::view::{BATCH_HEADER_BYTES, BatchHeader, CRC_FROM, LENGTH_PREFIX_BYTES, MAGIC};
use crate::ids::{LeaderEpoch, Offset, ProducerId};
use crate::limits::BATCH_BYTES_MAX;

/// The timestamp of a record that has none.
pub const NO_TIMESTAMP: i64 = -1;

/// A record to put into a batch.
#[derive(Clone, Debug)]
pub struct NewRecord<'a> {
    timestamp: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

impl<'a> NewRecord<'a> {
    /// A record with a value and nothing else.
    pub fn of(value: &'a [u8]) -> NewRecord<'a> {
        NewRecord { value: Some(value), ..NewRecord::null() }
    }

    /// A record whose value is null: with a key, a tombstone.
    pub fn null() -> NewRecord<'a> {
        NewRecord { timestamp: NO_TIMESTAMP, key: None, value: None, headers: Vec::new() }
    }

    /// With a key.
    pub fn key(mut self, key: &'a [u8]) -> NewRecord<'a> {
        self.key = Some(key);
        self
    }

    /// With a time, in ms since 1970.
    pub fn at(mut self, timestamp: i64) -> NewRecord<'a> {
        self.timestamp = timestamp;
        self
    }

    /// With one header more. Keys are UTF-8 by Kafka's rules.
    pub fn header(mut self, key: &'a [u8], value: Option<&'a [u8]>) -> NewRecord<'a> {
        self.headers.push((key, value));
        self
    }
}

/// Collects records and makes a batch of them.
#[derive(Clone, Debug)]
pub struct Builder {
    codec: Codec,
    attributes: Attributes,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    count: i32,
    records: Vec<u8>,
}

impl Builder {
    /// A batch as a producer sends it: base offset 0, no leader epoch, no producer id.
    pub fn new(codec: Codec) -> Builder {
        Builder {
            codec,
            attributes: Attributes::of(codec),
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::NONE,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            count: 0,
            records: Vec::new(),
        }
    }

    /// A batch without records that still takes `offsets` of them, as compaction leaves behind.
    pub fn empty(base_offset: Offset, offsets: i32) -> Vec<u8> {
        let builder = Builder::new(Codec::None).base_offset(base_offset);
        builder.frame(offsets - 1, &[])
    }

    /// With another base offset than 0.
    pub fn base_offset(mut self, offset: Offset) -> Builder {
        self.base_offset = offset;
        self
    }

    /// With a leader epoch.
    pub fn leader_epoch(mut self, epoch: LeaderEpoch) -> Builder {
        self.leader_epoch = epoch;
        self
    }

    /// From an idempotent producer.
    pub fn producer(mut self, id: ProducerId, epoch: i16, base_sequence: i32) -> Builder {
        self.producer_id = id.0;
        self.producer_epoch = epoch;
        self.base_sequence = base_sequence;
        self
    }

    /// With more attribute bits, as [`Attributes::TRANSACTIONAL`].
    pub fn attribute_bits(mut self, bits: i16) -> Builder {
        self.attributes.0 |= bits;
        self
    }

    /// With append time instead of create time; `now_ms` becomes the time of all records.
    pub fn log_append_time(mut self, now_ms: i64) -> Builder {
        self.attributes = self.attributes.with_timestamp_type(TimestampType::LogAppendTime);
        self.max_timestamp = now_ms;
        self
    }

    /// Appends a record.
    pub fn push(&mut self, record: NewRecord<'_>) {
        if self.count == 0 {
            self.base_timestamp = record.timestamp;
        }
        if self.attributes.timestamp_type() == TimestampType::CreateTime {
            self.max_timestamp = self.max_timestamp.max(record.timestamp);
        }
        let timestamp_delta = record.timestamp.wrapping_sub(self.base_timestamp);
        let len = body_len(&record, timestamp_delta, self.count);
        let out = &mut self.records;
        varint::put(out, len as i64);
        let body_from = out.len();
        out.push(0);
        varint::put(out, timestamp_delta);
        varint::put(out, i64::from(self.count));
        put_bytes(out, record.key);
        put_bytes(out, record.value);
        varint::put(out, record.headers.len() as i64);
        for (key, value) in &record.headers {
            put_bytes(out, Some(key));
            put_bytes(out, *value);
        }
        debug_assert_eq!(out.len() - body_from, len);
        self.count += 1;
    }

    /// Number of records so far.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch if it were finished now and not packed.
    pub fn len(&self) -> usize {
        BATCH_HEADER_BYTES + self.records.len()
    }

    /// Packs the records and frames the batch.
    ///
    /// # Errors
    /// When the codec fails, or the batch is larger than any may be.
    pub fn build(&self) -> io::Result<Vec<u8>> {
        let packed;
        let records = match self.codec {
            Codec::None => &self.records,
            codec => {
                packed = compress::pack(codec, &self.records)?;
                &packed
            }
        };
        if BATCH_HEADER_BYTES + records.len() > BATCH_BYTES_MAX {
            return Err(io::Error::other(format!("a batch of over {BATCH_BYTES_MAX} bytes")));
        }
        Ok(self.frame(self.count - 1, records))
    }

    fn frame(&self, last_offset_delta: i32, records: &[u8]) -> Vec<u8> {
        let total = BATCH_HEADER_BYTES + records.len();
        let header = BatchHeader {
            base_offset: self.base_offset.0.into(),
            batch_length: ((total - LENGTH_PREFIX_BYTES) as i32).into(),
            leader_epoch: self.leader_epoch.0.into(),
            magic: MAGIC,
            crc: 0.into(),
            attributes: self.attributes.0.into(),
            last_offset_delta: last_offset_delta.into(),
            base_timestamp: self.base_timestamp.into(),
            max_timestamp: self.max_timestamp.into(),
            producer_id: self.producer_id.into(),
            producer_epoch: self.producer_epoch.into(),
            base_sequence: self.base_sequence.into(),
            count: self.count.into(),
        };
        let mut bytes = Vec::with_capacity(total);
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(records);
        let crc = crc32c(&bytes[CRC_FROM..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    }
}

fn body_len(record: &NewRecord<'_>, timestamp_delta: i64, offset_delta: i32) -> usize {
    let headers: usize =
        record.headers.iter().map(|(key, value)| bytes_len(Some(key)) + bytes_len(*value)).sum();
    1 + varint::len(timestamp_delta)
        + varint::len(i64::from(offset_delta))
        + bytes_len(record.key)
        + bytes_len(record.value)
        + varint::len(record.headers.len() as i64)
        + headers
}

fn bytes_len(bytes: Option<&[u8]>) -> usize {
    match bytes {
        None => varint::len(-1),
        Some(bytes) => varint::len(bytes.len() as i64) + bytes.len(),
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::put(out, -1),
        Some(bytes) => {
            varint::put(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::batch::view::BatchView;

    #[test]
    fn fills_the_header() {
        let mut builder = Builder::new(Codec::None)
            .base_offset(Offset(7))
            .leader_epoch(LeaderEpoch(3))
            .producer(ProducerId(9), 2, 40);
        for index in 0..3 {
            builder.push(NewRecord::of(b"x").at(100 + 10 * (index % 2)));
        }
        assert_eq!((builder.count(), builder.is_empty()), (3, false));
        let bytes = builder.build().unwrap();
        assert_eq!(bytes.len(), builder.len());
        let batch = BatchView::first(&bytes).unwrap();
        assert!(batch.check_crc());
        assert_eq!((batch.base_offset(), batch.last_offset()), (Offset(7), Offset(9)));
        assert_eq!(batch.leader_epoch(), LeaderEpoch(3));
        assert_eq!((batch.base_timestamp(), batch.max_timestamp()), (100, 110));
        assert_eq!(batch.producer_id(), Some(ProducerId(9)));
        assert_eq!((batch.producer_epoch(), batch.base_sequence()), (2, 40));
        assert_eq!((batch.last_sequence(), batch.count()), (42, 3));
    }

    #[test]
    fn an_empty_batch_still_takes_offsets() {
        let bytes = Builder::empty(Offset(10), 5);
        let batch = BatchView::first(&bytes).unwrap();
        assert!(batch.check_crc());
        assert_eq!((batch.count(), batch.next_offset()), (0, Offset(15)));
    }
}

//! The records inside a batch, unpacked when needed.

use std::borrow::Cow;

use crate::batch::attributes::{Codec, TimestampType};
use crate::batch::compress::{self, UnpackError};
use crate::batch::varint::{FieldFault, Reader};
use crate::batch::view::{BatchHeader, BatchView};
use crate::ids::{Count, Offset};
use crate::limits::BATCH_UNPACKED_BYTES_MAX;

/// What is wrong inside one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The bytes end inside the record.
    #[error("the record is cut off")]
    Cut,
    /// A number has more bytes than its type.
    #[error("a number is longer than its type")]
    Overlong,
    /// A length or a count is negative where it must not be, or larger than what is left.
    #[error("impossible length {0}")]
    Length(i32),
    /// The record's fields end before or behind its declared end.
    #[error("the fields leave {left} bytes of the record unread")]
    Left {
        /// Bytes between the end of the last field and the declared end.
        left: usize,
    },
    /// There are fewer records than the header counts.
    #[error("the records end after {found} of {count}")]
    Missing {
        /// Records found.
        found: i32,
        /// Records the header counts.
        count: i32,
    },
    /// Bytes follow the last record.
    #[error("{bytes} bytes follow the last record")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}

impl From<FieldFault> for RecordFault {
    fn from(fault: FieldFault) -> RecordFault {
        match fault {
            FieldFault::Cut => RecordFault::Cut,
            FieldFault::Overlong => RecordFault::Overlong,
        }
    }
}

/// Why the records of a batch cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// The codec number is none of Kafka's.
    #[error("unknown codec {0}")]
    UnknownCodec(u8),
    /// They do not unpack.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// One of them is broken.
    #[error("record {index}: {fault}")]
    Record {
        /// Which, counted from 0.
        index: i32,
        /// What is wrong with it.
        fault: RecordFault,
    },
}

/// One record's fields, borrowed, relative to its batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawRecord<'a> {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Headers<'a>,
}

/// Reads one record, all fields of it, and leaves the reader behind it.
#[inline(always)]
pub(crate) fn read_record<'a>(reader: &mut Reader<'a>) -> Result<RawRecord<'a>, RecordFault> {
    let len = reader.varint()?;
    let len = usize::try_from(len).map_err(|_| RecordFault::Length(len))?;
    let mut body = Reader::new(reader.take(len)?);
    // The record's own attributes have no meaning yet; Kafka ignores them too.
    body.byte()?;
    let timestamp_delta = body.varlong()?;
    let offset_delta = body.varint()?;
    let key = read_bytes(&mut body)?;
    let value = read_bytes(&mut body)?;
    let count = body.varint()?;
    let headers = if count == 0 { Headers::NONE } else { read_headers(&mut body, count)? };
    match body.rest().len() {
        0 => Ok(RawRecord { timestamp_delta, offset_delta, key, value, headers }),
        left => Err(RecordFault::Left { left }),
    }
}

#[inline(always)]
fn read_bytes<'a>(body: &mut Reader<'a>) -> Result<Option<&'a [u8]>, RecordFault> {
    match body.varint()? {
        -1 => Ok(None),
        len => {
            let len = usize::try_from(len).map_err(|_| RecordFault::Length(len))?;
            Ok(Some(body.take(len)?))
        }
    }
}

/// Walks over the headers once, so that their iterator later cannot fail.
fn read_headers<'a>(body: &mut Reader<'a>, count: i32) -> Result<Headers<'a>, RecordFault> {
    let from = *body;
    // Each header takes two bytes at least.
    if count < 0 || count as usize > body.rest().len() / 2 {
        return Err(RecordFault::Length(count));
    }
    for _ in 0..count {
        let Some(_key) = read_bytes(body)? else { return Err(RecordFault::Length(-1)) };
        read_bytes(body)?;
    }
    Ok(Headers { reader: from, left: count as u32 })
}

/// The headers of a record, in order. Keys are UTF-8 by Kafka's rules, which nobody enforces.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    reader: Reader<'a>,
    left: u32,
}

impl Headers<'_> {
    /// No headers.
    pub const NONE: Headers<'static> = Headers { reader: Reader::EMPTY, left: 0 };

    /// How many are left.
    pub fn len(&self) -> usize {
        self.left as usize
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }
}

impl<'a> Iterator for Headers<'a> {
    /// The key, and the value or null.
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let key = read_bytes(&mut self.reader).ok()??;
        let value = read_bytes(&mut self.reader).ok()?;
        Some((key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

/// One record as an application sees it.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Its time in ms since 1970: the producer's, or that of the append when the batch says so.
    pub timestamp: i64,
    /// Its key; `None` is Kafka's null.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is Kafka's null, a tombstone on compacted topics.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
}

/// A batch's records as plain bytes: borrowed from the batch, or unpacked into memory of their own.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    header: &'a BatchHeader,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Records<'a> {
    /// The records of `batch`, unpacked into at most [`BATCH_UNPACKED_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// When the codec is unknown or the bytes do not unpack.
    pub fn of(batch: &BatchView<'a>) -> Result<Records<'a>, RecordsError> {
        Records::unpacked(batch, BATCH_UNPACKED_BYTES_MAX)
    }

    /// The records of `batch`, unpacked into at most `cap` bytes.
    ///
    /// # Errors
    /// When the codec is unknown, or the bytes do not unpack or not into `cap`.
    pub fn unpacked(batch: &BatchView<'a>, cap: usize) -> Result<Records<'a>, RecordsError> {
        let bytes = match batch.attributes().codec().map_err(RecordsError::UnknownCodec)? {
            Codec::None => Cow::Borrowed(batch.records()),
            codec => Cow::Owned(compress::unpack(codec, batch.records(), cap)?),
        };
        Ok(Records { header: batch.header(), bytes })
    }

    /// The record bytes, unpacked.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The records in order. A broken one, a missing one and bytes behind the last come as one error, then nothing.
    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter { header: self.header, reader: Reader::new(&self.bytes), index: 0, ended: false }
    }

    /// The first record whose timestamp is at least `timestamp`: what a lookup by time ends at.
    ///
    /// # Errors
    /// When a record before it is broken.
    pub fn first_at_or_after(&self, timestamp: i64) -> Result<Option<(Offset, i64)>, RecordsError> {
        for record in self.iter() {
            let record = record?;
            if record.timestamp >= timestamp {
                return Ok(Some((record.offset, record.timestamp)));
            }
        }
        Ok(None)
    }

    /// The first record with the largest timestamp, `None` if there are no records.
    ///
    /// # Errors
    /// When a record is broken.
    pub fn max_timestamp(&self) -> Result<Option<(Offset, i64)>, RecordsError> {
        let mut max: Option<(Offset, i64)> = None;
        for record in self.iter() {
            let record = record?;
            if max.is_none_or(|(_, timestamp)| record.timestamp > timestamp) {
                max = Some((record.offset, record.timestamp));
            }
        }
        Ok(max)
    }
}

/// See [`Records::iter`].
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    header: &'a BatchHeader,
    reader: Reader<'a>,
    index: i32,
    ended: bool,
}

impl<'a> RecordIter<'a> {
    fn end(&self) -> Option<RecordFault> {
        let count = self.header.count();
        match self.reader.rest().len() {
            0 if self.index < count => Some(RecordFault::Missing { found: self.index, count }),
            bytes if self.index >= count && bytes > 0 => Some(RecordFault::Trailing { bytes }),
            _ => None,
        }
    }

    fn read(&mut self) -> Result<Record<'a>, RecordFault> {
        let raw = read_record(&mut self.reader)?;
        let timestamp = match self.header.timestamp_type() {
            TimestampType::LogAppendTime => self.header.max_timestamp(),
            TimestampType::CreateTime => {
                self.header.base_timestamp().wrapping_add(raw.timestamp_delta)
            }
        };
        Ok(Record {
            offset: self.header.base_offset() + Count(i64::from(raw.offset_delta)),
            timestamp,
            key: raw.key,
            value: raw.value,
            headers: raw.headers,
        })
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let index = self.index;
        let result = match self.end() {
            Some(fault) => Err(fault),
            None if index >= self.header.count() => {
                self.ended = true;
                return None;
            }
            None => self.read(),
        };
        self.index += 1;
        self.ended = result.is_err();
        Some(result.map_err(|fault| RecordsError::Record { index, fault }))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use proptest::prelude::*;

    use super::*;
    use crate::batch::build::{Builder, NewRecord};

    #[test]
    fn every_codec_gives_the_records_back() {
        for codec in Codec::ALL {
            let mut builder = Builder::new(codec).base_offset(Offset(100));
            builder.push(NewRecord::of(b"v0").at(1_000).key(b"k0"));
            builder.push(NewRecord::null().at(900).header(b"h", Some(b"1")).header(b"h", None));
            let bytes = builder.build().unwrap();
            let batch = BatchView::first(&bytes).unwrap();
            assert!(batch.check_crc());
            let records = Records::of(&batch).unwrap();
            let all: Vec<_> = records.iter().map(Result::unwrap).collect();
            assert_eq!(all.len(), 2);
            assert_eq!((all[0].offset, all[0].timestamp), (Offset(100), 1_000));
            assert_eq!((all[0].key, all[0].value), (Some(&b"k0"[..]), Some(&b"v0"[..])));
            assert_eq!((all[1].offset, all[1].timestamp), (Offset(101), 900));
            assert_eq!((all[1].key, all[1].value), (None, None));
            let headers: Vec<_> = all[1].headers.collect();
            assert_eq!(headers, [(&b"h"[..], Some(&b"1"[..])), (&b"h"[..], None)]);
            assert_eq!(records.first_at_or_after(950).unwrap(), Some((Offset(100), 1_000)));
            assert_eq!(records.first_at_or_after(1_001).unwrap(), None);
            assert_eq!(records.max_timestamp().unwrap(), Some((Offset(100), 1_000)));
        }
    }

    /// The one fault of a batch without codec whose records are `bytes` and whose count is `count`.
    fn fault(count: i32, bytes: &[u8]) -> RecordFault {
        let mut header = *BatchView::first(&Builder::empty(Offset(0), 1)).unwrap().header();
        header.count = count.into();
        let records = Records { header: &header, bytes: Cow::Borrowed(bytes) };
        match records.iter().last() {
            Some(Err(RecordsError::Record { fault, .. })) => fault,
            other => panic!("no fault: {other:?}"),
        }
    }

    #[test]
    fn names_each_fault() {
        let good = [12, 0, 0, 0, 1, 1, 0];
        assert_eq!(fault(1, &good[..6]), RecordFault::Cut);
        assert_eq!(fault(2, &good), RecordFault::Missing { found: 1, count: 2 });
        assert_eq!(fault(0, &good), RecordFault::Trailing { bytes: 7 });
        assert_eq!(fault(1, &[11, 0, 0, 0, 1, 1, 0]), RecordFault::Length(-6));
        assert_eq!(fault(1, &[14, 0, 0, 0, 1, 1, 0, 9]), RecordFault::Left { left: 1 });
        assert_eq!(fault(1, &[12, 0, 0, 0, 3, 1, 0]), RecordFault::Length(-2));
        assert_eq!(fault(1, &[12, 0, 0, 0, 1, 1, 2]), RecordFault::Length(1));
        assert_eq!(fault(1, &[16, 0, 0, 0, 1, 1, 2, 1, 1]), RecordFault::Length(-1));
        assert_eq!(fault(1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0]), RecordFault::Overlong);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_without_panic(count in any::<i32>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut header = *BatchView::first(&Builder::empty(Offset(0), 1)).unwrap().header();
            header.count = count.into();
            let records = Records { header: &header, bytes: Cow::Borrowed(&bytes) };
            for record in records.iter().flatten() {
                prop_assert_eq!(record.headers.count(), record.headers.len());
            }
        }
    }
}

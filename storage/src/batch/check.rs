//! What a leader asks of a produced batch before it takes it, in the order in which Kafka asks.
//!
//! Uncompressed records are walked one by one. A compressed batch is believed about its inside (number of records,
//! largest timestamp) as far as the header can be true at all, unless the rules are `deep`: unpacking costs a broker more
//! than all its other work on the batch. docs/PROTOCOL.md lists the difference from Kafka.

use crate::batch::attributes::{Attributes, Codec, TimestampType};
use crate::batch::build::NO_TIMESTAMP;
use crate::batch::compress;
use crate::batch::patch::Stamp;
use crate::batch::records::{RecordFault, read_record};
use crate::batch::refusal::BatchError;
use crate::batch::varint::Reader;
use crate::batch::view::{BatchHeader, BatchView};
use crate::ids::ProducerId;
use crate::limits::BATCH_UNPACKED_BYTES_MAX;

/// The least bytes a record takes: its length, attributes, two deltas, two null lengths and the number of headers.
const RECORD_BYTES_MIN: usize = 7;

/// A topic's settings, as far as they concern a batch.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `max.message.bytes`: the largest batch, header included.
    pub batch_bytes_max: usize,
    /// `segment.bytes`: a batch must fit a segment.
    pub segment_bytes: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far a record may lie in the past.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far a record may lie in the future.
    pub timestamp_after_max_ms: i64,
    /// Whether each record needs a key: the topic is compacted.
    pub keys_required: bool,
    /// Whether compressed batches are unpacked and walked as well.
    pub deep: bool,
    /// Whether the request's version knows zstd (Produce 7 and later).
    pub zstd_allowed: bool,
    /// Bytes the records of a batch may unpack to when they are walked.
    pub unpacked_bytes_max: usize,
}

impl Default for Rules {
    /// Kafka's defaults.
    fn default() -> Rules {
        Rules {
            batch_bytes_max: 1_048_588,
            segment_bytes: 1 << 30,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            keys_required: false,
            deep: false,
            zstd_allowed: true,
            unpacked_bytes_max: BATCH_UNPACKED_BYTES_MAX,
        }
    }
}

/// A batch that may be appended, and what appending it needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    /// The batch as it was received.
    pub batch: BatchView<'a>,
    /// How its records are packed.
    pub codec: Codec,
    /// What [`crate::batch::patch()`] has to write besides offset and epoch.
    pub stamp: Stamp,
    /// The largest timestamp it will have in the log.
    pub max_timestamp: i64,
    /// Its producer and sequence numbers, when it is idempotent.
    pub producer: Option<ProducerStamp>,
}

/// Who sent a batch, and as which of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    /// The producer's id.
    pub id: ProducerId,
    /// The producer's epoch, never negative.
    pub epoch: i16,
    /// The sequence number of the first record.
    pub first_sequence: i32,
    /// The sequence number of the last record; smaller than the first when the numbers wrapped.
    pub last_sequence: i32,
}

impl BatchHeader {
    /// The producer and the sequence numbers in the header, when the batch is idempotent.
    pub fn producer_stamp(&self) -> Option<ProducerStamp> {
        let id = self.producer_id()?;
        (self.producer_epoch() >= 0 && self.base_sequence() >= 0).then(|| ProducerStamp {
            id,
            epoch: self.producer_epoch(),
            first_sequence: self.base_sequence(),
            last_sequence: self.last_sequence(),
        })
    }
}

/// Checks one produced batch, which must be all of `bytes`.
///
/// # Errors
/// The first thing that is wrong. The checksum comes before all that it covers, so that damage on the way is answered
/// with a retriable error and not with a verdict on the damaged field.
pub fn check_produced<'a>(
    bytes: &'a [u8],
    rules: &Rules,
    now_ms: i64,
) -> Result<Checked<'a>, BatchError> {
    if bytes.is_empty() {
        return Err(BatchError::None);
    }
    let batch = BatchView::first(bytes)?;
    check_frame(&batch, bytes.len(), rules)?;
    let computed = batch.computed_crc();
    if computed != batch.crc() {
        return Err(BatchError::Crc { claimed: batch.crc(), computed });
    }
    let codec = check_header(&batch, rules)?;
    let window = TimeWindow::new(rules, now_ms);
    let true_max = if codec == Codec::None {
        walk(&batch, batch.records(), rules, window)?
    } else if rules.deep {
        let records = compress::unpack(codec, batch.records(), rules.unpacked_bytes_max)?;
        walk(&batch, &records, rules, window)?
    } else {
        check_packed(&batch, window)?
    };
    let (stamp, max_timestamp) = match rules.timestamp_type {
        TimestampType::LogAppendTime => (Stamp::LogAppendTime(now_ms), now_ms),
        TimestampType::CreateTime if true_max == batch.max_timestamp() => (Stamp::Keep, true_max),
        TimestampType::CreateTime => (Stamp::MaxTimestamp(true_max), true_max),
    };
    Ok(Checked { batch, codec, stamp, max_timestamp, producer: batch.producer_stamp() })
}

/// What the checksum does not cover.
fn check_frame(batch: &BatchView<'_>, have: usize, rules: &Rules) -> Result<(), BatchError> {
    let bytes = batch.len();
    if have > bytes {
        return Err(BatchError::Trailing { bytes: have - bytes });
    }
    if batch.base_offset().0 != 0 {
        return Err(BatchError::BaseOffset(batch.base_offset().0));
    }
    if bytes > rules.batch_bytes_max {
        return Err(BatchError::TooLarge { bytes, max: rules.batch_bytes_max });
    }
    if bytes > rules.segment_bytes {
        return Err(BatchError::LargerThanSegment { bytes, max: rules.segment_bytes });
    }
    Ok(())
}

/// What the header alone can get wrong.
fn check_header(batch: &BatchView<'_>, rules: &Rules) -> Result<Codec, BatchError> {
    let (count, last_offset_delta) = (batch.count(), batch.last_offset_delta());
    if count <= 0 || last_offset_delta != count - 1 {
        return Err(BatchError::Count { count, last_offset_delta });
    }
    let attributes = batch.attributes();
    if attributes.is_control() {
        return Err(BatchError::Control);
    }
    if attributes.is_transactional() {
        return Err(BatchError::Transactional);
    }
    if attributes.has_delete_horizon() {
        return Err(BatchError::Attributes { bits: Attributes::DELETE_HORIZON });
    }
    if batch.producer_id().is_some() && batch.producer_stamp().is_none() {
        return Err(BatchError::Producer {
            producer_id: batch.header().producer_id.get(),
            epoch: batch.producer_epoch(),
            base_sequence: batch.base_sequence(),
        });
    }
    let codec = attributes.codec().map_err(BatchError::UnknownCodec)?;
    if codec == Codec::Zstd && !rules.zstd_allowed {
        return Err(BatchError::CodecNotYet(codec));
    }
    if attributes.timestamp_type() == TimestampType::LogAppendTime {
        return Err(BatchError::AppendTime);
    }
    Ok(codec)
}

/// What can be said of packed records without unpacking them.
fn check_packed(batch: &BatchView<'_>, window: Option<TimeWindow>) -> Result<i64, BatchError> {
    let (count, bytes) = (batch.count(), batch.records().len());
    // Otherwise 70 bytes could claim two billion offsets.
    let most = BATCH_UNPACKED_BYTES_MAX / RECORD_BYTES_MIN;
    if bytes == 0 || count as usize > most {
        return Err(BatchError::Density { count, bytes });
    }
    let max = batch.max_timestamp();
    match window {
        Some(window) => window.check(None, max).map(|()| max),
        None => Ok(max),
    }
}

/// Walks all records and gives their true largest timestamp.
fn walk(
    batch: &BatchView<'_>,
    records: &[u8],
    rules: &Rules,
    window: Option<TimeWindow>,
) -> Result<i64, BatchError> {
    let (count, base) = (batch.count(), batch.base_timestamp());
    let mut reader = Reader::new(records);
    let mut extremes = (i64::MAX, i64::MIN);
    let mut keyless = None;
    for index in 0..count {
        if reader.rest().is_empty() {
            let fault = RecordFault::Missing { found: index, count };
            return Err(BatchError::Record { index, fault });
        }
        let record =
            read_record(&mut reader).map_err(|fault| BatchError::Record { index, fault })?;
        if record.offset_delta != index {
            return Err(BatchError::OffsetDelta { index, delta: record.offset_delta });
        }
        if record.key.is_none() && keyless.is_none() {
            keyless = Some(index);
        }
        let timestamp = base.wrapping_add(record.timestamp_delta);
        extremes = (extremes.0.min(timestamp), extremes.1.max(timestamp));
    }
    if !reader.rest().is_empty() {
        let fault = RecordFault::Trailing { bytes: reader.rest().len() };
        return Err(BatchError::Record { index: count - 1, fault });
    }
    if let (true, Some(index)) = (rules.keys_required, keyless) {
        return Err(BatchError::NoKey { index });
    }
    if let Some(window) = window
        && !(window.holds(extremes.0) && window.holds(extremes.1))
    {
        check_each_time(base, count, records, window)?;
    }
    // As in Kafka: the search for the largest begins at "no timestamp".
    Ok(extremes.1.max(NO_TIMESTAMP))
}

/// The slow way round, for a batch in which some time is out of bounds: names the record, unless it has no time.
#[cold]
fn check_each_time(
    base: i64,
    count: i32,
    records: &[u8],
    window: TimeWindow,
) -> Result<(), BatchError> {
    let mut reader = Reader::new(records);
    for index in 0..count {
        let record =
            read_record(&mut reader).map_err(|fault| BatchError::Record { index, fault })?;
        window.check(Some(index), base.wrapping_add(record.timestamp_delta))?;
    }
    Ok(())
}

/// The times a record may have. With append time there is no such window: the producer's times are not kept.
#[derive(Clone, Copy, Debug)]
struct TimeWindow {
    min: i64,
    max: i64,
}

impl TimeWindow {
    fn new(rules: &Rules, now_ms: i64) -> Option<TimeWindow> {
        (rules.timestamp_type == TimestampType::CreateTime).then(|| TimeWindow {
            min: now_ms.saturating_sub(rules.timestamp_before_max_ms.max(0)),
            max: now_ms.saturating_add(rules.timestamp_after_max_ms.max(0)),
        })
    }

    #[inline]
    fn holds(self, timestamp: i64) -> bool {
        (self.min..=self.max).contains(&timestamp)
    }

    fn check(self, index: Option<i32>, timestamp: i64) -> Result<(), BatchError> {
        if timestamp == NO_TIMESTAMP || self.holds(timestamp) {
            return Ok(());
        }
        Err(BatchError::Timestamp { index, timestamp, min: self.min, max: self.max })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use proptest::prelude::*;

    use super::*;
    use crate::batch::build::{Builder, NewRecord};
    use crate::batch::compress::{UnpackError, pack};
    use crate::batch::crc::crc32c;
    use crate::batch::patch::copy_patched;
    use crate::batch::records::Records;
    use crate::batch::refusal::BatchRefusal;
    use crate::batch::view::{BATCH_HEADER_BYTES, CRC_FROM, FramingError};
    use crate::ids::{LeaderEpoch, Offset};

    const NOW: i64 = 1_700_000_000_000;

    fn builder(codec: Codec, records: i32) -> Builder {
        let mut builder = Builder::new(codec);
        for index in 0..records {
            builder.push(NewRecord::of(b"value").key(b"key").at(NOW - 10 + i64::from(index)));
        }
        builder
    }

    fn good() -> Vec<u8> {
        builder(Codec::None, 3).build().unwrap()
    }

    fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
        let crc = crc32c(&bytes[CRC_FROM..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// A good batch with `field` written at `at` and a fresh checksum.
    fn with(at: usize, field: &[u8]) -> Vec<u8> {
        let mut bytes = good();
        bytes[at..at + field.len()].copy_from_slice(field);
        seal(bytes)
    }

    /// A batch around the given record bytes.
    fn around(codec: Codec, count: i32, records: &[u8]) -> Vec<u8> {
        let mut bytes = good()[..BATCH_HEADER_BYTES].to_vec();
        bytes.extend_from_slice(&pack(codec, records).unwrap());
        let length = (bytes.len() - 12) as i32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[21..23].copy_from_slice(&codec.bits().to_be_bytes());
        bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        seal(bytes)
    }

    fn refused(bytes: &[u8], rules: &Rules, expected: BatchError, refusal: BatchRefusal) {
        let error = check_produced(bytes, rules, NOW).unwrap_err();
        assert_eq!(error, expected);
        assert_eq!(error.refusal(), refusal);
    }

    #[test]
    fn takes_what_a_producer_sends() {
        for codec in Codec::ALL {
            for deep in [false, true] {
                let rules = Rules { deep, keys_required: true, ..Rules::default() };
                let bytes = builder(codec, 3).producer(ProducerId(5), 1, i32::MAX).build().unwrap();
                let checked = check_produced(&bytes, &rules, NOW).unwrap();
                assert_eq!(checked.codec, codec);
                assert_eq!(checked.stamp, Stamp::Keep);
                assert_eq!(checked.max_timestamp, NOW - 8);
                let stamp = ProducerStamp {
                    id: ProducerId(5),
                    epoch: 1,
                    first_sequence: i32::MAX,
                    last_sequence: 1,
                };
                assert_eq!(checked.producer, Some(stamp));
            }
        }
    }

    #[test]
    fn refuses_broken_frames() {
        let rules = Rules::default();
        let good = good();
        refused(&[], &rules, BatchError::None, BatchRefusal::InvalidRecord);
        let (have, need) = (good.len() - 1, good.len());
        refused(
            &good[..have],
            &rules,
            FramingError::Truncated { have, need }.into(),
            BatchRefusal::InvalidRecord,
        );
        refused(
            &with(16, &[1]),
            &rules,
            FramingError::Magic { magic: 1 }.into(),
            BatchRefusal::InvalidRecord,
        );
        refused(
            &with(8, &[0, 0, 0, 9]),
            &rules,
            FramingError::Length { length: 9 }.into(),
            BatchRefusal::CorruptMessage,
        );
        let twice = [&good[..], &good[..]].concat();
        refused(
            &twice,
            &rules,
            BatchError::Trailing { bytes: good.len() },
            BatchRefusal::InvalidRecord,
        );
        refused(&with(7, &[1]), &rules, BatchError::BaseOffset(1), BatchRefusal::InvalidRecord);
    }

    #[test]
    fn refuses_by_size() {
        let bytes = good();
        let max = bytes.len() - 1;
        refused(
            &bytes,
            &Rules { batch_bytes_max: max, ..Rules::default() },
            BatchError::TooLarge { bytes: max + 1, max },
            BatchRefusal::MessageTooLarge,
        );
        refused(
            &bytes,
            &Rules { segment_bytes: max, ..Rules::default() },
            BatchError::LargerThanSegment { bytes: max + 1, max },
            BatchRefusal::RecordListTooLarge,
        );
        let exact = Rules { batch_bytes_max: max + 1, segment_bytes: max + 1, ..Rules::default() };
        assert!(check_produced(&bytes, &exact, NOW).is_ok());
    }

    #[test]
    fn any_damage_under_the_checksum_is_a_corrupt_message() {
        let bytes = good();
        for at in CRC_FROM..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let error = check_produced(&damaged, &Rules::default(), NOW).unwrap_err();
            assert!(matches!(error, BatchError::Crc { .. }), "byte {at}: {error}");
            assert_eq!(error.refusal(), BatchRefusal::CorruptMessage);
        }
    }

    #[test]
    fn refuses_impossible_headers() {
        let rules = Rules::default();
        let invalid = BatchRefusal::InvalidRecord;
        let count = |count, last_offset_delta| BatchError::Count { count, last_offset_delta };
        refused(&with(57, &4i32.to_be_bytes()), &rules, count(4, 2), invalid);
        refused(&with(57, &(-1i32).to_be_bytes()), &rules, count(-1, 2), invalid);
        refused(&with(23, &(-1i32).to_be_bytes()), &rules, count(3, -1), invalid);
        refused(&Builder::empty(Offset(0), 3), &rules, count(0, 2), invalid);
        refused(&with(22, &[0x20]), &rules, BatchError::Control, invalid);
        refused(
            &with(22, &[0x10]),
            &rules,
            BatchError::Transactional,
            BatchRefusal::InvalidTransaction,
        );
        refused(&with(22, &[0x40]), &rules, BatchError::Attributes { bits: 0x40 }, invalid);
        refused(&with(22, &[8]), &rules, BatchError::AppendTime, BatchRefusal::InvalidTimestamp);
        refused(
            &with(22, &[5]),
            &rules,
            BatchError::UnknownCodec(5),
            BatchRefusal::UnsupportedCompression,
        );
        refused(
            &builder(Codec::Zstd, 1).build().unwrap(),
            &Rules { zstd_allowed: false, ..Rules::default() },
            BatchError::CodecNotYet(Codec::Zstd),
            BatchRefusal::UnsupportedCompression,
        );
        let (producer_id, epoch) = (7, -1);
        let no_epoch = builder(Codec::None, 1).producer(ProducerId(producer_id), epoch, 0);
        refused(
            &no_epoch.build().unwrap(),
            &rules,
            BatchError::Producer { producer_id, epoch, base_sequence: 0 },
            invalid,
        );
        let no_sequence = builder(Codec::None, 1).producer(ProducerId(producer_id), 0, -1);
        refused(
            &no_sequence.build().unwrap(),
            &rules,
            BatchError::Producer { producer_id, epoch: 0, base_sequence: -1 },
            invalid,
        );
        let claims = around(Codec::Gzip, i32::MAX, b"");
        let bytes = claims.len() - BATCH_HEADER_BYTES;
        refused(&claims, &rules, BatchError::Density { count: i32::MAX, bytes }, invalid);
    }

    #[test]
    fn walks_records_plain_or_packed() {
        let record = [12, 0, 0, 0, 1, 1, 0];
        let second = [12, 0, 0, 2, 1, 1, 0];
        let fault = |index, fault| BatchError::Record { index, fault };
        let cases = [
            (1, record.to_vec(), None),
            (2, [record, second].concat(), None),
            (1, record[..6].to_vec(), Some(fault(0, RecordFault::Cut))),
            (2, record.to_vec(), Some(fault(1, RecordFault::Missing { found: 1, count: 2 }))),
            (1, [record, second].concat(), Some(fault(0, RecordFault::Trailing { bytes: 7 }))),
            (2, [record, record].concat(), Some(BatchError::OffsetDelta { index: 1, delta: 0 })),
        ];
        for codec in Codec::ALL {
            let rules = Rules { deep: true, ..Rules::default() };
            for (count, records, expected) in &cases {
                let bytes = around(codec, *count, records);
                assert_eq!(check_produced(&bytes, &rules, NOW).err(), *expected, "{codec}");
            }
            let bytes = around(codec, 1, &record);
            let keyed = Rules { keys_required: true, ..rules };
            refused(&bytes, &keyed, BatchError::NoKey { index: 0 }, BatchRefusal::InvalidRecord);
        }
    }

    #[test]
    fn a_packed_batch_is_believed_unless_the_rules_are_deep() {
        let bytes = around(Codec::Lz4, 2, &[12, 0, 0, 0, 1, 1, 0]);
        assert!(check_produced(&bytes, &Rules::default(), NOW).is_ok());
        let deep = Rules { deep: true, ..Rules::default() };
        assert!(check_produced(&bytes, &deep, NOW).is_err());
        // A bomb: a batch of some hundred bytes whose one record has 4 MiB of zeros.
        let mut bomb = Builder::new(Codec::Zstd);
        bomb.push(NewRecord::of(&vec![0; 4 << 20]));
        let bytes = bomb.build().unwrap();
        assert!(bytes.len() < 1_000);
        let cap = 1 << 20;
        let capped = Rules { unpacked_bytes_max: cap, ..deep };
        refused(
            &bytes,
            &capped,
            BatchError::Unpack(UnpackError::TooLarge { cap }),
            BatchRefusal::InvalidRecord,
        );
    }

    #[test]
    fn times_outside_the_window_are_refused() {
        let rules = Rules {
            timestamp_before_max_ms: 1_000,
            timestamp_after_max_ms: 500,
            deep: true,
            ..Rules::default()
        };
        let (min, max) = (NOW - 1_000, NOW + 500);
        for codec in Codec::ALL {
            for (timestamp, fits) in [
                (min, true),
                (max, true),
                (min - 1, false),
                (max + 1, false),
                (NO_TIMESTAMP, true),
                (i64::MAX, false),
                (i64::MIN, false),
            ] {
                let mut builder = builder(codec, 1);
                builder.push(NewRecord::of(b"x").at(timestamp));
                let bytes = builder.build().unwrap();
                if fits {
                    assert!(check_produced(&bytes, &rules, NOW).is_ok(), "{codec} {timestamp}");
                    continue;
                }
                let index = Some(1);
                let expected = BatchError::Timestamp { index, timestamp, min, max };
                assert_eq!(expected.record_index(), index);
                refused(&bytes, &rules, expected, BatchRefusal::InvalidTimestamp);
                let append =
                    Rules { timestamp_type: TimestampType::LogAppendTime, ..rules.clone() };
                assert!(check_produced(&bytes, &append, NOW).is_ok());
            }
        }
        // Without a look inside, the header's largest time is held to the window.
        let header_only = Rules { deep: false, ..rules };
        let mut builder = Builder::new(Codec::Gzip);
        builder.push(NewRecord::of(b"x").at(max + 1));
        let expected = BatchError::Timestamp { index: None, timestamp: max + 1, min, max };
        let bytes = builder.build().unwrap();
        refused(&bytes, &header_only, expected, BatchRefusal::InvalidTimestamp);
    }

    #[test]
    fn a_wrong_largest_time_is_put_right() {
        let bytes = with(35, &(NOW + 77).to_be_bytes());
        let checked = check_produced(&bytes, &Rules::default(), NOW).unwrap();
        assert_eq!(checked.stamp, Stamp::MaxTimestamp(NOW - 8));
        let mut stored = vec![0; bytes.len()];
        copy_patched(&bytes, &mut stored, Offset(9), LeaderEpoch(4), checked.stamp);
        let mut expected = good();
        expected[..8].copy_from_slice(&9i64.to_be_bytes());
        expected[12..16].copy_from_slice(&4i32.to_be_bytes());
        assert_eq!(stored, expected);
    }

    #[test]
    fn append_time_replaces_all_times() {
        for codec in Codec::ALL {
            let bytes = builder(codec, 3).build().unwrap();
            let rules = Rules { timestamp_type: TimestampType::LogAppendTime, ..Rules::default() };
            let checked = check_produced(&bytes, &rules, NOW).unwrap();
            assert_eq!(checked.max_timestamp, NOW);
            let mut stored = vec![0; bytes.len()];
            copy_patched(&bytes, &mut stored, Offset(5), LeaderEpoch(0), checked.stamp);
            let batch = BatchView::first(&stored).unwrap();
            assert!(batch.check_crc());
            let records = Records::of(&batch).unwrap();
            assert!(records.iter().all(|record| record.unwrap().timestamp == NOW));
            assert_eq!(records.max_timestamp().unwrap(), Some((Offset(5), NOW)));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_checked_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), now in any::<i64>()) {
            let rules = Rules { deep: true, keys_required: true, unpacked_bytes_max: 1 << 16, ..Rules::default() };
            prop_assert!(check_produced(&bytes, &rules, now).is_err());
        }

        /// Bytes of a valid batch changed at random, with the length and checksum put right so that the inner checks
        /// are reached: accepted ones must be readable and keep their promises after the patch.
        #[test]
        fn an_accepted_batch_is_whole(
            codec in 0usize..5,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            append_time in any::<bool>(),
            now in any::<i64>(),
        ) {
            let mut bytes = builder(Codec::ALL[codec], 5).build().unwrap();
            for (at, value) in &changes {
                let at = at.index(bytes.len() - 17) + 17;
                bytes[at] = *value;
            }
            let bytes = seal(bytes);
            let timestamp_type =
                if append_time { TimestampType::LogAppendTime } else { TimestampType::CreateTime };
            let rules = Rules { deep: true, timestamp_type, unpacked_bytes_max: 1 << 16, ..Rules::default() };
            if let Ok(checked) = check_produced(&bytes, &rules, now) {
                let mut stored = vec![0; bytes.len()];
                copy_patched(&bytes, &mut stored, Offset(1 << 40), LeaderEpoch(1), checked.stamp);
                let batch = BatchView::first(&stored).unwrap();
                prop_assert!(batch.check_crc());
                prop_assert_eq!(batch.max_timestamp(), checked.max_timestamp);
                let records = Records::unpacked(&batch, 1 << 16).unwrap();
                let offsets: Vec<_> = records.iter().map(|record| record.unwrap().offset.0 - (1 << 40)).collect();
                prop_assert_eq!(offsets, (0..i64::from(batch.count())).collect::<Vec<_>>());
            }
        }
    }
}

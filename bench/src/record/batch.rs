//! Records written straight into the bytes of a batch.
//!
//! `storage::batch::Builder` gathers records and copies them into a frame at the end; a generator that has to keep a
//! broker busy from a fraction of a core cannot afford the second copy, nor memory of each batch's own. This writer puts
//! each record where it will stay, in memory that is handed in and out, and writes the header and its checksum last. What
//! it makes is, byte for byte, what the builder makes.

use std::ops::{DerefMut, Range};

use storage::batch::crc::crc32c;
use storage::batch::{BATCH_HEADER_BYTES, compress};

use crate::error::BenchError;
use crate::plan::Codec;
use crate::record::stamp::{STAMP_BYTES, Stamp};

/// The most a record takes besides key and value: six numbers, its attributes and the number of its headers.
const RECORD_OVERHEAD_MAX: usize = 5 + 1 + 10 + 5 + 5 + 5 + 1;

/// Where the bytes that the checksum covers begin.
const CRC_FROM: usize = 21;

/// Who sends a batch, if the producer is idempotent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The id the broker gave.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The sequence number of the first record.
    pub first: i32,
}

/// A batch being written into memory `M`: a `Vec<u8>` of some length, or a block of the engine's.
#[derive(Debug)]
pub struct BatchWriter<M> {
    memory: M,
    codec: Codec,
    from: usize,
    at: usize,
    bytes_max: usize,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl<M: DerefMut<Target = [u8]>> BatchWriter<M> {
    /// A batch of at most `bytes_max` bytes before compression, written into `memory` from its byte `from` on, so that
    /// the head of a request can stand before it. A first record is taken even if it is larger than `bytes_max`.
    ///
    /// With a codec, leave a 64th and 256 bytes of room behind `bytes_max`: what cannot be compressed grows.
    ///
    /// # Panics
    /// When the memory has no room for a batch's header.
    pub fn new(codec: Codec, memory: M, from: usize, bytes_max: usize) -> BatchWriter<M> {
        assert!(memory.len() >= from + BATCH_HEADER_BYTES, "a batch has a header");
        let at = from + BATCH_HEADER_BYTES;
        let timestamps = (-1, -1);
        BatchWriter {
            memory,
            codec,
            from,
            at,
            bytes_max,
            count: 0,
            base_timestamp: timestamps.0,
            max_timestamp: timestamps.1,
        }
    }

    /// Records so far.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Bytes of the batch if it were finished now and not compressed.
    pub fn len(&self) -> usize {
        self.at - self.from
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends a record whose value is the stamp and `tail`; its time is in ms since 1970. `false`, and nothing is
    /// appended, when the batch or the memory has no room for it.
    #[inline]
    #[must_use]
    pub fn push(&mut self, time_ms: i64, key: Option<&[u8]>, stamp: &Stamp, tail: &[u8]) -> bool {
        let value_bytes = STAMP_BYTES + tail.len();
        let key_bytes = key.map_or(0, <[u8]>::len);
        let most = RECORD_OVERHEAD_MAX + key_bytes + value_bytes;
        if self.at + most > self.memory.len()
            || (self.count > 0 && self.len() + most > self.bytes_max)
        {
            return false;
        }
        if self.count == 0 {
            self.base_timestamp = time_ms;
        }
        self.max_timestamp = self.max_timestamp.max(time_ms);
        let key_len = key.map_or(-1, |key| key.len() as i64);
        let numbers = [time_ms - self.base_timestamp, i64::from(self.count), key_len];
        let body = 1
            + numbers.iter().map(|number| varint_len(*number)).sum::<usize>()
            + key_bytes
            + varint_len(value_bytes as i64)
            + value_bytes
            + 1;
        let out = &mut self.memory[self.at..self.at + most];
        let mut at = put_varint(out, 0, body as i64);
        let body_from = at;
        out[at] = 0;
        at += 1;
        for number in numbers {
            at = put_varint(out, at, number);
        }
        at = put(out, at, key.unwrap_or_default());
        at = put_varint(out, at, value_bytes as i64);
        at = put(out, at, &stamp.to_bytes());
        at = put(out, at, tail);
        out[at] = 0;
        at += 1;
        debug_assert_eq!(at - body_from, body, "a record is as long as it says");
        self.at += at;
        self.count += 1;
        true
    }

    /// Compresses the records, writes the header, and gives the memory back with the place of the batch in it.
    ///
    /// # Errors
    /// The codec fails, or the memory has no room for what it makes.
    ///
    /// # Panics
    /// When there is no record.
    pub fn finish(mut self, sequence: Option<Sequence>) -> Result<(M, Range<usize>), BenchError> {
        assert!(self.count > 0, "a batch holds a record");
        if let Some(codec) = codec_of(self.codec) {
            self.compress(codec)?;
        }
        let batch = &mut self.memory[self.from..self.at];
        let length = (batch.len() - 12) as i32;
        batch[..8].fill(0);
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[12..16].copy_from_slice(&(-1i32).to_be_bytes());
        batch[16] = 2;
        let bits = codec_of(self.codec).unwrap_or_default() as i16;
        batch[21..23].copy_from_slice(&bits.to_be_bytes());
        batch[23..27].copy_from_slice(&(self.count - 1).to_be_bytes());
        batch[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        batch[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        let nobody = Sequence { producer_id: -1, epoch: -1, first: -1 };
        let Sequence { producer_id, epoch, first } = sequence.unwrap_or(nobody);
        batch[43..51].copy_from_slice(&producer_id.to_be_bytes());
        batch[51..53].copy_from_slice(&epoch.to_be_bytes());
        batch[53..57].copy_from_slice(&first.to_be_bytes());
        batch[57..61].copy_from_slice(&self.count.to_be_bytes());
        let crc = crc32c(&batch[CRC_FROM..]);
        batch[17..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        Ok((self.memory, self.from..self.at))
    }

    fn compress(&mut self, codec: storage::batch::Codec) -> Result<(), BenchError> {
        let records = self.from + BATCH_HEADER_BYTES;
        let packed = compress::pack(codec, &self.memory[records..self.at]).map_err(|error| {
            BenchError::failed(format!("a batch cannot be compressed: {error}"))
        })?;
        let Some(room) = self.memory.get_mut(records..records + packed.len()) else {
            let what = format!("{} bytes of a compressed batch have no room", packed.len());
            return Err(BenchError::failed(what).fix("make batches smaller with --batch"));
        };
        room.copy_from_slice(&packed);
        self.at = records + packed.len();
        Ok(())
    }
}

/// The codec as storage knows it; `None` where nothing is compressed.
pub fn codec_of(codec: Codec) -> Option<storage::batch::Codec> {
    match codec {
        Codec::None => None,
        Codec::Gzip => Some(storage::batch::Codec::Gzip),
        Codec::Snappy => Some(storage::batch::Codec::Snappy),
        Codec::Lz4 => Some(storage::batch::Codec::Lz4),
        Codec::Zstd => Some(storage::batch::Codec::Zstd),
    }
}

#[inline]
fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    out[at..at + bytes.len()].copy_from_slice(bytes);
    at + bytes.len()
}

/// Writes a zigzag varint at `at`; where it ends.
#[inline]
fn put_varint(out: &mut [u8], mut at: usize, value: i64) -> usize {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out[at] = raw as u8 | 0x80;
        raw >>= 7;
        at += 1;
    }
    out[at] = raw as u8;
    at + 1
}

/// Bytes that [`put_varint`] writes.
#[inline]
fn varint_len(value: i64) -> usize {
    let raw = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (raw | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use storage::batch::{Builder, NewRecord, Records, Rules, check_produced};
    use storage::ids::ProducerId;

    use super::*;

    const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    #[derive(Clone, Debug)]
    struct Given {
        time_ms: i64,
        key: Option<Vec<u8>>,
        tail: Vec<u8>,
    }

    fn given() -> impl Strategy<Value = Given> {
        let key = prop::option::of(prop::collection::vec(any::<u8>(), 0..80));
        let tail = prop::collection::vec(any::<u8>(), 0..300);
        (0i64..1_800, key, tail).prop_map(|(delta, key, tail)| Given {
            time_ms: 1_700_000_000_000 + delta * delta,
            key,
            tail,
        })
    }

    fn stamp(number: usize, given: &Given) -> Stamp {
        let length = (STAMP_BYTES + given.tail.len()) as u32;
        let intended_ns = number as u64 * 1_000;
        Stamp {
            run: 7,
            producer: 1,
            lane: 2,
            number: number as u64,
            intended_ns,
            position: 0,
            length,
        }
    }

    proptest! {
        #[test]
        fn batches_are_those_of_the_builder(
            records in prop::collection::vec(given(), 1..60),
            codec in 0usize..5,
            from in 0usize..100,
            idempotent in any::<bool>(),
        ) {
            let codec = CODECS[codec];
            let sequence = idempotent.then_some(Sequence { producer_id: 88, epoch: 3, first: 1 << 20 });
            let mut writer = BatchWriter::new(codec, vec![0xaa; 64 << 10], from, 60 << 10);
            let mut builder = Builder::new(codec_of(codec).unwrap_or_default());
            if let Some(Sequence { producer_id, epoch, first }) = sequence {
                builder = builder.producer(ProducerId(producer_id), epoch, first);
            }
            for (number, given) in records.iter().enumerate() {
                let stamp = stamp(number, given);
                prop_assert!(writer.push(given.time_ms, given.key.as_deref(), &stamp, &given.tail));
                let value = [&stamp.to_bytes()[..], &given.tail].concat();
                let mut record = NewRecord::of(&value).at(given.time_ms);
                if let Some(key) = &given.key {
                    record = record.key(key);
                }
                builder.push(record);
                prop_assert_eq!((writer.len(), writer.count()), (builder.len(), builder.count()));
            }
            let (memory, place) = writer.finish(sequence).expect("it can be compressed");
            prop_assert!(memory[..from].iter().all(|byte| *byte == 0xaa), "what stands before is kept");
            let built = builder.build().expect("it can be compressed");
            prop_assert_eq!(&memory[place.clone()], &built[..]);

            let rules = Rules { deep: true, ..Rules::default() };
            let checked = check_produced(&memory[place], &rules, 1_700_000_000_000);
            let checked = checked.expect("a leader takes it");
            prop_assert_eq!(checked.producer.is_some(), idempotent);
            let unpacked = Records::of(&checked.batch).expect("it unpacks");
            for (number, (record, given)) in unpacked.iter().zip(&records).enumerate() {
                let record = record.expect("a whole record");
                prop_assert_eq!(record.timestamp, given.time_ms);
                prop_assert_eq!(record.key, given.key.as_deref());
                let value = record.value.expect("each has a value");
                prop_assert_eq!(Stamp::parse(value), Ok(stamp(number, given)));
                prop_assert_eq!(&value[STAMP_BYTES..], &given.tail[..]);
            }
        }

        #[test]
        fn a_batch_never_outgrows_its_limit_but_for_a_first_record(
            tails in prop::collection::vec(0usize..400, 1..40),
            bytes_max in 61usize..2_000,
        ) {
            let mut writer = BatchWriter::new(Codec::None, vec![0; 4_096], 0, bytes_max);
            for (number, len) in tails.into_iter().enumerate() {
                let given = Given { time_ms: 5, key: None, tail: vec![1; len] };
                let before = writer.len();
                if writer.push(5, None, &stamp(number, &given), &given.tail) {
                    prop_assert!(writer.count() == 1 || writer.len() <= bytes_max);
                } else {
                    prop_assert_eq!(writer.len(), before);
                    prop_assert!(before + len + STAMP_BYTES + RECORD_OVERHEAD_MAX > bytes_max);
                    prop_assert!(writer.count() > 0, "the first is always taken");
                }
            }
        }
    }

    #[test]
    fn numbers_are_kafkas_varints() {
        // From Kafka's ByteUtilsTest.
        let cases: [(i64, &[u8]); 6] = [
            (0, &[0]),
            (-1, &[1]),
            (63, &[0x7e]),
            (64, &[0x80, 1]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ];
        for (value, expected) in cases {
            let mut out = [0; 10];
            let end = put_varint(&mut out, 0, value);
            assert_eq!((&out[..end], varint_len(value)), (expected, expected.len()), "{value}");
        }
    }

    #[test]
    fn what_does_not_fit_the_memory_is_refused() {
        let given = Given { time_ms: 5, key: None, tail: vec![1; 200] };
        let mut writer = BatchWriter::new(Codec::None, vec![0; 400], 0, 10_000);
        assert!(writer.push(5, None, &stamp(0, &given), &given.tail));
        assert!(!writer.push(5, None, &stamp(1, &given), &given.tail));
        assert!(writer.finish(None).is_ok());
    }
}

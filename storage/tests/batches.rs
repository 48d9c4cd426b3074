//! Batches of other people's making are read here, and ours by other people's code.
//!
//! Method: the files in `golden/` were written by Apache Kafka 4.3.1's own classes (`golden/Golden.java`), and the
//! `kafka-protocol` crate encodes and decodes random records on the other side.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, Record as TheirRecord, RecordBatchDecoder, RecordBatchEncoder,
    RecordEncodeOptions, TimestampType as TheirTimestampType,
};
use proptest::prelude::*;
use storage::batch::{
    BatchView, Builder, Codec, NewRecord, Records, Rules, Stamp, TimestampType, check_produced,
    pack, patch, split, unpack,
};
use storage::ids::{LeaderEpoch, Offset, ProducerId};

const TIME: i64 = 1_700_000_000_000;

fn golden(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.bytes().filter_map(|c| (c as char).to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn java(codec: Codec) -> Vec<u8> {
    golden(match codec {
        Codec::None => include_str!("golden/java_none.hex"),
        Codec::Gzip => include_str!("golden/java_gzip.hex"),
        Codec::Snappy => include_str!("golden/java_snappy.hex"),
        Codec::Lz4 => include_str!("golden/java_lz4.hex"),
        Codec::Zstd => include_str!("golden/java_zstd.hex"),
    })
}

/// The value that spans several blocks of snappy and lz4.
fn large() -> Vec<u8> {
    (0..70_000).map(|i| b'a' + (i % 7) as u8).collect()
}

/// What `Golden.java` writes; the large record only into packed batches.
fn golden_records<'a>(codec: Codec, large: &'a [u8]) -> Vec<NewRecord<'a>> {
    let headers = [("h", Some(&b"1"[..])), ("h", None), ("\u{e9}", Some(&b""[..]))];
    let first = headers
        .into_iter()
        .fold(NewRecord::of(b"v0").key(b"k0").at(TIME), |record, (key, value)| {
            record.header(key.as_bytes(), value)
        });
    let mut records = vec![
        first,
        NewRecord::of(b"").at(TIME - 5),
        NewRecord::null().key(b"tombstone").at(TIME + 100_000),
    ];
    if codec != Codec::None {
        records.push(NewRecord::of(large).key(b"").at(TIME + 1));
    }
    records
}

/// The same batch, built by us.
fn ours(codec: Codec, large: &[u8]) -> Vec<u8> {
    let mut builder = Builder::new(codec)
        .base_offset(Offset(42))
        .leader_epoch(LeaderEpoch(9))
        .producer(ProducerId(4711), 3, i32::MAX - 1);
    for record in golden_records(codec, large) {
        builder.push(record);
    }
    builder.build().unwrap()
}

#[test]
fn our_plain_batch_is_javas_byte_for_byte() {
    assert_eq!(ours(Codec::None, &[]), java(Codec::None));
}

#[test]
fn javas_packed_batches_hold_the_same_record_bytes_as_ours() {
    let large = large();
    for codec in Codec::ALL {
        let (java, ours) = (java(codec), ours(codec, &large));
        let (java, ours) = (BatchView::first(&java).unwrap(), BatchView::first(&ours).unwrap());
        assert!(java.check_crc(), "{codec}");
        assert_eq!(java.attributes(), ours.attributes());
        assert_eq!(
            (java.base_offset(), java.last_offset()),
            (ours.base_offset(), ours.last_offset())
        );
        assert_eq!((java.base_timestamp(), java.max_timestamp()), (TIME, TIME + 100_000));
        assert_eq!(java.producer_stamp(), ours.producer_stamp());
        let (java, ours) = (Records::of(&java).unwrap(), Records::of(&ours).unwrap());
        assert_eq!(java.bytes(), ours.bytes(), "{codec}");
        assert!(java.iter().all(|record| record.is_ok()));
    }
}

#[test]
fn javas_batches_pass_the_check_and_keep_their_checksum() {
    for codec in Codec::ALL {
        let mut batch = java(codec);
        patch(&mut batch, Offset(0), LeaderEpoch::NONE, Stamp::Keep);
        for deep in [false, true] {
            let rules = Rules { deep, ..Rules::default() };
            let checked = check_produced(&batch, &rules, TIME).unwrap();
            assert_eq!((checked.stamp, checked.max_timestamp), (Stamp::Keep, TIME + 100_000));
        }
        patch(&mut batch, Offset(42), LeaderEpoch(9), Stamp::Keep);
        assert_eq!(batch, java(codec), "only offset and epoch were written");
    }
}

#[test]
fn javas_append_time_batch_shows_one_time() {
    let bytes = golden(include_str!("golden/java_append_time.hex"));
    let batch = BatchView::first(&bytes).unwrap();
    assert!(batch.check_crc());
    assert_eq!(batch.timestamp_type(), TimestampType::LogAppendTime);
    let records = Records::of(&batch).unwrap();
    assert!(records.iter().all(|record| record.unwrap().timestamp == batch.max_timestamp()));
}

#[test]
fn javas_commit_marker_is_a_control_batch() {
    let bytes = golden(include_str!("golden/java_commit_marker.hex"));
    let batch = BatchView::first(&bytes).unwrap();
    assert!(batch.check_crc());
    assert!(batch.attributes().is_control() && batch.attributes().is_transactional());
    let records = Records::of(&batch).unwrap();
    let marker = records.iter().next().unwrap().unwrap();
    assert_eq!(marker.key, Some(&[0, 0, 0, 1][..]));
    assert_eq!(marker.offset, Offset(99));
}

#[test]
fn a_run_of_golden_batches_splits() {
    let run = Codec::ALL.map(java).concat();
    assert_eq!(split(&run).filter(|batch| batch.is_ok()).count(), 5);
}

#[derive(Clone, Debug)]
struct Generated {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn optional_bytes(max: usize) -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..max))
}

fn generated() -> impl Strategy<Value = Generated> {
    let headers = prop::collection::btree_map("[a-z]{0,8}", optional_bytes(9), 0..4);
    let time = prop_oneof![0i64..100, TIME..TIME + 1_000_000];
    (time, optional_bytes(40), optional_bytes(300), headers).prop_map(
        |(timestamp, key, value, headers)| Generated {
            timestamp,
            key,
            value,
            headers: headers.into_iter().collect(),
        },
    )
}

impl Generated {
    fn ours(&self) -> NewRecord<'_> {
        let mut record = match &self.value {
            Some(value) => NewRecord::of(value),
            None => NewRecord::null(),
        };
        record = record.at(self.timestamp);
        if let Some(key) = &self.key {
            record = record.key(key);
        }
        self.headers
            .iter()
            .fold(record, |record, (key, value)| record.header(key.as_bytes(), value.as_deref()))
    }

    fn theirs(&self, index: i64) -> TheirRecord {
        let bytes = |bytes: &Option<Vec<u8>>| bytes.clone().map(Bytes::from);
        TheirRecord {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: 4,
            producer_id: 17,
            producer_epoch: 2,
            timestamp_type: TheirTimestampType::Creation,
            offset: 1_000 + index,
            sequence: 30 + index as i32,
            timestamp: self.timestamp,
            key: bytes(&self.key),
            value: bytes(&self.value),
            headers: self
                .headers
                .iter()
                .map(|(key, value)| (StrBytes::from_string(key.clone()), bytes(value)))
                .collect::<IndexMap<_, _>>(),
        }
    }
}

fn their_codec(codec: Codec) -> Compression {
    match codec {
        Codec::None => Compression::None,
        Codec::Gzip => Compression::Gzip,
        Codec::Snappy => Compression::Snappy,
        Codec::Lz4 => Compression::Lz4,
        Codec::Zstd => Compression::Zstd,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn kafka_protocol_reads_what_we_build(all in prop::collection::vec(generated(), 1..8), codec in 0usize..5) {
        let codec = Codec::ALL[codec];
        let mut builder = Builder::new(codec)
            .base_offset(Offset(1_000))
            .leader_epoch(LeaderEpoch(4))
            .producer(ProducerId(17), 2, 30);
        for record in &all {
            builder.push(record.ours());
        }
        let mut bytes = Bytes::from(builder.build().unwrap());
        let read = RecordBatchDecoder::decode_with_custom_compression(
            &mut bytes,
            Some(|packed: &mut Bytes, _: Compression| Ok(Bytes::from(unpack(codec, packed, 1 << 20).unwrap()))),
        )
        .unwrap();
        let expected: Vec<_> = all.iter().enumerate().map(|(index, record)| record.theirs(index as i64)).collect();
        prop_assert_eq!(read.records, expected);
    }

    #[test]
    fn we_read_what_kafka_protocol_builds(all in prop::collection::vec(generated(), 1..8), codec in 0usize..5) {
        let codec = Codec::ALL[codec];
        let theirs: Vec<_> = all.iter().enumerate().map(|(index, record)| record.theirs(index as i64)).collect();
        let options = RecordEncodeOptions { version: 2, compression: their_codec(codec) };
        let mut bytes = BytesMut::new();
        let packing = |records: &mut BytesMut, out: &mut BytesMut, _: Compression| {
            out.extend_from_slice(&pack(codec, records).unwrap());
            Ok(())
        };
        RecordBatchEncoder::encode_with_custom_compression(&mut bytes, &theirs, &options, Some(packing)).unwrap();

        let batch = BatchView::first(&bytes).unwrap();
        prop_assert!(batch.check_crc());
        prop_assert_eq!(batch.len(), bytes.len());
        let records = Records::of(&batch).unwrap();
        let read: Vec<_> = records.iter().map(Result::unwrap).collect();
        prop_assert_eq!(read.len(), all.len());
        for (index, (read, written)) in read.iter().zip(&all).enumerate() {
            prop_assert_eq!(read.offset, Offset(1_000 + index as i64));
            prop_assert_eq!(read.timestamp, written.timestamp);
            prop_assert_eq!(read.key, written.key.as_deref());
            prop_assert_eq!(read.value, written.value.as_deref());
            let headers: Vec<_> = read.headers.map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect();
            let expected: Vec<_> = written.headers.iter().map(|(key, value)| (key.clone().into_bytes(), value.clone())).collect();
            prop_assert_eq!(headers, expected);
        }
        let mut produced = bytes.to_vec();
        patch(&mut produced, Offset(0), LeaderEpoch::NONE, Stamp::Keep);
        let rules = Rules { deep: true, ..Rules::default() };
        let checked = check_produced(&produced, &rules, TIME).unwrap();
        prop_assert_eq!(checked.stamp, Stamp::Keep);
    }
}

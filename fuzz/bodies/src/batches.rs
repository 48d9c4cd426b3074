//! Produced batches: the validator, what a leader writes into one, the record iterator, the codecs.
//!
//! Rules: any bytes are taken or refused; what is taken and patched is one whole batch with a right checksum, the offset,
//! epoch and times it was given, and all its producer said; if its records were walked, the iterator reads each of them,
//! in order, and the `kafka-protocol` crate reads the same where it reads them; unpacking never gives more than its cap;
//! what is packed unpacks; runs split into exactly their batches.

use bytes::Bytes;
use kafka_protocol::records::{Compression, RecordBatchDecoder};
use storage::batch::{
    BATCH_HEADER_BYTES, BatchView, Checked, Codec, Records, Rules, Stamp, TimestampType,
    check_produced, copy_patched, pack, split, unpack,
};
use storage::ids::{Count, LeaderEpoch, Offset};

use crate::input::Input;
use crate::made;

/// The most a batch may unpack to here.
const CAP: usize = 256 << 10;
const NOW_MS: i64 = 1_700_000_000_000;

/// What to do, how, then the bytes.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let what = input.below(6);
    let rules = rules(&mut input);
    match what {
        0 => {
            let bytes = input.rest();
            produced(bytes, &rules);
            run_of_batches(bytes);
        }
        1 | 2 => {
            // Bytes whose checksum is right: what a faulty or hostile producer sends.
            let mut bytes = input.rest().to_vec();
            made::fix_crc(&mut bytes);
            produced(&bytes, &rules);
            run_of_batches(&bytes);
        }
        3 => {
            let mut batch = made::batch(&mut input, Offset(0), LeaderEpoch(-1));
            let places = input.below(4);
            made::damage(&mut input, &mut batch, places);
            if input.flag() {
                made::fix_crc(&mut batch);
            }
            produced(&batch, &rules);
        }
        4 => {
            let codec = Codec::ALL[input.below(5)];
            let cap = input.below(40_000);
            unpacked(codec, input.rest(), cap);
        }
        _ => {
            let codec = Codec::ALL[input.below(5)];
            let mut plain = input.rest().to_vec();
            if let [times, ..] = plain[..] {
                plain = plain.repeat(1 + usize::from(times));
                plain.truncate(CAP);
            }
            let packed = pack(codec, &plain).expect("what is small packs");
            assert_eq!(unpack(codec, &packed, plain.len()).as_ref(), Ok(&plain), "{codec}");
            if !plain.is_empty() {
                assert!(unpack(codec, &packed, plain.len() - 1).is_err(), "{codec}: over its cap");
            }
        }
    }
}

fn rules(input: &mut Input<'_>) -> Rules {
    let bits = input.byte();
    let bit = |at: u8| bits & 1 << at != 0;
    Rules {
        deep: !bit(0),
        timestamp_type: match bit(1) {
            true => TimestampType::LogAppendTime,
            false => TimestampType::CreateTime,
        },
        keys_required: bit(2),
        zstd_allowed: !bit(3),
        batch_bytes_max: if bit(4) { 100 } else { 1 << 20 },
        segment_bytes: if bit(5) { 90 } else { 1 << 30 },
        timestamp_after_max_ms: if bit(6) { 1_000 } else { i64::MAX },
        timestamp_before_max_ms: if bit(7) { 1_000 } else { i64::MAX },
        unpacked_bytes_max: CAP,
    }
}

fn produced(bytes: &[u8], rules: &Rules) {
    let checked = match check_produced(bytes, rules, NOW_MS) {
        Ok(checked) => checked,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let _ = (error.refusal(), error.record_index());
            return;
        }
    };
    assert_eq!(checked.batch.len(), bytes.len(), "one batch, all of the bytes");
    assert!(bytes.len() <= rules.batch_bytes_max.min(rules.segment_bytes));
    assert!(checked.batch.count() > 0 && !checked.batch.attributes().is_control());
    let (base, epoch) = (Offset(1 << 40), LeaderEpoch(7));
    let mut stored = vec![0; bytes.len()];
    copy_patched(bytes, &mut stored, base, epoch, checked.stamp);
    let mut batches = split(&stored);
    let stored_batch = batches.next().expect("a batch").expect("a whole one");
    assert!(batches.next().is_none() && batches.position() == stored.len());
    assert!(stored_batch.check_crc(), "the checksum is right: {:?}", checked.stamp);
    assert_eq!((stored_batch.base_offset(), stored_batch.leader_epoch()), (base, epoch));
    assert_eq!(stored_batch.max_timestamp(), checked.max_timestamp);
    assert_eq!(stored_batch.next_offset() - base, Count(i64::from(checked.batch.count())));
    assert_eq!(stored_batch.producer_stamp(), checked.producer);
    assert_eq!(stored_batch.records(), checked.batch.records(), "records stay as sent");
    if checked.codec == Codec::None || rules.deep {
        walked(&stored, &checked, rules);
    }
}

/// The records were looked at, so all of them can be read.
fn walked(stored: &[u8], checked: &Checked<'_>, rules: &Rules) {
    let batch = BatchView::first(stored).expect("it was split off just now");
    let records = Records::unpacked(&batch, CAP).expect("it was unpacked before");
    let mut next = batch.base_offset();
    let mut max = i64::MIN;
    for record in records.iter() {
        let record = record.expect("each was read before");
        assert_eq!(record.offset, next);
        assert!(record.key.is_some() || !rules.keys_required);
        assert_eq!(record.headers.count(), record.headers.len());
        max = max.max(record.timestamp);
        next += Count(1);
    }
    assert_eq!(next, batch.next_offset(), "as many as were counted");
    if checked.stamp == Stamp::Keep || matches!(checked.stamp, Stamp::MaxTimestamp(_)) {
        assert_eq!(batch.max_timestamp(), max.max(-1), "the largest time is the records' own");
        let found = records.max_timestamp().expect("each was read before");
        assert_eq!(found.map(|(_, timestamp)| timestamp), Some(max));
    } else {
        assert_eq!(batch.max_timestamp(), NOW_MS);
    }
    same_records(stored, &records, checked.codec);
}

/// What the crate reads, where it reads it: it wants header keys in UTF-8, and no bytes behind the last record.
fn same_records(stored: &[u8], ours: &Records<'_>, codec: Codec) {
    let mut bytes = Bytes::copy_from_slice(stored);
    let unpacking = |packed: &mut Bytes, _: Compression| {
        Ok(Bytes::from(unpack(codec, packed, CAP).expect("it unpacked before")))
    };
    let theirs = RecordBatchDecoder::decode_with_custom_compression(&mut bytes, Some(unpacking));
    let Ok(theirs) = theirs else { return };
    assert_eq!(theirs.records.len(), ours.iter().count());
    for (theirs, ours) in theirs.records.iter().zip(ours.iter().flatten()) {
        assert_eq!(theirs.offset, ours.offset.0);
        assert_eq!(theirs.key.as_deref(), ours.key);
        assert_eq!(theirs.value.as_deref(), ours.value);
    }
}

fn run_of_batches(bytes: &[u8]) {
    let mut batches = split(bytes);
    let mut at = 0;
    while let Some(batch) = batches.next() {
        let Ok(batch) = batch else {
            assert!(batches.next().is_none(), "an error ends it");
            break;
        };
        assert!(batch.len() >= BATCH_HEADER_BYTES);
        assert_eq!(batch.bytes(), &bytes[at..at + batch.len()]);
        at += batch.len();
        assert_eq!(batches.position(), at);
        let _ =
            (batch.last_offset(), batch.next_offset(), batch.last_sequence(), batch.check_crc());
        if let Ok(records) = Records::unpacked(&batch, 4_096) {
            let limit = records.bytes().len();
            assert!(records.iter().count() <= limit + 1, "each record takes bytes");
            let _ = (records.first_at_or_after(0), records.max_timestamp());
        }
    }
    assert_eq!(batches.position(), at);
}

fn unpacked(codec: Codec, packed: &[u8], cap: usize) {
    let Ok(plain) = unpack(codec, packed, cap) else { return };
    assert!(plain.len() <= cap, "{codec}: {} bytes with a cap of {cap}", plain.len());
    if let Some(less) = plain.len().checked_sub(1) {
        assert!(unpack(codec, packed, less).is_err(), "{codec}: over its cap");
    }
    let packed = pack(codec, &plain).expect("what is small packs");
    assert_eq!(unpack(codec, &packed, plain.len()), Ok(plain), "{codec}");
}

//! Batches made from a fuzzer's bytes, and damage.

use storage::batch::{Builder, Codec, NewRecord, view};
use storage::ids::{LeaderEpoch, Offset, ProducerId};

use crate::input::Input;

/// Where a batch's checksum stands.
const CRC_AT: usize = 17;

/// A batch of one to a few records at `base`; its number of records is in the header.
pub fn batch(input: &mut Input<'_>, base: Offset, epoch: LeaderEpoch) -> Vec<u8> {
    let codec = Codec::ALL[input.below(5)];
    let mut builder = Builder::new(codec).base_offset(base).leader_epoch(epoch);
    if input.flag() {
        let first = input.i32().max(0);
        builder = builder.producer(ProducerId(input.i64().max(0)), input.u16() as i16 & 7, first);
    }
    let time = input.i64();
    for _ in 0..=input.below(4) {
        let value = value(input);
        let key = input.option(|input| input.bytes(8));
        let mut record =
            if input.below(8) == 0 { NewRecord::null() } else { NewRecord::of(&value) };
        record = record.at(time.wrapping_add(i64::from(input.byte())));
        if let Some(key) = key {
            record = record.key(key);
        }
        if input.below(4) == 0 {
            record = record.header(input.bytes(6), input.option(|input| input.bytes(6)));
        }
        builder.push(record);
    }
    builder.build().expect("a small batch can be built")
}

/// A value: a few of the fuzzer's own bytes, or now and then many equal ones.
fn value(input: &mut Input<'_>) -> Vec<u8> {
    match input.below(16) {
        0 => vec![input.byte(); input.below(60_000)],
        1 => vec![input.byte(); input.below(5_000)],
        _ => input.bytes(40).to_vec(),
    }
}

/// Makes the checksum of a batch right, if there is room for one.
pub fn fix_crc(batch: &mut [u8]) {
    if batch.len() >= view::BATCH_HEADER_BYTES {
        let crc = storage::batch::crc::crc32c(&batch[view::CRC_FROM..]);
        batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    }
}

/// Changes bytes in some places, the way disks and wires do: a bit, a byte, a sector, a block, zeros, a few bytes, a
/// block written to the wrong place.
pub fn damage(input: &mut Input<'_>, bytes: &mut [u8], places: usize) {
    damage_by(input, bytes, places, 8);
}

/// [`damage`], but nothing whole appears where it was not.
pub fn damage_in_place(input: &mut Input<'_>, bytes: &mut [u8], places: usize) {
    damage_by(input, bytes, places, 7);
}

fn damage_by(input: &mut Input<'_>, bytes: &mut [u8], places: usize, kinds: usize) {
    for _ in 0..places {
        if bytes.is_empty() {
            return;
        }
        let at = input.u32() as usize % bytes.len();
        match input.below(kinds) {
            0 | 1 => bytes[at] ^= 1 << input.below(8),
            2 => bytes[at] = input.byte(),
            3 => fill(bytes, at - at % 512, 512, 0),
            4 => fill(bytes, at - at % 4096, 4096, 0),
            5 => {
                let byte = input.byte();
                fill(bytes, at - at % 512, 512, byte);
            }
            6 => {
                let patch = input.array::<4>();
                for (byte, new) in bytes.iter_mut().skip(at).zip(patch) {
                    *byte = new;
                }
            }
            _ => {
                let from = input.u32() as usize % bytes.len();
                let (from, to) = (from - from % 4096, at - at % 4096);
                let len = 4096.min(bytes.len() - from).min(bytes.len() - to);
                bytes.copy_within(from..from + len, to);
            }
        }
    }
}

fn fill(bytes: &mut [u8], at: usize, len: usize, byte: u8) {
    let end = (at + len).min(bytes.len());
    bytes[at..end].fill(byte);
}

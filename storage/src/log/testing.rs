//! Batches for the tests of this crate.

use crate::batch::{Builder, Codec, NewRecord};
use crate::ids::Offset;

/// A stored batch of `records` records with `bytes` of value each, that begins with `base`.
pub(crate) fn stored_batch(base: Offset, records: usize, bytes: usize) -> Vec<u8> {
    batch(Builder::new(Codec::None).base_offset(base), records, bytes, 1_000 + base.0)
}

/// A batch as a producer sends it.
pub(crate) fn produced_batch(records: usize, bytes: usize) -> Vec<u8> {
    batch(Builder::new(Codec::None), records, bytes, 1_000)
}

fn batch(mut builder: Builder, records: usize, bytes: usize, timestamp: i64) -> Vec<u8> {
    for at in 0..records {
        builder.push(NewRecord::of(&vec![at as u8; bytes]).at(timestamp));
    }
    builder.build().expect("a small batch is built")
}

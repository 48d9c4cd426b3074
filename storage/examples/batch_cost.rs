//! What taking a produced batch costs: the check, the copy, and both, per batch and per second.
//!
//! `cargo run --release -p storage --example batch_cost`. Batches come from and go to 64 MiB of memory each, more than
//! the caches hold, as they do in a busy broker. "chunked" is the road not taken: checksum and copy together, 16 KiB at
//! a time, before the records are walked in the copy.

#![expect(
    clippy::disallowed_methods,
    reason = "a measurement needs a clock, and no engine runs here"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use storage::batch::crc::{Crc32c, crc32c};
use storage::batch::{Builder, Codec, NewRecord, Rules, Stamp, check_produced, patch};
use storage::ids::{LeaderEpoch, Offset};

const MEMORY_BYTES: usize = 64 << 20;
const CHUNK_BYTES: usize = 16 << 10;
const MEASURED: Duration = Duration::from_millis(400);
const NOW: i64 = 1_700_000_000_000;

/// The best of three runs of `step` over all places in turn, in ns per batch.
fn measure(places: usize, mut step: impl FnMut(usize)) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..3 {
        let (start, mut rounds) = (Instant::now(), 0u32);
        while start.elapsed() < MEASURED / 3 {
            for place in 0..places {
                step(place);
            }
            rounds += 1;
        }
        let batches = f64::from(rounds) * places as f64;
        best = best.min(start.elapsed().as_nanos() as f64 / batches);
    }
    best
}

fn main() {
    println!(
        "{:>9} {:>7} {:>6} | ns per batch: {:>8} {:>8} {:>8} {:>11} {:>8} {:>11} | check+copy",
        "batch", "record", "codec", "crc", "check", "copy", "check+copy", "chunked", "append time"
    );
    let rules = Rules { batch_bytes_max: usize::MAX, ..Rules::default() };
    for (batch_bytes, record_bytes, codec) in [
        (200, 100, Codec::None),
        (1 << 10, 100, Codec::None),
        (16 << 10, 100, Codec::None),
        (16 << 10, 1 << 10, Codec::None),
        (128 << 10, 1 << 10, Codec::None),
        (1 << 20, 100, Codec::None),
        (1 << 20, 10 << 10, Codec::None),
        (16 << 10, 1 << 10, Codec::Lz4),
    ] {
        let value: Vec<u8> = (0..record_bytes).map(|i| (i * i % 251) as u8).collect();
        let mut builder = Builder::new(codec);
        while builder.len() < batch_bytes {
            builder.push(NewRecord::of(&value).at(NOW));
        }
        let batch = builder.build().expect("a codec packs");
        let len = batch.len();
        let places = MEMORY_BYTES / len;
        let source = batch.repeat(places);
        let mut target = vec![1u8; source.len()];
        let at = |place: usize| place * len..(place + 1) * len;
        let (offset, epoch) = (Offset(7), LeaderEpoch(1));

        let crc = measure(places, |place| {
            black_box(crc32c(&source[at(place)][21..]));
        });
        let check = measure(places, |place| {
            black_box(check_produced(&source[at(place)], &rules, NOW).is_ok());
        });
        let copy = measure(places, |place| target[at(place)].copy_from_slice(&source[at(place)]));
        let both = measure(places, |place| {
            let checked = check_produced(&source[at(place)], &rules, NOW).expect("a good batch");
            let target = &mut target[at(place)];
            target.copy_from_slice(checked.batch.bytes());
            patch(target, offset, epoch, checked.stamp);
        });
        let append_time = measure(places, |place| {
            check_produced(&source[at(place)], &rules, NOW).expect("a good batch");
            let target = &mut target[at(place)];
            target.copy_from_slice(&source[at(place)]);
            patch(target, offset, epoch, Stamp::LogAppendTime(NOW));
        });
        // The walk is the check less its checksum; it runs over the copy here.
        let walk = (check - crc).max(0.0);
        let chunked = walk
            + measure(places, |place| {
                let mut crc = Crc32c::new();
                for (from, to) in source[at(place)]
                    .chunks(CHUNK_BYTES)
                    .zip(target[at(place)].chunks_mut(CHUNK_BYTES))
                {
                    crc.update(from);
                    to.copy_from_slice(from);
                }
                black_box(crc.value());
            });
        println!(
            "{len:>9} {record_bytes:>7} {codec:>6} | {:>13} {crc:>8.0} {check:>8.0} {copy:>8.0} \
             {both:>11.0} {chunked:>8.0} {append_time:>11.0} | {:>5.2} GB/s",
            "",
            len as f64 / both
        );
    }
}

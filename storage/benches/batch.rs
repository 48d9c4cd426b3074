//! What a produced batch costs: its check, its one copy with the patch, and the checksum below both.
//!
//! `cargo bench -p storage --bench batch`. The bytes are in the processor's caches; `examples/batch_cost.rs` measures
//! with memory larger than those.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use storage::batch::crc::crc32c;
use storage::batch::{Builder, Codec, NewRecord, Rules, Stamp, check_produced, copy_patched};
use storage::ids::{LeaderEpoch, Offset};

const NOW: i64 = 1_700_000_000_000;

/// A batch of records of 1 KiB.
fn batch(codec: Codec, records: usize) -> Vec<u8> {
    let value: Vec<u8> = (0..1024).map(|at| (at * at % 251) as u8).collect();
    let mut builder = Builder::new(codec);
    for _ in 0..records {
        builder.push(NewRecord::of(&value).at(NOW));
    }
    builder.build().expect("the codec packs")
}

fn checks(c: &mut Criterion) {
    let mut group = c.benchmark_group("check");
    let rules = Rules::default();
    for (name, codec, records) in [
        ("records", Codec::None, 1),
        ("records", Codec::None, 16),
        ("records", Codec::None, 256),
        ("packed-lz4", Codec::Lz4, 16),
    ] {
        let batch = batch(codec, records);
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(BenchmarkId::new(name, records), |b| {
            b.iter(|| {
                let checked = check_produced(black_box(&batch), &rules, NOW);
                checked.expect("a good batch").max_timestamp
            });
        });
    }
}

fn copies(c: &mut Criterion) {
    let mut group = c.benchmark_group("copy");
    for records in [1, 16, 256] {
        let batch = batch(Codec::None, records);
        let mut target = vec![0; batch.len()];
        group.throughput(Throughput::Bytes(batch.len() as u64));
        for (name, stamp) in [("patched", Stamp::Keep), ("append-time", Stamp::LogAppendTime(NOW))]
        {
            group.bench_function(BenchmarkId::new(name, records), |b| {
                b.iter(|| {
                    let batch = black_box(&batch);
                    copy_patched(batch, &mut target, Offset(7), LeaderEpoch(1), stamp);
                });
            });
        }
    }
}

fn checksums(c: &mut Criterion) {
    let mut group = c.benchmark_group("crc32c");
    for bytes in [4 << 10, 64 << 10, 1 << 20] {
        let data = vec![0x5a; bytes];
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::from_parameter(bytes), |b| {
            b.iter(|| crc32c(black_box(&data)));
        });
    }
}

criterion_group!(benches, checks, copies, checksums);
criterion_main!(benches);

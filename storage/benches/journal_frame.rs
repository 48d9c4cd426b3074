//! What a frame of the journal costs: record table, checksum and header of one that is written, and the check of one
//! that is read.
//!
//! `cargo bench -p storage --bench journal_frame`. Sealing is built here of the parts of `journal::frame`, as
//! `journal/building.rs` does in a block of the shard's memory.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use storage::durability::Durability;
use storage::ids::{Generation, LogId, Lsn, Offset};
use storage::journal::EntryKind;
use storage::journal::frame::{
    EntryHead, Frame, HEADER_BYTES, Header, Identity, PAYLOAD_ALIGN, Purpose, Sum, round_up,
};

/// Appends one entry of `payload` for each number to a frame and seals it.
fn seal(frame: &mut Vec<u8>, entries: u32, payload: &[u8]) {
    frame.clear();
    frame.resize(HEADER_BYTES, 0);
    let mut table = Vec::new();
    for entry in 0..entries {
        let head = EntryHead {
            kind: EntryKind::Append,
            roll: false,
            durability: Durability::Device,
            log: LogId { topic: [7; 16], partition: entry, incarnation: 0 },
            base_offset: Offset(1_000),
            next_offset: Offset(1_016),
            payload_at: frame.len() as u32,
            payload_len: payload.len() as u32,
        };
        table.extend_from_slice(&head.encode());
        frame.extend_from_slice(payload);
        frame.resize(frame.len().next_multiple_of(PAYLOAD_ALIGN), 0);
    }
    let table_at = frame.len() as u32;
    frame.extend_from_slice(&table);
    let used = frame.len();
    frame.resize(round_up(used), 0);
    let mut sum = Sum::default();
    sum.update(&frame[HEADER_BYTES..used]);
    let header = Header {
        identity: Identity { generation: Generation(1), shard: 0, salt: 99 },
        purpose: Purpose::Entries,
        durability: Durability::Device,
        file_sequence: 1,
        lsn: Lsn(100),
        previous_lsn: Lsn(99),
        durable_upto: Lsn(100),
        total_len: frame.len() as u32,
        used_len: used as u32,
        table_at,
        entries,
        named: 0,
        written_ms: 0,
    };
    frame[..HEADER_BYTES].copy_from_slice(&header.encode(sum));
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("journal");
    for (entries, payload_bytes) in [(1, 1 << 10), (16, 1 << 10), (1, 256 << 10)] {
        let payload = vec![0x5a; payload_bytes];
        let what = format!("{entries}x{payload_bytes}");
        let mut frame = Vec::new();
        seal(&mut frame, entries, &payload);
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(BenchmarkId::new("decode", &what), |b| {
            b.iter(|| {
                let frame = Frame::check(black_box(&frame)).expect("a good frame");
                frame.entries().map(|entry| entry.payload.len()).sum::<usize>()
            });
        });
        group.bench_function(BenchmarkId::new("seal", &what), |b| {
            b.iter(|| seal(&mut frame, entries, black_box(&payload)));
        });
    }
}

criterion_group!(benches, frames);
criterion_main!(benches);

//! What a node reads when it starts, beside its logs: superblock, checkpoints, producer snapshots, leader epochs,
//! `meta.properties`; as bytes, and as bytes whose checksum is right.
//!
//! Rules: any bytes decode or are refused; what decodes encodes to something that decodes to the same; it keeps the
//! invariants that the code behind it asserts; a superblock or snapshot with one bit changed is refused.

use storage::batch::ProducerStamp;
use storage::batch::crc::crc32c;
use storage::checkpoint::{LogCheckpoint, SegmentMeta};
use storage::ids::{Generation, LeaderEpoch, LogId, Lsn, Offset, ProducerId};
use storage::journal::frame::Identity;
use storage::log::{AppendedBatch, Epochs, Producers};
use storage::node::MetaProperties;
use storage::recovery::Rehearsal;
use storage::superblock::{SLOT_BYTES, Superblock};

use crate::input::Input;

/// What to decode, whether to make its checksum right, then the bytes.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(7) {
        0 => checkpoint(input.rest()),
        1 => made_checkpoint(&mut input),
        2 => superblock(&mut input),
        3 => snapshot(&mut input),
        4 => producers(&mut input),
        5 => epochs(&mut input),
        _ => {
            let text = String::from_utf8_lossy(input.rest()).into_owned();
            let read = MetaProperties::parse(&text);
            assert!(read.cluster_id.is_none_or(|id| text.contains(&id)));
        }
    }
}

fn checkpoint(bytes: &[u8]) {
    let Ok(checkpoint) = LogCheckpoint::decode(bytes) else { return };
    checkpoint.check_invariants();
    let again = checkpoint.encode();
    assert_eq!(LogCheckpoint::decode(&again).as_ref(), Ok(&checkpoint));
    replayed(checkpoint);
}

/// A checkpoint with these fields, whether they fit together or not.
fn made_checkpoint(input: &mut Input<'_>) {
    let checkpoint = LogCheckpoint {
        id: LogId { topic: input.array(), partition: input.u32(), incarnation: input.u32() },
        dir: input.text(30),
        segments: input.list(4, |input| SegmentMeta {
            base: Offset(input.i64()),
            bytes: input.i64() as u64,
            first_timestamp: input.i64(),
            max_timestamp: input.i64(),
            max_timestamp_offset: Offset(input.i64()),
        }),
        synced_upto: Offset(input.i64()),
        tail_image: vec![input.byte(); input.below(4_200)],
        log_start: Offset(input.i64()),
        epochs: input.bytes(48).to_vec(),
        producers: input.bytes(100).to_vec(),
        replay_from: Lsn(input.i64() as u64),
        offline: input.option(|input| input.text(20)),
    };
    if let Ok(read) = LogCheckpoint::decode(&checkpoint.encode()) {
        assert_eq!(read, checkpoint);
        replayed(read);
    }
}

/// A start with this checkpoint and an empty journal: it stays as it is.
fn replayed(checkpoint: LogCheckpoint) {
    let rehearsal = Rehearsal {
        identity: Identity { generation: Generation(1), shard: 0, salt: 0 },
        files: vec![(1, &[0; 8_192])],
        checkpoints: vec![checkpoint.clone()],
        from: checkpoint.replay_from,
        durable: Lsn(0),
        now_ms: 0,
    };
    let came = rehearsal.run();
    let mut expected = LogCheckpoint { replay_from: Lsn(0), ..checkpoint };
    if expected.segments.is_empty() {
        expected.tail_image.clear();
    }
    assert_eq!(came.checkpoints, [expected]);
}

fn superblock(input: &mut Input<'_>) {
    let (fix, flip) = (input.flag(), input.u32() as usize);
    let mut file = input.rest().to_vec();
    let _ = Superblock::decode_newest(&file);
    file.resize(2 * SLOT_BYTES, 0);
    if fix {
        for slot in file.chunks_mut(SLOT_BYTES) {
            slot[12..16].fill(0);
            let crc = crc32c(slot);
            slot[12..16].copy_from_slice(&crc.to_le_bytes());
        }
    }
    let Ok(read) = Superblock::decode_newest(&file) else { return };
    let slot = read.encode();
    assert_eq!(Superblock::decode_slot(&slot).as_ref(), Ok(&read));
    let mut damaged = slot;
    damaged[flip / 8 % SLOT_BYTES] ^= 1 << (flip % 8);
    assert!(Superblock::decode_slot(&damaged).is_err(), "bit {flip} is covered");
}

fn snapshot(input: &mut Input<'_>) {
    let fix = input.flag();
    let mut bytes = input.rest().to_vec();
    if fix && bytes.len() >= 4 {
        let crc = crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
    }
    let Ok((producers, end)) = Producers::from_snapshot(&bytes) else { return };
    // What lies behind the end it claims is not of that time, so it is left out of the next snapshot.
    let again = producers.snapshot(end);
    let (read, same_end) = Producers::from_snapshot(&again).expect("our own snapshot");
    assert_eq!((same_end, read.snapshot(end)), (end, again), "a snapshot of a snapshot");
    operate(input, producers);
}

fn producers(input: &mut Input<'_>) {
    operate(input, Producers::new());
}

/// Batches recorded and cut off again, as a log does it.
fn operate(input: &mut Input<'_>, mut producers: Producers) {
    let mut end = Offset(0);
    while !input.is_empty() {
        match input.below(6) {
            0 => {
                let to = Offset(input.i64());
                producers.truncate(to);
                end = end.min(to);
            }
            1 => {
                let _ = producers.expire(input.i64(), input.i64());
            }
            _ => {
                let count = 1 + input.below(5) as i32;
                let first_sequence = input.i32().max(0);
                let stamp = ProducerStamp {
                    id: ProducerId(i64::from(input.byte() & 7)),
                    epoch: i16::from(input.byte() & 3),
                    first_sequence,
                    last_sequence: first_sequence.wrapping_add(count - 1) & i32::MAX,
                };
                let _ = producers.check(&stamp);
                let batch = AppendedBatch {
                    base_offset: end,
                    last_offset: Offset(end.0.saturating_add(i64::from(count) - 1)),
                    timestamp: input.i64(),
                    last_sequence: stamp.last_sequence,
                };
                assert_eq!(batch.first_sequence(), first_sequence, "sequences go round");
                producers.record(&stamp, batch, 0);
                end = Offset(batch.last_offset.0.saturating_add(1));
                assert_eq!(
                    producers.check(&stamp),
                    storage::log::Verdict::Duplicate(batch),
                    "what was just recorded is known"
                );
            }
        }
    }
    let bytes = producers.snapshot(Offset::MAX);
    let (read, _) = Producers::from_snapshot(&bytes).expect("our own snapshot");
    assert_eq!(read.snapshot(Offset::MAX), bytes);
    assert!(read.len() <= producers.len());
}

fn epochs(input: &mut Input<'_>) {
    let encoded = input.bytes(60);
    let mut epochs = match Epochs::decode(encoded) {
        Some(epochs) => {
            assert_eq!(epochs.encode(), encoded, "the same bytes");
            epochs
        }
        None => Epochs::new(),
    };
    while !input.is_empty() {
        match input.below(4) {
            0 => epochs.truncate_start(Offset(input.i64())),
            1 => epochs.truncate_end(Offset(input.i64())),
            2 => {
                let (epoch, end) = (LeaderEpoch(input.i32()), Offset(input.i64()));
                let found = epochs.end_offset_for(epoch, end);
                assert!(found.is_none_or(|(known, _)| known <= epoch));
                let _ = epochs.epoch_at(end);
            }
            _ => {
                let _ = epochs.append(LeaderEpoch(input.i32()), Offset(input.i64()));
            }
        }
        let read = Epochs::decode(&epochs.encode());
        assert_eq!(read.as_ref(), Some(&epochs), "epochs and their starts rise");
    }
}

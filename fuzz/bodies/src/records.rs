//! Record logs: the frames of a file, and the records in them as checkpoints and as the cluster's metadata; over any
//! bytes, and over files written as the log writes them and then damaged.
//!
//! Rules: a file gives records, says that it holds no snapshot, or names damage; a written file gives back its records; a
//! damaged one gives the first of them, up to a frame of which no copy is whole, and refuses when a whole one stands behind;
//! what decodes encodes to the same; metadata that replays keeps its invariants and its snapshot replays to itself.

use broker::controller::{Image, Record};
use storage::batch::crc::crc32c;
use storage::checkpoint_log::Checkpoints;
use storage::record_log::{Replay, replay};

use crate::input::Input;
use crate::made;

const SEQUENCE: u64 = 4;
const SALT: u64 = 99;
const ALIGN: usize = 4096;

/// Which way, then the bytes or the script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(4) {
        0 => {
            let bytes = input.rest();
            if let Ok(Replay::Records { records, end, snapshot_bytes, .. }) =
                replay(bytes, SEQUENCE)
            {
                assert!(snapshot_bytes <= end && end <= bytes.len() as u64);
                meaning(&records);
            }
        }
        1 => meaning(&texts(&mut input)),
        _ => written(&mut input),
    }
}

/// Records as lengths and bytes.
fn texts(input: &mut Input<'_>) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while !input.is_empty() {
        records.push(input.bytes(255).to_vec());
    }
    records
}

/// What the two logs in use would make of these records.
fn meaning(records: &[Vec<u8>]) {
    if let Ok(checkpoints) = Checkpoints::replay(records) {
        let again = checkpoints.records();
        assert_eq!(Checkpoints::replay(&again).as_ref(), Ok(&checkpoints));
    }
    let mut image = Image::default();
    for bytes in records {
        let Ok(record) = Record::decode(bytes) else { continue };
        assert_eq!(record.encode(), *bytes, "a record is what its bytes say");
        let before = image.clone();
        if image.replay(&record).is_err() {
            assert_eq!(image, before, "on an error nothing was changed");
        }
    }
    image.check_invariants();
    let mut again = Image::default();
    for record in image.snapshot() {
        let replayed = again.replay(&record);
        assert!(replayed.is_ok(), "a snapshot replays: {replayed:?}");
    }
    assert_eq!(again, image);
}

/// A frame, as `storage/src/record_log/frame.rs` draws it.
fn frame(sequence: u64, number: u64, flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let used = 56 + records.iter().map(|record| 4 + record.len()).sum::<usize>();
    let total = used.next_multiple_of(ALIGN);
    let mut out = b"HDLRECRD".to_vec();
    out.extend_from_slice(&1u16.to_le_bytes());
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for word in [sequence, SALT, number] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for word in [total as u32, used as u32, records.len() as u32, 0] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for record in records {
        out.extend_from_slice(&(record.len() as u32).to_le_bytes());
        out.extend_from_slice(record);
    }
    let crc = crc32c(&out);
    out[12..16].copy_from_slice(&crc.to_le_bytes());
    out.resize(total, 0);
    out
}

fn written(input: &mut Input<'_>) {
    let stale = input.flag();
    // As it is written now, and as it was before frames had copies.
    let copies = 1 + input.below(2);
    let mut file = Vec::new();
    // (where it begins, its bytes, its records)
    let mut frames: Vec<(usize, Vec<u8>, Vec<Vec<u8>>)> = Vec::new();
    let snapshots = 1 + input.below(2);
    for number in 0..snapshots + input.below(6) {
        let large = input.below(8) == 0;
        let mut records = input.list(3, |input| input.bytes(200).to_vec());
        if large {
            records.push(vec![input.byte(); 5_000]);
        }
        let flags = match number + 1 {
            n if n < snapshots => 1,
            n if n == snapshots => 3,
            _ => 0,
        };
        let bytes = frame(SEQUENCE, number as u64, flags, &records);
        frames.push((file.len(), bytes.clone(), records));
        file.extend(bytes.repeat(copies));
    }
    let length = file.len();
    file.resize(length + ALIGN * input.below(4), 0);
    if stale && file.len() > length {
        // What the file held under an older sequence.
        let old = frame(SEQUENCE - 2, 7, 0, &[]);
        file[length..length + ALIGN].copy_from_slice(&old);
    }
    let places = input.below(4);
    made::damage_in_place(input, &mut file, places);

    let used = |bytes: &[u8]| u32::from_le_bytes(bytes[44..48].try_into().expect("four")) as usize;
    let whole = |(at, bytes, _): &(usize, Vec<u8>, _)| {
        let used = used(bytes);
        let mut places = (0..copies).map(|copy| at + copy * bytes.len());
        places.any(|at| file.get(at..at + used) == Some(&bytes[..used]))
    };
    let first_hurt = frames.iter().position(|frame| !whole(frame)).unwrap_or(frames.len());
    let whole_behind = frames.iter().skip(first_hurt).any(whole);
    match replay(&file, SEQUENCE) {
        Ok(Replay::Records { records, next_number, .. }) => {
            assert!(!whole_behind, "a whole frame behind the damage proves it acknowledged");
            let expected: Vec<&Vec<u8>> =
                frames[..first_hurt].iter().flat_map(|(_, _, records)| records).collect();
            assert_eq!(
                records.iter().collect::<Vec<_>>(),
                expected,
                "the records before the damage"
            );
            assert_eq!(next_number, first_hurt as u64);
            meaning(&records);
        }
        Ok(Replay::NoSnapshot { .. }) => {
            assert!(first_hurt < snapshots, "its snapshot is whole");
            assert!(!whole_behind, "a whole frame behind the damage proves it acknowledged");
        }
        Err(damage) => {
            assert!(first_hurt < frames.len(), "nothing was hurt: {damage}");
            assert!(damage.next_position >= damage.position);
        }
    }
}

//! The frames of a record log's file and what a file's bytes say after a stop. Pure.
//!
//! ```text
//!  0 magic "HDLRECRD" | 8 version u16 | 10 flags u16 | 12 crc32c u32 over the frame with this as zero
//! 16 file sequence u64 | 24 salt u64 | 32 frame number u64
//! 40 total_len u32 | 44 used_len u32 | 48 records u32 | 52 zero u32
//! 56 records: u32 length and bytes each | zeros to the next 4,096
//! flags: 1 = part of the snapshot, 2 = the snapshot's last frame
//! ```
//!
//! A file starts with the snapshot's frames, number 0 on. One append is one frame, so an append is there whole or not
//! at all. Each frame is durable before the next is written: a valid frame behind a broken one proves that the
//! broken one was acknowledged, and the log is refused as damaged. A broken last frame is a write cut short. What
//! remains: damage to the very last frame, with nothing behind it, cannot be told from that.

use crate::checkpoint::Reader;

/// Frames begin at multiples of this many bytes.
pub(super) const ALIGN: usize = 4096;
pub(super) const HEADER_BYTES: usize = 56;

const MAGIC: [u8; 8] = *b"HDLRECRD";
const VERSION: u16 = 1;
const FLAG_SNAPSHOT: u16 = 1;
const FLAG_SNAPSHOT_END: u16 = 2;
const CRC_AT: usize = 12;

/// Which part of its file a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// More of the snapshot follows.
    Snapshot,
    /// The snapshot ends with it.
    SnapshotEnd,
    /// It was appended.
    Append,
}

/// Where a frame belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) sequence: u64,
    pub(super) salt: u64,
    pub(super) number: u64,
}

/// A frame's bytes, padding included.
pub(super) fn encode(place: Place, part: Part, records: &[Vec<u8>]) -> Vec<u8> {
    let used = encoded_len(records);
    let total = used.next_multiple_of(ALIGN);
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    let flags = match part {
        Part::Snapshot => FLAG_SNAPSHOT,
        Part::SnapshotEnd => FLAG_SNAPSHOT | FLAG_SNAPSHOT_END,
        Part::Append => 0,
    };
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for number in [place.sequence, place.salt, place.number] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for number in [total as u32, used as u32, records.len() as u32, 0] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for record in records {
        out.extend_from_slice(&(record.len() as u32).to_le_bytes());
        out.extend_from_slice(record);
    }
    let crc = crc_fast::crc32_iscsi(&out);
    out[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    out.resize(total, 0);
    out
}

/// Bytes of a frame with these records, padding aside.
pub(super) fn encoded_len(records: &[Vec<u8>]) -> usize {
    HEADER_BYTES + records.iter().map(|record| 4 + record.len()).sum::<usize>()
}

struct Found {
    place: Place,
    part: Part,
    total: usize,
    records: Vec<Vec<u8>>,
}

fn decode(bytes: &[u8]) -> Option<Found> {
    let mut reader = Reader(bytes);
    if reader.array() != Some(MAGIC) || reader.u16() != Some(VERSION) {
        return None;
    }
    let part = match reader.u16()? {
        0 => Part::Append,
        FLAG_SNAPSHOT => Part::Snapshot,
        flags if flags == FLAG_SNAPSHOT | FLAG_SNAPSHOT_END => Part::SnapshotEnd,
        _ => return None,
    };
    let crc = reader.u32()?;
    let place = Place { sequence: reader.u64()?, salt: reader.u64()?, number: reader.u64()? };
    let (total, used) = (reader.u32()? as usize, reader.u32()? as usize);
    let (count, _) = (reader.u32()?, reader.u32()?);
    let fits = total.is_multiple_of(ALIGN) && used <= total && total <= bytes.len();
    if !fits || used < HEADER_BYTES {
        return None;
    }
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(&bytes[..CRC_AT]);
    digest.update(&[0; 4]);
    digest.update(&bytes[CRC_AT + 4..used]);
    if digest.finalize() as u32 != crc {
        return None;
    }
    let mut reader = Reader(&bytes[HEADER_BYTES..used]);
    let mut records = Vec::new();
    for _ in 0..count {
        records.push(reader.bytes()?.to_vec());
    }
    reader.0.is_empty().then_some(Found { place, part, total, records })
}

/// What one file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// No snapshot was completed in it: a file kept ready, or a snapshot cut short.
    NoSnapshot {
        /// It holds frames of an older file: it was in use before and is kept ready again.
        used_before: bool,
    },
    /// The log as of this file.
    Records {
        /// The snapshot's records, then the appended ones.
        records: Vec<Vec<u8>>,
        /// The file's salt.
        salt: u64,
        /// The number of the next frame.
        next_number: u64,
        /// Where the next frame goes.
        end: u64,
        /// Bytes of the snapshot's frames.
        snapshot_bytes: u64,
    },
}

/// A frame that was acknowledged does not check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the frame at byte {position} is damaged; frame {next} at byte {next_position} behind it is whole"
)]
pub struct RecordsDamage {
    /// Where the damage is.
    pub position: u64,
    /// The number of the first whole frame behind it.
    pub next: u64,
    /// Where that one is.
    pub next_position: u64,
}

/// Reads a whole file of the log; `sequence` is its place, from its name. Total over any bytes.
pub fn replay(file: &[u8], sequence: u64) -> Result<Replay, RecordsDamage> {
    let mut records = Vec::new();
    let (mut at, mut number, mut salt) = (0, 0, None);
    let mut snapshot_bytes = None;
    while let Some(found) = decode(&file[at..]) {
        let expected = Place { sequence, salt: salt.unwrap_or(found.place.salt), number };
        // The snapshot comes first and once: a frame of the wrong part was not written by this log.
        let in_order = (found.part == Part::Append) == snapshot_bytes.is_some();
        if found.place != expected || !in_order {
            break;
        }
        records.extend(found.records);
        salt = Some(found.place.salt);
        at += found.total;
        number += 1;
        if found.part == Part::SnapshotEnd {
            snapshot_bytes = Some(at as u64);
        }
        if at >= file.len() {
            break;
        }
    }
    let used_before =
        check_behind(file, at, Place { sequence, salt: salt.unwrap_or(0), number }, salt)?;
    match (salt, snapshot_bytes) {
        (Some(salt), Some(snapshot_bytes)) => Ok(Replay::Records {
            records,
            salt,
            next_number: number,
            end: at as u64,
            snapshot_bytes,
        }),
        _ => Ok(Replay::NoSnapshot { used_before }),
    }
}

/// Looks for whole frames of this file behind `at`. Says whether frames of an older file stand there.
fn check_behind(
    file: &[u8],
    mut at: usize,
    expected: Place,
    salt: Option<u64>,
) -> Result<bool, RecordsDamage> {
    let broken = at as u64;
    let mut used_before = false;
    while at < file.len() {
        if let Some(found) = decode(&file[at..]) {
            let ours = found.place.sequence == expected.sequence
                && salt.is_none_or(|salt| salt == found.place.salt)
                && found.place.number > expected.number;
            if ours {
                return Err(RecordsDamage {
                    position: broken,
                    next: found.place.number,
                    next_position: at as u64,
                });
            }
            used_before |= found.place.sequence < expected.sequence;
        }
        at += ALIGN;
    }
    Ok(used_before)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use proptest::prelude::*;

    fn place(number: u64) -> Place {
        Place { sequence: 4, salt: 99, number }
    }

    fn record(byte: u8, len: usize) -> Vec<u8> {
        vec![byte; len]
    }

    /// A snapshot of two frames and `appends` frames behind it, in a file of 128 KiB.
    fn file(appends: usize) -> Vec<u8> {
        let mut file = encode(place(0), Part::Snapshot, &[record(1, 10), record(2, 5000)]);
        file.extend(encode(place(1), Part::SnapshotEnd, &[]));
        for number in 0..appends {
            let records = [record(number as u8, 100 * number)];
            file.extend(encode(place(2 + number as u64), Part::Append, &records));
        }
        file.resize(128 << 10, 0);
        file
    }

    fn records_of(file: &[u8]) -> Vec<Vec<u8>> {
        match replay(file, 4).unwrap() {
            Replay::Records { records, .. } => records,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_reads_back_as_written() {
        let records = records_of(&file(3));
        assert_eq!(records.len(), 5);
        assert_eq!(records[1], record(2, 5000));
        assert_eq!(records[4], record(2, 200));
    }

    #[test]
    fn a_torn_tail_is_tolerated_at_every_sector() {
        let whole = file(3);
        let Replay::Records { end, .. } = replay(&whole, 4).unwrap() else { panic!() };
        let last = end as usize - ALIGN;
        for sector in 0..8 {
            let mut torn = whole.clone();
            torn[last + sector * 512..].fill(0);
            let expected = if sector == 0 { 4 } else { 5 };
            assert_eq!(records_of(&torn).len(), expected, "sector {sector}");
        }
    }

    #[test]
    fn damage_in_the_middle_is_told_from_a_torn_tail() {
        let mut damaged = file(3);
        damaged[8192 + 4096 + 50] ^= 1;
        let damage = replay(&damaged, 4).unwrap_err();
        assert_eq!((damage.position, damage.next), (8192 + 4096, 3));
        let mut first = file(3);
        first[20] ^= 1;
        assert_eq!(replay(&first, 4).unwrap_err().position, 0);
    }

    #[test]
    fn a_snapshot_cut_short_is_no_snapshot() {
        let mut file = file(0);
        file[8192..].fill(0);
        assert_eq!(replay(&file, 4), Ok(Replay::NoSnapshot { used_before: false }));
    }

    #[test]
    fn a_file_used_before_is_known_by_its_old_frames() {
        assert_eq!(replay(&file(3), 5), Ok(Replay::NoSnapshot { used_before: true }));
        assert_eq!(replay(&[0; 8192], 5), Ok(Replay::NoSnapshot { used_before: false }));
        let mut reused = file(3);
        let fresh = encode(Place { sequence: 6, salt: 3, number: 0 }, Part::SnapshotEnd, &[]);
        reused[..fresh.len()].copy_from_slice(&fresh);
        match replay(&reused, 6).unwrap() {
            Replay::Records { records, next_number, .. } => {
                assert!(records.is_empty() && next_number == 1)
            }
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn any_bytes_replay_without_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..9000)) {
            let _ = replay(&bytes, 4);
            if bytes.len() > 56 {
                bytes[..8].copy_from_slice(&MAGIC);
                bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
                let _ = replay(&bytes, 4);
            }
        }

        #[test]
        fn one_flipped_bit_is_damage_or_a_torn_tail(at in 0usize..6 * ALIGN, bit in 0u8..8) {
            let mut file = file(3);
            file[at] ^= 1 << bit;
            if let Ok(Replay::Records { records, .. }) = replay(&file, 4) {
                // Either nothing was hurt (padding), or the last frame looks torn.
                prop_assert!(records.len() == 5 || (records.len() == 4 && at >= 5 * ALIGN));
            }
        }
    }
}

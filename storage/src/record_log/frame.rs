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
//! at all. Each frame stands there twice, one copy behind the other, and is durable before the next is written: one
//! damaged block costs no record, wherever it is. A valid frame behind two broken copies proves that they were
//! acknowledged, and the log is refused as damaged; with nothing behind them they are a write cut short. What remains:
//! damage to both copies of the very last frame cannot be told from that.

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
        /// Where the last frame's first whole copy begins.
        last: u64,
        /// Where the next frame goes.
        end: u64,
        /// Bytes of the snapshot's frames.
        snapshot_bytes: u64,
        /// Frames of which one copy is damaged; the other one was read.
        healed: u64,
    },
}

/// A frame that was acknowledged does not check, and neither does its copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "both copies of the frame at byte {position} are damaged; frame {next} at byte {next_position} behind them is whole"
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
    let (mut snapshot_bytes, mut healed, mut last) = (None, 0, 0);
    let used_before = loop {
        // The snapshot comes first and once: a frame of the wrong part was not written by this log.
        let wanted = Wanted { sequence, salt, number, append: snapshot_bytes.is_some() };
        let found = match decode(&file[at..]) {
            Some(found) if wanted.is(&found) => found,
            Some(found) if wanted.is_copy_of_last(&found) => {
                at += found.total;
                if snapshot_bytes.is_some() && found.part == Part::SnapshotEnd {
                    snapshot_bytes = Some(at as u64);
                }
                continue;
            }
            _ => match look_behind(file, at, &wanted)? {
                Behind::Wanted { position, found } => {
                    healed += 1;
                    at = position;
                    found
                }
                Behind::Nothing { used_before } => break used_before,
            },
        };
        records.extend(found.records);
        salt = Some(found.place.salt);
        last = at as u64;
        at += found.total;
        number += 1;
        if found.part == Part::SnapshotEnd {
            snapshot_bytes = Some(at as u64);
        }
    };
    match (salt, snapshot_bytes) {
        (Some(salt), Some(snapshot_bytes)) => Ok(Replay::Records {
            records,
            salt,
            next_number: number,
            last,
            end: at as u64,
            snapshot_bytes,
            healed,
        }),
        _ => Ok(Replay::NoSnapshot { used_before }),
    }
}

/// The next frame to be found. The salt is that of the file's first frame.
struct Wanted {
    sequence: u64,
    salt: Option<u64>,
    number: u64,
    append: bool,
}

impl Wanted {
    fn is_of_this_file(&self, place: Place) -> bool {
        place.sequence == self.sequence && self.salt.is_none_or(|salt| salt == place.salt)
    }

    fn is(&self, found: &Found) -> bool {
        self.is_of_this_file(found.place)
            && found.place.number == self.number
            && (found.part == Part::Append) == self.append
    }

    fn is_copy_of_last(&self, found: &Found) -> bool {
        self.salt.is_some()
            && self.is_of_this_file(found.place)
            && found.place.number + 1 == self.number
    }
}

enum Behind {
    /// The frame itself: what stands before it is a damaged copy, of it or of the one before.
    Wanted { position: usize, found: Found },
    /// The log ends. `used_before`: frames of an older file stand there.
    Nothing { used_before: bool },
}

/// Looks for whole frames of this file from `at` on: for the one wanted before all.
fn look_behind(file: &[u8], mut at: usize, wanted: &Wanted) -> Result<Behind, RecordsDamage> {
    let broken = at as u64;
    let mut used_before = false;
    let mut later = None;
    while at < file.len() {
        if let Some(found) = decode(&file[at..]) {
            if wanted.is(&found) {
                return Ok(Behind::Wanted { position: at, found });
            }
            if wanted.is_of_this_file(found.place) && found.place.number > wanted.number {
                later = later.or(Some((found.place.number, at as u64)));
            }
            used_before |= found.place.sequence < wanted.sequence;
        }
        at += ALIGN;
    }
    match later {
        Some((next, next_position)) => Err(RecordsDamage { position: broken, next, next_position }),
        None => Ok(Behind::Nothing { used_before }),
    }
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

    /// A snapshot of two frames (two blocks and one) and `appends` frames of a block behind it, each `copies` times, in a
    /// file of 128 KiB.
    fn file_of(appends: usize, copies: usize) -> Vec<u8> {
        let snapshot = encode(place(0), Part::Snapshot, &[record(1, 10), record(2, 5000)]);
        let mut file = snapshot.repeat(copies);
        file.extend(encode(place(1), Part::SnapshotEnd, &[]).repeat(copies));
        for number in 0..appends {
            let records = [record(number as u8, 100 * number)];
            file.extend(encode(place(2 + number as u64), Part::Append, &records).repeat(copies));
        }
        file.resize(128 << 10, 0);
        file
    }

    fn file(appends: usize) -> Vec<u8> {
        file_of(appends, 2)
    }

    /// Bytes of the snapshot in [`file`].
    const SNAPSHOT: usize = 6 * ALIGN;

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
    fn a_file_with_one_copy_of_each_frame_is_read_as_well() {
        assert_eq!(records_of(&file_of(3, 1)), records_of(&file(3)));
    }

    #[test]
    fn a_torn_tail_is_tolerated_at_every_sector() {
        let whole = file(3);
        let Replay::Records { end, healed, .. } = replay(&whole, 4).unwrap() else { panic!() };
        assert_eq!((end as usize, healed), (SNAPSHOT + 6 * ALIGN, 0));
        let last = end as usize - 2 * ALIGN;
        for sector in 0..16 {
            let mut torn = whole.clone();
            torn[last + sector * 512..].fill(0);
            let expected = if sector == 0 { 4 } else { 5 };
            assert_eq!(records_of(&torn).len(), expected, "sector {sector}");
        }
    }

    #[test]
    fn a_damaged_block_costs_no_record() {
        let whole = file(3);
        let records = records_of(&whole);
        let Replay::Records { end, .. } = replay(&whole, 4).unwrap() else { panic!() };
        let blocks: Vec<Vec<u8>> = whole.chunks(ALIGN).map(<[u8]>::to_vec).collect();
        for (number, at) in (0..end as usize).step_by(ALIGN).enumerate() {
            let mut zeros = whole.clone();
            zeros[at..at + ALIGN].fill(0);
            assert_eq!(records_of(&zeros), records, "block {number}");
            // A block of another place, which is whole in itself.
            for other in &blocks {
                let mut misplaced = whole.clone();
                misplaced[at..at + ALIGN].copy_from_slice(other);
                assert_eq!(records_of(&misplaced), records, "block {number}");
            }
        }
    }

    #[test]
    fn a_healed_frame_is_counted() {
        let mut damaged = file(3);
        damaged[SNAPSHOT + 50] ^= 1;
        let Replay::Records { healed, .. } = replay(&damaged, 4).unwrap() else { panic!() };
        assert_eq!(healed, 1);
    }

    #[test]
    fn damage_in_the_middle_is_told_from_a_torn_tail() {
        let mut damaged = file(3);
        for copy in [2, 3] {
            damaged[SNAPSHOT + copy * ALIGN + 50] ^= 1;
        }
        let damage = replay(&damaged, 4).unwrap_err();
        assert_eq!((damage.position, damage.next), ((SNAPSHOT + 2 * ALIGN) as u64, 4));
        let mut first = file(3);
        for copy in [0, 2] {
            first[copy * ALIGN + 20] ^= 1;
        }
        assert_eq!(replay(&first, 4).unwrap_err().position, 0);
    }

    #[test]
    fn a_snapshot_cut_short_is_no_snapshot() {
        let mut file = file(0);
        file[4 * ALIGN..].fill(0);
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
        fn one_flipped_bit_costs_nothing(at in 0usize..13 * ALIGN, bit in 0u8..8) {
            let mut damaged = file(3);
            damaged[at] ^= 1 << bit;
            prop_assert_eq!(records_of(&damaged), records_of(&file(3)));
        }
    }
}

//! The node's superblock: who it is, which generation of journals is in force, and how this device is flushed.
//!
//! Two 4 KiB slots in one file, written one after the other at each change: a torn write leaves the old content in one,
//! damage leaves the new content in one. The slot with the higher sequence and a right checksum counts.
//!
//! ```text
//! 0 magic "HDLSUPER" | 8 version u16 | 10 flags u16 (1 = clean stop) | 12 crc32c u32 over the slot with this as zero
//! 16 sequence u64 | 24 generation u32 | 28 shards u16 | 30 flush primitive u16 (1 = O_DSYNC, 2 = write, fdatasync)
//! 32 salt u64 | 40 node id i32 | 44 zero u32 | 48 directory id 16 | 64 formatted, unix ms i64
//! 72 calibration: O_DSYNC p50, p99; write+fdatasync p50, p99, microseconds, u32 each; 88 writes of each u32
//! 92 cluster id: u16 length, up to 64 bytes of text | zeros to 4096
//! ```

use crate::checkpoint::Reader;
use crate::ids::Generation;

/// Bytes of a slot.
pub const SLOT_BYTES: usize = 4096;
/// Most bytes of a cluster id.
pub const CLUSTER_ID_BYTES_MAX: usize = 64;

const MAGIC: [u8; 8] = *b"HDLSUPER";
const VERSION: u16 = 1;
const FLAG_CLEAN: u16 = 1;
const CRC_AT: usize = 12;

/// How a journal write is made durable. Which is faster swings by 2.4 times either way between drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushPrimitive {
    /// The file is open with `O_DSYNC`: one operation, with FUA where the device has it.
    Dsync,
    /// A write linked to an `fdatasync`.
    WriteThenSync,
}

impl FlushPrimitive {
    /// The name used in logs and reports.
    pub const fn name(self) -> &'static str {
        match self {
            FlushPrimitive::Dsync => "O_DSYNC",
            FlushPrimitive::WriteThenSync => "write+fdatasync",
        }
    }

    const fn code(self) -> u16 {
        match self {
            FlushPrimitive::Dsync => 1,
            FlushPrimitive::WriteThenSync => 2,
        }
    }

    const fn from_code(code: u16) -> Option<FlushPrimitive> {
        match code {
            1 => Some(FlushPrimitive::Dsync),
            2 => Some(FlushPrimitive::WriteThenSync),
            _ => None,
        }
    }
}

/// What both primitives cost on this device, in microseconds for 4 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calibration {
    /// Median of a write on an `O_DSYNC` file.
    pub dsync_p50_us: u32,
    /// Its 99th percentile.
    pub dsync_p99_us: u32,
    /// Median of a write linked to an `fdatasync`.
    pub sync_p50_us: u32,
    /// Its 99th percentile.
    pub sync_p99_us: u32,
    /// How many of each were measured; 0 before the first calibration.
    pub writes: u32,
}

impl Calibration {
    /// The faster primitive by median.
    pub fn fastest(&self) -> FlushPrimitive {
        if self.dsync_p50_us <= self.sync_p50_us {
            FlushPrimitive::Dsync
        } else {
            FlushPrimitive::WriteThenSync
        }
    }
}

/// The superblock's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Rises with each write of the superblock.
    pub sequence: u64,
    /// The journals in force. 0 before the first start.
    pub generation: Generation,
    /// How many shards wrote that generation's journals.
    pub shards: u16,
    /// The last stop wrote everything behind and said so.
    pub clean: bool,
    /// The generation's random number; see the journal's frame.
    pub salt: u64,
    /// `node.id`.
    pub node_id: i32,
    /// `directory.id`, a UUID.
    pub directory_id: [u8; 16],
    /// `cluster.id`.
    pub cluster_id: String,
    /// When the directory was formatted.
    pub formatted_ms: i64,
    /// The flush primitive in force.
    pub flush: FlushPrimitive,
    /// The measurement behind it.
    pub calibration: Calibration,
}

/// Why a superblock cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuperblockError {
    /// Neither slot holds a valid superblock.
    #[error("neither slot of the superblock is valid")]
    Invalid,
    /// Written by a later build.
    #[error("the directory's format version is {0}; this build knows {VERSION}")]
    Version(u16),
}

impl Superblock {
    /// Where this superblock is written: the slot its sequence falls on.
    pub fn slot_position(&self) -> u64 {
        (self.sequence % 2) * SLOT_BYTES as u64
    }

    /// One slot's bytes.
    ///
    /// # Panics
    /// When the cluster id is longer than 64 bytes; it is checked where it is configured.
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.cluster_id.len() <= CLUSTER_ID_BYTES_MAX, "a cluster id has at most 64 bytes");
        let mut out = Vec::with_capacity(SLOT_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(if self.clean { FLAG_CLEAN } else { 0 }).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.generation.0.to_le_bytes());
        out.extend_from_slice(&self.shards.to_le_bytes());
        out.extend_from_slice(&self.flush.code().to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.node_id.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.directory_id);
        out.extend_from_slice(&self.formatted_ms.to_le_bytes());
        let c = &self.calibration;
        for number in [c.dsync_p50_us, c.dsync_p99_us, c.sync_p50_us, c.sync_p99_us, c.writes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&(self.cluster_id.len() as u16).to_le_bytes());
        out.extend_from_slice(self.cluster_id.as_bytes());
        out.resize(SLOT_BYTES, 0);
        let crc = crc_fast::crc32_iscsi(&out);
        out[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Decodes one slot; total over any bytes.
    pub fn decode_slot(slot: &[u8]) -> Result<Superblock, SuperblockError> {
        let slot = slot.get(..SLOT_BYTES).ok_or(SuperblockError::Invalid)?;
        let mut zeroed = slot.to_vec();
        zeroed[CRC_AT..CRC_AT + 4].fill(0);
        let expected = crc_fast::crc32_iscsi(&zeroed);
        let mut reader = Reader(slot);
        let invalid = SuperblockError::Invalid;
        if reader.array() != Some(MAGIC) {
            return Err(invalid);
        }
        let version = reader.u16().ok_or(invalid)?;
        let flags = reader.u16().ok_or(invalid)?;
        if reader.u32() != Some(expected) {
            return Err(invalid);
        }
        // The version counts only once the checksum is right: damage is not a later build.
        if version != VERSION {
            return Err(SuperblockError::Version(version));
        }
        read_fields(&mut reader, flags).ok_or(invalid)
    }

    /// Slots of a superblock file's bytes that hold something and do not check.
    pub fn damaged_slots(file: &[u8]) -> usize {
        let second = file.get(SLOT_BYTES..).unwrap_or(&[]);
        let damaged = |slot: &[u8]| {
            let slot = slot.get(..SLOT_BYTES).unwrap_or(slot);
            slot.iter().any(|byte| *byte != 0) && Superblock::decode_slot(slot).is_err()
        };
        [file, second].into_iter().filter(|slot| damaged(slot)).count()
    }

    /// The valid slot with the higher sequence of a superblock file's bytes.
    pub fn decode_newest(file: &[u8]) -> Result<Superblock, SuperblockError> {
        let second = file.get(SLOT_BYTES..).unwrap_or(&[]);
        match (Superblock::decode_slot(file), Superblock::decode_slot(second)) {
            (Ok(a), Ok(b)) => Ok(if a.sequence >= b.sequence { a } else { b }),
            (Err(later @ SuperblockError::Version(_)), _)
            | (_, Err(later @ SuperblockError::Version(_))) => Err(later),
            (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(one),
            (Err(invalid), Err(_)) => Err(invalid),
        }
    }
}

fn read_fields(reader: &mut Reader<'_>, flags: u16) -> Option<Superblock> {
    let sequence = reader.u64()?;
    let generation = Generation(reader.u32()?);
    let shards = reader.u16()?;
    let flush = FlushPrimitive::from_code(reader.u16()?)?;
    let salt = reader.u64()?;
    let node_id = reader.array().map(i32::from_le_bytes)?;
    reader.u32()?;
    let directory_id = reader.array()?;
    let formatted_ms = reader.i64()?;
    let calibration = Calibration {
        dsync_p50_us: reader.u32()?,
        dsync_p99_us: reader.u32()?,
        sync_p50_us: reader.u32()?,
        sync_p99_us: reader.u32()?,
        writes: reader.u32()?,
    };
    let len = reader.u16()? as usize;
    if len > CLUSTER_ID_BYTES_MAX {
        return None;
    }
    let cluster_id = String::from_utf8(reader.take(len)?.to_vec()).ok()?;
    Some(Superblock {
        sequence,
        generation,
        shards,
        clean: flags & FLAG_CLEAN != 0,
        salt,
        node_id,
        directory_id,
        cluster_id,
        formatted_ms,
        flush,
        calibration,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn sample(sequence: u64) -> Superblock {
        Superblock {
            sequence,
            generation: Generation(9),
            shards: 2,
            clean: true,
            salt: 0xabcd_ef01_2345,
            node_id: 1,
            directory_id: [4; 16],
            cluster_id: "MkU3OEVBNTcwNTJENDM2Qk".to_owned(),
            formatted_ms: 1_790_000_000_000,
            flush: FlushPrimitive::WriteThenSync,
            calibration: Calibration {
                dsync_p50_us: 104,
                dsync_p99_us: 300,
                sync_p50_us: 90,
                sync_p99_us: 400,
                writes: 64,
            },
        }
    }

    #[test]
    fn a_slot_reads_back_as_written() {
        let slot = sample(4).encode();
        assert_eq!(slot.len(), SLOT_BYTES);
        assert_eq!(Superblock::decode_slot(&slot).unwrap(), sample(4));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let slot = sample(4).encode();
        for at in (0..200).chain([SLOT_BYTES - 1]) {
            for bit in 0..8 {
                let mut bad = slot.clone();
                bad[at] ^= 1 << bit;
                assert!(Superblock::decode_slot(&bad).is_err(), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn a_torn_write_leaves_the_other_slot() {
        let mut file = [sample(4).encode(), sample(5).encode()].concat();
        assert_eq!(Superblock::decode_newest(&file).unwrap().sequence, 5);
        assert_eq!(Superblock::damaged_slots(&file), 0);
        file[SLOT_BYTES + 512..].fill(0xee);
        assert_eq!(Superblock::decode_newest(&file).unwrap().sequence, 4);
        assert_eq!(Superblock::damaged_slots(&file), 1);
        file[100] ^= 1;
        assert_eq!(Superblock::damaged_slots(&file), 2);
        assert_eq!(Superblock::decode_newest(&file), Err(SuperblockError::Invalid));
        assert_eq!(Superblock::decode_newest(&[]), Err(SuperblockError::Invalid));
    }

    #[test]
    fn the_faster_primitive_is_taken() {
        assert_eq!(sample(1).calibration.fastest(), FlushPrimitive::WriteThenSync);
        assert_eq!(
            Calibration { dsync_p50_us: 10, ..sample(1).calibration }.fastest(),
            FlushPrimitive::Dsync
        );
    }
}

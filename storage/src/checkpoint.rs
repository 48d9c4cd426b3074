//! What a checkpoint says about one log, and its bytes.
//!
//! ```text
//! version u16 | log id 24 | flags u16 (1 = offline) | replay_from u64 | synced_upto i64 | log_start i64
//! | dir: u32 length, utf-8 | segments: u32 count, 40 bytes each
//! | tail image: u32 length | epochs: u32 length | producers: u32 length | offline reason: u32 length, utf-8
//! segment: base i64 | bytes u64 | first timestamp i64 | max timestamp i64 | offset of max timestamp i64
//! ```
//! All numbers are little endian. The record log around it carries the checksum.
//!
//! A checkpoint holds the image of the segment's partial last 4 KiB block. Write-behind rewrites that block when more
//! data arrives; if the power fails in the middle of the rewrite, synced records in the block are torn. The image and
//! the journal from `replay_from` on rebuild the block whole. So the journal may forget everything before `replay_from`.

use crate::ids::{LogId, Lsn, Offset};
use crate::limits;

/// One segment file as of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentMeta {
    /// Its first offset, which names the file.
    pub base: Offset,
    /// Bytes of batches in it, without padding. For the last (active) segment: the synced bytes.
    pub bytes: u64,
    /// The first batch's largest timestamp, from which a roll by time counts; -1 when empty.
    pub first_timestamp: i64,
    /// The largest timestamp in it, -1 when it has none.
    pub max_timestamp: i64,
    /// The last offset of the batch that carries the largest timestamp.
    pub max_timestamp_offset: Offset,
}

impl SegmentMeta {
    /// A segment without batches.
    pub fn empty(base: Offset) -> SegmentMeta {
        SegmentMeta {
            base,
            bytes: 0,
            first_timestamp: -1,
            max_timestamp: -1,
            max_timestamp_offset: Offset(-1),
        }
    }
}

/// A log at one moment: everything below `synced_upto` is in its segments and synced.
///
/// Holds always: `log_start <= synced_upto`; segments rise by base and the last is the active one;
/// `tail_image.len() == segments.last().bytes % 4096`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogCheckpoint {
    /// The log.
    pub id: LogId,
    /// Its directory below `<data>/topics`.
    pub dir: String,
    /// All its segments, oldest first; empty before the first append.
    pub segments: Vec<SegmentMeta>,
    /// The log's end offset in this checkpoint: a batch boundary.
    pub synced_upto: Offset,
    /// The bytes of the active segment's last partial 4 KiB block.
    pub tail_image: Vec<u8>,
    /// The log start offset.
    pub log_start: Offset,
    /// The encoded leader epoch history.
    pub epochs: Vec<u8>,
    /// The encoded producer state at exactly `synced_upto`.
    pub producers: Vec<u8>,
    /// The log's entries from this LSN on are not in this checkpoint; those below it are.
    pub replay_from: Lsn,
    /// Set while the log is offline because acknowledged data is damaged or missing.
    pub offline: Option<String>,
}

/// Bytes that are not a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Another format version.
    #[error("checkpoint format version {0} is not known to this build")]
    Version(u16),
    /// Lengths or text that cannot be.
    #[error("malformed checkpoint")]
    Malformed,
}

const VERSION: u16 = 1;
const FLAG_OFFLINE: u16 = 1;
const SEGMENT_BYTES: usize = 40;
/// No file is larger: `off_t` is signed.
const SEGMENT_FILE_BYTES_MAX: u64 = i64::MAX as u64;

impl LogCheckpoint {
    /// A log before its first append.
    pub fn empty(id: LogId, dir: &str) -> LogCheckpoint {
        LogCheckpoint {
            id,
            dir: dir.to_owned(),
            segments: Vec::new(),
            synced_upto: Offset::ZERO,
            tail_image: Vec::new(),
            log_start: Offset::ZERO,
            epochs: Vec::new(),
            producers: Vec::new(),
            replay_from: Lsn(0),
            offline: None,
        }
    }

    /// The invariants on the struct.
    pub fn check_invariants(&self) {
        assert!(self.log_start <= self.synced_upto, "the log start lies behind the end: {self:?}");
        let ordered = self.segments.is_sorted_by(|a, b| a.base < b.base);
        assert!(ordered, "segments rise by base offset: {:?}", self.segments);
        let partial = self.segments.last().map_or(0, |active| active.bytes % 4096);
        assert!(
            self.offline.is_some() || self.tail_image.len() as u64 == partial,
            "the tail image is the partial last block: {} bytes for {partial}",
            self.tail_image.len()
        );
    }

    /// The checkpoint's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(
            128 + self.dir.len()
                + self.segments.len() * SEGMENT_BYTES
                + self.tail_image.len()
                + self.epochs.len()
                + self.producers.len(),
        );
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.id.to_bytes());
        let flags = if self.offline.is_some() { FLAG_OFFLINE } else { 0 };
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&self.replay_from.0.to_le_bytes());
        out.extend_from_slice(&self.synced_upto.0.to_le_bytes());
        out.extend_from_slice(&self.log_start.0.to_le_bytes());
        put_bytes(&mut out, self.dir.as_bytes());
        out.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        for segment in &self.segments {
            out.extend_from_slice(&segment.base.0.to_le_bytes());
            out.extend_from_slice(&segment.bytes.to_le_bytes());
            out.extend_from_slice(&segment.first_timestamp.to_le_bytes());
            out.extend_from_slice(&segment.max_timestamp.to_le_bytes());
            out.extend_from_slice(&segment.max_timestamp_offset.0.to_le_bytes());
        }
        put_bytes(&mut out, &self.tail_image);
        put_bytes(&mut out, &self.epochs);
        put_bytes(&mut out, &self.producers);
        put_bytes(&mut out, self.offline.as_deref().unwrap_or("").as_bytes());
        out
    }

    /// The inverse of [`LogCheckpoint::encode`]; total over any bytes.
    pub fn decode(bytes: &[u8]) -> Result<LogCheckpoint, CheckpointError> {
        let mut reader = Reader(bytes);
        let version = reader.u16().ok_or(CheckpointError::Malformed)?;
        if version != VERSION {
            return Err(CheckpointError::Version(version));
        }
        let checkpoint = read_body(&mut reader).ok_or(CheckpointError::Malformed)?;
        if reader.0.is_empty() { Ok(checkpoint) } else { Err(CheckpointError::Malformed) }
    }
}

fn read_body(reader: &mut Reader<'_>) -> Option<LogCheckpoint> {
    let id = LogId::from_bytes(&reader.array()?);
    let flags = reader.u16()?;
    let replay_from = Lsn(reader.u64()?);
    let synced_upto = Offset(reader.i64()?);
    let log_start = Offset(reader.i64()?);
    let dir = reader.text()?;
    let count = reader.u32()? as usize;
    if count > reader.0.len() / SEGMENT_BYTES {
        return None;
    }
    let mut segments = Vec::with_capacity(count);
    for _ in 0..count {
        segments.push(SegmentMeta {
            base: Offset(reader.i64()?),
            bytes: reader.u64()?,
            first_timestamp: reader.i64()?,
            max_timestamp: reader.i64()?,
            max_timestamp_offset: Offset(reader.i64()?),
        });
    }
    let tail_image = reader.bytes()?.to_vec();
    let epochs = reader.bytes()?.to_vec();
    let producers = reader.bytes()?.to_vec();
    let reason = reader.text()?;
    let offline = (flags & FLAG_OFFLINE != 0).then_some(reason);
    // What rebuilding counts on, so that a checkpoint that breaks it is refused by name and not by an assertion.
    let partial = segments.last().map_or(0, |active| active.bytes % 4096);
    let sound = tail_image.len() < 4096
        && (offline.is_some() || tail_image.len() as u64 == partial)
        && segments.iter().all(|segment| segment.bytes <= SEGMENT_FILE_BYTES_MAX)
        && log_start <= synced_upto
        && dir.len() <= limits::LOG_DIR_BYTES_MAX
        && segments.is_sorted_by(|a, b| a.base < b.base);
    sound.then_some(LogCheckpoint {
        id,
        dir,
        segments,
        synced_upto,
        tail_image,
        log_start,
        epochs,
        producers,
        replay_from,
        offline,
    })
}

/// Appends a `u32` length and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).expect("no part of a checkpoint reaches 4 GiB");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Reads little-endian numbers and length-prefixed bytes off the front of a slice; `None` once it is exhausted.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        self.bytes().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use proptest::prelude::*;

    fn sample() -> LogCheckpoint {
        LogCheckpoint {
            segments: vec![
                SegmentMeta { bytes: 9000, max_timestamp: 5, ..SegmentMeta::empty(Offset(0)) },
                SegmentMeta { bytes: 4100, ..SegmentMeta::empty(Offset(40)) },
            ],
            synced_upto: Offset(55),
            tail_image: vec![1, 2, 3, 4],
            log_start: Offset(3),
            epochs: vec![9; 12],
            producers: vec![8; 40],
            replay_from: Lsn(1234),
            offline: Some("a frame is broken".to_owned()),
            ..LogCheckpoint::empty(
                LogId { topic: [7; 16], partition: 2, incarnation: 0 },
                "orders.abc/2",
            )
        }
    }

    #[test]
    fn a_checkpoint_reads_back_as_written() {
        let checkpoint = sample();
        checkpoint.check_invariants();
        assert_eq!(LogCheckpoint::decode(&checkpoint.encode()).unwrap(), checkpoint);
        let empty = LogCheckpoint::empty(checkpoint.id, "d/0");
        assert_eq!(LogCheckpoint::decode(&empty.encode()).unwrap(), empty);
    }

    #[test]
    fn a_checkpoint_cut_short_anywhere_is_refused() {
        let bytes = sample().encode();
        for len in 0..bytes.len() {
            assert!(LogCheckpoint::decode(&bytes[..len]).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn a_checkpoint_that_contradicts_itself_is_refused() {
        let refused = |change: fn(&mut LogCheckpoint)| {
            let mut checkpoint = LogCheckpoint { offline: None, ..sample() };
            change(&mut checkpoint);
            LogCheckpoint::decode(&checkpoint.encode()) == Err(CheckpointError::Malformed)
        };
        assert!(!refused(|_| {}));
        assert!(refused(|checkpoint| checkpoint.tail_image.truncate(3)));
        assert!(refused(|checkpoint| checkpoint.segments[1].bytes += 1));
        assert!(refused(|checkpoint| checkpoint.segments.clear()));
        assert!(refused(|checkpoint| checkpoint.segments[0].bytes = u64::MAX));
        assert!(refused(|checkpoint| checkpoint.log_start = Offset(56)));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = LogCheckpoint::decode(&bytes);
            if bytes.len() > 2 {
                bytes[..2].copy_from_slice(&VERSION.to_le_bytes());
                let _ = LogCheckpoint::decode(&bytes);
            }
        }
    }
}

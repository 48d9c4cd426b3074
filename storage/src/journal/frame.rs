//! The journal's frame: what one write of the journal looks like on the disk, and the total decoder of it.
//!
//! ```text
//! 0                96                       table_at      + 56 x entries   used_len          total_len
//! | header         | payloads, each aligned  | record table | predecessor's  | zeros to the    |
//! | (below)        | to 8 bytes              |              | list, 32 each  | next 4,096      |
//!
//! header (little endian)            record table entry            predecessor's list
//!  0 magic "HDLFRAME"               0 kind u8                     0 log id 24
//!  8 version u16, 10 flags u16      1 flags u8 (1 = roll)        24 next offset i64
//! 12 crc32c u32                     2 durability u8, 3 zero
//! 16 generation u32, 20 shard u16   4 payload position u32
//! 22 durability u8, 23 zero         8 payload length u32, 12 zero
//! 24 salt u64                      16 base offset i64
//! 32 file sequence u64             24 next offset i64
//! 40 lsn u64, 48 previous lsn u64  32 log id 24
//! 56 durable_upto u64
//! 64 total_len u32, 68 used_len u32
//! 72 table_at u32, 76 entries u32
//! 80 named u32, 84 zero u32
//! 88 written, unix ms i64
//! ```
//!
//! The checksum covers bytes 96..used_len and then the header with the checksum's own field as zero: in that order,
//! because the header can be known only when the write goes out. Padding is outside: damage there hurts nobody.
//!
//! Entry `i` of a frame has the LSN `lsn + i`. A frame without entries takes one LSN too, so every frame has its own.
//! `durable_upto` is exclusive: every entry below it was on the device, flushed, when this frame was written.
//! The salt is drawn for each generation and kept in the superblock. A client that knows this format can put a whole
//! frame into a record; without the salt it cannot make recovery, which looks for frames behind a broken one, take it
//! for the broker's own.

use super::entry::EntryKind;
use crate::durability::Durability;
use crate::ids::{Generation, LogId, Lsn, Offset};
use crate::planted::{self, Bug};
use zerocopy::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Frames begin and end at multiples of this many bytes.
pub const FRAME_ALIGN: usize = 4096;
/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = size_of::<RawHeader>();
/// Bytes of one entry of the record table.
pub const TABLE_ENTRY_BYTES: usize = size_of::<RawEntry>();
/// Bytes of one entry of the predecessor's list.
pub const NAMED_BYTES: usize = size_of::<RawNamed>();
/// Payloads start at multiples of this many bytes.
pub const PAYLOAD_ALIGN: usize = 8;
/// The format this code writes and the only one it reads.
pub const VERSION: u16 = 1;

/// The LSN of a journal's first entry: 0 stays free for "nothing yet".
pub const FIRST_LSN: Lsn = Lsn(1);

const MAGIC: [u8; 8] = *b"HDLFRAME";
const FLAG_IDLE: u16 = 1;
const FLAG_CLOSING: u16 = 2;
const ENTRY_ROLL: u8 = 1;

const _: () = assert!(HEADER_BYTES == 96 && HEADER_BYTES.is_multiple_of(PAYLOAD_ALIGN));
const _: () = assert!(TABLE_ENTRY_BYTES == 56 && NAMED_BYTES == 32);

/// What a frame must carry to belong to one shard's journal of one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node's start that writes this journal.
    pub generation: Generation,
    /// The shard that writes it.
    pub shard: u16,
    /// The generation's random number, from the superblock.
    pub salt: u64,
}

/// Why a frame was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It carries entries, or a flush was asked for.
    Entries,
    /// Nothing more came: it says that its predecessor was acknowledged.
    Idle,
    /// The last frame of a clean stop.
    Closing,
}

/// A frame's header, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose frame it is.
    pub identity: Identity,
    /// Why it was written.
    pub purpose: Purpose,
    /// The strongest class among its entries.
    pub durability: Durability,
    /// The file it belongs to, so that a recycled file's old frames are not taken for new ones.
    pub file_sequence: u64,
    /// The LSN of its first entry.
    pub lsn: Lsn,
    /// The LSN of the frame before it; its own when it is the first of its journal.
    pub previous_lsn: Lsn,
    /// Exclusive: everything below was durable when this frame was written.
    pub durable_upto: Lsn,
    /// Bytes on disk, a multiple of 4,096.
    pub total_len: u32,
    /// Bytes without the padding.
    pub used_len: u32,
    /// Where the record table starts.
    pub table_at: u32,
    /// Entries in the record table.
    pub entries: u32,
    /// Entries in the predecessor's list.
    pub named: u32,
    /// When it was written, for people.
    pub written_ms: i64,
}

/// One entry of the record table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHead {
    /// What happened.
    pub kind: EntryKind,
    /// This append begins a new segment file.
    pub roll: bool,
    /// The class it was pushed with.
    pub durability: Durability,
    /// The log.
    pub log: LogId,
    /// First offset of an append; the new end of a truncation; the new start of a log-start.
    pub base_offset: Offset,
    /// The log's end offset once this entry is applied.
    pub next_offset: Offset,
    /// Where its payload starts in the frame.
    pub payload_at: u32,
    /// Its payload's bytes, 0 for anything but an append.
    pub payload_len: u32,
}

/// One entry of the predecessor's list: a log the frame before touched, and the end offset it brought it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The log.
    pub log: LogId,
    /// Its end offset after the frame before.
    pub next_offset: Offset,
}

/// Why bytes are not the frame that was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Fewer bytes than the frame has.
    #[error("cut short")]
    Short,
    /// No frame starts here.
    #[error("no frame here")]
    NoMagic,
    /// A format this build does not know.
    #[error("written in format version {0}")]
    Version(u16),
    /// A frame of another generation, shard or file: what recycling leaves behind.
    #[error("a frame of another journal or file")]
    Foreign,
    /// Lengths or counts that cannot be.
    #[error("impossible lengths")]
    Lengths,
    /// The checksum does not match.
    #[error("checksum mismatch")]
    Checksum,
    /// An entry of a checksummed frame does not decode: a fault in what wrote it.
    #[error("an entry of the record table is malformed")]
    Table,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHeader {
    magic: [u8; 8],
    version: U16,
    flags: U16,
    crc: U32,
    generation: U32,
    shard: U16,
    durability: u8,
    zero_a: u8,
    salt: U64,
    file_sequence: U64,
    lsn: U64,
    previous_lsn: U64,
    durable_upto: U64,
    total_len: U32,
    used_len: U32,
    table_at: U32,
    entries: U32,
    named: U32,
    zero_b: U32,
    written_ms: I64,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawEntry {
    kind: u8,
    flags: u8,
    durability: u8,
    zero_a: u8,
    payload_at: U32,
    payload_len: U32,
    zero_b: U32,
    base_offset: I64,
    next_offset: I64,
    log: [u8; LogId::BYTES],
}

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawNamed {
    log: [u8; LogId::BYTES],
    next_offset: I64,
}

/// The running checksum of a frame: first its body from byte 96 on, in order, then the header.
#[derive(Clone)]
pub struct Sum(crc_fast::Digest);

impl Default for Sum {
    fn default() -> Sum {
        Sum(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi))
    }
}

impl Sum {
    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn value(&self) -> u32 {
        // The digest holds a 32-bit checksum in 64 bits.
        self.0.finalize() as u32
    }
}

impl Header {
    /// Whether the frame belongs to this shard's journal of this generation. Its file's sequence is compared besides.
    pub(crate) fn is_of(&self, journal: &Identity) -> bool {
        if planted::is(Bug::IgnoreEpoch) {
            return self.identity.shard == journal.shard;
        }
        self.identity == *journal
    }

    /// The LSN of the frame that follows.
    pub fn next_lsn(&self) -> Lsn {
        Lsn(self.lsn.0.saturating_add(u64::from(self.entries.max(1))))
    }

    /// The header's bytes; `body` has taken in the bytes 96..used_len.
    pub fn encode(&self, mut body: Sum) -> [u8; HEADER_BYTES] {
        let mut raw = RawHeader {
            magic: MAGIC,
            version: U16::new(VERSION),
            flags: U16::new(match self.purpose {
                Purpose::Entries => 0,
                Purpose::Idle => FLAG_IDLE,
                Purpose::Closing => FLAG_CLOSING,
            }),
            crc: U32::ZERO,
            generation: U32::new(self.identity.generation.0),
            shard: U16::new(self.identity.shard),
            durability: self.durability.code(),
            zero_a: 0,
            salt: U64::new(self.identity.salt),
            file_sequence: U64::new(self.file_sequence),
            lsn: U64::new(self.lsn.0),
            previous_lsn: U64::new(self.previous_lsn.0),
            durable_upto: U64::new(self.durable_upto.0),
            total_len: U32::new(self.total_len),
            used_len: U32::new(self.used_len),
            table_at: U32::new(self.table_at),
            entries: U32::new(self.entries),
            named: U32::new(self.named),
            zero_b: U32::ZERO,
            written_ms: I64::new(self.written_ms),
        };
        body.update(raw.as_bytes());
        raw.crc = U32::new(body.value());
        let mut bytes = [0; HEADER_BYTES];
        bytes.copy_from_slice(raw.as_bytes());
        bytes
    }

    /// Decodes a header without its checksum: enough to know how many bytes to read. Every length and count is
    /// checked against the others, so that what follows cannot reach outside the frame.
    pub fn decode(bytes: &[u8]) -> Result<Header, Broken> {
        let (raw, _) = RawHeader::read_from_prefix(bytes).map_err(|_| Broken::Short)?;
        if raw.magic != MAGIC {
            return Err(Broken::NoMagic);
        }
        if raw.version.get() != VERSION {
            return Err(Broken::Version(raw.version.get()));
        }
        let purpose = match raw.flags.get() {
            0 => Purpose::Entries,
            FLAG_IDLE => Purpose::Idle,
            FLAG_CLOSING => Purpose::Closing,
            _ => return Err(Broken::Lengths),
        };
        let header = Header {
            identity: Identity {
                generation: Generation(raw.generation.get()),
                shard: raw.shard.get(),
                salt: raw.salt.get(),
            },
            purpose,
            durability: Durability::from_code(raw.durability).ok_or(Broken::Lengths)?,
            file_sequence: raw.file_sequence.get(),
            lsn: Lsn(raw.lsn.get()),
            previous_lsn: Lsn(raw.previous_lsn.get()),
            durable_upto: Lsn(raw.durable_upto.get()),
            total_len: raw.total_len.get(),
            used_len: raw.used_len.get(),
            table_at: raw.table_at.get(),
            entries: raw.entries.get(),
            named: raw.named.get(),
            written_ms: raw.written_ms.get(),
        };
        header.check_lengths().then_some(header).ok_or(Broken::Lengths)
    }

    fn check_lengths(&self) -> bool {
        let table = u64::from(self.entries) * TABLE_ENTRY_BYTES as u64;
        let named = u64::from(self.named) * NAMED_BYTES as u64;
        (self.total_len as usize).is_multiple_of(FRAME_ALIGN)
            && self.used_len <= self.total_len
            && self.table_at as usize >= HEADER_BYTES
            && u64::from(self.table_at) + table + named == u64::from(self.used_len)
            && self.used_len as usize
                > self.total_len as usize - FRAME_ALIGN.min(self.total_len as usize)
    }
}

impl EntryHead {
    /// The entry's bytes in the record table.
    pub fn encode(&self) -> [u8; TABLE_ENTRY_BYTES] {
        let raw = RawEntry {
            kind: self.kind.code(),
            flags: if self.roll { ENTRY_ROLL } else { 0 },
            durability: self.durability.code(),
            zero_a: 0,
            payload_at: U32::new(self.payload_at),
            payload_len: U32::new(self.payload_len),
            zero_b: U32::ZERO,
            base_offset: I64::new(self.base_offset.0),
            next_offset: I64::new(self.next_offset.0),
            log: self.log.to_bytes(),
        };
        let mut bytes = [0; TABLE_ENTRY_BYTES];
        bytes.copy_from_slice(raw.as_bytes());
        bytes
    }

    fn decode(raw: &RawEntry) -> Option<EntryHead> {
        Some(EntryHead {
            kind: EntryKind::from_code(raw.kind)?,
            roll: raw.flags & ENTRY_ROLL != 0,
            durability: Durability::from_code(raw.durability)?,
            log: LogId::from_bytes(&raw.log),
            base_offset: Offset(raw.base_offset.get()),
            next_offset: Offset(raw.next_offset.get()),
            payload_at: raw.payload_at.get(),
            payload_len: raw.payload_len.get(),
        })
    }
}

impl Named {
    /// The entry's bytes in the predecessor's list.
    pub fn encode(&self) -> [u8; NAMED_BYTES] {
        let raw = RawNamed { log: self.log.to_bytes(), next_offset: I64::new(self.next_offset.0) };
        let mut bytes = [0; NAMED_BYTES];
        bytes.copy_from_slice(raw.as_bytes());
        bytes
    }
}

/// A whole frame whose checksum and table were found right.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    header: Header,
    bytes: &'a [u8],
}

/// An entry with its payload.
#[derive(Clone, Copy)]
pub struct FrameEntry<'a> {
    /// Its own LSN.
    pub lsn: Lsn,
    /// What the table says.
    pub head: EntryHead,
    /// The batch, for an append; else empty.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Checks the frame that starts at the first of `bytes`, which may go on behind it.
    pub fn check(bytes: &'a [u8]) -> Result<Frame<'a>, Broken> {
        let header = Header::decode(bytes)?;
        let bytes = bytes.get(..header.used_len as usize).ok_or(Broken::Short)?;
        let (mut raw, body) = RawHeader::read_from_prefix(bytes).map_err(|_| Broken::Short)?;
        let expected = raw.crc.get();
        raw.crc = U32::ZERO;
        let mut sum = Sum::default();
        sum.update(body);
        sum.update(raw.as_bytes());
        if sum.value() != expected {
            return Err(Broken::Checksum);
        }
        let frame = Frame { header, bytes };
        let whole = frame.raw_entries().iter().all(|raw| {
            EntryHead::decode(raw).is_some_and(|head| {
                u64::from(head.payload_at) + u64::from(head.payload_len)
                    <= u64::from(header.table_at)
            })
        });
        if whole { Ok(frame) } else { Err(Broken::Table) }
    }

    /// The decoded header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The frame's bytes without the padding.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn raw_entries(&self) -> &'a [RawEntry] {
        let at = self.header.table_at as usize;
        let len = self.header.entries as usize * TABLE_ENTRY_BYTES;
        <[RawEntry]>::ref_from_bytes(&self.bytes[at..at + len])
            .expect("the lengths were checked and the type needs no alignment")
    }

    /// The entries in the order they were pushed.
    pub fn entries(&self) -> impl Iterator<Item = FrameEntry<'a>> + 'a {
        let frame = *self;
        frame.raw_entries().iter().enumerate().filter_map(move |(index, raw)| {
            let head = EntryHead::decode(raw)?;
            let at = head.payload_at as usize;
            Some(FrameEntry {
                lsn: Lsn(frame.header.lsn.0.saturating_add(index as u64)),
                head,
                payload: &frame.bytes[at..at + head.payload_len as usize],
            })
        })
    }

    /// What the frame before this one touched.
    pub fn predecessor(&self) -> impl Iterator<Item = Named> + 'a {
        let at = self.header.table_at as usize + self.header.entries as usize * TABLE_ENTRY_BYTES;
        <[RawNamed]>::ref_from_bytes(&self.bytes[at..])
            .expect("the lengths were checked and the type needs no alignment")
            .iter()
            .map(|raw| Named {
                log: LogId::from_bytes(&raw.log),
                next_offset: Offset(raw.next_offset.get()),
            })
    }
}

/// Rounds up to whole 4 KiB blocks.
pub fn round_up(bytes: usize) -> usize {
    bytes.next_multiple_of(FRAME_ALIGN)
}

#[cfg(test)]
pub(crate) mod tests;

//! The frame's codec against itself, flipped bits and any bytes.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::*;
use proptest::prelude::*;

/// A frame built the slow and plain way, for tests here and in the walker.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    pub header: Header,
    pub entries: Vec<(EntryHead, Vec<u8>)>,
    pub named: Vec<Named>,
}

impl Plain {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        let mut table = Vec::new();
        for (head, payload) in &self.entries {
            bytes.resize(bytes.len().next_multiple_of(PAYLOAD_ALIGN), 0);
            let head = EntryHead {
                payload_at: bytes.len() as u32,
                payload_len: payload.len() as u32,
                ..*head
            };
            bytes.extend_from_slice(payload);
            table.extend_from_slice(&head.encode());
        }
        bytes.resize(bytes.len().next_multiple_of(PAYLOAD_ALIGN), 0);
        let table_at = bytes.len() as u32;
        bytes.extend_from_slice(&table);
        for named in &self.named {
            bytes.extend_from_slice(&named.encode());
        }
        let header = Header {
            table_at,
            entries: self.entries.len() as u32,
            named: self.named.len() as u32,
            used_len: bytes.len() as u32,
            total_len: round_up(bytes.len()) as u32,
            ..self.header
        };
        let mut sum = Sum::default();
        sum.update(&bytes[HEADER_BYTES..]);
        bytes[..HEADER_BYTES].copy_from_slice(&header.encode(sum));
        bytes.resize(header.total_len as usize, 0);
        bytes
    }
}

pub(crate) fn log_id(number: u32) -> LogId {
    LogId { topic: [number as u8; 16], partition: number, incarnation: 1 }
}

pub(crate) fn header(identity: Identity, file_sequence: u64, lsn: u64) -> Header {
    Header {
        identity,
        purpose: Purpose::Entries,
        durability: Durability::Device,
        file_sequence,
        lsn: Lsn(lsn),
        previous_lsn: Lsn(lsn.saturating_sub(1)),
        durable_upto: Lsn(lsn),
        total_len: 0,
        used_len: 0,
        table_at: 0,
        entries: 0,
        named: 0,
        written_ms: 1_700_000_000_000,
    }
}

pub(crate) fn append(log: u32, base: i64, count: i64) -> EntryHead {
    EntryHead {
        kind: EntryKind::Append,
        roll: false,
        durability: Durability::Device,
        log: log_id(log),
        base_offset: Offset(base),
        next_offset: Offset(base + count),
        payload_at: 0,
        payload_len: 0,
    }
}

fn identity() -> Identity {
    Identity { generation: Generation(3), shard: 1, salt: 77 }
}

fn plain() -> impl Strategy<Value = Plain> {
    let payloads = proptest::collection::vec(
        (0u32..5, 0i64..1000, 1i64..9, proptest::collection::vec(any::<u8>(), 0..3000)),
        0..6,
    );
    (payloads, proptest::collection::vec((0u32..9, 0i64..50), 0..5), 1u64..u64::MAX / 2).prop_map(
        |(payloads, named, lsn)| Plain {
            header: header(identity(), 9, lsn),
            entries: payloads
                .into_iter()
                .map(|(log, base, count, bytes)| (append(log, base, count), bytes))
                .collect(),
            named: named
                .into_iter()
                .map(|(log, next)| Named { log: log_id(log), next_offset: Offset(next) })
                .collect(),
        },
    )
}

proptest! {
    #[test]
    fn a_frame_reads_back_as_written(plain in plain()) {
        let bytes = plain.encode();
        let frame = Frame::check(&bytes).unwrap();
        prop_assert_eq!(frame.header().identity, plain.header.identity);
        prop_assert_eq!(frame.header().total_len as usize, bytes.len());
        let read: Vec<_> = frame.entries().collect();
        prop_assert_eq!(read.len(), plain.entries.len());
        for (index, (read, (head, payload))) in read.iter().zip(&plain.entries).enumerate() {
            prop_assert_eq!(read.payload, payload.as_slice());
            prop_assert_eq!(read.head.log, head.log);
            prop_assert_eq!(read.head.next_offset, head.next_offset);
            prop_assert_eq!(read.lsn, Lsn(plain.header.lsn.0 + index as u64));
            prop_assert!((read.head.payload_at as usize).is_multiple_of(PAYLOAD_ALIGN));
        }
        prop_assert_eq!(frame.predecessor().collect::<Vec<_>>(), plain.named);
    }

    #[test]
    fn one_flipped_bit_is_noticed_or_harmless(plain in plain(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = plain.encode();
        let used = Frame::check(&bytes).unwrap().header().used_len as usize;
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(Frame::check(&bytes).is_ok(), at >= used, "byte {}", at);
    }

    #[test]
    fn any_bytes_decode_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
        let _ = Frame::check(&bytes);
        let mut dressed = bytes;
        if dressed.len() > 10 {
            dressed[..8].copy_from_slice(&MAGIC);
            dressed[8..10].copy_from_slice(&VERSION.to_le_bytes());
        }
        let _ = Frame::check(&dressed);
    }
}

#[test]
fn an_empty_frame_takes_one_lsn_and_one_block() {
    let bytes = Plain { header: header(identity(), 1, 5), entries: vec![], named: vec![] }.encode();
    let frame = Frame::check(&bytes).unwrap();
    assert_eq!(bytes.len(), FRAME_ALIGN);
    assert_eq!(frame.header().next_lsn(), Lsn(6));
}

#[test]
fn a_table_that_points_outside_is_refused_though_its_checksum_is_right() {
    let mut plain = Plain {
        header: header(identity(), 1, 5),
        entries: vec![(append(1, 0, 1), vec![7; 10])],
        named: vec![],
    };
    plain.header.written_ms = 0;
    let mut bytes = plain.encode();
    let header = *Frame::check(&bytes).unwrap().header();
    let at = header.table_at as usize + 4;
    bytes[at..at + 4].copy_from_slice(&header.table_at.to_le_bytes());
    let mut sum = Sum::default();
    sum.update(&bytes[HEADER_BYTES..header.used_len as usize]);
    bytes[..HEADER_BYTES].copy_from_slice(&header.encode(sum));
    assert_eq!(Frame::check(&bytes).err(), Some(Broken::Table));
}

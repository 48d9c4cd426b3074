//! Puts the frame of a fetch response and its record batches together, without copying records.

use engine::buffer::{Piece, Slice};
use protocol::fetch::EncodedFetch;

use crate::limits::RECORDS_COPIED_MAX;
use crate::net::connection::Reply;

/// The frame's bytes with each partition's records in their place. `records` has the pieces of every
/// partition in response order, and how many of their bytes are sent.
///
/// Pieces below [`RECORDS_COPIED_MAX`] bytes are copied together: an entry of a vectored send costs
/// more than that many bytes.
pub fn assemble(encoded: EncodedFetch, records: Vec<(usize, Vec<Piece>)>) -> Reply {
    if encoded.holes.is_empty() {
        return encoded.bytes.into();
    }
    let mut records: Vec<Option<(usize, Vec<Piece>)>> = records.into_iter().map(Some).collect();
    let mut reply = Reply { pieces: Vec::new(), pinned: 0 };
    let mut copied = Vec::new();
    let mut from = 0;
    for hole in &encoded.holes {
        copied.extend_from_slice(&encoded.bytes[from..hole.at]);
        from = hole.at;
        let (bytes, pieces) = records[hole.partition].take().expect("a partition has one hole");
        assert_eq!(bytes, hole.records_bytes, "what is sent is what was announced");
        let mut left = bytes;
        for piece in pieces {
            if left == 0 {
                break;
            }
            let taken = piece.len().min(left);
            left -= taken;
            push(&mut reply, &mut copied, piece, taken);
        }
        assert_eq!(left, 0, "what is sent is what was found");
    }
    copied.extend_from_slice(&encoded.bytes[from..]);
    if !copied.is_empty() {
        reply.pieces.push(Piece::Vec(copied));
    }
    reply
}

fn push(reply: &mut Reply, copied: &mut Vec<u8>, piece: Piece, taken: usize) {
    let whole = taken == piece.len();
    let piece = match piece {
        piece if taken < RECORDS_COPIED_MAX => {
            copied.extend_from_slice(&piece[..taken]);
            return;
        }
        Piece::Slice(slice) if !whole => Piece::Slice(Slice::slice(&slice, 0..taken)),
        // Another shard's memory cannot be cut here; a cut happens once per response at most.
        piece if !whole => {
            copied.extend_from_slice(&piece[..taken]);
            return;
        }
        piece => piece,
    };
    if !copied.is_empty() {
        reply.pieces.push(Piece::Vec(std::mem::take(copied)));
    }
    reply.pinned += taken;
    reply.pieces.push(piece);
}

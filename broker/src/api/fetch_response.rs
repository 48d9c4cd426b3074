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
    let mut reply = Reply { pieces: Vec::new(), pinned: 0, trace: None };
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

#[cfg(test)]
mod tests {
    use protocol::ErrorCode;
    use protocol::fetch::{FetchResponse, PartitionData, TopicData};
    use protocol::wire::TopicRef;

    use super::*;

    /// The bytes that leave for these pieces per partition, of which all but `cut` bytes of the last
    /// partition are announced.
    fn sent(pieces: Vec<Vec<Vec<u8>>>, cut: usize) -> (Vec<u8>, Reply, Vec<u8>) {
        let last = pieces.len() - 1;
        let mut expected = Vec::new();
        let mut records = Vec::new();
        let mut partitions = Vec::new();
        for (index, pieces) in pieces.into_iter().enumerate() {
            let all = pieces.concat();
            let bytes = all.len() - if index == last { cut } else { 0 };
            expected.extend_from_slice(&all[..bytes]);
            let data = PartitionData::empty(index as i32, ErrorCode::None);
            partitions.push(PartitionData { records_bytes: bytes, ..data });
            records.push((bytes, pieces.into_iter().map(Piece::Vec).collect()));
        }
        let topics = vec![TopicData { topic: TopicRef::Name("t"), partitions }];
        let response = FetchResponse { topics, ..FetchResponse::default() };
        let encoded = response.encode(12, 7);
        let (frame, wire_bytes) = (encoded.bytes.clone(), encoded.wire_bytes());
        let reply = assemble(encoded, records);
        let all: Vec<u8> = reply.pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        assert_eq!(all.len(), wire_bytes);
        assert!(all.starts_with(&frame[..4]), "the length prefix counts the records");
        (all, reply, expected)
    }

    fn contains(all: &[u8], part: &[u8]) -> bool {
        all.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn small_pieces_are_copied_together_and_large_ones_are_not() {
        let (all, reply, expected) = sent(vec![vec![vec![1; 100], vec![2; 100]]], 0);
        assert_eq!((reply.pieces.len(), reply.pinned), (1, 0));
        assert!(contains(&all, &expected));
        let (all, reply, expected) = sent(vec![vec![vec![1; 100], vec![2; 5000]]], 0);
        assert_eq!((reply.pieces.len(), reply.pinned), (3, 5000));
        assert!(contains(&all, &expected));
    }

    #[test]
    fn a_partition_is_cut_where_its_share_ends() {
        let (all, _, expected) =
            sent(vec![vec![vec![1; 900]], vec![vec![2; 700], vec![3; 900]]], 950);
        assert!(contains(&all, &[1; 900]) && contains(&all, &[2; 650]));
        assert!(!contains(&all, &[2; 651]) && !contains(&all, &[3; 2]));
        assert_eq!(expected.len(), 900 + 650);
    }

    #[test]
    fn nothing_found_is_one_frame() {
        let (_, reply, _) = sent(vec![vec![], vec![]], 0);
        assert_eq!((reply.pieces.len(), reply.pinned), (1, 0));
    }
}

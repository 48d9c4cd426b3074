//! The frame reader, over a stream cut into pieces.
//!
//! Rules: what comes of a stream does not depend on how it is cut; it is what the plain reading below gives; an error
//! stays; a frame is never longer than the limit; no byte is lost or read twice.

use protocol::frame::{Frame, FrameError, FrameReader};
use protocol::limits::{
    FRAME_BYTES_MAX, FRAME_BYTES_MAX_BEFORE_AUTHENTICATION, REQUEST_FRAME_BYTES_MIN,
    SMALL_FRAME_BYTES_MAX,
};

use crate::input::Input;

/// What a stream holds.
#[derive(Debug, PartialEq, Eq)]
struct Heard {
    frames: Vec<Vec<u8>>,
    /// Bytes of the length and the frame that the stream ends in.
    begun: usize,
    failed: Option<FrameError>,
}

/// Limit, piece sizes, then the stream.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let limits = [FRAME_BYTES_MAX, FRAME_BYTES_MAX_BEFORE_AUTHENTICATION, 64, 20_000];
    let limit = limits[input.below(limits.len())];
    let pieces: Vec<usize> = input.list(8, |input| input.below(4_096) + 1);
    let stream = input.rest();

    let expected = plain(stream, limit);
    let whole = heard(stream, limit, std::iter::repeat(stream.len().max(1)));
    assert_eq!(whole, expected, "in one piece");
    assert_eq!(heard(stream, limit, std::iter::repeat(1)), expected, "byte by byte");
    if !pieces.is_empty() {
        assert_eq!(heard(stream, limit, pieces.into_iter().cycle()), expected, "in pieces");
    }
}

/// The obvious reading.
fn plain(mut stream: &[u8], limit: usize) -> Heard {
    let mut frames = Vec::new();
    let failed = loop {
        let Some((prefix, rest)) = stream.split_first_chunk::<4>() else { break None };
        let length = i32::from_be_bytes(*prefix);
        if length < REQUEST_FRAME_BYTES_MIN as i32 {
            break Some(FrameError::TooSmall { length, min: REQUEST_FRAME_BYTES_MIN });
        }
        let length = length as usize;
        if length > limit {
            // What the peer seems to speak is a guess, and not checked here.
            let mut reader = FrameReader::requests(limit);
            let error = reader.next(&mut &prefix[..]).expect_err("longer than the limit");
            assert!(
                matches!(error, FrameError::TooLarge { length: l, max, .. } if l == length && max == limit)
            );
            break Some(error);
        }
        let Some((frame, rest)) = rest.split_at_checked(length) else { break None };
        frames.push(frame.to_vec());
        stream = rest;
    };
    Heard { frames, begun: if failed.is_some() { 0 } else { stream.len() }, failed }
}

/// What the reader makes of it, fed as a connection feeds it.
fn heard(stream: &[u8], limit: usize, pieces: impl Iterator<Item = usize>) -> Heard {
    let mut reader = FrameReader::requests(limit);
    let mut frames = Vec::new();
    let mut large: Option<(usize, Vec<u8>)> = None;
    let (mut rest, mut fed, mut whole) = (stream, 0, 0);
    for size in pieces {
        if rest.is_empty() {
            break;
        }
        let (mut piece, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        fed += piece.len();
        loop {
            if let Some((length, body)) = &mut large {
                let (head, behind) = piece.split_at((*length - body.len()).min(piece.len()));
                body.extend_from_slice(head);
                piece = behind;
                if body.len() < *length {
                    break;
                }
                whole += 4 + body.len();
                frames.push(std::mem::take(body));
                large = None;
            }
            match reader.next(&mut piece) {
                Ok(None) => break,
                Ok(Some(Frame::Small(frame))) => {
                    assert!(frame.len() <= SMALL_FRAME_BYTES_MAX.min(limit));
                    whole += 4 + frame.len();
                    frames.push(frame.to_vec());
                }
                Ok(Some(Frame::Large { length, head })) => {
                    assert!(length > SMALL_FRAME_BYTES_MAX && length <= limit);
                    assert!(head.len() <= length);
                    assert!(reader.at_boundary(), "the rest of a large frame is the caller's");
                    large = Some((length, head.to_vec()));
                }
                Err(error) => {
                    assert_eq!(reader.next(&mut &stream[..]), Err(error), "an error stays");
                    return Heard { frames, begun: 0, failed: Some(error) };
                }
            }
        }
        assert!(piece.is_empty(), "all of a piece is taken");
    }
    assert_eq!(reader.at_boundary() && large.is_none(), fed == whole, "the end is known");
    Heard { frames, begun: fed - whole, failed: None }
}

//! Cuts a byte stream into frames: a four-byte length, then that many bytes.
//!
//! Sans-I/O: the connection feeds what it received, in whatever pieces. Small frames are gathered here, into memory
//! bounded by [`SMALL_FRAME_BYTES_MAX`]. A large frame is announced as soon as its length is known, together with the
//! bytes of it already received, so that the connection can reserve memory first and receive the rest straight into
//! an aligned block.

use std::fmt;

use bytes::Bytes;

use crate::limits::{
    FRAME_BYTES_MAX, REQUEST_FRAME_BYTES_MIN, RESPONSE_FRAME_BYTES_MIN, SMALL_FRAME_BYTES_MAX,
};

/// What the reader found.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A whole frame of at most [`SMALL_FRAME_BYTES_MAX`] bytes, without its length prefix.
    Small(Bytes),
    /// A large frame begins. The reader expects its next length prefix right after it: the caller copies `head` to
    /// the front of its own buffer and receives the `length - head.len()` missing bytes itself, not through the
    /// reader.
    Large {
        /// Length of the frame, without its prefix.
        length: usize,
        /// The bytes of the frame that had already been received, possibly all of it.
        head: &'a [u8],
    },
}

/// A length prefix that cannot be: close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// Negative, or too short for a header.
    TooSmall {
        /// The length as read.
        length: i32,
        /// The least possible.
        min: usize,
    },
    /// Longer than the limit in force.
    TooLarge {
        /// The length as read.
        length: usize,
        /// The limit.
        max: usize,
        /// What the peer seems to speak instead of Kafka, if the bytes tell.
        looks_like: Option<&'static str>,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall { length, min } => {
                write!(f, "frame length {length}, the shortest request has {min} bytes")
            }
            Self::TooLarge { length, max, looks_like } => {
                write!(f, "frame length {length}, at most {max} bytes are accepted")?;
                match looks_like {
                    Some(what) => write!(f, " (the peer seems to speak {what}, not Kafka)"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for FrameError {}

/// Cuts one connection's byte stream into frames.
///
/// Invariants: `prefix_have < 4` while a length is being gathered; `body` never grows past `body_length`, which is
/// never above [`SMALL_FRAME_BYTES_MAX`]. After an error the reader stays in error: the stream has no next frame.
#[derive(Debug)]
pub struct FrameReader {
    bytes_min: usize,
    bytes_max: usize,
    prefix: [u8; 4],
    prefix_have: usize,
    /// Length of the small frame being gathered; `None` while the prefix is.
    body_length: Option<usize>,
    body: Vec<u8>,
    failed: Option<FrameError>,
}

impl FrameReader {
    /// A reader of requests, for the accepting side. `bytes_max` is [`FRAME_BYTES_MAX`] unless configured, and
    /// [`FRAME_BYTES_MAX_BEFORE_AUTHENTICATION`](crate::limits::FRAME_BYTES_MAX_BEFORE_AUTHENTICATION) before the
    /// peer has authenticated.
    #[must_use]
    pub fn requests(bytes_max: usize) -> Self {
        Self::new(REQUEST_FRAME_BYTES_MIN, bytes_max)
    }

    /// A reader of responses, for the client side.
    #[must_use]
    pub fn responses() -> Self {
        Self::new(RESPONSE_FRAME_BYTES_MIN, FRAME_BYTES_MAX)
    }

    fn new(bytes_min: usize, bytes_max: usize) -> Self {
        Self {
            bytes_min,
            bytes_max,
            prefix: [0; 4],
            prefix_have: 0,
            body_length: None,
            body: Vec::new(),
            failed: None,
        }
    }

    /// Changes the limit for the frames that follow, say after authentication.
    pub fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Whether the stream may end here without cutting a frame in two.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.prefix_have == 0 && self.body_length.is_none()
    }

    /// Takes bytes off the front of `input` until a frame is found or `input` is empty. Call again until it gives
    /// `None`.
    ///
    /// # Errors
    /// [`FrameError`]; the connection must close, every later call gives the same error.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Frame<'a>>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let length = match self.body_length {
            Some(length) => length,
            None => {
                let Some(length) = self.take_prefix(input) else { return Ok(None) };
                let length = self.check(length).inspect_err(|error| self.failed = Some(*error))?;
                if length > SMALL_FRAME_BYTES_MAX {
                    let head = take(input, length);
                    return Ok(Some(Frame::Large { length, head }));
                }
                length
            }
        };
        if self.body.is_empty() && input.len() >= length {
            self.body_length = None;
            return Ok(Some(Frame::Small(Bytes::copy_from_slice(take(input, length)))));
        }
        self.body_length = Some(length);
        // Reserved once: a small frame is bounded, and growing it byte by byte would copy it several times.
        self.body.reserve_exact(length - self.body.len());
        let missing = length - self.body.len();
        self.body.extend_from_slice(take(input, missing));
        if self.body.len() < length {
            return Ok(None);
        }
        self.body_length = None;
        Ok(Some(Frame::Small(Bytes::from(std::mem::take(&mut self.body)))))
    }

    fn take_prefix(&mut self, input: &mut &[u8]) -> Option<[u8; 4]> {
        let bytes = take(input, 4 - self.prefix_have);
        self.prefix[self.prefix_have..self.prefix_have + bytes.len()].copy_from_slice(bytes);
        self.prefix_have += bytes.len();
        if self.prefix_have < 4 {
            return None;
        }
        self.prefix_have = 0;
        Some(self.prefix)
    }

    fn check(&self, prefix: [u8; 4]) -> Result<usize, FrameError> {
        let length = i32::from_be_bytes(prefix);
        match usize::try_from(length) {
            Ok(length) if length > self.bytes_max => {
                let looks_like = looks_like(prefix);
                Err(FrameError::TooLarge { length, max: self.bytes_max, looks_like })
            }
            Ok(length) if length >= self.bytes_min => Ok(length),
            _ => Err(FrameError::TooSmall { length, min: self.bytes_min }),
        }
    }
}

/// Takes up to `count` bytes off the front of `input`.
fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (head, rest) = input.split_at(count.min(input.len()));
    *input = rest;
    head
}

/// Names the protocol whose first four bytes these are: people do point browsers and TLS clients at a plain port.
fn looks_like(prefix: [u8; 4]) -> Option<&'static str> {
    match &prefix {
        [0x16, 0x03, ..] => Some("TLS"),
        b"GET " | b"POST" | b"HEAD" | b"PUT " | b"OPTI" | b"PRI " => Some("HTTP"),
        b"SSH-" => Some("SSH"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use proptest::prelude::*;

    fn frame(body: &[u8]) -> Vec<u8> {
        [&(body.len() as i32).to_be_bytes()[..], body].concat()
    }

    /// Feeds `stream` in the given pieces and gathers whole frames as a connection would.
    fn read(
        stream: &[u8],
        pieces: impl Iterator<Item = usize>,
    ) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut reader = FrameReader::requests(FRAME_BYTES_MAX);
        let mut frames = Vec::new();
        let mut missing: Option<(usize, Vec<u8>)> = None;
        let mut rest = stream;
        for size in pieces {
            let (mut piece, after) = rest.split_at(size.max(1).min(rest.len()));
            rest = after;
            loop {
                if let Some((length, body)) = &mut missing {
                    body.extend_from_slice(take(&mut piece, *length - body.len()));
                    if body.len() < *length {
                        break;
                    }
                    frames.push(std::mem::take(body));
                    missing = None;
                }
                match reader.next(&mut piece)? {
                    Some(Frame::Small(bytes)) => frames.push(bytes.to_vec()),
                    Some(Frame::Large { length, head }) => missing = Some((length, head.to_vec())),
                    None => break,
                }
            }
            assert!(piece.is_empty());
            if rest.is_empty() {
                assert!(reader.at_boundary() && missing.is_none());
                break;
            }
        }
        Ok(frames)
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            sizes in prop::collection::vec(prop_oneof![8usize..64, 16_000usize..17_000], 1..6),
            pieces in prop::collection::vec(prop_oneof![1usize..5, 1usize..9_000], 1..40),
        ) {
            let frames: Vec<Vec<u8>> =
                (1u8..).zip(&sizes).map(|(fill, size)| vec![fill; *size]).collect();
            let stream: Vec<u8> = frames.iter().flat_map(|body| frame(body)).collect();
            prop_assert_eq!(read(&stream, pieces.iter().copied().cycle()).unwrap(), frames);
        }

        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = FrameReader::requests(1 << 20);
            let mut input = &bytes[..];
            while let Ok(Some(_)) = reader.next(&mut input) {}
        }
    }

    #[test]
    fn one_byte_at_a_time() {
        let stream = [frame(b"12345678"), frame(&[7; 20_000]), frame(b"abcdefghi")].concat();
        let frames = read(&stream, std::iter::repeat(1)).unwrap();
        assert_eq!(frames, [b"12345678".to_vec(), vec![7; 20_000], b"abcdefghi".to_vec()]);
    }

    #[test]
    fn large_frames_are_announced_with_what_is_there() {
        let stream = frame(&[7; 20_000]);
        let mut reader = FrameReader::requests(FRAME_BYTES_MAX);
        let mut input = &stream[..4];
        let found = reader.next(&mut input).unwrap();
        assert_eq!(found, Some(Frame::Large { length: 20_000, head: &[] }));
        let mut input = &stream[..];
        let Some(Frame::Large { length, head }) = reader.next(&mut input).unwrap() else {
            panic!("20,000 bytes are large")
        };
        assert_eq!((length, head.len(), input.len()), (20_000, 20_000, 0));
    }

    #[test]
    fn impossible_lengths_are_refused_for_good() {
        let check = |length: i32, expected: FrameError| {
            let mut reader = FrameReader::requests(1000);
            assert_eq!(reader.next(&mut &length.to_be_bytes()[..]), Err(expected));
            assert_eq!(reader.next(&mut &frame(&[0; 8])[..]), Err(expected), "stays in error");
        };
        for length in [i32::MIN, -1, 0, 7] {
            check(length, FrameError::TooSmall { length, min: 8 });
        }
        for length in [1001, i32::MAX] {
            let expected =
                FrameError::TooLarge { length: length as usize, max: 1000, looks_like: None };
            check(length, expected);
        }
    }

    #[test]
    fn other_protocols_are_named() {
        let says = |bytes: &[u8]| {
            let mut reader = FrameReader::requests(FRAME_BYTES_MAX);
            reader.next(&mut &bytes[..]).unwrap_err().to_string()
        };
        assert!(says(b"GET / HTTP/1.1\r\n").contains("seems to speak HTTP, not Kafka"));
        assert!(says(&[0x16, 0x03, 0x01, 0x02, 0x00]).contains("seems to speak TLS"));
    }

    #[test]
    fn the_limit_can_be_raised_between_frames() {
        let mut reader = FrameReader::requests(10);
        reader.set_bytes_max(12);
        assert!(reader.next(&mut &frame(&[0; 12])[..]).unwrap().is_some());
    }
}

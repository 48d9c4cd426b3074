//! The framing that xerial's Java library puts around snappy blocks.
//!
//! ```text
//! 0        8         12        16
//! +--------+---------+---------+-----------+-------+-----------+-------+ ...
//! | magic  | version | oldest  | len (i32) | block | len (i32) | block |
//! +--------+---------+---------+-----------+-------+-----------+-------+ ...
//! ```
//! All numbers are big endian. Two streams written one after the other are read as one, header and all.

/// How a framed stream begins.
pub const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];

/// Bytes of magic and both version numbers.
pub const HEADER_BYTES: usize = 16;

/// Unpacked bytes per block, as Kafka's Java client writes them.
pub const BLOCK_BYTES: usize = 32 << 10;

/// The version written, and the oldest that can read it.
const VERSION: i32 = 1;

/// Whether `bytes` are a framed stream, not a raw block.
pub fn is_framed(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER_BYTES && bytes.starts_with(&MAGIC)
}

/// The header of a stream.
pub fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_be_bytes());
    header[12..].copy_from_slice(&VERSION.to_be_bytes());
    header
}

/// The stream ends inside a block, or a block has a negative length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenFraming;

/// The raw blocks of a framed stream.
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    rest: &'a [u8],
}

/// The blocks of `bytes`, which begin with a header.
pub fn blocks(bytes: &[u8]) -> Blocks<'_> {
    Blocks { rest: bytes }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<&'a [u8], BrokenFraming>;

    fn next(&mut self) -> Option<Self::Item> {
        while is_framed(self.rest) {
            self.rest = &self.rest[HEADER_BYTES..];
        }
        if self.rest.is_empty() {
            return None;
        }
        let block = self.rest.split_first_chunk::<4>().and_then(|(len, rest)| {
            let len = usize::try_from(i32::from_be_bytes(*len)).ok()?;
            rest.split_at_checked(len)
        });
        match block {
            Some((block, rest)) => {
                self.rest = rest;
                Some(Ok(block))
            }
            None => {
                self.rest = &[];
                Some(Err(BrokenFraming))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_concatenated_streams_apart() {
        let mut stream = header().to_vec();
        stream.extend_from_slice(&[0, 0, 0, 2, 7, 8]);
        stream.extend_from_slice(&header());
        stream.extend_from_slice(&[0, 0, 0, 1, 9]);
        let all: Result<Vec<_>, _> = blocks(&stream).collect();
        assert_eq!(all, Ok(vec![&[7, 8][..], &[9][..]]));
    }

    #[test]
    fn ends_at_broken_framing() {
        for tail in [&[0, 0][..], &[0, 0, 0, 9, 1], &[0xff, 0xff, 0xff, 0xff]] {
            let stream = [&header()[..], tail].concat();
            assert_eq!(blocks(&stream).collect::<Vec<_>>(), [Err(BrokenFraming)]);
        }
    }
}

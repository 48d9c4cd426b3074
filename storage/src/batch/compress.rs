//! Packing and unpacking the records of a batch.
//!
//! Unpacking takes a cap and never holds more output than that, whatever the bytes claim: the sizes that formats carry
//! in their headers are checked against the cap before anything is allocated for them.

use std::io::{self, Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use crate::batch::attributes::Codec;
use crate::batch::xerial;

/// Output grows by at most this much at a time, so that a lying header costs little.
const CHUNK_BYTES: usize = 64 << 10;

/// Largest window a zstd stream may ask for: 128 MiB, what its highest levels use and what decoders accept by default.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// A window that is accepted whatever the cap: 8 MiB, what the levels up to 19 use and every decoder must take.
const ZSTD_WINDOW_LOG_SURE: u32 = 23;

/// Why packed records could not be unpacked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// They unpack to more than the cap.
    #[error("the records unpack to more than {cap} bytes")]
    TooLarge {
        /// The cap in force, in bytes.
        cap: usize,
    },
    /// The codec does not understand them.
    #[error("not a valid {codec} stream: {reason}")]
    Damaged {
        /// The codec asked.
        codec: Codec,
        /// What it said.
        reason: String,
    },
}

/// Unpacks `packed` into at most `cap` bytes.
///
/// # Errors
/// When the result would be larger than `cap`, or the bytes are not of that codec.
pub fn unpack(codec: Codec, packed: &[u8], cap: usize) -> Result<Vec<u8>, UnpackError> {
    let damaged = |error: io::Error| UnpackError::Damaged { codec, reason: error.to_string() };
    match codec {
        Codec::None if packed.len() > cap => Err(UnpackError::TooLarge { cap }),
        Codec::None => Ok(packed.to_vec()),
        Codec::Gzip => drain(codec, flate2::bufread::MultiGzDecoder::new(packed), packed, cap),
        Codec::Snappy => unpack_snappy(packed, cap),
        // Reads one frame, as Kafka's own reader does: the decoder says "end" at each frame's end mark.
        Codec::Lz4 => drain(codec, FrameDecoder::new(packed), packed, cap),
        Codec::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(damaged)?;
            // The decoder sets a window aside as soon as a header of a few bytes asks for it.
            let useful = cap.max(1).checked_next_power_of_two().map_or(u32::MAX, usize::ilog2);
            let window_log = useful.clamp(ZSTD_WINDOW_LOG_SURE, ZSTD_WINDOW_LOG_MAX);
            decoder.window_log_max(window_log).map_err(damaged)?;
            drain(codec, decoder, packed, cap)
        }
    }
}

/// Packs `records` at the codec's usual level, so that every Kafka client can read the result.
///
/// # Errors
/// Only when the codec itself fails, as when it finds no memory.
pub fn pack(codec: Codec, records: &[u8]) -> io::Result<Vec<u8>> {
    match codec {
        Codec::None => Ok(records.to_vec()),
        Codec::Gzip => {
            let out = Vec::with_capacity(records.len() / 2 + 64);
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::default());
            encoder.write_all(records)?;
            encoder.finish()
        }
        Codec::Snappy => pack_snappy(records),
        Codec::Lz4 => {
            // Java's reader knows independent blocks only, and its writer uses 64 KiB ones (KIP-57).
            let frame =
                FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
            let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
            encoder.write_all(records)?;
            encoder.finish().map_err(io::Error::other)
        }
        Codec::Zstd => zstd::stream::encode_all(records, zstd::DEFAULT_COMPRESSION_LEVEL),
    }
}

/// Reads a decoder to its end, unless it gives more than `cap` bytes.
fn drain(
    codec: Codec,
    mut decoder: impl Read,
    packed: &[u8],
    cap: usize,
) -> Result<Vec<u8>, UnpackError> {
    let mut out = Vec::with_capacity(packed.len().saturating_mul(4).min(cap).min(1 << 20));
    loop {
        let filled = out.len();
        // One byte beyond the cap tells a stream that ends there from one that goes on.
        let step = CHUNK_BYTES.min(cap - filled + 1);
        out.resize(filled + step, 0);
        let read = match decoder.read(&mut out[filled..]) {
            Ok(read) => read,
            Err(error) => return Err(UnpackError::Damaged { codec, reason: error.to_string() }),
        };
        out.truncate(filled + read);
        if read == 0 {
            return Ok(out);
        }
        if out.len() > cap {
            return Err(UnpackError::TooLarge { cap });
        }
    }
}

/// Raw blocks come from librdkafka and others, framed ones from Java.
fn unpack_snappy(packed: &[u8], cap: usize) -> Result<Vec<u8>, UnpackError> {
    let mut out = Vec::new();
    if !xerial::is_framed(packed) {
        unpack_snappy_block(packed, &mut out, cap)?;
        return Ok(out);
    }
    for block in xerial::blocks(packed) {
        let block = block.map_err(|xerial::BrokenFraming| UnpackError::Damaged {
            codec: Codec::Snappy,
            reason: "broken framing".to_owned(),
        })?;
        unpack_snappy_block(block, &mut out, cap)?;
    }
    Ok(out)
}

fn unpack_snappy_block(block: &[u8], out: &mut Vec<u8>, cap: usize) -> Result<(), UnpackError> {
    let damaged = |error: snap::Error| UnpackError::Damaged {
        codec: Codec::Snappy,
        reason: error.to_string(),
    };
    let len = snap::raw::decompress_len(block).map_err(damaged)?;
    let filled = out.len();
    if len > cap - filled {
        return Err(UnpackError::TooLarge { cap });
    }
    // A copy of 64 bytes takes three in the block: no honest block claims more than 22 times itself. Without this a
    // block of a few bytes could make us clear the whole cap.
    if len / 22 > block.len() {
        let reason = format!("{} bytes cannot unpack to {len}", block.len());
        return Err(UnpackError::Damaged { codec: Codec::Snappy, reason });
    }
    out.resize(filled + len, 0);
    let written =
        snap::raw::Decoder::new().decompress(block, &mut out[filled..]).map_err(damaged)?;
    out.truncate(filled + written);
    Ok(())
}

/// Framed: every client reads that, Java's own included, and large batches stay readable block by block.
fn pack_snappy(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = xerial::header().to_vec();
    let mut encoder = snap::raw::Encoder::new();
    for block in records.chunks(xerial::BLOCK_BYTES) {
        let packed = encoder.compress_vec(block).map_err(io::Error::other)?;
        // A block of 32 KiB packs to at most 38,259 bytes.
        out.extend_from_slice(&(packed.len() as i32).to_be_bytes());
        out.extend_from_slice(&packed);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use proptest::prelude::*;

    use super::*;

    const PACKING: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    fn text(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|i| b"the quick brown fox "[i * i / 7 % 20]).collect()
    }

    #[test]
    fn what_is_packed_unpacks() {
        for codec in Codec::ALL {
            for bytes in [0, 1, 100, 65_536, 65_537, 200_000] {
                let records = text(bytes);
                let packed = pack(codec, &records).unwrap();
                assert_eq!(unpack(codec, &packed, bytes).unwrap(), records, "{codec} {bytes}");
            }
        }
    }

    /// A stream of unknown length whose header asks for 128 MiB made the decoder take them, whatever the cap.
    #[test]
    fn a_zstd_window_is_bounded_by_the_cap() {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(ZSTD_WINDOW_LOG_MAX).unwrap();
        encoder.write_all(b"hello").unwrap();
        let packed = encoder.finish().unwrap();
        assert_eq!(unpack(Codec::Zstd, &packed, 128 << 20).unwrap(), b"hello");
        assert!(matches!(
            unpack(Codec::Zstd, &packed, 64 << 20),
            Err(UnpackError::Damaged { codec: Codec::Zstd, .. })
        ));
    }

    #[test]
    fn raw_snappy_is_read_too() {
        let records = text(10_000);
        let packed = snap::raw::Encoder::new().compress_vec(&records).unwrap();
        assert_eq!(unpack(Codec::Snappy, &packed, 1 << 20).unwrap(), records);
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        let zeros = vec![0; 8 << 20];
        for codec in PACKING {
            let packed = pack(codec, &zeros).unwrap();
            assert!(packed.len() < zeros.len() / 15, "{codec}");
            for cap in [0, 1, 100_000, zeros.len() - 1] {
                let result = unpack(codec, &packed, cap);
                assert_eq!(result, Err(UnpackError::TooLarge { cap }), "{codec}");
            }
            assert_eq!(unpack(codec, &packed, zeros.len()).unwrap().len(), zeros.len());
        }
    }

    #[test]
    fn a_snappy_block_cannot_claim_more_than_its_bytes_can_hold() {
        // A length of 100 MiB and nothing behind it.
        let lie = [0x80, 0x80, 0x80, 0x32, 0];
        assert!(matches!(
            unpack(Codec::Snappy, &lie, 128 << 20),
            Err(UnpackError::Damaged { codec: Codec::Snappy, .. })
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_unpack_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            for codec in Codec::ALL {
                if let Ok(out) = unpack(codec, &bytes, 4_096) {
                    prop_assert!(out.len() <= 4_096);
                }
            }
        }

        #[test]
        fn damaged_streams_never_panic(
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            for codec in PACKING {
                let mut packed = pack(codec, &text(5_000)).unwrap();
                for (at, value) in &flips {
                    let at = at.index(packed.len());
                    packed[at] = *value;
                }
                packed.truncate(1 + cut.index(packed.len()));
                let _ = unpack(codec, &packed, 20_000);
                let twice = [&packed[..], &packed[..]].concat();
                let _ = unpack(codec, &twice, 20_000);
            }
        }

        /// Frames of every shape, damaged behind their header (which has a checksum of its own that random damage
        /// does not get past).
        #[test]
        fn damaged_lz4_frames_of_any_shape_never_panic(
            linked in any::<bool>(),
            size in 0usize..4,
            checksums in any::<bool>(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        ) {
            let sizes = [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB];
            let mode = if linked { BlockMode::Linked } else { BlockMode::Independent };
            let frame = FrameInfo::new()
                .block_mode(mode)
                .block_size(sizes[size])
                .block_checksums(checksums)
                .content_checksum(checksums);
            let records = text(70_000);
            let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
            encoder.write_all(&records).unwrap();
            let mut packed = encoder.finish().unwrap();
            if flips.is_empty() {
                prop_assert_eq!(unpack(Codec::Lz4, &packed, 1 << 20).unwrap(), records);
            }
            for (at, value) in &flips {
                let at = 7 + at.index(packed.len() - 7);
                packed[at] = *value;
            }
            if let Ok(out) = unpack(Codec::Lz4, &packed, 1 << 20) {
                prop_assert!(out.len() <= 1 << 20);
            }
        }
    }
}

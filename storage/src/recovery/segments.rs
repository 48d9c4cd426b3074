//! Segment files as recovery sees them: are they all there, and writing them.

use super::rebuild::{ABSENT, SegmentWrite};
use crate::checkpoint::LogCheckpoint;
use crate::disk;
use crate::ids::Offset;
use engine::file::{self, File, OpenOptions};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

const BLOCK: u64 = 4096;
/// Bytes written at once.
const WRITE_BYTES: usize = 1 << 20;

/// The name of a segment's file of batches.
pub(crate) fn segment_name(base: Offset) -> String {
    format!("{:020}.log", base.0)
}

fn parse_segment(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(".log").or_else(|| name.strip_suffix(".hindex"))?;
    let sound = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| digits.parse().ok().map(Offset)).flatten()
}

/// The files in one log's directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    /// Bytes of each segment file, by base offset.
    pub segments: BTreeMap<Offset, u64>,
    /// Names of other files that belong to a segment, with its base offset.
    pub others: Vec<(Offset, String)>,
}

/// Lists a log's directory; one that is not there has nothing in it.
pub(crate) async fn list(dir: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let entries = match file::read_dir(dir).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::default()),
        other => other?,
    };
    for entry in entries {
        let Some(name) = entry.name.to_str() else { continue };
        let Some(base) = parse_segment(name) else { continue };
        if name.ends_with(".log") {
            listing.segments.insert(base, entry.len);
        } else {
            listing.others.push((base, name.to_owned()));
        }
    }
    Ok(listing)
}

/// Segments that a checkpoint lists and that are missing or too short, each with the cause.
pub(crate) fn absent(checkpoint: &LogCheckpoint, listing: &Listing) -> Vec<(Offset, String)> {
    let last = checkpoint.segments.len().saturating_sub(1);
    let judged = checkpoint.segments.iter().enumerate().filter_map(|(index, segment)| {
        // The active segment's last partial block is in the checkpoint.
        let active = index == last;
        let need = if active { segment.bytes - segment.bytes % BLOCK } else { segment.bytes };
        let name = segment_name(segment.base);
        let cause = match listing.segments.get(&segment.base) {
            None if segment.bytes == 0 => return None,
            None => format!("{ABSENT}{name} is missing"),
            Some(have) if *have < need => {
                format!("{ABSENT}{name} has {have} bytes and needs {need}")
            }
            Some(_) => return None,
        };
        Some((segment.base, cause))
    });
    judged.collect()
}

/// Writes in order to the files of one log's directory, which is made if need be. Not synced.
pub(crate) async fn perform(dir: PathBuf, writes: Vec<SegmentWrite>) -> io::Result<()> {
    if !file::exists(&dir).await? {
        file::create_dir_all(&dir).await?;
    }
    for write in writes {
        let path = dir.join(segment_name(write.segment));
        let file = File::open(&path, OpenOptions::new().write().create().direct()).await?;
        let mut position = write.position;
        for part in write.bytes.chunks(WRITE_BYTES) {
            file.write_at(position, disk::aligned(part).await?).await?;
            position += part.len() as u64;
        }
        if let Some(len) = write.cut {
            file.set_len(len).await?;
        }
        file.close().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::SegmentMeta;
    use crate::ids::LogId;

    #[test]
    fn only_segment_names_are_segments() {
        assert_eq!(parse_segment(&segment_name(Offset(42))), Some(Offset(42)));
        assert_eq!(parse_segment("00000000000000000007.hindex"), Some(Offset(7)));
        for name in ["7.log", "0000000000000000000x.log", "99999999999999999999.log", "a.txt"] {
            assert_eq!(parse_segment(name), None, "{name}");
        }
    }

    #[test]
    fn missing_and_short_segments_are_named() {
        let id = LogId { topic: [1; 16], partition: 0, incarnation: 0 };
        let segment = |base, bytes| SegmentMeta { bytes, ..SegmentMeta::empty(Offset(base)) };
        let mut checkpoint = LogCheckpoint::empty(id, "a/0");
        checkpoint.segments = vec![segment(0, 9000), segment(10, 5000)];
        let mut listing = Listing::default();
        let text = |listing: &Listing| {
            let found = absent(&checkpoint, listing);
            found.into_iter().map(|(_, cause)| cause).collect::<Vec<_>>().join("; ")
        };
        assert!(text(&listing).contains("00000000000000000000.log is missing"));
        listing.segments.insert(Offset(0), 8999);
        listing.segments.insert(Offset(10), 4096);
        assert!(text(&listing).contains("has 8999 bytes and needs 9000"));
        listing.segments.insert(Offset(0), 12288);
        assert_eq!(text(&listing), "", "the active segment's last block is in the checkpoint");
        listing.segments.insert(Offset(10), 4095);
        assert!(text(&listing).contains("needs 4096"));
    }
}

//! The files of record logs, for damage that costs nothing: whether a log can be used at all is judged where it is used.

use std::path::Path;

use super::code::Code;
use super::finding::{Finding, Findings};
use super::leftovers;
use crate::disk;
use crate::limits;
use crate::record_log::{Replay, replay};

/// Where record logs are.
const DIRECTORIES: [&str; 2] = ["metadata", "checkpoints"];

/// Reads every file and tells of frames that have one copy left.
pub(super) async fn check(data: &Path, findings: &Findings) {
    for dir in DIRECTORIES {
        for entry in leftovers::list(data, dir, findings).await {
            let name = entry.name.to_string_lossy();
            let Some(sequence) = sequence(&name) else { continue };
            let file = format!("{dir}/{name}");
            let path = data.join(dir).join(&entry.name);
            let bytes = match disk::read_whole(&path, limits::RECORD_FILE_BYTES_MAX).await {
                Ok(bytes) => bytes,
                Err(error) => {
                    findings.add(Finding::new(Code::Unreadable, error.to_string()).file(file));
                    continue;
                }
            };
            findings.on_read(bytes.len() as u64);
            if let Ok(Replay::Records { healed, .. }) = replay(&bytes, sequence)
                && healed > 0
            {
                let what = format!("{healed} frame(s) with one damaged copy");
                findings.add(Finding::new(Code::RecordCopy, what).file(file));
            }
        }
    }
}

/// The sequence in a file's name: `<log>.<sequence>.records`, or `g<generation>.base`.
fn sequence(name: &str) -> Option<u64> {
    let digits = match name.strip_suffix(".records") {
        Some(rest) => rest.rsplit_once('.')?.1,
        None => name.strip_prefix('g')?.strip_suffix(".base")?,
    };
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_in_the_name() {
        assert_eq!(sequence("metadata.000000000000000a.records"), Some(10));
        assert_eq!(sequence("g00000003-s0001.0000000000000002.records"), Some(2));
        assert_eq!(sequence("g0000000b.base"), Some(11));
        for name in ["reserve", "metadata.new", "g0000000b.base.new", "x.records"] {
            assert_eq!(sequence(name), None, "{name}");
        }
    }
}

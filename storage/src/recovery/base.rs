//! The base checkpoint: all logs of the node as of the begin of a generation, in one file.
//!
//! It has the frames of a record log's snapshot. It is written under another name and renamed, so it is whole or absent;
//! once a superblock names its generation it must be there.

use crate::checkpoint::LogCheckpoint;
use crate::disk;
use crate::ids::Generation;
use crate::limits;
use crate::record_log;
use engine::file;
use std::io;
use std::path::Path;

/// The base checkpoint's file name.
pub(crate) fn base_name(generation: Generation) -> String {
    format!("g{:08x}.base", generation.0)
}

/// Writes the base checkpoint of a generation, durably.
pub(crate) async fn write_base(
    dir: &Path,
    generation: Generation,
    logs: impl Iterator<Item = &LogCheckpoint>,
) -> io::Result<()> {
    let records = logs.map(LogCheckpoint::encode).collect();
    let path = dir.join(base_name(generation));
    let fresh = dir.join(format!("{}.new", base_name(generation)));
    record_log::write_snapshot_file(&fresh, u64::from(generation.0), records).await?;
    file::rename(&fresh, &path).await?;
    file::sync_dir(dir).await
}

/// Reads it.
pub(crate) async fn read_base(
    dir: &Path,
    generation: Generation,
) -> io::Result<Vec<LogCheckpoint>> {
    let path = dir.join(base_name(generation));
    let bad = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let bytes = disk::read_whole(&path, limits::RECORD_FILE_BYTES_MAX).await?;
    match record_log::replay(&bytes, u64::from(generation.0)) {
        Ok(record_log::Replay::Records { records, healed, .. }) => {
            if healed > 0 {
                record_log::warn_of_damage(&path, healed);
            }
            let decoded = records.iter().map(|record| LogCheckpoint::decode(record));
            decoded.map(|one| one.map_err(|error| bad(error.to_string()))).collect()
        }
        Ok(record_log::Replay::NoSnapshot { .. }) => Err(bad("its frames do not check".to_owned())),
        Err(damage) => Err(bad(damage.to_string())),
    }
}

//! The files of a node that are read whole: superblock, checkpoints, metadata, indexes.

use storage::checkpoint::LogCheckpoint;
use storage::ids::LogId;
use storage::log::SegmentIndex;
use storage::record_log::{Replay, replay};
use storage::superblock::{SLOT_BYTES, Superblock};

use super::report::{Fact, Report};
use crate::cli::logs::timestamp;
use crate::controller::Record;

/// Prints both slots of a superblock and says which one counts.
pub fn superblock(bytes: &[u8], report: &mut Report) {
    let newest = Superblock::decode_newest(bytes).ok().map(|superblock| superblock.sequence);
    for slot in 0..2 {
        let fact = Fact::new("slot").with("number", slot);
        let start = (slot * SLOT_BYTES).min(bytes.len());
        match Superblock::decode_slot(&bytes[start..]) {
            Ok(block) => {
                let in_force = Some(block.sequence) == newest;
                report.print(1, describe(fact, &block).with("in_force", in_force.then_some(true)));
            }
            // After the first write one slot is empty, and after a crash one may be torn.
            Err(error) if newest.is_some() => report.print(1, fact.with("why", error.to_string())),
            Err(error) => report.damage(1, fact.with("why", error.to_string())),
        }
    }
}

/// The fields of a superblock.
fn describe(fact: Fact, block: &Superblock) -> Fact {
    let c = &block.calibration;
    fact.with("sequence", block.sequence)
        .with("cluster_id", block.cluster_id.as_str())
        .with("node_id", block.node_id)
        .with("directory_id", crate::cli::output::base64_url(&block.directory_id))
        .with("generation", block.generation.0)
        .with("shards", block.shards)
        .with("clean", block.clean)
        .with("formatted", timestamp(u64::try_from(block.formatted_ms).unwrap_or(0)))
        .with("flush", block.flush.name())
        .with("calibration_writes", c.writes)
        .with("dsync_p50_us", c.dsync_p50_us)
        .with("dsync_p99_us", c.dsync_p99_us)
        .with("write_fdatasync_p50_us", c.sync_p50_us)
        .with("write_fdatasync_p99_us", c.sync_p99_us)
}

/// Prints a segment's index.
pub fn index(bytes: &[u8], report: &mut Report) {
    match SegmentIndex::decode(bytes) {
        Ok(index) => {
            let max = index.max_timestamp();
            let fact = Fact::new("index")
                .with("base_offset", index.base_offset().0)
                .with("next_offset", index.next_offset().0)
                .with("segment_bytes", index.bytes())
                .with("entries", index.len())
                .with("max_timestamp", max.map(|(timestamp, _)| timestamp))
                .with("max_timestamp_offset", max.map(|(_, offset)| offset.0))
                .with("crc", "ok");
            report.print(1, fact);
        }
        Err(error) => report.damage(1, Fact::new("damage").with("why", error.to_string())),
    }
}

/// What the records of a record log are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordsOf {
    /// The cluster's metadata.
    Metadata,
    /// A shard's checkpoints.
    Checkpoints,
    /// The checkpoints a generation began with.
    Base,
}

/// Prints a file of a record log.
pub fn records(bytes: &[u8], what: RecordsOf, each: bool, report: &mut Report) {
    // The file's sequence stands in its first frame; its name says the same.
    let sequence = bytes.get(16..24).and_then(|bytes| bytes.try_into().ok());
    match replay(bytes, sequence.map_or(0, u64::from_le_bytes)) {
        Ok(Replay::NoSnapshot { used_before }) => {
            let fact = Fact::new("end").with("position", 0).with("used_before", used_before);
            report.print(1, fact.with("why", "no whole snapshot: a file kept ready"));
        }
        Ok(Replay::Records { records, next_number, end, snapshot_bytes, .. }) => {
            for (number, record) in records.iter().enumerate() {
                print_record(number, record, what, each, report);
            }
            let fact =
                Fact::new("total").with("records", records.len()).with("frames", next_number);
            report.print(1, fact.with("snapshot_bytes", snapshot_bytes).with("bytes", end));
        }
        Err(damage) => report.damage(1, Fact::new("damage").with("why", damage.to_string())),
    }
}

fn print_record(number: usize, record: &[u8], what: RecordsOf, each: bool, report: &mut Report) {
    let fact = Fact::new("record").with("number", number).with("bytes", record.len());
    let read = match what {
        RecordsOf::Metadata => Record::decode(record)
            .map(|record| fact_of(fact, &record))
            .map_err(|error| error.to_string()),
        RecordsOf::Base => checkpoint(record),
        RecordsOf::Checkpoints => match record.split_first() {
            Some((1, body)) => checkpoint(body),
            Some((2, body)) => match body.try_into() {
                Ok(id) => Ok(Fact::new("forget").with("log", LogId::from_bytes(id).to_string())),
                Err(_) => Err("a log id of a wrong length".to_owned()),
            },
            Some((3, body)) => match <[[u8; 8]; 2]>::try_from(body.as_chunks().0) {
                Ok([from, durable]) => Ok(Fact::new("journal")
                    .with("needed_from", u64::from_le_bytes(from))
                    .with("durable_upto", u64::from_le_bytes(durable))),
                Err(_) => Err("an LSN of a wrong length".to_owned()),
            },
            _ => Err("a record of an unknown kind".to_owned()),
        },
    };
    match read {
        Ok(fact) if each => report.print(1, fact),
        Ok(_) => {}
        Err(why) => {
            report.damage(1, Fact::new("damage").with("number", number).with("why", why));
        }
    }
}

fn fact_of(fact: Fact, record: &Record) -> Fact {
    fact.with("content", format!("{record:?}"))
}

fn checkpoint(bytes: &[u8]) -> Result<Fact, String> {
    let checkpoint = LogCheckpoint::decode(bytes).map_err(|error| error.to_string())?;
    Ok(Fact::new("log")
        .with("id", checkpoint.id.to_string())
        .with("dir", checkpoint.dir.as_str())
        .with("segments", checkpoint.segments.len())
        .with("log_start", checkpoint.log_start.0)
        .with("synced_upto", checkpoint.synced_upto.0)
        .with("replay_from", checkpoint.replay_from.0)
        .with("tail_image_bytes", checkpoint.tail_image.len())
        .with("producer_bytes", checkpoint.producers.len())
        .with("offline", checkpoint.offline))
}

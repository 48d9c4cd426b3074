//! The metadata log: its frames, its records, and the image that they give.

use std::path::Path;

use storage::node::Known;
use storage::record_log::{RecordLog, RecordLogError};
use storage::superblock::Superblock;
use storage::verify::{Code, Finding};

use crate::controller::{Image, LOG_NAME, Record};
use crate::shard::logs;

const DIRECTORY: &str = "metadata";

/// What the metadata log says.
#[derive(Default)]
pub struct Metadata {
    /// Every log; `None` when the metadata cannot be relied on.
    pub known: Option<Known>,
    /// How many topics there are.
    pub topics: usize,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

/// Reads it and replays its records.
pub async fn read(data: &Path, superblock: Option<&Superblock>) -> Metadata {
    let mut metadata = Metadata::default();
    let mut say = |code, what: String| {
        metadata.findings.push(Finding::new(code, what).file(DIRECTORY));
    };
    let ran = superblock.is_none_or(|block| block.generation.0 > 0);
    let records = match RecordLog::read(&data.join(DIRECTORY), LOG_NAME).await {
        Ok(Some(records)) => records,
        Ok(None) | Err(RecordLogError::Io { .. }) if !ran => return metadata,
        Ok(None) => {
            say(Code::MetadataLog, "it has no file".to_owned());
            return metadata;
        }
        Err(error) => {
            say(Code::MetadataLog, error.to_string());
            return metadata;
        }
    };
    let mut image = Image::default();
    let mut whole = true;
    for (number, bytes) in records.iter().enumerate() {
        let replayed = match Record::decode(bytes) {
            Ok(record) => image.replay(&record).map(drop).map_err(|error| {
                say(Code::MetadataContradiction, format!("record {number}: {error}"));
            }),
            Err(error) => {
                say(Code::MetadataRecord, format!("record {number}: {error}"));
                Err(())
            }
        };
        whole &= replayed.is_ok();
    }
    if let (Some(found), Some(block)) = (image.cluster_id(), superblock)
        && found != block.cluster_id
    {
        let what = format!("it is of cluster {found}, the superblock says {}", block.cluster_id);
        say(Code::MetadataCluster, what);
    }
    metadata.topics = image.topic_count();
    metadata.known = whole.then(|| logs::known(&image));
    metadata
}

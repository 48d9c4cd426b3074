//! Whose directory it is: the superblock and `meta.properties`.

use std::io;
use std::path::Path;

use super::code::Code;
use super::finding::{Finding, Findings};
use crate::disk;
use crate::ids::{Base64Url, Generation};
use crate::node::MetaProperties;
use crate::superblock::{SLOT_BYTES, Superblock, SuperblockError};

const SUPERBLOCK: &str = "superblock";
const META_PROPERTIES: &str = "meta.properties";
const SMALL_FILE_BYTES_MAX: u64 = 1 << 20;

/// The superblock in force; `None` when there is none to go by.
pub(super) async fn superblock(data: &Path, findings: &Findings) -> Option<Superblock> {
    let bytes = match disk::read_whole(&data.join(SUPERBLOCK), SMALL_FILE_BYTES_MAX).await {
        Ok(bytes) => bytes,
        Err(error) => {
            let code = match error.kind() {
                io::ErrorKind::NotFound => Code::SuperblockInvalid,
                _ => Code::Unreadable,
            };
            findings.add(Finding::new(code, error.to_string()).file(SUPERBLOCK));
            return None;
        }
    };
    findings.on_read(bytes.len() as u64);
    let block = match Superblock::decode_newest(&bytes) {
        Ok(block) => block,
        Err(error) => {
            let code = match error {
                SuperblockError::Version(_) => Code::SuperblockVersion,
                SuperblockError::Invalid => Code::SuperblockInvalid,
            };
            findings.add(Finding::new(code, error.to_string()).file(SUPERBLOCK));
            return None;
        }
    };
    check_other_slot(&bytes, &block, findings);
    if !block.clean && block.generation > Generation(0) {
        let what = format!("start {} did not end with a clean stop", block.generation);
        findings.add(Finding::new(Code::NotClean, what).file(SUPERBLOCK));
    }
    Some(block)
}

/// The slot that does not count must hold the superblock before, or zeros if there was none.
fn check_other_slot(bytes: &[u8], block: &Superblock, findings: &Findings) {
    let position = SLOT_BYTES - block.slot_position() as usize;
    let slot = bytes.get(position..).unwrap_or_default();
    let slot = &slot[..slot.len().min(SLOT_BYTES)];
    let what = match Superblock::decode_slot(slot) {
        Ok(other) => {
            let same = other.directory_id == block.directory_id
                && other.cluster_id == block.cluster_id
                && other.node_id == block.node_id;
            let before = other.sequence + 1 == block.sequence
                && other.generation <= block.generation
                && other.generation.0 + 1 >= block.generation.0;
            if same && before {
                return;
            }
            format!(
                "it holds number {} of generation {} and directory {}; the one in force is number {} of generation {}",
                other.sequence,
                other.generation,
                Base64Url(&other.directory_id),
                block.sequence,
                block.generation
            )
        }
        Err(_) if block.sequence == 1 && slot.iter().all(|byte| *byte == 0) => return,
        Err(error) => format!("the slot: {error}"),
    };
    let finding = Finding::new(Code::SuperblockSlot, what);
    findings.add(finding.file(SUPERBLOCK).position(position as u64));
}

/// Whether `meta.properties` says the same as the superblock.
pub(super) async fn meta_properties(data: &Path, block: &Superblock, findings: &Findings) {
    let say = |what: String| {
        findings.add(Finding::new(Code::MetaProperties, what).file(META_PROPERTIES));
    };
    let path = data.join(META_PROPERTIES);
    let bytes = match disk::read_whole(&path, SMALL_FILE_BYTES_MAX).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return say("it is missing".to_owned());
        }
        Err(error) => return say(error.to_string()),
    };
    findings.on_read(bytes.len() as u64);
    let told = MetaProperties::parse(&String::from_utf8_lossy(&bytes));
    let directory_id = Base64Url(&block.directory_id).to_string();
    let pairs = [
        ("cluster.id", told.cluster_id, block.cluster_id.clone()),
        ("node.id", told.node_id.map(|id| id.to_string()), block.node_id.to_string()),
        ("directory.id", told.directory_id, directory_id),
    ];
    for (key, told, right) in pairs {
        if told.as_ref() != Some(&right) {
            let told = told.unwrap_or_else(|| "nothing".to_owned());
            say(format!("{key} is {told}, the superblock says {right}"));
        }
    }
}

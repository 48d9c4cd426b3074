//! Ends the deletion of topics: what is left of their files goes, then their tombstones.
//!
//! Once at each start. A tombstone must outlive every journal entry of its topic, or recovery would
//! find entries of a log it has never heard of; recovery has just gone through all journals of
//! earlier generations, and entries of deleted topics are not taken into the new one.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use engine::file;

use crate::controller::{ControllerHandle, Image};
use crate::shard::logs;

/// Prunes the topics that were deleted before this start, one after the other.
pub(super) async fn prune(controller: ControllerHandle, topics_dir: PathBuf, image: Arc<Image>) {
    for (id, tombstone) in image.tombstones() {
        let path = topics_dir.join(logs::topic_dir(&tombstone.name, *id));
        match file::remove_dir_all(&path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // The tombstone stays for the next start.
                tracing::error!(
                    path = %path.display(), %error,
                    "HDL-STORE-012: the files of a deleted topic could not be removed"
                );
            }
            // Refused only while the node is stopping: the next start does it.
            _ => drop(controller.prune_topic(*id).await),
        }
    }
}

//! What a failed sync of the file system means for every sync behind it.
//!
//! What it dropped may have been any file's, and the sync of that file would then find nothing left to write and succeed. The
//! shard that asked for the failed one may be busy and learn of it later than that; so it is remembered on the thread that
//! made the call, at once, and nothing in this process counts as synced any more.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

static FAILED: AtomicBool = AtomicBool::new(false);

/// A sync of a file system has failed.
pub(super) fn remember() {
    FAILED.store(true, Ordering::Release);
}

/// The result of a sync, which is an error once a sync of a file system has failed.
pub(super) fn unless_before(synced: io::Result<()>) -> io::Result<()> {
    match synced {
        Ok(()) if FAILED.load(Ordering::Acquire) => {
            Err(io::Error::other("a sync of the file system failed before"))
        }
        synced => synced,
    }
}

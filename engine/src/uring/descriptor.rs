//! File descriptors that operations in flight keep open.

use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::local::{self, Host};

/// An open descriptor, shared by its user and by the operations that name it; the last one closes it,
/// through the ring when there is one.
pub(crate) struct Descriptor(ManuallyDrop<OwnedFd>);

impl Descriptor {
    pub fn new(fd: OwnedFd) -> Descriptor {
        Descriptor(ManuallyDrop::new(fd))
    }

    pub fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Takes the descriptor out, open.
    pub fn into_owned(self) -> OwnedFd {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped, so the descriptor is taken once.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: drop runs once, and nothing uses the field after it.
        let fd = unsafe { ManuallyDrop::take(&mut self.0) };
        // Where there is no ring (any more), dropping the descriptor is a plain close.
        local::try_with(|local| match &local.host {
            Host::Ring(ring) => ring.close(fd),
            #[cfg(feature = "sim")]
            Host::Sim(_) => drop(fd),
        });
    }
}

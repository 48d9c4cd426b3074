//! Start-up checks: what is missing, why, and what to do about it.

mod error;
mod host;
mod place;

pub use error::StartError;
pub use host::{HostFacts, host};
pub use place::{bind, directory_locked, lock_holder, no_direct_io};

pub(crate) use host::{no_memory, no_ring, no_thread, warn_unregistered};

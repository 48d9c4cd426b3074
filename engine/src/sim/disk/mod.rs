//! The simulated disk: a file system that keeps no promise it has not made, on a drive with a cache that
//! loses its contents with the power.

mod blocks;
mod content;
mod counters;
mod ending;
mod faults;
mod handle;
mod image;
mod names;
mod state;
mod tree;

pub use counters::DiskCounters;
pub use handle::Disk;

pub(super) use names::NodeId;
pub(super) use state::{DiskState, Errno, Mode};

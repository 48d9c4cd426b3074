//! Memory for I/O: aligned blocks out of a shard's budget, and shared slices of them.
//!
//! A [`Block`] is exclusive; [`Block::freeze`] turns it into a [`Slice`], shared by reference count
//! within the shard. [`Filling`] fills a block front to back while the finished part is already shared.
//! A [`Parcel`] carries a slice to another shard, where it can be read; its release travels home.
//!
//! Blocks come from an arena of 1 MiB chunks, split in halves down to 4 KiB, so a block costs its size
//! rounded up to a power of two; above 1 MiB a block has a mapping of its own and costs its size rounded
//! up to 4 KiB. Memory is handed out as it was left: zeroed at first, later with what its last owner
//! wrote.

mod arena;
mod block;
mod buddy;
mod filling;
mod mapping;
mod parcel;
mod slice;

pub use block::{Block, TooLarge, Usage, alloc, try_alloc, usage};
pub use filling::{Filling, Reserved};
pub use parcel::{Parcel, Piece};
pub use slice::Slice;

pub(crate) use arena::Arena;
#[cfg(feature = "sim")]
pub(crate) use arena::Simulated;
pub(crate) use mapping::Mapping;

/// Alignment of every block, in memory and in length.
pub const ALIGN: usize = 4096;

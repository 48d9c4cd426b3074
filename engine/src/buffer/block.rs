//! Exclusive, aligned memory.

use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Poll;

use super::arena::{Home, Memory, Return};
use super::slice::Slice;
use crate::local;

/// A 4 KiB-aligned buffer of fixed length (a multiple of 4 KiB), owned by one holder at a time and free
/// to move between shards. Dropping it gives its memory back to the shard it came from.
pub struct Block {
    memory: Memory,
    len: usize,
    home: Arc<Home>,
}

/// More memory was asked for than the shard will ever have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a block of {wanted} bytes is more than the shard's memory of {budget}")]
pub struct TooLarge {
    /// Bytes asked for.
    pub wanted: usize,
    /// The shard's whole budget.
    pub budget: usize,
}

/// A shard's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What live blocks cost.
    pub used: usize,
    /// What they may cost together.
    pub budget: usize,
}

/// A block of at least `bytes`, if this shard's budget has it now and nobody waits for memory.
pub fn try_alloc(bytes: usize) -> Option<Block> {
    local::with(|local| local.arena.try_alloc(bytes))
}

/// A block of at least `bytes`; waits in line until this shard's budget has it.
pub async fn alloc(bytes: usize) -> Result<Block, TooLarge> {
    let fits = local::with(|local| {
        let budget = local.arena.budget();
        local.arena.cost_of(bytes).ok_or(TooLarge { wanted: bytes, budget })
    });
    fits?;
    let mut place = Place(None);
    let block = poll_fn(|cx| {
        let got = local::with(|l| l.arena.poll_alloc(bytes, &mut place.0, cx.waker()));
        got.map_or(Poll::Pending, Poll::Ready)
    });
    Ok(block.await)
}

/// This shard's memory, used and allowed.
pub fn usage() -> Usage {
    local::with(|local| {
        local.arena.take_returns();
        Usage { used: local.arena.used(), budget: local.arena.budget() }
    })
}

/// A place in the line for memory.
struct Place(Option<u64>);

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.is_some() {
            local::try_with(|local| local.arena.leave(&mut self.0));
        }
    }
}

impl Block {
    pub(super) fn new(memory: Memory, len: usize, home: Arc<Home>) -> Block {
        debug_assert!(len <= memory.cost);
        Block { memory, len, home }
    }

    /// Shares the first `len` bytes; the memory goes back when the last slice of it is dropped.
    ///
    /// # Panics
    /// If the block is shorter than `len`.
    pub fn freeze(self, len: usize) -> Slice {
        Slice::of_block(self, len)
    }

    /// It came from the calling shard's arena.
    pub(super) fn is_of_here(&self) -> bool {
        local::with(|local| self.is_of(local.arena.home()))
    }

    /// It came from the arena behind `home`.
    pub(super) fn is_of(&self, home: &Arc<Home>) -> bool {
        Arc::ptr_eq(&self.home, home)
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.memory.base
    }

    /// The index of the registered buffer it lies in, on the shard whose ring registered it.
    pub(crate) fn registered(&self) -> Option<u16> {
        let index = self.memory.registered()?;
        local::with(|local| Arc::ptr_eq(local.arena.home(), &self.home)).then_some(index)
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the memory is mapped and initialised for `cost >= len` bytes (the kernel zeroes a
        // mapping), kept alive by `home`, and belongs to this block alone; while the kernel may
        // write to it, the block itself sits in the operation and cannot be dereferenced.
        unsafe { std::slice::from_raw_parts(self.memory.base.as_ptr(), self.len) }
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.memory.base.as_ptr(), self.len) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let at_home = local::try_with(|local| {
            let at_home = Arc::ptr_eq(local.arena.home(), &self.home);
            if at_home {
                local.arena.free(self.memory);
            }
            at_home
        });
        if at_home != Some(true) {
            self.home.give_back(Return::Memory(self.memory), false);
        }
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Block({} bytes)", self.len)
    }
}

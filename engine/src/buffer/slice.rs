//! Shared, immutable bytes within one shard.

use std::ops::{Deref, RangeBounds};
use std::ptr::NonNull;
use std::rc::Rc;

use super::block::Block;
use super::parcel::Parcel;

pub(super) enum Owner {
    Block(Block),
    Heap(#[expect(dead_code, reason = "owned for as long as slices point into it")] Vec<u8>),
}

/// A range of a block (or of heap memory), shared by reference count. Cloning and slicing copy nothing.
#[derive(Clone)]
pub struct Slice {
    owner: Rc<Owner>,
    base: NonNull<u8>,
    len: usize,
}

impl Slice {
    pub(super) fn of_block(block: Block, len: usize) -> Slice {
        assert!(len <= block.len(), "a slice lies within its block");
        let base = block.base();
        Slice { owner: Rc::new(Owner::Block(block)), base, len }
    }

    /// A slice of `len` bytes at `start` of a shared block.
    ///
    /// # Safety
    /// Nobody may write to that range as long as the owner lives.
    pub(super) unsafe fn of_part(owner: &Rc<Owner>, start: usize, len: usize) -> Slice {
        let Owner::Block(block) = &**owner else { unreachable!("parts are taken of blocks") };
        assert!(start <= block.len() && len <= block.len() - start);
        // SAFETY: start lies inside the block.
        let base = unsafe { block.base().add(start) };
        Slice { owner: owner.clone(), base, len }
    }

    /// Heap-backed bytes: neither aligned nor part of any budget.
    pub fn from_vec(bytes: Vec<u8>) -> Slice {
        let len = bytes.len();
        // The vector's own pointer, with leave to read all of it; the vector is never touched again.
        let base = NonNull::new(bytes.as_ptr().cast_mut()).expect("a vector's pointer is not null");
        Slice { owner: Rc::new(Owner::Heap(bytes)), base, len }
    }

    /// A part of this slice, by byte positions within it.
    ///
    /// # Panics
    /// If the range does not lie within the slice.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Slice {
        let part = &self[(range.start_bound().cloned(), range.end_bound().cloned())];
        let base = NonNull::from(part).cast();
        Slice { owner: self.owner.clone(), base, len: part.len() }
    }

    /// Packs the slice for another shard; see [`Parcel`].
    pub fn into_parcel(self) -> Parcel {
        Parcel::new(self)
    }

    /// Bytes of memory the slice keeps alive, which may be more than its own.
    pub fn retained(&self) -> usize {
        match &*self.owner {
            Owner::Block(block) => block.len(),
            Owner::Heap(_) => self.len,
        }
    }

    /// The block behind it again, if this is its last slice: to fill it anew without asking the arena.
    ///
    /// # Errors
    /// Gives the slice back when others share it, or when it is not a block's.
    pub fn try_into_block(self) -> Result<Block, Slice> {
        let Slice { owner, base, len } = self;
        match Rc::try_unwrap(owner) {
            Ok(Owner::Block(block)) => Ok(block),
            Ok(heap) => Err(Slice { owner: Rc::new(heap), base, len }),
            Err(owner) => Err(Slice { owner, base, len }),
        }
    }

    pub(super) fn block(&self) -> Option<&Block> {
        match &*self.owner {
            Owner::Block(block) => Some(block),
            Owner::Heap(_) => None,
        }
    }

    /// Direct I/O takes it: its bytes are a block's, from one 4 KiB boundary to another.
    #[cfg(feature = "sim")]
    pub(crate) fn is_direct(&self) -> bool {
        let Some(block) = self.block() else { return false };
        let offset = self.base.as_ptr().addr() - block.base().as_ptr().addr();
        offset.is_multiple_of(super::ALIGN)
    }

    /// The index of the registered buffer it lies in.
    pub(crate) fn registered(&self) -> Option<u16> {
        self.block().and_then(Block::registered)
    }
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: base..base+len lies inside the owner's memory, which `owner` keeps alive, and nobody
        // writes to it: a frozen block has no other handle, a filling never touches its finished
        // part again, a vector is owned unread.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slice({} bytes)", self.len)
    }
}

//! Slices that travel: to another shard, or into a send.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use super::arena::{Home, Return, Share};
use super::slice::Slice;
use crate::local;

/// A slice on its way to another shard. Its bytes can be read anywhere; its reference count is touched
/// at home only: dropped elsewhere, the release is sent home.
pub struct Parcel {
    slice: ManuallyDrop<Slice>,
    base: NonNull<u8>,
    len: usize,
    home: Arc<Home>,
    /// The block underneath is a third shard's, which may wait for it: home must not sleep on its release.
    urgent: bool,
}

// SAFETY: away from home only `base`, `len` and `home` are used. The bytes are immutable while any
// slice of them lives, and the packed slice lives until `drop` hands it back to the home thread; the
// `Rc` inside is never cloned, read or dropped by another thread.
unsafe impl Send for Parcel {}
// SAFETY: a shared parcel can only be read, which is sound from many threads at once.
unsafe impl Sync for Parcel {}

impl Parcel {
    pub(super) fn new(slice: Slice) -> Parcel {
        // Home is the thread whose reference count it is, and a slice is not Send: this one. The block
        // underneath may have come from yet another shard; its own drop sees to that.
        let home = local::with(|local| local.arena.home().clone());
        let urgent = slice.block().is_some_and(|block| !block.is_of(&home));
        let base = NonNull::from(&*slice).cast();
        let len = slice.len();
        Parcel { slice: ManuallyDrop::new(slice), base, len, home, urgent }
    }

    fn is_home(&self) -> bool {
        local::try_with(|local| Arc::ptr_eq(local.arena.home(), &self.home)) == Some(true)
    }

    /// Unpacks the slice on its home shard; elsewhere the parcel comes back unopened.
    pub fn into_slice(self) -> Result<Slice, Parcel> {
        if !self.is_home() {
            return Err(self);
        }
        let mut parcel = ManuallyDrop::new(self);
        // SAFETY: the parcel is not dropped (ManuallyDrop), so the slice is taken once.
        let slice = unsafe { ManuallyDrop::take(&mut parcel.slice) };
        // SAFETY: as above, for the one other field with a destructor.
        drop(unsafe { std::ptr::read(&parcel.home) });
        Ok(slice)
    }
}

impl Deref for Parcel {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the packed slice keeps base..base+len alive and immutable, see its own `deref`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        // SAFETY: drop runs once, and nothing uses the field after it.
        let slice = unsafe { ManuallyDrop::take(&mut self.slice) };
        if self.is_home() {
            drop(slice);
        } else {
            self.home.give_back(Return::Share(Share(slice)), self.urgent);
        }
    }
}

impl std::fmt::Debug for Parcel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parcel({} bytes)", self.len)
    }
}

/// One part of what a connection sends.
#[derive(Debug)]
pub enum Piece {
    /// Bytes made for this response.
    Vec(Vec<u8>),
    /// Bytes shared within the shard.
    Slice(Slice),
    /// Bytes of another shard.
    Parcel(Parcel),
}

impl Piece {
    /// Its memory is another shard's.
    pub(crate) fn is_foreign(&self) -> bool {
        match self {
            Piece::Vec(_) => false,
            Piece::Slice(slice) => slice.block().is_some_and(|block| !block.is_of_here()),
            Piece::Parcel(_) => true,
        }
    }
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Piece::Vec(bytes) => bytes,
            Piece::Slice(slice) => slice,
            Piece::Parcel(parcel) => parcel,
        }
    }
}

impl From<Vec<u8>> for Piece {
    fn from(bytes: Vec<u8>) -> Piece {
        Piece::Vec(bytes)
    }
}

impl From<Slice> for Piece {
    fn from(slice: Slice) -> Piece {
        Piece::Slice(slice)
    }
}

impl From<Parcel> for Piece {
    fn from(parcel: Parcel) -> Piece {
        Piece::Parcel(parcel)
    }
}

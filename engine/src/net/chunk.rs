//! Received bytes.

use std::ops::Deref;
use std::ptr::NonNull;
use std::rc::Rc;

use crate::buffer::Mapping;
use crate::limits::RECEIVE_BUFFER_BYTES;
use crate::local;
use crate::uring::Ring;

enum Bytes {
    /// A provided buffer, lent by the kernel's ring.
    Provided { id: u16, base: NonNull<u8>, memory: Rc<Mapping> },
    /// A copy, made because provided buffers ran low.
    Heap(Vec<u8>),
}

/// Bytes as they arrived, at most [`RECEIVE_BUFFER_BYTES`]; empty at the end of the stream. Dropping it
/// gives the buffer back, so a chunk should not be kept for long: copy what has to stay.
pub struct Chunk {
    bytes: Bytes,
    start: usize,
    end: usize,
}

impl Chunk {
    pub(super) fn empty() -> Chunk {
        Chunk { bytes: Bytes::Heap(Vec::new()), start: 0, end: 0 }
    }

    /// What the kernel put into buffer `id`.
    pub(super) fn received(ring: &Ring, id: u16, len: usize) -> Chunk {
        assert!(len <= RECEIVE_BUFFER_BYTES, "a receive stays within its buffer");
        let base = ring.provided.lend(id);
        let memory = ring.provided.memory().clone();
        Chunk { bytes: Bytes::Provided { id, base, memory }, start: 0, end: len }
    }

    /// Moves the bytes out of the provided buffer, which goes back at once.
    pub(super) fn detach(&mut self) {
        if matches!(self.bytes, Bytes::Provided { .. }) {
            let copy = self.to_vec();
            let (start, end) = (0, copy.len());
            // The old value's drop returns its buffer.
            *self = Chunk { bytes: Bytes::Heap(copy), start, end };
        }
    }

    /// Adds `more` behind what is here if it fits without growing past a provided buffer's size.
    pub(super) fn append(&mut self, more: &[u8]) -> bool {
        if more.len() > RECEIVE_BUFFER_BYTES - self.end {
            return false;
        }
        match &mut self.bytes {
            Bytes::Provided { base, .. } => {
                // SAFETY: end + more.len() <= RECEIVE_BUFFER_BYTES, the length of the buffer, which is
                // lent to this chunk alone; `more` is a borrow of other memory.
                unsafe {
                    let to = base.add(self.end).as_ptr();
                    std::ptr::copy_nonoverlapping(more.as_ptr(), to, more.len());
                }
            }
            Bytes::Heap(bytes) => bytes.extend_from_slice(more),
        }
        self.end += more.len();
        true
    }

    /// Drops the first `n` bytes (or all there are).
    pub fn advance(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Provided { base, .. } => {
                // SAFETY: start <= end <= RECEIVE_BUFFER_BYTES; the buffer is lent to this chunk alone
                // and initialised (zeroed when mapped), and `memory` keeps it mapped.
                unsafe {
                    std::slice::from_raw_parts(base.add(self.start).as_ptr(), self.end - self.start)
                }
            }
            Bytes::Heap(bytes) => &bytes[self.start..self.end],
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Bytes::Provided { id, memory, .. } = &self.bytes {
            // The thread may be no shard any more, or another one than that of this buffer.
            local::try_with(|local| {
                let provided = &local.ring().provided;
                if Rc::ptr_eq(provided.memory(), memory) {
                    provided.give(*id);
                }
            });
        }
    }
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chunk({} bytes)", self.len())
    }
}

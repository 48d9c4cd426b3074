//! A block filled front to back while its finished part is already shared.

use std::ops::Range;
use std::rc::Rc;

use super::block::Block;
use super::slice::{Owner, Slice};

/// Fills one block. What was appended is final and may be shared, sent and written to disk while later
/// bytes are still to come.
///
/// Holds always: bytes below `position` outside the open holes are never written again; bytes from
/// `position` on, and open holes, are visible through no slice.
pub struct Filling {
    owner: Rc<Owner>,
    len: usize,
    position: usize,
    holes: Vec<Range<usize>>,
}

/// A place kept free by [`Filling::reserve`], to be filled once.
#[derive(Debug)]
#[must_use = "a hole that is never filled can never be shared"]
pub struct Reserved {
    range: Range<usize>,
}

impl Reserved {
    /// Where in the block it lies.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

impl Filling {
    /// Starts at the front of `block`.
    pub fn new(block: Block) -> Filling {
        let len = block.len();
        Filling { owner: Rc::new(Owner::Block(block)), len, position: 0, holes: Vec::new() }
    }

    /// Bytes that still fit.
    pub fn remaining(&self) -> usize {
        self.len - self.position
    }

    /// Bytes taken so far, holes included; where the next append goes.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Length of the whole block.
    pub fn capacity(&self) -> usize {
        self.len
    }

    /// Copies `bytes` to the end of what is filled.
    ///
    /// # Panics
    /// With less than that remaining.
    pub fn append(&mut self, bytes: &[u8]) -> Slice {
        self.append_with(bytes.len(), |to| to.copy_from_slice(bytes))
    }

    /// Lets `write` fill the next `len` bytes; they hold older data until it does.
    ///
    /// # Panics
    /// With less than `len` remaining.
    pub fn append_with(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> Slice {
        let range = self.advance(len);
        self.write(range.clone(), write);
        self.filled(range)
    }

    /// Keeps the next `len` bytes for later.
    ///
    /// # Panics
    /// With less than `len` remaining.
    pub fn reserve(&mut self, len: usize) -> Reserved {
        let range = self.advance(len);
        self.holes.push(range.clone());
        Reserved { range }
    }

    /// Fills a hole; it cannot be changed afterwards.
    ///
    /// # Panics
    /// If the hole is not one of this block.
    pub fn fill(&mut self, reserved: Reserved, write: impl FnOnce(&mut [u8])) {
        let hole = self.holes.iter().position(|h| *h == reserved.range);
        let hole = hole.expect("a hole is filled in the block that reserved it");
        self.holes.swap_remove(hole);
        self.write(reserved.range, write);
    }

    /// A finished part of the block.
    ///
    /// # Panics
    /// If the range reaches beyond what is filled, or over a hole that is still open.
    pub fn filled(&self, range: Range<usize>) -> Slice {
        assert!(
            range.start <= range.end && range.end <= self.position,
            "only filled bytes are shared"
        );
        let open = self.holes.iter().any(|h| h.start < range.end && range.start < h.end);
        assert!(!open, "a hole is filled before it is shared");
        // SAFETY: the range lies below `position` and outside open holes, and `write` is only ever
        // called for bytes from `position` on or for a hole that was open: nobody writes here again.
        unsafe { Slice::of_part(&self.owner, range.start, range.len()) }
    }

    fn advance(&mut self, len: usize) -> Range<usize> {
        assert!(len <= self.remaining(), "an append fits into the block");
        let range = self.position..self.position + len;
        self.position = range.end;
        range
    }

    fn write(&mut self, range: Range<usize>, write: impl FnOnce(&mut [u8])) {
        let Owner::Block(block) = &*self.owner else { unreachable!("a filling is of a block") };
        // SAFETY: the range was given out by `advance`, so it lies inside the block, and no slice shows
        // it yet; `&mut self` keeps a second writer away; `owner` keeps the memory alive.
        let to = unsafe {
            std::slice::from_raw_parts_mut(block.base().add(range.start).as_ptr(), range.len())
        };
        write(to);
    }
}

impl std::fmt::Debug for Filling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Filling({} of {} bytes)", self.position, self.len)
    }
}

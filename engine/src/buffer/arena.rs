//! A shard's memory: chunks, large mappings, the budget, and the way home for what others free.
//!
//! Holds always: `used` is the sum of what live blocks cost and never above the budget; a mapping that
//! a live block points into is alive (the block's `Arc<Home>` owns it).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use crossbeam::queue::SegQueue;

use super::buddy::{self, Buddy, TOP};
use super::{ALIGN, Block, Mapping, Slice};
use crate::limits::{BLOCK_CHUNK_BYTES, KEEP_DIVISOR};
use crate::remote::Remote;

/// From here up, blocks prefer the registered region.
const REGISTERED_MIN: u8 = 2;
/// Bytes of the region behind one registered buffer index (the kernel allows 1 GiB each).
pub(crate) const REGION_PART: usize = 1 << 30;

const _: () = assert!(ALIGN << REGISTERED_MIN == 16 * 1024);
const _: () =
    assert!(REGION_PART.is_multiple_of(BLOCK_CHUNK_BYTES), "no block straddles two parts");

/// The part of an arena other threads see.
pub(crate) struct Home {
    /// Every mapping that blocks point into, by address. Locked only to map and unmap.
    mappings: Mutex<BTreeMap<usize, Mapping>>,
    /// What other threads gave back. Bounded by what the budget let out.
    returns: SegQueue<Return>,
    /// A task of the home shard waits for memory.
    wanted: AtomicBool,
    remote: Arc<Remote>,
}

/// Something freed away from home.
pub(super) enum Return {
    Memory(Memory),
    Share(Share),
}

/// One reference to a slice that left home in a parcel.
pub(super) struct Share(pub Slice);

// SAFETY: the slice inside is not touched (neither its count nor its fields) until it is back on its home
// thread: `Home::give_back` moves it into the queue, and only `Arena::take_returns`, which runs on
// the home thread, takes it out and drops it.
unsafe impl Send for Share {}

/// Where a block's bytes lie and what they cost.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    pub base: NonNull<u8>,
    /// What it takes of the budget: a power of two within a chunk, or a multiple of 4 KiB of its own.
    pub cost: usize,
    /// Its chunk, or `OWN_MAPPING`.
    pub chunk: u32,
    /// Registered buffer index, or `UNREGISTERED`.
    pub registered: u16,
}

// SAFETY: an address with its size; whoever holds the value owns the bytes, on any thread.
unsafe impl Send for Memory {}

const OWN_MAPPING: u32 = u32::MAX;
const UNREGISTERED: u16 = u16::MAX;

impl Memory {
    pub fn registered(&self) -> Option<u16> {
        (self.registered != UNREGISTERED).then_some(self.registered)
    }
}

impl Home {
    /// Sends home what belongs there. Home is woken if somebody waits for memory there, or if it is
    /// `urgent`; else it finds it in its next turn.
    pub(super) fn give_back(&self, what: Return, urgent: bool) {
        self.returns.push(what);
        // Pairs with the fence in `Arena::wait`: either it sees this return, or this sees `wanted`.
        fence(Ordering::SeqCst);
        if self.wanted.swap(false, Ordering::SeqCst) || urgent {
            self.remote.wake();
        }
    }

    fn lock_mappings(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, Mapping>> {
        // Insert and remove leave the map whole even if the allocator should panic between.
        self.mappings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The shard has ended and this may be any thread: references that came home too late are left
        // alone, since their count is not ours to touch.
        while let Some(returned) = self.returns.pop() {
            if let Return::Share(share) = returned {
                std::mem::forget(share);
            }
        }
    }
}

struct Chunk {
    base: NonNull<u8>,
    buddy: Buddy,
    /// Part of the registered region.
    region: bool,
    registered: u16,
    /// Its place in the list of its bucket.
    position: usize,
}

/// Chunks by the largest order they can still give (plus one; bucket 0 is full ones).
type Buckets = [Vec<u32>; TOP as usize + 2];

#[derive(Default)]
struct Chunks {
    slots: Vec<Option<Chunk>>,
    vacant: Vec<u32>,
    region: Buckets,
    plain: Buckets,
    /// Plain chunks that are all free.
    idle: usize,
}

/// One shard's memory.
pub(crate) struct Arena {
    home: Arc<Home>,
    budget: usize,
    keep: usize,
    used: Cell<usize>,
    chunks: RefCell<Chunks>,
    /// Large mappings kept for reuse, oldest first: address and length.
    kept: RefCell<VecDeque<(NonNull<u8>, usize)>>,
    kept_bytes: Cell<usize>,
    region: Option<(NonNull<u8>, usize)>,
    line: RefCell<BTreeMap<u64, (usize, Waker)>>,
    tickets: Cell<u64>,
    #[cfg(feature = "sim")]
    simulated: Option<Simulated>,
}

/// What the memory of a simulated shard holds when it is handed out.
#[cfg(feature = "sim")]
#[derive(Clone, Copy)]
pub(crate) enum Simulated {
    /// Zeros at first, then what its last owner left: as on a real shard.
    AsLeft,
    /// This byte everywhere.
    Filled(u8),
}

impl Arena {
    /// An arena that hands out at most `budget` bytes, `region_bytes` of them from one mapping that the
    /// ring may register.
    pub fn new(budget: usize, region_bytes: usize, remote: Arc<Remote>) -> io::Result<Arena> {
        let home = Arc::new(Home {
            mappings: Mutex::new(BTreeMap::new()),
            returns: SegQueue::new(),
            wanted: AtomicBool::new(false),
            remote,
        });
        let mut chunks = Chunks::default();
        let mut region = None;
        let region_chunks = region_bytes.min(budget) / BLOCK_CHUNK_BYTES;
        if region_chunks > 0 {
            let mapping = Mapping::huge(region_chunks * BLOCK_CHUNK_BYTES)?;
            region = Some((mapping.base(), mapping.len()));
            for i in 0..region_chunks {
                // SAFETY: i < region_chunks, so the offset lies inside the mapping.
                let base = unsafe { mapping.base().add(i * BLOCK_CHUNK_BYTES) };
                chunks.add(base, true, UNREGISTERED);
            }
            home.lock_mappings().insert(mapping.base().as_ptr().addr(), mapping);
        }
        Ok(Arena {
            home,
            budget,
            keep: (budget / KEEP_DIVISOR).max(BLOCK_CHUNK_BYTES),
            used: Cell::new(0),
            chunks: RefCell::new(chunks),
            kept: RefCell::default(),
            kept_bytes: Cell::new(0),
            region,
            line: RefCell::default(),
            tickets: Cell::new(0),
            #[cfg(feature = "sim")]
            simulated: None,
        })
    }

    /// The arena of a simulated shard.
    #[cfg(feature = "sim")]
    pub fn simulated(budget: usize, memory: Simulated, remote: Arc<Remote>) -> Arena {
        let arena = Arena::new(budget, 0, remote).expect("an arena without a region maps nothing");
        Arena { simulated: Some(memory), ..arena }
    }

    fn map(&self, len: usize) -> io::Result<Mapping> {
        #[cfg(feature = "sim")]
        if let Some(memory) = self.simulated {
            let mut mapping = Mapping::reused(len)?;
            if let Simulated::AsLeft = memory {
                mapping.clear();
            }
            return Ok(mapping);
        }
        Mapping::new(len)
    }

    pub fn home(&self) -> &Arc<Home> {
        &self.home
    }

    pub fn budget(&self) -> usize {
        self.budget
    }

    pub fn used(&self) -> usize {
        self.used.get()
    }

    /// The region to register, in parts of [`REGION_PART`].
    pub fn region_parts(&self) -> Vec<libc::iovec> {
        let Some((base, len)) = self.region else { return Vec::new() };
        let starts = (0..len).step_by(REGION_PART);
        starts
            .map(|start| libc::iovec {
                // SAFETY: start < len, so the address lies inside the region.
                iov_base: unsafe { base.add(start) }.as_ptr().cast(),
                iov_len: (len - start).min(REGION_PART),
            })
            .collect()
    }

    /// The ring has registered [`Arena::region_parts`]: blocks of the region carry their buffer index.
    pub fn set_registered(&self) {
        let Some((base, _)) = self.region else { return };
        for chunk in self.chunks.borrow_mut().slots.iter_mut().flatten().filter(|c| c.region) {
            let offset = chunk.base.as_ptr().addr() - base.as_ptr().addr();
            chunk.registered = (offset / REGION_PART) as u16;
        }
    }

    /// What a block of `bytes` costs; None if that is more than the whole budget.
    pub fn cost_of(&self, bytes: usize) -> Option<usize> {
        let cost = match buddy::order_of(bytes) {
            Some(order) => buddy::size_of(order),
            None => bytes.checked_next_multiple_of(ALIGN)?,
        };
        (cost <= self.budget).then_some(cost)
    }

    /// A block of `bytes`, rounded up to 4 KiB, if the budget has room and nobody waits in line.
    pub fn try_alloc(&self, bytes: usize) -> Option<Block> {
        self.take_returns();
        if !self.line.borrow().is_empty() {
            return None;
        }
        self.take(bytes)
    }

    fn take(&self, bytes: usize) -> Option<Block> {
        let cost = self.cost_of(bytes)?;
        if self.used.get() + cost > self.budget {
            return None;
        }
        let memory = match buddy::order_of(bytes) {
            Some(order) => self.take_part(order)?,
            None => self.take_mapping(cost)?,
        };
        self.used.set(self.used.get() + cost);
        let len = bytes.max(ALIGN).next_multiple_of(ALIGN);
        let block = Block::new(memory, len, self.home.clone());
        #[cfg(feature = "sim")]
        let block = self.filled(block);
        Some(block)
    }

    #[cfg(feature = "sim")]
    fn filled(&self, mut block: Block) -> Block {
        if let Some(Simulated::Filled(byte)) = self.simulated {
            block.fill(byte);
        }
        block
    }

    fn take_part(&self, order: u8) -> Option<Memory> {
        let mut chunks = self.chunks.borrow_mut();
        let region_first = order >= REGISTERED_MIN;
        let found = chunks.find(order, region_first).or_else(|| chunks.find(order, !region_first));
        let id = match found {
            Some(id) => id,
            None => {
                // Plain chunks may add up to more than the budget while all are thinly used; bounded by
                // the halves a buddy chunk can lose: at most one chunk per live block.
                let mapping = self.map(BLOCK_CHUNK_BYTES).ok()?;
                let base = mapping.base();
                self.home.lock_mappings().insert(base.as_ptr().addr(), mapping);
                chunks.add(base, false, UNREGISTERED)
            }
        };
        let (offset, base, registered) = chunks.take(id, order);
        // SAFETY: the buddy gives offsets of parts that lie inside their chunk.
        let base = unsafe { base.add(offset) };
        Some(Memory { base, cost: buddy::size_of(order), chunk: id, registered })
    }

    fn take_mapping(&self, cost: usize) -> Option<Memory> {
        let mut kept = self.kept.borrow_mut();
        // Exact lengths only: the length is the cost, and large bodies repeat.
        if let Some(i) = kept.iter().position(|(_, len)| *len == cost) {
            let (base, len) = kept.remove(i).expect("the position was just found");
            self.kept_bytes.set(self.kept_bytes.get() - len);
            return Some(Memory { base, cost, chunk: OWN_MAPPING, registered: UNREGISTERED });
        }
        let mapping = self.map(cost).ok()?;
        let base = mapping.base();
        self.home.lock_mappings().insert(base.as_ptr().addr(), mapping);
        Some(Memory { base, cost, chunk: OWN_MAPPING, registered: UNREGISTERED })
    }

    /// Takes a block's memory back, on the home thread.
    pub(super) fn free(&self, memory: Memory) {
        self.used.set(self.used.get() - memory.cost);
        if memory.chunk == OWN_MAPPING {
            self.keep_mapping(memory.base, memory.cost);
        } else {
            let mut chunks = self.chunks.borrow_mut();
            let idle_max = self.keep / BLOCK_CHUNK_BYTES;
            if let Some(base) = chunks.give(&memory, idle_max) {
                let unmapped = self.home.lock_mappings().remove(&base.as_ptr().addr());
                debug_assert!(unmapped.is_some(), "a plain chunk is a mapping");
            }
        }
        self.wake_first();
    }

    fn keep_mapping(&self, base: NonNull<u8>, len: usize) {
        let mut kept = self.kept.borrow_mut();
        kept.push_back((base, len));
        self.kept_bytes.set(self.kept_bytes.get() + len);
        while self.kept_bytes.get() > self.keep {
            let Some((base, len)) = kept.pop_front() else { break };
            self.kept_bytes.set(self.kept_bytes.get() - len);
            let unmapped = self.home.lock_mappings().remove(&base.as_ptr().addr());
            debug_assert!(unmapped.is_some(), "a kept mapping is a mapping");
        }
    }

    /// Takes in what other threads gave back. Called every turn and before each allocation.
    pub fn take_returns(&self) {
        while let Some(returned) = self.home.returns.pop() {
            match returned {
                Return::Memory(memory) => self.free(memory),
                Return::Share(Share(slice)) => drop(slice),
            }
        }
    }

    /// One step of waiting for `bytes` in line: the block, or None with the waker left behind.
    pub fn poll_alloc(
        &self,
        bytes: usize,
        ticket: &mut Option<u64>,
        waker: &Waker,
    ) -> Option<Block> {
        self.take_returns();
        let first = {
            let line = self.line.borrow();
            match (*ticket, line.first_key_value()) {
                (Some(mine), Some((first, _))) => mine == *first,
                (None, Some(_)) => false,
                (_, None) => true,
            }
        };
        if first && let Some(block) = self.take_or_wait(bytes) {
            self.leave(ticket);
            return Some(block);
        }
        let number = *ticket.get_or_insert_with(|| {
            self.tickets.set(self.tickets.get() + 1);
            self.tickets.get()
        });
        self.line.borrow_mut().insert(number, (bytes, waker.clone()));
        None
    }

    fn take_or_wait(&self, bytes: usize) -> Option<Block> {
        if let Some(block) = self.take(bytes) {
            return Some(block);
        }
        self.home.wanted.store(true, Ordering::SeqCst);
        // Pairs with the fence in `Home::give_back`.
        fence(Ordering::SeqCst);
        self.take_returns();
        self.take(bytes)
    }

    /// Leaves the line; the next in it may have its turn now.
    pub fn leave(&self, ticket: &mut Option<u64>) {
        if let Some(number) = ticket.take() {
            self.line.borrow_mut().remove(&number);
            self.wake_first();
        }
    }

    fn wake_first(&self) {
        let line = self.line.borrow();
        if let Some((bytes, waker)) = line.first_key_value().map(|(_, w)| w) {
            let fits = self.cost_of(*bytes).is_some_and(|c| self.used.get() + c <= self.budget);
            if fits {
                waker.wake_by_ref();
            }
        }
    }

    /// Someone waits for memory: the wish is announced again, in case a wake-up answered an older one.
    pub fn announce_want(&self) {
        if !self.line.borrow().is_empty() {
            self.home.wanted.store(true, Ordering::SeqCst);
        }
    }

    /// A task waits for memory.
    pub fn is_awaited(&self) -> bool {
        !self.line.borrow().is_empty()
    }

    /// Something lies in the return queue.
    pub fn has_returns(&self) -> bool {
        !self.home.returns.is_empty()
    }
}

impl Chunks {
    fn add(&mut self, base: NonNull<u8>, region: bool, registered: u16) -> u32 {
        let chunk = Chunk { base, buddy: Buddy::new(), region, registered, position: 0 };
        let id = match self.vacant.pop() {
            Some(id) => {
                self.slots[id as usize] = Some(chunk);
                id
            }
            None => {
                self.slots.push(Some(chunk));
                (self.slots.len() - 1) as u32
            }
        };
        self.idle += usize::from(!region);
        self.link(id);
        id
    }

    fn find(&self, order: u8, region: bool) -> Option<u32> {
        let buckets = if region { &self.region } else { &self.plain };
        buckets[order as usize + 1..].iter().find_map(|b| b.last().copied())
    }

    fn chunk(&mut self, id: u32) -> &mut Chunk {
        self.slots[id as usize].as_mut().expect("a live block's chunk is there")
    }

    fn bucket_of(&mut self, id: u32) -> (usize, bool) {
        let chunk = self.chunk(id);
        (chunk.buddy.largest().map_or(0, |o| o as usize + 1), chunk.region)
    }

    fn link(&mut self, id: u32) {
        let (bucket, region) = self.bucket_of(id);
        let list = if region { &mut self.region[bucket] } else { &mut self.plain[bucket] };
        list.push(id);
        let position = list.len() - 1;
        self.chunk(id).position = position;
    }

    fn unlink(&mut self, id: u32) {
        let (bucket, region) = self.bucket_of(id);
        let position = self.chunk(id).position;
        let list = if region { &mut self.region[bucket] } else { &mut self.plain[bucket] };
        list.swap_remove(position);
        if let Some(moved) = list.get(position).copied() {
            self.chunk(moved).position = position;
        }
    }

    fn take(&mut self, id: u32, order: u8) -> (usize, NonNull<u8>, u16) {
        self.unlink(id);
        let chunk = self.chunk(id);
        let was_idle = !chunk.region && chunk.buddy.is_all_free();
        let offset = chunk.buddy.take(order).expect("its bucket says that the chunk has room");
        let found = (offset, chunk.base, chunk.registered);
        self.idle -= usize::from(was_idle);
        self.link(id);
        found
    }

    /// Gives a part back; the address of its chunk if that is now to be unmapped.
    fn give(&mut self, memory: &Memory, idle_max: usize) -> Option<NonNull<u8>> {
        let id = memory.chunk;
        self.unlink(id);
        let order = buddy::order_of(memory.cost).expect("a part of a chunk fits a chunk");
        let chunk = self.chunk(id);
        let offset = memory.base.as_ptr().addr() - chunk.base.as_ptr().addr();
        chunk.buddy.give(offset, order);
        let (base, idle) = (chunk.base, !chunk.region && chunk.buddy.is_all_free());
        if idle && self.idle >= idle_max {
            self.slots[id as usize] = None;
            self.vacant.push(id);
            return Some(base);
        }
        self.idle += usize::from(idle);
        self.link(id);
        None
    }
}

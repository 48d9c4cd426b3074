//! Brings journalled batches into their segments: gathered per log into large aligned writes, in the background.
//!
//! A log's batches are written when the oldest is half a second old, when they fill a large write, or when memory or
//! the journal run short: then nothing waits for its age and more writes are in flight at once. Writes begin at the
//! block boundary before the log's write position, so that the partial block at a segment's tail is written again with
//! more in it; its earlier bytes are also in the live journal or in the last checkpoint, so a torn write loses nothing.
//!
//! A large write goes out in steps with rests between them while nothing presses, and is gathered in steps, so that
//! acknowledgements hardly notice.
//!
//! One write per log is in flight at a time. A failed write ends the process: its bytes are acknowledged, and what the
//! file holds now is unknown.
//!
//! Blocks of its own make sure that it never waits for memory which only its own progress can free.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use engine::buffer::{self, Block, Slice};
use engine::file::File;
use engine::sync::Notify;
use engine::task::{self, Queue};
use engine::time::{self, Instant};

use crate::batch::split;
use crate::ids::Lsn;
use crate::limits;
use crate::log::log::WritePlan;
use crate::log::space;
use crate::planted::{self, Bug};
use crate::seal;
use crate::store::cell::LogCell;
use crate::store::shard_store::Inner;
use crate::tail::Chunk;

/// The largest single write, and what a busy log gathers before it is written without waiting for its age.
pub const WRITE_BYTES_MAX: usize = 1 << 20;

/// Blocks kept back for writes when the shard's memory is used up, and their size.
const RESERVED_BLOCKS: usize = 2;
const RESERVED_BLOCK_BYTES: usize = 256 << 10;

/// Writes in flight when nothing presses, and when memory or the journal run short.
const IN_FLIGHT_MIN: usize = 1;
const IN_FLIGHT_MAX: usize = 8;

/// Bytes copied before produce and fetch have a turn: some 30 us, memory that is touched for the first time included.
const COPY_STEP_BYTES: usize = 64 << 10;

/// Bytes written at once while nothing presses. A flush of the journal may have to wait until the device has taken in what
/// was written before it, so a large write shows in acknowledgements.
const CALM_STEP_BYTES: usize = 128 << 10;

/// How much longer than such a step took the device is left to others, and at most for how long.
const CALM_REST: u32 = 4;
const CALM_REST_MAX: Duration = Duration::from_millis(5);

/// How long a log whose batches are still on their way into the journal is left alone.
const NOT_VISIBLE_WAIT: Duration = Duration::from_millis(1);

const _: () =
    assert!(WRITE_BYTES_MAX.is_multiple_of(4096) && RESERVED_BLOCK_BYTES.is_multiple_of(4096));

/// Which logs have something to write, and how much is going on.
pub struct WriteBehind {
    /// Logs with unwritten batches, by the time since which they have some.
    line: RefCell<VecDeque<(Instant, u32)>>,
    /// Logs with enough for a large write, or that a flush waits for.
    urgent: RefCell<VecDeque<u32>>,
    /// Bytes of all logs that are not in a segment yet.
    unwritten: Cell<usize>,
    in_flight: Cell<usize>,
    /// Someone waits for room in memory or in the journal.
    pressed: Cell<bool>,
    changed: Notify,
    finished: Notify,
    reserve: RefCell<Vec<Block>>,
    /// The tail cache's memory, and the logs whose oldest chunk goes first.
    cached: Cell<usize>,
    cached_order: RefCell<VecDeque<u32>>,
}

impl WriteBehind {
    /// Nothing to write yet. Takes its blocks from the shard's memory now.
    pub fn new() -> WriteBehind {
        let blocks = (0..RESERVED_BLOCKS).filter_map(|_| buffer::try_alloc(RESERVED_BLOCK_BYTES));
        WriteBehind {
            line: RefCell::default(),
            urgent: RefCell::default(),
            unwritten: Cell::new(0),
            in_flight: Cell::new(0),
            pressed: Cell::new(false),
            changed: Notify::new(),
            finished: Notify::new(),
            reserve: RefCell::new(blocks.collect()),
            cached: Cell::new(0),
            cached_order: RefCell::default(),
        }
    }

    /// Bytes appended and not in a segment yet.
    pub fn unwritten(&self) -> usize {
        self.unwritten.get()
    }

    /// Memory of written chunks in the tail cache.
    pub fn cached(&self) -> usize {
        self.cached.get()
    }

    /// A batch of `bytes` was appended to the log.
    pub fn on_append(&self, cell: &LogCell, bytes: usize, bytes_max: usize) {
        self.unwritten.set(self.unwritten.get() + bytes);
        cell.unwritten.set(cell.unwritten.get() + bytes);
        if !cell.writing.get() {
            self.join_line(cell);
        }
        if cell.unwritten.get() >= WRITE_BYTES_MAX {
            self.hurry(cell);
        } else if self.unwritten.get() > bytes_max && !self.pressed.replace(true) {
            self.changed.notify_all();
        }
    }

    /// Someone waits for memory or for room in the journal: nothing waits for its age until the backlog is gone.
    pub fn press(&self) {
        if self.unwritten.get() > 0 && !self.pressed.replace(true) {
            self.changed.notify_all();
        }
    }

    /// The log was cut back: `unwritten` bytes of it are not written any more, and `freed` bytes of the cache are free.
    pub(crate) fn on_cut(&self, cell: &LogCell, unwritten: usize, freed: usize) {
        self.unwritten.set(self.unwritten.get() - unwritten);
        cell.unwritten.set(cell.unwritten.get() - unwritten);
        self.cached.set(self.cached.get() - freed);
        // A flush no longer waits for it.
        self.finished.notify_all();
    }

    /// The log is gone: what it held no longer counts.
    pub fn on_deleted(&self, cell: &LogCell) {
        self.unwritten.set(self.unwritten.get() - cell.unwritten.replace(0));
        let freed = cell.log.borrow_mut().tail.clear();
        self.cached.set(self.cached.get() - freed);
        // A flush no longer waits for it.
        self.finished.notify_all();
    }

    fn join_line(&self, cell: &LogCell) {
        if !cell.in_line.replace(true) {
            let mut line = self.line.borrow_mut();
            line.push_back((time::now(), cell.slot));
            if line.len() == 1 {
                self.changed.notify_all();
            }
        }
    }

    fn hurry(&self, cell: &LogCell) {
        if !cell.urgent.replace(true) {
            self.urgent.borrow_mut().push_back(cell.slot);
            self.changed.notify_all();
        }
    }

    fn take_cached(&self, slot: u32, cost: usize) {
        self.cached.set(self.cached.get() + cost);
        self.cached_order.borrow_mut().push_back(slot);
    }
}

impl Default for WriteBehind {
    fn default() -> WriteBehind {
        WriteBehind::new()
    }
}

/// Writes every batch with a journal entry before `upto`; ends when all of them are in segments.
pub(crate) async fn flush(inner: &Rc<Inner>, upto: Lsn) {
    let behind = &inner.behind;
    let mut waiting = inner.cells.all();
    waiting.retain(|cell| cell.unwritten.get() > 0);
    for cell in &waiting {
        cell.flush_upto.set(upto);
        behind.hurry(cell);
    }
    while let Some(cell) = waiting.last() {
        let finished = behind.finished.notified();
        if cell.is_written(upto) {
            waiting.pop();
        } else {
            finished.await;
        }
    }
}

/// Runs for as long as the shard does: starts writes as they fall due.
pub(crate) async fn run(inner: Rc<Inner>) {
    loop {
        let changed = inner.behind.changed.notified();
        match next(&inner) {
            Next::Write(cell) => start(&inner, cell),
            Next::Again => {}
            Next::Wait(Some(wait)) => {
                // Either way it is time to look again.
                let _ = time::timeout(wait, changed).await;
            }
            Next::Wait(None) => changed.await,
        }
    }
}

enum Next {
    Write(Rc<LogCell>),
    /// The first in line had nothing to write.
    Again,
    /// Nothing is due, until this passes or something changes.
    Wait(Option<Duration>),
}

/// How far the backlog has come on its way to where appends are refused, 0 to 1.
fn pressure(inner: &Inner) -> f32 {
    let memory = inner.behind.unwritten() as f32 / inner.config.write_behind_bytes.max(1) as f32;
    let waiting = if inner.behind.pressed.get() { 1.0 } else { 0.0 };
    memory.max(inner.journal.fill() as f32).max(waiting).min(1.0)
}

fn next(inner: &Inner) -> Next {
    let behind = &inner.behind;
    let pressure = pressure(inner);
    let in_flight_max =
        IN_FLIGHT_MIN + (pressure * (IN_FLIGHT_MAX - IN_FLIGHT_MIN) as f32) as usize;
    if behind.in_flight.get() >= in_flight_max {
        return Next::Wait(None);
    }
    if let Some(cell) = take_urgent(inner) {
        return Next::Write(cell);
    }
    let now = time::now();
    let mut line = behind.line.borrow_mut();
    let Some((since, slot)) = line.front().copied() else {
        if behind.in_flight.get() == 0 {
            behind.pressed.set(false);
        }
        return Next::Wait(None);
    };
    let age = now.since(since);
    if pressure <= 0.5 && age < inner.config.write_behind_age {
        return Next::Wait(Some(inner.config.write_behind_age - age));
    }
    line.pop_front();
    drop(line);
    let Some(cell) = inner.cells.get(slot) else { return Next::Again };
    cell.in_line.set(false);
    // A write in flight puts it back into the line when it ends; a large write may have left nothing.
    let idle = cell.writing.get() || cell.unwritten.get() == 0;
    if idle { Next::Again } else { Next::Write(cell) }
}

fn take_urgent(inner: &Inner) -> Option<Rc<LogCell>> {
    let mut urgent = inner.behind.urgent.borrow_mut();
    while let Some(slot) = urgent.pop_front() {
        let Some(cell) = inner.cells.get(slot) else { continue };
        cell.urgent.set(false);
        if !cell.writing.get() {
            return Some(cell);
        }
    }
    None
}

fn start(inner: &Rc<Inner>, cell: Rc<LogCell>) {
    cell.writing.set(true);
    inner.behind.in_flight.set(inner.behind.in_flight.get() + 1);
    // Half full or more, finishing writes is what lets produce go on: it no longer yields to fetches.
    let queue = if pressure(inner) > 0.5 { Queue::Fetch } else { Queue::Background };
    let inner = inner.clone();
    task::spawn(queue, async move {
        // A segment that was complete before the next one began: its index is still at hand.
        seal::seal_complete_segments(&inner, &cell).await;
        if write_once(&inner, &cell).await {
            seal::seal_complete_segments(&inner, &cell).await;
        } else {
            // Its batches are not visible yet: the journal is about to say so.
            time::sleep(NOT_VISIBLE_WAIT).await;
        }
        finish(&inner, &cell);
    });
}

/// The log's turn is over: back into the line if more has come meanwhile.
fn finish(inner: &Inner, cell: &LogCell) {
    inner.behind.in_flight.set(inner.behind.in_flight.get() - 1);
    release(inner, cell);
}

/// The log's files are free again for the next write.
pub(crate) fn release(inner: &Inner, cell: &LogCell) {
    let behind = &inner.behind;
    cell.writing.set(false);
    if cell.unwritten.get() > 0 {
        behind.join_line(cell);
    }
    if cell.unwritten.get() >= WRITE_BYTES_MAX || !cell.is_written(cell.flush_upto.get()) {
        behind.hurry(cell);
    }
    behind.changed.notify_all();
    behind.finished.notify_all();
}

/// Writes the log's next run. Returns whether there was one.
async fn write_once(inner: &Rc<Inner>, cell: &Rc<LogCell>) -> bool {
    let (plan, head, dir) = {
        let log = cell.log.borrow();
        let partial = (log.written.segment.bytes % space::BLOCK) as usize;
        let Some(plan) = log.plan_write(WRITE_BYTES_MAX - partial) else { return false };
        // A copy: a checkpoint in the middle of this write needs the image as it was.
        let mut image = log.written.image.clone();
        if planted::is(Bug::RewriteTailBlockLate) && !log.changed {
            // A checkpoint has let the journal forget them.
            image.fill(0);
        }
        (plan, image, log.dir.clone())
    };
    let key = cell.key(plan.segment);
    let file = match inner.files.get(key, &dir).await {
        Ok(file) => file,
        Err(error) => fail(&dir, &plan, "opened", &error),
    };
    let mut gather = Gather::new(&head, &plan);
    let mut position = space::block_start(plan.position.0);
    let mut cached = None;
    let mut image: Box<[u8]> = Box::default();
    loop {
        let left = gather.left();
        if left == 0 {
            break;
        }
        let (mut block, from_reserve) = take_block(inner, left.min(WRITE_BYTES_MAX)).await;
        let filled = fill(&mut gather, &mut block).await;
        let whole = space::block_end(filled as u64) as usize;
        block[filled..whole].fill(0);
        if gather.left() == 0 {
            image = block[space::block_start(filled as u64) as usize..filled].into();
        }
        let slice = block.freeze(whole);
        if let Err(error) = write_calmly(inner, cell, &file, position, &slice).await {
            fail(&dir, &plan, "written", &error);
        }
        let only = position == space::block_start(plan.position.0) && gather.left() == 0;
        position += whole as u64;
        if from_reserve {
            give_back(inner, slice);
        } else if only {
            let cost = slice.retained();
            cached = Some(Chunk { bytes: slice.slice(head.len()..filled), cost });
        }
    }
    complete(inner, cell, &plan, image, cached);
    true
}

/// Writes the slice: in steps with rests between them, unless memory or the journal run short or somebody waits for it.
async fn write_calmly(
    inner: &Inner,
    cell: &LogCell,
    file: &File,
    position: u64,
    slice: &Slice,
) -> std::io::Result<()> {
    let mut at = 0;
    while at < slice.len() {
        let calm = calm(inner, cell);
        let left = slice.len() - at;
        let step = if calm > 0.0 { left.min(CALM_STEP_BYTES) } else { left };
        let share = inner.config.device.take(step).await;
        let began = time::now();
        file.write_at(position + at as u64, slice.slice(at..at + step)).await?;
        let took = began.elapsed();
        drop(share);
        at += step;
        if calm > 0.0 && at < slice.len() {
            time::sleep((took * CALM_REST).min(CALM_REST_MAX).mul_f32(calm)).await;
        }
    }
    Ok(())
}

/// How little presses: 1 with an empty backlog, 0 from where writes no longer wait for their age.
fn calm(inner: &Inner, cell: &LogCell) -> f32 {
    let awaited = !cell.is_written(cell.flush_upto.get());
    if awaited { 0.0 } else { (1.0 - 2.0 * pressure(inner)).max(0.0) }
}

/// Copies as much as fits, letting others go first every now and then; returns how much.
async fn fill(gather: &mut Gather<'_>, block: &mut [u8]) -> usize {
    let mut filled = 0;
    for step in block.chunks_mut(COPY_STEP_BYTES) {
        if filled > 0 {
            task::yield_now().await;
        }
        let copied = gather.fill(step);
        filled += copied;
        if copied < step.len() {
            break;
        }
    }
    filled
}

/// Cuts the active segment to its exact length and writes its index, at a clean stop.
pub(crate) async fn close_active(inner: &Rc<Inner>, cell: &Rc<LogCell>) {
    seal::seal_complete_segments(inner, cell).await;
    let active = cell.log.borrow().active().copied();
    let Some(active) = active.filter(|active| !active.sealed) else { return };
    seal::cut(inner, cell, &active).await;
    let index = cell.index.take().filter(|index| index.bytes() == active.bytes);
    if let Some(index) = index {
        seal::write_index(inner, cell, &index).await;
    }
}

fn complete(
    inner: &Rc<Inner>,
    cell: &Rc<LogCell>,
    plan: &WritePlan,
    image: Box<[u8]>,
    chunk: Option<Chunk>,
) {
    let behind = &inner.behind;
    // A log deleted meanwhile has been taken out of the account already.
    if cell.log.borrow().standing == crate::log::log::Standing::Deleted {
        return;
    }
    note_in_index(cell, plan);
    let kept = chunk.as_ref().map(|chunk| chunk.cost);
    let freed = cell.log.borrow_mut().on_written(plan, image, chunk);
    behind.cached.set(behind.cached.get() - freed);
    if let Some(cost) = kept {
        behind.take_cached(cell.slot, cost);
    }
    behind.unwritten.set(behind.unwritten.get() - plan.bytes);
    cell.unwritten.set(cell.unwritten.get() - plan.bytes);
    inner.count(|stats| {
        stats.segment_writes += 1;
        stats.segment_written_bytes += plan.bytes as u64;
        stats.uncached_writes += u64::from(kept.is_none());
    });
    evict_to(inner, inner.config.cache_bytes);
    inner.checkpoint_wanted.notify_all();
}

/// Extends the index of the segment being written, if it is known up to here.
fn note_in_index(cell: &LogCell, plan: &WritePlan) {
    let mut index = cell.index.borrow_mut();
    if plan.position.0 == 0 {
        *index = Some(seal::begin_index(cell, plan.segment));
    }
    let known = index
        .as_deref_mut()
        .filter(|index| index.base_offset() == plan.segment && index.bytes() == plan.position.0);
    let Some(index) = known else { return };
    for batch in plan.pieces.iter().flat_map(|piece| split(piece).flatten()) {
        index.append(batch.header(), batch.len());
    }
}

/// Gives up the oldest written chunks until at most `bytes_max` of memory remain with them.
pub(crate) fn evict_to(inner: &Inner, bytes_max: usize) {
    let behind = &inner.behind;
    while behind.cached.get() > bytes_max {
        let Some(slot) = behind.cached_order.borrow_mut().pop_front() else { return };
        let Some(cell) = inner.cells.get(slot) else { continue };
        let freed = cell.log.borrow_mut().tail.evict().unwrap_or(0);
        behind.cached.set(behind.cached.get() - freed);
    }
}

/// A block for a write: from the shard's memory, if need be at the cost of the cache; else one of the reserved ones.
async fn take_block(inner: &Inner, bytes: usize) -> (Block, bool) {
    loop {
        if let Some(block) = buffer::try_alloc(bytes) {
            return (block, false);
        }
        if inner.behind.cached.get() > 0 {
            evict_to(inner, inner.behind.cached.get() / 2);
            if let Some(block) = buffer::try_alloc(bytes) {
                return (block, false);
            }
        }
        if let Some(block) = inner.behind.reserve.borrow_mut().pop() {
            return (block, true);
        }
        // All reserved blocks are in writes: one of them comes back.
        let finished = inner.behind.finished.notified();
        let _ = time::timeout(Duration::from_millis(10), finished).await;
    }
}

fn give_back(inner: &Inner, slice: Slice) {
    if let Ok(block) = slice.try_into_block() {
        inner.behind.reserve.borrow_mut().push(block);
    }
}

/// Acknowledged bytes could not be brought into their segment. The journal still has them: the next start replays it.
fn fail(dir: &str, plan: &WritePlan, what: &str, error: &std::io::Error) -> ! {
    let segment = plan.segment;
    engine::exit_now(
        limits::EXIT_STORAGE,
        &format!(
            "HDL-ST-022: segment {segment} of {dir} could not be {what}: {error}. Its records are safe in the journal and are \
             written when the node starts again; check the disk first."
        ),
    )
}

/// The bytes of a run, preceded by those of the block it begins in, handed out step by step.
struct Gather<'a> {
    head: &'a [u8],
    pieces: &'a [Slice],
    at: usize,
    left: usize,
}

impl<'a> Gather<'a> {
    fn new(head: &'a [u8], plan: &'a WritePlan) -> Gather<'a> {
        Gather { head, pieces: &plan.pieces, at: 0, left: head.len() + plan.bytes }
    }

    fn left(&self) -> usize {
        self.left
    }

    /// Copies as much as fits; returns how much.
    fn fill(&mut self, block: &mut [u8]) -> usize {
        let mut filled = self.head.len().min(block.len());
        let (head, rest) = self.head.split_at(filled);
        block[..filled].copy_from_slice(head);
        self.head = rest;
        while let Some(piece) = self.pieces.first().filter(|_| filled < block.len()) {
            let rest = &piece[self.at..];
            let take = rest.len().min(block.len() - filled);
            block[filled..filled + take].copy_from_slice(&rest[..take]);
            filled += take;
            self.at += take;
            if self.at == piece.len() {
                (self.pieces, self.at) = (&self.pieces[1..], 0);
            }
        }
        self.left -= filled;
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{FilePosition, Offset};

    #[test]
    fn gathers_across_pieces_and_blocks() {
        let pieces = vec![Slice::from_vec(vec![1; 5]), Slice::from_vec(vec![2; 6])];
        let plan = WritePlan {
            segment: Offset(0),
            position: FilePosition(3),
            pieces,
            bytes: 11,
            next: Offset(2),
        };
        for room in [1, 2, 3, 4, 5, 13, 14, 99] {
            let mut gather = Gather::new(&[9, 9, 9], &plan);
            let mut all = Vec::new();
            while gather.left() > 0 {
                let mut block = vec![0; room];
                let filled = gather.fill(&mut block);
                all.extend_from_slice(&block[..filled]);
            }
            assert_eq!(all, [9, 9, 9, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2], "{room} at a time");
        }
    }
}

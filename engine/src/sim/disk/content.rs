//! One file: what can be read, what is durable, and the changes in between.
//!
//! Holds always: `live` is `durable` with `pending` applied in order, but for what failed writes and syncs
//! have left (`diverged`); `pending` is in order of completion.

use std::collections::BTreeSet;

use super::blocks::Blocks;
use super::counters::DiskCounters;
use super::image::{Image, PAGE, Piece, SECTOR};
use crate::sim::dice::Dice;

/// A change that has completed and is not durable.
struct Pending {
    /// When it completed, among all changes of the disk.
    order: u64,
    change: Change,
}

enum Change {
    /// Bytes written; `grown` is the file's length after it, if it was shorter before.
    Data { pieces: Vec<Piece>, grown: Option<u64> },
    /// Cut or extended to this length.
    Length(u64),
    /// Space reserved: position, length.
    Space(u64, u64),
}

impl Pending {
    fn is_metadata(&self) -> bool {
        !matches!(self.change, Change::Data { grown: None, .. })
    }
}

#[derive(Default)]
pub(super) struct Content {
    pub live: Image,
    durable: Image,
    pub space: Blocks,
    space_durable: Blocks,
    pending: Vec<Pending>,
    /// Some sectors read as written though no sync will make them durable, after a failed write or sync.
    diverged: bool,
    /// Sectors that cannot be read until they are written again.
    bad: BTreeSet<u64>,
}

/// How much of what is not durable survives a power cut.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    /// Of 100 writes: so many are dropped.
    pub dropped: u64,
    /// Of 100 writes: so many are torn.
    pub torn: u64,
}

impl Cut {
    pub fn roll(dice: &Dice) -> Cut {
        let styles = [(50, 25), (10, 10), (90, 5), (0, 0), (100, 0), (10, 80), (40, 40)];
        let (dropped, torn) = styles[dice.below(styles.len() as u64) as usize];
        Cut { dropped, torn }
    }

    /// Which of `pieces` survive, sector by sector.
    pub fn survivors(self, pieces: Vec<Piece>, dice: &Dice) -> (Vec<Piece>, Fate) {
        let roll = dice.below(100);
        if roll < self.dropped {
            return (Vec::new(), Fate::Dropped);
        }
        if roll >= self.dropped + self.torn {
            return (pieces, Fate::Kept);
        }
        let sectors: Vec<Piece> = pieces.iter().flat_map(|p| p.sectors().map(|s| s.1)).collect();
        let count = sectors.len() as u64;
        if count < 2 {
            // A sector is written whole or not at all.
            return if dice.one_in(2) { (pieces, Fate::Kept) } else { (Vec::new(), Fate::Dropped) };
        }
        let (at, style) = (dice.between(1, count - 1), dice.below(4));
        let survives = |i: u64| match style {
            0 => i < at,
            1 => i >= at,
            2 => i != at,
            _ => dice.one_in(2),
        };
        let left = (0..count).zip(sectors).filter(|(i, _)| survives(*i)).map(|(_, s)| s).collect();
        (left, Fate::Torn)
    }
}

/// What became of one write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Dropped,
    Torn,
}

/// What became of a sector whose write or sync failed.
#[derive(Clone, Copy)]
enum Failed {
    Durable,
    Cached,
    Stuck,
    Gone,
}

impl Failed {
    fn roll(dice: &Dice) -> Failed {
        [Failed::Durable, Failed::Cached, Failed::Stuck, Failed::Gone][dice.below(4) as usize]
    }
}

impl Content {
    pub fn is_durable(&self) -> bool {
        self.pending.is_empty() && !self.diverged
    }

    /// Whether a read would meet a sector that cannot be read.
    pub fn is_bad(&self, position: u64, len: u64) -> bool {
        let end = (position + len).div_ceil(SECTOR);
        self.bad.range(position / SECTOR..end).next().is_some()
    }

    /// A completed write.
    pub fn write(&mut self, order: u64, pieces: Vec<Piece>) {
        self.show(&pieces);
        let grown = self.grow(&pieces);
        self.pending.push(Pending { order, change: Change::Data { pieces, grown } });
    }

    /// A completed write of a file that is open with O_DSYNC.
    pub fn write_durable(&mut self, pieces: &[Piece]) {
        self.show(pieces);
        let grown = self.grow(pieces);
        // The length it needs is in the file system's journal, and all that came there before it.
        self.settle_metadata();
        if let Some(len) = grown {
            self.durable.len = self.durable.len.max(len);
        }
        self.settle(pieces);
        if let (Some(first), Some(last)) = (pieces.first(), pieces.last()) {
            self.space_durable.add(first.position, last.end() - first.position);
            self.durable.len = self.durable.len.max(last.end().min(self.live.len));
        }
    }

    /// Makes `pieces` what can be read.
    fn show(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            self.live.patch(piece);
            for sector in piece.position / SECTOR..piece.end().div_ceil(SECTOR) {
                self.bad.remove(&sector);
            }
        }
    }

    fn grow(&mut self, pieces: &[Piece]) -> Option<u64> {
        let end = pieces.last().map_or(0, Piece::end);
        let grown = (end > self.live.len).then_some(end);
        self.live.len = self.live.len.max(end);
        grown
    }

    /// Makes `pieces`, which are what can be read already, durable before their turn.
    fn settle(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            self.forget(piece.position, piece.end());
            self.durable.patch(piece);
        }
    }

    /// Takes `from..to` out of what is pending: newer bytes are durable there, or older ones are lost.
    fn forget(&mut self, from: u64, to: u64) {
        for pending in &mut self.pending {
            let Change::Data { pieces, .. } = &mut pending.change else { continue };
            if !pieces.iter().any(|piece| piece.overlaps(from, to)) {
                continue;
            }
            let rest = |piece: &Piece| [piece.part(0, from), piece.part(to, u64::MAX)];
            *pieces = pieces.iter().flat_map(rest).flatten().collect();
        }
    }

    /// Makes all metadata changes durable, and leaves data where it is.
    fn settle_metadata(&mut self) {
        if !self.pending.iter().any(Pending::is_metadata) {
            return;
        }
        let mut rest: Vec<Pending> = Vec::new();
        for mut pending in std::mem::take(&mut self.pending) {
            match &mut pending.change {
                Change::Data { grown, .. } => {
                    if let Some(len) = grown.take() {
                        self.durable.len = self.durable.len.max(len);
                    }
                    rest.push(pending);
                }
                Change::Length(len) => {
                    self.durable.set_len(*len);
                    self.space_durable.cut(*len);
                    for older in &mut rest {
                        if let Change::Data { pieces, .. } = &mut older.change {
                            *pieces = pieces.iter().filter_map(|p| p.part(0, *len)).collect();
                        }
                    }
                }
                Change::Space(position, len) => drop(self.space_durable.add(*position, *len)),
            }
        }
        self.pending = rest;
    }

    /// A completed sync that was submitted when changes before `before` had completed.
    pub fn sync(&mut self, before: u64) {
        let covered = self.pending.partition_point(|pending| pending.order < before);
        for pending in self.pending.drain(..covered) {
            match pending.change {
                Change::Data { pieces, grown } => {
                    pieces.iter().for_each(|piece| self.durable.patch(piece));
                    if let Some(len) = grown {
                        self.durable.len = self.durable.len.max(len);
                    }
                }
                Change::Length(len) => self.durable.set_len(len),
                Change::Space(..) => {}
            }
        }
        self.space_durable.clone_from(&self.space);
    }

    pub fn set_len(&mut self, order: u64, len: u64) {
        self.live.set_len(len);
        drop(self.bad.split_off(&len.div_ceil(SECTOR)));
        self.space.cut(len);
        self.pending.push(Pending { order, change: Change::Length(len) });
    }

    /// Reserves space; how many blocks that takes.
    pub fn reserve(&mut self, order: u64, position: u64, len: u64) -> u64 {
        self.pending.push(Pending { order, change: Change::Space(position, len) });
        self.space.add(position, len)
    }

    /// Somebody else's write, at once and durable.
    pub fn damage(&mut self, pieces: &[Piece]) {
        self.show(pieces);
        let end = pieces.last().map_or(0, Piece::end);
        self.settle_metadata();
        self.settle(pieces);
        self.live.len = self.live.len.max(end);
        self.durable.len = self.durable.len.max(end);
        if let Some(first) = pieces.first() {
            self.space.add(first.position, end - first.position);
            self.space_durable.add(first.position, end - first.position);
        }
    }

    /// A write that failed: what it left behind, sector by sector.
    pub fn fail_write(&mut self, order: u64, pieces: &[Piece], dice: &Dice) {
        let mut cached = Vec::new();
        for (_, piece) in pieces.iter().flat_map(Piece::sectors) {
            // A failed write does not move the end of the file.
            let Some(piece) = piece.part(0, self.live.len) else { continue };
            match Failed::roll(dice) {
                Failed::Gone => {}
                Failed::Durable => {
                    self.show(std::slice::from_ref(&piece));
                    self.settle(std::slice::from_ref(&piece));
                    self.space_durable.add(piece.position, piece.bytes.len() as u64);
                }
                Failed::Cached => {
                    self.show(std::slice::from_ref(&piece));
                    cached.push(piece);
                }
                Failed::Stuck => {
                    self.show(std::slice::from_ref(&piece));
                    self.forget(piece.position, piece.end());
                    self.diverged = true;
                }
            }
        }
        let change = Change::Data { pieces: cached, grown: None };
        self.pending.push(Pending { order, change });
    }

    /// A sync that failed: what became of the data it was to make durable, sector by sector. Lengths and
    /// space stay pending.
    pub fn fail_sync(&mut self, before: u64, dice: &Dice) {
        let covered = self.pending.partition_point(|pending| pending.order < before);
        let mut sectors = BTreeSet::new();
        for pending in &self.pending[..covered] {
            if let Change::Data { pieces, .. } = &pending.change {
                sectors.extend(pieces.iter().flat_map(|p| p.sectors().map(|(n, _)| n)));
            }
        }
        for sector in sectors {
            let (from, to) = (sector * SECTOR, ((sector + 1) * SECTOR).min(self.live.len));
            if from >= to {
                continue;
            }
            let read = |image: &Image| {
                let mut bytes = [0; SECTOR as usize];
                let bytes = &mut bytes[..(to - from) as usize];
                image.read(from, bytes);
                Piece { position: from, bytes: (&*bytes).into() }
            };
            match Failed::roll(dice) {
                Failed::Cached => {}
                Failed::Durable => {
                    let now = read(&self.live);
                    self.settle(&[now]);
                }
                Failed::Stuck => {
                    self.forget(from, to);
                    self.diverged = true;
                }
                Failed::Gone => {
                    let old = read(&self.durable);
                    self.forget(from, to);
                    self.live.patch(&old);
                }
            }
        }
    }

    /// The power goes: what is pending survives as the dice say, and what survived is what there is.
    pub fn cut(&mut self, cut: Cut, dice: &Dice, counters: &mut DiskCounters) {
        if self.is_durable() {
            self.space = self.space_durable.clone();
            return;
        }
        let metadata = self.pending.iter().filter(|p| p.is_metadata()).count() as u64;
        let mut metadata_left = match cut.dropped {
            0 => metadata,
            100 => 0,
            _ => dice.below(metadata + 1),
        };
        // Bytes beyond a truncation that was lost had their place in blocks that were given back.
        let mut limit = u64::MAX;
        let mut dropped_before = false;
        for pending in std::mem::take(&mut self.pending) {
            let applies = !pending.is_metadata() || metadata_left > 0;
            if pending.is_metadata() {
                metadata_left = metadata_left.saturating_sub(1);
            }
            match pending.change {
                Change::Length(len) if applies => {
                    self.durable.set_len(len);
                    self.space_durable.cut(len);
                }
                Change::Length(len) => limit = limit.min(len),
                Change::Space(position, len) if applies => {
                    self.space_durable.add(position, len);
                }
                Change::Space(..) => {}
                Change::Data { pieces, grown } => {
                    if let Some(len) = grown.filter(|_| applies) {
                        self.durable.len = self.durable.len.max(len);
                    }
                    if pieces.is_empty() {
                        continue;
                    }
                    let (left, fate) = cut.survivors(pieces, dice);
                    counters.note(fate, dropped_before);
                    dropped_before |= fate != Fate::Kept;
                    for piece in left.iter().filter_map(|piece| piece.part(0, limit)) {
                        self.durable.patch(&piece);
                    }
                }
            }
        }
        // What lies beyond the length that survived cannot be reached.
        self.durable.set_len(self.durable.len);
        let stored: Vec<u64> = self.durable.stored().collect();
        for page in stored {
            self.space_durable.add(page * PAGE, PAGE);
        }
        self.live = self.durable.clone();
        self.space = self.space_durable.clone();
        self.diverged = false;
    }

    /// Makes a few sectors of a page that holds something unreadable; false if none does.
    pub fn spoil(&mut self, dice: &Dice) -> bool {
        let stored = self.live.stored_count();
        let Some(page) = self.live.stored().nth(dice.below(stored) as usize) else { return false };
        let first = page * PAGE / SECTOR;
        let last = (first + PAGE / SECTOR).min(self.live.len.div_ceil(SECTOR)) - 1;
        let from = dice.between(first, last);
        self.bad.extend(from..=dice.between(from, last));
        true
    }
}

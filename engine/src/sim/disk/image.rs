//! The bytes of a file: pages of 4 KiB that images share until one of them changes.

use std::collections::BTreeMap;
use std::rc::Rc;

/// Bytes of a page, and of a block in the account of space.
pub(in crate::sim) const PAGE: u64 = 4096;
/// The unit that is written whole or not at all.
pub(in crate::sim) const SECTOR: u64 = 512;

static ZEROS: [u8; PAGE as usize] = [0; PAGE as usize];

thread_local! {
    /// Files are often written with zeros first: all such pages are this one.
    static ZERO_PAGE: Rc<[u8]> = ZEROS[..].into();
}

/// Bytes at a position of a file, within one page.
#[derive(Clone)]
pub(super) struct Piece {
    pub position: u64,
    pub bytes: Rc<[u8]>,
}

impl Piece {
    pub fn end(&self) -> u64 {
        self.position + self.bytes.len() as u64
    }

    pub fn overlaps(&self, from: u64, to: u64) -> bool {
        self.position < to && from < self.end()
    }

    /// The part within `from..to`, if there is one.
    pub fn part(&self, from: u64, to: u64) -> Option<Piece> {
        let (from, to) = (from.max(self.position), to.min(self.end()));
        if from >= to {
            return None;
        }
        if from == self.position && to == self.end() {
            return Some(self.clone());
        }
        let (a, b) = ((from - self.position) as usize, (to - self.position) as usize);
        Some(Piece { position: from, bytes: self.bytes[a..b].into() })
    }

    /// Cut at the bounds of sectors.
    pub fn sectors(&self) -> impl Iterator<Item = (u64, Piece)> + '_ {
        let numbers = self.position / SECTOR..self.end().div_ceil(SECTOR);
        numbers.filter_map(|n| Some((n, self.part(n * SECTOR, (n + 1) * SECTOR)?)))
    }
}

/// `data` at `position`, cut at the bounds of pages; pages of zeros are the shared one.
pub(super) fn pieces_of(mut position: u64, mut data: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(data.len() / PAGE as usize + 2);
    while !data.is_empty() {
        let room = (PAGE - position % PAGE) as usize;
        let (now, later) = data.split_at(room.min(data.len()));
        let bytes = if now == ZEROS { ZERO_PAGE.with(Rc::clone) } else { now.into() };
        pieces.push(Piece { position, bytes });
        position += now.len() as u64;
        data = later;
    }
    pieces
}

/// What a file holds. Pages written with zeros are not stored; nothing is stored beyond the length.
#[derive(Clone, Default)]
pub(super) struct Image {
    pages: BTreeMap<u64, Rc<[u8]>>,
    pub len: u64,
}

impl Image {
    /// Fills `out` from `position` on, with zeros where nothing is stored.
    pub fn read(&self, position: u64, out: &mut [u8]) {
        let mut at = 0;
        while at < out.len() {
            let position = position + at as u64;
            let offset = (position % PAGE) as usize;
            let n = (PAGE as usize - offset).min(out.len() - at);
            match self.pages.get(&(position / PAGE)) {
                Some(page) => out[at..at + n].copy_from_slice(&page[offset..offset + n]),
                None => out[at..at + n].fill(0),
            }
            at += n;
        }
    }

    /// Puts a piece in its place. The length stays.
    pub fn patch(&mut self, piece: &Piece) {
        let number = piece.position / PAGE;
        if piece.bytes.len() == PAGE as usize {
            if ZERO_PAGE.with(|zeros| Rc::ptr_eq(zeros, &piece.bytes)) {
                self.pages.remove(&number);
            } else {
                self.pages.insert(number, piece.bytes.clone());
            }
            return;
        }
        let offset = (piece.position % PAGE) as usize;
        let page = self.pages.entry(number).or_insert_with(|| ZEROS[..].into());
        Rc::make_mut(page)[offset..offset + piece.bytes.len()].copy_from_slice(&piece.bytes);
    }

    /// Cuts or extends; what is cut off is gone, what is added is zeros.
    pub fn set_len(&mut self, len: u64) {
        self.len = len;
        let keep = len.div_ceil(PAGE);
        drop(self.pages.split_off(&keep));
        let rest = (len % PAGE) as usize;
        if rest > 0
            && let Some(last) = self.pages.get_mut(&(keep - 1))
            && last[rest..].iter().any(|byte| *byte != 0)
        {
            Rc::make_mut(last)[rest..].fill(0);
        }
    }

    /// Numbers of the pages that are stored.
    pub fn stored(&self) -> impl Iterator<Item = u64> + '_ {
        self.pages.keys().copied()
    }

    /// How many pages are stored.
    pub fn stored_count(&self) -> u64 {
        self.pages.len() as u64
    }
}

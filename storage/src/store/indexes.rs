//! Where in a segment to look: sparse indexes, loaded or built when a cold reader first needs them.
//!
//! The segment being written has its index in memory, extended with each write. Those of sealed segments are kept up to
//! a bound, the longest unused given up first. An index that is missing, damaged, or for other bytes than the segment
//! holds is built again from the segment.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ahash::AHashMap;

use crate::ids::{FilePosition, Offset};
use crate::log::SegmentIndex;
use crate::log::read::{Place, ReadError};
use crate::log::segment::index_file_name;
use crate::seal;
use crate::store::cell::LogCell;
use crate::store::files::SegmentKey;
use crate::store::shard_store::Inner;

/// The active segment's index is extended on demand only when it lags by more than this; after a restart it is not
/// there at all, and a look for one offset should not read a gigabyte for nothing.
const LAG_BYTES_MAX: u64 = 1 << 20;

/// Indexes of sealed segments.
pub struct Indexes {
    bytes_max: usize,
    state: RefCell<State>,
    rebuilt: Cell<u64>,
}

struct State {
    map: AHashMap<SegmentKey, (Rc<SegmentIndex>, u64)>,
    bytes: usize,
    clock: u64,
}

impl Indexes {
    /// Keeps at most `bytes_max` of them.
    pub fn new(bytes_max: usize) -> Indexes {
        let map = AHashMap::with_hasher(ahash::RandomState::with_seeds(9, 10, 11, 12));
        let state = RefCell::new(State { map, bytes: 0, clock: 0 });
        Indexes { bytes_max, state, rebuilt: Cell::new(0) }
    }

    /// Indexes that had to be built from their segment.
    pub fn rebuilt(&self) -> u64 {
        self.rebuilt.get()
    }

    /// Keeps an index that is at hand.
    pub(crate) fn keep(&self, key: SegmentKey, index: Rc<SegmentIndex>) {
        let mut state = self.state.borrow_mut();
        state.clock += 1;
        let now = state.clock;
        state.bytes += cost(&index);
        if let Some((old, _)) = state.map.insert(key, (index, now)) {
            state.bytes -= cost(&old);
        }
        while state.bytes > self.bytes_max && state.map.len() > 1 {
            let oldest = state.map.iter().map(|(key, (_, used))| (*used, *key)).min();
            let Some((_, key)) = oldest else { break };
            if let Some((old, _)) = state.map.remove(&key) {
                state.bytes -= cost(&old);
            }
        }
    }

    /// Gives up the index of a segment.
    pub(crate) fn forget(&self, key: SegmentKey) {
        let mut state = self.state.borrow_mut();
        if let Some((old, _)) = state.map.remove(&key) {
            state.bytes -= cost(&old);
        }
    }

    fn cached(&self, key: SegmentKey) -> Option<Rc<SegmentIndex>> {
        let mut state = self.state.borrow_mut();
        state.clock += 1;
        let now = state.clock;
        let (index, used) = state.map.get_mut(&key)?;
        *used = now;
        Some(index.clone())
    }
}

fn cost(index: &SegmentIndex) -> usize {
    size_of::<SegmentIndex>() + index.len() * 16
}

/// A question to an index.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lookup {
    /// Where to look for the batch with this offset.
    Offset(Offset),
    /// Where to look for the first record at or after this time.
    Timestamp(i64),
}

fn ask(index: &SegmentIndex, lookup: Lookup) -> Place {
    let position = match lookup {
        Lookup::Offset(offset) => index.position_for_offset(offset),
        // Without such a record the walk finds nothing, from wherever it begins.
        Lookup::Timestamp(time) => index.position_for_timestamp(time).unwrap_or(FilePosition(0)),
    };
    Place { position, offset: index.offset_at(position) }
}

/// Where to begin looking in a segment whose file holds `limit` bytes of batches.
pub(crate) async fn position(
    inner: &Rc<Inner>,
    cell: &Rc<LogCell>,
    base: Offset,
    limit: FilePosition,
    lookup: Lookup,
) -> Result<Place, ReadError> {
    if limit.0 <= u64::from(seal::index_interval(&cell.log.borrow().config)) {
        return Ok(Place { position: FilePosition(0), offset: base });
    }
    let key = cell.key(base);
    if cell.log.borrow().written.segment.base == base {
        return active_position(inner, cell, key, limit, lookup).await;
    }
    if let Some(index) = inner.indexes.cached(key) {
        return Ok(ask(&index, lookup));
    }
    let loaded = load(inner, cell, base, limit).await;
    let (index, built) = match loaded {
        Some(index) if index.bytes() == limit.0 => (Rc::new(index), false),
        partial => (Rc::new(extend(inner, cell, key, limit, partial).await?), true),
    };
    // Behind a cut it speaks of what is gone.
    if cell.key(base) == key {
        inner.indexes.keep(key, index.clone());
        if built && index.bytes() == limit.0 {
            seal::keep_on_disk(inner, cell, index.clone());
        }
    }
    Ok(ask(&index, lookup))
}

/// An index of one's own of a segment whose file holds `limit` bytes of batches.
pub(crate) async fn whole(
    inner: &Rc<Inner>,
    cell: &Rc<LogCell>,
    base: Offset,
    limit: FilePosition,
) -> Result<SegmentIndex, ReadError> {
    let key = cell.key(base);
    let whole = |index: &SegmentIndex| index.base_offset() == base && index.bytes() == limit.0;
    if let Some(index) = cell.index.borrow().as_deref().filter(|index| whole(index)) {
        return Ok(index.clone());
    }
    if let Some(index) = inner.indexes.cached(key).filter(|index| whole(index)) {
        return Ok((*index).clone());
    }
    match load(inner, cell, base, limit).await {
        Some(index) if whole(&index) => Ok(index),
        partial => extend(inner, cell, key, limit, partial).await,
    }
}

async fn active_position(
    inner: &Rc<Inner>,
    cell: &Rc<LogCell>,
    key: SegmentKey,
    limit: FilePosition,
    lookup: Lookup,
) -> Result<Place, ReadError> {
    let base = key.base;
    let exact = matches!(lookup, Lookup::Timestamp(_));
    let enough = |index: &SegmentIndex| {
        index.base_offset() == base
            && index.bytes() + if exact { 0 } else { LAG_BYTES_MAX } >= limit.0
    };
    if let Some(index) = cell.index.borrow().as_deref().filter(|index| enough(index)) {
        return Ok(ask(index, lookup));
    }
    let before =
        cell.index.borrow().as_deref().filter(|index| index.base_offset() == base).cloned();
    let partial = match before {
        Some(index) => Some(index),
        // A clean shutdown has left one for what was there then.
        None => load(inner, cell, base, limit).await,
    };
    let index = extend(inner, cell, key, limit, partial).await?;
    let position = ask(&index, lookup);
    let mut current = cell.index.borrow_mut();
    let still_active = cell.log.borrow().written.segment.base == base && cell.key(base) == key;
    let further = current
        .as_deref()
        .is_some_and(|other| other.base_offset() == base && other.bytes() >= index.bytes());
    if still_active && !further {
        *current = Some(Box::new(index));
    }
    Ok(position)
}

/// The index file of a segment, if it is sound and of these very bytes, or of a part of them. The file does not say whose
/// it is; that it covers what is known to end at this offset and time does.
async fn load(
    inner: &Rc<Inner>,
    cell: &Rc<LogCell>,
    base: Offset,
    limit: FilePosition,
) -> Option<SegmentIndex> {
    let path = inner.files.dir(&cell.log.borrow().dir).join(index_file_name(base));
    let bytes = engine::file::read(&path).await.ok()?;
    let index = match SegmentIndex::decode(&bytes) {
        Ok(index) => index,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a damaged index is built again");
            return None;
        }
    };
    let log = cell.log.borrow();
    let newest = log.segment(base).map_or(-1, |segment| segment.max_timestamp);
    let max = index.max_timestamp().map_or(-1, |(time, _)| time.max(-1));
    let (_, end) = log.limit_of(base)?;
    let fits = index.base_offset() == base
        && index.bytes() <= limit.0
        && max <= newest
        && index.next_offset() <= end
        && (index.bytes() < limit.0 || (index.next_offset() == end && max == newest));
    fits.then_some(index)
}

/// Reads the headers behind what `partial` covers, up to `limit`.
async fn extend(
    inner: &Rc<Inner>,
    cell: &Rc<LogCell>,
    key: SegmentKey,
    limit: FilePosition,
    partial: Option<SegmentIndex>,
) -> Result<SegmentIndex, ReadError> {
    let (dir, interval) = {
        let log = cell.log.borrow();
        (log.dir.clone(), seal::index_interval(&log.config))
    };
    let indexes = &inner.indexes;
    indexes.rebuilt.set(indexes.rebuilt.get() + 1);
    let fresh = || SegmentIndex::new(key.base, interval);
    let begun = partial.is_some();
    let index = partial.unwrap_or_else(fresh);
    let extended = match inner.cold.extend_index(key, &dir, limit, index).await {
        // The part was of other bytes, or something is damaged: what is covered anew is right.
        (_, Some(ReadError::Corrupt { .. })) if begun => {
            inner.cold.extend_index(key, &dir, limit, fresh()).await
        }
        extended => extended,
    };
    match extended {
        (index, None) => Ok(index),
        // What lies before the damage is found with what was covered; a reader of the rest is told by its own read.
        (index, Some(ReadError::Corrupt { .. })) if cell.key(key.base) != key => Ok(index),
        (index, Some(error @ ReadError::Corrupt { .. })) => {
            tracing::error!(%dir, %error, "a segment cannot be indexed to its end");
            Ok(index)
        }
        (_, Some(error)) => Err(error),
    }
}

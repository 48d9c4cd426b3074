//! One log while its journal entries are replayed onto its last checkpoint. Pure: it says which bytes go to which
//! segment file.

use crate::batch::view::BatchView;
use crate::checkpoint::{LogCheckpoint, SegmentMeta};
use crate::ids::{Lsn, Offset};
use crate::journal::EntryKind;
use crate::journal::frame::{EntryHead, FrameEntry};
use crate::log::epochs::Epochs;
use crate::log::producers::Producers;

const BLOCK: u64 = 4096;

/// Bytes for a segment file. Performed in order, they leave the file right whatever a crash had left in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentWrite {
    /// The segment's base offset, which names its file.
    pub segment: Offset,
    /// Where the bytes go, a multiple of 4,096.
    pub position: u64,
    /// Batches as they stand in the file; the last block may be partial.
    pub bytes: Vec<u8>,
    /// The file's exact length, once no more is to come for this segment.
    pub cut: Option<u64>,
}

/// What an entry did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// The checkpoint holds it already.
    Covered,
    /// It was taken in.
    Taken,
    /// The log is offline: the entry must be kept elsewhere.
    Refused,
    /// The log is to be cut back to this offset, which needs its segment to be read.
    Truncate(Offset),
}

/// A log being rebuilt.
pub(crate) struct Rebuild {
    /// The checkpoint, brought forward with each entry.
    checkpoint: LogCheckpoint,
    replay_from: Lsn,
    /// Decoded with the first entry taken in.
    state: Option<(Producers, Epochs)>,
    /// Bytes from `tail_at` on, to be written.
    tail: Vec<u8>,
    tail_at: u64,
    writes: Vec<SegmentWrite>,
    /// Which shard's journal had entries of it.
    pub(crate) seen_in: Option<u16>,
    /// Frames that may have held entries of it are missing.
    pub(crate) suspect: Option<String>,
}

impl Rebuild {
    pub(crate) fn new(checkpoint: LogCheckpoint) -> Rebuild {
        let active = checkpoint.segments.last().map_or(0, |segment| segment.bytes);
        Rebuild {
            replay_from: checkpoint.replay_from,
            tail: checkpoint.tail_image.clone(),
            tail_at: active - active % BLOCK,
            state: None,
            writes: Vec::new(),
            seen_in: None,
            suspect: None,
            checkpoint,
        }
    }

    pub(crate) fn checkpoint(&self) -> &LogCheckpoint {
        &self.checkpoint
    }

    /// Entries below this are in the checkpoint.
    pub(crate) fn replay_from(&self) -> Lsn {
        self.replay_from
    }

    /// Whether any entry was taken in.
    pub(crate) fn is_touched(&self) -> bool {
        self.state.is_some()
    }

    /// Takes the log offline; what was taken in before stays.
    pub(crate) fn take_offline(&mut self, reason: String) {
        if self.checkpoint.offline.is_none() {
            tracing::error!(log = %self.checkpoint.id, dir = %self.checkpoint.dir, %reason, "HDL-ST-020: a partition is offline");
            self.checkpoint.offline = Some(reason);
        }
    }

    /// Bytes held for writing.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.tail.len() + self.writes.iter().map(|write| write.bytes.len()).sum::<usize>()
    }

    /// Takes an entry in.
    pub(crate) fn apply(&mut self, entry: &FrameEntry<'_>, now_ms: i64) -> Applied {
        if entry.lsn < self.replay_from {
            return Applied::Covered;
        }
        if self.checkpoint.offline.is_some() {
            return Applied::Refused;
        }
        let applied = self.start_state().and_then(|()| match entry.head.kind {
            EntryKind::Append => self.append(&entry.head, entry.payload, now_ms),
            EntryKind::Truncate => Ok(Applied::Truncate(entry.head.next_offset)),
            EntryKind::LogStart => self.log_start(&entry.head),
        });
        applied.unwrap_or_else(|reason| {
            self.take_offline(reason);
            Applied::Refused
        })
    }

    fn start_state(&mut self) -> Result<(), String> {
        if self.state.is_none() {
            let producers = match self.checkpoint.producers.as_slice() {
                [] => Producers::new(),
                bytes => {
                    Producers::from_snapshot(bytes)
                        .map_err(|error| format!("the checkpoint's producer state: {error}"))?
                        .0
                }
            };
            let epochs = match self.checkpoint.epochs.as_slice() {
                [] => Epochs::new(),
                bytes => Epochs::decode(bytes)
                    .ok_or_else(|| "the checkpoint's leader epochs do not decode".to_owned())?,
            };
            self.state = Some((producers, epochs));
        }
        Ok(())
    }

    fn append(&mut self, head: &EntryHead, payload: &[u8], now_ms: i64) -> Result<Applied, String> {
        let end = self.checkpoint.synced_upto;
        if head.base_offset != end {
            return Err(format!(
                "the journal goes on at offset {} and the log ends at {end}: acknowledged records are missing",
                head.base_offset
            ));
        }
        let batch =
            BatchView::first(payload).map_err(|error| format!("a journalled batch: {error}"))?;
        let whole = batch.len() == payload.len()
            && batch.base_offset() == head.base_offset
            && batch.next_offset() == head.next_offset;
        if !whole || head.next_offset <= head.base_offset {
            return Err(format!("the journalled batch at offset {end} is not what its entry says"));
        }
        let Some((producers, epochs)) = &mut self.state else {
            return Err("the log's state was not begun".to_owned());
        };
        producers.replay(&batch, now_ms);
        epochs
            .append(batch.leader_epoch(), batch.base_offset())
            .map_err(|error| format!("the batch at offset {end}: {error}"))?;
        if head.roll || self.checkpoint.segments.is_empty() {
            self.roll(head.base_offset);
        }
        self.suspect = None;
        self.tail.extend_from_slice(payload);
        self.checkpoint.synced_upto = head.next_offset;
        if let Some(active) = self.checkpoint.segments.last_mut() {
            note(active, &batch);
        }
        Ok(Applied::Taken)
    }

    fn log_start(&mut self, head: &EntryHead) -> Result<Applied, String> {
        let end = self.checkpoint.synced_upto;
        if head.base_offset > end {
            return Err(format!(
                "the log start {} lies behind the log's end {end}",
                head.base_offset
            ));
        }
        self.checkpoint.log_start = self.checkpoint.log_start.max(head.base_offset);
        if let Some((_, epochs)) = &mut self.state {
            epochs.truncate_start(self.checkpoint.log_start);
        }
        Ok(Applied::Taken)
    }

    /// Ends the active segment and begins one at `base`. Rolling again to the same base changes nothing.
    fn roll(&mut self, base: Offset) {
        if let Some(active) = self.checkpoint.segments.last() {
            if active.base == base {
                return;
            }
            let (segment, cut) = (active.base, Some(active.bytes));
            self.writes.push(SegmentWrite {
                segment,
                position: self.tail_at,
                bytes: std::mem::take(&mut self.tail),
                cut,
            });
        }
        self.tail.clear();
        self.tail_at = 0;
        self.checkpoint.segments.push(SegmentMeta::empty(base));
    }

    /// What is to be written now; the partial last block stays as the begin of what comes next.
    pub(crate) fn take_writes(&mut self) -> Vec<SegmentWrite> {
        if let Some(active) = self.checkpoint.segments.last()
            && !self.tail.is_empty()
        {
            let rest = self.tail.len() - self.tail.len() % BLOCK as usize;
            let keep = self.tail[rest..].to_vec();
            let write = SegmentWrite {
                segment: active.base,
                position: self.tail_at,
                bytes: std::mem::replace(&mut self.tail, keep),
                cut: None,
            };
            self.tail_at += rest as u64;
            self.writes.push(write);
        }
        std::mem::take(&mut self.writes)
    }

    /// The last writes: they leave the active segment at its exact length.
    pub(crate) fn take_last_writes(&mut self) -> Vec<SegmentWrite> {
        let mut writes = self.take_writes();
        if let Some(active) = self.checkpoint.segments.last() {
            let (segment, cut) = (active.base, Some(active.bytes));
            match writes.last_mut() {
                Some(last) if last.segment == segment => last.cut = cut,
                _ => writes.push(SegmentWrite {
                    segment,
                    position: self.tail_at,
                    bytes: self.tail.clone(),
                    cut,
                }),
            }
        }
        writes
    }

    /// The log was cut back: its last segment is now `active` with `tail` as its last partial block.
    pub(crate) fn on_truncated(&mut self, to: Offset, active: Option<SegmentMeta>, tail: Vec<u8>) {
        self.checkpoint
            .segments
            .retain(|segment| active.is_some_and(|kept| segment.base < kept.base));
        self.checkpoint.segments.extend(active);
        self.checkpoint.synced_upto = to;
        self.checkpoint.log_start = self.checkpoint.log_start.min(to);
        let bytes = active.map_or(0, |active| active.bytes);
        self.tail_at = bytes - bytes % BLOCK;
        self.tail = tail;
        if let Some((producers, epochs)) = &mut self.state {
            producers.truncate(to);
            epochs.truncate_end(to);
        }
    }

    /// The checkpoint of the next generation.
    pub(crate) fn finish(mut self) -> LogCheckpoint {
        if let Some((producers, epochs)) = self.state.take() {
            self.checkpoint.producers = producers.snapshot(self.checkpoint.synced_upto);
            self.checkpoint.epochs = epochs.encode();
        }
        let active = self.checkpoint.segments.last().map_or(0, |segment| segment.bytes);
        if self.checkpoint.offline.is_none() {
            assert_eq!(
                self.tail_at + self.tail.len() as u64,
                active,
                "the tail ends with the segment"
            );
            self.checkpoint.tail_image = self.tail;
            self.checkpoint.check_invariants();
        }
        self.checkpoint.replay_from = Lsn(0);
        self.checkpoint
    }
}

/// Takes a batch into a segment's account.
pub(crate) fn note(segment: &mut SegmentMeta, batch: &BatchView<'_>) {
    if segment.bytes == 0 {
        segment.first_timestamp = batch.max_timestamp();
    }
    segment.bytes += batch.len() as u64;
    if batch.max_timestamp() > segment.max_timestamp {
        segment.max_timestamp = batch.max_timestamp();
        segment.max_timestamp_offset = batch.last_offset();
    }
}

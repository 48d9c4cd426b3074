//! Reads on the shard that owns the log, and the watch over logs that had nothing to give.
//!
//! A read answers at once: long polls wait at the connection's shard, so that they hold no slot and
//! no buffer here. A shard that found too little is entered as interested in the log; the log's next
//! move is told to each interested shard once, gathered over a loop turn.
//!
//! Invariant: a log with an entry in `interest` has exactly one task that waits for its next move.

use std::rc::Rc;

use engine::buffer::{Parcel, Slice};
use engine::shard::ShardId;
use engine::task::{self, Queue};
use engine::time::{self, Instant};
use storage::ids::{LeaderEpoch, LogId};
use storage::log::read::{ColdRead, Read};
use storage::store::LogHandle;

use super::mail::{Answer, Found, LogError, Mail, ReadCall, ReadItem, Records};
use super::shard::Shard;
use crate::observe::ReadPath;

/// A read whose tail parts are done and whose cold parts still have to be read from the disk.
pub struct Reading {
    found: Vec<Found<Slice>>,
    cold: Vec<(usize, LogHandle, ColdRead)>,
}

impl Shard {
    /// Reads logs of this shard. `asker` is told of the next move of each of them when too little was
    /// found (see [`ReadCall::watch_below`]).
    pub fn read(self: &Rc<Self>, call: &ReadCall, asker: ShardId) -> Reading {
        let mut reading = Reading { found: Vec::with_capacity(call.items.len()), cold: Vec::new() };
        let mut left = call.max_bytes;
        let mut in_memory = 0;
        let mut one_at_least = call.one_at_least;
        for item in &call.items {
            let place = reading.found.len();
            let Some(log) = self.store.log(&item.log) else {
                reading.found.push(Found::no_log());
                continue;
            };
            let (high_watermark, log_start) = (log.visible_end(), log.log_start());
            let records = match diverging(&log, item) {
                Some(diverging) => Ok(diverging),
                None => match log.read(item.from, item.max_bytes.min(left), one_at_least) {
                    Ok(Read::Ready { pieces, bytes }) => {
                        left = left.saturating_sub(bytes);
                        in_memory += bytes;
                        one_at_least &= bytes == 0;
                        Ok(Records::Bytes(pieces))
                    }
                    Ok(Read::Empty) => Ok(Records::Bytes(Vec::new())),
                    Ok(Read::Cold(cold)) => {
                        // Its size is known only when it is read; the home shard cuts to the limit.
                        left = left.saturating_sub(item.max_bytes.min(left));
                        one_at_least = false;
                        reading.cold.push((place, log.clone(), cold));
                        Ok(Records::Bytes(Vec::new()))
                    }
                    Err(error) => Err(LogError::Read(error)),
                },
            };
            reading.found.push(Found { high_watermark, log_start, records });
        }
        if in_memory < call.watch_below {
            for item in &call.items {
                self.take_interest(item.log, asker);
            }
        }
        reading
    }

    fn take_interest(self: &Rc<Self>, id: LogId, asker: ShardId) {
        let Some(log) = self.store.log(&id) else { return };
        let mut interest = self.interest.borrow_mut();
        match interest.get_mut(&id) {
            Some(askers) if askers.contains(&asker) => {}
            Some(askers) => askers.push(asker),
            None => {
                interest.insert(id, vec![asker]);
                // The watch begins here, not in the task: nothing may move in between.
                let watch = log.watch();
                let shard = self.clone();
                task::spawn(Queue::Fetch, async move {
                    watch.moved().await;
                    shard.on_moved(id);
                });
            }
        }
    }

    fn on_moved(self: &Rc<Self>, id: LogId) {
        let askers = self.interest.borrow_mut().remove(&id).expect("a watched log has askers");
        let mut moved = self.moved.borrow_mut();
        if moved.iter().all(Vec::is_empty) {
            // Runs when the tasks that are ready now have run: one notice for all their logs.
            task::spawn(Queue::Fetch, self.clone().tell_moved());
        }
        for asker in askers {
            moved[usize::from(asker.0)].push(id);
        }
    }

    async fn tell_moved(self: Rc<Self>) {
        for shard in 0..self.shards {
            let moved = std::mem::take(&mut self.moved.borrow_mut()[shard]);
            let to = ShardId(shard as u16);
            if moved.is_empty() {
                continue;
            } else if to == self.id {
                self.on_watched_moved(&moved);
            } else {
                self.post(to, Mail::Moved(moved));
            }
        }
    }

    /// Logs that fetches of this shard wait for have moved.
    pub(super) fn on_watched_moved(&self, moved: &[LogId]) {
        let mut waits = self.waits.borrow_mut();
        for log in moved {
            waits.on_moved(log);
        }
    }
}

impl Reading {
    /// True when everything is there already.
    pub fn is_complete(&self) -> bool {
        self.cold.is_empty()
    }

    /// What was found, after the cold parts are read.
    pub async fn found(mut self) -> Vec<Found<Slice>> {
        for (place, log, cold) in self.cold {
            self.found[place].records = match log.read_cold(cold).await {
                Ok(pieces) => Ok(Records::Bytes(pieces)),
                Err(error) => Err(LogError::Read(error)),
            };
        }
        self.found
    }

    /// The same for whoever is not in the queue for cold reads.
    pub async fn found_here(self) -> Vec<Found<Slice>> {
        match self.is_complete() {
            true => self.found,
            false => task::spawn(Queue::Cold, self.found()).await,
        }
    }

    /// The same as the answer to a call that arrived some time ago.
    pub(super) async fn answer(self, arrived: Instant) -> Answer {
        let parcels = |found: Found<Slice>| found.map(Slice::into_parcel);
        let found: Vec<Found<Parcel>> = self.found().await.into_iter().map(parcels).collect();
        Answer::Read(found, ReadPath { arrived, done: time::now() })
    }
}

/// Whether the client's log ends in an epoch that this log knows to have ended earlier (KIP-595).
fn diverging(log: &LogHandle, item: &ReadItem) -> Option<Records<Slice>> {
    let last_epoch = item.last_epoch?;
    let (epoch, end) = log.end_offset_for_epoch(LeaderEpoch(last_epoch))?;
    let is_diverging = epoch.0 < last_epoch || end < item.from;
    is_diverging.then_some(Records::Diverging { epoch: epoch.0, end })
}

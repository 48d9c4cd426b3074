//! One log as it must be.
//!
//! Holds always: `batches` follow each other without a gap and end at `end`; `start <= end`;
//! `durable <= visible <= end`. What lies before `visible` was acknowledged or could be read; what lies before `durable`
//! was so in the class `device`, or behind it in the same log.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use storage::batch::{BatchView, Stamp as TimeStamp, patch, split};
use storage::durability::Durability;
use storage::ids::{LeaderEpoch, Offset};
use storage::log::LogConfig;

use super::producer::{Producer, Stamp};
use crate::violation::{Rule, Verdict, Violation, ensure};

/// What a process left behind when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aftermath {
    /// It ended in order.
    Clean,
    /// It was killed: everything that was written is there.
    Killed,
    /// The power failed, or a write or a sync: only what was durable is there for certain.
    PowerLost,
}

/// A batch in the log.
#[derive(Clone, Debug)]
struct Batch {
    base: i64,
    next: i64,
    /// As it must be stored.
    bytes: Rc<[u8]>,
    max_timestamp: i64,
    durability: Durability,
    producer: Option<(u8, Stamp)>,
}

/// One log.
#[derive(Debug, Default)]
pub struct LogModel {
    batches: VecDeque<Batch>,
    /// No record before it can be read.
    start: i64,
    /// The start may be up to here: somebody asked for it.
    start_asked: i64,
    end: i64,
    visible: i64,
    durable: i64,
    /// A truncation to here was asked for and not answered.
    truncating: Option<i64>,
    /// The settings in force, and those that may come into force.
    configs: Vec<Rc<LogConfig>>,
    producers: BTreeMap<u8, Producer>,
    /// A part of it cannot be read, so that it may refuse.
    pub unreadable: bool,
    /// It said that it is offline, and may.
    pub offline: bool,
    /// Nothing else may be done with it now.
    pub busy: bool,
    /// Operations of clients that are under way.
    pub in_flight: usize,
    /// How often its shard was told, in this process, to begin it or to give it other settings, and did.
    pub applied: usize,
}

impl LogModel {
    /// An empty log.
    pub fn new(config: Rc<LogConfig>) -> LogModel {
        LogModel { configs: vec![config], ..LogModel::default() }
    }

    /// Its end: the offset that the next record gets.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// Its start, as far as anybody was told.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Up to where somebody asked for records to be deleted.
    pub fn start_asked(&self) -> i64 {
        self.start_asked
    }

    /// The end that somebody was told.
    pub fn visible(&self) -> i64 {
        self.visible
    }

    /// Everything that was appended was also acknowledged.
    pub fn is_settled(&self) -> bool {
        self.visible == self.end && self.in_flight == 0
    }

    /// A producer of this log.
    pub fn producer(&mut self, number: u8) -> &mut Producer {
        // One of them begins shortly before the sequence numbers go round.
        let first = if number == 3 { i32::MAX - 40 } else { 0 };
        self.producers.entry(number).or_insert_with(|| Producer::starting_at(first))
    }

    /// The producers there are.
    pub fn producers(&self) -> Vec<u8> {
        self.producers.keys().copied().collect()
    }

    /// Other settings were asked for.
    pub fn on_configuring(&mut self, config: Rc<LogConfig>) {
        self.configs.push(config);
    }

    /// The settings asked for last are in force.
    pub fn on_configured(&mut self, config: Rc<LogConfig>) {
        self.configs = vec![config];
    }

    /// The settings in force.
    pub fn config(&self) -> &Rc<LogConfig> {
        self.configs.first().expect("a log has settings")
    }

    /// A batch was appended: `bytes` is what was sent.
    pub fn on_appended(
        &mut self,
        sent: &[u8],
        base: i64,
        last: i64,
        epoch: LeaderEpoch,
        durability: Durability,
        producer: Option<(u8, Stamp)>,
    ) -> Verdict {
        ensure(base == self.end, Rule::Offsets, || {
            format!("a batch got offset {base}, the log ended at {}", self.end)
        })?;
        let view = BatchView::first(sent).expect("scenarios send whole batches");
        let records = i64::from(view.last_offset_delta()) + 1;
        ensure(last + 1 - base == records, Rule::Offsets, || {
            format!("a batch of {records} records got offsets {base}..={last}")
        })?;
        let max_timestamp = view.max_timestamp();
        let mut bytes = sent.to_vec();
        patch(&mut bytes, Offset(base), epoch, TimeStamp::Keep);
        let next = last + 1;
        let bytes = bytes.into();
        self.batches.push_back(Batch { base, next, bytes, max_timestamp, durability, producer });
        self.end = next;
        if let Some((number, stamp)) = producer {
            self.producer(number).on_appended(stamp, base, last);
        }
        Ok(())
    }

    /// Where a producer's batch stands.
    pub fn find(&self, number: u8, stamp: &Stamp) -> Option<(i64, i64)> {
        let wanted = Some((number, *stamp));
        let found = self.batches.iter().rev().find(|batch| batch.producer == wanted);
        found.map(|batch| (batch.base, batch.next - 1))
    }

    /// Somebody was told that readers see everything before `to`.
    pub fn on_visible(&mut self, to: i64) -> Verdict {
        ensure(to <= self.end, Rule::Invented, || {
            format!("readers see up to {to}, the log ends at {}", self.end)
        })?;
        if to <= self.visible {
            return Ok(());
        }
        let at = self.batches.partition_point(|batch| batch.next <= self.visible);
        for batch in self.batches.iter().skip(at).take_while(|batch| batch.next <= to) {
            if batch.durability == Durability::Device {
                self.durable = batch.next;
            }
        }
        self.visible = to;
        Ok(())
    }

    /// Somebody asked for records to be deleted.
    pub fn on_deleting_records(&mut self, upto: i64) {
        self.start_asked = self.start_asked.max(upto);
    }

    /// The log says that it starts at `to`.
    pub fn on_start(&mut self, to: i64, now_ms: i64) -> Verdict {
        ensure(to >= self.start, Rule::LogStart, || {
            format!("the log starts at {to}, it was said to start at {}", self.start)
        })?;
        if to == self.start {
            return Ok(());
        }
        ensure(to <= self.end, Rule::LogStart, || {
            format!("the log starts at {to} and ends at {}", self.end)
        })?;
        if to > self.start_asked {
            self.check_retention(to, now_ms)?;
        }
        self.start = to;
        while self.batches.front().is_some_and(|batch| batch.next <= to) {
            self.batches.pop_front();
        }
        Ok(())
    }

    /// Whether retention may have moved the start to `to`.
    fn check_retention(&self, to: i64, now_ms: i64) -> Verdict {
        let gone = self.batches.iter().take_while(|batch| batch.next <= to);
        let newest = gone.map(|batch| batch.max_timestamp).max().unwrap_or(i64::MIN);
        let left: u64 =
            self.batches.iter().filter(|batch| batch.next > to).map(|b| b.bytes.len() as u64).sum();
        let allowed = self.configs.iter().any(|config| {
            config.retention_ms.is_some_and(|ms| now_ms - newest > ms)
                || config.retention_bytes.is_some_and(|bytes| left >= bytes)
                // Some for their age, the others for their size.
                || (config.retention_ms.is_some() && config.retention_bytes.is_some())
        });
        ensure(allowed, Rule::LogStart, || {
            format!(
                "the log starts at {to}, nobody asked for more than {}; its settings: {:?}",
                self.start_asked, self.configs
            )
        })
    }

    /// A truncation to `to` is asked for; returns the end it must leave.
    pub fn on_truncating(&mut self, to: i64) -> i64 {
        let left = self.boundary_before(to);
        self.truncating = Some(left);
        left
    }

    /// The truncation is durable.
    pub fn on_truncated(&mut self) {
        if let Some(to) = self.truncating.take() {
            if to < self.end {
                self.producers.values_mut().for_each(Producer::on_loss);
            }
            self.cut(to);
        }
    }

    /// The truncation was refused.
    pub fn on_truncation_refused(&mut self) {
        self.truncating = None;
    }

    /// Batches stay whole: the end of the last one that ends at or before `to`.
    fn boundary_before(&self, to: i64) -> i64 {
        let before = self.batches.iter().rev().find(|batch| batch.next <= to);
        let first = self.batches.front().map_or(self.end, |batch| batch.base);
        // Nor does it end before it begins, inside of a batch or not.
        before.map_or(first.min(self.end), |batch| batch.next).max(self.start)
    }

    fn cut(&mut self, end: i64) {
        while self.batches.back().is_some_and(|batch| batch.next > end) {
            self.batches.pop_back();
        }
        self.end = end;
        self.visible = self.visible.min(end);
        self.durable = self.durable.min(end);
        self.start = self.start.min(end);
        self.start_asked = self.start_asked.min(end);
        for producer in self.producers.values_mut() {
            producer.on_cut(end);
        }
    }

    /// The log as a new process found it.
    pub fn on_restart(
        &mut self,
        aftermath: Aftermath,
        end: i64,
        start: i64,
        now_ms: i64,
    ) -> Verdict {
        self.busy = false;
        self.in_flight = 0;
        self.applied = 0;
        let truncated = self.truncating.take() == Some(end);
        if !truncated {
            self.check_end(aftermath, end)?;
        }
        if end < self.visible {
            self.producers.values_mut().for_each(Producer::on_loss);
        }
        self.cut(end);
        self.on_start(start, now_ms)?;
        // Recovery made all of it durable.
        (self.visible, self.durable) = (end, end);
        self.start_asked = self.start;
        Ok(())
    }

    fn check_end(&self, aftermath: Aftermath, end: i64) -> Verdict {
        let least = match aftermath {
            Aftermath::Clean | Aftermath::Killed => self.visible,
            Aftermath::PowerLost => self.durable.max(self.start),
        };
        ensure(end >= least, Rule::Lost, || {
            format!("after {aftermath:?} the log ends at {end}; before {least} all was promised")
        })?;
        ensure(end <= self.end, Rule::Invented, || {
            format!("the log ends at {end}, it was only appended to up to {}", self.end)
        })?;
        let first = self.batches.front().map_or(self.end, |batch| batch.base);
        let whole = end <= first || self.batches.iter().any(|batch| batch.next == end);
        ensure(whole, Rule::Altered, || format!("the log ends at {end}, inside of a batch"))
    }

    /// Checks what a read gave: whole batches from the one that contains `from` on. Returns the offset after them.
    pub fn check_read(&self, from: i64, bytes: &[u8]) -> Verdict<i64> {
        let mut next = from;
        let mut at = self.batches.partition_point(|batch| batch.next <= from);
        for (number, found) in split(bytes).enumerate() {
            let found = found.map_err(|error| {
                Violation::new(Rule::Altered, format!("at offset {next}: {error}"))
            })?;
            if found.next_offset().0 <= self.start {
                // Deleted while it was on its way: nobody knows any more what it was.
                next = found.next_offset().0;
                continue;
            }
            let Some(batch) = self.batches.get(at) else {
                let text = format!("a read from {from} gave offset {}", found.base_offset());
                return Err(Violation::new(Rule::Invented, text));
            };
            let base = found.base_offset().0;
            ensure(base == batch.base, Rule::Read, || {
                format!("batch {number} of a read from {from} is at {base}, not {}", batch.base)
            })?;
            let same = *found.bytes() == *batch.bytes;
            ensure(same, Rule::Altered, || format!("the batch at offset {base} is not as sent"))?;
            next = batch.next;
            at += 1;
        }
        Ok(next)
    }

    /// Bytes of the batch that contains `offset`, if there is one.
    pub fn batch_bytes_at(&self, offset: i64) -> Option<usize> {
        let at = self.batches.partition_point(|batch| batch.next <= offset);
        self.batches.get(at).map(|batch| batch.bytes.len())
    }

    /// The log may have forgotten its producers.
    pub fn on_doubt(&mut self) {
        self.producers.values_mut().for_each(Producer::on_doubt);
    }
}

//! What a log must remember of one producer, and what it may have forgotten.
//!
//! Sure are the last five batches that were appended, as far as they survived: that is all a client ever sends again,
//! since it has at most five in flight. What came before may be remembered as well; a client that sends it again gets
//! the right offsets or a refusal.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::violation::{Rule, Verdict, Violation, ensure};

/// Batches a log remembers of a producer.
const REMEMBERED: usize = 5;
/// Batches kept here to be sent again.
const SENT: usize = 9;

/// What a batch says of its place in its producer's sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The producer's epoch.
    pub epoch: i16,
    /// Sequence number of the first record.
    pub first: i32,
    /// Sequence number of the last record.
    pub last: i32,
}

/// A batch as it was sent, to be sent again.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its place in the sequence.
    pub stamp: Stamp,
    /// The bytes.
    pub bytes: Rc<[u8]>,
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    stamp: Stamp,
    base: i64,
    last: i64,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was appended.
    Fresh,
    /// It was there already.
    Duplicate {
        /// Offset of its first record.
        base: i64,
        /// Offset of its last record.
        last: i64,
    },
    /// Its sequence number is not the next.
    WrongSequence,
    /// Its epoch is over.
    WrongEpoch,
}

/// One producer of one log.
#[derive(Clone, Debug, Default)]
pub struct Producer {
    epoch: i16,
    /// The sequence number that is taken next, whatever else is known.
    next: i32,
    /// The log surely knows the producer with this epoch and `next`.
    sure: bool,
    batches: VecDeque<Remembered>,
    /// Oldest first.
    sent: VecDeque<Sent>,
    /// Batches given to the log and not yet acknowledged or refused.
    pub in_flight: usize,
    /// The client's epoch and what it will number its next batch, while some are in flight.
    client: (i16, i32),
}

fn after(sequence: i32, count: i64) -> i32 {
    ((i64::from(sequence) + count) & i64::from(i32::MAX)) as i32
}

impl Producer {
    /// A producer that begins with this sequence number.
    pub fn starting_at(sequence: i32) -> Producer {
        Producer { next: sequence, ..Producer::default() }
    }

    /// Whether the log surely knows it.
    pub fn is_sure(&self) -> bool {
        self.sure
    }

    /// The stamp of the next batch of `records`, which is about to be sent.
    pub fn send_next(&mut self, records: u16) -> Stamp {
        self.resume();
        let (epoch, first) = self.client;
        self.client.1 = after(first, i64::from(records));
        Stamp { epoch, first, last: after(first, i64::from(records) - 1) }
    }

    /// A client that has had all its answers knows where it stands.
    pub fn resume(&mut self) {
        if self.in_flight == 0 {
            self.client = (self.epoch, self.next);
        }
    }

    /// A stamp with numbers left out before it, if that must be refused.
    pub fn gap(&self, records: u16, gap: u8) -> Option<Stamp> {
        let first = after(self.next, i64::from(gap));
        let last = after(first, i64::from(records) - 1);
        (self.sure && self.in_flight == 0).then_some(Stamp { epoch: self.epoch, first, last })
    }

    /// The first stamp of the next epoch, if no batch of this one is in flight.
    pub fn next_epoch(&mut self, records: u16) -> Option<Stamp> {
        if self.in_flight > 0 || !self.sure {
            return None;
        }
        self.client = (self.epoch + 1, i32::from(records));
        Some(Stamp { epoch: self.epoch + 1, first: 0, last: i32::from(records) - 1 })
    }

    /// A stamp of the epoch before, if that must be refused.
    pub fn old_epoch(&self, records: u16) -> Option<Stamp> {
        let stamp = Stamp { epoch: self.epoch - 1, first: 0, last: i32::from(records) - 1 };
        (self.sure && self.epoch > 0 && self.in_flight == 0).then_some(stamp)
    }

    /// A batch that was sent before and may be sent again: `back` before the last one.
    pub fn again(&self, back: u8) -> Option<Sent> {
        let at = self.sent.len().checked_sub(usize::from(back) + 1)?;
        let sent = self.sent.get(at)?;
        // A client that may have been forgotten sends only what it has not had an answer to.
        (self.sure || self.remembered(&sent.stamp).is_some()).then(|| sent.clone())
    }

    /// The last batch that a repetition of must be answered with its offsets.
    pub fn last_sure(&self) -> Option<Sent> {
        let last = self.batches.back()?;
        self.sent.iter().rev().find(|sent| sent.stamp == last.stamp).cloned()
    }

    /// A batch leaves the client.
    pub fn on_sent(&mut self, sent: Sent) {
        if self.sent.iter().all(|other| other.stamp != sent.stamp) {
            self.sent.push_back(sent);
        }
        if self.sent.len() > SENT {
            self.sent.pop_front();
        }
    }

    fn remembered(&self, stamp: &Stamp) -> Option<&Remembered> {
        self.batches.iter().find(|one| one.stamp == *stamp)
    }

    /// Judges what became of a batch. `in_log`: where a batch with this stamp stands in the log, if one does; what lies
    /// before `start` is no longer looked for.
    pub fn judge(
        &self,
        stamp: &Stamp,
        answer: Answer,
        in_log: Option<(i64, i64)>,
        start: i64,
    ) -> Verdict {
        let object = |why: &str| {
            let text = format!("{stamp:?} was answered {answer:?}; {why}; known: {self:?}");
            Err(Violation::new(Rule::Producer, text))
        };
        if let Answer::Duplicate { base, last } = answer {
            let known = in_log.or(self.remembered(stamp).map(|one| (one.base, one.last)));
            let right = known.map_or(last < start, |place| place == (base, last));
            return ensure(right, Rule::Producer, || {
                format!("{stamp:?} is said to be at {base}..={last}, it is at {known:?}")
            });
        }
        if self.sure && self.remembered(stamp).is_some() {
            return object("it is there");
        }
        let is_next = stamp.epoch == self.epoch && stamp.first == self.next;
        let is_next_epoch = stamp.epoch > self.epoch && stamp.first == 0;
        if is_next || is_next_epoch {
            return if answer == Answer::Fresh { Ok(()) } else { object("it is the next") };
        }
        if !self.sure {
            return Ok(());
        }
        match answer {
            Answer::Fresh => object("it is not the next"),
            Answer::WrongEpoch if stamp.epoch >= self.epoch => object("its epoch is not over"),
            Answer::WrongSequence if stamp.epoch < self.epoch => object("its epoch is over"),
            _ => Ok(()),
        }
    }

    /// The batch was appended.
    pub fn on_appended(&mut self, stamp: Stamp, base: i64, last: i64) {
        if stamp.epoch != self.epoch || !self.sure {
            self.batches.clear();
        }
        if self.batches.len() == REMEMBERED {
            self.batches.pop_front();
        }
        self.batches.push_back(Remembered { stamp, base, last });
        self.epoch = stamp.epoch;
        self.next = after(stamp.last, 1);
        self.sure = true;
    }

    /// The log now ends at `end`: a crash or a truncation took what was behind.
    pub fn on_cut(&mut self, end: i64) {
        self.in_flight = 0;
        let mut first_lost = None;
        while let Some(lost) = self.batches.pop_back_if(|one| one.last >= end) {
            first_lost = Some(lost);
        }
        let Some(lost) = first_lost else { return };
        self.next = lost.stamp.first;
        self.sure &= !self.batches.is_empty();
        // What is gone is no longer something that was sent before.
        let kept = self.batches.back().map(|one| one.stamp);
        match kept.and_then(|kept| self.sent.iter().position(|sent| sent.stamp == kept)) {
            Some(at) => self.sent.truncate(at + 1),
            None => self.sent.clear(),
        }
    }

    /// The log may have forgotten it.
    pub fn on_doubt(&mut self) {
        self.sure = false;
        self.sent.clear();
        self.batches.clear();
    }

    /// Acknowledged batches are gone, of a weaker class or cut off: the client gives up its epoch, as Kafka's does.
    pub fn on_loss(&mut self) {
        self.on_doubt();
        (self.epoch, self.next) = (self.epoch + 1, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(epoch: i16, first: i32) -> Stamp {
        Stamp { epoch, first, last: first }
    }

    fn known() -> Producer {
        let mut producer = Producer::starting_at(0);
        for at in 0..7 {
            producer.on_appended(stamp(0, at), i64::from(at), i64::from(at));
        }
        producer
    }

    #[test]
    fn the_next_is_taken_and_nothing_else() {
        let producer = known();
        assert!(producer.judge(&stamp(0, 7), Answer::Fresh, None, 0).is_ok());
        assert!(producer.judge(&stamp(0, 7), Answer::WrongSequence, None, 0).is_err());
        assert!(producer.judge(&stamp(0, 9), Answer::Fresh, None, 0).is_err());
        assert!(producer.judge(&stamp(0, 9), Answer::WrongSequence, None, 0).is_ok());
        assert!(producer.judge(&stamp(1, 0), Answer::Fresh, None, 0).is_ok());
        assert!(producer.judge(&stamp(1, 3), Answer::Fresh, None, 0).is_err());
    }

    #[test]
    fn what_is_remembered_is_answered_with_its_place() {
        let producer = known();
        let right = Answer::Duplicate { base: 3, last: 3 };
        assert!(producer.judge(&stamp(0, 3), right, Some((3, 3)), 0).is_ok());
        assert!(producer.judge(&stamp(0, 3), right, Some((4, 4)), 0).is_err());
        assert!(producer.judge(&stamp(0, 3), Answer::Fresh, Some((3, 3)), 0).is_err());
        assert!(producer.judge(&stamp(0, 3), Answer::WrongSequence, Some((3, 3)), 0).is_err());
        // Not one of the last five: a refusal will do.
        assert!(producer.judge(&stamp(0, 1), Answer::WrongSequence, Some((1, 1)), 0).is_ok());
        assert!(producer.judge(&stamp(0, 1), Answer::Fresh, Some((1, 1)), 0).is_err());
    }

    #[test]
    fn a_cut_leaves_what_lies_before_it() {
        let mut producer = known();
        producer.on_cut(5);
        assert!(producer.is_sure());
        assert!(producer.judge(&stamp(0, 5), Answer::Fresh, None, 0).is_ok());
        assert!(producer.judge(&stamp(0, 4), Answer::Fresh, Some((4, 4)), 0).is_err());
        producer.on_cut(0);
        assert!(!producer.is_sure(), "all five are gone: it may be forgotten");
        assert!(producer.judge(&stamp(0, 2), Answer::Fresh, None, 0).is_ok());
        assert!(producer.judge(&stamp(0, 2), Answer::WrongSequence, None, 0).is_err());
    }

    #[test]
    fn sequences_go_round() {
        assert_eq!(after(i32::MAX, 1), 0);
        assert_eq!(after(i32::MAX - 1, 3), 1);
    }
}

//! What a producer does with one log: numbers its batches, sends them, waits for the acknowledgement.

use std::rc::Rc;

use engine::time;
use storage::batch::{Builder, Codec, NewRecord};
use storage::ids::{LogId, Offset, ProducerId};
use storage::log::append::{AppendError, Appended};
use storage::log::log::Standing;
use storage::log::producers::SequenceError;
use storage::store::LogHandle;

use crate::dice::Dice;
use crate::model::{Answer, Sent, Stamp};
use crate::operation::Sending;
use crate::violation::{Rule, Verdict, ensure};
use crate::worker::Worker;

/// Batches of one producer that are in flight in one log at most, as with Kafka's own clients.
const IN_FLIGHT_MAX: usize = 5;

/// A batch on its way.
#[derive(Clone)]
struct Outgoing {
    bytes: Rc<[u8]>,
    producer: Option<(u8, Stamp)>,
    /// The client waits for its answer before it goes on.
    counted: bool,
}

impl Worker {
    /// Sends a batch and waits until it is acknowledged or refused.
    pub async fn produce(
        self: &Rc<Self>,
        id: LogId,
        sending: Sending,
        records: u16,
        value_bytes: u32,
    ) {
        let Some(handle) = self.store.log(&id) else { return };
        if !self.enter(&id) {
            return;
        }
        if let Some(outgoing) = self.outgoing(&id, sending, records, value_bytes) {
            self.send(&handle, &outgoing).await;
            self.on_answered(&id, &outgoing);
        }
        self.leave(&id);
    }

    /// What is to be sent, if it can be: numbered when it leaves, not when it arrives.
    fn outgoing(
        &self,
        id: &LogId,
        sending: Sending,
        records: u16,
        value_bytes: u32,
    ) -> Option<Outgoing> {
        let mut model = self.shared.model.borrow_mut();
        let log = model.log(id)?;
        let fresh = |producer: Option<(u8, Stamp)>| Outgoing {
            bytes: batch(self.shared.tag(), producer, records, value_bytes).into(),
            producer,
            counted: false,
        };
        let (number, sent) = match sending {
            Sending::Plain => return Some(fresh(None)),
            Sending::Next(number) if log.producer(number).in_flight >= IN_FLIGHT_MAX => {
                // The client has waited long enough for the last one, and sends it again.
                (number, log.producer(number).again(0)?)
            }
            Sending::Next(number) => {
                let stamp = log.producer(number).send_next(records);
                let outgoing = fresh(Some((number, stamp)));
                (number, Sent { stamp, bytes: outgoing.bytes })
            }
            Sending::Again(number, back) => {
                log.producer(number).resume();
                (number, log.producer(number).again(back)?)
            }
            Sending::Gap(number, gap) => {
                let stamp = log.producer(number).gap(records, gap)?;
                return Some(fresh(Some((number, stamp))));
            }
            Sending::NextEpoch(number) => {
                let stamp = log.producer(number).next_epoch(records)?;
                let outgoing = fresh(Some((number, stamp)));
                (number, Sent { stamp, bytes: outgoing.bytes })
            }
            Sending::OldEpoch(number) => {
                let stamp = log.producer(number).old_epoch(records)?;
                return Some(fresh(Some((number, stamp))));
            }
        };
        let producer = log.producer(number);
        producer.on_sent(sent.clone());
        producer.in_flight += 1;
        let producer = Some((number, sent.stamp));
        Some(Outgoing { bytes: sent.bytes, producer, counted: true })
    }

    fn on_answered(&self, id: &LogId, outgoing: &Outgoing) {
        let mut model = self.shared.model.borrow_mut();
        if let (Some(log), Some((number, _)), true) =
            (model.log(id), outgoing.producer, outgoing.counted)
        {
            log.producer(number).in_flight -= 1;
        }
    }

    async fn send(&self, handle: &LogHandle, outgoing: &Outgoing) {
        let turn = self.turn(handle.id()).acquire(1).await;
        let appended = loop {
            match handle.append(&outgoing.bytes, self.epoch, time::unix_ms()) {
                Err(AppendError::NoRoom) => match handle.room(outgoing.bytes.len()).await {
                    Ok(()) => {}
                    Err(refused) => break Err(refused),
                },
                done => break done,
            }
        };
        let verdict = self.on_append(handle, outgoing, &appended);
        self.shared.hold(verdict);
        drop(turn);
        let Ok(appended) = appended else { return };
        let visible = handle.visible(appended.next_offset()).await;
        let verdict = match visible {
            Ok(()) => self.on_acknowledged(handle, &appended),
            Err(refused) => self.check_refusal(handle, outgoing, &refused),
        };
        self.shared.hold(verdict);
    }

    fn on_append(
        &self,
        handle: &LogHandle,
        outgoing: &Outgoing,
        appended: &Result<Appended, AppendError>,
    ) -> Verdict {
        let mut model = self.shared.model.borrow_mut();
        let Some(log) = model.log(&handle.id()) else { return Ok(()) };
        let answer = match appended {
            Ok(appended) if appended.duplicate => {
                Answer::Duplicate { base: appended.base_offset.0, last: appended.last_offset.0 }
            }
            Ok(_) => Answer::Fresh,
            Err(AppendError::Producer(SequenceError::Sequence { .. })) => Answer::WrongSequence,
            Err(AppendError::Producer(SequenceError::Epoch { .. })) => Answer::WrongEpoch,
            Err(other) => {
                drop(model);
                return self.check_refusal(handle, outgoing, other);
            }
        };
        if let Some((number, stamp)) = outgoing.producer {
            let in_log = log.find(number, &stamp);
            let start = log.start();
            log.producer(number).judge(&stamp, answer, in_log, start)?;
        } else {
            ensure(answer == Answer::Fresh, Rule::Producer, || {
                format!("a batch of nobody was answered {answer:?}")
            })?;
        }
        let visible = log.visible();
        if let (Answer::Fresh, Ok(appended)) = (answer, appended) {
            log.on_appended(
                &outgoing.bytes,
                appended.base_offset.0,
                appended.last_offset.0,
                self.epoch,
                handle.config().durability,
                outgoing.producer,
            )?;
        }
        let large = outgoing.bytes.len() > storage::limits::JOURNAL_BLOCK_BYTES;
        self.shared.note(|| format!("{} {:?} of {:?}", handle.id(), answer, outgoing.producer));
        self.shared.count(|coverage| match answer {
            Answer::Fresh => {
                coverage.appended += 1;
                coverage.large_batches += u64::from(large);
            }
            Answer::Duplicate { last, .. } if last >= visible => coverage.duplicate_in_flight += 1,
            Answer::Duplicate { .. } => coverage.duplicate_acknowledged += 1,
            _ => coverage.sequence_refused += 1,
        });
        Ok(())
    }

    fn on_acknowledged(&self, handle: &LogHandle, appended: &Appended) -> Verdict {
        let next = appended.last_offset.0 + 1;
        self.shared.note(|| format!("{} acknowledged before {next}", handle.id()));
        self.shared.count(|coverage| coverage.acknowledged += 1);
        let mut model = self.shared.model.borrow_mut();
        match model.log(&handle.id()) {
            Some(log) => log.on_visible(next),
            None => Ok(()),
        }
    }

    /// Whether there is a reason to refuse a batch.
    fn check_refusal(
        &self,
        handle: &LogHandle,
        outgoing: &Outgoing,
        refusal: &AppendError,
    ) -> Verdict {
        self.shared.note(|| format!("{} refused: {refusal}", handle.id()));
        let mut model = self.shared.model.borrow_mut();
        let faults = model.faults.clone();
        let Some(log) = model.log(&handle.id()) else { return Ok(()) };
        let bytes = outgoing.bytes.len();
        let config = handle.config();
        let excused = match refusal {
            AppendError::StorageFull => {
                self.shared.count(|coverage| coverage.disk_full += 1);
                faults.full
            }
            AppendError::Deleted => handle.standing() == Standing::Deleted,
            AppendError::Stopped => self.shared.stopping.get(),
            AppendError::Offline(_) => log.unreadable,
            AppendError::Batch(_) => {
                bytes as u64 > config.segment_bytes || bytes > config.max_message_bytes
            }
            AppendError::TooLargeForJournal { max, .. } => bytes > *max,
            AppendError::Io(_) => faults.io > 0,
            _ => false,
        };
        ensure(excused, Rule::Refused, || {
            format!("a batch of {bytes} bytes for {}: {refusal}", handle.id())
        })
    }

    /// Sends again what each producer was last answered: it must get the same offsets. And something that leaves
    /// numbers out: it must be refused.
    pub async fn probe_producers(&self, handle: &LogHandle) {
        let id = handle.id();
        let probes = {
            let mut model = self.shared.model.borrow_mut();
            let Some(log) = model.log(&id) else { return };
            let mut probes = Vec::new();
            for number in log.producers() {
                if let Some(sent) = log.producer(number).last_sure() {
                    let producer = Some((number, sent.stamp));
                    probes.push(Outgoing { bytes: sent.bytes, producer, counted: false });
                }
                if let Some(stamp) = log.producer(number).gap(2, 3) {
                    let producer = Some((number, stamp));
                    let bytes = batch(self.shared.tag(), producer, 2, 10).into();
                    probes.push(Outgoing { bytes, producer, counted: false });
                }
            }
            probes
        };
        for probe in probes {
            self.send(handle, &probe).await;
        }
    }
}

/// The producer id of a scenario's producer.
fn producer_id(number: u8) -> ProducerId {
    ProducerId(7_000 + i64::from(number))
}

/// A batch whose values nobody else sends.
fn batch(tag: u64, producer: Option<(u8, Stamp)>, records: u16, value_bytes: u32) -> Vec<u8> {
    let mut builder = Builder::new(Codec::None).base_offset(Offset::ZERO);
    if let Some((number, stamp)) = producer {
        builder = builder.producer(producer_id(number), stamp.epoch, stamp.first);
    }
    let now = time::unix_ms();
    let mut dice = Dice::new(tag);
    for record in 0..records {
        // Empty values differ by their keys, so that no batch is equal to another.
        let key = (tag << 8 | u64::from(record)).to_le_bytes();
        let mut value = Vec::with_capacity(value_bytes as usize + 8);
        while value.len() < value_bytes as usize {
            value.extend_from_slice(&dice.number().to_le_bytes());
        }
        value.truncate(value_bytes as usize);
        builder.push(NewRecord::of(&value).key(&key).at(now));
    }
    builder.build().expect("an uncompressed batch can be built")
}

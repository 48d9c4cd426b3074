//! Appends on the shard that owns the log.
//!
//! A batch is appended at once when the log has room. When it has none (the journal is full, the
//! segment's space is not reserved yet), it waits in a queue of its own log, first come first
//! served, so that batches of one producer keep their order whatever happens between them.
//! Acknowledged is another matter: that is when the batch has become visible in the class of
//! durability in force.
//!
//! Invariant: a log with an entry in `waiting` has exactly one task that drains it.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use engine::buffer::Piece;
use engine::sync::{Receiver, Sender, oneshot};
use engine::task::{self, Queue};
use engine::time::{self, Instant};
use storage::ids::LogId;
use storage::log::append::{AppendError, Appended};
use storage::store::LogHandle;

use super::mail::{Answer, ProduceCall, ProduceError};
use super::shard::Shard;
use crate::limits::APPENDS_WAITING_MAX;
use crate::observe::AppendPath;

/// A batch that waits for room in its log.
pub(super) struct Waiting {
    batch: Piece,
    answer: Sender<Served>,
}

/// What became of a batch that waited for room, and when it got it and was appended.
struct Served {
    done: Result<Appended, ProduceError>,
    begun: Instant,
    appended: Instant,
}

/// A batch that was given to its log; not yet acknowledged.
pub struct Appending {
    log: Option<LogHandle>,
    state: State,
}

enum State {
    Done(Result<Appended, ProduceError>),
    Waiting(Receiver<Served>),
}

impl Shard {
    /// Gives a batch to a log of this shard. Returns at once; batches of one log are appended in the
    /// order of these calls.
    pub fn append(self: &Rc<Self>, id: &LogId, batch: impl Into<Piece>) -> Appending {
        let Some(log) = self.store.log(id) else {
            return Appending { log: None, state: State::Done(Err(ProduceError::NoLog)) };
        };
        let batch = batch.into();
        let mut waiting = self.waiting.borrow_mut();
        if let Some(queue) = waiting.get_mut(id) {
            if queue.len() >= APPENDS_WAITING_MAX {
                return Appending { log: None, state: State::Done(Err(ProduceError::Busy)) };
            }
            let (answer, receiver) = oneshot();
            queue.push_back(Waiting { batch, answer });
            return Appending { log: Some(log), state: State::Waiting(receiver) };
        }
        match self.try_append(&log, &batch) {
            Err(AppendError::NoRoom) => {
                let (answer, receiver) = oneshot();
                waiting.insert(*id, VecDeque::from([Waiting { batch, answer }]));
                task::spawn(Queue::Produce, self.clone().drain(*id, log.clone()));
                Appending { log: Some(log), state: State::Waiting(receiver) }
            }
            done => {
                let state = State::Done(done.map_err(ProduceError::Append));
                Appending { log: Some(log), state }
            }
        }
    }

    fn try_append(&self, log: &LogHandle, batch: &[u8]) -> Result<Appended, AppendError> {
        let done = log.append(batch, self.leader_epoch, time::unix_ms());
        match &done {
            Ok(appended) if !appended.duplicate => {
                self.observed.batches.add(1);
                self.observed.records.add(records(appended));
                self.observed.batch_bytes.add(batch.len() as u64);
            }
            Ok(_) | Err(AppendError::NoRoom) => {}
            Err(_) => self.observed.batches_refused.add(1),
        }
        done
    }

    /// Appends what waits in one log, in order, until nothing waits.
    async fn drain(self: Rc<Self>, id: LogId, log: LogHandle) {
        loop {
            let bytes = {
                let mut waiting = self.waiting.borrow_mut();
                let queue = waiting.get_mut(&id).expect("the queue is removed by its drain alone");
                // Whoever gave up waiting takes its batch with it.
                while queue.front().is_some_and(|front| front.answer.is_closed()) {
                    queue.pop_front();
                }
                match queue.front() {
                    Some(front) => front.batch.len(),
                    None => {
                        waiting.remove(&id);
                        return;
                    }
                }
            };
            let room = log.room(bytes).await;
            let begun = time::now();
            let mut waiting = self.waiting.borrow_mut();
            let queue = waiting.get_mut(&id).expect("the queue is removed by its drain alone");
            let Some(front) = queue.front() else { continue };
            let done = match room {
                Ok(()) => self.try_append(&log, &front.batch),
                Err(refused) => Err(refused),
            };
            if matches!(done, Err(AppendError::NoRoom)) {
                continue;
            }
            let front = queue.pop_front().expect("it was just looked at");
            let done = done.map_err(ProduceError::Append);
            let _ = front.answer.send(Served { done, begun, appended: time::now() });
        }
    }

    /// Another shard's call: appends in order, answers when everything is acknowledged.
    pub(super) fn on_produce(self: &Rc<Self>, call: ProduceCall) -> Produced {
        let arrived = time::now();
        let timeout = call.timeout;
        let appending: Vec<_> =
            call.batches.into_iter().map(|(log, batch)| self.append(&log, batch)).collect();
        Produced::begin(arrived, appending, timeout)
    }
}

/// Records of a batch.
fn records(appended: &Appended) -> u64 {
    (appended.last_offset.0 - appended.base_offset.0 + 1) as u64
}

/// The batches of one call or of one request's local part.
pub struct Produced {
    /// The batches, in order.
    pub appending: Vec<Appending>,
    /// When waiting ends; `None` when only the append itself is waited for.
    pub deadline: Option<Instant>,
    /// When they came to this shard.
    arrived: Instant,
    /// When all were given to their logs.
    appended: Instant,
}

impl Produced {
    /// Batches that arrived some time ago and were given to their logs just now.
    pub fn begin(
        arrived: Instant,
        appending: Vec<Appending>,
        timeout: Option<Duration>,
    ) -> Produced {
        let appended = time::now();
        let deadline = timeout.map(|timeout| appended + timeout);
        Produced { appending, deadline, arrived, appended }
    }

    /// Waits until every batch is acknowledged, refused or out of time. Says when what happened.
    pub async fn acknowledged(self) -> (Vec<Result<Appended, ProduceError>>, AppendPath) {
        let mut results = Vec::with_capacity(self.appending.len());
        let mut waited: Option<(Instant, Instant)> = None;
        for appending in self.appending {
            let (done, served) = appending.acknowledged(self.deadline).await;
            results.push(done);
            // The journal keeps their order, so the last one appended is the last one visible.
            if let Some(served) = served
                && waited.is_none_or(|(_, before)| before < served.1)
            {
                waited = Some(served);
            }
        }
        let (arrived, appended) = (self.arrived, self.appended);
        (results, AppendPath { arrived, appended, waited, done: time::now() })
    }

    /// The same as the answer to a call.
    pub(super) async fn answer(self) -> Answer {
        let (results, path) = self.acknowledged().await;
        Answer::Produce(results, path)
    }
}

impl Appending {
    /// Waits until the batch is visible in its log's class of durability (with a deadline), or only
    /// appended (without one). With the times of a batch that had to wait for room: when it had it, and when it was
    /// appended.
    async fn acknowledged(
        self,
        deadline: Option<Instant>,
    ) -> (Result<Appended, ProduceError>, Option<(Instant, Instant)>) {
        let (done, times) = match (self.state, deadline) {
            (State::Done(done), _) => (done, None),
            (State::Waiting(receiver), deadline) => {
                let served = match deadline {
                    None => Ok(receiver.await),
                    Some(deadline) => time::timeout(deadline.since(time::now()), receiver).await,
                };
                match served {
                    Ok(served) => {
                        let served = served.expect("a drain answers before it drops a batch");
                        (served.done, Some((served.begun, served.appended)))
                    }
                    Err(_) => {
                        // It waited for room to the end.
                        let now = time::now();
                        (Err(ProduceError::TimedOut), Some((now, now)))
                    }
                }
            }
        };
        let (Ok(appended), Some(log), Some(deadline)) = (&done, self.log, deadline) else {
            return (done, times);
        };
        let acknowledged = log.acknowledged(appended);
        match time::timeout(deadline.since(time::now()), acknowledged).await {
            Ok(Ok(())) => (done, times),
            Ok(Err(refused)) => (Err(ProduceError::Append(refused)), times),
            Err(_) => (Err(ProduceError::TimedOut), times),
        }
    }
}

//! Gathers what the clients hand in, on a thread of its own, so that no client waits while histograms are packed.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::meter::{Counts, Note, Whose};
use crate::latency::Latencies;
use crate::result::model::{Client, Second};

/// Seconds of which the live figures are kept.
const RECENT: usize = 4;

/// The figures of a whole run.
#[derive(Default)]
pub struct Ledger {
    /// By second of the measured time.
    pub seconds: Vec<Second>,
    /// Counts of the measured time.
    pub counts: Counts,
    /// Producers, then consumers.
    pub clients: Vec<Client>,
}

/// The figures of one second as it has just passed.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// What was counted.
    pub counts: Counts,
    /// Response latencies.
    pub response: Latencies,
    /// Not acknowledged at its end though their time had come, warm-up included.
    pub backlog: u64,
    /// Given up since the begin.
    pub failed: u64,
}

/// The names of clients, and how many seconds they are measured.
#[derive(Clone, Debug, Default)]
pub struct Roll {
    /// Of producers.
    pub producers: Vec<String>,
    /// Of consumers.
    pub consumers: Vec<String>,
    /// Measured seconds.
    pub seconds: usize,
}

/// The thread that gathers.
pub struct Scribe {
    thread: thread::JoinHandle<Ledger>,
    recent: Arc<Mutex<BTreeMap<i64, Recent>>>,
}

impl Scribe {
    /// Starts it. It ends when all senders are gone. `returns` gets the histograms back, empty.
    pub fn start(roll: Roll, returns: Vec<Sender<Latencies>>) -> (Scribe, Sender<Note>) {
        let (sender, notes) = channel();
        let recent = Arc::new(Mutex::new(BTreeMap::new()));
        let shared = recent.clone();
        let body = move || Desk::new(roll, shared).run(&notes, &returns);
        let thread = thread::Builder::new().name("bench-scribe".into()).spawn(body);
        let thread = thread.expect("a thread more than the generator's own can be started");
        (Scribe { thread, recent }, sender)
    }

    /// How a second went, as far as it has been handed in; of the newest that the clients are done with.
    pub fn recent(&self, second: i64) -> Option<Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).get(&second).cloned()
    }

    /// Waits until all is handed in.
    pub fn finish(self) -> Ledger {
        self.thread.join().expect("the scribe has nothing to fail on")
    }
}

struct Desk {
    roll: Roll,
    ledger: Ledger,
    /// By client: what came behind the end, which belongs to the last second.
    tails: BTreeMap<usize, Latencies>,
    /// Records not acknowledged at the end of each second, which later notes still change.
    open: BTreeMap<i64, i64>,
    failed: u64,
    recent: Arc<Mutex<BTreeMap<i64, Recent>>>,
}

impl Desk {
    fn new(roll: Roll, recent: Arc<Mutex<BTreeMap<i64, Recent>>>) -> Desk {
        let client = |name: &String| Client {
            name: name.clone(),
            records: 0,
            bytes: 0,
            latencies: Latencies::new(),
            by_second: vec![String::new(); roll.seconds],
        };
        let clients = roll.producers.iter().chain(&roll.consumers).map(client).collect();
        let seconds = (0..roll.seconds).map(|_| Second::default()).collect();
        let ledger = Ledger { seconds, clients, counts: Counts::default() };
        let (tails, open) = (BTreeMap::new(), BTreeMap::new());
        Desk { roll, ledger, tails, open, failed: 0, recent }
    }

    fn run(mut self, notes: &Receiver<Note>, returns: &[Sender<Latencies>]) -> Ledger {
        let mut turn = 0;
        while let Ok(note) = notes.recv() {
            let mut latencies = self.take_note(note);
            latencies.clear();
            turn = (turn + 1) % returns.len();
            // A thread that has ended needs no histogram.
            let _ = returns[turn].send(latencies);
        }
        self.finish()
    }

    fn take_note(&mut self, note: Note) -> Latencies {
        let Note { whose, second, counts, latencies } = note;
        let measured = self.ledger.seconds.len() as i64;
        self.show(second, whose, &counts, &latencies);
        let settled = (counts.acknowledged + counts.failed) as i64;
        *self.open.entry(second).or_default() += counts.intended as i64 - settled;
        if second < 0 || measured == 0 {
            return latencies;
        }
        let last = second.min(measured - 1) as usize;
        let place = &mut self.ledger.seconds[last];
        match whose {
            Whose::Producer(_) => place.response.merge(&latencies),
            Whose::Consumer(_) => place.end_to_end.merge(&latencies),
            Whose::Service => place.service.merge(&latencies),
        }
        let client = match whose {
            Whose::Producer(at) => Some(at),
            Whose::Consumer(at) => Some(self.roll.producers.len() + at),
            Whose::Service => None,
        };
        if second < measured {
            place.intended += counts.intended;
            place.acknowledged += counts.acknowledged;
            place.acknowledged_bytes += counts.acknowledged_bytes;
            place.consumed += counts.consumed;
            place.consumed_bytes += counts.consumed_bytes;
            place.slip_ns = place.slip_ns.max(counts.slip_max_ns);
            self.ledger.counts.add(&counts);
        }
        if let Some(client) = client {
            if last + 1 == measured as usize {
                self.tails.entry(client).or_default().merge(&latencies);
            } else {
                self.ledger.clients[client].by_second[last] = String::from(latencies.clone());
            }
            let place = &mut self.ledger.clients[client];
            if second < measured {
                place.records += counts.acknowledged + counts.consumed;
                place.bytes += counts.acknowledged_bytes + counts.consumed_bytes;
            }
        }
        latencies
    }

    fn show(&mut self, second: i64, whose: Whose, counts: &Counts, latencies: &Latencies) {
        self.failed += counts.failed;
        let backlog = self.open.range(..=second).map(|(_, open)| open).sum::<i64>();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let place = recent.entry(second).or_default();
        place.counts.add(counts);
        if matches!(whose, Whose::Producer(_)) {
            place.response.merge(latencies);
        }
        let settled = (counts.acknowledged + counts.failed) as i64;
        place.backlog = (backlog + counts.intended as i64 - settled).max(0) as u64;
        place.failed = self.failed;
        while recent.len() > RECENT {
            recent.pop_first();
        }
    }

    fn finish(mut self) -> Ledger {
        let mut open = 0;
        let mut opens = self.open.iter().peekable();
        for (second, place) in self.ledger.seconds.iter_mut().enumerate() {
            while let Some((_, more)) = opens.next_if(|(at, _)| **at <= second as i64) {
                open += more;
            }
            place.backlog = open.max(0) as u64;
        }
        let last = self.ledger.seconds.len().checked_sub(1);
        let empty = String::from(Latencies::new());
        for (at, client) in self.ledger.clients.iter_mut().enumerate() {
            for (second, packed) in client.by_second.iter_mut().enumerate() {
                let tail = (Some(second) == last).then(|| self.tails.remove(&at)).flatten();
                if let Some(tail) = tail {
                    client.latencies.merge(&tail);
                    *packed = String::from(tail);
                } else if packed.is_empty() {
                    packed.clone_from(&empty);
                } else if let Ok(whole) = Latencies::try_from(packed.clone()) {
                    client.latencies.merge(&whole);
                }
            }
        }
        self.ledger
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(whose: Whose, second: i64, ns: u64, intended: u64, acknowledged: u64) -> Note {
        let mut latencies = Latencies::new();
        latencies.record_ns(ns, 1);
        let counts = Counts { intended, acknowledged, ..Counts::default() };
        Note { whose, second, counts, latencies }
    }

    #[test]
    fn what_is_handed_in_comes_out_once() {
        let (returns, _spares) = channel();
        let roll = Roll {
            producers: vec!["producer-0".into()],
            consumers: vec!["consumer-0-0".into()],
            seconds: 2,
        };
        let (scribe, sender) = Scribe::start(roll, vec![returns]);
        for note in [
            note(Whose::Producer(0), -1, 1_000, 10, 4),
            note(Whose::Producer(0), 0, 2_000, 10, 12),
            note(Whose::Consumer(0), 1, 7_000, 0, 0),
            note(Whose::Service, 1, 500, 0, 0),
            note(Whose::Producer(0), 1, 3_000, 10, 10),
            note(Whose::Producer(0), 2, 4_000, 0, 4),
        ] {
            sender.send(note).expect("the scribe listens");
        }
        drop(sender);
        let ledger = scribe.finish();
        let backlogs: Vec<u64> = ledger.seconds.iter().map(|second| second.backlog).collect();
        assert_eq!(backlogs, [4, 4]);
        assert_eq!((ledger.counts.intended, ledger.counts.acknowledged), (20, 22));
        let counts = |second: usize| {
            let second = &ledger.seconds[second];
            [&second.response, &second.service, &second.end_to_end].map(Latencies::count)
        };
        assert_eq!((counts(0), counts(1)), ([1, 0, 0], [2, 1, 1]), "the tail is of the last");
        let producer = &ledger.clients[0];
        assert_eq!((producer.latencies.count(), producer.records), (3, 22));
        let seconds = producer.by_second.iter().map(|packed| Latencies::try_from(packed.clone()));
        let counts: Vec<u64> = seconds.map(|whole| whole.expect("it was packed").count()).collect();
        assert_eq!(counts, [1, 2]);
    }
}

//! Topics that come and go under load: created, written to, deleted and created again under the same names until the broker
//! dies, with a model of what each name must hold afterwards.
//!
//! The change that was under way at the death may have happened or not; everything answered has. A record of an earlier
//! life of a name must not come back in a later one: ids are never used twice, so the ledger of the later one would
//! complain that nobody sent it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use storage::batch::{Builder, Codec, NewRecord};

use crate::calls::{Calls, Code};
use crate::dice::Dice;
use crate::ledger::{Ledger, value};
use crate::load::read_partitions;

/// Names that topics come and go under.
const NAMES: u64 = 5;
/// Records of one batch at most.
const BATCH_RECORDS_MAX: u64 = 20;

/// What a name stands for; `None` is a topic that does not exist.
type Life = Option<Ledger>;

/// The model; see the module.
pub struct Churn {
    prefix: String,
    dice: Dice,
    next_id: u64,
    /// What each name may stand for: one life, or two while nobody knows whether the last change was made.
    names: BTreeMap<String, Vec<Life>>,
    /// Changes and batches that were answered.
    answered: u64,
    /// What was answered with an error, and how.
    refused: Vec<(String, Code)>,
}

impl Churn {
    /// No topic yet; all names begin with `prefix`.
    pub fn new(prefix: &str, seed: u64) -> Self {
        Self {
            prefix: prefix.to_owned(),
            dice: Dice(seed),
            next_id: 0,
            names: BTreeMap::new(),
            answered: 0,
            refused: Vec::new(),
        }
    }

    /// Changes and batches that were answered.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// What the broker answered with an error before it died, and its codes; they may have happened or not.
    pub fn refused(&self) -> &[(String, Code)] {
        &self.refused
    }

    /// Makes changes until the broker goes away or refuses one.
    #[must_use]
    pub fn run(mut self, address: SocketAddr) -> Self {
        let mut calls = Calls::connect(address);
        loop {
            let name = format!("{}-{}", self.prefix, self.dice.below(NAMES));
            let lives = self.names.entry(name.clone()).or_insert_with(|| vec![None]);
            assert_eq!(lives.len(), 1, "settle() comes before the next run");
            let life = lives[0].clone();
            let (answer, after) = match life {
                None => (calls.create(&name, 2, &[]), Some(Ledger::default())),
                Some(_) if self.dice.below(8) == 0 => (calls.delete(&name), None),
                Some(mut ledger) => {
                    let answer = self.produce(&mut calls, &name, &mut ledger);
                    // Sent is sent, whatever comes of it.
                    self.names.insert(name.clone(), vec![Some(ledger.clone())]);
                    (answer, Some(ledger))
                }
            };
            let lives = self.names.get_mut(&name).expect("just put there");
            match answer {
                Some(0) => {
                    *lives = vec![after];
                    self.answered += 1;
                }
                other => {
                    lives.push(after);
                    self.refused.extend(other.map(|code| (name, code)));
                    return self;
                }
            }
        }
    }

    fn produce(&mut self, calls: &mut Calls, name: &str, ledger: &mut Ledger) -> Option<Code> {
        let partition = i32::try_from(self.dice.below(2)).expect("small");
        let first = self.next_id;
        let count = 1 + self.dice.below(BATCH_RECORDS_MAX);
        self.next_id += count;
        let mut batch = Builder::new(Codec::None);
        for id in first..self.next_id {
            let bytes = usize::try_from(self.dice.below(2_000)).expect("small");
            ledger.sent(partition, id, bytes);
            let (key, body) = (id.to_be_bytes(), value(partition, id, bytes));
            batch.push(NewRecord::of(&body).key(&key).at(1_700_000_000_000));
        }
        let batch = batch.build().expect("an uncompressed batch is made in memory");
        let (code, offset) = calls.produce(name, partition, &batch)?;
        if code == 0 {
            for id in first..self.next_id {
                let behind = i64::try_from(id - first).expect("small");
                ledger.acknowledged(partition, id, offset + behind);
            }
        }
        Some(code)
    }

    /// Asks the broker which topics there are, and takes over what became of the change under way.
    ///
    /// # Panics
    /// When a creation or a deletion that was answered is not so.
    pub fn settle(&mut self, address: SocketAddr) {
        let mut calls = Calls::connect(address);
        for (name, lives) in &mut self.names {
            let there = calls.partitions(name).expect("the broker answers").is_some();
            lives.retain(|life| life.is_some() == there);
            assert!(!lives.is_empty(), "topic {name} is there: {there}; it was answered otherwise");
            // Two lives of a topic that is there differ in nothing but a batch that was sent and not answered.
            lives.truncate(1);
        }
        self.refused.clear();
    }

    /// Reads every topic there is and holds it against the model, which was settled before.
    ///
    /// # Panics
    /// When a record is lost, altered or of an earlier life.
    pub fn check(&self, address: SocketAddr) {
        let there = self.names.iter().filter(|(_, lives)| lives[0].is_some());
        let partitions: Vec<_> =
            there.flat_map(|(name, _)| [(name.clone(), 0), (name.clone(), 1)]).collect();
        let read = read_partitions(&address.to_string(), &partitions);
        for ((name, partition), seen) in partitions.iter().zip(read) {
            let ledger = self.names[name][0].as_ref().expect("only what is there is read");
            ledger.assert_holds(*partition, &seen);
        }
    }
}

//! What was sent, what was acknowledged, and what a partition must therefore hold.
//!
//! Every record carries an id that only grows within its partition, and a value that follows from the
//! id, so that a reader needs nothing but the ledger to say: lost, duplicated, reordered, altered.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::message::Message;

/// The value of the record `id` of `partition`: `bytes` bytes that follow from both.
pub fn value(partition: i32, id: u64, bytes: usize) -> Vec<u8> {
    let mut state =
        (id + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(partition.unsigned_abs());
    let mut value = Vec::with_capacity(bytes + 8);
    while value.len() < bytes {
        // splitmix64
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    value.truncate(bytes);
    value
}

/// One record as a reader saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its offset.
    pub offset: i64,
    /// The id from its key.
    pub id: u64,
    /// Its value.
    pub value: Vec<u8>,
}

impl Seen {
    /// The record of a message.
    ///
    /// # Panics
    /// When it has no key of eight bytes, as every record of these tests has.
    pub fn of(message: &impl Message) -> Self {
        let key = message.key().expect("every record has a key");
        Self {
            offset: message.offset(),
            id: u64::from_be_bytes(key.try_into().expect("a key is eight bytes")),
            value: message.payload().unwrap_or_default().to_vec(),
        }
    }
}

/// What was sent to one partition and what of it was acknowledged.
#[derive(Clone, Debug, Default)]
struct Partition {
    /// Size of the value of each record sent.
    sent: BTreeMap<u64, usize>,
    /// Offset of each record acknowledged.
    acknowledged: BTreeMap<u64, i64>,
}

/// The ledger of one topic.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    partitions: BTreeMap<i32, Partition>,
}

impl Ledger {
    /// Notes that record `id` with a value of `bytes` bytes goes out.
    pub fn sent(&mut self, partition: i32, id: u64, bytes: usize) {
        self.partitions.entry(partition).or_default().sent.insert(id, bytes);
    }

    /// Notes that record `id` was acknowledged at `offset`.
    pub fn acknowledged(&mut self, partition: i32, id: u64, offset: i64) {
        self.partitions.entry(partition).or_default().acknowledged.insert(id, offset);
    }

    /// Records acknowledged so far.
    pub fn acknowledged_count(&self) -> usize {
        self.partitions.values().map(|partition| partition.acknowledged.len()).sum()
    }

    /// Everything wrong with what a reader saw from offset 0 to the end of `partition`.
    pub fn complaints(&self, partition: i32, seen: &[Seen]) -> Vec<String> {
        let empty = Partition::default();
        let expected = self.partitions.get(&partition).unwrap_or(&empty);
        let mut complaints = Vec::new();
        let mut ids = BTreeSet::new();
        let mut last: Option<&Seen> = None;
        for record in seen {
            let Seen { offset, id, .. } = record;
            match expected.sent.get(id) {
                None => complaints.push(format!("offset {offset}: record {id} was never sent")),
                Some(bytes) if record.value != value(partition, *id, *bytes) => {
                    complaints.push(format!("offset {offset}: record {id} is altered"));
                }
                Some(_) => {}
            }
            if !ids.insert(*id) {
                complaints.push(format!("offset {offset}: record {id} is a duplicate"));
            }
            if let Some(before) = last {
                if *offset != before.offset + 1 {
                    complaints.push(format!("offset {offset} follows {}", before.offset));
                }
                if *id < before.id {
                    complaints.push(format!("offset {offset}: record {id} after {}", before.id));
                }
            }
            last = Some(record);
        }
        let at: BTreeMap<u64, i64> = seen.iter().map(|record| (record.id, record.offset)).collect();
        for (id, offset) in &expected.acknowledged {
            match at.get(id) {
                None => complaints.push(format!("record {id}, acknowledged at {offset}, is lost")),
                Some(found) if found != offset => complaints
                    .push(format!("record {id}, acknowledged at {offset}, stands at {found}")),
                Some(_) => {}
            }
        }
        complaints
    }

    /// Fails the test when anything is wrong with what a reader saw.
    ///
    /// # Panics
    /// With the first complaints.
    pub fn assert_holds(&self, partition: i32, seen: &[Seen]) {
        let complaints = self.complaints(partition, seen);
        let shown = complaints.iter().take(20).cloned().collect::<Vec<_>>().join("\n  ");
        assert!(
            complaints.is_empty(),
            "partition {partition}, {} records seen, {} complaints:\n  {shown}",
            seen.len(),
            complaints.len()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for id in 0..4 {
            ledger.sent(0, id, 10);
        }
        ledger.acknowledged(0, 0, 0);
        ledger.acknowledged(0, 1, 1);
        ledger
    }

    fn seen(offset: i64, id: u64) -> Seen {
        Seen { offset, id, value: value(0, id, 10) }
    }

    fn check(records: &[Seen], complaint: Option<&str>) {
        let found = ledger().complaints(0, records);
        match complaint {
            None => assert_eq!(found, Vec::<String>::new()),
            Some(text) => assert!(found.iter().any(|c| c.contains(text)), "{found:?}"),
        }
    }

    #[test]
    fn a_ledger_that_cannot_complain_is_no_ledger() {
        check(&[seen(0, 0), seen(1, 1)], None);
        check(&[seen(0, 0), seen(1, 1), seen(2, 3)], None);
        check(&[seen(0, 0)], Some("record 1, acknowledged at 1, is lost"));
        check(&[seen(0, 0), seen(1, 2), seen(2, 1)], Some("stands at 2"));
        check(&[seen(0, 0), seen(1, 1), seen(2, 1)], Some("duplicate"));
        check(&[seen(0, 0), seen(1, 1), seen(3, 2)], Some("offset 3 follows 1"));
        check(&[seen(0, 0), seen(1, 1), seen(2, 3), seen(3, 2)], Some("record 2 after 3"));
        check(&[seen(0, 0), seen(1, 1), seen(2, 9)], Some("never sent"));
        let altered = Seen { offset: 1, id: 1, value: vec![0; 10] };
        check(&[seen(0, 0), altered], Some("altered"));
    }
}

//! Open batches, one per partition, and the sequence numbers that closed ones get.

use std::time::{Duration, Instant};

use storage::batch::{Builder, Codec, NewRecord};
use storage::ids::ProducerId;

use crate::cli::failure::Failure;

/// A closed batch, ready to be sent as often as it takes.
#[derive(Debug)]
pub struct Batch {
    /// Its partition.
    pub partition: u32,
    /// The place of the batch among the batches of its partition, counted from 0.
    pub place: u64,
    /// How many records it holds.
    pub records: u32,
    /// Bytes of keys and values in it.
    pub payload: u64,
    /// The input lines it holds, from and to, counted from 1. Lines of other partitions may lie
    /// between them.
    pub lines: (u64, u64),
    /// The batch as it goes on the wire.
    pub bytes: Vec<u8>,
}

/// The producer's identity at the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The id the broker gave.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
}

struct Open {
    builder: Builder,
    began: Instant,
    payload: u64,
    lines: (u64, u64),
}

#[derive(Default)]
struct Partition {
    open: Option<Open>,
    next_sequence: i32,
    next_place: u64,
}

/// The open batches of all partitions.
pub struct Accumulator {
    partitions: Vec<Partition>,
    codec: Codec,
    batch_bytes: usize,
    identity: Option<Identity>,
}

impl Accumulator {
    /// For a number of partitions. `batch_bytes` is the size at which a batch is closed, before
    /// compression.
    pub fn new(
        partitions: u32,
        codec: Codec,
        batch_bytes: usize,
        identity: Option<Identity>,
    ) -> Self {
        let partitions = (0..partitions).map(|_| Partition::default()).collect();
        Accumulator { partitions, codec, batch_bytes, identity }
    }

    /// Adds the record of input line `line`. Returns the batch that had no room for it, if any.
    ///
    /// # Errors
    /// The batch cannot be compressed.
    pub fn add(
        &mut self,
        partition: u32,
        record: NewRecord<'_>,
        payload: usize,
        line: u64,
    ) -> Result<Option<Batch>, Failure> {
        // An estimate that is never too low for the length fields of a record without headers.
        let estimate = payload + 32;
        let slot = &self.partitions[partition as usize];
        let full =
            slot.open.as_ref().is_some_and(|o| o.builder.len() + estimate > self.batch_bytes);
        let closed = if full { self.close(partition)? } else { None };
        let codec = self.codec;
        let open = self.partitions[partition as usize].open.get_or_insert_with(|| Open {
            builder: Builder::new(codec),
            began: Instant::now(),
            payload: 0,
            lines: (line, line),
        });
        open.builder.push(record);
        open.payload += payload as u64;
        open.lines.1 = line;
        Ok(closed)
    }

    /// Closes the batches that have been open for at least `age`.
    ///
    /// # Errors
    /// A batch cannot be compressed.
    pub fn close_older(&mut self, age: Duration) -> Result<Vec<Batch>, Failure> {
        let mut closed = Vec::new();
        for partition in 0..self.partitions.len() {
            let open = &self.partitions[partition].open;
            if open.as_ref().is_some_and(|open| open.began.elapsed() >= age) {
                closed.extend(self.close(partition as u32)?);
            }
        }
        Ok(closed)
    }

    /// Whether any batch is open.
    pub fn has_open(&self) -> bool {
        self.partitions.iter().any(|partition| partition.open.is_some())
    }

    fn close(&mut self, partition: u32) -> Result<Option<Batch>, Failure> {
        let slot = &mut self.partitions[partition as usize];
        let Some(Open { mut builder, payload, lines, .. }) = slot.open.take() else {
            return Ok(None);
        };
        let records = builder.count() as u32;
        if let Some(Identity { id, epoch }) = self.identity {
            builder = builder.producer(ProducerId(id), epoch, slot.next_sequence);
            slot.next_sequence = after(slot.next_sequence, records);
        }
        let place = slot.next_place;
        slot.next_place += 1;
        let bytes = builder.build().map_err(|error| {
            Failure::new("HDL-PRODUCE-004", "a batch cannot be built").why(error.to_string())
        })?;
        Ok(Some(Batch { partition, place, records, payload, lines, bytes }))
    }
}

/// The sequence number `records` after another: they wrap from 2^31 - 1 to 0.
fn after(sequence: i32, records: u32) -> i32 {
    ((i64::from(sequence) + i64::from(records)) % (1 << 31)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::batch::BatchView;

    #[test]
    fn sequences_run_on_per_partition_and_wrap() {
        let identity = Identity { id: 9, epoch: 2 };
        let mut accumulator = Accumulator::new(2, Codec::None, 200, Some(identity));
        let mut closed = Vec::new();
        for line in 1..=10 {
            let partition = (line % 2) as u32;
            let record = NewRecord::of(&[b'x'; 30]);
            closed.extend(accumulator.add(partition, record, 30, line).expect("it fits"));
        }
        closed.extend(accumulator.close_older(Duration::ZERO).expect("it fits"));
        assert!(!accumulator.has_open());
        for partition in 0..2 {
            let batches: Vec<_> = closed.iter().filter(|b| b.partition == partition).collect();
            let mut expected = 0;
            for (place, batch) in batches.iter().enumerate() {
                let view = BatchView::first(&batch.bytes).expect("a whole batch");
                assert!(view.check_crc());
                assert_eq!(batch.place, place as u64);
                assert_eq!(view.base_sequence(), expected);
                assert_eq!(view.producer_epoch(), 2);
                expected += batch.records as i32;
            }
            assert_eq!(expected, 5);
        }
        assert_eq!(after(i32::MAX, 1), 0);
        assert_eq!(after(i32::MAX - 1, 3), 1);
    }

    #[test]
    fn a_record_larger_than_a_batch_goes_alone() {
        let mut accumulator = Accumulator::new(1, Codec::None, 100, None);
        let large = [b'y'; 500];
        assert!(accumulator.add(0, NewRecord::of(b"x"), 1, 1).expect("it fits").is_none());
        let first = accumulator.add(0, NewRecord::of(&large), 500, 2).expect("it fits");
        assert_eq!(first.expect("a batch was closed").lines, (1, 1));
        let second = accumulator.add(0, NewRecord::of(b"x"), 1, 3).expect("it fits");
        assert_eq!(second.expect("a batch was closed").lines, (2, 2));
    }
}

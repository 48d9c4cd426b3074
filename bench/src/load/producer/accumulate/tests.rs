//! What leaves when, in which order, and at what price.

use engine::shard::{Launch, block_on};
use storage::batch::{BatchView, Records};

use super::*;
use crate::plan::{Keys, Sizes};

const KIB: usize = 1 << 10;

fn plan() -> Plan {
    Plan {
        topics: 1,
        partitions: 4,
        sizes: Sizes::Fixed(1_000),
        batch_bytes: 4 * KIB as u32,
        linger_us: 0,
        rate: Rate::PerSecond(1_000.0),
        keys: Keys::Null,
        partitioning: Partitioning::RoundRobin,
        codec: Codec::None,
        ..Plan::default()
    }
}

fn with(plan: Plan, bytes_max: usize, test: impl FnOnce(Accumulator) + 'static) {
    let pool = Pool::new(plan.payload, plan.sizes.max(), plan.seed);
    let body = async move { test(Accumulator::new(&plan, 0, 7, pool, bytes_max)) };
    block_on(&Launch::default(), body).expect("the host has a ring");
}

fn push(batches: &mut Accumulator, now: u64) -> Result<(), Full> {
    batches.push(now, now).expect("nothing is compressed")
}

fn fill(batches: &mut Accumulator, records: u64) {
    (0..records).for_each(|at| push(batches, at).expect("there is room"));
}

fn due(batches: &mut Accumulator) -> Vec<u32> {
    batches.take_due().collect()
}

fn take(batches: &mut Accumulator, lane: u32) -> Batch {
    batches.take(lane).expect("nothing is compressed").expect("there is a batch")
}

#[test]
fn without_linger_every_record_is_due_at_once_in_the_next_partition() {
    with(plan(), usize::MAX, |mut batches| {
        for at in 0..8u64 {
            push(&mut batches, at).expect("there is room");
            let lane = ((at + 1) % 4) as u32;
            assert_eq!(due(&mut batches), [lane], "record {at}");
            let batch = take(&mut batches, lane);
            assert_eq!((batch.first, &batch.intended[..]), (at / 4, &[at][..]));
            batches.settle(batch, true);
        }
        assert!(batches.is_empty() && !batches.has_due());
    });
}

#[test]
fn records_gather_while_nobody_takes_them_and_leave_in_order() {
    with(plan(), usize::MAX, |mut batches| {
        fill(&mut batches, 40);
        assert_eq!(due(&mut batches), [1, 2, 3, 0], "each is named once");
        let mut numbers = Vec::new();
        let mut lanes = vec![2];
        while let Some(lane) = lanes.pop() {
            let batch = take(&mut batches, lane);
            assert!(batch.frame.len() <= 4 * KIB);
            numbers.push((batch.first, batch.count()));
            lanes.extend(due(&mut batches));
        }
        assert_eq!(numbers, [(0, 3), (3, 3), (6, 3), (9, 1)]);
    });
}

#[test]
fn a_batch_waits_for_its_linger_or_until_it_is_full() {
    let plan = Plan { linger_us: 5, partitions: 1, ..plan() };
    with(plan, usize::MAX, |mut batches| {
        push(&mut batches, 100).expect("there is room");
        assert_eq!(batches.next_deadline(), Some(5_100));
        batches.end_linger(5_099);
        assert!(!batches.has_due());
        batches.end_linger(5_100);
        assert_eq!(due(&mut batches), [0]);
        let first = take(&mut batches, 0);
        assert_eq!((first.count(), batches.next_deadline()), (1, None));
        (0..3).for_each(|_| push(&mut batches, 6_000).expect("there is room"));
        push(&mut batches, 7_000).expect("there is room");
        assert_eq!(due(&mut batches), [0], "it is full before its time");
        assert_eq!(take(&mut batches, 0).count(), 3);
        batches.end_linger(11_000);
        assert!(!batches.has_due(), "that deadline was of the batch that has left");
    });
}

#[test]
fn a_sticky_producer_fills_one_batch_before_the_next() {
    let plan = Plan { partitioning: Partitioning::Sticky, rate: Rate::Max, ..plan() };
    with(plan, usize::MAX, |mut batches| {
        fill(&mut batches, 10);
        assert_eq!(due(&mut batches), [0, 1, 2]);
        assert_eq!([0, 1, 2].map(|lane| take(&mut batches, lane).count()), [3, 3, 3]);
        batches.make_all_due();
        assert_eq!(due(&mut batches), [3]);
    });
}

#[test]
fn memory_has_an_end_and_the_record_that_found_it_is_not_lost() {
    let plan = Plan { partitions: 1, ..plan() };
    with(plan, 8 * KIB, |mut batches| {
        let mut pushed = 0;
        while push(&mut batches, pushed).is_ok() {
            pushed += 1;
        }
        assert_eq!(pushed, 6, "two batches of three");
        let lanes = due(&mut batches);
        let batch = take(&mut batches, lanes[0]);
        assert_eq!(push(&mut batches, 9), Err(Full::Memory), "it is in flight");
        batches.settle(batch, true);
        push(&mut batches, 9).expect("there is room again");
        let numbers: Vec<u64> = [(); 2].map(|()| take(&mut batches, 0).first).into();
        assert_eq!(numbers, [3, 6]);
    });
}

#[test]
fn batches_on_their_way_take_the_memory_they_need() {
    let plan = Plan { partitions: 2, linger_us: 5_000, batch_bytes: 1 << 20, ..plan() };
    with(plan, 3 << 20, |mut batches| {
        // A hundred in flight, of blocks that would take 1 MiB each; two are open at a time.
        for turn in 0..50 {
            let now = turn * 10_000_000;
            push(&mut batches, now).expect("there is room");
            push(&mut batches, now).expect("there is room");
            batches.end_linger(now + 5_000_000);
            for lane in due(&mut batches) {
                assert_eq!(take(&mut batches, lane).count(), 1);
            }
        }
    });
}

#[test]
fn a_record_larger_than_a_batch_travels_alone() {
    let plan = Plan { sizes: Sizes::Fixed(100_000), partitions: 1, ..plan() };
    with(plan, 64 * KIB, |mut batches| {
        push(&mut batches, 1).expect("one is always taken");
        assert_eq!(push(&mut batches, 2), Err(Full::Memory));
        assert_eq!(take(&mut batches, 0).count(), 1);
    });
}

#[test]
fn what_comes_back_goes_first_and_alone() {
    let plan = Plan { partitions: 1, ..plan() };
    with(plan, usize::MAX, |mut batches| {
        batches.identify((5, 0));
        fill(&mut batches, 12);
        due(&mut batches);
        let first = take(&mut batches, 0);
        due(&mut batches);
        let second = take(&mut batches, 0);
        due(&mut batches);
        // The answers: the first was refused, the second came too early.
        batches.put_back(first);
        assert!(batches.waits_for_earlier(0, second.first));
        batches.put_back(second);
        assert!(batches.take(0).expect("nothing is compressed").is_none(), "the lane is held");
        batches.release();
        assert_eq!(due(&mut batches), [0]);
        let first = take(&mut batches, 0);
        assert_eq!(first.first, 0);
        let header = *BatchView::first(&first.frame).expect("it is a batch").header();
        due(&mut batches);
        assert!(batches.take(0).expect("nothing is compressed").is_none(), "one at a time");
        batches.settle(first, true);
        assert_eq!(due(&mut batches), [0]);
        let second = take(&mut batches, 0);
        let next = *BatchView::first(&second.frame).expect("it is a batch").header();
        assert_eq!((header.last_sequence(), next.last_sequence()), (2, 5));
    });
}

#[test]
fn another_identity_begins_at_the_next_batch() {
    let plan = Plan { partitions: 1, ..plan() };
    with(plan, usize::MAX, |mut batches| {
        batches.identify((5, 0));
        fill(&mut batches, 7);
        let old = batches.identify((6, 0));
        assert_eq!(old.iter().map(Batch::count).collect::<Vec<_>>(), [3, 3]);
        old.into_iter().for_each(|batch| batches.settle(batch, false));
        let batch = take(&mut batches, 0);
        let header = *BatchView::first(&batch.frame).expect("it is a batch").header();
        assert_eq!(header.producer_id().map(|id| id.0), Some(6));
        assert_eq!((batch.first, header.last_sequence()), (6, 0));
    });
}

#[test]
fn keys_decide_and_values_are_those_of_the_pool() {
    let plan = Plan {
        partitioning: Partitioning::ByKey,
        keys: Keys::Uniform(50),
        rate: Rate::Max,
        codec: Codec::Lz4,
        ..plan()
    };
    let pool = Pool::new(plan.payload, plan.sizes.max(), plan.seed);
    with(plan, usize::MAX, move |mut batches| {
        fill(&mut batches, 100);
        batches.make_all_due();
        let mut lanes = due(&mut batches);
        let mut records = 0;
        while let Some(lane) = lanes.pop() {
            let batch = take(&mut batches, lane);
            lanes.extend(due(&mut batches));
            let view = BatchView::first(&batch.frame).expect("it is a batch");
            assert!(view.check_crc());
            for record in Records::of(&view).expect("it unpacks").iter() {
                let record = record.expect("it is whole");
                let key = record.key.expect("each has a key");
                assert_eq!(partition_for_key(key, 4), lane);
                let stamp = pool.check(record.value.expect("each has a value"));
                assert_eq!(stamp.expect("it is as it was made").lane, lane);
                records += 1;
            }
        }
        assert_eq!(records, 100);
    });
}

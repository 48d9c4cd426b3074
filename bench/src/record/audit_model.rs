//! The audit against a model that remembers everything, over random histories.
//!
//! A history is what producers had acknowledged or gave up, and what consumers then read: some records lost, read twice,
//! out of order or altered. The model keeps whole sets; the audit, which keeps only the next number and gaps, must come to
//! the same figures and name what happened.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::record::{Acked, Altered, Lanes, Seen, Stamp, reconcile};
use crate::result::model::Audit;

const RUN: u32 = 0xfeed;
const PRODUCERS: u32 = 3;
const LANES: u32 = 4;

/// What befalls a record between producer and consumer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Fine,
    GivenUp,
    GivenUpYetStored,
    Lost,
    Twice { later: usize },
    Late { by: usize },
    AlteredBytes,
    AlteredStamp,
}

/// A record as it is read.
#[derive(Clone, Copy, Debug)]
struct Read {
    lane: u32,
    found: Result<Stamp, Altered>,
}

fn stamp(producer: u32, lane: u32, number: u64) -> Stamp {
    Stamp { run: RUN, producer, lane, number, intended_ns: 1, position: 0, length: 100 }
}

fn lanes() -> Lanes {
    Lanes { topics: vec!["left".into(), "right".into()], partitions: LANES / 2 }
}

/// Lane and number of what was acknowledged, by producer.
type Acknowledged = Vec<BTreeSet<(u32, u64)>>;

/// Produces `fates.len()` records, dealt to producers and lanes, and reads them.
fn history(fates: &[(Fate, u32, u32)]) -> (Vec<Acked>, Vec<Read>, Acknowledged) {
    let mut acked: Vec<Acked> = (0..PRODUCERS).map(|p| Acked::new(p, LANES)).collect();
    let mut acknowledged = vec![BTreeSet::new(); PRODUCERS as usize];
    let mut numbers = vec![0; (PRODUCERS * LANES) as usize];
    // Each place in the log, with a rank that says when it is read.
    let mut reads: Vec<(usize, Read)> = Vec::new();
    for (index, (fate, producer, lane)) in fates.iter().copied().enumerate() {
        let next = &mut numbers[(producer * LANES + lane) as usize];
        let (number, rank) = (*next, index * 8);
        *next += 1;
        let stamp = stamp(producer, lane, number);
        let read = Read { lane, found: Ok(stamp) };
        if !matches!(fate, Fate::GivenUp | Fate::GivenUpYetStored) {
            acked[producer as usize].on_acknowledged(lane, number..number + 1);
            acknowledged[producer as usize].insert((lane, number));
        }
        match fate {
            Fate::Fine | Fate::GivenUpYetStored => reads.push((rank, read)),
            Fate::GivenUp | Fate::Lost => {}
            Fate::Twice { later } => {
                reads.extend([(rank, read), (rank + 1 + later * 8, read)]);
            }
            Fate::Late { by } => reads.push((rank + 1 + by * 8, read)),
            Fate::AlteredBytes => {
                let found = Err(Altered::Bytes { stamp, at: 41 });
                reads.push((rank, Read { lane, found }));
            }
            Fate::AlteredStamp => reads.push((rank, Read { lane, found: Err(Altered::Stamp) })),
        }
    }
    reads.sort_by_key(|(rank, _)| *rank);
    (acked, reads.into_iter().map(|(_, read)| read).collect(), acknowledged)
}

/// The model: remembers every record that was seen.
fn model(reads: &[Read], acknowledged: &[BTreeSet<(u32, u64)>]) -> Audit {
    let mut audit = Audit::default();
    for producer in 0..PRODUCERS {
        let mut seen: BTreeSet<(u32, u64)> = BTreeSet::new();
        for read in reads {
            let (stamp, whole) = match read.found {
                Ok(stamp) => (stamp, true),
                Err(Altered::Bytes { stamp, .. }) => (stamp, false),
                Err(_) => continue,
            };
            if stamp.producer != producer {
                continue;
            }
            audit.checked += 1;
            audit.altered += u64::from(!whole);
            let last = seen.range((stamp.lane, 0)..(stamp.lane + 1, 0)).next_back().copied();
            if !seen.insert((stamp.lane, stamp.number)) {
                audit.duplicated += 1;
            } else if last.is_some_and(|(_, last)| last > stamp.number) {
                audit.reordered += 1;
            }
        }
        let acknowledged = &acknowledged[producer as usize];
        audit.expected += acknowledged.len() as u64;
        audit.lost += acknowledged.difference(&seen).count() as u64;
        audit.unacknowledged_seen += seen.difference(acknowledged).count() as u64;
    }
    let unreadable = reads.iter().filter(|read| read.found == Err(Altered::Stamp)).count() as u64;
    audit.checked += unreadable;
    audit.altered += unreadable;
    audit
}

/// Two consumers share the lanes. The audit, and the records that counted.
fn audit(acked: &[Acked], reads: &[Read]) -> (Audit, usize) {
    let mut seen = [Seen::new(RUN, 0, &[2, 0], PRODUCERS), Seen::new(RUN, 0, &[1, 3], PRODUCERS)];
    let mut counted = 0;
    for (offset, read) in reads.iter().enumerate() {
        let reader = &mut seen[(read.lane % 2) as usize];
        counted += usize::from(reader.on_record(read.lane, offset as i64, read.found).is_some());
    }
    (reconcile(acked, &seen, &lanes()), counted)
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        20 => Just(Fate::Fine),
        2 => Just(Fate::GivenUp),
        2 => Just(Fate::GivenUpYetStored),
        2 => Just(Fate::Lost),
        2 => (0usize..30).prop_map(|later| Fate::Twice { later }),
        2 => (1usize..30).prop_map(|by| Fate::Late { by }),
        1 => Just(Fate::AlteredBytes),
        1 => Just(Fate::AlteredStamp),
    ]
}

fn histories(fate: impl Strategy<Value = Fate>) -> impl Strategy<Value = Vec<(Fate, u32, u32)>> {
    prop::collection::vec((fate, 0..PRODUCERS, 0..LANES), 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_audit_counts_what_the_model_counts(fates in histories(any_fate())) {
        let (acked, reads, acknowledged) = history(&fates);
        let (found, counted) = audit(&acked, &reads);
        let expected = model(&reads, &acknowledged);
        let figures = Audit { faults: Vec::new(), ..found.clone() };
        prop_assert_eq!(&figures, &expected);
        prop_assert_eq!(found.passed(), found.faults.is_empty(), "{:?}", found.faults);
        let whole = reads.iter().filter(|read| read.found.is_ok()).count();
        prop_assert!(counted <= whole, "what is altered or seen again does not count");
        prop_assert!(found.faults.len() <= 20);
    }

    #[test]
    fn a_clean_history_is_never_found_fault_with(
        fates in histories(prop_oneof![
            8 => Just(Fate::Fine),
            1 => Just(Fate::GivenUp),
            1 => Just(Fate::GivenUpYetStored),
        ]),
    ) {
        let (acked, reads, _) = history(&fates);
        let (found, counted) = audit(&acked, &reads);
        prop_assert!(found.passed(), "{:?}", found.faults);
        prop_assert_eq!((found.checked as usize, counted), (reads.len(), reads.len()));
    }

    #[test]
    fn each_kind_of_fault_is_named(
        before in 0u64..50,
        after in 2u64..50,
        kind in 0usize..5,
    ) {
        let fate = [
            Fate::Lost,
            Fate::Twice { later: 0 },
            Fate::Late { by: 1 },
            Fate::AlteredBytes,
            Fate::AlteredStamp,
        ][kind];
        let fine = |count| (0..count).map(|_| (Fate::Fine, 2, 3));
        let fates: Vec<_> = fine(before).chain([(fate, 2, 3)]).chain(fine(after)).collect();
        let (acked, reads, _) = history(&fates);
        let (found, _) = audit(&acked, &reads);
        prop_assert!(!found.passed());
        let (next, two) = (before + 1, before + 2);
        let named = match fate {
            Fate::Lost => vec![format!(
                "consumer set 0: record {before} of producer 2 to right-1 acknowledged and lost: \
                 record {next} stands in their place at offset {before}"
            )],
            Fate::Twice { .. } => vec![format!(
                "consumer set 0: right-1 offset {next}: record {before} of producer 2 was seen before"
            )],
            Fate::Late { .. } => vec![format!(
                "consumer set 0: right-1 offset {next}: record {before} of producer 2 comes after its \
                 record {next}"
            )],
            Fate::AlteredBytes => vec![format!(
                "consumer set 0: right-1 offset {before}: record {before} of producer 2 is altered from \
                 its byte 41 on"
            )],
            _ => vec![
                format!(
                    "consumer set 0: record {before} of producer 2 to right-1 acknowledged and lost: \
                     record {next} stands in their place at offset {next}"
                ),
                format!(
                    "consumer set 0: right-1 offset {before}: altered, its stamp is damaged or was \
                     never one"
                ),
            ],
        };
        prop_assert!(two > next);
        prop_assert_eq!(found.faults, named);
    }
}

#[test]
fn what_is_lost_at_the_end_is_found() {
    let fates = [(Fate::Fine, 0, 0), (Fate::Fine, 0, 0), (Fate::Lost, 0, 0), (Fate::Lost, 1, 1)];
    let (acked, reads, _) = history(&fates);
    let (found, _) = audit(&acked, &reads);
    assert_eq!((found.expected, found.checked, found.lost), (4, 2, 2));
    assert_eq!(
        found.faults,
        [
            "consumer set 0: record 2 of producer 0 to left-0 acknowledged and lost: \
             the last record read has offset 1",
            "consumer set 0: record 0 of producer 1 to left-1 acknowledged and lost: nothing was read",
        ]
    );
}

#[test]
fn each_set_of_consumers_is_judged_by_itself() {
    let (acked, reads, _) = history(&[(Fate::Fine, 0, 0); 10]);
    let mut sets = [Seen::new(RUN, 0, &[0], PRODUCERS), Seen::new(RUN, 1, &[0], PRODUCERS)];
    for (offset, read) in reads.iter().enumerate() {
        sets[0].on_record(0, offset as i64, read.found);
        if offset != 4 {
            sets[1].on_record(0, offset as i64, read.found);
        }
    }
    let found = reconcile(&acked, &sets, &lanes());
    assert_eq!((found.expected, found.checked, found.lost), (20, 19, 1));
    assert!(found.faults[0].starts_with("consumer set 1: record 4 of producer 0 to left-0"));
}

#[test]
fn records_of_another_run_or_partition_are_found() {
    let mut seen = Seen::new(RUN, 0, &[0, 1], PRODUCERS);
    let own = stamp(0, 0, 0);
    assert_eq!(seen.on_record(0, 0, Ok(own)), Some(own));
    assert_eq!(seen.on_record(1, 0, Ok(stamp(0, 0, 1))), None, "of another partition");
    assert_eq!(seen.on_record(0, 1, Ok(Stamp { run: 1, ..stamp(0, 0, 1) })), None);
    assert_eq!(seen.on_record(0, 2, Ok(stamp(PRODUCERS, 0, 0))), None, "no such producer");
    assert_eq!(seen.on_record(0, 3, Ok(stamp(0, 0, 1))), Some(stamp(0, 0, 1)));
    let found = reconcile(&[], &[seen], &lanes());
    assert_eq!((found.checked, found.altered), (5, 3));
    assert_eq!(
        found.faults[0],
        "consumer set 0: left-1 offset 0: record 1 of producer 0 was produced to left-0 by run 0000feed"
    );
}

#[test]
fn an_offset_that_does_not_ascend_is_found() {
    let mut seen = Seen::new(RUN, 0, &[0], PRODUCERS);
    for (number, offset) in [(0, 5), (1, 6), (2, 6), (3, 7)] {
        seen.on_record(0, offset, Ok(stamp(0, 0, number)));
    }
    let found = reconcile(&[Acked::new(0, LANES)], &[seen], &lanes());
    assert_eq!((found.reordered, found.unacknowledged_seen), (1, 4));
    assert_eq!(
        found.faults,
        ["consumer set 0: left-0 offset 6: record 2 of producer 0 comes after offset 6"]
    );
}

#[test]
fn with_more_gaps_than_it_has_room_for_the_audit_does_not_pass() {
    let mut seen = Seen::new(RUN, 0, &[0], PRODUCERS);
    let gaps = crate::record::seen::GAPS_MAX as u64;
    for place in 0..gaps + 100 {
        seen.on_record(0, place as i64, Ok(stamp(0, 0, place * 2)));
    }
    assert_eq!(seen.gaps(0, 0).count() as u64, gaps, "memory has an end");
    let found = reconcile(&[Acked::new(0, 1)], &[seen], &lanes());
    // Nothing was acknowledged, so nothing is lost; but of the last 99 gaps that cannot be known.
    assert_eq!((found.lost, found.unjudged, found.passed()), (0, 99, false));
    assert_eq!(
        found.faults,
        ["99 records could not be judged: there are more gaps than the audit has room for"]
    );
}

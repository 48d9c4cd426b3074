//! Cutting a log back: what is left, what is used again, and what a crash leaves, held against a list of batches.
//!
//! Takes about half a minute; `TRUNCATE_CASES` sets how many random histories are played (10 unless told).
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod store_support;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use engine::task::{self, Queue};
use engine::time;
use proptest::prelude::*;
use storage::durability::Durability;
use storage::ids::{LeaderEpoch, Offset};
use storage::log::append::{AppendError, Appended};
use storage::log::read::{Read, ReadError};
use storage::log::truncate::TruncateError;
use storage::log::{LogConfig, Standing};
use storage::store::LogHandle;
use store_support::{Started, batch, directory, idempotent, log_dir, log_id, read_all, run, start};

/// Segments of a few dozen batches.
fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 32 << 10, ..LogConfig::default() }
}

/// What the log must hold.
#[derive(Clone, Debug, Default)]
struct Expected {
    /// The stored batches with their offsets.
    batches: Vec<(i64, i64, Vec<u8>)>,
    log_start: i64,
    /// Where the log ends, should no batch be left.
    empty_end: i64,
}

impl Expected {
    fn end(&self) -> i64 {
        self.batches.last().map_or(self.empty_end, |batch| batch.1)
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes_from(0)
    }

    /// The batches from the one that contains `from` on.
    fn bytes_from(&self, from: i64) -> Vec<u8> {
        let batches = self.batches.iter().filter(|batch| batch.1 > from);
        batches.flat_map(|batch| batch.2.iter().copied()).collect()
    }

    fn on_appended(&mut self, bytes: &[u8], appended: &Appended, epoch: LeaderEpoch) {
        assert_eq!(appended.base_offset.0, self.end(), "offsets go on where the log ends");
        let mut stored = bytes.to_vec();
        let keep = storage::batch::Stamp::Keep;
        storage::batch::patch(&mut stored, appended.base_offset, epoch, keep);
        self.batches.push((appended.base_offset.0, appended.next_offset().0, stored));
    }

    fn cut(&mut self, to: i64) {
        self.batches.retain(|batch| batch.1 <= to);
        self.empty_end = self.log_start;
        if self.end() < self.log_start {
            // The start lay inside the batch that went.
            self.batches.clear();
        }
    }
}

fn next_epoch(node: &Started, log: &LogHandle) -> LeaderEpoch {
    let latest = log.leader_epoch().map_or(0, |epoch| epoch.0 + 1);
    LeaderEpoch(node.epoch.0.max(latest))
}

async fn append(log: &LogHandle, epoch: LeaderEpoch, bytes: &[u8], expected: &mut Expected) {
    let appended = log.append_waiting(bytes, epoch, time::unix_ms()).await.unwrap();
    log.acknowledged(&appended).await.unwrap();
    expected.on_appended(bytes, &appended, epoch);
}

/// The log is exactly what is expected, to every kind of question.
async fn check(log: &LogHandle, expected: &Expected) {
    assert_eq!(log.standing(), Standing::Online);
    assert_eq!(log.log_start().0, expected.log_start);
    assert_eq!(log.log_end().0, expected.end());
    assert_eq!(log.visible_end(), log.log_end());
    for step in [900, 1 << 20] {
        let all = read_all(log, log.log_start(), step).await;
        assert!(all == expected.bytes_from(expected.log_start), "read in steps of {step}");
    }
    let beyond = log.read(Offset(expected.end() + 1), 1, true).map(|_| ());
    assert!(matches!(beyond, Err(ReadError::OutOfRange { .. })));
    assert!(matches!(log.read(log.log_end(), 1, true), Ok(Read::Empty)));
    let visible = expected.bytes_from(expected.log_start);
    let epochs: Vec<(i32, i64)> = storage::batch::split(&visible)
        .flatten()
        .map(|batch| (batch.leader_epoch().0, batch.base_offset().0.max(expected.log_start)))
        .fold(Vec::new(), |mut epochs, (epoch, start)| {
            if epochs.last().is_none_or(|(last, _)| *last < epoch) {
                epochs.push((epoch, start));
            }
            epochs
        });
    let found: Vec<_> = log.leader_epochs().iter().map(|one| (one.epoch.0, one.start.0)).collect();
    if !visible.is_empty() {
        assert_eq!(found, epochs);
    }
    let newest = storage::batch::split(&visible).flatten().map(|batch| batch.max_timestamp()).max();
    let found = log.max_timestamp_offset().await.unwrap();
    assert_eq!(found.map(|(_, time)| time), newest);
    if let Some(newest) = newest {
        assert_eq!(log.offset_for_timestamp(newest).await.unwrap().map(|one| one.1), Some(newest));
        assert_eq!(log.offset_for_timestamp(newest + 1).await.unwrap(), None);
    }
}

/// Waits until everything appended is in segments.
async fn written(node: &Started) {
    for _ in 0..2_000 {
        if node.store.stats().unwritten_bytes == 0 {
            return;
        }
        time::sleep(Duration::from_millis(5)).await;
    }
    panic!("write-behind does not end: {:?}", node.store.stats());
}

/// The segment files of log 0, back to back.
#[expect(clippy::disallowed_methods, reason = "tests look at the disk past the engine")]
fn files(dir: &Path) -> (Vec<PathBuf>, Vec<u8>) {
    let Ok(entries) = std::fs::read_dir(dir.join("topics").join(log_dir(0))) else {
        return (Vec::new(), Vec::new());
    };
    let mut names: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    names.retain(|name| name.extension().is_some_and(|extension| extension == "log"));
    names.sort();
    let bytes = names.iter().flat_map(|name| std::fs::read(name).unwrap()).collect();
    (names, bytes)
}

/// Segments that a start had no place for. (Journal frames come there whenever a segment was deleted before a
/// checkpoint said so.)
#[expect(clippy::disallowed_methods, reason = "tests look at the disk past the engine")]
fn quarantined(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("quarantine")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".log")).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_cut_anywhere_leaves_exactly_what_lies_before_it() {
    // Goal: wherever a log is cut, in memory or in files, at a batch or inside one, it then is what was before, goes on
    // with the same offsets, and is so after a crash and after a clean stop. Method: each place, each state of the
    // files, against a list of batches.
    for in_files in [false, true] {
        for to in [0, 1, 2, 77, 78, 150, 299, 300, 399, 400, 500] {
            let dir = directory();
            let path = dir.path().to_owned();
            let expected = run(async move {
                let node = start(&path, 1, small_segments(), |config| {
                    if !in_files {
                        config.write_behind_age = Duration::from_secs(60);
                    }
                })
                .await;
                let log = node.log(0);
                let mut expected = Expected::default();
                for tag in 0..200 {
                    append(&log, node.epoch, &batch(tag, 2, 500), &mut expected).await;
                }
                if in_files {
                    written(&node).await;
                }
                let end = log.truncate(Offset(to)).await.unwrap();
                expected.cut(to);
                assert_eq!(end.0, expected.end(), "to {to}");
                check(&log, &expected).await;
                let epoch = next_epoch(&node, &log);
                for tag in 0..30 {
                    append(&log, epoch, &batch(1_000 + tag, 3, 400), &mut expected).await;
                }
                check(&log, &expected).await;
                expected
            });
            let path = dir.path().to_owned();
            let again = expected.clone();
            run(async move {
                let node = start(&path, 1, small_segments(), |_| {}).await;
                check(&node.log(0), &again).await;
                node.stop().await;
            });
            let (_, bytes) = files(dir.path());
            assert!(bytes == expected.bytes(), "to {to}: the files are the batches");
            assert_eq!(quarantined(dir.path()), NOTHING, "to {to}: what was cut is no damage");
        }
    }
}

#[test]
fn below_the_start_it_is_refused_and_behind_the_end_nothing_happens() {
    let dir = directory();
    let path = dir.path().to_owned();
    run(async move {
        let node = start(&path, 1, small_segments(), |_| {}).await;
        let log = node.log(0);
        assert_eq!(log.truncate(Offset(0)).await, Ok(Offset(0)), "an empty log");
        let mut expected = Expected::default();
        for tag in 0..100 {
            append(&log, node.epoch, &batch(tag, 4, 300), &mut expected).await;
        }
        // The start lies inside a batch.
        assert_eq!(log.delete_records(Offset(101)).await, Ok(Offset(101)));
        expected.log_start = 101;
        let refused = log.truncate(Offset(100)).await.unwrap_err();
        let (to, log_start) = (Offset(100), Offset(101));
        assert_eq!(refused, TruncateError::BelowLogStart { to, log_start });
        assert_eq!(log.truncate(Offset(400)).await, Ok(Offset(400)));
        assert_eq!(log.truncate(Offset(9_999)).await, Ok(Offset(400)));
        check(&log, &expected).await;
        // Into the batch that holds the start: nothing is left, and the log does not go back before its start.
        assert_eq!(log.truncate(Offset(102)).await, Ok(Offset(101)));
        expected.cut(102);
        check(&log, &expected).await;
        append(&log, next_epoch(&node, &log), &batch(7, 5, 300), &mut expected).await;
        check(&log, &expected).await;
        node.store.delete(&log_id(0)).await.unwrap();
        let refused = log.truncate(Offset(101)).await.unwrap_err();
        assert_eq!(refused, TruncateError::Refused(AppendError::Deleted));
        node.stop().await;
    });
}

#[test]
fn a_start_inside_the_batch_that_goes_survives_a_crash() {
    for in_files in [false, true] {
        let dir = directory();
        let path = dir.path().to_owned();
        let expected = run(async move {
            let node = start(&path, 1, small_segments(), |config| {
                if !in_files {
                    config.write_behind_age = Duration::from_secs(60);
                }
            })
            .await;
            let log = node.log(0);
            let mut expected = Expected::default();
            for tag in 0..100 {
                append(&log, node.epoch, &batch(tag, 4, 300), &mut expected).await;
            }
            if in_files {
                written(&node).await;
            }
            log.delete_records(Offset(101)).await.unwrap();
            expected.log_start = 101;
            assert_eq!(log.truncate(Offset(102)).await, Ok(Offset(101)));
            expected.cut(102);
            append(&log, next_epoch(&node, &log), &batch(7, 5, 300), &mut expected).await;
            expected
        });
        let path = dir.path().to_owned();
        run(async move {
            let node = start(&path, 1, small_segments(), |_| {}).await;
            check(&node.log(0), &expected).await;
            node.stop().await;
        });
    }
}

#[test]
fn who_waits_for_what_is_cut_is_told_so() {
    // Goal: no append that was cut is ever acknowledged, even when its offsets have become visible again, and those
    // before the cut are. Method: three appends on their way, a cut behind the first, others at the same offsets.
    for durability in Durability::ALL {
        let dir = directory();
        let path = dir.path().to_owned();
        run(async move {
            let config = LogConfig { durability, ..LogConfig::default() };
            let node = start(&path, 1, config, |_| {}).await;
            let log = node.log(0);
            node.produce(0, &batch(0, 1, 10)).await;
            let base = log.log_end();
            let now = time::unix_ms();
            let epoch = next_epoch(&node, &log);
            let appends: Vec<Appended> =
                (1..4).map(|tag| log.append(&batch(tag, 2, 10), epoch, now).unwrap()).collect();
            let waiting: Vec<_> = [appends[0], appends[2]]
                .into_iter()
                .map(|appended| {
                    let log = log.clone();
                    task::spawn(Queue::Produce, async move { log.acknowledged(&appended).await })
                })
                .collect();
            let cut = {
                let log = log.clone();
                let to = appends[0].next_offset();
                task::spawn(Queue::Produce, async move { log.truncate(to).await })
            };
            assert_eq!(cut.await, Ok(appends[0].next_offset()));
            assert_eq!(log.log_end(), base + storage::ids::Count(2));
            let again =
                log.append_waiting(&batch(9, 2, 10), LeaderEpoch(epoch.0 + 1), now).await.unwrap();
            assert_eq!(again.base_offset, appends[1].base_offset, "the offset is used again");
            log.acknowledged(&again).await.unwrap();
            assert_eq!(log.acknowledged(&appends[0]).await, Ok(()));
            assert_eq!(
                log.acknowledged(&appends[1]).await,
                Err(AppendError::Truncated),
                "{durability}: another batch is visible at its offsets"
            );
            let mut told = Vec::new();
            for waiter in waiting {
                told.push(waiter.await);
            }
            assert_eq!(told[0], Ok(()));
            // It may have been durable before the cut was asked for; then it was told so in time.
            let before_the_cut = durability != Durability::Device && told[1].is_ok();
            assert!(before_the_cut || told[1] == Err(AppendError::Truncated), "{:?}", told[1]);
            node.stop().await;
        });
    }
}

#[test]
fn producers_are_what_the_log_that_is_left_says() {
    // Goal: after a cut a producer's next batch and its repeats are judged by what is left, also after a restart, also
    // when more was cut than is remembered, also when a newer epoch of the producer was cut. Method: 40 batches of one
    // producer, cut to 20; the last five that are left are duplicates, the next is fresh, the one behind it is a gap.
    for (in_files, restart) in [(false, false), (true, false), (false, true), (true, true)] {
        let dir = directory();
        let path = dir.path().to_owned();
        run(async move {
            let node = start(&path, 1, small_segments(), |config| {
                if !in_files {
                    config.write_behind_age = Duration::from_secs(60);
                }
            })
            .await;
            let log = node.log(0);
            let mut expected = Expected::default();
            for sequence in (0..80).step_by(2) {
                let bytes = idempotent(9, sequence, 2, 300);
                append(&log, node.epoch, &bytes, &mut expected).await;
            }
            if in_files {
                written(&node).await;
            }
            assert_eq!(log.truncate(Offset(40)).await, Ok(Offset(40)));
            if !restart {
                judge_producer(&node, &log).await;
            }
        });
        if restart {
            let path = dir.path().to_owned();
            run(async move {
                let node = start(&path, 1, small_segments(), |_| {}).await;
                judge_producer(&node, &node.log(0)).await;
            });
        }
    }
}

/// Judges producer 9 of a log that was cut behind its sequence 39.
async fn judge_producer(node: &Started, log: &LogHandle) {
    let epoch = next_epoch(node, log);
    let now = time::unix_ms();
    for sequence in (30..40).step_by(2) {
        let bytes = idempotent(9, sequence, 2, 300);
        let again = log.append_waiting(&bytes, epoch, now).await.unwrap();
        assert!(again.duplicate, "sequence {sequence}");
        assert_eq!(again.base_offset, Offset(i64::from(sequence)));
    }
    let gap = log.append(&idempotent(9, 42, 2, 300), epoch, now);
    assert!(matches!(gap, Err(AppendError::Producer(_))), "{gap:?}");
    let old = log.append(&idempotent(9, 28, 2, 300), epoch, now);
    assert!(matches!(old, Err(AppendError::Producer(_))), "{old:?}");
    let next = log.append_waiting(&idempotent(9, 40, 2, 300), epoch, now).await.unwrap();
    assert_eq!((next.duplicate, next.base_offset), (false, Offset(40)));
}

#[test]
fn readers_of_a_cut_log_get_what_is_there() {
    // Goal: a reader that was on its way when the log was cut never gets a batch from behind the cut for what came in
    // its place, and never hears of damage. Method: cold readers all over the log while it is cut and filled again, many
    // times.
    let dir = directory();
    let path = dir.path().to_owned();
    run(async move {
        let node = Rc::new(
            start(&path, 1, small_segments(), |config| {
                config.cache_bytes = 0;
                config.write_behind_age = Duration::from_millis(1);
            })
            .await,
        );
        let log = node.log(0);
        let expected = Rc::new(RefCell::new(Expected::default()));
        let mut current = Expected::default();
        for tag in 0..100 {
            append(&log, node.epoch, &batch(tag, 2, 700), &mut current).await;
        }
        written(&node).await;
        // What no cut reaches.
        *expected.borrow_mut() = current.clone();
        expected.borrow_mut().cut(60);
        let stop = Rc::new(std::cell::Cell::new(false));
        let readers: Vec<_> = (0..4i64)
            .map(|reader| {
                let (log, stop, expected) = (log.clone(), stop.clone(), expected.clone());
                task::spawn(Queue::Fetch, async move {
                    let mut reads = 0;
                    let mut from = reader * 17;
                    while !stop.get() {
                        from = (from + 31) % 200;
                        match log.read_any(Offset(from), 20_000, true).await {
                            Ok(pieces) => {
                                let bytes: Vec<u8> =
                                    pieces.iter().flat_map(|piece| piece.to_vec()).collect();
                                for batch in storage::batch::split(&bytes) {
                                    assert!(batch.unwrap().check_crc());
                                }
                                if from < 60 {
                                    let kept = expected.borrow().bytes_from(from);
                                    let both = kept.len().min(bytes.len());
                                    assert!(bytes[..both] == kept[..both]);
                                }
                                reads += 1;
                            }
                            Err(ReadError::OutOfRange { .. }) => {}
                            Err(other) => panic!("{other}"),
                        }
                        task::yield_now().await;
                    }
                    reads
                })
            })
            .collect();
        for round in 0..40i64 {
            let to = 60 + (round * 37) % 140;
            log.truncate(Offset(to)).await.unwrap();
            current.cut(to);
            let epoch = next_epoch(&node, &log);
            let mut tag = 0;
            while current.end() < 200 {
                let bytes = batch(1_000 * round + tag, 2, 700);
                append(&log, epoch, &bytes, &mut current).await;
                tag += 1;
            }
            if round % 3 == 0 {
                written(&node).await;
                check(&log, &current).await;
            }
        }
        stop.set(true);
        let mut reads = 0;
        for reader in readers {
            reads += reader.await;
        }
        assert!(reads > 0);
        check(&log, &current).await;
        let stats = node.store.stats();
        assert_eq!(stats.cold.corrupt, 0, "{stats:?}");
        assert!(stats.truncations == 40 || stats.truncations == 39, "{stats:?}");
    });
    assert_eq!(quarantined(dir.path()), NOTHING);
}

#[test]
fn many_cuts_at_once_share_their_checkpoints() {
    let dir = directory();
    let path = dir.path().to_owned();
    run(async move {
        let node = Rc::new(
            start(&path, 50, small_segments(), |config| {
                config.checkpoint_interval = Duration::from_secs(60);
            })
            .await,
        );
        for number in 0..50 {
            for tag in 0..10 {
                node.produce(number, &batch(tag, 2, 300)).await;
            }
        }
        written(&node).await;
        let before = node.store.stats().checkpoints;
        let cuts: Vec<_> = (0..50)
            .map(|number| {
                let log = node.log(number);
                task::spawn(Queue::Produce, async move { log.truncate(Offset(7)).await })
            })
            .collect();
        for cut in cuts {
            assert_eq!(cut.await, Ok(Offset(6)));
        }
        for number in 0..50 {
            assert_eq!(node.produce(number, &batch(9, 1, 10)).await.base_offset, Offset(6));
        }
        let made = node.store.stats().checkpoints - before;
        assert!((1..10).contains(&made), "{made} checkpoints for 50 cuts");
    });
}

#[test]
fn a_crash_leaves_the_log_before_or_after() {
    // Goal: whenever the process ends during a cut, the log is as it was or cut; once the call has returned only cut.
    // Method: end after so many turns of the loop; then a restart, another crash, and a restart with another number of
    // shards.
    for in_files in [false, true] {
        for turns in [0, 1, 2, 3, 5, 8, 12, 20, 40, 80, 200, 800, 3_000] {
            let dir = directory();
            let path = dir.path().to_owned();
            let (mut expected, returned) = run(async move {
                let node = start(&path, 1, small_segments(), |config| {
                    if !in_files {
                        config.write_behind_age = Duration::from_secs(60);
                    }
                })
                .await;
                let log = node.log(0);
                let mut expected = Expected::default();
                for tag in 0..150 {
                    append(&log, node.epoch, &batch(tag, 2, 500), &mut expected).await;
                }
                if in_files {
                    written(&node).await;
                }
                let returned = Rc::new(std::cell::Cell::new(false));
                let cut = {
                    let (log, returned) = (log.clone(), returned.clone());
                    task::spawn(Queue::Produce, async move {
                        log.truncate(Offset(91)).await.unwrap();
                        returned.set(true);
                    })
                };
                for _ in 0..turns {
                    task::yield_now().await;
                }
                drop(cut);
                (expected, returned.get())
            });
            for (shards, restart) in [(1, 0), (1, 1), (2, 2), (1, 3)] {
                let path = dir.path().to_owned();
                expected = run(async move {
                    let node = start_shards(&path, shards, small_segments()).await;
                    let log = node.log(0);
                    if restart == 0 {
                        let whole = log.log_end() == Offset(300);
                        assert!(!whole || !returned, "it had returned after {turns} turns");
                        if !whole {
                            expected.cut(91);
                        }
                    }
                    check(&log, &expected).await;
                    let epoch = next_epoch(&node, &log);
                    append(&log, epoch, &batch(restart, 2, 500), &mut expected).await;
                    expected
                });
            }
            assert_eq!(quarantined(dir.path()), NOTHING, "{turns} turns");
        }
    }
}

/// [`start`], with a number of shards, of which the first has all logs.
async fn start_shards(dir: &Path, shards: u16, log_config: LogConfig) -> Started {
    use storage::node::{Known, Node, NodeOptions};
    use storage::store::{Store, StoreConfig};
    let options = NodeOptions { node_id: 1, ..NodeOptions::default() };
    let node = Node::open(dir, &options).await.unwrap().node;
    let known = Known { logs: [(log_id(0), log_dir(0))].into(), ..Known::default() };
    let recovery = node.recover(&known, shards).await.unwrap();
    let journal = recovery.journal_config(0, 4 << 20, 32 << 20);
    let mut config = StoreConfig::new(dir.to_owned(), journal);
    config.write_behind_age = Duration::from_millis(5);
    config.checkpoint_interval = Duration::from_millis(20);
    let epoch = LeaderEpoch(recovery.generation.0 as i32);
    let store = Store::start(config, recovery.states).await.unwrap();
    assert!(store.configure(&log_id(0), Rc::new(log_config)));
    Started { node, store, epoch, dir: dir.to_owned() }
}

/// A step of a random history. Places are in 1/256 of what there is.
#[derive(Clone, Debug)]
enum Step {
    Append {
        batches: u8,
        records: u8,
        bytes: u16,
    },
    /// Appends that nobody waits for before the next step.
    Rush {
        batches: u8,
        bytes: u16,
    },
    Cut {
        place: u8,
    },
    DeleteRecords {
        place: u8,
    },
    Wait {
        ms: u8,
    },
    Written,
    Crash {
        shards: u16,
    },
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u8..30, 1u8..5, 1u16..3_000).prop_map(|(batches, records, bytes)| Step::Append { batches, records, bytes }),
        2 => (1u8..30, 1u16..3_000).prop_map(|(batches, bytes)| Step::Rush { batches, bytes }),
        6 => any::<u8>().prop_map(|place| Step::Cut { place }),
        2 => any::<u8>().prop_map(|place| Step::DeleteRecords { place }),
        1 => (0u8..40).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Written),
        2 => (1u16..3).prop_map(|shards| Step::Crash { shards }),
        1 => Just(Step::Stop),
    ]
}

/// Plays the steps up to the next restart; says how many shards the node has then.
async fn play(
    node: Started,
    steps: &mut impl Iterator<Item = Step>,
    expected: &mut Expected,
    tag: &mut i64,
) -> Option<u16> {
    let log = node.log(0);
    check(&log, expected).await;
    let mut epoch = next_epoch(&node, &log);
    for step in steps {
        match step {
            Step::Append { batches, records, bytes } => {
                for _ in 0..batches {
                    *tag += 1;
                    let bytes = batch(*tag, i64::from(records), usize::from(bytes));
                    append(&log, epoch, &bytes, expected).await;
                }
            }
            Step::Rush { batches, bytes } => {
                for _ in 0..batches {
                    *tag += 1;
                    let bytes = batch(*tag, 2, usize::from(bytes));
                    let now = time::unix_ms();
                    let appended = log.append_waiting(&bytes, epoch, now).await.unwrap();
                    expected.on_appended(&bytes, &appended, epoch);
                }
                continue;
            }
            Step::Cut { place } => {
                let span = expected.end() - expected.log_start;
                let to = expected.log_start + span * i64::from(place) / 256;
                let end = log.truncate(Offset(to)).await.unwrap();
                if to < expected.end() {
                    expected.cut(to);
                }
                assert_eq!(end.0, expected.end());
                epoch = LeaderEpoch(epoch.0 + 1);
                assert!(log.leader_epoch() < Some(epoch));
            }
            Step::DeleteRecords { place } => {
                log.visible(log.log_end()).await.unwrap();
                let span = expected.end() - expected.log_start;
                let upto = expected.log_start + span * i64::from(place) / 256;
                assert_eq!(log.delete_records(Offset(upto)).await, Ok(Offset(upto)));
                expected.log_start = upto;
            }
            Step::Wait { ms } => time::sleep(Duration::from_millis(u64::from(ms))).await,
            Step::Written => written(&node).await,
            Step::Crash { shards } => {
                log.visible(log.log_end()).await.unwrap();
                return Some(shards);
            }
            Step::Stop => {
                node.stop().await;
                return Some(1);
            }
        }
        log.visible(log.log_end()).await.unwrap();
        check(&log, expected).await;
    }
    None
}

#[test]
fn random_histories_hold_against_a_list_of_batches() {
    let cases = std::env::var("TRUNCATE_CASES").ok().and_then(|text| text.parse().ok());
    let config = ProptestConfig {
        cases: cases.unwrap_or(10),
        failure_persistence: None,
        max_shrink_iters: 64,
        ..ProptestConfig::default()
    };
    proptest!(config, |(steps in prop::collection::vec(step(), 1..40))| {
        let dir = directory();
        let path = dir.path().to_owned();
        let mut steps = steps.into_iter();
        let (mut expected, mut tag, mut shards) = (Expected::default(), 0, Some(1));
        // The first start makes the log.
        run({
            let path = path.clone();
            async move { start(&path, 1, small_segments(), |_| {}).await.stop().await }
        });
        while let Some(count) = shards {
            let path = path.clone();
            let (end, rest, model, last) = run(async move {
                let node = start_shards(&path, count, small_segments()).await;
                let end = play(node, &mut steps, &mut expected, &mut tag).await;
                (end, steps, expected, tag)
            });
            (shards, steps, expected, tag) = (end, rest, model, last);
        }
        prop_assert_eq!(quarantined(dir.path()), NOTHING);
    });
}

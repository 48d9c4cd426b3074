//! What the broker relies on: offsets, visibility, duplicates, rolls, reads from memory and from disk, retention.
//! On the real engine, in a directory on the disk.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod store_support;

use std::rc::Rc;
use std::time::Duration;

use engine::task::{self, Queue};
use engine::time;
use storage::durability::Durability;
use storage::ids::{Lsn, Offset};
use storage::log::LogConfig;
use storage::log::append::AppendError;
use storage::log::read::{Read, ReadError};
use storage::store::{Bell, DeleteRecordsError};
use store_support::{
    Model, Started, bases, batch, directory, idempotent, log_dir, log_id, read_all, run, start,
};

fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 256 << 10, ..LogConfig::default() }
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

#[test]
fn what_is_appended_is_read_back_across_rolls_and_restarts() {
    let dir = directory();
    let path = dir.path().to_owned();
    let model = run({
        let path = path.clone();
        async move {
            let model = Model::default();
            let node = start(&path, 3, small_segments(), |_| {}).await;
            for round in 0..300 {
                for number in 0..3 {
                    let bytes = batch(round, 1 + round % 7, 40 << (round % 9));
                    let appended = node.produce(number, &bytes).await;
                    model.on_acknowledged(number, &bytes, &appended, node.epoch);
                }
            }
            for number in 0..3 {
                let all = read_all(&node.log(number), Offset(0), 10_000).await;
                assert!(all == model.bytes(number), "from memory and disk, mixed");
            }
            assert!(
                node.store.stats().rolls + node.store.stats().seals > 0,
                "segments were rolled"
            );
            node.stop().await;
            model.0.take()
        }
    });
    for restart in 0..2 {
        let (path, model) = (path.clone(), model.clone());
        run(async move {
            let node = start(&path, 3, small_segments(), |_| {}).await;
            for (number, bytes) in model {
                let log = node.log(number);
                assert!(read_all(&log, Offset(0), 100_000).await == bytes, "restart {restart}");
                assert_eq!(log.visible_end(), log.log_end());
            }
            node.stop().await;
        });
    }
}

#[test]
fn a_clean_stop_leaves_files_of_exact_length() {
    let dir = directory();
    let path = dir.path().to_owned();
    let expected = run({
        let path = path.clone();
        async move {
            let model = Model::default();
            let node = start(&path, 1, small_segments(), |_| {}).await;
            for tag in 0..400 {
                let bytes = batch(tag, 3, 500);
                let appended = node.produce(0, &bytes).await;
                model.on_acknowledged(0, &bytes, &appended, node.epoch);
            }
            node.stop().await;
            model.bytes(0)
        }
    });
    let mut names: Vec<_> = ls(&path.join("topics").join(log_dir(0)));
    names.retain(|name| name.extension().is_some_and(|extension| extension == "log"));
    assert!(names.len() > 2, "{names:?}");
    let files: Vec<u8> = names.iter().flat_map(|name| cat(name)).collect();
    assert!(files == expected, "the files are the batches, nothing before, between or behind");
    for name in &names {
        let base: i64 = name.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        assert_eq!(bases(&cat(name))[0], base, "a file is named after its first offset");
    }
}

#[expect(clippy::disallowed_methods, reason = "tests look at the disk past the engine")]
fn ls(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    names
}

#[expect(clippy::disallowed_methods, reason = "tests look at the disk past the engine")]
fn cat(path: &std::path::Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn after_a_crash_everything_acknowledged_is_there_once() {
    // Goal: no acknowledged batch is lost, and no offset is given twice to different acknowledged batches, however
    // often the process ends without a word. Method: rounds of appends to several logs, waited for or not; each round
    // ends in the middle of what is going on; the next checks and goes on.
    let dir = directory();
    let path = dir.path().to_owned();
    let mut acknowledged = std::collections::BTreeMap::<u32, Vec<u8>>::new();
    for round in 0..8i64 {
        let path = path.clone();
        acknowledged = run(async move {
            let node = start(&path, 4, small_segments(), |_| {}).await;
            let model = Rc::new(Model::default());
            for number in 0..4 {
                let bytes = acknowledged.get(&number).cloned().unwrap_or_default();
                let all = read_all(&node.log(number), Offset(0), 50_000).await;
                assert!(all.starts_with(&bytes), "round {round}: log {number} lost something");
                // What was in flight may have survived as well: it counts from now on.
                model.0.borrow_mut().insert(number, all);
            }
            let node = Rc::new(node);
            let writers: Vec<_> = (0..4u32)
                .map(|number| {
                    let (node, model) = (node.clone(), model.clone());
                    task::spawn(Queue::Produce, async move {
                        for tag in 0..150 {
                            let bytes = batch(round * 1000 + tag, 1 + tag % 5, 100 << (tag % 8));
                            let appended = node.produce(number, &bytes).await;
                            model.on_acknowledged(number, &bytes, &appended, node.epoch);
                        }
                    })
                })
                .collect();
            time::sleep(Duration::from_millis(40 + 60 * round as u64)).await;
            drop(writers);
            // Everything that is going on ends here; other tasks may still get a turn before it does.
            model.0.borrow().clone()
        });
    }
    assert!(acknowledged.values().all(|bytes| !bytes.is_empty()));
}

#[test]
fn duplicates_get_the_originals_offsets_even_in_flight() {
    let dir = directory();
    let path = dir.path().to_owned();
    run(async move {
        let node = start(&path, 1, LogConfig::default(), |_| {}).await;
        node.produce(0, &batch(0, 5, 10)).await;
        let log = node.log(0);
        let (first, second) = (idempotent(9, 0, 3, 20), idempotent(9, 3, 2, 20));
        let now = time::unix_ms();
        let original = log.append(&first, node.epoch, now).unwrap();
        assert_eq!((original.base_offset, original.last_offset), (Offset(5), Offset(7)));
        assert!(log.visible_end() < original.next_offset(), "not durable yet");
        let again = log.append(&first, node.epoch, now).unwrap();
        assert!(again.duplicate);
        assert_eq!(again.base_offset, original.base_offset);
        log.visible(again.next_offset()).await.unwrap();
        assert!(log.visible_end() >= original.next_offset(), "its ack waited for the original's");
        log.append(&second, node.epoch, now).unwrap();
        assert_eq!(log.append(&first, node.epoch, now).unwrap().base_offset, Offset(5));
        let gap = log.append(&idempotent(9, 9, 1, 20), node.epoch, now).unwrap_err();
        assert!(matches!(gap, AppendError::Producer(_)), "{gap}");
        assert_eq!(log.log_end(), Offset(10));
        assert_eq!(node.store.stats().duplicates, 2);
        node.stop().await;
    });
    let path = dir.path().to_owned();
    run(async move {
        let node = start(&path, 1, LogConfig::default(), |_| {}).await;
        let log = node.log(0);
        let again = log
            .append_waiting(&idempotent(9, 3, 2, 20), node.epoch, time::unix_ms())
            .await
            .unwrap();
        assert!(again.duplicate, "also after a restart");
        assert_eq!(again.base_offset, Offset(8));
    });
}

#[test]
fn nothing_is_visible_before_its_class_allows() {
    let dir = directory();
    let path = dir.path().to_owned();
    run(async move {
        let node = start(&path, 3, LogConfig::default(), |_| {}).await;
        for (number, durability) in Durability::ALL.into_iter().enumerate() {
            let id = log_id(number as u32);
            let config = LogConfig { durability, ..LogConfig::default() };
            assert!(node.store.configure(&id, Rc::new(config)));
            node.produce(number as u32, &batch(0, 1, 10)).await;
        }
        for (number, durability) in Durability::ALL.into_iter().enumerate() {
            let log = node.log(number as u32);
            let lsn_before: Lsn = node.store.journal().durable_upto();
            let appended = log.append(&batch(1, 2, 10), node.epoch, time::unix_ms()).unwrap();
            let at_once = log.visible_end() == appended.next_offset();
            assert_eq!(at_once, durability == Durability::Memory, "{durability}");
            assert!(
                at_once || matches!(log.read(Offset(1), 1000, true).unwrap(), Read::Empty),
                "{durability}: read before it is visible"
            );
            log.visible(appended.next_offset()).await.unwrap();
            if durability == Durability::Device {
                assert!(node.store.journal().durable_upto() > lsn_before);
            }
            let Read::Ready { bytes, .. } = log.read(Offset(1), 1000, true).unwrap() else {
                panic!("{durability}: visible and not readable");
            };
            assert!(bytes > 0);
        }
        node.stop().await;
    });
}

#[test]
fn cold_reads_are_shared_and_bounded() {
    // Goal: N consumers that go through a cold log cost about one read of it. Method: write 6 MiB, drop the tail cache,
    // let eight consumers read it all at once and count what came from the disk.
    let dir = directory();
    let path = dir.path().to_owned();
    run(async move {
        let node = Rc::new(
            start(
                &path,
                1,
                LogConfig { segment_bytes: 2 << 20, ..LogConfig::default() },
                |config| {
                    config.cache_bytes = 0;
                    config.cold_cache_bytes = 8 << 20;
                },
            )
            .await,
        );
        let model = Model::default();
        let mut total = 0;
        for tag in 0..60 {
            let bytes = batch(tag, 10, 10_000);
            total += bytes.len();
            let appended = node.produce(0, &bytes).await;
            model.on_acknowledged(0, &bytes, &appended, node.epoch);
        }
        written(&node).await;
        let expected = Rc::new(model.bytes(0));
        let readers: Vec<_> = (0..8)
            .map(|_| {
                let (node, expected) = (node.clone(), expected.clone());
                task::spawn(Queue::Fetch, async move {
                    let all = read_all(&node.log(0), Offset(0), 1 << 20).await;
                    assert!(all == *expected);
                })
            })
            .collect();
        for reader in readers {
            reader.await;
        }
        let cold = node.store.stats().cold;
        assert!(cold.reads >= 8 * 6, "{cold:?}");
        assert!(
            cold.disk_bytes as usize <= total + total / 4,
            "shared: {cold:?} for {total} bytes"
        );
        assert!(cold.cached_bytes <= 8 << 20);
    });
}

#[test]
fn every_offset_is_found_on_disk() {
    let dir = directory();
    let path = dir.path().to_owned();
    let end = run({
        let path = path.clone();
        async move {
            let node = start(&path, 1, small_segments(), |_| {}).await;
            let mut end = Offset(0);
            for tag in 0..500 {
                end = node.produce(0, &batch(tag, 1 + tag % 4, 700)).await.next_offset();
            }
            node.stop().await;
            end
        }
    });
    run(async move {
        let node = start(&path, 1, small_segments(), |_| {}).await;
        let log = node.log(0);
        assert_eq!(log.log_end(), end);
        for offset in (0..end.0).rev().step_by(13) {
            let pieces = log.read_any(Offset(offset), 1, true).await.unwrap();
            let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
            let batch = storage::batch::BatchView::first(&bytes).unwrap();
            assert!(batch.base_offset().0 <= offset && offset < batch.next_offset().0);
            assert_eq!(batch.len(), bytes.len(), "one batch");
        }
        for beyond in [end.0 + 1, -1] {
            let refused = log.read(Offset(beyond), 1, true).map(|_| ());
            assert!(matches!(refused, Err(ReadError::OutOfRange { .. })));
        }
        assert!(matches!(log.read(end, 1, true), Ok(Read::Empty)));
    });
}

#[test]
fn a_batch_too_large_for_a_cold_read_is_not_passed_over() {
    // A cold read that may not exceed its bytes found nothing that fitted at the end of a segment, took the segment for
    // one that ends before the offset, and went on in the next: a consumer never saw the batches in between. Seed 7 of
    // the simulation found it.
    let dir = directory();
    let path = dir.path().to_owned();
    run(async move {
        let config = LogConfig { segment_bytes: 12_000, ..LogConfig::default() };
        let node = start(&path, 1, config, |store| store.cache_bytes = 0).await;
        let small = node.produce(0, &batch(0, 1, 100)).await;
        node.produce(0, &batch(1, 1, 10_000)).await;
        node.produce(0, &batch(2, 1, 1_800)).await;
        node.produce(0, &batch(3, 1, 100)).await;
        written(&node).await;
        let log = node.log(0);
        let pieces = log.read_any(small.next_offset(), 2_000, false).await.unwrap();
        assert!(pieces.is_empty(), "it gave {} pieces", pieces.len());
        let pieces = log.read_any(small.next_offset(), 2_000, true).await.unwrap();
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        assert_eq!(bases(&bytes), [1]);
        node.stop().await;
    });
}

#[test]
fn a_slow_reader_pins_only_its_own_log() {
    // Goal: pieces held by a slow consumer stay right while everything around them is written behind and evicted.
    let dir = directory();
    let path = dir.path().to_owned();
    run(async move {
        let node =
            start(&path, 4, LogConfig::default(), |config| config.cache_bytes = 1 << 20).await;
        let model = Model::default();
        let mut held = Vec::new();
        for tag in 0..400 {
            for number in 0..4 {
                let bytes = batch(tag, 2, 2_000);
                let appended = node.produce(number, &bytes).await;
                model.on_acknowledged(number, &bytes, &appended, node.epoch);
                if number == 0 && tag % 50 == 0 {
                    let offset = appended.base_offset;
                    held.push((offset, node.log(0).read_any(offset, 1, true).await.unwrap()));
                }
            }
        }
        written(&node).await;
        assert!(node.store.stats().cached_bytes <= 1 << 20, "{:?}", node.store.stats());
        let all = model.bytes(0);
        for (offset, pieces) in held {
            let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
            let at = storage::batch::split(&all)
                .flatten()
                .find(|batch| batch.base_offset() == offset)
                .unwrap();
            assert!(bytes == at.bytes());
        }
    });
}

#[test]
fn records_are_found_by_time() {
    let dir = directory();
    let path = dir.path().to_owned();
    run(async move {
        let node = start(&path, 1, small_segments(), |config| config.cache_bytes = 100_000).await;
        let log = node.log(0);
        assert_eq!(log.offset_for_timestamp(0).await.unwrap(), None);
        assert_eq!(log.max_timestamp_offset().await.unwrap(), None);
        let mut first_of = Vec::new();
        for tag in 0..600 {
            first_of.push(node.produce(0, &batch(tag, 2, 600)).await.base_offset);
        }
        let time = |tag: i64| 1_700_000_000_000 + tag;
        for tag in (0..600).step_by(37).chain([599]) {
            let found = log.offset_for_timestamp(time(tag)).await.unwrap();
            assert_eq!(found, Some((first_of[tag as usize], time(tag))), "tag {tag}");
        }
        assert_eq!(log.offset_for_timestamp(5).await.unwrap(), Some((Offset(0), time(0))));
        assert_eq!(log.offset_for_timestamp(time(600)).await.unwrap(), None);
        assert_eq!(log.max_timestamp_offset().await.unwrap(), Some((first_of[599], time(599))));
    });
}

#[test]
fn retention_deletes_whole_segments_by_size_and_age() {
    let dir = directory();
    let path = dir.path().to_owned();
    let start_after = run({
        let path = path.clone();
        async move {
            let config = LogConfig {
                segment_bytes: 64 << 10,
                retention_ms: None,
                retention_bytes: Some(200 << 10),
                ..LogConfig::default()
            };
            let node = start(&path, 1, config.clone(), |config| {
                config.retention_interval = Duration::from_millis(50);
            })
            .await;
            for tag in 0..200 {
                node.produce(0, &batch(tag, 1, 4_000)).await;
            }
            let log = node.log(0);
            wait_for(|| log.bytes() < 300 << 10).await;
            assert!(log.bytes() >= 200 << 10, "at least the bound stays");
            assert!(log.log_start() > Offset(0));
            let refused = log.read(Offset(0), 1, true).map(|_| ());
            assert!(matches!(refused, Err(ReadError::OutOfRange { .. })));
            assert!(!read_all(&log, log.log_start(), 10_000).await.is_empty());
            // All records are of 2023, so that by age everything goes, the active segment too.
            let by_age = LogConfig { retention_ms: Some(1000), retention_bytes: None, ..config };
            assert!(node.store.configure(&log_id(0), Rc::new(by_age)));
            wait_for(|| log.log_start() == log.log_end()).await;
            let end = log.log_end();
            let appended = node.produce(0, &batch(1, 1, 10)).await;
            assert_eq!(appended.base_offset, end, "offsets go on");
            log.log_start()
        }
    });
    run(async move {
        let node = start(&path, 1, LogConfig::default(), |_| {}).await;
        let log = node.log(0);
        assert!(log.log_start() >= start_after);
        assert!(log.log_end() > log.log_start());
    });
}

async fn wait_for(mut condition: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not come about in five seconds");
}

#[test]
fn deleted_records_stay_deleted() {
    let dir = directory();
    let path = dir.path().to_owned();
    run({
        let path = path.clone();
        async move {
            let node = start(&path, 1, small_segments(), |_| {}).await;
            for tag in 0..300 {
                node.produce(0, &batch(tag, 2, 2_000)).await;
            }
            let log = node.log(0);
            let bell = Bell::new();
            let _watch = log.watch_with(&bell);
            assert_eq!(log.delete_records(Offset(400)).await, Ok(Offset(400)));
            assert!(bell.is_rung());
            assert_eq!(log.delete_records(Offset(7)).await, Ok(Offset(400)), "never back");
            let beyond = log.delete_records(Offset(601)).await;
            assert!(matches!(beyond, Err(DeleteRecordsError::OutOfRange { .. })));
            assert!(log.bytes() < 700_000, "whole segments before it are gone");
            // No shutdown: it must be in the journal.
        }
    });
    run(async move {
        let node = start(&path, 1, small_segments(), |_| {}).await;
        let log = node.log(0);
        assert_eq!(log.log_start(), Offset(400));
        assert_eq!(log.log_end(), Offset(600));
        assert_eq!(log.delete_records(Offset(600)).await, Ok(Offset(600)), "all of them");
        assert!(matches!(log.read(Offset(600), 1, true), Ok(Read::Empty)));
        assert_eq!(node.produce(0, &batch(0, 1, 1)).await.base_offset, Offset(600));
    });
}

#[test]
fn segments_deleted_after_their_checkpoint_are_not_missed() {
    // Goal: a crash between the deletion of segments and the next checkpoint leaves a log that serves. Method: let a
    // checkpoint name the segments, delete them, and crash at once.
    let dir = directory();
    let path = dir.path().to_owned();
    run({
        let path = path.clone();
        async move {
            let node = start(&path, 1, small_segments(), |_| {}).await;
            for tag in 0..300 {
                node.produce(0, &batch(tag, 2, 2_000)).await;
            }
            written(&node).await;
            wait_until_quiet(&node).await;
            assert_eq!(node.log(0).delete_records(Offset(400)).await, Ok(Offset(400)));
            assert!(node.store.stats().segments_deleted > 0);
        }
    });
    run(async move {
        let node = start(&path, 1, small_segments(), |_| {}).await;
        let log = node.log(0);
        assert_eq!(log.standing(), storage::log::Standing::Online);
        assert_eq!((log.log_start(), log.log_end()), (Offset(400), Offset(600)));
        assert!(!read_all(&log, Offset(400), 1 << 20).await.is_empty());
    });
}

#[test]
fn a_deleted_log_takes_its_files_and_waiters_along() {
    let dir = directory();
    let path = dir.path().to_owned();
    run(async move {
        let node = start(&path, 2, LogConfig::default(), |_| {}).await;
        for tag in 0..20 {
            node.produce(0, &batch(tag, 2, 2_000)).await;
            node.produce(1, &batch(tag, 2, 2_000)).await;
        }
        let log = node.log(0);
        let waiter = task::spawn(Queue::Produce, {
            let log = log.clone();
            async move { log.visible(Offset(1_000)).await }
        });
        engine::task::yield_now().await;
        node.store.delete(&log_id(0)).await.unwrap();
        assert_eq!(waiter.await, Err(AppendError::Deleted));
        assert!(node.store.log(&log_id(0)).is_none());
        assert!(matches!(log.read(Offset(0), 1, true), Err(ReadError::Deleted)));
        let refused = log.append(&batch(0, 1, 1), node.epoch, 0);
        assert_eq!(refused.unwrap_err(), AppendError::Deleted);
        assert!(ls(&path.join("topics")).len() == 1, "its directory is gone, the other's is not");
        assert_eq!(
            read_all(&node.log(1), Offset(0), 1 << 20).await.len(),
            node.log(1).bytes() as usize
        );
        node.stop().await;
    });
}

#[test]
fn a_bell_rings_once_for_many_appends() {
    let dir = directory();
    let path = dir.path().to_owned();
    run(async move {
        let node = start(&path, 2, LogConfig::default(), |_| {}).await;
        let bell = Bell::new();
        let watches = [node.log(0).watch_with(&bell), node.log(1).watch_with(&bell)];
        assert!(!bell.is_rung());
        for tag in 0..5 {
            node.produce(tag as u32 % 2, &batch(tag, 1, 1)).await;
        }
        bell.rung().await;
        assert!(!bell.is_rung(), "heard once");
        let more = time::timeout(Duration::from_millis(20), bell.rung()).await;
        assert!(more.is_err(), "nothing new, no sound");
        drop(watches);
        node.produce(0, &batch(9, 1, 1)).await;
        assert!(!bell.is_rung(), "taken down");
        node.stop().await;
    });
}

#[test]
fn ten_thousand_idle_logs_cost_little() {
    let dir = directory();
    let path = dir.path().to_owned();
    run(async move {
        let before = engine::buffer::usage().used;
        let node = start(&path, 0, LogConfig::default(), |_| {}).await;
        let config = Rc::new(LogConfig::default());
        for number in 0..10_000u32 {
            let id = storage::ids::LogId { topic: [7; 16], partition: number, incarnation: 0 };
            node.store.create(id, &format!("many.id/{number}"), config.clone()).unwrap();
        }
        time::sleep(Duration::from_millis(500)).await;
        let used = engine::buffer::usage().used - before;
        assert!(used < 8 << 20, "{used} bytes of blocks");
        assert!(ls(&path.join("topics")).is_empty(), "no file before the first append");
        node.stop().await;
    });
}

#[test]
fn a_small_journal_and_little_memory_only_slow_appends_down() {
    press(Durability::Device, 30);
    press(Durability::Written, 15);
    press(Durability::Memory, 15);
}

#[test]
fn a_checkpoint_does_not_wait_for_entries_that_wait_for_it() {
    // Goal: a journal whose last file is taken, with entries that need the next one, gets it from a checkpoint. Method:
    // batches of which one fits a file and two do not, so that more are let in than find a place; many times over,
    // because what is let in at the same moment differs.
    for durability in [Durability::Written, Durability::Memory] {
        let dir = directory();
        let path = dir.path().to_owned();
        run(async move {
            let config =
                LogConfig { max_message_bytes: 4 << 20, durability, ..LogConfig::default() };
            let node = start(&path, 16, config, |config| {
                config.journal.bytes_max = 12 << 20;
                config.journal.file_bytes = 2 << 20;
                config.cache_bytes = 1 << 20;
                config.checkpoint_interval = Duration::from_secs(60);
            })
            .await;
            let node = Rc::new(node);
            let writers: Vec<_> = (0..16u32)
                .map(|number| {
                    let node = node.clone();
                    task::spawn(Queue::Produce, async move {
                        for tag in 0..8 {
                            node.produce(number, &batch(tag, 1, 1_048_400)).await;
                        }
                    })
                })
                .collect();
            let all = async {
                for writer in writers {
                    writer.await;
                }
            };
            let done = time::timeout(Duration::from_secs(50), all).await;
            assert!(done.is_ok(), "{durability:?}: {:?}", node.store.stats());
        });
    }
}

/// Nothing may wait here for a checkpoint's interval: it is a minute.
fn press(durability: Durability, batches: i64) {
    // Goal: neither the journal, nor memory, nor write-behind can wait for each other for ever. Method: append ten times
    // what the journal holds to many logs at once, with batches from small to larger than a chunk.
    let dir = directory();
    let path = dir.path().to_owned();
    run(async move {
        let config = LogConfig { max_message_bytes: 4 << 20, durability, ..LogConfig::default() };
        let node = start(&path, 16, config, |config| {
            config.journal.bytes_max = 16 << 20;
            config.cache_bytes = 4 << 20;
            config.write_behind_age = Duration::from_secs(5);
            config.checkpoint_interval = Duration::from_secs(60);
        })
        .await;
        let node = Rc::new(node);
        let began = time::now();
        let writers: Vec<_> = (0..16u32)
            .map(|number| {
                let node = node.clone();
                task::spawn(Queue::Produce, async move {
                    let model = Model::default();
                    for tag in 0..batches {
                        let size =
                            if (tag + i64::from(number)) % 20 == 0 { 1_900_000 } else { 150_000 };
                        let bytes = batch(tag, 1, size);
                        let appended = node.produce(number, &bytes).await;
                        model.on_acknowledged(number, &bytes, &appended, node.epoch);
                    }
                    let all = read_all(&node.log(number), Offset(0), 1 << 20).await;
                    assert!(all == model.bytes(number));
                })
            })
            .collect();
        for writer in writers {
            writer.await;
        }
        let stats = node.store.stats();
        assert!(stats.checkpoints > 1, "{stats:?}");
        assert!(began.elapsed() < Duration::from_secs(50), "{stats:?}");
        assert!(stats.cached_bytes <= 4 << 20, "{stats:?}");
    });
}

#[test]
fn checkpoints_come_by_themselves_and_shorten_the_replay() {
    let dir = directory();
    let path = dir.path().to_owned();
    run({
        let path = path.clone();
        async move {
            let node = start(&path, 2, LogConfig::default(), |_| {}).await;
            for tag in 0..20 {
                node.produce(0, &batch(tag, 1, 1_000)).await;
            }
            wait_for(|| node.store.stats().checkpoints > 0).await;
            written(&node).await;
            let quiet = wait_until_quiet(&node).await;
            node.produce(1, &batch(0, 1, 1_000)).await;
            wait_for(|| node.store.stats().checkpoints > quiet).await;
            // A crash.
        }
    });
    run(async move {
        let node = start(&path, 2, LogConfig::default(), |_| {}).await;
        assert_eq!(
            read_all(&node.log(0), Offset(0), 1_000_000).await.len() as u64,
            node.log(0).bytes()
        );
        assert_eq!((node.log(0).log_end(), node.log(1).log_end()), (Offset(20), Offset(1)));
    });
}

/// Waits until no checkpoint is made any more; returns how many there were.
async fn wait_until_quiet(node: &Started) -> u64 {
    loop {
        let before = node.store.stats().checkpoints;
        time::sleep(Duration::from_millis(600)).await;
        if node.store.stats().checkpoints == before {
            return before;
        }
    }
}

#[test]
fn a_damaged_batch_is_named_and_not_served() {
    // Goal: no wrong byte leaves, and what is sound stays readable. Method: damage one batch in the middle of a segment
    // of a stopped node.
    let dir = directory();
    let path = dir.path().to_owned();
    run({
        let path = path.clone();
        async move {
            let node = start(&path, 1, LogConfig::default(), |_| {}).await;
            for tag in 0..100 {
                node.produce(0, &batch(tag, 1, 1_000)).await;
            }
            node.stop().await;
        }
    });
    let file = path.join("topics").join(log_dir(0)).join(format!("{:020}.log", 0));
    let mut bytes = cat(&file);
    // The value of record 50, and the header of record 90: behind that nobody knows where a batch begins.
    let at = |record: usize| {
        storage::batch::split(&bytes).flatten().take(record).map(|b| b.len()).sum::<usize>()
    };
    let (value, header) = (at(50) + 500, at(90) + 16);
    bytes[value] ^= 1;
    bytes[header] ^= 1;
    put(&file, &bytes);
    run(async move {
        let node = start(&path, 1, LogConfig::default(), |_| {}).await;
        let log = node.log(0);
        let mut damaged = 0;
        for offset in 0..100 {
            match log.read_any(Offset(offset), 1, true).await {
                Ok(pieces) => assert!(!pieces.is_empty()),
                Err(ReadError::Corrupt { segment, .. }) => {
                    assert_eq!(segment, Offset(0));
                    damaged += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(damaged, 1 + 10);
        assert_eq!(node.produce(0, &batch(0, 1, 1)).await.base_offset, Offset(100));
    });
}

#[expect(clippy::disallowed_methods, reason = "tests look at the disk past the engine")]
fn put(path: &std::path::Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn wrong_and_missing_indexes_are_built_again() {
    let dir = directory();
    let path = dir.path().to_owned();
    let config = LogConfig { segment_bytes: 2 << 20, ..LogConfig::default() };
    let expected = run({
        let (path, config) = (path.clone(), config.clone());
        async move {
            let model = Model::default();
            let node = start(&path, 1, config, |_| {}).await;
            for tag in 0..700 {
                let bytes = batch(tag, 2, 5_000);
                let appended = node.produce(0, &bytes).await;
                model.on_acknowledged(0, &bytes, &appended, node.epoch);
            }
            node.stop().await;
            model.bytes(0)
        }
    });
    let files = ls(&path.join("topics").join(log_dir(0)));
    let indexes: Vec<_> =
        files.iter().filter(|name| name.extension().is_some_and(|e| e == "hindex")).collect();
    assert!(indexes.len() >= 3, "{files:?}");
    // One with a wrong byte, one of another segment, the others as they are.
    let mut bytes = cat(indexes[0]);
    bytes[100] ^= 4;
    put(indexes[0], &bytes);
    put(indexes[1], &cat(indexes[2]));
    run(async move {
        let node = start(&path, 1, config, |_| {}).await;
        let log = node.log(0);
        let first_at = |offset: i64| expected_batch(&expected, offset);
        for offset in (0..1_400).rev().step_by(97) {
            let pieces = log.read_any(Offset(offset), 1, true).await.unwrap();
            let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
            assert!(bytes == first_at(offset));
        }
        // The two, and that of the last segment, which is too short for a file.
        assert_eq!(node.store.stats().indexes_rebuilt, 3);
    });
}

fn expected_batch(all: &[u8], offset: i64) -> Vec<u8> {
    let mut batches = storage::batch::split(all).flatten();
    batches.find(|batch| batch.next_offset().0 > offset).unwrap().bytes().to_vec()
}

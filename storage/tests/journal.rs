//! The journal on a real disk: what it promises while it runs.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use engine::task::{self, Queue};
use std::rc::Rc;
use std::time::Duration;
use storage::durability::Durability;
use storage::ids::Lsn;
use storage::journal::PushRefusal;
use support::{Toy, config, known, open, run};

/// Many pushes in one turn of the loop share a frame, and pushes during a write share the next: far fewer writes than
/// entries, and all of them durable.
#[test]
fn concurrent_pushes_share_frames() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    run(async move {
        let node = open(&path).await;
        let recovery = node.recover(&known(4), 1).await.unwrap();
        let toy = Rc::new(Toy::start(&recovery, config(&recovery, 0), &[0, 1, 2, 3]).await);
        let tasks: Vec<_> = (0..64)
            .map(|one: u32| {
                let toy = toy.clone();
                task::spawn(Queue::Produce, async move {
                    for _ in 0..20 {
                        toy.append(one % 4, 1, 100).await;
                        task::yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        toy.journal.flush().await;
        let stats = toy.journal.stats();
        assert_eq!(stats.entries, 64 * 20);
        assert!(stats.writes * 8 < stats.entries, "{stats:?}");
        let seen = toy.seen.borrow().clone();
        assert_eq!(seen.durable_upto, toy.journal.next_lsn());
        for (slot, log) in toy.snapshot() {
            assert_eq!(seen.ends[&slot], log.next);
        }
    });
}

/// A commit is told only after its write, and a weaker class is not flushed until something asks for it.
#[test]
fn only_the_device_class_is_flushed_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    run(async move {
        let node = open(&path).await;
        let recovery = node.recover(&known(2), 1).await.unwrap();
        let toy = Toy::start(&recovery, config(&recovery, 0), &[0, 1]).await;
        let lsn = toy.append_as(0, 1, 50, Durability::Written, false).await;
        assert_eq!(toy.seen.borrow().written_upto, Lsn(0), "pushed is not written");
        while toy.seen.borrow().written_upto <= lsn {
            engine::time::sleep(Duration::from_micros(100)).await;
        }
        assert!(toy.seen.borrow().durable_upto <= lsn);
        let flushes = toy.journal.stats().flushes;
        let lsn = toy.append(1, 1, 50).await;
        while toy.seen.borrow().durable_upto <= lsn {
            engine::time::sleep(Duration::from_micros(100)).await;
        }
        assert_eq!(toy.journal.stats().flushes, flushes + 1);
        assert_eq!(toy.seen.borrow().durable_upto, toy.seen.borrow().written_upto);
    });
}

/// After the last acknowledgement an idle frame follows within some milliseconds, once.
#[test]
fn an_idle_frame_follows_the_last_acknowledgement() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    run(async move {
        let node = open(&path).await;
        let recovery = node.recover(&known(1), 1).await.unwrap();
        let toy = Toy::start(&recovery, config(&recovery, 0), &[0]).await;
        toy.append(0, 1, 50).await;
        toy.journal.flush().await;
        engine::time::sleep(Duration::from_millis(60)).await;
        let stats = toy.journal.stats();
        assert_eq!((stats.entries, stats.frames), (1, 2));
        engine::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(toy.journal.stats().frames, 2, "idle stays idle");
    });
}

/// A batch larger than a block gets a block of its own, one larger than half a file is refused by name.
#[test]
fn large_batches_pass_and_too_large_ones_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    run(async move {
        let node = open(&path).await;
        let recovery = node.recover(&known(1), 1).await.unwrap();
        let config = recovery.journal_config(0, 8 << 20, 32 << 20);
        let toy = Toy::start(&recovery, config, &[0]).await;
        for value in [100, 1 << 20, 10, 3 << 20, 700 << 10, 700 << 10] {
            toy.append(0, 1, value).await;
        }
        toy.journal.flush().await;
        let refused = toy.try_append(0, 1, 5 << 20, Durability::Device, false);
        assert!(matches!(refused, Err(PushRefusal::TooLarge { max, .. }) if max == 4 << 20));
        toy.journal.stop().await;
        let state = node.recover(&known(1), 1).await.unwrap();
        support::check_log(&path, &state, 0, &toy.snapshot()[&0], toy.snapshot()[&0].next);
    });
}

/// A journal that nobody checkpoints fills: pushes become slow, then wait; they go on as soon as a checkpoint has
/// passed, and nothing is lost on the way.
#[test]
fn a_full_journal_slows_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    run(async move {
        let node = open(&path).await;
        let recovery = node.recover(&known(1), 1).await.unwrap();
        let toy = Rc::new(Toy::start(&recovery, config(&recovery, 0), &[0]).await);
        let filler = toy.clone();
        let filling = task::spawn(Queue::Produce, async move {
            for _ in 0..400 {
                filler.append(0, 1, 32 << 10).await;
            }
        });
        // 400 x 32 KiB is more than the 8 MiB the journal may have.
        while toy.journal.fill() < 0.8 {
            engine::time::sleep(Duration::from_millis(5)).await;
        }
        engine::time::sleep(Duration::from_millis(300)).await;
        assert!(!filling.is_finished(), "the journal is full");
        assert!(toy.journal.fill() <= 1.0);
        assert!(toy.journal.stats().busy > 0);
        // Checkpoints pass, one after the other, until everything is in.
        while !filling.is_finished() {
            toy.journal.flush().await;
            toy.journal.recycle_before(toy.journal.durable_upto());
            engine::time::sleep(Duration::from_millis(5)).await;
        }
        toy.journal.stop().await;
        assert_eq!(toy.seen.borrow().ends[&0], 400);
    });
}

/// A stopped journal takes nothing more and says so.
#[test]
fn a_stopped_journal_refuses_pushes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    run(async move {
        let node = open(&path).await;
        let recovery = node.recover(&known(1), 1).await.unwrap();
        let toy = Toy::start(&recovery, config(&recovery, 0), &[0]).await;
        toy.append(0, 1, 10).await;
        toy.journal.stop().await;
        let refused = toy.try_append(0, 1, 10, Durability::Device, false);
        assert_eq!(refused, Err(PushRefusal::Stopped));
        let report = node.recover(&known(1), 1).await.unwrap().report;
        assert_eq!((report.journals, report.closed, report.entries), (1, 1, 1));
    });
}

/// What is stopped leaves the directory alone, at whatever moment of the making of a further file it is stopped.
#[test]
fn a_stopped_journal_leaves_its_directory_alone() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..12 {
        let path = dir.path().join(number.to_string());
        let journals = path.join("journal");
        run(async move {
            let node = open(&path).await;
            let recovery = node.recover(&known(1), 1).await.unwrap();
            let toy = Toy::start(&recovery, config(&recovery, 0), &[0]).await;
            toy.append(0, 1, 10).await;
            engine::time::sleep(Duration::from_millis(number)).await;
            toy.journal.stop().await;
            // The files of a task that went on would fail to appear, and end this process.
            engine::file::rename(&journals, &journals.with_extension("gone")).await.unwrap();
            engine::time::sleep(Duration::from_millis(30)).await;
            assert!(!engine::file::exists(&journals).await.unwrap());
        });
    }
}

/// Batches larger than a block, with little memory and many at once: each waits for its own memory, none of them
/// for ever, and everybody else gets a turn meanwhile.
#[test]
fn large_batches_share_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let launch = engine::shard::Launch {
        memory_bytes_per_shard: 16 << 20,
        ..engine::shard::Launch::default()
    };
    let work = async move {
        let node = open(&path).await;
        let recovery = node.recover(&known(4), 1).await.unwrap();
        let config = recovery.journal_config(0, 8 << 20, 128 << 20);
        let toy = Rc::new(Toy::start(&recovery, config, &[0, 1, 2, 3]).await);
        let tasks: Vec<_> = (0..4u32)
            .map(|log| {
                let toy = toy.clone();
                task::spawn(Queue::Produce, async move {
                    for round in 0..5 {
                        toy.append(log, 1, if round % 2 == 0 { 3 << 20 } else { 500 << 10 }).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        let refused = toy.try_append(0, 1, (4 << 20) + 1, Durability::Device, false);
        assert!(matches!(refused, Err(PushRefusal::TooLarge { .. })));
        toy.journal.stop().await;
        assert_eq!(toy.seen.borrow().ends.values().sum::<i64>(), 20);
        // Refusals come from what was taken in the meantime, not from asking again and again.
        let stats = toy.journal.stats();
        assert!(stats.busy < 200, "{stats:?}");
    };
    engine::shard::block_on(&launch, work).unwrap();
}

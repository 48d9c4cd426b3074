//! Faults of the simulated disk, and what a process makes of them. Takes a few seconds.
#![cfg(feature = "sim")]

mod sim_support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use engine::buffer::{self, Slice};
use engine::file::{self, File, OpenOptions};
use engine::sim::{self, Crash, Disk, ProcessEnd};
use engine::task::{self, Queue};
use engine::time;
use sim_support::{bytes, create, ended, open, run, world};

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    result.expect_err("a fault was ordered").raw_os_error().expect("an error of the disk")
}

const EIO: i32 = 5;
const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;

fn sectors(disk: &Disk, path: &str) -> Vec<u8> {
    disk.read(path).expect("there").chunks(512).map(|sector| sector[0]).collect()
}

#[test]
fn a_crash_comes_at_every_step_of_io_and_never_twice() {
    let (mut ends, mut seen) = (0, BTreeSet::new());
    for step in 1..40 {
        let mut world = world(step);
        world.disk().crash_at_io(step, Crash::PowerCut);
        let done = Rc::new(Cell::new(0));
        let count = done.clone();
        let end = world.run(1, move |_| {
            let count = count.clone();
            async move {
                let file = create("/d/f").await;
                for i in 0..4 {
                    file.write_at(i * 4096, bytes(1, 4096).await).await.expect("written");
                    count.set(count.get() + 1);
                }
            }
        });
        match end {
            ProcessEnd::Crashed(Crash::PowerCut) => seen.insert(done.get()),
            ProcessEnd::Ended(_) => {
                ends += 1;
                false
            }
            other => panic!("{other:?}"),
        };
        // The order was for one process.
        ended(world.run(1, |_| async { file::exists("/d/f").await.expect("an answer") }));
    }
    assert_eq!(seen, (0..=3).collect());
    // Two steps of each operation, three of a write: 6 of the creation, 12 of the writes, before them.
    assert!((15..30).contains(&ends), "{ends} of 39 ran to their ends");
}

#[test]
fn a_write_that_fails_leaves_each_sector_in_one_of_four_states() {
    let (mut live, mut durable) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..100 {
        let mut world = world(seed);
        let disk = world.disk();
        run(&mut world, async {
            let file = create("/d/f").await;
            file.write_at_synced(0, bytes(1, 4096).await).await.expect("written");
            sim::disk().fail_write(2, "/d/f");
            sim::disk().fail_write(1, "/elsewhere");
            file.write_at(4096, bytes(1, 4096).await).await.expect("the first one does not fail");
            assert_eq!(errno(file.write_at(0, bytes(2, 4096).await).await), EIO);
            file.sync_data().await.expect("a later sync does not tell");
        });
        let after = sectors(&disk, "/d/f");
        live.extend(after[..8].iter().copied());
        world.cut_power();
        for (before, after) in after.iter().zip(sectors(&disk, "/d/f")) {
            durable.insert((*before, after));
        }
        assert_eq!(disk.counters().write_errors, 1);
    }
    assert_eq!(live, BTreeSet::from([1, 2]));
    // Read as new and lost all the same: the sync said it was fine.
    assert_eq!(durable, BTreeSet::from([(1, 1), (2, 1), (2, 2)]));
}

#[test]
fn a_sector_that_would_never_be_durable_is_once_it_is_written_again() {
    for seed in 0..50 {
        let mut world = world(seed);
        let disk = world.disk();
        run(&mut world, async {
            let file = create("/d/f").await;
            file.write_at_synced(0, bytes(1, 4096).await).await.expect("written");
            sim::disk().fail_write(1, "f");
            assert_eq!(errno(file.write_at(0, bytes(2, 4096).await).await), EIO);
            file.write_at(0, bytes(3, 4096).await).await.expect("written");
            file.sync_data().await.expect("synced");
        });
        world.cut_power();
        assert_eq!(sectors(&disk, "/d/f"), [3; 8]);
    }
}

#[test]
fn a_sync_that_fails_makes_the_next_one_worthless() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let mut world = world(seed);
        let disk = world.disk();
        run(&mut world, async {
            let file = create("/d/f").await;
            file.write_at_synced(0, bytes(1, 4096).await).await.expect("written");
            file.write_at(0, bytes(2, 4096).await).await.expect("written");
            sim::disk().fail_sync(1, "/d/");
            assert_eq!(errno(file.sync_data().await), EIO);
            file.sync_data().await.expect("it fails once");
        });
        let before = sectors(&disk, "/d/f");
        world.cut_power();
        seen.extend(before.into_iter().zip(sectors(&disk, "/d/f")));
        assert_eq!(disk.counters().sync_errors, 1);
    }
    assert_eq!(seen, BTreeSet::from([(1, 1), (2, 1), (2, 2)]));
}

#[test]
fn syncfs_and_directory_syncs_fail_too() {
    let mut world = world(9);
    run(&mut world, async {
        let file = create("/d/f").await;
        file.write_at(0, bytes(1, 4096).await).await.expect("written");
        sim::disk().fail_sync(1, "/d/f");
        assert_eq!(errno(file::syncfs("/").await), EIO);
        drop(open("/d/g").await);
        sim::disk().fail_sync(1, "/d");
        assert_eq!(errno(file::sync_dir("/d").await), EIO);
        file::sync_dir("/d").await.expect("once");
        sim::disk().fail_sync(1, "/d");
        sim::disk().clear_faults();
        file::sync_dir("/d").await.expect("taken back");
    });
}

#[test]
fn a_latent_error_stays_until_the_sector_is_written_again() {
    for seed in 0..20 {
        let mut world = world(seed);
        let disk = world.disk();
        assert!(!disk.latent_read_error("f"), "nothing is written yet");
        run(&mut world, async {
            create("/d/g").await.write_at(0, bytes(1, 4096).await).await.expect("written");
            let file = create("/d/f").await;
            file.write_at_synced(0, bytes(1, 8192).await).await.expect("written");
        });
        assert!(disk.latent_read_error("/d/f"));
        world.cut_power();
        run(&mut world, async {
            let file = open("/d/f").await;
            let (result, block) = file.read_at(0, buffer::alloc(8192).await.expect("fits")).await;
            assert_eq!(errno(result), EIO);
            let (result, block) = open("/d/g").await.read_at(0, block).await;
            result.expect("another file");
            file.write_at(0, bytes(2, 8192).await).await.expect("written");
            let (result, _) = file.read_at(0, block).await;
            assert_eq!(result.expect("readable again"), 8192);
        });
        assert_eq!(disk.counters().read_errors, 1);
    }
}

#[test]
fn damage_is_there_at_once_and_stays() {
    let mut world = world(4);
    let disk = world.disk();
    run(&mut world, async {
        let file = create("/d/f").await;
        file.write_at(0, bytes(1, 8192).await).await.expect("written");
        sim::disk().write("/d/f", 4000, &[9; 200]);
        let (result, block) = file.read_at(0, buffer::alloc(8192).await.expect("fits")).await;
        result.expect("read");
        assert_eq!((block[3999], block[4000], block[4199], block[4200]), (1, 9, 9, 1));
        file.sync_data().await.expect("synced");
    });
    world.cut_power();
    let bytes = disk.read("/d/f").expect("there");
    assert_eq!((bytes[3999], bytes[4000], bytes[4199], bytes[4200]), (1, 9, 9, 1));
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let mut world = world(5);
    let disk = world.disk();
    disk.set_capacity(16 * 4096);
    run(&mut world, async {
        let file = create("/d/f").await;
        file.allocate(0, 8 * 4096).await.expect("room");
        assert_eq!(sim::disk().used(), 8 * 4096);
        assert_eq!(file::free_bytes("/").await.expect("known"), (8 * 4096, 16 * 4096));
        assert_eq!(errno(file.allocate(0, 17 * 4096).await), ENOSPC);
        file.write_at(0, bytes(1, 8 * 4096).await).await.expect("reserved space takes no more");
        let other = create("/d/g").await;
        assert_eq!(errno(other.write_at(0, bytes(2, 12 * 4096).await).await), ENOSPC);
        assert_eq!(other.len().await.expect("known"), 8 * 4096, "what fitted was written");
        assert_eq!(errno(other.write_at(12 * 4096, bytes(2, 4096).await).await), ENOSPC);
        file.set_len(0).await.expect("cut");
        assert_eq!(sim::disk().used(), 8 * 4096);
        // Its space is free once nobody has it open.
        file::remove_file("/d/g").await.expect("removed");
        assert_eq!(sim::disk().used(), 8 * 4096);
        file::sync_dir("/d").await.expect("synced");
        other.sync_all().await.expect("it is still a file");
        drop(other);
        assert_eq!(sim::disk().used(), 0);
    });
    assert!(disk.counters().no_space >= 3);
    ended(world.run(1, |_| async { file::syncfs("/").await.expect("synced") }));
    assert_eq!(disk.used(), 0);
}

#[test]
fn direct_io_is_aligned_or_refused() {
    let mut world = world(6);
    run(&mut world, async {
        let direct = create("/d/f").await;
        let page = bytes(1, 4096).await;
        assert_eq!(errno(direct.write_at(512, page.clone()).await), EINVAL);
        assert_eq!(errno(direct.write_at(0, page.slice(..512)).await), EINVAL);
        assert_eq!(errno(direct.write_at(0, bytes(1, 8192).await.slice(512..4608)).await), EINVAL);
        assert_eq!(errno(direct.write_at(0, Slice::from_vec(vec![1; 4096])).await), EINVAL);
        let parts = vec![page.clone(), Slice::from_vec(vec![2; 4096])];
        assert_eq!(errno(direct.write_vectored_at(0, parts).await), EINVAL);
        direct.write_vectored_at(0, vec![page.clone(), page.clone()]).await.expect("aligned");
        let (result, block) = direct.read_at(100, buffer::alloc(4096).await.expect("fits")).await;
        assert_eq!(errno(result), EINVAL);
        let (result, block) = direct.read_len_at(0, block, 1000).await;
        assert_eq!(errno(result), EINVAL);
        let (result, _) = direct.read_at(8292, block).await;
        assert_eq!(result.expect("nothing to read, wherever it begins"), 0);
        let buffered = OpenOptions::new().read().write();
        let buffered = File::open(Path::new("/d/f"), buffered).await.expect("opened");
        buffered.write_at(8190, Slice::from_vec(vec![7; 5])).await.expect("anywhere");
        assert_eq!(buffered.len().await.expect("known"), 8195);
        let (result, block) = direct.read_at(4096, buffer::alloc(8192).await.expect("fits")).await;
        assert_eq!(result.expect("up to the end"), 4099);
        assert_eq!(block[4094..4099], [7; 5]);
        let reader =
            File::open(Path::new("/d/f"), OpenOptions::new().read()).await.expect("opened");
        assert!(reader.write_at(0, page).await.is_err(), "not open for writing");
    });
    assert_eq!(world.disk().counters().unaligned, 7);
}

#[test]
fn files_and_directories_refuse_what_they_are_not() {
    let mut world = world(8);
    run(&mut world, async {
        use io::ErrorKind::*;
        let kind = |result: io::Result<()>| result.expect_err("refused").kind();
        create("/d/f").await;
        let open = async |path: &str, options| File::open(Path::new(path), options).await.map(drop);
        let new = OpenOptions::new().write();
        assert_eq!(kind(open("/d/none", new).await), NotFound);
        assert_eq!(kind(open("/none/f", new.create()).await), NotFound);
        assert_eq!(kind(open("/d/f", new.create_new()).await), AlreadyExists);
        assert_eq!(kind(open("/d/f/x", new.create()).await), NotADirectory);
        assert_eq!(kind(open("/d", new).await), IsADirectory);
        assert_eq!(kind(file::remove_file("/d").await), IsADirectory);
        assert_eq!(kind(file::remove_file("/d/none").await), NotFound);
        assert_eq!(kind(file::rename("/d/none", "/d/g").await), NotFound);
        assert_eq!(kind(file::create_dir_all("/d/f/x").await), NotADirectory);
        assert_eq!(kind(file::read_dir("/none").await.map(drop)), NotFound);
        assert!(!file::exists("/d/x").await.expect("an answer"));
        file::create_dir_all("/d/e/g").await.expect("created");
        let names = file::read_dir("/d").await.expect("read");
        let names: Vec<_> = names.into_iter().map(|e| (e.name, e.is_dir)).collect();
        assert_eq!(names, [("e".into(), true), ("f".into(), false)]);
        file::remove_dir_all("/d").await.expect("removed");
        assert!(!file::exists("/d").await.expect("an answer"));
        assert!(file::file_system("/").await.expect("known").supports_direct);
    });
}

#[test]
fn a_lock_is_held_until_it_is_dropped_or_the_process_ends() {
    let mut world = world(10);
    sim_support::crashed(&mut world, async {
        let lock = file::lock_exclusive("/lock").await.expect("free");
        let again = file::lock_exclusive("/lock").await.expect_err("taken");
        assert_eq!(again.kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        std::mem::forget(file::lock_exclusive("/lock").await.expect("free again"));
        sim::crash(Crash::Kill);
    });
    run(&mut world, async { file::lock_exclusive("/lock").await.map(drop).expect("free") });
}

#[test]
fn a_slow_disk_is_slow_for_a_while() {
    let mut world = world(11);
    let (slow, fast) = run(&mut world, async {
        let file = create("/d/f").await;
        sim::disk().slow(10_000, Duration::from_millis(1));
        let start = time::now();
        file.sync_data().await.expect("synced");
        let slow = start.elapsed();
        let start = time::now();
        file.sync_data().await.expect("synced");
        (slow, start.elapsed())
    });
    assert!(slow >= Duration::from_millis(100) && fast < Duration::from_millis(50));
}

/// A future that is dropped while its operation is in flight: the memory comes back, and the write happens or
/// does not.
#[test]
fn dropped_futures_leave_their_operations_to_chance() {
    let mut seen = BTreeSet::new();
    for seed in 0..60 {
        let mut world = world(seed);
        let disk = world.disk();
        run(&mut world, async {
            let file = create("/d/f").await;
            file.set_len(4096).await.expect("extended");
            let writer = file.clone();
            let write = task::spawn(Queue::Produce, async move {
                writer.write_at(0, bytes(1, 4096).await).await.expect("nobody waits for it");
            });
            let read = task::spawn(Queue::Produce, async move {
                drop(file.read_at(0, buffer::alloc(4096).await.expect("fits")).await);
            });
            time::sleep(Duration::from_micros(8)).await;
            write.cancel();
            read.cancel();
            time::sleep(Duration::from_secs(1)).await;
            assert_eq!(buffer::usage().used, 0);
            assert_eq!(engine::shard::stats().operations, 0);
        });
        seen.insert((sectors(&disk, "/d/f"), disk.counters().cancelled > 0));
    }
    assert!(seen.contains(&(vec![1; 8], false)) && seen.contains(&(vec![0; 8], true)), "{seen:?}");
}

#[test]
fn destructors_of_a_dead_process_do_not_touch_the_disk() {
    struct Writes(Rc<RefCell<Option<File>>>, Rc<Cell<u32>>);
    impl Drop for Writes {
        fn drop(&mut self) {
            self.1.set(self.1.get() + 1);
            // A real process is gone by now. What it starts here must go nowhere.
            let file = self.0.take().expect("put there below");
            let data = Slice::from_vec(vec![9; 4096]);
            let mut write = Box::pin(async move { file.write_at(0, data).await });
            let waker = std::task::Waker::noop();
            assert!(write.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
        }
    }
    for kind in [Crash::Kill, Crash::PowerCut] {
        let mut world = world(12);
        let disk = world.disk();
        let dropped = Rc::new(Cell::new(0));
        let count = dropped.clone();
        sim_support::crashed(&mut world, async move {
            create("/d/f").await.write_at_synced(0, bytes(1, 4096).await).await.expect("written");
            let file = File::open(Path::new("/d/f"), OpenOptions::new().write()).await;
            let writes = Writes(Rc::new(RefCell::new(Some(file.expect("opened")))), count);
            task::spawn(Queue::Background, async move {
                let _writes = writes;
                std::future::pending::<()>().await;
            });
            time::sleep(Duration::from_millis(1)).await;
            sim::crash(kind);
        });
        assert_eq!(dropped.get(), 1);
        assert_eq!(disk.read("/d/f").expect("there"), [1; 4096]);
    }
}

//! What the simulated disk keeps through a power cut, rule by rule: what must be there always is, and what need
//! not be is sometimes there and sometimes not, over many seeds. Takes about ten seconds.
#![cfg(feature = "sim")]

mod sim_support;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use engine::file::{self, File, OpenOptions};
use engine::sim::{self, Crash, World};
use engine::task::{self, Queue};
use engine::{buffer, time};
use sim_support::{bytes, crashed, create, open, world};

/// Lets a process do something and the power go; what `look` sees over many seeds.
fn after_power_cut<Fut, R>(life: impl Fn() -> Fut, look: impl Fn(&mut World) -> R) -> BTreeSet<R>
where
    Fut: Future<Output = ()> + 'static,
    R: Ord,
{
    let mut seen = BTreeSet::new();
    for seed in 0..120 {
        let mut world = world(seed);
        let life = life();
        crashed(&mut world, async move {
            life.await;
            sim::crash(Crash::PowerCut);
        });
        seen.insert(look(&mut world));
    }
    seen
}

/// The first byte of a file's first sectors, if it is there.
fn sectors(world: &mut World, path: &str) -> Option<Vec<u8>> {
    Some(world.disk().read(path)?.chunks(512).map(|sector| sector[0]).collect())
}

fn whole(byte: u8) -> Option<Vec<u8>> {
    Some(vec![byte; 8])
}

#[test]
fn a_write_that_was_synced_stays() {
    let life = || async {
        let file = create("/d/f").await;
        file.write_at(0, bytes(1, 4096).await).await.expect("written");
        file.sync_data().await.expect("synced");
    };
    assert_eq!(after_power_cut(life, |w| sectors(w, "/d/f")), BTreeSet::from([whole(1)]));
}

#[test]
fn a_write_that_was_not_synced_is_kept_dropped_or_torn() {
    let life = || async {
        let file = create("/d/f").await;
        file.write_at(0, bytes(1, 4096).await).await.expect("written");
        file.sync_data().await.expect("synced");
        file.write_at(0, bytes(2, 4096).await).await.expect("written");
    };
    let seen = after_power_cut(life, |w| sectors(w, "/d/f"));
    assert!(seen.contains(&whole(1)) && seen.contains(&whole(2)), "{seen:?}");
    assert!(seen.len() > 8, "torn in few ways: {seen:?}");
    assert!(seen.iter().flatten().flatten().all(|byte| [1, 2].contains(byte)), "{seen:?}");
}

#[test]
fn a_sync_covers_only_its_own_file() {
    let life = || async {
        let (a, b) = (create("/d/a").await, create("/d/b").await);
        a.write_at(0, bytes(1, 4096).await).await.expect("written");
        b.write_at(0, bytes(1, 4096).await).await.expect("written");
        b.sync_all().await.expect("synced");
    };
    let seen = after_power_cut(life, |w| (sectors(w, "/d/a"), sectors(w, "/d/b")));
    assert!(seen.iter().all(|(_, b)| *b == whole(1)));
    assert!(seen.iter().any(|(a, _)| *a != whole(1)), "{seen:?}");
}

#[test]
fn a_sync_covers_only_what_completed_before_it_was_submitted() {
    let early = Rc::new(Cell::new(false));
    let life = || {
        let early = early.clone();
        async move {
            let file = create("/d/f").await;
            file.set_len(4096).await.expect("extended");
            file.sync_all().await.expect("synced");
            let late = file.clone();
            let write = task::spawn(Queue::Produce, async move {
                late.write_at(0, bytes(1, 4096).await).await.expect("written");
            });
            // The write is in flight while the sync is submitted.
            task::yield_now().await;
            task::yield_now().await;
            assert!(!write.is_finished());
            file.sync_data().await.expect("synced");
            early.set(write.is_finished());
            write.await;
        }
    };
    let seen = after_power_cut(life, |w| (early.get(), sectors(w, "/d/f")));
    for early in [true, false] {
        assert!(seen.contains(&(early, whole(0))) && seen.contains(&(early, whole(1))), "{seen:?}");
    }
}

#[test]
fn a_dsync_write_stays_and_makes_no_other_durable() {
    let life = || async {
        let plain = create("/d/f").await;
        let options = OpenOptions::new().write().direct().dsync();
        let dsync = File::open(Path::new("/d/f"), options).await.expect("opened");
        plain.write_at(0, bytes(1, 4096).await).await.expect("written");
        dsync.write_at(4096, bytes(2, 4096).await).await.expect("written");
    };
    let seen = after_power_cut(life, |w| sectors(w, "/d/f").expect("there"));
    assert!(seen.iter().all(|s| s[8..] == [2; 8]), "{seen:?}");
    assert!(seen.iter().any(|s| s[..8] == [0; 8]), "{seen:?}");
    assert!(seen.iter().any(|s| s[..8] == [1; 8]), "{seen:?}");
}

#[test]
fn a_dsync_write_over_an_older_one_is_not_undone_by_it() {
    let life = || async {
        let plain = create("/d/f").await;
        let options = OpenOptions::new().write().direct().dsync();
        let dsync = File::open(Path::new("/d/f"), options).await.expect("opened");
        plain.write_at(0, bytes(1, 8192).await).await.expect("written");
        dsync.write_at(0, bytes(2, 4096).await).await.expect("written");
    };
    let seen = after_power_cut(life, |w| sectors(w, "/d/f").expect("there")[..8].to_vec());
    assert_eq!(seen, BTreeSet::from([vec![2; 8]]));
}

#[test]
fn a_write_that_is_synced_with_its_sync_stays() {
    let life = || async {
        let file = create("/d/f").await;
        file.write_at_synced(0, bytes(1, 4096).await).await.expect("written and synced");
    };
    assert_eq!(after_power_cut(life, |w| sectors(w, "/d/f")), BTreeSet::from([whole(1)]));
}

#[test]
fn syncfs_covers_files_lengths_and_names() {
    let life = || async {
        file::create_dir_all("/a/b").await.expect("created");
        let file = open("/a/b/f").await;
        file.write_at(0, bytes(1, 4096).await).await.expect("written");
        file::rename("/a/b/f", "/a/b/g").await.expect("renamed");
        file::syncfs("/a").await.expect("synced");
    };
    assert_eq!(after_power_cut(life, |w| sectors(w, "/a/b/g")), BTreeSet::from([whole(1)]));
}

#[test]
fn syncing_a_file_does_not_save_its_name() {
    let life = || async {
        create("/d/other").await;
        let file = open("/d/f").await;
        file.write_at(0, bytes(1, 4096).await).await.expect("written");
        file.sync_all().await.expect("synced");
    };
    let seen = after_power_cut(life, |w| sectors(w, "/d/f"));
    assert_eq!(seen, BTreeSet::from([None, whole(1)]));
}

#[test]
fn syncing_a_directory_saves_its_names_and_not_its_own() {
    let life = || async {
        file::create_dir_all("/d/e").await.expect("created");
        drop(open("/d/e/f").await);
        file::sync_dir("/d/e").await.expect("synced");
    };
    let seen = after_power_cut(life, |w| sectors(w, "/d/e/f"));
    assert_eq!(seen, BTreeSet::from([None, Some(vec![])]));
    let life = || async {
        file::create_dir_all("/d").await.expect("created");
        file::sync_dir("/").await.expect("synced");
        drop(open("/d/f").await);
        file::sync_dir("/d").await.expect("synced");
    };
    assert_eq!(after_power_cut(life, |w| sectors(w, "/d/f")), BTreeSet::from([Some(vec![])]));
}

#[test]
fn of_the_changes_of_a_directory_the_oldest_few_survive() {
    let life = || async {
        create("/d/f0").await;
        for i in 0..4 {
            let (from, to) = (format!("/d/f{i}"), format!("/d/f{}", i + 1));
            file::rename(from, to).await.expect("renamed");
        }
        drop(open("/d/last").await);
    };
    let names = |w: &mut World| -> Vec<String> {
        w.disk().list().into_iter().map(|(path, _)| path.display().to_string()).collect()
    };
    let seen = after_power_cut(life, names);
    let one = |i: u32| vec![format!("/d/f{i}")];
    let mut expected: BTreeSet<Vec<String>> = (0..5).map(one).collect();
    expected.insert(vec!["/d/f4".to_owned(), "/d/last".to_owned()]);
    assert_eq!(seen, expected);
}

#[test]
fn a_rename_over_a_file_leaves_one_of_the_two() {
    let life = || async {
        let old = create("/d/f").await;
        old.write_at_synced(0, bytes(1, 4096).await).await.expect("written");
        let new = create("/d/f.tmp").await;
        new.write_at_synced(0, bytes(2, 4096).await).await.expect("written");
        file::rename("/d/f.tmp", "/d/f").await.expect("renamed");
    };
    let seen = after_power_cut(life, |w| (sectors(w, "/d/f"), sectors(w, "/d/f.tmp")));
    assert_eq!(seen, BTreeSet::from([(whole(1), whole(2)), (whole(2), None)]));
}

#[test]
fn a_rename_between_directories_is_in_both_or_in_none() {
    let life = || async {
        file::create_dir_all("/a").await.expect("created");
        file::create_dir_all("/b").await.expect("created");
        create("/a/f").await;
        drop(open("/b/before").await);
        file::rename("/a/f", "/b/f").await.expect("renamed");
        file::rename("/b/f", "/a/g").await.expect("renamed");
    };
    let names = |w: &mut World| -> Vec<String> {
        let names = w.disk().list().into_iter().map(|(path, _)| path.display().to_string());
        names.filter(|name| name != "/b/before").collect()
    };
    let seen = after_power_cut(life, names);
    assert_eq!(seen, ["/a/f", "/a/g", "/b/f"].map(|name| vec![name.to_owned()]).into());
}

#[test]
fn a_removed_file_comes_back_until_its_directory_is_synced() {
    let removed = || async {
        let file = create("/d/f").await;
        file.write_at_synced(0, bytes(1, 4096).await).await.expect("written");
        file::remove_file("/d/f").await.expect("removed");
    };
    let seen = after_power_cut(removed, |w| (sectors(w, "/d/f"), w.disk().used()));
    assert_eq!(seen, BTreeSet::from([(None, 0), (whole(1), 4096)]));
    let synced = move || async move {
        removed().await;
        file::sync_dir("/d").await.expect("synced");
    };
    let seen = after_power_cut(synced, |w| (sectors(w, "/d/f"), w.disk().used()));
    assert_eq!(seen, BTreeSet::from([(None, 0)]));
}

#[test]
fn lengths_and_space_survive_in_order() {
    let life = || async {
        let file = create("/d/f").await;
        for len in [4096, 8192, 100, 5000] {
            file.set_len(len).await.expect("set");
        }
        file.allocate(0, 1 << 20).await.expect("room");
    };
    let seen = after_power_cut(life, |w| {
        (w.disk().list().pop().map(|(_, len)| len).unwrap_or_default(), w.disk().used())
    });
    let pairs = [(0, 0), (4096, 0), (8192, 0), (100, 0), (5000, 0), (5000, 1 << 20)];
    assert_eq!(seen, pairs.into());
}

#[test]
fn bytes_beyond_the_length_that_survived_do_not_return() {
    let life = || async {
        let file = create("/d/f").await;
        file.write_at_synced(0, bytes(1, 4096).await).await.expect("written");
        file.write_at(4096, bytes(2, 4096).await).await.expect("written");
    };
    let grow = |w: &mut World| {
        let before = sectors(w, "/d/f").expect("there");
        sim_support::run(w, async { open("/d/f").await.set_len(8192).await.expect("extended") });
        (before, sectors(w, "/d/f").expect("there"))
    };
    for (before, after) in after_power_cut(life, grow) {
        assert_eq!(after[..before.len()], before);
        assert!(after[before.len()..].iter().all(|byte| *byte == 0), "{before:?} {after:?}");
    }
}

#[test]
fn a_write_after_a_truncation_that_is_lost_is_lost_with_it() {
    let life = || async {
        let file = create("/d/f").await;
        file.write_at_synced(0, bytes(1, 8192).await).await.expect("written");
        file.set_len(4096).await.expect("cut");
        file.set_len(8192).await.expect("extended");
        file.write_at(4096, bytes(2, 4096).await).await.expect("written");
    };
    // Its blocks had been given back and taken anew: old and new bytes are never side by side.
    let seen = after_power_cut(life, |w| sectors(w, "/d/f").expect("there")[8..].to_vec());
    for some in [&[][..], &[1; 8], &[0; 8], &[2; 8]] {
        assert!(seen.contains(some), "{some:?} in {seen:?}");
    }
    assert!(!seen.iter().any(|s| s.contains(&1) && (s.contains(&2) || s.contains(&0))), "{seen:?}");
}

#[test]
fn bytes_that_were_cut_off_do_not_return_with_a_sync() {
    let life = || async {
        let plain = create("/d/f").await;
        let options = OpenOptions::new().write().direct().dsync();
        let dsync = File::open(Path::new("/d/f"), options).await.expect("opened");
        plain.write_at(0, bytes(1, 8192).await).await.expect("written");
        plain.set_len(4096).await.expect("cut");
        dsync.write_at(0, bytes(2, 4096).await).await.expect("written");
        plain.set_len(8192).await.expect("extended");
        plain.sync_all().await.expect("synced");
        plain.allocate(0, 4096).await.expect("room");
    };
    let seen = after_power_cut(life, |w| sectors(w, "/d/f").expect("there"));
    assert_eq!(seen, BTreeSet::from([[[2; 8], [0; 8]].concat()]));
}

#[test]
fn a_truncation_that_was_pending_does_not_undo_a_dsync_write() {
    let life = || async {
        let plain = create("/d/f").await;
        let options = OpenOptions::new().write().direct().dsync();
        let dsync = File::open(Path::new("/d/f"), options).await.expect("opened");
        plain.write_at_synced(0, bytes(1, 4096).await).await.expect("written");
        plain.set_len(0).await.expect("cut");
        dsync.write_at(0, bytes(2, 4096).await).await.expect("written");
    };
    assert_eq!(after_power_cut(life, |w| sectors(w, "/d/f")), BTreeSet::from([whole(2)]));
}

#[test]
fn a_kill_keeps_all_that_completed() {
    for seed in 0..40 {
        let mut world = world(seed);
        let life = || async {
            file::create_dir_all("/d").await.expect("created");
            let file = open("/d/f").await;
            file.write_at(0, bytes(1, 4096).await).await.expect("written");
            file::rename("/d/f", "/d/g").await.expect("renamed");
        };
        crashed(&mut world, async move {
            life().await;
            sim::crash(Crash::Kill);
        });
        assert_eq!(sectors(&mut world, "/d/g"), whole(1));
        // It was in the page cache: the next process can make it durable.
        sim_support::run(&mut world, async {
            open("/d/g").await.sync_data().await.expect("synced");
            file::sync_dir("/d").await.expect("synced");
            file::sync_dir("/").await.expect("synced");
        });
        world.cut_power();
        assert_eq!(sectors(&mut world, "/d/g"), whole(1));
    }
}

#[test]
fn what_is_in_flight_at_a_kill_is_there_in_whole_in_part_or_not() {
    let mut seen = BTreeSet::new();
    for seed in 0..120 {
        let mut world = world(seed);
        crashed(&mut world, async {
            let file = create("/d/f").await;
            file.set_len(4096).await.expect("extended");
            let write = async move { file.write_at(0, bytes(1, 4096).await).await };
            drop(task::spawn(Queue::Produce, write));
            time::sleep(Duration::from_micros(5)).await;
            sim::crash(Crash::Kill);
        });
        seen.insert(sectors(&mut world, "/d/f"));
    }
    assert!(seen.contains(&whole(0)) && seen.contains(&whole(1)) && seen.len() > 5, "{seen:?}");
}

#[test]
fn what_creates_truncates_or_removes_at_a_kill_has_done_so_or_not() {
    let mut seen = BTreeSet::new();
    for seed in 0..120 {
        let mut world = world(seed);
        crashed(&mut world, async {
            for name in ["/d/old", "/d/gone"] {
                create(name).await.write_at(0, bytes(1, 4096).await).await.expect("written");
            }
            let empty = OpenOptions::new().write().truncate();
            for (path, options) in [("/d/new", empty.create()), ("/d/old", empty)] {
                let opening = async move { File::open(Path::new(path), options).await };
                drop(task::spawn(Queue::Produce, opening));
            }
            drop(task::spawn(Queue::Produce, file::remove_file("/d/gone")));
            drop(task::spawn(Queue::Produce, file::lock_exclusive("/d/lock")));
            time::sleep(Duration::from_nanos(1)).await;
            sim::crash(Crash::Kill);
        });
        let files = world.disk().list().into_iter();
        seen.insert(files.map(|(path, len)| (path, len > 0)).collect::<Vec<_>>());
        assert_eq!(sim_support::run(&mut world, file::exists("/d/x")).ok(), Some(false));
    }
    let of = |path: &str, long| seen.iter().any(|files| files.contains(&(path.into(), long)));
    assert!(of("/d/new", false) && of("/d/lock", false), "{seen:?}");
    assert!(of("/d/old", false) && of("/d/old", true) && of("/d/gone", true), "{seen:?}");
    let without = |path: &str| seen.iter().any(|f| f.iter().all(|(p, _)| p != Path::new(path)));
    assert!(["/d/new", "/d/lock", "/d/gone"].into_iter().all(without), "{seen:?}");
}

#[test]
fn writes_survive_in_any_order() {
    let life = || async {
        let file = create("/d/f").await;
        file.set_len(3 * 4096).await.expect("extended");
        file.sync_all().await.expect("synced");
        for i in 0..3 {
            file.write_at(i * 4096, bytes(1, 4096).await).await.expect("written");
        }
    };
    let seen = after_power_cut(life, |w| {
        let sectors = sectors(w, "/d/f").expect("there");
        let counters = w.disk().counters();
        assert!(counters.power_cuts == 1 && counters.kept + counters.dropped + counters.torn == 3);
        [0, 8, 16].map(|i| sectors[i..i + 8].iter().map(|b| usize::from(*b)).sum::<usize>())
    });
    for some in [[0, 0, 0], [8, 8, 8], [0, 0, 8], [0, 8, 0], [8, 0, 8]] {
        assert!(seen.contains(&some), "{some:?} in {seen:?}");
    }
}

#[test]
fn replacing_a_file_durably_leaves_the_old_or_the_new_one_at_every_step() {
    for seed in 0..40 {
        for step in 1..40 {
            let mut world = world(seed);
            sim_support::run(&mut world, async {
                file::create_dir_all("/d").await.expect("created");
                file::sync_dir("/").await.expect("synced");
                file::write_durably("/d/f", vec![1; 3000]).await.expect("written");
            });
            world.disk().crash_at_io(step, Crash::PowerCut);
            let end = world.run(1, |_| file::write_durably("/d/f", vec![2; 5000]));
            let bytes = world.disk().read("/d/f").expect("one of the two");
            match end {
                sim::ProcessEnd::Ended(_) => assert_eq!(bytes, [2; 5000]),
                _ => assert!(bytes == [1; 3000] || bytes == [2; 5000], "{step}: {}", bytes.len()),
            }
        }
    }
}

/// What a sector may hold after a power cut: the newest first is what it holds now.
type Candidates = BTreeMap<(usize, u64), Vec<u8>>;

/// Random operations on three files, against the rules restated: each sector after a cut holds something
/// that was written there since the last sync that covered it, or what that sync covered.
#[test]
fn every_sector_after_a_cut_holds_what_the_rules_allow() {
    const FILES: usize = 3;
    const SECTORS: u64 = 64;
    for seed in 0..150 {
        let mut world = world(seed);
        let candidates: Rc<RefCell<Candidates>> = Rc::default();
        sim_support::run(&mut world, async {
            for i in 0..FILES {
                create(&format!("/d/{i}")).await.set_len(SECTORS * 512).await.expect("extended");
            }
            file::syncfs("/").await.expect("synced");
        });
        for round in 0..4u8 {
            let allowed = candidates.clone();
            crashed(&mut world, async move {
                random_life(round, &allowed, FILES, SECTORS).await;
                sim::crash(if round % 2 == 0 { Crash::PowerCut } else { Crash::Kill });
            });
            for i in 0..FILES {
                let now = sectors(&mut world, &format!("/d/{i}")).expect("its name was synced");
                assert_eq!(now.len() as u64, SECTORS);
                for (sector, value) in now.into_iter().enumerate() {
                    let mut candidates = candidates.borrow_mut();
                    let may = candidates.entry((i, sector as u64)).or_insert_with(|| vec![0]);
                    if round % 2 == 0 {
                        assert!(may.contains(&value), "seed {seed}: {value} not in {may:?}");
                        *may = vec![value];
                    } else {
                        assert_eq!(may.last(), Some(&value), "seed {seed}");
                    }
                }
            }
        }
    }
}

async fn random_life(round: u8, allowed: &RefCell<Candidates>, files: usize, sectors: u64) {
    let mut handles = Vec::new();
    for i in 0..files {
        let dsync = OpenOptions::new().write().direct().dsync();
        let path = format!("/d/{i}");
        let dsync = File::open(Path::new(&path), dsync).await.expect("opened");
        handles.push((open(&path).await, dsync));
    }
    for step in 0..30u8 {
        let i = sim::roll(files as u64) as usize;
        let all = |f: &mut dyn FnMut(&mut Vec<u8>), of: &dyn Fn(usize) -> bool| {
            let mut allowed = allowed.borrow_mut();
            for file in (0..files).filter(|file| of(*file)) {
                for sector in 0..sectors {
                    f(allowed.entry((file, sector)).or_insert_with(|| vec![0]));
                }
            }
        };
        let mut newest_only = |may: &mut Vec<u8>| drop(may.drain(..may.len() - 1));
        match sim::roll(10) {
            0 => {
                handles[i].0.sync_data().await.expect("synced");
                all(&mut newest_only, &|file| file == i);
            }
            1 if sim::roll(3) == 0 => {
                file::syncfs("/d").await.expect("synced");
                all(&mut newest_only, &|_| true);
            }
            roll => {
                let page = sim::roll(sectors / 8);
                let pages = 1 + sim::roll((sectors / 8 - page).min(3));
                let value = 1 + round * 40 + step;
                let data = bytes(value, pages as usize * 4096).await;
                let dsync = roll >= 8;
                let file = if dsync { &handles[i].1 } else { &handles[i].0 };
                file.write_at(page * 4096, data).await.expect("written");
                for sector in page * 8..(page + pages) * 8 {
                    let mut allowed = allowed.borrow_mut();
                    let may = allowed.entry((i, sector)).or_insert_with(|| vec![0]);
                    if dsync {
                        may.clear();
                    }
                    may.push(value);
                }
            }
        }
    }
}

#[test]
fn reads_see_what_was_written_whatever_was_synced() {
    let mut world = world(3);
    sim_support::run(&mut world, async {
        let file = create("/d/f").await;
        file.allocate(0, 1 << 20).await.expect("room");
        assert_eq!(file.len().await.expect("known"), 0);
        file.write_at(8192, bytes(7, 4096).await).await.expect("written");
        let (n, block) = file.read_at(0, buffer::alloc(16384).await.expect("fits")).await;
        assert_eq!(n.expect("read"), 12288);
        assert!(block[..8192].iter().all(|b| *b == 0) && block[8192..12288] == [7; 4096]);
        file.set_len(10_000).await.expect("cut");
        file.set_len(12_288).await.expect("extended");
        let (n, block) = file.read_at(8192, buffer::alloc(4096).await.expect("fits")).await;
        assert_eq!(n.expect("read"), 4096);
        assert!(block[..1808] == [7; 1808] && block[1808..].iter().all(|b| *b == 0));
    });
}

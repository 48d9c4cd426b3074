//! The simulated host: a world runs processes, and the same seed runs the same. Takes a few seconds.
#![cfg(feature = "sim")]

mod sim_support;

use std::cell::{Cell, RefCell};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use engine::buffer::{self, Parcel};
use engine::mail::Mesh;
use engine::shard::ShardId;
use engine::sim::{self, Crash, ProcessEnd, World, WorldConfig};
use engine::task::{self, Queue};
use engine::{blocking, file, net, random, time};
use sim_support::{bytes, ended, open, run, world};

const MS: Duration = Duration::from_millis(1);

/// What a run leaves to be compared.
type Life = (u64, u64, Vec<u64>, Vec<(std::path::PathBuf, u64)>);

/// Three shards that write, sync, sleep and send each other mail, and end with the power.
fn busy_life(seed: u64, trace: bool) -> Life {
    let config = WorldConfig { seed, disk_bytes: 64 << 20, memory_bytes_per_shard: 8 << 20, trace };
    let mut world = World::new(config);
    world.disk().crash_at_io(600, Crash::PowerCut);
    let mesh: Mesh<u64> = Mesh::new(3, 4);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = seen.clone();
    let end: ProcessEnd<()> = world.run(3, move |shard| {
        let (mesh, seen) = (mesh.clone(), seen.clone());
        async move {
            let post = mesh.join(shard);
            file::create_dir_all("/data").await.expect("created");
            let file = open(&format!("/data/{shard}")).await;
            drop(task::spawn(Queue::Produce, async move {
                for i in 0.. {
                    let data = bytes(i as u8, 4096).await;
                    file.write_at(i % 50 * 4096, data).await.expect("written");
                    if random::u64().is_multiple_of(4) {
                        file.sync_data().await.expect("synced");
                    }
                    time::sleep(Duration::from_micros(random::u64() % 300)).await;
                }
            }));
            for i in 0.. {
                post.post(ShardId((shard.0 + 1) % 3), u64::from(shard.0) * 1000 + i);
                let (from, message) = post.next().await;
                seen.borrow_mut().push(u64::from(from.0) << 32 | message);
                time::sleep(Duration::from_micros(sim::roll(500))).await;
            }
        }
    });
    assert!(matches!(end, ProcessEnd::Crashed(Crash::PowerCut)), "{end:?}");
    let seen = Rc::try_unwrap(log).expect("the process has let go of it").into_inner();
    assert_eq!(world.trace().is_empty(), !trace);
    (world.trace_hash(), world.events(), seen, world.disk().list())
}

#[test]
fn the_same_seed_is_the_same_run() {
    let first = busy_life(7, false);
    assert_eq!(first, busy_life(7, false));
    assert_eq!(first, busy_life(7, true), "to be watched changes nothing");
    assert!(first.1 > 1_000, "{} events", first.1);
    assert_ne!(first.0, busy_life(8, false).0);
}

#[test]
fn worlds_on_other_threads_change_nothing() {
    let alone = busy_life(11, false);
    let threads: Vec<_> =
        (0..4).map(|i| std::thread::spawn(move || busy_life(11 + i % 2, false))).collect();
    let lives = threads.into_iter().map(|thread| thread.join().expect("no panic"));
    assert_eq!(lives.filter(|life| *life == alone).count(), 2);
}

/// Another process has other addresses, other random seeds of its maps, another clock.
#[test]
fn another_process_runs_the_same() {
    const CHILD: &str = "HEDDLE_SIM_WORLD_CHILD";
    let line = format!("hash {:016x}", busy_life(13, false).0);
    if std::env::var_os(CHILD).is_some() {
        return println!("{line}");
    }
    let name = "another_process_runs_the_same";
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    let output = child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").output();
    let output = String::from_utf8(output.expect("it runs").stdout).expect("text");
    assert!(output.contains(&line), "{line} is not in: {output}");
}

#[test]
fn time_is_virtual_and_timers_fire_in_order() {
    let began = std::time::Instant::now();
    let mut world = world(1);
    let (day, order) = run(&mut world, async {
        let start = (time::now(), time::unix_ms());
        let order = Rc::new(RefCell::new(Vec::new()));
        let mut tasks = Vec::new();
        for ms in [50u32, 3, 700, 4, 0, 86_400_000] {
            let order = order.clone();
            tasks.push(task::spawn(Queue::Fetch, async move {
                let due = time::now() + MS * ms;
                time::sleep(MS * ms).await;
                order.borrow_mut().push(ms);
                assert!(time::now() >= due && time::now().since(due) < MS * 20);
            }));
        }
        for task in tasks {
            task.await;
        }
        let day = start.0.elapsed();
        assert_eq!((day.as_millis() as i64 - (time::unix_ms() - start.1)).abs() / 2, 0);
        assert!(time::timeout(MS, std::future::pending::<()>()).await.is_err());
        (day, order.take())
    });
    assert_eq!(order, [0, 3, 4, 50, 700, 86_400_000]);
    assert!(day >= MS * 86_400_000 && began.elapsed() < Duration::from_secs(600));
    let before = time::now();
    world.advance(MS * 1_000);
    assert_eq!(before.elapsed(), MS * 1_000);
}

#[test]
fn queues_have_their_shares_of_virtual_time() {
    let mut world = world(2);
    let counts = run(&mut world, async {
        let counts = Rc::new([const { Cell::new(0u64) }; 4]);
        let queues = [Queue::Produce, Queue::Fetch, Queue::Cold, Queue::Background];
        for queue in queues {
            let counts = counts.clone();
            drop(task::spawn(queue, async move {
                loop {
                    counts[queue as usize].set(counts[queue as usize].get() + 1);
                    task::yield_now().await;
                }
            }));
        }
        time::sleep(MS * 200).await;
        let stats = engine::shard::stats();
        assert!(stats.queue_ns.iter().sum::<u64>() > 150_000_000, "{stats:?}");
        assert!(stats.longest_task_ns > 500_000, "another process has had the core: {stats:?}");
        [0, 1, 2, 3].map(|i| counts[i].get())
    });
    // 1000 : 600 : 200 : 50, give or take the polls that took long.
    let near =
        |a: u64, b: u64, times: u64| (times * 7 / 10..=times * 14 / 10).contains(&(a * 10 / b));
    assert!(near(counts[0], counts[1], 17), "{counts:?}");
    assert!(near(counts[0], counts[2], 50), "{counts:?}");
    assert!(near(counts[0], counts[3], 200), "{counts:?}");
}

#[test]
fn mail_keeps_its_order_and_parcels_go_home() {
    for seed in 0..20 {
        let mut world = world(seed);
        let mesh: Mesh<(u64, Parcel)> = Mesh::new(2, 8);
        let left = ended(world.run(2, move |shard| {
            let mesh = mesh.clone();
            async move {
                let post = mesh.join(shard);
                if shard.0 == 0 {
                    for i in 0..500u64 {
                        // More than the budget in all: what shard 1 drops has to come back.
                        let slice = bytes(i as u8, 64 << 10).await;
                        post.post(ShardId(1), (i, slice.into_parcel()));
                    }
                    while buffer::usage().used > 0 {
                        time::sleep(MS).await;
                    }
                } else {
                    for i in 0..500u64 {
                        let (from, (number, parcel)) = post.next().await;
                        assert_eq!((from, number, parcel[0]), (ShardId(0), i, i as u8));
                        if sim::roll(4) == 0 {
                            time::sleep(MS).await;
                        }
                    }
                }
                buffer::usage().used
            }
        }));
        assert_eq!(left, [0, 0]);
    }
}

#[test]
fn blocking_jobs_run_also_when_nobody_waits() {
    let mut world = world(3);
    let ran = Rc::new(Cell::new(0));
    run(&mut world, async {
        assert_eq!(blocking::run(|| 6 * 7).await, 42);
        static RAN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let job = task::spawn(Queue::Background, async {
            blocking::run(|| RAN.fetch_add(1, std::sync::atomic::Ordering::Relaxed)).await
        });
        task::yield_now().await;
        task::yield_now().await;
        job.cancel();
        time::sleep(MS * 10).await;
        assert_eq!(RAN.load(std::sync::atomic::Ordering::Relaxed), 1);
    });
    let count = ran.clone();
    let end: ProcessEnd<()> = world.run(1, move |_| {
        let count = count.clone();
        async move {
            count.set(1);
            blocking::run(|| panic!("a job that panics")).await;
            count.set(2);
        }
    });
    let ProcessEnd::Panicked(why) = end else { panic!("{end:?}") };
    assert!(why.starts_with("a job that panics at engine/tests/sim_world.rs:"), "{why}");
    assert_eq!(ran.get(), 1);
}

#[test]
fn random_numbers_are_the_worlds() {
    let draw = |seed| {
        let mut world = world(seed);
        run(&mut world, async { (random::u64(), random::uuid(), sim::roll(1 << 60)) })
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    assert_ne!(random::uuid(), random::uuid());
    let uuid = draw(1).1;
    assert_eq!((uuid[6] >> 4, uuid[8] >> 6), (4, 2));
}

#[test]
fn exits_panics_and_dead_ends_are_told_apart() {
    let mut world = world(1);
    let late = Rc::new(Cell::new(false));
    let other = late.clone();
    let end = world.run::<_, _, ()>(2, move |shard| {
        let late = other.clone();
        async move {
            time::sleep(Duration::from_secs(3600 + u64::from(shard.0))).await;
            if shard.0 == 0 {
                engine::exit_now(70, "HDL-TEST: the end");
            }
            late.set(true);
        }
    });
    let ProcessEnd::Exited { code: 70, message } = end else { panic!("{end:?}") };
    assert_eq!(message, "HDL-TEST: the end");
    assert!(!late.get(), "no shard does another step");
    let end = world.run::<_, _, ()>(1, |_| async { panic!("on purpose {}", 1) });
    let ProcessEnd::Panicked(why) = end else { panic!("{end:?}") };
    assert!(why.starts_with("on purpose 1 at engine/tests/sim_world.rs:"), "{why}");
    let end = world.run::<_, _, ()>(2, |shard| async move {
        if shard.0 == 0 {
            task::spawn(Queue::Background, std::future::pending::<()>()).await;
        }
    });
    let ProcessEnd::Stuck(why) = end else { panic!("{end:?}") };
    assert!(why.contains("shard 0 waits in [engine/src/sim/process.rs:"), "{why}");
    assert!(why.contains("[engine/tests/sim_world.rs:") && !why.contains("shard 1"), "{why}");
    world.set_polls_max(10_000);
    let end = world.run::<_, _, ()>(1, |_| async {
        loop {
            time::sleep(MS).await;
        }
    });
    let ProcessEnd::Stuck(why) = end else { panic!("{end:?}") };
    assert!(why.starts_with("10000 polls, and no end"), "{why}");
    // And the world still works.
    assert_eq!(ended(world.run(3, |shard| async move { shard.0 })), [0, 1, 2]);
}

#[test]
fn every_task_is_dropped_whatever_the_end() {
    struct Counts(Rc<Cell<u32>>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            if self.0.get() == 2 {
                panic!("a destructor that panics keeps no other from running");
            }
        }
    }
    for how in 0..5 {
        let mut world = world(how);
        let dropped = Rc::new(Cell::new(0));
        let count = dropped.clone();
        let end: ProcessEnd<()> = world.run(2, move |shard| {
            let count = count.clone();
            async move {
                for _ in 0..3 {
                    let counts = Counts(count.clone());
                    drop(task::spawn(Queue::Cold, async move {
                        let _counts = counts;
                        std::future::pending::<()>().await;
                    }));
                }
                time::sleep(MS * 5).await;
                match (how, shard.0) {
                    (0, 0) => engine::exit_now(1, "exit"),
                    (1, 0) => sim::crash(Crash::Kill),
                    (2, 0) => sim::crash(Crash::PowerCut),
                    (3, 0) => panic!("first"),
                    (4, _) => {}
                    _ => std::future::pending().await,
                }
            }
        });
        assert_eq!(dropped.get(), 6, "{end:?}");
        match (how, end) {
            (0, ProcessEnd::Exited { .. }) | (1 | 2, ProcessEnd::Crashed(_)) => {}
            (3, ProcessEnd::Panicked(why)) => assert!(why.starts_with("first at"), "{why}"),
            (4, ProcessEnd::Panicked(why)) => assert!(why.starts_with("a destructor"), "{why}"),
            (_, end) => panic!("{how}: {end:?}"),
        }
    }
}

#[test]
fn sockets_are_not_simulated_and_say_so() {
    let mut world = world(1);
    let end: ProcessEnd<()> = world.run(1, |_| async {
        let _ = net::Stream::connect("127.0.0.1:1".parse().expect("an address")).await;
    });
    let ProcessEnd::Panicked(why) = end else { panic!("{end:?}") };
    assert!(why.starts_with("sockets and signals are not simulated"), "{why}");
}

#[test]
fn a_thread_has_one_world_and_a_world_one_process() {
    let first = world(1);
    assert!(std::panic::catch_unwind(|| world(2)).is_err());
    drop(first);
    let mut second = world(2);
    let end: ProcessEnd<()> = second.run(1, |_| async { drop(world(3)) });
    assert!(matches!(end, ProcessEnd::Panicked(_)), "{end:?}");
    assert!(sim::disk().list().is_empty(), "the world is still there");
}

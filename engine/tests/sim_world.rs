//! The simulated host: a world runs processes, and the same seed runs the same.
#![cfg(feature = "sim")]

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use engine::buffer;
use engine::file::{self, File, OpenOptions};
use engine::mail::Mesh;
use engine::shard::ShardId;
use engine::sim::{self, Crash, ProcessEnd, World, WorldConfig};
use engine::task::{self, Queue};
use engine::{random, time};

fn world(seed: u64) -> World {
    World::new(WorldConfig {
        seed,
        disk_bytes: 64 << 20,
        memory_bytes_per_shard: 8 << 20,
        trace: false,
    })
}

fn ended<T: std::fmt::Debug>(end: ProcessEnd<T>) -> Vec<T> {
    match end {
        ProcessEnd::Ended(values) => values,
        other => panic!("the process did not end: {other:?}"),
    }
}

async fn block_of(byte: u8, len: usize) -> buffer::Slice {
    let mut block = buffer::alloc(len).await.expect("fits");
    block.fill(byte);
    block.freeze(len)
}

/// Three shards that write, sync, sleep and send each other mail.
fn busy_life(seed: u64) -> (u64, u64, Vec<u64>) {
    let mut world = world(seed);
    let mesh: Mesh<u64> = Mesh::new(3, 4);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = seen.clone();
    let end = world.run(3, move |shard| {
        let (mesh, seen) = (mesh.clone(), seen.clone());
        async move {
            let post = mesh.join(shard);
            let path = format!("/data/{shard}");
            file::create_dir_all("/data").await.expect("created");
            let options = OpenOptions::new().read().write().create().direct();
            let file = File::open(Path::new(&path), options).await.expect("opened");
            let writer = task::spawn(Queue::Produce, async move {
                for i in 0..20u64 {
                    let data = block_of(i as u8 + 1, 4096).await;
                    file.write_at(i * 4096, data).await.expect("written");
                    if random::u64().is_multiple_of(4) {
                        file.sync_data().await.expect("synced");
                    }
                    time::sleep(Duration::from_micros(random::u64() % 300)).await;
                }
            });
            for i in 0..50 {
                post.post(ShardId((shard.0 + 1) % 3), u64::from(shard.0) * 1000 + i);
                let (from, message) = post.next().await;
                seen.borrow_mut().push(u64::from(from.0) << 32 | message);
            }
            writer.await;
        }
    });
    ended(end);
    (world.trace_hash(), world.events(), Rc::try_unwrap(log).expect("alone").into_inner())
}

#[test]
fn the_same_seed_is_the_same_run() {
    let first = busy_life(7);
    assert_eq!(first, busy_life(7));
    assert!(first.1 > 500, "{} events", first.1);
    assert_ne!(first.0, busy_life(8).0);
}

#[test]
fn a_file_survives_a_kill_and_what_was_synced_a_power_cut() {
    for seed in 0..200 {
        let mut world = world(seed);
        let end = world.run::<_, _, ()>(1, |_| async {
            file::create_dir_all("/d").await.expect("created");
            let options = OpenOptions::new().read().write().create().direct();
            let file = File::open(Path::new("/d/f"), options).await.expect("opened");
            file.write_at(0, block_of(1, 8192).await).await.expect("written");
            file.sync_data().await.expect("synced");
            file::sync_dir("/d").await.expect("synced");
            file::sync_dir("/").await.expect("synced");
            file.write_at(8192, block_of(2, 8192).await).await.expect("written");
            sim::crash(Crash::PowerCut);
        });
        assert!(matches!(end, ProcessEnd::Crashed(Crash::PowerCut)), "{end:?}");
        let bytes = world.disk().read("/d/f").expect("its name was synced");
        assert_eq!(bytes[..8192], [1; 8192]);
        assert!(bytes[8192..].iter().all(|b| [0, 2].contains(b)));
        let ends = world.run(1, |_| async {
            let options = OpenOptions::new().read().direct();
            let file = File::open(Path::new("/d/f"), options).await.expect("opened");
            let (n, block) = file.read_at(0, buffer::alloc(8192).await.expect("fits")).await;
            (n.expect("read"), block[0])
        });
        assert_eq!(ended(ends), [(8192, 1)]);
    }
}

#[test]
fn exits_panics_and_dead_ends_are_told_apart() {
    let mut world = world(1);
    let end = world.run::<_, _, ()>(2, |shard| async move {
        time::sleep(Duration::from_secs(3600)).await;
        if shard.0 == 1 {
            engine::exit_now(70, "HDL-TEST: the end");
        }
    });
    let ProcessEnd::Exited { code: 70, message } = end else { panic!("{end:?}") };
    assert_eq!(message, "HDL-TEST: the end");
    let end = world.run::<_, _, ()>(1, |_| async { panic!("on purpose {}", 1) });
    let ProcessEnd::Panicked(why) = end else { panic!("{end:?}") };
    assert!(why.starts_with("on purpose 1 at engine/tests/sim_world.rs:"), "{why}");
    let end = world.run::<_, _, ()>(1, |_| async {
        task::spawn(Queue::Background, std::future::pending::<()>()).await;
    });
    let ProcessEnd::Stuck(why) = end else { panic!("{end:?}") };
    assert!(why.contains("engine/tests/sim_world.rs:"), "{why}");
}

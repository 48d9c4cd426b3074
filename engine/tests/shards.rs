//! Several shards at once: mail in order whatever is full, memory that comes home, signals, blocking work,
//! and an end that leaves nothing running.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::pattern;
use engine::buffer::{self, Parcel, Slice};
use engine::mail::Mesh;
use engine::shard::{self, Launch, ShardId, launch};
use engine::task::{Queue, spawn};
use engine::{blocking, sync, time};

const MS: Duration = Duration::from_millis(1);

/// Runs `main` on `shards` shards to their end.
fn run_shards<F, Fut>(shards: usize, main: F)
where
    F: Fn(ShardId) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let options = Launch { shards, memory_bytes_per_shard: 16 << 20, ..Launch::default() };
    let body = move |shard| {
        let work = main(shard);
        async move { time::timeout(Duration::from_secs(60), work).await.map_err(|_| "it hangs") }
    };
    launch(options, body).expect("io_uring works").join().expect("every shard ends in time");
}

#[test]
fn mail_keeps_its_order_through_full_queues_and_outboxes() {
    const MESSAGES: u64 = 20_000;
    let mesh = Mesh::<u64>::new(3, 16);
    run_shards(3, move |me| {
        let mesh = mesh.clone();
        async move {
            let post = mesh.join(me);
            let reader = post.clone();
            let received = spawn(Queue::Produce, async move {
                let mut next = [0u64; 3];
                for _ in 0..3 * MESSAGES {
                    let (from, number) = reader.next().await;
                    assert_eq!(number, next[usize::from(from.0)], "from {from}");
                    next[usize::from(from.0)] += 1;
                }
                next
            });
            for number in 0..MESSAGES {
                (0..3).for_each(|to| post.post(ShardId(to), number));
                if number % 1000 == 0 {
                    engine::task::yield_now().await;
                }
            }
            assert!(post.outbox_len() > 0, "queues of 16 are full by now");
            assert_eq!(received.await, [MESSAGES; 3]);
            // The others may still wait for what is in the outbox.
            while post.outbox_len() > 0 {
                time::sleep(MS).await;
            }
        }
    });
}

#[test]
fn a_reader_that_stops_gets_everything_later() {
    let mesh = Mesh::<u32>::new(2, 4);
    run_shards(2, move |me| {
        let mesh = mesh.clone();
        async move {
            let post = mesh.join(me);
            if me == ShardId(0) {
                (0..1000).for_each(|i| post.post(ShardId(1), i));
                assert_eq!(post.next().await, (ShardId(1), 0));
                assert_eq!(post.outbox_len(), 0);
                let stats = shard::stats();
                assert!(
                    stats.turns < 2000,
                    "a full peer is waited for, not asked again: {stats:?}"
                );
            } else {
                time::sleep(50 * MS).await;
                for i in 0..1000 {
                    assert_eq!(post.next().await, (ShardId(0), i));
                }
                post.post(ShardId(0), 0);
            }
        }
    });
}

#[test]
fn sleeping_shards_are_woken_every_time() {
    const ROUNDS: u64 = 5000;
    let mesh = Mesh::<u64>::new(2, 64);
    run_shards(2, move |me| {
        let mesh = mesh.clone();
        async move {
            let post = mesh.join(me);
            let other = ShardId(1 - me.0);
            if me.0 == 0 {
                post.post(other, 0);
            }
            for round in 0..ROUNDS {
                let (_, number) = post.next().await;
                assert_eq!(number, round);
                if me.0 == 0 && round + 1 < ROUNDS {
                    post.post(other, round + 1);
                } else if me.0 == 1 {
                    post.post(other, round);
                }
                // Vary who is asleep when.
                if number % 7 == 0 {
                    std::hint::black_box(pattern((number % 5000) as usize, 0));
                }
            }
        }
    });
}

#[test]
fn parcels_are_read_abroad_and_released_at_home() {
    let mesh = Mesh::<Option<Parcel>>::new(2, 8);
    run_shards(2, move |me| {
        let mesh = mesh.clone();
        async move {
            let post = mesh.join(me);
            if me.0 == 0 {
                let before = buffer::usage().used;
                for i in 0..200u8 {
                    let mut block = buffer::alloc(64 << 10).await.expect("within the budget");
                    block[..1000].copy_from_slice(&pattern(1000, i));
                    let slice = block.freeze(1000);
                    post.post(ShardId(1), Some(slice.slice(..500).into_parcel()));
                    post.post(ShardId(1), Some(slice.slice(500..).into_parcel()));
                }
                post.post(ShardId(1), None);
                // One comes back unopened and is opened here.
                let (_, back) = post.next().await;
                let slice: Slice = back.expect("a parcel").into_slice().expect("it is at home");
                assert_eq!(*slice, pattern(1000, 0)[..500]);
                drop(slice);
                post.next().await;
                assert_eq!(buffer::usage().used, before, "all came home");
            } else {
                let mut kept = None;
                for i in 0.. {
                    let (_, Some(parcel)) = post.next().await else { break };
                    let expected = pattern(1000, (i / 2) as u8);
                    let half = if i % 2 == 0 { &expected[..500] } else { &expected[500..] };
                    assert_eq!(*parcel, *half);
                    let parcel = parcel.into_slice().expect_err("it is not at home");
                    if i == 0 {
                        kept = Some(parcel);
                    }
                }
                post.post(ShardId(0), kept);
                post.post(ShardId(0), None);
            }
        }
    });
}

#[test]
fn memory_freed_abroad_ends_a_wait_at_home() {
    let mesh = Mesh::<Option<buffer::Block>>::new(2, 64);
    run_shards(2, move |me| {
        let mesh = mesh.clone();
        async move {
            let post = mesh.join(me);
            if me.0 == 0 {
                // The whole budget leaves.
                let mut out = 0;
                while let Some(block) = buffer::try_alloc(1 << 20) {
                    post.post(ShardId(1), Some(block));
                    out += 1;
                }
                assert_eq!(out, 16);
                for _ in 0..3 * out {
                    let block = buffer::alloc(1 << 20).await.expect("within the budget");
                    post.post(ShardId(1), Some(block));
                }
                post.post(ShardId(1), None);
                drop(post.next().await);
                assert_eq!(buffer::usage().used, 0);
            } else {
                while let (_, Some(block)) = post.next().await {
                    time::sleep(MS / 5).await;
                    drop(block);
                }
                post.post(ShardId(0), None);
            }
        }
    });
}

#[test]
fn a_block_frozen_abroad_goes_home_with_its_last_slice() {
    let mesh = Mesh::<Result<buffer::Block, Parcel>>::new(2, 64);
    run_shards(2, move |me| {
        let mesh = mesh.clone();
        async move {
            let post = mesh.join(me);
            if me.0 == 0 {
                post.post(ShardId(1), Ok(buffer::try_alloc(4096).expect("memory")));
                let (_, back) = post.next().await;
                assert_eq!(buffer::usage().used, 4096);
                drop(back);
                // The parcel's home is the other shard, the block's is here.
                while buffer::usage().used > 0 {
                    time::sleep(MS).await;
                }
                post.post(ShardId(1), Ok(buffer::try_alloc(4096).expect("memory")));
            } else {
                let (_, Ok(block)) = post.next().await else { panic!("a block was sent") };
                post.post(ShardId(0), Err(block.freeze(10).into_parcel()));
                drop(post.next().await);
            }
        }
    });
}

#[test]
fn wakers_work_from_any_thread() {
    run_shards(1, |_| async {
        for i in 0..200u64 {
            let state = Arc::new(Mutex::new((false, None::<std::task::Waker>)));
            let theirs = state.clone();
            let thread = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_micros(i % 100));
                let mut state = theirs.lock().expect("no panic");
                state.0 = true;
                if let Some(waker) = state.1.take() {
                    waker.wake();
                }
            });
            std::future::poll_fn(|cx| {
                let mut state = state.lock().expect("no panic");
                state.1 = Some(cx.waker().clone());
                if state.0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
            thread.join().expect("it is done");
        }
    });
}

#[test]
fn blocking_work_is_bounded_and_all_of_it_is_done() {
    static RUNNING: AtomicU64 = AtomicU64::new(0);
    static MOST: AtomicU64 = AtomicU64::new(0);
    run_shards(2, |_| async {
        let jobs: Vec<_> = (0..300u64)
            .map(|i| {
                spawn(Queue::Background, async move {
                    let square = blocking::run(move || {
                        MOST.fetch_max(
                            RUNNING.fetch_add(1, Ordering::SeqCst) + 1,
                            Ordering::SeqCst,
                        );
                        std::thread::sleep(Duration::from_micros(50));
                        RUNNING.fetch_sub(1, Ordering::SeqCst);
                        i * i
                    });
                    assert_eq!(square.await, i * i);
                })
            })
            .collect();
        // Some callers give up; their jobs' permits come back.
        for (i, job) in jobs.into_iter().enumerate() {
            if i % 10 == 3 {
                job.cancel();
            } else {
                job.await;
            }
        }
    });
    assert!(MOST.load(Ordering::SeqCst) <= 2, "the pool has two threads");
}

#[test]
fn an_idle_shard_does_nothing() {
    run_shards(2, |_| async {
        time::sleep(20 * MS).await;
        let before = shard::stats();
        time::sleep(400 * MS).await;
        let after = shard::stats();
        let enters = after.enters - before.enters;
        assert!(enters <= 6, "an idle shard entered the kernel {enters} times in 400 ms");
    });
}

#[test]
fn the_first_error_ends_the_join() {
    let options = Launch { shards: 3, memory_bytes_per_shard: 1 << 20, ..Launch::default() };
    let body = |me: ShardId| async move {
        if me.0 == 1 {
            return Err("shard one cannot");
        }
        time::sleep(Duration::from_millis(100)).await;
        Ok(())
    };
    assert_eq!(launch(options, body).expect("io_uring works").join(), Err("shard one cannot"));
}

#[test]
fn what_tasks_own_is_dropped_on_their_shard_at_its_end() {
    struct OnDrop(ShardId, Arc<AtomicU64>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            assert_eq!(shard::current(), self.0);
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
    let drops = Arc::new(AtomicU64::new(0));
    let count = drops.clone();
    run_shards(2, move |me| {
        let drops = drops.clone();
        async move {
            for _ in 0..10 {
                let own = OnDrop(me, drops.clone());
                spawn(Queue::Background, async move {
                    let _own = own;
                    std::future::pending::<()>().await;
                });
            }
            engine::task::yield_now().await;
        }
    });
    assert_eq!(count.load(Ordering::SeqCst), 20);
}

#[test]
fn a_panic_on_a_shard_ends_the_process_with_its_message() {
    const NAME: &str = "a_panic_on_a_shard_ends_the_process_with_its_message";
    if std::env::var_os("HEDDLE_TEST_PANIC").is_some() {
        run_shards(2, |me| async move {
            assert_ne!(me.0, 1, "the reason is told");
            std::future::pending::<()>().await;
        });
    }
    let this = std::env::current_exe().expect("a test has a file");
    let mut child = std::process::Command::new(this);
    let child =
        child.args([NAME, "--exact"]).env("HEDDLE_TEST_PANIC", "1").output().expect("started");
    assert!(!child.status.success());
    let told = String::from_utf8_lossy(&child.stderr);
    assert!(told.contains("HDL-BUG-001") && told.contains("the reason is told"), "{told}");
}

#[test]
fn terminate_hears_the_signal() {
    run_shards(1, |_| async {
        for (signal, name) in [(libc::SIGTERM, "SIGTERM"), (libc::SIGINT, "SIGINT")] {
            let heard = spawn(Queue::Background, engine::signal::terminate());
            time::sleep(5 * MS).await;
            // To this thread only: the test harness has threads that do not block the signal.
            // SAFETY: raise takes a number; the launch has blocked both signals on this thread.
            unsafe { libc::raise(signal) };
            assert!(engine::signal::is_pending(), "it is blocked, and nobody was polled since");
            assert_eq!(heard.await, name);
            assert!(!engine::signal::is_pending(), "it was taken");
        }
    });
}

#[test]
fn queues_share_the_time_by_their_shares() {
    run_shards(1, |_| async {
        for queue in [Queue::Produce, Queue::Fetch, Queue::Cold, Queue::Background] {
            spawn(queue, async {
                loop {
                    let start = time::now();
                    while start.elapsed() < Duration::from_micros(20) {}
                    engine::task::yield_now().await;
                }
            });
        }
        time::sleep(800 * MS).await;
        // Time, not polls: on a busy machine a poll may be held up by other processes.
        let ns = shard::stats().queue_ns;
        let total = ns.iter().sum::<u64>() as f64;
        for (i, wanted) in [1000.0, 600.0, 200.0, 50.0].iter().enumerate() {
            let (got, wanted) = (ns[i] as f64 / total, wanted / 1850.0);
            assert!(
                (got / wanted - 1.0).abs() < 0.35,
                "queue {i} had {got:.3}, wanted {wanted:.3}"
            );
        }
    });
}

#[test]
fn a_long_task_is_counted() {
    run_shards(1, |_| async {
        spawn(Queue::Cold, async {
            let start = time::now();
            while start.elapsed() < 2 * MS {}
        })
        .await;
        let stats = shard::stats();
        assert_eq!(stats.long_tasks[Queue::Cold as usize], 1);
        assert!(stats.longest_task_ns >= 2_000_000);
    });
}

#[test]
fn a_gate_closes_behind_the_last() {
    run_shards(1, |_| async {
        let gate = sync::Gate::new();
        for _ in 0..3 {
            let pass = gate.enter().expect("open");
            spawn(Queue::Fetch, async move {
                time::sleep(MS).await;
                drop(pass);
            });
        }
        gate.close().await;
        assert_eq!(gate.inside(), 0);
        assert!(gate.enter().is_none());
    });
}

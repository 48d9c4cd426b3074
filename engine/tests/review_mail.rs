//! Mail under floods: does everything else on the shard go on?

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use engine::mail::Mesh;
use engine::shard::{Launch, ShardId, block_on, launch};
use engine::task::{Queue, spawn};
use engine::time;

const PATIENCE: Duration = Duration::from_secs(30);

fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let _ = done.send(work());
    });
    ended.recv_timeout(PATIENCE).expect("it ends")
}

#[test]
fn a_reader_of_endless_mail_lets_others_run() {
    within(|| {
        let future = async {
            let post = Mesh::<u64>::new(1, 16).join(ShardId(0));
            let read = Rc::new(Cell::new(0u64));
            let count = read.clone();
            spawn(Queue::Produce, async move {
                post.post(ShardId(0), 0);
                loop {
                    let (from, number) = post.next().await;
                    count.set(count.get() + 1);
                    post.post(from, number + 1);
                }
            });
            for _ in 0..5 {
                time::sleep(Duration::from_millis(1)).await;
            }
            assert!(read.get() > 1000, "read {}", read.get());
        };
        block_on(&Launch::default(), future).expect("the tests run where io_uring works");
    });
}

#[test]
fn two_shards_flood_each_other_in_order_through_small_queues() {
    const MESSAGES: u64 = 50_000;
    const WINDOW: u64 = 1000;
    within(|| {
        let shards = Launch { shards: 2, ..Launch::default() };
        let mesh = Mesh::<(bool, u64)>::new(2, 4);
        let running = launch(shards, move |me| {
            let mesh = mesh.clone();
            async move {
                let post = mesh.join(me);
                let other = ShardId(1 - me.0);
                let (mut sent, mut answered, mut seen) = (0, 0, 0);
                while answered < MESSAGES || seen < MESSAGES {
                    while sent < MESSAGES && sent - answered < WINDOW {
                        post.post(other, (true, sent));
                        sent += 1;
                    }
                    let (from, (is_request, number)) = post.next().await;
                    assert_eq!(from, other);
                    if is_request {
                        assert_eq!(number, seen);
                        seen += 1;
                        post.post(other, (false, number));
                    } else {
                        assert_eq!(number, answered);
                        answered += 1;
                    }
                }
                // What waits in the outbox must leave before the shard does.
                while post.outbox_len() > 0 {
                    time::sleep(Duration::from_millis(1)).await;
                }
                Ok::<(), ()>(())
            }
        });
        running.expect("launched").join().expect("both ended");
    });
}

#[test]
fn sleeping_shards_are_always_woken() {
    // One message at a time, so that both shards sleep before each: a lost wake-up stops it for good.
    const ROUNDS: u64 = 20_000;
    within(|| {
        let shards = Launch { shards: 2, ..Launch::default() };
        let mesh = Mesh::<u64>::new(2, 4);
        let running = launch(shards, move |me| {
            let mesh = mesh.clone();
            async move {
                let post = mesh.join(me);
                if me == ShardId(0) {
                    post.post(ShardId(1), 0);
                }
                loop {
                    let (from, round) = post.next().await;
                    if round < ROUNDS {
                        post.post(from, round + 1);
                    }
                    if round + 1 >= ROUNDS {
                        return Ok::<(), ()>(());
                    }
                }
            }
        });
        running.expect("launched").join().expect("both ended");
    });
}

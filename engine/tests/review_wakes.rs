//! Who is woken when someone in line goes away, when the ring is full, and from threads without one.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use engine::file::{File, OpenOptions};
use engine::shard::{Launch, block_on};
use engine::sync::{Notify, Queue as Items, Semaphore};
use engine::task::{Queue, spawn, yield_now};
use engine::{blocking, buffer, time};

const PATIENCE: Duration = Duration::from_secs(20);

fn within<F: Future<Output = ()> + 'static>(
    launch: Launch,
    make: impl FnOnce() -> F + Send + 'static,
) {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        block_on(&launch, async move { make().await }).expect("the tests run where io_uring works");
        let _ = done.send(());
    });
    ended.recv_timeout(PATIENCE).expect("it ends");
}

#[test]
fn a_granted_place_that_is_given_up_goes_to_the_next() {
    within(Launch::default(), || async {
        let (permits, notify, items) =
            (Semaphore::new(1), Rc::new(Notify::new()), Items::<u8>::new(1));
        for _ in 0..2 {
            let held = permits.try_acquire(1).expect("free");
            let (p, n, i) = (permits.clone(), notify.clone(), items.clone());
            let first = (
                spawn(Queue::Produce, async move { p.acquire(1).await.map(drop) }),
                spawn(Queue::Produce, async move { n.notified().await }),
                spawn(Queue::Produce, async move { i.pop().await.map(drop) }),
            );
            yield_now().await;
            let (p, n, i) = (permits.clone(), notify.clone(), items.clone());
            let second = (
                spawn(Queue::Produce, async move { p.acquire(1).await.map(drop) }),
                spawn(Queue::Produce, async move { n.notified().await }),
                spawn(Queue::Produce, async move { i.pop().await.map(drop) }),
            );
            yield_now().await;
            // All three are granted to the first, which goes away before it knows.
            drop(held);
            notify.notify_one();
            items.try_push(1).expect("room");
            first.0.cancel();
            first.1.cancel();
            first.2.cancel();
            second.0.await.expect("not closed");
            second.1.await;
            second.2.await.expect("not closed");
        }
        // The same for those that push.
        items.try_push(1).expect("room");
        let (a, b) = (items.clone(), items.clone());
        let first = spawn(Queue::Produce, async move { a.push(2).await });
        let second = spawn(Queue::Produce, async move { b.push(3).await });
        yield_now().await;
        assert_eq!(items.try_pop(), Some(1));
        first.cancel();
        second.await.expect("not closed");
        assert_eq!(items.try_pop(), Some(3));
    });
}

#[test]
fn memory_given_up_in_line_goes_to_the_next() {
    let launch = Launch { memory_bytes_per_shard: 1 << 20, ..Launch::default() };
    within(launch, || async {
        let all = buffer::alloc(1 << 20).await.expect("within the budget");
        let large = spawn(Queue::Produce, async { buffer::alloc(1 << 20).await });
        let small = spawn(Queue::Produce, async { buffer::alloc(4096).await });
        yield_now().await;
        drop(all);
        large.cancel();
        small.await.expect("within the budget");
        // A block dropped on a thread without a ring wakes the shard that waits for it.
        let all = buffer::alloc(1 << 20).await.expect("within the budget");
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            drop(all);
        });
        buffer::alloc(1 << 20).await.expect("within the budget");
        thread.join().expect("it ends");
        let parcel = buffer::alloc(1 << 20).await.expect("within the budget");
        let parcel = parcel.freeze(100).into_parcel();
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            drop(parcel);
        });
        buffer::alloc(1 << 20).await.expect("within the budget");
        thread.join().expect("it ends");
    });
}

#[test]
fn more_operations_than_the_ring_holds_all_complete() {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let path = dir.path().join("data");
    within(Launch::default(), move || async move {
        let options = OpenOptions::new().read().write().create();
        let file = File::open(&path, options).await.expect("opened");
        let done = Rc::new(Cell::new(0));
        let mut tasks = Vec::new();
        for i in 0..30_000u64 {
            let (file, done) = (file.clone(), done.clone());
            tasks.push(spawn(Queue::Produce, async move {
                if i % 100 == 0 {
                    let data = buffer::Slice::from_vec(vec![i as u8; 10]);
                    file.write_at_synced(i, data).await.expect("written");
                } else {
                    file.len().await.expect("length");
                }
                done.set(done.get() + 1);
            }));
        }
        for task in tasks {
            task.await;
        }
        assert_eq!(done.get(), 30_000);
        drop(dir);
    });
}

#[test]
fn a_busy_shard_still_hears_of_its_completions() {
    within(Launch::default(), || async {
        let busy = spawn(Queue::Produce, async {
            loop {
                yield_now().await;
            }
        });
        let start = time::now();
        for _ in 0..50 {
            blocking::run(|| ()).await;
            time::sleep(Duration::from_micros(200)).await;
            let path = PathBuf::from("/proc/self/stat");
            let file = File::open(&path, OpenOptions::new().read());
            file.await.expect("opened").len().await.expect("length");
        }
        assert!(start.elapsed() < Duration::from_secs(3), "took {:?}", start.elapsed());
        busy.cancel();
    });
}

#[test]
fn blocking_work_may_outlive_those_that_asked_for_it() {
    for round in 0..20 {
        within(Launch::default(), move || async move {
            for i in 0..100 {
                let work = blocking::run(move || thread::sleep(Duration::from_micros(i)));
                let limit = Duration::from_micros(round * 10);
                let _ = time::timeout(limit, work).await;
            }
        });
    }
}

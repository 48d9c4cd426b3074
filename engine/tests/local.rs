//! One shard: memory that is waited for in line, the primitives between tasks, timers and cancellation.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use common::{MEMORY, run};
use engine::buffer::{self, TooLarge};
use engine::sync::{AcquireError, Notify, Queue as Items, Semaphore, TryPushError, oneshot};
use engine::task::{Queue, spawn, yield_now};
use engine::time::{self, Elapsed};

const MS: Duration = Duration::from_millis(1);

#[test]
fn blocks_are_aligned_and_as_long_as_asked() {
    run(async {
        for len in [1, 4096, 4097, 16384, 20_000, 65536, 300_000, 1 << 20, (1 << 20) + 1, 10 << 20]
        {
            let mut block = buffer::alloc(len).await.expect("memory");
            assert_eq!(block.len(), len.next_multiple_of(4096));
            assert_eq!(block.as_ptr().addr() % buffer::ALIGN, 0);
            block.fill(0xaa);
            assert!(block.iter().all(|b| *b == 0xaa));
        }
        assert_eq!(buffer::usage().used, 0);
        assert_eq!(buffer::usage().budget, MEMORY);
    });
}

#[test]
fn more_than_the_budget_is_refused_at_once() {
    run(async {
        for wanted in [MEMORY + 1, usize::MAX, usize::MAX - 4095] {
            let refused = buffer::alloc(wanted).await.expect_err("too large");
            assert_eq!(refused, TooLarge { wanted, budget: MEMORY });
            assert!(buffer::try_alloc(wanted).is_none());
        }
    });
}

#[test]
fn memory_is_waited_for_in_line() {
    run(async {
        let mut held: Vec<_> =
            (0..64).map(|_| buffer::try_alloc(1 << 20).expect("memory")).collect();
        assert!(buffer::try_alloc(4096).is_none());
        let order = Rc::new(RefCell::new(Vec::new()));
        let wait = |name: &'static str, bytes| {
            let order = order.clone();
            spawn(Queue::Fetch, async move {
                let block = buffer::alloc(bytes).await.expect("memory");
                order.borrow_mut().push(name);
                block
            })
        };
        let large = wait("large", 8 << 20);
        let given_up = wait("given up", 4 << 20);
        let small = wait("small", 4096);
        yield_now().await;
        held.truncate(60);
        yield_now().await;
        yield_now().await;
        assert!(buffer::try_alloc(4096).is_none(), "nobody overtakes those in line");
        assert!(
            order.borrow().is_empty(),
            "four MiB are not eight, and the small one is not first"
        );
        given_up.cancel();
        held.truncate(55);
        let (a, b) = (large.await, small.await);
        assert_eq!(*order.borrow(), ["large", "small"]);
        drop((a, b, held));
        assert_eq!(buffer::usage().used, 0);
    });
}

#[test]
fn a_waiter_that_gives_up_lets_the_next_one_in() {
    run(async {
        let mut held: Vec<_> =
            (0..64).map(|_| buffer::try_alloc(1 << 20).expect("memory")).collect();
        let large = spawn(Queue::Fetch, buffer::alloc(32 << 20));
        yield_now().await;
        let small = spawn(Queue::Fetch, buffer::alloc(1 << 20));
        held.truncate(62);
        yield_now().await;
        large.cancel();
        small.await.expect("memory");
    });
}

#[test]
fn many_sizes_in_any_order_leave_nothing() {
    run(async {
        let mut state = 1u64;
        let mut held = Vec::new();
        for i in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let pick = (state >> 33) as usize;
            if pick.is_multiple_of(2) || held.len() > 200 {
                if !held.is_empty() {
                    let at = pick % held.len();
                    let (block, mark): (buffer::Block, u8) = held.swap_remove(at);
                    assert!(
                        block.iter().step_by(1024).all(|b| *b == mark),
                        "somebody else wrote here"
                    );
                }
            } else if let Some(mut block) = buffer::try_alloc(1 << (pick % 22)) {
                block.fill(i as u8);
                held.push((block, i as u8));
            }
        }
        drop(held);
        assert_eq!(buffer::usage().used, 0);
    });
}

#[test]
fn a_semaphore_serves_in_order_and_takes_back() {
    run(async {
        let s = Semaphore::new(10);
        let mut first = s.acquire(8).await.expect("free");
        let order = Rc::new(RefCell::new(Vec::new()));
        let wait = |n: u64| {
            let (s, order) = (s.clone(), order.clone());
            spawn(Queue::Fetch, async move {
                let permit = s.acquire(n).await.expect("open");
                order.borrow_mut().push(n);
                permit
            })
        };
        let (a, b, c) = (wait(6), wait(1), wait(2));
        yield_now().await;
        assert!(s.try_acquire(1).is_none(), "nobody overtakes");
        b.cancel();
        first.release(3);
        yield_now().await;
        assert!(order.borrow().is_empty());
        let part = first.split(2);
        drop(part);
        let (a, c) = (a.await, c);
        assert_eq!(*order.borrow(), [6]);
        drop(a);
        let c = c.await;
        drop((first, c));
        assert_eq!(s.available(), 10);
        assert_eq!(s.acquire(11).await.err(), Some(AcquireError::TooMany));
        let all = s.acquire(10).await.expect("free");
        let waiting = wait(1);
        yield_now().await;
        waiting.cancel();
        s.close();
        assert_eq!(s.acquire(1).await.err(), Some(AcquireError::Closed));
        drop(all);
    });
}

#[test]
fn a_granted_permit_nobody_picks_up_goes_to_the_next() {
    run(async {
        let s = Semaphore::new(1);
        let held = s.acquire(1).await.expect("free");
        let s1 = s.clone();
        let first = spawn(Queue::Background, async move { s1.acquire(1).await.map(drop) });
        let s2 = s.clone();
        let second = spawn(Queue::Background, async move { s2.acquire(1).await.map(drop) });
        yield_now().await;
        time::sleep(MS).await;
        drop(held);
        // The first has its permit granted and is not polled again.
        first.cancel();
        second.await.expect("served");
        assert_eq!(s.available(), 1);
    });
}

#[test]
fn notifications_are_not_lost_between_the_look_and_the_wait() {
    run(async {
        let n = Notify::new();
        let taken = n.notified();
        n.notify_all();
        taken.await;
        n.notify_one();
        n.notified().await;
        assert_eq!(time::timeout(MS, n.notified()).await, Err(Elapsed));
        let n = Rc::new(n);
        let woken = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let (n, woken) = (n.clone(), woken.clone());
                spawn(Queue::Fetch, async move {
                    n.notified().await;
                    woken.set(woken.get() + 1);
                })
            })
            .collect();
        time::sleep(MS).await;
        n.notify_one();
        time::sleep(MS).await;
        assert_eq!(woken.get(), 1);
        n.notify_all();
        for task in tasks {
            task.await;
        }
    });
}

#[test]
fn a_queue_is_bounded_in_order_and_closes() {
    run(async {
        let q = Items::new(3);
        let pusher = q.clone();
        let pushing = spawn(Queue::Fetch, async move {
            for i in 0..100 {
                pusher.push(i).await.expect("open");
                assert!(pusher.len() <= 3);
            }
            pusher.close();
        });
        for i in 0..100 {
            if i % 10 == 0 {
                time::sleep(MS / 10).await;
            }
            assert_eq!(q.pop().await, Some(i));
        }
        assert_eq!(q.pop().await, None);
        pushing.await;
        assert!(q.push(1).await.is_err());
        assert_eq!(q.try_push(2), Err(TryPushError::Closed(2)));

        let q = Items::new(1);
        q.try_push(1).expect("room");
        assert_eq!(q.try_push(2), Err(TryPushError::Full(2)));
        assert!(time::timeout(MS, q.push(3)).await.is_err());
        assert_eq!(q.try_pop(), Some(1));
        q.try_push(4).expect("a pusher that gave up is not in line");
    });
}

#[test]
fn poppers_that_give_up_pass_their_turn_on() {
    run(async {
        let q: Items<u32> = Items::new(4);
        let (q1, q2) = (q.clone(), q.clone());
        let first = spawn(Queue::Background, async move { q1.pop().await });
        let second = spawn(Queue::Background, async move { q2.pop().await });
        time::sleep(MS).await;
        q.try_push(7).expect("room");
        first.cancel();
        assert_eq!(second.await, Some(7));
    });
}

#[test]
fn a_oneshot_tells_when_the_other_end_is_gone() {
    run(async {
        let (tx, rx) = oneshot();
        spawn(Queue::Fetch, async move { tx.send(5) });
        assert_eq!(rx.await, Ok(5));
        let (tx, rx) = oneshot::<u8>();
        drop(tx);
        assert!(rx.await.is_err());
        let (tx, rx) = oneshot();
        drop(rx);
        assert!(tx.is_closed());
        assert_eq!(tx.send(1), Err(1));
    });
}

#[test]
fn timers_fire_in_order_and_cancelled_ones_never() {
    run(async {
        let fired = Rc::new(RefCell::new(Vec::new()));
        let start = time::now();
        let tasks: Vec<_> = [30, 2, 70, 1, 5, 31, 64, 65]
            .into_iter()
            .map(|ms: u32| {
                let fired = fired.clone();
                spawn(Queue::Fetch, async move {
                    time::sleep_until(start + MS * ms).await;
                    assert!(start.elapsed() >= MS * ms);
                    fired.borrow_mut().push(ms);
                })
            })
            .collect();
        let never = spawn(Queue::Fetch, time::sleep(MS * 20));
        never.cancel();
        for task in tasks {
            task.await;
        }
        assert_eq!(*fired.borrow(), [1, 2, 5, 30, 31, 64, 65, 70]);
    });
}

#[test]
fn a_timeout_drops_what_is_late() {
    run(async {
        assert_eq!(time::timeout(MS * 50, async { 3 }).await, Ok(3));
        struct Mark(Rc<Cell<bool>>);
        impl Drop for Mark {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let dropped = Rc::new(Cell::new(false));
        let mark = Mark(dropped.clone());
        let late = async move {
            let _mark = mark;
            time::sleep(Duration::from_secs(100)).await;
        };
        assert_eq!(time::timeout(MS, late).await, Err(Elapsed));
        assert!(dropped.get());
    });
}

#[test]
fn a_task_can_cancel_itself_and_others() {
    run(async {
        let slot: Rc<RefCell<Option<engine::task::JoinHandle<()>>>> = Rc::default();
        let own = slot.clone();
        let after = Rc::new(Cell::new(false));
        let reached = after.clone();
        *slot.borrow_mut() = Some(spawn(Queue::Fetch, async move {
            let me = own.borrow_mut().take().expect("it was stored before the first poll");
            me.cancel();
            yield_now().await;
            reached.set(true);
        }));
        time::sleep(MS).await;
        assert!(!after.get());
        let done = spawn(Queue::Fetch, async { 1 });
        yield_now().await;
        assert!(done.is_finished());
        assert_eq!(done.await, 1);
    });
}

#[test]
fn a_spawned_task_lives_on_without_its_handle() {
    run(async {
        let done = Rc::new(Cell::new(false));
        let mark = done.clone();
        drop(spawn(Queue::Background, async move {
            time::sleep(MS).await;
            mark.set(true);
        }));
        // Ended from outside if it never comes.
        while !done.get() {
            time::sleep(MS).await;
        }
    });
}

#[test]
#[should_panic(expected = "this one unwinds")]
fn a_panic_in_block_on_unwinds_to_its_caller() {
    run(async {
        spawn(Queue::Fetch, async { panic!("this one unwinds") }).await;
    });
}

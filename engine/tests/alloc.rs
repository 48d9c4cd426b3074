//! Allocations are counted on the thread that makes them, and nowhere else.

use std::alloc::System;
use std::hint::black_box;

use engine::alloc::{self, Counting};

#[global_allocator]
static ALLOCATOR: Counting<System> = Counting(System);

#[test]
fn each_thread_counts_its_own() {
    let before = alloc::of_thread();
    let bytes: Vec<u8> = black_box(Vec::with_capacity(1_000));
    let mut zeroes = black_box(vec![0_u8; 500]);
    zeroes.reserve_exact(1_500);
    drop(bytes);
    let after = alloc::of_thread();
    assert_eq!((after.count - before.count, after.bytes - before.bytes), (3, 1_000 + 500 + 2_000));

    let of_other = std::thread::spawn(|| {
        let before = alloc::of_thread();
        black_box(Vec::<u64>::with_capacity(10));
        let after = alloc::of_thread();
        (after.count - before.count, after.bytes - before.bytes)
    });
    assert_eq!(of_other.join().expect("it does not panic"), (1, 80));
}

//! What mail costs: between two shards of one process, one way and there and back, and to oneself.
//!
//! `cargo bench -p engine --bench mail`. Shards that have nothing to do sleep, so that a round trip has two wake-ups in
//! it; one way, the receiver seldom sleeps.

use std::convert::Infallible;
use std::sync::mpsc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use engine::mail::{Mesh, Post};
use engine::shard::{Launch, ShardId, launch};
use engine::{task, time};

const QUEUE_SLOTS: usize = 256;
/// Letters on their way one way before an answer is waited for.
const WINDOW: u64 = 128;
const HERE: ShardId = ShardId(0);
const THERE: ShardId = ShardId(1);

/// Runs `letters` letters between shards of their own, the first of which says how long it took.
fn between<F>(shards: usize, letters: u64, first: fn(Post<u64>, u64) -> F) -> Duration
where
    F: Future<Output = Duration> + 'static,
{
    let mesh: Mesh<u64> = Mesh::new(shards, QUEUE_SLOTS);
    let (say, hear) = mpsc::channel();
    let launched = Launch { shards, ..Launch::default() };
    let running = launch(launched, move |shard| {
        let (post, say) = (mesh.join(shard), say.clone());
        async move {
            if shard == HERE {
                let took = first(post, letters).await;
                say.send(took).expect("the bench waits for it");
            } else {
                answer(post, letters).await;
            }
            Ok::<_, Infallible>(())
        }
    });
    let running = running.expect("shards start where io_uring works");
    let Ok(()) = running.join();
    hear.recv().expect("the first shard has ended")
}

/// Answers the last letter of each window.
async fn answer(post: Post<u64>, letters: u64) {
    for _ in 0..letters {
        let (from, letter) = post.next().await;
        if letter == 0 {
            post.post(from, letter);
        }
    }
}

/// Letters that are answered each.
async fn there_and_back(post: Post<u64>, letters: u64) -> Duration {
    let begun = time::now();
    for _ in 0..letters {
        post.post(THERE, 0);
        post.next().await;
    }
    begun.elapsed()
}

/// Letters in windows, of which the last is answered.
async fn one_way(post: Post<u64>, letters: u64) -> Duration {
    let begun = time::now();
    let mut left = letters;
    while left > 0 {
        let window = left.min(WINDOW);
        (0..window).rev().for_each(|letter| post.post(THERE, letter));
        post.next().await;
        left -= window;
    }
    begun.elapsed()
}

/// Letters that are taken as soon as they are posted.
async fn to_oneself(post: Post<u64>, letters: u64) -> Duration {
    let begun = time::now();
    for letter in 0..letters {
        post.post(HERE, letter);
        let taken = post.try_next();
        assert!(taken.is_some(), "mail to oneself is there at once");
        if letter % 4_096 == 4_095 {
            task::yield_now().await;
        }
    }
    begun.elapsed()
}

fn mail(c: &mut Criterion) {
    let mut group = c.benchmark_group("mail");
    group.bench_function("there and back", |b| b.iter_custom(|n| between(2, n, there_and_back)));
    group.bench_function("one way", |b| b.iter_custom(|n| between(2, n, one_way)));
    group.bench_function("to oneself", |b| b.iter_custom(|n| between(1, n, to_oneself)));
    group.finish();
}

criterion_group!(benches, mail);
criterion_main!(benches);

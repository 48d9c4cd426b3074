//! A message to and fro between two shards that sleep in between:
//! `cargo run --release -p engine --example hop -- [rounds]`.

use engine::mail::Mesh;
use engine::shard::{self, Launch, ShardId, launch};
use engine::time;

fn main() {
    let rounds: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let mesh = Mesh::<u64>::new(2, 64);
    let options =
        Launch { shards: 2, pin: true, memory_bytes_per_shard: 1 << 20, ..Launch::default() };
    let running = launch(options, move |me| bounce(mesh.clone(), me, rounds));
    if let Err(error) = running.map_err(|e| e.to_string()).and_then(shard::Running::join) {
        engine::exit_now(1, &error);
    }
}

async fn bounce(mesh: Mesh<u64>, me: ShardId, rounds: u64) -> Result<(), String> {
    let post = mesh.join(me);
    let other = ShardId(1 - me.0);
    let start = time::now();
    for round in 0..rounds {
        if me.0 == 0 {
            post.post(other, round);
            post.next().await;
        } else {
            post.next().await;
            post.post(other, round);
        }
    }
    if me.0 == 0 {
        let hop = start.elapsed().as_nanos() as u64 / rounds / 2;
        println!("{rounds} rounds, {hop} ns a hop; {:?}", shard::stats());
    }
    Ok(())
}

//! Heddle's engine.

use std::sync::mpsc;
use std::thread;

use engine::mail::Mesh;
use engine::net::{Listener, Stream};
use engine::shard::{Launch, ShardId, block_on, launch};
use engine::task::{Queue, spawn};
use engine::time;

use crate::client::{CLIENT_CORE, SERVER_CORE, Server, own_cpu_ns, pin};
use crate::figures::Hops;

pub fn serve() -> Server {
    let (tell, told) = mpsc::channel();
    let run = move || {
        pin(SERVER_CORE);
        let options = Launch { memory_bytes_per_shard: 16 << 20, ..Launch::default() };
        let ended = block_on(&options, async move {
            let any = "127.0.0.1:0".parse().expect("an address");
            let listener = Listener::bind(any).expect("a free port");
            tell.send(listener.local_addr()).expect("the main thread waits");
            while let Ok(accepted) = listener.accept().await {
                spawn(Queue::Produce, echo(accepted.into_stream()));
            }
        });
        ended.expect("this host has io_uring");
    };
    thread::Builder::new().name("heddle-echo".to_owned()).spawn(run).expect("a thread");
    let address = told.recv().expect("the server tells its address");
    Server { address, thread_prefix: "heddle-" }
}

async fn echo(stream: Stream) {
    while let Ok(chunk) = stream.recv().await {
        if chunk.is_empty() || stream.send(vec![chunk.to_vec().into()]).await.is_err() {
            return;
        }
    }
}

pub fn hops(rounds: usize) -> Hops {
    let mesh = Mesh::<u64>::new(2, 64);
    let (tell, told) = mpsc::channel();
    let options = Launch {
        shards: 2,
        pin: true,
        cores: vec![CLIENT_CORE, SERVER_CORE],
        memory_bytes_per_shard: 1 << 20,
        ..Launch::default()
    };
    let running = launch(options, move |me| {
        let (mesh, tell) = (mesh.clone(), tell.clone());
        async move {
            let post = mesh.join(me);
            let other = ShardId(1 - me.0);
            let mut times = Vec::with_capacity(rounds);
            for round in 0..rounds as u64 {
                let start = time::now();
                if me.0 == 0 {
                    post.post(other, round);
                    post.next().await;
                } else {
                    post.next().await;
                    post.post(other, round);
                }
                times.push(start.elapsed().as_nanos() as u64);
            }
            tell.send((me, times, own_cpu_ns())).expect("the main thread waits");
            Ok::<(), ()>(())
        }
    });
    let both = [told.recv(), told.recv()].map(|t| t.expect("both shards tell what they measured"));
    running.expect("this host has io_uring").join().expect("both shards end");
    let cpu_ns = both[0].2.zip(both[1].2).map(|(a, b)| a + b);
    let near = both.into_iter().find(|(me, ..)| me.0 == 0).expect("one of them is shard 0");
    Hops { round_trips_ns: near.1, cpu_ns }
}

//! An echo server on the facade: `cargo run --release -p engine --example echo -- 127.0.0.1:7000 [shards]`.
//!
//! Every shard listens on its own port, the given one and those behind it. SIGTERM or SIGINT ends it and prints
//! what the loops have done.

use std::net::SocketAddr;

use engine::net::{Listener, Stream};
use engine::shard::{self, Launch, ShardId, launch};
use engine::signal;
use engine::task::{Queue, spawn};

fn main() {
    let mut args = std::env::args().skip(1);
    let address: SocketAddr =
        args.next().and_then(|a| a.parse().ok()).unwrap_or_else(|| usage("an address is missing"));
    let shards = args.next().map_or(1, |n| n.parse().unwrap_or_else(|_| usage("not a number")));
    let options = Launch { shards, memory_bytes_per_shard: 16 << 20, ..Launch::default() };
    let running = launch(options, move |me| serve(me, address));
    if let Err(error) = running.map_err(|e| e.to_string()).and_then(shard::Running::join) {
        engine::exit_now(1, &error);
    }
}

fn usage(problem: &str) -> ! {
    engine::exit_now(2, &format!("{problem}; usage: echo HOST:PORT [SHARDS]"))
}

async fn serve(me: ShardId, mut address: SocketAddr) -> Result<(), String> {
    if address.port() != 0 {
        address.set_port(address.port() + me.0);
    }
    let listener =
        Listener::bind(address).map_err(|e| engine::check::bind(address, &e).to_string())?;
    println!("shard {me} listens on {}", listener.local_addr());
    spawn(Queue::Produce, async move {
        while let Ok(accepted) = listener.accept().await {
            spawn(Queue::Produce, echo(accepted.into_stream()));
        }
    });
    if me.0 == 0 {
        let name = signal::terminate().await;
        println!("{name}: {:?}", shard::stats());
        return Err("ended by a signal".to_owned());
    }
    std::future::pending().await
}

async fn echo(stream: Stream) {
    while let Ok(chunk) = stream.recv().await {
        if chunk.is_empty() || stream.send(vec![chunk.to_vec().into()]).await.is_err() {
            return;
        }
    }
}

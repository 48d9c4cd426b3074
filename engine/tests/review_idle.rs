//! A shard with nothing to do enters the kernel once and stays there.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use engine::mail::Mesh;
use engine::shard::{self, Launch, ShardId, launch};
use engine::task::{Queue, spawn};
use engine::{blocking, buffer, net, sync, time};

const QUIET: Duration = Duration::from_millis(400);

#[test]
fn everything_may_wait_and_the_shard_sleeps() {
    let shards = Launch { shards: 2, memory_bytes_per_shard: 8 << 20, ..Launch::default() };
    let mesh = Mesh::<buffer::Parcel>::new(2, 2);
    let running = launch(shards, move |me| {
        let mesh = mesh.clone();
        async move {
            let post = mesh.join(me);
            let other = ShardId(1 - me.0);
            // Two shards that neither read their mail nor find room for more.
            for _ in 0..5 {
                let block = buffer::alloc(1 << 20).await.expect("within the budget");
                post.post(other, block.freeze(1 << 20).into_parcel());
            }
            // A task that waits for memory, and others for a socket, a permit, an item, a thread.
            spawn(Queue::Fetch, async { buffer::alloc(8 << 20).await.map(drop) });
            let listener =
                net::Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
            let mut peer = TcpStream::connect(listener.local_addr()).expect("connected");
            let stream = listener.accept().await.expect("accepted").into_stream();
            peer.write_all(&[1; 100_000]).expect("sent");
            stream.recv().await.expect("received");
            let (sender, unread) = (stream.clone(), stream.clone());
            sender.send(vec![vec![2; 1000].into()]).await.expect("sent");
            spawn(Queue::Produce, async move {
                loop {
                    sender.send(vec![vec![2; 100_000].into()]).await.expect("sent");
                }
            });
            spawn(Queue::Produce, async move { listener.accept().await.map(drop) });
            let permits = sync::Semaphore::new(0);
            spawn(Queue::Cold, async move { permits.acquire(1).await.map(drop) });
            let items = sync::Queue::<u8>::new(1);
            spawn(Queue::Cold, async move { items.pop().await });
            blocking::run(|| ()).await;
            time::sleep(Duration::from_millis(200)).await;
            let before = shard::stats();
            time::sleep(QUIET).await;
            let after = shard::stats();
            let (enters, turns) = (after.enters - before.enters, after.turns - before.turns);
            // The timer wheel looks at a far deadline a few times on its way down its levels.
            assert!(enters < 20 && turns < 20, "{enters} system calls, {turns} turns");
            drop((unread, peer));
            Ok::<(), ()>(())
        }
    });
    running.expect("launched").join().expect("both ended");
}

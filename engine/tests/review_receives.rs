//! Receives under pressure: floods, slow readers, changes between the ways to receive.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use engine::shard::{self, Launch, block_on};
use engine::task::{Queue, spawn};
use engine::{buffer, net, time};

const PATIENCE: Duration = Duration::from_secs(20);

fn within<F: Future<Output = ()> + 'static>(make: impl FnOnce() -> F + Send + 'static) {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        block_on(&Launch::default(), async move { make().await })
            .expect("the tests run where io_uring works");
        let _ = done.send(());
    });
    ended.recv_timeout(PATIENCE).expect("it ends");
}

fn listen() -> (net::Listener, SocketAddr) {
    let listener = net::Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
    let address = listener.local_addr();
    (listener, address)
}

/// Writes until the peer takes no more.
fn flood(address: SocketAddr) -> TcpStream {
    let mut peer = TcpStream::connect(address).expect("connected");
    peer.set_write_timeout(Some(Duration::from_millis(20))).expect("set");
    let junk = vec![7; 1 << 20];
    while peer.write(&junk).is_ok() {}
    peer
}

#[test]
fn slow_readers_hold_up_nobody() {
    within(|| async {
        let (listener, address) = listen();
        let (hold, held) = mpsc::channel::<()>();
        let (full, is_full) = mpsc::channel();
        thread::spawn(move || {
            let peers: Vec<_> = (0..60).map(|_| flood(address)).collect();
            let _ = full.send(());
            let _ = held.recv();
            drop(peers);
        });
        let mut slow = Vec::new();
        for _ in 0..60 {
            let stream = listener.accept().await.expect("accepted").into_stream();
            // A reader that keeps its first chunk and never reads on.
            slow.push(spawn(Queue::Produce, async move {
                let chunk = stream.recv().await.expect("received");
                std::future::pending::<()>().await;
                drop((chunk, stream));
            }));
        }
        while is_full.try_recv().is_err() {
            time::sleep(Duration::from_millis(5)).await;
        }
        let copied = shard::stats().receive_copied;
        assert!(copied < 60 * 4, "unread bytes are bounded: {copied} chunks were copied");

        let client = net::Stream::connect(address).await.expect("connected");
        let server = listener.accept().await.expect("accepted").into_stream();
        let start = time::now();
        for _ in 0..200 {
            client.send(vec![vec![1; 100].into()]).await.expect("sent");
            let chunk = server.recv().await.expect("received");
            server.send(vec![chunk.to_vec().into()]).await.expect("sent");
            assert_eq!(client.recv().await.expect("received").len(), 100);
        }
        assert!(start.elapsed() < Duration::from_secs(2), "took {:?}", start.elapsed());
        drop(hold);
    });
}

#[test]
fn a_stream_is_whole_however_it_is_received() {
    within(|| async {
        let (listener, address) = listen();
        let total = 24 << 20;
        thread::spawn(move || {
            let mut peer = TcpStream::connect(address).expect("connected");
            let bytes: Vec<u8> = (0..total).map(|i| (i / 7) as u8).collect();
            let mut at = 0;
            let mut step = 1;
            while at < total {
                let to = (at + step).min(total);
                peer.write_all(&bytes[at..to]).expect("sent");
                at = to;
                step = (step * 7 + 13) % 300_000 + 1;
            }
        });
        let stream = listener.accept().await.expect("accepted").into_stream();
        let (mut at, mut turn) = (0usize, 0usize);
        let expect = |at: usize, bytes: &[u8]| {
            for (i, byte) in bytes.iter().enumerate() {
                assert_eq!(*byte, ((at + i) / 7) as u8, "at {}", at + i);
            }
            at + bytes.len()
        };
        loop {
            turn += 1;
            if turn % 5 == 0 && total - at > 200_000 {
                let len = 1 + turn * 37_217 % 150_000;
                let block = buffer::alloc(len).await.expect("memory");
                let (result, block) = stream.recv_exact(block, 0, len).await;
                result.expect("received");
                at = expect(at, &block[..len]);
                continue;
            }
            // Given up after no time at all, now and then: nothing may be lost by it.
            let limit = if turn % 3 == 0 { Duration::ZERO } else { PATIENCE };
            if let Ok(chunk) = time::timeout(limit, stream.recv()).await {
                let chunk = chunk.expect("received");
                if chunk.is_empty() {
                    break;
                }
                at = expect(at, &chunk);
            }
        }
        assert_eq!(at, total);
    });
}

#[test]
fn an_exact_receive_that_the_peer_cuts_short_fails() {
    within(|| async {
        for reset in [false, true] {
            let (listener, address) = listen();
            thread::spawn(move || {
                let mut peer = TcpStream::connect(address).expect("connected");
                peer.write_all(&[1; 1000]).expect("sent");
                if reset {
                    // Closing with unread bytes resets the connection.
                    peer.set_read_timeout(Some(PATIENCE)).expect("set");
                    let _ = peer.peek(&mut [0]);
                } else {
                    thread::sleep(Duration::from_millis(50));
                }
            });
            let stream = listener.accept().await.expect("accepted").into_stream();
            if reset {
                stream.send(vec![vec![1; 10].into()]).await.expect("sent");
            }
            let block = buffer::alloc(100_000).await.expect("memory");
            let (result, _) = stream.recv_exact(block, 0, 100_000).await;
            assert!(result.is_err());
            let again = stream.recv().await;
            assert!(again.is_err() || again.is_ok_and(|chunk| chunk.is_empty()));
            if reset {
                // At the latest the send after the next finds out.
                let mut sends = Vec::new();
                for _ in 0..3 {
                    sends.push(stream.send(vec![vec![1; 10].into()]).await);
                    let _ = stream.flush().await;
                }
                assert!(sends.iter().any(Result::is_err));
            }
        }
    });
}

#[test]
fn an_exact_receive_given_up_leaves_its_memory_alone() {
    within(|| async {
        let (listener, address) = listen();
        let (go, goes) = mpsc::channel::<()>();
        thread::spawn(move || {
            let mut peer = TcpStream::connect(address).expect("connected");
            let _ = goes.recv();
            let _ = peer.write_all(&[0xee; 1 << 20]);
            let _ = peer.read(&mut [0]);
        });
        let stream = Rc::new(listener.accept().await.expect("accepted").into_stream());
        let block = buffer::alloc(1 << 20).await.expect("memory");
        let receive = stream.recv_exact(block, 0, 1 << 20);
        assert!(time::timeout(Duration::from_millis(5), receive).await.is_err());
        go.send(()).expect("it listens");
        let mut mine = buffer::alloc(1 << 20).await.expect("memory");
        mine.fill(0x55);
        time::sleep(Duration::from_millis(50)).await;
        assert!(mine.iter().all(|byte| *byte == 0x55));
        assert!(stream.recv().await.is_err(), "what was received in part is lost");
    });
}

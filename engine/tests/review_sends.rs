//! Sends on a shard with nothing else to do: does everything that hangs on their completion still happen?

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use engine::shard::{Launch, block_on};
use engine::task::{Queue, spawn};
use engine::{buffer, net};

/// Longer than anything here takes, so that what does not end in time hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a shard on a thread of its own; panics if it does not end in time.
fn within<T: Send + 'static, F: Future<Output = T> + 'static>(
    launch: Launch,
    make: impl FnOnce() -> F + Send + 'static,
) -> T {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let value = block_on(&launch, async move { make().await });
        let _ = done.send(value.expect("the tests run where io_uring works"));
    });
    ended.recv_timeout(PATIENCE).expect("the shard hangs")
}

fn listen() -> (net::Listener, SocketAddr) {
    let any = "127.0.0.1:0".parse().expect("an address");
    let listener = net::Listener::bind(any).expect("bound");
    let address = listener.local_addr();
    (listener, address)
}

fn client(address: SocketAddr, talk: impl FnOnce(TcpStream) + Send + 'static) {
    thread::spawn(move || talk(TcpStream::connect(address).expect("connected")));
}

#[test]
fn a_response_larger_than_the_sockets_buffer_arrives_whole() {
    within(Launch::default(), || async {
        let (listener, address) = listen();
        client(address, |mut peer| {
            thread::sleep(Duration::from_millis(100));
            let mut all = vec![0; 32 << 20];
            peer.read_exact(&mut all).expect("all of it arrives");
            peer.write_all(b"x").expect("answered");
        });
        let stream = listener.accept().await.expect("accepted").into_stream();
        stream.send(vec![vec![7; 32 << 20].into()]).await.expect("sent");
        assert_eq!(&*stream.recv().await.expect("received"), b"x");
    });
}

#[test]
fn a_small_response_into_a_full_socket_arrives() {
    within(Launch::default(), || async {
        let (listener, address) = listen();
        client(address, |mut peer| {
            thread::sleep(Duration::from_millis(300));
            let mut all = vec![0; (32 << 20) + 10];
            peer.read_exact(&mut all).expect("all of it arrives");
            peer.write_all(b"x").expect("answered");
        });
        let stream = listener.accept().await.expect("accepted").into_stream();
        for _ in 0..(32 << 20) / 1024 {
            stream.send(vec![vec![7; 1024].into()]).await.expect("sent");
        }
        stream.send(vec![vec![7; 10].into()]).await.expect("sent");
        assert_eq!(&*stream.recv().await.expect("received"), b"x");
    });
}

#[test]
fn a_stream_dropped_after_a_send_is_closed() {
    within(Launch::default(), || async {
        let (listener, address) = listen();
        let (ask, mut answer) = (net::Stream::connect(address).await.expect("connected"), vec![]);
        let (other, other_address) = listen();
        client(address, move |mut peer| {
            peer.read_to_end(&mut answer).expect("read to the end");
            assert_eq!(answer, b"bye");
            // Only now the shard learns that it may end.
            TcpStream::connect(other_address).expect("connected");
        });
        let _first = listener.accept().await.expect("accepted").into_stream();
        let second = listener.accept().await.expect("accepted").into_stream();
        second.send(vec![b"bye".to_vec().into()]).await.expect("sent");
        drop(second);
        other.accept().await.expect("accepted");
        drop(ask);
    });
}

#[test]
fn memory_that_was_sent_can_be_had_again() {
    let launch = Launch { memory_bytes_per_shard: 1 << 20, ..Launch::default() };
    within(launch, || async {
        let (listener, address) = listen();
        client(address, |mut peer| {
            let _ = peer.read_to_end(&mut Vec::new());
        });
        let stream = listener.accept().await.expect("accepted").into_stream();
        for _ in 0..10 {
            let block = buffer::alloc(1 << 20).await.expect("within the budget");
            stream.send(vec![block.freeze(1000).into()]).await.expect("sent");
        }
    });
}

#[test]
fn a_flush_hands_its_turn_on() {
    within(Launch::default(), || async {
        let (listener, address) = listen();
        client(address, |mut peer| {
            thread::sleep(Duration::from_millis(100));
            let _ = peer.read_to_end(&mut Vec::new());
        });
        let stream = listener.accept().await.expect("accepted").into_stream();
        stream.send(vec![vec![7; 32 << 20].into()]).await.expect("sent");
        let (a, b, c, d) = (stream.clone(), stream.clone(), stream.clone(), stream.clone());
        let first = spawn(Queue::Produce, async move { a.flush().await });
        let second = spawn(Queue::Produce, async move { b.send(vec![]).await });
        let third = spawn(Queue::Produce, async move { c.send(vec![vec![1].into()]).await });
        let fourth = spawn(Queue::Produce, async move { d.flush().await });
        for task in [first, second, third, fourth] {
            task.await.expect("sent");
        }
    });
}

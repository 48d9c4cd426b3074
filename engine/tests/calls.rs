//! How often a shard enters the kernel, counted: one request and its answer cost one call, however long the
//! pause between requests, and what fails to be sent at once is still sent.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use common::run;
use engine::net::Listener;
use engine::{shard, time};

async fn calls_of(requests: u64, pause: Duration) -> u64 {
    let any = "127.0.0.1:0".parse().expect("an address");
    let listener = Listener::bind(any).expect("a free port");
    let address = listener.local_addr();
    let peer = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).expect("connected");
        stream.set_nodelay(true).expect("no delay");
        let mut answer = [0; 64];
        for _ in 0..requests {
            stream.write_all(&[7; 64]).expect("sent");
            stream.read_exact(&mut answer).expect("echoed");
            thread::sleep(pause);
        }
    });
    let stream = listener.accept().await.expect("accepted").into_stream();
    // Past the beginning, where the way to receive is chosen.
    for _ in 0..requests / 4 {
        let chunk = stream.recv().await.expect("received");
        stream.send(vec![chunk.to_vec().into()]).await.expect("sent");
    }
    let before = shard::stats().enters;
    loop {
        let chunk = stream.recv().await.expect("received");
        if chunk.is_empty() {
            break;
        }
        stream.send(vec![chunk.to_vec().into()]).await.expect("sent");
    }
    peer.join().expect("the peer is done");
    shard::stats().enters - before
}

#[test]
fn a_request_costs_one_call() {
    run(async {
        let enters = calls_of(4000, Duration::ZERO).await;
        assert!(enters < 3000 + 150, "{enters} calls for 3000 requests");
    });
}

#[test]
fn a_request_after_a_pause_costs_one_call() {
    run(async {
        let enters = calls_of(120, Duration::from_millis(4)).await;
        assert!(enters < 90 + 20, "{enters} calls for 90 requests");
    });
}

#[test]
fn an_answer_that_does_not_fit_follows_without_another_event() {
    run(async {
        let any = "127.0.0.1:0".parse().expect("an address");
        let listener = Listener::bind(any).expect("a free port");
        let address = listener.local_addr();
        let total = 6 << 20;
        let peer = thread::spawn(move || {
            let mut stream = TcpStream::connect(address).expect("connected");
            let mut all = Vec::new();
            let mut part = vec![0; 64 << 10];
            while all.len() < total {
                thread::sleep(Duration::from_millis(1));
                let n = stream.read(&mut part).expect("received");
                all.extend_from_slice(&part[..n]);
            }
            all
        });
        let stream = listener.accept().await.expect("accepted").into_stream();
        let mut sent = Vec::new();
        // Pieces that are tried inline until the socket is full, then wait.
        for i in 0..total / (32 << 10) {
            let piece = vec![i as u8; 32 << 10];
            sent.extend_from_slice(&piece);
            let send = stream.send(vec![piece.into()]);
            time::timeout(Duration::from_secs(10), send).await.expect("in time").expect("sent");
        }
        stream.flush().await.expect("taken");
        let received = engine::blocking::run(move || peer.join().expect("the peer is done")).await;
        assert!(received == sent);
    });
}

//! Real sockets, and everything a peer can do to them: does each byte arrive once and in order, and does
//! every operation end? Peers are plain threads with blocking sockets where timing matters.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use common::{pair, pattern, run};
use engine::limits::{RECEIVE_BUFFERS, RECEIVE_CHUNKS_MAX};
use engine::net::{Listener, Stream};
use engine::task::{Queue, spawn, yield_now};
use engine::{buffer, shard, time};

const MS: Duration = Duration::from_millis(1);

async fn read_all(stream: &Stream) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let chunk = stream.recv().await.expect("received");
        if chunk.is_empty() {
            return all;
        }
        all.extend_from_slice(&chunk);
    }
}

async fn read_some(stream: &Stream, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < len {
        let chunk = stream.recv().await.expect("received");
        assert!(!chunk.is_empty(), "the stream ended after {} of {len} bytes", all.len());
        all.extend_from_slice(&chunk);
    }
    all
}

/// When a send was over: known for a small one, which ends without a completion, and for one that the peer holds up.
#[test]
fn a_send_says_when_it_was_over() {
    run(async {
        let (stream, peer) = pair().await;
        assert_eq!(stream.sent_at(), None, "nothing was sent");
        let before = time::now();
        stream.send(vec![b"small".to_vec().into()]).await.expect("sent");
        assert_eq!(stream.sent_at(), None, "it leaves with the loop's next call");
        stream.flush().await.expect("sent");
        let small = stream.sent_at().expect("it left");
        assert!(before <= small && small <= time::now());

        stream.send(vec![vec![7; 32 << 20].into()]).await.expect("begun");
        time::sleep(20 * MS).await;
        assert_eq!(stream.sent_at(), None, "nobody reads so much");
        let held_up = time::now();
        let reader = spawn(Queue::Fetch, async move {
            let read = read_some(&peer, 5 + (32 << 20)).await;
            (read.len(), peer)
        });
        stream.flush().await.expect("sent");
        assert!(stream.sent_at().expect("it left") > held_up);
        let (read, _peer) = reader.await;
        assert!(read >= 5 + (32 << 20));

        stream.shutdown();
        // The system shuts down in its own time; the peer is still there, so an end means that it has.
        assert!(stream.recv().await.expect("an end").is_empty());
        stream.send(vec![b"late".to_vec().into()]).await.expect("begun");
        assert!(stream.flush().await.is_err());
        assert_eq!(stream.sent_at(), None, "it did not leave");
    });
}

#[test]
fn one_byte_at_a_time() {
    run(async {
        let any = "127.0.0.1:0".parse().expect("an address");
        let listener = Listener::bind(any).expect("a free port");
        let address = listener.local_addr();
        let sent = pattern(500, 1);
        let expected = sent.clone();
        let peer = thread::spawn(move || {
            let mut stream = TcpStream::connect(address).expect("connected");
            stream.set_nodelay(true).expect("no delay");
            for byte in sent {
                stream.write_all(&[byte]).expect("written");
                thread::sleep(Duration::from_micros(20));
            }
        });
        let stream = listener.accept().await.expect("accepted").into_stream();
        assert_eq!(read_all(&stream).await, expected);
        peer.join().expect("the peer is done");
    });
}

#[test]
fn a_send_to_a_closed_peer_fails_and_keeps_failing() {
    run(async {
        let (near, far) = pair().await;
        drop(far);
        let mut failed = false;
        for _ in 0..100 {
            failed |= near.send(vec![pattern(1000, 0).into()]).await.is_err();
            if failed {
                break;
            }
            time::sleep(MS).await;
        }
        assert!(failed, "sends to a closed peer go on for ever");
        assert!(near.send(vec![vec![1].into()]).await.is_err());
        assert!(near.flush().await.is_err());
    });
}

#[test]
fn the_end_of_a_stream_is_an_empty_chunk_for_ever() {
    run(async {
        let (near, far) = pair().await;
        far.send(vec![b"last".to_vec().into()]).await.expect("sent");
        far.close().await;
        assert_eq!(&*near.recv().await.expect("received"), b"last");
        for _ in 0..3 {
            assert!(near.recv().await.expect("the end").is_empty());
        }
    });
}

#[test]
fn a_slow_reader_holds_its_peer_up_and_loses_nothing() {
    run(async {
        let (near, far) = pair().await;
        let total = 40 << 20;
        let piece = pattern(1 << 20, 7);
        let expected = piece.clone();
        let sent = std::rc::Rc::new(std::cell::Cell::new(0));
        let progress = sent.clone();
        let sender = spawn(Queue::Produce, async move {
            for _ in 0..total / piece.len() {
                near.send(vec![piece.clone().into()]).await.expect("sent");
                progress.set(progress.get() + piece.len());
            }
            near.close().await;
        });
        // The reader takes one chunk and sleeps: the sender must come to a stop.
        let first = far.recv().await.expect("received").to_vec();
        time::sleep(300 * MS).await;
        let stopped_at = sent.get();
        time::sleep(100 * MS).await;
        assert_eq!(sent.get(), stopped_at, "the sender goes on although nobody reads");
        assert!(stopped_at < total, "all was taken although nobody reads");
        let mut at = first.len();
        assert_eq!(first, expected[..at]);
        loop {
            let chunk = far.recv().await.expect("received");
            if chunk.is_empty() {
                break;
            }
            for byte in chunk.iter() {
                assert_eq!(*byte, expected[at % expected.len()], "at {at}");
                at += 1;
            }
        }
        assert_eq!(at, total);
        sender.await;
    });
}

#[test]
fn unread_data_stays_in_the_kernel_beyond_a_few_chunks() {
    run(async {
        let (near, far) = pair().await;
        // Start the multishot receive, then stop reading.
        near.send(vec![vec![0].into()]).await.expect("sent");
        drop(far.recv().await.expect("received"));
        let before = shard::stats().completions;
        let sender = spawn(Queue::Produce, async move {
            for _ in 0..64 {
                near.send(vec![pattern(16 << 10, 3).into()]).await.expect("sent");
                near.flush().await.expect("taken");
            }
            near
        });
        time::sleep(200 * MS).await;
        let completions = shard::stats().completions - before;
        let receives = completions.saturating_sub(64);
        assert!(receives < 40 + RECEIVE_CHUNKS_MAX as u64, "{receives} receives went unread");
        let all = read_some(&far, 64 * (16 << 10)).await;
        let expected = pattern(16 << 10, 3);
        assert!(all.chunks(expected.len()).all(|c| c == expected));
        drop(sender.await);
    });
}

#[test]
fn a_large_body_follows_its_partial_chunk_exactly() {
    run(async {
        for (front, body_len, pause) in
            [(10, 300_000, 0), (5_000, 20_000, 0), (16_000, 1 << 20, 2), (1, 40_000, 5), (4, 9, 1)]
        {
            let (near, far) = pair().await;
            let body = pattern(body_len, 9);
            let whole = body.clone();
            let sender = spawn(Queue::Produce, async move {
                for round in 0..3u8 {
                    near.send(vec![whole[..front.min(whole.len())].to_vec().into()])
                        .await
                        .expect("sent");
                    near.flush().await.expect("taken");
                    time::sleep(MS * pause).await;
                    let rest = whole[front.min(whole.len())..].to_vec();
                    near.send(vec![rest.into(), vec![round].into()]).await.expect("sent");
                }
                near.close().await;
            });
            // What arrived behind the last message, as a frame reader would keep it.
            let mut held = Vec::new();
            for round in 0..3u8 {
                if held.is_empty() {
                    held = far.recv().await.expect("received").to_vec();
                }
                let mut block = buffer::alloc(body_len).await.expect("memory");
                let have = held.len().min(body_len);
                block[..have].copy_from_slice(&held[..have]);
                held.drain(..have);
                let (result, block) = far.recv_exact(block, have, body_len).await;
                result.expect("the whole body");
                assert!(block[..body_len] == body, "round {round} of {front}/{body_len} differs");
                if held.is_empty() {
                    held = far.recv().await.expect("received").to_vec();
                }
                assert_eq!(held.remove(0), round, "the byte behind the body");
            }
            assert!(held.is_empty());
            assert!(far.recv().await.expect("the end").is_empty());
            sender.await;
        }
    });
}

#[test]
fn a_body_cut_short_is_an_unexpected_end() {
    run(async {
        let (near, far) = pair().await;
        near.send(vec![pattern(1000, 2).into()]).await.expect("sent");
        near.close().await;
        let block = buffer::alloc(100_000).await.expect("memory");
        let (result, block) = far.recv_exact(block, 0, 50_000).await;
        assert_eq!(result.expect_err("cut short").kind(), std::io::ErrorKind::UnexpectedEof);
        assert_eq!(block[..1000], pattern(1000, 2));
        assert!(far.recv().await.expect("the end").is_empty());
    });
}

#[test]
fn an_exact_receive_given_up_breaks_the_stream_and_frees_its_memory() {
    run(async {
        let (near, far) = pair().await;
        let used = buffer::usage().used;
        let block = buffer::alloc(100_000).await.expect("memory");
        let given_up = time::timeout(5 * MS, far.recv_exact(block, 0, 100_000)).await;
        assert!(given_up.is_err());
        let broken = far.recv().await.expect_err("the place in the stream is lost");
        assert_eq!(broken.kind(), std::io::ErrorKind::ConnectionAborted);
        time::sleep(5 * MS).await;
        assert_eq!(buffer::usage().used, used, "the cancelled receive let go of its block");
        drop(near);
    });
}

#[test]
fn a_dropped_receive_loses_nothing() {
    run(async {
        let (near, far) = pair().await;
        for i in 0..20u8 {
            assert!(time::timeout(MS, far.recv()).await.is_err(), "nothing was sent yet");
            near.send(vec![vec![i; 10].into()]).await.expect("sent");
            let got = time::timeout(MS, yield_now()).await;
            got.expect("a yield is quick");
            assert_eq!(read_some(&far, 10).await, [i; 10]);
        }
    });
}

#[test]
fn many_pieces_leave_as_one_stream() {
    run(async {
        let (near, far) = pair().await;
        let pieces: Vec<Vec<u8>> = (0..5000).map(|i| pattern(i % 97, i as u8)).collect();
        let expected = pieces.concat();
        let sender = spawn(Queue::Produce, async move {
            let mut mixed = Vec::new();
            for (i, piece) in pieces.into_iter().enumerate() {
                mixed.push(match i % 3 {
                    0 => piece.into(),
                    1 => buffer::Slice::from_vec(piece).into(),
                    _ => buffer::Slice::from_vec(piece).into_parcel().into(),
                });
            }
            near.send(mixed).await.expect("sent");
            near.close().await;
        });
        assert_eq!(read_all(&far).await, expected);
        sender.await;
    });
}

#[test]
fn concurrent_senders_do_not_interleave() {
    run(async {
        let (near, far) = pair().await;
        let senders: Vec<_> = (0..8u8)
            .map(|i| {
                let near = near.clone();
                spawn(Queue::Produce, async move {
                    for _ in 0..10 {
                        near.send(vec![vec![i; 100_000].into(), vec![i; 1].into()])
                            .await
                            .expect("sent");
                    }
                })
            })
            .collect();
        drop(near);
        let reader = spawn(Queue::Produce, async move { read_all(&far).await });
        for sender in senders {
            sender.await;
        }
        let all = reader.await;
        assert_eq!(all.len(), 80 * 100_001);
        assert!(all.chunks(100_001).all(|message| message.iter().all(|b| *b == message[0])));
    });
}

#[test]
fn shutdown_ends_a_pending_receive_after_what_was_sent() {
    run(async {
        let (near, far) = pair().await;
        let waiting = near.clone();
        let reader = spawn(Queue::Produce, async move { read_all(&waiting).await });
        yield_now().await;
        near.send(vec![b"bye".to_vec().into()]).await.expect("sent");
        near.shutdown();
        assert_eq!(reader.await, b"");
        assert_eq!(read_all(&far).await, b"bye");
    });
}

#[test]
fn a_thousand_connections_echo() {
    run(async {
        const CONNECTIONS: usize = 1000;
        let any = "127.0.0.1:0".parse().expect("an address");
        let listener = Listener::bind(any).expect("a free port");
        let address = listener.local_addr();
        let server = spawn(Queue::Produce, async move {
            for _ in 0..CONNECTIONS {
                let stream = listener.accept().await.expect("accepted").into_stream();
                spawn(Queue::Produce, async move {
                    loop {
                        let chunk = stream.recv().await.expect("received");
                        if chunk.is_empty() {
                            return;
                        }
                        stream.send(vec![chunk.to_vec().into()]).await.expect("sent");
                    }
                });
            }
        });
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|i| {
                spawn(Queue::Produce, async move {
                    let stream = Stream::connect(address).await.expect("connected");
                    for round in 0..10 {
                        let message = pattern(100 + i % 1000, round);
                        stream.send(vec![message.clone().into()]).await.expect("sent");
                        assert_eq!(read_some(&stream, message.len()).await, message);
                    }
                })
            })
            .collect();
        for client in clients {
            client.await;
        }
        server.await;
    });
}

#[test]
fn slow_readers_with_full_inboxes_do_not_starve_the_others() {
    run(async {
        let mut idle = Vec::new();
        for _ in 0..RECEIVE_BUFFERS {
            let (near, far) = pair().await;
            near.send(vec![vec![1].into()]).await.expect("sent");
            near.flush().await.expect("taken");
            // Starts the multishot receive; nobody reads again.
            drop(far.recv().await.expect("received"));
            near.send(vec![pattern(60_000, 5).into()]).await.expect("sent");
            idle.push((near, far));
        }
        time::sleep(20 * MS).await;
        let (near, far) = pair().await;
        for i in 0..50 {
            near.send(vec![pattern(5000, i).into()]).await.expect("sent");
            assert_eq!(read_some(&far, 5000).await, pattern(5000, i));
        }
        for (_, far) in &idle {
            assert_eq!(read_some(far, 60_000).await, pattern(60_000, 5));
        }
    });
}

#[test]
fn chunks_that_are_kept_make_receivers_wait_for_buffers_not_fail() {
    run(async {
        let (near, far) = pair().await;
        let total = usize::from(RECEIVE_BUFFERS) * 2 * (16 << 10);
        let sender = spawn(Queue::Produce, async move {
            near.send(vec![pattern(total, 4).into()]).await.expect("sent");
            near.close().await;
        });
        let mut kept = Vec::new();
        let mut all = Vec::new();
        loop {
            let chunk = far.recv().await.expect("received");
            if chunk.is_empty() {
                break;
            }
            all.extend_from_slice(&chunk);
            kept.push(chunk);
        }
        assert!(all == pattern(total, 4));
        sender.await;
    });
}

#[test]
fn accepted_connections_wait_for_the_acceptor() {
    run(async {
        let any = "127.0.0.1:0".parse().expect("an address");
        let listener = Listener::bind(any).expect("a free port");
        let address = listener.local_addr();
        let first = Stream::connect(address).await.expect("connected");
        let accepted = listener.accept().await.expect("accepted");
        assert_eq!(accepted.peer(), first.local_addr());
        let mut clients = vec![first];
        for _ in 0..400 {
            clients.push(Stream::connect(address).await.expect("connected"));
        }
        for client in &clients[1..] {
            let accepted = listener.accept().await.expect("accepted");
            assert_eq!(accepted.peer(), client.local_addr());
        }
        drop(listener);
        time::sleep(5 * MS).await;
        assert!(Stream::connect(address).await.is_err(), "nobody listens any more");
    });
}

#[test]
fn connections_given_up_leave_no_operation_behind() {
    run(async {
        time::sleep(MS).await;
        let before = shard::stats().operations;
        for _ in 0..50 {
            let (near, far) = pair().await;
            let reader = spawn(Queue::Produce, async move { far.recv().await.map(|c| c.len()) });
            near.send(vec![pattern(8 << 20, 1).into()]).await.expect("sent");
            yield_now().await;
            reader.cancel();
            drop(near);
        }
        for _ in 0..100 {
            if shard::stats().operations == before {
                return;
            }
            time::sleep(5 * MS).await;
        }
        panic!("{} operations stay in flight, {before} before", shard::stats().operations);
    });
}

#[test]
fn a_shard_ends_with_operations_in_flight() {
    let plain = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = plain.local_addr().expect("an address");
    run(async move {
        let stream = Stream::connect(address).await.expect("connected");
        stream.send(vec![pattern(20 << 20, 1).into()]).await.expect("on its way");
        let receiving = stream.clone();
        spawn(Queue::Produce, async move {
            let block = buffer::alloc(1 << 20).await.expect("memory");
            receiving.recv_exact(block, 0, 1 << 20).await.0
        });
        time::sleep(5 * MS).await;
        drop(stream);
    });
    let (mut peer, _) = plain.accept().expect("accepted");
    peer.shutdown(Shutdown::Write).expect("shut down");
    let mut rest = Vec::new();
    // What matters is that the stream ends: the shard closed its descriptor.
    let _ = peer.read_to_end(&mut rest);
}

#[test]
fn connecting_to_nobody_is_refused() {
    // TCP port 1 (tcpmux) is nobody's; one that was free a moment ago may be another test's by now.
    let nobody = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    run(async move {
        let error = Stream::connect(nobody).await.err().expect("nobody listens there");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

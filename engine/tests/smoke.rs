//! The whole of the engine in a few lines each: does every part of the facade do its plain job?

use std::time::Duration;

use engine::shard::{Launch, block_on};
use engine::task::{Queue, spawn};
use engine::{blocking, buffer, file, net, time};

fn run<F: Future + 'static>(future: F) -> F::Output {
    let launch = Launch { registered_bytes_per_shard: 4 << 20, ..Launch::default() };
    block_on(&launch, future).expect("the tests run where io_uring works")
}

#[test]
fn sleeps_end_in_time() {
    run(async {
        for us in [50, 300, 900, 3000, 40_000] {
            let start = time::now();
            time::sleep(Duration::from_micros(us)).await;
            let took = start.elapsed();
            assert!(took >= Duration::from_micros(us), "{us} us took {took:?}");
        }
    });
}

#[test]
fn a_stream_echoes() {
    run(async {
        let listener =
            net::Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
        let address = listener.local_addr();
        let server = spawn(Queue::Produce, async move {
            let stream = listener.accept().await.expect("accepted").into_stream();
            loop {
                let chunk = stream.recv().await.expect("received");
                if chunk.is_empty() {
                    break;
                }
                stream.send(vec![chunk.to_vec().into()]).await.expect("sent");
            }
        });
        let client = net::Stream::connect(address).await.expect("connected");
        for _ in 0..100 {
            client.send(vec![b"hello".to_vec().into()]).await.expect("sent");
            assert_eq!(&*client.recv().await.expect("received"), b"hello");
        }
        client.shutdown();
        server.await;
    });
}

#[test]
fn a_file_holds_what_was_written() {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let path = dir.path().join("data");
    run(async move {
        let options = file::OpenOptions::new().read().write().create().direct();
        let f = file::File::open(&path, options).await.expect("opened");
        let mut block = buffer::alloc(64 * 1024).await.expect("memory");
        block.iter_mut().enumerate().for_each(|(i, b)| *b = i as u8);
        let slice = block.freeze(64 * 1024);
        f.write_at_synced(0, slice.clone()).await.expect("written");
        assert_eq!(f.len().await.expect("length"), 64 * 1024);
        let (n, back) = f.read_at(0, buffer::alloc(64 * 1024).await.expect("memory")).await;
        assert_eq!(n.expect("read"), 64 * 1024);
        assert_eq!(&*back, &*slice);
        f.set_len(100).await.expect("cut");
        assert_eq!(f.len().await.expect("length"), 100);
    });
}

#[test]
fn blocking_work_comes_back() {
    assert_eq!(run(async { blocking::run(|| 6 * 7).await }), 42);
}

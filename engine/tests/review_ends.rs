//! The ends of shards: what outlives one, what a panic does, who is still woken.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use engine::buffer::{self, Parcel};
use engine::mail::Mesh;
use engine::shard::{Launch, ShardId, block_on, launch};
use engine::{blocking, net, shard, time};

const PATIENCE: Duration = Duration::from_secs(10);

fn run<F: Future + 'static>(future: F) -> F::Output {
    block_on(&Launch::default(), future).expect("the tests run where io_uring works")
}

/// Panics if `work` does not end in time.
fn within(work: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    ended.recv_timeout(PATIENCE).expect("it ends");
}

fn any() -> std::net::SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

async fn receive(bytes: &[u8]) -> net::Chunk {
    let listener = net::Listener::bind(any()).expect("bound");
    let mut client = TcpStream::connect(listener.local_addr()).expect("connected");
    client.write_all(bytes).expect("sent");
    let stream = listener.accept().await.expect("accepted").into_stream();
    stream.recv().await.expect("received")
}

#[test]
fn received_bytes_outlive_their_shard() {
    let chunk = run(receive(b"hello"));
    assert_eq!(&*chunk, b"hello");
}

#[test]
fn a_received_buffer_goes_back_to_its_own_shard_only() {
    let old = run(receive(b"hello"));
    run(async move {
        let new = receive(b"hello").await;
        // Given to this shard's ring, the old chunk's buffer would come round and be received into while
        // the new chunk lies in it.
        drop(old);
        for _ in 0..600 {
            assert_eq!(&*receive(b"other").await, b"other");
        }
        assert_eq!(&*new, b"hello");
    });
}

#[test]
fn a_shard_inside_a_shard_is_refused_and_leaves_the_outer_one_whole() {
    run(async {
        let inner = catch_unwind(AssertUnwindSafe(|| run(async {})));
        assert!(inner.is_err(), "a thread is one shard");
        let block = buffer::alloc(4096).await.expect("memory");
        time::sleep(Duration::from_millis(1)).await;
        assert_eq!(blocking::run(|| 7).await, 7);
        drop(block);
        assert_eq!(shard::current(), ShardId(0));
        assert_eq!(buffer::usage().used, 0);
    });
}

#[test]
fn an_ending_shard_still_wakes_those_that_wait_for_its_memory() {
    within(|| {
        let shards = Launch { shards: 2, memory_bytes_per_shard: 32 << 20, ..Launch::default() };
        let mesh = Mesh::<Parcel>::new(2, 16);
        let listener = std::net::TcpListener::bind(any()).expect("bound");
        let address = listener.local_addr().expect("bound");
        let (hold, held) = mpsc::channel::<()>();
        thread::spawn(move || {
            // A peer that never reads.
            let peer = listener.accept();
            let _ = held.recv();
            drop(peer);
        });
        let running = launch(shards, move |me| {
            let mesh = mesh.clone();
            async move {
                let post = mesh.join(me);
                if me == ShardId(0) {
                    let block = buffer::alloc(32 << 20).await.expect("within the budget");
                    post.post(ShardId(1), block.freeze(32 << 20).into_parcel());
                    let _block = buffer::alloc(32 << 20).await.expect("within the budget");
                } else {
                    let stream = net::Stream::connect(address).await.expect("connected");
                    let (_, parcel) = post.next().await;
                    stream.send(vec![parcel.into()]).await.expect("sent");
                    time::sleep(Duration::from_millis(300)).await;
                }
                Ok::<(), ()>(())
            }
        });
        running.expect("launched").join().expect("both ended");
        drop(hold);
    });
}

/// Runs the named test of this file again as a process of its own, told so by its environment.
fn again(test: &str) -> std::process::Output {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", test, "--nocapture"]).env("REVIEW_CHILD", test);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("started");
    for _ in 0..50 {
        if child.try_wait().expect("asked").is_some() {
            return child.wait_with_output().expect("ended");
        }
        thread::sleep(Duration::from_millis(100));
    }
    child.kill().expect("killed");
    let output = child.wait_with_output().expect("ended");
    panic!("the process hangs: {}", String::from_utf8_lossy(&output.stderr));
}

fn is_child() -> bool {
    std::env::var_os("REVIEW_CHILD").is_some()
}

#[test]
fn a_panic_in_blocking_work_ends_the_process() {
    if is_child() {
        let shards = Launch { shards: 2, ..Launch::default() };
        let running = launch(shards, |me| async move {
            if me == ShardId(1) {
                blocking::run(|| panic!("out of cheese")).await
            }
            std::future::pending::<Result<(), ()>>().await
        });
        let _ = running.expect("launched").join();
        return;
    }
    let output = again("a_panic_in_blocking_work_ends_the_process");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{said}");
    assert!(said.contains("out of cheese"), "{said}");
    assert!(said.contains("HDL-BUG-001"), "{said}");
}

#[test]
fn an_acceptor_without_descriptors_does_not_spin() {
    if is_child() {
        let few = libc::rlimit { rlim_cur: 40, rlim_max: 40 };
        // SAFETY: the limit is read during the call only; this process exists for this test.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &few) }, 0);
        run(async {
            let listener = net::Listener::bind(any()).expect("bound");
            let address = listener.local_addr();
            let mut clients = Vec::new();
            while let Ok(client) = TcpStream::connect(address) {
                clients.push(client);
            }
            let end = time::now() + Duration::from_millis(300);
            let (mut accepted, mut errors) = (Vec::new(), 0);
            while let Ok(next) = time::timeout(end - time::now(), listener.accept()).await {
                match next {
                    Ok(connection) => accepted.push(connection),
                    Err(error) => {
                        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                        errors += 1;
                    }
                }
            }
            let enters = shard::stats().enters;
            assert!(errors > 0 && errors < 100 && enters < 400, "{errors} {enters}");
            // Once there are descriptors again, the connections that waited are accepted.
            clients.truncate(10);
            for _ in 0..10 {
                let next = time::timeout(PATIENCE, listener.accept()).await.expect("in time");
                accepted.extend(next);
            }
            assert!(accepted.len() >= 5, "{}", accepted.len());
            let mut last = clients.pop().expect("ten clients");
            drop(accepted);
            let _ = last.read(&mut [0]);
        });
        return;
    }
    let output = again("an_acceptor_without_descriptors_does_not_spin");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

//! Running a test as a shard.

use std::future::Future;
use std::time::Duration;

use engine::shard::{Launch, block_on};
use engine::{net, time};

#[allow(dead_code, reason = "not every test file asks")]
/// Memory of a test's shard.
pub const MEMORY: usize = 64 << 20;

#[allow(dead_code, reason = "not every test file runs on one shard")]
/// Runs `future` on this thread as a shard with a small registered region, for at most a minute.
pub fn run<F: Future + 'static>(future: F) -> F::Output {
    let launch = Launch {
        memory_bytes_per_shard: MEMORY,
        registered_bytes_per_shard: 4 << 20,
        ..Launch::default()
    };
    let limited = time::timeout(Duration::from_secs(60), future);
    block_on(&launch, limited).expect("the tests run where io_uring works").expect("the test hangs")
}

/// Two ends of a fresh connection on this shard.
#[allow(dead_code, reason = "not every test file connects")]
pub async fn pair() -> (net::Stream, net::Stream) {
    let any = "127.0.0.1:0".parse().expect("an address");
    let listener = net::Listener::bind(any).expect("a free port");
    let near = net::Stream::connect(listener.local_addr()).await.expect("connected");
    let far = listener.accept().await.expect("accepted").into_stream();
    (near, far)
}

/// Bytes whose every position can be told from its neighbours.
#[allow(dead_code, reason = "not every test file needs contents")]
pub fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0] ^ seed).collect()
}

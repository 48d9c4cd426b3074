//! The client: plain blocking sockets on a core of its own, the same for every contender.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use crate::figures::Echo;

/// Where servers run.
pub const SERVER_CORE: usize = 1;
/// Where the client runs.
pub const CLIENT_CORE: usize = 0;

/// A running echo server.
pub struct Server {
    pub address: SocketAddr,
    /// Prefix of the names of the threads that serve, to read their CPU time.
    pub thread_prefix: &'static str,
}

/// Pins the calling thread. Only a pinned one's own cores would be listed, so the number is taken as it is.
pub fn pin(core: usize) {
    let pinned = core_affinity::set_for_current(core_affinity::CoreId { id: core });
    assert!(pinned, "the yardstick needs cores {CLIENT_CORE} and {SERVER_CORE}");
}

/// Sends waves of one request per connection, `requests` times, and takes all answers of each.
pub fn measure(server: &Server, echo: &mut Echo, requests: usize, bytes: usize) {
    let mut streams: Vec<TcpStream> = (0..echo.connections)
        .map(|_| {
            let stream = TcpStream::connect(server.address).expect("the echo server listens");
            stream.set_nodelay(true).expect("a socket option");
            stream
        })
        .collect();
    let request = vec![0x5a; bytes];
    let mut answer = vec![0; bytes];
    let waves = requests.max(10);
    let mut wave = || {
        for stream in &mut streams {
            stream.write_all(&request).expect("sent");
        }
        for stream in &mut streams {
            stream.read_exact(&mut answer).expect("echoed");
        }
    };
    (0..waves / 10).for_each(|_| wave());
    let cpu_before = cpu_ns(server.thread_prefix);
    let start = Instant::now();
    for _ in 0..waves {
        let sent = Instant::now();
        wave();
        echo.round_trips_ns.push(sent.elapsed().as_nanos() as u64);
    }
    echo.wall_ns += start.elapsed().as_nanos() as u64;
    echo.requests += (waves * streams.len()) as u64;
    let cpu = cpu_ns(server.thread_prefix).zip(cpu_before).map(|(a, b)| a.saturating_sub(b));
    echo.cpu_ns = echo.cpu_ns.zip(cpu).map(|(sum, cpu)| sum + cpu);
}

/// CPU time of the calling thread, as the scheduler accounts it.
pub fn own_cpu_ns() -> Option<u64> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split(' ').next()?.parse().ok()
}

/// CPU time of this process's threads whose names begin with `prefix`, as the scheduler accounts it.
fn cpu_ns(prefix: &str) -> Option<u64> {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task").ok()?.flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if name.starts_with(prefix) {
            let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
            sum += stat.split(' ').next()?.parse::<u64>().ok()?;
        }
    }
    Some(sum)
}

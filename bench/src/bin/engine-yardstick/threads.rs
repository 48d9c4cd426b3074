//! Blocking threads: a server with one per connection, and two that park and unpark each other, which is what
//! the kernel and the machine charge for any hop at all.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::client::{CLIENT_CORE, SERVER_CORE, Server, own_cpu_ns, pin};
use crate::figures::Hops;

pub fn serve() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has one");
    let accept = move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accepted");
            let echo = move || {
                pin(SERVER_CORE);
                stream.set_nodelay(true).expect("a socket option");
                let mut buffer = vec![0; 16 << 10];
                while let Ok(n) = stream.read(&mut buffer) {
                    if n == 0 || stream.write_all(&buffer[..n]).is_err() {
                        return;
                    }
                }
            };
            thread::Builder::new().name("block-echo".to_owned()).spawn(echo).expect("a thread");
        }
    };
    thread::Builder::new().name("block-accept".to_owned()).spawn(accept).expect("a thread");
    Server { address, thread_prefix: "block-" }
}

pub fn hops(rounds: usize) -> Hops {
    // Odd: the far thread's turn. Even: the near one's.
    let turn = Arc::new(AtomicU64::new(0));
    let theirs = turn.clone();
    let near = thread::current();
    let rounds = rounds as u64;
    let far = thread::spawn(move || {
        pin(SERVER_CORE);
        for round in 0..rounds {
            while theirs.load(Ordering::Acquire) != 2 * round + 1 {
                thread::park();
            }
            theirs.store(2 * round + 2, Ordering::Release);
            near.unpark();
        }
        own_cpu_ns()
    });
    pin(CLIENT_CORE);
    let cpu_before = own_cpu_ns();
    let mut round_trips_ns = Vec::with_capacity(rounds as usize);
    for round in 0..rounds {
        let start = Instant::now();
        turn.store(2 * round + 1, Ordering::Release);
        far.thread().unpark();
        while turn.load(Ordering::Acquire) != 2 * round + 2 {
            thread::park();
        }
        round_trips_ns.push(start.elapsed().as_nanos() as u64);
    }
    let near_cpu = own_cpu_ns().zip(cpu_before).map(|(after, before)| after - before);
    let far_cpu = far.join().expect("it ends");
    Hops { round_trips_ns, cpu_ns: near_cpu.zip(far_cpu).map(|(a, b)| a + b) }
}

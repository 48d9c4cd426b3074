//! glommio, by its own TcpStream and its own shared_channel.

use std::sync::mpsc;
use std::time::Instant;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::channels::shared_channel;
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement};

use crate::client::{CLIENT_CORE, SERVER_CORE, Server, own_cpu_ns};
use crate::figures::Hops;

pub fn serve() -> Server {
    let (tell, told) = mpsc::channel();
    let builder = LocalExecutorBuilder::new(Placement::Fixed(SERVER_CORE)).name("glommio-echo");
    let spawned = builder.spawn(move || async move {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        tell.send(listener.local_addr().expect("it has one")).expect("the main thread waits");
        while let Ok(stream) = listener.accept().await {
            glommio::spawn_local(echo(stream)).detach();
        }
    });
    spawned.expect("glommio starts");
    let address = told.recv().expect("the server tells its address");
    Server { address, thread_prefix: "glommio-" }
}

async fn echo(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("a socket option");
    let mut buffer = vec![0; 16 << 10];
    while let Ok(n) = stream.read(&mut buffer).await {
        if n == 0 || stream.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

pub fn hops(rounds: usize) -> Hops {
    let (there_tx, there_rx) = shared_channel::new_bounded::<u64>(64);
    let (back_tx, back_rx) = shared_channel::new_bounded::<u64>(64);
    let far = LocalExecutorBuilder::new(Placement::Fixed(SERVER_CORE)).spawn(move || async move {
        let (rx, tx) = (there_rx.connect().await, back_tx.connect().await);
        while let Some(number) = rx.recv().await {
            if tx.send(number).await.is_err() {
                break;
            }
        }
        own_cpu_ns()
    });
    let near = LocalExecutorBuilder::new(Placement::Fixed(CLIENT_CORE)).spawn(move || async move {
        let (tx, rx) = (there_tx.connect().await, back_rx.connect().await);
        let mut times = Vec::with_capacity(rounds);
        for round in 0..rounds as u64 {
            let start = Instant::now();
            tx.send(round).await.expect("the other side listens");
            rx.recv().await.expect("the other side answers");
            times.push(start.elapsed().as_nanos() as u64);
        }
        (times, own_cpu_ns())
    });
    let (round_trips_ns, near_cpu) = near.expect("glommio starts").join().expect("it ends");
    let far_cpu = far.expect("glommio starts").join().expect("it ends");
    Hops { round_trips_ns, cpu_ns: near_cpu.zip(far_cpu).map(|(a, b)| a + b) }
}

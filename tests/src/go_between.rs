//! A go-between on the way to a broker that does one wrong thing, to show that somebody notices.
//!
//! The broker advertises the go-between's address, so that clients come through it with everything. It understands frames
//! and the correlation ids in them, nothing more. Requests are counted over all connections.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

/// What it does once. Requests are Produce requests, counted from 1; they must carry one record each for one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The request is replaced by the one before it: acknowledged, and never stored.
    StoreTheOneBefore {
        /// Which.
        request: u32,
    },
    /// The request is sent a second time by another connection.
    StoreTwice {
        /// Which.
        request: u32,
    },
    /// The request and the one behind it are stored in each other's place.
    Swap {
        /// Which.
        request: u32,
    },
    /// A byte within a fetched value is changed.
    ChangeFetched,
}

/// Frames with fewer bytes than this carry no record that is large enough to be hit for certain.
const FETCHED_BYTES_MIN: usize = 2_500;
/// Where the version and the correlation id of a request stand, its length included.
const CORRELATION_AT: usize = 8;

struct Shared {
    deed: Deed,
    broker: OnceLock<SocketAddr>,
    produced: AtomicU32,
    done: AtomicBool,
    before: Mutex<Vec<u8>>,
}

/// A listening go-between. Its threads end with their connections; the listener with the process.
pub struct GoBetween {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl GoBetween {
    /// Listens; clients wait until it knows where to forward to.
    ///
    /// # Panics
    /// When no port is free.
    pub fn new(deed: Deed) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            deed,
            broker: OnceLock::new(),
            produced: AtomicU32::new(0),
            done: AtomicBool::new(false),
            before: Mutex::default(),
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = accepting.clone();
                thread::spawn(move || shared.serve(client));
            }
        });
        Self { shared, address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the broker listens.
    pub fn forward_to(&self, broker: SocketAddr) {
        self.shared.broker.get_or_init(|| broker);
    }

    /// Whether it did what it was made for.
    pub fn is_done(&self) -> bool {
        self.shared.done.load(SeqCst)
    }
}

impl Shared {
    fn serve(self: Arc<Self>, client: TcpStream) {
        let broker = *self.broker.wait();
        let Ok(broker) = TcpStream::connect(broker) else { return };
        let (Ok(mut from_broker), Ok(mut to_client)) = (broker.try_clone(), client.try_clone())
        else {
            return;
        };
        let shared = self.clone();
        thread::spawn(move || {
            // Either end may go; then both do.
            let _ = shared.answers(&mut from_broker, &mut to_client);
            let _ = to_client.shutdown(Shutdown::Both);
        });
        let _ = self.requests(client, &broker);
        let _ = broker.shutdown(Shutdown::Both);
    }

    fn requests(&self, mut client: TcpStream, mut broker: &TcpStream) -> io::Result<()> {
        loop {
            let frame = read_frame(&mut client)?;
            let is_produce = frame[4..6] == [0, 0];
            if !is_produce {
                broker.write_all(&frame)?;
                continue;
            }
            let number = self.produced.fetch_add(1, SeqCst) + 1;
            match self.deed {
                Deed::StoreTheOneBefore { request } if request == number => {
                    let mut other = self.before();
                    copy_correlation(&frame, &mut other);
                    self.done.store(true, SeqCst);
                    broker.write_all(&other)?;
                }
                Deed::StoreTwice { request } if request == number => {
                    let address = *self.broker.wait();
                    let mut aside = TcpStream::connect(address)?;
                    aside.write_all(&frame)?;
                    read_frame(&mut aside)?;
                    self.done.store(true, SeqCst);
                    broker.write_all(&frame)?;
                }
                Deed::Swap { request } if request == number => {
                    // Its answer is not waited for: the client has more than one request in flight.
                    let mut second = read_frame(&mut client)?;
                    self.produced.fetch_add(1, SeqCst);
                    let mut first = frame.clone();
                    let kept = second.clone();
                    copy_correlation(&frame, &mut second);
                    copy_correlation(&kept, &mut first);
                    self.done.store(true, SeqCst);
                    broker.write_all(&second)?;
                    broker.write_all(&first)?;
                }
                _ => broker.write_all(&frame)?,
            }
            *self.before.lock().unwrap_or_else(PoisonError::into_inner) = frame;
        }
    }

    fn before(&self) -> Vec<u8> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn answers(&self, broker: &mut TcpStream, client: &mut TcpStream) -> io::Result<()> {
        loop {
            let mut frame = read_frame(broker)?;
            if self.deed == Deed::ChangeFetched
                && frame.len() > FETCHED_BYTES_MIN
                && !self.done.swap(true, SeqCst)
            {
                // The end of a frame is the end of its last batch, and that of a value but for a few bytes.
                let at = frame.len() - 1_000;
                frame[at] ^= 1;
            }
            client.write_all(&frame)?;
        }
    }
}

/// A frame with its length.
fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame)?;
    let length = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
    frame.resize(4 + length, 0);
    stream.read_exact(&mut frame[4..])?;
    Ok(frame)
}

fn copy_correlation(from: &[u8], to: &mut [u8]) {
    to[CORRELATION_AT..CORRELATION_AT + 4]
        .copy_from_slice(&from[CORRELATION_AT..CORRELATION_AT + 4]);
}

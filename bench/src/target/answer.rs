//! Whether a broker answers: a Metadata request that has to bring at least one broker.
//!
//! That a connection is accepted would not do: the socket of a broker that was killed a moment ago accepts until the
//! kernel has taken its ring apart, and Apache Kafka listens before it has a leader.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Metadata, version 1, number 1, no client id, no topics.
const REQUEST: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0];
/// An answer without topics is shorter than this by far.
const ANSWER_BYTES_MAX: u32 = 1 << 20;

/// Whether the broker at this address answers within this time and knows of a broker that serves.
pub fn answers(address: SocketAddr, within: Duration) -> bool {
    ask(address, within).is_some_and(|brokers| brokers > 0)
}

fn ask(address: SocketAddr, within: Duration) -> Option<i32> {
    let mut stream = TcpStream::connect_timeout(&address, within).ok()?;
    stream.set_read_timeout(Some(within)).ok()?;
    stream.write_all(&REQUEST).ok()?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let length = u32::from_be_bytes(length);
    if !(8..=ANSWER_BYTES_MAX).contains(&length) {
        return None;
    }
    // The number of the request, and how many brokers follow.
    let mut begin = [0; 8];
    stream.read_exact(&mut begin).ok()?;
    let (number, brokers) = begin.split_at(4);
    (number == [0, 0, 0, 1]).then_some(i32::from_be_bytes(brokers.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that gives one answer to the first request.
    fn server(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("one connection comes");
            let mut request = [0; REQUEST.len()];
            stream.read_exact(&mut request).expect("a request comes");
            assert_eq!(request, REQUEST);
            stream.write_all(answer).expect("the client reads");
        });
        address
    }

    #[test]
    fn only_an_answer_with_a_broker_counts() {
        let within = Duration::from_secs(5);
        assert!(answers(server(&[0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 1]), within));
        assert!(!answers(server(&[0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0]), within), "no broker");
        assert!(!answers(server(&[0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0, 1]), within), "another's");
        assert!(!answers(server(&[0, 0, 0, 2, 0, 0]), within), "too short");
        assert!(!answers(server(&[]), within), "closed");
    }
}

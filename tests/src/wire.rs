//! Raw bytes on a connection: what a hostile or broken peer sends, and what comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a test waits for an answer or for the end of a connection.
const WAIT: Duration = Duration::from_secs(10);

/// What a peer got back for the bytes it sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One frame, without its length.
    Frame(Vec<u8>),
    /// The broker closed the connection.
    Closed,
    /// Neither within the wait.
    Silence,
}

/// One connection to a broker.
pub struct Wire {
    stream: TcpStream,
}

impl Wire {
    /// Connects.
    ///
    /// # Panics
    /// When the broker does not accept the connection.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, WAIT).expect("the broker accepts");
        stream.set_read_timeout(Some(WAIT)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("the delay can be switched off");
        Self { stream }
    }

    /// The same connection with a shorter wait for answers.
    #[must_use]
    pub fn patience(self, wait: Duration) -> Self {
        self.stream.set_read_timeout(Some(wait)).expect("a timeout can be set");
        self
    }

    /// Sends bytes as they are; an error means that the broker has closed and shows at `answer`.
    pub fn send(&mut self, bytes: &[u8]) -> &mut Self {
        let _closed_shows_at_answer = self.stream.write_all(bytes);
        self
    }

    /// Sends `body` as one frame: its length, then itself.
    pub fn send_frame(&mut self, body: &[u8]) -> &mut Self {
        let length = i32::try_from(body.len()).expect("a frame of a test is small");
        let mut frame = length.to_be_bytes().to_vec();
        frame.extend_from_slice(body);
        self.send(&frame)
    }

    /// The next frame, or how the wait for it ended.
    pub fn answer(&mut self) -> Answer {
        let mut length = [0_u8; 4];
        if let Some(ended) = self.fill(&mut length) {
            return ended;
        }
        let length = usize::try_from(i32::from_be_bytes(length)).expect("a length is not negative");
        let mut body = vec![0; length];
        self.fill(&mut body).unwrap_or(Answer::Frame(body))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Option<Answer> {
        match self.stream.read_exact(bytes) {
            Ok(()) => None,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Some(Answer::Silence)
            }
            Err(_) => Some(Answer::Closed),
        }
    }
}

/// A request frame's body: header version 1 (no tags) and what follows it.
pub fn request(api: i16, version: i16, correlation: i32, rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&api.to_be_bytes());
    body.extend_from_slice(&version.to_be_bytes());
    body.extend_from_slice(&correlation.to_be_bytes());
    body.extend_from_slice(&4_i16.to_be_bytes());
    body.extend_from_slice(b"test");
    body.extend_from_slice(rest);
    body
}

/// The same with header version 2: an empty section of tags behind the client id.
pub fn flexible_request(api: i16, version: i16, correlation: i32, rest: &[u8]) -> Vec<u8> {
    let mut with_tags = vec![0];
    with_tags.extend_from_slice(rest);
    request(api, version, correlation, &with_tags)
}

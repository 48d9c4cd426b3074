//! A client of the admin port over a plain socket, without mercy for what comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a test waits for an answer or for the end of a connection.
const WAIT: Duration = Duration::from_secs(30);

/// One connection.
pub struct Http {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The number.
    pub status: u16,
    /// The type of the body.
    pub content_type: String,
    /// What `Content-Length` says.
    pub length: usize,
    /// Another request may follow.
    pub keep_alive: bool,
    /// The body; empty after HEAD.
    pub body: Vec<u8>,
}

impl Http {
    /// Connects.
    ///
    /// # Panics
    /// When nobody accepts the connection.
    pub fn connect(address: SocketAddr) -> Http {
        let stream = TcpStream::connect_timeout(&address, WAIT).expect("the broker accepts");
        stream.set_read_timeout(Some(WAIT)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("an option can be set");
        Http { stream, received: Vec::new() }
    }

    /// Sends bytes; false when the broker has closed the connection.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next response; `None` when the broker closed the connection instead.
    ///
    /// # Panics
    /// When it says nothing at all, or what no client could read.
    pub fn response(&mut self, has_body: bool) -> Option<Response> {
        let end = loop {
            let found = self.received.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(at) = found {
                break at;
            }
            if !self.receive() {
                assert!(self.received.is_empty(), "a response ends within its head");
                return None;
            }
        };
        let head: Vec<u8> = self.received.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("a head is text");
        let mut lines = head.trim_end().split("\r\n");
        let line = lines.next().expect("a head has a first line");
        let status = line.strip_prefix("HTTP/1.1 ").expect("HTTP/1.1")[..3].parse();
        let mut response = Response {
            status: status.expect("a status is a number"),
            content_type: String::new(),
            length: usize::MAX,
            keep_alive: true,
            body: Vec::new(),
        };
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a header is a name and a value");
            match name {
                "Content-Type" => response.content_type = value.to_owned(),
                "Content-Length" => response.length = value.parse().expect("a number"),
                "Connection" => response.keep_alive = value == "keep-alive",
                _ => {}
            }
        }
        if has_body {
            while self.received.len() < response.length {
                assert!(self.receive(), "the body ends after {} bytes", self.received.len());
            }
            response.body = self.received.drain(..response.length).collect();
        }
        Some(response)
    }

    /// Whether the broker has nothing more to say and has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        !self.receive()
    }

    /// GET, with further header lines.
    ///
    /// # Panics
    /// When there is no response.
    pub fn get(&mut self, path: &str, headers: &str) -> Response {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
        assert!(self.send(request.as_bytes()), "the request was not taken");
        self.response(true).expect("a GET is answered")
    }

    fn receive(&mut self) -> bool {
        let mut piece = [0; 64 << 10];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(bytes) => {
                self.received.extend_from_slice(&piece[..bytes]);
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the broker says nothing for {WAIT:?}")
            }
            Err(_) => false,
        }
    }
}

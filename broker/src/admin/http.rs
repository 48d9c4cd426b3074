//! Requests and responses of HTTP/1.1, as far as an admin port needs them: GET and HEAD without a body. Pure.
//!
//! `httparse` reads the head. `hyper` would need its reader, writer, timer and executor put on top of the engine's sockets,
//! which lend and take buffers instead of filling them: more glue than this file has lines, for bodies and upgrades that
//! are refused here anyway.

use crate::limits::{ADMIN_HEAD_BYTES_MAX, ADMIN_HEADERS_MAX};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// HEAD: the answer to the same GET without its body.
    pub is_head: bool,
    /// The path, without a query.
    pub path: String,
    /// What the peer wants to read, all of its `Accept` headers.
    pub accept: String,
    /// Another request may follow.
    pub keep_alive: bool,
}

/// What some received bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a request.
    Incomplete,
    /// A request, and how many bytes it has.
    Request(Request, usize),
    /// Something else: answer with this status and close.
    Refused(Status),
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 200.
    Ok,
    /// 400.
    BadRequest,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 408.
    TimedOut,
    /// 413.
    BodyTooLarge,
    /// 431.
    HeadTooLarge,
    /// 503.
    Unavailable,
}

impl Status {
    /// Number and words.
    pub fn line(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::BadRequest => "400 Bad Request",
            Status::NotFound => "404 Not Found",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::TimedOut => "408 Request Timeout",
            Status::BodyTooLarge => "413 Content Too Large",
            Status::HeadTooLarge => "431 Request Header Fields Too Large",
            Status::Unavailable => "503 Service Unavailable",
        }
    }
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// How it ended.
    pub status: Status,
    /// The type of `body`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// A body of plain text.
    pub fn text(status: Status, text: impl Into<String>) -> Response {
        let body = text.into().into_bytes();
        Response { status, content_type: "text/plain; charset=utf-8", body }
    }

    /// Nothing but the status, in words.
    pub fn of(status: Status) -> Response {
        Response::text(status, format!("{}\n", status.line()))
    }

    /// A body of JSON.
    pub fn json(status: Status, value: &serde_json::Value) -> Response {
        let body = format!("{value}\n").into_bytes();
        Response { status, content_type: "application/json", body }
    }

    /// The bytes before the body.
    pub fn head(&self, keep_alive: bool) -> Vec<u8> {
        let allow = match self.status {
            Status::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            _ => "",
        };
        let connection = if keep_alive { "keep-alive" } else { "close" };
        let (status, length) = (self.status.line(), self.body.len());
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {}\r\nContent-Length: {length}\r\n\
             Cache-Control: no-store\r\n{allow}Connection: {connection}\r\n\r\n",
            self.content_type
        )
        .into_bytes()
    }
}

/// Reads the head of a request from the front of what was received.
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; ADMIN_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    // A head that is longer is never looked at as a whole.
    let looked_at = &bytes[..bytes.len().min(ADMIN_HEAD_BYTES_MAX)];
    let length = match request.parse(looked_at) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() > ADMIN_HEAD_BYTES_MAX => {
            return Parsed::Refused(Status::HeadTooLarge);
        }
        Ok(httparse::Status::Partial) => return Parsed::Incomplete,
        Err(httparse::Error::TooManyHeaders) => return Parsed::Refused(Status::HeadTooLarge),
        Err(_) => return Parsed::Refused(Status::BadRequest),
    };
    let is_head = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Parsed::Refused(Status::MethodNotAllowed),
    };
    let is_1_1 = request.version == Some(1);
    let mut keep_alive = is_1_1;
    let (mut hosts, mut accept) = (0, String::new());
    for header in request.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let value = header.value.trim_ascii();
        if is("host") {
            hosts += 1;
        } else if is("content-length") && value != b"0" || is("transfer-encoding") {
            return Parsed::Refused(Status::BodyTooLarge);
        } else if is("connection") {
            let mut words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            keep_alive = match is_1_1 {
                true => keep_alive && !words.any(|word| word.eq_ignore_ascii_case(b"close")),
                false => words.any(|word| word.eq_ignore_ascii_case(b"keep-alive")),
            };
        } else if is("accept") {
            accept.push_str(&String::from_utf8_lossy(value));
            accept.push(',');
        }
    }
    if hosts > 1 || is_1_1 && hosts == 0 {
        return Parsed::Refused(Status::BadRequest);
    }
    let path = request.path.unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default().to_owned();
    Parsed::Request(Request { is_head, path, accept, keep_alive }, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Parsed) {
        assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
    }

    fn get(path: &str, accept: &str, keep_alive: bool, length: usize) -> Parsed {
        let request =
            Request { is_head: false, path: path.into(), accept: accept.into(), keep_alive };
        Parsed::Request(request, length)
    }

    #[test]
    fn requests_are_read_as_far_as_they_go() {
        let text =
            "GET /metrics?x=1 HTTP/1.1\r\nHost: h\r\nAccept: a;q=0.5\r\naccept: b\r\n\r\nGET";
        check(text, get("/metrics", "a;q=0.5,b,", true, text.len() - 3));
        for end in 0..text.len() - 3 {
            check(&text[..end], Parsed::Incomplete);
        }
        let close = "GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n";
        check(close, get("/", "", false, close.len()));
        let old = "GET / HTTP/1.0\r\n\r\n";
        check(old, get("/", "", false, old.len()));
        let old = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
        check(old, get("/", "", true, old.len()));
    }

    #[test]
    fn what_is_no_such_request_is_refused() {
        let refused = |text: &str, status| check(text, Parsed::Refused(status));
        refused("POST / HTTP/1.1\r\nHost: h\r\n\r\n", Status::MethodNotAllowed);
        refused("GET / HTTP/1.1\r\n\r\n", Status::BadRequest);
        refused("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Status::BadRequest);
        refused("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n", Status::BodyTooLarge);
        refused(
            "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
            Status::BodyTooLarge,
        );
        refused("\0\0\0\x1a\0\x12\0\0\0\0\0\x01", Status::BadRequest);
        refused("GET / HTTP/2.0\r\n\r\n", Status::BadRequest);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(ADMIN_HEADERS_MAX + 1));
        refused(&many, Status::HeadTooLarge);
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(ADMIN_HEAD_BYTES_MAX));
        refused(&long, Status::HeadTooLarge);
    }

    #[test]
    fn a_head_says_how_long_the_body_is() {
        let response = Response::text(Status::Ok, "ok\n");
        assert_eq!(
            String::from_utf8_lossy(&response.head(true)),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\
             Cache-Control: no-store\r\nConnection: keep-alive\r\n\r\n"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Parsed::Request(_, length) = parse(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}

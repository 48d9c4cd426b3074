//! One connection to a broker: handshake, requests, responses in the order of the requests.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;
use protocol::client::{Negotiated, request, response};
use protocol::codec::{Request, StrBytes};
use protocol::messages::ApiVersionsRequest;
use protocol::{ApiKey, ErrorCode};

use super::error::ClientError;
use crate::config::Endpoint;

/// The largest response that is read: more than any broker's default for a fetch.
const RESPONSE_BYTES_MAX: usize = 256 << 20;
/// The version of ApiVersions tried first: every broker since Kafka 2.4 knows it.
const API_VERSIONS_VERSION: i16 = 3;
/// What this client calls itself.
pub const CLIENT_ID: &str = "heddle-cli";

/// A connection whose handshake is done.
pub struct Connection {
    stream: TcpStream,
    address: String,
    timeout: Duration,
    negotiated: Negotiated,
    next_correlation: i32,
}

/// A request that was sent and whose answer has not been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlight {
    /// The id that the answer carries too.
    pub correlation: i32,
    /// The version spoken.
    pub version: i16,
}

impl Connection {
    /// Connects and asks for the versions the broker serves. `timeout` bounds the connecting and
    /// each later wait for an answer.
    ///
    /// # Errors
    /// The broker cannot be reached, or is none.
    pub fn open(endpoint: &Endpoint, timeout: Duration) -> Result<Self, ClientError> {
        let address = endpoint.to_string();
        let stream = connect(endpoint, timeout)
            .map_err(|source| ClientError::Connect { address: address.clone(), source })?;
        let mut connection = Connection {
            stream,
            address,
            timeout,
            negotiated: Negotiated::default(),
            next_correlation: 0,
        };
        connection.handshake()?;
        Ok(connection)
    }

    fn handshake(&mut self) -> Result<(), ClientError> {
        let ask = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("heddle"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let sent = self.send(&ask, API_VERSIONS_VERSION)?;
        let frame = self.receive_frame()?;
        // A broker that does not know the version answers in version 0, with this code first.
        let refused = ErrorCode::UnsupportedVersion.code().to_be_bytes();
        let answer = match frame.get(4..6) == Some(&refused[..]) {
            true => self.call(&ApiVersionsRequest::default(), 0)?,
            false => self.decode::<ApiVersionsRequest>(sent, &frame)?,
        };
        ClientError::check(answer.error_code, None, || "the handshake was refused".into())?;
        self.negotiated = Negotiated::new(&answer);
        Ok(())
    }

    /// The version to speak for a request: the newest that both sides know, at most `cap`.
    ///
    /// # Errors
    /// There is none.
    pub fn version(&self, api: ApiKey, cap: i16) -> Result<i16, ClientError> {
        self.negotiated.at_most(api, cap).map_err(|unsupported| ClientError::Version {
            address: self.address.clone(),
            why: unsupported.to_string(),
        })
    }

    /// Takes the id of the next request.
    pub fn next_correlation(&mut self) -> i32 {
        let correlation = self.next_correlation;
        self.next_correlation = self.next_correlation.wrapping_add(1) & i32::MAX;
        correlation
    }

    /// Sends a request without waiting for its answer.
    ///
    /// # Errors
    /// The connection broke.
    pub fn send<R: Request>(&mut self, ask: &R, version: i16) -> Result<InFlight, ClientError> {
        let correlation = self.next_correlation();
        let frame = request(version, correlation, Some(CLIENT_ID), ask)
            .map_err(|error| self.protocol_error(error.what))?;
        self.send_frame(&frame)?;
        Ok(InFlight { correlation, version })
    }

    /// Sends a whole request frame, length included.
    ///
    /// # Errors
    /// The connection broke.
    pub fn send_frame(&mut self, frame: &[u8]) -> Result<(), ClientError> {
        let sent = self.stream.write_all(frame);
        sent.map_err(|source| self.io_error(source))
    }

    /// Reads the next response frame, without its length.
    ///
    /// # Errors
    /// The connection broke, or nothing came in time.
    pub fn receive_frame(&mut self) -> Result<Bytes, ClientError> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(|source| self.io_error(source))?;
        let length = i32::from_be_bytes(length);
        let Some(length) = usize::try_from(length).ok().filter(|&n| n <= RESPONSE_BYTES_MAX) else {
            return Err(self.protocol_error(format!("a response of {length} bytes")));
        };
        let mut frame = Vec::with_capacity(length);
        let read = (&self.stream).take(length as u64).read_to_end(&mut frame);
        match read {
            Ok(read) if read == length => Ok(Bytes::from(frame)),
            Ok(_) => Err(self.io_error(io::ErrorKind::UnexpectedEof.into())),
            Err(source) => Err(self.io_error(source)),
        }
    }

    fn decode<R: Request>(
        &self,
        sent: InFlight,
        frame: &Bytes,
    ) -> Result<R::Response, ClientError> {
        response::<R>(sent.version, sent.correlation, frame)
            .map_err(|error| self.protocol_error(error))
    }

    /// Sends a request and waits for its answer. Nothing else may be in flight.
    ///
    /// # Errors
    /// As [`Connection::send`], or what comes is not the answer.
    pub fn call<R: Request>(&mut self, ask: &R, version: i16) -> Result<R::Response, ClientError> {
        let sent = self.send(ask, version)?;
        let frame = self.receive_frame()?;
        self.decode::<R>(sent, &frame)
    }

    /// The broker's address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The error for an answer that makes no sense.
    pub fn protocol_error(&self, why: impl ToString) -> ClientError {
        ClientError::Protocol { address: self.address.clone(), why: why.to_string() }
    }

    fn io_error(&self, source: io::Error) -> ClientError {
        let address = self.address.clone();
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ClientError::TimedOut { address, seconds: self.timeout.as_secs() }
            }
            _ => ClientError::Lost { address, source },
        }
    }
}

fn connect(endpoint: &Endpoint, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (endpoint.host.as_str(), endpoint.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

//! One connection to a broker: its handshake, whole frames as they come, calls one at a time.
//!
//! The stream may be sent to by one task and read from by another: [`Connection::split`].

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;
use engine::buffer::{self, Parcel};
use engine::net::{Chunk, Stream};
use engine::{blocking, time};
use protocol::client::{Negotiated, request, response};
use protocol::codec::{Request, StrBytes};
use protocol::frame::{Frame, FrameReader};
use protocol::messages::ApiVersionsRequest;
use protocol::{ApiKey, ErrorCode};

use super::limits::{ANSWER_MAX, CONNECT_MAX};
use super::trouble::Trouble;

/// What the generator calls itself.
pub const CLIENT_ID: &str = "heddle-bench";

/// The version of ApiVersions tried first: every broker since Kafka 2.4 knows it.
const API_VERSIONS_VERSION: i16 = 3;

/// A connection whose handshake is done.
pub struct Connection {
    incoming: Incoming,
    versions: Negotiated,
    correlation: i32,
}

/// The reading side of a connection.
pub struct Incoming {
    stream: Stream,
    address: String,
    frames: FrameReader,
    chunk: Option<Chunk>,
}

impl Connection {
    /// Connects to `HOST:PORT` and asks for the versions served there.
    pub async fn open(address: &str) -> Result<Connection, Trouble> {
        let stream = connect(address).await?;
        let incoming = Incoming {
            stream,
            address: address.to_owned(),
            frames: FrameReader::responses(),
            chunk: None,
        };
        let mut connection =
            Connection { incoming, versions: Negotiated::default(), correlation: 0 };
        connection.shake_hands().await?;
        Ok(connection)
    }

    async fn shake_hands(&mut self) -> Result<(), Trouble> {
        let ask = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("heddle"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let correlation = self.send(&ask, API_VERSIONS_VERSION).await?;
        let frame = self.incoming.next_within(ANSWER_MAX).await?;
        // A broker that does not know the version answers in version 0, with this code first.
        let refused = ErrorCode::UnsupportedVersion.code().to_be_bytes();
        let answer = if frame.get(4..6) == Some(&refused[..]) {
            self.call_version(&ApiVersionsRequest::default(), 0).await?
        } else {
            response::<ApiVersionsRequest>(API_VERSIONS_VERSION, correlation, &frame)
                .map_err(|error| self.incoming.protocol(error))?
        };
        Trouble::check(answer.error_code, None, || "the handshake was refused".into())?;
        self.versions = Negotiated::new(&answer);
        Ok(())
    }

    async fn send<R: Request>(&mut self, ask: &R, version: i16) -> Result<i32, Trouble> {
        self.correlation += 1;
        let frame = request(version, self.correlation, Some(CLIENT_ID), ask)
            .map_err(|error| self.incoming.protocol(error.what))?;
        let sent = self.incoming.stream.send(vec![frame.into()]).await;
        sent.map_err(|error| self.incoming.lost(error))?;
        Ok(self.correlation)
    }

    async fn call_version<R: Request>(
        &mut self,
        ask: &R,
        version: i16,
    ) -> Result<R::Response, Trouble> {
        let correlation = self.send(ask, version).await?;
        let frame = self.incoming.next_within(ANSWER_MAX).await?;
        response::<R>(version, correlation, &frame).map_err(|error| self.incoming.protocol(error))
    }

    /// The newest version that both sides speak.
    pub fn version(&self, api: ApiKey) -> Result<i16, Trouble> {
        self.version_at_most(api, i16::MAX)
    }

    /// The newest version that both sides speak, not above `most`.
    pub fn version_at_most(&self, api: ApiKey, most: i16) -> Result<i16, Trouble> {
        self.versions.at_most(api, most).map_err(|error| self.incoming.protocol(error))
    }

    /// Asks in the newest version and waits for the answer. Nothing else may be in flight.
    pub async fn call<R: Request>(&mut self, ask: &R) -> Result<R::Response, Trouble> {
        let api = ApiKey::from_wire(R::KEY).expect("only APIs of the table are asked");
        let version = self.version(api)?;
        self.call_version(ask, version).await
    }

    /// The same in an older version.
    pub async fn call_at_most<R: Request>(
        &mut self,
        ask: &R,
        most: i16,
    ) -> Result<R::Response, Trouble> {
        let api = ApiKey::from_wire(R::KEY).expect("only APIs of the table are asked");
        let version = self.version_at_most(api, most)?;
        self.call_version(ask, version).await
    }

    /// A handle to send by, and the side to read from.
    pub fn split(self) -> (Stream, Incoming) {
        (self.incoming.stream.clone(), self.incoming)
    }
}

impl Incoming {
    /// The next frame, without its length. A large one lies in a block that it gives back when it is dropped.
    pub async fn next(&mut self) -> Result<Bytes, Trouble> {
        loop {
            if self.chunk.is_none() {
                let chunk = self.stream.recv().await.map_err(|error| self.lost(error))?;
                if chunk.is_empty() {
                    return Err(self.lost("the broker closed it"));
                }
                self.chunk = Some(chunk);
            }
            let chunk = self.chunk.as_mut().expect("it was just received");
            let mut input = &chunk[..];
            let found = self.frames.next(&mut input);
            let taken = chunk.len() - input.len();
            match found {
                Ok(None) => self.chunk = None,
                Ok(Some(Frame::Small(bytes))) => {
                    chunk.advance(taken);
                    if chunk.is_empty() {
                        self.chunk = None;
                    }
                    return Ok(bytes);
                }
                Ok(Some(Frame::Large { length, head })) => {
                    let have = head.len();
                    let Ok(mut block) = buffer::alloc(length).await else {
                        return Err(self.protocol(format!("an answer of {length} bytes")));
                    };
                    // The head is the end of what was taken.
                    block[..have].copy_from_slice(&chunk[taken - have..taken]);
                    chunk.advance(taken);
                    if have < length {
                        self.chunk = None;
                        let (received, filled) = self.stream.recv_exact(block, have, length).await;
                        received.map_err(|error| self.lost(error))?;
                        block = filled;
                    }
                    let held = Held(block.freeze(length).into_parcel());
                    return Ok(Bytes::from_owner(held));
                }
                Err(error) => return Err(self.protocol(error)),
            }
        }
    }

    /// The next frame, if it comes in time. After a failure the place in the stream is lost.
    pub async fn next_within(&mut self, most: Duration) -> Result<Bytes, Trouble> {
        let address = self.address.clone();
        match time::timeout(most, self.next()).await {
            Ok(frame) => frame,
            Err(time::Elapsed) => Err(Trouble::TimedOut { address, seconds: most.as_secs() }),
        }
    }

    /// The error for a connection that broke.
    pub fn lost(&self, why: impl ToString) -> Trouble {
        Trouble::Lost { address: self.address.clone(), why: why.to_string() }
    }

    /// The error for an answer that makes no sense.
    pub fn protocol(&self, why: impl ToString) -> Trouble {
        Trouble::Protocol { address: self.address.clone(), why: why.to_string() }
    }
}

/// A received block as the owner of [`Bytes`].
struct Held(Parcel);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A bare connection to `HOST:PORT`.
pub async fn connect(address: &str) -> Result<Stream, Trouble> {
    let unreachable = |why: String| Trouble::Unreachable { address: address.to_owned(), why };
    let mut last = "the name has no address".to_owned();
    for place in resolve(address).await.map_err(unreachable)? {
        match time::timeout(CONNECT_MAX, Stream::connect(place)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error.to_string(),
            Err(time::Elapsed) => last = format!("no answer within {} s", CONNECT_MAX.as_secs()),
        }
    }
    Err(unreachable(last))
}

async fn resolve(address: &str) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = address.parse() {
        return Ok(vec![address]);
    }
    let address = address.to_owned();
    let found = blocking::run(move || address.to_socket_addrs().map(Vec::from_iter)).await;
    found.map_err(|error| error.to_string())
}

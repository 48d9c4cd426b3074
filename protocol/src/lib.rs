//! The Kafka wire: framing, headers, versions, error codes, and the messages that must be cheap.
//!
//! Everything here is sans-I/O and pure: bytes go in, values or bytes come out. No sockets, no clock, no randomness,
//! and no dependency on the engine, so the same code serves the broker, the command line client, the tests and the
//! load generator.
//!
//! Reading order: [`frame`] cuts the byte stream into frames, [`header`] reads who asks for what in which version,
//! [`versions`] is the one table of what is served, [`guard`] walks a request before the `kafka-protocol` crate may
//! allocate for it, [`produce`] and [`fetch`] are the two messages decoded and encoded by hand, [`api_versions`] is
//! the handshake, [`response`] frames every other answer, [`client`] is the other end of the wire.
//!
//! Holds always: every decoder is total (any bytes give a value or a [`Malformed`], never a panic), and allocates at
//! most a small multiple of the bytes it was given (see [`limits`]).

pub mod api_versions;
pub mod client;
pub mod error_code;
pub mod fetch;
pub mod frame;
pub mod guard;
pub mod header;
pub mod limits;
pub mod produce;
pub mod response;
pub mod versions;
pub mod wire;

pub use error_code::ErrorCode;
pub use guard::decode_request;
pub use header::{HeaderError, RequestHeader};
pub use response::encode_response;
pub use versions::{Api, ApiKey};
pub use wire::{Malformed, Why};

/// The messages and base types of the `kafka-protocol` crate, so that users need not name the crate.
pub use kafka_protocol::{messages, protocol as codec};

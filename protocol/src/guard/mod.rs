//! Walks a message before the `kafka-protocol` crate may decode it.
//!
//! That crate reserves memory for as many elements as an array claims to have, and reads on until the bytes run out:
//! a frame of twenty bytes can ask for gigabytes (the lesson of CVE-2026-111108 and CVE-2026-111115). So each message
//! it decodes for us has a small schema here, and the walk refuses a count that the remaining bytes cannot hold,
//! before anything is allocated. What passes decodes without surprises and costs at most
//! [`Walked::decoded_bytes_max`].
//!
//! Requests are guarded for the broker, responses for the client: a command line tool should not die of a bad server.
//! Produce and Fetch are not here, they are decoded by hand.

mod decode;
mod requests;
mod responses;
mod schema;
#[cfg(test)]
mod tests;
mod walk;

pub use decode::{decode_request, decode_response_body};
pub use walk::Walked;

use crate::versions::ApiKey;
use crate::wire::Malformed;

/// Walks a request body (what follows the header) without decoding it.
///
/// # Errors
/// [`Malformed`].
///
/// # Panics
/// For Produce and Fetch, which have decoders of their own.
pub fn check_request(key: ApiKey, version: i16, body: &[u8]) -> Result<Walked, Malformed> {
    walk::walk(requests::schema(key), key.api(), version, body)
}

/// Walks a response body (what follows the header) without decoding it.
///
/// # Errors
/// [`Malformed`].
///
/// # Panics
/// For Produce and Fetch, which have decoders of their own.
pub fn check_response(key: ApiKey, version: i16, body: &[u8]) -> Result<Walked, Malformed> {
    walk::walk(responses::schema(key), key.api(), version, body)
}

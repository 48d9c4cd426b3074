//! Guard, then decode.

use bytes::Bytes;
use kafka_protocol::protocol::{Decodable, Request};

use super::{check_request, check_response};
use crate::versions::ApiKey;
use crate::wire::{Malformed, Why};

fn key<T: Request>(version: i16) -> Result<ApiKey, Malformed> {
    let unknown = Malformed { at: 0, field: "api key", why: Why::Version { version } };
    ApiKey::from_wire(T::KEY).ok_or(unknown)
}

/// Decodes a request body (what follows the header), after a walk that bounds what it may allocate. Strings and byte
/// strings share the bytes given. Bytes after the request are ignored, as Kafka does.
///
/// # Errors
/// [`Malformed`]; the connection closes.
pub fn decode_request<T: Request>(body: Bytes, version: i16) -> Result<T, Malformed> {
    let key = key::<T>(version)?;
    let walked = check_request(key, version, &body)?;
    decode(body, walked.bytes, key.api().codec_version(version))
}

/// Decodes a response body (what follows the header), after a walk that bounds what it may allocate.
///
/// # Errors
/// [`Malformed`].
pub fn decode_response_body<T: Request>(
    body: Bytes,
    version: i16,
) -> Result<T::Response, Malformed> {
    let key = key::<T>(version)?;
    let walked = check_response(key, version, &body)?;
    decode(body, walked.bytes, key.api().codec_version(version))
}

fn decode<M: Decodable>(body: Bytes, length: usize, version: i16) -> Result<M, Malformed> {
    let mut bytes = body.slice(..length);
    let refused = |at| Malformed { at, field: "message", why: Why::Refused };
    let message = M::decode(&mut bytes, version).map_err(|_| refused(0))?;
    // Both read the same layout, so both must have read the same bytes.
    if bytes.is_empty() { Ok(message) } else { Err(refused(length - bytes.len())) }
}

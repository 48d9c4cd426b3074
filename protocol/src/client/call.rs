//! Any request and response that the `kafka-protocol` crate can say.

use std::fmt;

use bytes::Bytes;
use kafka_protocol::protocol::Request;

use crate::guard;
use crate::header::{begin_request, finish_frame, parse_response_header};
use crate::response::EncodeError;
use crate::versions::{Api, ApiKey};
use crate::wire::{Malformed, Reader, Why};

/// Why a response is not an answer to the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// The frame is not the response it should be.
    Malformed(Malformed),
    /// The response belongs to another request.
    Correlation {
        /// The id that was sent.
        sent: i32,
        /// The id that came.
        came: i32,
    },
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => write!(f, "response: {malformed}"),
            Self::Correlation { sent, came } => {
                write!(f, "the response has correlation id {came}, the request had {sent}")
            }
        }
    }
}

impl std::error::Error for CallError {}

impl From<Malformed> for CallError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

fn api_of<T: Request>() -> Result<&'static Api, Malformed> {
    let unknown = Malformed { at: 0, field: "api key", why: Why::Version { version: -1 } };
    ApiKey::from_wire(T::KEY).map(ApiKey::api).ok_or(unknown)
}

/// Encodes a whole request frame: length, header, body.
///
/// # Errors
/// [`EncodeError`] if the body has a field set that this version cannot say.
///
/// # Panics
/// If `T` is not one of the APIs of [`crate::versions`].
pub fn request<T: Request>(
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    body: &T,
) -> Result<Vec<u8>, EncodeError> {
    let api = api_of::<T>().expect("only APIs of the table are called");
    let mut frame = begin_request(api, version, correlation_id, client_id);
    body.encode(&mut frame, api.codec_version(version)).map_err(|error| EncodeError {
        api: api.key,
        version,
        what: error.to_string(),
    })?;
    finish_frame(&mut frame, 0);
    Ok(frame)
}

/// Decodes a response frame (without its length prefix) to the request that had `version` and `correlation_id`.
///
/// # Errors
/// [`CallError`].
pub fn response<T: Request>(
    version: i16,
    correlation_id: i32,
    frame: &Bytes,
) -> Result<T::Response, CallError> {
    let api = api_of::<T>()?;
    let body = body(api, version, correlation_id, frame)?;
    Ok(guard::decode_response_body::<T>(frame.slice(body..), version)?)
}

/// The correlation id of a response frame (without its length prefix): which request it answers.
///
/// # Errors
/// [`Malformed`] if it is shorter than that.
pub fn correlation_id(frame: &[u8]) -> Result<i32, Malformed> {
    Reader::new(frame, false).i32("correlation id")
}

/// Checks the header of a response frame and says where its body begins.
pub(super) fn body(api: &Api, version: i16, sent: i32, frame: &[u8]) -> Result<usize, CallError> {
    let (came, body_at) = parse_response_header(frame, api, version)?;
    if came == sent { Ok(body_at) } else { Err(CallError::Correlation { sent, came }) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use kafka_protocol::messages::{
        DescribeClusterRequest, DescribeClusterResponse, ListOffsetsRequest, ListOffsetsResponse,
    };
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn a_call_comes_back_through_both_ends() {
        for version in 0..=2 {
            let ask = DescribeClusterRequest::default();
            let frame = Bytes::from(request(version, 9, Some("cli"), &ask).unwrap()).slice(4..);
            let header = crate::RequestHeader::parse(&frame).unwrap();
            assert_eq!(header.client_id.as_deref(), Some("cli"));
            let body = frame.slice(header.body_at..);
            let came: DescribeClusterRequest = crate::decode_request(body, version).unwrap();
            assert_eq!(came, ask);

            let answer = DescribeClusterResponse::default()
                .with_cluster_id(StrBytes::from_static_str("loom"));
            let frame =
                crate::encode_response(ApiKey::DescribeCluster, version, 9, &answer).unwrap();
            let frame = Bytes::from(frame).slice(4..);
            assert_eq!(correlation_id(&frame).unwrap(), 9);
            let came = response::<DescribeClusterRequest>(version, 9, &frame).unwrap();
            assert_eq!(came, answer);
            assert_eq!(
                response::<DescribeClusterRequest>(version, 8, &frame).unwrap_err(),
                CallError::Correlation { sent: 8, came: 9 }
            );
        }
    }

    #[test]
    fn the_newest_list_offsets_passes_though_the_codec_lacks_it() {
        let frame = request(11, 1, None, &ListOffsetsRequest::default()).unwrap();
        let frame = Bytes::from(frame).slice(4..);
        let header = crate::RequestHeader::parse(&frame).unwrap();
        assert_eq!((header.version, header.api.key), (11, ApiKey::ListOffsets));
        let body = frame.slice(header.body_at..);
        crate::decode_request::<ListOffsetsRequest>(body, 11).unwrap();
        let answer = ListOffsetsResponse::default();
        let frame = crate::encode_response(ApiKey::ListOffsets, 11, 1, &answer).unwrap();
        let frame = Bytes::from(frame).slice(4..);
        assert_eq!(response::<ListOffsetsRequest>(11, 1, &frame).unwrap(), answer);
    }
}

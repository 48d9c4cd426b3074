//! Frames for the answers that the `kafka-protocol` crate encodes.

use std::fmt;

use kafka_protocol::protocol::Encodable;

use crate::header::{begin_response, finish_frame};
use crate::versions::ApiKey;

/// A message that cannot be said in the version asked for: a field is set that the version does not have. A bug of
/// the handler, answered by closing the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError {
    /// The API.
    pub api: ApiKey,
    /// The version.
    pub version: i16,
    /// What the encoder said.
    pub what: String,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot encode {:?} version {}: {}", self.api, self.version, self.what)
    }
}

impl std::error::Error for EncodeError {}

/// Encodes a whole response frame: length, header, body.
///
/// # Errors
/// [`EncodeError`] if the body has a field set that this version cannot say.
pub fn encode_response<R: Encodable>(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    body: &R,
) -> Result<Vec<u8>, EncodeError> {
    let api = key.api();
    let mut frame = begin_response(api, version, correlation_id);
    body.encode(&mut frame, api.codec_version(version)).map_err(|error| EncodeError {
        api: key,
        version,
        what: error.to_string(),
    })?;
    finish_frame(&mut frame, 0);
    Ok(frame)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use kafka_protocol::messages::{
        DescribeClusterResponse, ListOffsetsResponse, MetadataResponse, TopicName,
        list_offsets_response::ListOffsetsTopicResponse,
    };
    use kafka_protocol::protocol::{Decodable, StrBytes};

    #[test]
    fn frames_carry_length_header_and_body() {
        let body = MetadataResponse::default();
        let frame = encode_response(ApiKey::Metadata, 8, 3, &body).unwrap();
        assert_eq!(frame[..8], [0, 0, 0, frame.len() as u8 - 4, 0, 0, 0, 3]);
        let old = frame.len();
        let frame = encode_response(ApiKey::Metadata, 12, 3, &body).unwrap();
        assert_eq!(frame[8], 0, "the flexible header ends with tags");
        assert!(frame.len() < old);
    }

    #[test]
    fn list_offsets_11_has_the_bytes_of_10() {
        let topic = ListOffsetsTopicResponse::default()
            .with_name(TopicName(StrBytes::from_static_str("t")));
        let body = ListOffsetsResponse::default().with_topics(vec![topic]);
        let frame = encode_response(ApiKey::ListOffsets, 11, 3, &body).unwrap();
        assert_eq!(frame, encode_response(ApiKey::ListOffsets, 10, 3, &body).unwrap());
        let mut bytes = bytes::Bytes::from(frame).slice(9..);
        assert_eq!(ListOffsetsResponse::decode(&mut bytes, 10).unwrap(), body);
    }

    #[test]
    fn a_field_the_version_lacks_is_an_error_that_names_it() {
        let body = DescribeClusterResponse::default().with_endpoint_type(2);
        let error = encode_response(ApiKey::DescribeCluster, 0, 3, &body).unwrap_err();
        assert!(
            error.to_string().starts_with("cannot encode DescribeCluster version 0"),
            "{error}"
        );
    }
}

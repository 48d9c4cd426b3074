//! Request and response headers.

use std::borrow::Cow;
use std::fmt;

use crate::versions::{self, Api, ApiKey};
use crate::wire::{Malformed, Reader, Writer};

/// The header of one request frame, of an API and version this broker serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    /// What is asked for.
    pub api: &'static Api,
    /// In which version; `api` serves it.
    pub version: i16,
    /// The number the response must repeat.
    pub correlation_id: i32,
    /// What the client calls itself, if anything. Bytes that are not UTF-8 are replaced, as Kafka does.
    pub client_id: Option<Cow<'a, str>>,
    /// Where the body begins in the frame.
    pub body_at: usize,
}

/// A frame whose header does not lead to a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// The header itself is broken: close the connection.
    Malformed(Malformed),
    /// An API that is not served: close the connection, as Kafka does.
    UnknownApi {
        /// The key on the wire.
        key: i16,
        /// The version on the wire.
        version: i16,
    },
    /// A version that is not served. For [`ApiKey::ApiVersions`] answer with
    /// [`api_versions::unsupported_version`](crate::api_versions::unsupported_version), for all others close the
    /// connection.
    UnsupportedVersion {
        /// The API.
        api: &'static Api,
        /// The version on the wire.
        version: i16,
        /// The number the response must repeat.
        correlation_id: i32,
    },
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => write!(f, "request header: {malformed}"),
            Self::UnknownApi { key, version } => {
                write!(f, "API key {key} (version {version}) is not served")
            }
            Self::UnsupportedVersion { api, version, .. } => write!(
                f,
                "{} version {version} is not served (served: {} to {})",
                api.name, api.min, api.max
            ),
        }
    }
}

impl std::error::Error for HeaderError {}

impl From<Malformed> for HeaderError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl<'a> RequestHeader<'a> {
    /// Reads the header of a frame (without its length prefix).
    ///
    /// # Errors
    /// [`HeaderError`]; the version is judged before the rest of the header, which a newer version may lay out
    /// otherwise.
    pub fn parse(frame: &'a [u8]) -> Result<Self, HeaderError> {
        let mut reader = Reader::new(frame, false);
        let key = reader.i16("api key")?;
        let version = reader.i16("api version")?;
        let correlation_id = reader.i32("correlation id")?;
        let Some(api) = versions::find(key) else {
            return Err(HeaderError::UnknownApi { key, version });
        };
        if !api.serves(version) {
            return Err(HeaderError::UnsupportedVersion { api, version, correlation_id });
        }
        // The client id keeps its two-byte length even in the flexible header.
        let client_id = match reader.i16("client id")? {
            -1 => None,
            length => {
                let length = usize::try_from(length).map_err(|_| {
                    let why = crate::wire::Why::Negative { length: i64::from(length) };
                    reader.malformed("client id", why)
                })?;
                Some(String::from_utf8_lossy(&frame[reader.take(length, "client id")?]))
            }
        };
        let at = reader.position();
        let mut tags = Reader::new(&frame[at..], api.flexible(version));
        tags.skip_tags().map_err(|error| Malformed { at: error.at + at, ..error })?;
        let body_at = at + tags.position();
        Ok(Self { api, version, correlation_id, client_id, body_at })
    }
}

/// Begins a response frame: four bytes for the length, then the response header. [`finish_frame`] fills the length
/// in.
#[must_use]
pub fn begin_response(api: &Api, version: i16, correlation_id: i32) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.i32(0);
    out.i32(correlation_id);
    out.no_tags(api.response_header_version(version) == 1);
    out
}

/// Begins a request frame: four bytes for the length, then the request header. [`finish_frame`] fills the length in.
#[must_use]
pub fn begin_request(
    api: &Api,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.i32(0);
    out.i16(api.key.wire());
    out.i16(version);
    out.i32(correlation_id);
    out.nullable_string(client_id, false);
    out.no_tags(api.request_header_version(version) == 2);
    out
}

/// Fills in the length of a frame whose last `elsewhere` bytes are sent from other buffers.
///
/// # Panics
/// If the frame is longer than an `i32` can say: responses are bounded far below.
pub fn finish_frame(frame: &mut [u8], elsewhere: usize) {
    let length = i32::try_from(frame.len() - 4 + elsewhere).expect("a frame's length fits an i32");
    frame[..4].copy_from_slice(&length.to_be_bytes());
}

/// Reads a response header and gives the correlation id and where the body begins.
///
/// # Errors
/// [`Malformed`].
pub fn parse_response_header(
    frame: &[u8],
    api: &Api,
    version: i16,
) -> Result<(i32, usize), Malformed> {
    let mut reader = Reader::new(frame, api.response_header_version(version) == 1);
    let correlation_id = reader.i32("correlation id")?;
    reader.skip_tags()?;
    Ok((correlation_id, reader.position()))
}

/// Whether an unsupported version must be answered rather than the connection closed.
#[must_use]
pub fn answers_unsupported_version(api: &Api) -> bool {
    api.key == ApiKey::ApiVersions
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::wire::Why;
    use kafka_protocol::messages::RequestHeader as TheirHeader;
    use kafka_protocol::protocol::{Encodable, StrBytes};

    fn theirs(api: &Api, version: i16, client_id: Option<&str>) -> Vec<u8> {
        let mut header = TheirHeader::default()
            .with_request_api_key(api.key.wire())
            .with_request_api_version(version)
            .with_correlation_id(-7)
            .with_client_id(client_id.map(|id| StrBytes::from_string(id.to_owned())));
        if api.flexible(version) {
            header = header.with_unknown_tagged_field(9, bytes::Bytes::from_static(b"tag"));
        }
        let mut bytes = Vec::new();
        header.encode(&mut bytes, api.request_header_version(version)).unwrap();
        bytes
    }

    #[test]
    fn every_api_and_version_parses_as_the_codec_writes_it() {
        for api in &versions::APIS {
            for version in api.min..=api.max {
                for client_id in [None, Some(""), Some("rdkafka")] {
                    let mut frame = theirs(api, version, client_id);
                    let body_at = frame.len();
                    frame.extend_from_slice(b"body");
                    let header = RequestHeader::parse(&frame).unwrap();
                    assert_eq!(header.api.key, api.key);
                    assert_eq!(
                        (header.version, header.correlation_id, header.body_at),
                        (version, -7, body_at)
                    );
                    assert_eq!(header.client_id.as_deref(), client_id);
                    for cut in 0..body_at {
                        RequestHeader::parse(&frame[..cut]).unwrap_err();
                    }
                }
            }
        }
    }

    #[test]
    fn ours_is_what_the_codec_reads() {
        use kafka_protocol::protocol::Decodable;
        for api in &versions::APIS {
            for version in api.min..=api.max {
                let mut frame = begin_request(api, version, 77, Some("me"));
                finish_frame(&mut frame, 0);
                let mut body = bytes::Bytes::from(frame.split_off(4));
                assert_eq!(frame, (body.len() as i32).to_be_bytes());
                let header =
                    TheirHeader::decode(&mut body, api.request_header_version(version)).unwrap();
                assert!(body.is_empty());
                assert_eq!(header.client_id.as_deref(), Some("me"));
                assert_eq!(header.correlation_id, 77);
            }
        }
    }

    #[test]
    fn unserved_apis_and_versions_are_told_apart() {
        let parse = |key: i16, version: i16| {
            let mut frame = Vec::new();
            frame.i16(key);
            frame.i16(version);
            frame.i32(5);
            RequestHeader::parse(&frame).unwrap_err()
        };
        assert_eq!(parse(11, 0), HeaderError::UnknownApi { key: 11, version: 0 });
        assert_eq!(parse(-1, 0), HeaderError::UnknownApi { key: -1, version: 0 });
        let HeaderError::UnsupportedVersion { api, version, correlation_id } = parse(18, 99) else {
            panic!("version 99 is not served")
        };
        assert_eq!((api.key, version, correlation_id), (ApiKey::ApiVersions, 99, 5));
        assert!(answers_unsupported_version(api));
        for version in 0..3 {
            assert!(matches!(parse(0, version), HeaderError::UnsupportedVersion { .. }));
        }
        assert!(matches!(parse(18, -1), HeaderError::UnsupportedVersion { .. }));
        assert!(matches!(
            RequestHeader::parse(&[0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xfe]),
            Err(HeaderError::Malformed(Malformed { why: Why::Negative { length: -2 }, .. }))
        ));
    }

    #[test]
    fn a_client_id_that_is_not_utf8_is_shown_with_replacements() {
        let header = RequestHeader::parse(&[0, 18, 0, 0, 0, 0, 0, 1, 0, 2, b'a', 0xff]).unwrap();
        assert_eq!(header.client_id.as_deref(), Some("a\u{fffd}"));
    }
}

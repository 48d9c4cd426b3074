//! The handshake: which APIs and versions are served (KIP-35, KIP-511, KIP-584).
//!
//! Answered before authentication, in any version: one we do not know gets an answer in the encoding of version 0
//! with error 35 and our own range, and the client asks again. The response header is always of version 0.

use crate::error_code::ErrorCode;
use crate::header::{begin_response, finish_frame};
use crate::versions::{APIS, ApiKey};
use crate::wire::Writer;

/// A feature and the range of levels supported, or the level finalized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// Its name, such as `metadata.version`.
    pub name: String,
    /// Lowest level.
    pub min: i16,
    /// Highest level.
    pub max: i16,
}

/// The features of the cluster. What is finalized changes what clients do, so nothing is listed that does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    /// What this broker could do. Entries whose `min` is 0 are left out below version 4, whose readers choke on them.
    pub supported: Vec<Feature>,
    /// What the cluster agreed on.
    pub finalized: Vec<Feature>,
    /// Epoch of `finalized`, -1 if unknown.
    pub finalized_epoch: i64,
}

impl Default for Features {
    fn default() -> Self {
        Self { supported: Vec::new(), finalized: Vec::new(), finalized_epoch: -1 }
    }
}

/// Encodes the answer to a request of a version we serve, as a whole frame.
#[must_use]
pub fn response(version: i16, correlation_id: i32, features: &Features) -> Vec<u8> {
    let api = ApiKey::ApiVersions.api();
    let flexible = api.flexible(version);
    let mut out = begin_response(api, version, correlation_id);
    out.i16(ErrorCode::None.code());
    out.length(APIS.len(), flexible);
    for api in &APIS {
        out.i16(api.key.wire());
        out.i16(api.advertised_min);
        out.i16(api.max);
        out.no_tags(flexible);
    }
    if version >= 1 {
        out.i32(0); // throttle time
    }
    if flexible {
        feature_tags(&mut out, version, features);
    }
    finish_frame(&mut out, 0);
    out
}

/// Encodes the answer to a request of a version we do not serve, as a whole frame in the encoding of version 0
/// (KIP-511).
#[must_use]
pub fn unsupported_version(correlation_id: i32) -> Vec<u8> {
    let api = ApiKey::ApiVersions.api();
    let mut out = begin_response(api, 0, correlation_id);
    out.i16(ErrorCode::UnsupportedVersion.code());
    out.length(1, false);
    out.i16(api.key.wire());
    out.i16(api.min);
    out.i16(api.max);
    finish_frame(&mut out, 0);
    out
}

/// Tags 0 to 2 of version 3 and later; each is left out when it has its default.
fn feature_tags(out: &mut Vec<u8>, version: i16, features: &Features) {
    let supported: Vec<&Feature> =
        features.supported.iter().filter(|feature| version >= 4 || feature.min != 0).collect();
    let mut tags: Vec<(u32, Vec<u8>)> = Vec::new();
    if !supported.is_empty() {
        tags.push((0, feature_list(&supported, |feature| (feature.min, feature.max))));
    }
    if features.finalized_epoch != -1 {
        tags.push((1, features.finalized_epoch.to_be_bytes().to_vec()));
    }
    if !features.finalized.is_empty() {
        let finalized: Vec<&Feature> = features.finalized.iter().collect();
        // The finalized list says the highest level first.
        tags.push((2, feature_list(&finalized, |feature| (feature.max, feature.min))));
    }
    out.uvarint(tags.len() as u32);
    for (tag, contents) in tags {
        out.uvarint(tag);
        out.uvarint(contents.len() as u32);
        out.raw(&contents);
    }
}

fn feature_list(features: &[&Feature], levels: impl Fn(&Feature) -> (i16, i16)) -> Vec<u8> {
    let mut out = Vec::new();
    out.length(features.len(), true);
    for feature in features {
        let (first, second) = levels(feature);
        out.string(&feature.name, true);
        out.i16(first);
        out.i16(second);
        out.no_tags(true);
    }
    out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use kafka_protocol::messages::ApiVersionsResponse;
    use kafka_protocol::protocol::Decodable;

    fn decode(frame: Vec<u8>, version: i16) -> ApiVersionsResponse {
        assert_eq!(frame[..4], (frame.len() as i32 - 4).to_be_bytes());
        assert_eq!(frame[4..8], 42i32.to_be_bytes(), "the header is always of version 0");
        let mut bytes = bytes::Bytes::from(frame).slice(8..);
        let decoded = ApiVersionsResponse::decode(&mut bytes, version).unwrap();
        assert!(bytes.is_empty());
        decoded
    }

    fn features() -> Features {
        let feature = |name: &str, min, max| Feature { name: name.to_owned(), min, max };
        Features {
            supported: vec![feature("metadata.version", 7, 30), feature("group.version", 0, 1)],
            finalized: vec![feature("metadata.version", 27, 27)],
            finalized_epoch: 12,
        }
    }

    #[test]
    fn all_versions_list_the_table() {
        for version in 0..=4 {
            let body = decode(response(version, 42, &Features::default()), version);
            assert_eq!(body.error_code, 0);
            let rows: Vec<_> =
                body.api_keys.iter().map(|k| (k.api_key, k.min_version, k.max_version)).collect();
            let table: Vec<_> =
                APIS.iter().map(|a| (a.key.wire(), a.advertised_min, a.max)).collect();
            assert_eq!(rows, table);
            assert_eq!(rows[0], (0, 0, 13), "Produce is advertised from 0 (KAFKA-18659)");
            assert!(body.supported_features.is_empty() && body.finalized_features.is_empty());
            assert_eq!(body.finalized_features_epoch, -1);
        }
    }

    #[test]
    fn features_from_level_0_wait_for_version_4() {
        for version in 3..=4 {
            let body = decode(response(version, 42, &features()), version);
            let names: Vec<&str> = body.supported_features.iter().map(|f| &*f.name).collect();
            match version {
                3 => assert_eq!(names, ["metadata.version"]),
                _ => assert_eq!(names, ["metadata.version", "group.version"]),
            }
            assert_eq!(body.supported_features[0].max_version, 30);
            assert_eq!(body.finalized_features[0].max_version_level, 27);
            assert_eq!(body.finalized_features_epoch, 12);
        }
        assert_eq!(decode(response(2, 42, &features()), 2).api_keys.len(), APIS.len());
    }

    #[test]
    fn an_unknown_version_is_answered_in_version_0_with_our_range() {
        let body = decode(unsupported_version(42), 0);
        assert_eq!(body.error_code, 35);
        let key = &body.api_keys[0];
        assert_eq!((body.api_keys.len(), key.api_key), (1, 18));
        assert_eq!((key.min_version, key.max_version), (0, 4));
    }
}

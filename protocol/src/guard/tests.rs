//! Goal: the schemas are exactly what the `kafka-protocol` crate reads, and nothing that passes the walk surprises
//! it. Method: messages are generated from the schemas themselves, for every API and version, decoded and encoded
//! again by the crate, and compared byte for byte; then broken in every way and fed to both.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::Bytes;
use kafka_protocol::messages as m;
use kafka_protocol::protocol::{Encodable, Request};
use proptest::prelude::*;

use super::schema::{Field, Fields, Kind};
use super::{decode_request, decode_response_body, requests, responses};
use crate::limits::{REQUEST_ELEMENTS_MAX, TAGS_MAX};
use crate::versions::{APIS, ApiKey};
use crate::wire::{Malformed, Why, Writer};

/// A stream of numbers from a seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Writes messages by their schema.
struct Maker {
    numbers: Numbers,
    version: i16,
    flexible: bool,
    out: Vec<u8>,
}

impl Maker {
    fn fields(&mut self, fields: Fields) {
        let version = self.version;
        for field in fields.iter().filter(|field| field.is_in(version) && field.tag.is_none()) {
            self.field(field);
        }
        if !self.flexible {
            return;
        }
        let known: Vec<&Field> =
            fields.iter().filter(|field| field.is_in(version) && field.tag.is_some()).collect();
        let unknown = self.numbers.below(4).saturating_sub(2);
        self.out.uvarint(known.len() as u32 + unknown as u32);
        for field in known {
            let before = std::mem::take(&mut self.out);
            self.field(field);
            let contents = std::mem::replace(&mut self.out, before);
            self.out.uvarint(field.tag.unwrap());
            self.out.uvarint(contents.len() as u32);
            self.out.raw(&contents);
        }
        for at in 0..unknown {
            let contents = self.text();
            self.out.uvarint(100 + at as u32);
            self.out.string(&contents, true);
            // A compact string's length is one more than a tagged field's.
            let at = self.out.len() - contents.len() - 1;
            self.out[at] -= 1;
        }
    }

    fn field(&mut self, field: &Field) {
        let null = self.version >= field.nullable_from && self.numbers.below(4) == 0;
        // Tagged fields with their default are left out by the encoder, so they are never empty here.
        let count = self.numbers.below(4) as usize + usize::from(field.tag.is_some());
        match field.kind {
            Kind::Fixed(1) => {
                let bit = self.numbers.below(2) as i8 | i8::from(field.tag.is_some());
                self.out.i8(bit);
            }
            Kind::Fixed(bytes) => {
                for _ in 0..bytes {
                    let byte = self.numbers.below(255) as i8;
                    self.out.i8(byte);
                }
            }
            Kind::Text if null => self.out.nullable_string(None, self.flexible),
            Kind::Text => self.put_text(),
            Kind::Structs(_) | Kind::Numbers(_) | Kind::Texts if null => {
                self.out.null(self.flexible);
            }
            Kind::Structs(fields) => {
                self.out.length(count, self.flexible);
                for _ in 0..count {
                    self.fields(fields);
                }
            }
            Kind::Numbers(bytes) => {
                self.out.length(count, self.flexible);
                for _ in 0..count * bytes {
                    let byte = self.numbers.next() as i8;
                    self.out.i8(byte);
                }
            }
            Kind::Texts => {
                self.out.length(count, self.flexible);
                for _ in 0..count {
                    self.put_text();
                }
            }
        }
    }

    fn text(&mut self) -> String {
        let length = self.numbers.below(6);
        (0..length).map(|_| char::from(b'a' + self.numbers.below(26) as u8)).collect()
    }

    fn put_text(&mut self) {
        let text = self.text();
        self.out.string(&text, self.flexible);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

fn make(key: ApiKey, version: i16, side: Side, seed: u64) -> Vec<u8> {
    let flexible = key.api().flexible(version);
    let mut maker = Maker { numbers: Numbers(seed), version, flexible, out: Vec::new() };
    maker.fields(match side {
        Side::Request => requests::schema(key),
        Side::Response => responses::schema(key),
    });
    maker.out
}

/// Guards and decodes with the crate; gives what the crate makes of it when it encodes it again.
fn recode(key: ApiKey, version: i16, side: Side, bytes: Bytes) -> Result<Vec<u8>, Malformed> {
    fn go<T: Request>(version: i16, side: Side, bytes: Bytes) -> Result<Vec<u8>, Malformed> {
        let codec = ApiKey::from_wire(T::KEY).unwrap().api().codec_version(version);
        let mut out = Vec::new();
        match side {
            Side::Request => decode_request::<T>(bytes, version)?.encode(&mut out, codec),
            Side::Response => decode_response_body::<T>(bytes, version)?.encode(&mut out, codec),
        }
        .unwrap();
        Ok(out)
    }
    let go = match key {
        ApiKey::Produce | ApiKey::Fetch => unreachable!("decoded by hand"),
        ApiKey::ListOffsets => go::<m::ListOffsetsRequest>,
        ApiKey::Metadata => go::<m::MetadataRequest>,
        ApiKey::FindCoordinator => go::<m::FindCoordinatorRequest>,
        ApiKey::ApiVersions => go::<m::ApiVersionsRequest>,
        ApiKey::CreateTopics => go::<m::CreateTopicsRequest>,
        ApiKey::DeleteTopics => go::<m::DeleteTopicsRequest>,
        ApiKey::DeleteRecords => go::<m::DeleteRecordsRequest>,
        ApiKey::InitProducerId => go::<m::InitProducerIdRequest>,
        ApiKey::OffsetForLeaderEpoch => go::<m::OffsetForLeaderEpochRequest>,
        ApiKey::DescribeConfigs => go::<m::DescribeConfigsRequest>,
        ApiKey::AlterConfigs => go::<m::AlterConfigsRequest>,
        ApiKey::CreatePartitions => go::<m::CreatePartitionsRequest>,
        ApiKey::IncrementalAlterConfigs => go::<m::IncrementalAlterConfigsRequest>,
        ApiKey::DescribeCluster => go::<m::DescribeClusterRequest>,
    };
    go(version, side, bytes)
}

/// Every API and version that goes through the guard, from both ends.
fn every_message() -> impl Iterator<Item = (ApiKey, i16, Side)> {
    APIS.iter()
        .filter(|api| !matches!(api.key, ApiKey::Produce | ApiKey::Fetch))
        .flat_map(|api| (api.min..=api.max).map(|version| (api.key, version)))
        .flat_map(|(key, version)| [Side::Request, Side::Response].map(|side| (key, version, side)))
}

#[test]
fn schemas_say_what_the_codec_reads() {
    for (key, version, side) in every_message() {
        for seed in 0..40 {
            let bytes = make(key, version, side, seed);
            let came = recode(key, version, side, Bytes::from(bytes.clone()))
                .unwrap_or_else(|error| panic!("{key:?} {version} {side:?}: {error}"));
            assert_eq!(came, bytes, "{key:?} version {version} {side:?}");
        }
    }
}

#[test]
fn every_truncation_is_refused_and_what_follows_is_ignored() {
    for (key, version, side) in every_message() {
        let mut bytes = make(key, version, side, 7);
        for cut in 0..bytes.len() {
            let error = recode(key, version, side, Bytes::copy_from_slice(&bytes[..cut]));
            let error = error.expect_err("a message cut short is not a message");
            assert_ne!(error.why, Why::Refused, "{key:?} {version} {side:?} at {cut}");
        }
        let whole = bytes.clone();
        bytes.extend_from_slice(b"what follows is ignored");
        assert_eq!(recode(key, version, side, Bytes::from(bytes)).unwrap(), whole);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn broken_messages_are_refused_by_the_walk_or_read_by_the_codec(
        seed in any::<u64>(),
        damage in prop::collection::vec((any::<u64>(), any::<u8>()), 1..4),
    ) {
        for (key, version, side) in every_message() {
            let mut bytes = make(key, version, side, seed);
            for (at, byte) in &damage {
                let length = bytes.len() as u64;
                if length > 0 {
                    bytes[(at % length) as usize] = *byte;
                }
            }
            if let Err(error) = recode(key, version, side, Bytes::from(bytes)) {
                prop_assert!(error.why != Why::Refused, "{key:?} {version} {side:?}: {error}");
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_by_the_walk_or_read_by_the_codec(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..4], 0..200),
    ) {
        let bytes = Bytes::from(bytes);
        for (key, version, side) in every_message() {
            if let Err(error) = recode(key, version, side, bytes.clone()) {
                prop_assert!(error.why != Why::Refused, "{key:?} {version} {side:?}: {error}");
            }
        }
    }
}

fn refused(key: ApiKey, version: i16, body: &[u8]) -> Why {
    recode(key, version, Side::Request, Bytes::copy_from_slice(body)).unwrap_err().why
}

#[test]
fn counts_beyond_the_bytes_are_refused_before_anything_is_allocated() {
    let max = i32::MAX.to_be_bytes();
    let why = refused(ApiKey::Metadata, 1, &max);
    assert_eq!(why, Why::TooManyElements { count: i32::MAX as usize, max: 0 });
    // A compact array of 2^32 - 2 topics, and nothing behind it.
    let why = refused(ApiKey::CreateTopics, 7, &[0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert_eq!(why, Why::TooManyElements { count: u32::MAX as usize - 1, max: 0 });
    // An inner array: one topic of an empty name whose assignments claim a million.
    let mut body = vec![2, 1];
    body.i32(1);
    body.i16(1);
    body.uvarint(1_000_001);
    let why = refused(ApiKey::CreateTopics, 7, &body);
    assert_eq!(why, Why::TooManyElements { count: 1_000_000, max: 0 });
}

#[test]
fn elements_are_bounded_over_the_whole_request() {
    // Every element is really there: only the sum is too many.
    let mut body = Vec::new();
    body.i32(REQUEST_ELEMENTS_MAX as i32 + 1);
    body.resize(4 + 2 * (REQUEST_ELEMENTS_MAX + 1), 0);
    let (count, max) = (REQUEST_ELEMENTS_MAX + 1, REQUEST_ELEMENTS_MAX);
    assert_eq!(refused(ApiKey::Metadata, 1, &body), Why::TooManyElements { count, max });
}

#[test]
fn tags_are_bounded_by_the_bytes_and_over_the_whole_request() {
    let mut body = vec![0, 0, 0];
    body.uvarint(u32::MAX);
    let why = refused(ApiKey::DescribeCluster, 2, &body);
    assert_eq!(why, Why::TooManyTags { count: u32::MAX as usize, max: 0 });
    // Two topics with 6,000 tags each: each section is within the limit, the request is not.
    let mut body = vec![3];
    for _ in 0..2 {
        body.raw(&[0; 16]);
        body.uvarint(0);
        body.uvarint(6_000);
        body.resize(body.len() + 2 * 6_000, 0);
    }
    body.raw(&[0; 4]);
    let why = refused(ApiKey::Metadata, 12, &body);
    assert_eq!(why, Why::TooManyTags { count: 6_000, max: TAGS_MAX - 6_000 });
}

#[test]
fn null_is_refused_where_the_version_has_none() {
    assert_eq!(refused(ApiKey::Metadata, 0, &[0xff; 4]), Why::Null);
    assert_eq!(refused(ApiKey::CreateTopics, 2, &[0xff; 4]), Why::Null);
    // A name may be null from version 10 on, beside a topic id; the codec would take null in version 9 too.
    assert_eq!(refused(ApiKey::Metadata, 9, &[2, 0, 0, 1, 0, 0, 0, 0]), Why::Null);
    assert_eq!(refused(ApiKey::FindCoordinator, 0, &[0xff; 2]), Why::Null);
    assert_eq!(refused(ApiKey::FindCoordinator, 0, &[0xff, 0xfe]), Why::Negative { length: -2 });
}

#[test]
fn versions_outside_the_table_are_refused() {
    assert_eq!(refused(ApiKey::Metadata, 14, &[]), Why::Version { version: 14 });
    assert_eq!(refused(ApiKey::CreateTopics, 1, &[]), Why::Version { version: 1 });
}

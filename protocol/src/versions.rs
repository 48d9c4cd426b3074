//! The one table of what is served: API keys, versions, encodings.
//!
//! `ApiVersions` answers from it, the header is parsed by it, `docs/PROTOCOL.md` is checked against it by a test.

/// The APIs this broker serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum ApiKey {
    /// Append record batches.
    Produce = 0,
    /// Read record batches.
    Fetch = 1,
    /// Offsets by time, or the first and last ones.
    ListOffsets = 2,
    /// Brokers, topics, leaders.
    Metadata = 3,
    /// Where a group or transaction is coordinated.
    FindCoordinator = 10,
    /// The handshake.
    ApiVersions = 18,
    /// Create topics.
    CreateTopics = 19,
    /// Delete topics.
    DeleteTopics = 20,
    /// Advance the log start offset.
    DeleteRecords = 21,
    /// Hand out a producer id.
    InitProducerId = 22,
    /// End offset of a leader epoch.
    OffsetForLeaderEpoch = 23,
    /// Read settings.
    DescribeConfigs = 32,
    /// Replace settings (legacy).
    AlterConfigs = 33,
    /// Add partitions to topics.
    CreatePartitions = 37,
    /// Change settings one by one.
    IncrementalAlterConfigs = 44,
    /// Cluster id, controller, brokers.
    DescribeCluster = 60,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Api {
    /// The API.
    pub key: ApiKey,
    /// Its name in Kafka.
    pub name: &'static str,
    /// Oldest version served.
    pub min: i16,
    /// Newest version served, also the newest advertised.
    pub max: i16,
    /// Oldest version advertised. Below `min` only for Produce: librdkafka before its fix of KAFKA-18659 turns gzip,
    /// snappy and lz4 off unless Produce 0 is advertised.
    pub advertised_min: i16,
    /// First version in the flexible encoding (KIP-482).
    pub flexible_from: i16,
    /// Newest version the `kafka-protocol` crate encodes. Newer ones, up to `max`, have the same bytes.
    pub codec_max: i16,
}

const fn api(key: ApiKey, name: &'static str, versions: (i16, i16), flexible_from: i16) -> Api {
    let (min, max) = versions;
    Api { key, name, min, max, advertised_min: min, flexible_from, codec_max: max }
}

/// All APIs served, by key.
pub static APIS: [Api; 16] = [
    Api { advertised_min: 0, ..api(ApiKey::Produce, "Produce", (3, 13), 9) },
    api(ApiKey::Fetch, "Fetch", (4, 18), 12),
    // Version 11 (KIP-1023) only adds the meaning of timestamp -6; its bytes are those of version 10.
    Api { codec_max: 10, ..api(ApiKey::ListOffsets, "ListOffsets", (1, 11), 6) },
    api(ApiKey::Metadata, "Metadata", (0, 13), 9),
    api(ApiKey::FindCoordinator, "FindCoordinator", (0, 6), 3),
    api(ApiKey::ApiVersions, "ApiVersions", (0, 4), 3),
    api(ApiKey::CreateTopics, "CreateTopics", (2, 7), 5),
    api(ApiKey::DeleteTopics, "DeleteTopics", (1, 6), 4),
    api(ApiKey::DeleteRecords, "DeleteRecords", (0, 2), 2),
    api(ApiKey::InitProducerId, "InitProducerId", (0, 5), 2),
    api(ApiKey::OffsetForLeaderEpoch, "OffsetForLeaderEpoch", (2, 4), 4),
    api(ApiKey::DescribeConfigs, "DescribeConfigs", (1, 4), 4),
    api(ApiKey::AlterConfigs, "AlterConfigs", (0, 2), 2),
    api(ApiKey::CreatePartitions, "CreatePartitions", (0, 3), 2),
    api(ApiKey::IncrementalAlterConfigs, "IncrementalAlterConfigs", (0, 1), 1),
    api(ApiKey::DescribeCluster, "DescribeCluster", (0, 2), 0),
];

impl ApiKey {
    /// The API of a key on the wire, if it is served.
    #[must_use]
    pub fn from_wire(key: i16) -> Option<Self> {
        find(key).map(|api| api.key)
    }

    /// The key on the wire.
    #[must_use]
    pub const fn wire(self) -> i16 {
        self as i16
    }

    /// Its row of the table.
    #[must_use]
    pub fn api(self) -> &'static Api {
        find(self.wire()).expect("every key of the enum has a row: a test walks them")
    }
}

/// The row of a key on the wire, if it is served.
#[must_use]
pub fn find(key: i16) -> Option<&'static Api> {
    APIS.binary_search_by_key(&key, |api| api.key.wire()).ok().map(|at| &APIS[at])
}

impl Api {
    /// Whether requests of this version are served.
    #[must_use]
    pub const fn serves(&self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// Whether this version uses the flexible encoding.
    #[must_use]
    pub const fn flexible(&self, version: i16) -> bool {
        version >= self.flexible_from
    }

    /// Version of the request header: 2 when flexible, else 1.
    #[must_use]
    pub const fn request_header_version(&self, version: i16) -> i16 {
        if self.flexible(version) { 2 } else { 1 }
    }

    /// Version of the response header: 1 when flexible, else 0. `ApiVersions` is always 0, so that a client that
    /// spoke a version we do not know can read the answer.
    #[must_use]
    pub const fn response_header_version(&self, version: i16) -> i16 {
        match self.key {
            ApiKey::ApiVersions => 0,
            _ if self.flexible(version) => 1,
            _ => 0,
        }
    }

    /// The version to give to the `kafka-protocol` crate for bytes of `version`.
    #[must_use]
    pub const fn codec_version(&self, version: i16) -> i16 {
        if version > self.codec_max { self.codec_max } else { version }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages as m;
    use kafka_protocol::protocol::{HeaderVersion, Message, Request};

    /// Method: hold every row against what the `kafka-protocol` crate says of the same message.
    fn check<T: Request>(request_max: i16, response_max: i16)
    where
        T::Response: Message,
    {
        let api = find(T::KEY).expect("served");
        assert_eq!(T::VERSIONS.max.min(T::Response::VERSIONS.max), request_max.min(response_max));
        assert!(api.min >= T::VERSIONS.min && api.min >= T::Response::VERSIONS.min, "{api:?}");
        assert!(api.codec_max <= T::VERSIONS.max && api.codec_max <= T::Response::VERSIONS.max);
        for version in api.min..=api.max {
            let codec = api.codec_version(version);
            assert_eq!(api.request_header_version(version), T::header_version(codec), "{api:?}");
            assert_eq!(
                api.response_header_version(version),
                T::Response::header_version(codec),
                "{api:?}"
            );
        }
    }

    #[test]
    fn every_row_can_be_served_by_the_codec() {
        check::<m::ProduceRequest>(13, 13);
        check::<m::FetchRequest>(18, 18);
        check::<m::ListOffsetsRequest>(10, 10);
        check::<m::MetadataRequest>(13, 13);
        check::<m::FindCoordinatorRequest>(6, 6);
        check::<m::ApiVersionsRequest>(4, 4);
        check::<m::CreateTopicsRequest>(7, 7);
        check::<m::DeleteTopicsRequest>(6, 6);
        check::<m::DeleteRecordsRequest>(2, 2);
        check::<m::InitProducerIdRequest>(5, 6);
        check::<m::OffsetForLeaderEpochRequest>(4, 4);
        check::<m::DescribeConfigsRequest>(4, 4);
        check::<m::AlterConfigsRequest>(2, 2);
        check::<m::CreatePartitionsRequest>(3, 3);
        check::<m::IncrementalAlterConfigsRequest>(1, 1);
        check::<m::DescribeClusterRequest>(2, 2);
    }

    #[test]
    fn the_table_is_sorted_and_complete() {
        assert!(APIS.windows(2).all(|pair| pair[0].key < pair[1].key));
        for api in &APIS {
            assert_eq!(api.key.api(), api);
            assert!(api.advertised_min <= api.min && api.min <= api.max);
            assert_eq!(format!("{:?}", api.key), api.name);
        }
        assert_eq!(ApiKey::from_wire(4), None);
        assert_eq!(ApiKey::from_wire(-1), None);
    }

    #[test]
    fn only_produce_advertises_versions_it_does_not_serve() {
        for api in &APIS {
            assert_eq!(api.advertised_min != api.min, api.key == ApiKey::Produce);
        }
        assert!(!ApiKey::Produce.api().serves(2));
    }
}

//! Request frames of every API and version, as the broker decodes them, beside the `kafka-protocol` crate.
//!
//! Rules: header, guard and decoders never panic; what the guard lets pass the crate reads, and writes again as a
//! message that reads the same; what is refused for bytes that are missing, text that is not UTF-8 or a negative length
//! the crate refuses too. Where we refuse and the crate may not (null where a version has none, strings over 32,767
//! bytes, counts and tags over our limits, varints over 32 bits, tagged fields whose size lies) is in docs/PROTOCOL.md.

use bytes::Bytes;
use protocol::codec::{Decodable, Request};
use protocol::fetch::{FetchRequest, Isolation};
use protocol::messages as m;
use protocol::produce::ProduceRequest;
use protocol::wire::{Reader, TopicRef};
use protocol::{ApiKey, HeaderError, Malformed, RequestHeader, Why, decode_request, guard};

/// A frame without its length prefix.
pub fn run(bytes: &[u8]) {
    let frame = Bytes::copy_from_slice(bytes);
    let header = match RequestHeader::parse(&frame) {
        Ok(header) => header,
        Err(error) => return assert!(!error.to_string().is_empty() && sound_refusal(error)),
    };
    same_header(&frame, &header);
    let body = frame.slice(header.body_at..);
    let version = header.version;
    match header.api.key {
        ApiKey::Produce => produce(body, version),
        ApiKey::Fetch => fetch(body, version),
        ApiKey::ListOffsets => guarded::<m::ListOffsetsRequest>(body, version),
        ApiKey::Metadata => guarded::<m::MetadataRequest>(body, version),
        ApiKey::FindCoordinator => guarded::<m::FindCoordinatorRequest>(body, version),
        ApiKey::ApiVersions => guarded::<m::ApiVersionsRequest>(body, version),
        ApiKey::CreateTopics => guarded::<m::CreateTopicsRequest>(body, version),
        ApiKey::DeleteTopics => guarded::<m::DeleteTopicsRequest>(body, version),
        ApiKey::DeleteRecords => guarded::<m::DeleteRecordsRequest>(body, version),
        ApiKey::InitProducerId => guarded::<m::InitProducerIdRequest>(body, version),
        ApiKey::OffsetForLeaderEpoch => guarded::<m::OffsetForLeaderEpochRequest>(body, version),
        ApiKey::DescribeConfigs => guarded::<m::DescribeConfigsRequest>(body, version),
        ApiKey::AlterConfigs => guarded::<m::AlterConfigsRequest>(body, version),
        ApiKey::CreatePartitions => guarded::<m::CreatePartitionsRequest>(body, version),
        ApiKey::IncrementalAlterConfigs => {
            guarded::<m::IncrementalAlterConfigsRequest>(body, version);
        }
        ApiKey::DescribeCluster => guarded::<m::DescribeClusterRequest>(body, version),
    }
}

fn sound_refusal(error: HeaderError) -> bool {
    match error {
        HeaderError::Malformed(malformed) => malformed.why != Why::Refused,
        HeaderError::UnknownApi { key, .. } => ApiKey::from_wire(key).is_none(),
        HeaderError::UnsupportedVersion { api, version, .. } => !api.serves(version),
    }
}

/// Whether the crate must refuse what we refuse for this reason.
pub(crate) fn both_refuse(malformed: &Malformed) -> bool {
    matches!(malformed.why, Why::Truncated { .. } | Why::NotUtf8 | Why::Negative { .. })
}

fn same_header(frame: &Bytes, ours: &RequestHeader<'_>) {
    let mut rest = frame.clone();
    let version = ours.api.request_header_version(ours.version);
    let theirs = match m::RequestHeader::decode(&mut rest, version) {
        Ok(theirs) => theirs,
        Err(error) => {
            let replaced = ours.client_id.as_ref().is_some_and(|id| id.contains('\u{fffd}'));
            return assert!(replaced, "{error}: {ours:?}");
        }
    };
    assert_eq!(theirs.request_api_key, ours.api.key.wire());
    assert_eq!(theirs.request_api_version, ours.version);
    assert_eq!(theirs.correlation_id, ours.correlation_id);
    assert_eq!(theirs.client_id.as_deref(), ours.client_id.as_deref());
    assert_eq!(frame.len() - rest.len(), ours.body_at, "the body begins where they say");
}

fn guarded<T: Request + PartialEq + std::fmt::Debug>(body: Bytes, version: i16) {
    let key = ApiKey::from_wire(T::KEY).expect("served");
    let codec = key.api().codec_version(version);
    match decode_request::<T>(body.clone(), version) {
        Ok(message) => {
            let walked = guard::check_request(key, version, &body).expect("it passed just now");
            assert!(walked.bytes <= body.len());
            // The crate loses unknown tags from 2^31 on when it writes, and still counts them.
            if walked.tags == 0 {
                let mut again = Vec::new();
                message.encode(&mut again, codec).expect("what was read can be said again");
                let read = decode_request::<T>(Bytes::from(again), version);
                assert_eq!(read.expect("and read again"), message);
            }
        }
        Err(malformed) => {
            assert_ne!(malformed.why, Why::Refused, "refused by the crate alone: {malformed}");
            assert!(malformed.at <= body.len(), "{malformed}");
            if both_refuse(&malformed) {
                let theirs = T::decode(&mut body.clone(), codec);
                assert!(theirs.is_err(), "only we refuse {key:?} {version}: {malformed}");
            }
        }
    }
}

/// What the crate reads of a message, and whether it would write the very bytes it read: if not, some tagged field's
/// size lied, or a number was longer than need be.
fn theirs<T: Request>(body: &Bytes, version: i16) -> Option<(T, bool)> {
    let mut rest = body.clone();
    let message = T::decode(&mut rest, version).ok()?;
    let mut again = Vec::new();
    let said = message.encode(&mut again, version).is_ok();
    let canonical = said && again == body[..body.len() - rest.len()];
    Some((message, canonical))
}

fn is_named(topic: TopicRef<'_>, name: &m::TopicName, id: [u8; 16]) -> bool {
    match topic {
        TopicRef::Name(ours) => ours == name.as_str(),
        TopicRef::Id(ours) => ours == id,
    }
}

fn produce(body: Bytes, version: i16) {
    let theirs = match ProduceRequest::decode(&body, version) {
        Ok(ours) => return same_produce(&body, version, &ours),
        Err(malformed) if both_refuse(&malformed) => {
            theirs::<m::ProduceRequest>(&body, version).map(|theirs| (theirs, malformed))
        }
        Err(_) => None,
    };
    assert!(theirs.is_none(), "only we refuse Produce {version}: {theirs:?}");
}

fn same_produce(body: &Bytes, version: i16, ours: &ProduceRequest<'_>) {
    // There are no known tags in a produce request, so the crate reads all that we read.
    let (theirs, _) =
        theirs::<m::ProduceRequest>(body, version).expect("what we read the crate reads");
    assert_eq!(ours.transactional_id, theirs.transactional_id.as_ref().map(|id| id.as_str()));
    assert_eq!((ours.acks, ours.timeout_ms), (theirs.acks, theirs.timeout_ms));
    assert_eq!(ours.topics().len(), theirs.topic_data.len());
    let mut records_bytes = 0;
    for (ours, theirs) in ours.topics().zip(&theirs.topic_data) {
        assert!(is_named(ours.topic, &theirs.name, *theirs.topic_id.as_bytes()));
        assert_eq!(ours.partitions.len(), theirs.partition_data.len());
        for (ours, theirs) in ours.partitions.iter().zip(&theirs.partition_data) {
            assert_eq!(ours.index, theirs.index);
            let records = ours.records.clone().map(|range| &body[range]);
            assert_eq!(records, theirs.records.as_deref());
            records_bytes += records.map_or(0, <[u8]>::len);
        }
    }
    assert_eq!(ours.records_bytes(), records_bytes);
}

fn fetch(body: Bytes, version: i16) {
    // The crate believes no tagged field's size: where one lies it reads on somewhere else, and reserves memory for
    // whatever counts it finds there. And it refuses a tag that only later versions know.
    if version >= 12 && has_strange_tags(&body, version) {
        let _ = FetchRequest::decode(&body, version);
        return;
    }
    match FetchRequest::decode(&body, version) {
        Ok(ours) => same_fetch(&body, version, &ours),
        Err(malformed) if both_refuse(&malformed) => {
            let canonical = theirs::<m::FetchRequest>(&body, version).filter(|theirs| theirs.1);
            assert!(canonical.is_none(), "only we refuse Fetch {version}: {malformed}");
        }
        Err(_) => {}
    }
}

/// Whether there is a tag that replicas send and that this version does not have, or, with a partition, one whose size
/// is not that of its contents.
fn has_strange_tags(body: &[u8], version: i16) -> bool {
    let mut strange = false;
    // What is cut short or broken is as strange as it is up to there.
    let _ = note_strange_tags(body, version, &mut strange);
    strange
}

fn note_strange_tags(body: &[u8], version: i16, strange: &mut bool) -> Result<(), Malformed> {
    let mut reader = Reader::new(body, true);
    reader
        .take(if version <= 14 { 25 } else { 21 }, "replica, waits, bounds, isolation, session")?;
    for partition_bytes in [32, 0] {
        for _ in 0..reader.count(3, "topics")? {
            match version {
                12 => drop(reader.string("topic name")?),
                _ => drop(reader.uuid("topic id")?),
            }
            for _ in 0..reader.count(4, "partitions")? {
                if partition_bytes == 0 {
                    reader.take(4, "forgotten partition")?;
                    continue;
                }
                reader.take(partition_bytes, "partition")?;
                let mut tags = reader.tags()?;
                // A size beyond the end lies as well, for a tag that is read whatever its size.
                while let Some((tag, contents)) =
                    tags.next(&mut reader).inspect_err(|_| *strange = true)?
                {
                    let known = [(16, 17), (8, 18)].get(tag as usize).copied();
                    *strange |= known.is_some_and(|(bytes, from)| {
                        bytes != contents.remaining() || version < from
                    });
                }
            }
            reader.skip_tags()?;
        }
    }
    reader.string("rack id")?;
    let mut tags = reader.tags()?;
    while let Some((tag, _)) = tags.next(&mut reader)? {
        *strange |= tag == 1 && version < 15;
    }
    Ok(())
}

fn same_fetch(body: &Bytes, version: i16, ours: &FetchRequest<'_>) {
    let (theirs, _) =
        theirs::<m::FetchRequest>(body, version).expect("what we read the crate reads");
    let replica = if version >= 15 {
        (theirs.replica_state.replica_id.0, theirs.replica_state.replica_epoch)
    } else {
        (theirs.replica_id.0, -1)
    };
    assert_eq!((ours.replica_id, ours.replica_epoch), replica);
    assert_eq!(ours.cluster_id, theirs.cluster_id.as_ref().map(|id| id.as_str()));
    assert_eq!(
        (ours.max_wait_ms, ours.min_bytes, ours.max_bytes),
        (theirs.max_wait_ms, theirs.min_bytes, theirs.max_bytes)
    );
    assert_eq!(ours.isolation, Isolation::from_wire(theirs.isolation_level));
    assert_eq!((ours.session_id, ours.session_epoch), (theirs.session_id, theirs.session_epoch));
    assert_eq!(ours.rack_id, theirs.rack_id.as_str());
    assert_eq!(ours.topics().len(), theirs.topics.len());
    let mut count = 0;
    for (ours, theirs) in ours.topics().zip(&theirs.topics) {
        assert!(is_named(ours.topic, &theirs.topic, *theirs.topic_id.as_bytes()));
        assert_eq!(ours.partitions.len(), theirs.partitions.len());
        count += ours.partitions.len();
        for (ours, theirs) in ours.partitions.iter().zip(&theirs.partitions) {
            assert_eq!(ours.partition, theirs.partition);
            assert_eq!(ours.current_leader_epoch, theirs.current_leader_epoch);
            assert_eq!(ours.fetch_offset, theirs.fetch_offset);
            assert_eq!(ours.last_fetched_epoch, theirs.last_fetched_epoch);
            assert_eq!(ours.log_start_offset, theirs.log_start_offset);
            assert_eq!(ours.partition_max_bytes, theirs.partition_max_bytes);
        }
    }
    assert_eq!(ours.partition_count(), count);
    assert_eq!(ours.forgotten_topics().len(), theirs.forgotten_topics_data.len());
    for (ours, theirs) in ours.forgotten_topics().zip(&theirs.forgotten_topics_data) {
        assert!(is_named(ours.topic, &theirs.topic, *theirs.topic_id.as_bytes()));
        assert_eq!(ours.partitions, theirs.partitions);
    }
}

//! Requests made one after the other on one plain connection, whose end is the end of the calls.
//!
//! A client library goes on trying in the background; here a call is answered, or the broker went away before it
//! answered, and then nothing more of it is under way.

use std::net::SocketAddr;

use bytes::Bytes;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest,
    TopicName,
};
use kafka_protocol::protocol::{Request, StrBytes};
use protocol::client::{
    FetchAnswer, FetchCall, FetchCallPartition, ProduceAnswer, ProduceCall, ProduceCallPartition,
};
use protocol::fetch::Isolation;
use protocol::wire::TopicRef;

use crate::wire::{Answer, Wire};

/// The error code of an answer: 0 is success.
pub type Code = i16;

/// `UNKNOWN_TOPIC_OR_PARTITION`.
const UNKNOWN_TOPIC: Code = 3;

/// The version of Produce that is spoken.
const PRODUCE_VERSION: i16 = 9;

/// The version of Fetch that is spoken.
const FETCH_VERSION: i16 = 12;

/// How long the broker may take for a produce before it answers with a timeout, in ms.
const PRODUCE_TIMEOUT_MS: i32 = 30_000;

/// A connection that makes calls; each returns `None` where the broker went away before it answered.
pub struct Calls {
    wire: Wire,
    correlation_id: i32,
}

impl Calls {
    /// Connects.
    ///
    /// # Panics
    /// When the broker does not accept the connection.
    pub fn connect(address: SocketAddr) -> Calls {
        Calls { wire: Wire::connect(address), correlation_id: 0 }
    }

    /// Sends any request and waits for its answer.
    ///
    /// # Panics
    /// When the answer is not one to this request.
    pub fn call<T: Request>(&mut self, version: i16, request: &T) -> Option<T::Response> {
        self.correlation_id += 1;
        let id = self.correlation_id;
        let frame = protocol::client::request(version, id, Some("calls"), request);
        self.wire.send(&frame.expect("the request fits its version"));
        let Answer::Frame(frame) = self.wire.answer() else { return None };
        let response = protocol::client::response::<T>(version, id, &Bytes::from(frame));
        Some(response.expect("the answer fits its version"))
    }

    /// Creates a topic with settings of its own.
    pub fn create(
        &mut self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> Option<Code> {
        let config = |(key, value): &(&str, &str)| {
            CreatableTopicConfig::default()
                .with_name(text(key))
                .with_value(Some(StrBytes::from_string((*value).to_owned())))
        };
        let topic = CreatableTopic::default()
            .with_name(topic(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(settings.iter().map(config).collect());
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        Some(self.call(7, &request)?.topics[0].error_code)
    }

    /// Deletes a topic.
    pub fn delete(&mut self, name: &str) -> Option<Code> {
        let request = DeleteTopicsRequest::default().with_topic_names(vec![topic(name)]);
        Some(self.call(5, &request)?.responses[0].error_code)
    }

    /// Gives a topic more partitions.
    pub fn grow(&mut self, name: &str, count: i32) -> Option<Code> {
        let topic = CreatePartitionsTopic::default()
            .with_name(topic(name))
            .with_count(count)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]);
        Some(self.call(3, &request)?.results[0].error_code)
    }

    /// Sets a topic's own setting, or takes it back.
    pub fn set(&mut self, name: &str, key: &str, value: Option<&str>) -> Option<Code> {
        let config = AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(i8::from(value.is_none()))
            .with_value(value.map(text));
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(name))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        Some(self.call(1, &request)?.responses[0].error_code)
    }

    /// A new producer id.
    ///
    /// # Panics
    /// When it is refused.
    pub fn producer_id(&mut self) -> Option<i64> {
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        let answer = self.call(4, &request)?;
        assert_eq!(answer.error_code, 0, "InitProducerId");
        Some(answer.producer_id.0)
    }

    /// How many partitions a topic has; `Some(None)` if there is no such topic.
    ///
    /// # Panics
    /// When the broker does not know, either.
    pub fn partitions(&mut self, name: &str) -> Option<Option<usize>> {
        let request = MetadataRequest::default()
            .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(topic(name)))]))
            .with_allow_auto_topic_creation(false);
        let metadata = self.call(12, &request)?;
        let found = &metadata.topics[0];
        if found.error_code == UNKNOWN_TOPIC {
            return Some(None);
        }
        assert_eq!(found.error_code, 0, "Metadata of {name}");
        Some(Some(found.partitions.len()))
    }

    /// A topic's own value of a setting; `Some(None)` where it has none.
    pub fn own_setting(&mut self, name: &str, key: &str) -> Option<Option<String>> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(name))
            .with_configuration_keys(Some(vec![text(key)]));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.call(4, &request)?;
        let config = &answer.results[0].configs[0];
        let value = || config.value.as_deref().unwrap_or_default().to_owned();
        Some((config.config_source == 1).then(value))
    }

    /// The offset that the next record of a partition gets.
    ///
    /// # Panics
    /// When the broker does not know.
    pub fn end(&mut self, name: &str, index: i32) -> Option<i64> {
        const LATEST: i64 = -1;
        let partition = ListOffsetsPartition::default()
            .with_partition_index(index)
            .with_current_leader_epoch(-1)
            .with_timestamp(LATEST);
        let topic =
            ListOffsetsTopic::default().with_name(topic(name)).with_partitions(vec![partition]);
        let request =
            ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        let answer = self.call(6, &request)?;
        let partition = &answer.topics[0].partitions[0];
        assert_eq!(partition.error_code, 0, "ListOffsets of {name} {index}");
        Some(partition.offset)
    }

    /// Appends one batch with `acks=all`; the answer's code and the offset of its first record.
    pub fn produce(&mut self, name: &str, partition: i32, batch: &[u8]) -> Option<(Code, i64)> {
        let partitions = vec![ProduceCallPartition { index: partition, records: batch }];
        let request = ProduceCall {
            transactional_id: None,
            acks: -1,
            timeout_ms: PRODUCE_TIMEOUT_MS,
            topics: vec![(TopicRef::Name(name), partitions)],
        };
        self.correlation_id += 1;
        let id = self.correlation_id;
        self.wire.send(&request.encode(PRODUCE_VERSION, id, Some("calls")));
        let Answer::Frame(frame) = self.wire.answer() else { return None };
        let answer = ProduceAnswer::decode(PRODUCE_VERSION, id, &Bytes::from(frame));
        let answer = answer.expect("the answer fits its version");
        let partition = &answer.partitions[0];
        Some((partition.error.code(), partition.base_offset))
    }

    /// Whole batches of a partition from the one with this offset on, about `max_bytes` of them; empty at its end.
    pub fn fetch(
        &mut self,
        name: &str,
        partition: i32,
        from: i64,
        max_bytes: i32,
    ) -> Option<(Code, Vec<u8>)> {
        let partition = FetchCallPartition {
            partition,
            current_leader_epoch: -1,
            fetch_offset: from,
            last_fetched_epoch: -1,
            partition_max_bytes: max_bytes,
        };
        let request = FetchCall {
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes,
            isolation: Isolation::ReadUncommitted,
            session_id: 0,
            session_epoch: -1,
            topics: vec![(TopicRef::Name(name), vec![partition])],
            forgotten: Vec::new(),
            rack_id: "",
        };
        self.correlation_id += 1;
        let id = self.correlation_id;
        self.wire.send(&request.encode(FETCH_VERSION, id, Some("calls")));
        let Answer::Frame(frame) = self.wire.answer() else { return None };
        let answer = FetchAnswer::decode(FETCH_VERSION, id, &Bytes::from(frame));
        let answer = answer.expect("the answer fits its version");
        let partition = &answer.topics[0].partitions[0];
        Some((partition.error.code(), partition.records.to_vec()))
    }
}

fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

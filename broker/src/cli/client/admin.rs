//! Requests about topics, as the `topic` commands need them.

use protocol::ApiKey;
use protocol::codec::{Request, StrBytes};
use protocol::messages::create_partitions_request::CreatePartitionsTopic;
use protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::delete_topics_request::DeleteTopicState;
use protocol::messages::describe_configs_request::DescribeConfigsResource;
use protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListOffsetsRequest,
};

use super::cluster::{Cluster, TopicInfo, topic_name};
use super::error::ClientError;

/// The type of a topic in configuration requests.
const RESOURCE_TOPIC: i8 = 2;
/// The highest version of ListOffsets spoken here.
const LIST_OFFSETS_VERSION: i16 = 9;

/// What a broker says about a topic it created.
#[derive(Debug, Clone, Copy)]
pub struct Created {
    /// The topic's id; zero when the broker is too old to say.
    pub id: uuid::Uuid,
    /// Its partitions; -1 when the broker does not say.
    pub partitions: i32,
    /// Its replication factor; -1 when the broker does not say.
    pub replication_factor: i16,
}

impl Cluster {
    fn ask<R: Request>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        let connection = self.any()?;
        let api = ApiKey::from_wire(R::KEY).expect("only APIs of the table are asked");
        let version = connection.version(api, i16::MAX)?;
        connection.call(request, version)
    }

    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout().as_millis()).unwrap_or(i32::MAX)
    }

    /// Creates a topic. -1 leaves partitions or replication factor to the broker.
    ///
    /// # Errors
    /// The broker cannot be asked, or refuses.
    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        replication_factor: i16,
        configs: &[(String, String)],
    ) -> Result<Created, ClientError> {
        let configs = configs.iter().map(|(name, value)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(replication_factor)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(self.timeout_ms());
        let response = self.ask(&request)?;
        let result = self.first_of(response.topics)?;
        ClientError::check(result.error_code, result.error_message.as_deref(), || {
            format!("topic `{name}` was not created")
        })?;
        Ok(Created {
            id: result.topic_id,
            partitions: result.num_partitions,
            replication_factor: result.replication_factor,
        })
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// The broker cannot be asked, or refuses.
    pub fn delete_topic(&mut self, name: &str) -> Result<(), ClientError> {
        let state = DeleteTopicState::default().with_name(Some(topic_name(name)));
        let request = DeleteTopicsRequest::default()
            .with_topics(vec![state])
            .with_topic_names(vec![topic_name(name)])
            .with_timeout_ms(self.timeout_ms());
        // Names moved into a structure in version 6, and each version refuses the other's field.
        let connection = self.any()?;
        let version = connection.version(ApiKey::DeleteTopics, i16::MAX)?;
        let request = match version {
            6.. => request.with_topic_names(Vec::new()),
            _ => request.with_topics(Vec::new()),
        };
        let response = connection.call(&request, version)?;
        let result = self.first_of(response.responses)?;
        ClientError::check(result.error_code, result.error_message.as_deref(), || {
            format!("topic `{name}` was not deleted")
        })
    }

    /// Raises the number of partitions of a topic to `count`.
    ///
    /// # Errors
    /// The broker cannot be asked, or refuses.
    pub fn create_partitions(&mut self, name: &str, count: i32) -> Result<(), ClientError> {
        let topic = CreatePartitionsTopic::default()
            .with_name(topic_name(name))
            .with_count(count)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(self.timeout_ms());
        let response = self.ask(&request)?;
        let result = self.first_of(response.results)?;
        ClientError::check(result.error_code, result.error_message.as_deref(), || {
            format!("topic `{name}` was not given {count} partitions")
        })
    }

    /// A topic's configuration in force.
    ///
    /// # Errors
    /// The broker cannot be asked, or refuses.
    pub fn topic_configs(
        &mut self,
        name: &str,
    ) -> Result<Vec<DescribeConfigsResourceResult>, ClientError> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(RESOURCE_TOPIC)
            .with_resource_name(text(name))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let response = self.ask(&request)?;
        let result = self.first_of(response.results)?;
        ClientError::check(result.error_code, result.error_message.as_deref(), || {
            format!("the configuration of topic `{name}` cannot be read")
        })?;
        Ok(result.configs)
    }

    /// Sets (`Some`) or unsets (`None`) properties of a topic.
    ///
    /// # Errors
    /// The broker cannot be asked, or refuses; then nothing is changed.
    pub fn alter_topic(
        &mut self,
        name: &str,
        changes: &[(String, Option<String>)],
    ) -> Result<(), ClientError> {
        let configs = changes.iter().map(|(name, value)| {
            AlterableConfig::default()
                .with_name(text(name))
                .with_config_operation(i8::from(value.is_none()))
                .with_value(value.as_deref().map(text))
        });
        let resource = AlterConfigsResource::default()
            .with_resource_type(RESOURCE_TOPIC)
            .with_resource_name(text(name))
            .with_configs(configs.collect());
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let response = self.ask(&request)?;
        let result = self.first_of(response.responses)?;
        ClientError::check(result.error_code, result.error_message.as_deref(), || {
            format!("topic `{name}` was not altered")
        })
    }

    /// For each given partition, the offset at a time in ms since 1970, or at Kafka's special times
    /// (-1 end, -2 start). -1 is answered when no record is that young.
    ///
    /// # Errors
    /// A leader cannot be asked, or refuses.
    pub fn offsets(
        &mut self,
        topic: &TopicInfo,
        partitions: &[i32],
        time: i64,
    ) -> Result<Vec<(i32, i64)>, ClientError> {
        let mut by_leader: std::collections::BTreeMap<i32, Vec<i32>> = Default::default();
        for &partition in partitions {
            let leader = topic.leaders.get(partition as usize).copied().unwrap_or(-1);
            by_leader.entry(leader).or_default().push(partition);
        }
        let mut offsets = Vec::with_capacity(partitions.len());
        for (leader, partitions) in by_leader {
            let partitions = partitions
                .iter()
                .map(|&index| {
                    ListOffsetsPartition::default()
                        .with_partition_index(index)
                        .with_current_leader_epoch(-1)
                        .with_timestamp(time)
                })
                .collect();
            let asked = ListOffsetsTopic::default()
                .with_name(topic_name(&topic.name))
                .with_partitions(partitions);
            let request = ListOffsetsRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_topics(vec![asked])
                .with_timeout_ms(self.timeout_ms());
            let connection = self.broker(leader)?;
            let version = connection.version(ApiKey::ListOffsets, LIST_OFFSETS_VERSION)?;
            let response = match connection.call(&request, version) {
                Ok(response) => response,
                Err(error) => {
                    self.disconnect(leader);
                    return Err(error);
                }
            };
            for partition in response.topics.into_iter().flat_map(|topic| topic.partitions) {
                let index = partition.partition_index;
                ClientError::check(partition.error_code, None, || {
                    format!("offsets of partition {index} of topic `{}`", topic.name)
                })?;
                offsets.push((index, partition.offset));
            }
        }
        offsets.sort_unstable();
        Ok(offsets)
    }

    /// The one result of a request about one thing.
    fn first_of<T>(&mut self, results: Vec<T>) -> Result<T, ClientError> {
        match results.into_iter().next() {
            Some(result) => Ok(result),
            None => Err(ClientError::Protocol {
                address: self.any()?.address().to_owned(),
                why: "the answer holds no result".into(),
            }),
        }
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

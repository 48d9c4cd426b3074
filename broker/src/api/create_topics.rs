//! CreateTopics (key 19), versions 2 to 7.
//!
//! - v4: -1 partitions or replicas mean the broker's defaults (KIP-464). Taken at any version.
//! - v5: the answer carries partition count, replication factor and settings (KIP-525); flexible.
//! - v6: quota errors (KIP-599); there are no quotas here.
//! - v7: the answer carries the topic's id.
//!
//! Differs from Kafka: the answer always waits until the topic can be written to over any
//! connection, whatever `timeout_ms` says (one append to the metadata log, a few milliseconds).

use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use kafka_protocol::protocol::StrBytes;
use protocol::error_code::ErrorCode;

use super::context::ApiContext;
use super::once::once;
use super::{describe_configs, refusal};
use crate::controller::{NewTopic, Refusal, Topic};

/// First version whose answer describes the topic.
const DESCRIBES_FROM: i16 = 5;

/// Creates each topic, or (validating) says what would come of it.
pub async fn handle(
    ctx: &ApiContext,
    request: CreateTopicsRequest,
    version: i16,
) -> CreateTopicsResponse {
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let topics = request.topics.into_iter().map(|topic| NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .into_iter()
            .map(|a| (a.partition_index, a.broker_ids.into_iter().map(|id| id.0).collect()))
            .collect(),
        configs: topic
            .configs
            .into_iter()
            .map(|config| (config.name.to_string(), config.value.map(|v| v.to_string())))
            .collect(),
    });
    let results = ctx.controller.create_topics(topics.collect(), request.validate_only).await;
    let topics = once(names.into_iter().zip(results)).map(|(name, result)| {
        let answer = CreatableTopicResult::default().with_name(name);
        match result {
            Ok(topic) => created(ctx, answer, &topic, version),
            Err(refusal) => refused(answer, &refusal),
        }
    });
    CreateTopicsResponse::default().with_topics(topics.collect())
}

fn created(
    ctx: &ApiContext,
    answer: CreatableTopicResult,
    topic: &Topic,
    version: i16,
) -> CreatableTopicResult {
    let answer = answer.with_error_code(ErrorCode::None.code()).with_error_message(None);
    if version < DESCRIBES_FROM {
        return answer;
    }
    let replicas = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
    let configs = describe_configs::topic_settings(ctx, topic).map(|setting| {
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_static_str(setting.name))
            .with_value(setting.value.map(StrBytes::from_string))
            .with_read_only(setting.read_only)
            .with_config_source(setting.source)
            .with_is_sensitive(setting.sensitive)
    });
    answer
        .with_topic_id(topic.id.into())
        .with_num_partitions(i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX))
        .with_replication_factor(i16::try_from(replicas).unwrap_or(i16::MAX))
        .with_configs(Some(configs.collect()))
}

fn refused(answer: CreatableTopicResult, refusal: &Refusal) -> CreatableTopicResult {
    answer
        .with_error_code(refusal::code(refusal).code())
        .with_error_message(refusal::message(refusal))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_configs(Some(Vec::new()))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::create_topics_request::{
        CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
    };

    use super::*;
    use crate::api::testing::{Node, text, topic};
    use crate::controller::TopicId;

    fn new(name: &str, partitions: i32) -> CreatableTopic {
        CreatableTopic::default()
            .with_name(topic(name))
            .with_num_partitions(partitions)
            .with_replication_factor(-1)
    }

    fn create(node: &Node, topics: Vec<CreatableTopic>, version: i16) -> CreateTopicsResponse {
        node.ask(handle, CreateTopicsRequest::default().with_topics(topics), version)
    }

    #[test]
    fn every_version_creates_and_describes_what_it_can() {
        for version in 2..=7 {
            let node = Node::new();
            let config = CreatableTopicConfig::default()
                .with_name(text("retention.ms"))
                .with_value(Some(text("1h")));
            let answer = create(&node, vec![new("a", 3).with_configs(vec![config])], version);
            let created = &answer.topics[0];
            assert_eq!((created.error_code, &created.error_message), (0, &None), "{version}");
            let here = node.image().topic("a").expect("it was created").clone();
            assert_eq!(here.partitions.len(), 3);
            assert_eq!(here.configs["retention.ms"], "3600000");
            if version >= 5 {
                assert_eq!((created.num_partitions, created.replication_factor), (3, 1));
                let configs = created.configs.as_ref().expect("settings are told");
                let retention = configs.iter().find(|c| c.name.as_str() == "retention.ms");
                let retention = retention.expect("it is a topic's setting");
                assert_eq!(retention.value.as_deref(), Some("3600000"));
                assert_eq!((retention.config_source, retention.read_only), (1, false));
            }
            if version >= 7 {
                assert_eq!(TopicId::from(created.topic_id), here.id);
            }
        }
    }

    #[test]
    fn each_topic_has_its_own_answer_at_every_version() {
        for version in 2..=7 {
            let node = Node::new();
            node.create("old");
            let by_hand = |node: i32| {
                CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(node)])
            };
            let topics = vec![
                new("old", 1),
                new("b/d", 1),
                new("none", 0),
                new("three", 1).with_replication_factor(3),
                new("placed", -1).with_assignments(vec![by_hand(1)]),
                new("misplaced", -1).with_assignments(vec![by_hand(2)]),
                new("fine", -1),
                new("twice", 1),
                new("twice", 1),
            ];
            let answer = create(&node, topics, version);
            let codes: Vec<_> = answer.topics.iter().map(|topic| topic.error_code).collect();
            assert_eq!(codes, [36, 17, 37, 38, 0, 39, 0, 42], "{version}");
            let message = answer.topics[0].error_message.as_ref().expect("a message");
            assert_eq!(message.as_str(), "Topic 'old' already exists.");
            assert_eq!(node.image().topic_count(), 3);
        }
    }

    #[test]
    fn validation_answers_like_creation_and_creates_nothing() {
        let node = Node::new();
        let request = CreateTopicsRequest::default()
            .with_topics(vec![new("a", 4), new("", 1)])
            .with_validate_only(true);
        let answer = node.ask(handle, request, 7);
        assert_eq!((answer.topics[0].error_code, answer.topics[0].num_partitions), (0, 4));
        assert_eq!(answer.topics[1].error_code, 17);
        assert_eq!(node.image().topic_count(), 0);
    }
}

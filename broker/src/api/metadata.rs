//! Metadata (key 3), versions 0 to 13.
//!
//! - v0: an empty list of topics asks for all; from v1 on null does, and empty asks for none.
//! - v1: rack, controller id, internal topics. v2: cluster id. v3: throttle time.
//! - v4: the client says whether missing topics may be created; before, they always may.
//! - v5: offline replicas. v7: leader epoch. v8: authorized operations (KIP-430), those of the
//!   cluster until v10 only.
//! - v9: flexible. v10: topic ids (KIP-516). v12: topics by id, names may be null.
//! - v13: an error for the whole answer (KIP-1102); this broker never sends one.
//!
//! Differs from Kafka: a topic created by this request is complete in its own answer, where Kafka
//! answers UNKNOWN_TOPIC_OR_PARTITION and lets the client ask again. The broker's own topics are
//! never created here.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use protocol::error_code::ErrorCode;

use super::authorized_operations as operations;
use super::context::ApiContext;
use super::refusal;
use crate::controller::{NewTopic, Refusal, Topic, TopicId, topic_name};

/// Partitions described before the shard's other tasks get their turn: about 300 us of work.
const PARTITIONS_PER_TURN: usize = 2_000;
/// The leader of a partition that nobody leads.
const NO_LEADER: BrokerId = BrokerId(-1);
/// First version in which an empty list means no topics.
const EMPTY_IS_NONE_FROM: i16 = 1;
/// First version that may ask for topics by id. (10 and 11 carry an id that must be zero.)
const BY_ID_FROM: i16 = 12;
/// The versions that may ask for the operations on the cluster.
const CLUSTER_OPERATIONS: std::ops::RangeInclusive<i16> = 8..=10;
/// First version with operations on topics.
const TOPIC_OPERATIONS_FROM: i16 = 8;

/// Describes the cluster and the topics asked for, creating missing ones where that is allowed.
pub async fn handle(ctx: &ApiContext, request: MetadataRequest, version: i16) -> MetadataResponse {
    let view = View {
        ctx,
        topic_operations: if version >= TOPIC_OPERATIONS_FROM
            && request.include_topic_authorized_operations
        {
            operations::TOPIC
        } else {
            operations::NOT_ASKED
        },
    };
    let topics = match request.topics {
        None => view.all().await,
        Some(topics) if topics.is_empty() && version < EMPTY_IS_NONE_FROM => view.all().await,
        Some(topics) if version < BY_ID_FROM && topics.iter().any(names_an_id) => {
            topics.into_iter().map(invalid).collect()
        }
        Some(topics) => view.some(topics, request.allow_auto_topic_creation).await,
    };
    let cluster_operations =
        if CLUSTER_OPERATIONS.contains(&version) && request.include_cluster_authorized_operations {
            operations::CLUSTER
        } else {
            operations::NOT_ASKED
        };
    MetadataResponse::default()
        .with_brokers(vec![broker(ctx)])
        .with_cluster_id(Some(StrBytes::from_string(ctx.cluster_id())))
        .with_controller_id(ctx.node_id())
        .with_topics(topics)
        .with_cluster_authorized_operations(cluster_operations)
        .with_error_code(ErrorCode::None.code())
}

fn broker(ctx: &ApiContext) -> MetadataResponseBroker {
    MetadataResponseBroker::default()
        .with_node_id(ctx.node_id())
        .with_host(StrBytes::from_string(ctx.advertised.host.clone()))
        .with_port(i32::from(ctx.advertised.port))
        .with_rack(ctx.rack())
}

fn names_an_id(topic: &MetadataRequestTopic) -> bool {
    topic.name.is_none() || !topic.topic_id.is_nil()
}

/// The answer to a topic that its version cannot ask for.
fn invalid(topic: MetadataRequestTopic) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_name(Some(topic.name.unwrap_or_default()))
        .with_topic_id(topic.topic_id)
        .with_error_code(ErrorCode::InvalidRequest.code())
}

struct View<'a> {
    ctx: &'a ApiContext,
    topic_operations: i32,
}

impl View<'_> {
    async fn all(&self) -> Vec<MetadataResponseTopic> {
        let mut answers = Vec::with_capacity(self.ctx.image.topic_count());
        let mut partitions = 0;
        for topic in self.ctx.image.topics() {
            answers.push(self.topic(topic));
            partitions += topic.partitions.len();
            if partitions >= PARTITIONS_PER_TURN {
                partitions = 0;
                engine::task::yield_now().await;
            }
        }
        answers
    }

    async fn some(
        &self,
        topics: Vec<MetadataRequestTopic>,
        may_create: bool,
    ) -> Vec<MetadataResponseTopic> {
        let may_create = may_create && self.ctx.config.auto_create_topics;
        let mut answers = Vec::with_capacity(topics.len());
        let mut missing = Vec::new();
        let mut seen = BTreeSet::new();
        for topic in topics {
            // A topic asked for twice is answered once, as in Kafka.
            if !seen.insert((topic.name.clone(), topic.topic_id)) {
                continue;
            }
            match topic.name {
                Some(name) => match self.ctx.image.topic(&name) {
                    Some(topic) => answers.push(self.topic(topic)),
                    None if may_create && !topic_name::is_internal(&name) => missing.push(name),
                    None => answers.push(self.unknown_name(name)),
                },
                None => answers.push(self.by_id(topic.topic_id.into())),
            }
        }
        if !missing.is_empty() {
            let new = missing.iter().map(|name| NewTopic::with_defaults(name)).collect();
            let created = self.ctx.controller.create_topics(new, false).await;
            let created = missing.into_iter().zip(created);
            answers.extend(created.map(|(name, result)| match result {
                // Somebody else may have been faster; then it is here all the same.
                Ok(topic) | Err(Refusal::TopicExists { topic }) => self.topic(&topic),
                Err(refusal) => self.failed(name, refusal::code(&refusal)),
            }));
        }
        answers
    }

    fn by_id(&self, id: TopicId) -> MetadataResponseTopic {
        match self.ctx.image.topic_by_id(id) {
            Some(topic) => self.topic(topic),
            None => MetadataResponseTopic::default()
                .with_name(None)
                .with_topic_id(id.into())
                .with_error_code(ErrorCode::UnknownTopicId.code()),
        }
    }

    fn unknown_name(&self, name: TopicName) -> MetadataResponseTopic {
        let code = match topic_name::check(&name) {
            Ok(()) => ErrorCode::UnknownTopicOrPartition,
            Err(refusal) => refusal::code(&refusal),
        };
        self.failed(name, code)
    }

    fn failed(&self, name: TopicName, code: ErrorCode) -> MetadataResponseTopic {
        MetadataResponseTopic::default()
            .with_is_internal(topic_name::is_internal(&name))
            .with_name(Some(name))
            .with_error_code(code.code())
            .with_topic_authorized_operations(self.topic_operations)
    }

    fn topic(&self, topic: &Arc<Topic>) -> MetadataResponseTopic {
        let partitions = topic.partitions.iter().enumerate().map(|(index, partition)| {
            let replicas: Vec<_> = partition.replicas.iter().copied().map(BrokerId).collect();
            let described = MetadataResponsePartition::default()
                .with_partition_index(i32::try_from(index).unwrap_or(i32::MAX))
                .with_leader_epoch(self.ctx.leader_epoch)
                .with_isr_nodes(replicas.clone())
                .with_replica_nodes(replicas.clone());
            if self.ctx.offline.contains(&(topic.id, index as u32)) {
                return described
                    .with_error_code(ErrorCode::LeaderNotAvailable.code())
                    .with_leader_id(NO_LEADER)
                    .with_offline_replicas(replicas);
            }
            described.with_error_code(ErrorCode::None.code()).with_leader_id(self.ctx.node_id())
        });
        MetadataResponseTopic::default()
            .with_error_code(ErrorCode::None.code())
            .with_name(Some(TopicName(StrBytes::from_string(topic.name.to_string()))))
            .with_topic_id(topic.id.into())
            .with_is_internal(topic_name::is_internal(&topic.name))
            .with_partitions(partitions.collect())
            .with_topic_authorized_operations(self.topic_operations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{EPOCH, Node, topic};

    fn named(name: &str) -> MetadataRequestTopic {
        MetadataRequestTopic::default().with_name(Some(topic(name)))
    }

    fn asks(topics: Option<Vec<MetadataRequestTopic>>) -> MetadataRequest {
        MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(true)
    }

    /// Names and errors of the answer, in its order.
    fn told(answer: &MetadataResponse) -> Vec<(String, i16)> {
        let told = |topic: &MetadataResponseTopic| {
            (topic.name.clone().unwrap_or_default().to_string(), topic.error_code)
        };
        answer.topics.iter().map(told).collect()
    }

    #[test]
    fn every_version_tells_what_it_can_of_brokers_and_partitions() {
        for version in 0..=13 {
            let node = Node::with(&[("broker.rack", "r1")]);
            node.create("a");
            let answer = node.ask(handle, asks(Some(vec![named("a")])), version);
            let broker = &answer.brokers[0];
            assert_eq!(
                (broker.node_id, &*broker.host, broker.port),
                (BrokerId(1), "broker.test", 19092)
            );
            assert_eq!(told(&answer), [("a".into(), 0)]);
            let a = &answer.topics[0];
            let partition = &a.partitions[1];
            assert_eq!((partition.partition_index, partition.leader_id), (1, BrokerId(1)));
            assert_eq!(
                (&partition.replica_nodes, &partition.isr_nodes),
                (&vec![BrokerId(1)], &vec![BrokerId(1)])
            );
            if version >= 1 {
                assert_eq!(answer.controller_id, BrokerId(1));
                assert_eq!(broker.rack.as_deref(), Some("r1"));
            }
            if version >= 2 {
                assert_eq!(answer.cluster_id.as_deref(), Some("test-cluster"));
            }
            assert_eq!(partition.leader_epoch, if version >= 7 { EPOCH } else { -1 });
            assert_eq!(a.topic_id.is_nil(), version < 10);
            assert_eq!(a.topic_authorized_operations, i32::MIN);
            assert_eq!(answer.cluster_authorized_operations, i32::MIN);
        }
    }

    #[test]
    fn an_offline_partition_has_no_leader_and_its_replica_is_offline() {
        // As Kafka 4 says it of a partition whose only replica is in an offline log directory.
        for version in 0..=13 {
            let mut node = Node::new();
            node.create("a");
            let id = node.image().topic("a").expect("just created").id;
            node.take_offline(id, 1);
            let answer = node.ask(handle, asks(Some(vec![named("a")])), version);
            assert_eq!(told(&answer), [("a".into(), 0)]);
            let [whole, offline] = &*answer.topics[0].partitions else { panic!("two partitions") };
            assert_eq!((whole.error_code, whole.leader_id), (0, BrokerId(1)));
            assert!(whole.offline_replicas.is_empty());
            assert_eq!((offline.error_code, offline.leader_id), (5, BrokerId(-1)));
            assert_eq!(offline.replica_nodes, [BrokerId(1)]);
            let gone = if version >= 5 { vec![BrokerId(1)] } else { vec![] };
            assert_eq!(offline.offline_replicas, gone);
        }
    }

    #[test]
    fn no_list_means_all_and_an_empty_one_only_at_version_0() {
        let node = Node::new();
        node.create("b");
        node.create("a");
        for version in 0..=13 {
            let empty = node.ask(handle, asks(Some(vec![])), version).topics.len();
            assert_eq!(empty, if version == 0 { 2 } else { 0 });
            if version > 0 {
                let all = node.ask(handle, asks(None), version);
                assert_eq!(told(&all), [("a".into(), 0), ("b".into(), 0)]);
            }
        }
    }

    #[test]
    fn a_missing_topic_is_created_only_where_broker_and_client_allow_it() {
        for version in 0..=13 {
            let node = Node::with(&[("num.partitions", "3")]);
            let answer = node.ask(handle, asks(Some(vec![named("new")])), version);
            assert_eq!(told(&answer), [("new".into(), 0)]);
            assert_eq!(answer.topics[0].partitions.len(), 3);

            // Before version 4 the request cannot say no.
            let node = Node::new();
            let request = asks(Some(vec![named("new")]));
            let request = request.with_allow_auto_topic_creation(version < 4);
            let answer = node.ask(handle, request, version);
            assert_eq!(told(&answer), [("new".into(), if version < 4 { 0 } else { 3 })]);

            let node = Node::with(&[("auto.create.topics.enable", "false")]);
            let answer = node.ask(handle, asks(Some(vec![named("new"), named("b/d")])), version);
            assert_eq!(told(&answer), [("new".into(), 3), ("b/d".into(), 17)]);
            assert_eq!(node.image().topic_count(), 0);
        }
    }

    #[test]
    fn what_cannot_be_created_says_why() {
        let node = Node::new();
        node.create("a.b");
        let topics =
            vec![named("a_b"), named(".."), named("__consumer_offsets"), named("x"), named("x")];
        let answer = node.ask(handle, asks(Some(topics)), 12);
        let mut told = told(&answer);
        told.sort();
        let expected = [
            ("..".into(), 17),
            ("__consumer_offsets".into(), 3),
            ("a_b".into(), 17),
            ("x".into(), 0),
        ];
        assert_eq!(told, expected);
        let internal = |t: &&MetadataResponseTopic| t.is_internal;
        assert_eq!(answer.topics.iter().filter(internal).count(), 1);
    }

    #[test]
    fn ids_are_answered_from_version_12_and_refused_before() {
        let node = Node::new();
        node.create("a");
        let id = node.image().topic("a").expect("it was created").id;
        let by_id =
            |id: TopicId| MetadataRequestTopic::default().with_name(None).with_topic_id(id.into());
        for version in 12..=13 {
            let topics = vec![by_id(id), by_id(TopicId([9; 16]))];
            let answer = node.ask(handle, asks(Some(topics)), version);
            assert_eq!(told(&answer), [("a".into(), 0), (String::new(), 100)]);
            assert_eq!(TopicId::from(answer.topics[1].topic_id), TopicId([9; 16]));
        }
        for version in 10..=11 {
            let topics = vec![named("a").with_topic_id(id.into())];
            let answer = node.ask(handle, asks(Some(topics)), version);
            assert_eq!(told(&answer), [("a".into(), 42)]);
        }
    }

    #[test]
    fn operations_are_told_when_asked_for() {
        let node = Node::new();
        node.create("a");
        for version in 8..=13 {
            let mut request =
                asks(Some(vec![named("a")])).with_include_topic_authorized_operations(true);
            if version <= 10 {
                request = request.with_include_cluster_authorized_operations(true);
            }
            let answer = node.ask(handle, request, version);
            assert_eq!(answer.topics[0].topic_authorized_operations, 0b1101_1111_1000);
            let cluster = if version <= 10 { 0b1_1111_1010_0000 } else { i32::MIN };
            assert_eq!(answer.cluster_authorized_operations, cluster);
        }
    }
}

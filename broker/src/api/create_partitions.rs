//! CreatePartitions (key 37), versions 0 to 3.
//!
//! - v2: flexible.
//! - v3: quota errors (KIP-599); there are no quotas here.
//!
//! Differs from Kafka: like CreateTopics it does not answer before the partitions can be written
//! to, whatever `timeout_ms` says.

use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use protocol::error_code::ErrorCode;

use super::context::ApiContext;
use super::once::once;
use super::refusal;
use crate::controller::MorePartitions;

/// Adds partitions to each topic, or (validating) says what would come of it.
pub async fn handle(
    ctx: &ApiContext,
    request: CreatePartitionsRequest,
    _version: i16,
) -> CreatePartitionsResponse {
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let topics = request.topics.into_iter().map(|topic| MorePartitions {
        name: topic.name.to_string(),
        count: topic.count,
        assignments: topic.assignments.map(|assignments| {
            let nodes = |ids: Vec<kafka_protocol::messages::BrokerId>| {
                ids.into_iter().map(|id| id.0).collect()
            };
            assignments.into_iter().map(|assignment| nodes(assignment.broker_ids)).collect()
        }),
    });
    let results = ctx.controller.create_partitions(topics.collect(), request.validate_only).await;
    let results = once(names.into_iter().zip(results)).map(|(name, result)| {
        let answer = CreatePartitionsTopicResult::default().with_name(name);
        match result {
            Ok(_) => answer.with_error_code(ErrorCode::None.code()).with_error_message(None),
            Err(refusal) => answer
                .with_error_code(refusal::code(&refusal).code())
                .with_error_message(refusal::message(&refusal)),
        }
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::create_partitions_request::{
        CreatePartitionsAssignment, CreatePartitionsTopic,
    };

    use super::*;
    use crate::api::testing::{Node, topic};

    #[test]
    fn every_version_grows_topics_one_by_one() {
        for version in 0..=3 {
            let node = Node::new();
            for name in ["a", "b", "c", "d"] {
                node.create(name);
            }
            let more = |name: &str, count: i32| {
                let topic = CreatePartitionsTopic::default().with_name(topic(name));
                topic.with_count(count).with_assignments(None)
            };
            let on = |node: i32| {
                CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(node)])
            };
            let request = CreatePartitionsRequest::default().with_topics(vec![
                more("a", 5),
                more("b", 2),
                more("c", 3).with_assignments(Some(vec![on(1)])),
                more("d", 3).with_assignments(Some(vec![on(4)])),
                more("nothing", 3),
            ]);
            let answer = node.ask(handle, request.clone().with_validate_only(true), version);
            let codes: Vec<_> = answer.results.iter().map(|r| r.error_code).collect();
            assert_eq!(codes, [0, 37, 0, 39, 3]);
            assert_eq!(node.image().partition_count(), 8, "validated only");
            let answer = node.ask(handle, request, version);
            let codes: Vec<_> = answer.results.iter().map(|r| r.error_code).collect();
            assert_eq!(codes, [0, 37, 0, 39, 3]);
            assert_eq!(node.image().partition_count(), 5 + 2 + 3 + 2);
        }
    }
}

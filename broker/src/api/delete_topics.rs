//! DeleteTopics (key 20), versions 1 to 6.
//!
//! - v3: TOPIC_DELETION_DISABLED where deletion is off (INVALID_REQUEST before).
//! - v4: flexible.
//! - v5: a message beside the error (KIP-599).
//! - v6: topics by id as well as by name (KIP-516).
//!
//! Differs from Kafka: none known. The answer leaves once no shard serves the topic any more; its
//! files go afterwards, and a crash in between is finished by the next start.

use std::sync::Arc;

use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use protocol::error_code::ErrorCode;

use super::context::ApiContext;
use super::once::once;
use super::refusal;
use crate::controller::{Refusal, Topic, TopicId, TopicReference};

/// First version that names topics by id too.
const IDS_FROM: i16 = 6;
/// First version with a message.
const MESSAGE_FROM: i16 = 5;
/// First version that knows the error for switched-off deletion.
const DISABLED_FROM: i16 = 3;

/// Deletes each topic.
pub async fn handle(
    ctx: &ApiContext,
    request: DeleteTopicsRequest,
    version: i16,
) -> DeleteTopicsResponse {
    let asked: Vec<DeleteTopicState> = if version >= IDS_FROM {
        request.topics
    } else {
        let by_name = |name| DeleteTopicState::default().with_name(Some(name));
        request.topic_names.into_iter().map(by_name).collect()
    };
    let named: Vec<_> = asked.iter().map(reference).collect();
    let valid = named.iter().filter_map(|topic| topic.as_ref().ok()).cloned().collect();
    let mut results = ctx.controller.delete_topics(valid).await.into_iter();
    let answers = asked.into_iter().zip(named).map(|(asked, named)| {
        let result = named.and_then(|_| results.next().expect("the controller answers every item"));
        ((asked.name.clone(), asked.topic_id), answer(asked, result, version))
    });
    let responses = once(answers).map(|(_, answer)| answer);
    DeleteTopicsResponse::default().with_responses(responses.collect())
}

fn reference(topic: &DeleteTopicState) -> Result<TopicReference, Refusal> {
    let id = TopicId::from(topic.topic_id);
    match &topic.name {
        Some(name) if id.is_zero() => Ok(TopicReference::Name(name.to_string())),
        None if !id.is_zero() => Ok(TopicReference::Id(id)),
        Some(_) => Err(Refusal::InvalidRequest {
            what: "You may not specify both topic name and topic id.".into(),
        }),
        None => Err(Refusal::InvalidRequest {
            what: "Neither topic name nor id were specified.".into(),
        }),
    }
}

fn answer(
    asked: DeleteTopicState,
    result: Result<Arc<Topic>, Refusal>,
    version: i16,
) -> DeletableTopicResult {
    let answer = DeletableTopicResult::default();
    match result {
        Ok(topic) => {
            let name = TopicName(StrBytes::from_string(topic.name.to_string()));
            let answer = answer.with_name(Some(name)).with_topic_id(topic.id.into());
            answer.with_error_code(ErrorCode::None.code())
        }
        Err(refusal) => {
            let code = match refusal {
                Refusal::DeletionDisabled if version < DISABLED_FROM => ErrorCode::InvalidRequest,
                _ => refusal::code(&refusal),
            };
            let message = refusal::message(&refusal).filter(|_| version >= MESSAGE_FROM);
            let answer = answer.with_name(asked.name).with_topic_id(asked.topic_id);
            answer.with_error_code(code.code()).with_error_message(message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{Node, topic};

    fn delete(node: &Node, names: &[&str], version: i16) -> Vec<(Option<String>, i16)> {
        let names = names.iter().map(|name| topic(name));
        let request = match version {
            6 => DeleteTopicsRequest::default().with_topics(
                names.map(|name| DeleteTopicState::default().with_name(Some(name))).collect(),
            ),
            _ => DeleteTopicsRequest::default().with_topic_names(names.collect()),
        };
        let answer = node.ask(handle, request, version);
        let told = |topic: DeletableTopicResult| {
            assert_eq!(topic.error_message.is_some(), topic.error_code != 0 && version >= 5);
            (topic.name.map(|name| name.to_string()), topic.error_code)
        };
        answer.responses.into_iter().map(told).collect()
    }

    #[test]
    fn every_version_deletes_by_name() {
        for version in 1..=6 {
            let node = Node::new();
            node.create("a");
            node.create("b");
            let answers = delete(&node, &["a", "nothing"], version);
            assert_eq!(answers, [(Some("a".into()), 0), (Some("nothing".into()), 3)]);
            assert_eq!(node.image().topic_count(), 1);
            assert_eq!(node.image().tombstones().len(), 1);
        }
    }

    #[test]
    fn ids_and_contradictions() {
        let node = Node::new();
        node.create("a");
        let id = node.image().topic("a").expect("it was created").id;
        let state = DeleteTopicState::default;
        let request = DeleteTopicsRequest::default().with_topics(vec![
            state().with_name(None).with_topic_id(id.into()),
            state().with_name(None).with_topic_id(TopicId([9; 16]).into()),
            state().with_name(Some(topic("a"))).with_topic_id(id.into()),
            state().with_name(None),
        ]);
        let answer = node.ask(handle, request, 6);
        let codes: Vec<_> = answer.responses.iter().map(|r| r.error_code).collect();
        assert_eq!(codes, [0, 100, 42, 42]);
        assert_eq!(answer.responses[0].name, Some(topic("a")));
        assert_eq!(answer.responses[1].name, None);
        assert_eq!(node.image().topic_count(), 0);
    }

    #[test]
    fn switched_off_deletion_has_an_error_of_its_own_from_version_3() {
        let node = Node::with(&[("delete.topic.enable", "false")]);
        node.create("a");
        for (version, code) in [(1, 42), (2, 42), (3, 73), (4, 73), (5, 73), (6, 73)] {
            assert_eq!(delete(&node, &["a"], version), [(Some("a".into()), code)]);
        }
        assert_eq!(node.image().topic_count(), 1);
    }
}

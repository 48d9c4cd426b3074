//! FindCoordinator (key 10), versions 0 to 6.
//!
//! - v1: coordinators of transactions as well as of groups. v3: flexible.
//! - v4: several keys at once (KIP-699). v5: TRANSACTION_ABORTABLE (KIP-890). v6: share groups.
//!
//! Differs from Kafka: there are no coordinators yet. For groups and share groups the answer is
//! COORDINATOR_NOT_AVAILABLE, which clients retry, so that they go on once there are. A
//! transactional id gets TRANSACTIONAL_ID_AUTHORIZATION_FAILED: the one error here that the Java
//! client and librdkafka both take as final; any other has librdkafka ask again for ever, and the
//! application would see a timeout instead of the reason.

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;
use protocol::error_code::ErrorCode;

use super::context::ApiContext;

/// First version with a list of keys.
const BATCHED_FROM: i16 = 4;
/// First version with a message.
const MESSAGE_FROM: i16 = 1;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// Says for each key that there is no coordinator, and why.
pub async fn handle(
    _ctx: &ApiContext,
    request: FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    let (code, what) = match request.key_type {
        GROUP => (
            ErrorCode::CoordinatorNotAvailable,
            "This broker does not coordinate consumer groups yet; assign partitions instead.",
        ),
        TRANSACTION => (
            ErrorCode::TransactionalIdAuthorizationFailed,
            super::init_producer_id::NO_TRANSACTIONS,
        ),
        SHARE => (
            ErrorCode::CoordinatorNotAvailable,
            "This broker does not coordinate share groups yet.",
        ),
        _ => (ErrorCode::InvalidRequest, "Unknown coordinator key type."),
    };
    let what = Some(StrBytes::from_static_str(what));
    if version < BATCHED_FROM {
        return FindCoordinatorResponse::default()
            .with_error_code(code.code())
            .with_error_message(what.filter(|_| version >= MESSAGE_FROM))
            .with_node_id(BrokerId(-1))
            .with_port(-1);
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| {
        Coordinator::default()
            .with_key(key)
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(code.code())
            .with_error_message(what.clone())
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{Node, text};

    #[test]
    fn every_version_says_that_there_is_none() {
        for version in 0..=6 {
            for (key_type, code) in [(GROUP, 15), (TRANSACTION, 53), (SHARE, 15), (9, 42)] {
                if version == 0 && key_type != GROUP {
                    continue;
                }
                let request = FindCoordinatorRequest::default().with_key_type(key_type);
                let request = match version {
                    ..4 => request.with_key(text("me")),
                    _ => request.with_coordinator_keys(vec![text("me"), text("you")]),
                };
                let answer = Node::new().ask(handle, request, version);
                if version < 4 {
                    assert_eq!((answer.error_code, answer.node_id), (code, BrokerId(-1)));
                    assert_eq!(answer.error_message.is_some_and(|m| !m.is_empty()), version > 0);
                    continue;
                }
                let keys: Vec<&str> = answer.coordinators.iter().map(|c| &*c.key).collect();
                assert_eq!(keys, ["me", "you"]);
                for coordinator in &answer.coordinators {
                    assert_eq!((coordinator.error_code, coordinator.port), (code, -1));
                    assert!(coordinator.error_message.is_some());
                }
            }
        }
    }
}

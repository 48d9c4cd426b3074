//! InitProducerId (key 22), versions 0 to 5.
//!
//! - v2: flexible. v3: a producer may say its id and epoch, to be given the next epoch (KIP-360).
//! - v4: PRODUCER_FENCED (KIP-588). v5: TRANSACTION_ABORTABLE (KIP-890).
//!
//! Every producer gets a new id with epoch 0, as in Kafka without a transactional id: an id that
//! says what it had before is answered the same way.
//!
//! Differs from Kafka: transactional ids are refused, with TRANSACTIONAL_ID_AUTHORIZATION_FAILED.
//! See `find_coordinator`, where such a producer asks first, for why that error.

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use protocol::error_code::ErrorCode;

use super::context::ApiContext;
use super::refusal;

/// What a transactional producer is told where there is room for words.
pub const NO_TRANSACTIONS: &str =
    "This broker does not support transactions yet; use an idempotent producer instead.";

/// Hands out a producer id.
pub async fn handle(
    ctx: &ApiContext,
    request: InitProducerIdRequest,
    _version: i16,
) -> InitProducerIdResponse {
    let refuse = |code: ErrorCode| {
        InitProducerIdResponse::default()
            .with_error_code(code.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    if let Some(id) = request.transactional_id {
        // Kafka refuses the empty id as nonsense; it would be one even with transactions.
        return refuse(match id.is_empty() {
            true => ErrorCode::InvalidRequest,
            false => ErrorCode::TransactionalIdAuthorizationFailed,
        });
    }
    if (request.producer_id.0 == -1) != (request.producer_epoch == -1) {
        return refuse(ErrorCode::InvalidRequest);
    }
    match ctx.producer_ids.next().await {
        Ok(id) => InitProducerIdResponse::default()
            .with_error_code(ErrorCode::None.code())
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(0),
        Err(refusal) => refuse(refusal::code(&refusal)),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TransactionalId;

    use super::*;
    use crate::api::testing::{Node, text};

    fn asks(transactional_id: Option<&str>) -> InitProducerIdRequest {
        let id = transactional_id.map(|id| TransactionalId(text(id)));
        InitProducerIdRequest::default().with_transactional_id(id)
    }

    #[test]
    fn every_version_gets_an_id_of_its_own() {
        let node = Node::new();
        for version in 0..=5 {
            let answer = node.ask(handle, asks(None), version);
            assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
            assert_eq!(answer.producer_id, ProducerId(i64::from(version)));
        }
        assert_eq!(node.image().next_producer_id(), 1_000);
    }

    #[test]
    fn a_block_that_is_used_up_is_followed_by_another() {
        let node = Node::new();
        for expected in 0..2_500 {
            assert_eq!(node.ask(handle, asks(None), 4).producer_id, ProducerId(expected));
        }
        assert_eq!(node.image().next_producer_id(), 3_000);
    }

    #[test]
    fn a_producer_that_had_an_id_gets_a_new_one() {
        let node = Node::new();
        for version in 3..=5 {
            let request = asks(None).with_producer_id(ProducerId(900)).with_producer_epoch(4);
            let answer = node.ask(handle, request, version);
            assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
            let half = asks(None).with_producer_id(ProducerId(900));
            assert_eq!(node.ask(handle, half, version).error_code, 42);
        }
    }

    #[test]
    fn transactional_ids_are_refused_for_good() {
        for version in 0..=5 {
            let answer = Node::new().ask(handle, asks(Some("t")), version);
            assert_eq!((answer.error_code, answer.producer_id), (53, ProducerId(-1)));
            assert_eq!(Node::new().ask(handle, asks(Some("")), version).error_code, 42);
        }
    }
}

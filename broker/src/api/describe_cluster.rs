//! DescribeCluster (key 60), versions 0 to 2.
//!
//! - v1: the client says whether it wants brokers or controllers (KIP-919).
//! - v2: fenced brokers (KIP-1073); there are none here.
//!
//! Differs from Kafka: there is no controller listener, so asking for controllers is always
//! MISMATCHED_ENDPOINT_TYPE.

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use kafka_protocol::protocol::StrBytes;
use protocol::error_code::ErrorCode;

use super::authorized_operations as operations;
use super::context::ApiContext;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Describes the cluster.
pub async fn handle(
    ctx: &ApiContext,
    request: DescribeClusterRequest,
    version: i16,
) -> DescribeClusterResponse {
    // Version 0 has no such field and means brokers.
    let endpoint_type = if version == 0 { BROKERS } else { request.endpoint_type };
    let refuse = |code: ErrorCode, what: String| {
        DescribeClusterResponse::default()
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_string(what)))
            .with_controller_id(BrokerId(-1))
    };
    match endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            return refuse(
                ErrorCode::MismatchedEndpointType,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of \
                 type CONTROLLER"
                    .into(),
            );
        }
        other => {
            let what = format!("Unsupported endpoint type {other}");
            return refuse(ErrorCode::UnsupportedEndpointType, what);
        }
    }
    let operations = if request.include_cluster_authorized_operations {
        operations::CLUSTER
    } else {
        operations::NOT_ASKED
    };
    let broker = DescribeClusterBroker::default()
        .with_broker_id(ctx.node_id())
        .with_host(StrBytes::from_string(ctx.advertised.host.clone()))
        .with_port(i32::from(ctx.advertised.port))
        .with_rack(ctx.rack());
    DescribeClusterResponse::default()
        .with_error_code(ErrorCode::None.code())
        .with_endpoint_type(endpoint_type)
        .with_cluster_id(StrBytes::from_string(ctx.cluster_id()))
        .with_controller_id(ctx.node_id())
        .with_brokers(vec![broker])
        .with_cluster_authorized_operations(operations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Node;

    #[test]
    fn every_version_tells_of_the_one_broker() {
        for version in 0..=2 {
            for (asked, expected) in [(false, i32::MIN), (true, operations::CLUSTER)] {
                let request = DescribeClusterRequest::default()
                    .with_include_cluster_authorized_operations(asked);
                let answer = Node::new().ask(handle, request, version);
                assert_eq!(
                    (answer.error_code, answer.cluster_authorized_operations),
                    (0, expected)
                );
                assert_eq!(&*answer.cluster_id, "test-cluster");
                assert_eq!(answer.controller_id, BrokerId(1));
                let broker = &answer.brokers[0];
                assert_eq!((&*broker.host, broker.port), ("broker.test", 19092));
            }
        }
    }

    #[test]
    fn there_is_no_endpoint_for_controllers() {
        for version in 1..=2 {
            for (endpoint_type, code) in [(2, 114), (3, 115)] {
                let request = DescribeClusterRequest::default().with_endpoint_type(endpoint_type);
                let answer = Node::new().ask(handle, request, version);
                assert_eq!((answer.error_code, answer.brokers.len()), (code, 0));
                assert!(answer.error_message.is_some());
            }
        }
    }
}

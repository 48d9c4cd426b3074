//! IncrementalAlterConfigs (key 44), versions 0 and 1.
//!
//! - v1: flexible.
//!
//! SET, DELETE, APPEND and SUBTRACT on the settings of topics and on the dynamic settings of
//! brokers. All changes of one resource happen or none.
//!
//! Differs from Kafka: as in `describe_configs`, other resource types are refused; a broker setting
//! that does not exist, which Kafka stores, is INVALID_CONFIG, and so is a wrong value for one.

use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use protocol::error_code::ErrorCode;

use super::config_resource::{Resource, alter};
use super::context::ApiContext;
use super::refusal;
use crate::controller::{ConfigEdit, ConfigOperation, Refusal};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Changes the settings of each resource, or (validating) says what would come of it.
pub async fn handle(
    ctx: &ApiContext,
    request: IncrementalAlterConfigsRequest,
    _version: i16,
) -> IncrementalAlterConfigsResponse {
    let edits = request.resources.iter().map(edit).collect();
    let results = alter(ctx, edits, request.validate_only).await;
    let responses = request.resources.into_iter().zip(results).map(|(resource, result)| {
        let answer = AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        match result {
            Ok(()) => answer.with_error_code(ErrorCode::None.code()).with_error_message(None),
            Err(refusal) => answer
                .with_error_code(refusal::code(&refusal).code())
                .with_error_message(refusal::message(&refusal)),
        }
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

fn edit(resource: &AlterConfigsResource) -> Result<ConfigEdit, Refusal> {
    let target = Resource::parse(resource.resource_type, &resource.resource_name)?.target();
    let operations = resource.configs.iter().map(operation).collect::<Result<_, _>>()?;
    Ok(ConfigEdit { target, operations, replace: false })
}

fn operation(config: &AlterableConfig) -> Result<(String, ConfigOperation), Refusal> {
    let key = config.name.to_string();
    let value = config.value.as_ref().map(ToString::to_string);
    let operation = match (config.config_operation, value) {
        (DELETE, _) => ConfigOperation::Delete,
        (SET, Some(value)) => ConfigOperation::Set(value),
        (APPEND, Some(value)) => ConfigOperation::Append(value),
        (SUBTRACT, Some(value)) => ConfigOperation::Subtract(value),
        (SET | APPEND | SUBTRACT, None) => {
            let what = format!("Null value not supported for : {key}");
            return Err(Refusal::InvalidRequest { what });
        }
        (other, _) => {
            let what = format!("Unknown operation type {other} for config {key}");
            return Err(Refusal::InvalidRequest { what });
        }
    };
    Ok((key, operation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{Node, text};

    fn resource(
        resource_type: i8,
        name: &str,
        configs: &[(&str, i8, Option<&str>)],
    ) -> AlterConfigsResource {
        let config = |(key, operation, value): &(&str, i8, Option<&str>)| {
            AlterableConfig::default()
                .with_name(text(key))
                .with_config_operation(*operation)
                .with_value(value.map(text))
        };
        AlterConfigsResource::default()
            .with_resource_type(resource_type)
            .with_resource_name(text(name))
            .with_configs(configs.iter().map(config).collect())
    }

    fn alter(node: &Node, resources: Vec<AlterConfigsResource>, version: i16) -> Vec<i16> {
        let request = IncrementalAlterConfigsRequest::default().with_resources(resources);
        let answer = node.ask(handle, request, version);
        assert!(answer.responses.iter().all(|r| (r.error_code == 0) == r.error_message.is_none()));
        answer.responses.iter().map(|response| response.error_code).collect()
    }

    #[test]
    fn every_version_sets_deletes_appends_and_subtracts() {
        for version in 0..=1 {
            let node = Node::new();
            node.create("a");
            let value =
                |key: &str| node.image().topic("a").expect("it is there").configs.get(key).cloned();
            let set = resource(
                2,
                "a",
                &[
                    ("retention.ms", SET, Some("1d")),
                    ("ack.durability", SET, Some("memory")),
                    ("cleanup.policy", APPEND, Some("compact")),
                ],
            );
            assert_eq!(alter(&node, vec![set], version), [0]);
            assert_eq!(value("retention.ms").as_deref(), Some("86400000"));
            assert_eq!(value("cleanup.policy").as_deref(), Some("delete,compact"));
            let unset = resource(
                2,
                "a",
                &[("ack.durability", DELETE, None), ("cleanup.policy", SUBTRACT, Some("delete"))],
            );
            assert_eq!(alter(&node, vec![unset], version), [0]);
            assert_eq!(value("ack.durability"), None);
            assert_eq!(value("cleanup.policy").as_deref(), Some("compact"));
        }
    }

    #[test]
    fn each_resource_is_refused_alone_and_whole() {
        let node = Node::new();
        node.create("a");
        let good = ("retention.ms", SET, Some("1"));
        let resources = vec![
            resource(2, "a", &[good, ("segment.bytes", SET, Some("1"))]),
            resource(2, "nothing", &[good]),
            resource(4, "1", &[("log.retention.ms", SET, Some("1"))]),
            resource(4, "2", &[("log.retention.ms", SET, Some("1"))]),
            resource(8, "1", &[good]),
        ];
        assert_eq!(alter(&node, resources, 1), [40, 3, 0, 42, 42]);
        assert!(node.image().topic("a").expect("it is there").configs.is_empty());
        assert_eq!(node.image().broker_configs(1).map(|configs| configs.len()), Some(1));

        let bad: [(&str, i8, Option<&str>); 5] = [
            ("retention.ms", SET, None),
            ("retention.ms", APPEND, Some("1")),
            ("retention.ms", 9, Some("1")),
            ("no.such.setting", SET, Some("1")),
            ("num.partitions", SET, Some("1")),
        ];
        for (bad, code) in bad.into_iter().zip([42, 40, 42, 40, 40]) {
            assert_eq!(alter(&node, vec![resource(2, "a", &[bad])], 1), [code], "{bad:?}");
        }
        let twice = vec![resource(2, "a", &[good]), resource(2, "a", &[good])];
        assert_eq!(alter(&node, twice, 1), [42, 42]);
    }
}

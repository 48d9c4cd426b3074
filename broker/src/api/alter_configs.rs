//! AlterConfigs (key 33), versions 0 to 2: the older way, which replaces all settings of a
//! resource. kafkajs and librdkafka's older callers still send it; Kafka's own tools do not.
//!
//! - v1: quota errors. v2: flexible.
//!
//! Differs from Kafka: as in `incremental_alter_configs`.

use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use protocol::error_code::ErrorCode;

use super::config_resource::{Resource, alter};
use super::context::ApiContext;
use super::refusal;
use crate::controller::{ConfigEdit, ConfigOperation, Refusal};

/// Replaces the settings of each resource, or (validating) says what would come of it.
pub async fn handle(
    ctx: &ApiContext,
    request: AlterConfigsRequest,
    _version: i16,
) -> AlterConfigsResponse {
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
    AlterConfigsResponse::default().with_responses(responses.collect())
}

fn edit(resource: &AlterConfigsResource) -> Result<ConfigEdit, Refusal> {
    let target = Resource::parse(resource.resource_type, &resource.resource_name)?.target();
    let operations = resource.configs.iter().map(|config| {
        let key = config.name.to_string();
        match &config.value {
            Some(value) => Ok((key, ConfigOperation::Set(value.to_string()))),
            None => {
                let what = format!("Null value not supported for : {key}");
                Err(Refusal::InvalidRequest { what })
            }
        }
    });
    Ok(ConfigEdit { target, operations: operations.collect::<Result<_, _>>()?, replace: true })
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::alter_configs_request::AlterableConfig;

    use super::*;
    use crate::api::testing::{Node, text};

    #[test]
    fn every_version_replaces_all_settings_of_a_resource() {
        for version in 0..=2 {
            let node = Node::new();
            node.create("a");
            let alter = |configs: &[(&str, Option<&str>)]| {
                let config = |(key, value): &(&str, Option<&str>)| {
                    AlterableConfig::default().with_name(text(key)).with_value(value.map(text))
                };
                let resource = AlterConfigsResource::default()
                    .with_resource_type(2)
                    .with_resource_name(text("a"))
                    .with_configs(configs.iter().map(config).collect());
                let request = AlterConfigsRequest::default().with_resources(vec![resource]);
                node.ask(handle, request, version).responses[0].error_code
            };
            let keys = || -> Vec<String> {
                let image = node.image();
                image.topic("a").expect("it is there").configs.keys().cloned().collect()
            };
            assert_eq!(alter(&[("retention.ms", Some("1")), ("segment.ms", Some("2"))]), 0);
            assert_eq!(keys(), ["retention.ms", "segment.ms"]);
            assert_eq!(alter(&[("segment.ms", Some("x"))]), 40);
            assert_eq!(alter(&[("segment.ms", None)]), 42);
            assert_eq!(alter(&[("segment.ms", Some("2"))]), 0);
            assert_eq!(keys(), ["segment.ms"]);
            assert_eq!(alter(&[]), 0);
            assert!(keys().is_empty());
        }
    }
}

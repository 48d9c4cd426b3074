//! DescribeConfigs (key 32), versions 1 to 4.
//!
//! - v1: the source of each value and its synonyms (KIP-226). v2: quota errors.
//! - v3: type and documentation (KIP-569). v4: flexible.
//!
//! Everything comes from the one table of properties. Topics (2) and brokers (4) have settings; a
//! broker resource without a name is what was set dynamically for all brokers.
//!
//! Differs from Kafka: broker loggers (8), client metrics (16) and groups (32) are refused with
//! INVALID_REQUEST. A property that is accepted and does nothing says so in its documentation.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;
use protocol::error_code::ErrorCode;

use super::config_resource::Resource;
use super::context::ApiContext;
use super::refusal;
use crate::config::property::{Effect, Property};
use crate::config::{Described, Source, TopicConfig, registry};
use crate::controller::{Refusal, Topic, topic_name};

/// First version with types and documentation.
const TYPES_FROM: i16 = 3;

/// One setting as a client is shown it.
pub struct Shown {
    /// Name of the property.
    pub name: &'static str,
    /// Value in force; `None` is null.
    pub value: Option<String>,
    /// Kafka's code of where the value comes from.
    pub source: i8,
    /// Whether it can only be changed by a restart.
    pub read_only: bool,
    /// Whether its value is a secret. No property of this broker is.
    pub sensitive: bool,
    property: &'static Property,
    /// Name, value and source of every place that gives it a value, the winner first.
    synonyms: Vec<(&'static str, Option<String>, i8)>,
}

/// All settings of a topic.
pub fn topic_settings(ctx: &ApiContext, topic: &Topic) -> impl Iterator<Item = Shown> {
    TopicConfig::describe(&topic.configs, &ctx.config).into_iter().map(|d| shown(d, false))
}

fn shown(described: Described, read_only: bool) -> Shown {
    let synonyms = described.synonyms.into_iter();
    Shown {
        name: described.property.name,
        value: described.value,
        source: described.source.code(),
        read_only,
        sensitive: false,
        property: described.property,
        synonyms: synonyms.map(|(name, value, source)| (name, value, source.code())).collect(),
    }
}

/// Describes each resource.
pub async fn handle(
    ctx: &ApiContext,
    request: DescribeConfigsRequest,
    version: i16,
) -> DescribeConfigsResponse {
    let with = Wanted {
        synonyms: request.include_synonyms,
        types: version >= TYPES_FROM,
        documentation: version >= TYPES_FROM && request.include_documentation,
    };
    let results = request.resources.into_iter().map(|resource| {
        let answer = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match describe(ctx, &resource) {
            Ok(settings) => answer
                .with_error_code(ErrorCode::None.code())
                .with_error_message(None)
                .with_configs(settings.map(|setting| with.answer(setting)).collect()),
            Err(refusal) => answer
                .with_error_code(refusal::code(&refusal).code())
                .with_error_message(refusal::message(&refusal)),
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn describe(
    ctx: &ApiContext,
    asked: &DescribeConfigsResource,
) -> Result<impl Iterator<Item = Shown>, Refusal> {
    let settings: Vec<Shown> = match Resource::parse(asked.resource_type, &asked.resource_name)? {
        Resource::Topic(name) => {
            topic_name::check(name)?;
            let Some(topic) = ctx.image.topic(name) else {
                return Err(Refusal::UnknownTopic { name: name.to_owned() });
            };
            topic_settings(ctx, topic).collect()
        }
        Resource::Broker(node) if node == ctx.config.node_id => ctx
            .config
            .describe()
            .map(|d| (!d.property.dynamic, d))
            .map(|(r, d)| shown(d, r))
            .collect(),
        Resource::Broker(node) => {
            let expected = ctx.config.node_id;
            return Err(Refusal::InvalidRequest {
                what: format!(
                    "Unexpected broker id, expected {expected} or empty string, but received {node}"
                ),
            });
        }
        Resource::Cluster => cluster_settings(ctx).collect(),
    };
    // Kafka reads an empty list of keys as all of them, too.
    let keys = asked.configuration_keys.clone().filter(|keys| !keys.is_empty());
    let asked_for = move |setting: &Shown| {
        keys.as_ref().is_none_or(|keys| keys.iter().any(|key| key.as_str() == setting.name))
    };
    Ok(settings.into_iter().filter(asked_for))
}

/// What was set dynamically for all brokers, and nothing else: as Kafka shows it.
fn cluster_settings(ctx: &ApiContext) -> impl Iterator<Item = Shown> {
    ctx.image.cluster_configs().iter().filter_map(|(key, value)| {
        let property = registry::find_broker(key)?;
        let source = Source::Cluster.code();
        Some(Shown {
            name: property.name,
            value: Some(value.clone()),
            source,
            read_only: false,
            sensitive: false,
            property,
            synonyms: vec![(property.name, Some(value.clone()), source)],
        })
    })
}

struct Wanted {
    synonyms: bool,
    types: bool,
    documentation: bool,
}

impl Wanted {
    fn answer(&self, setting: Shown) -> DescribeConfigsResourceResult {
        let answer = DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str(setting.name))
            .with_value(setting.value.map(StrBytes::from_string))
            .with_read_only(setting.read_only)
            .with_config_source(setting.source)
            .with_is_sensitive(setting.sensitive)
            .with_documentation(None);
        let answer = match self.synonyms {
            true => answer.with_synonyms(setting.synonyms.into_iter().map(synonym).collect()),
            false => answer,
        };
        let answer = match self.types {
            true => answer.with_config_type(setting.property.kind.code()),
            false => answer,
        };
        match self.documentation {
            true => answer.with_documentation(Some(documentation(setting.property))),
            false => answer,
        }
    }
}

fn synonym((name, value, source): (&'static str, Option<String>, i8)) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(StrBytes::from_static_str(name))
        .with_value(value.map(StrBytes::from_string))
        .with_source(source)
}

fn documentation(property: &Property) -> StrBytes {
    let doc = property.doc;
    match property.effect {
        Effect::Honoured => StrBytes::from_static_str(doc),
        Effect::Mapped(how) | Effect::NoEffect(how) => {
            StrBytes::from_string(format!("{doc} Accepted, and changes nothing here: {how}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{Node, run, text};
    use crate::controller::{ConfigEdit, ConfigOperation, ConfigTarget};

    fn resource(resource_type: i8, name: &str) -> DescribeConfigsResource {
        DescribeConfigsResource::default()
            .with_resource_type(resource_type)
            .with_resource_name(text(name))
            .with_configuration_keys(None)
    }

    fn asks(resources: Vec<DescribeConfigsResource>) -> DescribeConfigsRequest {
        DescribeConfigsRequest::default().with_resources(resources).with_include_synonyms(true)
    }

    fn set(node: &Node, target: ConfigTarget, key: &str, value: &str) {
        let operations = vec![(key.to_owned(), ConfigOperation::Set(value.to_owned()))];
        let edit = ConfigEdit { target, operations, replace: false };
        let controller = node.context().controller;
        assert_eq!(run(controller.alter_configs(vec![edit], false)), [Ok(())]);
    }

    fn find<'a>(
        result: &'a DescribeConfigsResult,
        name: &str,
    ) -> &'a DescribeConfigsResourceResult {
        result.configs.iter().find(|config| &*config.name == name).expect("it is told")
    }

    #[test]
    fn every_version_tells_values_sources_and_synonyms() {
        for version in 1..=4 {
            let node = Node::with(&[("log.roll.hours", "2")]);
            node.create("a");
            set(&node, ConfigTarget::Topic("a".into()), "retention.ms", "5");
            set(&node, ConfigTarget::Broker(1), "log.segment.bytes", "2097152");
            set(&node, ConfigTarget::Cluster, "log.retention.ms", "6");
            let request = asks(vec![resource(2, "a"), resource(4, "1"), resource(4, "")]);
            let answer = node.ask(handle, request, version);
            assert!(answer.results.iter().all(|result| result.error_code == 0));

            let topic = &answer.results[0];
            let shown = |name: &str| {
                let config = find(topic, name);
                (config.value.as_deref().expect("a value").to_owned(), config.config_source)
            };
            assert_eq!(shown("retention.ms"), ("5".into(), 1));
            assert_eq!(shown("segment.bytes"), ("2097152".into(), 2));
            assert_eq!(shown("segment.ms"), ("7200000".into(), 4));
            assert_eq!(shown("cleanup.policy"), ("delete".into(), 5));
            let synonyms: Vec<_> = find(topic, "retention.ms")
                .synonyms
                .iter()
                .map(|s| (&*s.name, s.value.as_deref(), s.source))
                .collect();
            assert_eq!(
                synonyms[..2],
                [("retention.ms", Some("5"), 1), ("log.retention.ms", Some("6"), 3)]
            );

            let broker = &answer.results[1];
            let partitions = find(broker, "num.partitions");
            assert!(partitions.read_only && !partitions.is_sensitive);
            assert!(!find(broker, "log.segment.bytes").read_only);
            assert_eq!(find(broker, "log.retention.ms").config_source, 3);

            let cluster = &answer.results[2];
            assert_eq!(cluster.configs.len(), 1);
            assert_eq!(find(cluster, "log.retention.ms").value.as_deref(), Some("6"));
        }
    }

    #[test]
    fn types_and_documentation_come_with_version_3() {
        let node = Node::new();
        node.create("a");
        for version in 1..=4 {
            let mut request = asks(vec![resource(2, "a")]).with_include_synonyms(false);
            if version >= 3 {
                request = request.with_include_documentation(true);
            }
            let answer = node.ask(handle, request, version);
            let config = find(&answer.results[0], "flush.ms");
            assert!(config.synonyms.is_empty());
            assert_eq!(config.config_type, if version >= 3 { 5 } else { 0 });
            if version >= 3 {
                let documentation = config.documentation.as_ref().expect("it was asked for");
                assert!(documentation.contains("changes nothing here"), "{documentation}");
            }
        }
    }

    #[test]
    fn keys_choose_and_an_empty_list_chooses_all() {
        let node = Node::new();
        node.create("a");
        let keys = |keys: &[&str]| {
            let keys = keys.iter().map(|key| text(key)).collect();
            let request = asks(vec![resource(2, "a").with_configuration_keys(Some(keys))]);
            node.ask(handle, request, 4).results[0].configs.len()
        };
        assert_eq!(keys(&["retention.ms", "no.such.setting"]), 1);
        assert!(keys(&[]) > 20);
    }

    #[test]
    fn what_has_no_settings_is_refused_in_words() {
        let node = Node::new();
        let resources = vec![
            resource(2, "nothing"),
            resource(2, "b/d"),
            resource(4, "2"),
            resource(4, "x"),
            resource(8, "1"),
            resource(16, "m"),
            resource(32, "g"),
            resource(99, ""),
        ];
        let answer = node.ask(handle, asks(resources), 4);
        let codes: Vec<_> = answer.results.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [3, 17, 42, 42, 42, 42, 42, 42]);
        assert!(answer.results.iter().all(|result| result.error_message.is_some()));
    }
}

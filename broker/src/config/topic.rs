//! A topic's configuration: its own settings over the broker's over the defaults.

use std::collections::BTreeMap;

use storage::durability::Durability;

use super::broker::{BrokerConfig, Described};
use super::error::ConfigError;
use super::property::{Property, Value};
use super::registry;
use super::source::Source;

/// The durability class of a word the registry has checked.
pub(super) fn durability(word: &str) -> Durability {
    word.parse().expect("the registry allows the names of the classes only")
}

/// How deep compressed batches are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validation {
    /// By header and checksum.
    Header,
    /// By walking every record.
    Deep,
}

impl Validation {
    pub(super) fn parse(word: &str) -> Self {
        match word {
            "deep" => Validation::Deep,
            _ => Validation::Header,
        }
    }
}

/// Whose clock a timestamp is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, at the append.
    LogAppendTime,
}

/// What happens to old records. Neither means that they are kept for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleanup {
    /// Segments are removed by age and size.
    pub delete: bool,
    /// The topic is compacted: every record needs a key.
    pub compact: bool,
}

/// A topic's configuration in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    /// What happens to old records.
    pub cleanup: Cleanup,
    /// How long records are kept; `None` for ever.
    pub retention_ms: Option<u64>,
    /// How many bytes of a partition are kept; `None` for all.
    pub retention_bytes: Option<u64>,
    /// The size of a segment.
    pub segment_bytes: u64,
    /// The age of a segment.
    pub segment_ms: u64,
    /// The largest batch.
    pub max_message_bytes: usize,
    /// Bytes between two index entries.
    pub index_interval_bytes: u64,
    /// Whose clock timestamps are.
    pub timestamp_type: TimestampType,
    /// How far in the past a timestamp may lie.
    pub timestamp_before_max_ms: i64,
    /// How far in the future a timestamp may lie.
    pub timestamp_after_max_ms: i64,
    /// How many replicas acks=all needs.
    pub min_insync_replicas: u32,
    /// When a write counts as done.
    pub durability: Durability,
    /// How deep compressed batches are checked.
    pub validation: Validation,
    /// How long silent producers are remembered (a broker property).
    pub producer_id_expiration_ms: i64,
}

impl TopicConfig {
    /// Checks a name and a text for it, and returns the text in its canonical form.
    ///
    /// # Errors
    /// The name is no topic property, or the text is no value of it. [`ConfigError::message`] is
    /// what a client should read.
    pub fn check(name: &str, text: &str) -> Result<String, ConfigError> {
        let Some(property) = registry::find_topic(name) else {
            let closest = registry::closest_topic(name);
            return Err(ConfigError::unknown(name, closest, Source::Topic));
        };
        match property.parse(text) {
            Ok(value) => Ok(value.to_string()),
            Err(why) => Err(ConfigError::bad_value(property, why, Source::Topic)),
        }
    }

    /// The configuration in force for a topic with these settings of its own.
    ///
    /// Settings went through [`TopicConfig::check`] before they were recorded. One that no longer
    /// passes (it was recorded by a version with other bounds) is passed over, as if unset.
    pub fn resolve(overrides: &BTreeMap<String, String>, broker: &BrokerConfig) -> Self {
        let value = |name: &str| {
            let property = registry::find_topic(name).expect("a name from the registry");
            in_force(property, overrides, broker).0
        };
        let number = |name: &str| match value(name) {
            Value::Number(number) => number,
            other => unreachable!("{name} is a number, not {other:?}"),
        };
        let word = |name: &str| match value(name) {
            Value::Text(word) => word,
            other => unreachable!("{name} is a word, not {other:?}"),
        };
        let list = |name: &str| match value(name) {
            Value::List(list) => list,
            other => unreachable!("{name} is a list, not {other:?}"),
        };
        let size = |name: &str| u64::try_from(number(name)).unwrap_or(0);
        let policies = list("cleanup.policy");
        let has = |policy: &str| policies.iter().any(|item| item == policy);
        TopicConfig {
            cleanup: Cleanup { delete: has("delete"), compact: has("compact") },
            retention_ms: u64::try_from(number("retention.ms")).ok(),
            retention_bytes: u64::try_from(number("retention.bytes")).ok(),
            segment_bytes: size("segment.bytes"),
            segment_ms: size("segment.ms"),
            max_message_bytes: size("max.message.bytes") as usize,
            index_interval_bytes: size("index.interval.bytes"),
            timestamp_type: match word("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
            min_insync_replicas: size("min.insync.replicas") as u32,
            durability: durability(&word("ack.durability")),
            validation: Validation::parse(&word("produce.validation")),
            producer_id_expiration_ms: broker.producer_id_expiration_ms,
        }
    }

    /// Every topic property with its value in force and all its sources, in registry order.
    pub fn describe(overrides: &BTreeMap<String, String>, broker: &BrokerConfig) -> Vec<Described> {
        let describe = |property: &'static Property| {
            let (value, source) = in_force(property, overrides, broker);
            let synonyms = candidates(property, overrides, broker)
                .into_iter()
                .map(|candidate| {
                    let Candidate { name, as_set, source, .. } = candidate;
                    (name, Some(as_set.to_string()), source)
                })
                .collect();
            Described { property, value: Some(value.to_string()), source, synonyms }
        };
        registry::TOPIC.iter().map(describe).collect()
    }
}

fn in_force(
    property: &'static Property,
    overrides: &BTreeMap<String, String>,
    broker: &BrokerConfig,
) -> (Value, Source) {
    let first = candidates(property, overrides, broker).into_iter().next();
    let winner = first.expect("every topic property has a default");
    (winner.value, winner.source)
}

/// A place that a topic property can take its value from.
struct Candidate {
    name: &'static str,
    /// The value in the topic property's unit.
    value: Value,
    /// The value as it was set there: hours where `value` has milliseconds.
    as_set: Value,
    source: Source,
}

/// The places a topic property can take its value from that have one, the winner first: the
/// topic; each broker property behind it that somebody set; their defaults; its own default.
fn candidates(
    property: &'static Property,
    overrides: &BTreeMap<String, String>,
    broker: &BrokerConfig,
) -> Vec<Candidate> {
    let own = |value: Value, source: Source| {
        let as_set = value.clone();
        Candidate { name: property.name, value, as_set, source }
    };
    let mut found = Vec::new();
    if let Some(value) = overrides.get(property.name).and_then(|text| property.parse(text).ok()) {
        found.push(own(value, Source::Topic));
    }
    let mut defaults = Vec::new();
    for synonym in property.synonyms {
        for setting in broker.layers(synonym.name) {
            let Some(as_set) = setting.value.clone() else { continue };
            let value = match &as_set {
                Value::Number(number) if *number > 0 => {
                    Value::Number(number.saturating_mul(synonym.factor))
                }
                value => value.clone(),
            };
            let is_default = setting.source == Source::Default;
            let place = if is_default { &mut defaults } else { &mut found };
            let source = setting.source.clone();
            place.push(Candidate { name: synonym.name, value, as_set, source });
        }
    }
    found.extend(defaults);
    if found.is_empty() {
        let value = property.default_value().expect("every topic property has a default");
        found.push(own(value, Source::Default));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(overrides: &[(&str, &str)], broker: &[(&str, &str)]) -> TopicConfig {
        let overrides = overrides.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        TopicConfig::resolve(&overrides, &BrokerConfig::with(broker).expect("valid properties"))
    }

    #[test]
    fn the_topic_goes_before_the_broker_and_milliseconds_before_hours() {
        let retention = |overrides: &[_], broker: &[_]| topic(overrides, broker).retention_ms;
        assert_eq!(retention(&[], &[]), Some(604_800_000));
        assert_eq!(retention(&[], &[("log.retention.hours", "1")]), Some(3_600_000));
        let both = [("log.retention.hours", "1"), ("log.retention.minutes", "2")];
        assert_eq!(retention(&[], &both), Some(120_000));
        assert_eq!(retention(&[("retention.ms", "5")], &both), Some(5));
        assert_eq!(retention(&[], &[("log.retention.hours", "-1")]), None);
        assert_eq!(retention(&[("retention.ms", "-1")], &both), None);
    }

    #[test]
    fn durability_follows_the_broker_until_the_topic_says_otherwise() {
        assert_eq!(topic(&[], &[]).durability, Durability::Device);
        let broker = [("ack.durability", "written")];
        assert_eq!(topic(&[], &broker).durability, Durability::Written);
        assert_eq!(topic(&[("ack.durability", "memory")], &broker).durability, Durability::Memory);
    }

    #[test]
    fn policies() {
        let cleanup = |policy: &str| {
            let cleanup = topic(&[("cleanup.policy", policy)], &[]).cleanup;
            (cleanup.delete, cleanup.compact)
        };
        assert_eq!(cleanup("delete"), (true, false));
        assert_eq!(cleanup("compact,delete"), (true, true));
        assert_eq!(cleanup(""), (false, false));
    }

    #[test]
    fn a_check_says_what_a_client_should_read() {
        let check = |name: &str, text: &str, expected: Result<&str, &str>| {
            let got = TopicConfig::check(name, text).map_err(|error| error.message());
            assert_eq!(got.as_deref().map_err(String::as_str), expected);
        };
        check("retention.ms", " 7d", Ok("604800000"));
        check("cleanup.policy", "compact", Ok("compact"));
        check(
            "retention",
            "1",
            Err("unknown property `retention`: no property of this name exists, and a misspelt \
                 one would silently do nothing; write `retention.ms` if that was meant"),
        );
        check(
            "segment.bytes",
            "10",
            Err("bad value for `segment.bytes`: 10 is below the least allowed value 1048576; \
                 allowed: 1048576 to 2147483647 bytes (default 1073741824)"),
        );
    }

    #[test]
    fn a_description_lists_the_winner_first() {
        let overrides = BTreeMap::from([("segment.ms".to_owned(), "9".to_owned())]);
        let broker = BrokerConfig::with(&[("log.roll.hours", "2")]).expect("a valid value");
        let described = TopicConfig::describe(&overrides, &broker);
        let segment = described.iter().find(|d| d.property.name == "segment.ms");
        let segment = segment.expect("a declared property");
        assert_eq!(segment.value.as_deref(), Some("9"));
        let synonyms: Vec<_> = segment
            .synonyms
            .iter()
            .map(|(name, value, source)| (*name, value.as_deref(), source.code()))
            .collect();
        assert_eq!(synonyms, [("segment.ms", Some("9"), 1), ("log.roll.hours", Some("2"), 4),]);
    }
}

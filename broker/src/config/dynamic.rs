//! Settings changed while the broker runs, laid over what it was started with.

use std::collections::BTreeMap;

use super::broker::BrokerConfig;
use super::property::Value;
use super::registry;
use super::source::{Setting, Source};
use super::topic::{Validation, durability};

impl BrokerConfig {
    /// This configuration with dynamic settings over it: those of `broker` go before those of the
    /// whole `cluster`, which go before everything the broker was started with.
    ///
    /// A setting that is unknown, not dynamic or not a value (it was recorded by another version)
    /// is passed over, as if unset.
    #[must_use]
    pub fn with_dynamic(
        &self,
        cluster: &BTreeMap<String, String>,
        broker: &BTreeMap<String, String>,
    ) -> BrokerConfig {
        let mut config = self.clone();
        for (settings, source) in [(cluster, Source::Cluster), (broker, Source::Broker)] {
            for (name, text) in settings {
                config.overlay(name, text, &source);
            }
        }
        config
    }

    fn overlay(&mut self, name: &str, text: &str, source: &Source) {
        let Some(property) = registry::find_broker(name).filter(|property| property.dynamic) else {
            return;
        };
        let Ok(value) = property.parse(text) else { return };
        // The other dynamic properties are read through TopicConfig, out of the settings.
        match (property.name, &value) {
            ("ack.durability", Value::Text(word)) => self.ack_durability = durability(word),
            ("produce.validation", Value::Text(word)) => {
                self.produce_validation = Validation::parse(word);
            }
            _ => {}
        }
        let setting = Setting { value: Some(value), source: source.clone() };
        self.cover(property.name, setting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::durability::Durability;

    use crate::config::TopicConfig;

    fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn one_broker_goes_before_the_cluster_and_both_before_the_start() {
        let started = [("log.retention.ms", "1"), ("ack.durability", "device")];
        let started = BrokerConfig::with(&started).expect("valid properties");
        let cluster = settings(&[("log.retention.ms", "2"), ("log.roll.ms", "2")]);
        let broker = settings(&[("log.retention.ms", "3"), ("ack.durability", "written")]);
        let config = started.with_dynamic(&cluster, &broker);
        let topic = TopicConfig::resolve(&BTreeMap::new(), &config);
        assert_eq!((topic.retention_ms, topic.segment_ms), (Some(3), 2));
        assert_eq!(
            (topic.durability, config.ack_durability),
            (Durability::Written, Durability::Written)
        );
        let source = |name: &str| config.setting(name).expect("declared").source.code();
        assert_eq!((source("log.retention.ms"), source("log.roll.ms")), (2, 3));
        assert_eq!(started.setting("log.roll.ms").expect("declared").value, None);

        let retention = config.describe().find(|d| d.property.name == "log.retention.ms");
        let synonyms: Vec<_> = retention
            .expect("declared")
            .synonyms
            .into_iter()
            .map(|(_, value, source)| (value.expect("a value"), source.code()))
            .collect();
        assert_eq!(synonyms, [("3".into(), 2), ("2".into(), 3), ("1".into(), 4)]);
    }

    #[test]
    fn what_cannot_be_dynamic_is_passed_over() {
        let started = BrokerConfig::with(&[]).expect("defaults are valid");
        let odd = settings(&[("num.partitions", "9"), ("no.such", "1"), ("log.roll.ms", "x")]);
        let config = started.with_dynamic(&odd, &BTreeMap::new());
        assert_eq!(config.num_partitions, 1);
        assert_eq!(config.setting("num.partitions"), started.setting("num.partitions"));
        assert_eq!(config.setting("log.roll.ms"), started.setting("log.roll.ms"));
    }
}

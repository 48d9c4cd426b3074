//! Looking a property up by name, and the closest name when there is none.

use super::{ACCEPTED, BROKER, OWN, TOPIC};
use crate::config::property::Property;

/// Every broker property: honoured, own and accepted.
pub fn broker_properties() -> impl Iterator<Item = &'static Property> {
    BROKER.iter().chain(OWN).chain(ACCEPTED)
}

/// The broker property of this name or alias.
pub fn find_broker(name: &str) -> Option<&'static Property> {
    broker_properties().find(|property| property.name == name || property.aliases.contains(&name))
}

/// The topic property of this name.
pub fn find_topic(name: &str) -> Option<&'static Property> {
    TOPIC.iter().find(|property| property.name == name)
}

/// The broker property whose name is closest to a mistyped one, if any is close.
pub fn closest_broker(name: &str) -> Option<&'static str> {
    let names = broker_properties().flat_map(|p| std::iter::once(&p.name).chain(p.aliases));
    closest(name, names.copied())
}

/// The topic property whose name is closest to a mistyped one, if any is close.
pub fn closest_topic(name: &str) -> Option<&'static str> {
    closest(name, TOPIC.iter().map(|property| property.name))
}

/// A name is close when at most a third of its letters differ.
fn closest(name: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let folded = fold(name);
    candidates
        .map(|candidate| (distance(&folded, &fold(candidate)), candidate))
        .min()
        .filter(|&(distance, candidate)| distance * 3 <= candidate.len().max(3))
        .map(|(_, candidate)| candidate)
}

/// Case and the choice among `.`, `_` and `-` are the commonest slips and count for nothing.
fn fold(name: &str) -> Vec<u8> {
    name.bytes()
        .map(|byte| match byte {
            b'_' | b'-' => b'.',
            byte => byte.to_ascii_lowercase(),
        })
        .collect()
}

/// The number of letters to insert, drop, change or swap with a neighbour.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before_last: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let changed = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + changed);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::registry::refusal;

    #[test]
    fn every_default_parses_to_its_canonical_text() {
        for property in broker_properties().chain(TOPIC) {
            let Some(default) = property.default else { continue };
            let value = property.parse(default).map(|value| value.to_string());
            assert_eq!(value.as_deref(), Ok(default), "{}", property.name);
        }
    }

    #[test]
    fn every_name_is_declared_once_and_never_both_declared_and_refused() {
        let mut seen = std::collections::BTreeSet::new();
        for property in broker_properties() {
            assert!(seen.insert(property.name), "{} is declared twice", property.name);
            assert_eq!(refusal(property.name), None, "{}", property.name);
        }
        let topic: std::collections::BTreeSet<_> = TOPIC.iter().map(|p| p.name).collect();
        assert_eq!(topic.len(), TOPIC.len());
    }

    #[test]
    fn every_synonym_is_a_broker_property() {
        for property in TOPIC {
            for synonym in property.synonyms {
                assert!(find_broker(synonym.name).is_some(), "{}", synonym.name);
            }
        }
    }

    #[test]
    fn slips_find_the_name_that_was_meant() {
        let check = |slip: &str, expected: Option<&str>| assert_eq!(closest_broker(slip), expected);
        check("num.partition", Some("num.partitions"));
        check("num_partitions", Some("num.partitions"));
        check("Num.Partitions", Some("num.partitions"));
        check("log.retenion.hours", Some("log.retention.hours"));
        check("advertized.listeners", Some("advertised.listeners"));
        check("acks.durability", Some("ack.durability"));
        check("brokerid", Some("broker.id"));
        check("frobnicate", None);
        assert_eq!(closest_topic("retention"), Some("retention.ms"));
        assert_eq!(closest_topic("retention.m"), Some("retention.ms"));
    }
}

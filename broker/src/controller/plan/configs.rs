//! Changing settings: checked against the one table that declares them, stored in canonical form
//! (`7d` becomes `604800000`), so that every client reads what it would read from Kafka.

use std::collections::BTreeSet;

use super::Planner;
use crate::config::property::{Kind, Property};
use crate::config::registry;
use crate::controller::{
    ConfigEdit, ConfigOperation, ConfigResource, ConfigTarget, Configs, Image, Record, Refusal,
    topic_name,
};
use crate::limits::{COMMAND_CONFIGS_MAX, CONFIG_VALUE_BYTES_MAX};

impl Planner<'_> {
    /// Checks the settings of a topic to be created.
    pub(super) fn check_topic_configs(
        &self,
        configs: Vec<(String, Option<String>)>,
    ) -> Result<Vec<(String, String)>, Refusal> {
        let mut checked = Configs::new();
        for (key, value) in configs {
            let property = find(Scope::Topic, &key)?;
            let Some(value) = value else {
                return invalid(format!("Null value not supported for topic configs: {key}"));
            };
            let value = canonical(property, &value)?;
            if checked.insert(key, value).is_some() {
                let what = format!("Topic config {} is given more than once.", property.name);
                return Err(Refusal::InvalidRequest { what });
            }
        }
        Ok(checked.into_iter().collect())
    }

    pub(super) fn alter_configs(
        &mut self,
        draft: &mut Image,
        edits: Vec<ConfigEdit>,
    ) -> Vec<Result<(), Refusal>> {
        let mut seen = BTreeSet::new();
        let twice: BTreeSet<ConfigTarget> =
            edits.iter().map(|e| &e.target).filter(|t| !seen.insert(*t)).cloned().collect();
        let mut budget = COMMAND_CONFIGS_MAX;
        let plan = |edit: ConfigEdit| {
            if twice.contains(&edit.target) {
                let what = "Each resource must appear at most once.";
                return Err(Refusal::InvalidRequest { what: what.into() });
            }
            let Some(rest) = budget.checked_sub(edit.operations.len()) else {
                let what = format!("At most {COMMAND_CONFIGS_MAX} settings change at once.");
                return Err(Refusal::Policy { what });
            };
            budget = rest;
            self.alter_config(draft, edit)
        };
        edits.into_iter().map(plan).collect()
    }

    fn alter_config(&mut self, draft: &mut Image, edit: ConfigEdit) -> Result<(), Refusal> {
        let (scope, resource) = self.resource(draft, &edit.target)?;
        let present = draft.configs(resource).expect("the resource was found just now").clone();
        let mut wanted = if edit.replace { Configs::new() } else { present.clone() };
        let mut named = BTreeSet::new();
        for (key, operation) in edit.operations {
            if !named.insert(key.clone()) {
                let what = format!("Error due to duplicate config keys: {key}");
                return Err(Refusal::InvalidRequest { what });
            }
            self.operate(scope, &present, &mut wanted, key, operation)?;
        }
        let mut records = Vec::new();
        for key in present.keys().filter(|key| !wanted.contains_key(*key)) {
            records.push(Record::ConfigChanged { resource, key: key.clone(), value: None });
        }
        for (key, value) in wanted {
            if present.get(&key) != Some(&value) {
                records.push(Record::ConfigChanged { resource, key, value: Some(value) });
            }
        }
        self.record_all(draft, &records)
    }

    fn resource(
        &self,
        image: &Image,
        target: &ConfigTarget,
    ) -> Result<(Scope, ConfigResource), Refusal> {
        match target {
            ConfigTarget::Topic(name) => {
                topic_name::check(name)?;
                match image.topic(name) {
                    Some(topic) => Ok((Scope::Topic, ConfigResource::Topic(topic.id))),
                    None => Err(Refusal::UnknownTopic { name: name.clone() }),
                }
            }
            ConfigTarget::Broker(node) if *node == self.rules.node_id => {
                Ok((Scope::Broker, ConfigResource::Broker(*node)))
            }
            ConfigTarget::Broker(node) => {
                let expected = self.rules.node_id;
                let what =
                    format!("Unexpected broker id, expected {expected}, but received {node}");
                Err(Refusal::InvalidRequest { what })
            }
            ConfigTarget::Cluster => Ok((Scope::Broker, ConfigResource::Cluster)),
        }
    }

    fn operate(
        &self,
        scope: Scope,
        present: &Configs,
        wanted: &mut Configs,
        key: String,
        operation: ConfigOperation,
    ) -> Result<(), Refusal> {
        // What is stored can always be unset, also when this build no longer knows it; and what is
        // not stored is unset already, as in Kafka.
        if operation == ConfigOperation::Delete {
            wanted.remove(&key);
            return Ok(());
        }
        let property = find(scope, &key)?;
        if !property.dynamic {
            return Err(Refusal::InvalidRequest {
                what: format!(
                    "Cannot update these configs dynamically: [{key}]. It is read when the broker \
                     starts: set it in the configuration file and restart."
                ),
            });
        }
        let value = match operation {
            ConfigOperation::Set(value) => value,
            ConfigOperation::Delete => unreachable!("handled above"),
            ConfigOperation::Append(more) => {
                let mut items = self.items(property, present, "APPEND")?;
                for item in split(&more) {
                    if !items.contains(&item) {
                        items.push(item);
                    }
                }
                items.join(",")
            }
            ConfigOperation::Subtract(fewer) => {
                let mut items = self.items(property, present, "SUBTRACT")?;
                let fewer = split(&fewer);
                items.retain(|item| !fewer.contains(item));
                items.join(",")
            }
        };
        wanted.insert(property.name.to_owned(), canonical(property, &value)?);
        Ok(())
    }

    /// The items a list setting has now: its own, or what it inherits.
    fn items(
        &self,
        property: &Property,
        present: &Configs,
        operation: &str,
    ) -> Result<Vec<String>, Refusal> {
        if !matches!(property.kind, Kind::List | Kind::Choices(_)) {
            let key = property.name;
            return invalid(format!(
                "Can't {operation} to key {key} because its type is not LIST."
            ));
        }
        let inherited = || self.rules.inherited.get(property.name).map(String::as_str);
        let text = present.get(property.name).map(String::as_str).or_else(inherited);
        Ok(split(text.or(property.default).unwrap_or("")))
    }
}

#[derive(Clone, Copy)]
enum Scope {
    Topic,
    Broker,
}

fn find(scope: Scope, key: &str) -> Result<&'static Property, Refusal> {
    let (found, closest, whose) = match scope {
        Scope::Topic => (registry::find_topic(key), registry::closest_topic(key), "topic"),
        Scope::Broker => (registry::find_broker(key), registry::closest_broker(key), "broker"),
    };
    match (found, closest) {
        (Some(property), _) => Ok(property),
        (None, Some(closest)) => {
            invalid(format!("Unknown {whose} config name: {key}. Did you mean {closest}?"))
        }
        (None, None) => invalid(format!("Unknown {whose} config name: {key}")),
    }
}

fn canonical(property: &Property, value: &str) -> Result<String, Refusal> {
    if value.len() > CONFIG_VALUE_BYTES_MAX {
        return invalid(format!(
            "Invalid value for configuration {}: {} bytes are more than the \
             {CONFIG_VALUE_BYTES_MAX} allowed.",
            property.name,
            value.len(),
        ));
    }
    property.parse(value).map(|value| value.to_string()).or_else(|why| {
        let name = property.name;
        invalid(format!("Invalid value {value} for configuration {name}: {why}"))
    })
}

fn split(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

fn invalid<T>(what: String) -> Result<T, Refusal> {
    Err(Refusal::InvalidConfig { what })
}

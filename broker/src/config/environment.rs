//! The environment: `KAFKA_` and `HEDDLE_` variables, by the rule of Apache Kafka's image.
//!
//! A property's name is upper-cased, `.` becomes `_`, `_` becomes `__` and `-` becomes `___`.

use super::registry;

/// The variable that sets a property: `KAFKA_NUM_PARTITIONS`, `HEDDLE_ACK_DURABILITY`.
pub fn variable_name(property: &str, own: bool) -> String {
    let mut name = String::from(if own { "HEDDLE_" } else { "KAFKA_" });
    for char in property.chars() {
        match char {
            '.' => name.push('_'),
            '_' => name.push_str("__"),
            '-' => name.push_str("___"),
            char => name.push(char.to_ascii_uppercase()),
        }
    }
    name
}

/// What a variable says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It sets the property of this name.
    Property(String),
    /// It begins with our prefix and names no property. Kubernetes puts variables such as
    /// `KAFKA_PORT` into every container beside a service called kafka, so this is worth a
    /// warning and no more.
    Unknown { closest: Option<&'static str> },
    /// It is meant for Kafka's start scripts or for Heddle's command line.
    Foreign,
    /// It has nothing to do with us.
    Other,
}

/// Reads a variable's name.
pub(super) fn meaning(variable: &str) -> Meaning {
    let (rest, own) = match (variable.strip_prefix("KAFKA_"), variable.strip_prefix("HEDDLE_")) {
        (Some(rest), _) => (rest, false),
        (_, Some(rest)) => (rest, true),
        _ if variable == "CLUSTER_ID" => return Meaning::Property("cluster.id".into()),
        _ => return Meaning::Other,
    };
    const FOREIGN: &[&str] = &[
        "OPTS",
        "HEAP_OPTS",
        "GC_LOG_OPTS",
        "JMX_OPTS",
        "JMX_PORT",
        "JMX_HOSTNAME",
        "LOG4J_OPTS",
        "LOG4J_ROOT_LOGLEVEL",
        "LOG4J_LOGGERS",
        "JVM_PERFORMANCE_OPTS",
        "HOME",
        "VERSION",
        "DEBUG",
        "SCALA_VERSION",
        "CLUSTER_ID",
        "TOOLS_LOG4J_LOGLEVEL",
    ];
    const COMMAND_LINE: &[&str] = &["LOG", "LOG_FORMAT", "BOOTSTRAP_SERVER"];
    if !own && FOREIGN.contains(&rest) || own && COMMAND_LINE.contains(&rest) {
        return Meaning::Foreign;
    }
    let name = property_name(rest);
    match registry::find_broker(&name) {
        Some(property) if property.own == own => Meaning::Property(name),
        _ if registry::refusal(&name).is_some() => Meaning::Property(name),
        _ if !own && registry::is_jvm_hook(&name) => Meaning::Foreign,
        _ => Meaning::Unknown { closest: registry::closest_broker(&name) },
    }
}

fn property_name(variable: &str) -> String {
    let mut name = String::new();
    let mut rest = variable;
    while let Some(char) = rest.chars().next() {
        let (text, used) = match char {
            '_' if rest.starts_with("___") => ('-', 3),
            '_' if rest.starts_with("__") => ('_', 2),
            '_' => ('.', 1),
            char => (char.to_ascii_lowercase(), char.len_utf8()),
        };
        name.push(text);
        rest = &rest[used..];
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_is_found_under_its_own_variable() {
        for property in registry::broker_properties() {
            let variable = variable_name(property.name, property.own);
            assert_eq!(meaning(&variable), Meaning::Property(property.name.into()), "{variable}");
        }
    }

    #[test]
    fn prefixes_are_not_interchangeable_and_strangers_are_left_alone() {
        let check = |variable: &str, expected: Meaning| assert_eq!(meaning(variable), expected);
        check("KAFKA_LISTENERS", Meaning::Property("listeners".into()));
        check("HEDDLE_SHARDS", Meaning::Property("shards".into()));
        check("HEDDLE_LISTENERS", Meaning::Unknown { closest: Some("listeners") });
        check("KAFKA_PORT", Meaning::Unknown { closest: None });
        check("KAFKA_HEAP_OPTS", Meaning::Foreign);
        check("HEDDLE_LOG", Meaning::Foreign);
        check("KAFKA_ZOOKEEPER_CONNECT", Meaning::Property("zookeeper.connect".into()));
        check("PATH", Meaning::Other);
        assert_eq!(property_name("A_B__C___D"), "a.b_c-d");
    }
}

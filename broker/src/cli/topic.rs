//! `heddle topic`: create, list, describe, alter and delete topics.

use clap::{Args, Subcommand};
use protocol::ErrorCode;
use protocol::messages::metadata_response::MetadataResponseTopic;
use serde_json::json;

use super::args::Bootstrap;
use super::client::{ClientError, Cluster};
use super::failure::Failure;
use super::output::{Output, line, plural, table};

const EXAMPLES: &str = "\
EXAMPLES:
  heddle topic create events -p 4
  heddle topic create events -p 1 -c retention.ms=7d -c ack.durability=written
  heddle topic list --format json
  heddle topic describe events
  heddle topic alter events --set retention.bytes=10GiB --unset retention.ms --partitions 8
  heddle topic delete events";

/// Arguments of `heddle topic`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TopicArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create topics
    Create {
        /// The topics' names
        #[arg(required = true, value_name = "TOPIC")]
        names: Vec<String>,
        /// How many partitions; the broker's num.partitions without it
        #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// How many replicas; the broker's default.replication.factor without it
        #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
        replicas: Option<i16>,
        /// A property of the topic, several times if need be
        #[arg(long, short, value_name = "NAME=VALUE", value_parser = name_value)]
        config: Vec<(String, String)>,
        /// Succeed when a topic of this name is there already
        #[arg(long)]
        if_not_exists: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// List topics
    List {
        /// List internal topics too
        #[arg(long)]
        internal: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Show partitions, offsets and configuration of topics
    Describe {
        /// The topics' names
        #[arg(required = true, value_name = "TOPIC")]
        names: Vec<String>,
        /// Show every property, not only those the topic sets itself
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Change a topic's properties or raise its number of partitions
    Alter {
        /// The topic's name
        #[arg(value_name = "TOPIC")]
        name: String,
        /// Set a property
        #[arg(long, value_name = "NAME=VALUE", value_parser = name_value)]
        set: Vec<(String, String)>,
        /// Remove a property, so that the broker's value holds again
        #[arg(long, value_name = "NAME")]
        unset: Vec<String>,
        /// Raise the number of partitions to this
        #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Delete topics and all their records
    Delete {
        /// The topics' names
        #[arg(required = true, value_name = "TOPIC")]
        names: Vec<String>,
        /// Succeed when there is no topic of this name
        #[arg(long)]
        if_exists: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
}

/// Reads `NAME=VALUE`.
///
/// # Errors
/// There is no name, or no equals sign.
pub fn name_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().into(), value.into())),
        _ => Err("write it as NAME=VALUE".into()),
    }
}

/// Runs the command.
///
/// # Errors
/// The broker cannot be asked, or refuses.
pub fn run(args: &TopicArgs, output: &Output) -> Result<u8, Failure> {
    match &args.action {
        Action::Create { names, partitions, replicas, config, if_not_exists, bootstrap } => {
            let mut cluster = bootstrap.cluster()?;
            for name in names {
                let (partitions, replicas) = (partitions.unwrap_or(-1), replicas.unwrap_or(-1));
                create(&mut cluster, name, partitions, replicas, config, *if_not_exists, output)?;
            }
        }
        Action::List { internal, bootstrap } => {
            list(&mut bootstrap.cluster()?, *internal, output)?;
        }
        Action::Describe { names, all, bootstrap } => {
            let mut cluster = bootstrap.cluster()?;
            let described: Result<Vec<_>, Failure> =
                names.iter().map(|name| describe(&mut cluster, name, *all, output)).collect();
            let described = described?;
            if output.is_json() {
                output.json(&json!(described));
            }
        }
        Action::Alter { name, set, unset, partitions, bootstrap } => {
            let set = set.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
            let unset = unset.iter().map(|name| (name.clone(), None));
            let changes: Vec<_> = set.chain(unset).collect();
            alter(&mut bootstrap.cluster()?, name, &changes, *partitions, output)?;
        }
        Action::Delete { names, if_exists, bootstrap } => {
            let mut cluster = bootstrap.cluster()?;
            for name in names {
                let deleted = match cluster.delete_topic(name) {
                    Err(error) if *if_exists && is_missing(&error) => false,
                    other => other.map(|()| true).map_err(|error| explain(error, name))?,
                };
                match output.is_json() {
                    true => output.json(&json!({ "topic": name, "deleted": deleted })),
                    false if deleted => line(&format!("deleted topic {name}")),
                    false => line(&format!("no topic {name}")),
                }
            }
        }
    }
    Ok(0)
}

fn is_missing(error: &ClientError) -> bool {
    error.code() == Some(ErrorCode::UnknownTopicOrPartition)
}

/// A refusal about a topic, with advice where the code alone says enough.
fn explain(error: ClientError, name: &str) -> Failure {
    let code = error.code();
    let failure = Failure::from(error);
    match code {
        Some(ErrorCode::UnknownTopicOrPartition) => failure
            .fix(format!("`heddle topic list` shows all; create it: heddle topic create {name}")),
        Some(ErrorCode::TopicAlreadyExists) => {
            failure.fix("choose another name, or add --if-not-exists")
        }
        Some(ErrorCode::InvalidReplicationFactor) => {
            failure.fix("a single node can hold one replica: leave out --replicas")
        }
        _ => failure,
    }
}

fn create(
    cluster: &mut Cluster,
    name: &str,
    partitions: i32,
    replicas: i16,
    config: &[(String, String)],
    if_not_exists: bool,
    output: &Output,
) -> Result<(), Failure> {
    let created = match cluster.create_topic(name, partitions, replicas, config) {
        Ok(created) => created,
        Err(error) if if_not_exists && error.code() == Some(ErrorCode::TopicAlreadyExists) => {
            match output.is_json() {
                true => output.json(&json!({ "topic": name, "created": false })),
                false => line(&format!("topic {name} is there already")),
            }
            return Ok(());
        }
        Err(error) => return Err(explain(error, name)),
    };
    let partitions = if created.partitions > 0 { created.partitions } else { partitions };
    if output.is_json() {
        output.json(&json!({
            "topic": name,
            "created": true,
            "id": id_text(created.id),
            "partitions": partitions,
            "replication_factor": created.replication_factor,
        }));
    } else if partitions > 0 {
        line(&format!("created topic {name} with {}", plural(partitions as u64, "partition")));
    } else {
        line(&format!("created topic {name}"));
    }
    Ok(())
}

fn list(cluster: &mut Cluster, internal: bool, output: &Output) -> Result<(), Failure> {
    let mut topics = cluster.metadata(None, false)?.topics;
    topics.retain(|topic| internal || !topic.is_internal);
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    let replicas = |topic: &MetadataResponseTopic| {
        topic.partitions.iter().map(|p| p.replica_nodes.len()).max().unwrap_or(0)
    };
    if output.is_json() {
        let topics: Vec<_> = topics
            .iter()
            .map(|topic| {
                json!({
                    "topic": name_of(topic),
                    "id": id_text(topic.topic_id),
                    "partitions": topic.partitions.len(),
                    "replication_factor": replicas(topic),
                    "internal": topic.is_internal,
                })
            })
            .collect();
        output.json(&json!(topics));
    } else {
        let rows: Vec<_> = topics
            .iter()
            .map(|topic| {
                [name_of(topic), topic.partitions.len().to_string(), replicas(topic).to_string()]
            })
            .collect();
        line(&table(["TOPIC", "PARTITIONS", "REPLICAS"], &rows));
    }
    Ok(())
}

fn describe(
    cluster: &mut Cluster,
    name: &str,
    all: bool,
    output: &Output,
) -> Result<serde_json::Value, Failure> {
    let info = cluster.topic(name, false).map_err(|error| explain(error, name))?;
    let response = cluster.metadata(Some(&[name]), false)?;
    let Some(mut topic) = response.topics.into_iter().next() else {
        return Err(Failure::new("HDL-NET-004", format!("no metadata about topic `{name}`")));
    };
    topic.partitions.sort_by_key(|partition| partition.partition_index);
    // Whoever leads a partition is asked for its offsets; of one that nobody leads there are none.
    let led = topic.partitions.iter().filter(|p| p.leader_id.0 >= 0);
    let indexes: Vec<i32> = led.map(|p| p.partition_index).collect();
    let starts = cluster.offsets(&info, &indexes, -2)?;
    let ends = cluster.offsets(&info, &indexes, -1)?;
    let configs = cluster.topic_configs(name)?;
    let own = |source: i8| source == 1;
    let configs: Vec<_> =
        configs.into_iter().filter(|config| all || own(config.config_source)).collect();
    let offset = |offsets: &[(i32, i64)], partition: i32| {
        offsets.iter().find(|(index, _)| *index == partition).map_or(-1, |(_, offset)| *offset)
    };
    if output.is_json() {
        let partitions: Vec<_> = topic
            .partitions
            .iter()
            .map(|p| {
                json!({
                    "partition": p.partition_index,
                    "leader": p.leader_id.0,
                    "epoch": p.leader_epoch,
                    "replicas": p.replica_nodes.iter().map(|id| id.0).collect::<Vec<_>>(),
                    "in_sync": p.isr_nodes.iter().map(|id| id.0).collect::<Vec<_>>(),
                    "offline": p.offline_replicas.iter().map(|id| id.0).collect::<Vec<_>>(),
                    "error": ErrorCode::from_wire(p.error_code).name(),
                    "start": offset(&starts, p.partition_index),
                    "end": offset(&ends, p.partition_index),
                })
            })
            .collect();
        let configs: serde_json::Map<_, _> = configs
            .iter()
            .map(|c| {
                let source = source_text(c.config_source);
                let value = c.value.as_ref().map(|value| value.to_string());
                (c.name.to_string(), json!({ "value": value, "source": source }))
            })
            .collect();
        return Ok(json!({
            "topic": name,
            "id": id_text(topic.topic_id),
            "internal": topic.is_internal,
            "partitions": partitions,
            "configs": configs,
        }));
    }
    line(&format!(
        "topic {name}   id {}   {}",
        id_text(topic.topic_id),
        plural(topic.partitions.len() as u64, "partition")
    ));
    let ids = |ids: &[protocol::messages::BrokerId]| {
        ids.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(",")
    };
    let rows: Vec<_> = topic
        .partitions
        .iter()
        .map(|p| {
            [
                p.partition_index.to_string(),
                if p.leader_id.0 < 0 { "offline".to_owned() } else { p.leader_id.0.to_string() },
                p.leader_epoch.to_string(),
                ids(&p.replica_nodes),
                ids(&p.isr_nodes),
                offset(&starts, p.partition_index).to_string(),
                offset(&ends, p.partition_index).to_string(),
            ]
        })
        .collect();
    let headers = ["PARTITION", "LEADER", "EPOCH", "REPLICAS", "IN-SYNC", "START", "END"];
    line(&table(headers, &rows));
    if !configs.is_empty() {
        let rows: Vec<_> = configs
            .iter()
            .map(|c| {
                let value = c.value.as_ref().map_or("-".into(), |value| value.to_string());
                [c.name.to_string(), value, source_text(c.config_source).into()]
            })
            .collect();
        line("");
        line(&table(["PROPERTY", "VALUE", "SOURCE"], &rows));
    }
    Ok(serde_json::Value::Null)
}

fn alter(
    cluster: &mut Cluster,
    name: &str,
    changes: &[(String, Option<String>)],
    partitions: Option<i32>,
    output: &Output,
) -> Result<(), Failure> {
    if changes.is_empty() && partitions.is_none() {
        return Err(Failure::usage("nothing to alter")
            .fix("give --set NAME=VALUE, --unset NAME or --partitions N"));
    }
    if !changes.is_empty() {
        cluster.alter_topic(name, changes).map_err(|error| explain(error, name))?;
    }
    if let Some(partitions) = partitions {
        cluster.create_partitions(name, partitions).map_err(|error| explain(error, name))?;
    }
    match output.is_json() {
        true => output.json(&json!({ "topic": name, "altered": true })),
        false => line(&format!("altered topic {name}")),
    }
    Ok(())
}

fn name_of(topic: &MetadataResponseTopic) -> String {
    topic.name.as_ref().map(|name| name.to_string()).unwrap_or_default()
}

/// A topic id as Kafka writes it: base64, URL-safe, without padding.
pub fn id_text(id: uuid::Uuid) -> String {
    crate::cli::output::base64_url(id.as_bytes())
}

fn source_text(code: i8) -> &'static str {
    match code {
        1 => "topic",
        2 => "broker (dynamic)",
        3 => "all brokers (dynamic)",
        4 => "broker",
        5 => "default",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_split_at_the_first_equals_sign() {
        assert_eq!(name_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(name_value("a="), Ok(("a".into(), String::new())));
        assert!(name_value("=b").is_err());
        assert!(name_value("ab").is_err());
    }
}

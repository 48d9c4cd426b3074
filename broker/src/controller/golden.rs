//! Golden traces of the controller. Goal: every decision, its sentence and its records stand in a
//! file a person can read. Method: the commands in `golden/*.txt` (lines with `>`) are run through
//! the planner; the whole trace must come out as the file has it. Topic ids are written `#1`,
//! `#2` in the order of their creation. On a mismatch the new trace is printed whole.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fmt::Write as _;

use super::*;

pub(crate) fn rules() -> Rules {
    Rules {
        node_id: 1,
        default_partitions: 2,
        default_replication_factor: 1,
        delete_topic_enable: true,
        inherited: Configs::from([("cleanup.policy".into(), "delete".into())]),
    }
}

struct Trace {
    image: Image,
    rules: Rules,
    made: u8,
    out: String,
}

impl Trace {
    fn run(script: &str) -> String {
        let mut image = Image::default();
        image.replay(&Record::ClusterFormed { cluster_id: "golden".into() }).unwrap();
        let mut trace = Trace { image, rules: rules(), made: 0, out: String::new() };
        for line in script.lines() {
            match line.strip_prefix("> ") {
                Some(command) => {
                    writeln!(trace.out, "{line}").unwrap();
                    trace.command(command);
                }
                None if line.starts_with('#') || line.is_empty() => {
                    writeln!(trace.out, "{line}").unwrap();
                }
                None => {}
            }
        }
        trace.out
    }

    fn command(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap();
        let mut rest: Vec<&str> = words.collect();
        let validate_only = rest.last() == Some(&"validate");
        if validate_only {
            rest.pop();
        }
        let command = match verb {
            "create" => {
                let topics = rest[0].split(',').map(|name| new_topic(name, &rest[1..])).collect();
                Command::CreateTopics { topics, validate_only }
            }
            "delete" => {
                let topics = rest.iter().map(|topic| reference(topic)).collect();
                Command::DeleteTopics { topics }
            }
            "prune" => Command::PruneTopic { id: id(rest[0]) },
            "grow" => {
                let assignments = rest.get(2).map(|text| {
                    let text = text.strip_prefix("assign=").unwrap();
                    text.split('/').map(nodes).collect()
                });
                let (name, count) = (rest[0].to_owned(), rest[1].parse().unwrap());
                let topics = vec![MorePartitions { name, count, assignments }];
                Command::CreatePartitions { topics, validate_only }
            }
            "set" | "unset" | "append" | "subtract" | "replace" => {
                let operations = rest[1..].iter().map(|word| operation(verb, word)).collect();
                let target = target(rest[0]);
                let edits = vec![ConfigEdit { target, operations, replace: verb == "replace" }];
                Command::AlterConfigs { edits, validate_only }
            }
            "ids" => Command::TakeProducerIds,
            "image" => return self.show_image(),
            "forbid-deletion" => {
                self.rules.delete_topic_enable = false;
                return;
            }
            other => panic!("{other} is no command of the golden traces"),
        };
        self.plan(command);
    }

    fn plan(&mut self, command: Command) {
        let mut random = || {
            self.made += 1;
            [self.made; 16]
        };
        let mut draft = self.image.clone();
        let mut planner = Planner::new(&self.rules, &mut random);
        let outcome = planner.plan(&mut draft, command).unwrap();
        let (records, _) = planner.take_planned();
        match outcome {
            Outcome::TopicsCreated(results)
            | Outcome::TopicsDeleted(results)
            | Outcome::PartitionsCreated(results) => {
                for result in results {
                    match result {
                        Ok(topic) => {
                            let (name, id, count) = (&topic.name, topic.id, topic.partitions.len());
                            self.say(&format!("ok {name} {id} of {count} partition(s)"));
                        }
                        Err(refusal) => self.refused(&refusal),
                    }
                }
            }
            Outcome::ConfigsAltered(results) => {
                for result in results {
                    match result {
                        Ok(()) => self.say("ok"),
                        Err(refusal) => self.refused(&refusal),
                    }
                }
            }
            other => self.say(&format!("ok {other:?}")),
        }
        for record in &records {
            let record = Record::decode(record).unwrap();
            self.image.replay(&record).unwrap();
            self.say(&format!("  + {}", shown(&record)));
        }
        self.image.check_invariants();
        assert_eq!(self.image, draft, "the draft is what its records make");
    }

    fn refused(&mut self, refusal: &Refusal) {
        let debug = format!("{refusal:?}");
        let name = debug.split([' ', '{']).next().unwrap();
        self.say(&format!("no {name}: {refusal}"));
    }

    fn show_image(&mut self) {
        for record in self.image.snapshot() {
            self.say(&format!("  = {}", shown(&record)));
        }
    }

    fn say(&mut self, line: &str) {
        let mut line = line.to_owned();
        for made in 1..=self.made {
            line = line.replace(&id(&format!("#{made}")).to_string(), &format!("#{made}"));
        }
        writeln!(self.out, "{line}").unwrap();
    }
}

/// The record as Rust shows it, with many equal partitions counted instead of listed.
fn shown(record: &Record) -> String {
    let debug = format!("{record:?}");
    match record {
        Record::TopicCreated { partitions, .. } | Record::PartitionsAdded { partitions, .. }
            if partitions.len() > 8 =>
        {
            let short = format!("{} x {:?}", partitions.len(), partitions[0]);
            debug.replace(&format!("{partitions:?}"), &short)
        }
        _ => debug,
    }
}

fn id(text: &str) -> TopicId {
    TopicId::from_random([text.strip_prefix('#').unwrap().parse().unwrap(); 16])
}

fn reference(text: &str) -> TopicReference {
    match text.starts_with('#') {
        true => TopicReference::Id(id(text)),
        false => TopicReference::Name(text.to_owned()),
    }
}

fn nodes(text: &str) -> Vec<i32> {
    text.split('+').filter(|node| !node.is_empty()).map(|node| node.parse().unwrap()).collect()
}

fn new_topic(name: &str, words: &[&str]) -> NewTopic {
    let name = match name {
        "(empty)" => String::new(),
        "(long)" => "x".repeat(250),
        name => name.to_owned(),
    };
    let mut topic = NewTopic::with_defaults(&name);
    for word in words {
        match word.split_once('=') {
            Some(("partitions", count)) => topic.partitions = count.parse().unwrap(),
            Some(("replicas", count)) => topic.replication_factor = count.parse().unwrap(),
            Some(("assign", text)) => {
                let one = |text: &str| {
                    let (index, replicas) = text.split_once(':').unwrap();
                    (index.parse().unwrap(), nodes(replicas))
                };
                topic.assignments = text.split('/').map(one).collect();
            }
            Some((key, value)) => topic.configs.push((key.into(), Some(value.into()))),
            None => topic.configs.push(((*word).into(), None)),
        }
    }
    topic
}

fn target(text: &str) -> ConfigTarget {
    match text.split_once(':') {
        Some(("topic", name)) => ConfigTarget::Topic(name.into()),
        Some(("broker", node)) => ConfigTarget::Broker(node.parse().unwrap()),
        _ => ConfigTarget::Cluster,
    }
}

fn operation(verb: &str, word: &str) -> (String, ConfigOperation) {
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    let value = value.to_owned();
    let operation = match verb {
        "unset" => ConfigOperation::Delete,
        "append" => ConfigOperation::Append(value),
        "subtract" => ConfigOperation::Subtract(value),
        _ => ConfigOperation::Set(value),
    };
    (key.to_owned(), operation)
}

fn check(name: &str, expected: &str) {
    let trace = Trace::run(expected);
    assert!(trace == expected, "{name} came out as:\n{trace}\n--- instead of:\n{expected}");
}

macro_rules! golden {
    ($($name:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                let name = stringify!($name);
                check(name, include_str!(concat!("golden/", stringify!($name), ".txt")));
            }
        )+
    };
}

golden![
    a_deleted_name_is_free_but_its_id_never_is,
    manual_assignments_name_this_broker_once,
    names_defaults_and_counts_are_checked_before_a_topic_is_made,
    partitions_are_only_ever_added,
    producer_ids_come_in_blocks,
    settings_are_checked_and_kept_in_canonical_form,
    validation_leaves_no_trace,
];

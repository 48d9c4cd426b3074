//! The cluster's metadata through kills. Goal: every change of topics and settings that was answered
//! is there after a `kill -9`, one that was not answered is there whole or not at all, and no
//! producer id is handed out twice. Method: two clients change topics of their own as fast as they
//! can, each keeping a model of what it was told; the broker is killed in between, and after each
//! restart the model is held against what the broker says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, MetadataRequest, TopicName,
};
use kafka_protocol::protocol::{Request, StrBytes};
use tests::wire::{Answer, Wire};
use tests::{BrokerProcess, Settings, load};

const ROUNDS: u64 = 15;
const CLIENTS: u64 = 2;
const TOPICS_PER_CLIENT: u64 = 6;

/// A topic as a client believes it to be; `None` is a topic that does not exist.
type Belief = Option<(usize, Option<u64>)>;

/// What a client knows when its broker was killed.
#[derive(Default)]
struct Model {
    topics: BTreeMap<String, Belief>,
    /// The change under way at the kill: it may have happened or not.
    unanswered: Option<(String, Belief)>,
    producer_ids: Vec<i64>,
    answered: u64,
}

#[test]
fn answered_changes_survive_kills() {
    let mut broker = BrokerProcess::start(Settings::default().shards(2));
    let mut models: Vec<Model> = (0..CLIENTS).map(|_| Model::default()).collect();
    let mut producer_ids = BTreeSet::new();
    for round in 0..ROUNDS {
        let (done, dones) = mpsc::channel();
        for (client, model) in models.drain(..).enumerate() {
            let (done, address) = (done.clone(), broker.address());
            let mut random = Random(round * CLIENTS + client as u64 + 1);
            thread::spawn(move || {
                let model = change_until_killed(address, client as u64, model, &mut random);
                done.send((client, model)).expect("the test waits for its clients");
            });
        }
        thread::sleep(Duration::from_millis(100 + 37 * round));
        broker.kill();
        let mut back: Vec<_> = (0..CLIENTS).map(|_| dones.recv().expect("one each")).collect();
        back.sort_by_key(|(client, _)| *client);
        broker.restart();
        let mut calls = Calls::connect(broker.address());
        for (_, mut model) in back {
            let all = compare(&mut calls, &mut model, round);
            assert!(all.is_some(), "round {round}: the broker hung up:\n{}", broker.log());
            for id in model.producer_ids.drain(..) {
                assert!(producer_ids.insert(id), "producer id {id} was handed out twice");
            }
            models.push(model);
        }
    }
    let answered: u64 = models.iter().map(|model| model.answered).sum();
    assert!(answered >= ROUNDS, "only {answered} changes in all: the test shows nothing");
}

/// Makes random changes until the connection breaks.
fn change_until_killed(
    address: SocketAddr,
    client: u64,
    mut model: Model,
    random: &mut Random,
) -> Model {
    let mut calls = Calls::connect(address);
    loop {
        let name = format!("c{client}-{}", random.below(TOPICS_PER_CLIENT));
        let before = model.topics.get(&name).copied().flatten();
        let (after, answered) = match (before, random.below(4)) {
            (_, 3) => match calls.producer_id() {
                Some(id) => {
                    model.producer_ids.push(id);
                    (before, Some(()))
                }
                None => (before, None),
            },
            (None, _) => {
                let (partitions, retention) = (1 + random.below(5), 1 + random.below(1_000_000));
                (
                    Some((partitions as usize, Some(retention))),
                    calls.create(&name, partitions as i32, retention),
                )
            }
            (Some(_), 0) => (None, calls.delete(&name)),
            (Some((partitions, retention)), 1) if partitions < 20 => {
                (Some((partitions + 1, retention)), calls.grow(&name, partitions as i32 + 1))
            }
            (Some((partitions, _)), _) => {
                let retention = (random.below(4) > 0).then(|| 1 + random.below(1_000_000));
                (Some((partitions, retention)), calls.set_retention(&name, retention))
            }
        };
        if answered.is_none() {
            model.unanswered = Some((name, after));
            return model;
        }
        model.topics.insert(name, after);
        model.answered += 1;
    }
}

/// Holds the model against the broker, and takes over what became of the unanswered change.
/// `None` if it hangs up.
fn compare(calls: &mut Calls, model: &mut Model, round: u64) -> Option<()> {
    if let Some((name, after)) = model.unanswered.take() {
        let found = calls.describe(&name)?;
        let before = model.topics.get(&name).copied().flatten();
        assert!(
            found == before || found == after,
            "round {round}: {name} was {before:?}, was asked to be {after:?} and is {found:?}"
        );
        model.topics.insert(name, found);
    }
    for (name, believed) in &model.topics {
        assert_eq!(calls.describe(name)?, *believed, "round {round}: {name}");
    }
    Some(())
}

/// What was seen: a topic deleted and its files gone, its tombstone went at once, the broker was
/// killed; recovery then met journal entries of a log it had never heard of, and put them into
/// quarantine with errors in the log. Tombstones stay until the next start since.
#[test]
fn a_deleted_topic_leaves_nothing_behind() {
    let mut broker = BrokerProcess::start(Settings::default().shards(2));
    load::create_topic(&broker.bootstrap(), "gone", 3);
    let mut load = load::Load::start(&broker.bootstrap(), "gone", 3);
    load.run_for(Duration::from_millis(300));
    load.finish();
    let mut calls = Calls::connect(broker.address());
    calls.delete("gone").expect("the broker answers");
    for _ in 0..2 {
        broker.kill();
        broker.restart();
        assert_eq!(names_in(&broker.data().join("quarantine")), [""; 0], "{}", broker.log());
        // Files go in the background.
        let mut left = vec![String::new()];
        for _ in 0..100 {
            left = names_in(&broker.data().join("topics"));
            if left.is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(left, [""; 0]);
    }
}

fn names_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries.map(|entry| name(entry.expect("it is readable"))).collect()
}

/// A connection that makes calls; `None` where the broker was killed before it answered.
struct Calls {
    wire: Wire,
    correlation_id: i32,
}

impl Calls {
    fn connect(address: SocketAddr) -> Calls {
        Calls { wire: Wire::connect(address), correlation_id: 0 }
    }

    fn call<T: Request>(&mut self, version: i16, request: &T) -> Option<T::Response> {
        self.correlation_id += 1;
        let id = self.correlation_id;
        let frame = protocol::client::request(version, id, Some("metadata-test"), request);
        self.wire.send(&frame.expect("the request fits its version"));
        let frame = match self.wire.answer() {
            Answer::Frame(frame) => frame,
            ended => {
                eprintln!("call {id}: {ended:?}");
                return None;
            }
        };
        let response = protocol::client::response::<T>(version, id, &Bytes::from(frame));
        Some(response.expect("the answer fits its version"))
    }

    fn create(&mut self, name: &str, partitions: i32, retention: u64) -> Option<()> {
        let config = CreatableTopicConfig::default()
            .with_name(text("retention.ms"))
            .with_value(Some(text(&retention.to_string())));
        let topic = CreatableTopic::default()
            .with_name(topic(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(vec![config]);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        let answer = self.call(7, &request)?;
        assert_eq!(answer.topics[0].error_code, 0, "create {name}");
        Some(())
    }

    fn delete(&mut self, name: &str) -> Option<()> {
        let request = DeleteTopicsRequest::default().with_topic_names(vec![topic(name)]);
        let answer = self.call(5, &request)?;
        assert_eq!(answer.responses[0].error_code, 0, "delete {name}");
        Some(())
    }

    fn grow(&mut self, name: &str, count: i32) -> Option<()> {
        let topic = CreatePartitionsTopic::default()
            .with_name(topic(name))
            .with_count(count)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]);
        let answer = self.call(3, &request)?;
        assert_eq!(answer.results[0].error_code, 0, "grow {name}");
        Some(())
    }

    fn set_retention(&mut self, name: &str, retention: Option<u64>) -> Option<()> {
        let config = AlterableConfig::default()
            .with_name(text("retention.ms"))
            .with_config_operation(i8::from(retention.is_none()))
            .with_value(retention.map(|ms| text(&ms.to_string())));
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(name))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.call(1, &request)?;
        assert_eq!(answer.responses[0].error_code, 0, "alter {name}");
        Some(())
    }

    fn producer_id(&mut self) -> Option<i64> {
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        let answer = self.call(4, &request)?;
        assert_eq!(answer.error_code, 0);
        Some(answer.producer_id.0)
    }

    /// The topic as the broker tells it, over the two APIs that tell of it.
    fn describe(&mut self, name: &str) -> Option<Belief> {
        let request = MetadataRequest::default()
            .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(topic(name)))]))
            .with_allow_auto_topic_creation(false);
        let metadata = self.call(12, &request)?;
        let found = &metadata.topics[0];
        if found.error_code == 3 {
            return Some(None);
        }
        assert_eq!(found.error_code, 0, "{name}");
        let resource = DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(name))
            .with_configuration_keys(Some(vec![text("retention.ms")]));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.call(4, &request)?;
        let config = &answer.results[0].configs[0];
        let own = (config.config_source == 1).then(|| config.value.as_deref().unwrap_or_default());
        Some(Some((found.partitions.len(), own.map(|ms| ms.parse().expect("a number")))))
    }
}

fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A small generator, so that a round makes the same choices every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

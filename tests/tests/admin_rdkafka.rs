//! librdkafka's admin client, with its old versions of the APIs, and what librdkafka makes of what is
//! not there yet. Goal: an application that asks for transactions or groups learns so at once and in
//! words, or can wait. Method: the in-process client against one broker.

use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic,
    ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use tests::load::{client, wait};
use tests::{BrokerProcess, Settings};

fn admin(broker: &BrokerProcess) -> AdminClient<DefaultClientContext> {
    client(&broker.bootstrap()).create().expect("the settings are right")
}

#[test]
fn topics_and_settings() {
    let broker = BrokerProcess::start(Settings::default());
    let (admin, options) = (admin(&broker), AdminOptions::new());
    let good = NewTopic::new("good", 2, TopicReplication::Fixed(1)).set("retention.ms", "1d");
    let bad = NewTopic::new("bad", 2, TopicReplication::Fixed(3));
    let answers = wait(admin.create_topics([&good, &bad], &options)).expect("answered");
    let told: Vec<_> = answers.into_iter().map(|answer| answer.map_err(|(_, code)| code)).collect();
    assert_eq!(told, [Ok("good".into()), Err(RDKafkaErrorCode::InvalidReplicationFactor)]);

    let more = NewPartitions::new("good", 5);
    let answers = wait(admin.create_partitions([&more], &options)).expect("answered");
    assert!(answers[0].is_ok(), "{answers:?}");
    let metadata = admin.inner().fetch_metadata(Some("good"), Duration::from_secs(10));
    let metadata = metadata.expect("the broker answers");
    assert_eq!(metadata.topics()[0].partitions().len(), 5);

    let topic = ResourceSpecifier::Topic("good");
    let alter = AlterConfig::new(topic).set("ack.durability", "written");
    wait(admin.alter_configs([&alter], &options)).expect("answered")[0].as_ref().expect("altered");
    let described = wait(admin.describe_configs([&topic], &options)).expect("answered");
    let described = described[0].as_ref().expect("described");
    let entry = described.get("ack.durability").expect("a topic has it");
    assert_eq!(entry.value.as_deref(), Some("written"));
    assert_eq!(entry.source, ConfigSource::DynamicTopic);
    // The older AlterConfigs sets everything that it does not name back to its default.
    let entry = described.get("retention.ms").expect("a topic has it");
    assert_eq!(entry.value.as_deref(), Some("604800000"));

    let answers = wait(admin.delete_topics(&["good", "nothing"], &options)).expect("answered");
    let told: Vec<_> = answers.into_iter().map(|answer| answer.map_err(|(_, code)| code)).collect();
    assert_eq!(told, [Ok("good".into()), Err(RDKafkaErrorCode::UnknownTopicOrPartition)]);
}

/// A transactional producer asks for its coordinator first. Only an authorization error ends its
/// asking; the broker's own sentence comes with it.
#[test]
fn a_transactional_producer_is_refused_for_good_and_in_words() {
    let broker = BrokerProcess::start(Settings::default());
    let mut config = client(&broker.bootstrap());
    let producer: BaseProducer =
        config.set("transactional.id", "t").create().expect("the settings are right");
    let began = Instant::now();
    let refused = producer.init_transactions(Duration::from_secs(60));
    assert!(began.elapsed() < Duration::from_secs(30), "it asked again and again");
    let Err(KafkaError::Transaction(error)) = refused else { panic!("{refused:?}") };
    assert!(error.is_fatal(), "{error}");
    assert!(error.to_string().contains("does not support transactions yet"), "{error}");
}

/// A group consumer waits for a coordinator; it neither fails nor brings anything down.
#[test]
fn a_group_consumer_waits_for_its_coordinator() {
    let broker = BrokerProcess::start(Settings::default());
    let mut config = client(&broker.bootstrap());
    let consumer: BaseConsumer =
        config.set("group.id", "g").create().expect("the settings are right");
    consumer.subscribe(&["anything"]).expect("a subscription is taken");
    let polled = consumer.poll(Duration::from_secs(3));
    assert!(!matches!(polled, Some(Ok(_))), "nobody can be given a partition");
    let still = consumer.fetch_metadata(None, Duration::from_secs(10));
    assert!(still.is_ok(), "the broker answers as before");
}

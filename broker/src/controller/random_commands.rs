//! Random commands against the planner. Goal: whatever is asked, in whatever order, the image
//! keeps its invariants and is exactly what its records, or its snapshot, rebuild. Method: few
//! names and few settings, so that commands meet; each record goes through its bytes.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::golden::rules;
use super::*;

fn name() -> impl Strategy<Value = String> {
    // `a.b` and `a_b` collide; the last two are not legal.
    prop::sample::select(vec!["a.b", "a_b", "c", "d", "e", "", "f/g"]).prop_map(str::to_owned)
}

fn new_topic() -> impl Strategy<Value = NewTopic> {
    let configs = prop::collection::vec((setting(), prop::option::of(value())), 0..3);
    let assignments = prop::collection::vec((-1..3i32, prop::collection::vec(0..3i32, 0..3)), 0..3);
    (name(), -2..4i32, -1..3i16, assignments, configs).prop_map(
        |(name, partitions, replication_factor, assignments, configs)| NewTopic {
            name,
            partitions,
            replication_factor,
            assignments,
            configs,
        },
    )
}

fn setting() -> impl Strategy<Value = String> {
    let known = ["retention.ms", "cleanup.policy", "ack.durability", "log.retention.ms", "x"];
    prop::sample::select(known.to_vec()).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["1", "7d", "compact", "delete,compact", "written", "", "\u{e9}"])
        .prop_map(str::to_owned)
}

fn operation() -> impl Strategy<Value = ConfigOperation> {
    prop_oneof![
        value().prop_map(ConfigOperation::Set),
        Just(ConfigOperation::Delete),
        value().prop_map(ConfigOperation::Append),
        value().prop_map(ConfigOperation::Subtract),
    ]
}

fn edit() -> impl Strategy<Value = ConfigEdit> {
    let target = prop_oneof![
        name().prop_map(ConfigTarget::Topic),
        (0..3i32).prop_map(ConfigTarget::Broker),
        Just(ConfigTarget::Cluster),
    ];
    let operations = prop::collection::vec((setting(), operation()), 0..4);
    (target, operations, any::<bool>()).prop_map(|(target, operations, replace)| ConfigEdit {
        target,
        operations,
        replace,
    })
}

/// Ids are made by counting, so that small numbers name topics that exist or existed.
fn id() -> impl Strategy<Value = TopicId> {
    (0..20u8).prop_map(|n| TopicId::from_random([n; 16]))
}

fn command() -> impl Strategy<Value = Command> {
    let reference =
        prop_oneof![name().prop_map(TopicReference::Name), id().prop_map(TopicReference::Id)];
    let more = (name(), -1..9i32, prop::option::of(prop::collection::vec(Just(vec![1]), 0..4)))
        .prop_map(|(name, count, assignments)| MorePartitions { name, count, assignments });
    prop_oneof![
        3 => (prop::collection::vec(new_topic(), 0..4), any::<bool>()).prop_map(
            |(topics, validate_only)| Command::CreateTopics { topics, validate_only }
        ),
        2 => prop::collection::vec(reference, 0..3)
            .prop_map(|topics| Command::DeleteTopics { topics }),
        1 => id().prop_map(|id| Command::PruneTopic { id }),
        2 => (prop::collection::vec(more, 0..3), any::<bool>()).prop_map(
            |(topics, validate_only)| Command::CreatePartitions { topics, validate_only }
        ),
        2 => (prop::collection::vec(edit(), 0..3), any::<bool>()).prop_map(
            |(edits, validate_only)| Command::AlterConfigs { edits, validate_only }
        ),
        1 => Just(Command::TakeProducerIds),
    ]
}

fn replay(records: &[Vec<u8>]) -> Image {
    let mut image = Image::default();
    for record in records {
        let record = Record::decode(record).expect("our own bytes");
        image.replay(&record).expect("our own records, in their order");
    }
    image
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn records_and_snapshots_rebuild_the_image(
        commands in prop::collection::vec(command(), 0..30)
    ) {
        let rules = rules();
        let mut log = vec![Record::ClusterFormed { cluster_id: "random".into() }.encode()];
        let mut image = replay(&log);
        let mut made = 0u8;
        let mut ids = BTreeSet::new();
        for command in commands {
            let before = image.clone();
            let mut random = || {
                made = made.wrapping_add(1);
                [made; 16]
            };
            let mut planner = Planner::new(&rules, &mut random);
            let outcome = planner.plan(&mut image, command.clone()).expect("no id runs out here");
            let (records, changes) = planner.take_planned();
            image.check_invariants();
            if records.is_empty() {
                prop_assert_eq!(&image, &before, "no record, no change");
                prop_assert!(changes.is_empty());
            }
            if let Outcome::ProducerIds(block) = outcome {
                for id in block {
                    prop_assert!(ids.insert(id), "producer id {} was handed out twice", id);
                }
            }
            log.extend(records);
            prop_assert_eq!(&replay(&log), &image);
            let snapshot: Vec<_> = image.snapshot().iter().map(Record::encode).collect();
            prop_assert_eq!(&replay(&snapshot), &image);
        }
    }
}

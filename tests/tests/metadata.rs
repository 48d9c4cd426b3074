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

use tests::calls::{Calls, Code};
use tests::dice::Dice;
use tests::{BrokerProcess, Settings, load};

const ROUNDS: u64 = 15;
const CLIENTS: u64 = 2;
const RETENTION: &str = "retention.ms";
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
            let mut random = Dice(round * CLIENTS + client as u64 + 1);
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
    random: &mut Dice,
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
                    create(&mut calls, &name, partitions as i32, retention),
                )
            }
            (Some(_), 0) => (None, done(calls.delete(&name), &name)),
            (Some((partitions, retention)), 1) if partitions < 20 => {
                let answer = calls.grow(&name, partitions as i32 + 1);
                (Some((partitions + 1, retention)), done(answer, &name))
            }
            (Some((partitions, _)), _) => {
                let retention = (random.below(4) > 0).then(|| 1 + random.below(1_000_000));
                let text = retention.map(|ms| ms.to_string());
                let answer = calls.set(&name, RETENTION, text.as_deref());
                (Some((partitions, retention)), done(answer, &name))
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
        let found = describe(calls, &name)?;
        let before = model.topics.get(&name).copied().flatten();
        assert!(
            found == before || found == after,
            "round {round}: {name} was {before:?}, was asked to be {after:?} and is {found:?}"
        );
        model.topics.insert(name, found);
    }
    for (name, believed) in &model.topics {
        assert_eq!(describe(calls, name)?, *believed, "round {round}: {name}");
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
    done(calls.delete("gone"), "gone").expect("the broker answers");
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

fn create(calls: &mut Calls, name: &str, partitions: i32, retention: u64) -> Option<()> {
    done(calls.create(name, partitions, &[(RETENTION, &retention.to_string())]), name)
}

/// The topic as the broker tells it, over the two APIs that tell of it.
fn describe(calls: &mut Calls, name: &str) -> Option<Belief> {
    let Some(partitions) = calls.partitions(name)? else { return Some(None) };
    let own = calls.own_setting(name, RETENTION)?;
    Some(Some((partitions, own.map(|ms| ms.parse().expect("a number")))))
}

/// A change that was answered was made.
fn done(answer: Option<Code>, name: &str) -> Option<()> {
    assert_eq!(answer.unwrap_or_default(), 0, "{name} was refused");
    answer.map(|_| ())
}

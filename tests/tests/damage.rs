//! Damage under the real broker: one place of its data directory is altered while it is down, some sixty times, and a client
//! reads everything over the wire. Every byte is right, or the partition that was hit answers with KAFKA_STORAGE_ERROR, the
//! log names it and says what to do, `heddle verify` says the same, and all other partitions serve and take appends. Where
//! the node cannot start, it says why. The bulk is in storage/tests/damage.rs; this is the sample that shows that the
//! verdicts reach the client. `HEDDLE_DAMAGE_STARTS` is how many (60; about a minute).

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use storage::batch::{BatchView, Builder, Codec, NewRecord, split};
use storage::ids::Base64Url;
use storage::journal::frame::Frame;
use tests::broker_process::{heddle, scratch};
use tests::calls::Calls;
use tests::counts::count;
use tests::dice::Dice;
use tests::{BrokerProcess, Settings, verify};

const STORAGE_ERROR: i16 = 56;
const TOPICS: [&str; 2] = ["alpha", "beta"];
const PARTITIONS: i32 = 2;
const BLOCK: usize = 4096;
const SEED: u64 = 20_261;
/// How long a start that is refused may take, or a line until it is in the log.
const PATIENCE: Duration = Duration::from_secs(60);

type Partition = (&'static str, i32);

fn partitions() -> impl Iterator<Item = Partition> {
    TOPICS.into_iter().flat_map(|topic| (0..PARTITIONS).map(move |index| (topic, index)))
}

fn settings() -> Settings {
    Settings::default().with("journal.bytes.max=67108864")
}

/// Everything that was acknowledged, as it is stored.
type Truth = BTreeMap<Partition, Vec<u8>>;

/// A directory of a broker that was killed, and the truth about it.
struct Origin {
    directory: tempfile::TempDir,
    truth: Truth,
    frames: Vec<FoundFrame>,
}

/// A journal frame and the partitions with batches in it.
#[derive(Clone)]
struct FoundFrame {
    path: PathBuf,
    at: usize,
    used: usize,
    partitions: Vec<Partition>,
}

fn batch(tag: i64, records: i64, bytes: usize) -> Vec<u8> {
    let mut builder = Builder::new(Codec::None);
    for record in 0..records {
        let text = format!("batch {tag} record {record} ");
        let value: Vec<u8> = text.bytes().cycle().take(bytes.max(text.len())).collect();
        builder.push(NewRecord::of(&value).at(1_790_000_000_000 + tag));
    }
    builder.build().expect("a batch of a test is small")
}

/// Two runs: one stopped, one killed with acknowledged records that only the journal holds for certain. One frame of an idle
/// journal proves the last of them.
fn origin() -> Origin {
    let mut broker = BrokerProcess::start(settings());
    let mut calls = Calls::connect(broker.address());
    for topic in TOPICS {
        let small = [("segment.bytes", "1300000"), ("retention.ms", "-1")];
        assert_eq!(calls.create(topic, PARTITIONS, &small), Some(0), "{topic} is created");
    }
    produce(&mut calls, 0..40, 35_000);
    assert!(broker.stop().success());
    broker.restart();
    let mut calls = Calls::connect(broker.address());
    produce(&mut calls, 40..70, 900);
    let truth = partitions().map(|one| (one, read(&mut calls, one, i64::MAX).0)).collect();
    // Longer than the journal waits before it says that the last frame was acknowledged.
    std::thread::sleep(Duration::from_millis(200));
    broker.kill();
    let directory = tempfile::tempdir_in(scratch()).expect("the build directory is writable");
    copy(broker.data(), directory.path());
    let frames = frames(directory.path());
    assert!(frames.len() > 60, "{} frames", frames.len());
    Origin { directory, truth, frames }
}

fn produce(calls: &mut Calls, tags: std::ops::Range<i64>, bytes: usize) {
    for tag in tags {
        for (topic, index) in partitions() {
            let sent = batch(tag * 10 + i64::from(index), 1 + tag % 3, bytes);
            let (code, _) = calls.produce(topic, index, &sent).expect("it runs");
            assert_eq!(code, 0, "{topic}-{index}");
        }
    }
}

fn copy(from: &Path, to: &Path) {
    // Files are mostly zeros and reserved space: holes stay holes.
    let done = Command::new("cp")
        .args(["-r", "--sparse=always"])
        .arg(from.join("."))
        .arg(to)
        .status()
        .expect("cp is on every machine");
    assert!(done.success(), "the data is copied");
}

fn bytes_of(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files below a directory of the data whose names end so, in order.
fn files(data: &Path, below: &str, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![data.join(below)];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).expect("the directory is there") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// `alpha.<topic id>/0` by topic id and partition, as the log's lines name it.
fn directories(data: &Path) -> BTreeMap<(String, i32), (Partition, String)> {
    let mut found = BTreeMap::new();
    for topic in std::fs::read_dir(data.join("topics")).expect("there are topics") {
        let name = topic.expect("an entry").file_name().to_string_lossy().into_owned();
        let (topic, id) = name.split_once('.').expect("a name and an id");
        let topic = TOPICS.into_iter().find(|one| *one == topic).expect("a topic of ours");
        for index in 0..PARTITIONS {
            found.insert((id.to_owned(), index), ((topic, index), format!("{name}/{index}")));
        }
    }
    found
}

/// The frames of the live journal that hold entries.
fn frames(data: &Path) -> Vec<FoundFrame> {
    let directories = directories(data);
    let mut frames = Vec::new();
    let journals = files(data, "journal", ".journal");
    let newest = journals.last().expect("there is a journal").clone();
    let generation = newest.file_name().expect("a name").to_string_lossy()[..9].to_owned();
    for path in journals {
        if !path.file_name().expect("a name").to_string_lossy().starts_with(&generation) {
            continue;
        }
        let bytes = bytes_of(&path);
        let mut at = 0;
        while let Some(Ok(frame)) =
            bytes.get(at..).filter(|rest| !rest.is_empty()).map(Frame::check)
        {
            let logs = frame.entries().map(|entry| {
                let log = entry.head.log;
                let key = (Base64Url(&log.topic).to_string(), log.partition as i32);
                directories[&key].0
            });
            let partitions: Vec<Partition> = logs.collect();
            let (used, total) = (frame.header().used_len, frame.header().total_len);
            if !partitions.is_empty() {
                let path = path.strip_prefix(data).expect("below the data").to_owned();
                frames.push(FoundFrame { path, at, used: used as usize, partitions });
            }
            at += total as usize;
        }
    }
    frames
}

/// One alteration.
struct Fault {
    what: &'static str,
    path: PathBuf,
    writes: Vec<(usize, Vec<u8>)>,
    /// Partitions that may answer with an error.
    may_hurt: Vec<Partition>,
    /// It must hurt one of them.
    must_hurt: bool,
    /// The node must not start.
    must_refuse: bool,
}

const KINDS: usize = 12;

fn fault(number: usize, origin: &Origin, dice: &mut Dice) -> Fault {
    let data = origin.directory.path();
    let bit = |path: &Path, at: usize, dice: &mut Dice| {
        vec![(at, vec![bytes_of(&data.join(path))[at] ^ (1 << dice.below(8))])]
    };
    let below = |path: &Path| path.strip_prefix(data).expect("below the data").to_owned();
    let plain = |what, path: PathBuf, writes| Fault {
        what,
        path,
        writes,
        may_hurt: Vec::new(),
        must_hurt: false,
        must_refuse: false,
    };
    match number % KINDS {
        kind @ 0..=2 => {
            let frame = &origin.frames[dice.below(origin.frames.len() as u64) as usize];
            let writes = match kind {
                0 => bit(&frame.path, frame.at + dice.below(frame.used as u64) as usize, dice),
                1 => vec![(frame.at, vec![0; BLOCK])],
                _ => {
                    let other = &origin.frames[dice.below(origin.frames.len() as u64) as usize];
                    let bytes = bytes_of(&data.join(&other.path));
                    let moved = bytes[other.at..other.at + BLOCK].to_vec();
                    let same = (other.at, &other.path) == (frame.at, &frame.path);
                    vec![(frame.at, if same { vec![0xee; BLOCK] } else { moved })]
                }
            };
            let what = ["a bit of a frame", "a frame of zeros", "a frame of another place"][kind];
            // A checkpoint may hold what was in it.
            Fault { may_hurt: frame.partitions.clone(), ..plain(what, frame.path.clone(), writes) }
        }
        kind @ 3..=5 => {
            let all = files(data, "topics", ".log");
            let sealed: Vec<_> = all
                .iter()
                .filter(|path| {
                    all.iter().any(|other| other.parent() == path.parent() && other > *path)
                })
                .collect();
            let path = below(sealed[dice.below(sealed.len() as u64) as usize]);
            let bytes = bytes_of(&data.join(&path));
            let mut starts = vec![0];
            for batch in split(&bytes).flatten() {
                starts.push(starts[starts.len() - 1] + batch.len());
            }
            starts.pop();
            let batch = starts[dice.below(starts.len() as u64) as usize];
            let writes = match kind {
                // Base offset, length and leader epoch, which Kafka's checksum does not cover.
                3 => bit(&path, batch + dice.below(16) as usize, dice),
                4 => bit(&path, batch + 61 + dice.below(500) as usize, dice),
                _ => vec![(
                    batch.next_multiple_of(BLOCK).min(bytes.len() - BLOCK),
                    vec![0xa5; BLOCK],
                )],
            };
            let what = ["a bit of a batch's header", "a bit of a record", "a block of a segment"];
            Fault {
                may_hurt: vec![partition_of(data, &path)],
                must_hurt: true,
                ..plain(what[kind - 3], path, writes)
            }
        }
        6 => {
            let all = files(data, "topics", ".hindex");
            assert!(!all.is_empty(), "sealed segments have indexes");
            let path = below(&all[dice.below(all.len() as u64) as usize]);
            let len = bytes_of(&data.join(&path)).len() as u64;
            let writes = bit(&path, dice.below(len) as usize, dice);
            plain("a bit of an index", path, writes)
        }
        7 => {
            let slot = dice.below(2) as usize * BLOCK;
            plain("a slot of the superblock", "superblock".into(), vec![(slot, vec![0x11; BLOCK])])
        }
        8 => Fault {
            must_refuse: true,
            ..plain("both slots", "superblock".into(), vec![(0, vec![0x11; 2 * BLOCK])])
        },
        9 => {
            let base = below(&files(data, "checkpoints", ".base")[0]);
            let writes = bit(&base, 56 + dice.below(200) as usize, dice);
            plain("a bit of the base checkpoint", base, writes)
        }
        10 => {
            let path = metadata(data);
            plain("a block of the metadata log", below(&path), vec![(2 * BLOCK, vec![0; BLOCK])])
        }
        _ => {
            // The snapshot's frame and its copy; what was appended behind proves that they were there.
            let path = metadata(data);
            Fault {
                must_refuse: true,
                ..plain("both copies of a frame", below(&path), vec![(0, vec![0; 2 * BLOCK])])
            }
        }
    }
}

/// The metadata log's file in force: the one with frames of its own sequence.
fn metadata(data: &Path) -> PathBuf {
    let found = files(data, "metadata", ".records").into_iter().find(|path| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let sequence = name.rsplit_once('.').and_then(|(_, hex)| u64::from_str_radix(hex, 16).ok());
        bytes_of(path).get(16..24)
            == sequence.map(u64::to_le_bytes).as_ref().map(<[u8; 8]>::as_slice)
    });
    found.expect("one is in force")
}

fn partition_of(data: &Path, segment: &Path) -> Partition {
    let dir = segment.parent().expect("a directory").strip_prefix("topics").expect("a topic");
    let all = directories(data);
    let found = all.values().find(|(_, name)| Path::new(name) == dir);
    found.expect("it is one of ours").0
}

/// Reads a partition to `end`: its bytes, and the offsets at which it answered with an error.
fn read(calls: &mut Calls, (topic, index): Partition, end: i64) -> (Vec<u8>, Vec<(i64, i16)>) {
    let (mut bytes, mut errors, mut next) = (Vec::new(), Vec::new(), 0);
    while next < end {
        let (code, records) = fetch(calls, topic, index, next);
        if code != 0 {
            errors.push((next, code));
            return (bytes, errors);
        }
        let Some(last) = split(&records).flatten().last().map(|batch| batch.next_offset().0) else {
            return (bytes, errors);
        };
        next = last;
        bytes.extend_from_slice(&records);
    }
    (bytes, errors)
}

fn fetch(calls: &mut Calls, topic: &str, index: i32, from: i64) -> (i16, Vec<u8>) {
    calls.fetch(topic, index, from, 200_000).expect("the broker runs")
}

/// Looks at one partition in full: whether it said that something is damaged.
fn is_hurt(calls: &mut Calls, partition: Partition, truth: &[u8]) -> bool {
    let batches: Vec<BatchView<'_>> = split(truth).flatten().collect();
    let mut hurt = false;
    let mut at = 0;
    for batch in &batches {
        let (topic, index) = partition;
        let (code, records) = fetch(calls, topic, index, batch.base_offset().0);
        if code != 0 {
            assert_eq!(code, STORAGE_ERROR, "{topic}-{index} at {}", batch.base_offset());
            hurt = true;
        } else {
            let right = !records.is_empty() && truth[at..].starts_with(&records);
            assert!(right, "{topic}-{index} serves wrong bytes at {}", batch.base_offset());
        }
        at += batch.len();
    }
    hurt
}

/// Whether the log names the partition. It is written by a thread of its own, behind the answer.
fn is_named(broker: &BrokerProcess, topic: &str, index: i32) -> bool {
    let began = Instant::now();
    loop {
        let named = broker.log().lines().any(|line| {
            (line.contains("HDL-ST-040") || line.contains("HDL-ST-044"))
                && line.contains(&format!("{topic}."))
                && line.contains(&format!("/{index}"))
        });
        if named || began.elapsed() > PATIENCE {
            return named;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn refused(data: &Path) -> String {
    let log = data.join("said");
    let file = std::fs::File::create(&log).expect("the directory is writable");
    let mut child = Command::new(heddle())
        .args(["serve", "--listen", "127.0.0.1:0", "--shards", "1"])
        .arg("--data")
        .arg(data.join("data"))
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("a handle can be cloned"))
        .stderr(file)
        .spawn()
        .expect("the broker under test starts");
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            let said = String::from_utf8_lossy(&bytes_of(&log)).into_owned();
            assert!(!status.success() && !said.contains("panicked"), "{status}: {said}");
            return said;
        }
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it started: {}", String::from_utf8_lossy(&bytes_of(&log)));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn damage_is_named_to_the_client_and_hurts_nobody_else() {
    let origin = origin();
    let mut dice = Dice(SEED);
    let (mut hurt_in_all, mut refused_in_all, mut harmless) = (0, 0, 0);
    let starts = count("HEDDLE_DAMAGE_STARTS", 60);
    for number in 0..starts {
        let fault = fault(number, &origin, &mut dice);
        let at: Vec<usize> = fault.writes.iter().map(|(at, _)| *at).collect();
        let text = format!("fault {number}: {} at {at:?} of {}", fault.what, fault.path.display());
        let directory = tempfile::tempdir_in(scratch()).expect("the build directory is writable");
        let data = directory.path().join("data");
        std::fs::create_dir(&data).expect("a new directory");
        copy(origin.directory.path(), &data);
        let file = std::fs::File::options().write(true).open(data.join(&fault.path));
        let file = file.expect("the file opens");
        for (at, bytes) in &fault.writes {
            file.write_all_at(bytes, *at as u64).expect("the file is writable");
        }
        let found = verify::findings(&data);
        if fault.must_refuse {
            let said = refused(directory.path());
            assert!(said.contains("HDL-"), "{text}: no code: {said}");
            assert!(!found.sound, "{text}: `heddle verify` finds nothing");
            refused_in_all += 1;
            continue;
        }
        let mut broker = BrokerProcess::start(settings().data(&data));
        let mut calls = Calls::connect(broker.address());
        let hurt: Vec<Partition> =
            partitions().filter(|one| is_hurt(&mut calls, *one, &origin.truth[one])).collect();
        let log = broker.log();
        assert!(!log.contains("panicked"), "{text}: {log}");
        for one @ (topic, index) in &hurt {
            assert!(fault.may_hurt.contains(one), "{text}: {topic}-{index} was not hit\n{log}");
            let named = is_named(&broker, topic, *index);
            assert!(named, "{text}: the log does not name {topic}-{index}:\n{log}");
            let name = format!("{topic}-{index}");
            let said = found.damaged_partitions();
            assert!(said.contains(&name), "{text}: `heddle verify` names {said:?}, not {name}");
        }
        assert!(!fault.must_hurt || !hurt.is_empty(), "{text}: nobody noticed\n{log}");
        for one @ (topic, index) in partitions() {
            if !hurt.contains(&one) {
                let answer = calls.produce(topic, index, &batch(9_999, 1, 10));
                assert_eq!(answer.map(|(code, _)| code), Some(0), "{text}: {topic}-{index}");
            }
        }
        harmless += usize::from(hurt.is_empty());
        hurt_in_all += usize::from(!hurt.is_empty());
        broker.kill();
    }
    println!("{starts} faults: {hurt_in_all} named, {harmless} harmless, {refused_in_all} refused");
    if starts >= KINDS {
        assert!(
            hurt_in_all >= starts / 3 && harmless >= starts / 5 && refused_in_all >= starts / 8
        );
    }
}

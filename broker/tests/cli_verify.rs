//! `heddle verify` on directories that a real broker made: after a clean stop, after `kill -9`, and with each kind of
//! damage, which must be told by its code, at its place, for its partition, and for no other.
//!
//! The directories are made once and copied for each case. Takes 15 seconds.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::disallowed_methods, reason = "a test has no shards")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use common::Broker;
use engine::shard::{Launch, block_on};
use protocol::wire::TopicRef;
use serde_json::Value;
use storage::batch::split;
use storage::ids::{LogId, Offset};
use storage::journal::frame::Header;
use storage::log::SegmentIndex;
use storage::record_log::RecordLog;
use storage::superblock::Superblock;
use storage::verify::{Code, Severity};
use tempfile::TempDir;

use broker::controller::{Record, TopicId};

/// Three partitions: the first with a sealed segment, an index and an active segment, the second with one batch, the
/// third with none.
const TOPIC: &str = "events";
const BATCHES: usize = 24;
const BATCH_BYTES: usize = 100_000;
/// Of the broker that is killed: one batch more.
const ENTRIES: usize = BATCHES + 2;

fn scratch() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn fill(broker: &Broker) -> [u8; 16] {
    let mut client = broker.client();
    let id = client.create_topic(TOPIC, 3);
    let value = "v".repeat(BATCH_BYTES);
    for _ in 0..BATCHES {
        client.produce(TopicRef::Id(id), 0, &[&value]);
    }
    client.produce(TopicRef::Id(id), 1, &["a", "b"]);
    id
}

const OVERRIDES: [&str; 1] = ["log.segment.bytes=2097152"];

/// A directory that stays until the next run: no test is the last to use it.
fn made_once(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-verify").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir.join("data")
}

/// The data of a broker that was stopped cleanly.
fn stopped() -> &'static Path {
    static DATA: OnceLock<PathBuf> = OnceLock::new();
    DATA.get_or_init(|| {
        let data = made_once("stopped");
        let broker = Broker::start(&data, 2, &OVERRIDES);
        fill(&broker);
        broker.stop();
        data
    })
}

/// The data of a broker that was killed: what it acknowledged is in its journals. A machine so slow that a checkpoint
/// was taken before (after ten seconds) gets another go, as that is not what these tests are about.
fn killed() -> &'static Path {
    static DATA: OnceLock<PathBuf> = OnceLock::new();
    DATA.get_or_init(|| {
        let mut goes = (0..5).map(|_| {
            let data = made_once("killed");
            let broker = Broker::start(&data, 1, &OVERRIDES);
            let id = fill(&broker);
            broker.client().produce(TopicRef::Id(id), 1, &["c"]);
            broker.kill();
            data
        });
        let whole = |data: &PathBuf| document(data, &[])["checked"]["entries"] == ENTRIES;
        goes.find(whole).expect("a machine that takes less than ten seconds for 2.4 MB")
    })
}

fn copy(from: &Path) -> TempDir {
    let to = scratch();
    let copied = Command::new("cp").arg("-r").arg(from).arg(to.path()).status().unwrap();
    assert!(copied.success());
    to
}

fn verify(data: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heddle"));
    command.arg("verify").args(more).arg(data).output().unwrap()
}

/// The document, the exit code having been compared with it.
fn document(data: &Path, more: &[&str]) -> Value {
    let output = verify(data, &[&["--json"], more].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    let document: Value = serde_json::from_slice(&output.stdout).expect(&stderr);
    let code = if document["sound"].as_bool().unwrap() { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(code), "{document}\n{stderr}");
    document
}

/// `(code, partition)` of each finding of at least this severity.
fn found(document: &Value, least: Severity) -> Vec<(String, String)> {
    let counts = |severity: &str| match severity {
        "error" => true,
        "warning" => least <= Severity::Warning,
        "note" => least <= Severity::Note,
        other => panic!("severity {other}"),
    };
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let findings = document["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| counts(finding["severity"].as_str().unwrap()))
        .map(|finding| (text(&finding["code"]), text(&finding["partition"])))
        .collect()
}

/// Damages a copy and expects these findings, errors and warnings, and no others.
fn check(from: &Path, expected: &[(Code, &str)], damage: impl FnOnce(&Path)) -> Value {
    let copy = copy(from);
    let data = copy.path().join("data");
    damage(&data);
    let document = document(&data, &[]);
    let mut expected: Vec<_> = expected
        .iter()
        .map(|(code, partition)| (code.to_string(), (*partition).to_owned()))
        .collect();
    let mut found = found(&document, Severity::Warning);
    expected.sort();
    found.sort();
    assert_eq!(found, expected, "{document:#}");
    document
}

fn log(data: &Path, partition: u32, name: &str) -> PathBuf {
    let mut topics = fs::read_dir(data.join("topics")).unwrap();
    topics.next().unwrap().unwrap().path().join(partition.to_string()).join(name)
}

/// The files of a directory whose names fit, in order.
fn files(dir: &Path, fits: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| fits(&path.file_name().unwrap().to_string_lossy()));
    paths.sort();
    paths
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

const FIRST: &str = "00000000000000000000.log";
const FIRST_INDEX: &str = "00000000000000000000.hindex";

/// The active segment of partition 0.
fn active(data: &Path) -> PathBuf {
    let dir = log(data, 0, FIRST);
    files(dir.parent().unwrap(), |name| name.ends_with(".log")).pop().unwrap()
}

#[test]
fn a_clean_stop_leaves_nothing_to_say() {
    let all = document(stopped(), &["--deep"]);
    assert_eq!(found(&all, Severity::Warning), []);
    assert_eq!(found(&all, Severity::Note), [(Code::TopicWithoutFiles.to_string(), "-".into())]);
    let checked = |name: &str| all["checked"][name].as_u64().unwrap();
    assert_eq!((checked("records"), checked("batches")), (BATCHES as u64 + 2, BATCHES as u64 + 1));
    assert_eq!((checked("topics"), checked("partitions"), checked("segments")), (1, 3, 3));
    assert_eq!((checked("journals"), checked("indexes"), checked("entries")), (2, 1, 0));
    assert!(checked("frames") >= 2, "each journal has a closing frame");
    assert_eq!(all["stopped_cleanly"], true);

    let other = document(stopped(), &["--topic", "other"]);
    assert_eq!(other["checked"]["segments"], 0);
    let this = document(stopped(), &["--topic", "other", "--topic", TOPIC]);
    assert_eq!(this["checked"]["segments"], 3);
}

#[test]
fn what_was_killed_is_sound() {
    let all = document(killed(), &["--deep"]);
    assert_eq!(found(&all, Severity::Warning), []);
    assert!(found(&all, Severity::Note).contains(&(Code::NotClean.to_string(), "-".into())));
    assert_eq!(all["checked"]["entries"], ENTRIES);
    assert_eq!(all["stopped_cleanly"], false);
}

#[test]
fn the_document_has_its_shape() {
    let copy = copy(stopped());
    let data = copy.path().join("data");
    change(&log(&data, 0, FIRST), |bytes| bytes[70] ^= 1);
    let document = document(&data, &[]);
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let top = [
        "checked",
        "cluster_id",
        "directory",
        "errors",
        "findings",
        "format",
        "generation",
        "node_id",
        "notes",
        "omitted",
        "shards",
        "sound",
        "stopped_cleanly",
        "took_ms",
        "warnings",
    ];
    assert_eq!(names(&document), top);
    let finding = &document["findings"][0];
    let members = [
        "code",
        "consequence",
        "file",
        "fix",
        "partition",
        "position",
        "severity",
        "topic_id",
        "what",
    ];
    assert_eq!(names(finding), members);
    assert_eq!(document["format"], 1);
    assert_eq!((&document["errors"], &document["sound"]), (&1.into(), &false.into()));
    assert_eq!(finding["position"], 0);
    let file = finding["file"].as_str().unwrap();
    assert!(file.starts_with("topics/events.") && file.ends_with("/0/00000000000000000000.log"));
}

#[test]
fn a_person_is_told_what_follows_and_what_to_do() {
    let copy = copy(stopped());
    let data = copy.path().join("data");
    change(&log(&data, 0, FIRST), |bytes| bytes[70] ^= 1);
    let output = verify(&data, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with("error")).collect();
    assert_eq!(rows.len(), 1, "{text}");
    assert!(rows[0].contains("HDL-VF-063  events-0"), "{text}");
    assert!(text.contains(Code::BatchChecksum.fix()), "{text}");
    assert!(text.lines().last().unwrap().starts_with("DAMAGED: 1 error, 0 warnings, 1 note in "));
}

#[test]
fn a_running_broker_is_named() {
    let dir = scratch();
    let data = dir.path().join("data");
    let broker = Broker::start(&data, 1, &[]);
    let output = verify(&data, &[]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("HDL-VERIFY-003") && text.contains("in use by heddle (pid "), "{text}");
    let json = verify(&data, &["--json"]);
    let failure: Value = serde_json::from_slice(&json.stderr).unwrap();
    assert_eq!(failure["errors"][0]["code"], "HDL-VERIFY-003");
    broker.kill();
    assert_eq!(verify(&data, &[]).status.code(), Some(0));
}

#[test]
fn nothing_is_written() {
    let copy = copy(killed());
    let data = copy.path().join("data");
    let state = |data: &Path| {
        let listed = Command::new("find").arg(data).args(["-printf", "%p %s %T@ %C@\n"]).output();
        String::from_utf8(listed.unwrap().stdout).unwrap()
    };
    let before = state(&data);
    assert_eq!(verify(&data, &["--deep"]).status.code(), Some(0));
    assert_eq!(state(&data), before);
}

#[test]
fn what_is_no_data_directory_is_refused() {
    let dir = scratch();
    let refused = |path: &Path, code: &str| {
        let output = verify(path, &[]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(code), "{text}");
    };
    refused(dir.path(), "HDL-VERIFY-002");
    refused(&dir.path().join("absent"), "HDL-VERIFY-001");
}

#[test]
fn damage_in_segments_is_named() {
    use Code::*;
    let clean = stopped();
    let of = |code| [(code, "events-0")];
    check(clean, &of(BatchChecksum), |data| {
        change(&log(data, 0, FIRST), |bytes| bytes[BATCH_BYTES * 2] ^= 0x10);
    });
    check(clean, &of(BatchFraming), |data| change(&log(data, 0, FIRST), |bytes| bytes[16] = 9));
    check(clean, &of(BatchOffsets), |data| change(&log(data, 0, FIRST), |bytes| bytes[7] ^= 4));
    check(clean, &of(LeaderEpochs), |data| change(&log(data, 0, FIRST), |bytes| bytes[15] ^= 4));
    let unread = check(clean, &of(SegmentMissing), |data| {
        fs::remove_file(log(data, 0, FIRST)).unwrap();
    });
    assert_eq!(unread["checked"]["segments"], 2, "the others are read all the same");
    check(clean, &[(SegmentShort, "events-0"), (BatchFraming, "events-0")], |data| {
        change(&log(data, 0, FIRST), |bytes| bytes.truncate(bytes.len() - 1));
    });
    check(clean, &of(Padding), |data| change(&log(data, 0, FIRST), |bytes| bytes.push(7)));
    let zeros = check(clean, &[], |data| change(&log(data, 0, FIRST), |bytes| bytes.push(0)));
    assert!(found(&zeros, Severity::Note).contains(&(NotCut.to_string(), "events-0".into())));
    check(clean, &of(TailBlockDamaged), |data| {
        change(&active(data), |bytes| *bytes.last_mut().unwrap() ^= 1);
    });
    let extra = check(clean, &[], |data| {
        fs::write(log(data, 0, "00000000000000000777.log"), b"x").unwrap();
    });
    let note = (SegmentUnlisted.to_string(), "events-0".into());
    assert!(found(&extra, Severity::Note).contains(&note));
}

#[test]
fn damage_in_indexes_is_named() {
    let clean = stopped();
    check(clean, &[(Code::IndexDamaged, "events-0")], |data| {
        change(&log(data, 0, FIRST_INDEX), |bytes| bytes[40] ^= 1);
    });
    check(clean, &[(Code::IndexWrong, "events-0")], |data| {
        // The checksum is right, and it is the index of other batches.
        let segment = fs::read(log(data, 0, FIRST)).unwrap();
        let mut other = SegmentIndex::new(Offset(0), 4096);
        for batch in split(&segment).map(Result::unwrap) {
            other.append(batch.header(), batch.len() - 1);
        }
        fs::write(log(data, 0, FIRST_INDEX), other.encode()).unwrap();
    });
}

#[test]
fn damage_in_the_identity_is_named() {
    let clean = stopped();
    check(clean, &[(Code::SuperblockInvalid, "-")], |data| {
        change(&data.join("superblock"), |bytes| {
            bytes[20] ^= 1;
            bytes[4096 + 20] ^= 1;
        });
    });
    check(clean, &[(Code::SuperblockInvalid, "-")], |data| {
        fs::remove_file(data.join("superblock")).unwrap();
    });
    check(clean, &[(Code::SuperblockSlot, "-")], |data| {
        change(&data.join("superblock"), |bytes| {
            let newest = Superblock::decode_newest(bytes).unwrap();
            bytes[4096 - newest.slot_position() as usize + 20] ^= 1;
        });
    });
    check(clean, &[(Code::MetaProperties, "-")], |data| {
        let path = data.join("meta.properties");
        let text = fs::read_to_string(&path).unwrap().replace("node.id=1", "node.id=2");
        fs::write(path, text).unwrap();
    });
    let notes = check(clean, &[], |data| {
        fs::write(data.join("notes.txt"), b"x").unwrap();
        fs::write(data.join("quarantine/x.frames"), b"x").unwrap();
        fs::create_dir_all(data.join("topics/unknown.x/0")).unwrap();
    });
    let notes = found(&notes, Severity::Note);
    for code in [Code::Leftover, Code::Quarantine, Code::TopicUnknown] {
        assert!(notes.contains(&(code.to_string(), "-".into())), "{code}: {notes:?}");
    }
}

#[test]
fn damage_in_checkpoints_is_named() {
    let clean = stopped();
    let base = |data: &Path| files(&data.join("checkpoints"), |name| name.ends_with(".base"));
    check(clean, &[(Code::BaseCheckpoint, "-")], |data| {
        fs::remove_file(&base(data)[0]).unwrap();
    });
    check(clean, &[(Code::BaseCheckpoint, "-")], |data| {
        change(&base(data)[0], |bytes| bytes.fill(0xee));
    });
    // One copy of the first frame; the other is read.
    check(clean, &[(Code::RecordCopy, "-")], |data| {
        change(&base(data)[0], |bytes| bytes[20] ^= 1);
    });
    check(clean, &[(Code::CheckpointLog, "-")], |data| {
        let in_force = |name: &str| name.contains("-s0000.") && name.ends_with("1.records");
        let records = files(&data.join("checkpoints"), in_force);
        fs::remove_file(&records[0]).unwrap();
    });
}

/// Appends records to the metadata log of a broker that is down.
fn append_metadata(data: &Path, records: Vec<Vec<u8>>) {
    let dir = data.join("metadata");
    let work = async move {
        let (log, _) = RecordLog::open(&dir, "metadata", 4 << 20).await.unwrap();
        log.append(records).await.unwrap();
    };
    block_on(&Launch::default(), work).unwrap();
}

fn topic_id(data: &Path) -> TopicId {
    let records = {
        let dir = data.join("metadata");
        block_on(&Launch::default(), async move { RecordLog::read(&dir, "metadata").await })
    };
    let records = records.unwrap().unwrap().unwrap();
    let id = records.iter().find_map(|record| match Record::decode(record).unwrap() {
        Record::TopicCreated { id, .. } => Some(id),
        _ => None,
    });
    id.unwrap()
}

#[test]
fn damage_in_the_metadata_is_named() {
    let clean = stopped();
    check(clean, &[(Code::MetadataLog, "-")], |data| {
        files(&data.join("metadata"), |_| true)
            .iter()
            .for_each(|path| fs::remove_file(path).unwrap());
    });
    check(clean, &[(Code::MetadataRecord, "-")], |data| append_metadata(data, vec![vec![200, 1]]));
    check(clean, &[(Code::MetadataContradiction, "-")], |data| {
        append_metadata(data, vec![Record::TopicPruned { id: TopicId([5; 16]) }.encode()]);
    });
    check(clean, &[(Code::MetadataCluster, "-"), (Code::MetaProperties, "-")], |data| {
        change(&data.join("superblock"), |bytes| {
            let mut block = Superblock::decode_newest(bytes).unwrap();
            block.cluster_id = "another".to_owned();
            let at = block.slot_position() as usize;
            bytes[at..at + 4096].copy_from_slice(&block.encode());
            block.sequence -= 1;
            let at = block.slot_position() as usize;
            bytes[at..at + 4096].copy_from_slice(&block.encode());
        });
    });
    let deleted = check(clean, &[], |data| {
        let id = topic_id(data);
        append_metadata(data, vec![Record::TopicDeleted { id }.encode()]);
    });
    let note = (Code::TopicDeleted.to_string(), "-".to_owned());
    assert!(found(&deleted, Severity::Note).contains(&note));
    let unlisted = [(Code::LogUnlisted, "events-0"), (Code::LogUnlisted, "events-1")];
    let forget = |data: &Path| {
        let id = topic_id(data);
        let records = [Record::TopicDeleted { id }, Record::TopicPruned { id }];
        append_metadata(data, records.iter().map(Record::encode).collect());
        id
    };
    check(clean, &unlisted, |data| _ = forget(data));
    let unknown = copy(killed());
    let data = unknown.path().join("data");
    let id = forget(&data);
    let document = document(&data, &[]);
    let log = |partition| LogId { topic: id.0, partition, incarnation: 0 }.to_string();
    let told = [0, 1].map(|partition| (Code::EntryUnknownLog.to_string(), log(partition)));
    assert_eq!(found(&document, Severity::Warning), told);
}

/// Position and header of each frame in the first file of the journal.
fn frames(data: &Path) -> (PathBuf, Vec<(usize, Header)>) {
    let journal = files(&data.join("journal"), |name| name.ends_with(".journal")).remove(0);
    let bytes = fs::read(&journal).unwrap();
    let (mut at, mut frames) = (0, Vec::new());
    while let Ok(header) = Header::decode(&bytes[at..]) {
        frames.push((at, header));
        at += header.total_len as usize;
    }
    (journal, frames)
}

#[test]
fn damage_in_the_journal_is_named() {
    use Code::*;
    let killed = killed();
    // One frame in the middle, of partition 0 alone: its successor names it, and the log's next entry has a gap before.
    check(killed, &[(JournalDamaged, "-"), (RecordsLost, "events-0")], |data| {
        let (journal, frames) = frames(data);
        let (at, _) = frames.iter().filter(|(_, header)| header.entries > 0).nth(3).unwrap();
        change(&journal, |bytes| bytes[at + 5_000] ^= 1);
    });
    // The last frame says nothing that is missed: it looks as one that was cut short.
    let torn = check(killed, &[], |data| {
        let (journal, frames) = frames(data);
        let (at, _) = frames.last().unwrap();
        change(&journal, |bytes| bytes[at + 100] ^= 1);
    });
    assert!(found(&torn, Severity::Note).contains(&(TornTail.to_string(), "-".into())));
    check(killed, &[(JournalOfLater, "-")], |data| {
        let journal = data.join("journal/g00000009-s0000-0000000000000001.journal");
        fs::write(journal, vec![0; 4096]).unwrap();
    });
    // After a clean stop the checkpoints hold everything: only that the end was not written so is odd.
    check(stopped(), &[(NotClosed, "-"), (NotClosed, "-")], |data| {
        for path in files(&data.join("journal"), |name| name.ends_with(".journal")) {
            fs::remove_file(path).unwrap();
        }
    });
}

#[test]
fn a_partition_that_recovery_took_offline_stays_named() {
    let copy = copy(killed());
    let data = copy.path().join("data");
    let (journal, frames) = frames(&data);
    let (at, _) = frames.iter().filter(|(_, header)| header.entries > 0).nth(3).unwrap();
    change(&journal, |bytes| bytes[at + 5_000] ^= 1);
    Broker::start(&data, 1, &[]).stop();
    let document = document(&data, &[]);
    assert_eq!(found(&document, Severity::Warning), [("HDL-VF-033".into(), "events-0".into())]);
    let notes = found(&document, Severity::Note);
    assert!(notes.contains(&(Code::Quarantine.to_string(), "-".into())), "{notes:?}");
}

/// The documents' table of codes is that of the code, and the README names the command.
#[test]
fn the_documents_are_in_step() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/operate/verify.md")).unwrap();
    let rows: String = Code::ALL
        .iter()
        .map(|code| {
            let severity = code.severity();
            let (consequence, fix) = (code.consequence(), code.fix());
            format!("| {code} | {severity} | {} {consequence} | {fix} |\n", code.title())
        })
        .collect();
    assert!(page.contains(&rows), "the rows of docs/operate/verify.md are to be:\n{rows}");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    assert!(readme.contains("| `heddle verify` |"));
}

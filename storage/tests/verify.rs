//! The offline check against recovery: two readings of the same damaged bytes that share no judgement.
//!
//! A directory with segments, a base checkpoint and a journal behind it is damaged in one place and checked, then
//! recovered. If the check calls it sound, recovery must bring back every byte that was acknowledged; if it finds an
//! error, recovery must refuse, take a partition offline, or bring back something else. Then directories with many
//! faults at once: the check must end, with a report. 60 single faults and 60 multiple ones take half a minute
//! (`HEDDLE_VERIFY_FAULTS` sets another number), cutting a log back six seconds.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::disallowed_methods, reason = "tests look at the disk past the engine")]

mod store_support;
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use storage::durability::Durability;
use storage::ids::{LeaderEpoch, Offset};
use storage::log::LogConfig;
use storage::node::Known;
use storage::verify::{Code, Options, Report, Severity, check};
use support::{Toy, ToyLog, config, copy_dir, disk_bytes, known, log_id, open, read, run, write};

const LOGS: u32 = 3;

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

fn faults() -> u64 {
    let set = std::env::var("HEDDLE_VERIFY_FAULTS").ok();
    set.map_or(60, |text| text.parse().expect("HEDDLE_VERIFY_FAULTS is a number"))
}

/// Two starts: segments of the first, the journal of the second. Returns what was acknowledged.
async fn make(dir: &Path) -> BTreeMap<u32, ToyLog> {
    let mut all: BTreeMap<u32, ToyLog> = BTreeMap::new();
    for _ in 0..2 {
        let node = open(dir).await;
        let recovery = node.recover(&known(LOGS), 1).await.unwrap();
        let toy = Toy::start(&recovery, config(&recovery, 0), &[0, 1, 2]).await;
        for turn in 0..12 {
            for log in 0..LOGS {
                let roll = turn == 7 && log < 2;
                let size = 300 + 700 * turn;
                toy.append_as(log, 1 + i64::from(log), size, Durability::Device, roll).await;
            }
            toy.journal.flush().await;
        }
        toy.journal.stop().await;
        for (number, log) in toy.snapshot() {
            all.entry(number).or_default().bytes.extend(log.bytes);
        }
    }
    all
}

async fn verify(dir: &Path) -> Report {
    check(dir, &Options { known: Some(known(LOGS)), deep: true, ..Options::default() }).await
}

/// Every file that says something, and how many of its bytes do.
fn targets(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let bytes = read(&path);
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
            if used > 0 && name != "lock" && name != "meta.properties" {
                found.push((path, used));
            }
        }
    }
    found.sort();
    found
}

/// One fault; says what it was.
fn damage(dir: &Path, dice: &mut Dice) -> String {
    let targets = targets(dir);
    let (path, used) = &targets[dice.roll(targets.len() as u64) as usize];
    let at = dice.roll(*used) as usize;
    let mut bytes = read(path);
    let block = at - at % 4096..(at - at % 4096 + 4096).min(bytes.len());
    let what = match dice.roll(6) {
        0..=2 => {
            bytes[at] ^= 1 << dice.roll(8);
            "a bit"
        }
        3 => {
            bytes[block].fill(0);
            "a block of zeros"
        }
        4 => {
            bytes[block].iter_mut().for_each(|byte| *byte = dice.roll(256) as u8);
            "a block of noise"
        }
        _ => {
            bytes.truncate(at);
            "cut"
        }
    };
    write(path, &bytes);
    format!("{what} at {at} of {}", path.strip_prefix(dir).unwrap().display())
}

fn told(report: &Report) -> String {
    let lines = report.findings.iter().map(|finding| {
        let file = finding.file.as_deref().unwrap_or("-");
        format!(
            "\n  {} {} {file} {:?}: {}",
            finding.severity(),
            finding.code,
            finding.position,
            finding.what
        )
    });
    lines.collect()
}

/// What recovery makes of it: every byte that was acknowledged, or how not.
async fn recover(dir: &Path, pushed: &BTreeMap<u32, ToyLog>) -> Result<(), String> {
    let options = storage::node::NodeOptions { node_id: 1, ..Default::default() };
    let node = storage::node::Node::open(dir, &options).await.map_err(|error| error.to_string())?;
    let recovery = node.node.recover(&known(LOGS), 1).await.map_err(|error| error.to_string())?;
    if let Some((log, reason)) = recovery.report.offline.first_key_value() {
        return Err(format!("{log} is offline: {reason}"));
    }
    for (number, log) in pushed {
        let state = recovery.states.iter().find(|state| state.checkpoint.id == log_id(*number));
        if state.is_none() || disk_bytes(dir, &recovery, *number) != log.bytes {
            return Err(format!("log {number} has other bytes than were acknowledged"));
        }
    }
    Ok(())
}

#[test]
fn the_check_and_recovery_agree_on_each_fault() {
    let parent = tempfile::tempdir().unwrap();
    let made = parent.path().join("made");
    let (pushed, first) = run({
        let made = made.clone();
        async move { (make(&made).await, verify(&made).await) }
    });
    assert_eq!((first.errors, first.warnings), (0, 0), "{}", told(&first));
    assert_eq!(first.checked.logs, u64::from(LOGS));
    let mut codes = BTreeMap::<Code, u64>::new();
    for number in 0..faults() {
        let dir = parent.path().join("damaged");
        let _ = std::fs::remove_dir_all(&dir);
        copy_dir(&made, &dir);
        let what = damage(&dir, &mut Dice(number));
        let (report, recovered) = run({
            let (dir, pushed) = (dir.clone(), pushed.clone());
            async move { (verify(&dir).await, recover(&dir, &pushed).await) }
        });
        for finding in &report.findings {
            *codes.entry(finding.code).or_default() += 1;
        }
        let findings = told(&report);
        let cut = report.findings.iter().any(|finding| finding.code == Code::JournalCut);
        match recovered {
            // What was cut off may have been nothing: neither can know.
            Ok(()) if cut => {}
            Ok(()) => {
                assert!(report.is_sound(), "fault {number} ({what}) is harmless: {findings}")
            }
            Err(lost) => {
                assert!(!report.is_sound(), "fault {number} ({what}): {lost}, and: {findings}");
            }
        }
    }
    let severe = codes.keys().filter(|code| code.severity() == Severity::Error).count();
    assert!(faults() < 60 || severe >= 5, "the faults reach many parts: {codes:?}");
}

/// Cuts a running log back again and again, and checks a copy of the directory at each step, as a crash would leave it.
#[test]
fn a_log_that_is_cut_back_is_sound_at_each_step() {
    let parent = store_support::directory();
    let dir = parent.path().join("data");
    let copied = parent.path().join("copy");
    store_support::run(async move {
        let settings = LogConfig { segment_bytes: 32 << 10, ..LogConfig::default() };
        let node = store_support::start(&dir, 1, settings, |_| {}).await;
        let log = node.log(0);
        let (mut dice, mut sequence) = (Dice(7), 0);
        for turn in 0..12 {
            let latest = log.leader_epoch().map_or(0, |epoch| epoch.0);
            let epoch = LeaderEpoch(node.epoch.0.max(latest + 1));
            for _ in 0..40 {
                let bytes = store_support::idempotent(5, sequence, 3, 400);
                let now = engine::time::unix_ms();
                let appended = log.append_waiting(&bytes, epoch, now).await.unwrap();
                log.acknowledged(&appended).await.unwrap();
                sequence = (appended.next_offset().0) as i32;
            }
            if turn % 3 == 2 {
                // A checkpoint lies between some of the cuts.
                engine::time::sleep(Duration::from_millis(500)).await;
            }
            let end = log.log_end().0 as u64;
            let cut = log.truncate(Offset(dice.roll(end) as i64)).await.unwrap();
            sequence = cut.0 as i32;
            let _ = std::fs::remove_dir_all(&copied);
            copy_dir(&dir, &copied);
            let known = Known {
                logs: [(store_support::log_id(0), store_support::log_dir(0))].into(),
                ..Known::default()
            };
            let options = Options { known: Some(known), deep: true, ..Options::default() };
            let report = check(&copied, &options).await;
            assert_eq!(report.errors, 0, "cut {turn} to {cut}:{}", told(&report));
        }
        node.stop().await;
    });
}

#[test]
fn any_damage_gives_a_report() {
    let parent = tempfile::tempdir().unwrap();
    let made = parent.path().join("made");
    run({
        let made = made.clone();
        async move { make(&made).await }
    });
    for number in 0..faults() {
        let dir = parent.path().join("damaged");
        let _ = std::fs::remove_dir_all(&dir);
        copy_dir(&made, &dir);
        let mut dice = Dice(1_000_000 + number);
        let what: Vec<_> = (0..1 + dice.roll(20)).map(|_| damage(&dir, &mut dice)).collect();
        let report = run(async move { verify(&dir).await });
        assert!(report.checked.bytes > 0, "{what:?}");
    }
}

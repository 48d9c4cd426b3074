//! One place of a data directory is damaged, in at least 2,000 ways drawn from a stated seed: a bit, or a block of zeros,
//! of garbage, of another place, of another file, of another time; in every kind of file there is. Each directory is
//! started and everything in it read, by offset and by time, and held against what was acknowledged: every byte is right,
//! or the partition that was hit, and no other, says what is wrong. About a minute on two cores.
//!
//! `HEDDLE_DAMAGE_FAULTS` sets how many, `HEDDLE_DAMAGE_SEED` the seed, `HEDDLE_DAMAGE_ONLY` the number of the only one.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::disallowed_methods, reason = "tests look at the disk past the engine")]

mod damage_support;
mod store_support;

use damage_support::examine::{Findings, Questions, examine};
use damage_support::faults::{Fault, How, KINDS, Kind, Targets};
use damage_support::image::Image;
use damage_support::{Dice, directory, template};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const FAULTS: u64 = 2_000;
const SEED: u64 = 0x4845_4444_4c45;

/// One of these many directories is started once more: what was offline stays so, what was right stays right.
const RESTARTED: u64 = 10;

/// How a fault ended.
#[derive(Clone, Copy, Default)]
struct Outcomes {
    /// Named by the partition that was hit.
    detected: u64,
    /// All bytes are right.
    harmless: u64,
    /// The node says that it cannot start.
    refused: u64,
}

impl Outcomes {
    fn add(&mut self, more: Outcomes) {
        self.detected += more.detected;
        self.harmless += more.harmless;
        self.refused += more.refused;
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Of each hundred faults in a row every kind gets its share.
fn kind_of(number: u64) -> Kind {
    let mut at = number % 100;
    for (kind, share) in KINDS {
        match at.checked_sub(share) {
            Some(rest) => at = rest,
            None => return kind,
        }
    }
    unreachable!("the shares make a hundred")
}

#[test]
fn every_fault_is_detected_or_harmless() {
    assert_eq!(KINDS.iter().map(|(_, share)| share).sum::<u64>(), 100);
    let (faults, seed) =
        (setting("HEDDLE_DAMAGE_FAULTS", FAULTS), setting("HEDDLE_DAMAGE_SEED", SEED));
    let only = std::env::var("HEDDLE_DAMAGE_ONLY").ok().map(|text| text.parse::<u64>().unwrap());
    let began = std::time::Instant::now();
    let template = template::make();
    println!("made the directory in {:?}", began.elapsed());
    let targets = Targets::of(&template);
    let (next, failures) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let table = Mutex::new(BTreeMap::<(Kind, How), Outcomes>::new());
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= faults {
                return;
            }
            if only.is_some_and(|only| only != number) {
                continue;
            }
            let mut dice = Dice::of(seed, number);
            let (fault, image) = effective(&targets, &template.image, kind_of(number), &mut dice);
            let again = number % RESTARTED == 0;
            match judge(&image, &template.truth, &fault, dice, again) {
                Ok(outcome) => {
                    let mut table = table.lock().unwrap();
                    table.entry((fault.kind, fault.how)).or_default().add(outcome);
                }
                Err(why) => {
                    let text = fault.text();
                    failures.lock().unwrap().push(format!("fault {number}: {text}: {why}"));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let (table, failures) = (table.into_inner().unwrap(), failures.into_inner().unwrap());
    println!("{faults} faults, seed {seed:#x}, in {:?}", began.elapsed());
    print(&table);
    assert!(
        failures.is_empty(),
        "{} of {faults} faults, seed {seed:#x}:\n{}",
        failures.len(),
        failures.join("\n")
    );
    if only.is_none() && faults >= FAULTS {
        assert_meaning(&table);
    }
}

/// A fault that changes something: what is rolled until then would put the bytes there that are there.
fn effective(targets: &Targets<'_>, image: &Image, kind: Kind, dice: &mut Dice) -> (Fault, Image) {
    for _ in 0..200 {
        let fault = targets.fault(kind, dice);
        let (damaged, changed) = fault.apply(image);
        if changed {
            return (fault, damaged);
        }
    }
    panic!("no fault of {kind:?} changes anything");
}

/// Starts the damaged directory, once or twice.
fn judge(
    image: &Image,
    truth: &template::Truth,
    fault: &Fault,
    dice: Dice,
    again: bool,
) -> Result<Outcomes, String> {
    let dir = directory();
    image.write(dir.path());
    let questions = Questions {
        dice,
        least_end: BTreeMap::new(),
        metadata: matches!(fault.kind, Kind::MetadataLog | Kind::RecordsBoth),
    };
    let found = examine(dir.path(), truth, questions.clone());
    check(&found, fault)?;
    agrees(&found, fault)?;
    kept(image, dir.path(), &found)?;
    if again && found.refused.is_none() {
        let second = examine(dir.path(), &truth.and(&found), questions);
        check(&second, fault).map_err(|why| format!("at the second start: {why}"))?;
        for number in found.reported.keys() {
            let offline = !found.appended.contains_key(number);
            if offline && !second.reported.contains_key(number) {
                return Err(format!("log {number} was offline and is not any more"));
            }
        }
    }
    Ok(Outcomes {
        refused: u64::from(found.refused.is_some()),
        detected: u64::from(!found.reported.is_empty()),
        harmless: u64::from(found.reported.is_empty() && found.refused.is_none()),
    })
}

fn check(found: &Findings, fault: &Fault) -> Result<(), String> {
    if !found.wrong.is_empty() {
        return Err(found.wrong.join("; "));
    }
    if let Some(refusal) = &found.refused {
        let named = refusal.contains("HDL-ST-0") || refusal.starts_with("record log");
        return if fault.may_refuse && named {
            Ok(())
        } else {
            Err(format!("the start was refused: {refusal}"))
        };
    }
    if fault.may_refuse && fault.kind == Kind::SuperblockBoth {
        return Err("it started without a superblock".to_owned());
    }
    match found.reported.iter().find(|(log, _)| !fault.may_hurt.contains(log)) {
        Some((log, words)) => {
            Err(format!("log {log} was not hit ({:?} were) and says: {words}", fault.may_hurt))
        }
        None => Ok(()),
    }
}

/// What the start or a read found, `heddle verify` found before, of the same logs.
fn agrees(found: &Findings, fault: &Fault) -> Result<(), String> {
    let silent = found.reported.keys().find(|log| !found.verified_logs.contains(log));
    if let Some(log) = silent {
        return Err(format!("verify says of log {log} nothing, but {:?}", found.verified));
    }
    // It does not look into the metadata here, which is the broker's.
    let refused = found.refused.is_some() && !fault.path.starts_with("metadata");
    if refused && found.verified.is_empty() {
        return Err(format!("verify says nothing of what stops the start: {:?}", found.refused));
    }
    let strange = found.verified_logs.iter().find(|log| !fault.may_hurt.contains(log));
    match strange.filter(|_| found.refused.is_none()) {
        Some(log) => {
            Err(format!("verify says of log {log}, which was not hit: {:?}", found.verified))
        }
        None => Ok(()),
    }
}

/// What might be sound was not deleted: every file of batches is still there, and a sealed one as it was; a journal with
/// damage in it is in quarantine.
fn kept(image: &Image, dir: &Path, found: &Findings) -> Result<(), String> {
    for path in image.paths().filter(|path| path.extension().is_some_and(|end| end == "log")) {
        let name = path.file_name().unwrap().to_string_lossy();
        let in_quarantine =
            found.quarantined.iter().any(|kept| kept.to_string_lossy().ends_with(&*name));
        if !dir.join(path).exists() && !in_quarantine {
            return Err(format!("{} is gone", path.display()));
        }
    }
    let lost = found.journal_damage > 0 && found.refused.is_none() && found.quarantined.is_empty();
    if lost { Err("the damaged journal was not kept".to_owned()) } else { Ok(()) }
}

fn print(table: &BTreeMap<(Kind, How), Outcomes>) {
    println!("{:<16} {:<11} {:>8} {:>8} {:>8}", "what", "how", "detected", "harmless", "refused");
    for ((kind, how), row) in table {
        let (kind, how) = (format!("{kind:?}"), format!("{how:?}"));
        let Outcomes { detected, harmless, refused } = row;
        println!("{kind:<16} {how:<11} {detected:>8} {harmless:>8} {refused:>8}");
    }
}

/// The test did test something: each kind met what it is there for.
fn assert_meaning(table: &BTreeMap<(Kind, How), Outcomes>) {
    let sum = |wanted: Kind, count: fn(&Outcomes) -> u64| -> u64 {
        table.iter().filter(|((kind, _), _)| *kind == wanted).map(|(_, row)| count(row)).sum()
    };
    let total: u64 = table.values().map(|row| row.detected + row.harmless + row.refused).sum();
    assert!(total >= FAULTS, "{total} faults changed something");
    for (kind, least) in
        [(Kind::JournalLive, 300), (Kind::SegmentSealed, 100), (Kind::SegmentActive, 5)]
    {
        let detected = sum(kind, |row| row.detected);
        assert!(detected >= least, "{kind:?}: {detected} detected");
    }
    for (kind, least) in [
        (Kind::JournalLive, 20),
        (Kind::JournalUnused, 80),
        (Kind::Index, 120),
        (Kind::CheckpointLog, 120),
        (Kind::CheckpointBase, 90),
        (Kind::SuperblockSlot, 80),
        (Kind::MetaProperties, 15),
        (Kind::MetadataLog, 90),
    ] {
        let harmless = sum(kind, |row| row.harmless);
        assert!(harmless >= least, "{kind:?}: {harmless} harmless");
    }
    for kind in [Kind::SuperblockBoth, Kind::RecordsBoth] {
        assert!(sum(kind, |row| row.refused) >= 15, "{kind:?} refuses");
    }
}

/// The last, partial block of a log that nobody appends to was damaged: a read of it failed, though the checkpoint holds its
/// bytes. Now the first read that meets it writes it again.
#[test]
fn the_last_block_of_an_idle_log_is_mended() {
    let template = template::make();
    let number = template::IDLE;
    let below = format!("topics/topic-{number}.id/{number}");
    let mut image = template.image.clone();
    let segments = image.paths().filter(|path| path.starts_with(&below)).map(Path::to_owned);
    let path = segments.filter(|path| path.extension().is_some_and(|end| end == "log")).max();
    let path = path.unwrap();
    let mut bytes = image.bytes(&path);
    let last = bytes.len() - bytes.len() % 4096;
    assert!(last < bytes.len(), "its last block is partial");
    bytes[last..].fill(0x5a);
    image.set(&path, &bytes);
    let dir = directory();
    image.write(dir.path());
    let questions =
        Questions { dice: Dice::of(SEED, 0), least_end: BTreeMap::new(), metadata: false };
    let found = examine(dir.path(), &template.truth, questions);
    let sound = found.wrong.is_empty() && found.reported.is_empty() && found.refused.is_none();
    assert!(sound && found.verified.is_empty(), "{found:?}");
}

/// A known gap, stated in docs/FORMAT.md: a device puts a block of one partition's segment at the same place of another's,
/// and it holds a whole batch of the same offsets, written in the same epoch. Everything about it is right but whose it is.
#[test]
fn a_twin_of_another_partition_is_not_told_apart() {
    let template = template::make();
    let path = |number: u32| {
        let directory = format!("topics/topic-{number}.id/{number}/00000000000000000000.log");
        std::path::PathBuf::from(directory)
    };
    let [one, other] = template::ALIGNED;
    let mut image = template.image.clone();
    let mut bytes = image.bytes(&path(one));
    bytes[4096..8192].copy_from_slice(&image.bytes(&path(other))[4096..8192]);
    image.set(&path(one), &bytes);
    let dir = directory();
    image.write(dir.path());
    let questions =
        Questions { dice: Dice::of(SEED, 0), least_end: BTreeMap::new(), metadata: false };
    let found = examine(dir.path(), &template.truth, questions);
    assert!(found.refused.is_none() && found.reported.is_empty(), "{found:?}");
    let first = found.wrong.first().expect("what is served is the other log's");
    assert!(first.starts_with(&format!("log {one}: wrong bytes")), "{first}");
}

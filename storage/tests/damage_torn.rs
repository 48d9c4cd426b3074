//! Torn tails: the last write cut short at each 512 bytes, of several last frames in turn, in the journal, in the metadata
//! log and in the checkpoint log. What follows the cut is zeros, what the recycled file held before, or garbage. The start
//! must succeed, keep exactly what is whole, serve nothing behind it, take appends, and say the same at the next start.
//! About 20 seconds.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::disallowed_methods, reason = "tests look at the disk past the engine")]

mod damage_support;
mod store_support;

use damage_support::examine::{Findings, Questions, examine};
use damage_support::image::Image;
use damage_support::template::{
    self, ALIGNED, JOURNALLED, LARGE, LiveFrame, PRODUCER, SMALL, Truth, Work,
};
use damage_support::{Dice, directory};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use store_support::run;

const SECTOR: usize = 512;
const SEED: u64 = 0x746f_726e;

/// What stands behind the cut.
#[derive(Clone, Copy, Debug)]
enum Rest {
    Zeros,
    /// What the file held before it was used again.
    Before,
    Garbage,
}

const RESTS: [Rest; 3] = [Rest::Zeros, Rest::Before, Rest::Garbage];

/// A directory that its node left in the middle of its work, and what was acknowledged.
struct Torn {
    image: Image,
    truth: Truth,
    /// An older file of the journal, for what recycling leaves behind.
    before: Vec<u8>,
}

/// Two generations, the second cut off right behind an acknowledgement: no idle frame follows.
fn make() -> Torn {
    let origin = directory();
    let dir = origin.path().to_owned();
    run(async move {
        let (soon, never) = (Duration::from_millis(10), Duration::from_secs(3600));
        let mut work = Work::start(&dir, None, soon, Duration::from_millis(50)).await;
        for round in 0..12 {
            for number in [SMALL, ALIGNED[0], PRODUCER, JOURNALLED] {
                work.produce(number, 1 + round % 3, 900).await;
            }
        }
        // A checkpoint is made when something has changed: on a quick machine all of the above may be in the first.
        while work.node.store.stats().checkpoints < 2 {
            work.produce(SMALL, 1, 10).await;
            engine::time::sleep(Duration::from_millis(5)).await;
        }
        work.produce(SMALL, 1, 10).await;
        let carried = work.carried();
        let first = Image::take(&dir);
        let before = template::live_frames(&first).first().map(|frame| first.bytes(&frame.path));
        work.node.stop().await;

        // Nothing is checkpointed from here on but what the test asks for.
        let mut work = Work::start(&dir, Some(carried), never, never).await;
        for round in 0..8i64 {
            work.produce(SMALL, 1 + round % 4, 300 * round as usize).await;
            work.produce(JOURNALLED, 2, 40).await;
            work.produce(PRODUCER, 1, 2_000).await;
        }
        work.produce(LARGE, 2, 30_000).await;
        work.produce(SMALL, 1, 10).await;
        work.produce(ALIGNED[0], 1, 0).await;
        work.produce_together(&[(SMALL, 3, 2_500), (JOURNALLED, 1, 5_000), (PRODUCER, 1, 90)])
            .await;
        work.produce(PRODUCER, 1, 40).await;
        work.produce(LARGE, 1, 9_000).await;
        Torn { image: Image::take(&dir), before: before.unwrap(), truth: work.truth }
    })
}

/// One cut to be tried.
struct Case {
    path: PathBuf,
    /// From here on, to `end`, the rest.
    cut: usize,
    end: usize,
    rest: Rest,
    /// The ends that must be found, of logs that do not end where the truth does.
    ends: BTreeMap<u32, i64>,
}

impl Case {
    fn image(&self, torn: &Torn) -> Image {
        let mut image = torn.image.clone();
        let mut bytes = image.bytes(&self.path);
        let len = self.end - self.cut;
        let with = match self.rest {
            Rest::Zeros => vec![0; len],
            Rest::Before => torn.before.iter().cycle().skip(self.cut).take(len).copied().collect(),
            Rest::Garbage => Dice::of(SEED, self.cut as u64).bytes(len),
        };
        bytes[self.cut..self.end].copy_from_slice(&with);
        image.set(&self.path, &bytes);
        image
    }

    fn text(&self) -> String {
        format!("{} cut at byte {}, then {:?}", self.path.display(), self.cut, self.rest)
    }
}

/// Where the logs end that are touched by these frames, which are gone.
fn ends_without(gone: &[LiveFrame]) -> BTreeMap<u32, i64> {
    let mut ends = BTreeMap::new();
    for (log, base) in gone.iter().flat_map(|frame| &frame.bases) {
        ends.entry(*log).or_insert(*base);
    }
    ends
}

/// The last eight frames, each as the last one there is and cut at each sector: with those behind it never written.
#[test]
fn a_journal_torn_at_any_sector_keeps_what_is_whole() {
    let torn = make();
    let frames = template::live_frames(&torn.image);
    let mut cases = Vec::new();
    for last in frames.len() - 8..frames.len() {
        let frame = &frames[last];
        let newest = &frames[frames.len() - 1];
        assert_eq!(frame.path, newest.path, "all in one file: nothing whole stands behind a cut");
        let end = newest.at + newest.len;
        for (number, cut) in (0..=frame.len).step_by(SECTOR).enumerate() {
            let whole = cut >= frame.used;
            let rest = RESTS[number % 3];
            // The frame's begin, its table and its end see all three.
            let edge = cut == 0 || cut + SECTOR >= frame.used && cut < frame.used + SECTOR;
            for rest in if edge { RESTS.to_vec() } else { vec![rest] } {
                let ends = ends_without(&frames[last + usize::from(whole)..]);
                cases.push(Case { path: frame.path.clone(), cut: frame.at + cut, end, rest, ends });
            }
        }
    }
    assert!(cases.len() > 150, "{} cuts", cases.len());
    try_all(&torn, &cases, |found| {
        if found.journal_damage > 0 || !found.reported.is_empty() {
            return Err(format!("a cut is taken for damage: {found:?}"));
        }
        Ok(())
    });
}

/// The checkpoint log's last append, both copies, cut at each sector: the one before counts, and the journal, which no
/// checkpoint that was not durable let go of, has the rest.
#[test]
fn a_checkpoint_torn_at_any_sector_costs_nothing() {
    let origin = directory();
    let dir = origin.path().to_owned();
    let torn = run(async move {
        let soon = Duration::from_millis(10);
        let mut work = Work::start(&dir, None, soon, Duration::from_millis(50)).await;
        for round in 0..30 {
            for number in [SMALL, ALIGNED[0], PRODUCER] {
                work.produce(number, 1 + round % 3, 700).await;
            }
        }
        while work.node.store.stats().checkpoints < 3 {
            work.produce(SMALL, 1, 100).await;
            engine::time::sleep(Duration::from_millis(60)).await;
        }
        Torn { image: Image::take(&dir), before: vec![0x5a; 4096], truth: work.truth }
    });
    let (path, last) = last_record_frame(&torn.image, "checkpoints");
    let cases = cuts_of(&path, &last);
    assert!(cases.len() >= 16, "{} cuts", cases.len());
    try_all(&torn, &cases, |found| {
        if found.journal_damage > 0 || !found.reported.is_empty() {
            return Err(format!("a cut is taken for damage: {found:?}"));
        }
        Ok(())
    });
}

/// The metadata log's last three appends, each as the last one there is, cut at each sector: it is there or not, those
/// before it are, and the log goes on.
#[test]
fn a_metadata_log_torn_at_any_sector_keeps_what_is_whole() {
    let origin = directory();
    let (dir, name) = (origin.path().to_owned(), "meta");
    let records = |number: usize| vec![vec![number as u8; 1 + 1_700 * number], vec![7; 20]];
    run(async move {
        let log = storage::record_log::RecordLog::open(&dir, name, 256 << 10).await;
        let (log, _) = log.unwrap();
        for number in 0..6 {
            log.append(records(number)).await.unwrap();
        }
    });
    let image = Image::take(origin.path());
    let (path, _) = last_record_frame(&image, "");
    let frames = record_frames(&image.bytes(&path));
    for last in frames.len() - 3..frames.len() {
        let end = frames[frames.len() - 1].end;
        for (number, cut) in (frames[last].at..frames[last].end).step_by(SECTOR).enumerate() {
            let mut bytes = image.bytes(&path);
            let fill = [0, 0x5a, 0xff][number % 3];
            bytes[cut..end].fill(fill);
            let mut damaged = image.clone();
            damaged.set(&path, &bytes);
            let there = usize::from(cut >= frames[last].at + frames[last].used);
            let expected: Vec<_> = (0..last - 1 + there).flat_map(records).collect();
            let copy = directory();
            damaged.write(copy.path());
            for more in 0..2 {
                let (dir, mut expected) = (copy.path().to_owned(), expected.clone());
                run(async move {
                    let opened = storage::record_log::RecordLog::open(&dir, name, 256 << 10).await;
                    let (log, found) = opened.unwrap();
                    expected.extend((0..more).map(|_| b"more".to_vec()));
                    assert!(
                        found == expected,
                        "append {last} cut at {cut}: {} records",
                        found.len()
                    );
                    log.append(vec![b"more".to_vec()]).await.unwrap();
                });
            }
        }
    }
}

/// A frame of a record log with its copy.
struct RecordFrame {
    at: usize,
    used: usize,
    end: usize,
}

fn record_frames(bytes: &[u8]) -> Vec<RecordFrame> {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let (mut frames, mut at) = (Vec::new(), 0);
    while bytes.get(at..at + 8) == Some(b"HDLRECRD") && bytes[at + 16..at + 24] == bytes[16..24] {
        let end = at + 2 * number(at + 40);
        frames.push(RecordFrame { at, used: number(at + 44), end });
        at = end;
    }
    frames
}

/// The record log in force below a directory, and its last frame.
fn last_record_frame(image: &Image, below: &str) -> (PathBuf, RecordFrame) {
    let is_one = |path: &&Path| {
        path.starts_with(below) && path.extension().is_some_and(|end| end == "records")
    };
    let logs = image.paths().filter(is_one);
    let (path, frames) = logs
        .map(|path| (path.to_owned(), record_frames(&image.bytes(path))))
        .max_by_key(|(_, frames)| frames.len())
        .unwrap();
    (path, frames.into_iter().next_back().unwrap())
}

fn cuts_of(path: &Path, frame: &RecordFrame) -> Vec<Case> {
    let cuts = (frame.at..=frame.end).step_by(SECTOR).enumerate();
    cuts.map(|(number, cut)| Case {
        path: path.to_owned(),
        cut,
        end: frame.end,
        rest: RESTS[number % 3],
        ends: BTreeMap::new(),
    })
    .collect()
}

/// Starts each directory twice, on two threads.
fn try_all(torn: &Torn, cases: &[Case], check: impl Fn(&Findings) -> Result<(), String> + Sync) {
    let next = AtomicUsize::new(0);
    let failures = std::sync::Mutex::new(Vec::new());
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(why) = try_one(torn, case, &check) {
                failures.lock().unwrap().push(format!("{}: {why}", case.text()));
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

fn try_one(
    torn: &Torn,
    case: &Case,
    check: &impl Fn(&Findings) -> Result<(), String>,
) -> Result<(), String> {
    let dir = directory();
    case.image(torn).write(dir.path());
    let mut questions = Questions {
        dice: Dice::of(SEED, case.cut as u64),
        least_end: case.ends.clone(),
        metadata: false,
    };
    let mut truth = torn.truth.cut(&case.ends);
    for start in ["first", "second"] {
        let found = examine(dir.path(), &truth, questions.clone());
        if let Some(refusal) = &found.refused {
            return Err(format!("{start} start: {refusal}"));
        }
        if !found.wrong.is_empty() {
            return Err(format!("{start} start: {}", found.wrong.join("; ")));
        }
        check(&found).map_err(|why| format!("{start} start: {why}"))?;
        truth = truth.and(&found);
        questions.least_end.clear();
    }
    Ok(())
}

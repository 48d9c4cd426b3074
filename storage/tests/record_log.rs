//! The record log on a real disk.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::disallowed_methods, reason = "tests look at the disk past the engine")]

mod support;

use std::path::{Path, PathBuf};
use storage::record_log::{RecordLog, RecordLogError};
use support::{read, run, write};

const FILE_BYTES: u64 = 64 << 10;

fn record(number: usize) -> Vec<u8> {
    format!("record {number} ").into_bytes().repeat(1 + number % 7)
}

/// Opens the log, does `work`, drops it; returns what it held before.
fn with_log<W>(dir: &Path, work: W) -> Result<Vec<Vec<u8>>, RecordLogError>
where
    W: AsyncFnOnce(&RecordLog, &[Vec<u8>]) + 'static,
{
    let dir = dir.to_owned();
    run(async move {
        let (log, records) = RecordLog::open(&dir, "meta", FILE_BYTES).await?;
        work(&log, &records).await;
        Ok(records)
    })
}

fn contents(dir: &Path) -> Result<Vec<Vec<u8>>, RecordLogError> {
    with_log(dir, async |_: &RecordLog, _: &[Vec<u8>]| {})
}

/// The log's files, by name; the one in force begins with the snapshot's frame of its own sequence.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Appends come back in order, across reopening, and a second file is always ready.
#[test]
fn appends_come_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    assert!(contents(dir.path()).unwrap().is_empty());
    for round in 0..5 {
        let before = with_log(dir.path(), async move |log: &RecordLog, _: &[Vec<u8>]| {
            log.append(vec![record(2 * round), record(2 * round + 1)]).await.unwrap();
        });
        assert_eq!(before.unwrap().len(), 2 * round);
        assert_eq!(files(dir.path()).len(), 2);
    }
    let expected: Vec<_> = (0..10).map(record).collect();
    assert_eq!(contents(dir.path()).unwrap(), expected);
}

/// A snapshot replaces everything; a log that is never snapshot grows instead of refusing.
#[test]
fn snapshots_replace_and_full_files_are_changed_over() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::rc::Rc::new(std::cell::Cell::new(0));
    let when = taken.clone();
    with_log(dir.path(), async move |log: &RecordLog, _: &[Vec<u8>]| {
        for number in 0..200 {
            log.append(vec![record(number)]).await.unwrap();
            if number >= 100 && when.get() == 0 && log.needs_snapshot() {
                log.snapshot(vec![b"one".to_vec(), b"two".to_vec()]).await.unwrap();
                assert!(!log.needs_snapshot());
                when.set(number);
            }
        }
    })
    .unwrap();
    assert!((100..190).contains(&taken.get()), "a snapshot was due: {}", taken.get());
    let found = contents(dir.path()).unwrap();
    assert_eq!(found[..2], [b"one".to_vec(), b"two".to_vec()]);
    assert_eq!(found[2..], (taken.get() + 1..200).map(record).collect::<Vec<_>>());
    assert_eq!(files(dir.path()).len(), 2);
}

/// A snapshot larger than the files makes them grow.
#[test]
fn files_grow_with_the_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    with_log(dir.path(), async |log: &RecordLog, _: &[Vec<u8>]| {
        log.snapshot(vec![vec![7; 300 << 10]; 3]).await.unwrap();
        log.append(vec![b"behind".to_vec()]).await.unwrap();
    })
    .unwrap();
    let found = contents(dir.path()).unwrap();
    assert_eq!((found.len(), found[2].len(), found[3].as_slice()), (4, 300 << 10, &b"behind"[..]));
}

/// The last append torn, at each sector of both its copies: everything before it is there.
#[test]
fn a_torn_append_is_dropped_whole() {
    let origin = tempfile::tempdir().unwrap();
    with_log(origin.path(), async |log: &RecordLog, _: &[Vec<u8>]| {
        for _ in 0..4 {
            log.append(vec![vec![1; 700], vec![2; 700]]).await.unwrap();
        }
    })
    .unwrap();
    let name = files(origin.path())[0].clone();
    // The snapshot takes one block, each append one, all of them twice.
    let last = 8 * 4096;
    for cut in (0..8192).step_by(512) {
        let dir = tempfile::tempdir().unwrap();
        support::copy_dir(origin.path(), dir.path());
        let mut file = read(&name);
        file[last + cut..last + 8192].fill(0);
        write(&dir.path().join(name.file_name().unwrap()), &file);
        let whole = cut >= 56 + 2 * 704;
        assert_eq!(contents(dir.path()).unwrap().len(), if whole { 8 } else { 6 }, "cut at {cut}");
    }
}

/// One copy of a frame is damaged: the other is read, and the log is written anew, so that the next damage finds two
/// copies again. Both are: it was acknowledged, and the log is refused, not cut.
#[test]
fn damage_is_read_around_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    with_log(dir.path(), async |log: &RecordLog, _: &[Vec<u8>]| {
        for number in 0..4 {
            log.append(vec![record(number)]).await.unwrap();
        }
    })
    .unwrap();
    let name = files(dir.path())[0].clone();
    let whole = read(&name);
    let mut file = whole.clone();
    file[4 * 4096 + 60] ^= 1;
    write(&name, &file);
    let expected: Vec<_> = (0..4).map(record).collect();
    assert_eq!(contents(dir.path()).unwrap(), expected);
    assert!(!name.exists(), "it goes on in the next file");
    assert_eq!(contents(dir.path()).unwrap(), expected);

    let dir = tempfile::tempdir().unwrap();
    file[5 * 4096 + 60] ^= 1;
    write(&dir.path().join(name.file_name().unwrap()), &file);
    assert!(matches!(contents(dir.path()), Err(RecordLogError::Damaged { .. })));
}

/// The file in force is gone or its snapshot is damaged: the one kept ready, which holds old frames, is not mistaken
/// for the log.
#[test]
fn an_old_file_is_not_taken_for_the_log() {
    let dir = tempfile::tempdir().unwrap();
    with_log(dir.path(), async |log: &RecordLog, _: &[Vec<u8>]| {
        log.append(vec![record(1)]).await.unwrap();
        log.snapshot(vec![record(2)]).await.unwrap();
    })
    .unwrap();
    let current = files(dir.path())[0].clone();
    let whole = read(&current);
    let mut damaged = whole.clone();
    for copy in [0, 4096] {
        damaged[copy + 60] ^= 1;
    }
    write(&current, &damaged);
    assert!(matches!(contents(dir.path()), Err(RecordLogError::Lost { .. })));
    std::fs::remove_file(&current).unwrap();
    assert!(matches!(contents(dir.path()), Err(RecordLogError::Lost { .. })));
    write(&current, &whole);
    assert_eq!(contents(dir.path()).unwrap(), [record(2)]);
}

/// A snapshot cut short by a crash leaves the log as it was.
#[test]
fn a_snapshot_cut_short_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    with_log(dir.path(), async |log: &RecordLog, _: &[Vec<u8>]| {
        log.append(vec![record(1)]).await.unwrap();
    })
    .unwrap();
    let next = files(dir.path())[1].clone();
    let mut file = read(&next);
    // The front of a frame that never became whole.
    file[..8].copy_from_slice(b"HDLRECRD");
    write(&next, &file);
    assert_eq!(contents(dir.path()).unwrap(), [record(1)]);
}

/// An append larger than the limit is refused and leaves the log in order.
#[test]
fn an_append_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    with_log(dir.path(), async |log: &RecordLog, _: &[Vec<u8>]| {
        let refused = log.append(vec![vec![0; 17 << 20]]).await;
        assert!(matches!(refused, Err(RecordLogError::TooLarge { .. })));
        log.append(vec![record(1)]).await.unwrap();
    })
    .unwrap();
    assert_eq!(contents(dir.path()).unwrap(), [record(1)]);
}

/// Whoever waits for an append goes away, and the next append comes at once: both are there, whole and in order.
#[test]
fn an_append_that_nobody_waits_for_is_still_made() {
    let dir = tempfile::tempdir().unwrap();
    with_log(dir.path(), async |log: &RecordLog, _: &[Vec<u8>]| {
        for round in 0..10 {
            let gone = std::time::Duration::from_micros(30 * round);
            let _ = engine::time::timeout(gone, log.append(vec![vec![round as u8; 9000]])).await;
            log.append(vec![vec![0x80 | round as u8; 10]]).await.unwrap();
        }
    })
    .unwrap();
    let found = contents(dir.path()).unwrap();
    let acknowledged: Vec<u8> =
        found.iter().filter(|record| record.len() == 10).map(|record| record[0]).collect();
    assert_eq!(acknowledged, (0x80..0x8a).collect::<Vec<u8>>());
    assert!(found.iter().all(|record| record.iter().all(|byte| *byte == record[0])));
}

/// A rewrite and an append at the same time: the append is not lost, whichever comes first.
#[test]
fn an_append_beside_a_rewrite_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    with_log(dir.path(), async |log: &RecordLog, _: &[Vec<u8>]| {
        log.append(vec![record(1), record(2)]).await.unwrap();
        for _ in 0..5 {
            let gone = std::time::Duration::from_micros(1);
            let _ =
                engine::time::timeout(gone, log.rewrite(|mut records| records.split_off(1))).await;
            log.append(vec![record(3)]).await.unwrap();
        }
    })
    .unwrap();
    assert_eq!(contents(dir.path()).unwrap(), [record(3), record(3)]);
}

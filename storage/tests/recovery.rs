//! Recovery on a real disk: what is there after a stop that was not planned.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::disallowed_methods, reason = "tests look at the disk past the engine")]

mod support;

use std::path::{Path, PathBuf};
use storage::checkpoint::LogCheckpoint;
use storage::checkpoint_log::CheckpointLog;
use storage::durability::Durability;
use storage::ids::{Lsn, Offset};
use storage::journal::frame::Frame;
use storage::journal::{Entry, EntryKind};
use storage::node::{Known, Node, NodeError, NodeOptions, Recovery};
use support::{
    Toy, ToyLog, check_log, config, copy_dir, journal_files, known, log_dir, log_id, open, read,
    run, write,
};

/// Formats a directory, appends with `work`, and drops everything without a stop, as a crash would.
fn crash<W>(dir: &Path, logs: u32, work: W) -> Vec<ToyLog>
where
    W: AsyncFn(&Toy, &Recovery) + 'static,
{
    let path = dir.to_owned();
    run(async move {
        let node = open(&path).await;
        let recovery = node.recover(&known(logs), 1).await.unwrap();
        let numbers: Vec<u32> = (0..logs).collect();
        let toy = Toy::start(&recovery, config(&recovery, 0), &numbers).await;
        work(&toy, &recovery).await;
        toy.snapshot().into_values().collect()
    })
}

fn recover(dir: &Path, known: Known, shards: u16) -> Recovery {
    let path = dir.to_owned();
    run(async move { open(&path).await.recover(&known, shards).await.unwrap() })
}

/// Where the last frame of a journal file starts and how long it is; walked by its own headers.
fn frames_of(file: &[u8]) -> Vec<(usize, usize)> {
    let mut frames = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let Ok(frame) = Frame::check(&file[at..]) else { break };
        frames.push((at, frame.header().total_len as usize));
        at += frame.header().total_len as usize;
    }
    frames
}

fn only_journal(dir: &Path) -> (PathBuf, Vec<u8>) {
    let files = journal_files(dir);
    assert_eq!(files.len(), 1);
    (files[0].clone(), read(&files[0]))
}

/// Everything flushed before a crash is there afterwards, byte for byte, and a second recovery changes nothing.
#[test]
fn what_was_durable_survives_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let logs = crash(dir.path(), 3, async |toy: &Toy, _: &Recovery| {
        for round in 0..60 {
            toy.append_as(
                round % 3,
                i64::from(round % 5) + 1,
                300,
                Default::default(),
                round % 20 == 19,
            )
            .await;
        }
        toy.journal.flush().await;
    });
    for _ in 0..2 {
        let recovery = recover(dir.path(), known(3), 1);
        for (number, log) in logs.iter().enumerate() {
            check_log(dir.path(), &recovery, number as u32, log, log.next);
        }
        assert!(recovery.report.damage.is_empty() && recovery.report.offline.is_empty());
    }
}

/// The last frame torn at each sector: what was before it stays, whole batches only, nobody goes offline.
#[test]
fn a_torn_tail_keeps_everything_before_it() {
    let origin = tempfile::tempdir().unwrap();
    let logs = crash(origin.path(), 2, async |toy: &Toy, _: &Recovery| {
        for _ in 0..6 {
            toy.append(0, 2, 700).await;
            toy.append(1, 1, 200).await;
            toy.journal.flush().await;
        }
        // No idle frame may follow: the process is gone at once.
    });
    let (path, file) = only_journal(origin.path());
    let frames = frames_of(&file);
    assert_eq!(frames.len(), 6);
    let (at, len) = frames[5];
    for cut in (0..=len).step_by(512) {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(origin.path(), dir.path());
        let mut torn = file.clone();
        torn[at + cut..].fill(if cut % 1024 == 0 { 0 } else { 0xa5 });
        write(&dir.path().join("journal").join(path.file_name().unwrap()), &torn);
        let recovery = recover(dir.path(), known(2), 1);
        assert!(recovery.report.damage.is_empty(), "cut at {cut}");
        for (number, log) in logs.iter().enumerate() {
            let before_last = log.ends[log.ends.len() - 2].0;
            check_log(dir.path(), &recovery, number as u32, log, before_last);
        }
    }
}

/// One bit of an acknowledged frame in the middle is wrong: the log it names goes offline and stays so, all others keep
/// everything, and the damaged journal is kept.
#[test]
fn damage_in_acknowledged_data_takes_only_its_logs_offline() {
    let dir = tempfile::tempdir().unwrap();
    let logs = crash(dir.path(), 3, async |toy: &Toy, _: &Recovery| {
        for round in 0..30 {
            toy.append(round % 3, 1, 400).await;
            toy.journal.flush().await;
        }
    });
    let (path, mut file) = only_journal(dir.path());
    let frames = frames_of(&file);
    let (at, _) = frames[13];
    file[at + 200] ^= 0x10;
    write(&path, &file);
    let recovery = recover(dir.path(), known(3), 1);
    assert_eq!(recovery.report.damage.len(), 1);
    assert_eq!(recovery.report.damage[0].position, at as u64);
    assert_eq!(recovery.report.offline.keys().collect::<Vec<_>>(), [&log_id(1)]);
    for number in [0, 2] {
        check_log(
            dir.path(),
            &recovery,
            number,
            &logs[number as usize],
            logs[number as usize].next,
        );
    }
    assert!(
        recovery.report.quarantined.iter().any(|kept| kept.ends_with(path.file_name().unwrap()))
    );
    assert!(recovery.report.quarantined.iter().any(|kept| kept.extension().unwrap() == "frames"));
    let again = recover(dir.path(), known(3), 1);
    assert_eq!(again.report.offline.len(), 1, "offline until somebody decides");
    assert!(again.report.damage.is_empty());
    check_log(dir.path(), &again, 0, &logs[0], logs[0].next);
}

/// The last frame is damaged, and the idle frame behind it says that it was acknowledged.
#[test]
fn an_idle_frame_tells_damage_from_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    crash(dir.path(), 2, async |toy: &Toy, _: &Recovery| {
        toy.append(0, 1, 100).await;
        toy.journal.flush().await;
        toy.append(1, 1, 100).await;
        toy.journal.flush().await;
        engine::time::sleep(std::time::Duration::from_millis(60)).await;
    });
    let (path, mut file) = only_journal(dir.path());
    let frames = frames_of(&file);
    assert_eq!(frames.len(), 3);
    file[frames[1].0 + 100] ^= 1;
    write(&path, &file);
    let recovery = recover(dir.path(), known(2), 1);
    assert_eq!(recovery.report.offline.keys().collect::<Vec<_>>(), [&log_id(1)]);
}

/// Two frames in a row are gone, and only the second is named. Logs whose later entries join on are whole; a log that
/// cannot be proven whole goes offline instead of being cut without a word.
#[test]
fn frames_that_nobody_names_take_unproven_logs_offline() {
    let dir = tempfile::tempdir().unwrap();
    let logs = crash(dir.path(), 4, async |toy: &Toy, _: &Recovery| {
        for log in [0, 1, 2, 3, /* gone: */ 1, 2, /* joins on: */ 0, 3, 0] {
            toy.append(log, 1, 100).await;
            toy.journal.flush().await;
        }
    });
    let (path, mut file) = only_journal(dir.path());
    let frames = frames_of(&file);
    for gone in [4, 5] {
        file[frames[gone].0 + 20] ^= 1;
    }
    write(&path, &file);
    let recovery = recover(dir.path(), known(4), 1);
    let offline: Vec<_> = recovery.report.offline.keys().copied().collect();
    assert_eq!(offline, [log_id(1), log_id(2)]);
    for number in [0, 3] {
        check_log(
            dir.path(),
            &recovery,
            number,
            &logs[number as usize],
            logs[number as usize].next,
        );
    }
}

/// Journal files are used again and again under checkpoints; their old frames are never taken for new ones.
#[test]
fn recycled_files_replay_only_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let logs = crash(dir.path(), 2, async move |toy: &Toy, recovery: &Recovery| {
        let (log, _) =
            CheckpointLog::open(&recovery.checkpoint_dir, recovery.generation, 0).await.unwrap();
        for _ in 0..12 {
            for _ in 0..40 {
                toy.append(0, 1, 16 << 10).await;
                toy.append(1, 1, 100).await;
            }
            toy.journal.flush().await;
            checkpoint(&path, toy, &log).await;
        }
        toy.append(1, 3, 500).await;
        toy.journal.flush().await;
        assert!(toy.journal.stats().bytes > 7 << 20, "more than the files hold");
    });
    let recovery = recover(dir.path(), known(2), 1);
    assert!(recovery.report.damage.is_empty(), "{:?}", recovery.report.damage);
    assert_eq!(recovery.report.entries, 1);
    for (number, log) in logs.iter().enumerate() {
        check_log(dir.path(), &recovery, number as u32, log, log.next);
    }
}

/// Writes each log's bytes to its one segment, as write-behind would, and checkpoints them.
async fn checkpoint(dir: &Path, toy: &Toy, log: &CheckpointLog) {
    let mut changed = Vec::new();
    for (number, toy_log) in toy.snapshot() {
        let path = dir.join("topics").join(log_dir(number));
        std::fs::create_dir_all(&path).unwrap();
        let mut file = toy_log.bytes.clone();
        file.resize(file.len().next_multiple_of(4096), 0);
        write(&path.join(format!("{:020}.log", 0)), &file);
        changed.push(checkpoint_of(number, &toy_log, toy.journal.next_lsn()));
    }
    let from = toy.journal.next_lsn();
    log.write(changed, from, toy.journal.durable_upto()).await.unwrap();
    toy.journal.recycle_before(from);
}

fn checkpoint_of(number: u32, log: &ToyLog, replay_from: Lsn) -> LogCheckpoint {
    use storage::checkpoint::SegmentMeta;
    let bytes = log.bytes.len() as u64;
    let tail = log.bytes.len() - log.bytes.len() % 4096;
    LogCheckpoint {
        segments: vec![SegmentMeta { bytes, ..SegmentMeta::empty(Offset(0)) }],
        synced_upto: Offset(log.next),
        tail_image: log.bytes[tail..].to_vec(),
        replay_from,
        ..LogCheckpoint::empty(log_id(number), &log_dir(number))
    }
}

/// The segment's last block was being rewritten when the power went: the checkpoint's image and the journal rebuild it.
#[test]
fn a_torn_segment_tail_is_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let logs = crash(dir.path(), 1, async move |toy: &Toy, recovery: &Recovery| {
        let (log, _) =
            CheckpointLog::open(&recovery.checkpoint_dir, recovery.generation, 0).await.unwrap();
        toy.append(0, 3, 500).await;
        toy.journal.flush().await;
        checkpoint(&path, toy, &log).await;
        toy.append(0, 3, 500).await;
        toy.journal.flush().await;
    });
    let segment = dir.path().join("topics").join(log_dir(0)).join(format!("{:020}.log", 0));
    write(&segment, &[0xee; 8192]);
    let recovery = recover(dir.path(), known(1), 1);
    check_log(dir.path(), &recovery, 0, &logs[0], 6);
}

/// All files of a journal are gone, and a checkpoint says that there was one: nothing named a file, and so the logs whose
/// records were only there went on without them and without a word.
#[test]
fn a_journal_of_which_nothing_is_left_takes_its_logs_offline() {
    let dir = tempfile::tempdir().unwrap();
    crash(dir.path(), 2, async |toy: &Toy, recovery: &Recovery| {
        let (log, _) =
            CheckpointLog::open(&recovery.checkpoint_dir, recovery.generation, 0).await.unwrap();
        toy.append(0, 3, 500).await;
        toy.append(1, 1, 500).await;
        toy.journal.flush().await;
        log.write(Vec::new(), Lsn(1), toy.journal.durable_upto()).await.unwrap();
    });
    for file in std::fs::read_dir(dir.path().join("journal")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let recovery = recover(dir.path(), known(2), 1);
    assert_eq!(recovery.report.damage.len(), 1);
    assert!(recovery.report.damage[0].file.contains("every file is missing"));
    assert_eq!(recovery.report.offline.len(), 2, "{:?}", recovery.report.offline);
}

/// A journal file was cut in the middle of a block: the start used to fail, because direct reads do not end there.
#[test]
fn a_journal_file_cut_inside_a_block_is_read_to_its_last_whole_one() {
    let dir = tempfile::tempdir().unwrap();
    let logs = crash(dir.path(), 1, async |toy: &Toy, _: &Recovery| {
        for _ in 0..4 {
            toy.append(0, 1, 300).await;
            toy.journal.flush().await;
        }
    });
    let (path, file) = only_journal(dir.path());
    let (last, _) = frames_of(&file)[3];
    write(&path, &file[..last + 1_000]);
    let recovery = recover(dir.path(), known(1), 1);
    check_log(dir.path(), &recovery, 0, &logs[0], 3);
}

/// The number of shards changes with every start: 1, 2, 1. Each log goes on where it was.
#[test]
fn the_number_of_shards_may_change_at_every_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected: Vec<ToyLog> = vec![ToyLog::default(); 4];
    for (start, shards) in [1u16, 2, 1, 2].into_iter().enumerate() {
        let path = dir.path().to_owned();
        let (recovery, pushed) = run(async move {
            let node = open(&path).await;
            let recovery = node.recover(&known(4), shards).await.unwrap();
            let mut pushed = Vec::new();
            for shard in 0..shards {
                let mine: Vec<u32> =
                    (0..4).filter(|log| (log % u32::from(shards)) as u16 == shard).collect();
                let toy = Toy::start(&recovery, config(&recovery, shard), &mine).await;
                for round in 0..9 {
                    for log in &mine {
                        toy.append(*log, 2, 300 + round * 50).await;
                    }
                }
                toy.journal.flush().await;
                pushed.extend(toy.snapshot());
            }
            (recovery, pushed)
        });
        assert_eq!(recovery.generation.0 as usize, start + 1);
        for (number, log) in pushed {
            let all = &mut expected[number as usize];
            let before = all.bytes.len();
            all.bytes.extend(&log.bytes);
            all.ends.extend(log.ends.iter().map(|(next, bytes)| (*next, bytes + before)));
            all.next = log.next;
        }
    }
    let recovery = recover(dir.path(), known(4), 1);
    for (number, log) in expected.iter().enumerate() {
        check_log(dir.path(), &recovery, number as u32, log, log.next);
    }
}

/// Entries of logs that the metadata does not know go to quarantine as whole frames; those of deleted topics do not.
#[test]
fn unknown_logs_go_to_quarantine_and_deleted_ones_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let logs = run(async move {
        let node = open(&path).await;
        let recovery = node.recover(&known(1), 1).await.unwrap();
        let toy = Toy::start(&recovery, config(&recovery, 0), &[0, 1, 2]).await;
        for log in [0, 1, 2, 1] {
            toy.append(log, 1, 100).await;
            toy.journal.flush().await;
        }
        toy.snapshot()
    });
    let mut less = known(1);
    less.deleted_topics.insert(log_id(2).topic);
    let recovery = recover(dir.path(), less, 1);
    check_log(dir.path(), &recovery, 0, &logs[&0], 1);
    assert_eq!(recovery.report.unknown.get(&log_id(1)), Some(&2));
    assert_eq!((recovery.report.unknown.len(), recovery.report.deleted), (1, 1));
    let kept = read(&recovery.report.quarantined[0]);
    let frames = frames_of(&kept);
    assert_eq!(frames.len(), 2);
    let frame = Frame::check(&kept).unwrap();
    assert_eq!(frame.entries().next().unwrap().payload, &logs[&1].bytes[..logs[&1].ends[0].1]);
}

/// A log that has a checkpoint and is not in the metadata is replayed and kept, not served, and reported.
#[test]
fn a_log_the_metadata_forgot_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let logs = crash(dir.path(), 2, async |toy: &Toy, _: &Recovery| {
        toy.append(1, 1, 100).await;
        toy.journal.flush().await;
    });
    let recovery = recover(dir.path(), known(1), 1);
    assert_eq!(recovery.report.unlisted, [log_id(1)]);
    assert_eq!(recovery.states.len(), 1);
    let recovery = recover(dir.path(), known(2), 1);
    check_log(dir.path(), &recovery, 1, &logs[1], 1);
}

/// A segment file is gone, another is too short: these logs are offline with the cause, all others serve.
#[test]
fn missing_and_short_segments_take_their_logs_offline() {
    let dir = tempfile::tempdir().unwrap();
    let logs = crash(dir.path(), 3, async |toy: &Toy, _: &Recovery| {
        for log in [0, 1, 2] {
            toy.append(log, 1, 6000).await;
        }
        toy.journal.flush().await;
    });
    recover(dir.path(), known(3), 1);
    let segment = |log| dir.path().join("topics").join(log_dir(log)).join(format!("{:020}.log", 0));
    let whole = read(&segment(0));
    std::fs::remove_file(segment(0)).unwrap();
    write(&segment(1), &read(&segment(1))[..4000]);
    let recovery = recover(dir.path(), known(3), 1);
    let reasons: Vec<_> = recovery.report.offline.values().cloned().collect();
    assert!(
        reasons[0].contains("is missing") && reasons[1].contains("has 4000 bytes"),
        "{reasons:?}"
    );
    check_log(dir.path(), &recovery, 2, &logs[2], 1);
    // Put back, it serves again; the other stays offline.
    write(&segment(0), &whole);
    let recovery = recover(dir.path(), known(3), 1);
    assert_eq!(recovery.report.offline.keys().collect::<Vec<_>>(), [&log_id(1)]);
    check_log(dir.path(), &recovery, 0, &logs[0], 1);
}

/// A segment file that no checkpoint lists is not deleted.
#[test]
fn a_segment_that_nobody_lists_goes_to_quarantine() {
    let dir = tempfile::tempdir().unwrap();
    crash(dir.path(), 1, async |toy: &Toy, _: &Recovery| {
        toy.append(0, 1, 100).await;
        toy.journal.flush().await;
    });
    let stray = dir.path().join("topics").join(log_dir(0));
    std::fs::create_dir_all(&stray).unwrap();
    write(&stray.join(format!("{:020}.log", 77)), b"something");
    let recovery = recover(dir.path(), known(1), 1);
    assert_eq!(read(&recovery.report.quarantined[0]), b"something");
}

/// Recovery that is itself cut short before the superblock names the next generation starts over and comes out the same.
#[test]
fn recovery_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let logs = crash(dir.path(), 2, async |toy: &Toy, _: &Recovery| {
        for round in 0..20 {
            toy.append_as(round % 2, 1, 3000, Default::default(), round == 10).await;
        }
        toy.journal.flush().await;
    });
    let before = read(&dir.path().join("superblock"));
    let journals: Vec<_> =
        journal_files(dir.path()).into_iter().map(|path| (read(&path), path)).collect();
    let bases: Vec<_> =
        checkpoint_files(dir.path()).into_iter().map(|path| (read(&path), path)).collect();
    recover(dir.path(), known(2), 2);
    // As if the process had ended with everything done but the superblock.
    write(&dir.path().join("superblock"), &before);
    for (bytes, path) in journals.into_iter().chain(bases) {
        write(&path, &bytes);
    }
    let recovery = recover(dir.path(), known(2), 2);
    for (number, log) in logs.iter().enumerate() {
        check_log(dir.path(), &recovery, number as u32, log, log.next);
    }
}

fn checkpoint_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("checkpoints")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The base checkpoint is needed: without it nothing is guessed and nothing is changed.
#[test]
fn a_missing_base_checkpoint_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    crash(dir.path(), 1, async |toy: &Toy, _: &Recovery| {
        toy.append(0, 1, 100).await;
        toy.journal.flush().await;
    });
    for file in checkpoint_files(dir.path()) {
        std::fs::remove_file(file).unwrap();
    }
    let path = dir.path().to_owned();
    let refused = run(async move { open(&path).await.recover(&known(1), 1).await.err() });
    assert!(matches!(refused, Some(NodeError::Damaged { .. })), "{refused:?}");
}

/// A data directory belongs to one process, one cluster and one node.
#[test]
fn a_format_that_was_cut_short_begins_again() {
    // A crash while the first superblock was written left `superblock.new.tmp`, for which every later start refused the
    // directory as somebody else's. Seed 541 of the simulation found it.
    for left in ["superblock.new.tmp", "superblock.new", "calibrate.tmp"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        write(&path.join(left), b"half");
        run(async move {
            let opened = Node::open(&path, &NodeOptions::default()).await.unwrap();
            assert!(opened.formatted, "{left}");
        });
    }
}

#[test]
fn a_directory_that_is_not_ours_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    run(async move {
        let options =
            NodeOptions { cluster_id: Some("one".to_owned()), node_id: 1, recalibrate: false };
        let opened = Node::open(&path, &options).await.unwrap();
        assert!(opened.formatted);
        let superblock = opened.node.superblock();
        assert!(superblock.calibration.writes >= 8, "{:?}", superblock.calibration);
        let second = Node::open(&path, &options).await.err();
        assert!(matches!(second, Some(NodeError::Locked { .. })), "{second:?}");
        drop(opened);
        let again = Node::open(&path, &options).await.unwrap();
        assert!(!again.formatted);
        drop(again);
        let other = NodeOptions { cluster_id: Some("two".to_owned()), ..options.clone() };
        let refused = Node::open(&path, &other).await.err().unwrap();
        assert!(refused.to_string().contains("cluster.id one"), "{refused}");
        let other = NodeOptions { node_id: 2, ..options };
        assert!(matches!(Node::open(&path, &other).await.err(), Some(NodeError::Foreign { .. })));
    });
    let text = String::from_utf8(read(&dir.path().join("meta.properties"))).unwrap();
    assert!(text.contains("cluster.id=one") && text.contains("node.id=1"));

    let kafkas = tempfile::tempdir().unwrap();
    write(&kafkas.path().join("meta.properties"), b"version=1\ncluster.id=x\n");
    let path = kafkas.path().to_owned();
    let refused = run(async move { Node::open(&path, &NodeOptions::default()).await.err() });
    assert!(matches!(refused, Some(NodeError::NotEmpty { .. })), "{refused:?}");
}

/// The superblock is gone: the data below it is not taken for an empty directory.
#[test]
fn data_without_a_superblock_is_not_formatted() {
    let dir = tempfile::tempdir().unwrap();
    crash(dir.path(), 1, async |toy: &Toy, _: &Recovery| {
        toy.append(0, 1, 100).await;
        toy.journal.flush().await;
    });
    std::fs::remove_file(dir.path().join("superblock")).unwrap();
    let path = dir.path().to_owned();
    let refused = run(async move { Node::open(&path, &NodeOptions::default()).await.err() });
    assert!(matches!(refused, Some(NodeError::NotEmpty { .. })), "{refused:?}");
}

/// A forged frame inside a record is not taken for the journal's own, even where recovery looks for frames behind a
/// broken one: it does not know the generation's salt.
#[test]
fn a_frame_inside_a_record_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let logs = crash(dir.path(), 1, async |toy: &Toy, _: &Recovery| {
        toy.append(0, 1, 100).await;
        toy.journal.flush().await;
        toy.append(0, 1, 20_000).await;
        toy.journal.flush().await;
    });
    let (path, mut file) = only_journal(dir.path());
    let frames = frames_of(&file);
    // A copy of the first frame with every field as an attacker could guess it, but for the salt.
    let (first, len) = frames[0];
    let mut forged = file[first..first + len].to_vec();
    let mut header = *Frame::check(&forged).unwrap().header();
    header.identity.salt ^= 1;
    header.lsn = Lsn(3);
    header.durable_upto = Lsn(3);
    let mut sum = storage::journal::frame::Sum::default();
    sum.update(&forged[96..header.used_len as usize]);
    forged[..96].copy_from_slice(&header.encode(sum));
    assert!(Frame::check(&forged).is_ok());
    let (second, _) = frames[1];
    file[second..second + 4096].fill(0);
    file[second + 8192..second + 8192 + len].copy_from_slice(&forged);
    write(&path, &file);
    let recovery = recover(dir.path(), known(1), 1);
    assert!(recovery.report.damage.is_empty());
    check_log(dir.path(), &recovery, 0, &logs[0], 1);
}

/// Pushes an entry without a payload.
async fn push_mark(toy: &Toy, kind: EntryKind, log: u32, base: i64, next: i64) {
    let pushed = toy.journal.push(Entry {
        kind,
        slot: log,
        log: log_id(log),
        base_offset: Offset(base),
        next_offset: Offset(next),
        roll: false,
        durability: Durability::Device,
        len: 0,
        write: &mut |_| {},
    });
    pushed.map(|_| ()).unwrap();
    toy.journal.flush().await;
}

/// A truncation in the journal cuts the log back, across segments, and what was appended behind it stands at the same
/// offsets; a log start moves the start.
#[test]
fn truncations_and_log_starts_are_replayed_in_order() {
    for (to, appended) in [(11, 3), (6, 0), (8, 5), (0, 2), (20, 1)] {
        let dir = tempfile::tempdir().unwrap();
        crash(dir.path(), 1, async move |toy: &Toy, _: &Recovery| {
            // Two records a batch, segments begin at 0, 6 and 12.
            for round in 0..10i64 {
                let roll = round == 3 || round == 6;
                toy.append_as(0, 2, 900, Durability::Device, roll).await;
            }
            push_mark(toy, EntryKind::Truncate, 0, to, to).await;
            toy.logs.borrow_mut().get_mut(&0).unwrap().next = to - to % 2;
            for _ in 0..appended {
                toy.append(0, 1, 40).await;
            }
            toy.journal.flush().await;
        });
        let recovery = recover(dir.path(), known(1), 1);
        let checkpoint = &recovery.states[0].checkpoint;
        // A truncation into a batch ends before it: batches are whole.
        let end = to - to % 2 + appended;
        assert_eq!(checkpoint.offline, None, "to {to}");
        assert_eq!(checkpoint.synced_upto, Offset(end), "to {to}");
        let bytes = support::disk_bytes(dir.path(), &recovery, 0);
        let mut next = 0;
        for batch in storage::batch::split(&bytes) {
            let batch = batch.unwrap();
            assert_eq!(batch.base_offset(), Offset(next), "to {to}");
            assert!(batch.check_crc());
            next = batch.next_offset().0;
        }
        assert_eq!(next, end, "to {to}");
        // The log goes on from there in the next generation.
        let again = recover(dir.path(), known(1), 1);
        assert_eq!(again.states[0].checkpoint.synced_upto, Offset(end));
    }
    let dir = tempfile::tempdir().unwrap();
    crash(dir.path(), 1, async |toy: &Toy, _: &Recovery| {
        for _ in 0..4 {
            toy.append(0, 1, 100).await;
        }
        push_mark(toy, EntryKind::LogStart, 0, 3, 4).await;
    });
    let recovery = recover(dir.path(), known(1), 1);
    assert_eq!(recovery.states[0].checkpoint.log_start, Offset(3));
}

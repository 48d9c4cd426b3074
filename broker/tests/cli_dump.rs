//! `heddle dump` as a person runs it: files are built with storage's own codecs, sound and damaged,
//! and the binary must print what they hold and find the damage.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::disallowed_methods, reason = "a test has no shards")]

use std::path::Path;
use std::process::{Command, Output};

use storage::batch::{Builder, Codec, NewRecord};
use storage::ids::{Generation, LeaderEpoch, Offset, ProducerId};
use storage::superblock::{Calibration, FlushPrimitive, Superblock};

fn heddle(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_heddle")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Two batches of two records each, from offset 10 on.
fn segment() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (base, codec) in [(10, Codec::None), (12, Codec::Zstd)] {
        let mut builder = Builder::new(codec)
            .base_offset(Offset(base))
            .leader_epoch(LeaderEpoch(3))
            .producer(ProducerId(7), 0, base as i32 - 10);
        builder.push(NewRecord::of(b"first\xff").key(b"k").at(1_000).header(b"h", Some(b"1")));
        builder.push(NewRecord::null().at(1_001));
        bytes.extend(builder.build().unwrap());
    }
    bytes
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_segment_is_verified_batch_by_batch() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000000000000000010.log");
    let mut bytes = segment();
    let whole = bytes.len();
    bytes.resize(4_096, 0);
    std::fs::write(&path, &bytes).unwrap();

    let output = heddle(&["dump", "--records", text(&path)]);
    assert!(output.status.success(), "{}", stderr(&output));
    let printed = stdout(&output);
    let lines: Vec<_> = printed.lines().collect();
    assert!(lines[0].ends_with("is=segment bytes=4096"), "{printed}");
    let batch = "offsets=10..11 records=2 codec=none epoch=3 producer=7/0 sequence=0..1";
    assert!(lines[1].starts_with("  batch position=0") && lines[1].contains(batch), "{printed}");
    assert!(lines[1].ends_with("crc=ok"), "{printed}");
    let record = r#"    record offset=10 timestamp=1000 key="k" value="first\xff" headers=h=1"#;
    assert_eq!(lines[2], record);
    assert_eq!(lines[3], "    record offset=11 timestamp=1001");
    assert!(lines[4].contains("offsets=12..13 records=2 codec=zstd"), "{printed}");
    let padding = format!("  padding position={whole} bytes={}", 4_096 - whole);
    assert_eq!(lines[7], padding);
    assert_eq!(lines[8], format!("  total batches=2 records=4 bytes={whole} next_offset=14"));
}

#[test]
fn an_export_ends_with_the_last_batch() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000000000000000010.log");
    let mut padded = segment();
    padded.resize(8_192, 0);
    std::fs::write(&path, &padded).unwrap();
    let copy = dir.path().join("copy");
    let output = heddle(&["dump", "--export", text(&copy), text(&path)]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(std::fs::read(copy.join("00000000000000000010.log")).unwrap(), segment());
}

#[test]
fn damage_is_found_named_and_makes_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000000000000000010.log");
    let sound = segment();
    let mut flipped = sound.clone();
    flipped[70] ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    let output = heddle(&["dump", text(&path)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains(" should be 0x"), "{}", stdout(&output));
    assert!(stderr(&output).starts_with("error[HDL-DUMP-002]: damage was found in 1 place(s)"));

    std::fs::write(&path, &sound[..sound.len() - 5]).unwrap();
    let output = heddle(&["dump", "--format", "json", text(&path)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains(r#""kind":"damage""#), "{}", stdout(&output));

    let output = heddle(&["dump", text(&dir.path().join("absent.log"))]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).starts_with("error[HDL-DUMP-001]: cannot dump "),
        "{}",
        stderr(&output)
    );
}

fn superblock(sequence: u64) -> Superblock {
    Superblock {
        sequence,
        generation: Generation(4),
        shards: 2,
        clean: true,
        salt: 9,
        node_id: 1,
        directory_id: [7; 16],
        cluster_id: "loom".into(),
        formatted_ms: 1_795_352_868_123,
        flush: FlushPrimitive::Dsync,
        calibration: Calibration { dsync_p50_us: 150, writes: 200, ..Calibration::default() },
    }
}

#[test]
fn a_superblock_is_read_slot_by_slot_and_by_storage_info() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = vec![0; 8_192];
    for sequence in [5, 6] {
        let block = superblock(sequence);
        let at = block.slot_position() as usize;
        file[at..at + 4_096].copy_from_slice(&block.encode());
    }
    std::fs::write(dir.path().join("superblock"), &file).unwrap();
    let output = heddle(&["dump", text(&dir.path().join("superblock"))]);
    assert!(output.status.success(), "{}", stderr(&output));
    let printed = stdout(&output);
    assert!(printed.contains("slot number=0 sequence=6 cluster_id=loom"), "{printed}");
    assert!(printed.lines().nth(1).unwrap().ends_with("in_force=true"), "{printed}");

    let output = heddle(&["storage", "info", "--data", text(dir.path())]);
    assert!(output.status.success(), "{}", stderr(&output));
    let printed = stdout(&output);
    assert!(printed.contains("formatted    2026-11-22T13:07:48.123Z"), "{printed}");
    assert!(printed.contains("starts       4 with 2 shard(s) last, stopped cleanly"), "{printed}");

    let output = heddle(&["storage", "info", "--data", "/nonexistent"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("fix:  `heddle serve` formats it by itself"));
}

/// Formats a directory as `kafka-storage format` does, then again, then under another id.
#[test]
fn formatting_fixes_the_cluster_id_once() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let data = dir.path().join("data");
    let format =
        |more: &[&str]| heddle(&[&["storage", "format", "--data", text(&data)], more].concat());
    let output = format(&["-t", "loom-1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("cluster      loom-1\n"), "{}", stdout(&output));
    let output = format(&["-t", "loom-1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is formatted already"), "{}", stderr(&output));
    assert!(format(&["-t", "loom-1", "--ignore-formatted"]).status.success());
    let output = format(&["-t", "loom-2", "--ignore-formatted"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("has cluster.id loom-1"), "{}", stderr(&output));
}

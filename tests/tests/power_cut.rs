//! Power cuts under load, on ext4 and XFS: everything acknowledged is there afterwards, in order, once, byte for byte, at its
//! offset, so is everything a consumer saw, `heddle verify` finds what was left sound, and the broker always starts.
//!
//! The broker's data lies on a file system in a file, on a loop device. A cut is `FS_IOC_SHUTDOWN` without a flush of the
//! log, under load, while records are on their way into the journal and others are not written behind yet. Every other disk
//! lies on another one whose power is cut in its place: then writes that the device took and did not flush are gone as well,
//! as with a drive's volatile cache. A control shows that such a disk does lose them.
//!
//! `HEDDLE_POWER_CUTS` is how often in all (20; about a minute).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;

use tests::clients::run;
use tests::counts::count;
use tests::disk::{Disk, Fault, FileSystem};
use tests::storm::Storm;
use tests::verify::verify;
use tests::{BrokerProcess, Settings};

/// Cuts that one disk goes through, with all that was written to it before.
const CUTS_PER_DISK: usize = 5;
/// Exit status after a failed write or sync: sysexits' EX_IOERR.
const EXIT_STORAGE: i32 = 74;
/// What the broker says at a start that found batches in the journal which no segment had yet.
const REPLAYED: &str = "replayed from the journal";
/// `KAFKA_STORAGE_ERROR`: what a change may be answered with while the disk goes away.
const STORAGE_ERROR: i16 = 56;

/// Journals and segments so small that both go round and roll within each round.
fn settings(disk: &Disk, cut: usize) -> Settings {
    Settings::default()
        .shards([1, 2, 2, 1, 3][cut % 5])
        .data(&disk.path().join("data"))
        .with("journal.file.bytes=4194304")
        .with("journal.bytes.max=67108864")
        .with("log.segment.bytes=8388608")
}

fn survives_cuts(kind: FileSystem) {
    let cuts = count("HEDDLE_POWER_CUTS", 20).div_ceil(2);
    for (disk_number, first) in (0..cuts).step_by(CUTS_PER_DISK).enumerate() {
        let last = cuts.min(first + CUTS_PER_DISK);
        let fault = if disk_number % 2 == 0 { Fault::VolatileCache } else { Fault::Plain };
        let Some(disk) = Disk::mount(kind, 700, fault) else { return };
        let mut broker = BrokerProcess::start(settings(&disk, first));
        let mut storm = Storm::start(broker.address(), &[(4, "device")], 8);
        for cut in first + 1..=last {
            let switch = disk.switch();
            storm.run_for(Duration::from_millis(500 + (cut as u64 * 137) % 500));
            switch.press();
            let status = broker.wait_for_end();
            let log = broker.log();
            assert_eq!(status.code(), Some(EXIT_STORAGE), "it ends by itself and says why:\n{log}");
            assert!(!log.contains("panicked"), "{log}");
            for (name, code) in storm.on_death() {
                assert_eq!(code, STORAGE_ERROR, "{name} was refused before the end");
            }
            disk.mend();
            verify(broker.data());
            broker.restart_with(settings(&disk, cut));
            storm.check();
        }
        storm.finish(last - first);
        assert!(broker.log().contains(REPLAYED), "no journal was ahead of its segments");
    }
}

#[test]
fn nothing_acknowledged_is_lost_on_ext4() {
    survives_cuts(FileSystem::Ext4);
}

#[test]
fn nothing_acknowledged_is_lost_on_xfs() {
    survives_cuts(FileSystem::Xfs);
}

/// The control: a disk that cannot lose anything would prove nothing. Two blocks of a file that is allocated and synced are
/// overwritten past the page cache, one with a flush; after the cut only that one has its new bytes.
#[test]
fn a_cut_takes_what_was_not_flushed() {
    for kind in [FileSystem::Ext4, FileSystem::Xfs] {
        let Some(disk) = Disk::mount(kind, 400, Fault::VolatileCache) else { return };
        let path = disk.path().join("file");
        std::fs::write(&path, [b'o'; 8_192]).expect("the disk is empty");
        File::open(&path).and_then(|file| file.sync_all()).expect("it can be synced");
        let overwrite = |block: u64, flags: &[&str]| {
            let new = disk.path().parent().expect("a mount has a parent").join("new");
            std::fs::write(&new, [b'n'; 4_096]).expect("writable");
            let (input, output) =
                (format!("if={}", new.display()), format!("of={}", path.display()));
            let seek = format!("seek={block}");
            run(Command::new("dd")
                .args([&input, &output, &seek, "bs=4096", "conv=notrunc"])
                .args(flags));
        };
        overwrite(0, &["oflag=direct,dsync"]);
        overwrite(1, &["oflag=direct"]);
        disk.switch().press();
        disk.mend();
        let file = File::open(&path).expect("it is there");
        let byte = |at| {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).expect("it has two blocks");
            char::from(byte[0])
        };
        assert_eq!((byte(0), byte(4_096)), ('n', 'o'), "{kind:?}: flushed, and not flushed");
    }
}

//! The flush is real: the device's own count of the flushes it was sent grows by at least one for each produce that is
//! acknowledged under `ack.durability=device`, with either flush primitive, and does not under `written`.
//!
//! The broker's data lies on a loop device of its own. Field 16 of `/sys/block/<device>/stat` counts flush requests that the
//! device carried out (Documentation/block/stat.rst). The journal is written ahead, so that no produce allocates anything and
//! no commit of the file system's own log flushes in its place. (A quarter of a minute.)

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use storage::batch::{Builder, Codec, NewRecord};
use storage::superblock::{FlushPrimitive, Superblock};
use tests::calls::Calls;
use tests::disk::{Disk, Fault, FileSystem};
use tests::{BrokerProcess, Settings};

/// Produces under `device`, one after the other.
const DEVICE_PRODUCES: u64 = 300;
/// Produces under `written` of one attempt.
const WRITTEN_PRODUCES: u64 = 1_000;
/// Attempts at a run under `written` in which the machine is not too busy to tell anything.
const ATTEMPTS: usize = 10;
/// An idle journal says once, with a flush, that what it wrote last was acknowledged, after this pause.
const IDLE_AFTER: Duration = Duration::from_millis(10);
/// A checkpoint is made this often at most while the journal is not filling up, and flushes this often at most.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);
const CHECKPOINT_FLUSHES: u64 = 8;
/// ext4 commits what changed in its metadata (times, segments' space) this often, with up to two flushes.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);
const COMMIT_FLUSHES: u64 = 2;

/// Flush requests that the disk's device has carried out.
fn flushes(disk: &Disk) -> u64 {
    let path = format!("/sys/block/{}/stat", disk.device());
    let text = std::fs::read_to_string(path).expect("a block device has statistics");
    let field = text.split_whitespace().nth(15).expect("flushes are counted since Linux 5.5");
    field.parse().expect("a number")
}

struct Client {
    calls: Calls,
    batch: Vec<u8>,
}

impl Client {
    fn connect(broker: &BrokerProcess) -> Self {
        let mut batch = Builder::new(Codec::None);
        batch.push(NewRecord::of(b"one small record").at(1_700_000_000_000));
        let batch = batch.build().expect("an uncompressed batch is made in memory");
        Self { calls: Calls::connect(broker.address()), batch }
    }

    fn produce(&mut self, class: &str) {
        let (code, _) = self.calls.produce(class, 0, &self.batch).expect("the broker answers");
        assert_eq!(code, 0);
    }
}

/// A broker with a topic of each class, that are written to already, and with its journal files made.
fn start(disk: &Disk) -> BrokerProcess {
    let settings = Settings::default().data(&disk.path().join("data"));
    let mut broker = BrokerProcess::start(settings.with("journal.bytes.max=33554432"));
    let mut client = Client::connect(&broker);
    for class in ["device", "written"] {
        let settings = [("ack.durability", class)];
        assert_eq!(client.calls.create(class, 1, &settings), Some(0));
        client.produce(class);
    }
    wait_for_journal(&broker);
    assert!(broker.stop().success());
    broker
}

/// Waits until the journal has two files ahead of the one that it writes to.
fn wait_for_journal(broker: &BrokerProcess) {
    let began = Instant::now();
    loop {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(broker.data().join("journal")).expect("a journal is there") {
            names.push(entry.expect("readable").file_name().to_string_lossy().into_owned());
        }
        if names.len() >= 3 && !names.iter().any(|name| name.ends_with(".new")) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the journal is not made: {names:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Says in the superblock how the next start shall flush.
fn force(data: &Path, primitive: FlushPrimitive) {
    let path = data.join("superblock");
    let bytes = std::fs::read(&path).expect("a data directory has a superblock");
    let mut block = Superblock::decode_newest(&bytes).expect("it was written by a clean stop");
    block.flush = primitive;
    block.sequence += 1;
    let file = OpenOptions::new().write(true).open(&path).expect("writable");
    file.write_all_at(&block.encode(), block.slot_position()).expect("there is space");
    file.sync_all().expect("it can be synced");
}

fn counts(kind: FileSystem) {
    let Some(disk) = Disk::mount(kind, 500, Fault::Plain) else { return };
    let mut broker = start(&disk);
    for primitive in [FlushPrimitive::Dsync, FlushPrimitive::WriteThenSync] {
        force(broker.data(), primitive);
        broker.restart();
        let told = format!("({}, ", primitive.name());
        assert!(broker.log().lines().any(|line| line.contains(&told)), "{}", broker.log());
        let mut client = Client::connect(&broker);
        client.produce("device");
        client.produce("written");
        wait_for_journal(&broker);
        each_is_flushed(&disk, &mut client, primitive);
        only_the_background_flushes(&disk, &mut client, primitive);
        drop(client);
        assert!(broker.stop().success());
    }
}

fn each_is_flushed(disk: &Disk, client: &mut Client, primitive: FlushPrimitive) {
    let mut before = flushes(disk);
    for number in 0..DEVICE_PRODUCES {
        client.produce("device");
        let after = flushes(disk);
        assert!(
            after > before,
            "produce {number} was acknowledged without a flush ({primitive:?})"
        );
        before = after;
    }
}

fn only_the_background_flushes(disk: &Disk, client: &mut Client, primitive: FlushPrimitive) {
    for _ in 0..ATTEMPTS {
        let (before, began) = (flushes(disk), Instant::now());
        let (mut sent, mut pauses) = (Instant::now(), 1);
        for _ in 0..WRITTEN_PRODUCES {
            let sent_before = std::mem::replace(&mut sent, Instant::now());
            client.produce("written");
            // The journal's write of the one before came after it was sent, that of this one before now.
            pauses += u64::from(sent_before.elapsed() >= IDLE_AFTER);
        }
        let (grown, took) = (flushes(disk) - before, began.elapsed());
        let times = |interval: Duration| took.as_millis() as u64 / interval.as_millis() as u64 + 1;
        let background = times(CHECKPOINT_INTERVAL) * CHECKPOINT_FLUSHES
            + times(COMMIT_INTERVAL) * COMMIT_FLUSHES;
        assert!(
            grown <= pauses + background,
            "{WRITTEN_PRODUCES} produces of class written in {took:?}: {grown} flushes, and at most \
             {pauses} pauses and {background} in the background ({primitive:?})"
        );
        if (pauses + background) * 2 < WRITTEN_PRODUCES {
            return;
        }
    }
    panic!(
        "{ATTEMPTS} times every other produce took {IDLE_AFTER:?}: the machine is too busy to tell"
    );
}

#[test]
fn each_acknowledged_produce_is_flushed_on_ext4() {
    counts(FileSystem::Ext4);
}

#[test]
fn each_acknowledged_produce_is_flushed_on_xfs() {
    counts(FileSystem::Xfs);
}

//! The README's promise: a file of a million lines goes in through `heddle produce`, the broker is
//! killed and started again in between, and `heddle consume` gives the file back byte for byte.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tests::broker_process::heddle;
use tests::clients::run;
use tests::{BrokerProcess, Settings};

const LINES: u64 = 1_000_000;

fn write_file(path: &Path) {
    let mut file = BufWriter::new(File::create(path).expect("the build directory is writable"));
    for line in 0..LINES {
        let width = usize::try_from(line * 7_919 % 150).expect("small");
        writeln!(file, "{line} {:w$}{:x}", "", line.wrapping_mul(0x9E37_79B9), w = width)
            .expect("disk space");
    }
    file.flush().expect("disk space");
}

#[test]
fn a_million_lines_survive_a_kill_and_come_back_byte_for_byte() {
    let mut broker = BrokerProcess::start(Settings::default().shards(2));
    let directory = tempfile::tempdir_in(tests::broker_process::scratch()).expect("writable");
    let input = directory.path().join("input");
    let output = directory.path().join("output");
    write_file(&input);

    run(Command::new(heddle()).args([
        "topic",
        "create",
        "lines",
        "-p",
        "1",
        "-b",
        &broker.bootstrap(),
    ]));
    let mut producer = Command::new(heddle())
        .args(["produce", "lines", "-b", &broker.bootstrap()])
        .stdin(File::open(&input).expect("just written"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("heddle starts");
    let began = Instant::now();
    while bytes_below(broker.data()) < 20 << 20 && producer.try_wait().expect("a child").is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "the producer does not get going");
        std::thread::sleep(Duration::from_millis(5));
    }
    broker.kill();
    broker.restart();
    let mut errors = String::new();
    producer.stderr.take().expect("piped").read_to_string(&mut errors).expect("text");
    assert!(producer.wait().expect("a child").success(), "{errors}");
    broker.kill();
    broker.restart();

    let status = Command::new(heddle())
        .args(["consume", "lines", "-o", "start", "-e", "-b", &broker.bootstrap()])
        .stdout(File::create(&output).expect("writable"))
        .status()
        .expect("heddle starts");
    assert!(status.success());
    let (written, read) =
        (std::fs::read(&input).expect("readable"), std::fs::read(&output).expect("readable"));
    assert_eq!(read.len(), written.len(), "bytes that came back");
    let first = written.iter().zip(&read).position(|(a, b)| a != b);
    assert_eq!(first, None, "the first byte that differs");
}

/// Bytes in the segments of a data directory.
fn bytes_below(data: &Path) -> u64 {
    let mut total = 0;
    let mut open = vec![data.join("topics")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => open.push(entry.path()),
                Ok(metadata) => total += metadata.len(),
                Err(_) => {}
            }
        }
    }
    total
}

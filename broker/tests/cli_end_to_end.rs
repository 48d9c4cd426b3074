//! The commands against a broker of their own, as a person types them: the binary serves, and the
//! same binary creates, produces, consumes, alters and deletes.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::disallowed_methods, reason = "a test has no shards")]
#![expect(clippy::disallowed_types, reason = "a test has no shards")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// A broker that is killed when the test ends.
struct Broker {
    child: Child,
    address: String,
    data: tempfile::TempDir,
}

impl Broker {
    fn start() -> Broker {
        Broker::start_on("127.0.0.1:0")
    }

    /// On a port that stays free while the broker is down: below the range from which the kernel takes
    /// the ports of outgoing connections.
    fn start_to_be_killed() -> Broker {
        let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
        let port = (30_000..32_000).find(free).unwrap();
        Broker::start_on(&format!("127.0.0.1:{port}"))
    }

    fn start_on(listen: &str) -> Broker {
        let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (child, address) = serve(data.path(), listen);
        Broker { child, address, data }
    }

    /// `kill -9`, then a start on the same port.
    fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, _) = serve(self.data.path(), &self.address);
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self.spawn(arguments);
        // A command that fails early does not read its input.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_heddle"))
            .args(arguments)
            .env("HEDDLE_BOOTSTRAP_SERVER", &self.address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs a command that must succeed, and returns what it printed.
    fn ok(&self, arguments: &[&str], input: &[u8]) -> String {
        let output = self.run(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail, and returns its exit code and complaint.
    fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments, b"x\n");
        assert!(!output.status.success(), "{arguments:?}");
        (output.status.code().unwrap(), stderr(&output))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(data: &Path, listen: &str) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_heddle"))
        .args(["serve", "--shards", "2", "--listen", listen, "--log-format", "json"])
        .args(["--override", "shard.memory.bytes=64MiB"])
        .args(["--override", "journal.file.bytes=4MiB", "--data"])
        .arg(data)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let address = loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "the broker ended: {said}");
        if let Some((_, rest)) = line.split_once(r#""listening":""#) {
            break rest.split_once('"').unwrap().0.to_owned();
        }
        said.push_str(&line);
    };
    std::thread::spawn(move || log.lines().for_each(drop));
    (child, address)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn topics_live_and_die() {
    let broker = Broker::start();
    let created = broker.ok(&["topic", "create", "warp", "-p", "3", "-c", "retention.ms=1h"], b"");
    assert_eq!(created, "created topic warp with 3 partitions\n");
    let (code, why) = broker.fails(&["topic", "create", "warp"]);
    assert_eq!(code, 1);
    assert!(why.contains("TOPIC_ALREADY_EXISTS (36)") && why.contains("--if-not-exists"), "{why}");
    broker.ok(&["topic", "create", "warp", "--if-not-exists"], b"");
    let listed = broker.ok(&["topic", "list"], b"");
    assert_eq!(listed, "TOPIC  PARTITIONS  REPLICAS\nwarp   3           1\n");

    let alter =
        ["topic", "alter", "warp", "--set", "segment.bytes=2MiB", "--unset", "retention.ms"];
    broker.ok(&[&alter[..], &["--partitions", "4"]].concat(), b"");
    let described = broker.ok(&["topic", "describe", "warp", "--format", "json"], b"");
    assert!(described.contains(r#""segment.bytes":{"source":"topic","value":"2097152"}"#));
    assert!(!described.contains("retention.ms"), "{described}");
    assert!(described.contains(r#""partition":3"#), "{described}");
    let (_, why) = broker.fails(&["topic", "alter", "warp", "--set", "segment.byte=1"]);
    assert!(why.contains("INVALID_CONFIG") && why.contains("segment.bytes"), "{why}");

    assert_eq!(broker.ok(&["topic", "delete", "warp"], b""), "deleted topic warp\n");
    let (_, why) = broker.fails(&["topic", "describe", "warp"]);
    assert!(why.contains("UNKNOWN_TOPIC_OR_PARTITION (3)"), "{why}");
}

#[test]
fn lines_come_back_as_they_went() {
    let broker = Broker::start();
    broker.ok(&["topic", "create", "weft", "-p", "1"], b"");
    let lines = b"one\n\nthree\r\n\xff\xfe\nlast without an end";
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        broker.ok(&["produce", "weft", "-z", codec, "-q"], lines);
    }
    let read = |arguments: &[&str]| {
        broker.run(&[&["consume", "weft", "-e", "-q"], arguments].concat(), b"").stdout
    };
    let mut expected = lines.to_vec();
    expected.push(b'\n');
    assert_eq!(read(&["-o", "start"]), expected.repeat(5));
    assert_eq!(read(&["-o", "20"]), expected);
    assert_eq!(read(&["-o", "-1"]), b"last without an end\n");
    assert_eq!(read(&["-o", "start", "-c", "1"]), b"one\n");
    assert_eq!(read(&["-o", "@2000-01-01", "-c", "2", "-f", "%p/%o=%s;"]), b"0/0=one;0/1=;");
    assert_eq!(read(&["-o", "end"]), b"");
    let (code, why) = broker.fails(&["consume", "weft", "-o", "26"]);
    assert_eq!(code, 1);
    assert!(why.contains("no offset 26 in partition 0"), "{why}");
    assert_eq!(broker.fails(&["consume", "weft", "-p", "1", "-e"]).0, 2);
}

#[test]
fn keys_headers_and_partitions() {
    let broker = Broker::start();
    broker.ok(&["topic", "create", "knots", "-p", "4"], b"");
    // The partitions are those of Kafka's own producer: murmur2 modulo 4.
    broker.ok(&["produce", "knots", "-K:", "-H", "a=1", "-H", "b"], b"21:x\nfoobar:y\na:\n");
    let format = "%k %p|%s|%h\\n";
    let mut read = broker.ok(&["consume", "knots", "-o", "start", "-e", "-f", format], b"");
    let mut lines: Vec<_> = read.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["21 0|x|a=1,b=NULL", "a 0||a=1,b=NULL", "foobar 2|y|a=1,b=NULL"]);

    let summary = broker.ok(&["produce", "knots", "-p", "3", "-Z", "--format", "json"], b"v\n\n");
    assert!(summary.contains(r#""records":2"#) && summary.contains(r#""unacknowledged":0"#));
    read =
        broker.ok(&["consume", "knots", "-p", "3", "-o", "start", "-e", "--format", "json"], b"");
    assert!(read.lines().next().unwrap().contains(r#""value":"v""#), "{read}");
    assert!(read.lines().nth(1).unwrap().contains(r#""value":null"#), "{read}");

    let (code, why) = broker.fails(&["produce", "knots", "-p", "4"]);
    assert_eq!(code, 2);
    assert!(why.contains("its partitions are 0 to 3"), "{why}");
    let (_, why) = broker.fails(&["produce", "absent", "--no-create"]);
    assert!(why.contains("create it: heddle topic create absent"), "{why}");
}

#[test]
fn a_record_that_is_too_large_names_its_line() {
    let broker = Broker::start();
    broker.ok(&["topic", "create", "thread", "-p", "1", "-c", "max.message.bytes=1000"], b"");
    let mut input = b"short\n".to_vec();
    input.extend([b'x'; 2_000]);
    let output = broker.run(&["produce", "thread", "--batch-bytes", "100"], &input);
    assert_eq!(output.status.code(), Some(1));
    let why = stderr(&output);
    assert!(why.contains("1 record from lines 2 to 2 refused: MESSAGE_TOO_LARGE"), "{why}");
    assert!(why.contains("1 line read and not acknowledged"), "{why}");
    let read = broker.ok(&["consume", "thread", "-o", "start", "-e"], b"");
    assert_eq!(read, "short\n");
}

/// A broker is killed twice while lines are coming in through a pipe. Every line is there afterwards,
/// once, in order.
#[test]
fn a_kill_in_the_middle_loses_and_doubles_nothing() {
    let mut broker = Broker::start_to_be_killed();
    broker.ok(&["topic", "create", "selvage", "-p", "1"], b"");
    let mut producer = broker.spawn(&["produce", "selvage", "--batch-bytes", "2000"]);
    let mut pipe = producer.stdin.take().unwrap();
    let mut expected = String::new();
    for round in 0..30 {
        let lines: String =
            (0..500).map(|line| format!("{round} {line} of the selvage\n")).collect();
        pipe.write_all(lines.as_bytes()).unwrap();
        expected.push_str(&lines);
        if round == 10 || round == 20 {
            broker.kill_and_restart();
        }
    }
    drop(pipe);
    let output = producer.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let read = broker.ok(&["consume", "selvage", "-o", "start", "-e"], b"");
    assert_eq!(read.len(), expected.len());
    assert!(read == expected, "lines were lost, doubled or reordered");
}

/// Ctrl-C while a consumer follows and while a producer waits for its pipe: what was read is printed
/// and acknowledged, the summary comes, and the exit code is 130.
#[test]
fn an_interrupt_ends_in_order() {
    let broker = Broker::start();
    broker.ok(&["topic", "create", "shed", "-p", "1"], b"");
    let mut consumer = broker.spawn(&["consume", "shed", "-o", "start"]);
    let mut producer = broker.spawn(&["produce", "shed"]);
    producer.stdin.as_mut().unwrap().write_all(b"through the shed\n").unwrap();
    let mut first = String::new();
    BufReader::new(consumer.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, "through the shed\n");
    for (child, said) in [(producer, "1 record sent"), (consumer, "1 record read")] {
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        // Its standard input stays open: only the interrupt can end it.
        let output = wait_with_open_input(child);
        assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    }
}

fn wait_with_open_input(mut child: Child) -> Output {
    let input = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(input);
    output
}

#[test]
fn nobody_there_is_said_plainly() {
    let output = Command::new(env!("CARGO_BIN_EXE_heddle"))
        .args(["topic", "list", "-b", "127.0.0.1:1", "--format", "json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let why = stderr(&output);
    assert!(why.contains(r#""code":"HDL-NET-001""#) && why.contains("heddle serve"), "{why}");
}

/// Starts that must fail: every mistake is in the report, and the exit code is 2.
#[test]
fn a_wrong_configuration_stops_the_start() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = dir.path().join("server.properties");
    std::fs::write(&file, "num.partitions=4\nack.durabilty=device\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_heddle"))
        .arg("--config")
        .arg(&file)
        .args(["--override", "log.segment.bytes=1"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let why = stderr(&output);
    assert!(why.contains("line 2, column 1") && why.contains("write `ack.durability`"), "{why}");
    assert!(why.contains("where: flag --override log.segment.bytes=1"), "{why}");
}

#[test]
fn a_partition_whose_log_is_offline_is_shown_so_and_the_others_serve() {
    let mut broker = Broker::start_to_be_killed();
    broker.ok(&["topic", "create", "a", "-p", "2"], b"");
    for partition in ["0", "1"] {
        broker.ok(&["produce", "a", "-p", partition], b"one\ntwo\n");
    }
    // The restart brings both records of each partition into its segment.
    broker.kill_and_restart();
    broker.child.kill().unwrap();
    broker.child.wait().unwrap();
    let topics = broker.data.path().join("topics");
    let topic = std::fs::read_dir(topics).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(topic.join("1").join(format!("{:020}.log", 0))).unwrap();
    (broker.child, _) = serve(broker.data.path(), &broker.address);
    let shown = broker.ok(&["topic", "describe", "a", "--format", "json"], b"");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let [whole, offline] = shown[0]["partitions"].as_array().unwrap().as_slice() else {
        panic!("{shown}")
    };
    assert_eq!((&whole["leader"], &whole["end"]), (&1.into(), &2.into()), "{shown}");
    assert_eq!((&offline["leader"], &offline["end"]), (&(-1).into(), &(-1).into()), "{shown}");
    assert_eq!(offline["error"], "LEADER_NOT_AVAILABLE");
    assert_eq!(offline["offline"], serde_json::json!([1]));
    assert!(broker.ok(&["topic", "describe", "a"], b"").contains("offline"));
    let read = broker.ok(&["consume", "a", "-p", "0", "-o", "start", "-e"], b"");
    assert_eq!(read.lines().count(), 2, "{read}");
}

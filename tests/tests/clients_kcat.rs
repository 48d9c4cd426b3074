//! kcat: list, produce and consume with keys, headers and each compression.

use std::io::Write;
use std::process::{Command, Stdio};

use tests::clients::{Client, run};
use tests::load::create_topic;
use tests::{BrokerProcess, Settings};

fn kcat(bootstrap: &str, arguments: &[&str]) -> Option<Command> {
    let mut command = Client::Kcat.find()?;
    command.args(["-b", bootstrap]).args(arguments);
    Some(command)
}

fn feed(mut command: Command, input: &[u8]) {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("kcat starts");
    child.stdin.take().expect("piped").write_all(input).expect("kcat reads its input");
    assert!(child.wait().expect("kcat ends").success(), "{command:?} failed");
}

#[test]
fn lists_produces_and_consumes() {
    let broker = BrokerProcess::start(Settings::default().shards(2));
    let bootstrap = broker.bootstrap();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("kcat-{codec}");
        create_topic(&bootstrap, &topic, 1);
        let lines: String =
            (0..5_000).map(|n| format!("k{n}:line {n} {}\n", "x".repeat(n % 90))).collect();
        let arguments = ["-P", "-t", &topic, "-K:", "-z", codec, "-H", "origin=kcat"];
        let Some(command) = kcat(&bootstrap, &arguments) else { return };
        feed(command, lines.as_bytes());
        let arguments = [
            "-C",
            "-t",
            &topic,
            "-o",
            "beginning",
            "-e",
            "-q",
            "-f",
            "%k:%s\\n",
            "-X",
            "check.crcs=true",
        ];
        let output = run(&mut kcat(&bootstrap, &arguments).expect("found before"));
        assert_eq!(String::from_utf8_lossy(&output.stdout), lines, "codec {codec}");
        let arguments = ["-C", "-t", &topic, "-o", "-1", "-e", "-q", "-f", "%t %p %o %h\\n"];
        let output = run(&mut kcat(&bootstrap, &arguments).expect("found before"));
        let expected = format!("{topic} 0 4999 origin=kcat\n");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
    let listed = run(&mut kcat(&bootstrap, &["-L"]).expect("found before"));
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(
        listed.contains("1 brokers") && listed.contains("topic \"kcat-zstd\" with 1 partitions"),
        "{listed}"
    );
}

#[test]
fn creates_topics_by_producing_where_the_broker_allows_it() {
    let broker = BrokerProcess::start(Settings::default().with("num.partitions=3"));
    let Some(command) = kcat(&broker.bootstrap(), &["-P", "-t", "made-by-use"]) else { return };
    feed(command, b"first\n");
    let output =
        run(&mut kcat(&broker.bootstrap(), &["-L", "-t", "made-by-use"]).expect("found before"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("with 3 partitions"), "{text}");
}

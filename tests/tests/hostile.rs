//! Malformed, truncated, oversized and adversarial frames: a proper Kafka error or a closed
//! connection, no panic, bounded memory, nothing lost.
//!
//! Each test sends raw bytes, then asks the same broker process for something ordinary: it must still
//! be the same process, still answer, and not have grown.

use std::time::Duration;

use tests::load::{Load, create_topic, read_all};
use tests::wire::{Answer, Wire, flexible_request, request};
use tests::{BrokerProcess, Settings};

const API_VERSIONS: i16 = 18;
const METADATA: i16 = 3;
const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const CREATE_TOPICS: i16 = 19;

/// Resident memory a broker may gain from all of a test's hostile frames.
const GROWTH_KIB_MAX: u64 = 64 * 1024;

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it is running");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("Linux has VmRSS");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

/// Runs `attack` against a fresh broker and then sees that it serves as before.
fn withstands(attack: impl FnOnce(&BrokerProcess)) {
    let broker = BrokerProcess::start(Settings::default());
    let pid = broker.pid();
    create_topic(&broker.bootstrap(), "before", 1);
    let before = resident_kib(pid);
    attack(&broker);
    let mut wire = Wire::connect(broker.address());
    let answer = wire.send_frame(&request(API_VERSIONS, 0, 7, &[])).answer();
    assert!(
        matches!(&answer, Answer::Frame(body) if body.starts_with(&7_i32.to_be_bytes())),
        "{answer:?}"
    );
    let grown = resident_kib(pid).saturating_sub(before);
    assert!(grown <= GROWTH_KIB_MAX, "the broker grew by {grown} KiB");
    let mut load = Load::start(&broker.bootstrap(), "before", 1);
    load.run_for(Duration::from_millis(50));
    let ledger = load.finish();
    ledger.assert_holds(0, &read_all(&broker.bootstrap(), "before", 0));
    assert!(!broker.log().contains("panicked"), "{}", broker.log());
}

/// Sends one frame on a connection of its own; anything but silence will do.
fn refused(broker: &BrokerProcess, body: &[u8]) {
    let answer = Wire::connect(broker.address()).send_frame(body).answer();
    assert_ne!(answer, Answer::Silence, "no answer to {:?}", &body[..body.len().min(40)]);
}

#[test]
fn lengths_that_cannot_be_close_the_connection() {
    withstands(|broker| {
        for length in [-1_i32, i32::MIN, i32::MAX, 104_857_601, 0, 1, 7] {
            let mut wire = Wire::connect(broker.address());
            wire.send(&length.to_be_bytes()).send(&[0; 8]);
            assert_eq!(wire.answer(), Answer::Closed, "length {length}");
        }
    });
}

#[test]
fn a_newer_api_versions_request_gets_the_oldest_answer() {
    withstands(|broker| {
        let mut wire = Wire::connect(broker.address());
        let Answer::Frame(body) =
            wire.send_frame(&flexible_request(API_VERSIONS, 99, 5, &[1, 1, 0])).answer()
        else {
            panic!("no answer");
        };
        assert_eq!(&body[..6], &[0, 0, 0, 5, 0, 35], "correlation id, then UNSUPPORTED_VERSION");
        let mut known = 0_i16.to_be_bytes().to_vec();
        known.extend_from_slice(&4_i16.to_be_bytes());
        assert!(
            body.windows(6).any(|w| w[..2] == API_VERSIONS.to_be_bytes() && w[2..] == known[..])
        );
        let again = wire.send_frame(&request(API_VERSIONS, 0, 6, &[])).answer();
        assert!(matches!(again, Answer::Frame(_)), "the connection stays usable");
    });
}

#[test]
fn unknown_apis_and_versions_close_the_connection() {
    withstands(|broker| {
        for (api, version) in [(-1, 0), (999, 0), (PRODUCE, 2), (FETCH, 99), (METADATA, -1), (4, 0)]
        {
            let answer = Wire::connect(broker.address())
                .send_frame(&request(api, version, 1, &[0; 64]))
                .answer();
            assert_eq!(answer, Answer::Closed, "api {api} version {version}");
        }
    });
}

#[test]
fn counts_beyond_the_frame_are_refused_before_memory_is_taken() {
    withstands(|broker| {
        let huge = i32::MAX.to_be_bytes();
        let huge_compact = [0xff, 0xff, 0xff, 0xff, 0x0f];
        let many_tags = [0x00, 0xff, 0xff, 0xff, 0xff, 0x0f];
        for version in 0..=8 {
            refused(broker, &request(METADATA, version, 1, &huge));
        }
        for version in 9..=13 {
            refused(broker, &flexible_request(METADATA, version, 1, &huge_compact));
        }
        refused(broker, &request(API_VERSIONS, 3, 1, &many_tags[1..]));
        refused(broker, &request(CREATE_TOPICS, 2, 1, &huge));
        refused(broker, &flexible_request(CREATE_TOPICS, 7, 1, &huge_compact));
        // A null transactional id, acks, a timeout, then a number of topics that cannot be.
        let mut produce = vec![0xff, 0xff, 0xff, 0xff, 0, 0, 0x75, 0x30];
        produce.extend_from_slice(&huge);
        for version in 3..=8 {
            refused(broker, &request(PRODUCE, version, 1, &produce));
        }
        let mut fetch = vec![0xff; 4];
        fetch.extend_from_slice(&[0; 17]);
        fetch.extend_from_slice(&huge);
        for version in 4..=11 {
            refused(broker, &request(FETCH, version, 1, &fetch));
        }
    });
}

#[test]
fn every_truncation_of_a_request_is_refused() {
    withstands(|broker| {
        // CreateTopics version 2: one topic "t" with one partition, no assignments, one setting.
        let mut rest = Vec::new();
        rest.extend_from_slice(&1_i32.to_be_bytes());
        rest.extend_from_slice(&[0, 1, b't', 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        rest.extend_from_slice(&[0, 1, b'k', 0, 1, b'v', 0, 0, 0x75, 0x30, 1]);
        let whole = request(CREATE_TOPICS, 2, 1, &rest);
        for length in 8..whole.len() {
            refused(broker, &whole[..length]);
        }
    });
}

#[test]
fn noise_never_stops_the_broker() {
    withstands(|broker| {
        let noise = tests::ledger::value(1, 1, 1 << 20);
        for (index, chunk) in noise.chunks(700).enumerate() {
            let mut body = chunk.to_vec();
            body[0] = 0;
            body[1] = u8::try_from(index % 62).expect("small");
            body[2] = 0;
            body[3] = u8::try_from(index % 14).expect("small");
            Wire::connect(broker.address()).send_frame(&body);
        }
    });
}

#[test]
fn a_byte_at_a_time_is_served_and_half_a_frame_stops_nobody() {
    withstands(|broker| {
        let mut stalled: Vec<Wire> = (0..64)
            .map(|_| {
                let mut wire = Wire::connect(broker.address());
                wire.send(&[0, 0, 1]);
                wire
            })
            .collect();
        let body = request(API_VERSIONS, 0, 9, &[]);
        let mut frame = i32::try_from(body.len()).expect("small").to_be_bytes().to_vec();
        frame.extend_from_slice(&body);
        let mut wire = Wire::connect(broker.address());
        for byte in frame {
            wire.send(&[byte]);
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(matches!(wire.answer(), Answer::Frame(_)));
        stalled.clear();
    });
}

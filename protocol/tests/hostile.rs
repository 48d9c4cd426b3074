//! Goal: hostile and odd byte streams end as they should, for ever. Method: each file of `tests/data/hostile` is what a
//! peer sends, in hex; it goes through frame, header and body as in the broker, in one piece and byte by byte, and what
//! comes of each frame is compared with the lines after `expect:`.
//!
//! In the files `LEN` stands for the length of what follows (up to `END`, if there is one) and `ab*3` for `ababab`. Set
//! `UPDATE_EXPECT=1` to write what comes into the files, then read the difference.

#![expect(clippy::disallowed_methods, reason = "the test reads its corpus")]

use std::fmt::Write;
use std::path::Path;

use bytes::Bytes;
use protocol::frame::{Frame, FrameReader};
use protocol::header::{HeaderError, answers_unsupported_version};
use protocol::limits::FRAME_BYTES_MAX;
use protocol::{ApiKey, RequestHeader, fetch::FetchRequest, guard, produce::ProduceRequest};

/// What becomes of one frame, in a line.
fn outcome(frame: &Bytes) -> String {
    let header = match RequestHeader::parse(frame) {
        Ok(header) => header,
        Err(HeaderError::UnsupportedVersion { api, version, .. })
            if answers_unsupported_version(api) =>
        {
            return format!("answered with error 35: {} {version}", api.name);
        }
        Err(error) => return format!("closed: {error}"),
    };
    let body = &frame[header.body_at..];
    let checked = match header.api.key {
        ApiKey::Produce => ProduceRequest::decode(body, header.version)
            .map(|request| format!("{} partitions", request.partitions().len())),
        ApiKey::Fetch => FetchRequest::decode(body, header.version)
            .map(|request| format!("{} partitions", request.partition_count())),
        key => guard::check_request(key, header.version, body)
            .map(|walked| format!("{} elements", walked.elements)),
    };
    match checked {
        Ok(what) => format!("served: {} {}, {what}", header.api.name, header.version),
        Err(error) => format!("closed: {} {}: {error}", header.api.name, header.version),
    }
}

/// What becomes of a byte stream that arrives in pieces of `size` bytes.
fn replay(stream: &[u8], size: usize) -> String {
    let mut reader = FrameReader::requests(FRAME_BYTES_MAX);
    let mut lines = String::new();
    let mut large: Option<(usize, Vec<u8>)> = None;
    for mut piece in stream.chunks(size) {
        loop {
            if let Some((length, body)) = &mut large {
                let (head, rest) = piece.split_at((*length - body.len()).min(piece.len()));
                body.extend_from_slice(head);
                piece = rest;
                if body.len() < *length {
                    break;
                }
                let body = Bytes::from(std::mem::take(body));
                large = None;
                writeln!(lines, "{}", outcome(&body)).expect("a string takes all");
            }
            match reader.next(&mut piece) {
                Ok(None) => break,
                Ok(Some(Frame::Large { length, head })) => large = Some((length, head.to_vec())),
                Ok(Some(Frame::Small(frame))) => {
                    writeln!(lines, "{}", outcome(&frame)).expect("a string takes all");
                }
                Err(error) => {
                    writeln!(lines, "closed: {error}").expect("a string takes all");
                    return lines;
                }
            }
        }
    }
    if large.is_some() || !reader.at_boundary() {
        lines.push_str("waits for more\n");
    }
    lines
}

/// Reads the hex of a corpus file.
fn stream(text: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut prefix = None;
    let fill = |bytes: &mut Vec<u8>, at: usize| {
        let length = (bytes.len() - at - 4) as i32;
        bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    for token in lines.flat_map(str::split_whitespace) {
        match token.split_once('*') {
            _ if token == "LEN" => {
                prefix = Some(bytes.len());
                bytes.extend_from_slice(&[0; 4]);
            }
            _ if token == "END" => fill(&mut bytes, prefix.take().expect("END follows LEN")),
            Some((hex, times)) => {
                bytes.extend(unhex(hex).repeat(times.parse().expect("a count follows the star")));
            }
            None => bytes.extend(unhex(token)),
        }
    }
    if let Some(at) = prefix {
        fill(&mut bytes, at);
    }
    bytes
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16).expect("hex digits only")).collect();
    assert!(digits.len().is_multiple_of(2), "{hex}: whole bytes only");
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

#[test]
fn the_corpus_ends_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hostile");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the corpus is part of the tree")
        .map(|entry| entry.expect("the corpus can be listed").path())
        .collect();
    files.sort();
    assert!(files.len() >= 40, "the corpus has {} files", files.len());
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = String::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("the corpus can be read");
        let (input, expected) = text.split_once("expect:\n").expect("each file expects");
        let stream = stream(input);
        let came = replay(&stream, stream.len());
        for size in [1, 3, 1000] {
            assert_eq!(replay(&stream, size), came, "{} in pieces of {size}", file.display());
        }
        if update {
            std::fs::write(&file, format!("{input}expect:\n{came}")).expect("corpus is ours");
        } else if came != expected {
            let name = file.file_name().unwrap_or_default().display();
            write!(wrong, "{name}: expected\n{expected}came\n{came}\n").expect("string");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

//! What people write: `server.properties`, settings of topics, listeners, and the options of the command line that have
//! a syntax of their own.
//!
//! Rules: any text is understood or refused with a sentence; a value in its canonical form is itself; a line of input is
//! all in its key, its value and the delimiter between them; templates print any record.

use broker::cli::consume::{Start, Template, parse_time, print_json};
use broker::cli::produce::{Shape, lines, parse_delimiter, parse_header};
use broker::config::{BrokerConfig, Endpoint, Flag, Sources, TopicConfig, load, parse_properties};
use storage::batch::{BatchView, Records};
use storage::ids::{LeaderEpoch, Offset};

use crate::input::Input;
use crate::made;

const NOW_MS: i64 = 1_700_000_000_000;

/// What to read, then the text.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(6) {
        0 => properties(&rest(&mut input)),
        1 => {
            let name = input.text(60);
            setting(&name, &rest(&mut input));
        }
        2 => {
            let port = input.option(Input::u16);
            if let Err(why) = Endpoint::parse(&rest(&mut input), port) {
                assert!(!why.is_empty());
            }
        }
        3 => line(&mut input),
        4 => {
            let template = Template::parse(&input.text(60));
            let batch = made::batch(&mut input, Offset(7), LeaderEpoch(1));
            let batch = BatchView::first(&batch).expect("just built");
            let records = Records::of(&batch).expect("just built");
            for record in records.iter() {
                let record = record.expect("just built");
                let mut out = Vec::new();
                print_json(&mut out, "topic", 3, &record);
                assert!(std::str::from_utf8(&out).is_ok(), "JSON is text");
                match &template {
                    Ok(template) => template.print(&mut out, "topic", 3, &record),
                    Err(why) => assert!(!why.is_empty()),
                }
            }
        }
        _ => {
            let text = rest(&mut input);
            if let Ok(ms) = parse_time(&text, NOW_MS) {
                assert!(
                    ms >= -62_167_219_200_000 - 86_400_000 * 5,
                    "no time before the year 0: {ms}"
                );
                assert!(ms <= NOW_MS || !text.starts_with('-'), "no time ago lies ahead: {ms}");
            }
            match Start::parse(&text, NOW_MS) {
                Ok(start) => {
                    let at = start.resolve(10, 20, 15);
                    let last = matches!(start, Start::Last(_));
                    assert!(!last || (10..=20).contains(&at), "{start:?} is {at}");
                }
                Err(why) => assert!(!why.is_empty()),
            }
            let _ = parse_header(&text);
            let _ = parse_delimiter(&text);
        }
    }
}

fn rest(input: &mut Input<'_>) -> String {
    String::from_utf8_lossy(input.rest()).into_owned()
}

fn properties(text: &str) {
    let Ok(entries) = parse_properties(text) else { return };
    let last = text.lines().count() as u32 + text.matches('\r').count() as u32 + 1;
    for entry in &entries {
        assert!(entry.line >= 1 && entry.line <= entry.value_line && entry.value_line <= last);
        assert!(entry.key_column >= 1 && entry.value_column >= 1);
    }
    let flags = entries.iter().map(|entry| Flag::over(&entry.key, &entry.value)).collect();
    match load(&Sources { flags, ..Sources::default() }) {
        Ok(loaded) => assert!(loaded.config.describe().count() > 0),
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                assert!(!error.message().is_empty());
            }
        }
    }
}

fn setting(name: &str, text: &str) {
    if let Ok(canonical) = TopicConfig::check(name, text) {
        assert_eq!(TopicConfig::check(name, &canonical).ok(), Some(canonical), "{name}");
    }
    if let Ok(config) = BrokerConfig::with(&[(name, text)]) {
        assert!(config.setting(name).is_some());
    }
}

fn line(input: &mut Input<'_>) {
    let key_delimiter = input.option(|input| input.bytes(4).to_vec());
    let shape = Shape { key_delimiter, empty_is_null: input.flag() };
    let text = input.rest();
    let mut taken = 0;
    for line in lines(text) {
        taken += line.len() + 1;
        let (key, value) = shape.split(line);
        let value_bytes = value.unwrap_or_default();
        assert!(value.is_some() || shape.empty_is_null);
        match (key, shape.key_delimiter.as_deref()) {
            (Some(key), Some(delimiter)) => {
                assert_eq!([key, delimiter, value_bytes].concat(), line);
            }
            (Some(_), None) => panic!("a key without a delimiter"),
            (None, _) => assert_eq!(value_bytes, line),
        }
    }
    assert!(taken == text.len() || taken == text.len() + 1, "every byte is in a line");
}

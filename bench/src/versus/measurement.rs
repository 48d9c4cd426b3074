//! One measured thing, kept as a line of JSON as soon as it is there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::BenchError;
use crate::result::model::Run;

/// The file of all measurements, below the directory they are kept in.
pub const LINES: &str = "measurements.jsonl";

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// A fresh start on an empty directory: `start_ms`, `resident_bytes`.
    Start,
    /// A load of our generator.
    Load {
        /// Which.
        row: String,
    },
    /// A load of librdkafka's client `open_loop_client.c`.
    Librdkafka {
        /// Which.
        row: String,
    },
    /// Apache Kafka's own `kafka-producer-perf-test`.
    PerfTest {
        /// Which.
        row: String,
    },
    /// A start after `kill -9`, with the data of all loads: `restart_ms`.
    Restart,
}

/// A measurement of one broker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// What.
    #[serde(flatten)]
    pub what: What,
    /// Which broker.
    pub broker: String,
    /// The how manieth time, from 1.
    pub round: usize,
    /// Figures by name; latencies in microseconds.
    #[serde(default)]
    pub figures: BTreeMap<String, f64>,
    /// The whole run, of our generator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Why there are no figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// All measurements, and the file they are kept in, if they are.
#[derive(Debug, Default)]
pub struct Journal {
    /// In the order they were made.
    pub measurements: Vec<Measurement>,
    file: Option<(PathBuf, File)>,
}

impl Journal {
    /// Keeps them in memory only.
    pub fn in_memory() -> Journal {
        Journal::default()
    }

    /// Keeps them in a directory, with those that are there. `about` says how they are made and is their first line: others
    /// were made otherwise. A last line that was cut off is measured again.
    ///
    /// # Errors
    /// The directory cannot be written, or holds measurements that were made otherwise, or something else.
    pub fn open(dir: &Path, about: &serde_json::Value) -> Result<Journal, BenchError> {
        let path = dir.join(LINES);
        let trouble = |error: std::io::Error| {
            BenchError::failed(format!("{} cannot be used: {error}", path.display()))
        };
        fs::create_dir_all(dir).map_err(trouble)?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(trouble(error)),
        };
        let whole = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
        let mut lines = whole.lines();
        let fix = "name another directory, or give the options it was begun with";
        let mut measurements = Vec::new();
        if let Some(first) = lines.next() {
            if serde_json::from_str::<serde_json::Value>(first).ok().as_ref() != Some(about) {
                let words = format!("{} was begun with other options", path.display());
                return Err(BenchError::usage(words).why(format!("it says {first}")).fix(fix));
            }
            for (index, line) in lines.enumerate() {
                let measurement = serde_json::from_str(line).map_err(|error| {
                    let line = index + 2;
                    BenchError::usage(format!("{} line {line}: {error}", path.display())).fix(fix)
                })?;
                measurements.push(measurement);
            }
        }
        let file = File::options().create(true).append(true).open(&path).map_err(trouble)?;
        file.set_len(whole.len() as u64).map_err(trouble)?;
        let mut journal = Journal { measurements, file: Some((path, file)) };
        if whole.is_empty() {
            journal.write(about)?;
        }
        Ok(journal)
    }

    /// Whether this was measured already. What failed is measured again.
    pub fn has(&self, what: &What, broker: &str, round: usize) -> bool {
        self.measurements.iter().any(|one| {
            one.failed.is_none()
                && (&one.what, one.broker.as_str(), one.round) == (what, broker, round)
        })
    }

    /// Keeps one more.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, measurement: Measurement) -> Result<(), BenchError> {
        self.write(&measurement)?;
        self.measurements.push(measurement);
        Ok(())
    }

    fn write(&mut self, line: &impl Serialize) -> Result<(), BenchError> {
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        let mut bytes = serde_json::to_vec(line).map_err(BenchError::failed)?;
        bytes.push(b'\n');
        file.write_all(&bytes).map_err(|error| {
            BenchError::failed(format!("{} cannot be written: {error}", path.display()))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn start(round: usize, failed: Option<&str>) -> Measurement {
        Measurement {
            what: What::Start,
            broker: "heddle".into(),
            round,
            figures: BTreeMap::from([("start_ms".to_owned(), 20.5)]),
            run: Some(Run::default()),
            failed: failed.map(str::to_owned),
        }
    }

    #[test]
    fn a_comparison_goes_on_where_it_was_cut_off() {
        let dir = tempfile::tempdir().expect("a directory for temporary files");
        let about = json!({ "seconds": 3 });
        let mut journal = Journal::open(dir.path(), &about).expect("it is empty");
        journal.add(start(1, None)).expect("it is written");
        journal.add(start(2, Some("no broker"))).expect("it is written");
        let path = dir.path().join(LINES);
        let text = fs::read_to_string(&path).expect("it was just written");
        fs::write(&path, text.clone() + "{\"what\":\"sta").expect("it is written");

        let mut journal = Journal::open(dir.path(), &about).expect("it goes on");
        assert_eq!(journal.measurements.len(), 2);
        assert!(journal.has(&What::Start, "heddle", 1));
        assert!(!journal.has(&What::Start, "heddle", 2), "it failed");
        assert!(!journal.has(&What::Start, "kafka", 1));
        assert!(!journal.has(&What::Restart, "heddle", 1));
        journal.add(start(3, None)).expect("it is written");
        let after = fs::read_to_string(&path).expect("it was just written");
        assert!(after.starts_with(&text) && after.lines().count() == 4);

        let error = Journal::open(dir.path(), &json!({ "seconds": 4 })).expect_err("others");
        assert!(error.what.contains("was begun with other options"), "{error}");
        fs::write(&path, "{\"seconds\":3}\nno\n").expect("it is written");
        let error = Journal::open(dir.path(), &about).expect_err("damaged");
        assert!(error.what.contains("line 2"), "{error}");
    }
}

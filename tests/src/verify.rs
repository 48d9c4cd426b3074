//! `heddle verify` on the data of a broker that is down: what every crash, power cut and damage test asks.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::broker_process::heddle;

/// One finding of `heddle verify`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `error`, `warning` or `note`.
    pub severity: String,
    /// `HDL-VF-nnn`.
    pub code: String,
    /// `topic-partition`, if one is concerned.
    pub partition: Option<String>,
    /// The file, below the data directory.
    pub file: Option<String>,
    /// Where in the file.
    pub position: Option<u64>,
    /// What it is.
    pub what: String,
}

/// What `heddle verify --json` says.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Nothing acknowledged is missing or damaged.
    pub sound: bool,
    /// Everything found, notes and warnings too.
    pub findings: Vec<Finding>,
    /// The whole document.
    pub document: Value,
}

impl Verified {
    /// Whether something with this code was found.
    pub fn has(&self, code: &str) -> bool {
        self.findings.iter().any(|finding| finding.code == code)
    }

    /// The partitions with findings of severity error, each once, in order.
    pub fn damaged_partitions(&self) -> Vec<String> {
        let errors = self.findings.iter().filter(|finding| finding.severity == "error");
        let mut names: Vec<_> = errors.filter_map(|finding| finding.partition.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// How much was looked at: `records`, `segments`, `frames`, ... as the document's `checked` names them.
    ///
    /// # Panics
    /// When there is no such number.
    pub fn checked(&self, what: &str) -> u64 {
        let number = self.document["checked"][what].as_u64();
        number.unwrap_or_else(|| panic!("no {what} in {}", self.document))
    }
}

/// Checks the data of a broker that is down. Batches are unpacked too.
///
/// # Panics
/// When it is not sound; the message carries every finding.
pub fn verify(data: &Path) -> Verified {
    let verified = findings(data);
    assert!(verified.sound, "{} is damaged:\n{}", data.display(), listed(&verified.findings));
    verified
}

/// The same, for a test that expects findings.
///
/// # Panics
/// When the check cannot be made: a broker runs on the directory, or it is none.
pub fn findings(data: &Path) -> Verified {
    let output = Command::new(heddle())
        .args(["verify", "--json", "--deep", "--quiet"])
        .arg(data)
        .output()
        .expect("the broker's binary starts");
    let code = output.status.code();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(code, Some(0 | 1)), "`heddle verify` ended with {}:\n{said}", output.status);
    let document: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let sound = document["sound"].as_bool().expect("`sound` is in every document");
    assert_eq!(code, Some(i32::from(!sound)), "the exit code says what the document says");
    let list = document["findings"].as_array().expect("`findings` is in every document");
    Verified { sound, findings: list.iter().map(finding).collect(), document }
}

fn finding(value: &Value) -> Finding {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    Finding {
        severity: text("severity").expect("a finding has a severity"),
        code: text("code").expect("a finding has a code"),
        partition: text("partition"),
        file: text("file"),
        position: value["position"].as_u64(),
        what: text("what").expect("a finding says what it is"),
    }
}

/// A line for each finding.
fn listed(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let Finding { severity, code, partition, file, position, what } = finding;
        let partition = partition.as_deref().unwrap_or("-");
        let file = file.as_deref().unwrap_or("-");
        let position = position.map_or(String::new(), |position| format!(" at byte {position}"));
        format!("  {severity} {code} {partition} {file}{position}: {what}")
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

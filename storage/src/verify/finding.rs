//! Findings, and the report that gathers them.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;

use super::code::{Code, Severity};
use crate::ids::LogId;

/// Most findings a report keeps; those beyond are counted.
pub const FINDINGS_MAX: usize = 10_000;

/// One thing that is not as it should be, or that is worth saying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is, with its severity, its consequence and what to do.
    pub code: Code,
    /// This case of it, in words.
    pub what: String,
    /// The file or directory, relative to the data directory.
    pub file: Option<String>,
    /// The byte in the file where it begins.
    pub position: Option<u64>,
    /// The partition concerned.
    pub log: Option<LogId>,
    /// The partition's directory below `topics`, which begins with the topic's name.
    pub dir: Option<String>,
}

impl Finding {
    /// A finding that is not yet anywhere.
    pub fn new(code: Code, what: impl Into<String>) -> Finding {
        Finding { code, what: what.into(), file: None, position: None, log: None, dir: None }
    }

    /// In this file or directory, relative to the data directory.
    #[must_use]
    pub fn file(mut self, file: impl Into<String>) -> Finding {
        self.file = Some(file.into());
        self
    }

    /// At this byte of its file.
    #[must_use]
    pub fn position(mut self, position: u64) -> Finding {
        self.position = Some(position);
        self
    }

    /// Of this partition, whose directory below `topics` is `dir`.
    #[must_use]
    pub fn of_log(mut self, log: LogId, dir: &str) -> Finding {
        self.log = Some(log);
        self.dir = (!dir.is_empty()).then(|| dir.to_owned());
        self
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Bytes read.
    pub bytes: u64,
    /// Journals, one for each shard of the generation in force.
    pub journals: u64,
    /// Journal frames whose checksum is right.
    pub frames: u64,
    /// Journal entries that no checkpoint holds yet.
    pub entries: u64,
    /// Checkpoints of logs.
    pub checkpoints: u64,
    /// Partitions.
    pub logs: u64,
    /// Segment files.
    pub segments: u64,
    /// Batches in them.
    pub batches: u64,
    /// Records in these, as their headers count them.
    pub records: u64,
    /// Index files.
    pub indexes: u64,
}

/// What the check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The worst first, then by code and place; at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// Findings of severity error, those not kept included.
    pub errors: u64,
    /// Findings of severity warning.
    pub warnings: u64,
    /// Findings of severity note.
    pub notes: u64,
    /// Findings that were counted and not kept.
    pub omitted: u64,
    /// How much was looked at.
    pub checked: Checked,
}

impl Report {
    /// No finding of severity error.
    pub fn is_sound(&self) -> bool {
        self.errors == 0
    }

    /// Takes in what another report has, behind what this one has.
    pub fn extend(&mut self, other: Report) {
        let before = (self.errors, self.warnings, self.notes);
        other.findings.into_iter().for_each(|finding| self.add(finding));
        self.errors = before.0 + other.errors;
        self.warnings = before.1 + other.warnings;
        self.notes = before.2 + other.notes;
        self.omitted += other.omitted;
        self.checked = other.checked;
    }

    /// Takes a finding in.
    pub fn add(&mut self, finding: Finding) {
        match finding.severity() {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
            Severity::Note => self.notes += 1,
        }
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.omitted += 1;
        }
    }
}

/// How far the check has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read so far.
    pub bytes: u64,
    /// Bytes there are to read, as far as is known; it grows while directories are listed.
    pub total: u64,
}

/// The report while it is written, shared by the tasks that read.
#[derive(Clone, Default)]
pub(super) struct Findings(Rc<Shared>);

#[derive(Default)]
struct Shared {
    report: RefCell<Report>,
    total: Cell<u64>,
    on_progress: Option<Rc<dyn Fn(Progress)>>,
}

impl Findings {
    pub(super) fn new(on_progress: Option<Rc<dyn Fn(Progress)>>) -> Findings {
        Findings(Rc::new(Shared { on_progress, ..Shared::default() }))
    }

    pub(super) fn add(&self, finding: Finding) {
        self.0.report.borrow_mut().add(finding);
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Checked)) {
        change(&mut self.0.report.borrow_mut().checked);
    }

    /// So much more is to be read.
    pub(super) fn expect(&self, bytes: u64) {
        self.0.total.set(self.0.total.get() + bytes);
    }

    /// So much more was read.
    pub(super) fn on_read(&self, bytes: u64) {
        self.count(|checked| checked.bytes += bytes);
        if let Some(on_progress) = &self.0.on_progress {
            let bytes = self.0.report.borrow().checked.bytes;
            on_progress(Progress { bytes, total: self.0.total.get().max(bytes) });
        }
    }

    /// The report, at the end.
    pub(super) fn take(&self) -> Report {
        let mut report = self.0.report.take();
        // Two tasks read logs, and which is first is chance.
        report.findings.sort_by(|a, b| {
            let key = |of: &Finding| (std::cmp::Reverse(of.severity()), of.code);
            let place = |of: &Finding| (of.dir.clone(), of.file.clone(), of.position);
            key(a).cmp(&key(b)).then_with(|| place(a).cmp(&place(b)))
        });
        report
    }
}

/// A path below the data directory, as findings name it.
pub(super) fn relative(data: &Path, path: &Path) -> String {
    path.strip_prefix(data).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_what_it_does_not_keep() {
        let mut report = Report::default();
        for _ in 0..FINDINGS_MAX + 5 {
            report.add(Finding::new(Code::TornTail, "x"));
        }
        assert!(report.is_sound());
        report.add(Finding::new(Code::SegmentShort, "y").file("a").position(7));
        assert_eq!((report.errors, report.notes, report.omitted), (1, FINDINGS_MAX as u64 + 5, 6));
        assert!(!report.is_sound());
    }
}

//! Why a measurement could not be made: what happened, and what to do about it.

use std::fmt;

/// What kind of failure it was; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The options or a file are wrong: exit code 2.
    Usage,
    /// The measurement failed: exit code 1.
    Failed,
    /// A record was lost, duplicated, reordered or altered: exit code 6.
    Audit,
}

/// A failure, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}", fix.as_ref().map(|fix| format!(" ({fix})")).unwrap_or_default())]
pub struct BenchError {
    /// What kind.
    pub kind: Kind,
    /// What happened, and why.
    pub what: String,
    /// What to do.
    pub fix: Option<String>,
}

impl BenchError {
    /// The measurement failed.
    pub fn failed(what: impl fmt::Display) -> BenchError {
        BenchError { kind: Kind::Failed, what: what.to_string(), fix: None }
    }

    /// The options or a file are wrong.
    pub fn usage(what: impl fmt::Display) -> BenchError {
        BenchError { kind: Kind::Usage, what: what.to_string(), fix: None }
    }

    /// The same, with what to do about it.
    pub fn fix(mut self, fix: impl fmt::Display) -> BenchError {
        self.fix = Some(fix.to_string());
        self
    }
}

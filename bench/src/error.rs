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
    /// SIGINT or SIGTERM: exit code 130.
    Interrupted,
}

/// A failure, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}{}", with(": ", why, ""), with(" (", fix, ")"))]
pub struct BenchError {
    /// What kind.
    pub kind: Kind,
    /// What happened.
    pub what: String,
    /// Why, where `what` does not say it.
    pub why: Option<String>,
    /// What to do.
    pub fix: Option<String>,
}

fn with(before: &str, text: &Option<String>, after: &str) -> String {
    text.as_ref().map(|text| format!("{before}{text}{after}")).unwrap_or_default()
}

impl BenchError {
    /// The measurement failed.
    pub fn failed(what: impl fmt::Display) -> BenchError {
        BenchError { kind: Kind::Failed, what: what.to_string(), why: None, fix: None }
    }

    /// The options or a file are wrong.
    pub fn usage(what: impl fmt::Display) -> BenchError {
        BenchError { kind: Kind::Usage, what: what.to_string(), why: None, fix: None }
    }

    /// A signal ended it while `what` was going on.
    pub fn interrupted(what: impl fmt::Display) -> BenchError {
        let what = format!("{what} was interrupted by a signal");
        BenchError { kind: Kind::Interrupted, ..BenchError::failed(what) }
    }

    /// The same, with the reason.
    pub fn why(mut self, why: impl fmt::Display) -> BenchError {
        self.why = Some(why.to_string());
        self
    }

    /// The same, with what to do about it.
    pub fn fix(mut self, fix: impl fmt::Display) -> BenchError {
        self.fix = Some(fix.to_string());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_why_and_what_to_do() {
        let error = BenchError::usage("it does not run").why("it has no legs").fix("carry it");
        assert_eq!(error.to_string(), "it does not run: it has no legs (carry it)");
        assert_eq!(BenchError::failed("it fell").to_string(), "it fell");
    }
}

//! The form every start-up failure has.

/// A reason not to start, for the person who reads it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {what}\n  why: {why}\n  fix: {fix}")]
pub struct StartError {
    /// Stable identifier, such as `HDL-IO-001`.
    pub code: &'static str,
    /// What happened.
    pub what: String,
    /// Why, with the values found.
    pub why: String,
    /// What to do.
    pub fix: String,
}

impl StartError {
    pub(super) fn new(
        code: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> StartError {
        StartError { code, what: what.into(), why: why.into(), fix: fix.into() }
    }
}

//! What the model objects to.

use std::fmt;

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Acknowledged or visible records are gone.
    Lost,
    /// There are records that nobody sent, or more than were sent.
    Invented,
    /// A record is not what was sent, or not where it was.
    Altered,
    /// A batch was given offsets that do not follow the last one's.
    Offsets,
    /// A read gave too little, too much, or refused what it should give.
    Read,
    /// A producer's batch was taken twice, or refused though it was the next, or the like.
    Producer,
    /// An append was refused without a reason.
    Refused,
    /// The log's start went back, or too far.
    LogStart,
    /// A topic is there that was deleted, or not there though it was created, or is another.
    Topics,
    /// The generation did not grow.
    Epoch,
    /// The node did not start.
    Start,
    /// A log is offline without a reason, or damage was reported where there is none.
    Offline,
    /// The process ended without a reason.
    Ended,
    /// Something did not end.
    Endless,
}

/// A rule of the model that the storage code broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub rule: Rule,
    /// What happened.
    pub text: String,
}

impl Violation {
    /// A violation.
    pub fn new(rule: Rule, text: impl Into<String>) -> Violation {
        Violation { rule, text: text.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.text)
    }
}

/// Nothing, or a violation.
pub type Verdict<T = ()> = Result<T, Violation>;

/// Objects unless `holds`.
pub fn ensure(holds: bool, rule: Rule, text: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Violation::new(rule, text())) }
}

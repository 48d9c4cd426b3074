//! Ten bugs that tests can switch on, to show that a test finds what it claims to find.
//!
//! Each stands at the place of the rule that it breaks. Without the feature `planted` [`is`] is a constant `false`, and
//! the compiler leaves nothing of them; the shipped binary is built without it, which a test in `simulation` checks.
//! A bug is planted per thread, because simulated worlds run one to a thread.

/// A bug to plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// The journal reports a write as flushed that was not.
    SkipFlush,
    /// Appends are acknowledged when their write is submitted, not when it has completed.
    AcknowledgeAtSubmission,
    /// The journal's files are used again before a checkpoint has passed them.
    RecycleEarly,
    /// Recovery takes frames of an older generation for its own.
    IgnoreEpoch,
    /// A journal file gets its name without a sync of the directory.
    MissDirectorySync,
    /// A duplicate of a batch that is still in flight is answered before that batch is durable.
    AnswerDuplicateEarly,
    /// A segment's partial last block is written again when its contents have left the journal, from what is left.
    RewriteTailBlockLate,
    /// Recovery takes a log's producers from an older checkpoint than the log itself.
    OldProducerSnapshot,
    /// Recovery passes over truncations.
    LoseTruncate,
    /// A topic that is created again gets the id of the one that was deleted. The rule is the controller's, so whoever
    /// draws ids asks for this one.
    ReuseLogId,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 10] = [
        Bug::SkipFlush,
        Bug::AcknowledgeAtSubmission,
        Bug::RecycleEarly,
        Bug::IgnoreEpoch,
        Bug::MissDirectorySync,
        Bug::AnswerDuplicateEarly,
        Bug::RewriteTailBlockLate,
        Bug::OldProducerSnapshot,
        Bug::LoseTruncate,
        Bug::ReuseLogId,
    ];
}

#[cfg(feature = "planted")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug on this thread, or takes it out again.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this bug is planted on this thread.
#[cfg(feature = "planted")]
pub fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// No bug is planted in a build without the feature.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn is(_: Bug) -> bool {
    false
}

//! What the shards of the node tell each other.

use storage::ids::LogId;
use storage::log_state::LogState;
use storage::store::StoreConfig;

use crate::metadata::Topic;
use crate::operation::Sending;

/// What a shard needs to begin.
pub struct Start {
    /// Its store's settings.
    pub store: StoreConfig,
    /// The logs that recovery gives it.
    pub logs: Vec<LogState>,
    /// All topics.
    pub topics: Vec<Topic>,
    /// The generation.
    pub generation: u32,
}

/// An operation on one log.
pub struct Work {
    /// The log.
    pub id: LogId,
    /// What is to be done.
    pub what: What,
}

/// What is to be done with a log.
pub enum What {
    /// Its topic's creation is durable: it begins.
    Create {
        /// Where its files go.
        dir: String,
        /// Its settings.
        profile: u8,
    },
    /// It gets other settings.
    Configure {
        /// Their number.
        profile: u8,
    },
    /// Its topic's deletion is durable: its files go.
    Delete,
    /// As [`crate::operation::Operation::Produce`].
    Produce {
        /// Whose, and which.
        sending: Sending,
        /// Records.
        records: u16,
        /// Bytes of a value.
        value_bytes: u32,
    },
    /// As [`crate::operation::Operation::Read`].
    Read {
        /// From where.
        at: u8,
        /// Most bytes.
        max_bytes: u32,
        /// One batch in any case.
        one_at_least: bool,
    },
    /// As [`crate::operation::Operation::ReadAll`].
    ReadAll {
        /// Bytes at a time.
        step_bytes: u32,
    },
    /// As [`crate::operation::Operation::DeleteRecords`].
    DeleteRecords {
        /// To where.
        at: u8,
    },
    /// As [`crate::operation::Operation::Truncate`].
    Truncate {
        /// To where.
        at: u8,
    },
}

/// Mail.
pub enum Mail {
    /// To a shard: begin.
    Start(Box<Start>),
    /// To the first shard: begun, and what was found is right; or why not.
    Started(Result<(), String>),
    /// To a shard: an operation.
    Work(Work),
    /// To a shard: end in order.
    Stop,
    /// To the first shard: ended in order.
    Stopped,
}

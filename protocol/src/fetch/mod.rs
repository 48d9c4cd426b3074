//! Fetch (key 1), versions 4 to 18, by hand: the request is borrowed, the response leaves a hole for each record set
//! so that stored batches travel from where they lie.
//!
//! Version 4 brought isolation levels, 5 the log start offset, 7 sessions (KIP-227), 9 leader epochs (KIP-320), 10
//! zstd, 11 racks (KIP-392), 12 the flexible encoding and diverging epochs (KIP-595), 13 topic ids (KIP-516), 15 the
//! replica's state in a tag (KIP-903), 16 node endpoints (KIP-951), 17 and 18 tags only replicas send (KIP-853,
//! KIP-1166).

mod request;
mod response;
#[cfg(test)]
mod tests;

pub use request::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic, Isolation};
pub use response::{
    AbortedTransaction, EncodedFetch, EpochEndOffset, FetchResponse, Hole, Part, PartitionData,
    Piece, SnapshotId, TopicData,
};

/// First version with fetch sessions.
pub const SESSIONS_FROM: i16 = 7;
/// First version with topic ids instead of names.
pub const TOPIC_IDS_FROM: i16 = 13;
/// First version that can say the current leader and a diverging epoch.
pub const CURRENT_LEADER_FROM: i16 = 12;
/// First version that can say node endpoints.
pub const NODE_ENDPOINTS_FROM: i16 = 16;

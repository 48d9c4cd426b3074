//! The few structs that Produce and Fetch share.

use std::fmt;

/// A topic as a request names it: by name in older versions, by id from Produce 13 and Fetch 13 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicRef<'a> {
    /// By name.
    Name(&'a str),
    /// By topic id (KIP-516), the 16 bytes of its UUID.
    Id([u8; 16]),
}

impl<'a> TopicRef<'a> {
    /// The name, if the topic was named by it.
    #[must_use]
    pub fn name(self) -> Option<&'a str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Id(_) => None,
        }
    }

    /// The id, if the topic was named by it.
    #[must_use]
    pub fn id(self) -> Option<[u8; 16]> {
        match self {
            Self::Name(_) => None,
            Self::Id(id) => Some(id),
        }
    }
}

impl fmt::Display for TopicRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Id(id) => uuid::Uuid::from_bytes(*id).fmt(f),
        }
    }
}

/// Who leads a partition now (KIP-951): lets a client switch leader without asking for metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderIdAndEpoch {
    /// Node id of the leader, -1 if unknown.
    pub leader_id: i32,
    /// Its epoch, -1 if unknown.
    pub leader_epoch: i32,
}

/// Where a node named by [`LeaderIdAndEpoch`] listens (KIP-951).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEndpoint {
    /// Node id.
    pub node_id: i32,
    /// Host as advertised.
    pub host: String,
    /// Port as advertised.
    pub port: i32,
    /// Rack, if configured.
    pub rack: Option<String>,
}

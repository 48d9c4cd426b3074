//! The other end of the wire: encodes requests, decodes responses, picks partitions. Sans-I/O, like the rest.
//!
//! Used by the command line client, the tests and the load generator. A caller negotiates first ([`Negotiated`]),
//! encodes with [`request`] (or [`ProduceCall`] and [`FetchCall`], which borrow and copy record bytes at most once),
//! cuts what comes back with [`FrameReader::responses`](crate::frame::FrameReader::responses) and decodes it with
//! [`response`] (or [`ProduceAnswer`] and [`FetchAnswer`]). Every decoder is total: a bad server cannot crash a
//! client.

mod call;
mod fetch;
mod negotiate;
mod partitioner;
mod produce;

pub use call::{CallError, correlation_id, request, response};
pub use fetch::{FetchAnswer, FetchCall, FetchCallPartition, FetchedPartition, FetchedTopic};
pub use negotiate::{Negotiated, Unsupported};
pub use partitioner::{murmur2, partition_for_key};
pub use produce::{ProduceAnswer, ProduceCall, ProduceCallPartition, ProducedPartition};

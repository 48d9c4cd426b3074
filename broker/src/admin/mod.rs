//! The admin port: health, metrics and stage timings over HTTP, read only.
//!
//! Lives on the first shard, in the queue of background work. It never keeps the shard for long: other shards are asked by
//! mail and waited for with a limit, and what is written is written in the blocking pool. What a peer may cost is bounded
//! in `limits.rs`: connections, bytes of a request, time.
//!
//! | module | holds |
//! |---|---|
//! | [`http`] | the bytes of requests and responses; pure |
//! | [`port`] | the listening socket and its connections |
//! | [`pages`] | which path is answered with what |
//! | [`gather`] | what all shards know, at about one moment |
//! | [`stages`] | the page `/v1/stages` |
//! | [`prometheus`] | the page `/metrics` |

pub mod gather;
pub mod http;
pub mod pages;
pub mod port;
pub mod prometheus;
pub mod stages;

pub use pages::Admin;

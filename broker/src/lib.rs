//! The broker: connections, shards, partitions, the metadata of the cluster, and the command line.
//!
//! Dependencies inside this crate point one way: pure modules (`limits`, `fetch`, `controller`'s
//! image and records, `config`, `observe`) <- `api` <- `shard` and `net` <- `admin` <- `server` <- `cli`.

pub mod admin;
pub mod api;
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "commands run on plain threads, outside the shards"
)]
pub mod cli;
#[expect(clippy::disallowed_methods, reason = "read once, before the shards start")]
pub mod config;
pub mod controller;
pub mod fetch;
pub mod limits;
pub mod net;
pub mod observe;
pub mod planted;
pub mod server;
pub mod shard;
pub mod version;

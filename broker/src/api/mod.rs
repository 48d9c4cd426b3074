//! The Kafka APIs, one file per API key. Each file opens with the versions it serves, what each
//! added, and where the answer differs from Apache Kafka's.
//!
//! A handler takes its request as the `kafka-protocol` crate decoded it and gives the response to
//! encode at the same version; error codes are chosen here and nowhere else.

pub mod context;
pub mod table;

pub mod alter_configs;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod fetch;
pub mod find_coordinator;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod list_offsets;
pub mod metadata;
pub mod offset_for_leader_epoch;
pub mod produce;

mod authorized_operations;
mod config_resource;
mod errors;
mod fetch_response;
mod once;
mod partitions;
mod refusal;

#[cfg(test)]
mod testing;

pub use context::ApiContext;

//! A small blocking Kafka client for the command line, over `std::net`.
//!
//! It speaks to any Kafka broker, which is how it is proven: the commands were first run against
//! Apache Kafka.
//!
//! | file | holds |
//! |---|---|
//! | [`connection`] | one socket: handshake, requests in flight, responses in order |
//! | [`cluster`] | brokers and their connections, metadata |
//! | [`admin`] | creating, describing, altering and deleting topics |
//! | [`error`] | what can go wrong, and what is worth another try |

pub mod admin;
pub mod cluster;
pub mod connection;
pub mod error;

pub use cluster::{Cluster, TopicInfo};
pub use connection::{Connection, InFlight};
pub use error::ClientError;

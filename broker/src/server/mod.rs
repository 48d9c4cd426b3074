//! The broker as a whole: start, serve, stop.
//!
//! Shard 0 leads: it owns the data directory, the controller and the listeners, and takes the other
//! shards through start and stop by mail.

mod error;
mod first;
mod follower;
mod listeners;
mod prune;
mod publish;
mod run;
mod setup;
mod stop;

pub use error::ServerError;
pub use run::{BoundListener, Started, run};

//! One shard's logs behind one front: what the broker calls.
//!
//! `shard_store` starts and stops, `handle` is one log; `room`, `retention`, `truncate`, `mend` and `timestamps` do what takes
//! more than one step. The state machines they drive are in `log`; the background work is in `write_behind`, `seal`,
//! `checkpointing` and `cold_read`.

pub(crate) mod cell;
pub mod config;
pub mod device_budget;
pub mod files;
pub mod handle;
pub mod indexes;
mod mend;
pub(crate) mod retention;
pub(crate) mod room;
pub mod shard_store;
pub mod stats;
mod timestamps;
pub(crate) mod truncate;
pub mod watch;

pub use config::StoreConfig;
pub use device_budget::DeviceBudget;
pub use handle::{DeleteRecordsError, LogHandle};
pub use shard_store::{Store, StoreError};
pub use stats::StoreStats;
pub use watch::{Bell, Watch};

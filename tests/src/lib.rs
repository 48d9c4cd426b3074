//! What the whole-system tests share: a broker as a process, the clients found on this machine, and
//! the ledger that says what must be there after a crash.
//!
//! Everything here runs the real binary on real files and real sockets on the loopback interface.
//! Nothing here knows how the broker works inside.

pub mod broker_process;
pub mod calls;
pub mod churn;
pub mod clients;
pub mod counts;
pub mod dice;
pub mod disk;
pub mod go_between;
pub mod http;
pub mod ledger;
pub mod load;
pub mod openmetrics;
pub mod port;
pub mod power_switch;
pub mod storm;
pub mod verify;
pub mod watcher;
pub mod wire;

pub use broker_process::{BrokerProcess, Settings};

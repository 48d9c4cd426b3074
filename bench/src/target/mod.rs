//! Brokers as processes: what is measured is started, asked, killed and ended here, and never outlives the measurement.
//!
//! | module | holds |
//! |---|---|
//! | [`spec`] | what to measure, as it is written in options |
//! | [`broker`] | a broker that runs |
//! | [`contender`] | a broker that is measured in turns with others |
//! | [`launch`] | the command that starts one |
//! | [`kafka`] | Apache Kafka: its archives, its files, its flags |
//! | [`guard`] | ends a broker when this process is gone, however it ended |
//! | [`process`] | processor time, memory and threads of a process |
//! | [`answer`] | whether a broker answers |
//! | [`port`] | ports for brokers |

pub mod answer;
pub mod broker;
pub mod contender;
pub mod guard;
pub mod kafka;
pub mod launch;
pub mod port;
pub mod process;
pub mod spec;

pub use broker::Broker;
pub use contender::{Between, Contender};
pub use spec::Spec;

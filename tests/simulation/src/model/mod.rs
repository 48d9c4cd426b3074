//! What was promised, and so what a node must hold whatever happened to it.
//!
//! `producer` is one producer of one log, `log` one log, `topics` the node's topics.

mod log;
mod producer;
mod topics;

pub use log::{Aftermath, LogModel};
pub use producer::{Answer, Producer, Sent, Stamp};
pub use topics::{Faults, Model, Standing, TopicModel};

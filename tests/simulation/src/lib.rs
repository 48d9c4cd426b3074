//! The storage code on a simulated host, with a model beside it that says what a crash may leave.
//!
//! Reading order: `operation`, `settings` and `scenario` (what happens, drawn from a seed), `model` and `violation` (what must
//! hold), `metadata`, `start`, `first`, `worker` and `client` (the node and its clients, on all its shards), `shared` and `run`
//! (one world, process after process), `hunt` and `shrink` (many worlds, and what to do with one that failed).
//!
//! README.md says what the model says, how to run it, and what is not modelled.

pub mod dice;
pub mod operation;
pub mod scenario;
pub mod settings;

pub mod model;
pub mod violation;

pub mod client;
pub mod first;
pub mod mail;
pub mod metadata;
pub mod start;
pub mod worker;

pub mod coverage;
pub mod run;
pub mod shared;

pub mod hunt;
pub mod shrink;

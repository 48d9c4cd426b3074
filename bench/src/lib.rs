//! The load generator, its results, comparisons and reports; and measurements of the engine beside its yardsticks.
//!
//! | module | holds |
//! |---|---|
//! | [`plan`] | what a run is asked to do |
//! | [`load`] | the generator, which runs a plan against any broker |
//! | [`record`] | what records consist of, how they become batches, and the delivery audit |
//! | [`result`] | what a run measured, as data, and the forms in which it is shown |
//! | [`target`] | brokers as processes |
//! | [`report`] | results as a page |
//! | [`compare`] | two brokers in pairs of runs, and verdicts |
//! | [`versus`] | several brokers side by side |
//! | [`cli`] | the commands of `heddle bench` |
//! | [`admin`] | the client of Heddle's admin port: stage timings and counters |
//! | [`error`] | why a measurement could not be made |
//! | [`latency`], [`processor`], [`provenance`] | histograms, processor time, where a run took place |
//!
//! Measurements of single parts are programs of their own below `bin`. They run everything they compare in one process and in
//! turns, because a number from a shared machine means something only beside another of the same minutes.

pub mod admin;
pub mod cli;
pub mod compare;
pub mod error;
pub mod latency;
pub mod load;
pub mod plan;
pub mod processor;
pub mod provenance;
pub mod record;
pub mod report;
pub mod result;
pub mod target;
pub mod versus;

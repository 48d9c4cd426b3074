//! A producer: a schedule, batches that gather behind it, and a connection to each broker.
//!
//! Reading order: [`schedule`] says when records are meant to be sent, [`accumulate`] puts them into batches and says
//! which partitions have something to send, [`link`](mod@link) sends it, one per broker, `answer` settles what was sent,
//! `request` encodes.

pub mod schedule;

pub mod accumulate;

pub mod link;

pub mod request;

mod answer;
mod client;

pub use client::Producer;

//! Several brokers side by side: the same loads against each, in turns, each alone on the machine.
//!
//! | module | holds |
//! |---|---|
//! | [`row`] | the loads |
//! | [`course`] | what is measured, in which order |
//! | [`measurement`] | one measured thing, kept as a line of JSON, so that a comparison goes on where it was interrupted |
//! | [`neutral`] | clients that are not ours: Apache Kafka's and librdkafka's |
//! | [`table`] | what was measured, for people |

pub mod course;
pub mod measurement;
pub mod neutral;
pub mod row;
pub mod table;

pub use course::{Course, Options};
pub use measurement::{Journal, Measurement, What};
pub use row::Row;

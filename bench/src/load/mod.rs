//! The load generator: runs a [`Plan`](crate::plan::Plan) against any broker that speaks Kafka's protocol.
//!
//! | file | holds |
//! |---|---|
//! | [`live`] | where a run takes place, and what is shown of it meanwhile |
//! | [`run`](mod@run) | the order of a run: topics, threads, warm-up, measurement, drain, audit |
//! | [`cluster`], [`connection`], [`trouble`] | requests about topics; one connection; what can go wrong with it |
//! | [`control`] | what the threads of a run have in common |
//! | [`limits`] | every maximum |

pub mod limits;
pub mod live;
pub mod run;

pub mod cluster;
pub mod connection;
pub mod control;
pub mod trouble;

pub use live::{Live, Phase, Where};
pub use run::run;

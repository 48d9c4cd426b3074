//! The load generator: runs a [`Plan`](crate::plan::Plan) against any broker that speaks Kafka's protocol.
//!
//! | file | holds |
//! |---|---|
//! | [`live`] | where a run takes place, and what is shown of it meanwhile |
//! | [`run`](mod@run) | the order of a run: topics, threads, warm-up, measurement, drain, audit |
//! | [`topics`], [`threads`], [`context`], [`control`] | topics that come and go; threads, what each knows, what all know |
//! | [`producer`], [`consumer`], [`fetcher`] | the clients |
//! | [`beside`] | what else happens: catch-up readers, connection storms, idle connections |
//! | [`meter`], [`scribe`], [`outcome`], [`usage`] | what clients measure, who gathers it, what comes of it; processor time |
//! | [`cluster`], [`connection`], [`trouble`] | requests about topics; one connection; what can go wrong with it |
//! | [`limits`] | every maximum |

pub mod limits;
pub mod live;
pub mod run;

pub mod beside;
pub mod cluster;
pub mod connection;
pub mod consumer;
pub mod context;
pub mod control;
pub mod fetcher;
pub mod meter;
pub mod outcome;
pub mod producer;
pub mod scribe;
pub mod threads;
pub mod topics;
pub mod trouble;
pub mod usage;

mod wait;

pub use live::{Live, Phase, Where};
pub use run::run;

//! One core's engine: executor, io_uring, buffers, sockets, files, timers and mail between shards.
//!
//! A *shard* is one thread with one ring, one executor and one memory budget. Code that runs on a
//! shard reaches all of it through the free functions and types of the facade modules below; none of
//! them may be called from a thread that is not a shard (they panic and say so), except where a
//! method's documentation allows it.
//!
//! The facade: [`task`], [`sync`], [`time`], [`random`], [`buffer`], [`mod@file`], [`net`], [`mail`],
//! [`blocking`], [`shard`], [`signal`], [`check`], [`alloc`], [`stats`]. Behind it stand the executor, the timer wheel, the
//! arena and the [`host`], the one place that performs I/O.
//!
//! This is the only crate that may say `unsafe`, and every such block says why it holds.

pub mod alloc;
pub mod blocking;
pub mod buffer;
pub mod check;
pub mod file;
pub mod host;
pub mod limits;
pub mod mail;
pub mod net;
pub mod process;
pub mod random;
pub mod shard;
pub mod signal;
#[cfg(feature = "sim")]
pub mod sim;
pub mod stats;
pub mod sync;
pub mod task;
pub mod time;

mod executor;
mod exit;
mod local;
mod queue;
mod remote;
mod slab;
mod timer;
mod turn;
mod uring;
mod waker;

pub use exit::exit_now;

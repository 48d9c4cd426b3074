//! The one seam for I/O, and how other hosts join.
//!
//! Everything above this line of the engine (the facade, the executor, the sync primitives, buffers) is
//! ordinary safe Rust over the few things a host provides: a clock, a way to sleep until
//! something completes, operations on files and sockets that own their memory, and a way for other
//! threads to end the sleep. Two hosts do: [`uring`], which the binary has, and the simulated one, for tests.
//!
//! * The **simulated host** (`engine::sim`, Cargo feature `sim`) takes the place of [`crate::time`]'s clock,
//!   [`crate::random`]'s source, [`crate::blocking`]'s threads, [`crate::exit_now`] and the operations on files
//!   and directories; a scheduler polls the executors of all shards in one thread. Tasks, timers, mail
//!   and buffers run unchanged. Without the feature nothing of it is compiled: the hooks stand behind
//!   `#[cfg(feature = "sim")]`. With it, a thread without a world is a real host as before.
//! * **glommio** as host runs our turn inside one of its tasks: the ring becomes its second ring, with an
//!   eventfd registered for completions (never masked, see `docs/decisions/0001-engine.md`), and
//!   `Wait::Forever` becomes an await on that eventfd.
//!
//! Code outside this crate cannot tell the difference.

pub mod uring;

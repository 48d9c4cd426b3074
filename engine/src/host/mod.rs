//! The one seam for I/O, and how other hosts join.
//!
//! Everything above this line of the engine (the facade, the executor, the sync primitives, buffers) is
//! ordinary safe Rust over the few things a host provides: a clock, a way to sleep until
//! something completes, operations on files and sockets that own their memory, and a way for other
//! threads to end the sleep. Today there is one host, [`uring`], used as a concrete type.
//!
//! * A **simulated host** replaces [`crate::time`]'s clock, [`crate::random`]'s source and the constructors of
//!   operations (`uring::file_ops`, `uring::socket_ops`), and completes them from a queue of virtual
//!   time through the same slab, so that tasks, timers, mail and futures run unchanged.
//! * **glommio** as host runs our turn inside one of its tasks: the ring becomes its second ring, with an
//!   eventfd registered for completions (never masked, see `docs/decisions/0001-engine.md`), and
//!   `Wait::Forever` becomes an await on that eventfd.
//!
//! In both cases the seam is the set of functions re-exported by [`uring`]; code outside this crate
//! cannot tell the difference.

pub mod uring;

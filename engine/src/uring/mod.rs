//! The ring: one `io_uring` per shard, and the operations in flight on it.
//!
//! Set up with SINGLE_ISSUER and DEFER_TASKRUN, so that completions are processed when, and only when, the
//! loop enters the kernel; SUBMIT_ALL, so that one bad entry does not hold back the others; and
//! TASKRUN_FLAG, so that a busy loop can see without a system call that completions are pending.
//!
//! Holds always: memory the kernel may touch is owned by the slab of operations until the operation's
//! last completion, whatever becomes of the future that asked for it; a descriptor is closed only when
//! no operation in flight names it.

mod descriptor;
mod file_ops;
mod hold;
mod operation;
mod provided;
mod ring;
mod socket_ops;

pub(crate) use descriptor::Descriptor;
pub(crate) use file_ops::*;
pub(crate) use hold::{Hold, Outgoing};
pub(crate) use operation::Operation;
pub(crate) use provided::Provided;
pub(crate) use ring::{Ring, RingCounters, Wait};
pub(crate) use socket_ops::*;

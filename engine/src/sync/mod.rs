//! Primitives for the tasks of one shard. None is `Send`, none uses an atomic, all are first in, first
//! out, and every future here may be dropped at any time without losing a wake-up or a permit.

mod gate;
mod notify;
mod oneshot;
mod queue;
mod semaphore;
mod waiters;

pub use gate::{Gate, Pass};
pub use notify::{Notified, Notify};
pub use oneshot::{Dropped, Receiver, Sender, oneshot};
pub use queue::{Closed, Queue, TryPushError};
pub use semaphore::{AcquireError, Permit, Semaphore};

pub(crate) use waiters::Waiters;

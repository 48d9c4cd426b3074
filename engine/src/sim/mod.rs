//! The simulated host: a machine in one thread, made of one seed.
//!
//! A [`World`] has a virtual clock, dice, a disk, and one process at a time, whose shards run the same code
//! as real ones, through the same facade: tasks, queues with shares, timers, mail, parcels, memory budgets.
//! The same seed with the same code gives the same run, which [`World::trace_hash`] shows. What the code
//! under test must not do for that: look at addresses, at the iteration order of randomly seeded maps, at
//! clocks other than [`crate::time`].
//!
//! # Processes
//!
//! [`World::run`] starts shards that exist as long as it runs. A scheduler lets one shard at a time make one
//! poll; polls take 1-3 us of virtual time, seldom up to 3 ms (another process has the core), during
//! which the other shards run on. One shard in eight has a core that is 15 times as slow. A sleeping shard
//! wakes 1-40 us after the cause. An end inside
//! ([`crate::exit_now`], [`crash`], a panic) unwinds to the scheduler; from then on nothing the process does
//! has an effect, and all its tasks are dropped. A panic is not printed but reported in [`ProcessEnd`], with
//! the backtrace if `RUST_BACKTRACE` asks for one. Memory comes from the shard's arena and is budgeted as on a
//! real shard; handed out it holds, in one process what its last owner left, in another one byte everywhere.
//!
//! # The disk
//!
//! A POSIX file system that promises nothing it does not have to, on a drive with a volatile cache. An
//! operation takes 10-500 us (cheap ones less, seldom 5-20 ms, plus 0.5 ns a byte; in some processes nearly all
//! the same, in others often long) and has its effect when it completes; operations in flight together complete
//! in any order.
//!
//! * A completed write can be read at once. It is durable when a sync *of its file* that was submitted after
//!   its completion has completed, or a `syncfs`; a write to a file opened `dsync` is durable itself,
//!   with the length it needs, and makes no earlier write durable.
//! * A file's length and reserved space are durable with a sync of the file, whichever kind. Names are durable
//!   with a sync of the directory that holds them, or a `syncfs`; syncing a file does not save its name.
//!   A rename within a directory is one change; between two it is durable in both or in none.
//! * A power cut keeps, drops or tears each write that is not durable, independently of the others; torn at
//!   sectors of 512 bytes, in the middle, at either end or at random. Of the changes of a file's length and
//!   space, and of each directory's names, it keeps the oldest few. Bytes past the length that is left are gone.
//!   How much is dropped differs from cut to cut, all and nothing included.
//! * An end of the process without a power cut keeps all that has completed. Operations in flight are done
//!   in whole, in part (writes: any of their sectors) or not at all.
//! * A dropped future cancels its operation, or does not.
//! * After a write or sync that failed, each sector fares differently: see [`Disk::fail_write`].
//! * Space is counted in blocks of 4 KiB that are reserved or written; a full disk refuses `allocate`, and
//!   cuts a write short where space ends. A file without a name keeps its space while it is open.
//! * Direct I/O must be aligned to 4 KiB in the file, and to blocks of [`crate::buffer`] in memory (the strictest
//!   device there is); else it fails with EINVAL.
//!
//! # Not modelled
//!
//! Sockets and signals (using them panics). Writes in flight that a read sees in part. Space taken by
//! directories and metadata. Permissions, links, access times. Sectors that change by themselves:
//! [`Disk::write`] does that. Short reads in the middle of a file. Several processes at a time: a lock is
//! only ever held against the process itself. A calendar that jumps. A blocking job ([`crate::blocking`])
//! runs at one instant of virtual time.

mod action;
mod dice;
mod disk;
mod end;
mod file;
mod here;
mod job;
mod operation;
mod process;
mod shared;
mod trace;
mod world;

pub use disk::{Disk, DiskCounters};
pub use end::{Crash, ProcessEnd, crash};
pub use here::{disk, roll};
pub use world::{World, WorldConfig};

pub(crate) use end::exit;
pub(crate) use file::{Opened, file_system};
pub(crate) use here::{is_here, is_running, now_ns, random, unix_ms};
pub(crate) use job::run_job;
pub(crate) use process::Host;

use action::Action;

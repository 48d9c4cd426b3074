//! Every maximum of the engine, with the reason for its value.

use std::time::Duration;

/// Tasks alive on one shard. The task index in a waker has 24 bits; this is far below it and still
/// three tasks for each of 300,000 connections.
pub const TASKS_MAX: usize = 1 << 20;

/// Executors alive in one process at a time (shards, and `block_on` callers).
pub const EXECUTORS_MAX: usize = 1024;

/// Submission queue entries of a ring; a turn that queues more enters the kernel early.
pub const SUBMISSIONS: u32 = 512;

/// Completion queue entries of a ring; beyond it the kernel keeps a list and hands it over on entry.
pub const COMPLETIONS: u32 = 8192;

/// Provided receive buffers of one shard: 16 KiB holds most requests whole, 256 of them are 4 MiB.
pub const RECEIVE_BUFFERS: u16 = 256;

/// Bytes of one provided receive buffer, and so of a [`crate::net::Chunk`] at most.
pub const RECEIVE_BUFFER_BYTES: usize = 16 * 1024;

/// Below this many free provided buffers, arriving data is copied out at once, so that connections
/// whose readers are slow can never starve the others.
pub const RECEIVE_BUFFERS_LOW: usize = 64;

/// Chunks that wait unread on one connection before its multishot receive is stopped.
pub const RECEIVE_CHUNKS_MAX: usize = 4;

/// Accepted connections that wait for `accept` before the multishot accept is stopped.
pub const ACCEPTED_MAX: usize = 128;

/// Length of a listener's kernel backlog.
pub const LISTEN_BACKLOG: i32 = 4096;

/// I/O vectors in one system call (`UIO_MAXIOV`).
pub const IOVECS_MAX: usize = 1024;

/// A send of at most this many bytes is tried without waiting, and its success does not end the shard's
/// sleep; larger ones seldom fit into a socket's buffer whole.
pub const SEND_INLINE_BYTES: usize = 64 * 1024;

/// How long the success of such a send may stay unseen on a shard with nothing else to do, when it holds
/// memory of another shard.
pub const SEND_UNSEEN_MAX: Duration = Duration::from_millis(1);

/// Bytes in one write or send request; the kernel caps a transfer just below 2 GiB.
pub const TRANSFER_BYTES_MAX: usize = 1 << 30;

/// Messages that may wait in a local outbox for one full peer; reaching it is a bug in a caller's window.
pub const OUTBOX_MAX: usize = 1 << 20;

/// Messages one mailbox's reader takes in a turn of the loop.
pub const MAIL_PER_TURN_MAX: usize = 256;

/// How long a listener pauses after an error. Out of descriptors, say, it would else fail again at once.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Jobs one shard may have in the blocking pool at a time; the next callers wait in order.
pub const BLOCKING_JOBS_MAX: u32 = 64;

/// Threads of the blocking pool, per process.
pub const BLOCKING_THREADS: usize = 2;

/// A task that runs longer than this without awaiting is counted and named by its queue.
pub const LONG_TASK: Duration = Duration::from_micros(500);

/// Tasks polled in one turn before the ring is looked at again.
pub const TURN_POLLS_MAX: usize = 256;

/// Time spent polling in one turn before the ring is looked at again.
pub const TURN_TIME_MAX: Duration = Duration::from_micros(250);

/// Oldest kernel that has everything the ring uses: single issuer with deferred task work.
pub const KERNEL_MIN: (u32, u32) = (6, 1);

/// Largest block that comes out of a shared chunk; larger ones have a mapping of their own.
pub const BLOCK_CHUNK_BYTES: usize = 1 << 20;

/// Free memory outside the registered region that a shard keeps for reuse, as a divisor of its budget.
pub const KEEP_DIVISOR: usize = 8;

const _: () = assert!(TASKS_MAX < 1 << 24, "a task index has 24 bits in a waker");
const _: () = assert!(RECEIVE_BUFFERS.is_power_of_two(), "a buffer ring is a power of two");
const _: () = assert!(RECEIVE_BUFFERS_LOW < RECEIVE_BUFFERS as usize);
const _: () = assert!(COMPLETIONS > 2 * SUBMISSIONS, "one turn's inline completions always fit");

//! A copy of what a shard knows about its work, for whoever asks: the admin port, and through it `heddle bench`.
//!
//! [`COUNTERS`] and [`GAUGES`] are the one table of names: the metrics, the page that documents them and the counters
//! in reports come from it.

use std::time::Duration;

use engine::buffer;
use storage::ids::{LogId, Offset};

use super::observed::TimingsCopy;
use crate::shard::Shard;

/// The name of a number and what it says.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// In metrics with `heddle_` before it, and `_total` behind it where it only grows.
    pub name: &'static str,
    /// A sentence without its full stop.
    pub help: &'static str,
}

const fn named(name: &'static str, help: &'static str) -> Named {
    Named { name, help }
}

/// Numbers that only grow, by shard.
pub static COUNTERS: [Named; 38] = [
    named("syscalls", "io_uring_enter calls, the only system call of the hot paths"),
    named("syscall_waits", "Of those, calls that were allowed to sleep"),
    named("submissions", "Operations handed to the ring"),
    named("completions", "Completions taken from the ring"),
    named("loop_turns", "Turns of the shard's loop"),
    named("task_polls", "Tasks polled"),
    named("long_tasks", "Tasks that kept the shard busy for longer than 500 us at a time"),
    named("wakes_sent", "Wake-ups sent to other shards"),
    named("wakes_received", "Wake-ups by other shards and threads"),
    named("receives_starved", "Receives that found no buffer free"),
    named("sends_blocked", "Sends that found the socket's buffer full"),
    named("allocations", "Allocations from the heap; 0 where the binary does not count them"),
    named("allocated_bytes", "Bytes of those allocations"),
    named(
        "copied_bytes",
        "Bytes of requests and records that the processor copied, all of the following",
    ),
    named("copied_receive_bytes", "Bytes of requests copied out of receive buffers"),
    named("copied_journal_bytes", "Bytes of batches copied into the journal"),
    named("copied_segment_bytes", "Bytes of batches copied on their way to segments"),
    named("copied_fetch_bytes", "Bytes of batches copied into responses, because they are few"),
    named("received_bytes", "Bytes of requests"),
    named("sent_bytes", "Bytes of responses"),
    named("connections_opened", "Connections opened"),
    named("connections_closed", "Connections closed"),
    named("connections_failed", "Connections closed because of what they sent"),
    named("cross_shard_hops", "Calls of Produce and Fetch requests to other shards"),
    named("batches", "Record batches appended"),
    named("records", "Records appended"),
    named("batch_bytes", "Bytes of record batches appended"),
    named("batches_refused", "Record batches refused"),
    named("fetched_bytes", "Bytes of record batches in Fetch responses"),
    named("fetches_refused", "Partitions of Fetch requests answered with an error"),
    named("tail_read_bytes", "Bytes of record batches read from memory"),
    named("cold_read_bytes", "Bytes of record batches read from segments"),
    named("journal_writes", "Writes to the journal"),
    named("journal_flushes", "Of those, the ones that were flushed to the device"),
    named("journal_frames", "Frames in them"),
    named("journal_bytes", "Bytes of them, padding included"),
    named("segment_writes", "Writes to segments"),
    named("checkpoints", "Checkpoints made"),
];

/// Numbers that go up and down, by shard.
pub static GAUGES: [Named; 10] = [
    named("connections", "Connections open"),
    named("tasks", "Tasks alive"),
    named("operations", "Operations in flight in the ring"),
    named("memory_used_bytes", "Buffer memory in use"),
    named("memory_budget_bytes", "Buffer memory there is"),
    named("unwritten_bytes", "Bytes acknowledged from the journal and not in a segment yet"),
    named("cached_bytes", "Bytes kept in memory for consumers at the tail, beyond those"),
    named("pinned_bytes", "Bytes of records that responses keep in memory"),
    named("journal_fill_ratio", "How full the journal is; from 0.5 on producers are slowed"),
    named("logs", "Partitions on this shard"),
];

/// The queues of a shard's tasks, in the order in which the engine counts them.
pub const QUEUES: [&str; 4] = ["produce", "fetch", "cold", "background"];

/// What one shard knew at one moment.
#[derive(Clone, Debug)]
pub struct ShardSnapshot {
    /// Which.
    pub shard: u16,
    /// Processor time of its thread.
    pub cpu: Duration,
    /// By [`COUNTERS`].
    pub counters: [u64; COUNTERS.len()],
    /// By [`GAUGES`].
    pub gauges: [f64; GAUGES.len()],
    /// Requests by the name of their API.
    pub requests: Vec<(&'static str, u64)>,
    /// Time in tasks, by [`QUEUES`].
    pub queue: [Duration; QUEUES.len()],
    /// Stage timings.
    pub timings: Vec<TimingsCopy>,
    /// Its logs, where they were asked for.
    pub logs: Vec<LogSnapshot>,
}

/// One partition at one moment.
#[derive(Clone, Copy, Debug)]
pub struct LogSnapshot {
    /// Which.
    pub id: LogId,
    /// Its first offset.
    pub log_start: Offset,
    /// The high watermark.
    pub visible_end: Offset,
    /// Bytes of its segments.
    pub bytes: u64,
}

impl ShardSnapshot {
    /// Of `shard`, on its thread. With at most `logs_max` of its logs.
    pub fn take(shard: &Shard, logs_max: usize) -> ShardSnapshot {
        shard.connections.settle();
        let engine = engine::stats::read();
        let allocations = engine::alloc::of_thread();
        let (store, journal) = (shard.store.stats(), shard.store.journal());
        let written = journal.stats();
        let observed = &shard.observed;
        let copied = [
            observed.copied_receive_bytes.get(),
            store.appended_bytes,
            store.segment_written_bytes,
            observed.copied_fetch_bytes.get(),
        ];
        let memory = buffer::usage();
        ShardSnapshot {
            shard: shard.id.0,
            cpu: engine::time::thread_cpu(),
            counters: [
                engine.enters,
                engine.waits,
                engine.submissions,
                engine.completions,
                engine.turns,
                engine.polls,
                engine.long_tasks.iter().sum(),
                engine.wakes_sent,
                engine.wakes_received,
                engine.receive_starved,
                engine.sends_blocked,
                allocations.count,
                allocations.bytes,
                copied.iter().sum(),
                copied[0],
                copied[1],
                copied[2],
                copied[3],
                observed.received_bytes.get(),
                observed.sent_bytes.get(),
                observed.connections_opened.get(),
                observed.connections_closed.get(),
                observed.complaints.get(),
                observed.hops.get(),
                observed.batches.get(),
                observed.records.get(),
                observed.batch_bytes.get(),
                observed.batches_refused.get(),
                observed.fetched_bytes.get(),
                observed.fetches_refused.get(),
                store.tail_read_bytes,
                store.cold.bytes,
                written.writes,
                written.flushes,
                written.frames,
                written.bytes,
                store.segment_writes,
                store.checkpoints,
            ],
            gauges: [
                (observed.connections_opened.get() - observed.connections_closed.get()) as f64,
                engine.tasks as f64,
                engine.operations as f64,
                memory.used as f64,
                memory.budget as f64,
                store.unwritten_bytes as f64,
                store.cached_bytes as f64,
                shard.connections.pinned.bytes() as f64,
                journal.fill(),
                store.logs as f64,
            ],
            requests: observed.requests(),
            queue: engine.queue_ns.map(Duration::from_nanos),
            timings: observed.timings(),
            logs: match logs_max {
                0 => Vec::new(),
                max => shard.store.logs().iter().take(max).map(LogSnapshot::of).collect(),
            },
        }
    }
}

impl LogSnapshot {
    fn of(log: &storage::store::LogHandle) -> LogSnapshot {
        LogSnapshot {
            id: log.id(),
            log_start: log.log_start(),
            visible_end: log.visible_end(),
            bytes: log.bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_metrics_and_differ() {
        let mut names: Vec<_> = COUNTERS.iter().chain(&GAUGES).map(|named| named.name).collect();
        let plain = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        assert!(names.iter().all(|name| plain(name)), "{names:?}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COUNTERS.len() + GAUGES.len());
    }
}

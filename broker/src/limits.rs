//! The stated maximum of everything the broker holds: nothing a peer sends can make it grow past these.

use std::time::Duration;

/// Requests of one connection that were read and not yet answered. Above it the connection is not read from; Kafka
/// itself works at one, Java clients pipeline five, librdkafka any number.
pub const REQUESTS_PER_CONNECTION_MAX: usize = 64;

/// Bytes of request bodies one connection may have read and not yet answered, beyond the first request (which may be
/// as large as the frame limit). Above it the connection is not read from.
pub const CONNECTION_REQUEST_BYTES_MAX: usize = 16 << 20;

/// The part of a shard's memory that bodies of large requests may take, as a divisor: a quarter, so
/// that requests waiting for the journal never hold the memory it needs to take them.
pub const REQUEST_MEMORY_DIVISOR: usize = 4;

/// Time a frame may take from its first to its last byte, plus one second per [`FRAME_RATE_BYTES_MIN`] of its length.
/// One byte per second is not a client.
pub const FRAME_STALL_MAX: Duration = Duration::from_secs(30);

/// Slowest transfer a large frame may have, bytes per second.
pub const FRAME_RATE_BYTES_MIN: usize = 128 << 10;

/// Record bytes of fetch responses one connection may keep pinned while they are queued or being sent.
pub const CONNECTION_PINNED_BYTES_MAX: usize = 64 << 20;

/// The part of a shard's memory that responses may pin, as a divisor. Above it, responses shrink to
/// one batch; at twice as much, fetches wait and then return no records.
pub const PINNED_MEMORY_DIVISOR: usize = 4;

/// A fetch that found too much pinned waits at least this long before it returns no records.
pub const PINNED_WAIT_MIN: Duration = Duration::from_millis(100);

/// Record pieces of a fetch response below this many bytes are copied together.
pub const RECORDS_COPIED_MAX: usize = 512;

/// Replies sent with one call, so that a connection with many small replies does not build one endless vector.
pub const REPLIES_PER_SEND_MAX: usize = 64;

/// Calls to one other shard that were posted and not yet answered. Bounds the mail between two shards.
pub const CALLS_PER_PEER_MAX: usize = 1_024;

/// Mail a ring queue between two shards holds; more waits in the sender's outbox, bounded by the calls in flight.
pub const MAIL_QUEUE_SLOTS: usize = 1_024;

/// Start and stop notices a shard may hold unread: a few from each of at most 1,024 shards.
pub const LIFECYCLE_MAIL_MAX: usize = 4_096;

/// A fetch session unused for this long may be evicted (`min.incremental.fetch.session.eviction.ms`).
pub const FETCH_SESSION_IDLE_MS: i64 = 120_000;

/// Partitions one fetch session may hold. Kafka has no limit of its own here; 100,000 of them take about 10 MB.
pub const FETCH_SESSION_PARTITIONS_MAX: usize = 100_000;

/// Longest time a fetch may wait for data (`max_wait_ms` above it is treated as this).
pub const FETCH_WAIT_MAX: Duration = Duration::from_secs(600);

/// Shortest time a produce waits for its acknowledgement: a flush takes what it takes, and an answer
/// that comes before it only makes the client send everything again.
pub const PRODUCE_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Longest time a produce may wait for its acknowledgement, whatever the request asks.
pub const PRODUCE_TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// Appends waiting for room in one partition's log; more are refused with a retriable error.
pub const APPENDS_WAITING_MAX: usize = 4_096;

/// Connections accepted while the process is out of file descriptors are retried after this pause.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How often connections are looked over for idleness and stalled frames.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Connections looked at in one go.
pub const SWEEP_STEP: usize = 256;

/// At shutdown, time given to requests in flight before their connections are closed.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Kafka's limit: a file name of 255 bytes less `-` and a partition number.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// Topics of the whole cluster. 100,000 of them take about 60 MB on each shard's view together.
pub const TOPICS_MAX: usize = 100_000;

/// Partitions of one topic.
pub const TOPIC_PARTITIONS_MAX: usize = 10_000;

/// Partitions of the whole cluster.
pub const PARTITIONS_MAX: u64 = 200_000;

/// Partitions one command may create, as in Kafka: a larger request would hold up all others.
pub const COMMAND_PARTITIONS_MAX: usize = 10_000;

/// Replicas of one partition.
pub const REPLICAS_MAX: usize = 32;

/// Bytes of one setting's value. Kafka has no limit of its own; its older string encoding has
/// 32,767.
pub const CONFIG_VALUE_BYTES_MAX: usize = 4 << 10;

/// Settings one command may change.
pub const COMMAND_CONFIGS_MAX: usize = 10_000;

/// Bytes of the metadata records one command may make: 10,000 partitions take 50 KB.
pub const COMMAND_RECORD_BYTES_MAX: usize = 4 << 20;

/// Producer ids taken from the log at once. A restart skips the rest of each shard's block.
pub const PRODUCER_ID_BLOCK: i64 = 1_000;

/// Commands waiting for the controller. A shard that finds it full waits.
pub const COMMANDS_QUEUED_MAX: usize = 1_024;

/// Commands decided together and made durable by one append.
pub const COMMANDS_PER_APPEND_MAX: usize = 256;

/// Bytes of records after which no further command joins the same append.
pub const APPEND_RECORD_BYTES: usize = 8 << 20;

/// Bytes of each of the two files of the metadata log, written at the first start so that a full
/// disk does not stop a deletion. They grow when a snapshot needs it.
pub const METADATA_FILE_BYTES: u64 = 4 << 20;

const _: () = assert!(TOPIC_PARTITIONS_MAX <= COMMAND_PARTITIONS_MAX);
const _: () = assert!(
    APPEND_RECORD_BYTES + COMMAND_RECORD_BYTES_MAX < storage::limits::RECORD_APPEND_BYTES_MAX
);
const _: () = assert!(CONFIG_VALUE_BYTES_MAX < u16::MAX as usize);
const _: () = assert!(REPLICAS_MAX < u8::MAX as usize);

/// Connections to the admin port. More are closed at once.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;

/// Bytes of the head of a request to the admin port.
pub const ADMIN_HEAD_BYTES_MAX: usize = 8 << 10;

/// Headers of such a request.
pub const ADMIN_HEADERS_MAX: usize = 64;

/// Time from its first byte to its last.
pub const ADMIN_HEAD_MAX: Duration = Duration::from_secs(5);

/// A connection to the admin port that is silent for this long is closed.
pub const ADMIN_IDLE_MAX: Duration = Duration::from_secs(60);

/// Time a peer may take to read a response.
pub const ADMIN_SEND_MAX: Duration = Duration::from_secs(30);

/// Time other shards have to say what they know.
pub const ADMIN_GATHER_MAX: Duration = Duration::from_secs(2);

/// Time a page waits for one that is being made.
pub const ADMIN_TURN_MAX: Duration = Duration::from_secs(10);

/// Partitions of one shard that the metrics name one by one. 10,000 make some 4 MB of text.
pub const ADMIN_PARTITIONS_PER_SHARD_MAX: usize = 10_000;

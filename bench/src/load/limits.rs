//! Every maximum of the generator, with the reason for its value.

use std::time::Duration;

/// Bytes of batches in one produce request, unless a single batch is larger: Java's `max.request.size`.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Bytes of batches that one producer holds, acknowledged ones excluded: Java's `buffer.memory`, or twice what the open batches
/// of all its partitions take. Beyond it records stay numbers: they keep their intended times and are written as soon as an
/// acknowledgement makes room.
pub const PRODUCER_BYTES_MAX: usize = 32 << 20;

/// The same for all producers of a thread together, each having at least one batch's worth.
pub const PRODUCERS_BYTES_MAX: usize = 512 << 20;

/// Memory for blocks of one generator thread: batches of its producers, and frames that its consumers receive.
pub const SHARD_MEMORY_BYTES: usize = 2 << 30;

/// Records that are written before others on the thread have a turn: some 100 us.
pub const RECORDS_PER_TURN: usize = 512;

/// How long an answer is waited for, beyond what the request itself asks the broker to wait: Java's
/// `request.timeout.ms`. Then the connection counts as broken.
pub const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How long a batch is tried again and again: Java's `delivery.timeout.ms`.
pub const DELIVERY_MAX: Duration = Duration::from_secs(120);

/// How long one attempt to connect may take.
pub const CONNECT_MAX: Duration = Duration::from_secs(10);

/// How long clients may take altogether until the load begins.
pub const PREPARE_MAX: Duration = Duration::from_secs(60);

/// The first pause after a failure; each further one doubles, up to the last.
pub const PAUSE_FIRST: Duration = Duration::from_millis(20);

/// See [`PAUSE_FIRST`].
pub const PAUSE_LAST: Duration = Duration::from_secs(1);

/// How long acknowledgements are waited for behind the end of the schedule.
pub const DRAIN_MAX: Duration = Duration::from_secs(60);

/// How long consumers wait without a new record before what is missing counts as lost.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long the broker has to say that there is nothing more to read before it is believed, though an acknowledged
/// record is missing.
pub const END_SEEN_MAX: Duration = Duration::from_secs(3);

/// The most bytes of one partition in a fetch: Java's `max.partition.fetch.bytes`.
pub const PARTITION_FETCH_BYTES_MAX: u32 = 1 << 20;

/// How often a thread looks at what the others decided, and at requests that take too long.
pub const LOOK: Duration = Duration::from_millis(5);

/// How often the calling thread shows how it goes.
pub const SHOW: Duration = Duration::from_millis(200);

/// A producer that lingers wakes at most this often for records that do not fill a batch.
pub const LINGER_STEP: Duration = Duration::from_micros(50);

/// A producer whose connections take no more requests wakes this often to write records down.
pub const FULL_STEP: Duration = Duration::from_micros(500);

/// Lateness that counts as a slip of the schedule.
pub const SLIP: Duration = Duration::from_millis(1);

/// Fetches of one response held unpacked: what a batch may unpack to.
pub const UNPACKED_BYTES_MAX: usize = 256 << 20;

/// Connections that a connection storm has open at the same time; attempts beyond it wait and count from their time.
pub const STORM_OPEN_MAX: usize = 1_000;

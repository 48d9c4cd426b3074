//! Every maximum of this crate, in one place.
//!
//! "Full" is a normal state: what reaches one of these limits is refused by name or slowed down, never a crash.

/// Bytes of one stored record batch, header included. Kafka's own frames end at 100 MiB (`socket.request.max.bytes`),
/// so nothing larger can arrive; a length field beyond this is damage.
pub const BATCH_BYTES_MAX: usize = 100 << 20;

/// Bytes the records of one batch may unpack to. A 1 MiB batch of zeros honestly unpacks to 100 times its size, so
/// the bound is on the result and not on the ratio.
pub const BATCH_UNPACKED_BYTES_MAX: usize = 128 << 20;

/// Producer ids remembered per log. At 160 bytes each this is 2.6 MB for the worst log; the one that was silent longest
/// is forgotten first, and a forgotten producer may start again at any sequence (KIP-360).
pub const PRODUCERS_PER_LOG_MAX: usize = 16_384;

/// Batches remembered per producer id: a Kafka producer has at most five requests in flight.
pub const PRODUCER_BATCHES_KEPT: usize = 5;

/// Leader epochs remembered per log. Each start of a node adds at most one to each log; the oldest are merged away.
pub const LEADER_EPOCHS_PER_LOG_MAX: usize = 4_096;

/// Entries of one segment's sparse index: 1 MiB of them. A 1 GiB segment then has one each 16 KiB, which is below what
/// one cold read fetches anyway.
pub const INDEX_ENTRIES_MAX: usize = 1 << 16;

/// Bytes of a log's directory below `topics`: Kafka's longest topic name, a topic id, a partition number.
pub const LOG_DIR_BYTES_MAX: usize = 512;

/// Bytes of one log's checkpoint or one command's metadata: the most a record log takes in one append.
pub const RECORD_APPEND_BYTES_MAX: usize = 16 << 20;

/// Bytes of a frame in which a record log's snapshot is written.
pub const RECORD_SNAPSHOT_FRAME_BYTES: usize = 1 << 20;

/// Bytes of a block in which journal frames are built. A frame ends at the end of its block.
pub const JOURNAL_BLOCK_BYTES: usize = 1 << 20;

/// Bytes journal frames that go out in one write may have together, so that a burst does not make one long write.
pub const JOURNAL_WRITE_BYTES_MAX: usize = 4 << 20;

/// Journal files kept ready ahead of the one being written, while the budget allows.
pub const JOURNAL_FILES_AHEAD: usize = 2;

/// Bytes of the first journal file when it must be written before serving; those behind it have full size.
pub const JOURNAL_FIRST_FILE_BYTES: u64 = 8 << 20;

/// Smallest journal file and smallest number of files a shard's budget must hold.
pub const JOURNAL_FILE_BYTES_MIN: u64 = 1 << 20;
/// See [`JOURNAL_FILE_BYTES_MIN`].
pub const JOURNAL_FILES_MIN: u64 = 4;

/// Bytes of a record log's file. A snapshot, in which everything stands twice, takes at most half.
pub const RECORD_FILE_BYTES_MAX: u64 = 2 << 30;

/// The process's exit status after a failed write or sync: sysexits' EX_IOERR.
pub const EXIT_STORAGE: i32 = 74;

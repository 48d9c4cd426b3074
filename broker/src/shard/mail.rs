//! What shards say to each other.
//!
//! A call is answered by an answer in the same slot; a notice is not answered. Mail between two
//! shards arrives in the order in which it was posted, which is what keeps the requests of one
//! connection to one partition in order.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::buffer::Parcel;
use engine::net::Accepted;
use storage::ids::{Generation, LeaderEpoch, LogId, Offset};
use storage::log::append::{AppendError, Appended};
use storage::log::read::ReadError;
use storage::log_state::LogState;
use storage::store::{DeleteRecordsError, StoreConfig};

use crate::api::context::OfflinePartitions;
use crate::config::Endpoint;
use crate::controller::{Change, Command, Image, Outcome, Refusal};
use crate::observe::{AppendPath, ReadPath, ShardSnapshot};

/// One piece of mail.
pub enum Mail {
    /// A call; its answer carries the same slot.
    Call {
        /// The caller's slot.
        slot: u32,
        /// What is asked.
        call: Call,
    },
    /// The answer to a call.
    Answer {
        /// The slot of the call.
        slot: u32,
        /// The answer.
        answer: Answer,
    },
    /// Logs the receiver watches have moved since.
    Moved(Vec<LogId>),
    /// A connection accepted on the sender's shard, placed on the receiver's.
    Connection {
        /// The connection.
        accepted: Accepted,
        /// Which of the configured listeners it came in by.
        listener: usize,
    },
    /// A connection that was placed on the sender's shard has closed.
    Closed(IpAddr),
    /// From shard 0 at start: what the receiver needs to serve. Answered with `Started`.
    Start(Box<Start>),
    /// The sender serves, or could not start and says why.
    Started(Result<(), String>),
    /// From shard 0 at the end: go through this phase. Answered with `Stopped`.
    Stop(StopPhase),
    /// The sender went through this phase.
    Stopped(StopPhase),
}

/// What a shard needs to start.
pub struct Start {
    /// The metadata.
    pub image: Arc<Image>,
    /// What clients are told to connect to, by listener.
    pub advertised: Vec<Arc<Endpoint>>,
    /// How the receiver's store is set up.
    pub store: StoreConfig,
    /// This start of the node; also the leader epoch of every partition.
    pub generation: Generation,
    /// Partitions of the whole node whose logs are offline.
    pub offline: Arc<OfflinePartitions>,
    /// The logs the receiver owns, as recovered.
    pub logs: Vec<LogState>,
}

/// The steps of an orderly stop, each taken by every shard before the next begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopPhase {
    /// Answer what is in flight and close the connections.
    Connections,
    /// Write behind, sync and close the store.
    Store,
}

/// A question to the shard that owns a log, or to the controller's shard.
pub enum Call {
    /// Append batches and wait until they are acknowledged.
    Produce(ProduceCall),
    /// Read, and watch what had nothing.
    Read(ReadCall),
    /// Offsets by timestamp.
    ListOffsets(Vec<(LogId, OffsetQuery)>),
    /// Ends of leader epochs.
    EpochEnds(Vec<(LogId, i32)>),
    /// Move log starts.
    DeleteRecords(Vec<(LogId, DeleteUpto)>),
    /// A metadata command, to the controller's shard.
    Command(Command),
    /// The metadata changed, from the controller's shard. Answered when the receiver's logs follow.
    Image {
        /// The metadata after the changes.
        image: Arc<Image>,
        /// What changed.
        changes: Arc<[Change]>,
    },
    /// What the shard knows of its work, and of at most so many of its logs.
    Observe {
        /// The most logs.
        logs_max: usize,
    },
}

/// The answer to the [`Call`] of the same name.
pub enum Answer {
    /// One result for each batch, and when what happened.
    Produce(Vec<Result<Appended, ProduceError>>, AppendPath),
    /// One result for each item, and when what happened.
    Read(Vec<Found<Parcel>>, ReadPath),
    /// `None` when no record is that young.
    ListOffsets(Vec<Result<Option<ListedOffset>, LogError>>),
    /// The epoch at or below the one asked for, and its end.
    EpochEnds(Vec<Result<Option<(i32, Offset)>, LogError>>),
    /// The log start offsets after the deletion.
    DeleteRecords(Vec<Result<Offset, LogError>>),
    /// What became of the command.
    Command(Result<Outcome, Refusal>),
    /// The receiver's logs follow the image.
    Image,
    /// What the shard knows of its work.
    Observe(Box<ShardSnapshot>),
}

/// Batches to append on their owner.
pub struct ProduceCall {
    /// Log and batch, in the order of the request.
    pub batches: Vec<(LogId, Parcel)>,
    /// How long the acknowledgement may take; `None` for acks=0, which is not waited for.
    pub timeout: Option<Duration>,
}

/// Why a batch was not acknowledged.
#[derive(Debug, Clone)]
pub enum ProduceError {
    /// The log refused it.
    Append(AppendError),
    /// This shard has no such log: deleted, or not yet created.
    NoLog,
    /// Too many batches wait for room in this log.
    Busy,
    /// It was not acknowledged in the request's time; it may be later.
    TimedOut,
}

/// Logs to read on their owner.
pub struct ReadCall {
    /// What to read, in the order of the response.
    pub items: Vec<ReadItem>,
    /// Most bytes in all.
    pub max_bytes: usize,
    /// The first batch found is returned whole even if it is larger than that.
    pub one_at_least: bool,
    /// When fewer bytes than this are found, the caller's shard is told of the next move of each of
    /// these logs. 0: never.
    pub watch_below: usize,
}

/// One log to read.
#[derive(Debug, Clone, Copy)]
pub struct ReadItem {
    /// The log.
    pub log: LogId,
    /// The first offset wanted.
    pub from: Offset,
    /// Most bytes of this log.
    pub max_bytes: usize,
    /// The epoch of the last record the client has, if it says.
    pub last_epoch: Option<i32>,
}

/// What a read found in one log.
pub struct Found<P> {
    /// The high watermark.
    pub high_watermark: Offset,
    /// The log start offset.
    pub log_start: Offset,
    /// The records, or why there are none.
    pub records: Result<Records<P>, LogError>,
}

/// The outcome of a read without error.
pub enum Records<P> {
    /// Whole stored batches, maybe none.
    Bytes(Vec<P>),
    /// The client's log diverges: it has to truncate to this epoch's end.
    Diverging {
        /// The largest epoch known here at or below the client's.
        epoch: i32,
        /// Where that epoch ends here.
        end: Offset,
    },
}

/// Why a log gave no answer.
#[derive(Debug, Clone)]
pub enum LogError {
    /// This shard has no such log: deleted, or not yet created.
    NoLog,
    /// The log refused it.
    Read(ReadError),
    /// The log refused to delete.
    Delete(DeleteRecordsError),
}

/// A question of ListOffsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetQuery {
    /// The high watermark.
    Latest,
    /// The log start offset.
    Earliest,
    /// The record with the largest timestamp.
    MaxTimestamp,
    /// The first record at or after this time, milliseconds since 1970.
    AtOrAfter(i64),
}

/// The answer to a question of ListOffsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset.
    pub offset: Offset,
    /// The record's time; -1 for a bound of the log, which need not have a record.
    pub timestamp: i64,
    /// The epoch in which the record at the offset was, or the next one would be, written.
    pub leader_epoch: LeaderEpoch,
}

/// Up to where DeleteRecords deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteUpto {
    /// This offset becomes the first.
    Offset(Offset),
    /// Everything visible goes.
    HighWatermark,
}

impl<P> Found<P> {
    /// The same with other pieces.
    pub fn map<Q>(self, each: impl FnMut(P) -> Q) -> Found<Q> {
        let records = self.records.map(|records| match records {
            Records::Bytes(pieces) => Records::Bytes(pieces.into_iter().map(each).collect()),
            Records::Diverging { epoch, end } => Records::Diverging { epoch, end },
        });
        let Found { high_watermark, log_start, .. } = self;
        Found { high_watermark, log_start, records }
    }

    /// A log that is not here.
    pub fn no_log() -> Found<P> {
        let (high_watermark, log_start) = (Offset(-1), Offset(-1));
        Found { high_watermark, log_start, records: Err(LogError::NoLog) }
    }
}

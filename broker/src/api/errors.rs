//! What storage refuses, as the error codes clients know: the one place where they are chosen.
//!
//! An idempotent producer never sees UNKNOWN_SERVER_ERROR here: it would not know whether to count
//! its sequence numbers on.

use protocol::ErrorCode;
use protocol::produce::{PartitionResponse, RecordError};
use storage::batch::BatchRefusal;
use storage::log::SequenceError;
use storage::log::append::AppendError;
use storage::log::read::ReadError;
use storage::store::DeleteRecordsError;

use crate::shard::{LogError, ProduceError};

/// How the request names topics, for the error that says there is no such topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// By name.
    Name,
    /// By id.
    Id,
}

impl Naming {
    /// There is no such topic (any more). Retriable: the client looks at the metadata again.
    fn unknown_topic(self) -> ErrorCode {
        match self {
            Naming::Name => ErrorCode::UnknownTopicOrPartition,
            Naming::Id => ErrorCode::UnknownTopicId,
        }
    }
}

/// The answer to a batch that was not acknowledged.
pub fn of_produce(index: i32, error: &ProduceError, naming: Naming) -> PartitionResponse {
    let (code, message) = match error {
        ProduceError::Append(error) => (of_append(error, naming), Some(error.to_string())),
        ProduceError::NoLog => (ErrorCode::KafkaStorageError, None),
        // Both are retriable, and neither says whether the batch will be in the log.
        ProduceError::Busy | ProduceError::TimedOut => (ErrorCode::RequestTimedOut, None),
    };
    let mut response = PartitionResponse::refused(index, code, message);
    if let ProduceError::Append(AppendError::Batch(error)) = error
        && let Some(batch_index) = error.record_index()
    {
        let message = Some(error.to_string());
        response.record_errors = vec![RecordError { batch_index, message }];
    }
    response
}

/// The code for an append that was refused.
pub fn of_append(error: &AppendError, naming: Naming) -> ErrorCode {
    match error {
        AppendError::Batch(error) => match error.refusal() {
            BatchRefusal::CorruptMessage => ErrorCode::CorruptMessage,
            BatchRefusal::InvalidRecord => ErrorCode::InvalidRecord,
            BatchRefusal::MessageTooLarge => ErrorCode::MessageTooLarge,
            BatchRefusal::RecordListTooLarge => ErrorCode::RecordListTooLarge,
            BatchRefusal::UnsupportedCompression => ErrorCode::UnsupportedCompressionType,
            BatchRefusal::InvalidTimestamp => ErrorCode::InvalidTimestamp,
            BatchRefusal::InvalidTransaction => ErrorCode::InvalidTxnState,
        },
        AppendError::Producer(SequenceError::Epoch { .. }) => ErrorCode::InvalidProducerEpoch,
        AppendError::Producer(SequenceError::Sequence { .. }) => {
            ErrorCode::OutOfOrderSequenceNumber
        }
        AppendError::TooLargeForJournal { .. } => ErrorCode::MessageTooLarge,
        // Retriable: room comes back, a full disk may be emptied.
        AppendError::NoRoom
        | AppendError::StorageFull
        | AppendError::Offline(_)
        | AppendError::Io(_) => ErrorCode::KafkaStorageError,
        AppendError::Deleted => naming.unknown_topic(),
        // Retriable: the node comes back, or another one leads then.
        AppendError::Stopped | AppendError::StaleEpoch(_) | AppendError::Truncated => {
            ErrorCode::NotLeaderOrFollower
        }
    }
}

/// The code for a question to a log that got no answer.
pub fn of_log(error: &LogError, naming: Naming) -> ErrorCode {
    match error {
        LogError::NoLog => ErrorCode::KafkaStorageError,
        LogError::Delete(DeleteRecordsError::OutOfRange { .. }) => ErrorCode::OffsetOutOfRange,
        LogError::Delete(DeleteRecordsError::Refused(error)) => of_append(error, naming),
        LogError::Read(error) => match error {
            ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            ReadError::Deleted => naming.unknown_topic(),
            _ => ErrorCode::KafkaStorageError,
        },
    }
}

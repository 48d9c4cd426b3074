//! DeleteRecords (key 21), versions 0 to 2: moves the log start offset forward (KIP-107).
//!
//! - v2: flexible.
//!
//! Answered when the new start is durable, whatever `timeout_ms` says: there is no other replica to
//! wait for.

use std::rc::Rc;

use protocol::ErrorCode;
use protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use storage::ids::Offset;

use super::errors::{self, Naming};
use super::partitions::{ask_owners, log_by_name};
use crate::shard::{Answer, Call, DeleteUpto, Shard};

/// Deletes in each partition.
pub async fn handle(
    shard: &Rc<Shard>,
    request: DeleteRecordsRequest,
    _version: i16,
) -> DeleteRecordsResponse {
    let image = shard.image();
    let mut questions = Vec::new();
    let mut planned = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let plan = log_by_name(&image, &topic.name, partition.partition_index)
                .and_then(|log| Ok((log, upto(partition.offset)?)));
            planned.push(plan.map(|question| questions.push(question)));
        }
    }
    let local = async |items: Vec<_>| shard.delete_records(&items).await;
    let answers = ask_owners(shard, questions, local, Call::DeleteRecords, |answer| match answer {
        Answer::DeleteRecords(answers) => answers,
        _ => unreachable!("a call is answered in kind"),
    });
    let mut answers = answers.await.into_iter();
    let mut planned = planned.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let result = planned.next().expect("each partition was planned").and_then(|()| {
                let answer = answers.next().expect("each question was answered");
                answer.map_err(|error| errors::of_log(&error, Naming::Name))
            });
            let response = DeleteRecordsPartitionResult::default()
                .with_partition_index(partition.partition_index);
            match result {
                Ok(start) => response.with_low_watermark(start.0),
                Err(code) => response.with_low_watermark(-1).with_error_code(code.code()),
            }
        });
        DeleteRecordsTopicResult::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

/// -1 stands for the high watermark; what lies before 0 or beyond the log is out of range.
fn upto(offset: i64) -> Result<DeleteUpto, ErrorCode> {
    match offset {
        -1 => Ok(DeleteUpto::HighWatermark),
        0.. => Ok(DeleteUpto::Offset(Offset(offset))),
        _ => Err(ErrorCode::OffsetOutOfRange),
    }
}

//! ListOffsets (key 2), versions 1 to 11.
//!
//! - v2: isolation level; without transactions both levels end at the high watermark.
//! - v4: leader epochs (KIP-320).
//! - v6: flexible.
//! - v7: timestamp -3, the record with the largest timestamp (KIP-734).
//! - v8: timestamp -4, the earliest local offset (KIP-405): all data is local, so it equals -2.
//! - v9: timestamp -5, the end of tiered data: none, so -1.
//! - v10: a timeout for reads from tiers; nothing waits here.
//! - v11: timestamp -6, the earliest offset not yet tiered (KIP-1023): as -2.
//!
//! Differs from Kafka: nothing known.

use std::rc::Rc;

use protocol::ErrorCode;
use protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use storage::ids::LogId;

use super::errors::{self, Naming};
use super::partitions::{ask_owners, check_epoch, log_by_name};
use crate::shard::{Answer, Call, ListedOffset, LogError, OffsetQuery, Shard};

/// What a timestamp of the request asks for.
enum Asked {
    Query(OffsetQuery),
    /// A bound that never exists here.
    Nothing,
}

/// Answers each partition's question.
pub async fn handle(
    shard: &Rc<Shard>,
    request: ListOffsetsRequest,
    version: i16,
) -> ListOffsetsResponse {
    let image = shard.image();
    let mut questions = Vec::new();
    // In the order of the request: an error, nothing, or the place of its question.
    let mut planned = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let plan = log_by_name(&image, &topic.name, partition.partition_index)
                .and_then(|log| check_epoch(shard, partition.current_leader_epoch).map(|()| log))
                .and_then(|log| Ok((log, asked(partition.timestamp, version)?)));
            planned.push(match plan {
                Ok((log, Asked::Query(query))) => {
                    questions.push((log, query));
                    Ok(true)
                }
                Ok((_, Asked::Nothing)) => Ok(false),
                Err(code) => Err(code),
            });
        }
    }
    let mut answers = ask(shard, questions).await.into_iter();
    let mut planned = planned.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let result = planned.next().expect("each partition was planned").and_then(|asked| {
                let true = asked else { return Ok(None) };
                let answer = answers.next().expect("each question was answered");
                answer.map_err(|error| errors::of_log(&error, Naming::Name))
            });
            let answer = answer(partition.partition_index, result);
            // Before version 4 there is no place for an epoch, and the codec refuses one.
            if version < 4 { answer.with_leader_epoch(-1) } else { answer }
        });
        ListOffsetsTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn asked(timestamp: i64, version: i16) -> Result<Asked, ErrorCode> {
    let query = match timestamp {
        0.. => OffsetQuery::AtOrAfter(timestamp),
        -1 => OffsetQuery::Latest,
        -2 => OffsetQuery::Earliest,
        -3 if version >= 7 => OffsetQuery::MaxTimestamp,
        -4 if version >= 8 => OffsetQuery::Earliest,
        -5 if version >= 9 => return Ok(Asked::Nothing),
        -6 if version >= 11 => OffsetQuery::Earliest,
        // As Kafka: a meaning that the request's version does not have.
        _ => return Err(ErrorCode::UnsupportedVersion),
    };
    Ok(Asked::Query(query))
}

async fn ask(
    shard: &Rc<Shard>,
    questions: Vec<(LogId, OffsetQuery)>,
) -> Vec<Result<Option<ListedOffset>, LogError>> {
    let local = async |items: Vec<_>| shard.list_offsets(&items).await;
    ask_owners(shard, questions, local, Call::ListOffsets, |answer| match answer {
        Answer::ListOffsets(answers) => answers,
        _ => unreachable!("a call is answered in kind"),
    })
    .await
}

fn answer(
    partition: i32,
    result: Result<Option<ListedOffset>, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(partition);
    match result {
        Ok(Some(listed)) => response
            .with_offset(listed.offset.0)
            .with_timestamp(listed.timestamp)
            .with_leader_epoch(listed.leader_epoch.0),
        Ok(None) => response.with_offset(-1).with_timestamp(-1).with_leader_epoch(-1),
        Err(code) => response
            .with_error_code(code.code())
            .with_offset(-1)
            .with_timestamp(-1)
            .with_leader_epoch(-1),
    }
}

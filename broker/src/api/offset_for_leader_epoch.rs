//! OffsetForLeaderEpoch (key 23), versions 2 to 4: where a leader epoch ends (KIP-101, KIP-320).
//!
//! - v3: replica id; there is no other replica, so it is not looked at.
//! - v4: flexible.
//!
//! Differs from Kafka: nothing known.

use std::rc::Rc;

use protocol::ErrorCode;
use protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use storage::ids::Offset;

use super::errors::{self, Naming};
use super::partitions::{ask_owners, check_epoch, log_by_name};
use crate::shard::{Answer, Call, Shard};

/// Answers each partition's question.
pub async fn handle(
    shard: &Rc<Shard>,
    request: OffsetForLeaderEpochRequest,
    _version: i16,
) -> OffsetForLeaderEpochResponse {
    let image = shard.image();
    let mut questions = Vec::new();
    let mut planned = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let log = log_by_name(&image, &topic.topic, partition.partition)
                .and_then(|log| check_epoch(shard, partition.current_leader_epoch).map(|()| log));
            planned.push(log.map(|log| questions.push((log, partition.leader_epoch))));
        }
    }
    let local = async |items: Vec<_>| shard.epoch_ends(&items);
    let answers = ask_owners(shard, questions, local, Call::EpochEnds, |answer| match answer {
        Answer::EpochEnds(answers) => answers,
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
            answer(partition.partition, result)
        });
        OffsetForLeaderTopicResult::default()
            .with_partitions(partitions.collect())
            .with_topic(topic.topic)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

fn answer(partition: i32, result: Result<Option<(i32, Offset)>, ErrorCode>) -> EpochEndOffset {
    let response = EpochEndOffset::default().with_partition(partition);
    match result {
        Ok(Some((epoch, end))) => response.with_leader_epoch(epoch).with_end_offset(end.0),
        Ok(None) => response.with_leader_epoch(-1).with_end_offset(-1),
        Err(code) => {
            response.with_error_code(code.code()).with_leader_epoch(-1).with_end_offset(-1)
        }
    }
}

//! From what a client names to the log it means, and questions to many logs at once.

use std::rc::Rc;

use protocol::ErrorCode;
use storage::ids::LogId;

use crate::controller::{Image, Topic};
use crate::shard::{Answer, Call, Shard};

/// The log of a partition of a topic, when there is one.
pub fn log_of(topic: &Topic, partition: i32) -> Option<LogId> {
    let index = usize::try_from(partition).ok()?;
    topic.partitions.get(index)?;
    Some(LogId { topic: topic.id.0, partition: index as u32, incarnation: 0 })
}

/// The log of a partition by its topic's name.
pub fn log_by_name(image: &Image, topic: &str, partition: i32) -> Result<LogId, ErrorCode> {
    image
        .topic(topic)
        .and_then(|topic| log_of(topic, partition))
        .ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// KIP-320: a client that knows an older or a newer epoch than the leader's must hear of it. -1 is
/// a client that does not say.
pub fn check_epoch(shard: &Shard, current_leader_epoch: i32) -> Result<(), ErrorCode> {
    let ours = shard.leader_epoch.0;
    match current_leader_epoch {
        epoch if epoch < 0 || epoch == ours => Ok(()),
        epoch if epoch < ours => Err(ErrorCode::FencedLeaderEpoch),
        _ => Err(ErrorCode::UnknownLeaderEpoch),
    }
}

/// Questions for one shard, and their places among all.
type Group<Q> = (Vec<usize>, Vec<(LogId, Q)>);

/// Sends each question to its log's owner, all shards at once, and puts the answers back into the
/// order of the questions.
///
/// `local` answers on this shard; `call` and `answers` wrap questions and unwrap answers in mail.
pub async fn ask_owners<Q, A>(
    shard: &Rc<Shard>,
    questions: Vec<(LogId, Q)>,
    local: impl AsyncFnOnce(Vec<(LogId, Q)>) -> Vec<A>,
    call: impl Fn(Vec<(LogId, Q)>) -> Call,
    answers: impl Fn(Answer) -> Vec<A>,
) -> Vec<A> {
    let total = questions.len();
    let mut groups: Vec<Group<Q>> = Vec::new();
    groups.resize_with(shard.shards, Default::default);
    for (place, (log, question)) in questions.into_iter().enumerate() {
        let (places, items) = &mut groups[usize::from(shard.owner(&log).0)];
        places.push(place);
        items.push((log, question));
    }
    let mut results: Vec<Option<A>> = Vec::new();
    results.resize_with(total, || None);
    let mut pending = Vec::new();
    let mut here = None;
    for (to, (places, items)) in groups.into_iter().enumerate() {
        let to = engine::shard::ShardId(to as u16);
        if items.is_empty() {
            continue;
        } else if to == shard.id {
            here = Some((places, items));
        } else {
            let window = shard.window(to).await;
            pending.push((places, shard.call_in(window, to, call(items))));
        }
    }
    let mut place_all = |places: Vec<usize>, answers: Vec<A>| {
        assert_eq!(places.len(), answers.len(), "each question has one answer");
        for (place, answer) in places.into_iter().zip(answers) {
            results[place] = Some(answer);
        }
    };
    if let Some((places, items)) = here {
        place_all(places, local(items).await);
    }
    for (places, pending) in pending {
        place_all(places, answers(pending.await));
    }
    results.into_iter().map(|answer| answer.expect("every group was answered")).collect()
}

//! Brings a new image of the metadata to every shard.

use std::rc::Rc;

use engine::shard::ShardId;
use engine::task::{self, Queue};

use crate::controller::{Change, Publication};
use crate::shard::{Answer, Call, Shard};

/// Returns when every shard serves by the new image: only then does the command that made it get
/// its answer, so that a client may act on it over any connection.
pub(super) async fn publish(shard: Rc<Shard>, publication: Publication) {
    let Publication { image, changes } = publication;
    let mut pending = Vec::new();
    for to in (0..shard.shards as u16).map(ShardId).filter(|to| *to != shard.id) {
        let window = shard.window(to).await;
        let call = Call::Image { image: image.clone(), changes: changes.clone() };
        pending.push(shard.call_in(window, to, call));
    }
    let mut is_complete = shard.follow(image, &changes).await;
    for pending in pending {
        match pending.await {
            Answer::Image { is_complete: there } => is_complete &= there,
            _ => unreachable!("a call is answered in kind"),
        }
    }
    if !is_complete {
        return;
    }
    for change in changes.iter() {
        if let Change::TopicDeleted(topic) = change {
            // Not waited for: it is a command itself, and this is the middle of one.
            let (controller, id) = (shard.controller.clone(), topic.id);
            task::spawn(Queue::Background, async move { controller.prune_topic(id).await.is_ok() });
        }
    }
}

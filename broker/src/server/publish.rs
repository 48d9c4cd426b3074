//! Brings a new image of the metadata to every shard.

use std::rc::Rc;

use engine::shard::ShardId;

use crate::controller::Publication;
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
    shard.follow(image, &changes).await;
    for pending in pending {
        let Answer::Image = pending.await else { unreachable!("a call is answered in kind") };
    }
}

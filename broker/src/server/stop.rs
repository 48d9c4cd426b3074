//! The orderly stop, step by step. After it the next start has nothing to replay.

use std::rc::Rc;
use std::time::Duration;

use engine::time;

use crate::limits::SHUTDOWN_GRACE;
use crate::shard::Shard;

/// Answers what is in flight and closes this shard's connections.
pub(super) async fn connections(shard: &Rc<Shard>) {
    shard.connections.stop(SHUTDOWN_GRACE).await;
}

/// Writes behind, syncs and closes this shard's store.
pub(super) async fn store(shard: &Rc<Shard>) {
    shard.store.shutdown().await;
}

/// Gives the mail of this turn the time to leave before the shard ends.
pub(super) async fn let_mail_leave() {
    time::sleep(Duration::from_millis(1)).await;
}

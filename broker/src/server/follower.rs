//! The life of every shard but the first: told what to do by mail.

use std::rc::Rc;
use std::sync::Arc;

use engine::mail::Post;
use engine::task::{self, Queue};
use storage::ids::LeaderEpoch;
use storage::store::Store;

use super::error::ServerError;
use super::stop;
use crate::config::BrokerConfig;
use crate::shard::{CONTROLLER, Mail, Parts, Shard, Start, StopPhase};

/// Waits to be started, serves, stops when told to.
pub(super) async fn run(
    post: Rc<Post<Mail>>,
    config: Arc<BrokerConfig>,
    shards: usize,
) -> Result<(), ServerError> {
    let start = match post.next().await {
        (_, Mail::Start(start)) => start,
        // The first shard did not get as far as starting this one.
        (_, Mail::Stop(_)) => return Ok(()),
        _ => unreachable!("a shard that was not started is sent nothing else"),
    };
    let shard = match serve(post.clone(), config, shards, *start).await {
        Ok(shard) => shard,
        Err(error) => {
            post.post(CONTROLLER, Mail::Started(Err(error.to_string())));
            stop::let_mail_leave().await;
            return Ok(());
        }
    };
    shard.post(CONTROLLER, Mail::Started(Ok(())));
    while let Some((_, mail)) = shard.lifecycle.pop().await {
        let Mail::Stop(phase) = mail else { unreachable!("only the first shard starts others") };
        match phase {
            StopPhase::Connections => stop::connections(&shard).await,
            StopPhase::Store => stop::store(&shard).await,
        }
        shard.post(CONTROLLER, Mail::Stopped(phase));
        if phase == StopPhase::Store {
            stop::let_mail_leave().await;
            break;
        }
    }
    Ok(())
}

/// Puts the shard together and lets it receive mail.
async fn serve(
    post: Rc<Post<Mail>>,
    config: Arc<BrokerConfig>,
    shards: usize,
    start: Start,
) -> Result<Rc<Shard>, ServerError> {
    let Start { image, generation, offline, logs, advertised, store } = start;
    let store = Store::start(store, logs).await?;
    let leader_epoch = LeaderEpoch(generation.0 as i32);
    let controller = None;
    let parts =
        Parts { shards, config, leader_epoch, offline, store, controller, advertised, image, post };
    let shard = Shard::new(parts);
    task::spawn(Queue::Produce, shard.clone().receive());
    shard.complete_logs();
    let swept = shard.clone();
    task::spawn(Queue::Background, async move { swept.connections.sweep().await });
    Ok(shard)
}

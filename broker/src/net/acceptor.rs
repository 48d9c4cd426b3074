//! Accepts connections, on shard 0, and hands each to the shard with the fewest.
//!
//! One acceptor for all shards instead of SO_REUSEPORT: with few connections a hash leaves some
//! shards idle and others with two, which costs more than the hand-over of a descriptor.

use std::rc::Rc;

use engine::net::{Accepted, Listener};
use engine::time;

use super::connection;
use crate::limits::ACCEPT_RETRY;
use crate::shard::{Mail, Shard};

/// Accepts from one listener until the task is cancelled.
pub async fn run(shard: Rc<Shard>, listener: Rc<Listener>, number: usize) {
    loop {
        match listener.accept().await {
            Ok(accepted) => place(&shard, accepted, number),
            Err(error) => {
                // Out of descriptors or memory: it passes when connections close. A peer that
                // vanished before it was accepted is no error worth a line of its own.
                if let Some(held_back) = shard.connections.complaints.take() {
                    tracing::warn!(%error, held_back, "HDL-NET-001: a connection was not accepted");
                }
                time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn place(shard: &Rc<Shard>, accepted: Accepted, listener: usize) {
    let address = accepted.peer().ip();
    match shard.connections.admit(address) {
        Ok(to) if to == shard.id => connection::start(shard, accepted, listener),
        Ok(to) => shard.post(to, Mail::Connection { accepted, listener }),
        Err(refused) => {
            // Dropping it closes it.
            if let Some(held_back) = shard.connections.complaints.take() {
                tracing::warn!(%address, ?refused, held_back, "HDL-NET-002: a connection was refused");
            }
        }
    }
}

//! What all shards know of their work, at about one moment.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use engine::process::{self, Process};
use engine::shard::ShardId;
use engine::time;

use crate::config::Source;
use crate::controller::TopicId;
use crate::limits::ADMIN_GATHER_MAX;
use crate::observe::ShardSnapshot;
use crate::shard::{Answer, Call, Shard};
use crate::version::version;

/// What there is to tell about the whole broker.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// Name, version, revision.
    pub software: String,
    /// The class of durability of topics that name none.
    pub durability: &'static str,
    /// The settings that are not defaults.
    pub settings: BTreeMap<String, String>,
    /// The process, where it could be asked.
    pub process: Option<Process>,
    /// The shards that answered in time, in order.
    pub shards: Vec<ShardSnapshot>,
    /// How many there are.
    pub shards_asked: usize,
    /// The partitions of the snapshots by name, in their order: topic, number.
    pub partitions: Vec<Partition>,
    /// How many there are in all.
    pub partitions_in_all: u64,
    /// Topics there are.
    pub topics: usize,
    /// Partitions that nobody serves, because their data is damaged.
    pub offline: usize,
    /// Since the broker serves.
    pub uptime: Duration,
}

/// One partition at one moment.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Its topic.
    pub topic: std::sync::Arc<str>,
    /// Its number.
    pub partition: u32,
    /// Its first offset.
    pub log_start: i64,
    /// The high watermark.
    pub visible_end: i64,
    /// Bytes of its segments.
    pub bytes: u64,
}

/// Asks every shard, and waits for those that answer in time. With at most `logs_max` partitions of each.
pub async fn gather(shard: &Rc<Shard>, logs_max: usize) -> Gathered {
    let deadline = time::now() + ADMIN_GATHER_MAX;
    let mut asked = Vec::new();
    for to in (0..shard.shards as u16).map(ShardId).filter(|to| *to != shard.id) {
        let left = deadline.since(time::now());
        if let Ok(window) = time::timeout(left, shard.window(to)).await {
            asked.push(shard.call_in(window, to, Call::Observe { logs_max }));
        }
    }
    let mut shards = vec![ShardSnapshot::take(shard, logs_max)];
    for pending in asked {
        match time::timeout(deadline.since(time::now()), pending).await {
            Ok(Answer::Observe(snapshot)) => shards.push(*snapshot),
            Ok(_) => unreachable!("a call is answered in kind"),
            Err(_) => {}
        }
    }
    let (config, image) = (shard.effective_config(), shard.image());
    let logs = shards.iter().flat_map(|snapshot| &snapshot.logs);
    let partitions = logs.filter_map(|log| {
        let topic = image.topic_by_id(TopicId(log.id.topic))?;
        Some(Partition {
            topic: topic.name.clone(),
            partition: log.id.partition,
            log_start: log.log_start.0,
            visible_end: log.visible_end.0,
            bytes: log.bytes,
        })
    });
    let changed = config.describe().filter(|setting| setting.source != Source::Default);
    Gathered {
        software: format!("heddle {}", version()),
        durability: config.ack_durability.name(),
        settings: changed
            .map(|setting| (setting.property.name.into(), setting.value.unwrap_or_default()))
            .collect(),
        process: process::read().await.ok(),
        partitions: partitions.collect(),
        partitions_in_all: image.partition_count(),
        topics: image.topic_count(),
        offline: shard.offline.len(),
        shards_asked: shard.shards,
        uptime: shard.began.elapsed(),
        shards,
    }
}

impl Gathered {
    /// Every shard answered.
    pub fn is_whole(&self) -> bool {
        self.shards.len() == self.shards_asked
    }
}

//! What an admin handler may look at: one request's view of the broker.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::messages::BrokerId;
use kafka_protocol::protocol::StrBytes;

use crate::config::{BrokerConfig, Endpoint};
use crate::controller::{ControllerHandle, Image, ProducerIds, TopicId};

/// Partitions whose logs recovery took offline, by topic and number. They stay so until the next start, or until their
/// topic is deleted: its id never comes again.
pub type OfflinePartitions = BTreeSet<(TopicId, u32)>;

/// The view of one request. Cheap to clone; the image is the one of the request's arrival.
#[derive(Clone)]
pub struct ApiContext {
    /// The configuration in force, dynamic settings included.
    pub config: Arc<BrokerConfig>,
    /// The cluster's metadata.
    pub image: Arc<Image>,
    /// Where changes are asked for.
    pub controller: ControllerHandle,
    /// This shard's producer ids.
    pub producer_ids: ProducerIds,
    /// What clients of this listener are told to connect to.
    pub advertised: Arc<Endpoint>,
    /// The leader epoch of every partition: this start's generation.
    pub leader_epoch: i32,
    /// Partitions whose logs are offline: nobody leads them.
    pub offline: Arc<OfflinePartitions>,
}

impl ApiContext {
    /// This node's id.
    pub fn node_id(&self) -> BrokerId {
        BrokerId(self.config.node_id)
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> String {
        self.image.cluster_id().unwrap_or_default().to_owned()
    }

    /// The rack this node says it is in, if it says one.
    pub fn rack(&self) -> Option<StrBytes> {
        let rack = self.config.setting("broker.rack")?.value.as_ref()?.to_string();
        Some(StrBytes::from_string(rack))
    }
}

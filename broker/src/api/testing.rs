//! A broker's metadata side without a disk or a socket, for the handlers' tests: a request goes
//! through its encoding, the handler, and the response's encoding, at one version.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::ApiContext;
use super::context::OfflinePartitions;
use crate::config::{BrokerConfig, Endpoint};
use crate::controller::{
    Configs, ControllerHandle, Image, NewTopic, Planner, ProducerIds, Record, Rules, TopicId,
};

/// The leader epoch of every partition in the tests.
pub const EPOCH: i32 = 7;

/// A node with metadata in memory.
pub struct Node {
    image: Rc<RefCell<Arc<Image>>>,
    config: Arc<BrokerConfig>,
    controller: ControllerHandle,
    producer_ids: ProducerIds,
    offline: Arc<OfflinePartitions>,
}

impl Node {
    /// A node started with these properties.
    pub fn with(properties: &[(&str, &str)]) -> Node {
        let config = BrokerConfig::with(properties).unwrap();
        let mut image = Image::default();
        image.replay(&Record::ClusterFormed { cluster_id: "test-cluster".into() }).unwrap();
        let image = Rc::new(RefCell::new(Arc::new(image)));
        let controller = controller(image.clone(), Rules::of(&config));
        let producer_ids = ProducerIds::new(controller.clone());
        let offline = Arc::default();
        Node { image, config: Arc::new(config), controller, producer_ids, offline }
    }

    /// A node with built-in defaults.
    pub fn new() -> Node {
        Node::with(&[])
    }

    /// Creates a topic with two partitions.
    pub fn create(&self, name: &str) {
        let topic = NewTopic { partitions: 2, ..NewTopic::with_defaults(name) };
        run(self.controller.create_topics(vec![topic], false)).remove(0).unwrap();
    }

    /// The log of a partition is offline from now on.
    pub fn take_offline(&mut self, topic: TopicId, partition: u32) {
        Arc::make_mut(&mut self.offline).insert((topic, partition));
    }

    /// The metadata as of now.
    pub fn image(&self) -> Arc<Image> {
        self.image.borrow().clone()
    }

    /// What a handler is given for a request that arrives now.
    pub fn context(&self) -> ApiContext {
        let image = self.image();
        let nobody = Configs::new();
        let mine = image.broker_configs(self.config.node_id).unwrap_or(&nobody);
        ApiContext {
            config: Arc::new(self.config.with_dynamic(image.cluster_configs(), mine)),
            image,
            controller: self.controller.clone(),
            producer_ids: self.producer_ids.clone(),
            advertised: Arc::new(Endpoint { host: "broker.test".into(), port: 19092 }),
            leader_epoch: EPOCH,
            offline: self.offline.clone(),
        }
    }

    /// Sends a request over the wire, so to speak, and gives the answer as a client decodes it.
    pub fn ask<Request, Response>(
        &self,
        handler: impl AsyncFn(&ApiContext, Request, i16) -> Response,
        request: Request,
        version: i16,
    ) -> Response
    where
        Request: Encodable + Decodable,
        Response: Encodable + Decodable,
    {
        let context = self.context();
        let request = through_the_wire(&request, version);
        let response = run(handler(&context, request, version));
        through_the_wire(&response, version)
    }
}

fn controller(image: Rc<RefCell<Arc<Image>>>, rules: Rules) -> ControllerHandle {
    let rules = Rc::new(rules);
    let made = Rc::new(RefCell::new(0u8));
    ControllerHandle::new(move |command| {
        let mut random = || {
            *made.borrow_mut() += 1;
            [*made.borrow(); 16]
        };
        let mut draft = Image::clone(&image.borrow());
        let outcome = Planner::new(&rules, &mut random).plan(&mut draft, command);
        *image.borrow_mut() = Arc::new(draft);
        std::future::ready(outcome)
    })
}

fn through_the_wire<M: Encodable + Decodable>(message: &M, version: i16) -> M {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).unwrap_or_else(|e| panic!("version {version}: {e}"));
    let mut bytes = bytes.freeze();
    let message = M::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty(), "version {version} leaves bytes behind");
    message
}

/// Runs a handler, which has nothing to wait for here.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing in a handler's test waits"),
    }
}

/// A topic's name as messages carry it.
pub fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

/// A text as messages carry it.
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

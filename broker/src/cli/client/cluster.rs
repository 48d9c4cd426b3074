//! The brokers of a cluster and the connections to them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::ApiKey;
use protocol::codec::StrBytes;
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::metadata_response::MetadataResponseTopic;
use protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use uuid::Uuid;

use super::connection::Connection;
use super::error::ClientError;
use crate::cli::failure::Failure;
use crate::config::Endpoint;

/// Kafka's port, for `-b HOST` without one.
const DEFAULT_PORT: u16 = 9092;
/// The highest version of Metadata spoken here.
const METADATA_VERSION: i16 = 13;
/// How long a new topic is waited for until all its partitions have leaders.
const TOPIC_WAIT: Duration = Duration::from_secs(20);
/// The pause between two looks at it.
const TOPIC_PAUSE: Duration = Duration::from_millis(100);

/// A cluster: where its brokers are, and open connections to them.
pub struct Cluster {
    bootstrap: Vec<Endpoint>,
    timeout: Duration,
    brokers: BTreeMap<i32, Endpoint>,
    connections: BTreeMap<i32, Connection>,
    /// The connection to a bootstrap address, whose node id is not known.
    first: Option<Connection>,
}

/// A topic as Metadata describes it.
#[derive(Debug, Clone)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its id; zero when the broker is too old to say.
    pub id: Uuid,
    /// The leader of each partition, by partition; -1 without one.
    pub leaders: Vec<i32>,
}

impl Cluster {
    /// A cluster reached through any of `HOST:PORT,…`. Connects to nothing yet.
    ///
    /// # Errors
    /// An address is malformed.
    pub fn new(bootstrap: &str, timeout: Duration) -> Result<Self, Failure> {
        let bootstrap = bootstrap
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(|text| Endpoint::parse(text, Some(DEFAULT_PORT)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|why| Failure::usage("bad bootstrap address").why(why))?;
        if bootstrap.is_empty() {
            return Err(Failure::usage("no bootstrap address").fix("give one with -b HOST:PORT"));
        }
        Ok(Cluster {
            bootstrap,
            timeout,
            brokers: BTreeMap::new(),
            connections: BTreeMap::new(),
            first: None,
        })
    }

    /// The wait allowed for each answer.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A connection to any broker.
    ///
    /// # Errors
    /// None answers; the error is the last one's.
    pub fn any(&mut self) -> Result<&mut Connection, ClientError> {
        if self.first.is_none() {
            let mut last = None;
            for endpoint in self.bootstrap.iter().chain(self.brokers.values()) {
                match Connection::open(endpoint, self.timeout) {
                    Ok(connection) => {
                        self.first = Some(connection);
                        break;
                    }
                    // The first failure is about the address the user gave.
                    Err(error) => last = last.or(Some(error)),
                }
            }
            if let (None, Some(error)) = (&self.first, last) {
                return Err(error);
            }
        }
        Ok(self.first.as_mut().expect("one was opened, or an error returned"))
    }

    /// A connection to one broker, whose address Metadata told.
    ///
    /// # Errors
    /// It is not known or does not answer.
    pub fn broker(&mut self, id: i32) -> Result<&mut Connection, ClientError> {
        if !self.connections.contains_key(&id) {
            let Some(endpoint) = self.brokers.get(&id) else {
                return Err(ClientError::Connect {
                    address: format!("broker {id}"),
                    source: std::io::Error::new(
                        std::io::ErrorKind::NotFound,
                        "the metadata names no such broker",
                    ),
                });
            };
            let connection = Connection::open(endpoint, self.timeout)?;
            self.connections.insert(id, connection);
        }
        Ok(self.connections.get_mut(&id).expect("it was just put there"))
    }

    /// Drops the connection that [`Cluster::any`] gives, after an error on it.
    pub fn disconnect_any(&mut self) {
        self.first = None;
    }

    /// Drops the connection to a broker, after an error on it.
    pub fn disconnect(&mut self, id: i32) {
        self.connections.remove(&id);
    }

    /// Asks any broker for metadata: of the given topics, or of all.
    ///
    /// # Errors
    /// No broker answers.
    pub fn metadata(
        &mut self,
        topics: Option<&[&str]>,
        create: bool,
    ) -> Result<MetadataResponse, ClientError> {
        let topics = topics.map(|topics| {
            topics
                .iter()
                .map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))))
                .collect()
        });
        let request =
            MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(create);
        let connection = self.any()?;
        let version = connection.version(ApiKey::Metadata, METADATA_VERSION)?;
        let response = match connection.call(&request, version) {
            Ok(response) => response,
            Err(error) => {
                self.first = None;
                return Err(error);
            }
        };
        self.brokers = response
            .brokers
            .iter()
            .map(|broker| {
                let port = u16::try_from(broker.port).unwrap_or(0);
                (broker.node_id.0, Endpoint { host: broker.host.to_string(), port })
            })
            .collect();
        Ok(response)
    }

    /// A topic's partitions and their leaders. With `create`, a missing topic is created by the
    /// broker if it is set to, and waited for.
    ///
    /// # Errors
    /// No broker answers, or the topic is not there.
    pub fn topic(&mut self, name: &str, create: bool) -> Result<TopicInfo, ClientError> {
        let deadline = Instant::now() + TOPIC_WAIT;
        loop {
            let response = self.metadata(Some(&[name]), create)?;
            let topic = response.topics.into_iter().next();
            let found = match topic {
                Some(topic) => read_topic(topic),
                None => ClientError::check(3, None, || format!("topic `{name}`")).map(|()| None),
            };
            match found {
                Ok(Some(topic)) => return Ok(topic),
                Ok(None) if Instant::now() > deadline => {
                    return Err(ClientError::check(5, None, || format!("topic `{name}`"))
                        .expect_err("5 is an error"));
                }
                Err(error) if !create || !error.is_retriable() || Instant::now() > deadline => {
                    return Err(error);
                }
                Ok(None) | Err(_) => std::thread::sleep(TOPIC_PAUSE),
            }
        }
    }
}

/// A topic name for a request.
pub fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

/// A topic whose partitions all have leaders, or none to come; `None` when some have not yet.
fn read_topic(topic: MetadataResponseTopic) -> Result<Option<TopicInfo>, ClientError> {
    let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
    ClientError::check(topic.error_code, None, || format!("topic `{name}`"))?;
    let mut leaders = vec![-1; topic.partitions.len()];
    let mut settled = !leaders.is_empty();
    for partition in &topic.partitions {
        let slot = usize::try_from(partition.partition_index).ok();
        if let Some(slot) = slot.and_then(|index| leaders.get_mut(index)) {
            *slot = partition.leader_id.0;
        }
        // With every replica offline no leader will come, however long one waits.
        let offline = |replica| partition.offline_replicas.contains(replica);
        let dead =
            !partition.replica_nodes.is_empty() && partition.replica_nodes.iter().all(offline);
        settled &= partition.leader_id.0 >= 0 || dead;
    }
    Ok(settled.then_some(TopicInfo { name, id: topic.topic_id, leaders }))
}

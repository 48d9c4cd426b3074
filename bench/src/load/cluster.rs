//! The topics of a run and who leads them; what is asked of the cluster as a whole.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::time;
use protocol::ApiKey;
use protocol::codec::StrBytes;
use protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::delete_topics_request::DeleteTopicState;
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::{
    BrokerId, CreateTopicsRequest, DeleteTopicsRequest, InitProducerIdRequest, ListOffsetsRequest,
    MetadataRequest, ProducerId, TopicName,
};
use protocol::wire::TopicRef;

use super::connection::Connection;
use super::limits::ANSWER_MAX;
use super::trouble::Trouble;

/// How long a new topic's partitions may take until all have leaders.
const LEADERS_MAX: Duration = Duration::from_secs(30);
/// The pause between two looks at it.
const LEADERS_PAUSE: Duration = Duration::from_millis(50);
/// The highest version of ListOffsets spoken here; later ones add special times only.
const LIST_OFFSETS_VERSION: i16 = 9;
/// Topics in one request to create or delete.
const TOPICS_PER_REQUEST: usize = 100;

/// A topic of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id; zero when the broker is too old to say.
    pub id: [u8; 16],
}

impl Topic {
    /// As a request names it, by name or by id.
    pub fn named(&self, by_id: bool) -> TopicRef<'_> {
        if by_id { TopicRef::Id(self.id) } else { TopicRef::Name(&self.name) }
    }
}

/// Topics, their partitions and the brokers that lead them.
///
/// A *lane* is a partition counted through all topics: topic number times partitions plus partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The topics.
    pub topics: Vec<Topic>,
    /// Partitions of each.
    pub partitions: u32,
    /// By node id, `HOST:PORT`.
    pub brokers: BTreeMap<i32, String>,
    /// By lane, the node id of its leader; -1 without one.
    pub leaders: Vec<i32>,
}

impl Layout {
    /// The topic number and partition of a lane.
    pub fn place(&self, lane: usize) -> (usize, i32) {
        (lane / self.partitions as usize, (lane % self.partitions as usize) as i32)
    }

    /// The lane of a partition.
    pub fn lane(&self, topic: usize, partition: i32) -> Option<usize> {
        let partition = u32::try_from(partition).ok().filter(|p| *p < self.partitions)?;
        Some(topic * self.partitions as usize + partition as usize)
    }

    /// The number of a topic in an answer, which names it as the version wants.
    pub fn topic(&self, name: &str, id: [u8; 16], by_id: bool) -> Option<usize> {
        self.topics.iter().position(|topic| match by_id {
            true => topic.id == id,
            false => topic.name == name,
        })
    }

    /// Topics have ids, so that the newest Produce and Fetch can be spoken.
    pub fn has_ids(&self) -> bool {
        self.topics.iter().all(|topic| topic.id != [0; 16])
    }

    /// `topic/partition`, for messages.
    pub fn words(&self, lane: usize) -> String {
        let (topic, partition) = self.place(lane);
        format!("{}/{partition}", self.topics[topic].name)
    }
}

/// A connection to the first of `addresses` that answers; the error is that of the first.
pub async fn any(addresses: &[String]) -> Result<Connection, Trouble> {
    let mut first = None;
    for address in addresses {
        match Connection::open(address).await {
            Ok(connection) => return Ok(connection),
            Err(trouble) => first = first.or(Some(trouble)),
        }
    }
    let nowhere =
        || Trouble::Unreachable { address: "nowhere".into(), why: "no address was given".into() };
    Err(first.unwrap_or_else(nowhere))
}

/// Creates topics with as many replicas as the broker gives by default.
pub async fn create(
    connection: &mut Connection,
    names: &[String],
    partitions: u32,
    config: &BTreeMap<String, String>,
) -> Result<(), Trouble> {
    for names in names.chunks(TOPICS_PER_REQUEST) {
        let topics = names.iter().map(|name| {
            let configs = config.iter().map(|(key, value)| {
                CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
            });
            CreatableTopic::default()
                .with_name(TopicName(text(name)))
                .with_num_partitions(partitions as i32)
                .with_replication_factor(-1)
                .with_configs(configs.collect())
        });
        let ask = CreateTopicsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(ANSWER_MAX.as_millis() as i32);
        for topic in connection.call(&ask).await?.topics {
            Trouble::check(topic.error_code, topic.error_message.as_deref(), || {
                format!("the topic {} with {partitions} partitions was not created", topic.name.0)
            })?;
        }
    }
    Ok(())
}

/// Deletes topics.
pub async fn delete(connection: &mut Connection, names: &[String]) -> Result<(), Trouble> {
    for names in names.chunks(TOPICS_PER_REQUEST) {
        let by_state = connection.version(ApiKey::DeleteTopics)? >= 6;
        let ask = DeleteTopicsRequest::default().with_timeout_ms(ANSWER_MAX.as_millis() as i32);
        let topics = names.iter().map(|name| TopicName(text(name)));
        // Names moved into a structure in version 6, and each version refuses the other's field.
        let ask = if by_state {
            let states = topics.map(|name| DeleteTopicState::default().with_name(Some(name)));
            ask.with_topics(states.collect())
        } else {
            ask.with_topic_names(topics.collect())
        };
        for topic in connection.call(&ask).await?.responses {
            Trouble::check(topic.error_code, topic.error_message.as_deref(), || {
                format!("the topic {} was not deleted", topic.name.map(|n| n.0).unwrap_or_default())
            })?;
        }
    }
    Ok(())
}

/// The topics as they are now; waits until all their partitions have leaders.
pub async fn settled(
    connection: &mut Connection,
    names: &[String],
    partitions: u32,
) -> Result<Layout, Trouble> {
    let began = time::now();
    loop {
        let found = layout(connection, names, partitions).await;
        match found {
            Ok(layout) if layout.leaders.iter().all(|leader| *leader >= 0) => return Ok(layout),
            Ok(_) if began.elapsed() > LEADERS_MAX => {
                let what = format!("partitions of {} have no leader", names[0]);
                return Err(Trouble::Refused {
                    what,
                    code: protocol::ErrorCode::LeaderNotAvailable,
                    message: None,
                });
            }
            Err(trouble) if !trouble.is_retriable() || began.elapsed() > LEADERS_MAX => {
                return Err(trouble);
            }
            Ok(_) | Err(_) => time::sleep(LEADERS_PAUSE).await,
        }
    }
}

/// The topics as they are now.
pub async fn layout(
    connection: &mut Connection,
    names: &[String],
    partitions: u32,
) -> Result<Layout, Trouble> {
    let topics = names
        .iter()
        .map(|name| MetadataRequestTopic::default().with_name(Some(TopicName(text(name)))));
    // Which topics are asked for is not said by a flag before version 4: none are created here anyway.
    let ask = MetadataRequest::default()
        .with_topics(Some(topics.collect()))
        .with_allow_auto_topic_creation(false);
    let answer = connection.call(&ask).await?;
    let brokers = answer.brokers.iter();
    let brokers = brokers.map(|b| (b.node_id.0, format!("{}:{}", b.host, b.port))).collect();
    let mut layout = Layout {
        topics: names.iter().map(|name| Topic { name: name.clone(), id: [0; 16] }).collect(),
        partitions,
        brokers,
        leaders: vec![-1; names.len() * partitions as usize],
    };
    for topic in answer.topics {
        let name = topic.name.map(|name| name.0.to_string()).unwrap_or_default();
        Trouble::check(topic.error_code, None, || format!("metadata of the topic {name}"))?;
        let Some(at) = layout.topics.iter().position(|known| known.name == name) else { continue };
        layout.topics[at].id = topic.topic_id.into_bytes();
        for partition in topic.partitions {
            if let Some(lane) = layout.lane(at, partition.partition_index) {
                layout.leaders[lane] = partition.leader_id.0;
            }
        }
    }
    Ok(layout)
}

/// Where each lane ends now: the offset that its next record gets. Waits for leaders that do not know yet that they are:
/// Apache Kafka names the leader of a new partition a moment before that broker has taken it over.
pub async fn ends(layout: &Layout) -> Result<Vec<i64>, Trouble> {
    let began = time::now();
    loop {
        match ends_now(layout).await {
            Err(trouble) if trouble.is_retriable() && began.elapsed() < LEADERS_MAX => {
                time::sleep(LEADERS_PAUSE).await;
            }
            ends => return ends,
        }
    }
}

async fn ends_now(layout: &Layout) -> Result<Vec<i64>, Trouble> {
    let mut ends = vec![0; layout.leaders.len()];
    for (broker, address) in &layout.brokers {
        let led = |lane: &usize| layout.leaders[*lane] == *broker;
        let mut topics: BTreeMap<usize, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for lane in (0..ends.len()).filter(led) {
            let (topic, partition) = layout.place(lane);
            let asked = ListOffsetsPartition::default()
                .with_partition_index(partition)
                .with_current_leader_epoch(-1)
                .with_timestamp(-1);
            topics.entry(topic).or_default().push(asked);
        }
        if topics.is_empty() {
            continue;
        }
        let topics = topics.into_iter().map(|(topic, partitions)| {
            let name = TopicName(text(&layout.topics[topic].name));
            ListOffsetsTopic::default().with_name(name).with_partitions(partitions)
        });
        let ask = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(topics.collect());
        let mut connection = Connection::open(address).await?;
        let answer = connection.call_at_most(&ask, LIST_OFFSETS_VERSION).await?;
        for topic in answer.topics {
            let at = layout.topic(&topic.name.0, [0; 16], false);
            for partition in topic.partitions {
                Trouble::check(partition.error_code, None, || {
                    format!("the end of {}/{}", topic.name.0, partition.partition_index)
                })?;
                if let Some(lane) = at.and_then(|at| layout.lane(at, partition.partition_index)) {
                    ends[lane] = partition.offset;
                }
            }
        }
    }
    Ok(ends)
}

/// A producer id of its own, with its epoch. Waits while the broker has just started: Apache Kafka gives them out from blocks
/// that it has to ask its controller for.
pub async fn producer_id(connection: &mut Connection) -> Result<(i64, i16), Trouble> {
    let ask = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let began = time::now();
    loop {
        let answer = connection.call(&ask).await?;
        let given = Trouble::check(answer.error_code, None, || "no producer id was given".into());
        match given {
            Ok(()) => return Ok((answer.producer_id.0, answer.producer_epoch)),
            Err(trouble) if trouble.is_retriable() && began.elapsed() < LEADERS_MAX => {
                time::sleep(LEADERS_PAUSE).await;
            }
            Err(trouble) => return Err(trouble),
        }
    }
}

fn text(words: &str) -> StrBytes {
    StrBytes::from_string(words.to_owned())
}

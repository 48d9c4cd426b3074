//! The resources whose settings the config APIs name: Kafka's ConfigResource types.

use super::context::ApiContext;
use crate::controller::{ConfigEdit, ConfigTarget, Refusal};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// A resource that has settings here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// A topic of this name, which need not exist.
    Topic(&'a str),
    /// A broker of this id, which need not exist.
    Broker(i32),
    /// All brokers.
    Cluster,
}

impl<'a> Resource<'a> {
    /// Reads a resource type and name off the wire.
    pub fn parse(resource_type: i8, name: &'a str) -> Result<Resource<'a>, Refusal> {
        let refuse = |what: String| Err(Refusal::InvalidRequest { what });
        match resource_type {
            TOPIC => Ok(Resource::Topic(name)),
            BROKER if name.is_empty() => Ok(Resource::Cluster),
            BROKER => match name.parse() {
                Ok(node) => Ok(Resource::Broker(node)),
                Err(_) => refuse(format!(
                    "Broker id must be an integer, but it is: {}",
                    name.escape_debug()
                )),
            },
            BROKER_LOGGER => {
                refuse("Log levels cannot be read or set over the protocol yet.".into())
            }
            CLIENT_METRICS => refuse("Client metrics are not collected by this broker.".into()),
            GROUP => refuse("This broker does not coordinate groups yet.".into()),
            other => refuse(format!("Unsupported resource type: {other}")),
        }
    }

    /// The same as a command says it.
    pub fn target(self) -> ConfigTarget {
        match self {
            Resource::Topic(name) => ConfigTarget::Topic(name.to_owned()),
            Resource::Broker(node) => ConfigTarget::Broker(node),
            Resource::Cluster => ConfigTarget::Cluster,
        }
    }
}

/// Sends the edits that could be read to the controller; the answers are in the order of `edits`.
pub async fn alter(
    ctx: &ApiContext,
    edits: Vec<Result<ConfigEdit, Refusal>>,
    validate_only: bool,
) -> Vec<Result<(), Refusal>> {
    let valid = edits.iter().filter_map(|edit| edit.as_ref().ok()).cloned().collect();
    let mut results = ctx.controller.alter_configs(valid, validate_only).await.into_iter();
    let answer = |edit: Result<ConfigEdit, Refusal>| {
        edit.and_then(|_| results.next().expect("the controller answers every item"))
    };
    edits.into_iter().map(answer).collect()
}

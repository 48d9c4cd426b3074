//! The one table from API key to handler, for every request that runs alone on its connection.
//! Produce and Fetch overlap and are started by `net::reader`.

use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use protocol::codec::{Encodable, Request};
use protocol::response::EncodeError;
use protocol::{ApiKey, Malformed, RequestHeader, api_versions, decode_request, encode_response};

use super::{
    alter_configs, create_partitions, create_topics, delete_records, delete_topics,
    describe_cluster, describe_configs, find_coordinator, incremental_alter_configs,
    init_producer_id, list_offsets, metadata, offset_for_leader_epoch,
};
use crate::shard::Shard;

/// A request's header, as far as handlers and responses need it.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The API.
    pub key: ApiKey,
    /// The version, which is served.
    pub version: i16,
    /// What the response repeats.
    pub correlation_id: i32,
    /// Where the body begins in the frame.
    pub body_at: usize,
}

impl From<&RequestHeader<'_>> for Asked {
    fn from(header: &RequestHeader<'_>) -> Asked {
        Asked {
            key: header.api.key,
            version: header.version,
            correlation_id: header.correlation_id,
            body_at: header.body_at,
        }
    }
}

/// A request that cannot be answered: the connection closes.
#[derive(Debug)]
pub enum Unanswered {
    /// Its bytes are not what its header says.
    Malformed(Malformed),
    /// The answer cannot be said in its version: a bug of the handler.
    Encode(EncodeError),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unanswered::Malformed(error) => error.fmt(f),
            Unanswered::Encode(error) => error.fmt(f),
        }
    }
}

/// Runs the handler of a request and gives the frame of its response.
pub async fn answer(
    shard: &Rc<Shard>,
    listener: usize,
    asked: Asked,
    frame: Bytes,
) -> Result<Vec<u8>, Unanswered> {
    let ctx = &shard.api_context(listener);
    let one = One { asked, frame };
    match asked.key {
        ApiKey::ListOffsets => one.of(async |r, v| list_offsets::handle(shard, r, v).await).await,
        ApiKey::Metadata => one.of(async |r, v| metadata::handle(ctx, r, v).await).await,
        ApiKey::FindCoordinator => {
            one.of(async |r, v| find_coordinator::handle(ctx, r, v).await).await
        }
        ApiKey::ApiVersions => Ok(api_versions::response(
            asked.version,
            asked.correlation_id,
            &api_versions::Features::default(),
        )),
        ApiKey::CreateTopics => one.of(async |r, v| create_topics::handle(ctx, r, v).await).await,
        ApiKey::DeleteTopics => one.of(async |r, v| delete_topics::handle(ctx, r, v).await).await,
        ApiKey::DeleteRecords => {
            one.of(async |r, v| delete_records::handle(shard, r, v).await).await
        }
        ApiKey::InitProducerId => {
            one.of(async |r, v| init_producer_id::handle(ctx, r, v).await).await
        }
        ApiKey::OffsetForLeaderEpoch => {
            one.of(async |r, v| offset_for_leader_epoch::handle(shard, r, v).await).await
        }
        ApiKey::DescribeConfigs => {
            one.of(async |r, v| describe_configs::handle(ctx, r, v).await).await
        }
        ApiKey::AlterConfigs => one.of(async |r, v| alter_configs::handle(ctx, r, v).await).await,
        ApiKey::CreatePartitions => {
            one.of(async |r, v| create_partitions::handle(ctx, r, v).await).await
        }
        ApiKey::IncrementalAlterConfigs => {
            one.of(async |r, v| incremental_alter_configs::handle(ctx, r, v).await).await
        }
        ApiKey::DescribeCluster => {
            one.of(async |r, v| describe_cluster::handle(ctx, r, v).await).await
        }
        ApiKey::Produce | ApiKey::Fetch => {
            unreachable!("the reader starts these itself, so that they overlap")
        }
    }
}

struct One {
    asked: Asked,
    frame: Bytes,
}

impl One {
    /// Decodes, handles and encodes.
    async fn of<Q: Request, A: Encodable>(
        self,
        handle: impl AsyncFnOnce(Q, i16) -> A,
    ) -> Result<Vec<u8>, Unanswered> {
        let Asked { key, version, correlation_id, body_at } = self.asked;
        let body = self.frame.slice(body_at..);
        let request = decode_request::<Q>(body, version).map_err(Unanswered::Malformed)?;
        let response = handle(request, version).await;
        encode_response(key, version, correlation_id, &response).map_err(Unanswered::Encode)
    }
}

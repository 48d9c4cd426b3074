//! The topics of a run: made before it, gone after it.

use std::hash::{BuildHasher, Hasher, RandomState};

use engine::shard::{self, Launch};

use super::cluster::{self, Layout};
use super::trouble::Trouble;
use crate::error::BenchError;
use crate::plan::Plan;

/// Topics that nobody else uses.
pub struct Topics {
    bootstrap: Vec<String>,
    names: Vec<String>,
}

/// The calling thread as a shard, for a few calls.
fn ask<T: 'static>(
    calls: impl Future<Output = Result<T, Trouble>> + 'static,
) -> Result<T, BenchError> {
    let result = shard::block_on(&Launch::default(), calls);
    let result = result.map_err(|error| BenchError::failed(error.to_string()))?;
    result.map_err(BenchError::from)
}

impl Topics {
    /// Names that nobody else uses.
    pub fn new(bootstrap: &[String], count: u32) -> Topics {
        let run = RandomState::new().build_hasher().finish();
        let names = (0..count).map(|topic| format!("heddle-bench-{run:016x}-{topic}")).collect();
        Topics { bootstrap: bootstrap.to_vec(), names }
    }

    /// Makes them, and says where they lie and where each partition ends.
    ///
    /// # Errors
    /// The broker cannot be reached, or refuses.
    pub fn make(&self, plan: &Plan) -> Result<(Layout, Vec<i64>), BenchError> {
        let (bootstrap, names, plan) = (self.bootstrap.clone(), self.names.clone(), plan.clone());
        ask(async move {
            let mut connection = cluster::any(&bootstrap).await?;
            cluster::create(&mut connection, &names, plan.partitions, &plan.topic_config).await?;
            let layout = cluster::settled(&mut connection, &names, plan.partitions).await?;
            let ends = cluster::ends(&layout).await?;
            Ok((layout, ends))
        })
    }

    /// Deletes them.
    ///
    /// # Errors
    /// The broker cannot be reached, or refuses.
    pub fn delete(self) -> Result<(), BenchError> {
        ask(async move {
            let mut connection = cluster::any(&self.bootstrap).await?;
            cluster::delete(&mut connection, &self.names).await
        })
    }
}

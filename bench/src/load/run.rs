//! The order of a run.

use std::hash::{BuildHasher, Hasher, RandomState};

use engine::shard::{self, Launch};

use super::cluster;
use super::live::{Live, Where};
use crate::error::BenchError;
use crate::plan::Plan;
use crate::result::model::Run;

/// Runs `plan` against the broker at `at`: makes topics of its own, loads them, audits the delivery, deletes them.
/// `watch` is called some five times a second on the calling thread. What the audit finds is in [`Run::audit`].
///
/// # Errors
/// The broker cannot be reached or refuses what the plan needs; or the run was interrupted by a signal.
pub fn run(plan: &Plan, at: &Where, watch: &mut dyn FnMut(&Live)) -> Result<Run, BenchError> {
    let name = RandomState::new().build_hasher().finish();
    let names: Vec<String> =
        (0..plan.topics).map(|topic| format!("heddle-bench-{name:016x}-{topic}")).collect();
    watch(&Live::default());
    let (plan, addresses) = (plan.clone(), at.bootstrap.clone());
    let made = async move {
        let mut connection = cluster::any(&addresses).await?;
        cluster::create(&mut connection, &names, plan.partitions, &plan.topic_config).await?;
        let layout = cluster::settled(&mut connection, &names, plan.partitions).await?;
        cluster::ends(&layout).await?;
        cluster::delete(&mut connection, &names).await
    };
    let made = shard::block_on(&Launch::default(), made);
    made.map_err(|error| BenchError::failed(error.to_string()))??;
    Ok(Run::default())
}

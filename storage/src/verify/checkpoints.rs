//! The checkpoints of the generation in force: the base of all logs, and what each shard's log says since.

use std::collections::BTreeMap;
use std::path::Path;

use super::code::Code;
use super::finding::{Finding, Findings};
use super::promise::{Nonsense, Promise};
use crate::checkpoint::LogCheckpoint;
use crate::checkpoint_log;
use crate::ids::{Generation, LogId, Lsn};
use crate::recovery;

/// What the checkpoints say.
#[derive(Default)]
pub(super) struct Found {
    pub(super) promises: BTreeMap<LogId, Promise>,
    /// For each shard, from where its journal is needed and how far it was durable.
    pub(super) journals: BTreeMap<u16, (Lsn, Lsn)>,
    /// A checkpoint file could not be read: what is not here may be there.
    pub(super) incomplete: bool,
}

/// Reads them all; the last of a log counts. `deleted`: whether a log has a tombstone.
pub(super) async fn read(
    data: &Path,
    generation: Generation,
    shards: u16,
    deleted: &dyn Fn(&LogId) -> bool,
    findings: &Findings,
) -> Found {
    let dir = data.join("checkpoints");
    let mut found = Found::default();
    let mut logs: BTreeMap<LogId, (LogCheckpoint, String)> = BTreeMap::new();
    if generation > Generation(0) {
        let file = format!("checkpoints/{}", recovery::base_name(generation));
        match recovery::read_base(&dir, generation).await {
            Ok(base) => logs.extend(base.into_iter().map(|one| (one.id, (one, file.clone())))),
            Err(error) => {
                found.incomplete = true;
                findings.add(Finding::new(Code::BaseCheckpoint, error.to_string()).file(file));
            }
        }
    }
    for shard in 0..shards {
        let file = format!("checkpoints/{}", checkpoint_log::name(generation, shard));
        match checkpoint_log::read(&dir, generation, shard).await {
            Ok(since) => {
                found.journals.insert(shard, (since.journal_from, since.journal_durable));
                for (id, checkpoint) in since.logs {
                    match checkpoint {
                        Some(checkpoint) => logs.insert(id, (checkpoint, file.clone())),
                        None => logs.remove(&id),
                    };
                }
            }
            Err(error) => {
                found.incomplete = true;
                findings.add(Finding::new(Code::CheckpointLog, error.to_string()).file(file));
            }
        }
    }
    logs.retain(|id, _| !deleted(id));
    findings.count(|checked| checked.checkpoints += logs.len() as u64);
    for (id, (checkpoint, file)) in logs {
        found.promises.insert(id, promise(checkpoint, &file, findings));
    }
    found
}

/// The promise of one checkpoint; what is wrong with it is told.
fn promise(checkpoint: LogCheckpoint, file: &str, findings: &Findings) -> Promise {
    let (id, dir) = (checkpoint.id, checkpoint.dir.clone());
    let say = |code, what: String| {
        findings.add(Finding::new(code, what).file(file).of_log(id, &dir));
    };
    if let Some(reason) = &checkpoint.offline {
        say(Code::Offline, reason.clone());
    }
    let (promise, wrong) = Promise::new(checkpoint);
    for nonsense in wrong {
        match nonsense {
            Nonsense::Account(what) => say(Code::CheckpointSense, what),
            Nonsense::Producers(what) => say(Code::ProducerSnapshot, what),
            Nonsense::Epochs(what) => say(Code::LeaderEpochs, what),
        }
    }
    promise
}

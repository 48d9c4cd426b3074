//! A broker that is measured in turns with others, alone on the machine in its turn.
//!
//! Two ways, and a comparison uses the same one for equals:
//!
//! - **Fresh**: a new process on an empty directory for each turn. No turn learns anything from the one before, not even
//!   where memory lies, and while another one has its turn there is nothing of this one at all.
//! - **Kept**: one process, whose threads are stopped (SIGSTOP) while others have their turns, after all written data was
//!   synced (sync(2)), so that it owes the disk nothing. It keeps its memory, so the machine must have enough for all, and
//!   its compiled code: a JVM is ten times slower in its first seconds, and warming it for each turn would take
//!   most of the time.
//!
//! A broker that was not started here is left alone in both: whether it idles in the others' turns is not known.

use std::fs;
use std::path::{Path, PathBuf};

use super::broker::Broker;
use super::spec::Spec;
use crate::error::BenchError;
use crate::load::{self, Live};
use crate::plan::Plan;
use crate::provenance;
use crate::result::doubts;
use crate::result::model::Run;

/// What becomes of a broker between its turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// It is ended, and each turn has a new one.
    Fresh,
    /// It is stopped, and goes on in its next turn.
    Kept,
}

/// A broker that is measured in turns with others.
#[derive(Debug)]
pub struct Contender {
    spec: Spec,
    between: Between,
    dir: PathBuf,
    turns: usize,
    broker: Option<Broker>,
}

impl Contender {
    /// Nothing is started yet. Its files will be in `dir`, which is made when they are.
    pub fn new(spec: Spec, dir: &Path, between: Between) -> Contender {
        Contender { spec, between, dir: dir.to_owned(), turns: 0, broker: None }
    }

    /// What it is.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The broker between its turns, if there is one.
    pub fn broker(&self) -> Option<&Broker> {
        self.broker.as_ref()
    }

    /// Whether its next turn starts a process.
    pub fn starts(&self) -> bool {
        self.broker.is_none()
    }

    /// A turn: starts the broker or lets it go on, does the work, and ends or stops it again.
    ///
    /// # Errors
    /// Those of the broker and of the work.
    pub fn turn<T>(
        &mut self,
        work: impl FnOnce(&mut Broker) -> Result<T, BenchError>,
    ) -> Result<T, BenchError> {
        self.turns += 1;
        let dir = self.dir.join(self.turns.to_string());
        let mut broker = match self.broker.take() {
            Some(mut broker) => {
                broker.go_on()?;
                broker
            }
            None => Broker::start(&self.spec, &dir)?,
        };
        // After an error the broker is ended by being dropped, and what it said stays.
        let done = work(&mut broker)?;
        match self.between {
            _ if matches!(self.spec, Spec::Running { .. }) => self.broker = Some(broker),
            Between::Kept => {
                rustix::fs::sync();
                broker.pause()?;
                self.broker = Some(broker);
            }
            Between::Fresh => {
                broker.stop()?;
                let _ = fs::remove_dir_all(&dir);
            }
        }
        Ok(done)
    }

    /// Ends it.
    ///
    /// # Errors
    /// Its data cannot be removed.
    pub fn end(mut self) -> Result<(), BenchError> {
        self.broker.take().map_or(Ok(()), Broker::stop)?;
        let _ = fs::remove_dir_all(&self.dir);
        Ok(())
    }
}

/// One run against a broker, with what is known of the broker, and doubts. What the audit found is in [`Run::audit`].
///
/// # Errors
/// See [`load::run()`].
pub fn measure(
    broker: &Broker,
    plan: &Plan,
    watch: &mut dyn FnMut(&Live),
) -> Result<Run, BenchError> {
    let load_before = provenance::load();
    let mut run = load::run(plan, &broker.at(), watch)?;
    broker.complete(&mut run.broker);
    run.doubts = doubts::doubts(plan, &run, load_before);
    Ok(run)
}

//! One thing that happens beside, from its preparation to its figures.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, PoisonError};

use engine::task::{self, Queue};
use engine::time;

use super::super::cluster::Layout;
use super::super::context::{Context, Job};
use super::super::control::Control;
use super::super::live::Where;
use super::super::run::{self, Figures, Watcher};
use super::super::topics::Topics;
use super::{catch_up, connections};
use crate::error::BenchError;
use crate::plan::{Acks, Arrivals, Beside, Codec, Keys, Partitioning, Plan, Rate};
use crate::record::Pool;

/// The most time that a backlog for a catch-up reader may take to be produced, in milliseconds.
const BACKLOG_MS_MAX: u64 = 600_000;

/// What it is.
pub enum Kind {
    /// Reads a topic of its own from the beginning, again and again.
    CatchUp {
        /// The topic.
        layout: Layout,
        /// Where its partitions begin.
        from: Vec<i64>,
        /// Where they end.
        to: Vec<i64>,
        /// At most so many bytes a second; 0 without limit.
        bytes_per_second: u64,
    },
    /// Opens and closes connections.
    Storm {
        /// Connections a second.
        per_second: f64,
    },
    /// Holds connections open.
    Idle {
        /// How many.
        count: u32,
    },
}

/// Something that happens beside.
pub struct Side {
    /// What it is.
    pub kind: Kind,
    topics: Mutex<Option<Topics>>,
    figures: Mutex<BTreeMap<String, f64>>,
}

impl Side {
    fn new(kind: Kind, topics: Option<Topics>) -> Arc<Side> {
        Arc::new(Side { kind, topics: Mutex::new(topics), figures: Mutex::default() })
    }

    /// Notes figures that are known now.
    pub fn note(&self, figures: &[(&str, f64)]) {
        let mut all = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(figures.iter().map(|(name, figure)| ((*name).to_owned(), *figure)));
    }

    fn name(&self) -> &'static str {
        match self.kind {
            Kind::CatchUp { .. } => "catch-up reader",
            Kind::Storm { .. } => "connection storm",
            Kind::Idle { .. } => "idle connections",
        }
    }
}

/// Bytes that lie in the plan's topics before its consumers read.
pub fn prefill_bytes(plan: &Plan) -> u64 {
    let bytes = plan.beside.iter().filter_map(|beside| match beside {
        Beside::Backlog { bytes } => Some(*bytes),
        _ => None,
    });
    bytes.sum()
}

/// Makes ready what has to be there before the load.
///
/// # Errors
/// The broker cannot be reached, or refuses.
pub fn prepare(plan: &Plan, at: &Where, watch: Watcher<'_>) -> Result<Vec<Arc<Side>>, BenchError> {
    let mut sides: Vec<Arc<Side>> = Vec::new();
    for beside in &plan.beside {
        let side = match *beside {
            Beside::Backlog { .. } => continue,
            Beside::ConnectionStorm { per_second } => Side::new(Kind::Storm { per_second }, None),
            Beside::IdleConnections { count } => Side::new(Kind::Idle { count }, None),
            Beside::CatchUpReader { backlog_bytes, bytes_per_second } => {
                match produce(plan, at, backlog_bytes, bytes_per_second, watch) {
                    Ok(side) => side,
                    Err(error) => {
                        delete(&sides);
                        return Err(error);
                    }
                }
            }
        };
        sides.push(side);
    }
    Ok(sides)
}

/// Produces what a catch-up reader will read.
fn produce(
    plan: &Plan,
    at: &Where,
    bytes: u64,
    bytes_per_second: u64,
    watch: Watcher<'_>,
) -> Result<Arc<Side>, BenchError> {
    run::say(watch, "the backlog of the catch-up reader is produced");
    let plan = Plan {
        topics: 1,
        producers: 2,
        fan_out: 0,
        rate: Rate::Max,
        arrivals: Arrivals::Constant,
        keys: Keys::Null,
        partitioning: Partitioning::RoundRobin,
        codec: Codec::None,
        acks: Acks::All,
        linger_us: 0,
        batch_bytes: plan.batch_bytes.max(64 << 10),
        warm_up_ms: 0,
        duration_ms: BACKLOG_MS_MAX,
        beside: Vec::new(),
        ..plan.clone()
    };
    let topics = Topics::new(&at.bootstrap, 1);
    let made = topics.make(&plan).and_then(|(layout, from)| {
        let job = Arc::new(Job {
            bootstrap: at.bootstrap.clone(),
            from: from.clone(),
            run: 0,
            pool: Pool::new(plan.payload, plan.sizes.max(), plan.seed),
            control: Arc::new(Control::new(layout.leaders.len())),
            layout: layout.clone(),
            bytes_max: bytes.max(1),
            prefill_bytes: 0,
            acked: Mutex::default(),
            seen: Mutex::default(),
            plan,
        });
        let nowhere = Where { pid: None, admin: None, ..at.clone() };
        run::generate(&job, &nowhere, &[], watch)?;
        let to = job.control.acked_ends.iter().map(|end| end.load(SeqCst)).collect();
        Ok(Kind::CatchUp { layout, from, to, bytes_per_second })
    });
    match made {
        Ok(kind) => Ok(Side::new(kind, Some(topics))),
        Err(error) => {
            // The reason for the failure says more than that of another one.
            let _ = topics.delete();
            Err(error)
        }
    }
}

/// Starts it on the calling thread.
pub fn start(side: &Arc<Side>, context: &Rc<Context>) {
    let (side, context) = (side.clone(), context.clone());
    match side.kind {
        Kind::CatchUp { .. } => {
            // Its figures are noted with each answer.
            context.control().sides_done.fetch_add(1, SeqCst);
            catch_up::start(&side, &context);
        }
        Kind::Storm { per_second } => {
            task::spawn(Queue::Produce, async move {
                connections::storm(side, context.clone(), per_second).await;
                context.control().sides_done.fetch_add(1, SeqCst);
            });
        }
        Kind::Idle { count } => {
            task::spawn(Queue::Background, async move {
                connections::idle(side, context.clone(), count).await;
                context.control().sides_done.fetch_add(1, SeqCst);
            });
        }
    }
}

/// Cleans up, and gives the figures of all that happened beside.
pub fn finish(sides: Vec<Arc<Side>>, job: &Job) -> Figures {
    delete(&sides);
    let mut all = Figures::new();
    for side in sides {
        let figures = side.figures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.insert(side.name().to_owned(), figures);
    }
    if job.prefill_bytes > 0 {
        let released = job.control.times().map_or(0, |times| times.measure);
        let caught_up = job.control.caught_up_at.load(SeqCst);
        let mut figures = BTreeMap::from([("bytes".to_owned(), job.prefill_bytes as f64)]);
        if caught_up > released && released > 0 {
            let seconds = (caught_up - released) as f64 / 1e9;
            let bytes = job.prefill_bytes as f64 * f64::from(job.plan.fan_out);
            figures.insert("drained_ms".to_owned(), seconds * 1e3);
            figures.insert("bytes_per_second".to_owned(), bytes / seconds);
        }
        all.insert("backlog".to_owned(), figures);
    }
    all
}

fn delete(sides: &[Arc<Side>]) {
    for side in sides {
        let topics = side.topics.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = topics.map(Topics::delete) {
            tracing::warn!("a topic of the {} is left behind: {error}", side.name());
        }
    }
}

/// Waits for the measured time; `None` when the run ends before.
pub async fn measured(context: &Context) -> Option<(u64, u64)> {
    context.control().ready.fetch_add(1, SeqCst);
    let times = context.begin().await?;
    let now = time::now();
    time::sleep(std::time::Duration::from_nanos(times.measure.saturating_sub(now.nanos()))).await;
    (!context.control().is_stopped()).then_some((times.measure, times.end))
}

//! Which path is answered with what.

use std::cell::RefCell;
use std::rc::Rc;

use engine::sync::Semaphore;
use engine::{blocking, time};
use serde_json::json;

use super::gather::{Gathered, gather};
use super::http::{Request, Response, Status};
use super::{prometheus, stages};
use crate::limits::{ADMIN_PARTITIONS_PER_SHARD_MAX, ADMIN_TURN_MAX};
use crate::shard::Shard;

/// What the broker is doing.
#[derive(Clone)]
pub enum Doing {
    /// It opens and recovers its data.
    Starting,
    /// It serves.
    Serving(Rc<Shard>),
    /// It answers what is in flight and closes.
    Stopping,
}

/// The pages of one broker.
pub struct Admin {
    doing: RefCell<Doing>,
    /// One page that is made of all shards' knowledge at a time.
    turn: Semaphore,
}

/// What there is, for whoever asks for `/`.
const INDEX: &str = "\
/metrics           metrics for Prometheus (also /public_metrics)
/v1/stages         stage timings and counters since the start, as JSON
/healthz           200 while the process runs
/readyz            200 while clients are served (also /v1/status/ready)
";

impl Default for Admin {
    fn default() -> Admin {
        Admin { doing: RefCell::new(Doing::Starting), turn: Semaphore::new(1) }
    }
}

impl Admin {
    /// From now on the broker does this.
    pub fn set(&self, doing: Doing) {
        *self.doing.borrow_mut() = doing;
    }

    /// Answers a request.
    pub async fn answer(&self, request: &Request) -> Response {
        match request.path.as_str() {
            "/" => Response::text(Status::Ok, INDEX),
            "/healthz" => Response::text(Status::Ok, "ok\n"),
            "/readyz" | "/v1/status/ready" => self.ready(),
            "/metrics" | "/public_metrics" => {
                let form = prometheus::Form::wanted(&request.accept);
                let page = move |gathered: &Gathered| prometheus::page(gathered, form);
                self.of_all(ADMIN_PARTITIONS_PER_SHARD_MAX, page).await
            }
            "/v1/stages" => self.of_all(0, stages::page).await,
            _ => Response::of(Status::NotFound),
        }
    }

    fn ready(&self) -> Response {
        let (status, reason) = match *self.doing.borrow() {
            Doing::Serving(_) => return Response::json(Status::Ok, &json!({"status": "ready"})),
            Doing::Starting => ("starting", "the data is being opened and recovered"),
            Doing::Stopping => ("stopping", "the broker was told to stop"),
        };
        Response::json(Status::Unavailable, &json!({"status": status, "reason": reason}))
    }

    /// A page made of what all shards know. Asked for on this shard, put together on another thread.
    async fn of_all(
        &self,
        logs_max: usize,
        page: impl FnOnce(&Gathered) -> Response + Send + 'static,
    ) -> Response {
        let doing = self.doing.borrow().clone();
        let Doing::Serving(shard) = doing else { return self.ready() };
        let Ok(Ok(_turn)) = time::timeout(ADMIN_TURN_MAX, self.turn.acquire(1)).await else {
            return Response::text(Status::Unavailable, "others ask as well; ask again\n");
        };
        let gathered = gather(&shard, logs_max).await;
        blocking::run(move || page(&gathered)).await
    }
}

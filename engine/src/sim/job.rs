//! Jobs for the blocking pool, which a simulated process has none of: they run when their time has come.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;

use super::action::Action;
use super::{end, here};
use crate::sync::Permit;

/// Runs `work` after a while; also if the future is dropped. Holds `permit` until then.
pub(crate) async fn run_job<T: 'static>(
    work: impl FnOnce() -> T + 'static,
    permit: Permit,
) -> thread::Result<T> {
    let shared = here::running().expect("the caller runs in a simulated process");
    let place = Rc::new(RefCell::new(None));
    let result = place.clone();
    let job = move || {
        let value = end::watching(|| catch_unwind(AssertUnwindSafe(work)));
        *result.borrow_mut() = Some(value);
        drop(permit);
    };
    let _ = shared.submit(Action::Job(Box::new(job))).await;
    let value = place.take();
    value.expect("a job that ran has left its value")
}

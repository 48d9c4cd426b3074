//! How a simulated process ends, from inside: by unwinding to the scheduler.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, PanicHookInfo};
use std::sync::Once;

use super::here;

/// How a process is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is gone. What it wrote stays readable, what was in flight is there in whole, in part or
    /// not at all.
    Kill,
    /// The machine is without power for a while: only what is durable stays, and of the rest what the seed
    /// says.
    PowerCut,
}

/// How a process ended.
#[derive(Debug)]
pub enum ProcessEnd<T> {
    /// Every shard's future ended; their outputs, by shard.
    Ended(Vec<T>),
    /// By [`crate::exit_now`].
    Exited {
        /// Its status.
        code: i32,
        /// Its last words.
        message: String,
    },
    /// By [`crash`] or [`super::Disk::crash_at_io`].
    Crashed(Crash),
    /// Nothing is ready, no timer runs and no I/O is in flight; or it goes round in circles. Names the
    /// shards' tasks by the places that spawned them.
    Stuck(String),
    /// A panic: its message and place.
    Panicked(String),
}

/// Ends the process here and now, from inside a task.
///
/// # Panics
/// Outside a simulated process.
pub fn crash(kind: Crash) -> ! {
    end(Ending::Crash(kind))
}

/// [`crate::exit_now`] of a simulated process.
pub(crate) fn exit(code: i32, message: &str) -> ! {
    end(Ending::Exit { code, message: message.to_owned() })
}

/// What unwinds through a process that ends itself.
pub(super) enum Ending {
    Crash(Crash),
    Exit { code: i32, message: String },
}

fn end(ending: Ending) -> ! {
    let shared = here::running().expect("only a simulated process can be ended like this");
    // The destructors that unwinding runs have no effect on the disk.
    shared.die();
    // No panic hook hears of it.
    panic::resume_unwind(Box::new(ending))
}

thread_local! {
    static WATCHES: Cell<bool> = const { Cell::new(false) };
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a part of the process; what ended it, if something did.
pub(super) fn catch<R>(part: impl FnOnce() -> R) -> Result<R, Box<dyn Any + Send>> {
    watching(|| panic::catch_unwind(panic::AssertUnwindSafe(part)))
}

/// Runs a part of the process; panics in it are not printed.
pub(super) fn watching<R>(part: impl FnOnce() -> R) -> R {
    watch_panics();
    let before = WATCHES.replace(true);
    let result = part();
    WATCHES.set(before);
    result
}

/// Forgets what earlier processes said.
pub(super) fn forget() {
    drop(MESSAGE.take());
}

/// What a caught payload says of the process.
pub(super) fn end_of<T>(payload: Box<dyn Any + Send>) -> ProcessEnd<T> {
    match payload.downcast::<Ending>() {
        Ok(ending) => match *ending {
            Ending::Crash(kind) => ProcessEnd::Crashed(kind),
            Ending::Exit { code, message } => ProcessEnd::Exited { code, message },
        },
        Err(payload) => {
            let heard = MESSAGE.take();
            ProcessEnd::Panicked(heard.unwrap_or_else(|| text_of(&*payload).to_owned()))
        }
    }
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "a panic without a message",
    }
}

/// Panics of simulated processes are kept for the report instead of being printed.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if WATCHES.try_with(Cell::get).unwrap_or(false) {
                keep(info);
            } else {
                before(info);
            }
        }));
    });
}

fn keep(info: &PanicHookInfo<'_>) {
    let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
    let mut text = format!("{}{place}", text_of(info.payload()));
    let trace = std::backtrace::Backtrace::capture();
    if trace.status() == std::backtrace::BacktraceStatus::Captured {
        text = format!("{text}\n{trace}");
    }
    let _ = MESSAGE.try_with(|message| {
        // The first one is the cause; those of destructors on the way out are not.
        message.borrow_mut().get_or_insert(text);
    });
}

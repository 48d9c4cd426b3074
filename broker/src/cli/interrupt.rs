//! Ctrl-C in a client command: once ends it in order, twice at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::shard::{Launch, launch};

use super::failure::EXIT_INTERRUPTED;

/// Whether the person at the keyboard, or the system, wants the command to end.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Begins to watch for SIGINT and SIGTERM.
    ///
    /// The watcher is a shard of its own. Where none can run (no io_uring), signals keep their
    /// usual effect, which is to end the process at once.
    pub fn watch() -> Self {
        let interrupt = Interrupt::default();
        // Asked before the launch, as that blocks the signals whatever comes of it.
        if engine::check::host().is_err() {
            return interrupt;
        }
        let asked = interrupt.clone();
        let watcher = Launch { memory_bytes_per_shard: 1 << 20, ..Launch::default() };
        let launched = launch(watcher, move |_| {
            let asked = asked.clone();
            async move {
                engine::signal::terminate().await;
                asked.0.store(true, Ordering::Relaxed);
                engine::signal::terminate().await;
                engine::exit_now(i32::from(EXIT_INTERRUPTED), "interrupted twice: stopped at once");
                #[expect(unreachable_code, reason = "it gives the future its type")]
                Ok::<(), Infallible>(())
            }
        });
        // The process ends with the command, whatever the watcher waits for.
        drop(launched);
        interrupt
    }

    /// Whether an end was asked for.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
